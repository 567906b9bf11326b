// Numbers of 16 bits as the engine stores and reads them, for test_numbers.py.
#include "../../src/tidegate/engine/operand.h"

using namespace tidegate;

template <class P>
void store_all(const float* from, int64_t count, uint16_t* to) {
  P* const stored = reinterpret_cast<P*>(to);
  for (int64_t i = 0; i < count; i += kLanes<float>) store(stored + i, load(from + i));
}
template <class P>
void read_all(const uint16_t* from, int64_t count, float* to) {
  const P* const stored = reinterpret_cast<const P*>(from);
  for (int64_t i = 0; i < count; i += kLanes<float>) store(to + i, load(stored + i));
}

// Whole vectors of numbers; inside the engine denormals are flushed.
extern "C" void store_numbers(int half, const float* from, int64_t count, uint16_t* to) {
  const unsigned before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(before | 0x8040);
  half ? store_all<Float16>(from, count, to) : store_all<BFloat16>(from, count, to);
  __builtin_ia32_ldmxcsr(before);
}
extern "C" void read_numbers(int half, const uint16_t* from, int64_t count, float* to) {
  const unsigned before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(before | 0x8040);
  half ? read_all<Float16>(from, count, to) : read_all<BFloat16>(from, count, to);
  __builtin_ia32_ldmxcsr(before);
}
