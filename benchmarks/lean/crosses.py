"""Where each new cell and each lean option works: one table of errors, and of refusals with their reasons.

    python -m benchmarks.lean.crosses
    python -m benchmarks.lean.crosses --output benchmarks/results/lean

Everything is held to equations in float64 that share nothing with the library: those of the papers in tests/reference,
and of torch.nn.GRU with the matrices of an option written out. A refusal is an error of ours that says what to do
instead. Anything else, and an error above 1e-5, is a fault: it is printed as one, and the program ends with 1.
"""

from __future__ import annotations

import argparse
import ctypes
import io
import json
import os
import pickle
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

os.environ.setdefault("KERAS_BACKEND", "torch")

from benchmarks.lean import trained
from benchmarks.lean.cases import CELLS, OPTIONS, Case, H, I, States, Tensors, drawn, of_cell, of_option
from benchmarks.ship.fuzz_c import compiled
from tests.reference import delta as paper
from tests.reference import shipped_onnx as shipped
from tests.reference.compare import public

import tidegate as tg
from tidegate.cell import Graph
from tidegate.errors import TidegateError
from tidegate.nn import Recurrent
from tidegate.zoo import graph_of

STEPS, CLOSE = (1, 7, 50), 1e-5
LONG, THRESHOLDS = STEPS[-1], (0.2, 0.1)
COLUMNS = ("layer", "Session", "Keras", "save and load", "explain", "ONNX", "C")
TAKEN_BY_KERAS = {"heads", "rank", "semi_tied", "widths"}
Measure = Callable[[], float | str]


# --- what stands in a column ---


def layer(case: Case) -> float:
    """Outputs and last states for all T, full and ragged; and the gradient of x in a training step."""
    worst = 0.0
    for call, given in (case.call(T, ragged=ragged) for T in STEPS for ragged in (False, True)):
        hx = None if call.first is None else tuple(map(torch.from_numpy, call.first))
        with torch.no_grad():
            made = case.layer(
                torch.from_numpy(call.x), hx[0] if hx and len(hx) == 1 else hx, lengths=call.lengths, **beside(given)
            )
        assert case.layer.last_path == "fused", case.layer.last_path
        worst = max(worst, shipped.difference(case.named(*made), case.exact(call, given)))
    return max(worst, _gradient(case))


def _gradient(case: Case) -> float:
    """Off of what x gets in a training step, by torch's autograd of the equations."""
    call, given = case.call(7)
    x = torch.from_numpy(call.x).requires_grad_()
    exact, runs = x.detach().double().requires_grad_(), case.layer.num_layers * (1 + case.layer.bidirectional)
    first = tuple(torch.zeros(runs, x.shape[1], w, dtype=torch.float64) for w in case.layer.cells[0].state_widths)
    y, _ = case.run(exact, first, {name: value.double() for name, value in given.items()})
    case.layer(x, **beside(given))[0].sin().sum().backward()
    y.sin().sum().backward()
    assert x.grad is not None
    assert exact.grad is not None
    return shipped.difference({"x": x.grad.numpy()}, {"x": exact.grad.numpy()})


def beside(given: Tensors) -> dict[str, Tensors]:
    return {"given": given} if given else {}


def session(case: Case) -> float:
    """One block of all steps, and all steps one by one."""
    both, (call, given) = case.layer.bidirectional, case.call(LONG)
    running, x = tg.Session(case.layer, 3, bidirectional=both), torch.from_numpy(call.x)
    wanted, ys = case.exact(call, given)["y"], [running.run(x, **beside(given))]
    if not both:
        running.reset()
        rows = ({name: value[t] for name, value in given.items()} for t in range(LONG))
        ys.append(torch.stack([running.step(row, **beside(own)) for row, own in zip(x, rows, strict=True)]))
    return max(shipped.difference({"y": y.numpy()}, {"y": wanted}) for y in ys)


