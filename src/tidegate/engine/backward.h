// What a backward run makes of a chunk: the gradients of the input and of matrices.
#pragma once

#include "turned.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

template <class T, class P = T>
class Gradients : public TurnedProducts<T, P> {
 protected:
  using Base = TurnedProducts<T, P>;
  using Chunk = typename Base::Chunk;
  using Base::call_, Base::plan_, Base::space_;
  using Base::multiply_all, Base::multiply_rows_of_chunk, Base::multiply_turned, Base::operand_of_strip, Base::row_of;
  using Base::tensor;

 public:
  using Base::Base;

 protected:
  void gradient_of_input(const Chunk& chunk, const Share& share) {
    if (kRounds<P> && !call_.delta) return rounded_gradient_of_input(chunk, share);
    const int first = plan_.products - plan_.behind_chunk;
    const int64_t rows = chunk.last_row - chunk.first_row;
    const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
    const T* a[kTileRows];
    T* c[kTileRows];
    for (int i = first; i < plan_.products; ++i) {
      const tg_product& product = plan_.product[i];
      if (space_.is_turned(plan_.matrix[product.matrix])) {
        const int64_t first_row = rows * share.first(tiles) / at_least(tiles, 1);
        turned_gradient_of_input(i, chunk, first_row, rows * share.last(tiles) / at_least(tiles, 1), share.member);
        continue;
      }
      const int64_t panels = (plan_.matrix[product.matrix].n + kPanel<T> - 1) / kPanel<T>;
      const int64_t stride = call_.strides[plan_.input_gradient];
      for (int64_t p = 0; p < panels; ++p)
        for (int64_t tile = share.first(tiles); tile < share.last(tiles); ++tile) {
          const int64_t row = rows * tile / tiles;
          const int count = static_cast<int>(rows * (tile + 1) / tiles - row);
          for (int r = 0; r < count; ++r) {
            a[r] = chunk.rows + (row + r) * space_.chunk_width + product.operand.offset;
            c[r] = tensor(plan_.input_gradient) + (chunk.first_row + row + r) * stride + product.result;
          }
          multiply_rows_of_chunk(i, a, c, count, p);
        }
    }
  }

  // The same where adjoints are rounded: some rows at a time by all panels.
  void rounded_gradient_of_input(const Chunk& chunk, const Share& share) {
    const int64_t total = chunk.last_row - chunk.first_row, stride = call_.strides[plan_.input_gradient];
    for (int64_t row = share.first(total), count; row < share.last(total); row += count) {
      count = at_most(share.last(total) - row, kBlockRows);
      for (int i = plan_.products - plan_.behind_chunk; i < plan_.products; ++i) {
        const tg_product& product = plan_.product[i];
        const Rows<T> adjoints = {chunk.rows + row * space_.chunk_width + product.operand.offset, space_.chunk_width};
        const auto result = [&](int64_t r) {
          return tensor(plan_.input_gradient) + (chunk.first_row + row + r) * stride + product.result;
        };
        multiply_all(i, operand_of_strip(i, true, adjoints, count, share.member), count, 0,
                     panels_of<T>(plan_.matrix[product.matrix]), result);
      }
    }
  }

  // Adjoints that an earlier run has left, each sequence's times its weight.
  void take_adjoints(const Chunk& chunk, const Share& share) const {
    const int64_t total = chunk.last_row - chunk.first_row, stride = call_.strides[plan_.source];
    int64_t at = chunk.first_step;
    for (int64_t row = share.first(total); row < share.last(total); ++row) {
      const int64_t index = chunk.first_row + row;
      while (call_.offsets[at + 1] <= index) ++at;
      const T weight = *row_of(plan_.weights, index - call_.offsets[at]);
      const T* const from = tensor(plan_.source) + index * stride;
      T* const to = chunk.rows + row * space_.chunk_width;
      for (int64_t j = 0; j < plan_.chunk_width; ++j) to[j] = weight * from[j];
    }
  }

