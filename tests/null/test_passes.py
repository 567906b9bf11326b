"""Derived programs, run on plain numbers. ``python -m tests.null.test_passes`` writes the golden C++ anew."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.cell import Cell, Graph, Matrix, Node, Op, State, layer_norm, maximum, mean, sigmoid, tanh, variance
from tidegate.cell.function import NUMBERS
from tidegate.cell.graph import BINARY, REDUCTIONS, UNARY, is_narrow
from tidegate.cell.symbol import Symbol, Tracer
from tidegate.emit import cpp
from tidegate.errors import EmitError, InternalError
from tidegate.passes import (
    INPUT,
    OUTPUT,
    PREVIOUS,
    UPSTREAM,
    Lowered,
    Program,
    Step,
    clip,
    drop_recurrent,
    lower,
    normalise,
    project,
    restart,
    schedule,
    zoneout,
)
from tidegate.passes.differentiate import RULES, differentiate
from tidegate.passes.program import MEMORY, verify_program
from tidegate.passes.simplify import Simplifier
from tidegate.zoo import CELLS, GRU, LSTM, PeepholeLSTM

GOLDEN = Path(__file__).parent / "golden"
CHOSEN = ["rnn", "lstm", "gru", "gru/before", "peepholelstm", "normalised lstm"]
FUNCTIONS = {
    **NUMBERS,
    Op.GREATER: lambda v, w: float(v > w),
    Op.SELECT: lambda w, v: v if w else 0.0,
    Op.SPREAD: float,
}

every_op = pytest.mark.parametrize("op", sorted(UNARY | BINARY))
every_cell = pytest.mark.parametrize("cell", [name for name, cell in CELLS.items() if not cell.graph.given])

Numbers = dict[str, float]


def programs_of(lowered: Lowered) -> dict[str, Program]:
    steps = {"forward": lowered.forward, "backward": lowered.backward, "ending": lowered.ending}
    return {name: schedule(step) for name, step in steps.items()}


# One operation


def of_one_operation(op: Op) -> Graph:
    """A graph that applies it to its states; no layer could run it, but it can be differentiated."""
    names = ("a",) if op in UNARY else ("a", "b")
    leaves = tuple(Node(Op.STATE, name=name, axis="H") for name in names)
    nodes = (*leaves, Node(op, tuple(range(len(names))), axis="H"))
    return Graph("One", (Matrix("W", (), "I"),), tuple(map(State, names)), (), nodes, (len(names),), ())


def slopes(op: Op, *point: float) -> list[float]:
    """The derivative of an operation by each argument, by its rule."""
    graph, tracer = of_one_operation(op), Simplifier()
    primal = []
    for node in graph.nodes:
        primal.append(tracer.copy(node, tuple(primal[arg] for arg in node.args)))
    upstream = tracer.add(Node(Op.SERIES, name=UPSTREAM, axis="H"))
    found = differentiate(graph, tracer, primal, {graph.updates[0]: upstream}).leaves
    leaves = dict(zip("ab", point, strict=False)) | {UPSTREAM: 1.0}
    values: list[float] = []
    for node in tracer.nodes:
        leaf = node.value if node.op is Op.CONST else leaves.get(node.name, math.nan)
        values.append(FUNCTIONS[node.op](*(values[arg] for arg in node.args)) if node.args else leaf)
    return [values[found[k]] for k in range(len(point))]


def differences(op: Op, *point: float, eps: float = 1e-6) -> list[float]:
    """The same by central differences."""
    ends = [
        [NUMBERS[op](*(v + step * (k == at) for k, v in enumerate(point))) for step in (eps, -eps)]
        for at in range(len(point))
    ]
    return [(high - low) / (2 * eps) for high, low in ends]


@every_op
def test_a_derivative_is_the_limit_of_differences(op):
    for first, second in [(0.7, 1.9), (1.9, 0.7), (2.5, 0.3), (0.1, 0.2)]:
        points = [(first,)] if op in UNARY else [(first, second), (first, -second), (-first, second)]
        points += [] if op in (Op.LOG, Op.SQRT) or op not in UNARY else [(-first,)]
        for point in points:
            assert slopes(op, *point) == pytest.approx(differences(op, *point), rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("op", [Op.MAXIMUM, Op.MINIMUM])
def test_equal_values_share_an_adjoint(op):
    assert slopes(op, 1.5, 1.5) == [0.5, 0.5]
    assert differences(op, 1.5, 1.5) == pytest.approx([0.5, 0.5])


def test_clamping_lets_an_adjoint_through_at_its_bounds_and_not_beyond():
    assert [slopes(Op.CLAMP, v, 1.5)[0] for v in (-1.6, -1.5, 1.5, 1.6)] == [0.0, 1.0, 1.0, 0.0]


def test_relu_is_flat_where_it_is_zero():
    assert slopes(Op.RELU, 0.0) == [0.0]


def test_every_operation_has_a_rule_in_every_table():
    assert set(RULES) == UNARY | BINARY | REDUCTIONS
    assert set(NUMBERS) == UNARY | BINARY | REDUCTIONS
    assert set(cpp.RULES) == UNARY | BINARY | {Op.GREATER, Op.SELECT, Op.SPREAD}


def test_an_operation_without_a_rule_is_named(monkeypatch):
    monkeypatch.delitem(RULES, Op.TANH)
    with pytest.raises(InternalError, match="derivative of tanh"):
        slopes(Op.TANH, 1.0)
    monkeypatch.delitem(cpp.RULES, Op.SIGMOID)
    with pytest.raises(EmitError, match="no rule for sigmoid"):
        cpp.emit(GRU.graph, {"forward": schedule(lower(CELLS["mingru"].graph).forward)})


# Reductions, of rows of several units


def on_rows(nodes: Sequence[Node], leaves: Mapping[str, list[float]]) -> list[list[float]]:
    """Every value as a row: one number a row, and any other number, is a row of one unit."""
    rows: list[list[float]] = []
    for node in nodes:
        args = [rows[arg] for arg in node.args]
        if not node.args:
            rows.append([node.value] if node.op is Op.CONST else leaves[node.name])
        elif node.op in REDUCTIONS:
            rows.append([FUNCTIONS[node.op](*(unit for row in args for unit in row))])
        else:
            units = range(max(len(leaf) for leaf in leaves.values()) if not is_narrow(node.axis) else 1)
            rows.append([FUNCTIONS[node.op](*(row[k % len(row)] for row in args)) for k in units])
    return rows


def normal_of(tracer: Tracer, a: Symbol, b: Symbol) -> Symbol:
    first, second = layer_norm(a, b)
    return first * layer_norm(a) + second * second


REDUCING = {
    "mean": lambda tracer, a, b: mean(a, b, b) * a,
    "variance": lambda tracer, a, b: variance(b, a) + a,
    "number among numbers": lambda tracer, a, b: tanh(mean(a) * variance(b) - mean(b) / 3) * b,
    "spread alone": lambda tracer, a, b: maximum(mean(a * b), 0.1) + 0 * a,
    "of a mean": lambda tracer, a, b: a * mean(b * mean(a)),
    "layer norm": normal_of,
}


@pytest.mark.parametrize("name", REDUCING)
def test_a_derivative_through_rows_is_the_limit_of_differences(name):
    random, tracer = Random(5), Tracer()
    a, b = (tracer.add(Node(Op.STATE, name=n, axis="H")) for n in "ab")
    update = REDUCING[name](tracer, a, b)
    graph = Graph(
        "Rows", (Matrix("W", (), "I"),), (State("a"), State("b")), (), tuple(tracer.nodes), (update.index, b.index), ()
    )
    rows = {n: [random.gauss(0, 1) for _ in range(4)] for n in ("a", "b", UPSTREAM)}
    simple, primal = Simplifier(), []
    for node in graph.nodes:
        primal.append(simple.copy(node, tuple(primal[arg] for arg in node.args)))
    upstream = simple.add(Node(Op.SERIES, name=UPSTREAM, axis="H"))
    found = differentiate(graph, simple, primal, {update.index: upstream}).leaves
    values = on_rows(simple.nodes, rows)

    def loss() -> float:
        result = on_rows(graph.nodes, rows)[update.index]
        return sum(unit * weight for unit, weight in zip(result, rows[UPSTREAM], strict=True))

    for leaf in (a, b):
        row = rows[graph.nodes[leaf.index].name]
        for unit in range(4):
            ends = []
            for step in (1e-5, -2e-5):
                row[unit] += step
                ends.append(loss())
            row[unit] += 1e-5
            wanted = (ends[0] - ends[1]) / 2e-5
            assert values[found[leaf.index]][unit] == pytest.approx(wanted, rel=1e-6, abs=1e-8)


def test_and_finds_a_rule_that_forgets_the_mean(monkeypatch):
    monkeypatch.setitem(RULES, Op.VARIANCE, lambda grad, out, *v: tuple(each * grad for each in v))
    with pytest.raises(AssertionError):
        test_a_derivative_through_rows_is_the_limit_of_differences("variance")


# Whole cells, one unit wide


@dataclass
class Machine:
    """Runs programs of a cell whose widths are all 1, phase by phase, from what lies in memory."""

    lowered: Lowered
    programs: Mapping[str, Program]
    parameters: Numbers  # "W.i" a weight, "b W.i" its bias, "p_i" a vector
    masks: Sequence[Numbers]  # of each step

    def run(self, name: str, carried: Numbers, series: Numbers) -> tuple[Numbers, Numbers]:
        """New carried values and what is written down."""
        program = self.programs[name]
        nodes, step = program.step.nodes, program.step
        memory = {
            i: self._leaf(node, carried, series) for i, node in enumerate(nodes) if node.op in MEMORY | {Op.CONST}
        }
        after, written = {}, {}
        for phase in program.phases:
            memory |= {i: FUNCTIONS[nodes[i].op](*(memory[arg] for arg in nodes[i].args)) for i in phase.joins}
            local = {i: self._product(nodes[i], memory) for i in phase.products}
            known = {i: (memory | local)[i] for i in phase.loads}
            known |= {i: node.value for i, node in enumerate(nodes) if node.op is Op.CONST}
            for index in phase.body:
                known[index] = FUNCTIONS[nodes[index].op](*(known[arg] for arg in nodes[index].args))
            memory |= {i: known[i] for i in (*phase.keeps, *step.written) if i in known}
            after |= {step.carried[k].name: known[step.carried[k].after] for k in phase.carries}
            written |= {step.series[k].name: known[step.series[k].node] for k in phase.writes}
        return after, written

    def _leaf(self, node: Node, carried: Numbers, series: Numbers) -> float:
        tables = {Op.STATE: carried, Op.SERIES: series, Op.MASK: series, Op.VECTOR: self.parameters}
        return node.value if node.op is Op.CONST else tables[node.op][node.label]

    def _product(self, node: Node, memory: Mapping[int, float]) -> float:
        if node.op is Op.PRODUCT:
            return self.product(node.matrix, node.name, memory[node.args[0]])
        blocks = zip(node.name.split(), node.args, strict=True)
        return sum(self.parameters[f"{node.matrix}.{block}"] * memory[arg] for block, arg in blocks)

    def product(self, matrix: str, block: str, operand: float) -> float:
        return self.parameters[f"{matrix}.{block}"] * operand + self.parameters.get(f"b {matrix}.{block}", 0.0)

    def forward(self, xs: Sequence[float], first: Numbers) -> tuple[Numbers, list[Numbers]]:
        """Last states, and the series of every step."""
        blocks = [block.name for matrix in self.lowered.graph.matrices if matrix.name == "W" for block in matrix.blocks]
        states, written = first, []
        for x, masks in zip(xs, self.masks, strict=True):
            series = masks | {INPUT: x} | {f"W.{block}": self.product("W", block, x) for block in blocks}
            states, row = self.run("forward", states, series)
            written.append(row)
        return states, written

    def backward(self, written: Sequence[Numbers], dys: Sequence[float], dlast: Numbers) -> list[Numbers]:
        """The series of every step, and at the end the adjoints of the first states."""
        names = [c.name for c in self.lowered.backward.carried]
        carried = {name: dlast.get(name, 0.0) for name in names}
        rows = []
        for row, dy, masks in zip(reversed(written), reversed(dys), reversed(self.masks), strict=True):
            carried, adjoints = self.run("backward", carried, masks | row | {UPSTREAM: dy})
            rows.append(adjoints)
        return [*reversed(rows), self.run("ending", carried, {})[1]]


def drawn(graph: Graph, steps: int) -> list[Numbers]:
    """A value for each mask at every step."""
    random = Random(7)
    same = {mask.name: random.uniform(0, 2) for mask in graph.masks}
    return [
        {m.name: same[m.name] if m.each == "sequence" else float(random.random() < 0.5) for m in graph.masks}
        for _ in range(steps)
    ]


@dataclass
class Run:
    """A cell at random numbers, and its loss: a weighted sum of all outputs and last states."""

    machine: Machine
    xs: list[float]
    first: Numbers
    dys: list[float]
    dlast: Numbers

    @staticmethod
    def of(graph: Graph, steps: int = 4) -> Run:
        random = Random(3)
        lowered = lower(graph)
        blocks = [(m.name, block) for m in graph.matrices for block in m.blocks]
        parameters = {f"{m}.{b.name}": random.uniform(-1, 1) for m, b in blocks}
        parameters |= {f"b {m}.{b.name}": random.uniform(-1, 1) for m, b in blocks if b.bias}
        parameters |= {node.label: random.uniform(-1, 1) for node in graph.nodes if node.op is Op.VECTOR}
        machine = Machine(lowered, programs_of(lowered), parameters, drawn(graph, steps))
        names = [state.name for state in graph.states]
        normal = [[random.gauss(0, 1) for _ in range(steps)] for _ in range(2)]
        first, last = ({name: random.gauss(0, 1) for name in names} for _ in range(2))
        return Run(machine, normal[0], first, normal[1], {f"d {n}": v for n, v in last.items()})

    def loss(self) -> float:
        last, rows = self.machine.forward(self.xs, self.first)
        outputs = sum(row[OUTPUT] * dy for row, dy in zip(rows, self.dys, strict=True))
        return outputs + sum(last[n.removeprefix("d ")] * weight for n, weight in self.dlast.items())

    def slope(self, table: list[float] | Numbers, key: int | str, eps: float = 1e-5) -> float:
        """The derivative of the loss by one number, by central differences."""
        ends = []
        for step in (eps, -2 * eps):
            table[key] += step
            ends.append(self.loss())
        table[key] += eps
        return (ends[0] - ends[1]) / (2 * eps)

    def gradients(self) -> tuple[list[float], Numbers, Numbers]:
        """Of the inputs, the first states and the parameters, by the derived programs."""
        lowered, parameters = self.machine.lowered, self.machine.parameters
        _, written = self.machine.forward(self.xs, self.first)
        *rows, ending = self.machine.backward(written, self.dys, self.dlast)
        of_inputs = [row[lowered.input] if lowered.input else 0.0 for row in rows]
        of_parameters = dict.fromkeys(parameters, 0.0)
        of_parameters |= {
            Node(Op.VECTOR, name=block, matrix=vector).label: sum(row[series] for row in rows)
            for (vector, block), series in lowered.vectors.items()
        }
        for gradient in lowered.matrices:
            for block, series in gradient.blocks:
                name = f"{gradient.matrix}.{block}"
                for t, row in enumerate(rows):
                    of_parameters[name] += row[series] * self._operand(gradient.operand, t, written)
                    of_inputs[t] += row[series] * parameters[name] * (gradient.operand == INPUT)
                if f"b {name}" in parameters:
                    of_parameters[f"b {name}"] = sum(row[series] for row in rows)
        return of_inputs, {n.removeprefix("d "): v for n, v in ending.items()}, of_parameters

    def _operand(self, operand: str, t: int, written: Sequence[Numbers]) -> float:
        if operand == INPUT:
            return self.xs[t]
        if operand == PREVIOUS:
            return written[t - 1][OUTPUT] if t else self.first[self.machine.lowered.graph.output.name]
        return written[t][operand]


def check(graph: Graph) -> None:
    run = Run.of(graph)
    inputs, first, parameters = run.gradients()
    for table, found in ((run.xs, inputs), (run.first, first), (run.machine.parameters, parameters)):
        keys = range(len(found)) if isinstance(found, list) else found
        assert len(keys) == len(table)
        for key in keys:
            assert found[key] == pytest.approx(run.slope(table, key), rel=1e-6, abs=1e-8), key


@every_cell
def test_the_programs_of_a_cell_give_its_gradients(cell):
    check(CELLS[cell].graph)


@every_cell
def test_and_without_biases(cell):
    check(CELLS[cell].graph.without_bias())


@pytest.mark.parametrize("cell", ["lstm", "np"])
def test_and_projected(cell):
    check(project(CELLS[cell].graph))


def test_and_with_means_of_rows_of_one_unit():
    class Means(Cell):
        gates = "i n"
        vectors = "p_n"
        state = "h c"

        def step(self, x, h, c, U, p):
            i = sigmoid(x.i + mean(U(h).i, c) * c)
            n = tanh(mean(x.n, h) - mean(i * p.n) + U(i * h).n)
            return n + mean(i * n), mean(h) * c - i

    check(Means.graph)


@every_cell
@pytest.mark.parametrize("each_gate", [False, True])
def test_and_with_every_option(cell, each_gate):
    graph = CELLS[cell].graph
    numbers = {state.name: 0.4 for state in graph.states}
    graph = restart(drop_recurrent(zoneout(clip(graph, numbers), numbers, drawn=True), each_gate=each_gate))
    assert len(graph.masks) > len(graph.states)
    check(graph)


def test_the_comparison_finds_a_wrong_derivative(monkeypatch):
    monkeypatch.setitem(RULES, Op.TANH, lambda grad, out, v: (grad * (1 - out),))
    with pytest.raises(AssertionError):
        check(LSTM.graph)


# What is saved


def saved(graph: Graph) -> list[Node]:
    step = lower(graph).forward
    return [step.nodes[series.node] for series in step.series if series.saved]


def test_an_lstm_saves_its_gates_and_its_old_cell_state():
    ops = sorted(node.op for node in saved(LSTM.graph))
    assert ops == sorted([Op.SIGMOID, Op.SIGMOID, Op.SIGMOID, Op.TANH, Op.STATE])
    assert [node.name for node in saved(LSTM.graph) if node.op is Op.STATE] == ["c"]


def test_a_gru_saves_five_values():
    assert len(saved(GRU.graph)) == 5


def test_an_rnn_saves_nothing_beside_its_output():
    assert not saved(CELLS["rnn"].graph)
    assert not saved(CELLS["rnn/relu"].graph)


@every_cell
def test_nothing_is_saved_that_backward_does_not_read(cell):
    lowered = lower(CELLS[cell].graph)
    read = {node.name for node in lowered.backward.nodes if node.op is Op.SERIES}
    read |= {gradient.operand for gradient in lowered.matrices}
    assert {series.name for series in lowered.forward.series if series.saved} <= read


# Simplification

LEAVES = ("a", "b")
SAFE = sorted((UNARY | BINARY) - {Op.EXP, Op.LOG, Op.SQRT, Op.DIV})  # without those whose results leave their range
TERMS = st.lists(st.tuples(st.sampled_from(SAFE), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=25)


def built(tracer: Tracer, terms: Sequence[tuple[Op, int, int]]) -> list[int]:
    """Values of the same expressions, as nodes of a tracer; numbers among them that can be left out or folded."""
    values = [tracer.add(Node(Op.STATE, name=name, axis="H")) for name in LEAVES]
    values += [tracer.lift(number) for number in (0, 1, 2.5, -1)]
    for op, first, second in terms:
        chosen = [values[k % len(values)] for k in ((first,) if op in UNARY else (first, second))]
        values.append(tracer.pointwise(op, *chosen))
    return [value.index for value in values]


def evaluated(tracer: Tracer, point: Numbers) -> list[float]:
    values: list[float] = []
    for node in tracer.nodes:
        leaf = point.get(node.name, node.value)
        values.append(FUNCTIONS[node.op](*(values[arg] for arg in node.args)) if node.args else leaf)
    return values


@given(TERMS, st.floats(-3, 3), st.floats(-3, 3))
def test_simplification_changes_no_value(terms, a, b):
    plain, simple = Tracer(), Simplifier()
    wanted, got = built(plain, terms), built(simple, terms)
    point = {"a": a, "b": b}
    before, after = evaluated(plain, point), evaluated(simple, point)
    assert len(simple.nodes) <= len(plain.nodes) + 6 * len(terms)  # folded numbers are nodes too
    for k, index in enumerate(wanted):
        assert after[got[k]] == before[index] or math.isnan(before[index])


def test_what_changes_nothing_is_left_out():
    simple = Simplifier()
    a, b = (simple.add(Node(Op.STATE, name=name, axis="H")) for name in LEAVES)
    for same in (a + 0, 0 + a, a - 0, a * 1, 1 * a, a / 1, -(-a)):  # noqa: B002  this is no decrement
        assert same.index == a.index
    assert (a + b).index == (b + a).index
    assert (a * b).index == (b * a).index
    assert (simple.lift(2) * 3 + 1).index == simple.lift(7).index


def test_what_changes_something_stays():
    simple = Simplifier()
    a, b = (simple.add(Node(Op.STATE, name=name, axis="H")) for name in LEAVES)
    for other in (a * 0, 0 - a, 1 / a, a - a, a / a):
        assert simple.nodes[other.index].args
    assert (a - b).index != (b - a).index
    assert simple.nodes[(simple.lift(1) / 0.0).index].op is Op.DIV  # infinity is no constant


# Broken programs


def changed(program: Program, number: int, **changes: object) -> Program:
    phases = list(program.phases)
    phases[number] = replace(phases[number], **changes)
    return replace(program, phases=tuple(phases))


def without_a_phase(program: Program) -> Program:
    return replace(program, phases=program.phases[1:])


def without_a_load(program: Program) -> Program:
    return changed(program, 0, loads=program.phases[0].loads[1:])


def without_what_a_later_phase_reads(program: Program) -> Program:
    return changed(program, 0, keeps=())


def without_a_value(program: Program) -> Program:
    return changed(program, 0, body=program.phases[0].body[1:])


def in_another_order(program: Program) -> Program:
    return changed(program, 0, body=program.phases[0].body[::-1])


def of_another_width(program: Program) -> Program:
    return changed(program, 0, axis="Q")


def keeping_what_is_not_there_yet(program: Program) -> Program:
    return changed(program, 0, keeps=(*program.phases[0].keeps, program.phases[-1].body[-1]))


def without_what_is_written(program: Program) -> Program:
    return changed(program, -1, writes=())


def without_what_is_carried(program: Program) -> Program:
    return changed(program, -1, carries=())


def written_twice(program: Program) -> Program:
    last = program.phases[-1]
    return changed(program, -1, writes=(*last.writes, *last.writes))


def in_reverse(program: Program) -> Program:
    return replace(program, phases=program.phases[::-1])


def of_a_node_that_is_not_there(program: Program) -> Program:
    return changed(program, 0, loads=(*program.phases[0].loads, len(program.step.nodes)))


def writing_a_series_that_is_not_there(program: Program) -> Program:
    return changed(program, 0, writes=(len(program.step.series),))


PLANTED = [
    of_a_node_that_is_not_there,
    writing_a_series_that_is_not_there,
    without_a_phase,
    without_a_load,
    without_what_a_later_phase_reads,
    without_a_value,
    in_another_order,
    of_another_width,
    keeping_what_is_not_there_yet,
    without_what_is_written,
    without_what_is_carried,
    written_twice,
    in_reverse,
]


def without_reducing(program: Program) -> Program:
    """Something is joined of which no tile was reduced."""
    return replace(program, phases=tuple(replace(phase, reduces=()) for phase in program.phases))


def without_joining(program: Program) -> Program:
    return replace(program, phases=tuple(replace(phase, joins=()) for phase in program.phases))


def reducing_too_early(program: Program) -> Program:
    late = next(phase for phase in reversed(program.phases) if phase.reduces)
    return changed(program, 0, reduces=(*program.phases[0].reduces, *late.reduces))


@pytest.mark.parametrize("planted", [without_reducing, without_joining, reducing_too_early])
def test_a_broken_reduction_is_refused(planted):
    program = scheduled(normalise(LSTM.graph))
    verify_program(program)
    with pytest.raises(InternalError, match=r"phase \d: "):
        verify_program(planted(program))


def test_a_layer_norm_lstm_has_three_phases_on_vectors_and_two_on_numbers():
    lowered = lower(normalise(LSTM.graph))
    for step in (lowered.forward, lowered.backward):
        assert [phase.axis for phase in schedule(step).phases] == ["H", "H1", "H", "H1", "H"]
    assert [len(phase.reduces) for phase in schedule(lowered.forward).phases] == [4, 0, 2, 0, 0]


def scheduled(graph: Graph) -> Program:
    """The forward program of GRU/before has two phases that depend on each other."""
    return schedule(lower(graph).forward)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.__name__)
def test_a_broken_program_is_refused(planted):
    program = scheduled(CELLS["gru/before"].graph)
    assert len(program.phases) > 1
    verify_program(program)
    with pytest.raises(InternalError) as caught:
        verify_program(planted(program))
    assert caught.value.code == "PROGRAM_INVALID"


def test_the_message_shows_the_program():
    with pytest.raises(InternalError, match=r"phase 0: .*\n  %0 = "):
        verify_program(without_a_value(scheduled(LSTM.graph)))


def test_a_product_of_what_is_not_in_memory_begins_a_phase():
    nodes = (
        Node(Op.STATE, name="h", axis="H"),
        Node(Op.TANH, (0,), axis="H"),
        Node(Op.PRODUCT, (1,), "n", "U", axis="H"),
    )
    step = Step(nodes, (), ())
    assert [phase.products for phase in schedule(step).phases] == [(), (2,)]


# Emitted text


def emitted(cell: str) -> str:
    graph = normalise(LSTM.graph) if cell == "normalised lstm" else CELLS[cell].graph
    return cpp.emit(graph, programs_of(lower(graph))).text


def golden(cell: str) -> Path:
    return GOLDEN / f"{cell.replace('/', '_').replace(' ', '_')}.cpp"


@pytest.mark.parametrize("cell", CHOSEN)
def test_golden(cell):
    assert emitted(cell) == golden(cell).read_text()


def test_no_golden_file_is_left_over():
    assert {path.name for path in GOLDEN.glob("*.cpp")} == {golden(cell).name for cell in CHOSEN}


def test_the_name_of_a_cell_does_not_name_its_code():
    source = cpp.emit(LSTM.graph, {})
    assert cpp.emit(replace(LSTM.graph, name="Other"), {}).key == source.key


def test_every_function_that_is_asked_for_is_there():
    graph = PeepholeLSTM.graph
    programs = programs_of(lower(graph))
    source = cpp.emit(graph, programs)
    for name, program in programs.items():
        for k in range(len(program.phases)):
            for saving in (False, True) if name == "forward" else (False,):
                exported = source.function(name, k, saving=saving, dtype="f32").removesuffix("_f32")
                assert f"TIDEGATE_POINTWISE({exported}, " in source.text


def write() -> None:
    """Write every golden file."""
    for cell in CHOSEN:
        golden(cell).write_text(emitted(cell))


if __name__ == "__main__":
    write()
