// In which form each matrix of a call is multiplied: as it is stored, packed, in words, turned; and what its products read.
#pragma once

#include "call.h"
#include "int8.h"
#include "operand.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

// T: the type of numbers and sums; P: the type in which matrices are packed.
template <class T, class P>
class Forms {
 public:
  bool any_turned = false;

  // Packing reads a matrix and writes it, which a few rows do not pay back.
  explicit Forms(const Call& call) : call_(call), plan_(*call.plan), tuning_(*call.plan->tuning) {
    const int64_t total = call.offsets[call.steps], widest = call.steps ? call.sizes[0] : 0;
    const bool storable = call.packed == nullptr && sizeof(P) == sizeof(T);
    as_stored_[0] = storable && total <= tuning_.unpacked_rows;
    as_stored_[1] = storable && call.steps * ((widest + kTileRows - 1) / kTileRows) <= tuning_.across_tiles;
    words_stored_ = floats_stored_ = false;
    if constexpr (kWords<P>) {
      const DotTiles& tiles = tiles_of<P>();
      words_stored_ = tiles.multiply_stored && call.packed == nullptr && total <= tuning_.unpacked_rows;
      floats_stored_ = words_stored_ && (tiles.converts_pairs || total <= kStoredRows);
    }
    turns_ = storable && widest >= kLanes<T> / 2;  // matrices that are kept packed are kept for all batches
    for (int i = 0; i < plan_.matrices; ++i) any_turned = any_turned || is_turned(plan_.matrix[i]);
  }

  // Whether so few rows want a matrix that it is read as it is stored.
  TIDEGATE_INLINE bool as_stored(const tg_matrix& matrix) const { return as_stored_[matrix.across && !matrix.sparse]; }

  // Whether a matrix that a backward run multiplies across its rows is packed along them, for many sequences side by
  // side. Blocks of neighbouring rows make no zeros across them.
  TIDEGATE_INLINE bool is_turned(const tg_matrix& matrix) const {
    return turns_ && matrix.across && matrix.sparse && matrix.heads == 1 && !as_stored(matrix);
  }

  // Whether a matrix is packed in words: a whole one. Changes of a delta run are multiplied as they are.
  TIDEGATE_INLINE bool in_words(const tg_matrix& matrix) const {
    if constexpr (kOnlyWords<P>) return true;
    return kWords<P> && !matrix.sparse && matrix.heads == 1 && !call_.delta;
  }

  // The same for a matrix that would be packed in words. One of floats is rounded anew for each pair of rows.
  TIDEGATE_INLINE bool words_as_stored(const tg_matrix& matrix) const {
    if constexpr (kWords<P>)
      return (plan_.narrow[matrix.tensor] ? words_stored_ : floats_stored_) && !matrix.across && in_words(matrix);
    return false;
  }

  // Whether the products of a matrix read something else than the numbers of their operands.
  TIDEGATE_INLINE bool converts(const tg_matrix& matrix) const { return is_rounded<P>(matrix) && !call_.delta; }

  // What they read instead: rows of so many numbers, or words; and how such a row is made.
  TIDEGATE_INLINE int64_t operand_width(const tg_matrix& matrix) const {
    if constexpr (kWords<P>)
      if (in_words(matrix)) return rounded(tiles_of<P>().operand_size(matrix.k), kLanes<T>);
    return rounded(matrix.k, kLanes<T>);
  }
  TIDEGATE_INLINE void make_operand(const tg_product& product, const T* from, T* to) const {
    const tg_matrix& matrix = plan_.matrix[product.matrix];
    if constexpr (kWords<P>)
      if (in_words(matrix)) {
        const DotTiles& tiles = tiles_of<P>();
        if (tiles.round_coarsely && !comes_from_outside(product))
          return tiles.round_coarsely(from, matrix.k, tiles.words(matrix.k), reinterpret_cast<Word*>(to));
        return tiles.round(from, matrix.k, tiles.words(matrix.k), reinterpret_cast<Word*>(to));
      }
    if constexpr (!kOnlyWords<P>) round_row<P>(from, matrix.k, to);
  }

  // Whether an operand is what a caller measured, of whatever range, and no state of this layer or another.
  TIDEGATE_INLINE bool comes_from_outside(const tg_product& product) const {
    return product.operand.kind == TG_SERIES && !(call_.deeper && product.operand.tensor == TG_INPUT);
  }

  // Whether two products read the same.
  bool read_alike(const tg_product& a, const tg_product& b) const {
    const tg_matrix &own = plan_.matrix[a.matrix], &other = plan_.matrix[b.matrix];
    return a.operand.kind == b.operand.kind && a.operand.tensor == b.operand.tensor &&
           a.operand.offset == b.operand.offset && a.operand.initial == b.operand.initial && own.k == other.k &&
           own.across == other.across && in_words(own) == in_words(other);
  }

  TIDEGATE_INLINE tg_matrix as_packed(const tg_matrix& m) const {
    return is_turned(m) ? tg_matrix{m.tensor, 0, m.row, m.n, m.k, m.columns, m.sparse, m.heads} : m;
  }

 protected:
  const Call& call_;
  const tg_plan& plan_;
  const tg_tuning& tuning_;

 private:
  bool as_stored_[2];  // matrices that are multiplied along their rows, and across
  bool words_stored_, floats_stored_, turns_;
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
