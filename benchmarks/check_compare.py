"""Is the protocol of compare honest? A/A replays and planted shifts, drawn from stored runs.

    python benchmarks/check_compare.py            # replay the stored runs
    python benchmarks/check_compare.py --train    # train them again first (about ten minutes on two cores)

The runs are LSTM against itself under two names on the El Nino series, with shared data order and
independent first parameters, as compare makes them. A replay draws seeds, swaps the two names of
each seed by a coin, and asks compare's own statistics and answer.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np

from tidegate.compare.answer import answer
from tidegate.compare.statistic import interval, pairs
from tidegate.records import CellRecord

RUNS = Path(__file__).parent / "results" / "aa_runs.csv"
REPLAYS = 1000
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


def winner(a: np.ndarray, b: np.ndarray) -> str | None:
    """What compare would say of these paired scores."""
    scores = {"a": dict(enumerate(a.tolist())), "b": dict(enumerate(b.tolist()))}
    cells = [_cell(name, list(of_cell.values())) for name, of_cell in scores.items()]
    return answer(cells, pairs(scores), (), "replay").winner


def _cell(name: str, tests: list[float]) -> CellRecord:
    estimate = interval(tests)
    return CellRecord(
        name=name,
        graph={},
        source="",
        differs="",
        hidden_size=1,
        parameters=1,
        parameter_gap=0.0,
        flops_per_step=1,
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


def replay(runs: np.ndarray, seeds: int, shift: float, draw: np.random.Generator) -> str | None:
    """One experiment on drawn seeds; ``shift`` is taken off one name, in deviations of the differences."""
    chosen = runs[draw.choice(len(runs), seeds, replace=False)]
    swap = draw.random(seeds) < 0.5
    chosen = np.where(swap[:, None], chosen[:, ::-1], chosen)
    deviation = np.sqrt(np.mean((runs[:, 0] - runs[:, 1]) ** 2))  # around 0: the names are exchangeable
    return winner(chosen[:, 0] - shift * deviation, chosen[:, 1])


def false_winners(runs: np.ndarray, seeds: int = 5) -> int:
    """How many of 1,000 A/A replays name a winner."""
    draw = np.random.default_rng(0)
    return sum(replay(runs, seeds, 0.0, draw) is not None for _ in range(REPLAYS))


def found_shifts(runs: np.ndarray, seeds: int = 10) -> int:
    """How many of 1,000 replays find a planted shift of one standard deviation, and its direction."""
    draw = np.random.default_rng(1)
    return sum(replay(runs, seeds, 1.0, draw) == "a" for _ in range(REPLAYS))


def main() -> None:
    """Print the two figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true", help="train the stored runs again")
    if parser.parse_args().train:
        train()
    runs = load()
    deviation = np.std(runs[:, 0] - runs[:, 1], ddof=1)
    print(f"{len(runs)} stored pairs, mean test score {runs.mean():.4f}, deviation of differences {deviation:.4f}")
    print(f"A/A: {false_winners(runs)} winners in {REPLAYS} replays of 5 seeds (at most 66 expected)")
    print(f"planted shift: {found_shifts(runs)} of {REPLAYS} replays of 10 seeds find it (at least 750 expected)")


if __name__ == "__main__":
    main()
