"""The bench: its statistics, its gate and its contestants, on work of a few microseconds."""

import json
import math
import subprocess
import time
import warnings
from dataclasses import replace
from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest
import torch
import tyro
from benchmarks.engine import __main__ as bench
from benchmarks.engine import page, rows_of
from benchmarks.engine.__main__ import Bench, parse_threads
from benchmarks.engine.competition import TURN_SECONDS as LOADED_TURN
from benchmarks.engine.competition import busy, competing
from benchmarks.engine.gate import needed, reference, verdict, worst_error
from benchmarks.engine.grid import ONE_THREAD, full, quick
from benchmarks.engine.half import PRODUCTS
from benchmarks.engine.host import Crew
from benchmarks.engine.item import NORMED, OWN, Item
from benchmarks.engine.machine import Processor, cores, processor
from benchmarks.engine.measure import FEWEST_ROUNDS, measure
from benchmarks.engine.memory import kept_floats
from benchmarks.engine.peer import PEERS
from benchmarks.engine.peer.onnx_session import NODES
from benchmarks.engine.peer.unroll import Step
from benchmarks.engine.problem import problem
from benchmarks.engine.record import BenchRecord, EntrantRecord, FirstCallRecord, RowRecord
from benchmarks.engine.row import Entrant, Row
from benchmarks.engine.statistic import Ratio, geometric_mean, inverse, paired
from benchmarks.engine.target import Demand, verdicts, verdicts_in_half

from tidegate.cell.function import ARITHMETIC
from tidegate.cell.graph import Op
from tidegate.cell.measure import flops
from tidegate.errors import BackendError, InputError

CELLS = [
    ("lstm", 0),
    ("gru", 0),
    ("rnn", 0),
    ("peepholelstm", 0),
    ("cifg", 0),
    ("gru/before", 0),
    ("lstm", 3),
    (OWN, 0),
    (NORMED, 0),
]
MODES = ["inference", "training"]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Work this small only waits for a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tiny(cell="lstm", mode="inference", **options):
    return Item(cell, 7, 4, 5, 6, mode, **options)


def results(name, item):
    """What a contestant computes, in this process."""
    prepared = PEERS[name].prepare(problem(item))
    with warnings.catch_warnings(), prepared.around():
        warnings.simplefilter("ignore")
        return prepared.read(prepared.call())


def needs(package):
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed")


def able(*names):
    """Those contestants with each cell and mode that they could do if they were installed."""
    items = [tiny(cell, mode, proj=proj) for (cell, proj), mode in product(CELLS, MODES)]
    return ((name, item) for name, item in product(names, items) if PEERS[name].supports(item) is None)


# --- statistics ---


def test_a_ratio_is_theirs_over_ours_round_by_round() -> None:
    found = paired([2.0, 4.0, 60.0], [1.0, 2.0, 10.0])
    assert (found.median, found.least, found.most) == (2.0, 2.0, 6.0)


def test_what_slows_both_cancels() -> None:
    ours = [1.0, 1.0, 50.0, 1.0, 9.0, 1.0, 1.0]
    assert paired([3 * t for t in ours], ours) == Ratio(3.0, 3.0, 3.0, 3.0, 3.0)


@pytest.mark.parametrize(("n", "left_out"), [(1, 0), (6, 0), (8, 0), (9, 1), (12, 2), (25, 7), (41, 13)])
def test_the_interval_is_that_of_order_statistics(n: int, left_out: int) -> None:
    found = paired([float(k) for k in range(1, n + 1)], [1.0] * n)
    assert (found.low, found.high) == (1 + left_out, n - left_out)


@pytest.mark.parametrize("n", [7, 9, 20])
def test_the_interval_covers_the_median_as_often_as_it_says(n: int) -> None:
    draws = np.random.default_rng(0).lognormal(size=(1000, n))  # of median 1
    found = [paired(row, [1.0] * n) for row in draws]
    assert sum(ratio.low <= 1 <= ratio.high for ratio in found) / 1000 > 0.94


