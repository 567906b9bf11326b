// The C interface of the engine; one library of it for each instruction set.
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "amx.h"
#include "cell.h"
#include "norm.h"
#include "peak.h"
#include "tile_check.h"

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

// The product of two matrices by tiles of some kind, as the layers' products are made.
struct Product {
  const DotTiles& tiles;
  int64_t rows, k, n;
  bool of_states = false;  // which a table may round otherwise

  int64_t words() const { return tiles.words(k); }
  int64_t operand_words() const { return rounded(tiles.operand_size(k), 16); }
  int64_t bytes() const { return 4 * (rows * operand_words() + rounded(tiles.panel_words(k) * rounded(n, kLanes<float>), 16)); }

  void multiply(const float* a, const float* matrix, bool across, const float* bias, Start start, float* c, Word* space) const {
    Word* const panels = space + rows * operand_words();
    const auto round = of_states && tiles.round_coarsely ? tiles.round_coarsely : tiles.round;
    for (int64_t row = 0; row < rows; ++row) round(a + row * k, k, words(), space + row * operand_words());
    for (int64_t column = 0; column < n; column += kPanel<float>) {
      Word* const panel = panels + column * tiles.panel_words(k);
      const int width = static_cast<int>(at_most(n - column, kPanel<float>));
      const int64_t way = across ? 1 : k;  // from column to column
      tiles.pack(matrix + column * way, across ? n : 1, way, k, width, words(), panel);
      DotArguments tile = {space, operand_words(), words(), panel, padded<float>(width), bias ? bias + column : nullptr, {}, width, start};
      for (int64_t row = 0, count; row < rows; row += count, tile.a += count * operand_words()) {
        count = at_most(rows - row, tiles.rows);
        for (int64_t r = 0; r < count; ++r) tile.c[r] = c + (row + r) * n + column;
        tiles.multiply(static_cast<int>(count), tile);
      }
    }
  }

  // The first row by whole panels of the packed matrix, a few at once.
  void multiply_row(int64_t at_once, const float* bias, float* c, const Word* space) const {
    const Word* const panels = space + rows * operand_words();
    DotRowArguments row = {space, words(), {}, {}, {}};
    const int64_t whole = n / kPanel<float>;
    for (int64_t first = 0, count; first < whole; first += count) {
      count = at_most(whole - first, at_once);
      for (int64_t p = 0; p < count; ++p) {
        const int64_t column = (first + p) * kPanel<float>;
        row.panel[p] = panels + column * tiles.panel_words(k), row.bias[p] = bias ? bias + column : nullptr, row.c[p] = c + column;
      }
      tiles.multiply_row(static_cast<int>(count), kTileVectors, row);
    }
  }
};

// The table of this name, if this library has one; whether the processor does what it asks for, the caller knows.
const DotTiles* find_tiles(const char* name) {
  for (const DotTiles& tiles : kDotTiles)
    if (!strcmp(tiles.name, name)) return &tiles;
  for (const DotTiles& tiles : kInt8Tiles)
    if (!strcmp(tiles.name, name)) return &tiles;
  for (const DotTiles& tiles : kAmxTiles)
    if (!strcmp(tiles.name, name)) return &tiles;
  return nullptr;
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

// Number types by a number: 1 float32 with matrices of int8, of which nothing is derived, 4 float32, 8 float64; float32 with products in bfloat16 (2) or in float16 (3).
#define TIDEGATE_BY_TYPE(type, function, ...)                       \
  (type == 4   ? tidegate::function<float, float>(__VA_ARGS__)      \
   : type == 8 ? tidegate::function<double, double>(__VA_ARGS__)    \
   : type == 1 ? tidegate::function<float, tidegate::Int8>(__VA_ARGS__)    \
   : type == 3 ? tidegate::function<float, tidegate::Float16>(__VA_ARGS__) \
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

// Chooses the tiles of products in bfloat16, or of int8, by their name; returns 0 if this library has no such tiles.
TIDEGATE_EXPORT int tg_tiles(const char* name) {
  const tidegate::DotTiles* const found = tidegate::find_tiles(name);
  if (found) (found->numbers == tidegate::kBytes ? tidegate::int8_tiles : tidegate::dot_tiles) = found;
  return found != nullptr;
}

// Asks for tile registers, which a process must before it uses them; 0, or the number of an error.
TIDEGATE_EXPORT int tg_ask_for_tiles() { return tidegate::ask_for_tiles(); }

// Whether each instruction of AMX has the bits of its emulation: 0, or the number of the first that has not, 1 tdpbf16ps
// and 2 tdpbusd; -1 if this library has none. `memory` is as large as what is returned without it.
TIDEGATE_EXPORT int tg_check_tiles(void* memory) {
  if (!memory) return sizeof(tidegate::TileCheck);
#ifdef TIDEGATE_AMX
  tidegate::TileCheck& check = *static_cast<tidegate::TileCheck*>(memory);
  check.draws = {};
  return check.disagreement<tidegate::AmxUnit>();
#else
  return -1;
#endif
}

// For tests: c (+)= a [rows, k] times a matrix, [k, n] if across is odd and else [n, k], with tiles of a name; rows are made of states if across is 2 or 3. `start` is a Start. With `at_once`, the
// first row is multiplied again, by so many panels at once. Returns the bytes of workspace that this needs, and does no
// more where there is none; 0 if there are no such tiles.
TIDEGATE_EXPORT int64_t tg_dot(const char* name, int64_t rows, int64_t k, int64_t n, const float* a, const float* matrix, int across,
                               const float* bias, int start, int at_once, float* c, void* workspace) {
  const tidegate::DotTiles* const found = tidegate::find_tiles(name);
  if (!found) return 0;
  const tidegate::Product product = {*found, rows, k, n, across > 1};
  if (!workspace) return product.bytes();
  tidegate::Word* const space = static_cast<tidegate::Word*>(workspace);
  const tidegate::TileUser user(found);
  product.multiply(a, matrix, across & 1, bias, static_cast<tidegate::Start>(start), c, space);
  if (at_once) product.multiply_row(at_once, bias, c, space);
  return product.bytes();
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
