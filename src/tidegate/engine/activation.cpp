// The functions of activation.h over plain arrays, so that tests and benchmarks can measure them alone.
#include "activation.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {
namespace {

template <class T, Vector<T> (*function)(Vector<T>)>
void map(const T* in, T* out, int64_t n) {
  int64_t k = 0;
  for (; k + kLanes<T> <= n; k += kLanes<T>) store(out + k, function(load(in + k)));
  const int rest = static_cast<int>(n - k);
  if (rest > 0) store(out + k, function(load(in + k, rest)), rest);
}

template <class T>
void apply(int which, const T* in, T* out, int64_t n) {
  switch (which) {
    case 0: return map<T, exp<T>>(in, out, n);
    case 1: return map<T, log<T>>(in, out, n);
    case 2: return map<T, sigmoid<T>>(in, out, n);
    case 3: return map<T, tanh<T>>(in, out, n);
    case 4: return map<T, relu<T>>(in, out, n);
    case 5: return map<T, log_sigmoid<T>>(in, out, n);
  }
}

}  // namespace
}  // namespace TIDEGATE_ISA
}  // namespace tidegate

#define TIDEGATE_EXPORT extern "C" __attribute__((visibility("default")))

TIDEGATE_EXPORT void tg_activation_f32(int which, const float* in, float* out, int64_t n) {
  tidegate::apply(which, in, out, n);
}

TIDEGATE_EXPORT void tg_activation_f64(int which, const double* in, double* out, int64_t n) {
  tidegate::apply(which, in, out, n);
}
