// A few rows times a matrix as it is stored, where packing it would cost more than it saves.
#pragma once

#include "pack.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

// As many rows of a matrix at a time as a square has: their sums change places in it.
template <class T>
constexpr int kStoredSide = Square<T>::kSide;
constexpr int kStoredRows = kRegisters == 32 ? 2 : 1;  // of the operand that share what is read of a matrix

// total[j] = the sum of the lanes of sum[j].
template <class T>
TIDEGATE_INLINE void add_lanes(const Vector<T>* sum, T* total) {
  constexpr int side = kStoredSide<T>;
#ifdef TIDEGATE_SHUFFLES
  if constexpr (kLanes<T> >= side) {
    using S = Square<T>;
    typename S::Row rows[side];
#pragma GCC unroll 8
    for (int j = 0; j < side; ++j) {
      T lanes[kLanes<T>];
      store(lanes, sum[j]);
      rows[j] = *reinterpret_cast<const typename S::Unaligned*>(lanes);
      if (kLanes<T> > side) rows[j] += *reinterpret_cast<const typename S::Unaligned*>(lanes + kLanes<T> - side);
    }
    transpose(rows);
#pragma GCC unroll 3
    for (int half = side / 2; half; half /= 2)
#pragma GCC unroll 4
      for (int j = 0; j < half; ++j) rows[j] += rows[j + half];
    *reinterpret_cast<typename S::Unaligned*>(total) = rows[0];
    return;
  }
#endif
  for (int j = 0; j < side; ++j) {
    total[j] = 0;
    for (int lane = 0; lane < kLanes<T>; ++lane) total[j] += sum[j][lane];
  }
}

// total[r][j] = sum over i of a[r][i] * row[j][i]
template <class T, int kRows>
TIDEGATE_INLINE void multiply_stored_rows(const T* const* a, int64_t k, const T* const* row, T (*total)[kStoredSide<T>]) {
  constexpr int side = kStoredSide<T>;
  Vector<T> sum[kRows][side] = {};
  int64_t i = 0;
  for (; i + kLanes<T> <= k; i += kLanes<T>) {
    Vector<T> part[kRows];
#pragma GCC unroll 2
    for (int r = 0; r < kRows; ++r) part[r] = load(a[r] + i);
#pragma GCC unroll 8
    for (int j = 0; j < side; ++j) {
      const Vector<T> weights = load(row[j] + i);
#pragma GCC unroll 2
      for (int r = 0; r < kRows; ++r) sum[r][j] += part[r] * weights;
    }
  }
  if (i < k) {
    const int rest = static_cast<int>(k - i);
#pragma GCC unroll 2
    for (int r = 0; r < kRows; ++r) {
      const Vector<T> part = load(a[r] + i, rest);
#pragma GCC unroll 8
      for (int j = 0; j < side; ++j) sum[r][j] += part * load(row[j] + i, rest);
    }
  }
#pragma GCC unroll 2
  for (int r = 0; r < kRows; ++r) add_lanes<T>(sum[r], total[r]);
}

// c[r][j] = bias[j] + sum over i of a[r][i] * matrix[j * stride + i], for `rows` rows and `width` columns.
template <class T>
void multiply_stored(const T* const* a, int rows, int64_t k, const T* matrix, int64_t stride, const T* bias, int width,
                     T* const* c) {
  constexpr int side = kStoredSide<T>;
  for (int j = 0; j < width; j += side) {
    const int count = width - j < side ? width - j : side;
    const T* row[side];
    for (int n = 0; n < side; ++n) row[n] = matrix + (j + (n < count ? n : 0)) * stride;
    for (int r = 0; r < rows; r += kStoredRows) {
      T total[kStoredRows][side];
      const bool all = rows - r >= kStoredRows;
      if (all)
        multiply_stored_rows<T, kStoredRows>(a + r, k, row, total);
      else
        multiply_stored_rows<T, 1>(a + r, k, row, total);
      for (int of = 0; of < (all ? kStoredRows : 1); ++of)
        for (int n = 0; n < count; ++n) c[r + of][j + n] = total[of][n] + (bias ? bias[j + n] : T(0));
    }
  }
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
