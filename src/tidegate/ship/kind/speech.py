"""Speech recognisers: windows of sound, or the spectra of a caller's front end, in; the chances of the symbols out."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate.ship.flow import Draft, Flow, Value
from tidegate.ship.flow.node import Array
from tidegate.ship.kind.base import Part, chances, check_part, facts, into_layers, refused
from tidegate.tasks.speech.feature import FLOOR, Filterbank


def flows(model: Any, part: Part) -> tuple[Flow, ...]:
    """The flow of a ``Transcriber``.

    The best path through its symbols is the caller's: the likeliest symbol of each step, without repetitions and then
    without number 0, the blank.

    Args:
        model: the estimator.
        part: ``"layers"`` for a model of spectra that are scaled and stacked already.

    Raises:
        InputError: each recording is scaled by its own mean, and ``part`` is not ``"layers"``.
    """
    check_part(part, ("whole", "layers"), "speech")
    module, encoding = model.model_, model.encoding_
    bank, labels = encoding.filterbank, ["<blank>", *encoding.symbols]
    if encoding.per_recording and part == "whole":
        raise refused(
            "the spectra are scaled by the mean and deviation of the whole recording, which no step knows",
            "part='layers' ships the network behind them; normalise='training' trains without",
        )
    own = {"rate": bank.rate, "window": bank.window, "hop": bank.hop, "stack": encoding.stack, "words": encoding.words}
    draft = Draft("speech", facts(model, **own, seconds=encoding.seconds, part=part, symbols={"chances": labels}))
    if part == "whole":
        x = _scaled(encoding, _spectrum(draft, bank, encoding.stack))
    else:
        says = f"{encoding.stack} log-mel spectra of {bank.bands} bands, in standard deviations from their mean"
        x = draft.input("spectrum", encoding.stack * bank.bands, says)
    logits = draft.linear(
        draft.recurrent(into_layers(draft, x, module.encoder), module.layer), module.head, name="head"
    )
    chances(draft, logits, "the chance of each symbol, number 0 for none", labels)
    return (draft.flow(),)


def _spectrum(draft: Draft, bank: Filterbank, stack: int) -> Value:
    """Log-mel spectra of ``stack`` windows of sound."""
    says = f"{bank.window} samples, from sample {bank.hop} times the number of the step on"
    if stack > 1:
        says = f"{stack} windows of {bank.window} samples, each {bank.hop} samples behind the one before it"
        says += "; at the end the last one repeats"
    if bank.peak:
        says += ", of a recording whose loudest sample is 1 or -1"
    sound = draft.input("sound", stack * bank.window, says)
    waves, sums = _matrices(bank)
    blocks: dict[str, Any] = {"blocks": stack} if stack > 1 else {}
    spectrum = draft.add("linear", sound, name="spectrum", weight=waves, **blocks)
    bias = np.full(bank.bands, FLOOR)
    power = draft.add("linear", spectrum * spectrum, name="power", weight=sums, bias=bias, **blocks)
    return draft.add("log", power, name="log_mel")


def _matrices(bank: Filterbank) -> tuple[Array, Array]:
    """[2 bins, window] cosines and sines under the taper, and [bands, 2 bins] filters of their squares.

    Only the bins that a filter reads are there.
    """
    filters = bank.filters.double().numpy()
    used = np.flatnonzero(filters.any(1))
    angles = 2 * np.pi * (np.outer(used, np.arange(bank.window)) % bank.size) / bank.size
    taper = bank.taper.double().numpy()[: bank.window]
    return np.concatenate([np.cos(angles), -np.sin(angles)]) * taper, np.tile(filters[used].T, 2)


def _scaled(encoding: Any, spectra: Value) -> Value:
    mean, sd = (np.tile(np.float32(values), encoding.stack) for values in (encoding.mean, encoding.sd))
    return (spectra - mean) / sd
