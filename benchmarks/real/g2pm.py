"""g2pM: how to read Chinese characters that have several readings; a bidirectional LSTM over a sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.real.files import unpickled
from benchmarks.real.subject import Package, Subject

import tidegate as tg

PACKAGE = Package("g2pM", "0.1.2.5")
SENTENCES = (
    "然而他红了20年以后他竟退出了大家的视线。",
    "银行行长在行李旁边行走觉得这行业还行。",
    "他还了书以后还是觉得重要的事情要重新做一遍。",
    "音乐会上大家都很快乐只有他假装不在乎。",
    "长大以后我要当校长种一棵很长的树。",
    "这个地方的重量差不多差别不大出差时要注意。",
)


def load(layer: tg.nn.LSTM, weights: dict[str, Any]) -> None:
    tg.convert.load(layer, "torch", weights, at="lstm")


def subjects(folder: Path) -> Iterator[Subject]:
    files = folder / "g2pM"
    weights, numbers = unpickled(files / "np_ckpt.pkl"), unpickled(files / "char2idx.pkl")
    package = its_code(folder)
    package.load_variable(weights)
    layer = tg.nn.LSTM(64, 32, bidirectional=True)
    load(layer, weights)
    session = tg.Session(layer, bidirectional=True)
    embeddings = torch.from_numpy(weights["embedding.weight"])
    texts = [[numbers.get(character, numbers["<UNK>"]) for character in f"시{text}끝"] for text in SENTENCES]

    def theirs() -> list[Any]:
        found = []
        for ids in texts:
            package.predict(np.array([ids]), np.arange(len(ids)))
            found.append(package.logits)
        return found

    def ours() -> list[Any]:
        return [package.fc_layer(session.run(embeddings[ids][:, None])[:, 0].numpy()) for ids in texts]

    yield Subject(
        "g2pM", "bidirectional LSTM 32", "pickled dict of arrays", "its numpy code", f"{len(texts)} sentences",
        (load,), theirs, ours, allowed=1e-3,
    )  # fmt: skip


def its_code(folder: Path) -> Any:
    """Its class without its constructor, which loads pickles of any kind; the logits of a prediction are kept."""
    sys.path.append(str(folder))
    from g2pM.g2pM import G2pM  # there is no such module before the path is known

    class Keeping(G2pM):
        def fc_layer(self, inputs: Any) -> Any:
            self.logits = super().fc_layer(inputs)
            return self.logits

    return Keeping.__new__(Keeping)
