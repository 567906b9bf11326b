// Series that a call holds in bfloat16. The pointwise work never sees that: a tile reads and writes rows of a block of its
// own, which are widened before it and rounded behind it.
#pragma once

#include "rounded.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

// Numbers of a row, whatever T is: to nearest, ties to even.
template <class T>
void widen_row(const BFloat16* from, T* to, int64_t count) {
  int64_t j = 0;
  for (; sizeof(T) == sizeof(float) && j + kLanes<float> <= count; j += kLanes<float>)
    store(reinterpret_cast<float*>(to) + j, load(from + j));
  for (; j < count; ++j) {
    const uint32_t word = uint32_t{from[j].bits} << 16;
    float value;
    memcpy(&value, &word, sizeof value);
    to[j] = value;
  }
}
template <class T>
void narrow_row(const T* from, BFloat16* to, int64_t count) {
  int64_t j = 0;
  for (; sizeof(T) == sizeof(float) && j + kLanes<float> <= count; j += kLanes<float>)
    store(to + j, load(reinterpret_cast<const float*>(from) + j));
  for (; j < count; ++j) put(to + j, static_cast<float>(from[j]));
}

template <class T, class P = T>
class Halves : public RoundedOperands<T, P> {
 protected:
  using Base = RoundedOperands<T, P>;
  using Base::call_, Base::plan_, Base::space_;

 public:
  using Base::Base;

 protected:
  TIDEGATE_INLINE static BFloat16* row_of_halves(const Rows<T>& place, int64_t row) {
    return reinterpret_cast<BFloat16*>(place.first) + row * place.stride;
  }

  // The rows of those places of a phase that are series in bfloat16, counted in these; the pointwise work has a block.
  void locate_halves(const tg_phase& phase, int places, const typename Base::Moment& moment, const typename Base::Range& range,
                     const Tables<T>& tables) const {
    for (int i = 0; i < places; ++i) {
      const Resolved<T>& at = tables.place[phase.first_place + i];
      if (!at.half) continue;
      const Rows<T> all = {at.base[0], at.stride};
      tables.rows[i] = {reinterpret_cast<T*>(row_of_halves(all, moment.rows[kSeries] + range.first)), at.stride * range.step};
      tables.strides[i] = kPanel<T>;
    }
  }

  // The blocks of a tile whose rows begin at `row`: before its pointwise work they are filled, or emptied behind it.
  template <bool kBefore>
  void pass_halves(const tg_phase& phase, int places, const Tables<T>& tables, int64_t row, int count, int64_t unit, int width,
                   int member) const {
    T* block = space_.halves + member * space_.halves_size;
    for (int i = 0; i < places; ++i) {
      const Resolved<T>& at = tables.place[phase.first_place + i];
      if (!at.half) continue;
      const bool reads = plan_.halved[plan_.place[phase.first_place + i].tensor] == TG_READ;
      for (int r = 0; r < count && reads == kBefore; ++r) {
        BFloat16* const half = row_of_halves(tables.rows[i], row + r) + (at.one ? 0 : unit);
        T* const own = block + r * kPanel<T>;
        if (kBefore)
          widen_row(half, own, at.one ? 1 : width);
        else
          narrow_row(own, half, at.one ? 1 : width);
      }
      tables.tile[i] = block;
      block += space_.slot_rows * kPanel<T>;
    }
  }

  // They are on their way meanwhile, as other series are.
  static void fetch_halves(const Rows<T>& place, int64_t row, int64_t end, int64_t unit, int width) {
    for (; row < end; ++row)
      for (int j = 0; j < width; j += 64 / static_cast<int>(sizeof(BFloat16)))
        __builtin_prefetch(row_of_halves(place, row) + unit + j, 0, 2);
  }
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
