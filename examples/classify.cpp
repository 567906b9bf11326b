// Reads the numbers of a series, step by step, and prints its class and how sure the model is.
#include <algorithm>
#include <cstdio>
#include <iterator>
#include "series.h"

int main()
{
    const int size = SERIES_FRAME * SERIES_CHANNELS;
    series_input in;
    series_output out;
    series_state state;
    int k = 0;

    series_reset(&state);
    while (std::scanf("%f", &in.values[k]) == 1)
        if (++k == size) series_step(&state, &in, &out), k = 0;
    if (k > 0) { // the last step is repeated until its frame is full
        for (; k < size; k++) in.values[k] = in.values[k - SERIES_CHANNELS];
        series_step(&state, &in, &out);
    }
    const float *best = std::max_element(std::begin(out.chances), std::end(out.chances));
    std::printf("%s %.6g\n", series_chances_labels[best - out.chances], *best);
}
