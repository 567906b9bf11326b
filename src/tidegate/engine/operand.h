// What a product reads of its operand: the numbers themselves, or what is left of them in the type of its matrix.
#pragma once

#include "matrix.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

// Which operands of a matrix of type P are rounded to it. Adjoints are often smaller than any float16; what a matrix
// multiplies across its rows is an adjoint, since only a derivative transposes.
template <class P>
struct Operand {
  static constexpr bool kValues = false, kAdjoints = false;
};
template <>
struct Operand<BFloat16> {
  static constexpr bool kValues = true, kAdjoints = true;
};
template <>
struct Operand<Float16> {
  static constexpr bool kValues = true, kAdjoints = false;
};
template <>
struct Operand<Int8> {  // whose words multiply words alone
  static constexpr bool kValues = true, kAdjoints = true;
};

template <class P>
constexpr bool kRounds = Operand<P>::kValues || Operand<P>::kAdjoints;

template <class P>
TIDEGATE_INLINE bool is_rounded(const tg_matrix& matrix) {
  return matrix.across ? Operand<P>::kAdjoints : Operand<P>::kValues;
}

// Of `count` numbers what is left in P; whole vectors are written.
template <class P, class T>
TIDEGATE_INLINE void round_row(const T* from, int64_t count, T* to) {
  if constexpr (kRounds<P>)
    for (int64_t i = 0; i < count; i += kLanes<T>) {
      const int64_t left = count - i;
      const Vector<T> own = left < kLanes<T> ? load(from + i, static_cast<int>(left)) : load(from + i);
      store(to + i, rounded_to<P>(own));
    }
}

constexpr int kBlockRows = 16 * kTileRows;  // of a chunk that are rounded together, to be multiplied by all panels

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