def test_means_and_inverses_of_ratios() -> None:
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    assert inverse(Ratio(2, 1, 4, 0.5, 8)) == Ratio(0.5, 0.25, 1, 0.125, 2)


# --- work ---


def test_flops_are_the_matrix_products() -> None:
    item = tiny()
    assert item.flops == 2 * 4 * 6 * (5 + 6) * 7 * 4
    assert tiny(mode="training").flops == 3 * item.flops
    pointwise = flops(item.graph, item.widths) * item.tokens - item.flops
    assert 0 < pointwise < item.flops / 4
    assert tiny("lstm", proj=3).flops == 2 * (4 * 6 * (5 + 3) + 3 * 6) * 7 * 4


def test_half_of_a_ragged_batch_is_padding() -> None:
    item = Item("lstm", 100, 32, 2, 3, ragged=True)
    lengths = problem(item).lengths
    assert sum(lengths) == item.tokens == 1600
    assert len(set(lengths)) > 10
    assert min(lengths) > 0


def test_the_numbers_are_the_same_in_every_process() -> None:
    first, second = problem(tiny()), problem(tiny(threads=2))
    assert all(np.array_equal(first.weights[name], second.weights[name]) for name in first.weights)
    assert np.array_equal(first.x, second.x)
    assert first.x.dtype == np.float32
    assert np.array_equal(first.in_double().x, first.x)


@pytest.mark.parametrize("make", [full, quick])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_grid_names_known_contestants_and_begins_with_ours(make, threads: int) -> None:
    rows = make(threads, compiled=True)
    assert len({(row.group, row.title) for row in rows}) == len(rows)
    for row in rows:
        assert row.entrants[0].role == "ours"
        assert all(entrant.peer in PEERS for entrant in row.entrants)
        assert all(e.item.threads == (1 if e.label == ONE_THREAD else threads) for e in row.entrants)
        assert len({(entrant.role, entrant.label) for entrant in row.entrants}) == len(row.entrants)


def test_rows_are_of_the_grid_that_is_asked_for() -> None:
    few, all_rows = (rows_of(threads=[1], quick=asked, compiled=False, only="") for asked in (True, False))
    assert 0 < len(few) < len(all_rows)
    assert {row.group for row in rows_of(threads=[1, 2], quick=False, compiled=False, only="lstm training")} == {
        "lstm training"
    }


def test_under_load_rows_of_two_threads_are_compared_with_one() -> None:
    asked = {"threads": [1, 2], "quick": False, "compiled": False, "only": "lstm inference"}
    idle, busy = rows_of(**asked), rows_of(**asked, load=True)
    assert [row.title for row in idle] == [row.title for row in busy]
    for before, row in zip(idle, busy, strict=True):
        added = row.entrants[len(before.entrants) :]
        assert [(e.label, e.item.threads, e.role) for e in added] == [(ONE_THREAD, 1, "yardstick")][
            : row.item.threads - 1
        ]


@pytest.mark.parametrize("name", PRODUCTS)
def test_rows_of_half_precision_say_what_they_must_reach(name: str) -> None:
    rows = rows_of(threads=[1, 2], products=[name])
    assert len({(row.group, row.title) for row in rows}) == len(rows)
    for row in rows:
        ours, *others = row.entrants
        assert (ours.role, ours.item.products, ours.item) == ("ours", name, row.item)
        assert len({entrant.label for entrant in row.entrants}) == len(row.entrants)
        assert all(entrant.target for entrant in others if entrant.role == "peer")
    asked = {e.target for row in rows for e in row.entrants if e.label == "tidegate float32"}
    assert asked == {"bfloat16": {0.0, 1.6}, "float16": {0.0}, "int8": set()}[name]


