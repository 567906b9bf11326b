// The register tile: a few rows times a panel of a packed matrix.
//
// A panel holds kPanel columns of a matrix, row after row, so that the kernel reads it in one stream. Each row's sums
// run over k in order, whatever the tile's height: results do not depend on how rows are shared out.
#pragma once

#include <stddef.h>

#include "vector.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

constexpr int kTileRows = 6;
constexpr int kMostDotRows = 16;  // of a tile of words of any kind (dot.h)

// Whether a whole matrix of this type is packed in words, several numbers in each.
template <class P>
constexpr bool kWords = false;
template <>
inline constexpr bool kWords<BFloat16> = true;
template <>
inline constexpr bool kWords<Int8> = true;

// Whether every matrix of it is, since its numbers mean nothing by themselves.
template <class P>
constexpr bool kOnlyWords = false;
template <>
inline constexpr bool kOnlyWords<Int8> = true;

template <class P>
constexpr int kMostTileRows = kWords<P> ? kMostDotRows : kTileRows;
constexpr int kTileVectors = kRegisters == 32 ? 4 : 2;
template <class T>
constexpr int kPanel = kTileVectors * kLanes<T>;

enum class Start { kZero, kBias, kAdd, kGoOn };  // kAdd: a sum of its own, added at the end; kGoOn: the sum that is there

// T: the type of numbers and sums; P: the type in which a matrix is packed.
template <class T, class P = T>
struct TileArguments {
  const T* a[kMostTileRows<P>];  // rows of the operand
  ptrdiff_t step;         // from element to element of such a row
  int64_t k;
  const P* panel;
  int64_t panel_step;    // from row to row of the panel
  const int32_t* index;  // of a panel that holds some k only: the k elements of a row that it multiplies; else null
  const T* bias;         // padded to whole vectors
  T* c[kMostTileRows<P>];
  int width;  // of the result; the panel is padded to whole vectors
  Start start;
};

template <class T, class P>
using TileFunction = void (*)(const TileArguments<T, P>&);

template <class T, class P, int kRows, int kVectors, bool kListed>
void multiply_tile(const TileArguments<T, P>& tile) {
  constexpr int lanes = kLanes<T>;
  const int tail = tile.width - (kVectors - 1) * lanes;  // valid lanes of the last vector
  Vector<T> sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      sum[row][v] = Vector<T>{};
      if (tile.start == Start::kBias) sum[row][v] = load(tile.bias + v * lanes);
      if (tile.start == Start::kGoOn) sum[row][v] = load(tile.c[row] + v * lanes);  // whole vectors
      if (tile.start == Start::kAdd) __builtin_prefetch(tile.c[row] + v * lanes, 1);  // needed when the sums are done
    }
  }
  const T* a[kRows];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) a[row] = tile.a[row];
  const P* panel = tile.panel;
  const ptrdiff_t step = tile.step, panel_step = tile.panel_step;
  ptrdiff_t at = 0;  // one count for all rows, not a pointer to move in each
  for (int64_t i = 0; i < tile.k; ++i, at += step) {
    Vector<T> b[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) b[v] = load(panel + v * lanes);
#pragma GCC unroll 8
    for (int row = 0; row < kRows; ++row) {
      const Vector<T> element = splat(a[row][kListed ? tile.index[i] : at]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[row][v] += element * b[v];
    }
    panel += panel_step;
  }
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      T* const to = tile.c[row] + v * lanes;
      const bool whole = v + 1 < kVectors || tail == lanes;
      if (tile.start == Start::kAdd) sum[row][v] += whole ? load(to) : load(to, tail);
      if (whole)
        store(to, sum[row][v]);
      else
        store(to, sum[row][v], tail);
    }
  }
}

template <class T, class P, int kVectors, bool kListed>
constexpr TileFunction<T, P> kTiles[kTileRows] = {
    multiply_tile<T, P, 1, kVectors, kListed>, multiply_tile<T, P, 2, kVectors, kListed>,
    multiply_tile<T, P, 3, kVectors, kListed>, multiply_tile<T, P, 4, kVectors, kListed>,
    multiply_tile<T, P, 5, kVectors, kListed>, multiply_tile<T, P, 6, kVectors, kListed>};

template <class T, class P, int kVectors>
TIDEGATE_INLINE void multiply_rows(int rows, const TileArguments<T, P>& tile) {
  if (tile.index)
    kTiles<T, P, kVectors, true>[rows - 1](tile);
  else
    kTiles<T, P, kVectors, false>[rows - 1](tile);
}

// rows: 1 to kTileRows; tile.width: 1 to kPanel.
template <class T, class P>
TIDEGATE_INLINE void multiply_few(int rows, const TileArguments<T, P>& tile) {
  const int vectors = (tile.width + kLanes<T> - 1) / kLanes<T>;
  switch (vectors) {
    case 1:
      return multiply_rows<T, P, 1>(rows, tile);
    case 2:
      return multiply_rows<T, P, 2>(rows, tile);
#if defined(__AVX512VL__)
    case 3:
      return multiply_rows<T, P, 3>(rows, tile);
    case 4:
      return multiply_rows<T, P, 4>(rows, tile);
#endif
  }
}

