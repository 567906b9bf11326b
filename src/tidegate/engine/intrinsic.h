// The few instructions that the compiler's vectors cannot express, under the names of Intel's header.
//
// gcc takes half a second to read that header, a third of the time to compile a cell; so these are declared here.
#pragma once

#if defined(__clang__) || !defined(__GNUC__) || !defined(__AVX2__)

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#elif defined(__AVX512VL__)

#define TIDEGATE_INTRINSIC inline __attribute__((always_inline))
#define TIDEGATE_THIS_ROUNDING 4  // that of the control register

typedef float __m512 __attribute__((vector_size(64), may_alias));
typedef double __m512d __attribute__((vector_size(64), may_alias));
typedef unsigned char __mmask8;
typedef unsigned short __mmask16;

TIDEGATE_INTRINSIC __m512 _mm512_maskz_max_ps(__mmask16 mask, __m512 a, __m512 b) {
  return __builtin_ia32_maxps512_mask(a, b, __m512{}, mask, TIDEGATE_THIS_ROUNDING);
}
TIDEGATE_INTRINSIC __m512d _mm512_maskz_max_pd(__mmask8 mask, __m512d a, __m512d b) {
  return __builtin_ia32_maxpd512_mask(a, b, __m512d{}, mask, TIDEGATE_THIS_ROUNDING);
}
TIDEGATE_INTRINSIC __m512 _mm512_maskz_min_ps(__mmask16 mask, __m512 a, __m512 b) {
  return __builtin_ia32_minps512_mask(a, b, __m512{}, mask, TIDEGATE_THIS_ROUNDING);
}
TIDEGATE_INTRINSIC __m512d _mm512_maskz_min_pd(__mmask8 mask, __m512d a, __m512d b) {
  return __builtin_ia32_minpd512_mask(a, b, __m512d{}, mask, TIDEGATE_THIS_ROUNDING);
}
TIDEGATE_INTRINSIC __m512 _mm512_maskz_loadu_ps(__mmask16 mask, const float* from) {
  return __builtin_ia32_loadups512_mask(from, __m512{}, mask);
}
TIDEGATE_INTRINSIC __m512d _mm512_maskz_loadu_pd(__mmask8 mask, const double* from) {
  return __builtin_ia32_loadupd512_mask(from, __m512d{}, mask);
}
TIDEGATE_INTRINSIC void _mm512_mask_storeu_ps(float* to, __mmask16 mask, __m512 value) {
  __builtin_ia32_storeups512_mask(to, value, mask);
}
TIDEGATE_INTRINSIC void _mm512_mask_storeu_pd(double* to, __mmask8 mask, __m512d value) {
  __builtin_ia32_storeupd512_mask(to, value, mask);
}

typedef long long __m256i __attribute__((vector_size(32), may_alias));
typedef long long __m512i __attribute__((vector_size(64), may_alias));

TIDEGATE_INTRINSIC __mmask16 _mm512_movepi32_mask(__m512i lanes) {
  return static_cast<__mmask16>(__builtin_ia32_cvtd2mask512((int __attribute__((vector_size(64))))lanes));
}
TIDEGATE_INTRINSIC __mmask8 _mm512_movepi64_mask(__m512i lanes) {
  return static_cast<__mmask8>(__builtin_ia32_cvtq2mask512(lanes));
}
TIDEGATE_INTRINSIC __m512 _mm512_maskz_compress_ps(__mmask16 mask, __m512 lanes) {
  return __builtin_ia32_compresssf512_mask(lanes, __m512{}, mask);
}
TIDEGATE_INTRINSIC __m512d _mm512_maskz_compress_pd(__mmask8 mask, __m512d lanes) {
  return __builtin_ia32_compressdf512_mask(lanes, __m512d{}, mask);
}
TIDEGATE_INTRINSIC __m512i _mm512_maskz_compress_epi32(__mmask16 mask, __m512i lanes) {
  typedef int Lanes __attribute__((vector_size(64)));
  return (__m512i)__builtin_ia32_compresssi512_mask((Lanes)lanes, Lanes{}, mask);
}
TIDEGATE_INTRINSIC __m256i _mm256_maskz_compress_epi32(__mmask8 mask, __m256i lanes) {
  typedef int Lanes __attribute__((vector_size(32)));
  return (__m256i)__builtin_ia32_compresssi256_mask((Lanes)lanes, Lanes{}, mask);
}
TIDEGATE_INTRINSIC __m512 _mm512_cvtph_ps(__m256i halves) {
  typedef short Halves __attribute__((vector_size(32)));
  return __builtin_ia32_vcvtph2ps512_mask((Halves)halves, __m512{}, static_cast<__mmask16>(-1), TIDEGATE_THIS_ROUNDING);
}
#define _mm512_cvtps_ph(numbers, rounding)                                                    \
  ((__m256i)__builtin_ia32_vcvtps2ph512_mask(numbers, rounding, (short __attribute__((vector_size(32)))){}, \
                                             static_cast<__mmask16>(-1)))

TIDEGATE_INTRINSIC __m512i _mm512_madd_epi16(__m512i a, __m512i b) {
  typedef short Halves __attribute__((vector_size(64)));
  typedef int Words __attribute__((vector_size(64)));
  return (__m512i)__builtin_ia32_pmaddwd512_mask((Halves)a, (Halves)b, Words{}, 0xffff);
}

#else

typedef long long __m256i __attribute__((vector_size(32), may_alias));
#define TIDEGATE_INTRINSIC inline __attribute__((always_inline))
TIDEGATE_INTRINSIC __m256i _mm256_madd_epi16(__m256i a, __m256i b) {
  typedef short Halves __attribute__((vector_size(32)));
  return (__m256i)__builtin_ia32_pmaddwd256((Halves)a, (Halves)b);
}
#define _mm256_max_ps __builtin_ia32_maxps256
#define _mm256_max_pd __builtin_ia32_maxpd256
#define _mm256_min_ps __builtin_ia32_minps256
#define _mm256_min_pd __builtin_ia32_minpd256

typedef float __m256 __attribute__((vector_size(32), may_alias));
typedef long long __m128i __attribute__((vector_size(16), may_alias));
#define _mm256_cvtph_ps(halves) __builtin_ia32_vcvtph2ps256((short __attribute__((vector_size(16))))(halves))
#define _mm256_cvtps_ph(numbers, rounding) ((__m128i)__builtin_ia32_vcvtps2ph256(numbers, rounding))

#endif
