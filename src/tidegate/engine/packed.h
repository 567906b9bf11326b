// The matrices of a call as they are packed: whole, cut where heads end, or without what is zero.
#pragma once

#include "form.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

// A matrix that is packed in words: the first panel, null for any other; words of k; words from panel to panel.
struct WordMatrix {
  Word* first;
  int64_t words, panel;
};

// T: the type of numbers and sums; P: the type in which matrices are packed.
template <class T, class P>
class PackedMatrices : public Forms<T, P> {
  using Base = Forms<T, P>;

 public:
  using Base::as_packed, Base::as_stored, Base::in_words, Base::is_turned, Base::words_as_stored;

  P* packed;  // matrices
  T* biases;  // padded, one for each product
  P** matrices;
  int32_t** lists;  // of the panels of each matrix, or null; behind them those of gradients of what is kept
  Piece** pieces;   // of the panels of each matrix with heads and without lists, or null
  T** kept;         // of each gradient of what is kept alone: the sums, as its matrix would be packed; or null
  const T** padded_biases;  // of each product, or null
  WordMatrix* worded;       // of each matrix, where there are any

  using Base::Base;

  // What a gradient is of, as a matrix that is multiplied along its rows.
  static tg_matrix matrix_of(const tg_gradient& g) { return {g.weight, 0, g.row, g.columns, g.rows, g.columns, 1, 1}; }

  // Before a run; what only asks for sizes has no memory.
  void locate() {
    P* matrix = packed;
    int32_t* list = lists_;
    Piece* piece = pieces_;
    for (int i = 0; i < plan_.matrices; ++i) {
      const tg_matrix own = as_packed(plan_.matrix[i]);
      matrices[i] = matrix;
      lists[i] = own.sparse && !as_stored(own) && !in_words(own) ? list : nullptr;
      pieces[i] = own.heads > 1 && !lists[i] && !in_words(own) ? piece : nullptr;
      if (pieces[i]) cut_panels<T>(own, as_stored(own), piece);
      if constexpr (kWords<P>) worded[i] = words_of(own, matrix);
      matrix += packed_elements(own);
      list += list_size(own);
      piece += pieces_size<T>(own);
    }
    T* sums = sums_;
    list = kept_lists_;
    for (int i = 0; i < plan_.gradients; ++i) {
      const bool all = plan_.gradient[i].weight < 0;
      kept[i] = all ? nullptr : sums;
      lists[plan_.matrices + i] = all ? nullptr : list;
      sums += kept_elements(plan_.gradient[i]);
      list += all ? 0 : list_size(matrix_of(plan_.gradient[i]));
    }
    const T* bias = biases;
    for (int i = 0; i < plan_.products; ++i) {
      padded_biases[i] = nullptr;
      if (plan_.product[i].bias < 0) continue;
      padded_biases[i] = bias;
      bias += bias_size(plan_.matrix[plan_.product[i].matrix]);
    }
  }

  int64_t packed_bytes() const {
    int64_t matrices = 0, biases = 0, lists = 0;
    count_packed(matrices, biases, lists);
    return rounded(matrices * sizeof(P), 64) + rounded(biases * sizeof(T), 64) + rounded(lists * sizeof(int32_t), 64);
  }

  void pack(const Share& share) {
    for (int i = 0; i < plan_.matrices; ++i) {
      if constexpr (kWords<P>)
        if (in_words(plan_.matrix[i])) pack_words(i, share);
      if constexpr (!kOnlyWords<P>)
        if (!in_words(plan_.matrix[i])) pack_numbers(i, share);
    }
    if (!share.member) pad_biases();
  }

  // Lists what is kept where only that has a gradient.
  void list_kept(const Share& share) {
    if constexpr (!kOnlyWords<P>)
      for (int i = 0; i < plan_.gradients; ++i)
        if (kept[i]) pack_listed(matrix_of(plan_.gradient[i]), lists[plan_.matrices + i], nullptr, share);
  }

  // The list of a panel of a matrix that has lists.
  TIDEGATE_INLINE PanelList list_of(int matrix, int64_t panel) const {
    const tg_matrix& own = plan_.matrix[matrix];
    const int64_t k = is_turned(own) ? own.n : own.k;
    return {lists[matrix] + panel * PanelList::size(k), k};
  }
  PanelList kept_list(int gradient, int64_t panel) const {
    const int64_t k = plan_.gradient[gradient].columns;
    return {lists[plan_.matrices + gradient] + panel * PanelList::size(k), k};
  }

