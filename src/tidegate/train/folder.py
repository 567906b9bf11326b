"""The folder of a saved model: what lies in it, and whether it is whole. Nothing in it is ever run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tidegate.errors import InputError
from tidegate.storage import alone
from tidegate.train.task import doubled
from tidegate.train.world import World

FORMAT = 1
CONFIG, CARD, WEIGHTS, CHECKPOINT = "config.toml", "model.json", "model.safetensors", "checkpoint.safetensors"
LOCK = ".lock"


def holds_model(home: Path) -> bool:
    """Whether there is a finished model."""
    return (home / CARD).is_file()


def read_card(home: Path) -> dict[str, Any]:
    """What ``model.json`` of a saved model says.

    Raises:
        InputError: no such folder, no model in it, or a damaged one.
    """
    if not (home / CARD).is_file():
        unfinished = (home / CHECKPOINT).exists()
        what = "a training that is not finished yet" if unfinished else "no trained model"
        fix = "give the train command again: it goes on" if unfinished else "make one with tidegate train"
        there = "there is no folder" if not home.is_dir() else f"{what}: no {CARD} in"
        raise InputError("MODEL_MISSING", f"{there} {home}", fix=fix)
    try:
        card = json.loads((home / CARD).read_bytes())
        version, task = card["format"], card["task"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged(f"{home / CARD} is not a model's: {type(error).__name__}: {error}") from error
    if version != FORMAT or not isinstance(task, str):
        raise InputError(
            "MODEL_FORMAT",
            f"{home / CARD} has format {str(version)[:20]}, expected {FORMAT}",
            fix="read it with the version of Tidegate that wrote it, or train it again",
        )
    return dict(card)


def damaged(what: str) -> InputError:
    return InputError("MODEL_DAMAGED", " ".join(what.split())[:300], fix="train it again, or restore the folder")


def content_of(home: Path, name: str, card: dict[str, Any]) -> bytes:
    """A file of a model, if it is the one that was saved with its card."""
    try:
        content = (home / name).read_bytes()
        same = card["sha256"][name] == hashlib.sha256(content).hexdigest()
    except (OSError, KeyError, TypeError) as error:
        raise damaged(f"{home / name} cannot be read: {type(error).__name__}: {error}") from error
    if not same:
        raise damaged(f"{home / name} is damaged, or of another model: its SHA-256 is not what {CARD} says")
    return content


def with_weights(make: Callable[[], torch.nn.Module], weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The model with these weights, once their shapes fit; no random number is drawn from the caller's state."""
    with torch.device("meta"):  # shapes alone: settings that do not belong here cannot ask for all memory
        wanted = {name: tuple(tensor.shape) for name, tensor in make().state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(wanted.keys() | given.keys()):
        if name not in given or name not in wanted:
            raise ValueError(
                f"{name} of shape {wanted[name]} is missing" if name in wanted else f"{name} is no part of such a model"
            )
        if wanted[name] != given[name]:
            raise ValueError(f"{name} has shape {given[name]}, expected {wanted[name]}")
        if weights[name].is_floating_point() and not weights[name].isfinite().all():
            raise ValueError(f"{name} holds numbers that are not finite")
    with torch.random.fork_rng(devices=[]):
        model = make()
    if any(tensor.dtype == torch.float64 for tensor in weights.values()):
        doubled(model)
    model.load_state_dict(weights)
    return model.eval()


@contextmanager
def held(home: Path) -> Iterator[None]:
    """The folder for this fit alone; processes that torchrun started are one fit.

    Raises:
        InputError: another fit writes there.
    """
    if not World().first:
        yield
        return
    taken = InputError(
        "OUT_LOCKED", f"another training writes into {home}", fix="wait for it, or choose another folder"
    )
    with alone(home / LOCK, taken):
        yield