def keras(case: Case) -> float:
    """A layer of ours for Keras: with the option, or with the weights that `tg.convert.dump` makes of it."""
    import keras as k

    import tidegate.keras as tk

    call, given = case.call(LONG)
    x = torch.from_numpy(call.x).transpose(0, 1)
    if case.options.keys() <= TAKEN_BY_KERAS and case.density == 1:
        made = [tk.Recurrent(case.cell, H, return_sequences=True, **case.options)]
        held = {public(name): value for name, value in case.layer.named_parameters()}
        weights = [[held[name].detach() for name in case.layer._flat_weights_names]]  # noqa: SLF001  as torch's has it
        weights = [[value.T if value.dim() == 2 else value for value in weights[0]]]
    else:
        weights = tg.convert.dump(case.layer, "keras")
        made = [tk.GRU(H, return_sequences=True) for _ in weights]
        made = [k.layers.Bidirectional(one) for one in made] if case.layer.bidirectional else made
    y = x
    for one, own in zip(made, weights, strict=True):
        one.build(y.shape)
        one.set_weights([np.asarray(value) for value in own])
        y = one(y)
    return shipped.difference({"y": y.detach().transpose(0, 1).numpy()}, {"y": case.exact(call, given)["y"]})


def save(case: Case) -> float:
    """The graph as JSON and the state_dict as a file that runs no code, against the layer that was saved."""
    file, (call, given) = io.BytesIO(), case.call(LONG)
    text = json.dumps(graph_of(case.cell).to_json())
    torch.save({"cell": text, "weights": case.layer.state_dict()}, file)
    file.seek(0)
    found = torch.load(file, weights_only=True)
    again = Recurrent(Graph.from_json(json.loads(found["cell"])), case.layer.input_size, H, **case.options)
    again.load_state_dict(found["weights"])
    if case.density < 1:
        tg.sparsify(again, 1.0, 8)
    ys = [one.eval()(torch.from_numpy(call.x), **beside(given))[0].detach() for one in (case.layer, again)]
    return shipped.difference({"y": ys[1].numpy()}, {"y": ys[0].double().numpy()})


def explain(case: Case) -> float:
    """The loss of a gradient by lag and, in one direction, the Jacobian of a step; all curves have to be finite."""
    call, given = case.call(7)
    flow = tg.explain.gradient_by_lag(
        case.layer, lambda answer: answer[0].sin().sum(), torch.from_numpy(call.x), **beside(given)
    )
    assert not any((curve.norms.isnan() | (curve.norms == torch.inf)).any() for curve in flow.curves), "no finite curve"
    assert flow.curves, f"no curve: {flow.left_out}"
    loss = np.sin(case.exact(call, given)["y"]).sum()
    off = abs(flow.loss - loss) / max(1, abs(loss))
    if case.layer.bidirectional:
        return float(off)
    found = tg.explain.lyapunov(case.layer, torch.from_numpy(call.x), **beside(given))
    assert not found.values.isnan().any(), "no finite exponents"
    return max(float(off), _jacobian(case))


def _jacobian(case: Case) -> float:
    """Off from that of the equations, by torch's autograd."""
    call, given = case.call(1, ragged=True)
    x, width = torch.from_numpy(call.x[0, :1]).double(), {n: v[:1, :1].double() for n, v in given.items()}
    first = [torch.from_numpy(state[:, :1]).double() for state in call.first or []]
    sizes, L = [state.shape[-1] for state in first], case.layer.num_layers

    def apart(side: Tensor) -> States:
        return tuple(part.unsqueeze(1) for part in side.view(L, -1).split(sizes, -1))

    def step(side: Tensor) -> Tensor:
        return torch.cat(case.run(x[None], apart(side), width)[1], -1).flatten()

    side = torch.cat(first, -1).flatten()
    wanted = torch.autograd.functional.jacobian(step, side)
    row = torch.cat([x, *(value[0] for value in width.values())], -1)
    got = tg.explain.jacobian(case.layer, row[0], side)
    return shipped.difference({"J": got.numpy()}, {"J": wanted.numpy()})


