// One call: the steps of a plan over sequences, by several threads.
//
// Threads share the work in one of two ways. With enough sequences each takes some of them through all steps and never
// waits. With few sequences and wide layers each takes some units, and all meet after every phase. Either way every
// number is computed in the same order, so that results do not depend on the number of threads.
#pragma once

#include "gradient.h"
#include "stored.h"
#include "workspace.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

// T: the type of numbers and sums; P: the type in which matrices are packed.
template <class T, class P = T>
class Run {
 public:
  Run(const Call& call, int members) : call_(call), plan_(*call.plan), space_(call, members) { space_.locate(); }

  void member(Share share) {
    const Tables<T> tables = prepare(share);
    Barrier alone(1);
    int64_t step = 0;
    int64_t running = 0;  // sequences of the step before
    while (step < call_.steps) {
      // The rows of a chunk lie elsewhere than those of the one before, unless all steps have equally many.
      if (step && call_.sizes[0] != call_.sizes[call_.steps - 1]) share.meet();
      const int64_t end = chunk_end(step);
      const Chunk chunk = chunk_of(step, end);
      multiply_input(chunk, share);
      for (; step < end; ++step) {
        const bool may_part = share.by_units && share.patience;
        if (may_part && !share.member) share.patience->consider(step, call_.steps);
        running = one_step(step, running, chunk, tables, share);
        if (!may_part || !share.patience->ends_with(step)) continue;
        if (share.member) return;
        share = {0, 1, false, 0, call_.sequences, 1, &alone};
      }
      if (plan_.gradients || plan_.sums || plan_.behind_chunk) {
        share.meet();
        gradients(chunk, share);
        share.meet();
      }
    }
  }

 protected:
  struct Chunk {
    int64_t first_row, last_row;  // in a series
    int64_t first_step, last_step;
    T* rows;
  };

  const Call& call_;
  const tg_plan& plan_;
  Workspace<T, P> space_;

  T* tensor(int index) const { return static_cast<T*>(call_.tensors[index]); }

  // Matrices, tables, and what needs no step.
  Tables<T> prepare(const Share& share) {
    if (call_.packed == nullptr) {
      space_.pack(share);
      share.meet();
    }
    const Tables<T> tables = space_.tables_of(share.member);
    resolve(share.member, tables);
    start_empty_sequences(share);
    return tables;
  }

  // In the order of work, step n happens at this time.
  int64_t time(int64_t step) const { return call_.descending ? call_.steps - 1 - step : step; }

  int64_t chunk_end(int64_t step) const {
    int64_t rows = call_.sizes[time(step)];
    int64_t end = step + 1;
    while (end < call_.steps && rows + call_.sizes[time(end)] <= space_.chunk_rows) rows += call_.sizes[time(end++)];
    return end;
  }

  Chunk chunk_of(int64_t step, int64_t end) const {
    const int64_t low = call_.descending ? time(end - 1) : step;
    const int64_t high = call_.descending ? time(step) : end - 1;
    const int64_t first = call_.offsets[low];
    T* const rows = plan_.chunk < 0 ? space_.chunk : tensor(plan_.chunk) + first * space_.chunk_width;
    return {first, call_.offsets[high + 1], low, high + 1, rows};
  }

  // Sequences without any step keep their first values.
  void start_empty_sequences(const Share& share) {
    const int64_t some = call_.steps ? call_.sizes[0] : 0;
    if (share.member) return;
    for (int i = 0; i < plan_.carried; ++i) {
      const tg_carried& carried = plan_.carry[i];
      const int last = carried.last;
      if (!wanted(carried)) continue;
      for (int64_t row = some; row < call_.sequences; ++row) {
        T* to = tensor(last) + row * call_.strides[last];
        copy_or_clear(to, initial_row(carried, row), carried.width);
      }
    }
  }

  const T* initial_row(const tg_carried& carried, int64_t row) const {
    return row_of(carried.initial, row);
  }

  // Whether somebody wants the values after the last step: of all states or of none.
  bool wanted(const tg_carried& carried) const { return carried.last >= 0 && tensor(carried.last) != nullptr; }

  // Null where there is no such tensor.
  const T* row_of(int index, int64_t row) const {
    return index < 0 || tensor(index) == nullptr ? nullptr : tensor(index) + row * call_.strides[index];
  }

