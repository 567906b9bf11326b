"""``tidegate predict``: the classes that a trained model says."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO

import tyro

from tidegate.cli.console import shown_as
from tidegate.errors import InputError

SUFFIXES = (".csv", ".jsonl")
LONGEST = 60  # characters of a text that a terminal's line shows


@dataclass(frozen=True)
class Predict:
    """Say the class of each sequence, a line each: its class, how probable that is, and a text's beginning."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """The folder that tidegate train wrote."""
    data: Annotated[str | None, tyro.conf.Positional, shown_as("[DATA]")] = None
    """A file of the kind that the model was trained on, or of a text on each line; classes in it are not read."""
    text: Annotated[tuple[str, ...], shown_as("TEXT ...")] = ()
    """Texts themselves."""
    out: Annotated[Path | None, shown_as("FILE")] = None
    """Write a table instead, .csv or .jsonl, with the probability of every class."""

    def run(self) -> None:
        """Predict and print, or write."""
        if (self.data is None) == (not self.text):
            raise InputError("PREDICT", "predict needs DATA or --text, one of them", fix='write e.g. --text "Tanaka"')
        if self.out is not None and self.out.suffix not in SUFFIXES:
            raise InputError(
                "OUT", f"--out {self.out} is neither a table nor JSON lines", fix="end it in .csv or .jsonl"
            )
        from tidegate.tasks.classification.estimator import SequenceClassifier  # slow to load: not for --help

        model = SequenceClassifier.from_pretrained(self.model)
        data = list(self.text) or self.data
        items, chances = model.read(data).items, model.predict_proba(data)
        texts = [item if isinstance(item, str) else None for item in items]
        rows = [_row(text, chance, model.classes_.tolist()) for text, chance in zip(texts, chances, strict=True)]
        if self.out is None:
            _print(rows)
        else:
            _write(rows, self.out)


def _row(text: str | None, chances: Any, classes: list[Any]) -> dict[str, Any]:
    best = int(chances.argmax())
    every = {str(name): round(float(chance), 6) for name, chance in zip(classes, chances, strict=True)}
    named = {} if text is None else {"text": text}
    return {**named, "label": classes[best], "probability": every[str(classes[best])], "probabilities": every}


def _print(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        text = " ".join(row.get("text", "").split())
        shown = text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
        sys.stdout.write("\t".join([str(row["label"]), f"{row['probability']:.3f}", *([shown] if text else [])]) + "\n")


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            (_write_csv if path.suffix == ".csv" else _write_json_lines)(rows, file)
    except OSError as error:
        raise InputError(
            "OUT", f"--out {path} cannot be written: {error.strerror}", fix="name a file in a folder that exists"
        ) from error


def _write_csv(rows: list[dict[str, Any]], file: TextIO) -> None:
    flat = [{**row, **{f"p({name})": p for name, p in row["probabilities"].items()}} for row in rows]
    names = [name for name in flat[0] if name != "probabilities"]
    writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)


def _write_json_lines(rows: list[dict[str, Any]], file: TextIO) -> None:
    file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
