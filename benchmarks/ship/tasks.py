"""Ships a trained model of every bundled task to ONNX and C, runs the files inside their task, and writes a table.

    python -m benchmarks.ship.tasks [--epochs 1] [--steps 200] [--only language music] [--out FILE]

Each task is trained for a few epochs with its usual settings, and where these leave nothing that has steps also with
what makes it stream. What is refused is a row of the table, with the reason. Checks run on the test part of the data.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tidegate as tg
from tidegate.errors import TidegateError
from tidegate.tasks import (
    Composer,
    Forecaster,
    LanguageModel,
    SequenceClassifier,
    SequenceTagger,
    Transcriber,
    Translator,
)
from tidegate.train.watch import Watch

RESULTS = Path(__file__).parents[1] / "results" / "ship" / "tasks.md"
ONE_WAY = {"bidirectional": False}
MODELS: dict[str, tuple[str, Any, str]] = {  # name: data, estimator, part
    "forecast": ("elnino", Forecaster(), "whole"),
    "forecast, 12 rows, quantiles": (
        "elnino",
        Forecaster(horizon=12, strategy="direct", quantiles=(0.1, 0.9)),
        "whole",
    ),
    "language": ("shakespeare", LanguageModel(), "whole"),
    "tagging": ("atis", SequenceTagger(), "whole"),
    "tagging, one way": ("atis", SequenceTagger(**ONE_WAY), "whole"),
    "music": ("jsb", Composer(), "whole"),
    "speech": ("fsdd", Transcriber(), "layers"),
    "speech, streaming": ("fsdd", Transcriber(streaming=True), "layers"),
    "translation": ("cmudict", Translator(), "whole"),
    "translation, one way": ("cmudict", Translator(**ONE_WAY), "whole"),
    "classification": ("names", SequenceClassifier(), "whole"),
    "classification, layers": ("names", SequenceClassifier(), "layers"),
    "classification, one way, no votes": ("names", SequenceClassifier(votes=False, **ONE_WAY), "whole"),
}
WAYS = (("onnx", "float32"), ("c", "float32"), ("c", "int8"))
HEAD = "| model | data | to | weights | written as | bytes | largest error | metric | before | after | items |"


def main() -> None:
    """Train, ship, check and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--only", nargs="*", choices=MODELS, default=list(MODELS), metavar="MODEL")
    parser.add_argument("--out", type=Path, default=RESULTS)
    own = parser.parse_args()
    lines = [HEAD, "|" + "---|" * HEAD.count(" | ") + "---|"]
    for name in own.only:
        for line in rows(name, own.epochs, own.steps):
            print(line, flush=True)
            lines.append(line)
    own.out.parent.mkdir(parents=True, exist_ok=True)
    own.out.write_text("\n".join([*introduction(own.epochs, own.steps), *lines]) + "\n", encoding="utf-8")


def introduction(epochs: int, steps: int) -> Iterator[str]:
    """What the table is."""
    yield "# Models of every task, shipped and run inside their task"
    yield ""
    yield f"`python -m benchmarks.ship.tasks --epochs {epochs} --steps {steps}`"
    yield ""
    yield f"Each model is trained for {epochs} epoch{'s' * (epochs > 1)} of at most {steps} batches with the usual"
    yield "settings, but for those that its name says, and shipped. The task's own code scores it on the test part of"
    yield "its data: before, and with the files in its place. ONNX runs in onnxruntime, C is compiled by the compiler"
    yield "of this machine. The largest error is that of logits, and of forecasts in degrees; the bytes are those of"
    yield "all files but the facts."
    yield ""


def rows(name: str, epochs: int, steps: int) -> Iterator[str]:
    """The lines of one model."""
    data, estimator, part = MODELS[name]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = estimator.set_params(epochs=epochs, steps=steps).fit(data, folder=folder, watch=Watch())
        for to, weights in WAYS:
            yield f"| {name} | {data} | {to} | {weights} | {' | '.join(cells(model, to, weights, part))} |"


def cells(model: Any, to: str, weights: str, part: str) -> list[str]:
    """What came of one way of shipping."""
    try:
        shipped = tg.ship.ship(model, to, weights=weights, part=part)
        failed = [one for one in tg.ship.inspected(shipped) if one.tested is None or not one.tested.passed]
        checked = tg.ship.check(shipped)
    except TidegateError as error:
        return [f"refused: {error.message}", *[""] * 6]
    written = "; ".join(dict.fromkeys(line["written"] for line in shipped.layers))
    size = sum(len(content) for file, content in shipped.files.items() if not file.endswith(".json"))
    verdict = "" if checked.passed and not failed else " **FAILED**"
    return [
        written + verdict, f"{size:,}", f"{checked.largest:.1e}", f"{checked.metric}",
        f"{checked.before:.6g}", f"{checked.after:.6g}", f"{checked.count:,} {checked.items}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