  static void copy_or_clear(T* to, const T* from, int64_t width) {
    if (from)
      memcpy(to, from, width * sizeof(T));
    else
      memset(to, 0, width * sizeof(T));
  }

  T* carried_rows(int64_t half) const { return space_.carried + half * call_.sequences * space_.carried_width; }

  // Returns how many sequences this step had.
  int64_t one_step(int64_t step, int64_t running, const Chunk& chunk, const Tables<T>& tables, const Share& share) {
    const int64_t t = time(step);
    const int64_t size = call_.sizes[t];
    const int64_t next = step + 1 < call_.steps ? call_.sizes[time(step + 1)] : 0;
    const int64_t half = step & 1;
    if (size > running) {
      begin_rows(half, running, size, share);
      meet_if_by_units(share);
    }
    if (call_.resets && !call_.resets_behind) {
      reset_rows(half, t, size, share);
      meet_if_by_units(share);
    }
    for (int i = 0; i < plan_.phases; ++i) {
      run_phase(plan_.phase[i], moment_of(t, half, chunk, step == 0), 0, size, tables, share);
      meet_if_by_units(share);
    }
    if (call_.resets && call_.resets_behind) {
      reset_rows(1 - half, t, size, share);
      meet_if_by_units(share);
    }
    if (next < size) {
      end_rows(1 - half, moment_of(t, 1 - half, chunk), next, size, tables, share);
      meet_if_by_units(share);
    }
    return size;
  }

  struct Moment {
    int64_t half;
    int64_t rows[kTile];  // by Counts: of a series and of a chunk that lie before this step
    bool first;           // no step came before
  };
  Moment moment_of(int64_t t, int64_t half, const Chunk& chunk, bool first = false) const {
    return {half, {0, call_.offsets[t], call_.offsets[t] - chunk.first_row}, first};
  }

  static void meet_if_by_units(const Share& share) {
    if (share.by_units) share.meet();
  }

  // Every `step`-th row from `first` on, before `last`.
  struct Range {
    int64_t first, last, step;

    TIDEGATE_INLINE int64_t count() const { return first < last ? (last - first + step - 1) / step : 0; }
  };
  // Of the rows from `first` to `last`, those of this member if shared by rows.
  TIDEGATE_INLINE static Range own_rows(int64_t first, int64_t last, const Share& share) {
    const int64_t step = share.row_step;
    const int64_t skipped = first > share.first_row ? (first - share.first_row + step - 1) / step : 0;
    return {share.first_row + skipped * step, last < share.last_row ? last : share.last_row, step};
  }
  // The same for work on whole rows, which is the first one's if shared by units.
  static Range whole_rows(int64_t first, int64_t last, const Share& share) {
    if (share.by_units) return {first, share.member ? first : last, 1};
    return own_rows(first, last, share);
  }

  void begin_rows(int64_t half, int64_t first, int64_t last, const Share& share) {
    const Range range = whole_rows(first, last, share);
    for (int i = 0; i < plan_.carried; ++i)
      for (int64_t row = range.first; row < range.last; row += range.step)
        copy_or_clear(carried_rows(half) + row * space_.carried_width + plan_.carry[i].offset,
                      initial_row(plan_.carry[i], row), plan_.carry[i].width);
  }

  void reset_rows(int64_t half, int64_t t, int64_t size, const Share& share) {
    const Range range = whole_rows(0, size, share);
    for (int64_t row = range.first; row < range.last; row += range.step)
      if (call_.resets[call_.offsets[t] + row])
        memset(carried_rows(half) + row * space_.carried_width, 0, space_.carried_width * sizeof(T));
  }

  void end_rows(int64_t half, const Moment& moment, int64_t first, int64_t last, const Tables<T>& tables,
                const Share& share) {
    bool any = false;
    for (int i = 0; i < plan_.carried; ++i) any = any || wanted(plan_.carry[i]);
    if (!any) return;
    for (int i = 0; i < plan_.ending_phases; ++i)
      run_phase(plan_.phase[plan_.phases + i], moment, first, last, tables, share);
    if (plan_.ending_phases) return;  // which wrote the last values
    const Range range = whole_rows(first, last, share);
    for (int i = 0; i < plan_.carried; ++i) {
      const tg_carried& carried = plan_.carry[i];
      if (!wanted(carried)) continue;
      for (int64_t row = range.first; row < range.last; row += range.step)
        memcpy(tensor(carried.last) + row * call_.strides[carried.last],
               carried_rows(half) + row * space_.carried_width + carried.offset, carried.width * sizeof(T));
    }
  }

