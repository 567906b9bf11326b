"""The secret random stream that private training draws from: who takes part in a step, and the noise of the step.

Whoever knows the noise can subtract it, and whoever knows the participation has no use for amplification by sampling.
So the key comes from the system's entropy, lies in the checkpoint alone, and is deleted with it. A generator such as
Mersenne Twister or Philox would not do: its outputs give away its state, or were never meant to hide it.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from tidegate.errors import InputError

KEY: Final = 32  # bytes
WORD: Final = 8
COUNTER: Final = 16


class SecretStream:
    """Uniform words from SHAKE-256 in counter mode.

    Equations:
        draw k of n words = the first 8 n bytes of SHAKE-256(key | k), with k as 16 bytes, most significant first

    SHAKE-256 is the extendable-output function of FIPS 202 (2015).

    Args:
        key: 32 bytes.
        position: the number of draws so far.
        insecure_seed: the number that the key was made from, if it is not secret.

    Example:
        >>> import tidegate as tg
        >>> stream = tg.private.SecretStream.fresh(insecure_seed=0)  # of a test
        >>> stream.words(3).dtype, stream.position
        (dtype('uint64'), 1)
    """

    def __init__(self, key: bytes, position: int = 0, insecure_seed: int | None = None) -> None:
        self._key, self.position, self.insecure_seed = key, position, insecure_seed

    @classmethod
    def fresh(cls, insecure_seed: int | None = None) -> Self:
        """A stream at its start.

        Args:
            insecure_seed: for tests, a number to make the key from. Whoever knows it knows the noise, so what is
                trained with it has no privacy. The system's entropy unless given.
        """
        if insecure_seed is None:
            return cls(os.urandom(KEY))
        return cls(hashlib.sha256(f"tidegate insecure seed {insecure_seed}".encode()).digest(), 0, insecure_seed)

    @classmethod
    def from_state(cls, state: Any) -> Self:
        """The stream as it was when ``state`` was asked.

        Raises:
            InputError: this is not the state of a stream.
        """
        try:
            key, position, seed = bytes.fromhex(state["key"]), state["position"], state["insecure_seed"]
        except (LookupError, TypeError, ValueError):
            raise _no_state() from None
        whole = type(position) is int and 0 <= position < 1 << 8 * COUNTER
        if len(key) != KEY or not whole or not (seed is None or type(seed) is int):
            raise _no_state()
        return cls(key, position, seed)

    def state(self) -> dict[str, Any]:
        """Key and position as JSON has them. They are the secret: only a checkpoint may hold them."""
        return {"key": self._key.hex(), "position": self.position, "insecure_seed": self.insecure_seed}

    def words(self, count: int) -> NDArray[np.uint64]:
        """The next draw: ``count`` independent integers, each uniform in [0, 2^64)."""
        block = hashlib.shake_256(self._key + self.position.to_bytes(COUNTER, "big")).digest(WORD * count)
        self.position += 1
        return np.frombuffer(block, "<u8").astype(np.uint64, copy=False)

    def __repr__(self) -> str:  # never the key
        origin = "" if self.insecure_seed is None else f", insecure_seed={self.insecure_seed}"
        return f"SecretStream(position={self.position}{origin})"


def _no_state() -> InputError:
    return InputError("STREAM_STATE", "this is not the state of a secret stream", fix="start the training afresh")
