// How threads share a call, or the two directions of a layer.
#pragma once

#include "denormals.h"
#include "patience.h"
#include "seat.h"
#include "unit.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

constexpr int kMostCalls = 2;             // the two directions of a layer
constexpr int64_t kRowsEach = kTileRows;  // with so many sequences a member fills its tiles by itself

inline int most_members __attribute__((visibility("hidden"))) = kMostMembers;  // what the quota of this process allows

// As long as a thread multiplies by tiles of a kind.
class TileUser {
 public:
  explicit TileUser(const DotTiles* tiles) : tiles_(tiles) {
    if (tiles_ && tiles_->begin) tiles_->begin();
  }
  ~TileUser() {
    if (tiles_ && tiles_->end) tiles_->end();
  }

 private:
  const DotTiles* tiles_;
};

// The tiles that products with matrices of a type use; null where there are none.
template <class P>
TIDEGATE_INLINE const DotTiles* tiles_used() {
  if constexpr (kWords<P>)
    return &tiles_of<P>();
  else
    return nullptr;
}

inline double multiplications(const tg_matrix& matrix) {
  return static_cast<double>(matrix.k) * static_cast<double>(matrix.n) / static_cast<double>(matrix.heads);
}

inline double multiplications(const Call& call) {
  double weights = 0;
  for (int i = 0; i < call.plan->matrices; ++i) weights += multiplications(call.plan->matrix[i]);
  for (int i = 0; i < call.plan->gradients; ++i)
    weights += static_cast<double>(call.plan->gradient[i].rows) * static_cast<double>(call.plan->gradient[i].columns);
  return weights * static_cast<double>(call.offsets[call.steps]);
}

// The largest phase: what its members do between two barriers, for one sequence.
inline double multiplications_of_phase(const tg_plan& plan) {
  double most = 0;
  for (int p = 0; p < plan.phases; ++p) {
    double sum = 0;
    for (int i = 0; i < plan.phase[p].products; ++i)
      sum += multiplications(plan.matrix[plan.product[plan.phase[p].first_product + i].matrix]);
    most = most < sum ? sum : most;
  }
  return most;
}

// The sequences of a member that shares them with others. Of uneven ones every so many, so that all have about equally
// many to run at every step and nobody waits long where they meet.
inline Share share_of_rows(const Call& call, int member, int members, Barrier* barrier) {
  const int64_t count = call.sequences;
  const bool uneven = call.steps && call.sizes[0] != call.sizes[call.steps - 1];
  if (uneven) return {member, members, false, member, count, members, barrier};
  return {member, members, false, count * member / members, count * (member + 1) / members, 1, barrier};
}

struct Division {
  int members;
  bool by_units;
};

template <class T>
Division divide(const Call& call, int members) {
  const int worth = static_cast<int>(multiplications(call) / static_cast<double>(call.plan->tuning->thread_work));
  if (worth < members) members = worth;
  if (members <= 1) return {1, false};
  if (call.plan->by_unit) {
    const int64_t most = UnitRun<T>::shares(call);
    return {static_cast<int>(most < members ? most : members), false};
  }
  const int64_t widest = call.sizes[0];
  if (call.delta) return {static_cast<int>(widest < members ? widest : members), false};  // each row has its own list
  if (widest >= members * kRowsEach) return {members, false};
  if (multiplications_of_phase(*call.plan) * static_cast<double>(widest) / members >= static_cast<double>(call.plan->tuning->meeting_work))
    return {members, true};
  if (widest >= members) return {members, false};
  return {1, false};
}

// What the first member does of a call, as a part of it.
inline double first_share(const Call& call, Division division) {
  const double even = 1.0 / division.members;
  if (call.plan->by_unit) return even;
  int64_t shared = call.sequences;
  if (division.by_units) {
    int64_t widest = 0;
    for (int i = 0; i < call.plan->phases; ++i)
      widest = widest < call.plan->phase[i].width ? call.plan->phase[i].width : widest;
    shared = (widest + kPanel<float> - 1) / kPanel<float>;
  }
  const int64_t own = shared / division.members;
  return own ? static_cast<double>(own) / static_cast<double>(shared) : even;
}

