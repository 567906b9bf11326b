"""Which settings go with the promise of private training; no torch is loaded, so that wrong ones are refused early."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING

from tidegate.errors import InputError

if TYPE_CHECKING:
    from tidegate.train.setting import Training

STEADY = "the steps of a private training are counted before it begins, and its last weights are the model"

# A setting, what is wrong with values other than its default, and what to do. None of them has an effect there.
IDLE = {
    "patience": (f"{STEADY}: nothing stops early", "leave out patience=, and set epochs="),
    "patience_rate": (f"{STEADY}: validation changes no rate", "leave out patience_rate=, and set schedule='cosine'"),
    "smooth": ("one row more would change the noise of all other rows of its batch", "leave out one of them"),
    "adversarial": ("private training attacks no row before it learns from it", "leave out one of them"),
    "clip": ("private training scales the gradient of each unit, not that of a batch", "set clip_norm="),
}


def public_parts(setting: Training) -> tuple[str, ...]:
    """The names in ``public``, of which one text may hold several with commas between them."""
    return tuple(part for text in setting.public for part in text.replace(",", " ").split())


def check_private(setting: Training) -> None:
    """Refuse settings that do not go with ``epsilon``, or not without it.

    Raises:
        InputError: there is one.
    """
    default = {field.name: field.default for field in fields(setting)}
    if setting.epsilon is None:
        for name in ("delta", "clip_norm", "protect", "public", "public_data", "insecure_seed"):
            if getattr(setting, name) != default[name]:
                raise InputError(
                    "PRIVATE_EPSILON",
                    f"{name}= has an effect with epsilon= only",
                    fix=f"set epsilon=8, or leave out {name}=",
                )
        return
    for name, (what, fix) in IDLE.items():
        if getattr(setting, name) != default[name]:
            raise InputError(
                "PRIVATE_SETTING", f"{name}={getattr(setting, name)!r} does not go with epsilon=: {what}", fix=fix
            )
    if setting.schedule == "plateau":
        raise InputError(
            "PRIVATE_SCHEDULE",
            f"schedule='plateau' does not go with epsilon=: {STEADY}, so validation changes no rate",
            fix="set schedule='cosine' or schedule='constant'",
        )
    if math.isinf(setting.clip_norm):
        raise InputError(
            "PRIVATE_CLIP", "clip_norm=inf leaves nothing that noise could hide", fix="set clip_norm=1, or leave it out"
        )
    if setting.adversarial is not None:
        raise InputError(
            "PRIVATE_ADVERSARIAL",
            "adversarial= does not go with epsilon=: the attacks on a row are not part of what is accounted for",
            fix="leave out one of them",
        )
    if setting.precision == "bfloat16":
        raise InputError(
            "PRIVATE_PRECISION",
            "precision='bfloat16' does not go with epsilon=: gradients are scaled by norms that are found apart from "
            "them, and rounding would let the two differ",
            fix="set precision='float32'",
        )
