// Matrices of whole numbers: eight bits for each number, and a scale for each row of a weight.
//
// M v with M[j][i] near scale[j] w[j][i], -127 <= w <= 127, and v[i] near 2^-e q[i], -32768 <= q <= 32767. An operand has
// bytes of its own, the upper and the lower ones of q + 32768, since instructions multiply what has no sign by what has
// one. So of each row there are two sums of products, and both are exact:
//
//   M v = scale[j] 2^-e (256 (sum of upper w - 128 sum of w) + sum of lower w)
//
// 2^-e is that of a row at a step, the least that has room for it, so that nothing need be known of what comes.
#pragma once

#include "dot.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

typedef int32_t WholeVector __attribute__((vector_size(kVectorBytes)));

constexpr int kBytes = 4;       // of a word
constexpr int kBehind = 2;        // words of each column behind a panel: 128 times its sum, and its scale
constexpr int kInt8Rows = 15;   // that read a panel while the first-level cache holds it
constexpr float kLargest = 127;  // a weight

// Numbers to whole numbers, to nearest, ties to even, below 2^22; in two steps, which no compiler may take as one.
constexpr float kShift = 12582912.0f;  // 1.5 * 2^23

// Entry (i, j) of the panel is from[i * row + j * column]; a column with a number that is none has the scale NaN.
inline void pack_bytes(const float* from, int64_t row, int64_t column, int64_t k, int width, int64_t words, Word* to) {
  const int full = padded<float>(width);
  memset(to, 0, (words + kBehind) * full * sizeof(Word));
  int8_t* const bytes = reinterpret_cast<int8_t*>(to);
  for (int j = 0; j < width; ++j) {
    const float* const own = from + j * column;
    float most = 0;
    for (int64_t i = 0; i < k; ++i) most = maximum(most, own[i * row] < 0 ? -own[i * row] : own[i * row]);
    const float scale = most - most == 0 ? most / kLargest : most - most;
    int32_t sum = 0;
    for (int64_t i = 0; scale > 0 && i < k; ++i) {
      const float shifted = own[i * row] / scale + kShift;
      const int32_t whole = static_cast<int32_t>(shifted - kShift);
      bytes[(i / kBytes * full + j) * kBytes + i % kBytes] = static_cast<int8_t>(whole);
      sum += whole;
    }
    sum *= 128;
    memcpy(to + words * full + j, &sum, sizeof sum);
    memcpy(to + (words + 1) * full + j, &scale, sizeof scale);
  }
}

// Numbers in units of the operand to their bytes, of which so many are written.
TIDEGATE_INLINE void put_bytes(Vector<float> units, uint8_t* upper, uint8_t* lower, int count) {
  typedef uint8_t Bytes __attribute__((vector_size(kLanes<float>)));
  WordVector whole = (WordVector)(units + kShift) - 0x4b3f8000u;  // the shift is taken off, and 32768 added
  whole = whole > 65535u ? WordVector{} + 65535u : whole;
  const Bytes high = __builtin_convertvector(whole >> 8, Bytes), low = __builtin_convertvector(whole & 255u, Bytes);
  memcpy(upper, &high, count);
  memcpy(lower, &low, count);
}

// A row of an operand: upper bytes, lower bytes, 2^-e; NaN if one of its numbers is none or infinite.
inline void round_to_bytes(const float* from, int64_t k, int64_t words, Word* to) {
  constexpr int lanes = kLanes<float>;
  const int64_t whole = k / lanes * lanes;
  const Vector<float> rest = whole < k ? load(from + whole, static_cast<int>(k - whole)) : Vector<float>{};
  WordVector most_of = (WordVector)rest & 0x7fffffffu;
  for (int64_t i = 0; i < whole; i += lanes) {
    const WordVector size = (WordVector)load(from + i) & 0x7fffffffu;  // numbers without sign are in order, NaN last
    most_of = size > most_of ? size : most_of;
  }
  uint32_t most = 0;
#pragma GCC unroll 16
  for (int lane = 0; lane < lanes; ++lane) most = most_of[lane] > most ? most_of[lane] : most;
  const bool finite = most < 0x7f800000u;
  const uint32_t exponent = most >> 23 < 15 ? 15 : most >> 23;  // of the largest, so that both scales are normal numbers
  const uint32_t up = (268 - exponent) << 23, down = finite ? (exponent - 14) << 23 : 0x7fc00000u;
  float scale;
  memcpy(&scale, &up, sizeof scale);
  memcpy(to + 2 * words, &down, sizeof down);
  if (!finite) return static_cast<void>(memset(to, 0, 2 * words * sizeof(Word)));
  uint8_t *upper = reinterpret_cast<uint8_t*>(to), *lower = reinterpret_cast<uint8_t*>(to + words);
  for (int64_t i = 0; i < whole; i += lanes) put_bytes(load(from + i) * scale, upper + i, lower + i, lanes);
  if (whole < k) put_bytes(rest * scale, upper + whole, lower + whole, static_cast<int>(k - whole + kBytes - 1) / kBytes * kBytes);
}