  // The first piece of a panel of a matrix that has pieces; others follow up to the last one.
  TIDEGATE_INLINE const Piece* pieces_of(int matrix, int64_t panel) const {
    return pieces[matrix] + panel * most_pieces<T>(plan_.matrix[matrix]);
  }

  // The same of a piece as of a whole panel, which has been found.
  TIDEGATE_INLINE void find_piece(int matrix, const Piece& piece, TileArguments<T, P>& tile) const {
    const tg_matrix& own = plan_.matrix[matrix];
    const bool stored = piece.packed < 0;
    tile.k = piece.k;
    tile.width = piece.width;
    tile.panel = stored ? reinterpret_cast<const P*>(tensor(own.tensor) + piece.stored) : matrices[matrix] + piece.packed;
    tile.panel_step = stored ? own.columns : padded<T>(piece.width);
  }

  // A panel of a matrix that is packed in words.
  TIDEGATE_INLINE Word* words_of_panel(int matrix, int64_t panel) const {
    return worded[matrix].first + panel * worded[matrix].panel;
  }

  // A panel of the matrix of a product, packed or where it is stored, and the bias.
  TIDEGATE_INLINE void find_panel(int product, int64_t panel, TileArguments<T, P>& tile) const {
    const int index = plan_.product[product].matrix;
    const tg_matrix& matrix = plan_.matrix[index];
    const int64_t column = panel * kPanel<T>;
    tile.step = 1;
    tile.k = matrix.k;
    tile.index = nullptr;
    if (as_stored(matrix) && !is_ragged<T>(matrix, column)) {
      tile.panel = reinterpret_cast<const P*>(tensor(matrix.tensor) + matrix.row * matrix.columns + column);
      tile.panel_step = matrix.columns;
    } else {
      tile.panel = matrices[index] + (as_stored(matrix) ? 0 : column * matrix.k);
      tile.panel_step = padded<T>(width_of_panel<T>(matrix, column));
    }
    tile.bias = padded_biases[product] ? padded_biases[product] + panel * kPanel<T> : nullptr;
    tile.start = plan_.product[product].add ? Start::kAdd : tile.bias ? Start::kBias : Start::kZero;
  }

  void pad_biases() {
    T* bias = biases;
    for (int i = 0; i < plan_.products; ++i) {
      const tg_product& product = plan_.product[i];
      if (product.bias < 0) continue;
      const int64_t n = plan_.matrix[product.matrix].n;
      const int64_t size = bias_size(plan_.matrix[product.matrix]);
      for (int64_t j = 0; j < size; ++j) bias[j] = j < n ? number(product.bias, product.bias_offset + j) : T(0);
      bias += size;
    }
  }

 protected:
  using Base::call_, Base::plan_;

  // From here on in the workspace.
  void place_packed(char*& at, int members) {
    int64_t matrix_elements = 0, bias_elements = 0, list_elements = 0, sums = 0, words = 0;
    count_packed(matrix_elements, bias_elements, list_elements);
    char* place = call_.packed ? static_cast<char*>(const_cast<void*>(call_.packed)) : at;
    put_whole_lines(packed, place, matrix_elements);
    put_whole_lines(biases, place, bias_elements);
    put_whole_lines(lists_, place, list_elements);
    if (!call_.packed) at = place;
    whole_size_ = whole_elements();
    put_whole_lines(whole_, at, whole_size_ * members);
    for (int i = 0; i < plan_.gradients; ++i) {
      if (plan_.gradient[i].weight < 0) continue;
      sums += kept_elements(plan_.gradient[i]);
      words += list_size(matrix_of(plan_.gradient[i]));
    }
    put_whole_lines(sums_, at, sums);
    put_whole_lines(kept_lists_, at, words);
  }

  void place_tables(char*& at) {
    put(matrices, at, plan_.matrices);
    put(lists, at, plan_.matrices + plan_.gradients);
    put(kept, at, plan_.gradients);
    put(pieces, at, plan_.matrices);
    int64_t most = 0;
    for (int i = 0; i < plan_.matrices; ++i) most += pieces_size<T>(plan_.matrix[i]);
    put(pieces_, at, most);
    put(padded_biases, at, plan_.products);
    put(worded, at, kWords<P> ? plan_.matrices : 0);
  }

