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

// IEEE 754's half: ten bits behind the point, from 2^-24 to 65504.
struct Float16 {
  uint16_t bits;
};

// A whole number of a matrix that has scales beside it (int8.h).
struct Int8 {
  int8_t bits;
};

// Numbers in fewer bits, as many as a register has of float32: to nearest, ties to even.
typedef uint16_t HalfLanes __attribute__((vector_size(kVectorBytes / 2)));
typedef uint16_t HalvesInMemory __attribute__((vector_size(kVectorBytes / 2), aligned(2), may_alias));
typedef uint32_t WordLanes __attribute__((vector_size(kVectorBytes)));

TIDEGATE_INLINE Vector<float> widened(HalfLanes halves, const BFloat16*) {
  return (Vector<float>)(__builtin_convertvector(halves, WordLanes) << 16);
}
TIDEGATE_INLINE HalfLanes narrowed(Vector<float> value, const BFloat16*) {
  const WordLanes word = (WordLanes)value, rounded = word + 0x7fffu + (word >> 16 & 1u);
  return __builtin_convertvector((value != value ? word | 0x400000u : rounded) >> 16, HalfLanes);
}

// What the processor converts knows denormal halves whatever the control register says; so does what stands for it.
#if defined(__AVX512VL__)
TIDEGATE_INLINE Vector<float> widened(HalfLanes halves, const Float16*) {
  return (Vector<float>)_mm512_cvtph_ps((__m256i)halves);
}
TIDEGATE_INLINE HalfLanes narrowed(Vector<float> value, const Float16*) {
  return (HalfLanes)_mm512_cvtps_ph((__m512)value, 0);
}
#elif defined(__F16C__)
TIDEGATE_INLINE Vector<float> widened(HalfLanes halves, const Float16*) {
  return (Vector<float>)_mm256_cvtph_ps((__m128i)halves);
}
TIDEGATE_INLINE HalfLanes narrowed(Vector<float> value, const Float16*) {
  return (HalfLanes)_mm256_cvtps_ph((__m256)value, 0);
}
#else
TIDEGATE_INLINE Vector<float> widened(HalfLanes halves, const Float16*) {
  const WordLanes bits = __builtin_convertvector(halves, WordLanes), sign = (bits & 0x8000u) << 16, rest = bits & 0x7fffu;
  const WordLanes normal = (rest << 13) + ((127u - 15u) << 23), none = 0x7f800000u | rest << 13 | (rest > 0x7c00u ? WordLanes{} + 0x400000u : WordLanes{});
  const WordLanes small = (WordLanes)(__builtin_convertvector((Bits<float>)rest, Vector<float>) * 0x1p-24f);
  return (Vector<float>)(sign | (rest < 0x400u ? small : rest < 0x7c00u ? normal : none));
}
TIDEGATE_INLINE HalfLanes narrowed(Vector<float> value, const Float16*) {
  const WordLanes word = (WordLanes)value, sign = word >> 16 & 0x8000u, rest = word & 0x7fffffffu;
  const WordLanes normal = (rest - ((127u - 15u) << 23) + 0xfffu + (rest >> 13 & 1u)) >> 13;  // may carry into the exponent
  const WordLanes small = (WordLanes)((Vector<float>)rest + 0.5f) - 0x3f000000u;  // the sum rounds at 2^-24
  const WordLanes none = rest > 0x7f800000u ? 0x7e00u | (rest >> 13 & 0x3ffu) : WordLanes{} + 0x7c00u;
  return __builtin_convertvector(sign | (rest < 0x38800000u ? small : rest < 0x477ff000u ? normal : none), HalfLanes);
}
#endif

template <class P>
struct Half {
  static TIDEGATE_INLINE Vector<float> load(const P* from) {
    return widened(*reinterpret_cast<const HalvesInMemory*>(from), from);
  }
  static TIDEGATE_INLINE void store(P* to, Vector<float> value) {
    *reinterpret_cast<HalvesInMemory*>(to) = narrowed(value, to);
  }
  static TIDEGATE_INLINE void put(P* to, float value) { to->bits = narrowed(splat(value), to)[0]; }
};
TIDEGATE_INLINE Vector<float> load(const BFloat16* from) { return Half<BFloat16>::load(from); }
TIDEGATE_INLINE Vector<float> load(const Float16* from) { return Half<Float16>::load(from); }
TIDEGATE_INLINE void store(BFloat16* to, Vector<float> value) { Half<BFloat16>::store(to, value); }
TIDEGATE_INLINE void store(Float16* to, Vector<float> value) { Half<Float16>::store(to, value); }

// A number as it is stored.
TIDEGATE_INLINE void put(float* to, float value) { *to = value; }
TIDEGATE_INLINE void put(double* to, double value) { *to = value; }
TIDEGATE_INLINE void put(BFloat16* to, float value) { Half<BFloat16>::put(to, value); }
TIDEGATE_INLINE void put(Float16* to, float value) { Half<Float16>::put(to, value); }

// What is left of numbers when they have been stored as P.
template <class P>
TIDEGATE_INLINE Vector<float> rounded_to(Vector<float> value) {
  return widened(narrowed(value, static_cast<const P*>(nullptr)), static_cast<const P*>(nullptr));
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
