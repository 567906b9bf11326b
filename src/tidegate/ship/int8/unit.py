"""One layer in one direction in whole numbers: its weights of 8 bits, and its step as the C computes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from tidegate.cell.graph import Op
from tidegate.emit.sums import Call, Form
from tidegate.errors import EmitError
from tidegate.passes.bound import bounds
from tidegate.ship.int8.observe import Tensors, block
from tidegate.ship.int8.plan import LARGEST, MARGIN, MOST_FRACTION, Format, Planner, fraction_of, symmetric
from tidegate.ship.int8.whole import SHORT, Whole, Wholes, computed, product

WEIGHT = 127  # the largest weight of 8 bits
MOST_SUM = 2**31 - 1  # of products of a row
SCALE = 16  # bits behind the point of the scale of a row


@dataclass(frozen=True)
class Draft:
    """A layer in one direction before its formats are chosen.

    Attributes:
        form: its step.
        parameters: by name, in float64.
        first: the states that a sequence begins with, by name.
    """

    form: Form
    parameters: Tensors
    first: Tensors

    @cached_property
    def eights(self) -> list[list[tuple[Wholes, npt.NDArray[np.float64]]]]:
        """The weights of each call in 8 bits, and the scales of their rows."""
        return [[_eight_bits(_matrix(self.form, self.parameters, call)) for call in calls] for calls in self.form.calls]

    @cached_property
    def most(self) -> dict[int, int]:
        """How large what is multiplied may be, by node, so that no sum of products needs more than 32 bits."""
        most: dict[int, int] = {}
        for calls, pairs in zip(self.form.calls, self.eights, strict=True):
            for call, (values, _) in zip(calls, pairs, strict=True):
                room = MOST_SUM // max(1, int(np.abs(values).sum(axis=1).max(initial=1)))
                most[call.operand] = min(most.get(call.operand, SHORT), room)
        return most

    @property
    def most_input(self) -> int:
        return next((self.most.get(i, SHORT) for i, n in enumerate(self.form.nodes) if n.op is Op.SERIES), SHORT)

    @cached_property
    def biases(self) -> npt.NDArray[np.float64]:
        """With which the sums begin."""
        total = np.zeros(self.form.rows)
        for row in self.form.sums:
            for matrix, name in self.form.biases(row):
                own = block(self.form, self.parameters, f"bias_{matrix}", matrix, name)
                total[row.at : row.at + row.width] += own.numpy()
        return total


@dataclass(frozen=True)
class Weights:
    """A matrix of a call: the rows of its weights, and what brings each sum into the format of its row of sums.

    Attributes:
        values: from -127 to 127, ``[rows, columns]``.
        scale: of each row, from 0 to 32767: of 2^16.
    """

    values: Wholes
    scale: Wholes


@dataclass(frozen=True)
class Unit:
    """One layer in one direction.

    Attributes:
        form: its step in real numbers.
        formats: how each node's value is held.
        trees: the expression of each node that is computed.
        stores: for each state the expression of its new value.
        weights: of each call, phase by phase.
        bias: with which the sums begin, in their formats.
        vectors: peepholes and the like, by node.
        first: the states that a sequence begins with.
    """

    form: Form
    formats: Mapping[int, Format]
    trees: Mapping[int, Whole]
    stores: Mapping[str, Whole]
    weights: Sequence[Sequence[Weights]]
    bias: Wholes
    vectors: Mapping[int, Wholes]
    first: Mapping[str, Wholes]

    @property
    def states(self) -> dict[str, Format]:
        return {n.name: self.formats[i] for i, n in enumerate(self.form.nodes) if n.op is Op.STATE}

    @property
    def input(self) -> Format:
        return next(self.formats[i] for i, n in enumerate(self.form.nodes) if n.op is Op.SERIES)

    @property
    def size(self) -> int:
        """Bytes of its constants."""
        weights = sum(own.values.size + 2 * own.scale.size for calls in self.weights for own in calls)
        vectors = 2 * sum(values.size for values in self.vectors.values())
        return weights + vectors + 4 * self.bias.size + 2 * sum(v.size for v in self.first.values() if v.any())

    @property
    def output(self) -> Format:
        return self.states[self.form.graph.output.name]

    def run(
        self, x: Wholes, alive: npt.NDArray[np.bool_], states: Mapping[str, Wholes]
    ) -> tuple[Wholes, dict[str, Wholes]]:
        """Outputs ``[steps, batch, units]``, zero where a sequence has ended, and last states.

        Args:
            x: inputs in the format of ``input``, ``[steps, batch, features]``.
            alive: whether a sequence has this step, ``[steps, batch]``.
            states: before the first step, by name, ``[batch, units]``.
        """
        output = self.form.graph.output.name
        now = dict(states)
        outputs = np.zeros((len(x), *now[output].shape), np.int64)
        for t, (row, there) in enumerate(zip(x, alive[..., None], strict=True)):
            after = self._step(row, now)
            now = {name: np.where(there, after[name], before) for name, before in now.items()}
            outputs[t] = np.where(there, now[output], 0)
        return outputs, now

    def _step(self, x: Wholes, states: Mapping[str, Wholes]) -> dict[str, Wholes]:
        values: dict[int, Wholes] = {}
        for index, node in enumerate(self.form.nodes):
            if node.op is Op.STATE:
                values[index] = states[node.name]
            elif node.op is Op.SERIES:
                values[index] = x
            elif node.op is Op.VECTOR:
                values[index] = self.vectors[index]
            elif index in self.trees:
                values[index] = computed(self.trees[index], values)
            self._sum(index, values)
        return {name: computed(tree, values) for name, tree in self.stores.items()}

    def _sum(self, index: int, values: dict[int, Wholes]) -> None:
        """A sum, once all that it multiplies is there: a node comes after its arguments."""
        row = next((row for row in self.form.sums if row.node == index), None)
        if row is None:
            return
        total = self.bias[row.at : row.at + row.width]
        for calls, weights in zip(self.form.calls, self.weights, strict=True):
            for call, own in zip(calls, weights, strict=True):
                if call.at <= row.at < call.at + call.rows:
                    part = slice(row.at - call.at, row.at - call.at + row.width)
                    total = total + product(own.values[part], own.scale[part], values[call.operand])
        values[index] = total


def entered(x: npt.NDArray[np.float32], held: Format) -> Wholes:
    """Numbers of float32 as whole ones, the nearest, halves to even; too large ones are cut off."""
    return np.asarray(np.clip(np.rint(x * np.float32(2.0**held.fraction)), held.low, held.high), np.int64)


def quantised_unit(draft: Draft, ranges: Mapping[int, float], entering: Format | None, room: int) -> Unit:
    """Choose all formats.

    Args:
        draft: the layer.
        ranges: the largest size of each node's values in calibration.
        entering: the format of the input, where another unit gives it.
        room: the largest whole number that the output may be, for who reads it.
    """
    form = draft.form
    formats, vectors = _leaves(draft, ranges, entering, room)
    carried = form.program.step.carried
    held = {c.name: formats[_state(form, c.name)] for c in carried}
    kept = {c.after: held[c.name] for c in reversed(carried)}
    operands = {i: m for i, m in draft.most.items() if i not in formats}
    wide = {row.node: symmetric(MOST_FRACTION, LARGEST) for row in form.sums}
    sketch = Planner(
        form, ranges, formats | wide, operands, kept
    )  # the formats of operands do not depend on those of sums
    weights, bias, sums = _sums(draft, sketch.formats)
    plan = Planner(form, ranges, formats | sums, operands, kept)
    stores = {
        c.name: plan.narrow(plan.at(plan.value(c.after), f.fraction), f.most)[0]
        for c, f in zip(carried, held.values(), strict=True)
    }
    first = {name: _rounded(draft.first[name].numpy(), own) for name, own in held.items()}
    return Unit(form, plan.formats, plan.trees, stores, weights, bias, vectors, first)


def _after(form: Form, name: str) -> int:
    return next(c.after for c in form.program.step.carried if c.name == name)


def _state(form: Form, name: str) -> int:
    index = next((i for i, node in enumerate(form.nodes) if node.op is Op.STATE and node.name == name), None)
    if index is None:
        raise EmitError(
            "INT8_STATE",
            f"{form.graph.name} has no form in whole numbers: its step never reads its state {name}",
            fix="write the cell without that state, or ship it in float32",
        )
    return index


def _rounded(values: npt.NDArray[np.float64], held: Format) -> Wholes:
    return np.clip(np.rint(values * 2.0**held.fraction), held.low, held.high).astype(np.int64)


def _matrix(form: Form, parameters: Tensors, call: Call) -> npt.NDArray[np.float64]:
    rows = [block(form, parameters, f"weight_{call.matrix}", call.matrix, name) for name in call.blocks]
    return torch.cat(rows).numpy()


def _eight_bits(matrix: npt.NDArray[np.float64]) -> tuple[Wholes, npt.NDArray[np.float64]]:
    """Each row with a scale of its own, symmetric."""
    scale = np.abs(matrix).max(axis=1, initial=0.0) / WEIGHT
    values = np.divide(matrix, scale[:, None], out=np.zeros_like(matrix), where=scale[:, None] > 0)
    return np.rint(values).astype(np.int64), scale


def _leaves(
    draft: Draft, ranges: Mapping[int, float], entering: Format | None, room: int
) -> tuple[dict[int, Format], dict[int, Wholes]]:
    """The formats of input, states and vectors, and the vectors in them."""
    form, proven = draft.form, _proven(draft.form)
    formats, vectors = {}, {}
    for index, node in enumerate(form.nodes):
        most = draft.most.get(index, SHORT)
        if node.op is Op.STATE:
            most = min(most, room) if node.name == form.graph.output.name else most
            most = min(most, draft.most.get(_after(form, node.name), SHORT))
            formats[index] = symmetric(fraction_of(min(ranges[index] * MARGIN, proven[node.name]), most), most)
        elif node.op is Op.SERIES:
            formats[index] = entering or symmetric(fraction_of(ranges[index] * MARGIN, most), most)
        elif node.op is Op.VECTOR:
            values = block(form, draft.parameters, node.matrix, node.matrix, node.name).numpy()
            formats[index] = symmetric(fraction_of(float(np.abs(values).max(initial=0.0))), SHORT)
            vectors[index] = _rounded(values, formats[index])
    return formats, vectors


def _proven(form: Form) -> dict[str, float]:
    """How large a state can become, whatever the weights are."""
    known = bounds(form.graph)
    return {s.name: max(map(abs, known[n])) for s, n in zip(form.graph.states, form.graph.updates, strict=True)}


def _sums(draft: Draft, formats: Mapping[int, Format]) -> tuple[list[list[Weights]], Wholes, dict[int, Format]]:
    """The scales of rows, the biases, and the formats of sums: as many bits behind the point as have room."""
    form = draft.form
    reach, fraction = np.abs(draft.biases), np.full(form.rows, float(MOST_FRACTION))
    found = []  # of each call: its rows, its weights, and 2^-fraction times the scales that these will have
    for calls, pairs in zip(form.calls, draft.eights, strict=True):
        for call, (values, scale) in zip(calls, pairs, strict=True):
            rows, held = slice(call.at, call.at + call.rows), formats[call.operand]
            real = scale * 2.0 ** (SCALE - held.fraction)
            fraction[rows] = np.minimum(fraction[rows], _bits(SHORT, real))
            reach[rows] += np.abs(values).sum(axis=1) * held.most * real / 2**SCALE
            found.append((rows, values, real))
    fraction = np.minimum(fraction, _bits(LARGEST - len(found), reach))
    sums = {}
    for row in form.sums:
        rows = slice(row.at, row.at + row.width)
        fraction[rows] = fraction[rows].min()
        sums[row.node] = symmetric(int(fraction[row.at]), LARGEST)
    power = 2.0**fraction
    flat = iter([Weights(values, np.rint(real * power[rows]).astype(np.int64)) for rows, values, real in found])
    return [[next(flat) for _ in calls] for calls in form.calls], np.rint(draft.biases * power).astype(np.int64), sums


def _bits(most: int, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How many bits behind the point leave each value below ``most``."""
    with np.errstate(divide="ignore"):
        return np.minimum(np.floor(np.log2(most / values)), MOST_FRACTION)