// Instructions that both know: pairs of sixteen bits are multiplied, and their products added.
struct PlainWhole {
  static constexpr int kMostRows = kRegisters == 32 ? 2 : 1;  // that a tile multiplies at a time

  template <int kVectors>
  struct Panel {
    WordVector even[kVectors], odd[kVectors];

    TIDEGATE_INLINE explicit Panel(const Word* from) {
      typedef int16_t Halves __attribute__((vector_size(kVectorBytes)));
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const WordVector words = load_words(from + v * kLanes<float>);
        even[v] = (WordVector)((Halves)((Halves)words << 8) >> 8);
        odd[v] = (WordVector)((Halves)words >> 8);
      }
    }
  };

  template <int kVectors>
  TIDEGATE_INLINE static void add(WholeVector (&sum)[kVectors], const Word* a, const Panel<kVectors>& panel) {
    const WordVector word = splat_word(a), even = word & 0x00ff00ffu, odd = word >> 8 & 0x00ff00ffu;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[v] += multiply_pairs(panel.even[v], even) + multiply_pairs(panel.odd[v], odd);
  }

  TIDEGATE_INLINE static WholeVector multiply_pairs(WordVector a, WordVector b) {
#if defined(__AVX512VL__)
    return (WholeVector)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (WholeVector)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (WholeVector)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
    const WholeVector c = (WholeVector)a, d = (WholeVector)b;
    return (c << 16 >> 16) * (d << 16 >> 16) + (c >> 16) * (d >> 16);
#endif
  }
};

// gcc 11 brings an assembler that knows both forms.
#if defined(__AVX2__) && (defined(__clang__) || __GNUC__ >= 11)
#define TIDEGATE_VNNI

#if defined(__AVX512VL__)
#define TIDEGATE_DOT_BYTES "vpdpbusd"
#else
#define TIDEGATE_DOT_BYTES "%{vex%} vpdpbusd"
#endif

struct VnniWhole {
  static constexpr int kMostRows = 3;

  template <int kVectors>
  struct Panel {
    WordVector of[kVectors];

    TIDEGATE_INLINE explicit Panel(const Word* from) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) of[v] = load_words(from + v * kLanes<float>);
    }
  };

  template <int kVectors>
  TIDEGATE_INLINE static void add(WholeVector (&sum)[kVectors], const Word* a, const Panel<kVectors>& panel) {
    const WordVector word = splat_word(a);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) __asm__(TIDEGATE_DOT_BYTES " %2, %1, %0" : "+v"(sum[v]) : "v"(word), "v"(panel.of[v]));
  }
};
#endif

// What two sums say, in units of the operand; `behind` is what lies behind the panel.
template <int kVectors>
TIDEGATE_INLINE void scale_sums(const WholeVector* upper, const WholeVector* lower, const Word* behind, int full, const Word* down,
                                Vector<float>* result) {
  float scale;
  memcpy(&scale, down, sizeof scale);
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    const Word* const own = behind + v * kLanes<float>;
    const WholeVector high = upper[v] - (WholeVector)load_words(own);
    const Vector<float> units = __builtin_convertvector(high, Vector<float>) * 256.0f + __builtin_convertvector(lower[v], Vector<float>);
    result[v] += units * ((Vector<float>)load_words(own + full) * scale);
  }
}

template <class Whole, int kRows, int kVectors>
void multiply_whole_rows(const DotArguments& tile, int first, int64_t ahead) {
  constexpr int lanes = kLanes<float>;
  WholeVector upper[kRows][kVectors] = {}, lower[kRows][kVectors] = {};
  const Word* a[kRows];
#pragma GCC unroll 3
  for (int row = 0; row < kRows; ++row) a[row] = tile.a + (first + row) * tile.a_stride;
  const Word* panel = tile.panel;
  for (int64_t i = 0; i < tile.words; ++i, panel += tile.panel_step) {
    const typename Whole::template Panel<kVectors> b(panel);
    __builtin_prefetch(panel + ahead);
#pragma GCC unroll 3
    for (int row = 0; row < kRows; ++row) {
      Whole::add(upper[row], a[row] + i, b);
      Whole::add(lower[row], a[row] + tile.words + i, b);
    }
  }
  const int tail = tile.width - (kVectors - 1) * lanes;  // valid lanes of the last vector
#pragma GCC unroll 3
  for (int row = 0; row < kRows; ++row) {
    float* const to = tile.c[first + row];
    Vector<float> sum[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      sum[v] = Vector<float>{};
      const bool whole = tile.start == Start::kGoOn || v + 1 < kVectors || tail == lanes;
      if (tile.start == Start::kBias) sum[v] = load(tile.bias + v * lanes);
      if (tile.start == Start::kGoOn || tile.start == Start::kAdd) sum[v] = whole ? load(to + v * lanes) : load(to + v * lanes, tail);
    }
    scale_sums<kVectors>(upper[row], lower[row], panel, static_cast<int>(tile.panel_step), a[row] + 2 * tile.words, sum);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      if (v + 1 < kVectors || tail == lanes)
        store(to + v * lanes, sum[v]);
      else
        store(to + v * lanes, sum[v], tail);
  }
}

