"""Sessions in int8 against the equations of their cells, whose products are made in whole numbers by NumPy."""

from __future__ import annotations

import torch

import tidegate as tg
from tests.reference import half_zoo, whole
from tests.reference.compare import EVERY
from tests.reference.half_zoo import Case, Shape
from tests.reference.irregular import TIMED
from tidegate.nn.session import Snapshot

SHAPE = Shape(3, 2, 19, 5)
CELLS = (*EVERY, *TIMED)
EXACT = 3e-5  # of the largest number: what one operand does that float32 has on the other side of a tie
TELLS = 4  # times as far from the equations without rounding, at least


def errors(cell: str, shape: Shape = SHAPE) -> tuple[float, float]:
    """The worst of all steps, each begun from the session's own states.

    Returns:
        Against whole numbers, and against float64 without rounding; relative to the largest number of a state.
    """
    case = half_zoo.draw(cell, shape)
    session, worst = _session(case), [0.0, 0.0]
    parameters = {name: value.double() for name, value in case.parameters.items()}
    for t, x in enumerate(case.call.x):
        old = tuple(state[0].double() for state in session.state.values())
        session.step(x, {name: value[t] for name, value in case.call.given.items()} or None)
        own = x.double()
        for k, mode in enumerate((whole.Products([own]), torch.no_grad())):
            with mode:
                new = case.step(parameters, t, torch.arange(shape.B), own, old)
            for ours, value in zip(session.state.values(), new, strict=True):
                worst[k] = max(worst[k], float((ours[0] - value).abs().max() / (value.abs().max() + 0.1)))
    return worst[0], worst[1]


def _session(case: Case) -> tg.Session:
    session = tg.Session(half_zoo.layer_of(case), case.shape.B, weights="int8")
    states = zip(session.graph.states, case.call.first, strict=True)
    session.restore(Snapshot({state.name: first[None] for state, first in states}))
    return session
