// What multiplies tile registers: the instructions of AMX, and plain C++ with the same rounding.
//
// A register has up to 16 rows of up to 64 bytes; a configuration says how many it has. Both kinds have the same
// functions, and amx.h is written against these alone.
#pragma once

#include "denormals.h"
#include "words.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

constexpr int kTileSide = 16;  // rows of a register, and words of a row
constexpr int kTileRegisters = 8;

// As ldtilecfg reads it.
struct TileShapes {
  uint8_t palette, start_row, reserved[14];
  uint16_t bytes[kTileSide];  // of a row
  uint8_t rows[kTileSide];
};

#if defined(__AVX512VL__) && (defined(__clang__) || __GNUC__ >= 11)
#define TIDEGATE_AMX

// gcc 11 brings an assembler that knows them.
struct AmxUnit {
  static void configure(const TileShapes& shapes) { __asm__ volatile("ldtilecfg %0" : : "m"(shapes)); }
  static void release() { __asm__ volatile("tilerelease"); }

  template <int kTo>
  TIDEGATE_INLINE static void zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTo));
  }
  // Rows of words, so many words from one to the next.
  template <int kTo>
  TIDEGATE_INLINE static void load(const void* from, ptrdiff_t stride) {
    __asm__ volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(kTo), "r"(from), "r"(4 * stride) : "memory");
  }
  template <int kFrom>
  TIDEGATE_INLINE static void store(void* to, ptrdiff_t stride) {
    __asm__ volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(kFrom), "r"(to), "r"(4 * stride) : "memory");
  }
  template <int kSum, int kA, int kB>
  TIDEGATE_INLINE static void add_pairs() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kA), "i"(kB));
  }
  template <int kSum, int kA, int kB>
  TIDEGATE_INLINE static void add_bytes() {
    __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kA), "i"(kB));
  }
};
#endif

// A thread's registers. Whatever a processor would refuse ends the process.
class EmulatedUnit {
 public:
  static void configure(const TileShapes& shapes) {
    must(shapes.palette == 1 && !shapes.start_row);
    for (int r = 0; r < kTileSide; ++r) {
      must(shapes.bytes[r] <= 64 && shapes.rows[r] <= kTileSide && !shapes.bytes[r] == !shapes.rows[r]);
      must(r < kTileRegisters || !shapes.rows[r]);
    }
    own_ = {shapes, {}};
  }
  static void release() { own_ = {}; }

  template <int kTo>
  static void zero() {
    must_be_shaped(kTo);
    memset(own_.word[kTo], 0, sizeof own_.word[kTo]);
  }
  template <int kTo>
  static void load(const void* from, ptrdiff_t stride) {
    zero<kTo>();
    for (int row = 0; row < own_.shapes.rows[kTo]; ++row)
      memcpy(own_.word[kTo][row], static_cast<const char*>(from) + 4 * row * stride, own_.shapes.bytes[kTo]);
  }
  template <int kFrom>
  static void store(void* to, ptrdiff_t stride) {
    must_be_shaped(kFrom);
    for (int row = 0; row < own_.shapes.rows[kFrom]; ++row)
      memcpy(static_cast<char*>(to) + 4 * row * stride, own_.word[kFrom][row], own_.shapes.bytes[kFrom]);
  }
  template <int kSum, int kA, int kB>
  static void add_pairs() {
    must_fit(kSum, kA, kB);
    FlushDenormals flush;
    add_pairs_of(own_.shapes, own_.word[kSum], own_.word[kA], own_.word[kB], kSum, kA);
  }
  template <int kSum, int kA, int kB>
  static void add_bytes() {
    must_fit(kSum, kA, kB);
    for (int row = 0; row < own_.shapes.rows[kSum]; ++row)
      for (int k = 0; k < own_.shapes.bytes[kA] / 4; ++k)
        for (int n = 0; n < own_.shapes.bytes[kSum] / 4; ++n)
          for (int byte = 0; byte < 4; ++byte) {
            const int32_t a = static_cast<uint8_t>(own_.word[kA][row][k] >> 8 * byte);
            const int32_t b = static_cast<int8_t>(own_.word[kB][k][n] >> 8 * byte);
            own_.word[kSum][row][n] += static_cast<Word>(a * b);
          }
  }

 private:
  using Register = Word[kTileSide][kTileSide];
  struct Registers {
    TileShapes shapes;
    Register word[kTileRegisters];
  };
  static thread_local Registers own_ __attribute__((visibility("hidden")));

  static void must(bool condition) {
    if (!condition) __builtin_trap();
  }
  static void must_be_shaped(int r) { must(own_.shapes.palette && own_.shapes.rows[r]); }
  static void must_fit(int sum, int a, int b) {
    const TileShapes& s = own_.shapes;
    must_be_shaped(sum);
    must(sum != a && sum != b && a != b && !(s.bytes[a] % 4) && !(s.bytes[b] % 4));
    must(s.rows[sum] == s.rows[a] && s.bytes[sum] == s.bytes[b] && s.rows[b] == s.bytes[a] / 4);
  }

  // Sums of even and of odd numbers of k run apart, begin at zero, and are joined before what is there is added. The
  // control register says how numbers are rounded, so no compiler may move this across where it is set.
  __attribute__((noinline)) static void add_pairs_of(const TileShapes& shapes, Register& sum, const Register& a, const Register& b,
                                                     int of_sum, int of_a) {
    for (int row = 0; row < shapes.rows[of_sum]; ++row) {
      float even[kTileSide] = {}, odd[kTileSide] = {};
      for (int k = 0; k < shapes.bytes[of_a] / 4; ++k) {
        const float low = number(a[row][k] << 16), high = number(a[row][k] & kUpper);
        for (int n = 0; n < kTileSide; ++n) {
          even[n] = __builtin_fmaf(low, number(b[k][n] << 16), even[n]);
          odd[n] = __builtin_fmaf(high, number(b[k][n] & kUpper), odd[n]);
        }
      }
      for (int n = 0; n < shapes.bytes[of_sum] / 4; ++n) {
        const float all = number(sum[row][n]) + (even[n] + odd[n]);
        memcpy(&sum[row][n], &all, sizeof all);
      }
    }
  }
  static TIDEGATE_INLINE float number(Word word) {
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
  }
};

inline thread_local EmulatedUnit::Registers EmulatedUnit::own_;

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
