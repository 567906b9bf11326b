"""The options of a layer, one file each: an option is declared once, and signatures, docs, checks and flags follow."""

from tidegate.option.kind import (
    Draws,
    Initialisation,
    InputTransform,
    NormBound,
    Option,
    ParameterTransform,
    Pass,
    Storage,
    Tie,
)
from tidegate.option.options import Options
from tidegate.option.table import OPTIONS

__all__ = [
    "OPTIONS",
    "Draws",
    "Initialisation",
    "InputTransform",
    "NormBound",
    "Option",
    "Options",
    "ParameterTransform",
    "Pass",
    "Storage",
    "Tie",
]
