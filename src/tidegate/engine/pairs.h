// Squared norms of sums of outer products without the sums, from products of all pairs of steps:
// |sum over t of a[t] o[t]'|^2 = sum over t and u of (a[t].a[u]) (o[t].o[u]).
#pragma once

#include "backward.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

constexpr int kPairVectors = 2;  // of a tile of products: narrow, so that few pairs are multiplied twice
template <class T>
constexpr int kPairs = kPairVectors * kLanes<T>;
constexpr double kCancelled = 1e-2;  // of what steps have with themselves: a smaller sum has lost digits

// Vectors of all steps, each of which is multiplied by each: some columns of the adjoints, or an operand.
template <class T>
struct PairRows {
  T* rows;
  int64_t stride, k;
  T* packed;  // a panel of steps
  T* tile;
};

// What the gradient of a matrix reads: neighbouring columns of the adjoints, and an operand.
struct PairItem {
  int first, last, operand;
};

template <class T>
struct PairRoom {
  PairRows<T>* part;  // columns of adjoints that the same gradients read, then operands
  PairItem* item;     // of each gradient
  int64_t* edge;      // columns where those of a gradient begin or end
  double* own;        // of each gradient, what steps have with themselves
  T* operands;
  T* panels;
  T* weights;  // of the pairs of a tile: 2 above the diagonal, 1 on it, else 0
  int64_t bytes;
  int columns, parts;
  int64_t width;  // of all parts together

  // As if memory began at `memory`; rows have room for whole vectors of steps.
  PairRoom(const Call& call, char* memory) {
    const tg_plan& plan = *call.plan;
    int64_t operand_width = 0, rows = 0;
    for (int i = 0; i < plan.gradients; ++i) {
      operand_width += rounded(plan.gradient[i].columns, kLanes<T>);
      rows += plan.gradient[i].rows;
    }
    const int64_t most = 3 * plan.gradients, wide = at_most(rows, plan.chunk_width) + operand_width;
    char* at = memory;
    put(part, at, most);
    put(item, at, plan.gradients);
    put(edge, at, 2 * plan.gradients);
    put(own, at, plan.gradients);
    put(operands, at, (call.steps + kPairs<T>) * operand_width + kLanes<T>);
    put(panels, at, (wide + most * kTileRows) * kPairs<T>);
    put(weights, at, kTileRows * kPairs<T>);
    bytes = at - memory;
  }

 private:
  template <class U>
  static void put(U*& to, char*& at, int64_t count) {
    to = reinterpret_cast<U*>(at);
    at += rounded(count * static_cast<int64_t>(sizeof(U)), 64);
  }
};

template <class T, class P = T>
class Pairs : public Gradients<T, P> {
 protected:
  using Base = Gradients<T, P>;
  using Base::call_, Base::plan_, Base::space_;
  using Base::operand_row;

 public:
  using Base::Base;

 protected:
  // Finds what the wanted gradients read of rows of adjoints that will lie at `adjoints`.
  void find_parts(T* adjoints, const uint8_t* wanted, PairRoom<T>& room) const {
    int edges = 0;
    room.parts = 0;
    room.width = 0;
    for (int i = 0; i < plan_.gradients; ++i)
      if (wanted[i]) {
        add_edge(plan_.gradient[i].adjoint, room.edge, edges);
        add_edge(plan_.gradient[i].adjoint + plan_.gradient[i].rows, room.edge, edges);
      }
    T* at = room.panels;
    for (int e = 0; e + 1 < edges; ++e) {
      bool read = false;
      for (int i = 0; i < plan_.gradients; ++i) {
        const tg_gradient& own = plan_.gradient[i];
        if (!wanted[i] || room.edge[e] < own.adjoint || room.edge[e + 1] > own.adjoint + own.rows) continue;
        if (room.edge[e] == own.adjoint) room.item[i].first = room.parts;
        room.item[i].last = room.parts + 1;
        read = true;
      }
      if (read) add_part(adjoints + room.edge[e], space_.chunk_width, room.edge[e + 1] - room.edge[e], at, room);
    }
    room.columns = room.parts;
    find_operands(wanted, at, room);
  }

  // Multiplications for a sequence of so many steps, in vectors.
  double pair_work(int64_t length, const PairRoom<T>& room) const {
    double work = 0;
    for (int64_t first = 0, last; first < length; first = last) {
      last = panel_end(first, length);
      work += static_cast<double>(rounded(last, kTileRows) * padded<T>(static_cast<int>(last - first)));
    }
    return work * static_cast<double>(room.width) / kLanes<T>;
  }

