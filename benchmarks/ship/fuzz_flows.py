"""Do the C and the ONNX of drawn flows compute what the flows say?

    python -m benchmarks.ship.fuzz_flows --count 300    # about five minutes on one core
    python -m benchmarks.ship.fuzz_flows --count 20 --seed 7

Each flow has 3 to 25 drawn nodes of all operations, numbers and symbols in, some outputs at every step and some at the
last. Three sequences of different lengths, one of them empty, go through the float64 reference, through compiled C and
through onnxruntime, whole and again in two parts with the states between them handed over. An answer may be off by 1e-5
of the largest number that the flow computes. Every self-test has to pass. The last line counts what was held to what.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

import tidegate as tg
from tidegate.ship.check.compiled import CRunner
from tidegate.ship.check.session import OnnxRunner
from tidegate.ship.flow import OPS, Draft, Flow, Output, Value

STEPS, LENGTHS = 9, [9, 5, 0]
NEAR = 1e-5
LARGEST = 50.0  # of a value; larger ones lose digits by themselves
CELLS = ("lstm", "gru", "mgu", "slstm", "rnn", "peepholelstm")
ONE = ("tanh", "sigmoid", "relu", "softmax", "sort", "sum", "highest")
TWO = ("add", "sub", "mul", "minimum", "maximum")


class Drawing:
    """A flow that grows node by node.

    Args:
        seed: of everything drawn.
    """

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.draft = Draft("drawn")
        self.values: list[tuple[Value, float]] = []  # with a bound of their size
        self.symbols: list[tuple[Value, int]] = []
        for k in range(self.below(1, 3)):
            self.values.append((self.draft.input(f"x{k}", self.below(1, 7), "numbers"), 4.0))
        for k in range(self.below(0, 3)):
            limit = self.below(2, 9)
            self.symbols.append((self.draft.input(f"s{k}", self.below(1, 4), "symbols", limit=limit), limit))

    def below(self, low: int, high: int) -> int:
        """An integer from ``low`` to ``high - 1``."""
        return int(self.random.integers(low, high))

    def flow(self) -> Flow:
        """Drawn to its end."""
        makers = [self.one, self.two, self.other, self.layout, self.linear, self.symbolic, self.memory]
        size = self.below(6, 30)
        while len(self.values) < size:
            made = makers[self.below(0, len(makers))]()
            if made is not None:
                value, bound = made
                self.values.append((value, bound) if bound < LARGEST else (self.draft.add("tanh", value), 1.0))
        read = {name for node in self.draft.nodes for name in node.args}
        unread = [value for value, _ in self.values if value.name not in read]
        self.draft.output("all", self.draft.concat(*unread), "what nothing else reads")
        for k in range(self.below(0, 4)):
            self.draft.output(f"y{k}", self.value()[0], "an answer", last=bool(self.below(0, 2)))
        return self.draft.flow()

    def value(self, width: int = 0) -> tuple[Value, float]:
        """One of those that are there, of this width or of one number."""
        fit = [one for one in self.values if not width or one[0].width in (1, width)]
        return fit[self.below(0, len(fit))] if fit else (self.draft.constant(0.5), 0.5)

    def one(self) -> tuple[Value, float] | None:
        op, (x, bound) = ONE[self.below(0, len(ONE))], self.value()
        blocks = {"blocks": self.blocks(x.width)} if op in ("softmax", "sort") else {}
        bounds = {"tanh": 1.0, "sigmoid": 1.0, "softmax": 1.0, "sum": STEPS * bound}
        return self.draft.add(op, x, **blocks), bounds.get(op, bound)

    def two(self) -> tuple[Value, float] | None:
        op, (x, bound) = TWO[self.below(0, len(TWO))], self.value()
        y, other = self.value(x.width) if self.below(0, 4) else (self.draft.constant(self.numbers(x.width)), 4.0)
        pair = (x, y) if self.below(0, 2) else (y, x)
        return self.draft.add(op, *pair), {"mul": bound * other, "minimum": max(bound, other)}.get(op, bound + other)

    def other(self) -> tuple[Value, float] | None:
        """Operations that not every number suits."""
        x, bound = self.value()
        calm = self.draft.add("tanh", x)
        return [
            lambda: (self.draft.add("exp", calm), 3.0),
            lambda: (self.draft.add("log", calm * calm + 0.5), 1.0),
            lambda: (self.draft.add("wave", calm * 1.2), 1.0),
            lambda: (x / (calm * calm + 1.0), bound),
        ][self.below(0, 4)]()

    def layout(self) -> tuple[Value, float] | None:
        x, bound = self.value()
        if self.below(0, 2):
            y, other = self.value()
            return self.draft.concat(x, y, x) if self.below(0, 2) else self.draft.concat(y, x), max(bound, other)
        count, first = self.below(1, 9), self.below(0, x.width)
        patterns: list[Callable[[int], int]] = [
            lambda k: k, lambda k: k // 2, lambda k: 2 * k, lambda _: 0, lambda k: -k, lambda _: self.below(0, 99),
        ]  # fmt: skip
        pattern = patterns[self.below(0, len(patterns))]
        return x[[(first + pattern(k)) % x.width for k in range(count)]], bound

    def linear(self) -> tuple[Value, float] | None:
        x, bound = self.value()
        blocks, rows = self.blocks(x.width), self.below(1, 6)
        columns = x.width // blocks
        weight = self.random.normal(size=(rows, columns)) / columns
        own = {"bias": self.random.normal(size=rows)} if self.below(0, 2) else {}
        if blocks > 1 or self.below(0, 2):
            own["blocks"] = blocks  # type: ignore[assignment]
        return self.draft.add("linear", x, weight=weight, **own), 3 * bound + 3

    def symbolic(self) -> tuple[Value, float] | None:
        if not self.symbols:
            return None
        symbol, limit = self.symbols[self.below(0, len(self.symbols))]
        if not self.below(0, 3):
            symbol = symbol[[self.below(0, symbol.width) for _ in range(self.below(1, 5))]]
        if self.below(0, 2):
            return self.draft.add("number", symbol), float(limit)
        table = self.random.normal(size=(limit, self.below(1, 5)))
        return self.draft.add("embed", symbol, table=table), 4.0 * symbol.width

    def memory(self) -> tuple[Value, float] | None:
        x, bound = self.value()
        if self.below(0, 2):
            before = "first" if self.below(0, 2) else round(self.random.normal(), 2) * self.below(0, 2)
            return self.draft.window(x, self.below(2, 6), before), max(bound, 4.0)
        cell, hidden = CELLS[self.below(0, len(CELLS))], self.below(1, 6)
        options = {"num_layers": self.below(1, 3), "learn_initial_state": bool(self.below(0, 2))}
        layer = tg.nn.Recurrent(cell, x.width, hidden, **options)
        for name, parameter in layer.named_parameters():
            values = self.random.normal(size=tuple(parameter.shape)) / (4 if "hh" in name else 2)
            parameter.data.copy_(parameter.new_tensor(values))
        return self.draft.add("recurrent", x, layer=layer), 10.0

    def blocks(self, width: int) -> int:
        """A number of blocks that such a width has."""
        fit = [count for count in range(1, width + 1) if width % count == 0]
        return fit[self.below(0, len(fit))]

    def numbers(self, width: int) -> np.ndarray:
        return self.random.normal(size=width if self.below(0, 2) else 1)


def drawn(seed: int) -> tuple[Flow, dict[str, np.ndarray]]:
    """A flow and its inputs [T, B, W]; numbers are NaN behind the end of a sequence."""
    flow, random = Drawing(seed).flow(), np.random.default_rng(seed)
    inputs = {}
    for one in flow.inputs:
        shape = (STEPS, len(LENGTHS), one.kind.width)
        if one.limit:
            inputs[one.name] = random.integers(0, one.limit, shape)
        else:
            value = random.normal(size=shape).clip(-4, 4).astype(np.float32)
            inputs[one.name] = np.where(np.arange(STEPS)[:, None, None] < np.array(LENGTHS)[:, None], value, np.nan)
    return flow, inputs


def scale(flow: Flow, inputs: dict[str, np.ndarray]) -> float:
    """The largest number that a flow computes."""
    every = tuple(Output(node.name, node.name, "") for node in flow.nodes) or flow.outputs
    values = replace(flow, outputs=every, again={}).run(inputs, LENGTHS).outputs.values()
    return max([1.0, *(float(np.abs(value).max(initial=0)) for value in values)])


def off(runner: object, flow: Flow, inputs: dict[str, np.ndarray]) -> float:
    """The largest difference from the reference, of a call and of two, the second with the states of the first."""
    right, made = flow.run(inputs, LENGTHS), runner.run(inputs, LENGTHS)  # type: ignore[attr-defined]
    worst = max(float(np.abs(made.outputs[name] - value).max(initial=0)) for name, value in right.outputs.items())
    first, rest = np.minimum(LENGTHS, 3), np.maximum(np.array(LENGTHS) - 3, 0)
    begun = runner.run({name: value[:3] for name, value in inputs.items()}, first.tolist())  # type: ignore[attr-defined]
    late = {name: value[3:] for name, value in inputs.items()}
    ended = runner.run(late, rest.tolist(), begun.states)  # type: ignore[attr-defined]
    for one in flow.outputs:
        if one.last:  # a sequence that ends in the first part has no answer in the second
            there = rest > 0
            difference = ended.outputs[one.name][there] - right.outputs[one.name][there]
        else:
            difference = ended.outputs[one.name] - right.outputs[one.name][3:]
        worst = max(worst, float(np.abs(difference).max(initial=0)))
    return worst if np.isfinite(worst) else np.inf


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("c", "onnx"))
    arguments = parser.parse_args()
    worst, nodes, wrong = Counter(), Counter(), 0
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        flow, inputs = drawn(seed)
        nodes.update(node.op for node in flow.nodes)
        size = scale(flow, inputs)
        for name, make in (
            ("c", lambda flow: CRunner(flow, tg.ship.c(flow, "drawn"))),
            ("onnx", lambda flow: OnnxRunner(flow, tg.ship.onnx(flow).SerializeToString())),
        ):
            if arguments.only in (None, name):
                runner = make(flow)
                share = off(runner, flow, inputs) / size
                selftest = runner.compiled.selftest() if name == "c" else 0
                worst[name] = max(worst[name], share)
                if share > NEAR or selftest:
                    wrong += 1
                    print(f"seed {seed}: {name} is off by {share:.1e} of {size:.3g}, self-test {selftest}\n{flow}\n")
    lacking = sorted(set(OPS) - set(nodes))
    shares = ", ".join(f"{name} {share:.1e}" for name, share in worst.items())
    print(f"{arguments.count} flows, {nodes.total():,} nodes, {wrong} wrong; largest error: {shares}")
    print(f"never drawn: {', '.join(lacking) or 'nothing'}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
