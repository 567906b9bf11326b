// How long the gradients of one sequence are: their squared norms, of each sequence by itself.
//
// Either a tile of the gradient of one sequence is added up over its steps in registers, squared where it is, and
// forgotten; or pairs of steps are multiplied (pairs.h). So no gradient of a sequence is ever stored. Whatever takes
// fewer multiplications is done, sequence by sequence, but where pairs cancel each other, tiles say it better.
#pragma once

#include "job.h"
#include "pairs.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

constexpr double kPairCost = 1.25;  // of a multiplication for pairs, over one for tiles of gradients

template <class T, class P = T>
class Norms : public Pairs<T, P> {
  using Base = Pairs<T, P>;
  using Base::call_, Base::plan_, Base::space_;
  using Base::operand_row, Base::tensor;

 public:
  explicit Norms(const Call& call) : Base(call, 1) {}

  // Bytes that each member needs, where rows of a chunk are so wide.
  static int64_t room(const Call& call, int64_t chunk_width) {
    return Room(call, chunk_width, reinterpret_cast<char*>(64)).bytes;  // not null, so that parts may lie behind it
  }

  // Of every `members`-th sequence, for each gradient of a matrix and then for each sum that is wanted, one after the
  // other [sequences] numbers.
  void member(int member, int members, char* memory, const uint8_t* wanted, double* squares) const {
    Room room(call_, space_.chunk_width, memory + member * Norms::room(call_, space_.chunk_width));
    this->find_parts(room.adjoints, wanted, room.pairs);
    double work = 0;  // of a step
    for (int i = 0; i < plan_.gradients; ++i)
      if (wanted[i]) work += static_cast<double>(plan_.gradient[i].rows * rounded(plan_.gradient[i].columns, kLanes<T>));
    int64_t length = call_.steps;
    for (int64_t sequence = member; sequence < call_.sequences; sequence += members) {
      while (length && call_.sizes[length - 1] <= sequence) --length;
      gather(sequence, length, room);
      const double direct = work / kLanes<T> * static_cast<double>(length);
      const bool by_pairs = kPairCost * this->pair_work(length, room.pairs) < direct;
      if (by_pairs) this->multiply_pairs(sequence, length, wanted, room.pairs, squares);
      for (int i = 0; i < plan_.gradients + plan_.sums; ++i) {
        double& square = squares[i * call_.sequences + sequence];
        if (!wanted[i] || !length)
          square = 0;
        else if (i >= plan_.gradients)
          square = of_vector(plan_.sum[i - plan_.gradients], length, room);
        else if (!by_pairs || square < 0)
          square = of_matrix(plan_.gradient[i], sequence, length, room);
      }
    }
  }

 private:
  struct Room {
    T* adjoints;  // of all steps
    T* operand;   // of all steps, packed
    T* side;      // a row of it, where it lies in bfloat16
    T* packed;    // some columns of the adjoints
    T* tile;
    T* sum;
    PairRoom<T> pairs;
    int64_t bytes;

    Room(const Call& call, int64_t chunk_width, char* memory) : pairs(call, memory) {
      const tg_plan& plan = *call.plan;
      int64_t columns = 0, at = pairs.bytes;
      for (int i = 0; i < plan.gradients; ++i) columns = at_least(plan.gradient[i].columns, columns);
      auto take = [memory, &at](int64_t count) {
        T* const part = reinterpret_cast<T*>(memory + at);
        at += rounded(count * static_cast<int64_t>(sizeof(T)), 64);
        return part;
      };
      adjoints = take((call.steps + kPairs<T>) * chunk_width + 2 * kLanes<T>);  // vectors are read past its end
      operand = take(call.steps * rounded(columns, kLanes<T>));
      side = take(columns);
      packed = take(adjoints_size<T>(call.steps));
      tile = take(kTileRows * kPanel<T>);
      sum = take(rounded(plan.chunk_width, kLanes<T>));
      bytes = at;
    }
  };

