"""Rows of the tables, as text."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.language import joined, local, word
from tidegate.records import CellRecord, ComparisonRecord, PairRecord, RunRecord, in_brackets
from tidegate.report import number
from tidegate.report.figure.score import near_baselines
from tidegate.report.group import all_runs, best_undiverged, ranking
from tidegate.report.palette import key

Row = dict[str, object]


@dataclass(frozen=True)
class Precision:
    """Decimals of scores and differences, the same in every row."""

    score: int
    difference: int


def precision(record: ComparisonRecord) -> Precision:
    """As many digits as the intervals justify."""
    widths = [(c.high - c.low) / 2 for c in record.cells if c.high is not None and c.low is not None]
    score = number.decimals_for(widths, [cell.mean for cell in record.cells])
    spans = [(pair.high - pair.low) / 2 for pair in record.pairs]
    return Precision(score, max(score, min(score + 1, number.decimals_for(spans, []))))


def cell_rows(record: ComparisonRecord) -> list[Row]:
    """One row per cell, best first."""
    digits = precision(record).score
    return [_cell_row(record.cells[i], i, rank + 1, digits) for rank, i in enumerate(ranking(record))]


def _cell_row(cell: CellRecord, index: int, rank: int, digits: int) -> Row:
    return {
        "rank": rank,
        "name": cell.name,
        "definition": definition(cell),
        "settings": definition(cell) if cell.options else "",
        "key": key(index),
        "mean": number.fixed(cell.mean, digits),
        "interval": interval(cell.low, cell.high, digits),
        "finished": cell.finished,
        "diverged": cell.diverged,
        "hidden": units(cell.layers, cell.hidden_size),
        "parameters": number.count(cell.parameters),
        "gap": number.percent(cell.parameter_gap, sign=True),
        "flops": number.rounded(cell.flops_per_step, 4),
        "p50": number.rounded(cell.step_p50_us),
        "p99": number.rounded(cell.step_p99_us),
        "seconds": number.rounded(cell.train_seconds),
        "bytes": number.size(cell.exported_bytes),
    }


def latency_range(record: ComparisonRecord) -> str:
    """The latencies of all cells, e.g. ``"24 to 48"``."""
    known = sorted(cell.step_p50_us for cell in record.cells if number.known(cell.step_p50_us))
    ends = dict.fromkeys(number.rounded(end, 2) for end in known[:1] + known[-1:])
    return joined([*ends], " to ") or number.MISSING


def units(layers: int, hidden_size: int) -> str:
    """Units of a layer, with the number of layers in front if there are several."""
    front = f"{layers}{number.SPACE}×{number.SPACE}" if layers > 1 else ""  # noqa: RUF001  (a sign of multiplication)
    return front + number.count(hidden_size)


def definition(cell: CellRecord) -> str:
    """The name of a cell's definition with its options, if the comparison uses another name."""
    name = f"{cell.graph.get('name', '')}{in_brackets(cell.options)}"
    return "" if name == cell.name else name


def interval(low: float | None, high: float | None, digits: int) -> str:
    """``low to high``, or a dash if there is no interval."""
    if low is None or high is None or not (number.known(low) and number.known(high)):
        return number.MISSING
    return local("{low} to {high}", low=number.fixed(low, digits), high=number.fixed(high, digits))


def pair_rows(record: ComparisonRecord) -> list[Row]:
    """One row per pair, in the order of the record."""
    digits = precision(record).difference
    keys = {cell.name: key(index) for index, cell in enumerate(record.cells)}
    return [{**_pair_row(pair, digits), "a_key": keys.get(pair.a), "b_key": keys.get(pair.b)} for pair in record.pairs]


def _pair_row(pair: PairRecord, digits: int) -> Row:
    return {
        "a": pair.a,
        "b": pair.b,
        "difference": number.fixed(pair.difference, digits, sign=True),
        "interval": interval(pair.low, pair.high, digits),
        "probability": number.probability(pair.probability),
        "wins": local("{wins} of {seeds}", wins=pair.wins, seeds=pair.seeds),
        "p": number.probability(pair.p),
        "detectable": number.fixed(pair.detectable, digits),
        "reliable": pair.reliable,
        "better": local("first") if pair.difference < 0 else local("second"),
    }


def run_rows(record: ComparisonRecord) -> list[Row]:
    """Every run, diverged ones included."""
    digits = precision(record).score + 1
    keys = {cell.name: key(index) for index, cell in enumerate(record.cells)}
    return [{**_run_row(run, digits), "key": keys.get(run.cell)} for run in all_runs(record)]


def _run_row(run: RunRecord, digits: int) -> Row:
    return {
        "cell": run.cell,
        "seed": run.seed,
        "status": word(run.status),
        "lost": run.status != "finished",
        "valid": number.fixed(run.valid, digits),
        "test": number.fixed(run.test, digits),
        "best_epoch": run.best_epoch,
        "epochs": len(run.curve),
        "rate": number.rounded(run.learning_rate),
        "dropout": number.rounded(run.recurrent_dropout, 2),
        "hidden": units(run.layers, run.hidden_size),
        "parameters": number.count(run.parameters),
        "seconds": number.rounded(run.train_seconds),
        "run": run.run,
    }


def baseline_rows(record: ComparisonRecord) -> list[Row]:
    """Baselines, best first, compared with the best cell of which no run diverged."""
    digits = precision(record).score
    drawn, best = near_baselines(record), best_undiverged(record)
    ordered = sorted(record.baselines, key=lambda baseline: baseline.score)
    return [
        {
            "name": baseline.name,
            "score": number.fixed(baseline.score, digits),
            "how": baseline.how,
            "rival": baseline.rival,
            "beats": best is not None and best.mean is not None and baseline.score < best.mean,
            "drawn": baseline in drawn,
        }
        for baseline in ordered
    ]
