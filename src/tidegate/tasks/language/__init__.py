"""Language: the next symbol of a text, and the text that a model writes."""

from tidegate.tasks.language.encoding import LanguageEncoding
from tidegate.tasks.language.model import SymbolModel
from tidegate.tasks.language.task import Language

__all__ = ["Language", "LanguageEncoding", "SymbolModel"]
