// Products of a delta network (Neil et al., 2017): of an operand only what changed since it was last sent is multiplied.
//
// A sequence remembers each product as a sum, and its operand as it was last sent. Where a number differs by more than
// a threshold, the difference is sent: multiplied and added to the sums. The list of these is made at run time, one for
// all products of an operand. Roundings of sums add up, so every so often they are made afresh of the whole operand.
#pragma once

#include "backward.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

// Differences above the threshold and where they are; a number that is none is sent too. Returns how many there are.
// Whole vectors are written of all but `row`.
template <class T>
int64_t list_changes(const T* row, T* sent, int64_t width, T threshold, int32_t* index, T* change) {
  int64_t count = 0;
  for (int64_t i = 0; i < width; i += kLanes<T>) {
    const Vector<T> value = width - i < kLanes<T> ? load(row + i, static_cast<int>(width - i)) : load(row + i);
    const Vector<T> before = load(sent + i), difference = value - before;
    const Bits<T> marked = ~((difference <= splat(threshold)) & (-difference <= splat(threshold)));
    store(sent + i, marked ? value : before);
    count += compress(difference, marked, static_cast<int32_t>(i), change + count, index + count);
  }
  return count;
}

template <class T, class P = T>
class Deltas : public Gradients<T, P> {
 protected:
  using Base = Gradients<T, P>;
  using Range = typename Base::Range;
  using Chunk = typename Base::Chunk;
  using Base::call_, Base::plan_, Base::space_;
  using Base::multiply_panel, Base::own_rows, Base::tensor;

 public:
  using Base::Base;

 protected:
  // Whether products from this one on are remembered; those of a phase all are or none is.
  bool remembers(int first, int count) const { return call_.delta && count && plan_.product[first].group >= 0; }

  T* remembered(int64_t sequence) const {
    return static_cast<T*>(call_.delta->rows) + sequence * call_.delta->stride;
  }

  // Brings the sums of some products up to date for one sequence, whose operands lie in row `row`.
  void follow(int first, int count, const Rows<T>* operands, int64_t row, int64_t sequence, T threshold, int member) {
    for (int begin = 0, end; begin < count; begin = end) {
      const int group = plan_.product[first + begin].group;
      for (end = begin + 1; end < count && plan_.product[first + end].group == group; ++end) {
      }
      const T* const operand = operands[begin].first + row * operands[begin].stride;
      tg_sent& sent = call_.delta->sent[sequence * call_.delta->groups + group];
      sent.sent += sent.left ? add_changes(first + begin, end - begin, operand, sequence, threshold, member)
                             : start_afresh(first + begin, end - begin, operand, sequence);
      if (!sent.left) sent.left = call_.delta->period;
      --sent.left;
    }
  }

  // Copies sums of some rows to where a tile has its products.
  void take_sums(const tg_phase& phase, const Range& range, int64_t row, int count, int64_t panel, int width, T* tiles) {
    for (int i = phase.first_product; i < phase.first_product + phase.products; ++i)
      for (int r = 0; r < count; ++r)
        memcpy(tiles + (plan_.product[i].result * tile_rows<P>() + r) * kPanel<T>,
               remembered(range.first + (row + r) * range.step) + plan_.product[i].sum + panel * kPanel<T>,
               padded<T>(width) * sizeof(T));
  }

  // Products of the input for all steps of a chunk, in the order of work.
  void follow_input(const Chunk& chunk, const Share& share) {
    const int first = plan_.products - plan_.before_chunk - plan_.behind_chunk;
    Rows<T>* const operands = space_.tables_of(share.member).operands;
    for (int i = 0; i < plan_.before_chunk; ++i) {
      const tg_place& input = plan_.product[first + i].operand;
      operands[i] = {tensor(input.tensor) + input.offset, call_.strides[input.tensor]};
    }
    const int64_t steps = chunk.last_step - chunk.first_step;
    for (int64_t step = 0; step < steps; ++step) {
      const int64_t t = call_.descending ? chunk.last_step - 1 - step : chunk.first_step + step;
      const Range range = own_rows(0, call_.sizes[t], share);
      for (int64_t own = range.first; own < range.last; own += range.step) {
        const int64_t row = call_.offsets[t] + own;
        follow(first, plan_.before_chunk, operands, row, own, static_cast<T>(call_.delta->inputs), share.member);
        T* const to = chunk.rows + (row - chunk.first_row) * space_.chunk_width;
        for (int i = first; i < first + plan_.before_chunk; ++i)
          memcpy(to + plan_.product[i].result, remembered(own) + plan_.product[i].sum,
                 plan_.matrix[plan_.product[i].matrix].n * sizeof(T));
      }
    }
  }

