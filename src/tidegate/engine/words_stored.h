// A few rows of words times a matrix as it is stored, where packing it would cost more than it saves.
#pragma once

#include "stored.h"
#include "words.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

// A few rows times a matrix as it is stored, along its rows: of bfloat16, or of floats that are rounded in registers.
struct StoredArguments {
  const Word* a;
  ptrdiff_t a_stride;
  int rows;
  int64_t k;
  const BFloat16* matrix;
  const float* floats;  // the matrix, if it is not null
  int64_t stride;       // from row to row of the matrix
  const float* bias;   // or null
  float* const* c;
  int width;
};

// sum[r][j] += the products of some numbers of an operand and of a row, from `word` and from `i` on.
template <class Dot, int kRows, class From>
TIDEGATE_INLINE void add_along_rows(Vector<float> (&sum)[kRows][kStoredSide<float>], const Word* const* a, int64_t word,
                                    const From* const* row, int64_t i) {
  WordVector part[kRows];
#pragma GCC unroll 2
  for (int r = 0; r < kRows; ++r) part[r] = load_words(a[r] + word);
#pragma GCC unroll 8
  for (int j = 0; j < kStoredSide<float>; ++j) {
    const WordVector own = Dot::along(row[j] + i);
#pragma GCC unroll 2
    for (int r = 0; r < kRows; ++r) Dot::add_along(sum[r][j], part[r], own);
  }
}

// total[r][j] = sum over i of a[r][i] * row[j][i]; what is left behind whole registers is copied first.
template <class Dot, int kRows, class From>
TIDEGATE_INLINE void multiply_stored_words(const Word* const* a, int64_t k, const From* const* row,
                                           float (*total)[kStoredSide<float>]) {
  constexpr int side = kStoredSide<float>;
  Vector<float> sum[kRows][side] = {};
  int64_t i = 0, word = 0;
  for (; i + Dot::kAlong <= k; i += Dot::kAlong, word += kLanes<float>) add_along_rows<Dot, kRows>(sum, a, word, row, i);
  if (i < k) {
    const int64_t rest = k - i, words = (rest * Dot::kOperandWords + 1) / 2;
    From of_rows[side][Dot::kAlong] = {};
    Word of_operands[kRows][kLanes<float>] = {};
    const From* own_row[side];
    const Word* own_a[kRows];
    for (int j = 0; j < side; ++j) own_row[j] = of_rows[j], memcpy(of_rows[j], row[j] + i, rest * sizeof(From));
    for (int r = 0; r < kRows; ++r) own_a[r] = of_operands[r], memcpy(of_operands[r], a[r] + word, words * sizeof(Word));
    add_along_rows<Dot, kRows>(sum, own_a, 0, own_row, 0);
  }
#pragma GCC unroll 2
  for (int r = 0; r < kRows; ++r) add_lanes<float>(sum[r], total[r]);
}

template <class Dot, class From>
void multiply_stored_from(const StoredArguments& few, const From* matrix) {
  constexpr int side = kStoredSide<float>;
  for (int j = 0; j < few.width; j += side) {
    const int count = few.width - j < side ? few.width - j : side;
    const From* row[side];
    for (int n = 0; n < side; ++n) row[n] = matrix + (j + (n < count ? n : 0)) * few.stride;
    for (int r = 0; r < few.rows; r += kStoredRows) {
      float total[kStoredRows][side];
      const bool all = few.rows - r >= kStoredRows;
      const Word* const a[2] = {few.a + r * few.a_stride, few.a + (all ? r + kStoredRows - 1 : r) * few.a_stride};
      if (all)
        multiply_stored_words<Dot, kStoredRows>(a, few.k, row, total);
      else
        multiply_stored_words<Dot, 1>(a, few.k, row, total);
      for (int of = 0; of < (all ? kStoredRows : 1); ++of)
        for (int n = 0; n < count; ++n) few.c[r + of][j + n] = total[of][n] + (few.bias ? few.bias[j + n] : 0.0f);
    }
  }
}

template <class Dot>
void multiply_stored_dot(const StoredArguments& few) {
  if (few.floats)
    multiply_stored_from<Dot>(few, few.floats);
  else
    multiply_stored_from<Dot>(few, few.matrix);
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
