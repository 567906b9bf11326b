// Products over all steps: the gradients of matrices, and sums over rows.
#pragma once

#include "pack.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

constexpr int64_t kGradientBlock = 16 * kTileRows;  // rows of the gradient whose adjoints are packed together

// Row `row` of the operand [rows, columns], into the panels of a packed matrix with k = rows.
template <class T>
void pack_operand_row(const T* from, int64_t columns, int64_t rows, int64_t row, T* to) {
  for (int64_t column = 0; column < columns; column += kPanel<T>) {
    const int width = static_cast<int>(columns - column < kPanel<T> ? columns - column : kPanel<T>);
    const int full = padded<T>(width);
    T* panel = to + column * rows + row * full;
    int j = 0;
    if (from)
      for (; j + kLanes<T> <= width; j += kLanes<T>) store(panel + j, load(from + column + j));
    for (; j < full; j += kLanes<T>)
      store(panel + j, from ? load(from + column + j, width - j) : Vector<T>{});
  }
}

// Adjoints in the order in which the kernel reads them, [group of kTileRows][i][row], and room between the groups: whole
// vectors are written, and the next one puts right what they wrote too much.
template <class T>
TIDEGATE_INLINE int64_t group_size(int64_t rows) {
  return rows * kTileRows + kLanes<T>;
}
template <class T>
TIDEGATE_INLINE int64_t adjoints_size(int64_t rows) {
  return kGradientBlock / kTileRows * group_size<T>(rows);
}
template <class T>
void pack_adjoints(const T* from, int64_t stride, int64_t count, int64_t rows, T* to) {
  using S = Square<T>;
  constexpr int squares = (kTileRows + S::kSide - 1) / S::kSide;
  for (int64_t i = 0; i < rows; ++i, from += stride)
    for (int64_t group = 0; group * kTileRows < count; ++group) {
      T* const row = to + group * group_size<T>(rows) + i * kTileRows;
      for (int s = 0; s < squares; ++s)
        *reinterpret_cast<typename S::Unaligned*>(row + s * S::kSide) =
            *reinterpret_cast<const typename S::Unaligned*>(from + group * kTileRows + s * S::kSide);
    }
}

// The sums over i of adjoint[i][r] * operand[i][:], for r from `low` to `high`, tile by tile: each(tile, count, r, column)
// says where `count` rows of sums from r on, at most a panel of columns wide, go to, and multiplies.
template <class T, class Each>
void tiles_over_rows(const T* adjoint, int64_t stride, int64_t low, int64_t high, int64_t rows, const T* operand,
                     int64_t columns, T* packed, const Each& each) {
  TileArguments<T> tile;
  tile.step = kTileRows;
  tile.k = rows;
  tile.index = nullptr;
  tile.bias = nullptr;
  for (int64_t block = low; block < high; block += kGradientBlock) {
    const int64_t end = high - block < kGradientBlock ? high : block + kGradientBlock;
    pack_adjoints(adjoint + block, stride, end - block, rows, packed);
    for (int64_t column = 0; column < columns; column += kPanel<T>) {
      tile.panel = operand + column * rows;
      tile.width = static_cast<int>(columns - column < kPanel<T> ? columns - column : kPanel<T>);
      tile.panel_step = padded<T>(tile.width);
      const T* group = packed;
      for (int64_t r = block; r < end; r += kTileRows, group += group_size<T>(rows)) {
        const int count = static_cast<int>(end - r < kTileRows ? end - r : kTileRows);
        for (int c = 0; c < count; ++c) tile.a[c] = group + c;
        each(tile, count, r, column);
      }
    }
  }
}

// to[r][:] (+)= sum over i of adjoint[i][r] * operand[i][:], for r from `low` to `high`.
template <class T>
void multiply_over_rows(const T* adjoint, int64_t stride, int64_t low, int64_t high, int64_t rows, const T* operand,
                        int64_t columns, T* packed, T* to, bool fresh) {
  const auto each = [=](TileArguments<T>& tile, int count, int64_t r, int64_t column) {
    tile.start = fresh ? Start::kZero : Start::kAdd;
    for (int c = 0; c < count; ++c) tile.c[c] = to + (r + c) * columns + column;
    multiply(count, tile);
  };
  tiles_over_rows(adjoint, stride, low, high, rows, operand, columns, packed, each);
}

// to[:] (+)= sum of rows; sums of sixteen rows are added up, so that errors do not grow with the number of rows.
template <class T>
void add_rows(const T* from, int64_t stride, int64_t rows, int64_t count, T* to, bool fresh) {
  constexpr int64_t some = 16;
  constexpr int64_t wide = 4 * kLanes<T>;  // rows lie far apart: whole pieces of them are read at a time
  int64_t j = 0;
  for (; j + wide <= count; j += wide) {
    Vector<T> total[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) total[v] = fresh ? Vector<T>{} : load(to + j + v * kLanes<T>);
    for (int64_t begin = 0; begin < rows; begin += some) {
      const int64_t end = rows - begin < some ? rows : begin + some;
      Vector<T> part[4] = {};
      for (int64_t i = begin; i < end; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v) part[v] += load(from + i * stride + j + v * kLanes<T>);
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) total[v] += part[v];
    }
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) store(to + j + v * kLanes<T>, total[v]);
  }
  for (; j < count; j += kLanes<T>) {
    const int width = static_cast<int>(count - j < kLanes<T> ? count - j : kLanes<T>);
    Vector<T> total = fresh ? Vector<T>{} : load(to + j, width);
    for (int64_t begin = 0; begin < rows; begin += some) {
      const int64_t end = rows - begin < some ? rows : begin + some;
      Vector<T> part = {};
      for (int64_t i = begin; i < end; ++i) part += load(from + i * stride + j, width);
      total += part;
    }
    store(to + j, total, width);
  }
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
