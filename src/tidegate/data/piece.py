"""Subword pieces, learnt from texts by sentencepiece."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import sentencepiece

from tidegate.errors import InputError

BLANK = "\N{LOWER ONE EIGHTH BLOCK}"  # how sentencepiece writes a blank


def learn_pieces(texts: Iterable[str], most: int, fix: str, **options: Any) -> bytes:
    """A sentencepiece model of at most ``most`` pieces; fewer if the texts have fewer.

    Args:
        texts: sentences or lines; nothing in them is normalised.
        most: the largest number of pieces.
        fix: what the caller can do if that many cannot be learnt.
        **options: passed to sentencepiece's trainer.

    Raises:
        InputError: the texts do not have enough different pieces, or have more characters than that.
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
    """The message of sentencepiece, in words that its users know."""
    reason = str(error).splitlines()[0].rsplit("] ", 1)[-1].strip()  # without its source line
    if "required_chars" in reason:
        return "they have more different characters"
    return reason or "there is nothing to learn pieces from"
