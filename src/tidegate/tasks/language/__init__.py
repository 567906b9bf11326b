"""Language: the next symbol of a text, and the text that a model writes."""

from tidegate.tasks.language.choice import Choice
from tidegate.tasks.language.encoding import LanguageEncoding
from tidegate.tasks.language.generate import Beam, Continuation, drawn, opening, spelled
from tidegate.tasks.language.likelihood import surprise
from tidegate.tasks.language.model import SymbolModel
from tidegate.tasks.language.reader import Reader
from tidegate.tasks.language.task import Language

__all__ = [
    "Beam",
    "Choice",
    "Continuation",
    "Language",
    "LanguageEncoding",
    "Reader",
    "SymbolModel",
    "drawn",
    "opening",
    "spelled",
    "surprise",
]
