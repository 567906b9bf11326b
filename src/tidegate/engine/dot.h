// Tiles of products of numbers with fewer bits: a few rows of words times a panel of words.
//
// Every kind of tile stands behind the same table of functions. It says how an operand must lie, since tiles differ in
// that alone: a panel is the same for all (words.h). Numbers are multiplied exactly and added in float32.
#pragma once

#include "words_stored.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

struct DotArguments {
  const Word* a;       // rows of the operand, as `round` of the table has written them
  ptrdiff_t a_stride;  // from row to row
  int64_t words;       // of k
  const Word* panel;
  int64_t panel_step;  // from row to row of the panel
  const float* bias;   // padded to whole vectors
  float* c[kMostDotRows];
  int width;  // of the result; the panel is padded to whole vectors
  Start start;
};

// One row times panels of several matrices, as in RowArguments.
struct DotRowArguments {
  const Word* a;
  int64_t words;
  const Word* panel[kRowPanels];
  const float* bias[kRowPanels];  // or null
  float* c[kRowPanels];
};

struct DotTiles {
  const char* name;
  int rows;      // of a tile, at most
  int numbers;   // of a word of a panel
  int multiple;  // k is filled up with zeros to so many words
  int behind;    // words of each column that lie behind a panel
  int operand_words, operand_behind;  // of a row of an operand: for each word of k, and behind all
  void (*pack)(const float* from, int64_t row, int64_t column, int64_t k, int width, int64_t words, Word* to);  // a panel
  void (*round)(const float* from, int64_t k, int64_t words, Word* to);                                        // a row
  void (*multiply)(int rows, const DotArguments& tile);
  void (*multiply_row)(int panels, int vectors, const DotRowArguments& row);  // whole vectors are written
  void (*multiply_stored)(const StoredArguments& few) = nullptr;  // null where a few rows are packed as well
  void (*begin)() = nullptr;  // if not null, what a thread does before its first product
  void (*end)() = nullptr;    // and behind its last one
  bool converts_pairs = false;  // whether the processor rounds two vectors at once
  void (*round_coarsely)(const float* from, int64_t k, int64_t words, Word* to) = nullptr;  // a row made of states, if others

  int64_t words(int64_t k) const { return (k + numbers * multiple - 1) / (numbers * multiple) * multiple; }
  int64_t panel_words(int64_t k) const { return words(k) + behind; }  // of each column
  int64_t operand_size(int64_t k) const { return words(k) * operand_words + operand_behind; }
};

// Whether rows of numbers that have the type of the matrix are what a tile reads.
inline bool are_words(const DotTiles& tiles, const BFloat16* from, int64_t stride, int64_t k) {
  const bool aligned = reinterpret_cast<uintptr_t>(from) % sizeof(Word) == 0 && stride % 2 == 0;
  return tiles.operand_words == 1 && aligned && 2 * tiles.words(k) == k;
}

// Else such a row is made of one.
inline void take_row(const DotTiles& tiles, const BFloat16* from, int64_t k, Word* to) {
  const int64_t words = tiles.words(k);
  if (tiles.operand_words == 1) {
    memcpy(to, from, k * sizeof *from);
    memset(reinterpret_cast<BFloat16*>(to) + k, 0, (2 * words - k) * sizeof *from);
    return;
  }
  constexpr int lanes = kLanes<float>;
  int64_t i = 0;
  for (; i + lanes <= k; i += lanes) store_words(to + i, (WordVector)load(from + i));
  for (; i < 2 * words; ++i) to[i] = i < k ? uint32_t{from[i].bits} << 16 : 0;
}

TIDEGATE_INLINE WordVector splat_word(const Word* from) { return *from - WordVector{}; }

// A mask would take a register, of which sixteen are just enough.
TIDEGATE_INLINE WordVector odd_numbers(WordVector words) {
  if (kRegisters == 32) return words & kUpper;
  WordVector even = words << 16;
#if defined(__SSE2__) && !defined(__AVX512VL__)
  __asm__("" : "+x"(even));
#endif
  return words ^ even >> 16;
}

// Float32 arithmetic: matrices take half the memory. Operands are kept as floats, which need not be taken apart.
struct PlainDot {
  static constexpr int kOperandWords = 2;  // of a word's numbers, one after the other
  static constexpr bool kConvertsPairs = false;

  template <int kVectors>
  struct Panel {
    Vector<float> of[kVectors];

