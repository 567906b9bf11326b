// One call of a cell whose units recur each by itself: nobody waits for another unit, so time is the innermost loop.
//
// The work of a chunk is panels times sequences, of which each thread takes a part. A strip of rows is multiplied into
// a block that the first-level cache holds, and its pointwise work follows at once, row by row: the states of a panel
// stay where they are. Every number is computed in the same order, whoever takes which part.
#pragma once

#include "run.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

template <class T, class P = T>
class UnitRun : public Run<T, P> {
  using Base = Run<T, P>;
  using Chunk = typename Base::Chunk;
  using Base::call_, Base::plan_, Base::space_;
  using Base::tensor, Base::time;

 public:
  using Base::Base;

  // How many members can have something to do.
  static int64_t shares(const Call& call) { return panels(*call.plan) * call.sizes[0]; }

  void member(Share share) {
    if (!plan_.by_unit) return Base::member(share);
    const Tables<T> tables = this->prepare(share);
    const Cut first = cut(share.member, share), last = cut(share.member + 1, share);
    for (int64_t step = 0, end; step < call_.steps; step = end) {
      end = this->chunk_end(step);
      const Work work = {this->chunk_of(step, end), step, end, tables, share.member};
      for (int64_t panel = first.panel; panel <= last.panel && panel < panels(plan_); ++panel)
        run_panel(panel, panel == first.panel ? first.sequence : 0,
                  panel == last.panel ? last.sequence : call_.sequences, work);
      if (plan_.gradients || plan_.sums || plan_.behind_chunk || plan_.tally >= 0) {
        share.meet();
        this->gradients(work.chunk, share);
        share.meet();
      }
    }
    if (call_.steps) this->spread_kept(share);
  }

 private:
  static constexpr int64_t kMostAlone = 2 * kTileRows;  // so many sequences run one after the other, more side by side

  // Of panels and sequences in order, the first ones of a part.
  struct Cut {
    int64_t panel, sequence;
  };

  struct Work {
    Chunk chunk;
    int64_t first_step, last_step;  // in the order of work
    const Tables<T>& tables;
    int member;
  };

  // Rows at even distances: steps of one sequence, or sequences of one step.
  struct Strip {
    int64_t row, row_step;            // in a series
    int64_t sequence, sequence_step;  // 0 or 1
    int64_t count;
  };

  struct Panel {
    int64_t number, unit;
    int width;
  };

  static int64_t panels(const tg_plan& plan) { return (plan.phase[0].width + kPanel<T> - 1) / kPanel<T>; }

  Panel panel_of(int64_t number) const {
    const int64_t unit = number * kPanel<T>, rest = plan_.phase[0].width - unit;
    return {number, unit, static_cast<int>(rest < kPanel<T> ? rest : kPanel<T>)};
  }

  // Rows are shared evenly, counted once for each register of units; no sequence of a panel is cut.
  Cut cut(int member, const Share& share) const {
    const int64_t rows = call_.offsets[call_.steps];
    const int64_t vectors = rounded(plan_.phase[0].width, kLanes<T>) / kLanes<T>;
    int64_t rest = rows * vectors * member / share.members;
    if (member == share.members || !rows) return {panels(plan_), 0};
    const Panel panel = panel_of(rest / (rows * kTileVectors));
    rest = rest % (rows * kTileVectors) / (padded<T>(panel.width) / kLanes<T>);
    int64_t sequence = 0;
    for (int64_t length = call_.steps; sequence < call_.sequences; rest -= length, ++sequence) {
      while (length && call_.sizes[length - 1] <= sequence) --length;
      if (2 * rest < length || !length) break;
    }
    return {panel.number, sequence};
  }

  void run_panel(int64_t number, int64_t first, int64_t last, const Work& work) {
    const Panel panel = panel_of(number);
    if (last - first <= kMostAlone) {
      for (int64_t sequence = first; sequence < last; ++sequence) run_sequence(panel, sequence, work);
      return;
    }
    const int64_t groups = (last - first + space_.slot_rows - 1) / space_.slot_rows;
    for (int64_t group = 0; group < groups; ++group)
      run_group(panel, first + (last - first) * group / groups, first + (last - first) * (group + 1) / groups, work);
  }

  // How many sequences have a step, none before the first and behind the last.
  int64_t size(int64_t step) const { return step >= 0 && step < call_.steps ? call_.sizes[time(step)] : 0; }
  int64_t row(int64_t step, int64_t sequence) const { return call_.offsets[time(step)] + sequence; }
  bool resets(int64_t step, int64_t sequence) const { return call_.resets && call_.resets[row(step, sequence)]; }

  void run_sequence(const Panel& panel, int64_t sequence, const Work& work) {
    int64_t step = work.first_step;
    while (step < work.last_step && size(step) <= sequence) ++step;
    while (step < work.last_step && size(step) > sequence) {
      if (size(step - 1) <= sequence) begin(panel, sequence, sequence + 1);
      if (!call_.resets_behind && resets(step, sequence)) clear(panel, sequence);
      const Strip strip = strip_of(step, sequence, work);
      run_strip(plan_.phase[0], panel, strip, work);
      step += strip.count;
      if (call_.resets_behind && resets(step - 1, sequence)) clear(panel, sequence);
      if (size(step) <= sequence) end(panel, sequence, sequence + 1, work);
    }
  }

