"""Records of an explanation: what a recurrent network remembers, where its gradients die, what to do about it.

A number that is not finite is None, and says in its attribute what that means. Layers go by names such as ``"lstm.l0"``
and ``"lstm.l1_reverse"``: the name of the module, the number in the stack, and ``_reverse`` for the second direction.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from tidegate.records.rest import AblationRecord, AttributionRecord, ContextRecord, ForcingRecord, ShareRecord
from tidegate.records.trace import Series, TraceRecord

Severity = Literal["fault", "warning", "note"]


@dataclass(frozen=True)
class EvidenceRecord:
    """One number behind a verdict.

    Attributes:
        name: what was measured, in words.
        threshold: the frozen number that it is held against; None if it decides nothing.
        side: on which side of the threshold the verdict holds.
        unit: of both; empty for a pure number.
    """

    name: str
    value: float | None
    threshold: float | None = None
    side: Literal["below", "above", ""] = ""
    unit: str = ""


@dataclass(frozen=True)
class RemedyRecord:
    """A remedy as it was tried, on the same batches.

    Attributes:
        how: what was done, such as the number of steps of training.
        before, after: the numbers of the verdict, in the same order.
        loss_before, loss_after: on these batches.
        gone: whether the verdict no longer holds.
    """

    how: str
    before: tuple[EvidenceRecord, ...]
    after: tuple[EvidenceRecord, ...]
    loss_before: float | None
    loss_after: float | None
    gone: bool


@dataclass(frozen=True)
class VerdictLine:
    """One verdict.

    Attributes:
        name: as ``--fail-on`` takes it, such as ``"vanishing"``.
        layer: of which layer; empty if of the whole model.
        sentence: the verdict in words.
        against: what speaks against it; empty if nothing does.
        remedy: what mends it, in words.
        code: the same as a line of Python; empty if there is none.
        command: the same as a command to copy; empty if there is none.
        tried: what the remedy did; None if it was not tried.
    """

    name: str
    severity: Severity
    layer: str
    sentence: str
    evidence: tuple[EvidenceRecord, ...] = ()
    against: str = ""
    remedy: str = ""
    code: str = ""
    command: str = ""
    tried: RemedyRecord | None = None


@dataclass(frozen=True)
class LayerRecord:
    """One layer and direction of the model.

    Attributes:
        name: as everywhere in the record.
        graph: the cell as it runs in evaluation, as data.
        options: those of the layer, as it prints them.
    """

    name: str
    cell: str
    graph: dict[str, Any]
    input_size: int
    hidden_size: int
    source: str = ""
    options: str = ""


@dataclass(frozen=True)
class FlowRecord:
    """The gradient of the loss by lag: log10 of the norm of the adjoint of all states, over that at lag 1.

    Attributes:
        lags: steps between the state and the step of the loss.
        low, median, high: quartiles over sequences; None where the gradient is exactly zero.
        bound: log10 of an upper bound, at each lag; empty if there is none.
        bound_name: what bounds it, such as ``"(beta_f beta_W)^lag"``.
        product: log10 of the product of the norms of the Jacobians of the steps, at each lag.
        slope: the exponent, per step, by the natural logarithm.
    """

    layer: str
    lags: tuple[int, ...]
    low: Series
    median: Series
    high: Series
    sequences: int
    bound: Series = ()
    bound_name: str = ""
    product: Series = ()
    slope: float | None = None


@dataclass(frozen=True)
class GateRecord:
    """Where the values of one gate lie.

    Attributes:
        shut, open: shares of units that are below 0.1, or above 0.9, at 95 % of the steps.
    """

    name: str
    mean: float | None
    shut: float | None
    open: float | None


@dataclass(frozen=True)
class MemoryRecord:
    """How long a layer keeps what it has, in steps.

    Attributes:
        gate: the carry gate from which half-lives follow; empty if the cell has none, and then there are none.
        low, median, high, longest: of the half-lives of units; None for a unit that never halves.
        units: the half-life of each unit, in the order of units; None if it never halves.
        gradient: the half-life of the measured gradient; None if it does not fall.
        movement: mean change of the output state in one step.
        readout: the share of what is read out that comes from each unit.
        saturated: of each candidate, the share of its values within 1 % of their bounds.
    """

    layer: str
    gate: str
    low: float | None
    median: float | None
    high: float | None
    longest: float | None
    units: Series = ()
    gradient: float | None = None
    movement: float | None = None
    readout: Series = ()
    gates: tuple[GateRecord, ...] = ()
    saturated: tuple[ShareRecord, ...] = ()


@dataclass(frozen=True)
class ExponentRecord:
    """Lyapunov exponents, per step, by the natural logarithm.

    Attributes:
        kind: along the data, or with the model's own output as input.
        values: the largest first; None for minus infinity.
        low, high: of each, over sequences; empty for one sequence.
    """

    kind: Literal["driven", "free"]
    values: Series
    steps: int
    low: Series = ()
    high: Series = ()


@dataclass(frozen=True)
class FixedPointRecord:
    """A fixed point, at its place in the plane of the states.

    Attributes:
        unstable: the number of directions in which it repels.
        radius: the largest modulus of an eigenvalue of the Jacobian there.
        reached: how many starts ended there.
    """

    x: float
    y: float
    stable: bool
    unstable: int
    reached: int
    radius: float | None = None


@dataclass(frozen=True)
class PathRecord:
    """The states of one sequence in the plane."""

    title: str
    x: Series
    y: Series


@dataclass(frozen=True)
class DynamicsRecord:
    """A layer as a dynamical system.

    Attributes:
        input: at which input the fixed points are, such as ``"zeros"``.
        starts: how many states the search began at.
        slow: how many of them ended at a slow point that is no fixed point.
        plane: the shares of the variance of the states along its two axes; empty if there is no plane.
    """

    layer: str
    exponents: tuple[ExponentRecord, ...] = ()
    input: str = ""
    starts: int = 0
    slow: int = 0
    points: tuple[FixedPointRecord, ...] = ()
    plane: tuple[float, ...] = ()
    paths: tuple[PathRecord, ...] = ()


@dataclass(frozen=True)
class SilenceRecord:
    """What a layer does by itself once its input, noise as loud as its data, has become zero.

    Attributes:
        settled: the time until the output stays at its offset, within -90 dB; None if it does not.
        period: of a limit cycle; None where there is none.
        unit: of times.
        offset, rest: decibels of the offset and of what still moves; None for nothing.
        sentence: all of this in words.
    """

    layer: str
    settled: float | None
    period: float | None
    unit: str
    offset: float | None
    rest: float | None
    sentence: str


@dataclass(frozen=True)
class CheckRecord:
    """One check.

    Attributes:
        value: what it measured; an exact zero for most.
        passed: None if it is not a matter of passing, or could not be made.
        sentence: what was done and what came of it, or why it could not be made.
    """

    name: str
    value: float | None
    passed: bool | None
    sentence: str
    unit: str = ""


@dataclass(frozen=True)
class ExplanationRecord:
    """Everything that the page of an explanation needs.

    Attributes:
        title: the headline of the page.
        model: its folder, or what it is.
        data: what it was explained on.
        lag: the distance in steps that the verdicts are about.
        lag_from: how it was chosen.
        target: of which step the loss was explained.
        sequences: how many were measured.
        seasonality: the period of the data, in steps; None if none was found.
        importance: what units are ordered by.
        privacy: the promise under which the model was trained, in words; empty if there is none.
        left_out: what the page does not have, and why.
        seconds: how long the explanation took.
    """

    title: str
    task: str
    model: str
    data: str
    lag: int
    lag_from: str
    target: str
    sequences: int
    seasonality: int | None = None
    layers: tuple[LayerRecord, ...] = ()
    shares: tuple[ShareRecord, ...] = ()
    verdicts: tuple[VerdictLine, ...] = ()
    flow: tuple[FlowRecord, ...] = ()
    memory: tuple[MemoryRecord, ...] = ()
    dynamics: tuple[DynamicsRecord, ...] = ()
    silences: tuple[SilenceRecord, ...] = ()
    ablations: tuple[AblationRecord, ...] = ()
    attributions: tuple[AttributionRecord, ...] = ()
    context: ContextRecord | None = None
    forcing: ForcingRecord | None = None
    checks: tuple[CheckRecord, ...] = ()
    traces: tuple[TraceRecord, ...] = ()
    importance: str = ""
    privacy: str = ""
    left_out: tuple[str, ...] = ()
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    command: str = ""
    seconds: float | None = None
