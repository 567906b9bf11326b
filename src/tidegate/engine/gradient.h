// Products over all steps: the gradients of matrices, and sums over rows.
#pragma once

#include "dot.h"
#include "pack.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

constexpr int64_t kGradientBlock = 16 * kTileRows;  // rows of the gradient whose adjoints are packed together

// What a gradient reads of its two factors, where matrices are of type P: the same numbers as products with them do.
template <class T, class P>
struct Factors {
  static constexpr bool kPaired = false;  // whether a tile may multiply two rows at a time, as words
  static TIDEGATE_INLINE Vector<T> operand(Vector<T> value) { return value; }
  static void round_adjoints(T*, int64_t) {}
};
template <>
struct Factors<float, BFloat16> {
  static constexpr bool kPaired = true;
  static TIDEGATE_INLINE Vector<float> operand(Vector<float> value) { return (Vector<float>)(round_up(value) & kUpper); }
  static void round_adjoints(float* adjoints, int64_t count) {  // whole vectors
    for (int64_t i = 0; i < count; i += kLanes<float>)
      store(adjoints + i, operand(load(adjoints + i)));
  }
};

template <>
struct Factors<float, Float16> {
  static constexpr bool kPaired = false;
  static TIDEGATE_INLINE Vector<float> operand(Vector<float> value) { return rounded_to<Float16>(value); }
  static void round_adjoints(float*, int64_t) {}
};

// Row `row` of the operand [rows, columns], into the panels of a packed matrix with k = rows.
template <class T, class P = T>
void pack_operand_row(const T* from, int64_t columns, int64_t rows, int64_t row, T* to) {
  for (int64_t column = 0; column < columns; column += kPanel<T>) {
    const int width = static_cast<int>(columns - column < kPanel<T> ? columns - column : kPanel<T>);
    const int full = padded<T>(width);
    T* panel = to + column * rows + row * full;
    int j = 0;
    if (from)
      for (; j + kLanes<T> <= width; j += kLanes<T>)
        store(panel + j, Factors<T, P>::operand(load(from + column + j)));
    for (; j < full; j += kLanes<T>)
      store(panel + j, from ? Factors<T, P>::operand(load(from + column + j, width - j)) : Vector<T>{});
  }
}

// Adjoints in the order in which the kernel reads them, [group of kTileRows][i][row], and room between the groups: whole
// vectors are written, and the next one puts right what they wrote too much.
template <class T>
TIDEGATE_INLINE int64_t group_size(int64_t rows) {
  return rows * kTileRows + kLanes<T>;
}
template <class T>
TIDEGATE_INLINE int64_t adjoints_size(int64_t rows) {
  return kGradientBlock / kTileRows * group_size<T>(rows);
}
template <class T>
void pack_adjoints(const T* from, int64_t stride, int64_t count, int64_t rows, T* to) {
  using S = Square<T>;
  constexpr int squares = (kTileRows + S::kSide - 1) / S::kSide;
  for (int64_t i = 0; i < rows; ++i, from += stride)
    for (int64_t group = 0; group * kTileRows < count; ++group) {
      T* const row = to + group * group_size<T>(rows) + i * kTileRows;
      for (int s = 0; s < squares; ++s)
        *reinterpret_cast<typename S::Unaligned*>(row + s * S::kSide) =
            *reinterpret_cast<const typename S::Unaligned*>(from + group * kTileRows + s * S::kSide);
    }
}

// The sums over i of adjoint[i][r] * operand[i][:], for r from `low` to `high`, tile by tile: each(tile, count, r, column)
// says where `count` rows of sums from r on, at most a panel of columns wide, go to, and multiplies.
template <class T, class P = T, class Each>
void tiles_over_rows(const T* adjoint, int64_t stride, int64_t low, int64_t high, int64_t rows, const T* operand,
                     int64_t columns, T* packed, const Each& each) {
  TileArguments<T> tile;
  tile.step = kTileRows;
  tile.k = rows;
  tile.index = nullptr;
  tile.bias = nullptr;
  for (int64_t block = low; block < high; block += kGradientBlock) {
    const int64_t end = high - block < kGradientBlock ? high : block + kGradientBlock;
    pack_adjoints(adjoint + block, stride, end - block, rows, packed);
    Factors<T, P>::round_adjoints(packed, (end - block + kTileRows - 1) / kTileRows * group_size<T>(rows));
    for (int64_t column = 0; column < columns; column += kPanel<T>) {
      tile.panel = operand + column * rows;
      tile.width = static_cast<int>(columns - column < kPanel<T> ? columns - column : kPanel<T>);
      tile.panel_step = padded<T>(tile.width);
      const T* group = packed;
      for (int64_t r = block; r < end; r += kTileRows, group += group_size<T>(rows)) {
        const int count = static_cast<int>(end - r < kTileRows ? end - r : kTileRows);
        for (int c = 0; c < count; ++c) tile.a[c] = group + c;
        each(tile, count, r, column);
      }
    }
  }
}

