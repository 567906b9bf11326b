"""Is the protocol of compare honest? A/A replays, planted shifts, and a third cell that must change nothing.

    python benchmarks/check_compare.py            # all three, from stored runs and drawn scores
    python benchmarks/check_compare.py --train    # train the runs again first (about ten minutes on two cores)
    python benchmarks/check_compare.py --third-cell 10000    # that check alone, over so many drawn sets

The runs are LSTM against itself under two names on the El Nino series, with shared data order and
independent first parameters, as compare makes them. A replay of two cells draws seeds and swaps the
two names of each seed by a coin; one of three or four cells gives a row two drawn seeds, in an order
drawn for each row. Both ask compare's own statistics and answer.

For the third cell, two cells and one that is worse in mean than both are drawn, with a spread of 0.3 to 5
times theirs and any cost. It must not change what is said of the two nor which is preferred, and is
never to be recommended.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np

from tidegate.compare.answer import answer
from tidegate.compare.statistic import interval, pairs
from tidegate.records import AnswerRecord, CellRecord

RUNS = Path(__file__).parent / "results" / "aa_runs.csv"
REPLAYS = 1000
SETS = 10_000
SEEDS = 100
EPOCHS = 40


def train() -> None:
    """Train the stored runs through compare itself."""
    from tidegate import compare, tasks, zoo

    class Count(compare.Progress):
        def finish(self, record) -> None:
            print(f"\r{record.cell} seed {record.seed}   ", end="", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        record = compare.run(
            tasks.load("elnino"),
            {"lstm": zoo.LSTM, "twin": zoo.LSTM},
            folder=folder,
            seeds=SEEDS,
            epochs=EPOCHS,
            parameters=2000,
            progress=Count(),
        )
    scores = {(run.cell, run.seed): run.test for run in record.runs}
    with RUNS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["seed", "lstm", "twin"])
        writer.writerows([seed, scores["lstm", seed], scores["twin", seed]] for seed in range(SEEDS))


def load() -> np.ndarray:
    """Test scores [seed, name]."""
    with RUNS.open(encoding="utf-8") as file:
        return np.array([[float(row["lstm"]), float(row["twin"])] for row in csv.DictReader(file)])


def ask(scores: np.ndarray, flops: np.ndarray | None = None) -> AnswerRecord:
    """What compare would say of these scores [seed, cell]; the cells are named a, b, c and so on."""
    columns = dict(zip("abcd", scores.T.tolist(), strict=False))
    costs = [1] * len(columns) if flops is None else flops.tolist()
    cells = [_cell(name, tests, cost) for (name, tests), cost in zip(columns.items(), costs, strict=False)]
    return answer(cells, pairs({name: dict(enumerate(tests)) for name, tests in columns.items()}), (), "replay")


def winner(scores: np.ndarray) -> str | None:
    """The winner that compare would name."""
    return ask(scores).winner


def _cell(name: str, tests: list[float], flops: int) -> CellRecord:
    estimate = interval(tests)
    return CellRecord(
        name=name,
        graph={},
        source="",
        differs="",
        layers=1,
        hidden_size=1,
        parameters=1,
        parameter_gap=0.0,
        flops_per_step=flops,
        finished=len(tests),
        diverged=0,
        mean=estimate.mean,
        low=estimate.low,
        high=estimate.high,
        train_seconds=0.0,
        step_p50_us=0.0,
        step_p99_us=0.0,
        exported_bytes=0,
    )


def drawn_rows(runs: np.ndarray, seeds: int, cells: int, draw: np.random.Generator) -> np.ndarray:
    """Scores [seed, cell] of equal cells, exchangeable within each row."""
    used = (cells + 1) // 2  # stored seeds for each row
    chosen = runs[draw.choice(len(runs), seeds * used, replace=False)].reshape(seeds, 2 * used)
    return draw.permuted(chosen, axis=1)[:, :cells]


def false_winners(runs: np.ndarray, cells: int = 2, seeds: int = 5) -> int:
    """How many of 1,000 A/A replays name a winner."""
    draw = np.random.default_rng(0)
    return sum(winner(drawn_rows(runs, seeds, cells, draw)) is not None for _ in range(REPLAYS))


def found_shifts(runs: np.ndarray, seeds: int = 10) -> int:
    """How many of 1,000 replays find a planted shift of one standard deviation, and its direction."""
    draw = np.random.default_rng(1)
    deviation = np.sqrt(np.mean((runs[:, 0] - runs[:, 1]) ** 2))  # around 0: the names are exchangeable
    shift = np.array([deviation, 0.0])
    return sum(winner(drawn_rows(runs, seeds, 2, draw) - shift) == "a" for _ in range(REPLAYS))


def changed_by_a_third(sets: int) -> int:
    """How many drawn sets break the rule about a third cell."""
    draw = np.random.default_rng(2)
    return sum(_changed(*_drawn_set(draw)) for _ in range(sets))


def _drawn_set(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scores [seed, cell] of two cells and a worse one, and their costs."""
    seeds = int(draw.integers(5, 11))
    spreads = np.array([1.0, draw.uniform(0.5, 2.0), draw.uniform(0.3, 5.0)])
    scores = draw.normal(size=(seeds, 3)) * spreads + draw.normal(size=(seeds, 1)) * draw.uniform(0, 2)
    scores[:, 1] += draw.normal(scale=1.5)
    scores[:, 2] += scores[:, :2].mean(axis=0).max() - scores[:, 2].mean() + draw.exponential(1.5)
    return scores, draw.integers(30, 300, 3)


def _changed(scores: np.ndarray, flops: np.ndarray) -> bool:
    two, three = ask(scores[:, :2], flops[:2]), ask(scores, flops)
    return (
        two.reasons[0] not in three.reasons
        or three.recommended != two.recommended
        or three.winner not in (None, two.winner)
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true", help="train the stored runs again")
    parser.add_argument("--third-cell", type=int, metavar="SETS", help="only draw so many sets with a third cell")
    options = parser.parse_args()
    if options.train:
        train()
    if not options.third_cell:
        runs = load()
        deviation = np.std(runs[:, 0] - runs[:, 1], ddof=1)
        print(f"{len(runs)} stored pairs, mean test score {runs.mean():.4f}, deviation of differences {deviation:.4f}")
        for cells in (2, 3, 4):
            found = false_winners(runs, cells)
            print(f"A/A, {cells} cells: {found} winners in {REPLAYS} replays of 5 seeds (at most 66 expected)")
        print(f"planted shift: {found_shifts(runs)} of {REPLAYS} replays of 10 seeds find it (at least 750 expected)")
    sets = options.third_cell or SETS
    print(f"third cell: {changed_by_a_third(sets)} of {sets:,} drawn sets break the rule (none expected)")


if __name__ == "__main__":
    main()
