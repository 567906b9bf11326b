"""Taggers: numbers of a word, its shape, its beginnings and ends in, the chances of its tags out."""

from __future__ import annotations

from typing import Any

from tidegate.ship.flow import Draft, Flow
from tidegate.ship.kind.base import Part, array, chances, check_part, facts, first_of, into_layers
from tidegate.tasks.tagging.encoding import LETTERS, SHAPES

ENDS = (
    "the numbers of its first 1 letter and last 1 letter, first 2 and last 2, ...: 'r-', '-e', 'ro-', '-me', in lower "
    "case, digits as 0; 0 for unknown and missing ones"
)


def flows(model: Any, part: Part) -> tuple[Flow, ...]:
    """The flow of a ``SequenceTagger``; of one that reads in both directions there are models of sequences only.

    Args:
        model: the estimator.
        part: ``"whole"``.
    """
    check_part(part, ("whole",), "tagging")
    module, encoding = model.model_, model.encoding_
    words, ends = (["<unknown>", *encoding.words], ["<unknown>", *encoding.ends])
    symbols = {"word": words, "shape": list(SHAPES), "ends": ends}
    draft, reader = Draft("tagging", facts(model, symbols=symbols, longest=model.longest)), first_of(module.encoder)
    word = draft.input("word", 1, "the number of the word in lower case; 0 for an unknown one", limit=len(words))
    shape = draft.input("shape", 1, "the number of its shape", limit=len(SHAPES))
    parts = [
        draft.add("embed", word, name="word_vector", table=array(reader.words.weight)),
        draft.add("embed", shape, name="shape_vector", table=array(reader.shapes.weight)),
    ]
    if reader.ends is not None:
        own = draft.input("ends", 2 * LETTERS, ENDS, limit=len(ends))
        table = array(reader.ends.weight).copy()
        table[0] = 0.0  # the padding of a sum does not count, whatever it holds
        parts.append(draft.add("embed", own, name="ends_vector", table=table))
    x = into_layers(draft, draft.concat(*parts), module.encoder)
    logits = draft.linear(draft.recurrent(x, module.layer), module.head, name="head")
    chances(draft, logits, "the chance of each tag of the word", encoding.tags)
    return (draft.flow(),)
