// exp, log, sigmoid, tanh and relu of a register full of numbers: without branches, tables or the C library.
//
// benchmarks/activation_sweep.py measures them, over every float32 there is; benchmarks/results/activations.md says
// how exact they are. NaN comes through everywhere, infinities have their limits, and results below the smallest
// normal number underflow gradually. In the comments below, n is an integer and |r| <= ln(2) / 2.
#pragma once

#include "vector.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

template <class T>
struct Numbers;

template <>
struct Numbers<float> {
  typedef uint32_t Words __attribute__((vector_size(kVectorBytes)));
  static constexpr int kFraction = 23;  // bits behind the point
  static constexpr int kBias = 127;     // of the exponent
  static constexpr uint32_t kSign = 0x80000000u;
  static constexpr uint32_t kFractionMask = 0x007fffffu;
  static constexpr uint32_t kOne = 0x3f800000u;       // the bits of 1
  static constexpr uint32_t kRootHalf = 0x3f3504f3u;  // and of the root of 1/2
  static constexpr uint32_t kWhole = 0x4b000000u;     // and of 2^kFraction: an integer or-ed into them is added to it
  static constexpr float kRounder = 0x1.8p23f;        // what is added to it gets rounded and stands in the lowest bits
  static constexpr float kLeast = 0x1p-126f;          // of the normal numbers
  static constexpr float kLift = 0x1p24f;             // makes subnormal numbers normal
  static constexpr float kInfinity = __builtin_inff();
  static constexpr float kNaN = __builtin_nanf("");

  static constexpr float kLog2E = 0x1.715476p+0f;
  static constexpr float kLn2High = 0x1.62e4p-1f;  // so short that its product with an exponent is exact without FMA
  static constexpr float kLn2Low = 0x1.7f7d1cp-20f;
  static constexpr float kLn2 = 0x1.62e43p-1f;  // as near to ln(2) as if it had four bits more, by luck
  static constexpr bool kLn2Suffices = true;

  static constexpr float kExpZero = -104.0f;  // exp is less than half of the smallest subnormal number
  static constexpr float kExpInfinity = 89.0f;
  static constexpr float kSigmoidOne = 40.0f;  // anything above 17.4 whose exponential leaves room for kUp
  static constexpr int kUp = 64;
  static constexpr float kUpOne = 0x1p64f;
  static constexpr float kTanhOne = 10.0f;  // anything above 9.02

  // (exp(r) - 1 - r) / r^2 and (log((1 + s) / (1 - s)) / s - 2) / s^2 in s^2: Remez in mpmath for the least relative
  // error of exp, tanh and log, which stays below a quarter of an ulp with the coefficients rounded.
  static constexpr float kExp[] = {0x1.000002p-1f, 0x1.555490p-3f, 0x1.555344p-5f, 0x1.123b6cp-7f, 0x1.6de156p-10f};
  static constexpr float kLog[] = {0x1.55557ap-1f, 0x1.995eccp-2f, 0x1.31e23ep-2f};
};

template <>
struct Numbers<double> {
  typedef uint64_t Words __attribute__((vector_size(kVectorBytes)));
  static constexpr int kFraction = 52;
  static constexpr int kBias = 1023;
  static constexpr uint64_t kSign = 0x8000000000000000u;
  static constexpr uint64_t kFractionMask = 0x000fffffffffffffu;
  static constexpr uint64_t kOne = 0x3ff0000000000000u;
  static constexpr uint64_t kRootHalf = 0x3fe6a09e667f3bcdu;
  static constexpr uint64_t kWhole = 0x4330000000000000u;
  static constexpr double kRounder = 0x1.8p52;
  static constexpr double kLeast = 0x1p-1022;
  static constexpr double kLift = 0x1p53;
  static constexpr double kInfinity = __builtin_inf();
  static constexpr double kNaN = __builtin_nan("");

  static constexpr double kLog2E = 0x1.71547652b82fep+0;
  static constexpr double kLn2High = 0x1.62e42fefa3800p-1;
  static constexpr double kLn2Low = 0x1.ef35793c76730p-45;
  static constexpr double kLn2 = 0x1.62e42fefa39efp-1;
  static constexpr bool kLn2Suffices = false;

  static constexpr double kExpZero = -746.0;
  static constexpr double kExpInfinity = 710.0;
  static constexpr double kSigmoidOne = 40.0;  // anything above 36.8
  static constexpr int kUp = 512;
  static constexpr double kUpOne = 0x1p512;
  static constexpr double kTanhOne = 20.0;  // anything above 19.07

  static constexpr double kExp[] = {0x1.0000000000004p-1,  0x1.5555555555597p-3,  0x1.5555555552140p-5,
                                    0x1.1111111107622p-7,  0x1.6c16c17fc8725p-10, 0x1.a01a01bdbe85ep-13,
                                    0x1.a019a42e7520ap-16, 0x1.71de0b6b6704ap-19, 0x1.28a5349f295acp-22,
                                    0x1.af02c9e4a97b5p-26};
  static constexpr double kLog[] = {0x1.5555555555593p-1, 0x1.999999997f9f8p-2, 0x1.249249422a466p-2,
                                    0x1.c71c51d7cf20ap-3, 0x1.746649af3f501p-3, 0x1.39a0959e99e1bp-3,
                                    0x1.2f117e1163e7ep-3};
};

