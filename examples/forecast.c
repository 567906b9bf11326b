/* Reads the numbers of a series from its first row to its last, and prints the forecast of the rows behind it. */
#include <stdio.h>
#include "elnino.h"

int main(void)
{
    static float rows[100000];
    elnino_input in = {0};
    elnino_output out;
    elnino_state state;
    int count = 0;

    while (count < 100000 && scanf("%f", &rows[count]) == 1) count++;
    elnino_reset(&state);
    for (int t = 0; t < count; t++) {
        if (t == count - ELNINO_CONTEXT) elnino_reset_layer(&state); /* as tidegate forecast does */
        in.target = rows[t];
        elnino_step(&state, &in, &out);
    }
    for (int k = 0; k < ELNINO_HORIZON; k++) printf("%d %.6g\n", k + 1, out.forecast[k]);
    return 0;
}
