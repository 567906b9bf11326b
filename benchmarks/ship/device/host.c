/* device.h on the machine that compiles. */
#include "device.h"

#include <stdio.h>

void print(const char *name, uint32_t value) { printf("%s %08lx\n", name, (unsigned long)value); }
uint32_t ticks(void) { return 0; }
uint32_t loop(void) { return 1; }
uint32_t stack_used(void) { return 0; }
void paint_stack(void) {}
