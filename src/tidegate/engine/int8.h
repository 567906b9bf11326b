// Matrices of whole numbers: eight bits for each number, and a scale for each row of a weight.
//
// M v with M[j][i] near scale[j] w[j][i], -127 <= w <= 127, and v[i] near unit q[i]. The unit is that of a row at a step, so
// that nothing need be known of what comes. What comes from outside may have any range: it keeps 16 bits, -32768 <= q <=
// 32767, and its unit is the least power of two that has room for it. What states are made of keeps 8 bits, -127 <= q <=
// 127. Instructions multiply what has no sign by what has one; so a row holds the upper and the lower bytes of q + 32768,
// or the bytes of q + 128, and of each there is a sum of products, which is exact:
//
//   M v = scale[j] unit (256 (sum of upper w - 128 sum of w) + sum of lower w),  or  scale[j] unit (sum of bytes w - 128 sum of w)
#pragma once

#include "dot.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

typedef int32_t WholeVector __attribute__((vector_size(kVectorBytes)));

constexpr int kBytes = 4;       // of a word
constexpr int kBehind = 2;      // words of each column behind a panel: 128 times its sum, and its scale
constexpr int kInt8Rows = 15;   // that read a panel while the first-level cache holds it
constexpr int kOperandBehind = 2;  // words of a row of an operand behind its bytes: its unit, and how many bytes a number has
constexpr float kLargest = 127;    // of eight bits

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

// The bits of the largest size of some numbers; sizes are in order of their bits, and no number is the largest.
TIDEGATE_INLINE uint32_t largest_of(const float* from, int64_t k) {
  constexpr int lanes = kLanes<float>;
  const int64_t whole = k / lanes * lanes;
  WordVector most_of = {};
  if (whole < k) most_of = (WordVector)load(from + whole, static_cast<int>(k - whole)) & 0x7fffffffu;
  for (int64_t i = 0; i < whole; i += lanes) {
    const WordVector size = (WordVector)load(from + i) & 0x7fffffffu;
    most_of = size > most_of ? size : most_of;
  }
  uint32_t most = 0;
#pragma GCC unroll 16
  for (int lane = 0; lane < lanes; ++lane) most = most_of[lane] > most ? most_of[lane] : most;
  return most;
}

constexpr uint32_t kInfinite = 0x7f800000u, kNoNumber = 0x7fc00000u;
constexpr uint32_t kLeast = 15u << 23;  // smaller numbers are zeros: units and what is divided by them are normal numbers

TIDEGATE_INLINE void put_unit(uint32_t bits, uint32_t bytes, int64_t words, Word* to) {
  to[2 * words] = bits, to[2 * words + 1] = bytes;
}

// A row of an operand in 16 bits; its unit is NaN if one of its numbers is none or infinite.
inline void round_to_bytes(const float* from, int64_t k, int64_t words, Word* to) {
  constexpr int lanes = kLanes<float>;
  const uint32_t most = largest_of(from, k), exponent = (most < kLeast ? kLeast : most) >> 23, up = (268 - exponent) << 23;
  put_unit(most < kInfinite ? (exponent - 14) << 23 : kNoNumber, 2, words, to);
  if (most >= kInfinite) return static_cast<void>(memset(to, 0, 2 * words * sizeof(Word)));
  float scale;
  memcpy(&scale, &up, sizeof scale);
  uint8_t *upper = reinterpret_cast<uint8_t*>(to), *lower = reinterpret_cast<uint8_t*>(to + words);
  int64_t i = 0;
  for (; i + lanes <= k; i += lanes) put_bytes(load(from + i) * scale, upper + i, lower + i, lanes);
  const int rest = static_cast<int>(k - i);
  if (rest) put_bytes(load(from + i, rest) * scale, upper + i, lower + i, (rest + kBytes - 1) / kBytes * kBytes);
}

// A product that no compiler may take together with what is added to it: all machines round it.
TIDEGATE_INLINE Vector<float> settled(Vector<float> product) {
#if defined(__AVX512VL__)
  __asm__("" : "+v"(product));
#elif defined(__SSE2__)
  __asm__("" : "+x"(product));
#else
  volatile Vector<float> kept = product;
  product = kept;
#endif
  return product;
}