  Resolved<T> resolved(const tg_place& place, int member) const {
    Resolved<T> found = located(place, member);
    found.one = place.one;
    return found;
  }

  Resolved<T> located(const tg_place& place, int member) const {
    const int64_t half = call_.sequences * space_.carried_width;
    T* const carried = space_.carried + place.offset;
    T* const tile = space_.tiles + member * space_.tile_size;
    switch (place.kind) {
      case TG_CHUNK: {
        T* const chunk = space_.chunk + place.offset;
        return {{chunk, chunk}, space_.chunk_width, kChunk};
      }
      case TG_BEFORE:
        return {{carried, carried + half}, space_.carried_width, kNone};
      case TG_AFTER:
        return {{carried + half, carried}, space_.carried_width, kNone};
      case TG_SCRATCH:
        return {{space_.scratch + place.offset, space_.scratch + place.offset}, space_.scratch_width, kNone};
      case TG_PRODUCT: {
        T* const product = tile + place.offset * space_.slot_rows * kPanel<T>;
        return {{product, product}, kPanel<T>, kTile};
      }
      default: {
        T* const first = tensor(place.tensor) + place.offset;
        const int64_t stride = place.kind == TG_VECTOR ? 0 : call_.strides[place.tensor];
        return {{first, first}, stride, place.kind == TG_SERIES ? kSeries : kNone};
      }
    }
  }

  void resolve(int member, const Tables<T>& tables) const {
    for (int i = 0; i < plan_.places; ++i) tables.place[i] = resolved(plan_.place[i], member);
    for (int i = 0; i < plan_.products; ++i) tables.operand[i] = resolved(plan_.product[i].operand, member);
  }

  TIDEGATE_INLINE static Rows<T> rows_at(const Resolved<T>& place, const Moment& moment, const Range& range) {
    T* const base = place.base[moment.half];
    if (place.counts == kTile) return {base, place.stride};  // the same rows for every tile
    return {base + place.stride * (moment.rows[place.counts] + range.first), place.stride * range.step};
  }

  void run_phase(const tg_phase& phase, const Moment& moment, int64_t first, int64_t last, const Tables<T>& tables,
                 const Share& share) {
    const Range range = own_rows(first, last, share);
    const int64_t own = range.count();
    if (!own) return;
    Rows<T>* const place = tables.rows;
    Rows<T>* const operands = tables.operands;
    void** const rows = tables.tile;
    int64_t* const strides = tables.strides;
    const int all_places = phase.places + reduced_places(phase);
    for (int i = 0; i < all_places; ++i) {
      place[i] = rows_at(tables.place[phase.first_place + i], moment, range);
      strides[i] = place[i].stride;
    }
    for (int i = 0; i < phase.products; ++i)
      operands[i] = rows_at(tables.operand[phase.first_product + i], moment, range);

    T* const tiles = space_.tiles + share.member * space_.tile_size;
    const int64_t panels = (phase.width + kPanel<T> - 1) / kPanel<T>;
    const int64_t first_panel = share.by_units ? share.first(panels) : 0;
    const int64_t last_panel = share.by_units ? share.last(panels) : panels;
    const int64_t tiles_of_rows = (own + kTileRows - 1) / kTileRows;
    if (phase.joins && first_panel < last_panel) join(phase, range);
    const bool nothing = moment.first && multiplies_nothing(phase);
    for (int64_t turn = first_panel; turn < last_panel; ++turn) {
      // Every other step goes through the matrices the other way: what was read last is still in a cache.
      const int64_t p = moment.half ? last_panel - 1 - (turn - first_panel) : turn;
      const int64_t unit = p * kPanel<T>;
      const int width = static_cast<int>(phase.width - unit < kPanel<T> ? phase.width - unit : kPanel<T>);
      for (int64_t tile = 0; tile < tiles_of_rows; ++tile) {
        const bool only = tiles_of_rows == 1;  // spares divisions, which count where a step is short
        const int64_t row = only ? 0 : own * tile / tiles_of_rows;  // nearly equal heights
        const int64_t end = only ? own : own * (tile + 1) / tiles_of_rows;
        const int count = static_cast<int>(end - row);
        for (int i = 0; phase.products && i < phase.places; ++i) {
          const Resolved<T>& at = tables.place[phase.first_place + i];
          if (at.counts == kSeries && !at.one) fetch(place[i], row, end, unit, width);
        }
        if (nothing)
          clear_products(phase, count, tiles);
        else if (count == 1)
          multiply_row_into_tile(phase, operands, row, p, width, tiles, moment.half);
        else
          for (int i = 0; i < phase.products; ++i)
            multiply_into_tile(phase.first_product + i, operands[i], row, count, p, width, tiles);
        for (int i = 0; i < all_places; ++i) {
          const Resolved<T>& at = tables.place[phase.first_place + i];
          rows[i] = place[i].first + (at.counts == kTile ? 0 : row * place[i].stride + (at.one ? 0 : unit));
        }
        const tg_tile work = {rows, strides, count, width};
        phase.pointwise(&work);
        if (phase.reductions) reduce(phase, work, tables.reduced, range.first + row * range.step, range.step, p);
      }
    }
  }

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