  // From a step on as many of a sequence as lie at even distances, with no reset between them.
  Strip strip_of(int64_t step, int64_t sequence, const Work& work) const {
    const int64_t left = work.last_step - step;
    const int64_t most = (plan_.slots || plan_.halves) && space_.slot_rows < left ? space_.slot_rows : left;
    Strip strip = {row(step, sequence), 0, sequence, 0, 1};
    for (int64_t next = step + 1; strip.count < most; ++next, ++strip.count) {
      if (size(next) <= sequence || resets(call_.resets_behind ? next - 1 : next, sequence)) break;
      const int64_t distance = row(next, sequence) - row(next - 1, sequence);
      if (strip.count > 1 && distance != strip.row_step) break;
      strip.row_step = distance;
    }
    return strip;
  }

  void run_group(const Panel& panel, int64_t first, int64_t last, const Work& work) {
    const auto within = [first, last](int64_t count) { return count < first ? first : count < last ? count : last; };
    for (int64_t step = work.first_step; step < work.last_step; ++step) {
      const int64_t running = within(size(step));
      begin(panel, within(size(step - 1)), running);
      for (int64_t i = first; !call_.resets_behind && i < running; ++i)
        if (resets(step, i)) clear(panel, i);
      if (first < running) run_strip(plan_.phase[0], panel, {row(step, first), 1, first, 1, running - first}, work);
      for (int64_t i = first; call_.resets_behind && i < running; ++i)
        if (resets(step, i)) clear(panel, i);
      end(panel, within(size(step + 1)), running, work);
    }
  }

  T* state(const tg_carried& carried, const Panel& panel, int64_t sequence) const {
    return space_.carried + sequence * space_.carried_width + carried.offset + panel.unit;
  }

  void begin(const Panel& panel, int64_t first, int64_t last) {
    for (int i = 0; i < plan_.carried; ++i)
      for (int64_t sequence = first; sequence < last; ++sequence) {
        const T* from = this->initial_row(plan_.carry[i], sequence);
        this->copy_or_clear(state(plan_.carry[i], panel, sequence), from ? from + panel.unit : nullptr, panel.width);
      }
  }

  void clear(const Panel& panel, int64_t sequence) {
    for (int i = 0; i < plan_.carried; ++i)
      this->copy_or_clear(state(plan_.carry[i], panel, sequence), nullptr, panel.width);
  }

  void end(const Panel& panel, int64_t first, int64_t last, const Work& work) {
    bool any = false;
    for (int i = 0; i < plan_.carried; ++i) any = any || this->wanted(plan_.carry[i]);
    if (!any || first >= last) return;
    if (plan_.ending_phases)
      return run_strip(plan_.phase[plan_.phases], panel, {0, 0, first, 1, last - first}, work);
    for (int i = 0; i < plan_.carried; ++i) {
      const tg_carried& carried = plan_.carry[i];
      for (int64_t sequence = first; this->wanted(carried) && sequence < last; ++sequence)
        memcpy(tensor(carried.last) + sequence * call_.strides[carried.last] + panel.unit,
               state(carried, panel, sequence), panel.width * sizeof(T));
    }
  }

  void run_strip(const tg_phase& phase, const Panel& panel, const Strip& strip, const Work& work) {
    for (int i = 0; i < phase.products; ++i) multiply_strip(phase.first_product + i, i == 0, panel, strip, work);
    const Tables<T>& tables = work.tables;
    for (int i = 0; i < phase.places; ++i) {
      const Resolved<T>& at = tables.place[phase.first_place + i];
      const bool after = plan_.place[phase.first_place + i].kind == TG_AFTER;  // in place of what was before
      const int64_t rows[] = {strip.sequence, strip.row, strip.row - work.chunk.first_row, 0};
      const int64_t steps[] = {strip.sequence_step, strip.row_step, strip.row_step, 1};
      tables.tile[i] = at.base[after] + at.stride * rows[at.counts] + (at.counts == kTile || at.one ? 0 : panel.unit);
      tables.strides[i] = at.stride * steps[at.counts];
    }
    const int count = static_cast<int>(strip.count);
    const tg_tile tile = {tables.tile, tables.strides, count, panel.width};
    if (plan_.halves) {
      this->locate_halves(phase, phase.places, {0, {0, strip.row, 0}, false}, {0, 0, strip.row_step}, tables);
      this->template pass_halves<true>(phase, phase.places, tables, 0, count, panel.unit, panel.width, work.member);
    }
    phase.pointwise(&tile);
    if (plan_.halves)
      this->template pass_halves<false>(phase, phase.places, tables, 0, count, panel.unit, panel.width, work.member);
  }

  void multiply_strip(int index, bool first, const Panel& panel, const Strip& strip, const Work& work) {
    const tg_product& product = plan_.product[index];
    const Resolved<T>& operand = work.tables.operand[index];
    const Rows<T> rows = {operand.base[0] + operand.stride * strip.row, operand.stride * strip.row_step};
    const Rows<T> own = this->operand_of_strip(index, first, rows, strip.count, work.member);
    T* const to = space_.tiles + work.member * space_.tile_size + product.result * space_.slot_rows * kPanel<T>;
    if constexpr (kWords<P>)
      if (space_.worded[product.matrix].first)
        return this->multiply_rows_of_words(index, own, strip.count, panel.number, [to](int64_t row) { return to + row * kPanel<T>; });
    TileArguments<T, P> tile;
    tile.width = padded<T>(panel.width);
    const int64_t tiles = (strip.count + tile_rows<P>() - 1) / tile_rows<P>();
    for (int64_t i = 0; i < tiles; ++i) {
      const int64_t row = strip.count * i / tiles;
      const int count = static_cast<int>(strip.count * (i + 1) / tiles - row);
      for (int r = 0; r < count; ++r) tile.a[r] = own.first + (row + r) * own.stride;
      for (int r = 0; r < count; ++r) tile.c[r] = to + (row + r) * kPanel<T>;
      this->multiply_panel(index, tile, count, panel.number);
    }
  }
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
