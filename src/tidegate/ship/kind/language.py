"""Language models: a symbol in, the chances of the next one out."""

from __future__ import annotations

from typing import Any

from tidegate.ship.flow import Draft, Flow
from tidegate.ship.kind.base import Part, array, chances, check_part, facts, into_layers


def flows(model: Any, part: Part) -> tuple[Flow, ...]:
    """The flow of a ``LanguageModel``; a text begins with the symbol ``start`` of its facts.

    Args:
        model: the estimator.
        part: ``"whole"``.
    """
    check_part(part, ("whole",), "language")
    module, encoding = model.model_, model.encoding_
    labels = ["<unknown>", *(content.decode("utf-8", "backslashreplace") for content in encoding.unit.content[1:])]
    own = {"unit": encoding.unit.name, "start": encoding.start, "symbols": {"symbol": labels}}
    draft = Draft("language", facts(model, **own))
    symbol = draft.input("symbol", 1, "the number of a symbol, in the list of symbols", limit=encoding.vocabulary)
    x = draft.add("embed", symbol, name="embedding", table=array(module.embedding.weight))
    hidden = draft.recurrent(into_layers(draft, x, module.encoder), module.layer)
    if module.bias is None:
        logits = draft.linear(hidden, module.head, name="head")
    else:
        weight, bias = array(module.embedding.weight), array(module.bias)
        logits = draft.add("linear", draft.linear(hidden, module.head), name="tied", weight=weight, bias=bias)
    chances(draft, logits, "the chance of each symbol to come next", labels)
    return (draft.flow(),)
