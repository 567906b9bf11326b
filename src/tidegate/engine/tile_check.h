// Whether tile registers do what is known of them: every bit of products by a unit is that of the emulated one.
#pragma once

#include "amx.h"

#if defined(__linux__)
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tidegate {
inline namespace TIDEGATE_ISA {

// Numbers of both types: of all sizes, so that sums cancel, overflow and vanish, and some that are none.
class Draws {
 public:
  Word word() {
    state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
    return static_cast<Word>(state_ >> 16);
  }
  // Two of bfloat16, some exponents from the least on; every so many are any.
  Word pair(Word least, Word exponents) { return half(least, exponents) | half(least, exponents) << 16; }

 private:
  uint64_t state_ = 0x9e3779b97f4a7c15u;

  Word half(Word least, Word exponents) {
    const Word drawn = word();
    const bool any = (drawn >> 16) % 64 == 0;
    return any ? drawn & 0xffffu : (drawn & 0x807fu) | (least + (drawn >> 22) % exponents) << 7;
  }
};

// Room for the operands and the results of a check.
struct TileCheck {
  static constexpr int kWords = 3 * kTileSide, kStride = 2 * kWords + 3;
  Word a[kTileSide * kStride], panel[(kWords + kBehind) * kPanel<float>];
  float bias[kPanel<float>], c[2][kTileSide * kPanel<float>];
  Draws draws;

  template <class Kind>
  void draw(int64_t words) {
    const bool small = draws.word() % 3 == 0;  // products around the least normal number
    const Word least = small ? 60 + draws.word() % 4 : 120, exponents = small ? 3 : 12;
    for (Word& word : a) word = Kind::kStarts ? draws.pair(least, exponents) : draws.word();
    for (Word& word : panel) word = Kind::kStarts ? draws.pair(least, exponents) : draws.word();
    for (float& number : bias) number = static_cast<float>(draws.word() % 1000) / 100;
    for (int row = 0; row < kTileSide && !Kind::kStarts; ++row) {
      const float scale = 1.0f / 128;
      memcpy(a + row * kStride + 2 * words, &scale, sizeof scale);
    }
    for (int j = 0; j < kPanel<float> && !Kind::kStarts; ++j) {  // what int8.h has behind a panel
      const float scale = 1.0f / 64;
      memcpy(panel + words * kPanel<float> + j, &j, sizeof j);
      memcpy(panel + (words + 1) * kPanel<float> + j, &scale, sizeof scale);
    }
  }

  bool same() const {
    for (int i = 0; i < kTileSide * kPanel<float>; ++i) {
      if (c[0][i] != c[0][i] && c[1][i] != c[1][i]) continue;  // which number that is none, nobody reads
      if (memcmp(&c[0][i], &c[1][i], sizeof(float))) return false;
    }
    return true;
  }

  template <class Unit, class Kind>
  void multiply(int rows, int width, int64_t words, Start start, float* to) {
    DotArguments tile = {a, kStride, words, panel, kPanel<float>, bias, {}, width, start};
    for (int row = 0; row < kTileSide; ++row) tile.c[row] = to + row * kPanel<float>;
    for (int i = 0; i < kTileSide * kPanel<float>; ++i) to[i] = 0.25f;
    begin_tiles<Unit>();
    multiply_amx<Unit, Kind>(rows, tile);
    Unit::release();
  }

  template <class Unit, class Kind>
  bool agrees() {
    for (int64_t words = kTileSide; words <= kWords; words += kTileSide)
      for (int rows = 1; rows <= kTileSide; ++rows) {
        draw<Kind>(words);
        const int width = kPanel<float> - (rows % 3 ? 0 : rows % kLanes<float>);  // as wide as the panel is, or a little less
        for (int start = 0; start < 4; ++start) {
          multiply<Unit, Kind>(rows, width, words, static_cast<Start>(start), c[0]);
          multiply<EmulatedUnit, Kind>(rows, width, words, static_cast<Start>(start), c[1]);
          if (!same()) return false;
        }
      }
    return true;
  }

  // 0, or which instruction does something else.
  template <class Unit>
  int disagreement() {
    if (!agrees<Unit, AmxPairs>()) return 1;
    return agrees<Unit, AmxBytes<1>>() && agrees<Unit, AmxBytes<2>>() ? 0 : 2;
  }
};

// Linux gives tile registers to processes that ask for them, all threads alike. 0, or the number of an error.
inline int ask_for_tiles() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr int ask = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, and the part of the state that is large
  return syscall(SYS_arch_prctl, ask, tile_data) ? errno : 0;
#else
  return -1;
#endif
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
