/* rnnoise MODEL INPUT OUTPUT STEPS I H O LAYERS FLOATING: float32 numbers through GRUs "gru1" to "gruN" of RNNoise's C
   and the linear layer "out". */
#include <stdio.h>
#include <stdlib.h>
#include "nnet.h"

static LinearLayer input[8], recurrent[8], out;
static float state[8][1024], answer[1024];

static int load(LinearLayer *layer, const WeightArray *arrays, const char *name, int sparse, int diagonal, int int8,
                int inputs, int outputs)
{
    static const char *parts[] = {"bias", "subias", "weights_int8", "weights_float", "weights_idx", "weights_diag", "scale"};
    static char names[7][64];
    for (int k = 0; k < 7; ++k)
        snprintf(names[k], sizeof names[k], "%s_%s", name, parts[k]);
    return linear_init(layer, arrays, names[0], int8 ? names[1] : NULL, int8 ? names[2] : NULL, names[3],
                       sparse ? names[4] : NULL, diagonal ? names[5] : NULL, int8 ? names[6] : NULL, inputs, outputs);
}

int main(int count, char **argv)
{
    FILE *file = fopen(argv[1], "rb"), *in = fopen(argv[2], "rb"), *to = fopen(argv[3], "wb");
    const int steps = atoi(argv[4]), I = atoi(argv[5]), H = atoi(argv[6]), O = atoi(argv[7]), layers = atoi(argv[8]);
    char name[64];
    float x[1024];
    WeightArray *arrays;
    long size;
    void *blob;
    if (count != 10 || !file || !in || !to)
        return 2;
    fseek(file, 0, SEEK_END);
    size = ftell(file);
    rewind(file);
    blob = malloc((size_t)size);
    if (fread(blob, 1, (size_t)size, file) != (size_t)size || parse_weights(&arrays, blob, (int)size) < 0)
        return 3;
    for (int k = 0; k < layers; ++k)
    {
        const int width = k ? H : I;
        snprintf(name, sizeof name, layers > 1 ? "gru%d_input" : "gru_input", k + 1);
        if (load(&input[k], arrays, name, 1, 0, 1, width, 3 * H))
            return 4;
        snprintf(name, sizeof name, layers > 1 ? "gru%d_recurrent" : "gru_recurrent", k + 1);
        if (load(&recurrent[k], arrays, name, 1, 1, 1, H, 3 * H))
            return 5;
    }
    if (load(&out, arrays, "out", 0, 0, !atoi(argv[9]), H, O))
        return 6;
    for (int t = 0; t < steps; ++t)
    {
        if (fread(x, sizeof(float), (size_t)I, in) != (size_t)I)
            return 7;
        for (int k = 0; k < layers; ++k)
            compute_generic_gru(&input[k], &recurrent[k], state[k], k ? state[k - 1] : x, 0);
        compute_generic_dense(&out, answer, state[layers - 1], ACTIVATION_LINEAR, 0);
        fwrite(answer, sizeof(float), (size_t)O, to);
    }
    return fclose(to);
}