  // Adds the rows of the second chunk to those of their sequences.
  void tally(const Chunk& chunk, const Share& share) const {
    const int64_t begin = share.first(plan_.tally_width), end = share.last(plan_.tally_width);
    const int64_t stride = call_.strides[plan_.tally];
    for (int64_t sequence = 0; sequence < call_.sizes[chunk.first_step]; ++sequence)
      for (int64_t t = chunk.first_step; t < chunk.last_step && call_.sizes[t] > sequence; ++t) {
        const T* const from = space_.chunk + (call_.offsets[t] + sequence - chunk.first_row) * space_.own_width;
        T* const to = tensor(plan_.tally) + sequence * stride;
        for (int64_t j = begin; j < end; ++j) to[j] += from[j];
      }
  }

  // What the matrix of a gradient was applied to in a step of a sequence; null for zeros. What lies in bfloat16 is widened
  // to `side`.
  const T* operand_row(const tg_gradient& gradient, int64_t t, int64_t sequence, T* side) const {
    const tg_place& place = gradient.operand;
    int64_t row = call_.offsets[t] + sequence;
    if (place.kind != TG_SERIES) {
      if (call_.resets && call_.resets[row]) return nullptr;
      const int64_t before = call_.descending ? t - 1 : t + 1;  // backward runs the other way
      if (before < 0 || before >= call_.steps || sequence >= call_.sizes[before]) {
        const T* const initial = row_of(place.initial, sequence);
        return initial ? initial + place.offset : nullptr;
      }
      row = call_.offsets[before] + sequence;
    }
    const int64_t at = place.offset + row * call_.strides[place.tensor];
    if (!this->is_half(place.tensor)) return tensor(place.tensor) + at;
    widen_row(static_cast<const BFloat16*>(call_.tensors[place.tensor]) + at, side, gradient.columns);
    return side;
  }

  void gradients_of_matrices(const Chunk& chunk, bool fresh, const Share& share) {
    int64_t turn = 0;
    for (int i = 0, count; i < plan_.gradients; i += count) {
      count = alike(i);
      if (count == 1)
        gradient_of_matrix(i, chunk, fresh, turn, share);
      else
        gradients_of_words(i, count, chunk, fresh, share);
    }
  }

  // How many gradients from this one on are made of words of the same adjoints, as those of W and U often are.
  int alike(int number) const {
    const tg_gradient& own = plan_.gradient[number];
    int count = 1;
    for (; count < kMostAlike && number + count < plan_.gradients && space_.pairs_rows(number); ++count) {
      const tg_gradient& next = plan_.gradient[number + count];
      if (next.adjoint != own.adjoint || next.rows != own.rows || !space_.pairs_rows(number + count)) break;
    }
    return count;
  }

  // They need both places for operands, which nobody may use before and behind.
  void gradients_of_words(int number, int count, const Chunk& chunk, bool fresh, const Share& share) {
    const int64_t total = chunk.last_row - chunk.first_row, depth = space_.gradient_depth(total, true);
    for (int64_t begin = 0; begin < total; begin += depth) {
      const int64_t rows = total - begin < depth ? total - begin : depth;
      if (number || begin) share.meet();
      for (int i = 0; i < count; ++i)
        pack_operand(plan_.gradient[number + i], chunk, begin, rows, true, space_.gradient + i * space_.gradient_size, share);
      share.meet();
      gradient_by_words(number, count, chunk.rows + begin * space_.chunk_width, rows, space_.gradient, fresh && begin == 0, share);
    }
    if (number + count < plan_.gradients) share.meet();
  }

  // Operands are packed in turns to two places: who is done with one may begin the next, and one meeting is enough.
  void gradient_of_matrix(int number, const Chunk& chunk, bool fresh, int64_t& turn, const Share& share) {
    const tg_gradient& gradient = plan_.gradient[number];
    const int64_t total = chunk.last_row - chunk.first_row;
    const bool words = space_.pairs_rows(number);
    const int64_t depth = space_.gradient_depth(total, words);
    for (int64_t begin = 0; begin < total; begin += depth, ++turn) {
      T* const packed = space_.gradient + (turn & 1) * space_.gradient_size;
      const int64_t rows = total - begin < depth ? total - begin : depth;
      pack_operand(gradient, chunk, begin, rows, words, packed, share);
      share.meet();
      const T* const adjoints = chunk.rows + begin * space_.chunk_width;
      if (words)
        gradient_by_words(number, 1, adjoints, rows, packed, fresh && begin == 0, share);
      else if (space_.kept[number])
        kept_gradient(number, adjoints + gradient.adjoint, rows, packed, fresh && begin == 0, share);
      else
        whole_gradient(gradient, adjoints + gradient.adjoint, rows, packed, fresh && begin == 0, share);
    }
  }

