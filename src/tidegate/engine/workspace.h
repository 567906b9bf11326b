// The memory of one call: packed matrices, chunks, carried values, tiles.
#pragma once

#include "gradient.h"
#include "packed.h"
#include "reduce.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

// T: the type of numbers and sums; P: the type in which matrices are packed.
template <class T, class P>
class Workspace : public PackedMatrices<T, P> {
  using Base = PackedMatrices<T, P>;
  using Base::call_, Base::plan_, Base::tuning_, Base::put;

 public:
  T* chunk;     // rows of the steps of a chunk, unless they lie in a series of the call
  T* carried;   // two rows for each sequence: before and after the step
  T* scratch;   // a row for each sequence
  Part<T>* parts;  // of the reductions of a phase, for each sequence
  T* tiles;     // of each member
  T* gradient;  // packed operands of gradients, two of them
  T* adjoints;  // of each member, packed too
  T* turned;    // of each member, for turned products: adjoints, results side by side, and their rows
  int64_t turned_size, adjoints_room;
  T* halves;    // of each member: for each place of a phase that is a series in bfloat16 a tile of numbers
  int64_t halves_size;
  T* side;      // of each member: two rows of an operand that lies in bfloat16
  int64_t side_size;
  T* changes;   // of each member, in a delta run: of an operand, and behind them where they are
  int64_t changes_size;
  T* operands;  // of each member: operands of a phase, of a chunk of the input, or of a strip, as products read them
  int64_t operands_size;
  int64_t carried_width, scratch_width, chunk_width, tile_size, gradient_size;
  int64_t own_width;  // of a row of the chunk in the workspace: of all of it, or of what is tallied
  int64_t slot_rows;  // of each product in a member's tiles
  int64_t part_panels, parts_width;  // of a reduction, and of all in a row
  int64_t chunk_rows;
  int64_t bytes;

  Workspace(const Call& call, int members) : Base(call) { lay_out(members); }

  // Rows that are summed before a sum is written, of so many: a word holds two.
  int64_t gradient_depth(int64_t rows, bool words) const {
    return at_most(rows, words ? 2 * tuning_.gradient_rows : tuning_.gradient_rows);
  }

