// What a core can do at most, measured: multiply-adds, and reading what lies in a cache.
#pragma once

#include <time.h>

#include "kernel.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

// Does `work`, which returns how much it did, for so many seconds. Returns how much of it a second has room for; of this
// thread's own time, so that other programs do not count.
template <class Work>
double rate_of(double seconds, Work work) {
  timespec start, now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
  double done = 0, elapsed = 0;
  do {
    done += work();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    elapsed = static_cast<double>(now.tv_sec - start.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec - start.tv_nsec);
  } while (elapsed < seconds);
  return done / elapsed;
}

// Independent multiply-adds, enough of them to hide their latency.
template <class T>
double multiply_adds(double seconds) {
  constexpr int chains = 16;
  const Vector<T> factor = splat(T(0.999)), term = splat(T(1e-3));
  return rate_of(seconds, [factor, term]() {
    Vector<T> sum[chains];
#pragma GCC unroll 16
    for (int i = 0; i < chains; ++i) sum[i] = splat(T(i));
    for (int repeat = 0; repeat < 10000; ++repeat) {
#pragma GCC unroll 16
      for (int i = 0; i < chains; ++i) {
        sum[i] = sum[i] * factor + term;
        __asm__("" : "+v"(sum[i]));  // keeps the compiler from folding the repetitions
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < chains; ++i) __asm__ volatile("" : : "v"(sum[i]));  // somebody wants the sums
    return 10000.0 * chains * 2 * kLanes<T>;
  });
}

// Forth and back in turns, as a step goes through its matrices: what was read last is still in the nearest cache.
inline double read_again(const float* from, int64_t bytes, double seconds) {
  constexpr int some = 8;
  constexpr int64_t piece = some * kLanes<float>;
  const int64_t pieces = bytes / static_cast<int64_t>(sizeof(float)) / piece;
  const int64_t turns = 2 + 2 * (1 << 20) / (pieces * piece);  // the clock must not count
  return rate_of(seconds, [&]() {
    Vector<float> sum[some] = {};
    for (int64_t turn = 0; turn < turns; ++turn)
      for (int64_t p = 0; p < pieces; ++p) {
        const float* const at = from + (turn & 1 ? pieces - 1 - p : p) * piece;
#pragma GCC unroll 8
        for (int v = 0; v < some; ++v) sum[v] += load(at + v * kLanes<float>);
      }
#pragma GCC unroll 8
    for (int v = 0; v < some; ++v) __asm__ volatile("" : : "v"(sum[v]));  // somebody wants the sums
    return static_cast<double>(turns * pieces * piece) * sizeof(float);
  });
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
