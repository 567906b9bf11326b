// The products of a call with its matrices: of a tile, of a chunk of the input, and the gradients of the matrices.
#pragma once

#include "bound.h"
#include "gradient.h"
#include "stored.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

template <class T, class P = T>
class Products : public Bound<T, P> {
 protected:
  using Base = Bound<T, P>;
  using Range = typename Base::Range;
  using Chunk = typename Base::Chunk;
  using Base::call_, Base::plan_, Base::space_;
  using Base::own_rows, Base::row_of, Base::tensor;

 public:
  using Base::Base;

 protected:
  // Whether its products are of carried values that begin as zeros, so that there is nothing to multiply in the first
  // step: adjoints of products, which only a later step can bring.
  bool multiplies_nothing(const tg_phase& phase) const {
    for (int i = phase.first_product; i < phase.first_product + phase.products; ++i) {
      const tg_product& product = plan_.product[i];
      if (product.operand.kind != TG_BEFORE || product.bias >= 0 || product.add) return false;
      const int64_t begin = product.operand.offset, end = begin + plan_.matrix[product.matrix].k;
      for (int c = 0; c < plan_.carried; ++c) {
        const tg_carried& carried = plan_.carry[c];
        if (begin < carried.offset + carried.width && carried.offset < end && carried.initial >= 0) return false;
      }
    }
    return phase.products > 0;
  }

  void clear_products(const tg_phase& phase, int count, T* tiles) const {
    for (int i = phase.first_product; i < phase.first_product + phase.products; ++i)
      memset(tiles + plan_.product[i].result * kTileRows * kPanel<T>, 0, count * kPanel<T> * sizeof(T));
  }

  // Products of the same row are made a few at a time; in every other step the last ones first, as with panels.
  void multiply_row_into_tile(const tg_phase& phase, const Rows<T>* operands, int64_t row, int64_t panel, int width,
                              T* tiles, bool last_first) {
    const int most = static_cast<int>(plan_.tuning->row_matrices);
    const int groups = (phase.products + most - 1) / most;
    bool in_order = false;
    for (int i = 0; i < phase.products; ++i) {
      const tg_product& product = plan_.product[phase.first_product + i];
      in_order = in_order || product.add || space_.as_stored(plan_.matrix[product.matrix]);
    }
    for (int turn = 0; turn < groups; ++turn) {
      const int group = last_first && !in_order ? groups - 1 - turn : turn;
      const int first = group * most;
      const int last = first + most < phase.products ? first + most : phase.products;
      multiply_group(phase, operands, first, last, row, panel, width, tiles, in_order);
    }
  }

  void multiply_group(const tg_phase& phase, const Rows<T>* operands, int first, int last, int64_t row, int64_t panel,
                      int width, T* tiles, bool in_order) {
    RowArguments<T, P> work;
    work.a = operands[first].first + row * operands[first].stride;
    work.k = plan_.matrix[plan_.product[phase.first_product + first].matrix].k;
    bool together = !in_order;
    for (int i = first; i < last; ++i) {
      const int index = phase.first_product + i;
      const tg_product& product = plan_.product[index];
      together = together && operands[i].first + row * operands[i].stride == work.a &&
                 plan_.matrix[product.matrix].k == work.k && !space_.lists[product.matrix];
      work.panel[i - first] = space_.matrices[product.matrix] + panel * kPanel<T> * plan_.matrix[product.matrix].k;
      work.bias[i - first] = space_.padded_biases[index] ? space_.padded_biases[index] + panel * kPanel<T> : nullptr;
      work.c[i - first] = tiles + product.result * kTileRows * kPanel<T>;
    }
    if (together)
      multiply_one_row(last - first, width, work);
    else
      for (int i = first; i < last; ++i)
        multiply_into_tile(phase.first_product + i, operands[i], row, 1, panel, width, tiles);
  }

  TIDEGATE_INLINE void multiply_into_tile(int index, const Rows<T>& operand, int64_t row, int count, int64_t panel,
                                          int width, T* tiles) {
    const tg_product& product = plan_.product[index];
    TileArguments<T, P> tile;
    for (int r = 0; r < count; ++r) tile.a[r] = operand.first + (row + r) * operand.stride;
    for (int r = 0; r < count; ++r) tile.c[r] = tiles + (product.result * kTileRows + r) * kPanel<T>;
    tile.width = padded<T>(width);
    multiply_panel(index, tile, count, panel);
  }

  // `count` rows by a panel of the matrix of a product; the tile says where they and the results are.
  TIDEGATE_INLINE void multiply_panel(int index, TileArguments<T, P>& tile, int count, int64_t panel) {
    const tg_matrix& matrix = plan_.matrix[plan_.product[index].matrix];
    space_.find_panel(index, panel, tile);
    if (matrix.across || !space_.as_stored(matrix)) return multiply(count, tile);
    const int64_t unit = panel * kPanel<T>;
    const T* const weight = tensor(matrix.tensor) + (matrix.row + unit) * matrix.columns;
    const int width = static_cast<int>(at_most(matrix.n - unit, kPanel<T>));
    multiply_stored(tile.a, count, matrix.k, weight, matrix.columns, tile.bias, width, tile.c);
  }

