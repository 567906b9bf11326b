"""What a translator learns besides weights: the vocabularies of both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from tidegate.data import Pairs
from tidegate.tasks.translation.model import SequenceToSequence
from tidegate.tasks.translation.setting import TranslationSetting
from tidegate.tasks.translation.vocabulary import UnitKind, Vocabulary
from tidegate.train.task import Encoding, MakeLayer


@dataclass(frozen=True)
class TranslationEncoding(Encoding[TranslationSetting]):
    """Vocabularies of the sources and targets in training."""

    source: Vocabulary
    target: Vocabulary

    @classmethod
    def learn(cls, pairs: Pairs, setting: TranslationSetting) -> Self:
        """Learn the vocabularies from training pairs."""
        usual: tuple[UnitKind, UnitKind] = ("character", "symbol") if pairs.lexicon else ("piece", "piece")
        source = usual[0] if setting.source_unit == "auto" else setting.source_unit
        target = usual[1] if setting.target_unit == "auto" else setting.target_unit
        return cls(
            Vocabulary.learn(pairs.sources, source, setting.source_vocabulary),
            Vocabulary.learn(pairs.targets, target, setting.target_vocabulary),
        )

    def model(self, layer: MakeLayer, setting: TranslationSetting) -> SequenceToSequence:
        return SequenceToSequence(
            (len(self.source), len(self.target)),
            setting.embedding_size,
            layer,
            setting.attention,
            bidirectional=setting.bidirectional,
            dropout=setting.dropout,
        )

    def to_json(self) -> dict[str, Any]:
        return {"source": self.source.to_json(), "target": self.target.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(Vocabulary.from_json(data.get("source")), Vocabulary.from_json(data.get("target")))
