// Pointwise part of GRU; emitted from its equations.
#include "cell.h"

namespace {
using namespace tidegate;

struct forward_0 {
  static constexpr int kPlaces = 14;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v0 = at.load(0);  // h before the step
    const auto v1 = at.load(1);  // W.r
    const auto v2 = at.load(2);  // U.r
    const auto v5 = at.load(3);  // W.z
    const auto v6 = at.load(4);  // U.z
    const auto v9 = at.load(5);  // W.n
    const auto v10 = at.load(6);  // U.n
    const auto v3 = v1 + v2;
    const auto v4 = sigmoid(v3);
    const auto v7 = v5 + v6;
    const auto v8 = sigmoid(v7);
    const auto v11 = v4 * v10;
    const auto v12 = v9 + v11;
    const auto v13 = tanh(v12);
    const auto v14 = v0 * v8;
    const auto v16 = at.number(1.0) - v8;
    const auto v17 = v13 * v16;
    const auto v18 = v14 + v17;
    at.store(7, v18);  // h after the step
    at.store(8, v18);  // y[t]
    at.save(9, v0);  // s.0
    at.save(10, v4);  // s.5
    at.save(11, v8);  // s.9
    at.save(12, v10);  // s.11
    at.save(13, v13);  // s.14
  }
};

struct backward_0 {
  static constexpr int kPlaces = 16;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v0 = at.load(0);  // s.0
    const auto v1 = at.load(1);  // s.5
    const auto v2 = at.load(2);  // s.9
    const auto v3 = at.load(3);  // s.11
    const auto v4 = at.load(4);  // s.14
    const auto v7 = at.load(5);  // d h before the step
    const auto v11 = at.load(6);  // U transposed, rows r z n
    const auto v13 = at.load(7);  // dy[t]
    const auto v6 = at.number(1.0) - v2;
    const auto v12 = v7 + v11;
    const auto v14 = v12 + v13;
    const auto v15 = v4 * v14;
    const auto v16 = v6 * v14;
    const auto v17 = -v15;
    const auto v18 = v0 * v14;
    const auto v19 = v2 * v14;
    const auto v20 = v17 + v18;
    const auto v21 = v4 * v4;
    const auto v22 = at.number(1.0) - v21;
    const auto v23 = v16 * v22;
    const auto v24 = v3 * v23;
    const auto v25 = v1 * v23;
    const auto v26 = v2 * v6;
    const auto v27 = v20 * v26;
    const auto v28 = at.number(1.0) - v1;
    const auto v29 = v1 * v28;
    const auto v30 = v24 * v29;
    at.store(8, v19);  // d h after the step
    at.store(9, v30);  // d U.r after the step
    at.store(10, v27);  // d U.z after the step
    at.store(11, v25);  // d U.n after the step
    at.store(12, v23);  // g.0
    at.store(13, v25);  // g.1
    at.store(14, v27);  // g.2
    at.store(15, v30);  // g.3
  }
};

struct ending_0 {
  static constexpr int kPlaces = 3;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v0 = at.load(0);  // d h before the step
    const auto v4 = at.load(1);  // U transposed, rows r z n
    const auto v5 = v0 + v4;
    at.store(2, v5);  // d h
  }
};

}  // namespace

TIDEGATE_POINTWISE(tg_30077162d8cf1b35_forward_0, forward_0, false)
TIDEGATE_POINTWISE(tg_30077162d8cf1b35_forward_0_saving, forward_0, true)
TIDEGATE_POINTWISE(tg_30077162d8cf1b35_backward_0, backward_0, false)
TIDEGATE_POINTWISE(tg_30077162d8cf1b35_ending_0, ending_0, false)