@pytest.mark.parametrize(
    "wrong",
    [
        {"products": "bfloat8"},
        {"products": "int8", "quick": True},
        {"thread_time": True},
        {"products": "int8", "only": "?"},
    ],
)
def test_options_that_do_not_go_together_are_refused(wrong) -> None:
    with pytest.raises(InputError, match=r"--products|--thread-time|no row with"):
        Bench(**wrong).rows([1, 2])


def test_files_of_half_precision_are_named_by_their_rows() -> None:
    assert Bench(products="bfloat16,float16,int8").name == f"{processor().slug}-engine"
    assert Bench(products="int8", only="lstm").name == f"{processor().slug}-engine-int8-lstm"


def test_a_row_below_its_target_is_marked() -> None:
    quick = EntrantRecord("ours", "tidegate", "ours", "work", 1, times=(1.0,), ratio=Ratio(1, 1, 1, 1, 1))
    slow = EntrantRecord(
        "torch", "torch.nn", "peer", "work", 1, times=(1.5,), ratio=Ratio(1.5, 1.4, 1.59, 1, 2), target=1.6
    )
    reached = replace(slow, ratio=Ratio(1.5, 1.4, 1.61, 1, 2))
    for entrant, met in ((slow, False), (reached, True)):
        row = RowRecord("half", "work", "call", "ours", (quick, entrant))
        (found,) = verdicts_in_half([row])
        record = BenchRecord(
            "command",
            "date",
            quick=False,
            seconds=1.0,
            machine={},
            versions={},
            rows=(row,),
            first_call=None,
            memory={},
            verdicts=(found,),
        )
        assert found.met is met
        assert ("(below 1.6)" in page(record)) is not met


def test_a_competing_loop_runs_on_each_core_and_ends(monkeypatch) -> None:
    started = []

    class Watched(subprocess.Popen):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    with competing(wanted=False) as loops:
        assert loops == len(started) == 0
    with competing(wanted=True) as loops:
        assert loops == len(started) == cores()
        time.sleep(0.3)
        assert all(loop.poll() is None for loop in started)
    assert all(loop.returncode is not None for loop in started)


# --- contestants ---


@pytest.mark.parametrize(
    ("name", "item"),
    list(able("tidegate", "tidegate eager", "torch.nn", "torchrecurrent")),
    ids=lambda v: v.title if isinstance(v, Item) else v,
)
def test_torch_contestants_agree_with_the_reference(name: str, item: Item) -> None:
    if reason := PEERS[name].missing(item):
        pytest.skip(reason)
    assert verdict(item, worst_error(item, results(name, item), reference(item))) is None


@needs("onnxruntime")
@needs("onnx")
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("cell", NODES)
def test_the_onnx_model_agrees_with_our_layer(cell: str, ragged: bool) -> None:
    item = tiny(cell, ragged=ragged)
    found = results("onnxruntime", item)
    assert {name for name in found if name.startswith("final")} == {f"final {s.name}" for s in item.graph.states}
    assert worst_error(item, found, results("tidegate eager", item)) < 1e-6


@needs("jax")
@pytest.mark.parametrize(
    ("name", "cell"),
    [("JAX", "gru"), ("JAX", "indrnn"), *(("JAX" + how, "minlstm") for how in ("", " associative_scan"))],
)
def test_jax_agrees_with_the_reference(name: str, cell: str) -> None:
    item = tiny(cell, "training")
    assert verdict(item, worst_error(item, results(name, item), reference(item))) is None


