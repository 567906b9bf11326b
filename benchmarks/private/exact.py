"""Are private gradients exact? Every cell of the zoo, options and layouts, against loops and plain training in float64.

    python -m benchmarks.private.exact --output benchmarks/results/private/exact.md
    python -m benchmarks.private.exact --only lstm "low rank" --steps 5

Gradients: a layer runs a batch once inside ``tidegate.private.Recorder``. Norms of single sequences, their sum with
weights, and what ``Use`` says of each sequence are held against a loop that runs one sequence at a time by the
definition of the cell and torch's autograd. Cells have two layers, both directions, uneven lengths (one of them 0) and
resets, as far as they can be stacked. An error is the largest over all parameters, relative to the largest norm of a
sequence's gradient of that parameter.

Steps: a layer and a read-out are trained by ``tidegate.private.Gradients`` without noise and without a clip, and by
plain backward runs, with the same batches (drawn as Poisson sampling draws them, an empty one among them) and the same
divisor, the expected batch size. The error is the largest over all parameters after so many steps with momentum,
relative to the largest parameter; the calls that made no plain gradients of parameters are counted. (Adam divides what
is nothing but rounding, as the gradient of a bias on which an sLSTM does not depend, by its own size: there both
trainings differ by 1e-10, with the same gradients to 1e-15.)
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.prune import random_unstructured
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import tidegate as tg
from tidegate.cell import Cell, layer_norm, mean, sigmoid, tanh
from tidegate.nn import GRU, LSTM, PeepholeLSTM, Recurrent
from tidegate.private import Gradients, Recorder, Use
from tidegate.runtime import Withheld, eager_only
from tidegate.zoo import CELLS

T, B, I, H = 7, 5, 4, 8
LENGTHS = (7, 2, 5, 0, 3)
LIMIT = 1e-12
ROWS, RATE = 24, 0.25  # of the data that are trained on, and how many of them a batch has
HEAD = ("layer", "leaves", "norms", "weighted sums", "uses", "parameters after {} steps", "private calls")


class Everything(Cell):
    """Two operands of one matrix, one number a row, a vector, a norm, and a state that only copies another."""

    gates = "f n m"
    inputs = "f n"
    matrices: ClassVar = {"U": "f n"}
    state = "h c old"
    vectors = "p"

    def step(self, x, h, c, old, U, p):
        f = sigmoid(x.f + U(h).f + p * c)
        m = mean(f * c)
        n = tanh(layer_norm(x.n) + U(f * old).n + m)
        return f * h + (1 - f) * n, f * c + n, h


class Spread(Cell):
    """An own axis, an own matrix between states, and a given number."""

    gates = "z"
    matrices: ClassVar = {"U": "z", "A": "s:S", "C": "z"}
    state = "h s:S"
    given = "dt:1"

    def step(self, x, h, s, U, A, C, dt):
        s = s + dt * (A(h).s - s)
        z = tanh(x.z + U(h).z + C(s).z)
        return z, s


class Case(NamedTuple):
    """A layer, and how it is called: which of lengths, resets, a PackedSequence, random numbers."""

    make: Callable[[], torch.nn.Module]
    ragged: bool = True
    resets: bool = True
    packed: bool = False
    draws: bool = False


def of_cell(name: str) -> Case:
    """The largest stack of this cell."""
    graph = CELLS[name].graph
    square = graph.input_axis == "H"  # its layers read what is as wide as they are
    layers = 1 if any(item.axis == "I" for item in (*graph.states, *graph.given)) else 2  # the second reads no input
    return Case(lambda: Recurrent(name, H if square else I, H, layers, bidirectional=not square))


def pruned() -> torch.nn.Module:
    layer = LSTM(I, 32)
    random_unstructured(layer, "weight_hh_l0", 0.5)
    return layer


def held() -> torch.nn.Module:
    layer = GRU(I, 64)
    tg.sparsify(layer, 0.3)
    return layer


def normed() -> torch.nn.Module:
    return weight_norm(LSTM(I, H), "weight_hh_l0")


OTHERS: Mapping[str, Case] = {
    "own cell, everything": Case(lambda: Recurrent(Everything, I, H, 2, bidirectional=True)),
    "own cell, an axis of its own, given": Case(lambda: Recurrent(Spread, I, H, 2, widths={"S": 3})),
    "lstm without bias": Case(lambda: LSTM(I, H, 2, bias=False)),
    "lstm projected, 3 layers, both ways": Case(lambda: LSTM(I, H, 3, bidirectional=True, proj_size=3)),
    "peephole lstm projected": Case(lambda: PeepholeLSTM(I, H, 2, proj_size=3)),
    "gru batch first": Case(lambda: GRU(I, H, 2, batch_first=True)),
    "lstm packed": Case(lambda: LSTM(I, H, 2, bidirectional=True), resets=False, packed=True),
    "lstm full batch": Case(lambda: LSTM(I, H, 2), ragged=False, resets=False),
    "lstm wide, long": Case(lambda: LSTM(I, 70), ragged=False),
    "shared layers": Case(lambda: GRU(H, H, 3, share="layers")),
    "shared directions": Case(lambda: LSTM(I, H, 2, bidirectional=True, share="directions")),
    "shared layers, learned first states": Case(lambda: LSTM(H, H, 2, share="layers", learn_initial_state=True)),
    "heads": Case(lambda: LSTM(I, H, 2, heads=4)),
    "heads, norm": Case(lambda: GRU(I, H, heads=2, layer_norm=True)),
    "low rank": Case(lambda: GRU(I, H, 2, rank=3, reset="before")),
    "semi-tied": Case(lambda: LSTM(I, H, 2, semi_tied=True)),
    "layer norm": Case(lambda: LSTM(I, H, 2, bidirectional=True, layer_norm=True)),
    "state clip": Case(lambda: LSTM(I, H, 2, state_clip=0.4)),
    "zoneout": Case(lambda: LSTM(I, H, zoneout=0.3), draws=True),
    "recurrent dropout": Case(lambda: GRU(I, H, recurrent_dropout=0.3), draws=True),
    "input dropout": Case(lambda: GRU(I, H, input_dropout=0.3), draws=True),
    "weight dropout": Case(lambda: LSTM(I, H, 2, weight_dropout=0.3), draws=True),
    "dropout between layers": Case(lambda: LSTM(I, H, 3, dropout=0.3), draws=True),
    "spectral bound": Case(lambda: LSTM(I, H, 2, spectral=0.4).eval()),
    "learned first states": Case(lambda: LSTM(I, H, 2, bidirectional=True, learn_initial_state=True)),
    "learned first states, no resets": Case(lambda: LSTM(I, H, 2, learn_initial_state=True), resets=False),
    "chrono, orthogonal": Case(lambda: LSTM(I, H, chrono=20, orthogonal=True)),
    "pruned by torch": Case(pruned),
    "sparsified": Case(held),
    "weight norm of torch": Case(normed),
    "frozen U": Case(lambda: frozen(LSTM(I, H), "weight_hh_l0")),
}


def frozen(layer: torch.nn.Module, name: str) -> torch.nn.Module:
    layer.get_parameter(name).requires_grad_(requires_grad=False)
    return layer


def double(make: Callable[[], torch.nn.Module]) -> Any:
    torch.manual_seed(1)
    layer = make().double()
    pruned = layer.sparse or any(name.endswith("_mask") for name, _ in layer.named_buffers())
    with torch.no_grad():
        for parameter in () if pruned else layer.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return layer


class Sequences:
    """A batch that can be run whole or one sequence at a time.

    Random masks of options are drawn for all sequences at once, so a single one is run among the others and only its
    loss counts.
    """

    def __init__(self, layer: Any, case: Case) -> None:
        self.layer, self.case = layer, case
        torch.manual_seed(2)
        self.x = torch.randn(T, B, layer.input_size, dtype=torch.float64)
        self.reset = torch.rand(T, B) < 0.2
        self.given = {v.name: torch.rand(T, B, *self._width(v.axis), dtype=torch.float64) for v in layer.graph.given}
        self._weights: list[torch.Tensor] = []

    def _width(self, axis: str) -> tuple[int, ...]:
        return () if axis == "1" else (self.layer.cells[0].widths[axis],)

    def loss(self, b: int | None) -> torch.Tensor:
        """Of sequence b; of all for None."""
        chosen = slice(None) if b is None or self.case.draws else slice(b, b + 1)
        results = self._run(chosen)
        total = torch.zeros((), dtype=torch.float64)
        for k, result in enumerate(results):
            if len(self._weights) <= k:
                shape = (*result.shape[:1], B, *result.shape[2:])
                self._weights.append(torch.randn(shape, generator=torch.Generator().manual_seed(k)).double())
            weight, own = self._weights[k][:, chosen], result
            if b is not None and self.case.draws:
                weight, own = weight[:, b], result[:, b]
            total = total + (weight[: len(own)] * own).sum()
        return total

    def _run(self, chosen: slice) -> list[torch.Tensor]:
        torch.manual_seed(3)
        x, given = self.x[:, chosen], {name: value[:, chosen] for name, value in self.given.items()}
        reset = self.reset[:, chosen] if self.case.resets else None
        lengths = torch.tensor(LENGTHS)[chosen].tolist() if self.case.ragged else None
        if self.case.packed:
            counts = torch.tensor(lengths).clamp(min=1)
            y, last = self.layer(pack_padded_sequence(x, counts, enforce_sorted=False))
            assert isinstance(y, PackedSequence)
            y = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=T)[0]
        else:
            first = getattr(self.layer, "batch_first", False)
            x, reset = (x.transpose(0, 1), reset.T if reset is not None else None) if first else (x, reset)
            y, last = self.layer(x, lengths=lengths, reset=reset, given=given or None)
            y = y.transpose(0, 1) if first else y
        return [y, *(last if isinstance(last, tuple) else (last,))]


def of_uses(uses: list[Use], parameter: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(B, *parameter.shape, dtype=torch.float64)
    for use in uses:
        own = use.adjoint.sum(0)
        if use.operand is not None:
            own = torch.einsum("tbr,tbc->brc", use.adjoint, use.operand)
        total[(slice(None), ...) if use.place is ... else (slice(None), use.place)] += own
    return total


def gradients(case: Case) -> tuple[int, float, float, float]:
    """How many leaves there are, and the errors of norms, weighted sums and uses."""
    layer = double(case.make)
    sequences = Sequences(layer, case)
    leaves = [p for p in layer.parameters() if p.requires_grad]

    def single(b: int) -> tuple[torch.Tensor, ...]:
        nothing = sum(0 * p.sum() for p in leaves)  # a sequence without a step depends on none of them
        return torch.autograd.grad(sequences.loss(b) + nothing, leaves)

    with eager_only():
        each = [torch.stack(own) for own in zip(*map(single, range(B)), strict=True)]
    with Recorder() as recorder:
        sequences.loss(None).backward()
    (call,) = recorder.calls
    assert all(leaf.grad is None for leaf in leaves)
    assert {id(leaf) for leaf in call.parameters} == {id(leaf) for leaf in leaves}
    factors = torch.tensor([0.3, 2.0, 0.1, 1.0, 0.7], dtype=torch.float64)
    squares, sums, uses = call.squares(), call.weighted(factors), call.uses()
    errors = [0.0, 0.0, 0.0]
    for leaf, exact in zip(leaves, each, strict=True):
        norms = exact.flatten(1).norm(dim=1)
        scale = norms.max().item() or 1.0
        own = of_uses([use for use in uses if use.parameter is leaf], leaf)
        total = torch.einsum("b,b...->...", factors, exact)
        found = (
            (squares[leaf].sqrt() - norms).abs().max().item() / scale,
            (sums[leaf] - total).norm().item() / scale,
            (own - exact).flatten(1).norm(dim=1).max().item() / scale,
        )
        errors = [*map(max, errors, found)]
    return len(leaves), *errors


class Model(torch.nn.Module):
    """A layer and a read-out of every step."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.layer, self.case = double(case.make), case
        self.head = torch.nn.Linear(self.layer.output_size, 3, dtype=torch.float64)

    def forward(self, rows: torch.Tensor, data: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The loss of each row."""
        named = {"lengths": data["lengths"][rows].tolist()} if self.case.ragged else {}
        if self.layer.graph.given:
            named["given"] = {v.name: data[v.name][:, rows] for v in self.layer.graph.given}
        x, first = data["x"][:, rows], getattr(self.layer, "batch_first", False)
        y = self.layer(x.transpose(0, 1) if first else x, **named)[0]
        return (self.head(y.transpose(0, 1) if first else y) - data["targets"][:, rows]).square().sum((0, 2))


def trained(case: Case, steps: int) -> tuple[float, int]:
    """The error of the parameters after so many steps, and how many calls made no plain gradients."""
    torch.manual_seed(4)
    plain, private = Model(case), Model(case)
    private.load_state_dict(plain.state_dict())
    layer = plain.layer
    data = {"x": torch.randn(T, ROWS, layer.input_size), "targets": torch.randn(T, ROWS, 3)}
    for value in layer.graph.given:
        width = () if value.axis == "1" else (layer.cells[0].widths[value.axis],)
        data[value.name] = torch.rand(T, ROWS, *width)
    data = {name: value.double() for name, value in data.items()} | {"lengths": torch.randint(1, T + 1, (ROWS,))}
    draws = [torch.nonzero(torch.rand(ROWS) < RATE)[:, 0] for _ in range(steps)]
    draws[steps // 2] = draws[steps // 2][:0]
    made = Gradients(private, math.inf)
    optimizers = [torch.optim.SGD(model.parameters(), 0.002, momentum=0.9) for model in (plain, private)]
    calls = 0
    for number, rows in enumerate(draws):
        torch.manual_seed(number)
        loss = plain(rows, data).sum() / (RATE * ROWS)
        optimizers[0].zero_grad(set_to_none=False)
        loss.backward()
        torch.manual_seed(number)
        made.clear()
        with counted() as count:
            made.add(lambda rows=rows: private(rows, data), len(rows))
        calls += len(count)
        for parameter, total in made.sums.items():
            parameter.grad = total / (RATE * ROWS)
        for optimizer in optimizers:
            optimizer.step()
    pairs = zip(plain.parameters(), private.parameters(), strict=True)
    return max(((a - b).abs().max() / a.abs().max().clamp_min(1)).item() for a, b in pairs), calls


class counted:  # noqa: N801  used as a function
    """The calls of layers whose weighted sums are asked for in a block."""

    def __enter__(self) -> list[Withheld]:
        found: list[Withheld] = []
        self._before = Withheld.weighted

        def weighted(call: Withheld, weights: torch.Tensor) -> Any:
            found.append(call)
            return self._before(call, weights)

        Withheld.weighted = weighted  # type: ignore[method-assign]
        return found

    def __exit__(self, *error: object) -> None:
        Withheld.weighted = self._before  # type: ignore[method-assign]


def rows(only: set[str], steps: int) -> Iterator[tuple[str, bool]]:
    """A line of the table for each case, and whether it is within the limit."""
    cases = {name: of_cell(name) for name in CELLS} | OTHERS
    for name, case in cases.items():
        if only and name not in only:
            continue
        leaves, *errors = gradients(case)
        error, calls = trained(case, steps)
        right = max(*errors, error) <= LIMIT and calls > 0
        cells = [name, str(leaves), *(f"{e:.1e}" for e in (*errors, error)), str(calls), "" if right else "**off**"]
        yield "| " + " | ".join(cells) + " |", right


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", default=(), help="names of layers")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--output", type=Path, help="a file for the table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    begin, lines, right = time.monotonic(), list[str](), True
    for line, good in rows({*arguments.only}, arguments.steps):
        print(line, flush=True)
        lines.append(line)
        right = right and good
    if arguments.output:
        head = [f"python -m benchmarks.private.exact, float64, limit {LIMIT:g}, {len(lines)} layers,"]
        head += [f"{time.monotonic() - begin:.0f} s, {tg.runtime.isa()}.", ""]
        names = [name.format(arguments.steps) for name in (*HEAD, "")]
        head += ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
