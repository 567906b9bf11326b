// nam MODEL INPUT OUTPUT STEPS: float32 numbers through a model of Neural Amp Modeler, without a prewarm.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "NAM/get_dsp.h"

int main(int, char **argv)
{
    auto model = nam::get_dsp(std::filesystem::path(argv[1]));
    const int steps = std::atoi(argv[4]), inputs = model->NumInputChannels(), outputs = model->NumOutputChannels();
    std::vector<float> x((size_t)steps * inputs), y((size_t)steps * outputs);
    std::FILE *in = std::fopen(argv[2], "rb"), *out = std::fopen(argv[3], "wb");
    if (std::fread(x.data(), sizeof(float), x.size(), in) != x.size())
        return 1;
    std::vector<std::vector<NAM_SAMPLE>> from(inputs), to(outputs, std::vector<NAM_SAMPLE>(steps));
    std::vector<NAM_SAMPLE *> sources, sinks;
    for (int k = 0; k < inputs; ++k)
    {
        for (int t = 0; t < steps; ++t)
            from[k].push_back(x[(size_t)t * inputs + k]);
        sources.push_back(from[k].data());
    }
    for (auto &channel : to)
        sinks.push_back(channel.data());
    model->process(sources.data(), sinks.data(), steps);
    for (int t = 0; t < steps; ++t)
        for (int k = 0; k < outputs; ++k)
            y[(size_t)t * outputs + k] = (float)to[k][t];
    std::fwrite(y.data(), sizeof(float), y.size(), out);
    std::fclose(in);
    return std::fclose(out);
}