    TIDEGATE_INLINE Panel(const Word* from, int half) {  // half by half: sixteen registers hold no more beside a tile
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const WordVector words = load_words(from + v * kLanes<float>);
        of[v] = (Vector<float>)(half ? odd_numbers(words) : words << 16);
      }
    }
  };

  template <int kVectors>
  TIDEGATE_INLINE static void add(Vector<float> (&sum)[kVectors], const Word* a, const Panel<kVectors>& panel) {
    const Vector<float> element = (Vector<float>)splat_word(a);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[v] += element * panel.of[v];
  }

  TIDEGATE_INLINE static WordVector pairs(Vector<float> even, Vector<float> odd) { return paired(even, odd); }

  static constexpr int kAlong = kLanes<float>;  // numbers of a row that are multiplied at once
  TIDEGATE_INLINE static WordVector along(const BFloat16* from) { return (WordVector)load(from); }
  TIDEGATE_INLINE static WordVector along(const float* from) { return round_up(load(from)) & kUpper; }
  TIDEGATE_INLINE static void add_along(Vector<float>& sum, WordVector a, WordVector row) {
    sum += (Vector<float>)a * (Vector<float>)row;
  }

  static void round(const float* from, int64_t k, int64_t words, Word* to) {
    constexpr int lanes = kLanes<float>;
    int64_t i = 0;
    for (; i + lanes <= k; i += lanes) store_words(to + i, round_up(load(from + i)) & kUpper);
    for (; i < 2 * words; ++i) to[i] = i < k ? paired(0.0f, from[i]) : 0;
  }
};

// gcc 10 brings an assembler that knows it. Written so, it needs no functions for processors of their own.
#if defined(__AVX512VL__) && (defined(__clang__) || __GNUC__ >= 10)
#define TIDEGATE_AVX512_BF16

struct Avx512Dot {
  static constexpr int kOperandWords = 1;
  static constexpr bool kConvertsPairs = true;

  template <int kVectors>
  struct Panel {
    WordVector of[kVectors];

    TIDEGATE_INLINE Panel(const Word* from, int) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) of[v] = load_words(from + v * kLanes<float>);
    }
  };

  template <int kVectors>
  TIDEGATE_INLINE static void add(Vector<float> (&sum)[kVectors], const Word* a, const Panel<kVectors>& panel) {
    const WordVector element = splat_word(a);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum[v]) : "v"(panel.of[v]), "v"(element));
  }

  // The same halves as `paired` makes, but for denormal ones, which a product takes as zeros in any case.
  TIDEGATE_INLINE static WordVector pairs(Vector<float> even, Vector<float> odd) {
    typedef uint16_t Halves __attribute__((vector_size(64)));
    Halves side_by_side, in_turns;
    __asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(side_by_side) : "v"(even), "v"(odd));
    const Halves turns = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __asm__("vpermw %1, %2, %0" : "=v"(in_turns) : "v"(side_by_side), "v"(turns));
    return (WordVector)in_turns;
  }

  static constexpr int kAlong = 2 * kLanes<float>;
  TIDEGATE_INLINE static WordVector along(const BFloat16* from) {
    WordVector words;
    memcpy(&words, from, sizeof words);
    return words;
  }
  TIDEGATE_INLINE static WordVector along(const float* from) {
    return (WordVector)pairs_of(load(from), load(from + kLanes<float>));
  }
  TIDEGATE_INLINE static void add_along(Vector<float>& sum, WordVector a, WordVector row) {
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(row), "v"(a));
  }

  static TIDEGATE_INLINE Vector<float> pairs_of(Vector<float> first, Vector<float> second) {
    Vector<float> pairs;
    __asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(pairs) : "v"(first), "v"(second));
    return pairs;
  }

  static void round(const float* from, int64_t k, int64_t words, Word* to) {
    constexpr int lanes = kLanes<float>;
    float* const pairs = reinterpret_cast<float*>(to);
    int64_t i = 0;
    for (; 2 * (i + lanes) <= k; i += lanes) store(pairs + i, pairs_of(load(from + 2 * i), load(from + 2 * i + lanes)));
    for (; i < words; i += lanes) {
      const int left = static_cast<int>(k - 2 * i < 0 ? 0 : k - 2 * i);
      const Vector<float> first = load(from + 2 * i, left < lanes ? left : lanes);
      const Vector<float> second = left > lanes ? load(from + 2 * i + lanes, left - lanes) : Vector<float>{};
      store(pairs + i, pairs_of(first, second), static_cast<int>(words - i < lanes ? words - i : lanes));
    }
  }
};
#endif

template <class Dot, int kRows, int kVectors>
void multiply_dot_tile(const DotArguments& tile) {
  constexpr int lanes = kLanes<float>;
  const int tail = tile.width - (kVectors - 1) * lanes;  // valid lanes of the last vector
  Vector<float> sum[kRows][kVectors];
  const Word* a[kRows];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
    a[row] = tile.a + row * tile.a_stride;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      sum[row][v] = Vector<float>{};
      if (tile.start == Start::kBias) sum[row][v] = load(tile.bias + v * lanes);
      if (tile.start == Start::kGoOn) sum[row][v] = load(tile.c[row] + v * lanes);  // whole vectors
      if (tile.start == Start::kAdd) __builtin_prefetch(tile.c[row] + v * lanes, 1);
    }
  }
  const Word* panel = tile.panel;
  for (int64_t i = 0; i < tile.words; ++i, panel += tile.panel_step) {
#pragma GCC unroll 2
    for (int half = 0; half < Dot::kOperandWords; ++half) {
      if (kRegisters == 16 && half) __asm__ volatile("" : : : "memory");  // nothing is loaded before a register is free
      const typename Dot::template Panel<kVectors> b(panel, half);
#pragma GCC unroll 8
      for (int row = 0; row < kRows; ++row) Dot::add(sum[row], a[row] + i * Dot::kOperandWords + half, b);
    }
  }
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      float* const to = tile.c[row] + v * lanes;
      const bool whole = v + 1 < kVectors || tail == lanes;
      if (tile.start == Start::kAdd) sum[row][v] += whole ? load(to) : load(to, tail);
      if (whole)
        store(to, sum[row][v]);
      else
        store(to, sum[row][v], tail);
    }
  }
}

