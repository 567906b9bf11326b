// One call: the steps of a plan over sequences, by several threads.
//
// Threads share the work in one of two ways. With enough sequences each takes some of them through all steps and never
// waits. With few sequences and wide layers each takes some units, and all meet after every phase. Either way every
// number is computed in the same order, so that results do not depend on the number of threads.
#pragma once

#include "delta.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

template <class T, class P = T>
class Run : public Deltas<T, P> {
 protected:
  using Base = Deltas<T, P>;
  using Chunk = typename Base::Chunk;
  using Moment = typename Base::Moment;
  using Range = typename Base::Range;
  using Base::call_, Base::plan_, Base::space_;
  using Base::carried_rows, Base::chunk_end, Base::chunk_of, Base::copy_or_clear, Base::initial_row, Base::moment_of;
  using Base::own_rows, Base::resolve, Base::rows_at, Base::tensor, Base::time, Base::wanted, Base::whole_rows;
  using Base::clear_products, Base::multiplies_nothing, Base::multiply_input, Base::multiply_into_tile;
  using Base::any_turned, Base::multiply_turned_phase, Base::spread_kept, Base::take_turned;
  using Base::follow, Base::follow_input, Base::remembers, Base::take_sums;
  using Base::gradient_of_input, Base::gradients_of_matrices, Base::multiply_row_into_tile;

 public:
  using Base::Base;

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
      if (remembers(plan_.products - plan_.before_chunk - plan_.behind_chunk, plan_.before_chunk))
        follow_input(chunk, share);
      else if (kRounds<P> && !call_.delta)
        this->multiply_rounded_input(chunk, share);
      else
        multiply_input(chunk, share);
      for (; step < end; ++step) {
        const bool may_part = share.by_units && share.patience;
        if (may_part && !share.member) share.patience->consider(step, call_.steps);
        running = one_step(step, running, chunk, tables, share);
        if (!may_part || !share.patience->ends_with(step)) continue;
        if (share.member) return;
        share = {0, 1, false, 0, call_.sequences, 1, &alone};
      }
      if (plan_.source >= 0) this->take_adjoints(chunk, share);
      if (plan_.gradients || plan_.sums || plan_.behind_chunk || plan_.tally >= 0) {
        share.meet();
        gradients(chunk, share);
        share.meet();
      }
    }
    if (call_.steps) spread_kept(share);
  }

 protected:
  // Matrices, tables, and what needs no step.
  Tables<T> prepare(const Share& share) {
    if (call_.packed == nullptr) {
      space_.pack(share);
      space_.list_kept(share);
      share.meet();
    }
    const Tables<T> tables = space_.tables_of(share.member);
    resolve(share.member, tables);
    start_empty_sequences(share);
    return tables;
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

  static void meet_if_by_units(const Share& share) {
    if (share.by_units) share.meet();
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
    if (plan_.halves) this->locate_halves(phase, all_places, moment, range, tables);
    for (int i = 0; i < phase.products; ++i)
      operands[i] = rows_at(tables.operand[phase.first_product + i], moment, range);

    T* const tiles = space_.tiles + share.member * space_.tile_size;
    const int64_t panels = (phase.width + kPanel<T> - 1) / kPanel<T>;
    const int64_t first_panel = share.by_units ? share.first(panels) : 0;
    const int64_t last_panel = share.by_units ? share.last(panels) : panels;
    const int64_t tiles_of_rows = (own + tile_rows<P>() - 1) / tile_rows<P>();
    if (phase.joins && first_panel < last_panel) join(phase, range);
    const bool nothing = moment.first && multiplies_nothing(phase);
    const bool delta = remembers(phase.first_product, phase.products);
    const bool turned = !nothing && any_turned(phase);
    if (turned) multiply_turned_phase(phase, operands, own, first_panel, last_panel, share.member);
    if (kRounds<P> && !call_.delta && !nothing) this->round_operands(phase, operands, own, share.member);
    for (int64_t row = 0; delta && row < own; ++row)
      follow(phase.first_product, phase.products, operands, row, range.first + row * range.step,
             static_cast<T>(call_.delta->states), share.member);
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
          if (at.counts != kSeries || at.one) continue;
          if (at.half)
            this->fetch_halves(place[i], row, end, unit, width);
          else
            fetch(place[i], row, end, unit, width);
        }
        if (delta)
          take_sums(phase, range, row, count, p, width, tiles);
        else if (nothing)
          clear_products(phase, count, tiles);
        else if (turned)
          take_turned(phase, operands, own, row, count, p, width, tiles, share.member);
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
        if (plan_.halves) this->template pass_halves<true>(phase, all_places, tables, row, count, unit, width, share.member);
        phase.pointwise(&work);
        if (plan_.halves) this->template pass_halves<false>(phase, all_places, tables, row, count, unit, width, share.member);
        if (phase.reductions) reduce(phase, work, tables.reduced, range.first + row * range.step, range.step, p);
      }
    }
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

  void gradients(const Chunk& chunk, const Share& share) {
    const bool first = call_.descending ? chunk.last_step == call_.steps : chunk.first_step == 0;
    const int64_t rows = chunk.last_row - chunk.first_row;
    gradients_of_matrices(chunk, first, share);
    for (int i = 0; i < plan_.sums; ++i) {
      const tg_sum& sum = plan_.sum[i];
      const int64_t begin = share.first(sum.count), end = share.last(sum.count);
      add_rows(chunk.rows + sum.adjoint + begin, space_.chunk_width, rows, end - begin,
               tensor(sum.tensor) + sum.offset + begin, first);
    }
    if (plan_.tally >= 0) this->tally(chunk, share);
    gradient_of_input(chunk, share);
  }
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
