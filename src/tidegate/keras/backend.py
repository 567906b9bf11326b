"""Keras 3 on torch, or an error that says how to get it."""

from __future__ import annotations

import importlib.util

from tidegate.errors import BackendError


def require_torch() -> None:
    """Check that Keras is installed and computes with torch.

    Raises:
        BackendError: it does not.
    """
    if importlib.util.find_spec("keras") is None:
        raise BackendError("KERAS_MISSING", "tidegate.keras needs Keras 3", fix="pip install 'tidegate[keras]'")
    try:
        import keras  # only here, so that whatever its backend raises is met below
    except ImportError as error:  # its default backend is TensorFlow
        raise BackendError("KERAS_BACKEND", f"Keras could not be imported: {error}", fix=_FIX) from error
    if keras.backend.backend() != "torch":
        raise BackendError("KERAS_BACKEND", f"Keras runs on {keras.backend.backend()}, not on torch", fix=_FIX)


_FIX = "set the environment variable KERAS_BACKEND=torch before Keras is first imported"
