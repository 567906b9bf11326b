"""Models of music: the keys that sound in, the chances of the keys at the next step out."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate.data import KEYS, LOWEST
from tidegate.ship.flow import Draft, Flow
from tidegate.ship.kind.base import Part, array, check_part, dots, facts, into_layers

NOTES = tuple(str(LOWEST + key) for key in range(KEYS))
HEARD = "1 for each key that sounds at this step, else 0, from the lowest"


def flows(model: Any, part: Part) -> tuple[Flow, ...]:
    """The flow of a ``Composer`` whose keys are independent, or with a NADE two: of the layers and of the keys.

    Args:
        model: the estimator.
        part: ``"whole"``.
    """
    check_part(part, ("whole",), "music")
    module = model.model_
    own = facts(model, steps_per_quarter=model.encoding_.steps_per_quarter)
    draft = Draft("music" if module.nade is None else "music_layers", own)
    heard = draft.input("keys", KEYS, HEARD, mean=0.5, sd=0.5)
    hidden = draft.recurrent(into_layers(draft, heard, module.encoder), module.layer)
    logits = draft.linear(hidden, module.head, name="head")
    if module.nade is None:
        draft.output("logits", logits, "logits of each key to sound at the next step", labels=NOTES)
        sounds = draft.add("sigmoid", logits, name="chances")
        draft.output("chances", sounds, "the chance of each key to sound at the next step", labels=NOTES)
        return (draft.flow(),)
    draft.output(
        "hidden", draft.linear(hidden, module.nade.hidden, name="hidden"), "what the flow of the keys begins with"
    )
    draft.output("bias", logits, "of each key, for the flow of the keys", labels=NOTES)
    return draft.flow(), _keys(module.nade, own)


def _keys(nade: Any, own: dict[str, Any]) -> Flow:
    """The keys of one step from the lowest to the highest, one at each step of this flow.

    Equations:
        p(x_k = 1 | x_<k) = sigmoid(b_v[k] + V_k . sigmoid(b_h + sum_{j<k} x_j W_j))
    """
    draft = Draft("music_keys", own)
    units = nade.heard.shape[1]
    key = draft.input("key", 1, "the number of the key, from 0: 0 at the first step, then 1 ...", limit=KEYS)
    sounded = draft.input("sounded", 1, "1 if the key below sounds, else 0; 0 at the first step")
    hidden = draft.input("hidden", units, "the output hidden of the layers, the same at every step")
    bias = draft.input("bias", 1, "number key of the output bias of the layers")
    below = np.concatenate([np.zeros((1, units)), array(nade.heard)[:-1]])
    added = sounded * draft.add("embed", key, name="below", table=below)
    units_of = draft.add("sigmoid", hidden + draft.add("sum", added, name="heard"), name="units")
    answer = draft.add("embed", key, name="answer", table=array(nade.answer))
    logit = bias + draft.add("linear", units_of * answer, name="product", weight=dots(units))
    draft.output("logit", logit, "the logit of this key, given those below it")
    draft.output("chance", draft.add("sigmoid", logit, name="chance"), "the chance of this key, given those below")
    return draft.flow()