TIDEGATE_INLINE void put_byte(Vector<float> units, uint8_t* to, int count) {
  typedef uint8_t Bytes __attribute__((vector_size(kLanes<float>)));
  const Bytes bytes = __builtin_convertvector((WordVector)(settled(units) + kShift) - 0x4b3fff80u, Bytes);  // 128 is added
  memcpy(to, &bytes, count);
}

// The same in 8 bits.
inline void round_to_one_byte(const float* from, int64_t k, int64_t words, Word* to) {
  constexpr int lanes = kLanes<float>;
  const uint32_t most = largest_of(from, k);
  float largest;
  memcpy(&largest, &most, sizeof largest);
  const float unit = largest / kLargest, scale = most < kLeast ? 0.0f : kLargest / largest;
  uint32_t bits;
  memcpy(&bits, &unit, sizeof bits);
  put_unit(most >= kInfinite ? kNoNumber : bits, 1, words, to);
  if (most >= kInfinite) return static_cast<void>(memset(to, 0, words * sizeof(Word)));
  uint8_t* const bytes = reinterpret_cast<uint8_t*>(to);
  int64_t i = 0;
  for (; i + lanes <= k; i += lanes) put_byte(load(from + i) * scale, bytes + i, lanes);
  const int rest = static_cast<int>(k - i);
  if (rest) put_byte(load(from + i, rest) * scale, bytes + i, (rest + kBytes - 1) / kBytes * kBytes);
}

// Instructions that both know: pairs of sixteen bits are multiplied, and their products added.
struct PlainWhole {
  static constexpr int kMostSums = kRegisters == 32 ? 4 : 2;  // of rows and their bytes, in registers at a time

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
  static constexpr int kMostSums = 6;

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

// What the sums of a row say, added to what is there; `behind` is what lies behind the panel.
template <int kParts, int kVectors>
TIDEGATE_INLINE void scale_sums(const WholeVector (&sum)[kParts][kVectors], const Word* behind, int64_t full, const Word* unit,
                                Vector<float>* result) {
  float scale;
  memcpy(&scale, unit, sizeof scale);
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    const Word* const own = behind + v * kLanes<float>;
    Vector<float> units = __builtin_convertvector(sum[0][v] - (WholeVector)load_words(own), Vector<float>);
    if (kParts == 2) units = units * 256.0f + __builtin_convertvector(sum[kParts - 1][v], Vector<float>);
    result[v] += units * ((Vector<float>)load_words(own + full) * scale);
  }
}

template <class Whole, int kParts, int kRows, int kVectors>
void multiply_whole_rows(const DotArguments& tile, int first) {
  constexpr int lanes = kLanes<float>;
  WholeVector sum[kRows][kParts][kVectors] = {};
  const Word* a[kRows];
#pragma GCC unroll 6
  for (int row = 0; row < kRows; ++row) a[row] = tile.a + (first + row) * tile.a_stride;
  const Word* panel = tile.panel;
  for (int64_t i = 0; i < tile.words; ++i, panel += tile.panel_step) {
    const typename Whole::template Panel<kVectors> b(panel);
#pragma GCC unroll 6
    for (int row = 0; row < kRows; ++row)
#pragma GCC unroll 2
      for (int part = 0; part < kParts; ++part) Whole::add(sum[row][part], a[row] + part * tile.words + i, b);
  }
  const int tail = tile.width - (kVectors - 1) * lanes;  // valid lanes of the last vector
#pragma GCC unroll 6
  for (int row = 0; row < kRows; ++row) {
    float* const to = tile.c[first + row];
    Vector<float> result[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      result[v] = Vector<float>{};
      const bool whole = tile.start == Start::kGoOn || v + 1 < kVectors || tail == lanes;
      if (tile.start == Start::kBias) result[v] = load(tile.bias + v * lanes);
      if (tile.start == Start::kGoOn || tile.start == Start::kAdd)
        result[v] = whole ? load(to + v * lanes) : load(to + v * lanes, tail);
    }
    scale_sums<kParts, kVectors>(sum[row], panel, tile.panel_step, a[row] + 2 * tile.words, result);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      if (v + 1 < kVectors || tail == lanes)
        store(to + v * lanes, result[v]);
      else
        store(to + v * lanes, result[v], tail);
  }
}

