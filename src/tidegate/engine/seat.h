// Which processors the members of a job run on.
//
// A thread that slept may wake on the processor of the thread that woke it, although another one is idle. The system
// parts the two after some milliseconds, and until then they take turns: no better than one. So a member that finds its
// processor taken moves to one that is free.
#pragma once

#include <sched.h>
#include <stdint.h>

namespace tidegate {
inline namespace TIDEGATE_ISA {

#if defined(__linux__)

class Seats {
 public:
  // The first member stays where it is: it belongs to the caller.
  Seats() { take(); }

  // For the others, before they work.
  void find_own() {
    if (take()) return;
    cpu_set_t allowed, free;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    CPU_ZERO(&free);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &allowed) && !is_taken(cpu)) CPU_SET(cpu, &free);
    if (CPU_COUNT(&free) == 0 || sched_setaffinity(0, sizeof free, &free) != 0) return;  // which moves it at once
    sched_setaffinity(0, sizeof allowed, &allowed);
    take();
  }

 private:
  // False if somebody has this processor already.
  bool take() {
    const int cpu = sched_getcpu();
    if (cpu < 0 || cpu >= CPU_SETSIZE) return true;
    const uint64_t bit = uint64_t{1} << (cpu % 64);
    return !(__atomic_fetch_or(&taken_[cpu / 64], bit, __ATOMIC_RELAXED) & bit);
  }

  bool is_taken(int cpu) const { return __atomic_load_n(&taken_[cpu / 64], __ATOMIC_RELAXED) >> (cpu % 64) & 1; }

  uint64_t taken_[CPU_SETSIZE / 64] = {};
};

#else

class Seats {
 public:
  void find_own() {}
};

#endif

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
