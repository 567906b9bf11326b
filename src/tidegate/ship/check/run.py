"""``check``: a shipped model scored by its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from tidegate.errors import InputError
from tidegate.phase import counted
from tidegate.ship.c import Source
from tidegate.ship.check.compiled import CRunner
from tidegate.ship.check.meter import Meter
from tidegate.ship.check.network import Runner, network_of
from tidegate.ship.check.session import OnnxRunner
from tidegate.ship.flow import Flow
from tidegate.train.task import AnyTask

if TYPE_CHECKING:
    from tidegate.ship.ship import Shipped

LARGEST = 1e-4  # of the largest answer, or of 1: the error of float32
WORSE = 0.005  # share by which int8 may be worse
ITEMS = {
    "classification": "sequences",
    "forecast": "forecasts",
    "language": "symbols",
    "music": "steps",
    "speech": "symbols",
    "tagging": "words",
    "translation": "units",
}
COMPARED = ("forecast", "logits", "logit")  # what the errors are of
RATES = ("error rate", "accuracy")


@dataclass(frozen=True)
class Checked:
    """What came of running an artefact inside its task.

    Attributes:
        data: what it was run on.
        metric, unit: of the task.
        before, after: the metric of the model and of the artefact.
        count, items: on how many of what.
        largest, mean: the errors of its answers.
        of: what the answers are, and their unit.
        scale: the largest answer of the model.
        bound: what is allowed, in words.
        passed: the errors are within the bound.
    """

    data: str
    metric: str
    unit: str
    before: float
    after: float
    count: int
    items: str
    largest: float
    mean: float
    of: str
    scale: float
    bound: str
    passed: bool

    def __str__(self) -> str:
        scores = f"{self.metric} {self.before:.6g} before, {self.after:.6g} after"
        errors = f"answers differ by {self.largest:.2g} at most, {self.mean:.2g} on average"
        return f"{scores} ({self.count:,} {self.items} of {self.data}); {errors}"


def check(shipped: Shipped, data: Any = None) -> Checked:
    """Run a shipped model inside its task: ONNX in onnxruntime, C compiled here.

    The task's own code scores it: only the network of the model is replaced, and what stays outside of the artefact is
    as in ``evaluate``.

    Args:
        shipped: from ``ship``, of a trained model, to onnx or c.
        data: as ``evaluate`` takes it; of the file of the training the part that was kept for the test. That part
            unless given, if the data are bundled.

    Returns:
        The errors of its answers, and the metric before and after. ``passed`` is whether float32 answers within 1e-4 of
        the largest answer, or the metric of int8 is at most 0.5 % worse; of an error rate at most one item.

    Raises:
        InputError: bare layers, another format, or data that cannot be used.
        BackendError: there is no C compiler.
        MissingError: onnxruntime is not installed.
    """
    model = shipped.model
    if model is None:
        raise InputError("SHIP_CHECK", "bare layers have no task that scores them", fix="ship a trained model")
    if not shipped.flows:
        raise InputError(
            "SHIP_CHECK",
            f"{shipped.to} is run by other programs, none of which is here",
            fix="ship to onnx or c for a check",
        )
    task = model.tested(data)
    meter = Meter()
    parts = [(flow, runner_of(shipped, name, flow)) for name, flow in shipped.flows.items()]
    network = network_of(model, task, parts, meter)
    before, count = scored(task, model.model_, "scoring the model")
    after, _ = scored(task, network, "scoring the artefact")
    bound, passed = _judged(shipped, task, meter, before, after, count)
    name = type(model)._task_class.name  # noqa: SLF001  of our own estimators
    own = data is None or task.data.hash == model.data_.hash
    return Checked(
        f"the test part of {task.data.name}" if own else task.data.name,
        task.metric, task.unit, before, after, count, ITEMS[name],
        meter.largest, meter.mean, _answer(shipped), meter.scale, bound, passed,
    )  # fmt: skip


def runner_of(shipped: Shipped, name: str, flow: Flow) -> Runner:
    """What runs one of the models of a shipped one."""
    if shipped.to == "onnx":
        return OnnxRunner(flow, shipped.files[f"{name}.onnx"])
    header, body = (shipped.files[f"{name}.{suffix}"].decode() for suffix in "hc")
    return CRunner(flow, Source(name, header, body))


def scored(task: AnyTask, model: torch.nn.Module, phase: str) -> tuple[float, int]:
    """The metric of a network on the test part, and how many items it is of."""
    dtype = next(model.eval().parameters()).dtype
    error, count, state = 0.0, 0, None
    with torch.inference_mode():
        for whole in counted(phase, task.batches("test"), task.count("test")):
            batch = whole.to(dtype)
            outputs, state = model(batch, None if batch.starts else state)
            measure = task.measure(outputs, batch)
            error, count = error + measure.error, count + measure.count
    if not count:
        raise InputError("SHIP_DATA", f"{task.data.name} has nothing to score", fix="pass other data")
    return task.score(error, count), count


def _answer(shipped: Shipped) -> str:
    """What the errors are of."""
    outputs = [one for flow in shipped.flows.values() for one in flow.outputs if one.name in COMPARED]
    return f"{outputs[-1].name}, in {outputs[-1].unit}" if outputs[-1].unit else outputs[-1].name


def _judged(shipped: Shipped, task: AnyTask, meter: Meter, before: float, after: float, count: int) -> tuple[str, bool]:
    """The bound in words, and whether it is kept."""
    if shipped.weights == "float32":
        return f"at most {LARGEST:g} of the largest answer", meter.relative <= LARGEST
    if any(word in task.metric for word in RATES):
        return f"{task.metric} at most one of {count:,} worse", after <= before + 1.000001 / count
    return f"{task.metric} at most {100 * WORSE:g} % worse", after <= before + WORSE * abs(before)
