// When threads are worth waiting for.
//
// Where other programs want the same cores, a thread may lose its own for milliseconds, and all that meet it wait. So
// the first member of a call adds up how long it waits. Once that is half of what sharing can save in the whole call,
// the call goes on alone, from the next step on. The next call of the same shape tries again, since one interruption
// says little. If that fails too, calls begin alone until they have worked for many times as long as was lost. Sums are
// taken in the same order either way: nothing of this shows in a result.
#pragma once

#include "pool.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

constexpr double kLost = 0.5;        // of what sharing can save: so much waiting ends it
constexpr double kWorthwhile = 0.8; // of the time that one thread would take: sharing must take less
constexpr int64_t kFirstDebt = 4;    // times what was waited in vain: one interruption shall not cost much,
constexpr int64_t kLastDebt = 64;    // but attempts on a machine that stays busy only a sixtieth of its time
constexpr int64_t kRareCalls = 32;   // times the debt: so much later a call is shared again in any case

// Tests ask for the two extremes.
enum Temper {
  kMeasures = 0,
  kEndures = 1,   // never ends sharing
  kBridles = 2,   // ends it at the first chance
};
inline int temper __attribute__((visibility("hidden"))) = kMeasures;

// How long the first member of a call waits for the others.
struct Patience {
  double saved = 0;        // of what the first member works, what the others spare it
  int64_t begin = 0;       // of its work, in nanoseconds
  int64_t waited = 0;
  int64_t considered = 0;  // of what it waited
  int64_t last_step = -1;  // that is shared; -1 while there is no last one

  // Whether to go on alone after `step`, of so many. Asked by the first member, before it meets the others in it.
  void consider(int64_t step, int64_t steps) {
    if (temper == kBridles) return end_with(step);
    if (waited == considered || step == 0 || temper == kEndures) return;
    considered = waited;
    const double own = static_cast<double>(nanoseconds() - begin - waited);
    const double all = own * static_cast<double>(steps) / static_cast<double>(step);
    if (static_cast<double>(waited) > kLost * saved * all) end_with(step);
  }

  void end_with(int64_t step) { __atomic_store_n(&last_step, step, __ATOMIC_RELAXED); }
  bool ends_with(int64_t step) const { return __atomic_load_n(&last_step, __ATOMIC_RELAXED) == step; }
};

// What calls of a shape have learnt. Threads may use it at the same time: what they lose of each other is no harm.
class Experience {
 public:
  // Whether a call is to begin alone.
  bool alone(int64_t now) const { return load(debt_) > 0 && now < load(until_) && temper == kMeasures; }

  void worked_alone(int64_t nanoseconds) { store(debt_, load(debt_) - nanoseconds); }

  // After a call in which the first member worked and waited so long, which saved it `saved` times its own work.
  void shared(int64_t own, int64_t waited, double saved, bool to_its_end, int64_t now) {
    const bool good = static_cast<double>(own + waited) <= kWorthwhile * (1 + saved) * static_cast<double>(own);
    if (to_its_end && good) return store(lost_, int64_t{0}), store(well_, load(well_) + own);
    if (!load(lost_)) return store(lost_, waited);
    waited += load(lost_);
    store(lost_, int64_t{0});
    // Soon after the last failure it is put off for twice as long.
    const int64_t last = load(well_) < load(put_off_) ? load(put_off_) : 0;
    const int64_t least = kFirstDebt * waited, most = kLastDebt * waited;
    const int64_t longer = 2 * last < least ? least : 2 * last > most ? most : 2 * last;
    store(put_off_, longer);
    store(well_, int64_t{0});
    store(until_, now + kRareCalls * longer);
    store(debt_, longer);
  }

 private:
  int64_t lost_ = 0;     // what the last call waited if it failed, and the one before it did not
  int64_t debt_ = 0;     // for how long calls are to work alone
  int64_t until_ = 0;    // when an attempt is due all the same
  int64_t put_off_ = 0;  // the last debt when it was made
  int64_t well_ = 0;     // how long shared calls have worked well since

  static int64_t load(const int64_t& from) { return __atomic_load_n(&from, __ATOMIC_RELAXED); }
  static void store(int64_t& to, int64_t value) { __atomic_store_n(&to, value, __ATOMIC_RELAXED); }
};

constexpr uint64_t kShapes = 256;
inline Experience experiences[kShapes] __attribute__((visibility("hidden")));

// Shapes that meet in one place learn from each other, which costs some time at worst.
inline Experience& experience_of(const void* plan, int64_t steps, int64_t rows, int64_t calls, int64_t threads) {
  uint64_t hash = reinterpret_cast<uintptr_t>(plan);
  const int64_t parts[] = {steps, rows, calls, threads};
  for (const int64_t part : parts) hash = (hash ^ static_cast<uint64_t>(part)) * 0x9E3779B97F4A7C15u;
  return experiences[(hash >> 32) % kShapes];
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