def onnx(case: Case) -> float:
    """onnxruntime for all T, full and ragged, from zeros and from states; and the self-test of the file."""
    model = tg.ship.onnx(case.layer)
    running, worst = shipped.session(model), tg.ship.selftest(model)
    for call, given in (case.call(T, ragged=ragged) for T in STEPS for ragged in (False, True)):
        beside = {f"given.{name}": value.numpy() for name, value in given.items()}
        beside |= {name: value[..., 0] for name, value in beside.items() if name == "given.dt"}  # one number a row
        fed = shipped.feeds(case.layer, call) | beside
        worst = max(worst, shipped.difference(shipped.answers(running, fed), case.exact(call, given)))
    return worst


class InC:
    """All layers in one library, since a call of the compiler takes longer than its work."""

    def __init__(self, cases: list[Case], folder: Path) -> None:
        self.names = {case.name: f"c{k}" for k, case in enumerate(cases)}
        sources = []
        for case in cases:
            with suppress(TidegateError):  # which is raised again where the column asks
                sources.append(self.source(case))
        self.library = compiled(sources, folder, "-O1", "all") if sources else None

    def source(self, case: Case) -> tg.ship.Source:
        return tg.ship.c(case.layer, self.names[case.name])

    def __call__(self, case: Case) -> float:
        """One sequence of all steps; the self-test of the file has to pass."""
        self.source(case)
        assert self.library is not None
        name, (call, given) = self.names[case.name], case.call(LONG)
        assert self.library[f"{name}_selftest"]() == 0, "the self-test fails"
        rows = np.concatenate([call.x, *(value.numpy() for value in given.values())], -1)[:, 0].copy()
        wanted = case.exact(call, given)["y"][:, 0]
        state, y = np.full(4096, np.nan, np.float32), np.zeros(wanted.shape, np.float32)
        at = [array.ctypes.data_as(ctypes.c_void_p) for array in (state, rows, y, np.zeros_like(y))]
        if case.layer.bidirectional:
            self.library[f"{name}_sequence"](at[1], at[2], ctypes.c_size_t(LONG), at[3])
        else:
            self.library[f"{name}_reset"](at[0])
            self.library[f"{name}_block"](*at[:3], ctypes.c_size_t(LONG))
        return shipped.difference({"y": y}, {"y": wanted})


# --- deltas, which are a setting of a session and of nothing else ---


def of_delta() -> dict[str, Measure | None]:
    gru = drawn(Recurrent("gru", I, H))
    x = torch.randn(LONG, 1, I).cumsum(0) / 4
    running = tg.Session(gru, delta=THRESHOLDS)

    def by_paper() -> float:
        wanted = paper.gru(x[:, 0].double(), *paper.products_of(gru, *THRESHOLDS)).numpy()
        y = running.run(x)
        assert running.sent.overall < 1, "everything was sent"
        return shipped.difference({"y": y[:, 0].numpy()}, {"y": wanted})

    def copied() -> float:
        again = pickle.loads(pickle.dumps(running))  # noqa: S301  made here
        ys = [one.run(x).double().numpy() for one in (running, again)]
        return shipped.difference({"y": ys[1]}, {"y": ys[0]})

    asked: list[Any] = [
        None,
        by_paper,
        lambda: tg.convert.dump(running, "keras"),
        copied,
        lambda: tg.explain.lyapunov(running, x),
        lambda: tg.ship.onnx(running),
        lambda: tg.ship.c(running, "deltas"),
    ]
    return dict(zip(COLUMNS, asked, strict=True))


# --- the table ---


@dataclass
class Table:
    """Lines, and what was said in them."""

    reasons: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    worst: dict[str, float] = field(default_factory=dict)

    def row(self, name: str, measures: Mapping[str, Measure | None]) -> str:
        entries = ("as without" if one is None else self.entry(name, column, one) for column, one in measures.items())
        return f"| {name} | {' | '.join(entries)} |"

    def entry(self, name: str, column: str, measure: Measure) -> str:
        torch.manual_seed(0)
        try:
            off = measure()
        except TidegateError as error:
            if not error.fix:
                return self.fault(name, column, f"refused without a remedy: {error}")
            self.reasons.setdefault((f"{column}: {error.code}", str(error)), []).append(name)
            return f"refused: {error.code}"
        except Exception as error:  # noqa: BLE001  whatever it is, it is what this looks for
            return self.fault(name, column, f"{type(error).__name__}: {error}")
        if isinstance(off, str):
            return off
        self.worst[column] = max(self.worst.get(column, 0.0), off)
        if not off <= CLOSE:
            return self.fault(name, column, f"off by {off:.1e}")
        return f"{off:.1e}" if off else "equal"

    def fault(self, name: str, column: str, text: str) -> str:
        self.faults.append(f"{name}, {column}: {' '.join(text.split())[:300]}")
        return "**fault**"

    def summary(self, columns: tuple[str, ...]) -> Iterator[str]:
        worst = ", ".join(f"{name} {self.worst[name]:.1e}" for name in columns if name in self.worst)
        yield from ("", f"Worst of each column: {worst}.", "", "Why something is refused:", "")
        for (code, text), names in self.reasons.items():
            yield f"- {code} ({', '.join(names)}): {text}"
        yield from ("", f"Faults: {len(self.faults)}.", *(f"- {fault}" for fault in self.faults))