  template <class U>
  static void put(U*& part, char*& at, int64_t count) {
    part = reinterpret_cast<U*>(at);
    at += count * static_cast<int64_t>(sizeof(U));
  }
  template <class U>
  static void put_whole_lines(U*& part, char*& at, int64_t count) {
    part = reinterpret_cast<U*>(at);
    at += rounded(count * static_cast<int64_t>(sizeof(U)), 64);
  }

 private:
  WordMatrix words_of(const tg_matrix& matrix, P* at) const {
    if (!in_words(matrix) || words_as_stored(matrix)) return {nullptr, 0, 0};
    const DotTiles& tiles = tiles_of<P>();
    return {reinterpret_cast<Word*>(at), tiles.words(matrix.k), tiles.panel_words(matrix.k) * kPanel<T>};
  }

  int32_t *lists_, *kept_lists_;
  Piece* pieces_;
  T* sums_;
  T* whole_;  // of each member: a panel before its zeros are taken out
  int64_t whole_size_;

  T* tensor(int index) const { return static_cast<T*>(call_.tensors[index]); }
  const P* narrow(int index) const { return static_cast<const P*>(call_.tensors[index]); }

  T number(int tensor_index, int64_t at) const {
    if constexpr (kRounded<P>)
      if (plan_.narrow[tensor_index]) return widened(narrow(tensor_index)[at]);
    return tensor(tensor_index)[at];
  }

  // Whole vectors are read of a bias, also where a head begins within one.
  static int64_t bias_size(const tg_matrix& matrix) {
    return rounded(matrix.n, kLanes<T>) + (matrix.heads > 1 ? kLanes<T> : 0);
  }

  // What is packed of a matrix.
  int64_t packed_elements(const tg_matrix& matrix) const {
    constexpr int64_t line = 64 / static_cast<int>(sizeof(P));  // panels of words begin at whole vectors
    if constexpr (kWords<P>)
      if (in_words(matrix)) {
        if (words_as_stored(matrix)) return 0;
        const int64_t words = tiles_of<P>().panel_words(matrix.k) * rounded(matrix.n, kLanes<T>);
        return rounded(words * static_cast<int64_t>(sizeof(Word) / sizeof(P)), line);
      }
    if (matrix.heads > 1 && !(matrix.sparse && !as_stored(matrix))) return cut_panels<T>(matrix, as_stored(matrix), nullptr);
    if (kWords<P>) return rounded(packed_size<T>(matrix.k, matrix.n), line);
    if (!as_stored(matrix)) return packed_size<T>(matrix.k, matrix.n);
    const int64_t last = matrix.n / kPanel<T> * kPanel<T>;
    return matrix.across && is_ragged<T>(matrix, last) ? packed_size<T>(matrix.k, matrix.n - last) : 0;
  }

  static int64_t list_size(const tg_matrix& matrix) {
    return matrix.sparse ? panels_of<T>(matrix) * PanelList::size(matrix.k) : 0;
  }

  static int64_t kept_elements(const tg_gradient& gradient) {
    return gradient.weight < 0 ? 0 : packed_size<T>(gradient.columns, gradient.rows);
  }

  // A panel before its zeros are taken out, and a mark for each of its rows.
  int64_t whole_elements() const {
    int64_t most = 0;
    for (int i = 0; i < plan_.matrices; ++i)
      if (plan_.matrix[i].sparse || (kOnlyWords<P> && plan_.matrix[i].heads > 1))
        most = at_least(as_packed(plan_.matrix[i]).k, most);
    for (int i = 0; i < plan_.gradients; ++i)
      if (plan_.gradient[i].weight >= 0) most = at_least(plan_.gradient[i].columns, most);
    return rounded(most * kPanel<T>, kLanes<T>) + rounded(most, 64);
  }

  void count_packed(int64_t& matrices, int64_t& biases, int64_t& lists) const {
    for (int i = 0; i < plan_.matrices; ++i) matrices += packed_elements(as_packed(plan_.matrix[i]));
    for (int i = 0; i < plan_.matrices; ++i) lists += list_size(as_packed(plan_.matrix[i]));
    for (int i = 0; i < plan_.products; ++i)
      if (plan_.product[i].bias >= 0) biases += bias_size(plan_.matrix[plan_.product[i].matrix]);
  }

