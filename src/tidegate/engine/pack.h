// Matrices in the order in which the kernel reads them: panel by panel, each row of a panel together.
#pragma once

#include "kernel.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

template <class T>
TIDEGATE_INLINE int padded(int width) {
  return (width + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

// Entry (i, j) of the panel is from[i * stride + j].
template <class T>
void pack_across(const T* from, int64_t stride, int64_t k, int width, T* to) {
  const int full = padded<T>(width);
  for (int64_t i = 0; i < k; ++i, from += stride, to += full) {
    int j = 0;
    for (; j + kLanes<T> <= width; j += kLanes<T>) store(to + j, load(from + j));
    if (j < width) store(to + j, load(from + j, width - j));
  }
}

// Entry (i, j) of the panel is from[j * stride + i]: blocks of 8 by 8, so that both sides are touched line by line.
template <class T>
void pack_along(const T* from, int64_t stride, int64_t k, int width, T* to) {
  constexpr int block = 8;
  const int full = padded<T>(width);
  for (int j = 0; j < full; j += block) {
    const int columns = width - j < block ? width - j : block;
    for (int64_t i = 0; i < k; ++i) {
      T* row = to + i * full + j;
      if (columns == block) {
        for (int c = 0; c < block; ++c) row[c] = from[(j + c) * stride + i];
      } else {
        for (int c = 0; c < block && j + c < full; ++c) row[c] = c < columns ? from[(j + c) * stride + i] : T(0);
      }
    }
  }
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