template <class T>
using Words = typename Numbers<T>::Words;

// One instruction each, which gcc does not find in a comparison. A NaN in `v` comes through.
#if defined(__AVX512VL__)
constexpr int kAll = -1;  // a mask, since gcc 12 warns of its own header in the variants without one
TIDEGATE_INLINE Vector<float> at_least(float low, Vector<float> v) {
  return _mm512_maskz_max_ps(kAll, splat(low), v);
}
TIDEGATE_INLINE Vector<double> at_least(double low, Vector<double> v) {
  return _mm512_maskz_max_pd(kAll, splat(low), v);
}
TIDEGATE_INLINE Vector<float> at_most(float high, Vector<float> v) {
  return _mm512_maskz_min_ps(kAll, splat(high), v);
}
TIDEGATE_INLINE Vector<double> at_most(double high, Vector<double> v) {
  return _mm512_maskz_min_pd(kAll, splat(high), v);
}
#elif defined(__AVX2__)
TIDEGATE_INLINE Vector<float> at_least(float low, Vector<float> v) { return _mm256_max_ps(splat(low), v); }
TIDEGATE_INLINE Vector<double> at_least(double low, Vector<double> v) { return _mm256_max_pd(splat(low), v); }
TIDEGATE_INLINE Vector<float> at_most(float high, Vector<float> v) { return _mm256_min_ps(splat(high), v); }
TIDEGATE_INLINE Vector<double> at_most(double high, Vector<double> v) { return _mm256_min_pd(splat(high), v); }
#elif defined(__SSE2__)
TIDEGATE_INLINE Vector<float> at_least(float low, Vector<float> v) { return _mm_max_ps(splat(low), v); }
TIDEGATE_INLINE Vector<double> at_least(double low, Vector<double> v) { return _mm_max_pd(splat(low), v); }
TIDEGATE_INLINE Vector<float> at_most(float high, Vector<float> v) { return _mm_min_ps(splat(high), v); }
TIDEGATE_INLINE Vector<double> at_most(double high, Vector<double> v) { return _mm_min_pd(splat(high), v); }
#else
template <class T>
TIDEGATE_INLINE Vector<T> at_least(T low, Vector<T> v) { return splat(low) > v ? splat(low) : v; }
template <class T>
TIDEGATE_INLINE Vector<T> at_most(T high, Vector<T> v) { return splat(high) < v ? splat(high) : v; }
#endif

// sum of factor c[k] (scale r)^k; factor and scale cost nothing. Even and odd powers apart are half as deep as Horner's
// rule and take as many instructions once the square is at hand.
template <int N, class T>
TIDEGATE_INLINE Vector<T> polynomial(const T (&c)[N], Vector<T> r, Vector<T> square, T factor = 1, T scale = 1) {
  T scaled[N];
  for (int k = 0; k < N; ++k, factor *= scale) scaled[k] = factor * c[k];
  Vector<T> part[2] = {splat(scaled[N - 1]), splat(scaled[N - 2])};
  for (int k = N - 3; k >= 0; --k) part[(N - 1 - k) % 2] = part[(N - 1 - k) % 2] * square + scaled[k];
  return part[N % 2] * r + part[(N - 1) % 2];
}

// exp(r) - 1. The square's rounding counts less than that of a product with r would.
template <class T>
TIDEGATE_INLINE Vector<T> exp_less_one(Vector<T> r) {
  const Vector<T> square = r * r;
  return square * polynomial(Numbers<T>::kExp, r, square) + r;
}

// 2^n where the lowest bits of a number are those of n + kBias.
template <class T>
TIDEGATE_INLINE Vector<T> power_of_two(Words<T> word) {
  return (Vector<T>)(word << Numbers<T>::kFraction);
}

template <class T>
struct Reduced {
  Words<T> word;  // n + kBias + bias in its lowest bits
  Vector<T> rest;
};

// v = n ln(2) + rest.
template <class T>
TIDEGATE_INLINE Reduced<T> reduce(Vector<T> v, int bias) {
  using C = Numbers<T>;
  const T rounder = C::kRounder + C::kBias + bias;
  const Vector<T> rounded = v * C::kLog2E + rounder;
  const Vector<T> n = rounded - rounder;
  return {(Words<T>)rounded, v - n * C::kLn2High - n * C::kLn2Low};
}

// 0 below log of half the smallest subnormal number, infinity above log of the largest number.
template <class T>
TIDEGATE_INLINE Vector<T> exp(Vector<T> v) {
  using C = Numbers<T>;
  // No single factor reaches from the subnormal numbers to infinity; two halves of the exponent do.
  const auto [word, r] = reduce<T>(at_most(C::kExpInfinity, at_least(C::kExpZero, v)), C::kBias);
  const Words<T> half = word >> 1;
  const Vector<T> some = power_of_two<T>(half);
  return (some * exp_less_one<T>(r) + some) * power_of_two<T>(word - half);
}

