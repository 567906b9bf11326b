// Means and variances of rows, from what was found of each of their panels.
//
// A panel is reduced while a tile's pointwise work is still in the first-level cache: its sum, and the squares around
// its own mean, which are exact however far the mean lies from zero. Joining them is Chan, Golub and LeVeque's update
// (1983, The American Statistician 37). Panels are joined in order: results do not depend on who reduced which.
#pragma once

#include "kernel.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

// Of the units of one panel.
template <class T>
struct Part {
  T sum;
  T squares;  // of distances from the mean of these units
};

template <class T>
TIDEGATE_INLINE T sum_of_lanes(Vector<T> v) {
  T lanes[kLanes<T>];
  store(lanes, v);
#pragma GCC unroll 4
  for (int half = kLanes<T> / 2; half; half /= 2)
#pragma GCC unroll 8
    for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  return lanes[0];
}

// The sum of `change(v)` over `width` units, at most a panel, of some rows; `change` keeps the zeros of missing lanes.
template <class T, class Change>
TIDEGATE_INLINE T sum_over_units(const T* const* rows, int count, int width, Change change) {
  Vector<T> sum[kTileVectors] = {};
  if (width == kPanel<T>) {
    for (int i = 0; i < count; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v) sum[v] += change(load(rows[i] + v * kLanes<T>), kLanes<T>);
  } else {
    for (int i = 0; i < count; ++i) {
      int unit = 0;
      for (; unit + kLanes<T> <= width; unit += kLanes<T>) sum[0] += change(load(rows[i] + unit), kLanes<T>);
      if (unit < width) sum[1] += change(load(rows[i] + unit, width - unit), width - unit);
    }
  }
#pragma GCC unroll 4
  for (int v = 1; v < kTileVectors; ++v) sum[0] += sum[v];
  return sum_of_lanes<T>(sum[0]);
}

template <class T>
void reduce_panel(const T* const* rows, int count, int width, bool squares, Part<T>* part) {
  part->sum = sum_over_units<T>(rows, count, width, [](Vector<T> v, int) { return v; });
  if (!squares) return;
  const T mean = part->sum / static_cast<T>(count * width);
  T means[kLanes<T>];
  store(means, splat(mean));
  part->squares = sum_over_units<T>(rows, count, width, [&means](Vector<T> v, int lanes) {
    const Vector<T> distance = v - (lanes == kLanes<T> ? load(means) : load(means, lanes));
    return distance * distance;
  });
}

// mean, variance: null where nobody asks. Sums of parts are made in float64, which costs nothing here.
template <class T>
void join_parts(const Part<T>* parts, int64_t width, int count, T* mean, T* variance) {
  double sum = 0, squares = 0;
  const int64_t panels = (width + kPanel<T> - 1) / kPanel<T>;
  for (int64_t p = 0; p < panels; ++p) sum += static_cast<double>(parts[p].sum);
  const double middle = sum / static_cast<double>(count * width);
  if (mean) *mean = static_cast<T>(middle);
  if (!variance) return;
  for (int64_t p = 0; p < panels; ++p) {
    const int64_t units = p + 1 < panels ? kPanel<T> : width - p * kPanel<T>;
    const double size = static_cast<double>(count * units);
    const double away = static_cast<double>(parts[p].sum) / size - middle;
    squares += static_cast<double>(parts[p].squares) + size * away * away;
  }
  *variance = static_cast<T>(squares / static_cast<double>(count * width));
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
