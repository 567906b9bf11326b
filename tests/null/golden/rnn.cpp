// Pointwise part of RNN; emitted from its equations.
#include "cell.h"

namespace {
using namespace tidegate;

struct forward_0 {
  static constexpr int kPlaces = 4;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v1 = at.load(0);  // W.h
    const auto v2 = at.load(1);  // U.h
    const auto v3 = v1 + v2;
    const auto v4 = tanh(v3);
    at.store(2, v4);  // h after the step
    at.store(3, v4);  // y[t]
  }
};

struct backward_0 {
  static constexpr int kPlaces = 7;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v0 = at.load(0);  // y[t]
    const auto v1 = at.load(1);  // d h before the step
    const auto v3 = at.load(2);  // U transposed, rows h
    const auto v5 = at.load(3);  // dy[t]
    const auto v4 = v1 + v3;
    const auto v6 = v4 + v5;
    const auto v7 = v0 * v0;
    const auto v9 = at.number(1.0) - v7;
    const auto v10 = v6 * v9;
    at.store(4, at.number(0.0));  // d h after the step
    at.store(5, v10);  // d U.h after the step
    at.store(6, v10);  // g.0
  }
};

struct ending_0 {
  static constexpr int kPlaces = 3;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v0 = at.load(0);  // d h before the step
    const auto v2 = at.load(1);  // U transposed, rows h
    const auto v3 = v0 + v2;
    at.store(2, v3);  // d h
  }
};

}  // namespace

TIDEGATE_POINTWISE(tg_2bb4a674c4463ff4_forward_0, forward_0, false)
TIDEGATE_POINTWISE(tg_2bb4a674c4463ff4_backward_0, backward_0, false)
TIDEGATE_POINTWISE(tg_2bb4a674c4463ff4_ending_0, ending_0, false)
