"""g2p_en: how to read English words; a GRU over the letters, another one that says the phonemes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from benchmarks.real.subject import Package, Subject, difference

import tidegate as tg

PACKAGE = Package("g2p_en", "2.1.0")
WORDS = (  # in no dictionary, so that the package spells them
    *("tidegate", "activationist", "blorptacular", "quizzify", "zendesk", "snarfle", "hyperloop"),
    *("vexillology", "brontosaurian", "microservice", "flibbertigibbet", "webinar", "podcasting", "grokking"),
    *("defenestrate", "antidisestablishment", "xylophonist", "jabberwocky", "crowdfund", "pneumatology", "kubernetes"),
    *("terraforming", "glimmerwick", "overclocked", "unfriendable", "sproutling", "narwhalian", "chillaxing"),
)
ITS_NAMES = ("w_ih", "w_hh", "b_ih", "b_hh")
SAY, STOP, LONGEST = 2, 3, 20  # "<s>", "</s>", and how many phonemes it says at most


def load(path: Path, side: str) -> Any:
    return tg.convert.read(path)[side].layer()


def subjects(folder: Path) -> Iterator[Subject]:
    package = its_code(folder)
    path = folder / "g2p_en" / "checkpoint20.npz"
    arrays, encoder, decoder = dict(np.load(path)), load(path, "enc"), load(path, "dec")
    model = Speller(encoder, decoder, arrays)
    numbers = {phoneme: k for k, phoneme in enumerate(package.phonemes)}

    def theirs() -> list[Any]:
        return [np.array([numbers[phoneme] for phoneme in package.predict(word)]) for word in WORDS]

    spelt = [package.encode(word)[0] for word in WORDS]
    letters = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(word) for word in spelt])
    lengths = torch.tensor([len(word) for word in spelt])
    state = package.gru(package.encode(WORDS[0]), len(spelt[0]), *(arrays[f"enc_{n}"] for n in ITS_NAMES))[0, -1]
    gap = difference(state, encoder(torch.from_numpy(spelt[0]))[1][0])
    for how, ours in {
        "one by one": lambda: [model.one(torch.from_numpy(package.encode(word)[0])) for word in WORDS],
        "ours as one batch": lambda: model.batch(letters, lengths),
    }.items():
        yield Subject(
            f"g2p_en, {how}", "2 GRU 256", "npz", "its numpy code", f"{len(WORDS)} words", (load,), theirs, ours,
            allowed=0.0, note=f"all phonemes are the same; the state after the letters differs by {gap:.0e}",
        )  # fmt: skip


class Speller:
    """Its network: the state after the letters is the first one of the phonemes, each of which is read again."""

    def __init__(self, encoder: tg.nn.GRU, decoder: tg.nn.GRU, arrays: dict[str, Any]) -> None:
        self.encoder, self.decoder = encoder, decoder
        self.reading, self.saying = tg.Session(encoder), tg.Session(decoder)
        self.phonemes, self.weight, self.bias = (torch.from_numpy(arrays[n]) for n in ("dec_emb", "fc_w", "fc_b"))

    def one(self, letters: torch.Tensor) -> Any:
        self.reading.reset()
        self.reading.run(letters[:, None])
        self.saying.restore(self.reading.snapshot())
        said = [SAY]
        while len(said) <= LONGEST:
            y = self.saying.step(self.phonemes[said[-1]])
            best = int(torch.nn.functional.linear(y, self.weight, self.bias).argmax())
            if best == STOP:
                break
            said.append(best)
        return np.array(said[1:])

    def batch(self, letters: torch.Tensor, lengths: torch.Tensor) -> list[Any]:
        _, state = self.encoder(letters, lengths=lengths)
        said = [torch.full((letters.shape[1],), SAY)]
        for _ in range(LONGEST):
            y, state = self.decoder(self.phonemes[said[-1]][None], state)
            said.append(torch.nn.functional.linear(y[0], self.weight, self.bias).argmax(-1))
        rows = torch.stack(said[1:], 1).tolist()
        return [np.array(row[: row.index(STOP)] if STOP in row else row) for row in rows]


def its_code(folder: Path) -> Any:
    """Its class; it spells words that are in no dictionary, so the dictionaries, which it downloads, stay away."""
    sys.modules.update({name: MagicMock() for name in ("nltk", "nltk.corpus", "nltk.tokenize", "inflect")})
    sys.path.append(str(folder))
    from g2p_en.g2p import G2p  # there is no such module before the path is known

    return G2p()
