// The C interface of the engine; one library of it for each instruction set.
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "cell.h"
#include "peak.h"
#include "unit.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {
namespace {

constexpr int kMostCalls = 2;             // the two directions of a layer
constexpr int64_t kRowsEach = kTileRows;  // with so many sequences a member fills its tiles by itself

int most_members = kMostMembers;  // what the quota of this process allows

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

double multiplications(const Call& call) {
  double weights = 0;
  for (int i = 0; i < call.plan->matrices; ++i)
    weights += static_cast<double>(call.plan->matrix[i].k) * static_cast<double>(call.plan->matrix[i].n);
  for (int i = 0; i < call.plan->gradients; ++i)
    weights += static_cast<double>(call.plan->gradient[i].rows) * static_cast<double>(call.plan->gradient[i].columns);
  return weights * static_cast<double>(call.offsets[call.steps]);
}

// The largest phase: what its members do between two barriers, for one sequence.
double multiplications_of_phase(const tg_plan& plan) {
  double most = 0;
  for (int p = 0; p < plan.phases; ++p) {
    double sum = 0;
    for (int i = 0; i < plan.phase[p].products; ++i) {
      const tg_matrix& matrix = plan.matrix[plan.product[plan.phase[p].first_product + i].matrix];
      sum += static_cast<double>(matrix.k) * static_cast<double>(matrix.n);
    }
    most = most < sum ? sum : most;
  }
  return most;
}

// The sequences of a member that shares them with others. Of uneven ones every so many, so that all have about equally
// many to run at every step and nobody waits long where they meet.
Share share_of_rows(const Call& call, int member, int members, Barrier* barrier) {
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
  if (widest >= members * kRowsEach) return {members, false};
  if (multiplications_of_phase(*call.plan) * static_cast<double>(widest) / members >= static_cast<double>(call.plan->tuning->meeting_work))
    return {members, true};
  if (widest >= members) return {members, false};
  return {1, false};
}

// What the first member does of a call, as a part of it.
double first_share(const Call& call, Division division) {
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
  Patience* patience;    // of each call
  int64_t* finished;  // when the caller had done its share
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
  if (members == 1) {
    for (int i = 0; i < job.count; ++i) {
      Barrier alone(1);
      job.runs[i]->member(share_of_rows(job.calls[i], 0, 1, &alone));
    }
    return;
  }
  int first = 0;
  for (int i = 0; i < job.count; ++i) {
    if (member >= first && member < first + job.divisions[i].members)
      work_on(job, i, member - first, job.divisions[i], job.barriers[i]);
    first += job.divisions[i].members;
  }
  if (!member) *job.finished = nanoseconds();
}

template <class T, class P>
void run_together(Job<T, P>& job, int members, int threads) {
  Experience& experience = experience_of(job.calls[0].plan, job.calls[0].steps, job.calls[0].offsets[job.calls[0].steps], job.count, members);
  Patience patience[kMostCalls];
  double all = 0;
  for (int i = 0; i < job.count; ++i) all += multiplications(job.calls[i]);
  for (int i = 0; i < job.count; ++i) patience[i].saved = 1 / first_share(job.calls[i], job.divisions[i]) - 1;
  const double own_part = first_share(job.calls[0], job.divisions[0]) * multiplications(job.calls[0]) / all;
  int64_t finished = 0;
  job.patience = patience, job.finished = &finished;
  const int64_t begin = nanoseconds();
  const bool alone = experience.alone(begin);
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
  Job<T, P> job = {calls, count, {&first, &second}, {divisions[0], divisions[count - 1]}, {&one, &two}, nullptr, nullptr};
  if (members == 1) member_of_job<T, P>(&job, 0, 1);
  else run_together(job, members, threads);
}

template <class T, class P>
int64_t workspace(const Call& call, int threads) {
  Call only_sizes = call;
  only_sizes.workspace = reinterpret_cast<void*>(64);  // not null, so that parts may lie behind it
  return Workspace<T, P>(only_sizes, threads).bytes;
}

template <class T, class P>
int64_t packed_bytes(const Call& call) {
  Call kept = call;
  kept.packed = kept.workspace = reinterpret_cast<void*>(64);
  return Workspace<T, P>(kept, 1).packed_bytes();
}

template <class T, class P>
void pack(const Call& call) {
  Barrier alone(1);
  Workspace<T, P> space(call, 1);
  space.locate();
  space.pack({0, 1, false, 0, call.sequences, 1, &alone});
}

struct Peak {
  double seconds;
  double flops[64];
};

void peak_member(void* argument, int member, int) {
  Peak& peak = *static_cast<Peak*>(argument);
  if (member < 64) peak.flops[member] = multiply_adds<float>(peak.seconds);
}

}  // namespace
}  // namespace TIDEGATE_ISA
}  // namespace tidegate