  // Products of the input for all steps of a chunk: they wait for no state.
  void multiply_input(const Chunk& chunk, const Share& share) {
    const int first = plan_.products - plan_.before_chunk - plan_.behind_chunk;
    const T* a[kTileRows];
    T* c[kTileRows];
    for (int i = first; i < first + plan_.before_chunk; ++i) {
      const tg_product& product = plan_.product[i];
      const int64_t stride = call_.strides[product.operand.tensor];
      const T* x = tensor(product.operand.tensor) + product.operand.offset;
      const int64_t panels = (plan_.matrix[product.matrix].n + kPanel<T> - 1) / kPanel<T>;
      const int64_t first_panel = share.by_units ? share.first(panels) : 0;
      const int64_t last_panel = share.by_units ? share.last(panels) : panels;
      for (int64_t p = first_panel; p < last_panel; ++p) {
        int count = 0;
        for (int64_t t = chunk.first_step; t < chunk.last_step; ++t) {
          const Range range = own_rows(0, call_.sizes[t], share);
          for (int64_t own = range.first; own < range.last; own += range.step) {
            const int64_t row = call_.offsets[t] + own;
            a[count] = x + row * stride;
            c[count] = chunk.rows + (row - chunk.first_row) * space_.chunk_width + product.result;
            if (++count == kTileRows) multiply_rows_of_chunk(i, a, c, count, p), count = 0;
          }
        }
        if (count) multiply_rows_of_chunk(i, a, c, count, p);
      }
    }
  }

  TIDEGATE_INLINE void multiply_rows_of_chunk(int index, const T* const* a, T* const* c, int count, int64_t panel) {
    const tg_matrix& matrix = plan_.matrix[plan_.product[index].matrix];
    const int64_t unit = panel * kPanel<T>;
    TileArguments<T, P> tile;
    for (int r = 0; r < count; ++r) tile.a[r] = a[r];
    for (int r = 0; r < count; ++r) tile.c[r] = c[r] + unit;
    tile.width = static_cast<int>(at_most(matrix.n - unit, kPanel<T>));
    multiply_panel(index, tile, count, panel);
  }

  void gradient_of_input(const Chunk& chunk, const Share& share) {
    const int first = plan_.products - plan_.behind_chunk;
    const int64_t rows = chunk.last_row - chunk.first_row;
    const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
    const T* a[kTileRows];
    T* c[kTileRows];
    for (int i = first; i < plan_.products; ++i) {
      const tg_product& product = plan_.product[i];
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

  // What a matrix was applied to in row `row` of a chunk; null for zeros.
  const T* operand_row(const tg_place& place, int64_t t, int64_t sequence) const {
    const int64_t stride = call_.strides[place.tensor];
    const int64_t row = call_.offsets[t] + sequence;
    const T* series = tensor(place.tensor) + place.offset;
    if (place.kind == TG_SERIES) return series + row * stride;
    if (call_.resets && call_.resets[row]) return nullptr;
    const int64_t before = call_.descending ? t - 1 : t + 1;  // backward runs the other way
    if (before >= 0 && before < call_.steps && sequence < call_.sizes[before])
      return series + (call_.offsets[before] + sequence) * stride;
    return row_of(place.initial, sequence);
  }

  // Operands are packed in turns to two places: who is done with one may begin the next, and one meeting is enough.
  void gradient_of_matrix(const tg_gradient& gradient, const Chunk& chunk, bool fresh, int64_t& turn,
                          const Share& share) {
    const int64_t total = chunk.last_row - chunk.first_row;
    const int64_t depth = space_.gradient_depth(total);
    for (int64_t begin = 0; begin < total; begin += depth, ++turn) {
      T* const packed = space_.gradient + (turn & 1) * space_.gradient_size;
      const int64_t rows = total - begin < depth ? total - begin : depth;
      int64_t at = chunk.first_step;
      for (int64_t row = share.first(rows); row < share.last(rows); ++row) {
        const int64_t index = chunk.first_row + begin + row;
        while (call_.offsets[at + 1] <= index) ++at;
        const T* from = operand_row(gradient.operand, at, index - call_.offsets[at]);
        pack_operand_row(from, gradient.columns, rows, row, packed);
      }
      share.meet();
      T* to = tensor(gradient.tensor) + gradient.row * gradient.columns;
      const int64_t rows_of_matrix = (gradient.rows + kTileRows - 1) / kTileRows;
      const int64_t low = share.first(rows_of_matrix) * kTileRows;
      int64_t high = share.last(rows_of_matrix) * kTileRows;
      high = high < gradient.rows ? high : gradient.rows;
      T* const adjoints = space_.adjoints + share.member * adjoints_size<T>(space_.gradient_depth(space_.chunk_rows));
      multiply_over_rows(chunk.rows + begin * space_.chunk_width + gradient.adjoint, space_.chunk_width, low, high,
                         rows, packed, gradient.columns, adjoints, to, fresh && begin == 0);
    }
  }
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
