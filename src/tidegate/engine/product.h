// The products of a call with its matrices: of a tile, of a chunk of the input, and the gradients of the matrices.
#pragma once

#include "gradient.h"
#include "half.h"
#include "stored.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

template <class T, class P = T>
class Products : public Halves<T, P> {
 protected:
  using Base = Halves<T, P>;
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
      memset(tiles + plan_.product[i].result * tile_rows<P>() * kPanel<T>, 0, count * kPanel<T> * sizeof(T));
  }

  // Products of the same row are made a few at a time; in every other step the last ones first, as with panels.
  void multiply_row_into_tile(const tg_phase& phase, const Rows<T>* operands, int64_t row, int64_t panel, int width,
                              T* tiles, bool last_first) {
    const int most = static_cast<int>(plan_.tuning->row_matrices);
    const int groups = (phase.products + most - 1) / most;
    bool in_order = false;
    for (int i = 0; i < phase.products; ++i) {
      const tg_product& product = plan_.product[phase.first_product + i];
      const tg_matrix& matrix = plan_.matrix[product.matrix];
      in_order = in_order || product.add || space_.as_stored(matrix) || space_.words_as_stored(matrix);
    }
    for (int turn = 0; turn < groups; ++turn) {
      const int group = last_first && !in_order ? groups - 1 - turn : turn;
      const int first = group * most;
      const int last = first + most < phase.products ? first + most : phase.products;
      multiply_group(phase, operands, first, last, row, panel, width, tiles, in_order);
    }
  }

  // Panels of the same row, or parts of them, that are multiplied at once.
  struct RowGroup {
    RowArguments<T, P> work;
    int count = 0, vectors = 0;

    template <Meet kMeet = Meet::kNumbers>
    TIDEGATE_INLINE void flush() {
      if (count && kMeet == Meet::kRows)
        multiply_row_of<Meet::kRows>(count, vectors, work);
      else if (count)
        multiply_one_row(count, vectors, work);
      count = 0;
    }
    template <Meet kMeet = Meet::kNumbers>
    TIDEGATE_INLINE void add(int own_vectors, const P* panel, int64_t k, const int32_t* index, const T* bias, T* c) {
      const bool fits = count < kRowPanels && vectors == own_vectors && !work.index[0] == !index && (index || work.k[0] == k);
      if (count && !fits) flush<kMeet>();
      vectors = own_vectors;
      work.panel[count] = panel, work.k[count] = k, work.index[count] = index, work.bias[count] = bias, work.c[count] = c;
      ++count;
    }
  };

  void multiply_group(const tg_phase& phase, const Rows<T>* operands, int first, int last, int64_t row, int64_t panel,
                      int width, T* tiles, bool in_order) {
    RowGroup group;
    group.work.a = operands[first].first + row * operands[first].stride;
    bool together = !in_order, whole = true;
    const int one = plan_.product[phase.first_product + first].matrix;
    const bool cut = space_.pieces[one] != nullptr;
    for (int i = first; i < last; ++i) {
      const int matrix = plan_.product[phase.first_product + i].matrix;
      together = together && operands[i].first + row * operands[i].stride == group.work.a &&
                 cut == (space_.pieces[matrix] != nullptr) && plan_.matrix[matrix].heads == plan_.matrix[one].heads;
      whole = whole && !cut && !space_.lists[matrix] && plan_.matrix[matrix].k == plan_.matrix[one].k;
    }
    if (together && whole) {
      if constexpr (kWords<P>)
        if (space_.in_words(plan_.matrix[one]))
          return multiply_words_of_row(phase.first_product + first, last - first, panel, width, tiles, group.work.a);
      return multiply_whole_row(phase.first_product + first, last - first, panel, width, tiles, group.work);
    }
    if (together && cut) return multiply_pieces_of_row(phase.first_product + first, last - first, panel, tiles, group);
    for (int i = first; i < last; ++i)
      if (together)
        add_panel(phase.first_product + i, panel, width, tiles, group);
      else
        multiply_into_tile(phase.first_product + i, operands[i], row, 1, panel, width, tiles);
    group.flush();
  }

  // Of matrices that are packed whole, which is what steps of one sequence are made of.
  TIDEGATE_INLINE void multiply_whole_row(int first, int count, int64_t panel, int width, T* tiles, RowArguments<T, P>& work) {
    work.k[0] = plan_.matrix[plan_.product[first].matrix].k;
    for (int i = 0; i < count; ++i) {
      const tg_product& product = plan_.product[first + i];
      const T* const bias = space_.padded_biases[first + i];
      work.panel[i] = space_.matrices[product.matrix] + panel * kPanel<T> * work.k[0];
      work.bias[i] = bias ? bias + panel * kPanel<T> : nullptr;
      work.c[i] = tiles + product.result * tile_rows<P>() * kPanel<T>;
    }
    multiply_row_of<Meet::kAll>(count, padded<T>(width) / kLanes<T>, work);
  }

  // The same in words.
  TIDEGATE_INLINE void multiply_words_of_row(int first, int count, int64_t panel, int width, T* tiles, const T* a) {
    DotRowArguments work;
    work.a = reinterpret_cast<const Word*>(a);
    work.words = space_.worded[plan_.product[first].matrix].words;
    for (int i = 0; i < count; ++i) {
      const tg_product& product = plan_.product[first + i];
      const T* const bias = space_.padded_biases[first + i];
      work.panel[i] = space_.words_of_panel(product.matrix, panel);
      work.bias[i] = bias ? bias + panel * kPanel<T> : nullptr;
      work.c[i] = tiles + product.result * tile_rows<P>() * kPanel<T>;
    }
    tiles_of<P>().multiply_row(count, padded<T>(width) / kLanes<T>, work);
  }

  // Matrices of as many heads are cut alike. Whole vectors are written: the next piece puts right what is too much.
  void multiply_pieces_of_row(int first, int count, int64_t panel, T* tiles, RowGroup& group) {
    const T* const a = group.work.a;
    const Piece* const pieces = space_.pieces_of(plan_.product[first].matrix, panel);
    for (int at = 0;; ++at) {
      const Piece& piece = pieces[at];
      group.work.a = a + piece.first;
      for (int i = first; i < first + count; ++i) {
        const tg_product& product = plan_.product[i];
        const T* const bias = space_.padded_biases[i];
        group.add(padded<T>(piece.width) / kLanes<T>, space_.matrices[product.matrix] + piece.packed, piece.k, nullptr,
                  bias ? bias + panel * kPanel<T> + piece.column : nullptr,
                  tiles + product.result * tile_rows<P>() * kPanel<T> + piece.column);
      }
      group.flush();
      if (piece.last) return;
    }
  }

  TIDEGATE_INLINE void add_panel(int index, int64_t panel, int width, T* tiles, RowGroup& group) {
    const tg_product& product = plan_.product[index];
    const int vectors = padded<T>(width) / kLanes<T>;
    const P* const matrix = space_.matrices[product.matrix];
    const T* bias = space_.padded_biases[index] ? space_.padded_biases[index] + panel * kPanel<T> : nullptr;
    T* c = tiles + product.result * tile_rows<P>() * kPanel<T>;
    if (!space_.lists[product.matrix]) {
      const int64_t k = plan_.matrix[product.matrix].k;
      return group.add(vectors, matrix + panel * kPanel<T> * k, k, nullptr, bias, c);
    }
    const PanelList list = space_.list_of(product.matrix, panel);
    const int size = list.vectors();
    for (int v = 0; v < vectors; v += size) {
      const Kept part = list.part(v / size, kLanes<T>);
      const int own = vectors - v < size ? vectors - v : size;
      group.add(own, matrix + part.first, part.k, part.index, bias ? bias + v * kLanes<T> : nullptr, c + v * kLanes<T>);
    }
  }

  TIDEGATE_INLINE void multiply_into_tile(int index, const Rows<T>& operand, int64_t row, int count, int64_t panel,
                                          int width, T* tiles) {
    const tg_product& product = plan_.product[index];
    if constexpr (kWords<P>)
      if (space_.worded[product.matrix].first) {
        DotArguments work = words_of(index, operand, row, panel, padded<T>(width));
        T* const to = tiles + product.result * tile_rows<P>() * kPanel<T>;
        for (int r = 0; r < count; ++r) work.c[r] = to + r * kPanel<T>;
        return tiles_of<P>().multiply(count, work);
      }
    TileArguments<T, P> tile;
    for (int r = 0; r < count; ++r) tile.a[r] = operand.first + (row + r) * operand.stride;
    for (int r = 0; r < count; ++r) tile.c[r] = tiles + (product.result * tile_rows<P>() + r) * kPanel<T>;
    tile.width = padded<T>(width);
    multiply_panel(index, tile, count, panel);
  }

  // `count` rows by a panel of the matrix of a product, in words only if it is read as it is stored; the tile says where
  // rows and results are.
  TIDEGATE_INLINE void multiply_panel(int index, TileArguments<T, P>& tile, int count, int64_t panel) {
    const tg_matrix& matrix = plan_.matrix[plan_.product[index].matrix];
    space_.find_panel(index, panel, tile);
    if constexpr (kWords<P>)
      if (space_.words_as_stored(matrix)) return multiply_stored_panel(matrix, tile, count, panel);
    if (space_.lists[plan_.product[index].matrix]) return multiply_parts(index, tile, count, panel);
    if (space_.pieces[plan_.product[index].matrix]) return multiply_pieces(index, tile, count, panel);
    if (matrix.across || !space_.as_stored(matrix)) return multiply(count, tile);
    const int64_t unit = panel * kPanel<T>;
    const T* const weight = tensor(matrix.tensor) + (matrix.row + unit) * matrix.columns;
    const int width = static_cast<int>(at_most(matrix.n - unit, kPanel<T>));
    multiply_stored(tile.a, count, matrix.k, weight, matrix.columns, tile.bias, width, tile.c);
  }

  // Rows of words from `row` on, by a panel of a matrix in words; where results go is left to say.
  TIDEGATE_INLINE DotArguments words_of(int index, const Rows<T>& operand, int64_t row, int64_t panel, int width) const {
    const tg_product& product = plan_.product[index];
    DotArguments work;
    work.a = reinterpret_cast<const Word*>(operand.first + row * operand.stride);
    work.a_stride = operand.stride;
    work.words = space_.worded[product.matrix].words;
    work.panel = space_.words_of_panel(product.matrix, panel);
    work.panel_step = padded<T>(width);  // of a whole panel
    work.bias = space_.padded_biases[index] ? space_.padded_biases[index] + panel * kPanel<T> : nullptr;
    work.width = width;
    work.start = product.add ? Start::kAdd : work.bias ? Start::kBias : Start::kZero;
    return work;
  }

  // Rows of words by a panel of a matrix in words; the results go to where result(row) says.
  template <class Result>
  void multiply_rows_of_words(int index, const Rows<T>& operand, int64_t count, int64_t panel, const Result& result) {
    const int width = width_of_panel<T>(plan_.matrix[plan_.product[index].matrix], panel * kPanel<T>);
    DotArguments work = words_of(index, operand, 0, panel, width);
    const int64_t tiles = (count + tile_rows<P>() - 1) / tile_rows<P>();
    for (int64_t tile = 0, row = 0, end; tile < tiles; ++tile, row = end) {
      end = count * (tile + 1) / tiles;  // nearly equal heights
      for (int64_t r = row; r < end; ++r) work.c[r - row] = result(r);
      tiles_of<P>().multiply(static_cast<int>(end - row), work);
      work.a += (end - row) * operand.stride;
    }
  }

  void multiply_stored_panel(const tg_matrix& matrix, const TileArguments<T, P>& tile, int count, int64_t panel) {
    const int64_t unit = panel * kPanel<T>;
    StoredArguments few;
    few.a = reinterpret_cast<const Word*>(tile.a[0]);
    few.a_stride = count > 1 ? tile.a[1] - tile.a[0] : 0;
    few.rows = count;
    few.k = matrix.k;
    const int64_t first = (matrix.row + unit) * matrix.columns;
    few.matrix = reinterpret_cast<const BFloat16*>(call_.tensors[matrix.tensor]) + first;
    few.floats = plan_.narrow[matrix.tensor] ? nullptr : reinterpret_cast<const float*>(call_.tensors[matrix.tensor]) + first;
    few.stride = matrix.columns;
    few.bias = tile.bias;
    few.c = tile.c;
    few.width = static_cast<int>(at_most(matrix.n - unit, kPanel<T>));
    tiles_of<P>().multiply_stored(few);
  }

  void multiply_parts(int index, TileArguments<T, P> tile, int count, int64_t panel) {
    const int matrix = plan_.product[index].matrix;
    const PanelList list = space_.list_of(matrix, panel);
    const int width = list.vectors() * kLanes<T>;
    int left = tile.width;
    for (int number = 0; left > 0; ++number, left -= width) {
      const Kept part = list.part(number, kLanes<T>);
      tile.width = left < width ? left : width;
      tile.k = part.k;
      tile.index = part.index;
      tile.panel = space_.matrices[matrix] + part.first;
      tile.panel_step = padded<T>(tile.width);
      multiply(count, tile);
      for (int r = 0; r < count; ++r) tile.c[r] += width;
      if (tile.bias) tile.bias += width;
    }
  }

  void multiply_pieces(int index, const TileArguments<T, P>& whole, int count, int64_t panel) {
    const int number = plan_.product[index].matrix;
    const tg_matrix& matrix = plan_.matrix[number];
    for (const Piece* piece = space_.pieces_of(number, panel);; ++piece) {
      TileArguments<T, P> tile = whole;
      space_.find_piece(number, *piece, tile);
      for (int r = 0; r < count; ++r) tile.a[r] += piece->first, tile.c[r] += piece->column;
      if (tile.bias) tile.bias += piece->column;
      if (matrix.across || piece->packed >= 0)
        multiply(count, tile);
      else
        multiply_stored(tile.a, count, tile.k, tensor(matrix.tensor) + piece->stored, matrix.columns, tile.bias,
                        tile.width, tile.c);
      if (piece->last) return;
    }
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

  // The same where operands are rounded: some rows at a time by all panels.
  void multiply_rounded_input(const Chunk& chunk, const Share& share) {
    int64_t rows[kBlockRows];
    int count = 0;
    for (int64_t t = chunk.first_step; t < chunk.last_step; ++t) {
      const Range range = own_rows(0, call_.sizes[t], share);
      for (int64_t own = range.first; own < range.last; own += range.step) {
        rows[count] = call_.offsets[t] + own;
        if (++count == kBlockRows) multiply_block(rows, count, chunk, share), count = 0;
      }
    }
    if (count) multiply_block(rows, count, chunk, share);
  }

  void multiply_block(const int64_t* rows, int count, const Chunk& chunk, const Share& share) {
    const int first = plan_.products - plan_.before_chunk - plan_.behind_chunk;
    for (int i = first; i < first + plan_.before_chunk; ++i) {
      const tg_product& product = plan_.product[i];
      const Rows<T> operand = this->operand_of_block(i, i == first, rows, count, share.member);
      const int64_t panels = panels_of<T>(plan_.matrix[product.matrix]);
      const auto result = [&](int64_t row) {
        return chunk.rows + (rows[row] - chunk.first_row) * space_.chunk_width + product.result;
      };
      multiply_all(i, operand, count, share.by_units ? share.first(panels) : 0, share.by_units ? share.last(panels) : panels,
                   result);
    }
  }

  // Rows that have been made for a product times panels of its matrix; the results go to rows that result(row) names.
  template <class Result>
  void multiply_all(int product, const Rows<T>& operand, int64_t count, int64_t first_panel, int64_t last_panel,
                    const Result& result) {
    const T* a[kMostTileRows<P>];
    T* c[kMostTileRows<P>];
    if constexpr (kWords<P>)
      if (space_.worded[plan_.product[product].matrix].first) {
        for (int64_t p = first_panel; p < last_panel; ++p)
          multiply_rows_of_words(product, operand, count, p, [&](int64_t row) { return result(row) + p * kPanel<T>; });
        return;
      }
    for (int64_t p = first_panel; p < last_panel; ++p)
      for (int64_t row = 0, own; row < count; row += own) {
        own = at_most(count - row, tile_rows<P>());
        for (int64_t r = 0; r < own; ++r) a[r] = operand.first + (row + r) * operand.stride;
        for (int64_t r = 0; r < own; ++r) c[r] = result(row + r);
        multiply_rows_of_chunk(product, a, c, static_cast<int>(own), p);
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
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