// to[r][:] (+)= sum over i of adjoint[i][r] * operand[i][:], for r from `low` to `high`.
template <class T, class P = T>
void multiply_over_rows(const T* adjoint, int64_t stride, int64_t low, int64_t high, int64_t rows, const T* operand,
                        int64_t columns, T* packed, T* to, bool fresh) {
  const auto each = [=](TileArguments<T>& tile, int count, int64_t r, int64_t column) {
    tile.start = fresh ? Start::kZero : Start::kAdd;
    for (int c = 0; c < count; ++c) tile.c[c] = to + (r + c) * columns + column;
    multiply(count, tile);
  };
  tiles_over_rows<T, P>(adjoint, stride, low, high, rows, operand, columns, packed, each);
}

// The same by words of two rows, the even one in the low half; behind the last row there are zeros.
template <class Dot>
TIDEGATE_INLINE WordVector words_at(const float* even, const float* odd, int64_t at, int64_t count) {
  Vector<float> pair[2] = {};
  const float* const rows[] = {even, odd};
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half)
    if (rows[half])
      pair[half] = count < kLanes<float> ? load(rows[half] + at, static_cast<int>(count)) : load(rows[half] + at);
  return Dot::pairs(pair[0], pair[1]);
}

template <class Dot>
void pack_operand_words_of(const float* even, const float* odd, int64_t columns, int64_t words, int64_t word, Word* to) {
  for (int64_t column = 0; column < columns; column += kPanel<float>) {
    const int width = static_cast<int>(columns - column < kPanel<float> ? columns - column : kPanel<float>);
    const int full = padded<float>(width);
    Word* const panel = to + column * words + word * full;
    for (int j = 0; j < full; j += kLanes<float>) store_words(panel + j, words_at<Dot>(even, odd, column + j, width - j));
  }
}

// Two rows of the operand, null for zeros, as one row of the panels of a packed matrix.
inline void pack_operand_words(const float* even, const float* odd, int64_t columns, int64_t words, int64_t word, Word* to) {
#ifdef TIDEGATE_AVX512_BF16
  if (dot_tiles->converts_pairs) return pack_operand_words_of<Avx512Dot>(even, odd, columns, words, word, to);
#endif
  pack_operand_words_of<PlainDot>(even, odd, columns, words, word, to);
}

// A square of words changes rows and columns: halves of it, then halves of these, ... trade places.
#if defined(__AVX512VL__) && defined(TIDEGATE_SHUFFLES)
template <int kHalf>
TIDEGATE_INLINE void trade_places(WordVector (&r)[16]) {
#define TIDEGATE_FIRST(l) (l & kHalf ? 16 + l - kHalf : l)
#define TIDEGATE_SECOND(l) (l & kHalf ? 16 + l : l + kHalf)
#define TIDEGATE_LANES(of) of(0), of(1), of(2), of(3), of(4), of(5), of(6), of(7), \
                           of(8), of(9), of(10), of(11), of(12), of(13), of(14), of(15)
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    if (i & kHalf) continue;
    const WordVector first = __builtin_shufflevector(r[i], r[i + kHalf], TIDEGATE_LANES(TIDEGATE_FIRST));
    r[i + kHalf] = __builtin_shufflevector(r[i], r[i + kHalf], TIDEGATE_LANES(TIDEGATE_SECOND));
    r[i] = first;
  }
#undef TIDEGATE_FIRST
#undef TIDEGATE_SECOND
#undef TIDEGATE_LANES
}
TIDEGATE_INLINE void transpose(WordVector (&r)[16]) {
  trade_places<8>(r), trade_places<4>(r), trade_places<2>(r), trade_places<1>(r);
}
#else
inline void transpose(WordVector (&r)[kLanes<float>]) {
  for (int i = 0; i < kLanes<float>; ++i)
    for (int j = 0; j < i; ++j) {
      const uint32_t word = r[i][j];
      r[i][j] = r[j][i], r[j][i] = word;
    }
}
#endif

