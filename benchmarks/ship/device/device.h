/* What a test program may ask of the machine that it runs on: one of start.c (Cortex-M) or host.c. */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdint.h>

void print(const char *name, uint32_t value); /* one line: name and value in hexadecimal digits */
uint32_t ticks(void);                         /* counts up, 24 bits; 0 on a host */
uint32_t loop(void);                          /* ticks that 200,000 instructions take; 1 on a host */
void paint_stack(void);                       /* from here on it is seen ... */
uint32_t stack_used(void);                    /* ... how many bytes of it were touched; 0 on a host */

/* Sum of bits (FNV-1a over 32-bit words), so that one number stands for all outputs of a run. */
static inline uint32_t mix(uint32_t sum, uint32_t word) { return (sum ^ word) * 16777619u; }

/* Pseudo-random inputs in [-1, 1), the same on every machine: 16 bits, which float holds exactly. */
static inline float noise(uint32_t *seed) {
  *seed = *seed * 1664525u + 1013904223u;
  return (float)((int32_t)(*seed >> 16) - 32768) * (1.0f / 32768.0f);
}

#endif