// The same of up to kMostTileRows.
template <class T, class P>
TIDEGATE_INLINE void multiply(int rows, const TileArguments<T, P>& tile) {
  if constexpr (!kWords<P>) return multiply_few(rows, tile);
  if constexpr (kWords<P> && !kOnlyWords<P>) {
    TileArguments<T, P> some = tile;
    for (; rows > kTileRows; rows -= kTileRows) {
      multiply_few(kTileRows, some);
      for (int row = kTileRows; row < rows; ++row) some.a[row - kTileRows] = some.a[row], some.c[row - kTileRows] = some.c[row];
    }
    multiply_few(rows, some);
  }
}

// One row of an operand times panels of several matrices, or parts of such, at once: enough sums to hide how long each
// takes.
constexpr int kRowPanels = 4;  // at most; how many are best differs between processors

template <class T, class P>
struct RowArguments {
  const T* a;
  int64_t k[kRowPanels];  // all the same, unless there are lists
  const P* panel[kRowPanels];
  const int32_t* index[kRowPanels];  // as in a tile; of all or of none
  const T* bias[kRowPanels];         // or null
  T* c[kRowPanels];
};

// Which numbers of a row meet which rows of a panel: all in order; by a list of numbers; by a list of rows of the panel.
enum class Meet { kAll, kNumbers, kRows };

template <class T, class P, int kPanels, int kVectors, Meet kMeet>
void multiply_row(const RowArguments<T, P>& row) {
  constexpr bool kListed = kMeet == Meet::kNumbers;
  constexpr int lanes = kLanes<T>;
  Vector<T> sum[kPanels][kVectors];
  const P* panel[kPanels];
  int64_t shared = row.k[0];
#pragma GCC unroll 4
  for (int m = 0; m < kPanels; ++m) {
    panel[m] = row.panel[m];
    if (kListed && row.k[m] < shared) shared = row.k[m];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[m][v] = row.bias[m] ? load(row.bias[m] + v * lanes) : Vector<T>{};
  }
  int64_t at = 0;
  for (int64_t i = 0; i < shared; ++i, at += kVectors * lanes) {
    if (kMeet == Meet::kRows) at = int64_t{row.index[0][i]} * kVectors * lanes;
    Vector<T> element = splat(row.a[kListed ? row.index[0][i] : i]);
#pragma GCC unroll 4
    for (int m = 0; m < kPanels; ++m) {
      if (kListed && m) element = splat(row.a[row.index[m][i]]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[m][v] += element * load(panel[m] + at + v * lanes);
    }
  }
#pragma GCC unroll 4
  for (int m = 0; m < kPanels; ++m) {
    for (int64_t i = shared; kListed && i < row.k[m]; ++i) {
      const Vector<T> element = splat(row.a[row.index[m][i]]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[m][v] += element * load(panel[m] + (i * kVectors + v) * lanes);
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(row.c[m] + v * lanes, sum[m][v]);
  }
}

template <class T, class P, int kPanels, Meet kMeet>
TIDEGATE_INLINE void multiply_row_by(int vectors, const RowArguments<T, P>& row) {
  switch (vectors) {
    case 1:
      return multiply_row<T, P, kPanels, 1, kMeet>(row);
    case 2:
      return multiply_row<T, P, kPanels, 2, kMeet>(row);
#if defined(__AVX512VL__)
    case 3:
      return multiply_row<T, P, kPanels, 3, kMeet>(row);
    case 4:
      return multiply_row<T, P, kPanels, 4, kMeet>(row);
#endif
  }
}

// panels: 1 to kRowPanels, all of so many vectors. Whole vectors are written.
template <Meet kMeet, class T, class P>
TIDEGATE_INLINE void multiply_row_of(int panels, int vectors, const RowArguments<T, P>& row) {
  if constexpr (!kOnlyWords<P>) switch (panels) {
      case 1:
        return multiply_row_by<T, P, 1, kMeet>(vectors, row);
      case 2:
        return multiply_row_by<T, P, 2, kMeet>(vectors, row);
      case 3:
        return multiply_row_by<T, P, 3, kMeet>(vectors, row);
      case 4:
        return multiply_row_by<T, P, 4, kMeet>(vectors, row);
    }
}

template <class T, class P>
TIDEGATE_INLINE void multiply_one_row(int panels, int vectors, const RowArguments<T, P>& row) {
  if (row.index[0])
    multiply_row_of<Meet::kNumbers>(panels, vectors, row);
  else
    multiply_row_of<Meet::kAll>(panels, vectors, row);
}

// Elements of a packed matrix [k, n].
template <class T>
TIDEGATE_INLINE int64_t packed_size(int64_t k, int64_t n) {
  return k * ((n + kLanes<T> - 1) / kLanes<T>) * kLanes<T>;
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
