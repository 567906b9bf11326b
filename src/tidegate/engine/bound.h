// The tensors of a call, and where the places of a plan lie in them, at a step and for some rows.
#pragma once

#include "workspace.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

// T: the type of numbers and sums; P: the type in which matrices are packed.
template <class T, class P = T>
class Bound {
 public:
  Bound(const Call& call, int members) : call_(call), plan_(*call.plan), space_(call, members) { space_.locate(); }

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

  struct Moment {
    int64_t half;
    int64_t rows[kTile];  // by Counts: of a series and of a chunk that lie before this step
    bool first;           // no step came before
  };
  Moment moment_of(int64_t t, int64_t half, const Chunk& chunk, bool first = false) const {
    return {half, {0, call_.offsets[t], call_.offsets[t] - chunk.first_row}, first};
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

  Resolved<T> resolved(const tg_place& place, int member) const {
    Resolved<T> found = located(place, member);
    found.one = place.one;
    found.half = found.counts == kSeries && is_half(place.tensor);
    return found;
  }

  TIDEGATE_INLINE bool is_half(int tensor) const { return plan_.halves && plan_.halved[tensor] != TG_WHOLE; }

  Resolved<T> located(const tg_place& place, int member) const {
    const int64_t half = call_.sequences * space_.carried_width;
    T* const carried = space_.carried + place.offset;
    T* const tile = space_.tiles + member * space_.tile_size;
    switch (place.kind) {
      case TG_CHUNK: {
        T* const chunk = space_.chunk + place.offset;
        return {{chunk, chunk}, space_.own_width, kChunk};
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
        T* first = tensor(place.tensor) + place.offset;
        if (place.kind == TG_SERIES && is_half(place.tensor))
          first = reinterpret_cast<T*>(static_cast<BFloat16*>(call_.tensors[place.tensor]) + place.offset);
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
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