  // Steps of one sequence lie far apart; they are read once.
  void gather(int64_t sequence, int64_t length, const Room& room) const {
    const int64_t stride = call_.strides[plan_.source];
    for (int64_t t = 0; t < length; ++t)
      memcpy(room.adjoints + t * space_.chunk_width,
             tensor(plan_.source) + (call_.offsets[t] + sequence) * stride, plan_.chunk_width * sizeof(T));
    memset(room.adjoints + length * space_.chunk_width, 0, kLanes<T> * space_.chunk_width * sizeof(T));
  }

  double of_matrix(const tg_gradient& gradient, int64_t sequence, int64_t length, const Room& room) const {
    for (int64_t t = 0; t < length; ++t)
      pack_operand_row(operand_row(gradient, t, sequence, room.side), gradient.columns, length, t, room.operand);
    double square = 0;
    const auto each = [&](TileArguments<T>& tile, int count, int64_t, int64_t) {
      tile.start = Start::kZero;
      for (int r = 0; r < count; ++r) tile.c[r] = room.tile + r * kPanel<T>;
      multiply(count, tile);
      square += sum_of_squares(room.tile, count, tile.width);
    };
    tiles_over_rows(room.adjoints + gradient.adjoint, space_.chunk_width, 0, gradient.rows, length, room.operand,
                    gradient.columns, room.packed, each);
    return square;
  }

  double of_vector(const tg_sum& sum, int64_t length, const Room& room) const {
    add_rows(room.adjoints + sum.adjoint, space_.chunk_width, length, sum.count, room.sum, true);
    double square = 0;
    for (int64_t j = 0; j < sum.count; j += kPanel<T>)
      square += sum_of_squares(room.sum + j, 1, static_cast<int>(at_most(sum.count - j, kPanel<T>)));
    return square;
  }

  // Of a tile.
  static double sum_of_squares(const T* from, int rows, int width) {
    Vector<T> total = {};
    for (int r = 0; r < rows; ++r, from += kPanel<T>)
      for (int j = 0; j < width; j += kLanes<T>) {
        const Vector<T> some = width - j < kLanes<T> ? load(from + j, width - j) : load(from + j);
        total += some * some;
      }
    double sum = 0;
    for (int lane = 0; lane < kLanes<T>; ++lane) sum += static_cast<double>(total[lane]);
    return sum;
  }
};

template <class T, class P>
struct NormsOfAll {
  const Norms<T, P>* norms;
  char* memory;
  const uint8_t* wanted;
  double* squares;
};

template <class T, class P>
void norms_of_member(void* argument, int member, int members) {
  const NormsOfAll<T, P>& all = *static_cast<const NormsOfAll<T, P>*>(argument);
  FlushDenormals flush;
  all.norms->member(member, members, all.memory, all.wanted, all.squares);
}

inline int members_of_norms(const Call& call, int threads) {
  const int64_t worth = static_cast<int64_t>(multiplications(call) / static_cast<double>(call.plan->tuning->thread_work));
  const int64_t most = at_most(at_most(threads, most_members), at_most(worth, call.sequences));
  return static_cast<int>(at_least(most, 1));
}

// The workspace has room for the members behind what a call needs.
template <class T, class P>
void norms(const Call& call, int threads, const uint8_t* wanted, double* squares) {
  const Norms<T, P> own(call);
  char* const memory = static_cast<char*>(call.workspace) + rounded(Workspace<T, P>(call, 1).bytes, 64);
  NormsOfAll<T, P> all = {&own, memory, wanted, squares};
  parallel(members_of_norms(call, threads), threads, norms_of_member<T, P>, &all);
}

template <class T, class P>
int64_t norms_workspace(const Call& call, int threads) {
  Call only_sizes = call;
  only_sizes.workspace = reinterpret_cast<void*>(64);
  const Workspace<T, P> space(only_sizes, 1);
  return rounded(space.bytes, 64) + members_of_norms(call, threads) * Norms<T, P>::room(call, space.chunk_width);
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
