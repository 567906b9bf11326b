// One GRU of RTNeural with sizes known to the compiler, as a C function, so that another program can time it.
#include <fstream>

#include "RTNeural/RTNeural.h"

static RTNeural::ModelT<float, 16, 64, RTNeural::GRULayerT<float, 16, 64>> model;

extern "C" void peer_load(const char *path) {
  std::ifstream file(path);
  model.parseJson(file);
  model.reset();
}

extern "C" void peer_step(const float *x, float *y) {
  model.forward(x);
  const float *outputs = model.getOutputs();
  for (int k = 0; k < 64; ++k) y[k] = outputs[k];
}
