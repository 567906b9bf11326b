"""Classifiers of series with new cells and lean options: saved, read back, explained, shipped, and checked.

Series have gaps and times of their own: cells that are given them get both, others read them among their inputs. Their
answers are those of the layers alone, so that an error of a layer shows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.lean.cases import H

import tidegate as tg
from tidegate.tasks import SequenceClassifier, from_pretrained
from tidegate.zoo import graph_of

COLUMNS = ("saved and read back", "explain", "ONNX", "C", "C, int8")
SETTINGS: dict[str, dict[str, Any]] = {
    "heads": {"heads": 2},
    "rank": {"rank": 3},
    "semi-tied": {"semi_tied": True},
    "share layers": {"share": "layers", "layers": 2},
    "share directions": {"share": "directions", "bidirectional": True},
    "spectral": {"spectral": 0.5},
    "density": {"density": 0.3, "block": 4, "density_epochs": 1, "epochs": 2},
    "group penalty": {"group_penalty": 0.5, "epochs": 10, "hidden_size": 24},
}


def visits(path: Path) -> Path:
    """A table of series whose class is how fast a level rises; a third of the levels is empty."""
    rng, lines = np.random.default_rng(0), ["who,hour,level,other,class"]
    for row in range(60):
        for hour in np.sort(rng.choice(100, int(rng.integers(5, 9)), replace=False)) / 4:
            level = "" if rng.random() < 0.3 else f"{(1 + row % 2) * hour + rng.normal():.3f}"
            lines.append(f"p{row:02},{hour},{level},{rng.normal():.3f},{('slow', 'fast')[row % 2]}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class Trained:
    """A model after an epoch or a few, in a folder; it is trained when it is first asked for.

    Args:
        name: of a row of ``SETTINGS``, or of a cell.
        home: an empty folder.
    """

    def __init__(self, name: str, home: Path) -> None:
        self.cell = "gru" if name in SETTINGS else name
        setting = {"cell": self.cell, "hidden_size": H, "epochs": 3, "votes": False, "bidirectional": False}
        self.setting = setting | {"series": "who", "time": "hour", "label": "class"} | SETTINGS.get(name, {})
        self.folder, self.data, self.name = home / "model", visits(home / "visits.csv"), name
        self._model: Any = None

    @property
    def label(self) -> str:
        given = " ".join(value.name for value in graph_of(self.cell).given)
        named = f"{self.name}: `gru`" if self.name in SETTINGS else f"`{self.name}`"
        return f"given {given}: {named}" if given else named

    @property
    def model(self) -> Any:
        if self._model is None:
            self._model = SequenceClassifier(**self.setting).fit(self.data, folder=self.folder)
            assert self.name != "group penalty" or 0 < self._model.units_["layer"] < 24, "no unit is silent"
        return self._model

    def measures(self) -> dict[str, Callable[[], float | str]]:
        """One for each column."""
        asked = (self.read, self.explained, self.shipped_to("onnx"), self.shipped_to("c"), self.shipped_to("c", "int8"))
        return dict(zip(COLUMNS, asked, strict=True))

    def read(self) -> float:
        """0 if the model that is read back has every score of the first."""
        first, again = (one.evaluate(self.data) for one in (self.model, from_pretrained(self.folder)))
        return max(abs(one.value - other.value) for one, other in zip(first, again, strict=True))

    def explained(self) -> str:
        """How many checks a full explanation passes, whose page and numbers can be written."""
        found = tg.explain.run(self.model, self.data)
        found.to_html(self.folder.parent / "page.html")
        found.to_json(self.folder.parent / "page.json")
        failed = [check.sentence for check in found.checks if check.passed is False]
        assert not failed, failed
        assert found.flow, "no gradient by lag"
        return f"passes {sum(check.passed is True for check in found.checks)}"

    def shipped_to(self, to: str, weights: str | None = None) -> Callable[[], float | str]:
        """How far answers of the files are from the model's; of whole numbers the metric before and after."""

        def measure() -> float | str:
            calibrate = self.data if weights else None
            made = tg.ship.ship(self.model, to, name="m", weights=weights, calibrate=calibrate)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                checked = tg.ship.check(made, self.data)
            if weights:
                return f"{100 * (checked.after / checked.before - 1):+.2f} %"
            assert checked.passed, str(checked)
            return float(checked.largest)

        return measure
