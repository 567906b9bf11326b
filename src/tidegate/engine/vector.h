// One register full of numbers, in the language's own vectors: + - * / < ?: work on them as on numbers.
//
// Everything here lies in a namespace named after the instruction set, so that two libraries of different instruction
// sets in one process can never share a function. No code of the C++ standard library is used for the same reason.
#pragma once

#include <stdint.h>
#include <string.h>

#include "intrinsic.h"

#if defined(__AVX512F__) && defined(__AVX512VL__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
#define TIDEGATE_ISA x86_64_v4
#elif defined(__AVX2__) && defined(__FMA__)
#define TIDEGATE_ISA x86_64_v3
#else
#define TIDEGATE_ISA baseline
#endif

#define TIDEGATE_INLINE inline __attribute__((always_inline))

namespace tidegate {
inline namespace TIDEGATE_ISA {

#if defined(__AVX512F__) && defined(__AVX512VL__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
constexpr int kVectorBytes = 64;
constexpr int kRegisters = 32;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int kVectorBytes = 32;
constexpr int kRegisters = 16;
#else
constexpr int kVectorBytes = 16;
constexpr int kRegisters = 16;
#endif

template <class T>
struct VectorOf;

template <>
struct VectorOf<float> {
  typedef float Type __attribute__((vector_size(kVectorBytes)));
  typedef float Unaligned __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
  typedef int32_t Bits __attribute__((vector_size(kVectorBytes)));
};

template <>
struct VectorOf<double> {
  typedef double Type __attribute__((vector_size(kVectorBytes)));
  typedef double Unaligned __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
  typedef int64_t Bits __attribute__((vector_size(kVectorBytes)));
};

template <class T>
using Vector = typename VectorOf<T>::Type;
template <class T>
using Bits = typename VectorOf<T>::Bits;

template <class T>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

template <class T>
TIDEGATE_INLINE Vector<T> splat(T value) {
  return value - Vector<T>{};  // x - 0 is x for every x, so nothing but the broadcast is left
}

template <class T>
TIDEGATE_INLINE Vector<T> load(const T* from) {
  return *reinterpret_cast<const typename VectorOf<T>::Unaligned*>(from);
}

template <class T>
TIDEGATE_INLINE void store(T* to, Vector<T> value) {
  *reinterpret_cast<typename VectorOf<T>::Unaligned*>(to) = value;
}

// The first `count` lanes, zeros behind them; memory behind them is not touched.
#if defined(__AVX512VL__)
TIDEGATE_INLINE Vector<float> load(const float* from, int count) {
  return (Vector<float>)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
}
TIDEGATE_INLINE Vector<double> load(const double* from, int count) {
  return (Vector<double>)_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1), from);
}
TIDEGATE_INLINE void store(float* to, Vector<float> value, int count) {
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), (__m512)value);
}
TIDEGATE_INLINE void store(double* to, Vector<double> value, int count) {
  _mm512_mask_storeu_pd(to, static_cast<__mmask8>((1u << count) - 1), (__m512d)value);
}
#else
template <class T>
TIDEGATE_INLINE Vector<T> load(const T* from, int count) {
  Vector<T> value = {};
  for (int lane = 0; lane < count; ++lane) value[lane] = from[lane];
  return value;
}
template <class T>
TIDEGATE_INLINE void store(T* to, Vector<T> value, int count) {
  for (int lane = 0; lane < count; ++lane) to[lane] = value[lane];
}
#endif

// Writes the lanes that are marked, and where they are, counted from `first`, to the fronts of two arrays of which whole
// vectors are written. Returns how many there are.
#if defined(__AVX512VL__)
TIDEGATE_INLINE int compress(Vector<float> value, Bits<float> marked, int32_t first, float* to, int32_t* index) {
  const __mmask16 mask = _mm512_movepi32_mask((__m512i)marked);
  const Bits<float> lane = first + Bits<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  store(to, (Vector<float>)_mm512_maskz_compress_ps(mask, (__m512)value));
  const __m512i kept = _mm512_maskz_compress_epi32(mask, (__m512i)lane);
  memcpy(index, &kept, sizeof kept);
  return __builtin_popcount(mask);
}
TIDEGATE_INLINE int compress(Vector<double> value, Bits<double> marked, int32_t first, double* to, int32_t* index) {
  typedef int32_t Lanes __attribute__((vector_size(32)));
  const __mmask8 mask = _mm512_movepi64_mask((__m512i)marked);
  const Lanes lane = first + Lanes{0, 1, 2, 3, 4, 5, 6, 7};
  store(to, (Vector<double>)_mm512_maskz_compress_pd(mask, (__m512d)value));
  const __m256i kept = _mm256_maskz_compress_epi32(mask, (__m256i)lane);
  memcpy(index, &kept, sizeof kept);
  return __builtin_popcount(mask);
}
#else
template <class V, class B, class T>
TIDEGATE_INLINE int compress(V value, B marked, int32_t first, T* to, int32_t* index) {
  int count = 0;
  for (int lane = 0; lane < kLanes<T>; ++lane) {  // no branch: which lanes are marked cannot be foreseen
    to[count] = value[lane];
    index[count] = first + lane;
    count -= static_cast<int>(marked[lane]);
  }
  return count;
}
#endif

// The upper half of a float32: as many values, seven bits behind the point. Matrices may be stored so; sums never are.
struct BFloat16 {
  uint16_t bits;
};
TIDEGATE_INLINE Vector<float> load(const BFloat16* from) {
  typedef uint16_t Halves __attribute__((vector_size(kVectorBytes / 2), aligned(2), may_alias));
  typedef uint32_t Words __attribute__((vector_size(kVectorBytes)));
  return (Vector<float>)(__builtin_convertvector(*reinterpret_cast<const Halves*>(from), Words) << 16);
}

// A number as it is stored.
TIDEGATE_INLINE void put(float* to, float value) { *to = value; }
TIDEGATE_INLINE void put(double* to, double value) { *to = value; }
TIDEGATE_INLINE void put(BFloat16* to, float value) {
  uint32_t word;
  memcpy(&word, &value, sizeof word);
  const uint32_t rounded = word + 0x7fffu + (word >> 16 & 1u);  // to nearest, ties to even
  to->bits = static_cast<uint16_t>((value != value ? word | 0x400000u : rounded) >> 16);
}

// As std::fmax would be wrong here: a NaN in either argument comes through.
template <class V>
TIDEGATE_INLINE V maximum(V a, V b) {
  return (a > b) | (a != a) ? a : b;
}
template <class V>
TIDEGATE_INLINE V minimum(V a, V b) {
  return (a < b) | (a != a) ? a : b;
}

// 0 where a <= b, else 1: a NaN value passes a relu's gradient on and none of a clamp's, as in torch.
template <class V>
TIDEGATE_INLINE V greater(V a, V b) {
  return a <= b ? V{} : V{} + 1;
}
template <class V>
TIDEGATE_INLINE V select(V where, V value) {
  return where != V{} ? value : V{};
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
