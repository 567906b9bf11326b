// Operands of products as their matrices read them, made once for all panels: of a phase, of a strip, of rows of a chunk.
#pragma once

#include "bound.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

template <class T, class P = T>
class RoundedOperands : public Bound<T, P> {
 protected:
  using Base = Bound<T, P>;
  using Base::call_, Base::plan_, Base::space_;

 public:
  using Base::Base;

 protected:
  TIDEGATE_INLINE const tg_matrix& matrix_of(int product) const { return plan_.matrix[plan_.product[product].matrix]; }

  // Rows of the operand of a product, as it reads them, at `to`.
  Rows<T> made_rows(int product, const Rows<T>& from, int64_t rows, T* to) const {
    const tg_matrix& matrix = matrix_of(product);
    const Rows<T> own = {to, space_.operand_width(matrix)};
    for (int64_t row = 0; row < rows; ++row)
      space_.make_operand(plan_.product[product], from.first + row * from.stride, own.first + row * own.stride);
    return own;
  }

  T* room(int member) const { return space_.operands + member * space_.operands_size; }

  // Whether the product before this one has left in the room what this one reads.
  bool is_there(int product, bool first) const {
    return !first && space_.read_alike(plan_.product[product - 1], plan_.product[product]);
  }

  // Puts in place of the operands of a phase what its products read of them.
  void round_operands(const tg_phase& phase, Rows<T>* operands, int64_t rows, int member) const {
    T* to = room(member);
    for (int i = 0; i < phase.products; ++i) {
      const int product = phase.first_product + i;
      if (!space_.converts(matrix_of(product))) continue;
      int before = 0;
      while (before < i && !space_.read_alike(plan_.product[phase.first_product + before], plan_.product[product])) ++before;
      operands[i] = before < i ? operands[before] : made_rows(product, operands[i], rows, to);
      if (before == i) to += rows * operands[i].stride;
    }
  }

  // The rows that a product of a strip reads; neighbours that read alike share what is made.
  Rows<T> operand_of_strip(int product, bool first, const Rows<T>& rows, int64_t count, int member) const {
    if (!space_.converts(matrix_of(product))) return rows;
    if (is_there(product, first)) return {room(member), space_.operand_width(matrix_of(product))};
    return made_rows(product, rows, count, room(member));
  }

  // Rows of a chunk of the input, as its products read them, one behind the other.
  Rows<T> operand_of_block(int product, bool first, const int64_t* rows, int count, int member) const {
    const tg_matrix& matrix = matrix_of(product);
    const tg_place& operand = plan_.product[product].operand;
    const Rows<T> own = {room(member), space_.operand_width(matrix)};
    const int64_t stride = call_.strides[operand.tensor];
    if constexpr (kRounded<P>)
      if (plan_.narrow[operand.tensor]) {
        P* const x = reinterpret_cast<P*>(this->tensor(operand.tensor)) + operand.offset;
        const bool together = rows[count - 1] - rows[0] == count - 1;
        if (together && are_words(tiles_of<P>(), x, stride, matrix.k))
          return {reinterpret_cast<T*>(x + rows[0] * stride), stride / 2};
        for (int r = 0; r < count && !is_there(product, first); ++r)
          take_row(tiles_of<P>(), x + rows[r] * stride, matrix.k, reinterpret_cast<Word*>(own.first + r * own.stride));
        return own;
      }
    if (is_there(product, first)) return own;
    const T* const x = this->tensor(operand.tensor) + operand.offset;
    for (int r = 0; r < count; ++r) space_.make_operand(plan_.product[product], x + rows[r] * stride, own.first + r * own.stride);
    return own;
  }
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
