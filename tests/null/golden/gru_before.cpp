// Pointwise part of GRU/before; emitted from its equations.
#include "cell.h"

namespace {
using namespace tidegate;

struct forward_0 {
  static constexpr int kPlaces = 11;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v0 = at.load(0);  // h before the step
    const auto v1 = at.load(1);  // W.r
    const auto v2 = at.load(2);  // U.r
    const auto v5 = at.load(3);  // W.z
    const auto v6 = at.load(4);  // U.z
    const auto v3 = v1 + v2;
    const auto v4 = sigmoid(v3);
    const auto v7 = v5 + v6;
    const auto v8 = sigmoid(v7);
    const auto v10 = v0 * v4;
    at.store(5, v8);  // for the next phase
    at.store(6, v10);  // for the next phase
    at.save(7, v0);  // s.0
    at.save(8, v4);  // s.5
    at.save(9, v8);  // s.9
    at.save(10, v10);  // s.11
  }
};

struct forward_1 {
  static constexpr int kPlaces = 7;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v0 = at.load(0);  // h before the step
    const auto v8 = at.load(1);  // 
    const auto v9 = at.load(2);  // W.n
    const auto v11 = at.load(3);  // U.n
    const auto v12 = v9 + v11;
    const auto v13 = tanh(v12);
    const auto v14 = v0 * v8;
    const auto v16 = at.number(1.0) - v8;
    const auto v17 = v13 * v16;
    const auto v18 = v14 + v17;
    at.store(4, v18);  // h after the step
    at.store(5, v18);  // y[t]
    at.save(6, v13);  // s.14
  }
};

struct backward_0 {
  static constexpr int kPlaces = 10;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v0 = at.load(0);  // s.0
    const auto v2 = at.load(1);  // s.9
    const auto v3 = at.load(2);  // s.14
    const auto v6 = at.load(3);  // d h before the step
    const auto v9 = at.load(4);  // U transposed, rows r z
    const auto v11 = at.load(5);  // dy[t]
    const auto v5 = at.number(1.0) - v2;
    const auto v10 = v6 + v9;
    const auto v12 = v10 + v11;
    const auto v13 = v3 * v12;
    const auto v14 = v5 * v12;
    const auto v15 = -v13;
    const auto v16 = v0 * v12;
    const auto v17 = v2 * v12;
    const auto v18 = v15 + v16;
    const auto v19 = v3 * v3;
    const auto v20 = at.number(1.0) - v19;
    const auto v21 = v14 * v20;
    const auto v26 = v2 * v5;
    const auto v27 = v18 * v26;
    at.store(6, v17);  // for the next phase
    at.store(7, v27);  // d U.z after the step
    at.store(8, v21);  // g.0
    at.store(9, v27);  // g.1
  }
};

struct backward_1 {
  static constexpr int kPlaces = 7;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v0 = at.load(0);  // s.0
    const auto v1 = at.load(1);  // s.5
    const auto v17 = at.load(2);  // 
    const auto v22 = at.load(3);  // U transposed, rows n
    const auto v23 = v0 * v22;
    const auto v24 = v1 * v22;
    const auto v25 = v17 + v24;
    const auto v28 = at.number(1.0) - v1;
    const auto v29 = v1 * v28;
    const auto v30 = v23 * v29;
    at.store(4, v25);  // d h after the step
    at.store(5, v30);  // d U.r after the step
    at.store(6, v30);  // g.2
  }
};

struct ending_0 {
  static constexpr int kPlaces = 3;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v0 = at.load(0);  // d h before the step
    const auto v3 = at.load(1);  // U transposed, rows r z
    const auto v4 = v0 + v3;
    at.store(2, v4);  // d h
  }
};

}  // namespace

TIDEGATE_POINTWISE(tg_2a60fd8e61f8182b_forward_0, forward_0, false)
TIDEGATE_POINTWISE(tg_2a60fd8e61f8182b_forward_0_saving, forward_0, true)
TIDEGATE_POINTWISE(tg_2a60fd8e61f8182b_forward_1, forward_1, false)
TIDEGATE_POINTWISE(tg_2a60fd8e61f8182b_forward_1_saving, forward_1, true)
TIDEGATE_POINTWISE(tg_2a60fd8e61f8182b_backward_0, backward_0, false)
TIDEGATE_POINTWISE(tg_2a60fd8e61f8182b_backward_1, backward_1, false)
TIDEGATE_POINTWISE(tg_2a60fd8e61f8182b_ending_0, ending_0, false)