// Adjoints as a tile reads its operand: of each column of the chunk a row of words, an odd number of lines apart.
constexpr int64_t kWordBlock = 16 * kTileRows;  // columns whose words are packed together: tiles have 6 or 16 rows
TIDEGATE_INLINE int64_t word_stride(int64_t words) {
  constexpr int64_t line = 64 / sizeof(Word);
  return ((words + line - 1) / line | 1) * line;
}
template <class Dot>
void pack_adjoint_words_of(const float* from, int64_t stride, int64_t count, int64_t rows, int64_t words, Word* to) {
  constexpr int side = kLanes<float>;
  const int64_t apart = word_stride(words);
  for (int64_t word = 0; word < words; word += side) {
    const bool whole = 2 * (word + side) <= rows;
    for (int64_t j = 0; j < count; j += side) {
      const float* const own = from + 2 * word * stride + j;
      WordVector square[side];
#pragma GCC unroll 16
      for (int i = 0; i < side; ++i) {
        const int64_t row = 2 * (word + i);
        const bool odd = whole || row + 1 < rows, even = whole || row < rows;
        __builtin_prefetch(own + 2 * (i + side) * stride, 0), __builtin_prefetch(own + (2 * (i + side) + 1) * stride, 0);
        square[i] = Dot::pairs(even ? load(own + 2 * i * stride) : Vector<float>{},
                           odd ? load(own + (2 * i + 1) * stride) : Vector<float>{});
      }
      transpose(square);
#pragma GCC unroll 16
      for (int i = 0; i < side; ++i) store_words(to + (j + i) * apart + word, square[i]);
    }
  }
}

inline void pack_adjoint_words(const float* from, int64_t stride, int64_t count, int64_t rows, int64_t words, Word* to) {
#ifdef TIDEGATE_AVX512_BF16
  if (dot_tiles->converts_pairs) return pack_adjoint_words_of<Avx512Dot>(from, stride, count, rows, words, to);
#endif
  pack_adjoint_words_of<PlainDot>(from, stride, count, rows, words, to);
}

// Gradients that read the same adjoints, each with an operand of its own.
struct WordGradient {
  const Word* operand;
  int64_t columns;
  float* to;
};
constexpr int kMostAlike = 2;

inline void multiply_words_over_rows(const DotTiles& tiles, const float* adjoint, int64_t stride, int64_t low, int64_t high,
                                     int64_t rows, const WordGradient* gradients, int alike, Word* packed, bool fresh) {
  const int64_t words = tiles.words(rows), apart = word_stride(words);
  for (int64_t block = low; block < high; block += kWordBlock) {
    const int64_t end = high - block < kWordBlock ? high : block + kWordBlock;
    pack_adjoint_words(adjoint + block, stride, end - block, rows, words, packed);
    for (const WordGradient* own = gradients; own < gradients + alike; ++own)
      for (int64_t column = 0; column < own->columns; column += kPanel<float>) {
        const int width = static_cast<int>(own->columns - column < kPanel<float> ? own->columns - column : kPanel<float>);
        DotArguments tile = {packed, apart, words, own->operand + column * words, padded<float>(width), nullptr, {}, width,
                             fresh ? Start::kZero : Start::kAdd};
        for (int64_t r = block; r < end; r += tiles.rows, tile.a += tiles.rows * apart) {
          const int count = static_cast<int>(end - r < tiles.rows ? end - r : tiles.rows);
          for (int c = 0; c < count; ++c) tile.c[c] = own->to + (r + c) * own->columns + column;
          tiles.multiply(count, tile);
        }
      }
  }
}

// to[:] (+)= sum of rows; sums of sixteen rows are added up, so that errors do not grow with the number of rows.
template <class T>
void add_rows(const T* from, int64_t stride, int64_t rows, int64_t count, T* to, bool fresh) {
  constexpr int64_t some = 16;
  constexpr int64_t wide = 4 * kLanes<T>;  // rows lie far apart: whole pieces of them are read at a time
  int64_t j = 0;
  for (; j + wide <= count; j += wide) {
    Vector<T> total[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) total[v] = fresh ? Vector<T>{} : load(to + j + v * kLanes<T>);
    for (int64_t begin = 0; begin < rows; begin += some) {
      const int64_t end = rows - begin < some ? rows : begin + some;
      Vector<T> part[4] = {};
      for (int64_t i = begin; i < end; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v) part[v] += load(from + i * stride + j + v * kLanes<T>);
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) total[v] += part[v];
    }
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) store(to + j + v * kLanes<T>, total[v]);
  }
  for (; j < count; j += kLanes<T>) {
    const int width = static_cast<int>(count - j < kLanes<T> ? count - j : kLanes<T>);
    Vector<T> total = fresh ? Vector<T>{} : load(to + j, width);
    for (int64_t begin = 0; begin < rows; begin += some) {
      const int64_t end = rows - begin < some ? rows : begin + some;
      Vector<T> part = {};
      for (int64_t i = begin; i < end; ++i) part += load(from + i * stride + j, width);
      total += part;
    }
    store(to + j, total, width);
  }
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
