// Matrices in the order in which the kernel reads them: panel by panel, each row of a panel together.
#pragma once

#include "kernel.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

template <class T>
TIDEGATE_INLINE int padded(int width) {
  return (width + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

// Entry (i, j) of the panel is from[i * stride + j].
template <class T>
void pack_across(const T* from, int64_t stride, int64_t k, int width, T* to) {
  const int full = padded<T>(width);
  for (int64_t i = 0; i < k; ++i, from += stride, to += full) {
    int j = 0;
    for (; j + kLanes<T> <= width; j += kLanes<T>) store(to + j, load(from + j));
    if (j < width) store(to + j, load(from + j, width - j));
  }
}

// Whether any of some bytes, a whole number of words, is more than the sign of a zero. `signs` has every sign bit.
TIDEGATE_INLINE bool is_kept(const void* bytes, int size, uint64_t signs) {
  uint64_t all = 0;
#pragma GCC unroll 8
  for (int at = 0; at < size; at += 8) {
    uint64_t word;
    memcpy(&word, static_cast<const char*>(bytes) + at, 8);
    all |= word;
  }
  return (all & ~signs) != 0;
}
TIDEGATE_INLINE uint64_t signs_of(const float*) { return 0x8000000080000000u; }
TIDEGATE_INLINE uint64_t signs_of(const double*) { return 0x8000000000000000u; }
TIDEGATE_INLINE uint64_t signs_of(const BFloat16*) { return 0x8000800080008000u; }
TIDEGATE_INLINE uint64_t signs_of(const Float16*) { return 0x8000800080008000u; }

// What is kept of a panel: parts of neighbouring vectors, each without the rows in which it has zeros only.
struct Kept {
  int64_t first;         // element of the packed matrix
  int64_t k;             // rows that it keeps
  const int32_t* index;  // which
};

// The list of a panel of k rows: how many vectors a part has, then of each part its first vector in the packed matrix,
// how many rows it keeps, and which.
struct PanelList {
  int32_t* words;
  int64_t k;

  static int64_t size(int64_t k) { return 1 + kTileVectors * (k + 2); }

  TIDEGATE_INLINE int vectors() const { return words[0]; }
  TIDEGATE_INLINE int32_t* words_of(int part) const { return words + 1 + part * (k + 2); }
  TIDEGATE_INLINE Kept part(int number, int lanes) const {
    const int32_t* const own = words_of(number);
    return {int64_t{own[0]} * lanes, own[1], own + 2};
  }
};

// How many vectors the parts of a panel should have, given how many rows have which vectors, by bits.
inline int best_cut(const int32_t* rows, int vectors) {
  int best = kTileVectors;
  int64_t least = -1;
  for (int size = kTileVectors; size; size /= 2) {
    int64_t cost = 0;
    for (int mask = 1; mask < 1 << vectors; ++mask)
      for (int first = 0; first < vectors; first += size) {
        const int own = vectors - first < size ? vectors - first : size;
        if (mask >> first & ((1 << own) - 1)) cost += rows[mask] * (2 * own + 1);  // to find a row costs half a vector
      }
    if (least < 0 || cost < least) best = size, least = cost;
  }
  return best;
}

// Copies what is kept of a packed panel of some vectors to `to`, if that is not null, and lists it; returns how many
// vectors it is.
// `first` is the number of the first one in the packed matrix, `marks` room for a byte for each row.
template <class T, class P>
int64_t keep_parts(const P* panel, int vectors, uint8_t* marks, P* to, int64_t first, PanelList list) {
  constexpr int lanes = kLanes<T>, bytes = lanes * static_cast<int>(sizeof(P));
  const int64_t k = list.k;
  int32_t rows[1 << kTileVectors] = {};
  const P* from = panel;
  for (int64_t i = 0; i < k; ++i) {
    int mask = 0;
    for (int v = 0; v < vectors; ++v, from += lanes) mask |= is_kept(from, bytes, signs_of(panel)) << v;
    marks[i] = static_cast<uint8_t>(mask);
    ++rows[mask];
  }
  const int size = best_cut(rows, vectors);
  list.words[0] = size;
  int64_t written = 0;
  for (int part = 0; part * size < vectors; ++part) {
    const int left = vectors - part * size, own = left < size ? left : size;
    int32_t* const words = list.words_of(part);
    words[0] = static_cast<int32_t>(first + written);
    int32_t kept = 0;
    for (int64_t i = 0; i < k; ++i) {
      if (!(marks[i] >> part * size & ((1 << own) - 1))) continue;
      if (to) memcpy(to + written * lanes, panel + (i * vectors + part * size) * lanes, own * bytes);
      words[2 + kept++] = static_cast<int32_t>(i);
      written += own;
    }
    words[1] = kept;
  }
  return written;
}

// A square of numbers as eight or four vectors of 32 bytes, whatever the registers are.
template <class T>
struct Square;
template <>
struct Square<float> {
  static constexpr int kSide = 8;
  typedef float Row __attribute__((vector_size(32)));
  typedef float Unaligned __attribute__((vector_size(32), aligned(4), may_alias));
};
template <>
struct Square<double> {
  static constexpr int kSide = 4;
  typedef double Row __attribute__((vector_size(32)));
  typedef double Unaligned __attribute__((vector_size(32), aligned(8), may_alias));
};

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define TIDEGATE_SHUFFLES
#endif
#endif

#ifdef TIDEGATE_SHUFFLES
// Pairs, then pairs of pairs, ... trade places.
TIDEGATE_INLINE void transpose(Square<double>::Row (&r)[4]) {
  Square<double>::Row s[4];
  for (int i = 0; i < 4; i += 2) {
    s[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 4, 2, 6);
    s[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 5, 3, 7);
  }
  for (int i = 0; i < 2; ++i) {
    r[i] = __builtin_shufflevector(s[i], s[i + 2], 0, 1, 4, 5);
    r[i + 2] = __builtin_shufflevector(s[i], s[i + 2], 2, 3, 6, 7);
  }
}
TIDEGATE_INLINE void transpose(Square<float>::Row (&r)[8]) {
  Square<float>::Row s[8];
  for (int i = 0; i < 8; i += 2) {
    s[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    s[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = i; j < i + 2; ++j) {
      r[j] = __builtin_shufflevector(s[j], s[j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      r[j + 2] = __builtin_shufflevector(s[j], s[j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 4; ++i) {
    s[i] = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    s[i + 4] = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (int i = 0; i < 8; ++i) r[i] = s[i];
}
#endif

#ifdef TIDEGATE_SHUFFLES
// Entry (i, j) of the square is from[j * stride + i].
template <class T>
TIDEGATE_INLINE void pack_square(const T* from, int64_t stride, T* to, int full) {
  using S = Square<T>;
  typename S::Row row[S::kSide];
#pragma GCC unroll 8
  for (int c = 0; c < S::kSide; ++c) row[c] = *reinterpret_cast<const typename S::Unaligned*>(from + c * stride);
  transpose(row);
#pragma GCC unroll 8
  for (int c = 0; c < S::kSide; ++c) *reinterpret_cast<typename S::Unaligned*>(to + c * full) = row[c];
}
#endif

// Entry (i, j) of the panel, whose rows are `full` apart, is from[j * stride + i]. Squares, so that both sides are
// touched line by line; two of them side by side are a line of the panel.
template <class T>
void pack_along(const T* from, int64_t stride, int64_t k, int width, T* to, int full) {
  constexpr int side = Square<T>::kSide;
  for (int j = 0, end; j < padded<T>(width); j = end) {
    const bool pair = j + 2 * side <= width;
    end = pair ? j + 2 * side : j + side;
    int64_t i = 0;
#ifdef TIDEGATE_SHUFFLES
    if (j + side <= width)
      for (; i + side <= k; i += side) {
        pack_square(from + j * stride + i, stride, to + i * full + j, full);
        if (pair) pack_square(from + (j + side) * stride + i, stride, to + i * full + j + side, full);
      }
#endif
    for (; i < k; ++i)
      for (int c = j; c < end && c < full; ++c) to[i * full + c] = c < width ? from[c * stride + i] : T(0);
  }
}

template <class T>
void pack_along(const T* from, int64_t stride, int64_t k, int width, T* to) {
  pack_along(from, stride, k, width, to, padded<T>(width));
}

// The same two into numbers of fewer bits.
template <class T, class P>
void pack_across(const T* from, int64_t stride, int64_t k, int width, P* to) {
  for (int64_t i = 0; i < k; ++i, from += stride)
    for (int j = 0; j < width; j += kLanes<T>, to += kLanes<T>)
      store(to, width - j < kLanes<T> ? load(from + j, width - j) : load(from + j));
}
template <class T, class P>
void pack_along(const T* from, int64_t stride, int64_t k, int width, P* to) {
  constexpr int lanes = kLanes<T>, side = Square<T>::kSide;
  const int full = padded<T>(width);
  T part[side * lanes];
  for (int j = 0; j < full; j += lanes)
    for (int64_t i = 0; i < k; i += side) {
      const int rows = static_cast<int>(k - i < side ? k - i : side);
      pack_along(from + j * stride + i, stride, rows, width - j < lanes ? width - j : lanes, part, lanes);
      for (int r = 0; r < rows; ++r) store(to + (i + r) * full + j, load(part + r * lanes));
    }
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
