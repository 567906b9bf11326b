"""Settings that hold for the examples in docstrings and for every test."""

import importlib.util
import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # read when Keras is first imported, by whichever test that is

collect_ignore_glob = [] if importlib.util.find_spec("keras") else ["src/tidegate/keras/*"]
