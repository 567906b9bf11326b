// Denormal numbers are zeros inside the engine.
#pragma once

#include "vector.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

// Denormal numbers cost hundreds of cycles each and mean nothing here; every thread treats them alike.
class FlushDenormals {
 public:
#if defined(__SSE2__)
  FlushDenormals() : before_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(before_ | 0x8040); }
  ~FlushDenormals() { __builtin_ia32_ldmxcsr(before_); }

 private:
  unsigned before_;
#endif
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
