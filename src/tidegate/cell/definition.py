"""``Cell``: a recurrent cell written once, as its equations.

A subclass declares how its parameters are stored and writes one ``step``. The class is traced
when it is created: every mistake is reported at its line, never at run time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar

from tidegate.cell.graph import Graph
from tidegate.cell.trace import trace
from tidegate.errors import SpecError


class Cell:
    """Base of all cells. See the zoo for examples; ``zoo/mgu.py`` is the shortest gated one.

    A subclass declares, as strings of names separated by blanks. A state (but the first), a row block or a vector may
    have a width of its own, named by a capital letter: ``"h s:S"``. The layer sets the width of S. States and vectors
    may be as wide as the input: ``"h last:I"``.

    Attributes:
        gates: the row blocks of ``W`` and ``U`` in storage order, and the values to report.
        state: the values passed from step to step; the first is the output.
        input: ``"H"`` where ``x.raw`` meets values of the units, so that the input must be as wide as they are.
        inputs: the row blocks of ``W``, where they are not the gates.
        matrices: recurrent matrices and their row blocks; ``{"U": gates}`` unless given.
        given: what the caller passes at every step beside the input, each with its width: ``"dt:1 m:I"`` for one number
            a row and a value as wide as the input. H, and widths of the cell's own, are the others.
        mirrored: matrices of which layers hold a part M, by the share s in ``M + s M^T``: ``{"U": -1.0}`` makes U
            antisymmetric. Their blocks are square.
        vectors: per-unit parameters; ``"p_i p_f"`` reach ``step`` as ``p.i`` and ``p.f``, ``"u"`` as ``u``.
        biases: the matrices with a bias, ``"W U"`` unless given, or a mapping from matrix to
            the blocks with one.
        settings: declared numbers and their defaults, such as a step size ``{"dt": 0.1}``; ``step`` reads it as
            ``self.dt``. Layers that differ in them alone share one compiled cell.
        initial: how biases and vectors begin, where the paper says it: a rule of ``cell.initial`` by parameter or
            block, e.g. ``{"bias_W.f": "constant 1"}``. All else is drawn as in torch.nn.
        options: declared choices, e.g. ``{"reset": ("after", "before")}``; the first is the default, and
            ``step`` reads it as ``self.reset``.
        source: where the equations were published.
        differs: how the equations here differ from that source.

    ``step`` names what it needs among ``x`` (row blocks of ``W x_t + b``, or ``x.raw`` for x_t itself),
    the states, the matrices (``U(v).i`` is row block i of ``U v``), the vectors and what is given. ``W(v).i`` applies
    W to a value as wide as the input in its place. It returns the new states in order.

    Raises:
        SpecError: the declarations or ``step`` are invalid; raised when the class is created, with the offending line.

    Example:
        >>> from tidegate.cell import Cell, sigmoid, tanh
        >>> from tidegate.emit.equation import plain
        >>> class Leaky(Cell):
        ...     gates = "z n"
        ...     matrices = {"U": "n"}  # the gate sees the input alone
        ...     biases = "W"
        ...
        ...     def step(self, x, h, U):
        ...         z = sigmoid(x.z)
        ...         n = tanh(x.n + U(h).n)
        ...         return z * h + (1 - z) * n
        >>> print(plain(Leaky.graph))
        z[t] = sigmoid(W_z x[t] + b_z)
        n[t] = tanh(W_n x[t] + b_n + U_n h[t-1])
        h[t] = z[t] * h[t-1] + (1 - z[t]) * n[t]
    """

    gates: ClassVar[str] = ""
    state: ClassVar[str] = "h"
    input: ClassVar[str] = "I"
    inputs: ClassVar[str | None] = None
    matrices: ClassVar[Mapping[str, str] | None] = None
    mirrored: ClassVar[Mapping[str, float]] = {}
    vectors: ClassVar[str] = ""
    given: ClassVar[str] = ""
    biases: ClassVar[str | Mapping[str, str]] = "W U"
    settings: ClassVar[Mapping[str, float]] = {}
    initial: ClassVar[Mapping[str, str]] = {}
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    source: ClassVar[str] = ""
    differs: ClassVar[str] = ""
    name: ClassVar[str] = ""
    graph: ClassVar[Graph]

    step: Callable[..., Any]

    def __init_subclass__(cls) -> None:
        if not hasattr(cls, "step"):
            return
        if "name" not in cls.__dict__:
            cls.name = cls.__name__
        for option, choices in cls.options.items():
            if not hasattr(cls, option):
                setattr(cls, option, choices[0])
        for setting, value in cls.settings.items():
            if not hasattr(cls, setting):
                setattr(cls, setting, value)
        cls.graph = trace(cls)

    @classmethod
    @cache
    def variant(cls, **choices: str | float) -> type[Cell]:
        """The same cell with other options or settings, e.g. ``GRU.variant(reset="before")``, ``LEM.variant(dt=0.5)``.

        Args:
            choices: for each option to change, one of its declared choices; for each setting, a number.

        Returns:
            A subclass; the same class for the same choices.

        Raises:
            SpecError: no such option or setting, or no such choice.
        """
        numbers = {name: choices.pop(name) for name in cls.settings if name in choices}
        for option, choice in choices.items():
            if choice not in cls.options.get(option, ()):
                raise SpecError(
                    "OPTION",
                    f"{cls.__name__} has no {option}={choice!r}",
                    fix=f"options: {dict(cls.options) or 'none'}; settings: {dict(cls.settings) or 'none'}",
                )
        chosen = [choices.get(option, getattr(cls, option)) for option in cls.options]
        labels = [choice for choice, listed in zip(chosen, cls.options.values(), strict=True) if choice != listed[0]]
        body = {**dict(zip(cls.options, chosen, strict=True)), **numbers, "name": "/".join([cls.__name__, *labels])}
        return type(cls.__name__, (cls,), {**body, "__doc__": cls.__doc__, "__module__": cls.__module__})

    @classmethod
    def variants(cls) -> list[type[Cell]]:
        """Every combination of options, the default first."""
        combinations = itertools.product(*cls.options.values())
        return [cls.variant(**dict(zip(cls.options, chosen, strict=True))) for chosen in combinations]