  int reduced_places(const tg_phase& phase) const {
    int count = 0;
    for (int i = 0; i < phase.reductions; ++i) count += plan_.reduction[phase.first_reduction + i].places;
    return count;
  }

  Part<T>* parts_of(int reduction, int64_t row) const {
    return space_.parts + row * space_.parts_width + reduction * space_.part_panels;
  }

  // What a tile adds to the reductions of its rows.
  void reduce(const tg_phase& phase, const tg_tile& tile, const T** rows, int64_t first_row, int64_t step, int64_t panel) const {
    for (int i = phase.first_reduction; i < phase.first_reduction + phase.reductions; ++i) {
      const tg_reduction& reduction = plan_.reduction[i];
      const int first = reduction.first_place - phase.first_place;
      for (int r = 0; r < tile.count; ++r) {
        for (int j = 0; j < reduction.places; ++j)
          rows[j] = static_cast<const T*>(tile.rows[first + j]) + r * tile.strides[first + j];
        reduce_panel(rows, reduction.places, tile.width, reduction.variance >= 0,
                     parts_of(i, first_row + r * step) + panel);
      }
    }
  }

  void join(const tg_phase& phase, const Range& range) const {
    for (int i = phase.first_join; i < phase.first_join + phase.joins; ++i) {
      const tg_reduction& reduction = plan_.reduction[i];
      for (int64_t row = range.first; row < range.last; row += range.step) {
        T* const to = space_.scratch + row * space_.scratch_width;
        join_parts(parts_of(i, row), reduction.width, reduction.places, reduction.mean < 0 ? nullptr : to + reduction.mean,
                   reduction.variance < 0 ? nullptr : to + reduction.variance);
      }
    }
  }

  // Series are too long for the caches: what the pointwise work reads and writes of them is on its way meanwhile.
  TIDEGATE_INLINE static void fetch(const Rows<T>& place, int64_t row, int64_t end, int64_t unit, int width) {
    constexpr int line = 64 / static_cast<int>(sizeof(T));
    for (; row < end; ++row)
      for (int j = 0; j < width; j += line) __builtin_prefetch(place.first + row * place.stride + unit + j, 0, 2);
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

  void gradients(const Chunk& chunk, const Share& share) {
    const bool first = call_.descending ? chunk.last_step == call_.steps : chunk.first_step == 0;
    const int64_t rows = chunk.last_row - chunk.first_row;
    int64_t turn = 0;
    for (int i = 0; i < plan_.gradients; ++i) gradient_of_matrix(plan_.gradient[i], chunk, first, turn, share);
    for (int i = 0; i < plan_.sums; ++i) {
      const tg_sum& sum = plan_.sum[i];
      const int64_t begin = share.first(sum.count), end = share.last(sum.count);
      add_rows(chunk.rows + sum.adjoint + begin, space_.chunk_width, rows, end - begin,
               tensor(sum.tensor) + sum.offset + begin, first);
    }
    gradient_of_input(chunk, share);
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
