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

// The same for a matrix that is stored in fewer bits; not quick, since it is done once for many runs.
template <class T, class P>
void pack_slowly(const T* from, int64_t row, int64_t column, int64_t k, int width, P* to) {
  const int full = padded<T>(width);
  for (int64_t i = 0; i < k; ++i)
    for (int j = 0; j < full; ++j) put(to + i * full + j, j < width ? from[i * row + j * column] : T(0));
}

TIDEGATE_INLINE bool is_zero(float value) { return value == 0; }
TIDEGATE_INLINE bool is_zero(double value) { return value == 0; }
TIDEGATE_INLINE bool is_zero(BFloat16 value) { return (value.bits & 0x7fffu) == 0; }

// Leaves the rows of a packed panel that hold something, in their order, and lists them. Returns how many there are.
template <class P>
int64_t keep_rows(P* panel, int64_t k, int full, int32_t* index) {
  int64_t kept = 0;
  for (int64_t i = 0; i < k; ++i) {
    const P* const row = panel + i * full;
    int zeros = 0;
    while (zeros < full && is_zero(row[zeros])) ++zeros;
    if (zeros == full) continue;
    if (kept < i) memcpy(panel + kept * full, row, full * sizeof(P));
    index[kept++] = static_cast<int32_t>(i);
  }
  return kept;
}

// A square of numbers as eight or four vectors of 32 bytes, whatever the registers are.
template <class T>
struct Square;
template <>
struct Square<float> {
  static constexpr int kSide = 8;
  typedef float Row __attribute__((vector_size(32)));
  typedef float Unaligned __attribute__((vector_size(32), aligned(4), may_alias));
};
template <>
struct Square<double> {
  static constexpr int kSide = 4;
  typedef double Row __attribute__((vector_size(32)));
  typedef double Unaligned __attribute__((vector_size(32), aligned(8), may_alias));
};

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define TIDEGATE_SHUFFLES
#endif
#endif

#ifdef TIDEGATE_SHUFFLES
// Pairs, then pairs of pairs, ... trade places.
TIDEGATE_INLINE void transpose(Square<double>::Row (&r)[4]) {
  Square<double>::Row s[4];
  for (int i = 0; i < 4; i += 2) {
    s[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 4, 2, 6);
    s[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 5, 3, 7);
  }
  for (int i = 0; i < 2; ++i) {
    r[i] = __builtin_shufflevector(s[i], s[i + 2], 0, 1, 4, 5);
    r[i + 2] = __builtin_shufflevector(s[i], s[i + 2], 2, 3, 6, 7);
  }
}
TIDEGATE_INLINE void transpose(Square<float>::Row (&r)[8]) {
  Square<float>::Row s[8];
  for (int i = 0; i < 8; i += 2) {
    s[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    s[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = i; j < i + 2; ++j) {
      r[j] = __builtin_shufflevector(s[j], s[j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      r[j + 2] = __builtin_shufflevector(s[j], s[j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 4; ++i) {
    s[i] = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    s[i + 4] = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (int i = 0; i < 8; ++i) r[i] = s[i];
}
#endif

#ifdef TIDEGATE_SHUFFLES
// Entry (i, j) of the square is from[j * stride + i].
template <class T>
TIDEGATE_INLINE void pack_square(const T* from, int64_t stride, T* to, int full) {
  using S = Square<T>;
  typename S::Row row[S::kSide];
#pragma GCC unroll 8
  for (int c = 0; c < S::kSide; ++c) row[c] = *reinterpret_cast<const typename S::Unaligned*>(from + c * stride);
  transpose(row);
#pragma GCC unroll 8
  for (int c = 0; c < S::kSide; ++c) *reinterpret_cast<typename S::Unaligned*>(to + c * full) = row[c];
}
#endif

// Entry (i, j) of the panel is from[j * stride + i]. Squares, so that both sides are touched line by line; two of them
// side by side are a line of the panel.
template <class T>
void pack_along(const T* from, int64_t stride, int64_t k, int width, T* to) {
  constexpr int side = Square<T>::kSide;
  const int full = padded<T>(width);
  for (int j = 0, end; j < full; j = end) {
    const bool pair = j + 2 * side <= width;
    end = pair ? j + 2 * side : j + side;
    int64_t i = 0;
#ifdef TIDEGATE_SHUFFLES
    if (j + side <= width)
      for (; i + side <= k; i += side) {
        pack_square(from + j * stride + i, stride, to + i * full + j, full);
        if (pair) pack_square(from + (j + side) * stride + i, stride, to + i * full + j + side, full);
      }
#endif
    for (; i < k; ++i)
      for (int c = j; c < end && c < full; ++c) to[i * full + c] = c < width ? from[c * stride + i] : T(0);
  }
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
