// A call of the engine, what falls to each member of it, and how places of a plan are looked up.
#pragma once

#include "patience.h"
#include "plan.h"
#include "pool.h"

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
  bool half = false;  // base[0] and the stride count numbers in bfloat16; see half.h
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

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
