// The C interface of the engine; one library of it for each instruction set.
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "cell.h"
#include "norm.h"
#include "peak.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {
namespace {

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

// One call, or the two directions of a layer, one behind the other; before them their type, how many threads may run
// them and how many calls there are: each argument that Python passes takes time.
TIDEGATE_EXPORT void tg_run(const int64_t* words) {
  TIDEGATE_BY_TYPE(words[0], run, words + 3, static_cast<int>(words[2]), static_cast<int>(words[1]));
}

// Bytes of workspace that a call needs for its norms, and the squared norms of each sequence's own gradients; norm.h says in
// which order. `wanted` has a byte for each gradient of a matrix and for each sum.
TIDEGATE_EXPORT int64_t tg_norms_workspace(const int64_t* call, int type, int threads) {
  return TIDEGATE_BY_TYPE(type, norms_workspace, tidegate::Call(call), threads);
}
TIDEGATE_EXPORT void tg_norms(const int64_t* call, int type, int threads, const uint8_t* wanted, double* squares) {
  TIDEGATE_BY_TYPE(type, norms, tidegate::Call(call), threads, wanted, squares);
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
                           sizeof(tg_tuning),      sizeof(tg_plan),      sizeof(tg_delta),   sizeof(tg_call),
                           tidegate::kMaxProducts, tidegate::kMaxPlaces};
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