  // This member's part of the rows from `begin` on of a chunk.
  void pack_operand(const tg_gradient& gradient, const Chunk& chunk, int64_t begin, int64_t rows, bool words, T* packed,
                    const Share& share) const {
    int64_t at = chunk.first_step;
    T* const side = space_.side + share.member * space_.side_size;
    const auto row_at = [&](int64_t row) {
      const int64_t index = chunk.first_row + begin + row;
      while (call_.offsets[at + 1] <= index) ++at;
      return operand_row(gradient, at, index - call_.offsets[at], side + (row & 1) * (space_.side_size / 2));
    };
    if constexpr (Factors<T, P>::kPaired) {
      const int64_t all = dot_tiles->words(rows);
      for (int64_t word = share.first(all); words && word < share.last(all); ++word) {
        const T* const even = 2 * word < rows ? row_at(2 * word) : nullptr;
        const T* const odd = 2 * word + 1 < rows ? row_at(2 * word + 1) : nullptr;
        pack_operand_words(even, odd, gradient.columns, all, word, reinterpret_cast<Word*>(packed));
      }
    }
    for (int64_t row = share.first(rows); !words && row < share.last(rows); ++row)
      pack_operand_row<T, P>(row_at(row), gradient.columns, rows, row, packed);
  }

  // The gradient of a matrix of which all is wanted.
  void whole_gradient(const tg_gradient& gradient, const T* adjoint, int64_t rows, const T* operand, bool fresh,
                      const Share& share) const {
    T* const to = tensor(gradient.tensor) + gradient.row * gradient.columns;
    T* const adjoints = space_.adjoints + share.member * space_.adjoints_room;
    const int64_t tiles = (gradient.rows + kTileRows - 1) / kTileRows;
    const int64_t low = share.first(tiles) * kTileRows, high = at_most(share.last(tiles) * kTileRows, gradient.rows);
    multiply_over_rows<T, P>(adjoint, space_.chunk_width, low, high, rows, operand, gradient.columns, adjoints, to, fresh);
  }

  // The gradients of so many matrices from one on, whose operands lie at distances of `gradient_size`.
  void gradient_by_words(int number, int count, const T* chunk, int64_t rows, const T* operands, bool fresh,
                         const Share& share) const {
    if constexpr (Factors<T, P>::kPaired) {
      WordGradient own[kMostAlike];
      for (int i = 0; i < count; ++i) {
        const tg_gradient& gradient = plan_.gradient[number + i];
        own[i] = {reinterpret_cast<const Word*>(operands + i * space_.gradient_size), gradient.columns,
                  tensor(gradient.tensor) + gradient.row * gradient.columns};
      }
      const tg_gradient& first = plan_.gradient[number];
      const int64_t height = dot_tiles->rows, tiles = (first.rows + height - 1) / height;
      const int64_t low = share.first(tiles) * height, high = at_most(share.last(tiles) * height, first.rows);
      Word* const adjoints = reinterpret_cast<Word*>(space_.adjoints + share.member * space_.adjoints_room);
      multiply_words_over_rows(*dot_tiles, chunk + first.adjoint, space_.chunk_width, low, high, rows, own, count, adjoints,
                               fresh);
    }
  }

  void turned_gradient_of_input(int index, const Chunk& chunk, int64_t first, int64_t last, int member) {
    const tg_product& product = plan_.product[index];
    const int64_t columns = plan_.matrix[product.matrix].n, stride = call_.strides[plan_.input_gradient];
    T* const side = space_.turned + member * space_.turned_size;  // the adjoints have been multiplied
    for (int64_t row = first; row < last; row += kPanel<T>) {
      const int count = static_cast<int>(at_most(last - row, kPanel<T>));
      const T* const from = chunk.rows + row * space_.chunk_width + product.operand.offset;
      const T* const result = multiply_turned(index, from, space_.chunk_width, count, 0, columns, member);
      for (int64_t j = 0; j < columns; j += kPanel<T>) {
        const int width = static_cast<int>(at_most(columns - j, kPanel<T>));
        pack_along(result + j * padded<T>(count), padded<T>(count), count, width, side, kPanel<T>);
        for (int r = 0; r < count; ++r) {
          T* const to = tensor(plan_.input_gradient) + (chunk.first_row + row + r) * stride + product.result + j;
          for (int v = 0; v < width; v += kLanes<T>) {
            const int lanes = width - v < kLanes<T> ? width - v : kLanes<T>;
            const Vector<T> own = load(side + r * kPanel<T> + v);
            store(to + v, product.add ? load(to + v, lanes) + own : own, lanes);
          }
        }
      }
    }
  }

