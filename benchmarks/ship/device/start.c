/* device.h on an emulated Cortex-M: vector table, start, semihosting, SysTick and a painted stack. */
#include "device.h"

extern uint32_t stack_top, stack_bottom, data_start, data_end, data_load, bss_start, bss_end;
int main(void);

enum { SYS_WRITE0 = 0x04, SYS_EXIT = 0x18, EXIT_NORMAL = 0x20026, EXIT_ERROR = 0x20023 };
static const uint32_t PAINT = 0x5a5a5a5au;

static void host(uint32_t operation, uint32_t argument) {
  register uint32_t r0 __asm__("r0") = operation;
  register uint32_t r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void print(const char *name, uint32_t value) {
  static const char digits[] = "0123456789abcdef";
  char number[11];
  int i;
  number[0] = ' ';
  for (i = 0; i < 8; i++) number[1 + i] = digits[(value >> (28 - 4 * i)) & 15];
  number[9] = '\n';
  number[10] = 0;
  host(SYS_WRITE0, (uint32_t)name);
  host(SYS_WRITE0, (uint32_t)number);
}

#define SYSTICK ((volatile uint32_t *)0xe000e010)
uint32_t ticks(void) { return (0xffffffu - SYSTICK[2]) & 0xffffffu; }

uint32_t loop(void) {
  uint32_t n = 100000, before = ticks();
  __asm__ volatile(".syntax unified\n1: subs %0, #1\n bne 1b" : "+l"(n) : : "cc");
  return (ticks() - before) & 0xffffffu;
}

/* Both are called from the same frame: what lies below it belongs to the calls that stand between them. */
static uint32_t *painted_top;

void __attribute__((noinline)) paint_stack(void) {
  volatile uint32_t *p = &stack_bottom;
  painted_top = (uint32_t *)__builtin_frame_address(0);
  while (p < painted_top - 8) *p++ = PAINT;
}

uint32_t stack_used(void) {
  const volatile uint32_t *p = &stack_bottom;
  while (*p == PAINT) p++;
  return (uint32_t)((const char *)painted_top - (const char *)p);
}

void reset_handler(void) {
  uint32_t *from = &data_load, *to;
  for (to = &data_start; to < &data_end; to++) *to = *from++;
  for (to = &bss_start; to < &bss_end; to++) *to = 0;
#if defined(__ARM_FP)
  *(volatile uint32_t *)0xe000ed88 |= 0xfu << 20; /* both coprocessors of the FPU */
  __asm__ volatile("dsb\n isb");
#endif
  SYSTICK[1] = 0xffffffu;
  SYSTICK[2] = 0;
  SYSTICK[0] = 5; /* on, from the clock of the processor, no interrupt */
  host(SYS_EXIT, main() ? EXIT_ERROR : EXIT_NORMAL);
  for (;;) {
  }
}

static void fault(void) {
  host(SYS_WRITE0, (uint32_t) "fault\n");
  host(SYS_EXIT, EXIT_ERROR);
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))&stack_top, reset_handler, fault, fault, fault, fault, fault};
