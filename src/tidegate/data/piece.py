"""Pieces of words, learnt from texts by sentencepiece."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import sentencepiece

from tidegate.errors import InputError

BLANK = "\N{LOWER ONE EIGHTH BLOCK}"  # as which sentencepiece writes a blank


def learn_pieces(texts: Iterable[str], most: int, fix: str, **options: Any) -> bytes:
    """A model of at most so many pieces, as sentencepiece keeps it; fewer where the texts have no more.

    Args:
        texts: sentences or lines; nothing in them is normalised.
        most: how many pieces.
        fix: what to do where so many cannot be learnt.
        options: of sentencepiece's trainer, its kind of model among them.

    Raises:
        InputError: the number does not fit the texts.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            vocab_size=most,
            hard_vocab_limit=False,
            normalization_rule_name="identity",
            num_threads=1,  # the same pieces on every machine
            minloglevel=3,
            **options,
        )
    except RuntimeError as error:
        raise InputError(
            "PIECES", f"{most} pieces cannot be learnt from these texts: {_reason(error)}", fix=fix
        ) from error
    return model.getvalue()


def _reason(error: RuntimeError) -> str:
    """What sentencepiece says, in the words of its users."""
    said = str(error).splitlines()[0].rsplit("] ", 1)[-1].strip()  # without its source line
    if "required_chars" in said:
        return "they have more different characters"
    return said or "there is nothing to learn pieces from"
