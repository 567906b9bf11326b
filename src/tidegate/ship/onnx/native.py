"""A layer as an RNN, GRU or LSTM of ONNX: the rows of its weights, and the node."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tidegate.cell.graph import Op
from tidegate.convert.activation import write_onnx
from tidegate.ship.onnx.algebra import Algebra, Atom, Value
from tidegate.ship.onnx.form import Form, Share, bias_for
from tidegate.ship.onnx.gate import Gate
from tidegate.ship.onnx.layer import First, Frame, Problem, Results
from tidegate.ship.onnx.operation import OF_SERIES
from tidegate.ship.onnx.weights import ARRAYS, Array, Weights
from tidegate.ship.onnx.writer import INT32, Writer

DIRECTIONS = ("forward", "bidirectional")


class Rows:
    """The weights of a node for one direction.

    Args:
        form: what goes where.
        weights: of the cell.
        features: functions of the input that the node reads beside it, in each direction its own.
        place: of the direction.
        directions: how many there are.
    """

    def __init__(self, form: Form, weights: Weights, features: Sequence[Value], place: int, directions: int) -> None:
        self.form, self.weights, self.features = form, weights, features
        self.place, self.directions = place, directions
        self.size = weights.widths[weights.graph.output.axis]
        self.inputs = weights.widths[weights.graph.input_axis]

    def W(self) -> Array:
        """[gates * H, I + H for each feature]."""
        return np.concatenate([self._input(share) for share in self.form.gates.values()])

    def R(self) -> Array:
        """[gates * H, H]."""
        return np.concatenate([self._state(share) for share in self.form.gates.values()])

    def B(self) -> Array:
        """[2 * gates * H]: what is added to the input's products, then to the state's."""
        parts = [self._biases(share) for share in self.form.gates.values()]
        return np.concatenate([part for side in zip(*parts, strict=True) for part in side])

    def P(self) -> Array:
        """[3 * H]: of i, o and f."""
        return np.concatenate([self._peephole(self.form.gates[gate]) for gate in "iof"])

    def _input(self, share: Share) -> Array:
        rows = np.zeros((self.size, self.inputs + self.size * len(self.features) * self.directions))
        if isinstance(share, Gate):
            for number, atom in share.linear.input:
                rows[:, : self.inputs] += number * (np.eye(self.size) if atom.op is Op.INPUT else self.matrix(atom))
            if share.linear.early.terms:
                column = self.place * len(self.features) + self.features.index(share.linear.early)
                start = self.inputs + self.size * column
                rows[:, start : start + self.size] = np.eye(self.size)
        return rows

    def _state(self, share: Share) -> Array:
        rows = np.zeros((self.size, self.size))
        if isinstance(share, Gate):
            inner = share.linear.after or share.linear
            for number, atom in (*inner.state, *inner.before):
                rows += number * self.matrix(atom)
            rows += np.diag(self._vector(inner.units))
        return rows

    def _biases(self, share: Share) -> tuple[Array, Array]:
        if not isinstance(share, Gate):
            bias = bias_for(self.form.activations[0], share)
            assert bias is not None  # a form has been found
            return np.full(self.size, bias), np.zeros(self.size)
        linear, inner = share.linear, share.linear.after or share.linear
        of_input, of_state = self._vector(linear.fixed), np.zeros(self.size)
        for number, atom in linear.input:
            of_input += number * self.bias(atom)
        for number, atom in (*inner.state, *inner.before):
            of_state += number * self.bias(atom)
        if linear.after is not None:
            of_state += self._vector(linear.after.fixed)
        return of_input, of_state

    def _peephole(self, share: Share) -> Array:
        return self._vector(share.linear.peephole) if isinstance(share, Gate) else np.zeros(self.size)

    def matrix(self, atom: Atom) -> Array:
        """What a product multiplies by."""
        return self.weights.rows(atom.matrix, atom.name)

    def bias(self, atom: Atom) -> Array | float:
        """What a product adds."""
        return 0.0 if atom.op is Op.INPUT else self.weights.bias(atom.matrix, atom.name)

    def _vector(self, value: Value) -> Array:
        """One number for each unit, of what depends on parameters alone."""
        return np.zeros(self.size) + self.fixed(value)

    def fixed(self, value: Value) -> Array:
        """A value that depends on parameters alone."""
        total = np.asarray(value.constant)
        for factors, number in value.terms:
            term = np.asarray(number)
            for factor in factors:
                term = term * self._atom(self.form.algebra.atoms[factor])
            total = total + term
        return total

    def _atom(self, atom: Atom) -> Array:
        if atom.op is Op.VECTOR:
            return self.weights.vector(atom.matrix, atom.name)
        args = [self.fixed(arg) for arg in atom.args]
        if atom.op is Op.PRODUCT:
            return np.asarray(self.matrix(atom) @ args[0] + self.bias(atom))
        return args[0] if atom.op is Op.ADD else np.asarray(ARRAYS[atom.op](*args))


def features_of(form: Form) -> list[Value]:
    """Functions of the input that a node reads beside it."""
    gates = [share for share in form.gates.values() if isinstance(share, Gate)]
    return list(dict.fromkeys(gate.linear.early for gate in gates if gate.linear.early.terms))


class Features:
    """Writes functions of the input for all steps.

    Args:
        algebra: of the cell.
        rows: of the direction whose parameters they have.
        writer: of the graph.
        x: the input.
    """

    def __init__(self, algebra: Algebra, rows: Rows, writer: Writer, x: str) -> None:
        self.algebra, self.rows, self.writer, self.x = algebra, rows, writer, x

    def write(self, value: Value) -> str:
        """The name of a function of the input: [T, B, H]."""
        if not self.algebra.depends(value):
            return self.writer.hold(self.rows.fixed(value), "fixed")
        result = ""
        for factors, number in value.terms:
            term = "" if number in (1.0, -1.0) else self.writer.hold(number, "number")
            for factor in factors:
                own = self._atom(factor)
                term = self.writer.add("Mul", term, own, name="factor") if term else own
            if result:
                result = self.writer.add("Sub" if number == -1.0 else "Add", result, term, name="feature")
            else:
                result = self.writer.add("Neg", term, name="feature") if number == -1.0 else term
        if value.constant:
            result = self.writer.add("Add", result, self.writer.hold(value.constant, "number"), name="feature")
        return result

    def _atom(self, factor: int) -> str:
        atom = self.algebra.atoms[factor]
        if atom.op is Op.INPUT:
            return self.x
        if not self.algebra.reads((factor,)):
            return self.writer.hold(self.rows.fixed(Value(terms=(((factor,), 1.0),))), atom.name or "fixed")
        args = [self.write(arg) for arg in atom.args]
        if atom.op is not Op.PRODUCT:
            return args[0] if atom.op is Op.ADD else OF_SERIES[atom.op](self.writer, args, atom.op.value)
        weight, bias = self.rows.matrix(atom), self.rows.bias(atom)
        label = f"{atom.matrix}_{atom.name}"
        product = self.writer.add("MatMul", args[0], self.writer.hold(weight.T, f"{label}.weight"), name=label)
        return (
            self.writer.add("Add", product, self.writer.hold(bias, f"{label}.bias"), name=label)
            if np.any(bias)
            else product
        )


def native(frame: Frame, problem: Problem, form: Form, x: str, first: First, *, guarded: bool = True) -> Results:
    """Write a layer as one node.

    Args:
        frame: the batch.
        problem: the layer.
        form: the node that its cell is.
        x: the input [T, B, I].
        first: the states before the first step.
        guarded: some sequences may have no step.
    """
    writer, features = frame.writer.scoped(problem.name), features_of(form)
    count = len(problem.weights)
    rows = [Rows(form, weights, features, k, count) for k, weights in enumerate(problem.weights)]
    size = rows[0].size
    # Without a step onnxruntime ends the process for a GRU, and has wrong shapes of means.
    padded = guarded and (bool(features) or (form.kind == "GRU" and not frame.lengths))
    x = frame.padded(x, f"{problem.name}x.padded") if padded else x
    read = [x, *(Features(form.algebra, own, writer, x).write(value) for own in rows for value in features)]
    x = writer.joined(read, "x.and_features")
    held = {name: writer.hold(np.stack([getattr(own, name)() for own in rows]), name) for name in ("W", "R", "B")}
    begun = [
        _begun(frame, problem, [of_direction[k] for of_direction in first], size, state.name)
        for k, state in enumerate(problem.graph.states)
    ]
    inputs = [x, held["W"], held["R"], held["B"], _int32(writer, frame.lengths), begun[0]]
    if form.kind == "LSTM":
        peepholes = np.stack([own.P() for own in rows])
        inputs += [begun[0 if form.single else 1], writer.hold(peepholes, "P") if peepholes.any() else ""]
    labels = ["Y", "Y_h", "Y_c"] if form.kind == "LSTM" and not form.single else ["Y", "Y_h"]
    settings = {**write_onnx(form.activations * count), **form.settings}
    outputs = writer.node(
        form.kind, inputs, [writer.name(label) for label in labels],
        hidden_size=size, direction=DIRECTIONS[count - 1], **settings,
    )  # fmt: skip
    last = [
        _ended(frame, writer, start, end, count, state.name, guarded=guarded)
        for start, end, state in zip(begun, outputs[1:], problem.graph.states, strict=True)
    ]
    y = _joined_directions(writer, outputs[0], count, size)
    y = frame.cut(y, f"{problem.name}output.cut") if padded else y
    return Results(y, tuple(tuple(of[k] for of in last) for k in range(count)), zeroed=frame.spread)


def native_step(frame: Frame, problem: Problem, form: Form, x: str, states: Sequence[str]) -> list[str]:
    """Write one step of a layer as one node over a sequence of one step.

    Args:
        frame: the batch.
        problem: the layer, in one direction.
        form: the node that its cell is.
        x: its input [B, I].
        states: before the step, each [B, width] or [1, width].

    Returns:
        The states after the step, each [B, width].
    """
    deep = frame.writer.scoped(problem.name).deepened(x, 0, "x.sequence")
    return list(native(frame, problem, form, deep, (tuple(states),), guarded=False).last[0])


def _begun(frame: Frame, problem: Problem, given: Sequence[str], size: int, state: str) -> str:
    """First states as a node reads them: [directions, B, H]."""
    if len(given) == 1:
        return frame.filled(given[0], size, f"{problem.name}{state}.first", deep=True)
    each = [frame.filled(value, size, f"{problem.name}{state}.first", deep=True) for value in given]
    return frame.writer.joined(each, f"{problem.name}{state}.first_of_both", axis=0)


def _ended(frame: Frame, writer: Writer, begun: str, end: str, count: int, state: str, *, guarded: bool) -> list[str]:
    """Last states of each direction. Those of a sequence without a step are the first ones, which ONNX leaves open."""
    kept = writer.add("Where", frame.empty, begun, end, name=f"{state}.kept") if guarded else end
    parts = writer.split(kept, [1] * count, [f"{state}.last_of_{direction}" for direction in range(count)], axis=0)
    return [writer.squeezed(part, 0, f"{state}.last") for part in parts]


def _joined_directions(writer: Writer, output: str, count: int, size: int) -> str:
    """[T, directions, B, H] to [T, B, directions * H]."""
    if count == 1:
        return writer.squeezed(output, 1, "output")
    turned = writer.add("Transpose", output, name="output.turned", perm=[0, 2, 1, 3])
    ahead = writer.add("Shape", turned, name="output.ahead", start=0, end=2)
    shape = writer.joined([ahead, writer.hold([count * size], "width")], "output.shape", axis=0)
    return writer.add("Reshape", turned, shape, name="output", allowzero=1)


def _int32(writer: Writer, lengths: str) -> str:
    return writer.add("Cast", lengths, name="lengths.int32", to=INT32) if lengths else ""