// exp(v) / (exp(v) + 1), which keeps the relative accuracy of the lower tail. Both are held 2^kUp times too large, so
// that nothing but the quotient underflows. The same as s - s^2 / (exp(v) + 1) with s the lesser of exp(v) and 1 would
// be a third to half an ulp more exact, here and in tanh, and take a quarter more time.
template <class T>
TIDEGATE_INLINE Vector<T> sigmoid(Vector<T> v) {
  using C = Numbers<T>;
  const auto [word, r] = reduce<T>(at_most(C::kSigmoidOne, at_least(C::kExpZero, v)), C::kUp);
  const Vector<T> power = power_of_two<T>(word);
  const Vector<T> e = power * exp_less_one<T>(r) + power;
  return e / (e + C::kUpOne);
}

// tanh|v| = h / (h + 1) with h = (exp(2|v|) - 1) / 2. The growing exponential, because its errors shrink on the way to
// the result; those of exp(-2|v|) double. r is half of the usual rest, which saves doubling v.
template <class T>
TIDEGATE_INLINE Vector<T> tanh(Vector<T> v) {
  using C = Numbers<T>;
  const Words<T> sign = (Words<T>)v & C::kSign;
  const Vector<T> a = at_most(C::kTanhOne, (Vector<T>)((Words<T>)v & ~C::kSign));
  constexpr T rounder = C::kRounder + C::kBias;
  const Vector<T> rounded = a * (2 * C::kLog2E) + rounder;
  const Vector<T> n = rounded - rounder;
  const Vector<T> r = C::kLn2Suffices ? a - n * (C::kLn2 / 2) : a - n * (C::kLn2High / 2) - n * (C::kLn2Low / 2);
  const Vector<T> square = r * r;
  const Vector<T> half = square * polynomial(C::kExp, r, square, T{2}, T{2}) + r;  // of exp(2r) - 1
  const Vector<T> power = power_of_two<T>((Words<T>)rounded);
  const Vector<T> h = power * half + (power * T{0.5} - T{0.5});
  return (Vector<T>)((Words<T>)(h / (h + T{1})) | sign);
}

// log(2^n (1 + f)) with 1 + f between the roots of 1/2 and 2; log(1 + f) = log((1 + s) / (1 - s)) with s = f / (2 + f).
// The first terms come from f, which is exact, and not from s: the idea is fdlibm's.
template <class T>
TIDEGATE_INLINE Vector<T> log_of_parts(Vector<T> n, Vector<T> f) {
  using C = Numbers<T>;
  const Vector<T> s = f / (f + T{2});
  const Vector<T> square = s * s;
  const Vector<T> half = f * f * T{0.5};
  const Vector<T> tail = square * polynomial(C::kLog, square, square * square);
  return n * C::kLn2High - ((half - (s * (half + tail) + n * C::kLn2Low)) - f);
}

template <class T>
TIDEGATE_INLINE Vector<T> log(Vector<T> v) {
  using C = Numbers<T>;
  constexpr T lifted = C::kFraction + 1;
  constexpr T whole = C::kRounder / T{1.5} + C::kBias;
  const auto subnormal = v < C::kLeast;
  const Words<T> word = (Words<T>)(subnormal ? v * C::kLift : v) + (C::kOne - C::kRootHalf);
  const Vector<T> exponent = (Vector<T>)((word >> C::kFraction) | C::kWhole);
  const Vector<T> n = exponent - (subnormal ? splat(whole + lifted) : splat(whole));
  const Vector<T> f = (Vector<T>)((word & C::kFractionMask) + C::kRootHalf) - T{1};
  const Vector<T> finite = log_of_parts<T>(n, f);
  const Vector<T> outside = v == T{0} ? splat(-C::kInfinity) : splat(C::kNaN);
  return v > T{0} ? (v < C::kInfinity ? finite : v) : outside;
}

// min(v, 0) - log(1 + e) with e = exp(-|v|), of which 1 + e is 2 (1 + f) where it exceeds the root of 2.
template <class T>
TIDEGATE_INLINE Vector<T> log_sigmoid(Vector<T> v) {
  const Vector<T> e = exp<T>((Vector<T>)((Words<T>)v | Numbers<T>::kSign));
  const auto large = e > T(0.41421356237309505);
  const Vector<T> n = large ? splat(T{1}) : splat(T{0});
  const Vector<T> f = large ? (e - T{1}) * T{0.5} : e;
  return at_most(T{0}, v) - log_of_parts<T>(n, f);
}

template <class T>
TIDEGATE_INLINE Vector<T> relu(Vector<T> v) {
  return at_least(T{0}, v);
}

// One instruction; the loop becomes it.
TIDEGATE_INLINE float root(float v) { return __builtin_sqrtf(v); }
TIDEGATE_INLINE double root(double v) { return __builtin_sqrt(v); }
template <class T>
TIDEGATE_INLINE Vector<T> sqrt(Vector<T> v) {
  Vector<T> result;
  for (int lane = 0; lane < kLanes<T>; ++lane) result[lane] = root(v[lane]);
  return result;
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
