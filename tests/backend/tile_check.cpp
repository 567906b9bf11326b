// The check of tile registers by units with a bug each, for test_tiles.py: it must find all of them and nothing else.
#include "../../src/tidegate/engine/tile_check.h"

#include <stdio.h>

using namespace tidegate;

static float value_of(Word word) {
  float value;
  memcpy(&value, &word, sizeof value);
  return value;
}

// Sums of even and of odd numbers run together, or denormal numbers are kept.
template <bool kTogether, bool kKeeps>
struct OtherSums : EmulatedUnit {
  static inline Word sums[kTileSide][kTileSide], a[kTileSide][kTileSide], b[kTileSide][kTileSide];
  template <int kSum, int kA, int kB>
  static void add_pairs() {
    EmulatedUnit::store<kSum>(sums, kTileSide);
    EmulatedUnit::store<kA>(a, kTileSide);
    EmulatedUnit::store<kB>(b, kTileSide);
    if (kKeeps) {
      add();
    } else {
      FlushDenormals flush;
      add();
    }
    EmulatedUnit::load<kSum>(sums, kTileSide);
  }
  __attribute__((noinline)) static void add() {
    for (int row = 0; row < kTileSide; ++row)
      for (int n = 0; n < kTileSide; ++n) {
        float before = value_of(sums[row][n]), apart[2] = {};
        for (int k = 0; k < kTileSide; ++k) {
          float &even = kTogether ? before : apart[0], &odd = kTogether ? before : apart[1];
          even = __builtin_fmaf(value_of(a[row][k] << 16), value_of(b[k][n] << 16), even);
          odd = __builtin_fmaf(value_of(a[row][k] & kUpper), value_of(b[k][n] & kUpper), odd);
        }
        const float all = kTogether ? before : before + (apart[0] + apart[1]);
        memcpy(&sums[row][n], &all, sizeof all);
      }
  }
};

// Bytes of the operand with a sign.
struct SignedBytes : EmulatedUnit {
  static inline Word registers[3][kTileSide][kTileSide];
  static inline TileShapes own;
  static void configure(const TileShapes& shapes) { own = shapes, EmulatedUnit::configure(shapes); }
  template <int kSum, int kA, int kB>
  static void add_bytes() {
    EmulatedUnit::store<kSum>(registers[0], kTileSide);
    EmulatedUnit::store<kA>(registers[1], kTileSide);
    EmulatedUnit::store<kB>(registers[2], kTileSide);
    for (int row = 0; row < own.rows[kSum]; ++row)
      for (int n = 0; n < own.bytes[kSum] / 4; ++n)
        for (int k = 0; k < kTileSide; ++k)
          for (int byte = 0; byte < 32; byte += 8)
            registers[0][row][n] += static_cast<int8_t>(registers[1][row][k] >> byte) * static_cast<int8_t>(registers[2][k][n] >> byte);
    EmulatedUnit::load<kSum>(registers[0], kTileSide);
  }
};

// Rows of a panel lie closer than it is told.
struct OtherStride : EmulatedUnit {
  template <int kTo>
  static void load(const void* from, ptrdiff_t stride) {
    EmulatedUnit::load<kTo>(from, kTo >= kPanelRegister && stride > kTileSide / 4 ? stride - 1 : stride);
  }
};

// Uses registers that nobody configured, or with operands of other shapes.
static void unconfigured() {
  EmulatedUnit::release();
  EmulatedUnit::zero<0>();
}
static void misshaped() {
  TileShapes shapes = {};
  shapes.palette = 1;
  for (int r = 0; r < 3; ++r) shapes.rows[r] = 16, shapes.bytes[r] = r ? 64 : 32;
  EmulatedUnit::configure(shapes);
  EmulatedUnit::add_pairs<0, 1, 2>();
}

template <class Unit>
static int found() {
  static TileCheck check;
  check.draws = {};
  return check.disagreement<Unit>();
}

// vdpbf16ps: two roundings a word, that of the odd numbers first; denormal numbers are zeros, whatever the control
// register says. Returns how many sums of tiles of all shapes have other bits.
static int wrong_sums() {
  int wrong = 0;
#ifdef TIDEGATE_AVX512_BF16
  if (!__builtin_cpu_supports("avx512bf16")) return -1;
  static TileCheck check;
  static float c[kTileSide * kPanel<float>];
  for (int round = 0; round < 60; ++round) {
    const int rows = 1 + round % kTileRows, words = 1 + round % TileCheck::kWords;
    check.draw<AmxPairs>(words);
    DotArguments tile = {check.a, TileCheck::kStride, words, check.panel, kPanel<float>, check.bias, {}, kPanel<float>, Start::kBias};
    for (int row = 0; row < rows; ++row) tile.c[row] = c + row * kPanel<float>;
    multiply_dot<Avx512Dot>(rows, tile);
    FlushDenormals flush;
    for (int row = 0; row < rows; ++row)
      for (int n = 0; n < kPanel<float>; ++n) {
        float sum = check.bias[n];
        for (int i = 0; i < words; ++i) {
          const Word a = check.a[row * TileCheck::kStride + i], b = check.panel[i * kPanel<float> + n];
          sum = __builtin_fmaf(value_of(a & kUpper), value_of(b & kUpper), sum);
          sum = __builtin_fmaf(value_of(a << 16), value_of(b << 16), sum);
        }
        const float found = tile.c[row][n];
        wrong += (sum == sum || found == found) && memcmp(&sum, &found, sizeof sum);
      }
  }
#else
  wrong = -1;
#endif
  return wrong;
}

int main(int count, char** words) {
  if (count > 1) strcmp(words[1], "unconfigured") ? misshaped() : unconfigured();
  printf("%d\n", wrong_sums());
  printf("%d %d | %d %d %d %d\n", found<EmulatedUnit>(), found<OtherSums<false, false>>(), found<OtherSums<true, false>>(),
         found<OtherSums<false, true>>(), found<SignedBytes>(), found<OtherStride>());
}
