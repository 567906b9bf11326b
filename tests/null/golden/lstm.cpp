// Pointwise part of LSTM; emitted from its equations.
#include "cell.h"

namespace {
using namespace tidegate;

struct forward_0 {
  static constexpr int kPlaces = 17;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v1 = at.load(0);  // c before the step
    const auto v2 = at.load(1);  // W.i
    const auto v3 = at.load(2);  // U.i
    const auto v6 = at.load(3);  // W.f
    const auto v7 = at.load(4);  // U.f
    const auto v10 = at.load(5);  // W.g
    const auto v11 = at.load(6);  // U.g
    const auto v14 = at.load(7);  // W.o
    const auto v15 = at.load(8);  // U.o
    const auto v4 = v2 + v3;
    const auto v5 = sigmoid(v4);
    const auto v8 = v6 + v7;
    const auto v9 = sigmoid(v8);
    const auto v12 = v10 + v11;
    const auto v13 = tanh(v12);
    const auto v16 = v14 + v15;
    const auto v17 = sigmoid(v16);
    const auto v18 = v1 * v9;
    const auto v19 = v5 * v13;
    const auto v20 = v18 + v19;
    const auto v21 = tanh(v20);
    const auto v22 = v17 * v21;
    at.store(9, v22);  // h after the step
    at.store(10, v20);  // c after the step
    at.store(11, v22);  // y[t]
    at.save(12, v1);  // s.1
    at.save(13, v5);  // s.6
    at.save(14, v9);  // s.10
    at.save(15, v13);  // s.14
    at.save(16, v17);  // s.18
  }
};

struct backward_0 {
  static constexpr int kPlaces = 19;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v0 = at.load(0);  // s.1
    const auto v1 = at.load(1);  // s.6
    const auto v2 = at.load(2);  // s.10
    const auto v3 = at.load(3);  // s.14
    const auto v4 = at.load(4);  // s.18
    const auto v9 = at.load(5);  // d h before the step
    const auto v10 = at.load(6);  // d c before the step
    const auto v15 = at.load(7);  // U transposed, rows i f g o
    const auto v17 = at.load(8);  // dy[t]
    const auto v5 = v0 * v2;
    const auto v6 = v1 * v3;
    const auto v7 = v5 + v6;
    const auto v8 = tanh(v7);
    const auto v16 = v9 + v15;
    const auto v18 = v16 + v17;
    const auto v19 = v8 * v18;
    const auto v20 = v4 * v18;
    const auto v21 = v8 * v8;
    const auto v23 = at.number(1.0) - v21;
    const auto v24 = v20 * v23;
    const auto v25 = v10 + v24;
    const auto v26 = v3 * v25;
    const auto v27 = v1 * v25;
    const auto v28 = v0 * v25;
    const auto v29 = v2 * v25;
    const auto v30 = at.number(1.0) - v4;
    const auto v31 = v4 * v30;
    const auto v32 = v19 * v31;
    const auto v33 = v3 * v3;
    const auto v34 = at.number(1.0) - v33;
    const auto v35 = v27 * v34;
    const auto v36 = at.number(1.0) - v2;
    const auto v37 = v2 * v36;
    const auto v38 = v28 * v37;
    const auto v39 = at.number(1.0) - v1;
    const auto v40 = v1 * v39;
    const auto v41 = v26 * v40;
    at.store(9, at.number(0.0));  // d h after the step
    at.store(10, v29);  // d c after the step
    at.store(11, v41);  // d U.i after the step
    at.store(12, v38);  // d U.f after the step
    at.store(13, v35);  // d U.g after the step
    at.store(14, v32);  // d U.o after the step
    at.store(15, v32);  // g.0
    at.store(16, v35);  // g.1
    at.store(17, v38);  // g.2
    at.store(18, v41);  // g.3
  }
};

struct ending_0 {
  static constexpr int kPlaces = 5;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v0 = at.load(0);  // d h before the step
    const auto v1 = at.load(1);  // d c before the step
    const auto v6 = at.load(2);  // U transposed, rows i f g o
    const auto v7 = v0 + v6;
    at.store(3, v7);  // d h
    at.store(4, v1);  // d c
  }
};

}  // namespace

TIDEGATE_POINTWISE(tg_a4504c5508cc5c0c_forward_0, forward_0, false)
TIDEGATE_POINTWISE(tg_a4504c5508cc5c0c_forward_0_saving, forward_0, true)
TIDEGATE_POINTWISE(tg_a4504c5508cc5c0c_backward_0, backward_0, false)
TIDEGATE_POINTWISE(tg_a4504c5508cc5c0c_ending_0, ending_0, false)
