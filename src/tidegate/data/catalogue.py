"""The data sets that come with the package. The folder of each has a LICENSE with its source and derivation."""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from importlib import resources

from tidegate.language import say


@dataclass(frozen=True)
class Bundled:
    """One set: its file in ``data/bundled``, None if it is generated, and what a report says about it."""

    file: str | None
    task: str
    title: str
    description: str
    licence: str
    target: str | None = None

    def read(self) -> bytes:
        """The uncompressed content; for a generated set, its task."""
        if self.file is None:
            return self.task.encode()
        raw = resources.files("tidegate.data").joinpath("bundled", *self.file.split("/")).read_bytes()
        return lzma.decompress(raw) if self.file.endswith(".xz") else raw


def _generated(task: str, title: str, description: str) -> Bundled:
    return Bundled(None, task, title, description, "generated")


BUNDLED = {
    "jsb": Bundled(
        file="jsb/chorales.json.xz",
        task="music",
        title="JSB chorales",
        description=say("382 four-part chorales by J. S. Bach as piano rolls, one step a quarter note"),
        licence="music in the public domain, transcription MIT",
    ),
    "elnino": Bundled(
        file="elnino/elnino.csv",
        task="forecast",
        title="El Niño",
        description=say("monthly sea surface temperature of the eastern Pacific (Niño 1+2), 1950 to 2010, in °C"),
        licence="public domain",
        target="temperature",
    ),
    "shakespeare": Bundled(
        file="shakespeare/tinyshakespeare.txt.xz",
        task="language",
        title="tiny Shakespeare",
        description=say("1.1 million characters of Shakespeare"),
        licence="public domain",
    ),
    "tatoeba": Bundled(
        file="tatoeba/eng-fra.tsv.xz",
        task="translation",
        title="Tatoeba English-French",
        description=say("5,000 short English sentences and their French translations"),
        licence="CC BY 2.0 FR",
    ),
    "cmudict": Bundled(
        file="cmudict/cmudict.dict.xz",
        task="translation",
        title="CMUdict, every sixth word",
        description=say("21,009 English words and their phonemes"),
        licence="BSD (two clauses)",
    ),
    "names": Bundled(
        file="names/names.tsv.xz",
        task="classification",
        title="names by nationality",
        description=say("20,050 surnames of 18 nationalities"),
        licence="MIT",
    ),
    "fsdd": Bundled(
        file="fsdd/logmel16.npz",
        task="speech",
        title="Free Spoken Digit Dataset",
        description=say("3,000 spoken English digits of 6 speakers as log-mel spectra of 16 bands in 8 bits"),
        licence="CC BY-SA 4.0",
    ),
    "atis": Bundled(
        file="atis/atis.conll.xz",
        task="tagging",
        title="ATIS",
        description=say("5,432 questions about flights, with the universal part of speech of each word"),
        licence="CC BY-SA 4.0",
    ),
    "adding": _generated("adding", "adding problem", say("the sum of two marked numbers among many")),
    "copy": _generated("copy", "copy memory", say("ten symbols to repeat after a long wait")),
    "selective": _generated("selective", "selective copying", say("sixteen symbols among noise, to repeat in order")),
    "order": _generated("order", "temporal order", say("the order of two signals among distractors")),
    "timing": _generated(
        "timing", "timed spikes", say("the time between two spikes, to answer with a third as much later")
    ),
}