  void pack_numbers(int index, const Share& share) {
    if (lists[index])
      pack_listed(as_packed(plan_.matrix[index]), lists[index], matrices[index], share);
    else if (pieces[index])
      pack_pieces(index, share);
    else
      pack_matrix(index, share);
  }

  void pack_matrix(int index, const Share& share) {
    const tg_matrix& matrix = plan_.matrix[index];
    if (!packed_elements(matrix)) return;
    const int64_t panels = panels_of<T>(matrix);
    for (int64_t p = share.first(panels); p < share.last(panels); ++p) {
      const int64_t column = p * kPanel<T>;
      if (as_stored(matrix) && !is_ragged<T>(matrix, column)) continue;
      pack_whole(matrix, column, matrices[index] + (as_stored(matrix) ? 0 : column * matrix.k));
    }
  }

  void pack_words(int index, const Share& share) {
    const DotTiles& tiles = tiles_of<P>();
    const tg_matrix& m = plan_.matrix[index];
    if (words_as_stored(m)) return;
    const int64_t panels = panels_of<T>(m), words = tiles.words(m.k), row = m.across ? m.columns : 1, way = m.across ? 1 : m.columns;
    for (int64_t p = share.first(panels); p < share.last(panels); ++p) {
      const int64_t column = p * kPanel<T>, first = m.across ? m.row * m.columns + column : (m.row + column) * m.columns;
      const int width = width_of_panel<T>(m, column);
      Word* const to = words_of_panel(index, p);
      if constexpr (kRounded<P>)
        if (plan_.narrow[m.tensor]) {
          pack_pairs(narrow(m.tensor) + first, row, way, m.k, width, words, to);
          continue;
        }
      if (m.heads == 1) {
        tiles.pack(tensor(m.tensor) + first, row, way, m.k, width, words, to);
      } else {
        T* const whole = whole_ + share.member * whole_size_;
        pack_with_zeros(tensor(m.tensor), m, column, whole);
        tiles.pack(whole, padded<T>(width), 1, m.k, width, words, to);
      }
    }
  }

  void pack_pieces(int index, const Share& share) {
    const tg_matrix& matrix = plan_.matrix[index];
    const int64_t panels = panels_of<T>(matrix);
    for (int64_t p = share.first(panels); p < share.last(panels); ++p)
      for (const Piece* piece = pieces_of(index, p);; ++piece) {
        if (piece->packed >= 0)
          pack_panel(tensor(matrix.tensor) + piece->stored, matrix, piece->k, piece->width, matrices[index] + piece->packed);
        if (piece->last) break;
      }
  }

  // What a member keeps of its panels lies without gaps, so that the caches hold nothing else.
  void pack_listed(const tg_matrix& matrix, int32_t* list, P* to, const Share& share) {
    const int64_t panels = panels_of<T>(matrix);
    P* const whole = reinterpret_cast<P*>(whole_ + share.member * whole_size_);
    uint8_t* const marks = reinterpret_cast<uint8_t*>(whole + matrix.k * kPanel<T>);
    int64_t first = share.first(panels) * kTileVectors * matrix.k;
    for (int64_t p = share.first(panels); p < share.last(panels); ++p) {
      const int64_t column = p * kPanel<T>;
      pack_whole(matrix, column, whole);
      first += keep_parts<T>(whole, padded<T>(width_of_panel<T>(matrix, column)) / kLanes<T>, marks,
                             to ? to + first * kLanes<T> : nullptr, first,
                             PanelList{list + p * PanelList::size(matrix.k), matrix.k});
    }
  }

  void pack_whole(const tg_matrix& matrix, int64_t column, P* panel) const {
    if (matrix.heads > 1) return pack_with_zeros(tensor(matrix.tensor), matrix, column, panel);
    const int64_t begin = matrix.across ? matrix.row * matrix.columns + column : (matrix.row + column) * matrix.columns;
    pack_panel(tensor(matrix.tensor) + begin, matrix, matrix.k, width_of_panel<T>(matrix, column), panel);
  }
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