template <class T, class P>
struct Job {
  const Call* calls;
  int count;
  UnitRun<T, P>* runs[kMostCalls];
  Division divisions[kMostCalls];
  Barrier* barriers[kMostCalls];
  Patience* patience = nullptr;  // of each call
  int64_t* finished = nullptr;   // when the caller had done its share
  Seats* seats = nullptr;
};

template <class T, class P>
void work_on(const Job<T, P>& job, int call, int member, Division division, Barrier* barrier) {
  if (member >= division.members) return;
  const Call& own = job.calls[call];
  Share share = {member, division.members, true, 0, own.sequences, 1, barrier};
  if (!division.by_units) share = share_of_rows(own, member, division.members, barrier);
  share.patience = division.members > 1 ? &job.patience[call] : nullptr;
  if (!member) job.patience[call].begin = nanoseconds();
  job.runs[call]->member(share);
}

// With two calls and more than one thread, the first half of the threads takes one, the rest the other.
template <class T, class P>
void member_of_job(void* argument, int member, int members) {
  const Job<T, P>& job = *static_cast<const Job<T, P>*>(argument);
  FlushDenormals flush;
  const TileUser user(tiles_used<P>());
  if (members == 1) {
    for (int i = 0; i < job.count; ++i) {
      Barrier alone(1);
      job.runs[i]->member(share_of_rows(job.calls[i], 0, 1, &alone));
    }
    return;
  }
  if (member) job.seats->find_own();
  int first = 0;
  for (int i = 0; i < job.count; ++i) {
    if (member >= first && member < first + job.divisions[i].members)
      work_on(job, i, member - first, job.divisions[i], job.barriers[i]);
    first += job.divisions[i].members;
  }
  if (!member) *job.finished = nanoseconds();
}

// The threads run, unless calls of this shape have learnt that one is quicker at present.
template <class T, class P>
void run_together(Job<T, P>& job, int members, int threads) {
  const Call& call = job.calls[0];
  Experience& experience = experience_of(call.plan, call.steps, call.offsets[call.steps], job.count, members);
  Patience patience[kMostCalls];
  double all = 0;
  for (int i = 0; i < job.count; ++i) all += multiplications(job.calls[i]);
  for (int i = 0; i < job.count; ++i) patience[i].saved = 1 / first_share(job.calls[i], job.divisions[i]) - 1;
  const double own_part = first_share(call, job.divisions[0]) * multiplications(call) / all;
  int64_t finished = 0;
  job.patience = patience, job.finished = &finished;
  const int64_t begin = nanoseconds();
  const bool alone = experience.alone(begin);
  Seats seats;
  job.seats = &seats;
  const int were = parallel(alone ? 1 : members, threads, member_of_job<T, P>, &job);
  const int64_t end = nanoseconds();
  if (alone) return experience.worked_alone(end - begin);
  if (were == 1) return;
  const int64_t waited = patience[0].waited + end - finished;
  const bool to_its_end = patience[0].last_step < 0;
  experience.shared(end - begin - waited, waited, 1 / own_part - 1, to_its_end, end);
}

template <class T, class P>
void run(const int64_t* words, int count, int threads) {
  const Call one_call(words), other(count == 2 ? one_call.end() : words);
  const Call calls[kMostCalls] = {one_call, other};
  const int most = threads < most_members ? threads : most_members;
  Division divisions[kMostCalls];
  int members = 0;
  for (int i = 0; i < count; ++i) {
    const int each = count == 1 ? most : i == 0 ? most - most / 2 : most / 2;
    divisions[i] = most > 1 ? divide<T>(calls[i], each < 1 ? 1 : each) : Division{1, false};
    members += divisions[i].members;
  }
  if (most == 1) members = 1;
  double work = 0;
  for (int i = 0; i < count; ++i) work += multiplications(calls[i]);
  if (work < 2 * static_cast<double>(calls[0].plan->tuning->thread_work)) members = 1;
  UnitRun<T, P> first(calls[0], divisions[0].members), second(calls[count - 1], divisions[count - 1].members);
  Barrier one(divisions[0].members), two(divisions[count - 1].members);
  Job<T, P> job = {calls, count, {&first, &second}, {divisions[0], divisions[count - 1]}, {&one, &two}};
  if (members == 1)
    member_of_job<T, P>(&job, 0, 1);
  else
    run_together(job, members, threads);
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
