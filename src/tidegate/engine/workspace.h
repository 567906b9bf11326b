// The memory of one call: packed matrices, chunks, carried values, tiles.
#pragma once

#include "gradient.h"
#include "matrix.h"
#include "patience.h"
#include "pool.h"
#include "reduce.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

// A call and where its tensors are.
struct Call : tg_call {
  void* const* tensors;  // null where there is none: initial rows are then zeros
  const int64_t* strides;

  explicit Call(const int64_t* words)
      : tg_call(*reinterpret_cast<const tg_call*>(words)),
        tensors(reinterpret_cast<void* const*>(words + sizeof(tg_call) / 8)),
        strides(words + sizeof(tg_call) / 8 + plan->tensors) {}

  const int64_t* end() const { return strides + plan->tensors; }
};

// Rows and panels of one member, and how it meets the others.
struct Share {
  int member, members;
  bool by_units;
  int64_t first_row, last_row, row_step;  // every row_step-th of the sequences; all of them if shared by units
  Barrier* barrier;
  Patience* patience = nullptr;  // where there are others to wait for

  void meet() const {
    const int64_t waited = barrier->wait();
    if (waited && patience && !member) patience->waited += waited;
  }

  // The part of `count` things that falls to this member, where things are shared one by one.
  TIDEGATE_INLINE int64_t first(int64_t count) const { return count * member / members; }
  TIDEGATE_INLINE int64_t last(int64_t count) const { return count * (member + 1) / members; }
};

// A place as far as it does not depend on the step: its row of sequence 0 is base[half] + stride * rows[counts].
enum Counts { kNone, kSeries, kChunk, kTile };
template <class T>
struct Resolved {
  T* base[2];
  int64_t stride;
  Counts counts;
  bool one = false;
};

// The row of sequence 0 at a place, and the way from row to row.
template <class T>
struct Rows {
  T* first;
  int64_t stride;
};

// What a member looks up. It lies in the workspace, since threads may have stacks of a few kilobytes.
template <class T>
struct Tables {
  Resolved<T>* place;    // of the plan, resolved once
  Resolved<T>* operand;  // of each product, the same
  Rows<T>* rows;         // of the places of a phase: those of the pointwise work, and of what is reduced after it
  Rows<T>* operands;     // of its products
  void** tile;           // rows of its places for one tile,
  int64_t* strides;      // and the way from row to row
  const T** reduced;     // rows that a reduction reads
};

constexpr int kMaxProducts = 256;  // of a plan
constexpr int kMaxPlaces = 512;

constexpr int64_t kStripBytes = 24 << 10;  // products of a strip, which the first-level cache holds beside its states
constexpr int64_t kMostStripTiles = 16;

TIDEGATE_INLINE int64_t at_most(int64_t count, int64_t most) { return count < most ? count : most; }
TIDEGATE_INLINE int64_t at_least(int64_t count, int64_t least) { return count < least ? least : count; }
TIDEGATE_INLINE int64_t rounded(int64_t count, int64_t to) { return (count + to - 1) / to * to; }

// T: the type of numbers and sums; P: the type in which matrices are packed.
template <class T, class P>
class Workspace {
 public:
  P* packed;    // matrices
  T* biases;    // padded, one for each product
  T* chunk;     // rows of the steps of a chunk, unless they lie in a series of the call
  T* carried;   // two rows for each sequence: before and after the step
  T* scratch;   // a row for each sequence
  Part<T>* parts;  // of the reductions of a phase, for each sequence
  T* tiles;     // of each member
  T* gradient;  // packed operands of gradients, two of them
  T* adjoints;  // of each member, packed too
  T* changes;   // of each member, in a delta run: of an operand, and behind them where they are
  int64_t changes_size;
  int64_t carried_width, scratch_width, chunk_width, tile_size, gradient_size;
  int64_t slot_rows;  // of each product in a member's tiles
  int64_t part_panels, parts_width;  // of a reduction, and of all in a row
  int64_t chunk_rows;
  int64_t bytes;
  P** matrices;
  int32_t** lists;  // of the panels of each matrix, or null
  Piece** pieces;   // of the panels of each matrix with heads and without lists, or null
  const T** padded_biases;  // of each product, or null