  // The gradient of what is kept of a matrix: for each kept column of some neighbouring rows, the sum over steps of its
  // number in the operand times the adjoints of these rows.
  void kept_gradient(int number, const T* adjoint, int64_t rows, const T* operand, bool fresh, const Share& share) {
    const tg_gradient& gradient = plan_.gradient[number];
    const int64_t panels = (gradient.rows + kPanel<T> - 1) / kPanel<T>;
    T* const packed = space_.adjoints + share.member * space_.adjoints_room;
    TileArguments<T> tile;
    tile.k = rows;
    tile.index = nullptr;
    tile.bias = nullptr;
    tile.start = fresh ? Start::kZero : Start::kAdd;
    for (int64_t p = share.first(panels); p < share.last(panels); ++p) {
      const int width = static_cast<int>(at_most(gradient.rows - p * kPanel<T>, kPanel<T>));
      const PanelList list = space_.kept_list(number, p);
      const int size = list.vectors() * kLanes<T>;
      for (int first = 0; first < width; first += size) {
        const Kept part = list.part(first / size, kLanes<T>);
        if (!part.k) continue;
        const int own = width - first < size ? width - first : size, full = padded<T>(own);
        pack_across(adjoint + p * kPanel<T> + first, space_.chunk_width, rows, own, packed);
        Factors<T, P>::round_adjoints(packed, rows * full);
        tile.panel = packed;
        tile.panel_step = tile.width = full;
        for (int64_t i = 0, count; i < part.k; i += count) {
          const int64_t edge = gradient.columns / kPanel<T> * kPanel<T>;  // behind it a panel of the operand is narrower
          const bool behind = part.index[i] >= edge;
          tile.step = behind ? padded<T>(static_cast<int>(gradient.columns - edge)) : kPanel<T>;
          for (count = 0; count < kTileRows && i + count < part.k; ++count) {
            const int64_t column = part.index[i + count], unit = column / kPanel<T> * kPanel<T>;
            if ((column >= edge) != behind) break;
            tile.a[count] = operand + unit * rows + (column - unit);
            tile.c[count] = space_.kept[number] + part.first + (i + count) * full;
          }
          multiply(static_cast<int>(count), tile);
        }
      }
    }
  }

  // Sums of what is kept to where gradients belong; all else is zero.
  void spread_kept(const Share& share) {
    for (int n = 0; n < plan_.gradients; ++n) {
      if (!space_.kept[n]) continue;
      const tg_gradient& gradient = plan_.gradient[n];
      const int64_t panels = (gradient.rows + kPanel<T> - 1) / kPanel<T>, columns = gradient.columns;
      for (int64_t p = share.first(panels); p < share.last(panels); ++p) {
        const int width = static_cast<int>(at_most(gradient.rows - p * kPanel<T>, kPanel<T>));
        const int64_t begin = (gradient.row + p * kPanel<T>) * columns;
        const T* const weight = tensor(gradient.weight) + begin;
        T* const to = tensor(gradient.tensor) + begin;
        memset(to, 0, width * columns * sizeof(T));
        const PanelList list = space_.kept_list(n, p);
        const int size = list.vectors() * kLanes<T>;
        for (int first = 0; first < width; first += size) {
          const Kept part = list.part(first / size, kLanes<T>);
          const int own = width - first < size ? width - first : size;
          for (int64_t i = 0; i < part.k; ++i)
            for (int r = 0; r < own; ++r) {
              const int64_t at = (first + r) * columns + part.index[i];
              if (weight[at] != 0) to[at] = space_.kept[n][part.first + i * padded<T>(own) + r];
            }
        }
      }
    }
  }
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
