"""What weights of fewer bits cost a task: every bundled task, scored with sessions in place of its layers.

    python -m benchmarks.half.int8_tasks FOLDER     # of trained models; those that are not there are trained

Each model is trained as ``tidegate train`` does, for a few epochs, with several seeds. Then the test is scored again
with a ``Session`` of each kind of weights in place of every recurrent layer. Sessions know no lengths, so sequences of
the same length are run together. Writes benchmarks/results/half/PROCESSOR-int8_tasks.md.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from benchmarks.engine import processor

import tidegate as tg
from tidegate import tasks
from tidegate.nn import Recurrent
from tidegate.nn.session import Snapshot
from tidegate.train.loop import evaluate
from tidegate.train.watch import Watch

RESULTS = Path(__file__).parents[1] / "results" / "half"
MODELS: Mapping[str, tuple[str, Callable[..., Any], int]] = {  # data, estimator, seeds
    "forecast": ("elnino", tasks.Forecaster, 3),
    "tagging": ("atis", tasks.SequenceTagger, 3),
    "classification": ("names", tasks.SequenceClassifier, 1),
    "music": ("jsb", tasks.Composer, 3),
    "language": ("shakespeare", tasks.LanguageModel, 1),
    "speech": ("fsdd", tasks.Transcriber, 3),
    "translation": ("tatoeba", tasks.Translator, 1),
}
CELLS = ("lstm", "gru")
KINDS = ("bfloat16", "int8")


def model(name: str, cell: str, seed: int, options: argparse.Namespace) -> Any:
    """The trained model, trained now unless it is there."""
    home = options.models / f"{name}-{cell}-{seed}"
    if not (home / "model.json").exists():
        data, kind, _ = MODELS[name]
        made = kind(cell=cell, epochs=options.epochs, steps=options.steps, seed=seed)
        made.fit(data, folder=home, watch=Watch())
    return tasks.from_pretrained(home)


@dataclass
class Replaced:
    """A layer answered by sessions.

    Attributes:
        layer: which.
        weights: of the sessions.
        outputs: of the calls so far, those of the steps that a sequence has.
    """

    layer: Recurrent
    weights: str
    outputs: list[torch.Tensor] = field(default_factory=list)
    sessions: dict[int, tg.Session] = field(default_factory=dict)

    def __call__(self, x: torch.Tensor, hx: Any = None, *, lengths: Any = None) -> tuple[torch.Tensor, Any]:
        layer = self.layer
        x = x.transpose(0, 1) if layer.batch_first else x
        steps, rows = x.shape[:2]
        counts = torch.full((rows,), steps) if lengths is None else torch.as_tensor(lengths)
        first = None if hx is None else hx if isinstance(hx, tuple) else (hx,)
        names = [state.name for state in layer.graph.states]
        y, last = None, None
        for count in counts.unique().tolist():
            chosen = (counts == count).nonzero()[:, 0]
            session = self.sessions.get(len(chosen)) or self._session(len(chosen))
            if first is None:
                session.reset()
            else:  # which a stack in two directions refuses
                session.restore(Snapshot({n: s[:, chosen] for n, s in zip(names, first, strict=True)}))
            out = session.run(x[:count, chosen].contiguous())
            ends = [session.state[name] for name in names]
            if y is None:
                y = out.new_zeros(steps, rows, out.shape[-1])
                last = [end.new_zeros(end.shape[0], rows, end.shape[2]) for end in ends]
            assert last is not None
            y[:count, chosen] = out
            for whole, end in zip(last, ends, strict=True):
                whole[:, chosen] = end
            self.outputs.append(out.flatten())
        assert y is not None
        assert last is not None
        return y.transpose(0, 1) if layer.batch_first else y, tuple(last) if len(last) > 1 else last[0]

    def _session(self, rows: int) -> tg.Session:
        made = tg.Session(self.layer, rows, weights=self.weights, bidirectional=self.layer.bidirectional)
        self.sessions[rows] = made
        return made


@contextmanager
def in_place(layers: Sequence[Recurrent], weights: str) -> Iterator[list[Replaced]]:
    """The layers are answered by sessions meanwhile."""
    replaced = [Replaced(layer, weights) for layer in layers]
    for layer, one in zip(layers, replaced, strict=True):
        layer.forward = one  # type: ignore[method-assign]
    try:
        yield replaced
    finally:
        for layer in layers:
            del layer.forward


def scores(task: Any, network: torch.nn.Module) -> list[Any]:
    """All scores of the test."""
    metric = evaluate(task, network, "test")
    with torch.inference_mode():
        return list(task.scores(network, metric))


@dataclass(frozen=True)
class Found:
    """One model: its scores, and of each kind of weights the scores and the error of its outputs."""

    shape: str
    floats: list[Any]
    others: dict[str, list[Any]]
    errors: dict[str, float]


def examined(estimator: Any) -> Found:
    """The scores of a model with each kind of weights."""
    task, network = estimator.tested(), estimator.model_
    layers = [module for module in network.modules() if isinstance(module, Recurrent)]
    plain = scores(task, network)
    outputs, others = {}, {}
    for weights in ("float32", *KINDS):
        with in_place(layers, weights) as replaced:
            others[weights] = scores(task, network)
        outputs[weights] = torch.cat([output for one in replaced for output in one.outputs])
    exact = outputs.pop("float32").double()
    for one, other in zip(plain, others.pop("float32"), strict=True):
        assert abs(one.value - other.value) <= 1e-4 * abs(one.value) + 1e-6, (one, other)  # a session is the layer
    errors = {kind: rms(own.double() - exact) / rms(exact) for kind, own in outputs.items()}
    return Found("; ".join(map(str, layers)), plain, others, errors)


def rms(values: torch.Tensor) -> float:
    return float(values.square().mean().sqrt())


def table(name: str, cell: str, found: Sequence[Found]) -> Iterator[str]:
    """A line for each score of a task."""
    for k, score in enumerate(found[0].floats):
        plain = [one.floats[k].value for one in found]
        line = f"| {f'{name}, {cell}: {found[0].shape}' if not k else ''} | {score.name} | {spread(plain)} |"
        for kind in KINDS:
            changes = [one.others[kind][k].value - one.floats[k].value for one in found]
            error = f"{100 * mean(one.errors[kind] for one in found):.2f} %" if not k else ""
            ends = f" ({min(changes):+.1g} to {max(changes):+.1g})" if len(changes) > 1 else ""
            line += f" {mean(changes):+.2g}{ends} | {error} |"
        yield line


def spread(values: Sequence[float]) -> str:
    return f"{mean(values):.5g}" + (f" ({min(values):.5g} to {max(values):.5g})" if len(values) > 1 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="a folder of trained models, which are made if they are not there")
    parser.add_argument("--only", nargs="*", default=list(MODELS), choices=MODELS)
    parser.add_argument("--cells", nargs="*", default=list(CELLS))
    parser.add_argument("--seeds", type=int, default=3, help="at most")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    head = ["task, cell: layers", "score", "float32: mean (of seeds)"]
    head += [words for kind in KINDS for words in (f"{kind}: change", "error of outputs")]
    how = f"FOLDER --epochs {options.epochs} --steps {options.steps} --seeds {options.seeds}"
    lines = ["# Tasks with weights of fewer bits", "", f"`python -m benchmarks.half.int8_tasks {how}`", ""]
    lines += [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name in options.only:
        for cell in options.cells:
            found = [examined(model(name, cell, seed, options)) for seed in range(min(MODELS[name][2], options.seeds))]
            for line in table(name, cell, found):
                print(line, flush=True)
                lines.append(line)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{processor().slug}-int8_tasks.md").write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
