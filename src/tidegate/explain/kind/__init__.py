"""How the models of each task are explained, one class a task."""

from tidegate.explain.kind.base import Aim, Kind, halved
from tidegate.explain.kind.forecast import ForecastKind
from tidegate.explain.kind.generated import AddingKind, SpikeKind, SymbolicKind
from tidegate.explain.kind.module import aim_of
from tidegate.explain.kind.signal import ClassificationKind, Lead, MusicKind, SpeechKind
from tidegate.explain.kind.symbol import LanguageKind, TaggingKind, TranslationKind

KINDS: dict[str, type[Kind]] = {
    "adding": AddingKind,
    "classification": ClassificationKind,
    "copy": SymbolicKind,
    "forecast": ForecastKind,
    "language": LanguageKind,
    "music": MusicKind,
    "order": SymbolicKind,
    "selective": SymbolicKind,
    "speech": SpeechKind,
    "tagging": TaggingKind,
    "timing": SpikeKind,
    "translation": TranslationKind,
}

__all__ = [
    "KINDS",
    "Aim",
    "ClassificationKind",
    "ForecastKind",
    "Kind",
    "Lead",
    "MusicKind",
    "TranslationKind",
    "aim_of",
    "halved",
]
