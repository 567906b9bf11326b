"""Keras 3 on torch, or an error that says how to get it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tidegate.errors import BackendError, MissingError, TidegateError, explain_missing


def require_torch() -> None:
    """Check that Keras is installed and computes with torch.

    Raises:
        MissingError: Keras is not installed.
        BackendError: it computes with something else.
    """
    try:
        with explain_missing():
            import keras  # only here, so that whatever its backend raises is met below
    except MissingError:
        raise
    except ImportError as error:  # its default backend is TensorFlow
        raise BackendError("KERAS_BACKEND", f"Keras could not be imported: {error}", fix=_FIX) from error
    if keras.backend.backend() != "torch":
        raise BackendError("KERAS_BACKEND", f"Keras runs on {keras.backend.backend()}, not on torch", fix=_FIX)


_FIX = "set the environment variable KERAS_BACKEND=torch before Keras is first imported"


@contextmanager
def own_errors() -> Iterator[None]:
    """Let our errors leave a call of a layer as they are.

    Keras raises errors again, with the arguments of the call, and those that it cannot make from one string as
    RuntimeError; it leaves alone what is marked as done.
    """
    try:
        yield
    except TidegateError as error:
        error._keras_call_info_injected = True  # type: ignore[attr-defined]  # noqa: SLF001
        raise
