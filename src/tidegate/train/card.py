"""The files of a saved model and their integrity; no torch is loaded, so that a wrong folder is refused before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.errors import InputError
from tidegate.plain import read_json
from tidegate.storage import current

FORMAT = 1
CONFIG, CARD, WEIGHTS, CHECKPOINT = "config.toml", "model.json", "model.safetensors", "checkpoint.safetensors"

CODE = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib")  # loading these runs what is written in them


def holds_model(home: Path) -> bool:
    """Whether the folder holds a finished model."""
    return current(home, CARD).is_file()


def written_card(task: str, files: Mapping[str, bytes], parts: Mapping[str, Any]) -> bytes:
    """The content of ``model.json``.

    Args:
        task: the name of the task.
        files: the other files of the model, which the card names by their hashes.
        parts: everything else that it says, as JSON data.
    """
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    card = {"format": FORMAT, "task": task, "sha256": hashes, **parts}
    return (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode()


def read_card(home: Path) -> dict[str, Any]:
    """Read ``model.json`` of a saved model.

    Args:
        home: the folder.

    Returns:
        Its content.

    Raises:
        InputError: the folder does not exist, or holds no model or a damaged one, or it is a pickle.
    """
    if home.suffix.casefold() in CODE and home.is_file():
        raise InputError(
            "MODEL_CODE",
            f"{home} is a pickle, and loading it may run any code; a model is a folder of tidegate train",
            fix="if you trust it, load it yourself in Python; tidegate.explain.run(module, x) explains any module",
        )
    if not holds_model(home):
        unfinished = any(home.glob(f"{Path(CHECKPOINT).stem}*"))
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