  Workspace(const Call& call, int members) : call_(call), plan_(*call.plan), tuning_(*call.plan->tuning) { lay_out(members); }

  // Rows that are summed before a sum is written, of so many.
  int64_t gradient_depth(int64_t rows) const { return at_most(rows, tuning_.gradient_rows); }

  // Whether so few rows want a matrix that it is read as it is stored.
  TIDEGATE_INLINE bool as_stored(const tg_matrix& matrix) const { return as_stored_[matrix.across && !matrix.sparse]; }

  // Before a run; what only asks for sizes has no memory.
  void locate() {
    P* matrix = packed;
    int32_t* list = lists_;
    Piece* piece = pieces_;
    for (int i = 0; i < plan_.matrices; ++i) {
      matrices[i] = matrix;
      lists[i] = plan_.matrix[i].sparse && !as_stored(plan_.matrix[i]) ? list : nullptr;
      pieces[i] = plan_.matrix[i].heads > 1 && !lists[i] ? piece : nullptr;
      if (pieces[i]) cut_panels<T>(plan_.matrix[i], as_stored(plan_.matrix[i]), piece);
      matrix += packed_elements(plan_.matrix[i]);
      list += list_size(plan_.matrix[i]);
      piece += pieces_size<T>(plan_.matrix[i]);
    }
    const T* bias = biases;
    for (int i = 0; i < plan_.products; ++i) {
      padded_biases[i] = nullptr;
      if (plan_.product[i].bias < 0) continue;
      padded_biases[i] = bias;
      bias += bias_size(plan_.matrix[plan_.product[i].matrix]);
    }
  }

  Tables<T> tables_of(int member) const {
    char* at = tables_ + member * tables_size_;
    Tables<T> own;
    put(own.place, at, plan_.places);
    put(own.operand, at, plan_.products);
    put(own.rows, at, plan_.places);
    put(own.operands, at, plan_.products);
    put(own.tile, at, plan_.places);
    put(own.strides, at, plan_.places);
    put(own.reduced, at, plan_.places);
    return own;
  }

  int64_t packed_bytes() const {
    int64_t matrices = 0, biases = 0, lists = 0;
    count_packed(matrices, biases, lists);
    return rounded(matrices * sizeof(P), 64) + rounded(biases * sizeof(T), 64) + rounded(lists * sizeof(int32_t), 64);
  }

  void pack(const Share& share) {
    for (int i = 0; i < plan_.matrices; ++i)
      if (lists[i])
        pack_listed(i, share);
      else if (pieces[i])
        pack_pieces(i, share);
      else
        pack_matrix(i, share);
    if (!share.member) pad_biases();
  }

