"""The folder of a saved model: its files and their integrity. No code in it is ever run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tidegate.errors import InputError
from tidegate.plain import read_json
from tidegate.storage import alone, current
from tidegate.train.task import doubled
from tidegate.train.world import World

FORMAT = 1
CONFIG, CARD, WEIGHTS, CHECKPOINT = "config.toml", "model.json", "model.safetensors", "checkpoint.safetensors"
LOCK = ".lock"
LARGEST = 1e10  # a weight; no training ends beyond it, and products of larger ones overflow


def holds_model(home: Path) -> bool:
    """Whether the folder holds a finished model."""
    return current(home, CARD).is_file()


def read_card(home: Path) -> dict[str, Any]:
    """Read ``model.json`` of a saved model.

    Args:
        home: the folder.

    Returns:
        Its content.

    Raises:
        InputError: the folder does not exist, or holds no model or a damaged one.
    """
    if not holds_model(home):
        unfinished = (home / CHECKPOINT).exists()
        what = "the training is not finished" if unfinished else "no trained model"
        fix = "run the train command again to resume it" if unfinished else "train one with tidegate train"
        missing = "there is no folder" if not home.is_dir() else f"{what}: no {CARD} in"
        raise InputError("MODEL_MISSING", f"{missing} {home}", fix=fix)
    try:
        card = read_json(current(home, CARD).read_bytes())
    except OSError as error:
        raise damaged(f"{home / CARD} cannot be read: {error.strerror}") from error
    except InputError as error:
        raise damaged(f"{home / CARD} does not describe a model: {error}") from error
    if not isinstance(card, dict) or not {"format", "task"} <= card.keys():
        raise damaged(f"{home / CARD} does not describe a model: it lacks format or task")
    version, task = card["format"], card["task"]
    if version != FORMAT or not isinstance(task, str):
        raise InputError(
            "MODEL_FORMAT",
            f"{home / CARD} has format {str(version)[:20]}, expected {FORMAT}",
            fix="load it with the version of Tidegate that wrote it, or train it again",
        )
    return card


def read_model(home: Path) -> tuple[dict[str, Any], bytes, bytes]:
    """The card, the settings and the weights of one model, even while another process saves the next one here.

    Raises:
        InputError: the folder does not exist, or holds no model or a damaged one.
    """
    while True:
        card = read_card(home)
        try:
            return card, content_of(home, CONFIG, card), content_of(home, WEIGHTS, card)
        except InputError:
            if read_card(home) == card:  # else the files were replaced meanwhile
                raise


def damaged(what: str) -> InputError:
    return InputError("MODEL_DAMAGED", " ".join(what.split())[:300], fix="train it again, or restore the folder")


def content_of(home: Path, name: str, card: dict[str, Any]) -> bytes:
    """The content of a model's file, after comparing it with the hash in the card."""
    path = current(home, name)
    if path.exists() and not path.is_file():
        raise damaged(f"{home / name} is no regular file")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise damaged(f"{home / name} cannot be read: {error.strerror}") from error
    hashes = card.get("sha256")
    if not isinstance(hashes, dict) or hashes.get(name) != hashlib.sha256(content).hexdigest():
        raise damaged(f"{home / name} is damaged or belongs to another model: its SHA-256 differs from that in {CARD}")
    return content


def with_weights(make: Callable[[], torch.nn.Module], weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    """Make a model with these weights.

    Shapes are compared before anything is allocated, and the caller's random state stays as it is.

    Raises:
        ValueError: a tensor is missing, unexpected, of another shape, not finite, or so large that answers may not be.
    """
    with torch.device("meta"):  # damaged settings must not be able to exhaust the memory
        wanted = {name: tuple(tensor.shape) for name, tensor in make().state_dict().items()}
    saved = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(wanted.keys() | saved.keys()):
        if name not in saved:
            raise ValueError(f"{name} of shape {wanted[name]} is missing")
        if name not in wanted:
            raise ValueError(f"{name} does not belong to this model")
        if wanted[name] != saved[name]:
            raise ValueError(f"{name} has shape {saved[name]}, expected {wanted[name]}")
        if weights[name].is_floating_point() and not (weights[name].abs() <= LARGEST).all():
            raise ValueError(f"{name} has values that are not finite, or beyond {LARGEST:g}")
    with torch.random.fork_rng(devices=[]):
        model = make()
    if any(tensor.dtype == torch.float64 for tensor in weights.values()):
        doubled(model)
    model.load_state_dict(weights)
    return model.eval()


@contextmanager
def locked(home: Path, *, keep: bool = True) -> Iterator[None]:
    """Lock the folder for this fit; processes started by torchrun are one fit.

    Args:
        home: the folder.
        keep: whether the file of the lock may stay where there was none.

    Raises:
        InputError: another fit is using the folder.
    """
    if not World().first:
        yield
        return
    taken = InputError("OUT_LOCKED", f"another training is using {home}", fix="wait for it, or choose another folder")
    with alone(home / LOCK, taken, keep=keep or (home / LOCK).exists()):
        yield
