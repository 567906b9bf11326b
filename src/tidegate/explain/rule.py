"""The rules by which layers are judged: for each verdict its numbers, the thresholds that decide, and its words.

The thresholds were chosen on ten seeds of planted faults and healthy networks, and scored on others:
``benchmarks/results/explain/planted.md``. A saturated gate or candidate by itself is no fault, since gates of a network
that remembers are shut most of the time. So rules on gates also ask what follows from it: a gradient that vanishes, or
an output that does not move.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from tidegate.cell.convention import carries, output_gate
from tidegate.explain.case import EXPONENT, MOST, RATIO, Case, Number
from tidegate.explain.change import (
    KeepUnits,
    Remedy,
    SetBias,
    bias_code,
    can_shrink,
    constructor,
    desaturate,
    has_bias,
    remember,
    rescale,
    set_option,
)
from tidegate.explain.readout import UNREAD
from tidegate.language import joined, say
from tidegate.option.parameter import recurrent_matrices

GROWN = math.log10(5)  # of |dL/ds| at the lag over that at lag 1, as ``VANISHED`` of ``case.py``
RISING = 0.05  # slope of ln |dL/ds| by lag
SATURATED = 0.25  # of the values of a candidate
UNUSED = 0.25  # of the units
SPIKE = 1.0  # log10 of how much more a gradient grows in one sequence than in the median one
FLOAT32 = 38.5  # log10 of its largest number

Severity = Literal["fault", "warning", "note"]


class Words(NamedTuple):
    """What is said where a rule holds."""

    sentence: str
    against: str
    remedy: Remedy


class Rule(NamedTuple):
    """A verdict on layers.

    Attributes:
        numbers: of a case; the verdict holds if there are some, and each is on its side of its threshold.
        of_stack: the whole stack is one case, not each of its layers and directions.
        explains: verdicts on the same stack that follow from this one.
    """

    name: str
    severity: Severity
    numbers: Callable[[Case], list[Number]]
    words: Callable[[Case, list[Number]], Words]
    of_stack: bool = False
    explains: tuple[str, ...] = ()


def _remember(case: Case) -> Remedy:
    return remember(case.measures.layer, case.measures.path, case.command, case.lag)


def _desaturated(case: Case) -> Remedy:
    own = case.measures
    return desaturate(own.layer, own.path, case.command, case.name, own.size)


def _overflow(case: Case) -> list[Number]:
    states = max(memory.largest for memory in case.measures.memories.values())
    size = math.inf if math.isnan(states) else math.log10(states) if states else -math.inf
    norms = [curve.norms[~curve.norms.isnan()] for curve in case.measures.curves]
    largest = max([size, *(float(own.max()) for own in norms if len(own))])
    return [
        Number(say("largest state or gradient, log10"), largest, FLOAT32, "above"),
        Number(EXPONENT, case.slope),
    ]


def _overflow_words(case: Case, numbers: list[Number]) -> Words:
    layer, path = case.measures.layer, case.measures.path
    sentence = say(
        "Numbers grow to 1e{power:.0f}, and float32 ends at 3e38: states or gradients become infinite.",
        power=numbers[0].value,
    )
    remedy = say("Bound the states, and keep the learning rate and the recurrent matrices small.")
    return Words(sentence, "", set_option(layer, path, case.command, remedy, "state_clip", 10.0))


def _most_shut(case: Case) -> str | None:
    """Of the states that a gate carries the one with the most shut units."""
    gated = [state for state, carry in carries(case.measures.layer.graph).items() if carry.gate]
    return max(gated, key=lambda state: case.memory.carries[state].shut, default=None)


def _forget_shut(case: Case) -> list[Number]:
    state = _most_shut(case)
    if state is None:
        return []
    shut = case.memory.carries[state].shut
    return [
        Number(
            say("units of {state} that keep less than a tenth of it at 95 % of the steps", state=state),
            shut,
            MOST,
            "above",
        ),
        *case.vanished(),
        Number(say("longest half-life"), case.memory.half_lives[state].longest, unit=say("steps")),
    ]


def _forget_shut_words(case: Case, numbers: list[Number]) -> Words:
    state = _most_shut(case)
    assert state is not None  # or there were no numbers
    gate = carries(case.measures.layer.graph)[state].gate
    sentence = say(
        "Gate {gate} throws {state} away at nearly every step, in {share:.0%} of the "
        "units. So the gradient falls to {size} within {lag} steps.",
        gate=gate,
        state=state,
        share=numbers[0].value,
        size=_power(case.ratio),
        lag=case.lag,
    )
    against = say(
        "If nothing counts that is older than {steps}, this is as it should be.",
        steps=_steps(math.ceil(numbers[-1].value)),
    )
    return Words(sentence, against, _remember(case))


def _output_shut(case: Case) -> list[Number]:
    gate = output_gate(case.measures.layer.graph)
    if gate is None or gate not in case.memory.gates:
        return []
    own = case.memory.gates[gate]
    return [
        Number(say("units whose gate {gate} is below 0.1 at 95 % of the steps", gate=gate), own.shut, MOST, "above"),
        case.still(),
    ]


def _output_shut_words(case: Case, numbers: list[Number]) -> Words:
    layer, path = case.measures.layer, case.measures.path
    gate = output_gate(layer.graph)
    assert gate is not None  # or there were no numbers
    sentence = say(
        "Gate {gate} hides the states: it is shut in {share:.0%} of the units, and "
        "{still:.0%} of the outputs hardly move.",
        gate=gate,
        share=numbers[0].value,
        still=numbers[1].value,
    )
    against = say(
        "A gate may open at the one step that counts. The output would move there; in these sequences it does not."
    )
    if not has_bias(layer, gate):
        remedy = Remedy(say("Train anew with a lower learning rate."), command=case.command)
    else:
        how = say(
            "Set the bias of gate {gate} to zero, as it begins; or train anew with a lower learning rate.", gate=gate
        )
        remedy = Remedy(how, bias_code(layer, path, gate, 0.0), case.command, path, SetBias(gate, 0.0))
    return Words(sentence, against, remedy)


def _frozen(case: Case) -> list[Number]:
    carried = carries(case.measures.layer.graph).items()
    opened = {state: case.memory.carries[state].open for state, carry in carried if carry.gate}
    return [case.still(), *(Number(_kept_open(state), share) for state, share in opened.items())]


def _kept_open(state: str) -> str:
    return say("units of {state} that keep more than 0.9 of it at 95 % of the steps", state=state)


def _frozen_words(case: Case, numbers: list[Number]) -> Words:
    sentence = say(
        "The output stands still: {share:.0%} of the units hardly move within {lag} steps.",
        share=numbers[0].value,
        lag=case.lag,
    )
    carried = carries(case.measures.layer.graph).items()
    kept = [carry.gate for state, carry in carried if carry.gate and case.memory.carries[state].open > MOST]
    sentences = [
        sentence,
        *(say("Gate {gate} keeps the old state and lets nothing new in.", gate=gate) for gate in kept[:1]),
    ]
    sentence = joined([*sentences, say("The gradient passes all the same, so it does not show this.")])
    against = say("A state that waits for a rare event moves at that event only. Were there any in these sequences?")
    return Words(sentence, against, _remember(case))


def _most_saturated(case: Case) -> tuple[str, float]:
    """The value that is saturated most, and the share."""
    return max(case.memory.saturated.items(), key=lambda pair: pair[1], default=("", 0.0))


def _saturated(case: Case) -> list[Number]:
    name, share = _most_saturated(case)
    return [
        Number(say("values of {name} within 1 % of their bounds", name=name), share, SATURATED, "above"),
        *case.vanished(),
    ]


def _saturated_words(case: Case, numbers: list[Number]) -> Words:
    sentence = say(
        "{share:.0%} of all values of {name} are saturated, where their slope is zero. "
        "So the gradient falls to {size} within {lag} steps.",
        share=numbers[0].value,
        name=_most_saturated(case)[0],
        size=_power(case.ratio),
        lag=case.lag,
    )
    against = say("Units that latch are saturated on purpose: they keep a bit exactly, and no gradient shows it.")
    return Words(sentence, against, _desaturated(case))


def _exploding(case: Case) -> list[Number]:
    return [Number(RATIO, case.ratio, GROWN, "above"), Number(EXPONENT, case.slope, RISING, "above")]


def _exploding_words(case: Case, numbers: list[Number]) -> Words:
    layer, path = case.measures.layer, case.measures.path
    sentence = say(
        "The gradient grows {growth:,.0f}-fold within {lag} steps, by a factor of {factor:.3f} a step.",
        growth=10 ** numbers[0].value,
        lag=case.lag,
        factor=math.exp(numbers[1].value),
    )
    against = say(
        "A network that answers well may be chaotic and need no mending, as long as clipping keeps its training stable."
    )
    if not recurrent_matrices(layer.graph):
        how = say("Lower the recurrent weights of single units below 1, and clip gradients by their norm.")
        return Words(sentence, against, Remedy(how, "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)"))
    exponent = numbers[1].value
    factor = math.exp(-exponent)
    kept = say(
        "multiply the recurrent matrices by exp(-{exponent:.3f}) = {factor:.3f}, and measure again",
        exponent=exponent,
        factor=factor,
    )
    scaled = rescale(layer, path, f"{case.command} --orthogonal", f"{kept[0].upper()}{kept[1:]}.", factor)
    if layer.options.orthogonal:
        return Words(sentence, against, scaled)
    how = (
        "Let the recurrent matrices begin orthogonal, and keep clipping by the norm as a fuse. To keep what is learnt, "
        f"{kept}."
    )
    remedy = set_option(layer, path, case.command, how, "orthogonal", value=True)
    return Words(sentence, against, replace(remedy, instead=scaled))


def _vanishing_words(case: Case, numbers: list[Number]) -> Words:
    layer, curve = case.measures.layer, case.curve
    assert curve is not None  # or there were no numbers
    reach = max((lag for lag in range(1, curve.lags) if curve.at(lag) >= -3), default=1)
    sentence = say(
        "The gradient falls to {size} within {lag} steps, so what happened so long ago "
        "is hardly learnt from. A thousandth is left after {steps}.",
        size=_power(numbers[0].value),
        lag=case.lag,
        steps=_steps(reach),
    )
    against = say("Data that need no more than {steps} lose nothing.", steps=_steps(reach))
    latches = say("And a network that latches, with its units at their bounds, remembers without a gradient.")
    remedy = remember(layer, case.measures.path, case.command, case.lag, longer=True)
    return Words(sentence, joined([against, latches]), remedy)


def _spikes(case: Case) -> list[Number]:
    if case.curve is None:
        return []
    ratio = case.curve.ratio[1 : case.lag + 1].nan_to_num(-math.inf).amax(0).numpy()
    grown = ratio[np.isfinite(ratio)]
    if not len(grown):
        return []
    most, middle = float(grown.max()), float(np.median(grown))
    return [
        Number(say("largest growth in one sequence over the median one, log10"), most - middle, SPIKE, "above"),
        Number(say("largest growth in one sequence, log10"), most, GROWN, "above"),
        Number(say("sequence"), float(ratio.argmax())),
        Number(EXPONENT, case.slope),
    ]


def _spikes_words(case: Case, numbers: list[Number]) -> Words:
    sentence = say(
        "In sequence {sequence:.0f} the gradient grows {growth:,.0f}-fold within {lag} "
        "steps, {times:,.0f} times as much as in the median one; on the whole it does "
        "not grow.",
        sequence=numbers[2].value,
        growth=10 ** numbers[1].value,
        lag=case.lag,
        times=10 ** numbers[0].value,
    )
    against = say("One sequence may be a rare one. Look at it before it is called a fault.")
    how = say("Clip the gradient by its norm, at the 90th percentile of the norms that log.csv has.")
    code = "torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)"
    return Words(sentence, against, Remedy(how, code, f"{case.command} --clip 0.5"))


def _unused(case: Case) -> list[Number]:
    read = case.measures.reads.get(case.name)
    if read is None or np.isnan(read.shares).any():
        return []
    return [
        Number(
            say("units with less than {least:g} of what is read", least=UNREAD),
            float(read.unread.mean()),
            UNUSED,
            "above",
        ),
        Number(say("loss"), read.loss),
        Number(say("loss without what is read of them"), read.without),
    ]


def _unused_words(case: Case, numbers: list[Number]) -> Words:
    layer, path, read = case.measures.layer, case.measures.path, case.measures.reads[case.name]
    used = np.flatnonzero(~read.unread)
    sentence = say(
        "{share:.0%} of the units are read by nobody. Without them the loss is "
        "{without:.4g}, and {loss:.4g} with them.",
        share=numbers[0].value,
        without=read.without,
        loss=read.loss,
    )
    against = say("They may still serve other units, through the recurrent matrices.")
    size = max(1, len(used))
    how = say("Train a layer of {size} units, or take out the others.", size=size)
    change = KeepUnits(tuple(map(int, used))) if can_shrink(layer) and len(used) else None
    command = f"{case.command} --hidden-size {size}"
    return Words(sentence, against, Remedy(how, constructor(layer, units=size), command, path, change))


def _steps(count: int) -> str:
    return say("{count} steps", count=count) if count > 1 else say("one step")


def _power(log10: float) -> str:
    """A share in words, from its logarithm."""
    return say("{share:.1e} of its size", share=10**log10) if log10 > -300 else say("nothing")


RULES = (
    Rule("overflow", "fault", _overflow, _overflow_words, of_stack=True, explains=("exploding", "spikes")),
    Rule("forget_shut", "fault", _forget_shut, _forget_shut_words, explains=("saturated", "vanishing")),
    Rule("output_shut", "fault", _output_shut, _output_shut_words, explains=("frozen", "unused_units")),
    Rule("frozen", "fault", _frozen, _frozen_words, explains=("saturated", "vanishing", "unused_units")),
    Rule("saturated", "fault", _saturated, _saturated_words, explains=("vanishing",)),
    Rule("exploding", "fault", _exploding, _exploding_words, of_stack=True, explains=("spikes",)),
    Rule("vanishing", "fault", Case.vanished, _vanishing_words, of_stack=True),
    Rule("spikes", "warning", _spikes, _spikes_words, of_stack=True),
    Rule("unused_units", "warning", _unused, _unused_words),
)