  // Of a sequence for each wanted gradient its squared norm, or -1 where too little is left of sums to say it.
  void multiply_pairs(int64_t sequence, int64_t length, const uint8_t* wanted, PairRoom<T>& room, double* squares) const {
    gather_operands(sequence, length, wanted, room);
    for (int i = 0; i < plan_.gradients; ++i)
      if (wanted[i]) squares[i * call_.sequences + sequence] = room.own[i] = 0;
    for (int64_t first = 0, last; first < length; first = last) {
      last = panel_end(first, length);
      const int full = padded<T>(static_cast<int>(last - first));
      for (int p = 0; p < room.parts; ++p) {
        const PairRows<T>& part = room.part[p];
        pack_along(part.rows + first * part.stride, part.stride, part.k, full, part.packed, full);
      }
      for (int64_t t = 0; t < last; t += kTileRows) {
        const int count = static_cast<int>(at_most(last - t, kTileRows));
        for (int p = 0; p < room.parts; ++p) multiply_part(room.part[p], t, count, full);
        weigh(t, count, first, last, full, room.weights);
        for (int i = 0; i < plan_.gradients; ++i)
          if (wanted[i]) squares[i * call_.sequences + sequence] += sum_of_pairs(room, room.item[i], t - first, count, full, room.own[i]);
      }
    }
    for (int i = 0; i < plan_.gradients; ++i) {
      double& square = squares[i * call_.sequences + sequence];
      if (wanted[i] && !(square >= kCancelled * room.own[i])) square = -1;
    }
  }

 private:
  // The first panel is the narrow one: it has the fewest pairs.
  static int64_t panel_end(int64_t first, int64_t length) {
    const int64_t rest = (length - first) % kPairs<T>;
    return first + (rest ? rest : kPairs<T>);
  }

  static void add_edge(int64_t column, int64_t* edge, int& edges) {
    int at = 0;
    while (at < edges && edge[at] < column) ++at;
    if (at < edges && edge[at] == column) return;
    for (int e = edges++; e > at; --e) edge[e] = edge[e - 1];
    edge[at] = column;
  }

  static void add_part(T* rows, int64_t stride, int64_t k, T*& at, PairRoom<T>& room) {
    room.part[room.parts++] = {rows, stride, k, at, at + k * kPairs<T>};
    at += (k + kTileRows) * kPairs<T>;
    room.width += k;
  }

  static bool same(const tg_gradient& a, const tg_gradient& b) {
    return a.operand.kind == b.operand.kind && a.operand.tensor == b.operand.tensor &&
           a.operand.offset == b.operand.offset && a.columns == b.columns;
  }

  void find_operands(const uint8_t* wanted, T* at, PairRoom<T>& room) const {
    T* rows = room.operands;
    for (int i = 0; i < plan_.gradients; ++i) {
      if (!wanted[i]) continue;
      int before = 0;
      while (before < i && !(wanted[before] && same(plan_.gradient[before], plan_.gradient[i]))) ++before;
      room.item[i].operand = before < i ? room.item[before].operand : room.parts;
      if (before < i) continue;
      const int64_t columns = plan_.gradient[i].columns, stride = rounded(columns, kLanes<T>);
      add_part(rows, stride, columns, at, room);
      rows += (call_.steps + kPairs<T>) * stride;
    }
  }

  void gather_operands(int64_t sequence, int64_t length, const uint8_t* wanted, const PairRoom<T>& room) const {
    int next = room.columns;
    for (int i = 0; i < plan_.gradients; ++i) {
      if (!wanted[i] || room.item[i].operand != next) continue;
      const PairRows<T>& part = room.part[next++];
      for (int64_t t = 0; t < length + kLanes<T>; ++t) {
        T* const to = part.rows + t * part.stride;
        const T* const from = t < length ? operand_row(plan_.gradient[i], t, sequence, to) : nullptr;
        if (from != to) this->copy_or_clear(to, from, part.k);
      }
    }
  }

  static void multiply_part(const PairRows<T>& part, int64_t t, int count, int full) {
    TileArguments<T> tile;
    tile.step = 1;
    tile.k = part.k;
    tile.panel = part.packed;
    tile.panel_step = tile.width = full;
    tile.index = nullptr;
    tile.bias = nullptr;
    tile.start = Start::kZero;
    for (int r = 0; r < count; ++r) {
      tile.a[r] = part.rows + (t + r) * part.stride;
      tile.c[r] = part.tile + r * kPairs<T>;
    }
    multiply(count, tile);
  }

  static void weigh(int64_t t, int count, int64_t first, int64_t last, int full, T* weights) {
    for (int r = 0; r < count; ++r)
      for (int j = 0; j < full; ++j) {
        const int64_t u = first + j;
        weights[r * kPairs<T> + j] = u >= last || u < t + r ? T(0) : u == t + r ? T(1) : T(2);
      }
  }

  static double sum_of_pairs(const PairRoom<T>& room, const PairItem& item, int64_t before, int count, int full,
                             double& own) {
    Vector<T> total = {};
    const T* const operand = room.part[item.operand].tile;
    for (int r = 0; r < count; ++r) {
      const int row = r * kPairs<T>;
      for (int j = 0; j < full; j += kLanes<T>) {
        Vector<T> sum = load(room.part[item.first].tile + row + j);
        for (int p = item.first + 1; p < item.last; ++p) sum += load(room.part[p].tile + row + j);
        total += sum * load(operand + row + j) * load(room.weights + row + j);
      }
      const int64_t j = before + r;  // the step itself
      if (j < 0 || j >= full) continue;
      double sum = 0;
      for (int p = item.first; p < item.last; ++p) sum += static_cast<double>(room.part[p].tile[row + j]);
      own += sum * static_cast<double>(operand[row + j]);
    }
    double sum = 0;
    for (int lane = 0; lane < kLanes<T>; ++lane) sum += static_cast<double>(total[lane]);
    return sum;
  }
};

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
