/* Times the steps of two functions in turns: process CPU time, in rounds that are short enough to meet few others. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <time.h>

#include "gru.h"

enum { ROUNDS = 400, STEPS = 500 };

void peer_load(const char *path);
void peer_step(const float *x, float *y);

static gru_state state;
static float x[GRU_INPUT_SIZE] __attribute__((aligned(64))); /* RTNeural asks for it */
static float ours[GRU_OUTPUT_SIZE], theirs[GRU_OUTPUT_SIZE];

static void next(unsigned *seed)
{
    for (int k = 0; k < GRU_INPUT_SIZE; ++k) {
        *seed = *seed * 1664525u + 1013904223u;
        x[k] = (float)((int)(*seed >> 16) - 32768) / 32768.0f;
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    double least[2] = {1e9, 1e9}, worst = 0;
    unsigned seed = 1;
    peer_load(argv[argc - 1]);
    gru_reset(&state);
    for (int t = 0; t < 1000; ++t) {
        next(&seed);
        gru_step(&state, x, ours);
        peer_step(x, theirs);
        for (int k = 0; k < GRU_OUTPUT_SIZE; ++k) {
            const double error = ours[k] > theirs[k] ? ours[k] - theirs[k] : theirs[k] - ours[k];
            worst = error > worst ? error : worst;
        }
    }
    for (int round = 0; round < ROUNDS; ++round) {
        const double begin = now();
        for (int t = 0; t < STEPS; ++t) gru_step(&state, x, ours);
        const double middle = now();
        for (int t = 0; t < STEPS; ++t) peer_step(x, theirs);
        const double end = now();
        least[0] = middle - begin < least[0] ? middle - begin : least[0];
        least[1] = end - middle < least[1] ? end - middle : least[1];
    }
    printf("%.4f %.4f %.2e\n", least[0] / STEPS, least[1] / STEPS, worst);
    return 0;
}
