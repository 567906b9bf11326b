"""Translators: an encoder of the source, and one step of the decoder with its attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate.ship.flow import Draft, Flow, Value
from tidegate.ship.kind.base import Part, array, chances, check_part, dots, facts
from tidegate.tasks.translation.vocabulary import BEGIN, END, Vocabulary

FAR = 1e9  # subtracted from the scores of steps that are not there


def flows(model: Any, part: Part) -> tuple[Flow, ...]:
    """The flows of a ``Translator``: encoder and decoder. The beam search between steps of the decoder is the caller's.

    The caller keeps the outputs of the encoder and gives all of them to every step of the decoder, with zeros behind
    the end of the source. The decoder starts from the last states of the encoder, each averaged over the directions.

    Args:
        model: the estimator.
        part: ``"whole"``.
    """
    check_part(part, ("whole",), "translation")
    encoding = model.encoding_
    own = {
        "begin": BEGIN,
        "end": END,
        "source": encoding.source.unit,
        "target": encoding.target.unit,
        "symbols": {"source": _units(encoding.source), "target": _units(encoding.target)},
        "longest": model.longest,
    }
    return _encoder(model, own), _decoder(model, own)


def _units(vocabulary: Vocabulary) -> list[str]:
    return ["<unknown>", "<begin>", "<end>", *vocabulary.units]


def _encoder(model: Any, own: dict[str, Any]) -> Flow:
    module = model.model_
    draft = Draft("translation_encoder", facts(model, **own))
    source = draft.input(
        "source", 1, "the number of a unit of the source, and at last <end>", limit=len(own["symbols"]["source"])
    )
    x = draft.add("embed", source, name="embedding", table=array(module.source.weight) * module.scale)
    values = draft.recurrent(draft.linear(x, module.encoder, name="joint"), module.reader)
    attention = module.attention
    if attention.kind == "dot":
        parts = [values[k : k + attention.width] for k in range(0, values.width, attention.width)]
        keys = parts[0]
        for more in parts[1:]:
            keys = keys + more
    else:
        keys = draft.linear(values, attention.key, name="keys")
    draft.output("values", values, "what the decoder attends to")
    draft.output("keys", keys, "what its attention scores")
    return draft.flow()


def _decoder(model: Any, own: dict[str, Any]) -> Flow:
    module, labels = model.model_, own["symbols"]["target"]
    steps = model.longest + 1
    draft = Draft("translation_decoder", facts(model, **own, source_steps=steps))
    unit = draft.input("target", 1, "the number of the unit before; <begin> at the first step", limit=len(labels))
    x = draft.add("embed", unit, name="embedding", table=array(module.target.weight) * module.scale)
    hidden = draft.recurrent(draft.linear(x, module.enter, name="joint"), module.layer)
    context = _context(draft, module, hidden, steps)
    combined = draft.add("tanh", draft.linear(draft.concat(hidden, context), module.combine, name="combined"))
    weight, bias = array(module.target.weight), array(module.bias)
    logits = draft.add("linear", combined, name="head", weight=weight, bias=bias)
    chances(draft, logits, "the chance of each unit to come next", labels)
    return draft.flow()


def _context(draft: Draft, module: Any, hidden: Value, steps: int) -> Value:
    """The mean of the encoder's values, weighted by attention."""
    attention, size = module.attention, module.reader.output_size
    says = f"of the encoder at each of {steps} steps, one step behind the other, zeros behind its end"
    keys = draft.input("keys", steps * attention.width, f"the keys {says}")
    values = draft.input("values", steps * size, f"the values {says}")
    there = draft.input("there", steps, "1 for each step of the source, else 0", mean=1.0, sd=0.0)
    if attention.kind == "additive":
        query = draft.linear(hidden, attention.query, name="query")
        both = draft.add("tanh", query[tuple(range(query.width)) * steps] + keys)
        scores = draft.linear(both, attention.score, name="scores", blocks=steps)
    else:
        product = hidden[tuple(range(hidden.width)) * steps] * keys
        scores = draft.add("linear", product, name="scores", weight=dots(hidden.width), blocks=steps)
    attended = draft.add("softmax", scores - (1.0 - there) * FAR, name="attention")
    draft.output("attention", attended, "how much it looks at each step of the source")
    order = np.arange(steps * size).reshape(steps, size).T.ravel()  # value by value, each over all steps
    weighed = attended[tuple(range(steps)) * size] * values[order.tolist()]
    return draft.add("linear", weighed, name="context", weight=dots(steps), blocks=size)