def of_layers(only: list[str], table: Table) -> Iterator[str]:
    yield from (f"| | {' | '.join(COLUMNS)} |", "|---|" + "---|" * len(COLUMNS))
    makers = [(of_option, name) for name in OPTIONS] + [(of_cell, cell) for cell in CELLS]
    cases = []
    for make, name in makers:
        if not only or name in only:
            torch.manual_seed(0)
            cases.append(make(name))
    with tempfile.TemporaryDirectory() as folder:
        columns = dict(
            zip(COLUMNS, (layer, session, keras, save, explain, onnx, InC(cases, Path(folder))), strict=True)
        )
        for case in cases:
            yield table.row(case.name, {name: lambda m=m, c=case: m(c) for name, m in columns.items()})
    yield table.row("delta: `gru`", of_delta())
    yield from table.summary(COLUMNS)


def of_trained(only: list[str], table: Table) -> Iterator[str]:
    yield from (f"| | {' | '.join(trained.COLUMNS)} |", "|---|" + "---|" * len(trained.COLUMNS))
    for name in (*trained.SETTINGS, *CELLS):
        if not only or name in only:
            with tempfile.TemporaryDirectory() as home:
                one = trained.Trained(name, Path(home))
                yield table.row(one.label, one.measures())
    yield from table.summary(trained.COLUMNS)


HEAD = f"""# Where new cells and lean options work

`python -m benchmarks.lean.crosses`; {I} features, {H} units, float32, largest difference from equations in float64,
relative to 1 or to the value. Options stand on a GRU, which is held to torch.nn.GRU with the matrices written out;
cells are held to the equations of their papers (tests/reference). A threshold for deltas is a setting of a Session:
its layer is the plain one, and what is no Session refuses it.

- layer: fused; T of {", ".join(map(str, STEPS))}; full lengths from zeros, and others (0 too) from states; last states
  too, and the gradient of x in a training step.
- Session: a block of {LONG} steps, and as many single steps (the paper's equations where thresholds act).
- Keras: `tidegate.keras`, the option or the cell itself where it takes it, else the weights by `tg.convert.dump`.
- save and load: the graph as JSON and the `state_dict`, against the layer that was saved.
- explain: the loss of a gradient by lag whose curves are finite; in one direction the Jacobian of a step, by autograd
  of the equations, and finite Lyapunov exponents.
- ONNX: onnxruntime, the calls of the first column, and the self-test of the file.
- C: gcc, {LONG} steps, and the self-test of the file.
"""


TRAINED = """
## Trained models

Classifiers of series with gaps and times of their own, after a few epochs; cells that are given nothing read both among
their inputs. Saved and read back: scores against those of the model that was saved. explain: how many checks a full
explanation passes. ONNX and C: the largest difference of a class's share, as `tidegate ship --check` finds it; in whole
numbers how much the log loss changes.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], help="rows, such as heads lem")
    parser.add_argument("--output", type=Path, help="a folder for crosses.md")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    text, faults = list[str](), 0
    for head, part in ((HEAD, of_layers), (TRAINED, of_trained)):
        table = Table()
        for line in chain([head], part(asked.only, table)):
            print(line, flush=True)
            text.append(line)
        faults += len(table.faults)
    if asked.output:
        (asked.output / "crosses.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
