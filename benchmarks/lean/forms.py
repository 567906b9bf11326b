"""What do the forms of docs/howto/lean.md cost? ``python -m benchmarks.lean.forms [--output FOLDER]``

The classes of the page are read from it and put on the recurrent matrix of a GRU of 256 units. Each form is compared
with the plain layer: a training step of 32 sequences, a call in evaluation, and a run of a session, which makes the
matrix once. All take turns on one thread; times are those of the thread, the best of all rounds.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from benchmarks.engine import processor
from benchmarks.lean.sparse import best
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import register_parametrization

import tidegate as tg

PAGE = Path(__file__).parents[2] / "docs" / "lean.md"
M, BATCH, STEPS = 16, 32, 128
FORMS = ("Orthogonal", "Antisymmetric", "Circulant", "Kronecker", "TensorTrain", "Monarch")
Call = Callable[[], object]


def forms() -> dict[str, Callable[[], tg.nn.GRU]]:
    """How to make a layer of each form."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = (block for block in blocks if "class Monarch" in block)
    names: dict[str, Any] = {"torch": torch}
    exec(code.replace("G, M = 3, 6", f"G, M = 3, {M}"), names)  # noqa: S102  the page's own code
    units = names["H"]

    def made(form: str) -> tg.nn.GRU:
        layer = tg.nn.GRU(units, units)
        register_parametrization(layer, "weight_hh_l0", names[form]())
        return layer

    makers: dict[str, Callable[[], tg.nn.GRU]] = {"plain": lambda: tg.nn.GRU(units, units)}
    makers["spectral=1.0"] = lambda: tg.nn.GRU(units, units, spectral=1.0)
    makers["spectral_norm of torch"] = lambda: spectral_norm(tg.nn.GRU(units, units), "weight_hh_l0")
    return makers | {form: lambda form=form: made(form) for form in FORMS}  # type: ignore[dict-item, misc]


def table(rounds: int) -> list[str]:
    torch.manual_seed(0)
    layers = {name: make() for name, make in forms().items()}
    x = torch.randn(STEPS, BATCH, M * M)
    sessions = {name: tg.Session(layer, BATCH) for name, layer in layers.items()}
    works: dict[str, dict[str, Call]] = {
        "training": {name: lambda layer=layer: layer(x)[0].sum().backward() for name, layer in layers.items()},  # type: ignore[misc]
        "call": {name: torch.inference_mode()(lambda layer=layer: layer(x)) for name, layer in layers.items()},
        "session": {name: lambda session=session: session.run(x) for name, session in sessions.items()},  # type: ignore[misc]
    }
    times = {kind: best(calls, rounds) for kind, calls in works.items()}
    assert all(layer.last_path == "fused" for layer in layers.values())
    lines = [
        "| form | numbers | training step, over plain | call, over plain | session, over plain |",
        "|---|---|---|---|---|",
    ]
    for name, layer in layers.items():
        numbers = sum(p.numel() for key, p in layer.named_parameters() if "weight_hh" in key)
        shares = " | ".join(f"{own[name] / own['plain']:.2f}" for own in times.values())
        lines.append(f"| {name} | {numbers:,} | {shares} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, help="a folder for the page, which is named after the processor")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    where = f"`python -m benchmarks.lean.forms` on {processor()}, one thread"
    what = f"a GRU of {M * M} units, {STEPS} steps, {BATCH} sequences"
    text = ["# Forms of a recurrent matrix", "", f"{where}: {what}.", "", *table(asked.rounds), ""]
    print(*text, sep="\n")
    if asked.output:
        asked.output.mkdir(parents=True, exist_ok=True)
        (asked.output / f"forms-{processor().slug}.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
