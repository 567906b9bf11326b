// What emitted cells are written against: pointwise work on one vector of units, for whole and partial vectors.
#pragma once

#include "activation.h"
#include "plan.h"
#include "vector.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

// Emitted code calls these by the vector alone, from which no template could tell T.
#define TIDEGATE_FUNCTION(name)                                                          \
  TIDEGATE_INLINE Vector<float> name(Vector<float> v) { return tidegate::name<float>(v); } \
  TIDEGATE_INLINE Vector<double> name(Vector<double> v) { return tidegate::name<double>(v); }
TIDEGATE_FUNCTION(exp)
TIDEGATE_FUNCTION(log)
TIDEGATE_FUNCTION(log_sigmoid)
TIDEGATE_FUNCTION(sigmoid)
TIDEGATE_FUNCTION(tanh)
TIDEGATE_FUNCTION(relu)
TIDEGATE_FUNCTION(sqrt)
#undef TIDEGATE_FUNCTION

template <class T, bool kSaves, bool kWhole>
struct At {
  T* const* rows;
  int unit;
  int count;  // of units, where the vector is not whole

  TIDEGATE_INLINE Vector<T> load(int place) const {
    return kWhole ? tidegate::load(rows[place] + unit) : tidegate::load(rows[place] + unit, count);
  }
  TIDEGATE_INLINE Vector<T> spread(int place) const { return splat(*rows[place]); }  // one number for all units
  TIDEGATE_INLINE void store(int place, Vector<T> value) const {
    if (kWhole)
      tidegate::store(rows[place] + unit, value);
    else
      tidegate::store(rows[place] + unit, value, count);
  }
  TIDEGATE_INLINE void save(int place, Vector<T> value) const {
    if (kSaves) store(place, value);
  }
  TIDEGATE_INLINE Vector<T> number(double value) const { return splat(static_cast<T>(value)); }
};

template <class Phase, class T, bool kSaves>
TIDEGATE_INLINE void run_pointwise(const tg_tile* tile) {
  T* rows[Phase::kPlaces];
  for (int place = 0; place < Phase::kPlaces; ++place) rows[place] = static_cast<T*>(tile->rows[place]);
  for (int row = 0; row < tile->count; ++row) {
    int unit = 0;
    for (; unit + kLanes<T> <= tile->width; unit += kLanes<T>) Phase::run(At<T, kSaves, true>{rows, unit, 0});
    if (unit < tile->width) Phase::run(At<T, kSaves, false>{rows, unit, tile->width - unit});
    for (int place = 0; place < Phase::kPlaces; ++place) rows[place] += tile->strides[place];
  }
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate

#define TIDEGATE_EXPORT extern "C" __attribute__((visibility("default")))
#define TIDEGATE_POINTWISE(name, Phase, saves)                                                             \
  TIDEGATE_EXPORT void name##_f32(const tg_tile* tile) { tidegate::run_pointwise<Phase, float, saves>(tile); } \
  TIDEGATE_EXPORT void name##_f64(const tg_tile* tile) { tidegate::run_pointwise<Phase, double, saves>(tile); }