@pytest.mark.parametrize(
    ("name", "mode"),  # the backward pass of a scan runs compiled alone
    [("compiled scan", "inference"), *(("compiled associative_scan", mode) for mode in MODES)],
)
def test_torch_scans_agree_with_the_reference(name: str, mode: str, monkeypatch) -> None:
    """The functions that are compiled, without the minute that compiling takes."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    item = tiny("mingru", mode)
    assert verdict(item, worst_error(item, results(name, item), reference(item))) is None


@pytest.mark.parametrize("name", ["tidegate", pytest.param("JAX", marks=needs("jax"))])
def test_a_cell_that_reads_its_input_itself_agrees_with_the_reference(name: str) -> None:
    item = Item("sru", 7, 4, 6, 6, "training")
    assert verdict(item, worst_error(item, results(name, item), reference(item))) is None


def test_scans_by_halves_are_for_sums_and_products() -> None:
    able = {
        cell
        for cell in ("mingru", "minlstm", "indrnn", "lstm")
        if not PEERS["JAX associative_scan"].refuses(tiny(cell))
    }
    assert able == {"mingru", "minlstm"}
    assert PEERS["torch.mm"].refuses(tiny("indrnn")) is None
    assert PEERS["torch.mm"].refuses(tiny("lstm"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("name", ["tidegate cells", "torch cells"])
def test_cells_in_a_loop_agree_with_the_reference(name: str, cell: str, mode: str) -> None:
    item = tiny(cell, mode)
    assert verdict(item, worst_error(item, results(name, item), reference(item))) is None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["tidegate", "torch.nn", "tidegate cells", "torch cells"])
def test_contestants_in_bfloat16_round_and_agree(name: str, mode: str) -> None:
    item = tiny(mode=mode, products="bfloat16")
    assert 1e-4 < worst_error(item, results(name, item), reference(item)) < 2e-2
    assert PEERS["JAX"].refuses(item) == "no bfloat16"


@needs("onnxruntime")
@needs("onnx")
def test_dynamic_quantisation_rounds_and_agrees() -> None:
    item = tiny(products="int8")
    assert 1e-4 < worst_error(item, results("onnxruntime int8", item), reference(item)) < 5e-2
    assert PEERS["onnxruntime int8"].refuses(tiny("gru", products="int8")) == "quantises LSTM alone"


def test_numbers_of_a_row_in_half_precision_are_of_that_type() -> None:
    for name in ("bfloat16", "float16"):
        x = torch.from_numpy(problem(tiny(products=name)).x)
        assert torch.equal(x.to(getattr(torch, name)).float(), x)
        assert (x - torch.from_numpy(problem(tiny()).x)).abs().max() > 0


@pytest.mark.parametrize(("layers", "bidirectional"), [(1, True), (3, True), (2, False)])
@pytest.mark.parametrize("name", ["tidegate", "tidegate frozen", "tidegate session", "onnxruntime"])
def test_stacks_agree_with_the_reference(name: str, layers: int, bidirectional: bool) -> None:
    item = tiny("gru", layers=layers, bidirectional=bidirectional)
    if reason := PEERS[name].missing(item):
        pytest.skip(reason)
    assert verdict(item, worst_error(item, results(name, item), reference(item))) is None
    assert item.shapes.keys() == problem(item).weights.keys()
    assert item.output_size == item.H * (1 + bidirectional)


def test_who_runs_one_layer_refuses_a_stack() -> None:
    assert PEERS["JAX"].refuses(tiny(layers=2)) == "one layer in one direction only"
    assert PEERS["torch.nn"].refuses(tiny(layers=2)) is None


@pytest.mark.parametrize(("cell", "proj"), CELLS)
def test_the_step_for_compiled_scans_is_the_cell(cell: str, proj: int) -> None:
    """What JAX and torch.compile are given, run on numpy."""
    item = tiny(cell, dtype="float64", proj=proj)
    given = problem(item)
    table = {
        **ARITHMETIC,
        Op.TANH: np.tanh,
        Op.SIGMOID: lambda v: 1 / (1 + np.exp(-v)),
        Op.SQRT: np.sqrt,
        Op.MEAN: lambda *v: np.concatenate(v, -1).mean(-1, keepdims=True),
        Op.VARIANCE: lambda *v: np.concatenate(v, -1).var(-1, keepdims=True),
    }
    step = Step(item.graph, given.weights, item.widths, table, np)
    states, y = tuple(np.zeros((item.B, item.widths[s.axis])) for s in item.graph.states), []
    for inputs in zip(*step.inputs(given.x), strict=True):
        states = step(states, inputs)
        y.append(states[0])
    assert worst_error(item, {"y": np.stack(y)}, reference(item)) < 1e-14


def test_every_weight_of_lstm_gains_its_bias_before_the_loop() -> None:
    """Two biases cost the scan an addition a step that nobody would write by hand."""
    item = tiny()
    step = Step(item.graph, problem(item).weights, item.widths, {}, np)
    assert step._weights["bias_U"] is None
    gru = tiny("gru")
    kept = Step(gru.graph, problem(gru).weights, gru.widths, {}, np)._weights["bias_U"]
    assert not kept[:12].any()  # those of r and z have moved, that of n is multiplied by r
    assert kept[12:].all()


@pytest.mark.parametrize("steps", [1, 7])
def test_a_session_steps_or_runs(steps: int) -> None:
    item = replace(tiny(), T=steps)
    assert verdict(item, worst_error(item, results("tidegate session", item), reference(item))) is None


def test_a_missing_library_is_a_note(monkeypatch) -> None:
    monkeypatch.setattr(PEERS["JAX"], "packages", ("numpy", "no-such-package"), raising=False)
    assert PEERS["JAX"].missing(tiny()) == "no-such-package not installed"


def test_memory_counts_what_is_saved_and_what_a_function_hides() -> None:
    class Hides(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x, x + 1)
            ctx.hidden = [x + 2]
            return x + 3

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    class Layer(torch.nn.Module):
        def forward(self, x):
            return Hides.apply(x), None

    assert kept_floats(Item("lstm", 3, 2, 6, 6, "training"), Layer()) == 2.0  # x + 1 and x + 2; x itself is given


# --- the gate ---


def test_the_gate_names_what_must_be_shown() -> None:
    assert needed(tiny()) == {"y"}
    assert needed(tiny("peepholelstm", "training")) == {
        *("y", "x", "weight_W", "weight_U", "bias_W", "bias_U", "p_i", "p_f", "p_o")
    }


@pytest.mark.parametrize("mode", MODES)
def test_the_gate_refuses_swapped_gates(mode: str) -> None:
    item = tiny(mode=mode)
    given = problem(item)
    swapped = {name: value[np.r_[6:12, 0:6, 12:24]] for name, value in given.weights.items()}  # f before i
    prepared = PEERS["torch.nn"].prepare(replace(given, weights=swapped))
    error = worst_error(item, prepared.read(prepared.call()), reference(item))
    assert "wrong by" in verdict(item, error)


@pytest.mark.parametrize("name", ["y", "x", "weight_W", "weight_U", "bias_W", "bias_U"])
@pytest.mark.parametrize("bug", ["missing", "misshapen", "nan", "off", "transposed sign"])
def test_the_gate_looks_at_every_tensor(name: str, bug: str) -> None:
    item = tiny(mode="training")
    right = reference(item)
    assert verdict(item, worst_error(item, right, right)) is None
    wrong = {key: value.copy() for key, value in right.items()}
    if bug == "missing":
        del wrong[name]
    elif bug == "misshapen":
        wrong[name] = wrong[name][:-1]
    else:
        wrong[name].flat[0] = {"nan": math.nan, "off": wrong[name].flat[0] + 0.01, "transposed sign": 9.0}[bug]
    assert verdict(item, worst_error(item, wrong, right)) is not None


# --- turns ---


class Stand:
    """A stage that computes rightly and says that it took so many seconds."""

    def __init__(self, seconds, *, spoil=False, dies_at=None):
        self.seconds, self.spoil, self.dies_at, self.turns = seconds, spoil, dies_at, 0

    def prepare(self, key, item):
        arrays = dict(reference(item))
        if self.spoil:
            arrays["y"] = arrays["y"] + 1
        return arrays, 0.5

    def turn(self, key):
        self.turns += 1
        if self.turns == self.dies_at:
            raise BackendError("BENCH_DIED", "its process died")
        return self.seconds


def run_row(**stands) -> RowRecord:
    names = {"ours": "tidegate", "torch": "torch.nn", "eager": "tidegate eager"}
    roles = {"ours": "ours", "torch": "peer", "eager": "eager"}
    entrants = tuple(Entrant(names[k], tiny(), roles[k], names[k]) for k in stands)
    stage = {names[k]: stand for k, stand in stands.items()}
    return measure(Row("lstm inference", tiny(), entrants), lambda peer, _threads: stage[peer], 0.0)


def test_a_row_gives_ratios_after_seven_rounds() -> None:
    row = run_row(ours=Stand(1e-3), torch=Stand(2e-3))
    assert row.of("torch.nn").ratio.median == 2.0
    assert row.of("best") is row.of("torch.nn")
    assert all(len(entrant.times) == FEWEST_ROUNDS for entrant in row.entrants)
    assert row.failure is None


def test_a_wrong_contestant_is_not_timed() -> None:
    wrong = Stand(1e-9, spoil=True)
    row = run_row(ours=Stand(1e-3), torch=wrong, eager=Stand(5e-3))
    assert wrong.turns == 0
    assert "wrong by" in row.entrants[1].note
    assert row.of("torch.nn") is row.of("best") is row.failure is None
    assert row.of("eager").ratio.median == 5.0


def test_our_own_wrong_result_is_a_failure() -> None:
    row = run_row(ours=Stand(1e-3, spoil=True), torch=Stand(2e-3))
    assert row.base is None
    assert row.failure.startswith("tidegate: wrong by")


def test_a_contestant_that_dies_leaves_the_others_alone() -> None:
    row = run_row(ours=Stand(1e-3), torch=Stand(2e-3, dies_at=3), eager=Stand(3e-3))
    assert row.entrants[1].note == "its process died"
    assert row.entrants[1].times == ()
    assert row.of("eager").ratio.median == 3.0
    assert run_row(ours=Stand(1e-3, dies_at=2), torch=Stand(2e-3)).failure == "tidegate: its process died"


def test_ratios_are_taken_per_unit_of_work() -> None:
    half = replace(tiny(), T=14)
    entrants = (Entrant("tidegate", half, "ours", "ours"), Entrant("tidegate", tiny(), "yardstick", "half of it"))
    row = measure(Row("cost growth", half, entrants, "token"), lambda *_: Stand(1e-3), 0.0)
    assert row.of("yardstick").ratio.median == 2.0  # as long for half the tokens


def test_a_process_prepares_takes_its_turn_and_may_die() -> None:
    with Crew() as crew:
        host = crew.host("torch.nn", 1)
        results, seconds = host.prepare("it", tiny())
        assert verdict(tiny(), worst_error(tiny(), results, reference(tiny()))) is None
        assert 0 < host.turn("it") < 1
        assert seconds > 0
        with pytest.raises(BackendError, match="KeyError"):
            host.turn("something else")
        crew.forget()
        host._process.kill()
        with pytest.raises(BackendError, match="died"):
            host.turn("it")
        assert not host.alive
        crew.forget()  # nobody is there to forget, which is no error


def test_beside_loops_a_turn_lasts_many_time_slices() -> None:
    with Crew(busy()) as crew:
        host = crew.host("torch.nn", 1)
        host.prepare("it", tiny())
        start = time.perf_counter()
        host.turn("it")
        assert time.perf_counter() - start > LOADED_TURN / 2


# --- what is left behind ---


def entrant(label: str, role: str, seconds: float, *, peer: str | None = None, **options) -> EntrantRecord:
    times = (seconds,) * 7
    return EntrantRecord(
        label, peer or label, role, "work", 1, times=times, ratio=paired(times, (1e-3,) * 7), **options
    )


def made_up() -> BenchRecord:
    ours, torch_nn = entrant("tidegate", "ours", 1e-3), entrant("torch.nn", "peer", 2e-3)
    absent = EntrantRecord("JAX", "JAX", "peer", "work", 1, note="jax is not installed")
    session = entrant("tidegate session", "ours", 7e-6)
    twin = entrant("the zoo's mgu", "yardstick", 1e-3 / 1.03, peer="tidegate")
    peak = entrant("FMA peak", "ceiling", 0.85e-3)
    rows = (
        RowRecord(
            "lstm inference", "lstm 1,2,3,4 inference, 1 thread", "call", "tidegate", (ours, torch_nn, absent, peak)
        ),
        RowRecord("lstm training", "a", "call", "tidegate", (ours, entrant("JAX", "peer", 0.9e-3), torch_nn)),
        RowRecord("a user's own cell", "b", "call", "tidegate", (ours, twin)),
        RowRecord("one step", "c", "call", "tidegate session", (session, entrant("matrix-vector", "ceiling", 3e-6))),
        RowRecord("derived cells", "d|e", "flop", "tidegate", (ours, entrant("our LSTM", "yardstick", 0.7e-3))),
    )
    first, memory = FirstCallRecord(9.0, 0.1), {"lstm 5,6,7,8 training": 5.5}
    return BenchRecord(
        *(
            "python -m benchmarks.engine",
            "2026-01-01 00:00 UTC",
            True,
            60.0,
            {"processor": "Some", "cores": "2"},
            {"torch": "2"},
        ),
        *(rows, first, memory, verdicts(rows, first, memory)),
    )


def test_the_targets_are_judged() -> None:
    met = {(v.work, v.target.split(":")[0]): v.met for v in made_up().verdicts}
    assert met["LSTM inference", "best peer"] is True
    assert met["LSTM training", "best peer"] is False  # JAX is the best there, and quicker than ours
    assert met["GRU, RNN training", "torch.nn"] is None
    assert met["a user's own cell", "time over the zoo's twin"] is True
    assert met["derived cells", "time per FLOP over our LSTM's"] is False
    assert met["one step (c)", "session"] is True
    assert met["layer norm", "our eager path"] is None
    assert [v.met for v in made_up().verdicts if "share of" in v.target or v.work.startswith("memory")] == [True, True]


def test_a_target_is_missed_only_if_the_whole_interval_misses_it() -> None:
    def judged(low: float, high: float, **limits: float) -> bool | None:
        ratio = Ratio((low + high) / 2, low, high, low, high)
        peer = replace(entrant("torch.nn", "peer", 1.0), ratio=ratio)
        return Demand("work", "target", ("g",), "best", **limits).judge([RowRecord("g", "t", "call", "o", (peer,))]).met

    assert judged(0.9, 1.05, least=1.0)
    assert not judged(0.8, 0.95, least=1.0)
    assert not judged(0.9, 1.05, mean=1.3)
    assert judged(0.75, 0.85, most=1.25)
    assert not judged(0.6, 0.75, most=1.25)


def test_a_failure_of_ours_is_a_target_not_met() -> None:
    demand = Demand("work", "target", ("g",), "best", least=1.0)
    wrong = EntrantRecord("tidegate", "tidegate", "ours", "work", 1, note="wrong by 1")
    assert demand.judge([RowRecord("g", "t", "call", None, (wrong,))]).met is False


def test_the_page_shows_times_ratios_and_notes() -> None:
    text = page(made_up())
    assert (
        "| lstm 1,2,3,4 inference, 1 thread | 1 ms | 2 ms **2.00** [2.00, 2.00] | jax is not installed | 0.85 ms"
        in text
    )
    assert "| LSTM training | best peer: never below 1.0, mean 1.5 | worst 0.90 [0.90, 0.90]: a | **no** |" in text
    assert "7 us" in text
    assert "per FLOP" in text
    assert "d\\|e" in text


def test_the_raw_figures_are_json_with_a_line_for_each_row() -> None:
    record = made_up()
    text = record.to_json()
    data = json.loads(text)
    assert data["rows"][0]["entrants"][1]["times"] == [2e-3] * 7
    assert data["first_call"] == {"cold": 9.0, "warm": 0.1}
    assert sum(line.startswith('{"group"') for line in text.splitlines()) == len(record.rows)


# --- the command line ---


def test_threads_as_users_type_them() -> None:
    assert parse_threads("2,1,2") == [1, 2]
    for wrong in ("", "0", "one", "1;2"):
        with pytest.raises(InputError, match="--threads"):
            parse_threads(wrong)


def test_the_command_is_repeated_without_folders(tmp_path) -> None:
    command = Bench(quick=True, only="lstm training", seconds_per_row=1.0, out=tmp_path).command
    assert command == "python -m benchmarks.engine --quick --only 'lstm training' --seconds-per-row 1.0"


def cpuinfo(**facts):
    return "".join(f"{name.replace('_', ' ')}\t: {value}\n" for name, value in facts.items())


@pytest.mark.parametrize(
    ("facts", "slug"),
    [
        (
            {
                "cpu_family": 6,
                "model": 106,
                "model_name": "Intel(R) Xeon(R) Processor @ 2.80GHz",
                "flags": "avx2 avx512f",
            },
            "intel-xeon-6-106-avx512",
        ),
        (
            {
                "cpu_family": 6,
                "model": 143,
                "model_name": "Intel(R) Xeon(R) Platinum 8480C",
                "flags": "avx512f amx_tile",
            },
            "intel-xeon-platinum-8480c-6-143-amx",
        ),
        (
            {"cpu_family": 25, "model": 1, "model_name": "AMD EPYC 7763 64-Core Processor", "flags": "avx avx2"},
            "amd-epyc-7763-25-1-avx2",
        ),
    ],
)
def test_results_are_named_after_the_processor(facts, slug) -> None:
    assert Processor.read(cpuinfo(**facts)).slug == slug


def test_a_processor_that_the_kernel_does_not_describe_has_a_name_too() -> None:
    assert Processor.read("").slug


def test_some_rows_never_replace_the_full_grid() -> None:
    names = {Bench().name, Bench(quick=True).name, Bench(only="lstm 1,2").name, Bench(quick=True, only="gru").name}
    assert len(names) == 4
    assert Bench(only="lstm 1,2").name == f"{processor().slug}-lstm-1-2"


def test_no_such_row_is_said(tmp_path) -> None:
    with pytest.raises(InputError, match="no row"):
        Bench(only="xyz", out=tmp_path).run()


def test_help_says_what_is_measured(capsys) -> None:
    with pytest.raises(SystemExit):
        tyro.cli(Bench, args=["--help"])
    shown = capsys.readouterr().out
    assert "--seconds-per-row" in shown
    assert "onnxruntime" in shown


def test_a_small_run_from_end_to_end(tmp_path, capsys, monkeypatch) -> None:
    item = tiny(mode="training")
    entrants = (Entrant("tidegate", item, "ours", "tidegate"), Entrant("torch.nn", item, "peer", "torch.nn"))
    monkeypatch.setattr(bench, "rows_of", lambda **_: [Row("lstm", item, entrants)])
    Bench(seconds_per_row=0.0, out=tmp_path).run()
    (row,) = json.loads((tmp_path / f"{processor().slug}.json").read_text(encoding="utf-8"))["rows"]
    assert row["base"] == "tidegate"
    assert [len(entrant["times"]) for entrant in row["entrants"]] == [FEWEST_ROUNDS] * 2
    written = (tmp_path / f"{processor().slug}.md").read_text(encoding="utf-8")
    assert "## lstm" in written
    assert str(tmp_path.parent) not in written
    streams = capsys.readouterr()
    assert "what it must reach" in streams.out
    assert "against torch.nn" in streams.err
