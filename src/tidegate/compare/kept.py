"""The model of a finished run, in a file beside its record: its weights, and what it has learnt from data besides."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from tidegate.cell import Graph
from tidegate.compare.tuning import Candidate
from tidegate.errors import InputError
from tidegate.plain import read_json
from tidegate.records import RunRecord
from tidegate.train.folder import with_weights
from tidegate.train.layer import make_layer
from tidegate.train.setting import Training
from tidegate.train.task import AnyTask

MOST = 1 << 24  # bytes: workers send models as texts
ENCODING = "encoding"  # in the file's metadata


def packed(model: torch.nn.Module, task: AnyTask) -> bytes:
    """A model as the content of a file; empty if that were larger than 16 MiB.

    Args:
        model: the trained model.
        task: with the encoding that the model reads.
    """
    tensors = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    content = save(tensors, {ENCODING: json.dumps(task.encoding.to_json())})
    return content if len(content) <= MOST else b""


def model_path(folder: Path, run: str) -> Path:
    """The file of a finished trial's model.

    Args:
        folder: with the records.
        run: the trial's hash.
    """
    return folder / f"{run}.safetensors"


def setting_of(recipe: Training, record: RunRecord) -> Training:
    """The settings that a run has chosen.

    Args:
        recipe: of the comparison, with the settings of the cell.
        record: of the run.
    """
    chosen: dict[str, Any] = {field.name: getattr(record, field.name) for field in fields(Candidate)}
    return replace(recipe, seed=record.seed, **chosen)


def read_model(path: Path, task: AnyTask, graph: Graph, setting: Training) -> tuple[torch.nn.Module, AnyTask]:
    """A model that was kept, and its task.

    Args:
        path: of the file.
        task: of the comparison.
        graph: of the cell.
        setting: of the run.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    if not path.is_file():
        raise InputError(
            "MODEL_KEPT",
            "the model of its best run was not kept: it is larger than 16 MiB, or an earlier version ran it",
            fix=f"delete {path.with_suffix('.json')} to run it again",
        )
    try:
        with safe_open(path, "pt") as file:
            encoding = task.encoding_type.from_json(read_json(file.metadata()[ENCODING].encode()))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
        model = with_weights(lambda: encoding.model(make_layer(graph, setting), setting), weights)
    except (OSError, SafetensorError, InputError, LookupError, TypeError, ValueError) as error:
        raise InputError("MODEL_KEPT", f"{path} holds no model of this run: {error}", fix="delete it") from error
    return model, task.read_as(encoding)