  // The list of a panel of a matrix that has lists.
  TIDEGATE_INLINE PanelList list_of(int matrix, int64_t panel) const {
    const int64_t k = plan_.matrix[matrix].k;
    return {lists[matrix] + panel * PanelList::size(k), k};
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
      const T* from = tensor(product.bias) + product.bias_offset;
      for (int64_t j = 0; j < size; ++j) bias[j] = j < n ? from[j] : T(0);
      bias += size;
    }
  }

 private:
  const Call& call_;
  const tg_plan& plan_;
  const tg_tuning& tuning_;
  int32_t* lists_;
  Piece* pieces_;
  T* whole_;  // of each member: a panel before its zeros are taken out
  int64_t whole_size_;
  char* tables_;
  int64_t tables_size_;
  bool as_stored_[2];  // matrices that are multiplied along their rows, and across

  T* tensor(int index) const { return static_cast<T*>(call_.tensors[index]); }

  // Whole vectors are read of a bias, also where a head begins within one.
  static int64_t bias_size(const tg_matrix& matrix) {
    return rounded(matrix.n, kLanes<T>) + (matrix.heads > 1 ? kLanes<T> : 0);
  }

  // What is packed of a matrix.
  int64_t packed_elements(const tg_matrix& matrix) const {
    if (matrix.heads > 1 && !(matrix.sparse && !as_stored(matrix))) return cut_panels<T>(matrix, as_stored(matrix), nullptr);
    if (!as_stored(matrix)) return packed_size<T>(matrix.k, matrix.n);
    const int64_t last = matrix.n / kPanel<T> * kPanel<T>;
    return matrix.across && is_ragged<T>(matrix, last) ? packed_size<T>(matrix.k, matrix.n - last) : 0;
  }

  static int64_t list_size(const tg_matrix& matrix) {
    return matrix.sparse ? panels_of<T>(matrix) * PanelList::size(matrix.k) : 0;
  }

  // A panel before its zeros are taken out, and a mark for each of its rows.
  int64_t whole_elements() const {
    int64_t most = 0;
    for (int i = 0; i < plan_.matrices; ++i) most = plan_.matrix[i].sparse && most < plan_.matrix[i].k ? plan_.matrix[i].k : most;
    return rounded(most * kPanel<T>, kLanes<T>) + rounded(most, 64);
  }

  void count_packed(int64_t& matrices, int64_t& biases, int64_t& lists) const {
    for (int i = 0; i < plan_.matrices; ++i) matrices += packed_elements(plan_.matrix[i]);
    for (int i = 0; i < plan_.matrices; ++i) lists += list_size(plan_.matrix[i]);
    for (int i = 0; i < plan_.products; ++i)
      if (plan_.product[i].bias >= 0) biases += bias_size(plan_.matrix[plan_.product[i].matrix]);
  }

  // Whole tiles that fit half a first-level cache, all products of a panel together.
  int64_t strip_rows() const {
    const int64_t fit = kStripBytes / static_cast<int64_t>(sizeof(T)) / kPanel<T> / at_least(plan_.slots, 1);
    const int64_t tiles = fit / kTileRows;
    return kTileRows * at_least(at_most(tiles, kMostStripTiles), 1);
  }

  void lay_out(int members) {
    // Packing reads a matrix and writes it, which a few rows do not pay back.
    const int64_t total = call_.offsets[call_.steps], widest = call_.steps ? call_.sizes[0] : 0;
    const bool storable = call_.packed == nullptr && sizeof(P) == sizeof(T);
    as_stored_[0] = storable && total <= tuning_.unpacked_rows;
    as_stored_[1] = storable && call_.steps * ((widest + kTileRows - 1) / kTileRows) <= tuning_.across_tiles;
    char* at = static_cast<char*>(call_.workspace);
    const char* begin = at;
    auto take = [&at](int64_t count) {
      T* part = reinterpret_cast<T*>(at);
      at += rounded(count * static_cast<int64_t>(sizeof(T)), 64);
      return part;
    };
    int64_t matrix_elements = 0, bias_elements = 0, list_elements = 0, operand = 0;
    count_packed(matrix_elements, bias_elements, list_elements);
    char* const kept = static_cast<char*>(const_cast<void*>(call_.packed));
    char* const first = kept ? kept : at;
    packed = reinterpret_cast<P*>(first);
    biases = reinterpret_cast<T*>(first + rounded(matrix_elements * static_cast<int64_t>(sizeof(P)), 64));
    lists_ = reinterpret_cast<int32_t*>(reinterpret_cast<char*>(biases) +
                                        rounded(bias_elements * static_cast<int64_t>(sizeof(T)), 64));
    if (!kept) at += packed_bytes();
    carried_width = rounded(plan_.carried_width, kLanes<T>);
    scratch_width = rounded(plan_.scratch_width, kLanes<T>);
    // Columns of a chunk are read as streams: an odd number of cache lines spreads them over all sets of a cache.
    chunk_width = (rounded(plan_.chunk_width * sizeof(T), 64) / 64 | 1) * 64 / static_cast<int64_t>(sizeof(T));
    if (plan_.chunk >= 0) chunk_width = call_.strides[plan_.chunk];
    const bool backward = plan_.gradients || plan_.sums || plan_.behind_chunk;
    const int64_t row_width = plan_.by_unit && plan_.slots ? 2 * plan_.matrix[0].k : chunk_width;  // all panels read the input
    const int64_t row_bytes = (row_width + 1) * static_cast<int64_t>(sizeof(T));
    int64_t rows = (backward ? tuning_.backward_chunk : tuning_.forward_chunk) / row_bytes;
    if (backward) rows = at_least(at_most(rows, tuning_.backward_rows), tuning_.fewest_rows);
    chunk_rows = at_most(at_least(rows, widest), total);
    chunk = take(plan_.chunk < 0 ? chunk_rows * chunk_width + 2 * kLanes<T> : 0);  // vectors are read past its end
    carried = take(2 * call_.sequences * carried_width);
    scratch = take(call_.sequences * scratch_width);
    part_panels = 0;
    for (int i = 0; i < plan_.reductions; ++i) {
      const int64_t panels = (plan_.reduction[i].width + kPanel<T> - 1) / kPanel<T>;
      part_panels = part_panels < panels ? panels : part_panels;
    }
    parts_width = part_panels * plan_.reductions;
    parts = reinterpret_cast<Part<T>*>(take(2 * call_.sequences * parts_width));
    slot_rows = plan_.by_unit ? strip_rows() : kTileRows;
    tile_size = int64_t{plan_.slots} * slot_rows * kPanel<T>;
    tiles = take(tile_size * members);
    int64_t most_k = 0;
    for (int i = 0; call_.delta && i < plan_.matrices; ++i) most_k = at_least(plan_.matrix[i].k, most_k);
    changes_size = 2 * rounded(most_k + kLanes<T>, kLanes<T>);  // whole vectors are written
    changes = take(call_.delta ? changes_size * members : 0);
    whole_size_ = whole_elements();
    whole_ = take(whole_size_ * members);
    if (backward) {
      for (int i = 0; i < plan_.gradients; ++i) {
        const int64_t n = rounded(plan_.gradient[i].columns, kLanes<T>);
        operand = operand < n ? n : operand;
      }
      const int64_t depth = gradient_depth(chunk_rows);
      gradient_size = depth * operand;
      gradient = take(2 * gradient_size);
      adjoints = take(members * adjoints_size<T>(depth));
    }
    constexpr int64_t of_place = sizeof(Resolved<T>) + sizeof(Rows<T>) + 3 * sizeof(void*);
    constexpr int64_t of_product = sizeof(Resolved<T>) + sizeof(Rows<T>);
    tables_size_ = rounded(plan_.places * of_place + plan_.products * of_product, 64);
    tables_ = at;
    at += tables_size_ * members;
    put(matrices, at, plan_.matrices);
    put(lists, at, plan_.matrices);
    put(pieces, at, plan_.matrices);
    int64_t most = 0;
    for (int i = 0; i < plan_.matrices; ++i) most += pieces_size<T>(plan_.matrix[i]);
    put(pieces_, at, most);
    put(padded_biases, at, plan_.products);
    bytes = at - begin;
  }

  template <class U>
  static void put(U*& part, char*& at, int64_t count) {
    part = reinterpret_cast<U*>(at);
    at += count * static_cast<int64_t>(sizeof(U));
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
  void pack_listed(int index, const Share& share) {
    const tg_matrix& matrix = plan_.matrix[index];
    const int64_t panels = panels_of<T>(matrix);
    P* const whole = reinterpret_cast<P*>(whole_ + share.member * whole_size_);
    uint8_t* const marks = reinterpret_cast<uint8_t*>(whole + matrix.k * kPanel<T>);
    int64_t first = share.first(panels) * kTileVectors * matrix.k;
    for (int64_t p = share.first(panels); p < share.last(panels); ++p) {
      const int64_t column = p * kPanel<T>;
      pack_whole(matrix, column, whole);
      first += keep_parts<T>(whole, padded<T>(width_of_panel<T>(matrix, column)) / kLanes<T>, marks,
                             matrices[index] + first * kLanes<T>, first, list_of(index, p));
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