template <class Whole, int kVectors>
TIDEGATE_INLINE void multiply_whole_by(int rows, const DotArguments& tile) {
  constexpr void (*several[3])(const DotArguments&, int, int64_t) = {
      multiply_whole_rows<Whole, 1, kVectors>, multiply_whole_rows<Whole, Whole::kMostRows < 2 ? 1 : 2, kVectors>,
      multiply_whole_rows<Whole, Whole::kMostRows, kVectors>};
  const int parts = (rows + Whole::kMostRows - 1) / Whole::kMostRows;
  for (int part = 0; part < parts; ++part) {
    const int first = rows * part / parts;
    several[rows * (part + 1) / parts - first - 1](tile, first, (tile.words + kBehind) * tile.panel_step + (part % 4) * 16);
  }
}

template <class Whole>
void multiply_whole(int rows, const DotArguments& tile) {
  switch ((tile.width + kLanes<float> - 1) / kLanes<float>) {
    case 1:
      return multiply_whole_by<Whole, 1>(rows, tile);
    case 2:
      return multiply_whole_by<Whole, 2>(rows, tile);
#if defined(__AVX512VL__)
    case 3:
      return multiply_whole_by<Whole, 3>(rows, tile);
    case 4:
      return multiply_whole_by<Whole, 4>(rows, tile);
#endif
  }
}

template <class Whole, int kPanels, int kVectors>
void multiply_whole_panels(const DotRowArguments& row, int first) {
  constexpr int lanes = kLanes<float>, full = kVectors * lanes;
  WholeVector upper[kPanels][kVectors] = {}, lower[kPanels][kVectors] = {};
  for (int64_t i = 0; i < row.words; ++i)
#pragma GCC unroll 2
    for (int m = 0; m < kPanels; ++m) {
      const typename Whole::template Panel<kVectors> b(row.panel[first + m] + i * full);
      Whole::add(upper[m], row.a + i, b);
      Whole::add(lower[m], row.a + row.words + i, b);
    }
#pragma GCC unroll 2
  for (int m = 0; m < kPanels; ++m) {
    Vector<float> sum[kVectors];
    const float* const bias = row.bias[first + m];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[v] = bias ? load(bias + v * lanes) : Vector<float>{};
    scale_sums<kVectors>(upper[m], lower[m], row.panel[first + m] + row.words * full, full, row.a + 2 * row.words, sum);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(row.c[first + m] + v * lanes, sum[v]);
  }
}

template <class Whole, int kVectors>
TIDEGATE_INLINE void multiply_whole_panels_of(int panels, const DotRowArguments& row) {
  int first = 0;
  for (; first + 2 <= panels; first += 2) multiply_whole_panels<Whole, 2, kVectors>(row, first);
  if (first < panels) multiply_whole_panels<Whole, 1, kVectors>(row, first);
}

template <class Whole>
void multiply_whole_row(int panels, int vectors, const DotRowArguments& row) {
  switch (vectors) {
    case 1:
      return multiply_whole_panels_of<Whole, 1>(panels, row);
    case 2:
      return multiply_whole_panels_of<Whole, 2>(panels, row);
#if defined(__AVX512VL__)
    case 3:
      return multiply_whole_panels_of<Whole, 3>(panels, row);
    case 4:
      return multiply_whole_panels_of<Whole, 4>(panels, row);
#endif
  }
}

template <class Whole>
constexpr DotTiles int8_tiles_of(const char* name) {
  return {name, kInt8Rows, kBytes, 1, kBehind, 2, 1, pack_bytes, round_to_bytes, multiply_whole<Whole>, multiply_whole_row<Whole>,
          nullptr};
}

constexpr DotTiles kInt8Tiles[] = {
    int8_tiles_of<PlainWhole>("plain_int8"),
#ifdef TIDEGATE_VNNI
    int8_tiles_of<VnniWhole>(kLanes<float> == 16 ? "avx512_vnni" : "avx_vnni"),
#endif
};

inline const DotTiles* int8_tiles __attribute__((visibility("hidden"))) = kInt8Tiles;  // chosen when the library is loaded

template <>
inline const DotTiles& tiles_of<Int8>() {
  return *int8_tiles;
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
