// rtneural MODEL INPUT OUTPUT STEPS: float32 numbers through a model of RTNeural, step by step.
#include <RTNeural/RTNeural.h>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <vector>

int main(int, char **argv)
{
    std::ifstream text(argv[1]);
    auto model = RTNeural::json_parser::parseJson<float>(text);
    const int steps = std::atoi(argv[4]), width = model->layers.front()->in_size, outputs = model->layers.back()->out_size;
    std::vector<float> x((size_t)steps * width);
    std::FILE *in = std::fopen(argv[2], "rb"), *out = std::fopen(argv[3], "wb");
    if (std::fread(x.data(), sizeof(float), x.size(), in) != x.size())
        return 1;
    model->reset();
    for (int t = 0; t < steps; ++t)
    {
        model->forward(&x[(size_t)t * width]);
        std::fwrite(model->getOutputs(), sizeof(float), outputs, out);
    }
    std::fclose(in);
    return std::fclose(out);
}