// Number types by a number: 4 float32, 8 float64, 2 float32 with matrices packed as bfloat16.
#define TIDEGATE_BY_TYPE(type, function, ...)                                                     \
  (type == 4   ? tidegate::function<float, float>(__VA_ARGS__)                                    \
   : type == 8 ? tidegate::function<double, double>(__VA_ARGS__)                                  \
               : tidegate::function<float, tidegate::BFloat16>(__VA_ARGS__))

// Bytes of workspace that a call needs.
TIDEGATE_EXPORT int64_t tg_workspace(const int64_t* call, int type, int threads) {
  return TIDEGATE_BY_TYPE(type, workspace, tidegate::Call(call), threads);
}

// One call, or the two directions of a layer, one behind the other.
TIDEGATE_EXPORT void tg_run(const int64_t* calls, int count, int type, int threads) {
  TIDEGATE_BY_TYPE(type, run, calls, count, threads);
}

// Calls behind their type, how many threads and how many calls there are: each argument that Python passes takes time.
TIDEGATE_EXPORT void tg_run_prepared(const int64_t* words) {
  TIDEGATE_BY_TYPE(words[0], run, words + 3, static_cast<int>(words[2]), static_cast<int>(words[1]));
}

// Bytes of the packed matrices of a call.
TIDEGATE_EXPORT int64_t tg_packed(const int64_t* call, int type) {
  return TIDEGATE_BY_TYPE(type, packed_bytes, tidegate::Call(call));
}

// Packs the matrices of a call to where it says that they are, for later calls; the workspace is for what that needs.
TIDEGATE_EXPORT void tg_pack(const int64_t* call, int type) {
  TIDEGATE_BY_TYPE(type, pack, tidegate::Call(call));
}

// Asks for large pages where memory that was never touched begins: filling many small ones takes as long as a step.
TIDEGATE_EXPORT void tg_large_pages(void* memory, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t page = 2 << 20;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory) + page - 1) & ~(page - 1);
  const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + static_cast<uintptr_t>(bytes)) & ~(page - 1);
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);  // a wish; it may be denied
#else
  (void)memory, (void)bytes;
#endif
}

// The threads of an OpenMP runtime to run on, by the addresses of its functions; null for threads of one's own.
TIDEGATE_EXPORT void tg_threads(void* parallel, void* thread, void* threads) {
  tidegate::openmp = {reinterpret_cast<void (*)(void (*)(void*), void*, unsigned, unsigned)>(parallel),
                      reinterpret_cast<int (*)()>(thread), reinterpret_cast<int (*)()>(threads)};
}

// How many threads a call may use at most, however many it is given, and a Temper for meetings.
TIDEGATE_EXPORT void tg_share(int most, int temper) {
  tidegate::most_members = most < 1 ? 1 : most;
  tidegate::temper = temper;
}

// Sizes of the structures of plan.h in their order, so that the other side can check its own.
TIDEGATE_EXPORT int64_t tg_size(int which) {
  const int64_t sizes[] = {sizeof(tg_place),       sizeof(tg_matrix),    sizeof(tg_product), sizeof(tg_reduction),
                           sizeof(tg_phase),       sizeof(tg_carried),   sizeof(tg_gradient), sizeof(tg_sum),
                           sizeof(tg_tuning),      sizeof(tg_plan),      sizeof(tg_call),    tidegate::kMaxProducts,
                           tidegate::kMaxPlaces};
  return which >= 0 && which < static_cast<int>(sizeof(sizes) / sizeof(sizes[0])) ? sizes[which] : -1;
}

// Floating-point operations a second that this machine does at most, by `threads` threads for `seconds`.
TIDEGATE_EXPORT double tg_peak_f32(int threads, double seconds) {
  tidegate::Peak peak = {seconds, {}};
  const int members = tidegate::parallel(threads < 64 ? threads : 64, threads, tidegate::peak_member, &peak);
  double sum = 0;
  for (int i = 0; i < members; ++i) sum += peak.flops[i];
  return sum;
}

// Bytes a second that one thread reads of so many, again and again for `seconds`; whole lines of a cache.
TIDEGATE_EXPORT double tg_read_f32(const float* from, int64_t bytes, double seconds) {
  return tidegate::read_again(from, bytes, seconds);
}
