// The matrices of a plan: their panels, and how these are cut where heads end, so that what lies between heads is neither
// kept nor multiplied.
#pragma once

#include "pack.h"
#include "plan.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

template <class T>
TIDEGATE_INLINE int64_t panels_of(const tg_matrix& matrix) {
  return (matrix.n + kPanel<T> - 1) / kPanel<T>;
}

template <class T>
TIDEGATE_INLINE int width_of_panel(const tg_matrix& matrix, int64_t column) {
  return static_cast<int>(matrix.n - column < kPanel<T> ? matrix.n - column : kPanel<T>);
}

// Whole vectors of the last columns would be read past the end of the matrix.
template <class T>
TIDEGATE_INLINE bool is_ragged(const tg_matrix& matrix, int64_t column) {
  return width_of_panel<T>(matrix, column) % kLanes<T> != 0;
}

// k rows of some columns, from an element of the weight on.
template <class T, class P>
void pack_panel(const T* from, const tg_matrix& matrix, int64_t k, int width, P* panel) {
  if (matrix.across)
    pack_across(from, matrix.columns, k, width, panel);
  else
    pack_along(from, matrix.columns, k, width, panel);
}

// Neighbouring columns of a panel that multiply the same part of k: those of one head.
struct Piece {
  int32_t column, width;  // in the panel
  int64_t first, k;       // of the operand
  int64_t stored;         // its first element in the weight
  int64_t packed;         // and in the packed matrix, or -1: it is read as it is stored
  bool last;              // of its panel
};

// At most so many heads reach into a panel.
template <class T>
TIDEGATE_INLINE int64_t most_pieces(const tg_matrix& matrix) {
  const int64_t most = kPanel<T> * matrix.heads / matrix.n + 2;
  return most < kPanel<T> ? most : kPanel<T>;
}

template <class T>
int64_t pieces_size(const tg_matrix& matrix) {
  return matrix.heads > 1 ? panels_of<T>(matrix) * most_pieces<T>(matrix) : 0;
}

// What follows from this column of a panel on, which begins at `unit`.
template <class T>
Piece piece_at(const tg_matrix& matrix, int64_t unit, int64_t column) {
  const int64_t k = matrix.k / matrix.heads, n = matrix.n / matrix.heads;
  const int64_t head = (unit + column) / n, within = unit + column - head * n;
  const int64_t end = width_of_panel<T>(matrix, unit);
  const int64_t width = end - column < n - within ? end - column : n - within;
  const int64_t stored = matrix.across ? (matrix.row + head * k) * matrix.columns + within
                                       : (matrix.row + unit + column) * matrix.columns;
  return {static_cast<int32_t>(column), static_cast<int32_t>(width), head * k, k, stored, -1, column + width == end};
}

// Cuts all panels, each into as much room as one can need; returns how many elements are packed.
template <class T>
int64_t cut_panels(const tg_matrix& matrix, bool as_stored, Piece* to) {
  int64_t size = 0;
  for (int64_t unit = 0; unit < matrix.n; unit += kPanel<T>, to += to ? most_pieces<T>(matrix) : 0) {
    Piece piece = piece_at<T>(matrix, unit, 0);
    for (int at = 0;; ++at, piece = piece_at<T>(matrix, unit, piece.column + piece.width)) {
      if (!as_stored || (matrix.across && piece.width % kLanes<T> != 0)) {  // whole vectors would be read past its end
        piece.packed = size;
        size += piece.k * padded<T>(piece.width);
      }
      if (to) to[at] = piece;
      if (piece.last) break;
    }
  }
  return size;
}

// Packs a whole panel, with zeros where a column and a row are of different heads; not quick.
template <class T, class P>
void pack_with_zeros(const T* weight, const tg_matrix& matrix, int64_t unit, P* panel) {
  const int full = padded<T>(width_of_panel<T>(matrix, unit));
  const int64_t row = matrix.across ? matrix.columns : 1, column = matrix.across ? 1 : matrix.columns;
  memset(panel, 0, matrix.k * full * sizeof(P));
  for (Piece piece = piece_at<T>(matrix, unit, 0);; piece = piece_at<T>(matrix, unit, piece.column + piece.width)) {
    const T* const from = weight + piece.stored;
    for (int64_t i = 0; i < piece.k; ++i)
      for (int j = 0; j < piece.width; ++j)
        put(panel + (piece.first + i) * full + piece.column + j, from[i * row + j * column]);
    if (piece.last) return;
  }
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
