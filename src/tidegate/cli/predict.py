"""``tidegate predict``: classes of sequences, or tags of words."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tidegate.cli.check import check_model, write_file
from tidegate.cli.console import shown_as
from tidegate.cli.status import status
from tidegate.cli.threads import Threads
from tidegate.errors import InputError, visible
from tidegate.plain import to_csv

if TYPE_CHECKING:
    from tidegate.train.answer import Answer

SUFFIXES = (".csv", ".jsonl")


@dataclass(frozen=True)
class Predict:
    """Predict the class of each sequence, or the tag of each word.

    A classifier prints one line for each sequence: its class, the probability of the class, and the beginning of a
    text. A tagger prints one line for each word, and an empty line after each sentence.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder that tidegate train wrote."""
    data: Annotated[str | None, tyro.conf.Positional, shown_as("[DATA]")] = None
    """File of the kind that the model was trained on, or a file with one text a line. Labels in it are ignored."""
    text: Annotated[tuple[str, ...], shown_as("TEXT ...")] = ()
    """One or more texts, in place of DATA."""
    out: Annotated[Path | None, shown_as("FILE")] = None
    """Write the answers with all their details into this .csv or .jsonl file."""
    threads: Threads = None

    def run(self) -> None:
        """Predict, then print or write."""
        if (self.data is None) == (not self.text):
            raise InputError("PREDICT", "predict needs either DATA or --text", fix='write e.g. --text "Tanaka"')
        if self.out is not None and self.out.suffix not in SUFFIXES:
            raise InputError("OUT", f"--out {self.out} does not end in .csv or .jsonl", fix="rename it")
        with status() as now:
            check_model(self.model, self.data)
            now.phase("loading torch")
            from tidegate.tasks import from_pretrained

            model = from_pretrained(self.model)
            if not hasattr(model, "answers"):
                raise InputError(
                    "PREDICT_MODEL",
                    f"{self.model} holds a {type(model).__name__}, which predicts neither classes nor tags",
                    fix="tidegate --help lists the commands for other models",
                )
            now.phase("predicting")
            answers = list(model.answers(list(self.text) or self.data))
        if self.out is None:
            sys.stdout.writelines(visible(answer.text, "\n\t") + "\n" for answer in answers)
        else:
            _write(answers, self.out)


def _write(answers: Sequence[Answer], path: Path) -> None:
    if path.suffix == ".jsonl":
        text = "".join(json.dumps(answer.record, ensure_ascii=False) + "\n" for answer in answers)
    else:
        rows = [row for answer in answers for row in answer.rows]
        text = to_csv(rows[0], [row.values() for row in rows])
    write_file("out", path, text)
