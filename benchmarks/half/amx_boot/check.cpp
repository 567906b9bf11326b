// The check of tile registers without a system, for an emulator of processors: benchmarks/half/amx.py.
#include "../../../src/tidegate/engine/tile_check.h"

using namespace tidegate;

extern "C" {
void* memcpy(void* to, const void* from, size_t count) {
  void* const begin = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
  return begin;
}
void* memset(void* to, int value, size_t count) {
  void* const begin = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
  return begin;
}
int memcmp(const void* one, const void* other, size_t count) {
  const unsigned char *a = static_cast<const unsigned char*>(one), *b = static_cast<const unsigned char*>(other);
  for (size_t i = 0; i < count; ++i)
    if (a[i] != b[i]) return a[i] - b[i];
  return 0;
}
extern char bss_begin[], bss_end[], tls_end[];  // of boot.ld
__attribute__((section(".entry"))) void entry();
}

// A planted mistake: even and odd numbers of an operand change places.
struct Swapped : AmxUnit {
  static inline Word copy[kTileSide][kTileSide];
  template <int kTo>
  static void load(const void* from, ptrdiff_t stride) {
    AmxUnit::load<kTo>(from, stride);
    if (kTo < kOperandRegister || kTo >= kPanelRegister) return;
    AmxUnit::store<kTo>(copy, kTileSide);
    for (auto& row : copy)
      for (Word& word : row) word = word >> 16 | word << 16;
    AmxUnit::load<kTo>(copy, kTileSide);
  }
};

static TileCheck check;

static void put(char letter) { __asm__ volatile("outb %0, $0xe9" : : "a"(letter)); }

// A letter for each question: pairs, bytes, pairs with the planted mistake. Then the emulator ends.
static void answer() {
  check.draws = {};
  for (const char* letter = "amx:"; *letter; ++letter) put(*letter);
  put(check.agrees<AmxUnit, AmxPairs>() ? 'y' : 'n');
  put(check.agrees<AmxUnit, AmxBytes<1>>() && check.agrees<AmxUnit, AmxBytes<2>>() ? 'y' : 'n');
  put(check.agrees<Swapped, AmxPairs>() ? 'y' : 'n');
  put('\n');
  for (const char* letter = "Shutdown"; *letter; ++letter)
    __asm__ volatile("outb %0, %1" : : "a"(*letter), "d"(static_cast<short>(0x8900)));
  for (;;) __asm__ volatile("hlt");
}

void entry() {
  for (char* at = bss_begin; at < bss_end; ++at) *at = 0;
  const unsigned long top = reinterpret_cast<unsigned long>(tls_end);  // what is thread_local lies below
  *reinterpret_cast<unsigned long*>(top) = top;
  __asm__ volatile("wrmsr" : : "c"(0xc0000100), "a"(static_cast<unsigned>(top)), "d"(0));
  answer();
}
