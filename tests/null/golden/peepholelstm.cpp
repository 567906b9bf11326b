// Pointwise part of PeepholeLSTM; emitted from its equations.
#include "cell.h"

namespace {
using namespace tidegate;

struct forward_0 {
  static constexpr int kPlaces = 20;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v1 = at.load(0);  // c before the step
    const auto v2 = at.load(1);  // p_i
    const auto v3 = at.load(2);  // p_f
    const auto v4 = at.load(3);  // p_o
    const auto v5 = at.load(4);  // W.i
    const auto v6 = at.load(5);  // U.i
    const auto v11 = at.load(6);  // W.f
    const auto v12 = at.load(7);  // U.f
    const auto v17 = at.load(8);  // W.g
    const auto v18 = at.load(9);  // U.g
    const auto v24 = at.load(10);  // W.o
    const auto v25 = at.load(11);  // U.o
    const auto v7 = v5 + v6;
    const auto v8 = v1 * v2;
    const auto v9 = v7 + v8;
    const auto v10 = sigmoid(v9);
    const auto v13 = v11 + v12;
    const auto v14 = v1 * v3;
    const auto v15 = v13 + v14;
    const auto v16 = sigmoid(v15);
    const auto v19 = v17 + v18;
    const auto v20 = tanh(v19);
    const auto v21 = v1 * v16;
    const auto v22 = v10 * v20;
    const auto v23 = v21 + v22;
    const auto v26 = v24 + v25;
    const auto v27 = v4 * v23;
    const auto v28 = v26 + v27;
    const auto v29 = sigmoid(v28);
    const auto v30 = tanh(v23);
    const auto v31 = v29 * v30;
    at.store(12, v31);  // h after the step
    at.store(13, v23);  // c after the step
    at.store(14, v31);  // y[t]
    at.save(15, v1);  // s.1
    at.save(16, v10);  // s.11
    at.save(17, v16);  // s.17
    at.save(18, v20);  // s.21
    at.save(19, v29);  // s.30
  }
};

struct backward_0 {
  static constexpr int kPlaces = 25;
  template <class At>
  static TIDEGATE_INLINE void run(const At& at) {
    const auto v0 = at.load(0);  // s.1
    const auto v1 = at.load(1);  // p_i
    const auto v2 = at.load(2);  // p_f
    const auto v3 = at.load(3);  // p_o
    const auto v4 = at.load(4);  // s.11
    const auto v5 = at.load(5);  // s.17
    const auto v6 = at.load(6);  // s.21
    const auto v10 = at.load(7);  // s.30
    const auto v12 = at.load(8);  // d h before the step
    const auto v13 = at.load(9);  // d c before the step
    const auto v18 = at.load(10);  // U transposed, rows i f g o
    const auto v20 = at.load(11);  // dy[t]
    const auto v7 = v0 * v5;
    const auto v8 = v4 * v6;
    const auto v9 = v7 + v8;
    const auto v11 = tanh(v9);
    const auto v19 = v12 + v18;
    const auto v21 = v19 + v20;
    const auto v22 = v11 * v21;
    const auto v23 = v10 * v21;
    const auto v24 = v11 * v11;
    const auto v26 = at.number(1.0) - v24;
    const auto v27 = v23 * v26;
    const auto v28 = v13 + v27;
    const auto v29 = at.number(1.0) - v10;
    const auto v30 = v10 * v29;
    const auto v31 = v22 * v30;
    const auto v32 = v9 * v31;
    const auto v33 = v3 * v31;
    const auto v34 = v28 + v33;
    const auto v35 = v6 * v34;
    const auto v36 = v4 * v34;
    const auto v37 = v0 * v34;
    const auto v38 = v5 * v34;
    const auto v39 = v6 * v6;
    const auto v40 = at.number(1.0) - v39;
    const auto v41 = v36 * v40;
    const auto v42 = at.number(1.0) - v5;
    const auto v43 = v5 * v42;
    const auto v44 = v37 * v43;
    const auto v45 = v0 * v44;
    const auto v46 = v2 * v44;
    const auto v47 = v38 + v46;
    const auto v48 = at.number(1.0) - v4;
    const auto v49 = v4 * v48;
    const auto v50 = v35 * v49;
    const auto v51 = v0 * v50;
    const auto v52 = v1 * v50;
    const auto v53 = v47 + v52;
    at.store(12, at.number(0.0));  // d h after the step
    at.store(13, v53);  // d c after the step
    at.store(14, v50);  // d U.i after the step
    at.store(15, v44);  // d U.f after the step
    at.store(16, v41);  // d U.g after the step
    at.store(17, v31);  // d U.o after the step
    at.store(18, v31);  // g.0
    at.store(19, v41);  // g.1
    at.store(20, v44);  // g.2
    at.store(21, v50);  // g.3
    at.store(22, v32);  // g.4
    at.store(23, v45);  // g.5
    at.store(24, v51);  // g.6
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

TIDEGATE_POINTWISE(tg_d95eadb590b0cc39_forward_0, forward_0, false)
TIDEGATE_POINTWISE(tg_d95eadb590b0cc39_forward_0_saving, forward_0, true)
TIDEGATE_POINTWISE(tg_d95eadb590b0cc39_backward_0, backward_0, false)
TIDEGATE_POINTWISE(tg_d95eadb590b0cc39_ending_0, ending_0, false)