template <class Whole, int kParts, int kVectors>
TIDEGATE_INLINE void multiply_whole_by(int rows, const DotArguments& tile) {
  constexpr int most = Whole::kMostSums / kParts;
  constexpr void (*several[6])(const DotArguments&, int) = {
      multiply_whole_rows<Whole, kParts, 1, kVectors>,
      multiply_whole_rows<Whole, kParts, most < 2 ? most : 2, kVectors>,
      multiply_whole_rows<Whole, kParts, most < 3 ? most : 3, kVectors>,
      multiply_whole_rows<Whole, kParts, most < 4 ? most : 4, kVectors>,
      multiply_whole_rows<Whole, kParts, most < 5 ? most : 5, kVectors>,
      multiply_whole_rows<Whole, kParts, most, kVectors>};
  const int parts = (rows + most - 1) / most;
  for (int part = 0; part < parts; ++part) {
    const int first = rows * part / parts;
    several[rows * (part + 1) / parts - first - 1](tile, first);
  }
}

// How many bytes a number of an operand has: the same for all of its rows.
TIDEGATE_INLINE bool has_one_byte(const Word* a, int64_t words) { return a[2 * words + 1] == 1; }

template <class Whole, int kVectors>
TIDEGATE_INLINE void multiply_whole_of(int rows, const DotArguments& tile) {
  if (has_one_byte(tile.a, tile.words)) return multiply_whole_by<Whole, 1, kVectors>(rows, tile);
  multiply_whole_by<Whole, 2, kVectors>(rows, tile);
}

template <class Whole>
void multiply_whole(int rows, const DotArguments& tile) {
  switch ((tile.width + kLanes<float> - 1) / kLanes<float>) {
    case 1:
      return multiply_whole_of<Whole, 1>(rows, tile);
    case 2:
      return multiply_whole_of<Whole, 2>(rows, tile);
#if defined(__AVX512VL__)
    case 3:
      return multiply_whole_of<Whole, 3>(rows, tile);
    case 4:
      return multiply_whole_of<Whole, 4>(rows, tile);
#endif
  }
}

template <class Whole, int kParts, int kPanels, int kVectors>
void multiply_whole_panels(const DotRowArguments& row, int first) {
  constexpr int lanes = kLanes<float>, full = kVectors * lanes;
  WholeVector sum[kPanels][kParts][kVectors] = {};
  for (int64_t i = 0; i < row.words; ++i)
#pragma GCC unroll 2
    for (int m = 0; m < kPanels; ++m) {
      const typename Whole::template Panel<kVectors> b(row.panel[first + m] + i * full);
#pragma GCC unroll 2
      for (int part = 0; part < kParts; ++part) Whole::add(sum[m][part], row.a + part * row.words + i, b);
    }
#pragma GCC unroll 2
  for (int m = 0; m < kPanels; ++m) {
    Vector<float> result[kVectors];
    const float* const bias = row.bias[first + m];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) result[v] = bias ? load(bias + v * lanes) : Vector<float>{};
    scale_sums<kParts, kVectors>(sum[m], row.panel[first + m] + row.words * full, full, row.a + 2 * row.words, result);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(row.c[first + m] + v * lanes, result[v]);
  }
}

template <class Whole, int kParts, int kVectors>
TIDEGATE_INLINE void multiply_whole_panels_by(int panels, const DotRowArguments& row) {
  int first = 0;
  for (; first + 2 <= panels; first += 2) multiply_whole_panels<Whole, kParts, 2, kVectors>(row, first);
  if (first < panels) multiply_whole_panels<Whole, kParts, 1, kVectors>(row, first);
}

template <class Whole, int kVectors>
TIDEGATE_INLINE void multiply_whole_panels_of(int panels, const DotRowArguments& row) {
  if (has_one_byte(row.a, row.words)) return multiply_whole_panels_by<Whole, 1, kVectors>(panels, row);
  multiply_whole_panels_by<Whole, 2, kVectors>(panels, row);
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
  return {name, kInt8Rows, kBytes, 1, kBehind, 2, kOperandBehind, pack_bytes, round_to_bytes, multiply_whole<Whole>, multiply_whole_row<Whole>,
          nullptr, nullptr, nullptr, false, round_to_one_byte};
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
