// bfloat16 numbers side by side in words of 32 bits along k, the even one in the low half; matrices packed so.
//
// A panel holds word of k by word of k its columns, filled up with zeros where k ends within a word.
#pragma once

#include "pack.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

typedef uint32_t WordVector __attribute__((vector_size(kVectorBytes)));
typedef uint32_t UnalignedWordVector __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
typedef uint32_t Word __attribute__((may_alias));

constexpr Word kUpper = 0xffff0000u;

TIDEGATE_INLINE WordVector load_words(const Word* from) { return *reinterpret_cast<const UnalignedWordVector*>(from); }
TIDEGATE_INLINE void store_words(Word* to, WordVector words) { *reinterpret_cast<UnalignedWordVector*>(to) = words; }

// To nearest, ties to even: in the upper halves; the lower ones hold nothing.
TIDEGATE_INLINE WordVector round_up(Vector<float> value) {
  const WordVector word = (WordVector)value;
  return (WordVector)(value != value) & (word | 0x400000u) | (WordVector)(value == value) & (word + 0x7fffu + (word >> 16 & 1u));
}
TIDEGATE_INLINE WordVector paired(Vector<float> even, Vector<float> odd) {
  return round_up(even) >> 16 | (round_up(odd) & kUpper);
}
TIDEGATE_INLINE uint32_t paired(float even, float odd) {
  BFloat16 half[2];
  put(half, even), put(half + 1, odd);
  return half[0].bits | uint32_t{half[1].bits} << 16;
}

// The same of numbers that are bfloat16 already, seen as float32.
TIDEGATE_INLINE WordVector paired_halves(Vector<float> even, Vector<float> odd) {
  return (WordVector)even >> 16 | (WordVector)odd;
}
TIDEGATE_INLINE uint32_t paired(BFloat16 even, BFloat16 odd) { return even.bits | uint32_t{odd.bits} << 16; }
TIDEGATE_INLINE float widened(BFloat16 number) {
  const uint32_t word = uint32_t{number.bits} << 16;
  float value;
  memcpy(&value, &word, sizeof value);
  return value;
}
TIDEGATE_INLINE Vector<float> load(const BFloat16* from, int count) {
  BFloat16 some[kLanes<float>] = {};
  memcpy(some, from, count * sizeof *some);
  return load(some);
}

// What a matrix may be packed from: numbers that are rounded, or that have been.
template <class Source>
constexpr bool kRounded = false;
template <>
inline constexpr bool kRounded<BFloat16> = true;

// Entry (i, j) of the panel is from[i * stride + j].
template <class Source>
void pack_pairs_across(const Source* from, int64_t stride, int64_t k, int width, int64_t words, Word* to) {
  constexpr int lanes = kLanes<float>;
  for (int64_t i = 0; i < words; ++i)
    for (int j = 0; j < width; j += lanes, to += lanes) {
      const int count = width - j < lanes ? width - j : lanes;
      const Source* const own = from + 2 * i * stride + j;
      Vector<float> pair[2] = {};
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half)
        if (2 * i + half < k) pair[half] = count == lanes ? load(own + half * stride) : load(own + half * stride, count);
      store_words(to, kRounded<Source> ? paired_halves(pair[0], pair[1]) : paired(pair[0], pair[1]));
    }
}

#ifdef TIDEGATE_SHUFFLES
constexpr int kPairSide = 2 * Square<float>::kSide;  // numbers of a row of words

// A row of a square of words.
TIDEGATE_INLINE void take_halves(const BFloat16* from, BFloat16 (&to)[kPairSide]) { memcpy(to, from, sizeof to); }
TIDEGATE_INLINE void take_halves(const float* from, BFloat16 (&to)[kPairSide]) {
#pragma GCC unroll 4
  for (int i = 0; i < kPairSide; i += kLanes<float>) store(to + i, load(from + i));
}

// A square of words: eight columns, sixteen numbers of each.
template <class Source>
TIDEGATE_INLINE void pack_square_of_pairs(const Source* from, int64_t stride, Word* to, int full) {
  using S = Square<float>;
  S::Row row[S::kSide];
#pragma GCC unroll 8
  for (int c = 0; c < S::kSide; ++c) {
    BFloat16 halves[kPairSide];
    take_halves(from + c * stride, halves);
    memcpy(&row[c], halves, sizeof halves);
  }
  transpose(row);
#pragma GCC unroll 8
  for (int c = 0; c < S::kSide; ++c) memcpy(to + c * full, &row[c], sizeof row[c]);
}
#endif

// Entry (i, j) of the panel is from[j * stride + i].
template <class Source>
void pack_pairs_along(const Source* from, int64_t stride, int64_t k, int width, int64_t words, Word* to) {
  const int full = padded<float>(width);
  constexpr int side = Square<float>::kSide;
  for (int j = 0; j < full; j += side) {
    const int end = j + side < full ? j + side : full;
    int64_t i = 0;
#ifdef TIDEGATE_SHUFFLES
    if (j + side <= width)
      for (; 2 * i + kPairSide <= k; i += side) pack_square_of_pairs(from + j * stride + 2 * i, stride, to + i * full + j, full);
#endif
    for (; i < words; ++i)
      for (int c = j; c < end; ++c) {
        const Source* const pair = from + c * stride + 2 * i;
        to[i * full + c] = c < width && 2 * i < k ? paired(pair[0], 2 * i + 1 < k ? pair[1] : Source{}) : 0;
      }
  }
}

// Entry (i, j) of the panel is from[i * row + j * column], one of the two of which is 1.
template <class Source>
void pack_pairs(const Source* from, int64_t row, int64_t column, int64_t k, int width, int64_t words, Word* to) {
  if (column == 1)
    pack_pairs_across(from, row, k, width, words, to);
  else
    pack_pairs_along(from, column, k, width, words, to);
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