  // Whether a gradient is made of words of two rows. Without an instruction for these, rounded numbers are quicker.
  bool pairs_rows(int gradient) const {
    return Factors<T, P>::kPaired && dot_tiles->operand_words == 1 && plan_.gradient[gradient].weight < 0;
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

 private:
  static int64_t odd_lines(int64_t width) {
    return (rounded(width * sizeof(T), 64) / 64 | 1) * 64 / static_cast<int64_t>(sizeof(T));
  }

  char* tables_;
  int64_t tables_size_;

  // Adjoints of a panel for as many rows; results for these; of each product of a phase the results of all rows.
  int64_t turned_elements() const {
    int64_t columns = 0, all = 0;
    for (int i = 0; i < plan_.matrices; ++i)
      if (this->is_turned(plan_.matrix[i])) columns = at_least(rounded(plan_.matrix[i].n, kPanel<T>), columns);
    for (int p = 0; p < plan_.phases + plan_.ending_phases; ++p)
      all = at_least(plan_.phase[p].products * columns * call_.sequences, all);
    return columns ? (kPanel<T> + columns) * kPanel<T> + all : 0;
  }

  // What is made of the operands of some products that are multiplied together: numbers for each row.
  int64_t operands_width(int first, int count) const {
    int64_t width = 0;
    for (int i = first; i < first + count; ++i) {
      const tg_matrix& matrix = plan_.matrix[plan_.product[i].matrix];
      int before = first;
      while (before < i && !this->read_alike(plan_.product[before], plan_.product[i])) ++before;
      if (before == i && this->converts(matrix)) width += this->operand_width(matrix);
    }
    return width;
  }

  // Room for what is made of the operands of a phase, of a block of a chunk, or of a strip, for all members. Fewer
  // members than there are places for may have more rows each.
  int64_t most_operands(int members) {
    int64_t of_block = 0, of_phase = 0;
    for (int i = 0; i < plan_.products; ++i) of_block = at_least(operands_width(i, 1), of_block);
    for (int p = 0; p < plan_.phases + plan_.ending_phases; ++p)
      of_phase = at_least(operands_width(plan_.phase[p].first_product, plan_.phase[p].products), of_phase);
    const int64_t widest = call_.steps ? call_.sizes[0] : 0, block = of_block * at_least(kBlockRows, plan_.by_unit ? slot_rows : 0);
    const bool by_units = members > 1 && widest < members * kTileRows;
    const int64_t rows = plan_.by_unit ? 0 : by_units ? call_.sequences : (call_.sequences + members - 1) / members;
    operands_size = at_least(rows * of_phase, block);
    return at_least(members * operands_size, (call_.sequences + members) * of_phase);
  }

  // Places of one phase that are series in bfloat16.
  int64_t most_halves() const {
    int64_t most = 0;
    for (int p = 0; plan_.halves && p < plan_.phases + plan_.ending_phases; ++p) {
      int64_t here = 0;
      const tg_phase& phase = plan_.phase[p];
      int last = phase.first_place + phase.places;
      for (int i = 0; i < phase.reductions; ++i) last += plan_.reduction[phase.first_reduction + i].places;
      for (int i = phase.first_place; i < last; ++i)
        here += plan_.place[i].kind == TG_SERIES && plan_.halved[plan_.place[i].tensor] != TG_WHOLE;
      most = at_least(here, most);
    }
    return most;
  }

  // Whole tiles that fit half a first-level cache, all products of a panel together.
  int64_t strip_rows() const {
    const int64_t fit = kStripBytes / static_cast<int64_t>(sizeof(T)) / kPanel<T> / at_least(plan_.slots, 1);
    const int64_t tiles = fit / tile_rows<P>();
    return tile_rows<P>() * at_least(at_most(tiles, kMostStripTiles), 1);
  }

  void lay_out(int members) {
    const int64_t total = call_.offsets[call_.steps], widest = call_.steps ? call_.sizes[0] : 0;
    char* at = static_cast<char*>(call_.workspace);
    const char* begin = at;
    this->place_packed(at, members);
    auto take = [&at](int64_t count) {
      T* part = reinterpret_cast<T*>(at);
      at += rounded(count * static_cast<int64_t>(sizeof(T)), 64);
      return part;
    };
    carried_width = rounded(plan_.carried_width, kLanes<T>);
    scratch_width = rounded(plan_.scratch_width, kLanes<T>);
    // Columns of a chunk are read as streams: an odd number of cache lines spreads them over all sets of a cache.
    chunk_width = odd_lines(plan_.chunk_width);
    if (plan_.chunk >= 0) chunk_width = call_.strides[plan_.chunk];
    own_width = plan_.chunk < 0 ? chunk_width : plan_.tally < 0 ? 0 : odd_lines(plan_.tally_width);
    const bool backward = plan_.gradients || plan_.sums || plan_.behind_chunk || plan_.tally >= 0;
    int64_t row_width = plan_.by_unit && plan_.slots ? 2 * plan_.matrix[0].k : chunk_width;  // all panels read the input
    if (plan_.tally >= 0) row_width += own_width;
    const int64_t row_bytes = (row_width + 1) * static_cast<int64_t>(sizeof(T));
    int64_t rows = (backward ? tuning_.backward_chunk : tuning_.forward_chunk) / row_bytes;
    if (backward) rows = at_least(at_most(rows, tuning_.backward_rows), tuning_.fewest_rows);
    chunk_rows = at_most(at_least(rows, widest), total);
    chunk = take(own_width ? chunk_rows * own_width + 2 * kLanes<T> : 0);  // vectors are read past its end
    carried = take(2 * call_.sequences * carried_width);
    scratch = take(call_.sequences * scratch_width);
    part_panels = 0;
    for (int i = 0; i < plan_.reductions; ++i) {
      const int64_t panels = (plan_.reduction[i].width + kPanel<T> - 1) / kPanel<T>;
      part_panels = part_panels < panels ? panels : part_panels;
    }
    parts_width = part_panels * plan_.reductions;
    parts = reinterpret_cast<Part<T>*>(take(2 * call_.sequences * parts_width));
    slot_rows = plan_.by_unit ? strip_rows() : tile_rows<P>();
    tile_size = int64_t{plan_.slots} * slot_rows * kPanel<T>;
    tiles = take(tile_size * members);
    int64_t most_k = 0;
    for (int i = 0; call_.delta && i < plan_.matrices; ++i) most_k = at_least(plan_.matrix[i].k, most_k);
    changes_size = 2 * rounded(most_k + kLanes<T>, kLanes<T>);  // whole vectors are written
    changes = take(call_.delta ? changes_size * members : 0);
    halves_size = most_halves() * slot_rows * kPanel<T>;
    halves = take(halves_size * members);
    side_size = 0;
    int64_t operand = 0;
    if (backward) {
      for (int i = 0; i < plan_.gradients; ++i) {
        const int64_t n = rounded(plan_.gradient[i].columns, kLanes<T>);
        operand = operand < n ? n : operand;
      }
      const int64_t depth = gradient_depth(chunk_rows, false);
      const int64_t words = Factors<T, P>::kPaired ? dot_tiles->words(gradient_depth(chunk_rows, true)) : 0;
      gradient_size = at_least(depth, words) * operand;
      gradient = take(2 * gradient_size);
      side_size = plan_.halves ? 2 * operand : 0;
      side = take(members * side_size);
      adjoints_room = at_least(adjoints_size<T>(depth), depth * kPanel<T>);
      if (words) adjoints_room = at_least(kWordBlock * word_stride(words), adjoints_room);
      adjoints = take(members * adjoints_room);
    }
    operands_size = 0;
    operands = take(kRounds<P> ? most_operands(members) : 0);
    turned_size = turned_elements();
    turned = take(turned_size * members);
    constexpr int64_t of_place = sizeof(Resolved<T>) + sizeof(Rows<T>) + 3 * sizeof(void*);
    constexpr int64_t of_product = sizeof(Resolved<T>) + sizeof(Rows<T>);
    tables_size_ = rounded(plan_.places * of_place + plan_.products * of_product, 64);
    tables_ = at;
    at += tables_size_ * members;
    this->place_tables(at);
    bytes = at - begin;
  }
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
