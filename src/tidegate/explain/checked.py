"""The checks of a subject: whether padding, chunks and resets change its answers, and whether one input tells them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from tidegate.explain.check import check_chunks, check_padding, check_resets
from tidegate.explain.kind import ClassificationKind, ForecastKind
from tidegate.explain.leak import FEWEST, check_leak
from tidegate.explain.probe import LayerCall
from tidegate.explain.subject import Subject
from tidegate.language import say
from tidegate.phase import phase
from tidegate.records import CheckRecord

STEPS = 64  # of the sequences that are checked
SEEN = 32  # sequences among which a leak is looked for


def checks_of(subject: Subject, calls: Sequence[LayerCall]) -> Iterator[CheckRecord]:
    """The checks that suit a subject; those that do not say why.

    Args:
        subject: who is explained.
        calls: of its layers.
    """
    aim = subject.aim
    phase("checking padding")
    if aim.named and bool((aim.lengths < aim.lengths.max()).any()):
        yield check_padding(aim.model, aim.x, aim.lengths, aim.loss, extra=0)
    else:
        yield CheckRecord("padding", None, passed=None, sentence=say("All sequences are as long as each other."))
    for call in calls:
        yield from _layer_checks(call)
    yield from _leak(subject)


def _layer_checks(call: LayerCall) -> Iterator[CheckRecord]:
    """Chunks and resets of one layer, over the beginning of its data."""
    layer, own = call.layer, call.name
    if layer.bidirectional:
        text = say("{own} reads from both ends: a sequence in chunks is another one.", own=own)
        yield CheckRecord("chunks", None, passed=None, sentence=text)
        return
    phase(f"checking chunks and resets of {own}")
    steps = min(int(call.lengths.min()), STEPS)
    x, named = call.cut(steps)
    reset = torch.zeros(call.x[:steps].shape[:2], dtype=torch.bool)
    reset[steps // 2] = True
    if steps > 1:
        for check in (check_chunks(layer, x, **named), check_resets(layer, x, call.laid(reset), **named)):
            yield replace(check, sentence=say("Of {name}: {sentence}", name=own, sentence=check.sentence))


def _leak(subject: Subject) -> Iterator[CheckRecord]:
    """Whether one column at the step of the answer tells it by itself; of tasks whose inputs have columns."""
    kind = subject.kind
    if not isinstance(kind, (ClassificationKind, ForecastKind)):
        return
    batch = kind.draw(SEEN)
    names = kind.features(batch)
    if not names or batch.inputs.shape[1] < FEWEST:
        return
    phase("looking for a leak")
    if isinstance(kind, ForecastKind):
        aim = kind.shortened(kind.ahead(batch, subject.aim.horizon), STEPS)
        assert aim.truth is not None
        found = check_leak(aim.model, aim.x, aim.truth, aim.answer, names=names)
        if not found.passed and f" {kind.name} carries" in found.sentence:
            text = say(
                "{sentence} It is the last known value of what is forecast, which may be used.", sentence=found.sentence
            )
            found = replace(found, passed=True, sentence=text)
    else:
        aim = kind.aim(batch, "last")
        found = check_leak(aim.model, aim.x, batch.targets, lambda logits: logits, lengths=aim.lengths, names=names)
    yield found