 private:
  int64_t add_changes(int first, int count, const T* operand, int64_t sequence, T threshold, int member) {
    const int64_t k = plan_.matrix[plan_.product[first].matrix].k;
    T* const row = remembered(sequence);
    T* const change = space_.changes + member * space_.changes_size;
    int32_t* const index = reinterpret_cast<int32_t*>(change + space_.changes_size / 2);
    const int64_t changed = list_changes(operand, row + plan_.product[first].sent, k, threshold, index, change);
    if (!changed) return 0;
    typename Base::RowGroup group;
    group.work.a = change;
    for (int i = first; i < first + count; ++i) {
      const tg_product& product = plan_.product[i];
      const int64_t n = plan_.matrix[product.matrix].n;
      for (int64_t column = 0; column < n; column += kPanel<T>) {
        const int width = static_cast<int>(at_most(n - column, kPanel<T>));
        T* const sum = row + product.sum + column;
        if (space_.pieces[product.matrix])
          add_to_pieces(product.matrix, column / kPanel<T>, index, changed, sum, group);
        else
          add_to(group, width, space_.matrices[product.matrix] + column * k, index, changed, sum);
      }
    }
    group.template flush<Meet::kRows>();
    return changed;
  }

  using Group = typename Base::RowGroup;

  TIDEGATE_INLINE void add_to(Group& group, int width, const P* panel, const int32_t* index, int64_t count, T* sum) {
    if (group.count == plan_.tuning->row_matrices) group.template flush<Meet::kRows>();
    group.template add<Meet::kRows>(padded<T>(width) / kLanes<T>, panel, count, index, sum, sum);
  }

  // Each head has what changed in its own part of the operand. Of a head that ends within a vector, zeros are added to
  // what follows, so each is written before the next is read.
  void add_to_pieces(int matrix, int64_t panel, const int32_t* index, int64_t count, T* sum, Group& group) {
    const T* const change = group.work.a;
    for (const Piece* piece = space_.pieces_of(matrix, panel);; ++piece) {
      const int32_t *begin = index, *end = index + count;
      while (begin < end && *begin < piece->first) ++begin;
      while (end > begin && end[-1] >= piece->first + piece->k) --end;
      group.template flush<Meet::kRows>();
      group.work.a = change + (begin - index);
      const int64_t first = piece->packed - piece->first * padded<T>(piece->width);  // where the operand would begin
      add_to(group, piece->width, space_.matrices[matrix] + first, begin, end - begin, sum + piece->column);
      if (piece->last) break;
    }
    group.template flush<Meet::kRows>();
    group.work.a = change;
  }

  int64_t start_afresh(int first, int count, const T* operand, int64_t sequence) {
    const int64_t k = plan_.matrix[plan_.product[first].matrix].k;
    T* const row = remembered(sequence);
    TileArguments<T, P> tile;
    tile.a[0] = operand;
    for (int i = first; i < first + count; ++i) {
      const int64_t n = plan_.matrix[plan_.product[i].matrix].n;
      for (int64_t column = 0; column < n; column += kPanel<T>) {
        tile.c[0] = row + plan_.product[i].sum + column;
        tile.width = padded<T>(static_cast<int>(at_most(n - column, kPanel<T>)));
        multiply_panel(i, tile, 1, column / kPanel<T>);
      }
    }
    memcpy(row + plan_.product[first].sent, operand, k * sizeof(T));
    return k;
  }
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
