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
  // Rows of an operand of k numbers, rounded to `to`; they lie at distances of whole vectors there.
  static Rows<T> rounded_rows(const Rows<T>& from, int64_t rows, int64_t k, T* to) {
    const Rows<T> own = {to, operand_stride<T>(k)};
    for (int64_t row = 0; row < rows; ++row) round_row<P>(from.first + row * from.stride, k, own.first + row * own.stride);
    return own;
  }

  T* room(int member) const { return space_.operands + member * space_.operands_size; }

  // Puts in place of the operands of a phase what its products read of them.
  void round_operands(const tg_phase& phase, Rows<T>* operands, int64_t rows, int member) const {
    T* to = room(member);
    for (int i = 0; i < phase.products; ++i) {
      const tg_product& product = plan_.product[phase.first_product + i];
      if (!is_rounded<P>(plan_, product)) continue;
      int before = 0;
      while (before < i && !read_alike(plan_, plan_.product[phase.first_product + before], product)) ++before;
      operands[i] = before < i ? operands[before] : rounded_rows(operands[i], rows, plan_.matrix[product.matrix].k, to);
      if (before == i) to += rows * operands[i].stride;
    }
  }

  // The rows that a product of a strip reads; neighbours that read alike share what is made.
  Rows<T> operand_of_strip(int index, bool first, const Rows<T>& rows, int64_t count, int member) const {
    const tg_product& product = plan_.product[index];
    if (!is_rounded<P>(plan_, product)) return rows;
    const int64_t k = plan_.matrix[product.matrix].k;
    if (!first && read_alike(plan_, plan_.product[index - 1], product)) return {room(member), operand_stride<T>(k)};
    return rounded_rows(rows, count, k, room(member));
  }

  // Rows of a chunk of the input, as its products read them, one behind the other.
  Rows<T> operand_of_block(int index, bool first, const int64_t* rows, int count, int member) const {
    const tg_product& product = plan_.product[index];
    const int64_t k = plan_.matrix[product.matrix].k, stride = call_.strides[product.operand.tensor];
    const Rows<T> own = {room(member), operand_stride<T>(k)};
    if (!first && read_alike(plan_, plan_.product[index - 1], product)) return own;
    const T* const x = this->tensor(product.operand.tensor) + product.operand.offset;
    for (int r = 0; r < count; ++r) round_row<P>(x + rows[r] * stride, k, own.first + r * own.stride);
    return own;
  }
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
