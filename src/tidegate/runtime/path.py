"""Why a layer does not run on the engine, and what a caller can do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from tidegate.errors import BackendError, InputError

FUSED = "fused"

_eager_only: ContextVar[bool] = ContextVar("eager_only", default=False)
_strict: ContextVar[bool] = ContextVar("strict", default=False)


class Obstacle(NamedTuple):
    """Why a layer does not run on the engine.

    Attributes:
        reason: what came instead of what the engine runs.
        fix: what the caller can do about it; nothing where the caller asked for the definition.
        error: what ``strict`` raises; None where the caller asked for the definition, or it is not what runs.
        way: what runs instead: ``"eager"`` for the definition, ``"torch"`` for torch's own function.
    """

    reason: str
    fix: str = ""
    error: type[InputError | BackendError] | None = None
    way: str = "eager"

    @property
    def path(self) -> str:
        """As ``last_path`` of a layer says it."""
        return f"{self.way}: {self.reason}"


ASKED = Obstacle("eager_only is on")
TWICE = Obstacle("differentiated twice", "drop create_graph=True", BackendError)


@contextmanager
def eager_only() -> Iterator[None]:
    """Run every layer by its definition inside this block, as a reference or for comparison."""
    token = _eager_only.set(True)
    try:
        yield
    finally:
        _eager_only.reset(token)


def asked_for_eager() -> bool:
    """Whether ``eager_only`` is on."""
    return _eager_only.get()


@contextmanager
def strict() -> Iterator[None]:
    """Inside this block a layer that would silently run by its definition raises instead.

    A fallback that was asked for, by ``eager_only``, is allowed. So is torch's own function, which runs plain layers on
    other devices than the CPU. The block holds for the thread or task that entered it, and for no other. It watches
    calls of layers, traces, and gradients that are to be differentiated again.

    Raises:
        InputError: inside the block, for a dtype, device or type of tensor that the engine does not run.
        BackendError: inside the block, for forward-mode or repeated differentiation, a tracer or dispatch mode of
            torch, or a machine without the engine.

    Example:
        >>> import torch, tidegate as tg
        >>> layer, x = tg.nn.RNN(4, 8, dtype=torch.complex64), torch.zeros(5, 3, 4, dtype=torch.complex64)
        >>> y, h = layer(x)
        >>> layer.last_path
        'eager: dtype is complex64'
        >>> with tg.strict():
        ...     y, h = layer(x)
        Traceback (most recent call last):
        ...
        tidegate.errors.InputError: expected the fused path, got eager: dtype is complex64 — use float32 or float64
    """
    token = _strict.set(True)
    try:
        yield
    finally:
        _strict.reset(token)


def check_strict(obstacle: Obstacle) -> None:
    """Refuse a fallback that nobody asked for, where ``strict`` is on.

    Raises:
        InputError, BackendError: as the obstacle says.
    """
    if obstacle.error is not None and _strict.get():
        raise obstacle.error("STRICT", f"expected the fused path, got {obstacle.path}", fix=obstacle.fix)