template <class Dot, int kVectors>
TIDEGATE_INLINE void multiply_dot_rows(int rows, const DotArguments& tile) {
  constexpr void (*tiles[kTileRows])(const DotArguments&) = {
      multiply_dot_tile<Dot, 1, kVectors>, multiply_dot_tile<Dot, 2, kVectors>, multiply_dot_tile<Dot, 3, kVectors>,
      multiply_dot_tile<Dot, 4, kVectors>, multiply_dot_tile<Dot, 5, kVectors>, multiply_dot_tile<Dot, 6, kVectors>};
  tiles[rows - 1](tile);
}

template <class Dot>
void multiply_dot(int rows, const DotArguments& tile) {
  switch ((tile.width + kLanes<float> - 1) / kLanes<float>) {
    case 1:
      return multiply_dot_rows<Dot, 1>(rows, tile);
    case 2:
      return multiply_dot_rows<Dot, 2>(rows, tile);
#if defined(__AVX512VL__)
    case 3:
      return multiply_dot_rows<Dot, 3>(rows, tile);
    case 4:
      return multiply_dot_rows<Dot, 4>(rows, tile);
#endif
  }
}

template <class Dot, int kPanels, int kVectors>
void multiply_dot_panels(const DotRowArguments& row) {
  constexpr int lanes = kLanes<float>;
  Vector<float> sum[kPanels][kVectors];
#pragma GCC unroll 4
  for (int m = 0; m < kPanels; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[m][v] = row.bias[m] ? load(row.bias[m] + v * lanes) : Vector<float>{};
  const Word* a = row.a;
  for (int64_t i = 0; i < row.words; ++i, a += Dot::kOperandWords)
#pragma GCC unroll 4
    for (int m = 0; m < kPanels; ++m)
#pragma GCC unroll 2
      for (int half = 0; half < Dot::kOperandWords; ++half)
        Dot::add(sum[m], a + half, typename Dot::template Panel<kVectors>(row.panel[m] + i * kVectors * lanes, half));
#pragma GCC unroll 4
  for (int m = 0; m < kPanels; ++m)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(row.c[m] + v * lanes, sum[m][v]);
}

template <class Dot, int kVectors>
TIDEGATE_INLINE void multiply_dot_panels_of(int panels, const DotRowArguments& row) {
  constexpr void (*several[kRowPanels])(const DotRowArguments&) = {
      multiply_dot_panels<Dot, 1, kVectors>, multiply_dot_panels<Dot, 2, kVectors>,
      multiply_dot_panels<Dot, 3, kVectors>, multiply_dot_panels<Dot, 4, kVectors>};
  several[panels - 1](row);
}

template <class Dot>
void multiply_dot_row(int panels, int vectors, const DotRowArguments& row) {
  switch (vectors) {
    case 1:
      return multiply_dot_panels_of<Dot, 1>(panels, row);
    case 2:
      return multiply_dot_panels_of<Dot, 2>(panels, row);
#if defined(__AVX512VL__)
    case 3:
      return multiply_dot_panels_of<Dot, 3>(panels, row);
    case 4:
      return multiply_dot_panels_of<Dot, 4>(panels, row);
#endif
  }
}

template <class Dot>
constexpr DotTiles dot_tiles_of(const char* name) {
  return {name, kTileRows, 2, 1, 0, Dot::kOperandWords, 0, pack_pairs<float>, Dot::round, multiply_dot<Dot>, multiply_dot_row<Dot>,
          multiply_stored_dot<Dot>, nullptr, nullptr, Dot::kConvertsPairs};
}

constexpr DotTiles kDotTiles[] = {
    dot_tiles_of<PlainDot>("plain"),
#ifdef TIDEGATE_AVX512_BF16
    dot_tiles_of<Avx512Dot>("avx512_bf16"),
#endif
};

inline const DotTiles* dot_tiles __attribute__((visibility("hidden"))) = kDotTiles;  // chosen when the library is loaded

// The tiles of a type that is packed in words.
template <class P>
const DotTiles& tiles_of();
template <>
inline const DotTiles& tiles_of<BFloat16>() {
  return *dot_tiles;
}

// Rows of a tile of a product, at most.
template <class P>
TIDEGATE_INLINE int tile_rows() {
  if constexpr (kWords<P>)
    return tiles_of<P>().rows;
  else
    return kTileRows;
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
