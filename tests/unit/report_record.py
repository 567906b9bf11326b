"""Comparison records made up for tests of the report: plausible numbers, every awkward case on request."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from statistics import fmean, stdev

import numpy as np
from scipy import stats

from tidegate.cell.measure import flops, parameters
from tidegate.records import (
    AnswerRecord,
    BaselineRecord,
    CellRecord,
    ComparisonRecord,
    DataRecord,
    EpochRecord,
    FlowRecord,
    GateRecord,
    MemoryRecord,
    PairRecord,
    RecallRecord,
    RunRecord,
    ShareRecord,
)
from tidegate.zoo import CELLS

T975 = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 7: 2.36, 9: 2.26, 19: 2.09}
LEVELS = {"rnn": 8.92, "lstm": 8.41, "peepholelstm": 8.43, "gru": 8.38, "mgu": 8.47, "janet": 8.55, "cifg": 8.42}


def comparison(
    cells: tuple[str, ...] = ("rnn", "lstm", "peepholelstm", "gru"),
    seeds: int = 5,
    epochs: int = 40,
    diverged: tuple[tuple[str, int], ...] = (("rnn", 3),),
    shift: float = 0.0,
) -> ComparisonRecord:
    """A comparison of cells of the zoo; ``diverged`` names runs as pairs of cell and seed."""
    runs = tuple(_run(cell, seed, epochs, (cell, seed) in diverged, shift) for cell in cells for seed in range(seeds))
    records = tuple(_cell(cell, [run for run in runs if run.cell == CELLS[cell].name]) for cell in cells)
    return ComparisonRecord(
        command="tidegate compare --cells " + ",".join(cells) + f" --parameters 50k --seeds {seeds}",
        task="music",
        metric="negative log-likelihood",
        unit="nats per frame",
        data=_data(),
        equal="parameters",
        protocol={
            "budget": "50,000 parameters, within 2 %",
            "seeds": str(seeds),
            "tuning": "8 trials per cell from one fixed quasi-random list",
            "stopping": f"at most {epochs} epochs, patience 8",
            "optimiser": "Adam, gradient norm clipped at 1",
        },
        machine={"processor": "x86-64, 2 cores", "system": "Linux 6.1", "python": "3.11.9", "torch": "2.13.0"},
        seconds=131.4,
        reused=0,
        answer=_answer(),
        cells=records,
        pairs=_pairs(records, runs),
        baselines=(
            BaselineRecord("previous frame", 11.84 + shift, "repeats the last frame with smoothed probabilities"),
            BaselineRecord(
                "note frequencies", 9.06 + shift, "independent probability of each note in the training set"
            ),
        ),
        runs=runs,
    )


def _data() -> DataRecord:
    return DataRecord(
        name="JSB chorales",
        hash="sha256:5b1c0f0e9a7743d2c1b7a3f14c6a40bf1f5e2cfb3f0d8f6e3c2a190f5d7786aa",
        description="382 four-part chorales, 88 notes per frame, one frame per crotchet",
        licence="public domain",
        split="229 / 76 / 77 pieces, as published",
        warnings=("2 pieces occur in both training and test data; they were left out of the test data.",),
    )


def _answer() -> AnswerRecord:
    return AnswerRecord(
        headline="No reliable difference on JSB chorales between GRU, LSTM and PeepholeLSTM: "
        "take GRU, probably: it has the best mean. RNN is reliably worse than GRU.",
        alerts=(),
        reasons=(
            "1 of 5 runs of RNN diverged; they count as failures.",
            (
                "No reliable difference between GRU and LSTM: GRU is better by 0.0068 (95 % interval -0.018 to 0.032), "
                "in 3 of 5 runs; more than a fifth of such experiments would miss a true difference below 0.034."
            ),
            "GRU is reliably better than RNN: by 0.55 (95 % interval 0.5 to 0.59), in 5 of 5 runs.",
        ),
        winner=None,
        recommended="GRU",
        why="No cell is reliably better than every other. This one has the best mean.",
    )


def _run(cell: str, seed: int, epochs: int, diverged: bool, shift: float) -> RunRecord:
    draw = np.random.default_rng([seed, *cell.encode()])
    split = np.random.default_rng(seed).normal(0, 0.05)
    level = LEVELS.get(cell, 8.6) + split + draw.normal(0, 0.022) + shift
    pace = 3 + draw.uniform(0, 3)
    length = max(1, epochs - int(draw.integers(0, max(1, epochs // 4))))
    noise = draw.normal(0, 0.015, length)
    valid = [
        level - 0.03 + 3.2 * math.exp(-e / pace) + 0.0006 * max(0, e - 22) ** 1.4 + noise[e] for e in range(length)
    ]
    if diverged:
        valid = [*valid[: max(1, length // 5)], math.nan, math.inf]
    best = int(np.nanargmin(valid))
    seconds = draw.uniform(0.12, 0.16) * (2 if "lstm" in cell else 1.4)
    curve = tuple(
        EpochRecord(e + 1, value + 0.1, value, 0.7, 3e-3, seconds * draw.uniform(0.95, 1.05))
        for e, value in enumerate(valid)
    )
    return RunRecord(
        run=f"{seed:02x}{cell.encode().hex():0<14.14}c0ffee5eed",
        cell=CELLS[cell].name,
        seed=seed,
        layers=1,
        hidden_size=_hidden(cell),
        recurrent_dropout=(0.0, 0.4)[seed % 2],
        parameters=_parameters(cell),
        status="diverged" if diverged else "finished",
        valid=None if diverged else float(valid[best]),
        test=None if diverged else float(level),
        best_epoch=best + 1,
        learning_rate=(0.003, 0.0047, 0.0019)[seed % 3],
        tried=(float(valid[best]), None),
        train_seconds=sum(epoch.seconds for epoch in curve),
        curve=curve,
    )


def _hidden(cell: str) -> int:
    sizes = range(16, 400)
    return min(sizes, key=lambda size: abs(parameters(CELLS[cell].graph, {"I": 88, "H": size}) - 50_000))


def _parameters(cell: str) -> int:
    return parameters(CELLS[cell].graph, {"I": 88, "H": _hidden(cell)})


def _interval(values: list[float]) -> tuple[float | None, float | None, float | None]:
    if not values:
        return None, None, None
    if len(values) == 1:
        return values[0], None, None
    half = T975.get(len(values) - 1, 2.2) * stdev(values) / math.sqrt(len(values))
    return fmean(values), fmean(values) - half, fmean(values) + half


def _cell(cell: str, runs: list[RunRecord]) -> CellRecord:
    graph = CELLS[cell].graph
    mean, low, high = _interval([run.test for run in runs if run.test is not None])
    lost = sum(run.status == "diverged" for run in runs)
    return CellRecord(
        name=CELLS[cell].name,
        graph=graph.to_json(),
        source=CELLS[cell].source,
        differs=CELLS[cell].differs,
        layers=1,
        hidden_size=_hidden(cell),
        parameters=_parameters(cell),
        parameter_gap=_parameters(cell) / 50_000 - 1,
        flops_per_step=flops(graph, {"I": 88, "H": _hidden(cell)}),
        finished=len(runs) - lost,
        diverged=lost,
        mean=mean,
        low=low,
        high=high,
        train_seconds=fmean(run.train_seconds for run in runs),
        step_p50_us=18 + len(graph.nodes) * 0.9,
        step_p99_us=31 + len(graph.nodes) * 1.3,
        exported_bytes=4 * _parameters(cell) + 2_000 + 90 * len(graph.nodes),
        recall=recall(cell, 0.12 + 0.04 * len(graph.nodes) / 20),
    )


def recall(cell: str, rate: float = 0.2, lag: int = 12) -> RecallRecord:
    """What the best run of a cell remembers: a gradient that dies out at this rate, and units if it has a gate."""
    lags = tuple(range(1, 161))
    flow = FlowRecord("layer.l0", lags, *(tuple(-rate * f * k for k in lags) for f in (1.3, 1, 0.8)), 8, slope=-rate)
    lives = (*np.geomspace(9, 0.4, 40), None) if cell != "rnn" else ()
    gates = tuple(GateRecord(name, 0.5, 0.05, 0.25) for name in dict(CELLS[cell].graph.gates) if name != "h")
    memory = MemoryRecord(
        "layer.l0",
        "f" if lives else "",
        *((1.1, 2.0, 4.5, None) if lives else (None,) * 4),
        units=tuple(life if life is None else float(life) for life in lives),
        gates=gates,
        saturated=(ShareRecord("g", 0.031),),
    )
    said = ("The gradient falls to 1.0e-06 of its size within 50 steps.",) if cell == "lstm" else ()
    page = f"explain/1-{CELLS[cell].name}.html"
    return RecallRecord("", "0" * 20, 3, lag, "the season of the training rows", flow, (memory,), said, page)


def _pairs(cells: tuple[CellRecord, ...], runs: tuple[RunRecord, ...]) -> tuple[PairRecord, ...]:
    scores = {cell.name: {r.seed: r.test for r in runs if r.cell == cell.name and r.test is not None} for cell in cells}
    pairs = []
    for a, b in combinations(scores, 2):
        values = [scores[a][seed] - scores[b][seed] for seed in scores[a] if seed in scores[b]]
        mean, low, high = _interval(values)
        if mean is None or low is None or high is None:
            continue
        chance = 0.5 - 0.49 * math.tanh(3 * mean / (high - low)) if high > low else 0.5
        seeds, wins = len(values), sum(value < 0 for value in values)
        p = float(stats.ttest_1samp(values, 0).pvalue) if high > low else 1.0
        pairs.append(
            PairRecord(a, b, seeds, wins, mean, low, high, chance, p, 0.6 * (high - low), p < 0.05 and seeds >= 5)
        )
    return tuple(pairs)


def renamed(record: ComparisonRecord, names: dict[str, str]) -> ComparisonRecord:
    """The same comparison with other names of cells."""

    def new(name: str) -> str:
        return names.get(name, name)

    return replace(
        record,
        cells=tuple(replace(cell, name=new(cell.name)) for cell in record.cells),
        runs=tuple(replace(run, cell=new(run.cell)) for run in record.runs),
        pairs=tuple(replace(pair, a=new(pair.a), b=new(pair.b)) for pair in record.pairs),
        answer=replace(record.answer, recommended=new(record.answer.recommended or "")),
    )


TWELVE = ("rnn", "lstm", "peepholelstm", "gru", "lstm1997", "v", "nig", "fgr", "mgu", "janet", "mingru", "cifg")
