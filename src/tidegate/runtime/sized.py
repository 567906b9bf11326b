"""A cell at certain widths: what all runs of a layer have in common, made once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple, get_args

import torch

from tidegate._version import __version__
from tidegate.cell import Graph
from tidegate.cell.graph import all_widths
from tidegate.cell.parameter import parameter_shapes
from tidegate.emit.compiled import Compiled
from tidegate.emit.delta import Remembered, with_delta
from tidegate.emit.halves import rounds_output, with_halves
from tidegate.emit.layout import Watched, watched_columns
from tidegate.emit.narrow import with_narrow
from tidegate.emit.plan import Halved, Plan
from tidegate.emit.planner import backward_plan, forward_plan, gradient_plan, tallied_sums
from tidegate.emit.sparse import with_lists
from tidegate.errors import EmitError, InputError, SpecError
from tidegate.runtime.library import load
from tidegate.runtime.structure import NativePlan, native
from tidegate.runtime.summands import Summands
from tidegate.runtime.tuning import Tuning

MOST_OPERATIONS = 1_000  # of a step; a compiler takes up to 20 ms for each
Variant = Literal["plain", "traced", "watched", "apart"]  # plain runs pay for no series
Products = Literal["bfloat16", "float16", "int8"]  # the type in which a cell multiplies, where it is another
Saved = Literal["bfloat16"]  # the type of what is saved for a backward run, where it is another than that of tensors
DTYPES = {torch.float32: "f32", torch.float64: "f64"}  # the engine's names of the types that it computes in
KINDS: dict[tuple[torch.dtype, Products | None], int] = {  # its numbers of these and of the type of products
    (torch.float32, None): 4,
    (torch.float64, None): 8,
    (torch.float32, "bfloat16"): 2,
    (torch.float32, "float16"): 3,
    (torch.float32, "int8"): 1,
}


class Half(NamedTuple):
    """Which tensors of a call have the type of the products, where the cell computes in another."""

    inputs: bool
    parameters: bool
    output: bool = False


WHOLE = Half(inputs=False, parameters=False)
NARROW: frozenset[Products] = frozenset({"bfloat16"})  # of which the engine reads tensors as they are
HALVES: dict[Products, torch.dtype] = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@lru_cache(maxsize=256)
def compiled(graph: Graph, variant: Variant = "plain") -> Compiled:
    """The programs of a cell, or those that write more series; what is apart has other plans for the same programs."""
    if variant in ("plain", "apart"):
        return Compiled(graph)
    cell = compiled(graph)
    return cell.traced if variant == "traced" else cell.watched


def _has_room(graph: Graph) -> bool:
    return len(graph.nodes) <= MOST_OPERATIONS


def check_size(graph: Graph, variant: Variant = "plain") -> None:
    """Refuse a cell that the engine has no room for, before anything of it is compiled.

    Args:
        graph: the cell.
        variant: which of its programs.

    Raises:
        EmitError: a step has too many operations, products or values, or an operation that cannot be emitted.
    """
    if not _has_room(graph):
        raise EmitError(
            "ENGINE_SIZE",
            f"the engine compiles cells of at most {MOST_OPERATIONS:,} operations a step, {graph.name} has "
            f"{len(graph.nodes):,}",
            fix="call the layer under tidegate.runtime.eager_only()",
        )
    cell = compiled(graph, variant)
    widths = graph.unit_widths  # how much there is in a plan does not depend on widths
    if "forward" in cell.programs:
        native(forward_plan(cell, widths, "f32", saving=True), "f32", lambda _: 0, Tuning())
    if "backward" in cell.programs:
        native(backward_plan(cell, widths, "f32", input_gradient=True), "f32", lambda _: 0, Tuning())


def _native(cell: Compiled, plan: Plan, kind: str) -> NativePlan:
    library = load()
    return native(plan, kind, library.function(cell.source), library.tuning)


class SizedCell:
    """A cell whose axes have widths. ``sized`` makes it; it is pickled and copied as the graph and the widths.

    Attributes:
        graph: the cell.
        widths: of each axis.
        parameters: the names of those of one direction, as ``cell.parameter.parameter_shapes`` orders them.
        names: of the further tensors that one direction reads: its parameters, what is given, then its masks.
        shapes: of the parameters of one direction, and of two.
        beside: whether it reads more rows than the input: what is given, or masks.
        features: the width of its input.
        strides: from row to row of each of them; parameters have no rows.
        state_widths: the width of each state.
        sparse: the matrices that are multiplied by what is not zero in them, see ``emit.sparse``.
        kept: whether only what is not zero in these has a gradient.
        products: the type in which it multiplies by its matrices; None for that of its tensors. See ``sized``.
        half: the same as torch's type, of which its input and parameters may be; None where there is none.
        saved: the type of what the engine saves for a backward run; None for that of its tensors. See ``sized``.
        zeros_stay: the parameters of which that is so.
        values: the names of the values that a trace shows, but for the output, and their widths.
        text: the graph and the widths as text, which ``described`` reads without running code. It names our version
            too: torch keeps compiled calls on disk by this text, and another version may need other calls.
    """

    def __init__(
        self,
        graph: Graph,
        widths: Mapping[str, int],
        sparse: tuple[str, ...] = (),
        *,
        kept: bool = False,
        products: Products | None = None,
        saved: Saved | None = None,
    ) -> None:
        self.graph, self.widths, self.sparse, self.kept = graph, dict(widths), sparse, kept and bool(sparse)
        _check_type("products", products, get_args(Products))
        _check_type("saved", saved, get_args(Saved))
        self.products, self.half, self.saved = products, None if products is None else HALVES.get(products), saved
        unknown = set(sparse) - {matrix.name for matrix in graph.matrices}
        if unknown:
            names = ", ".join(matrix.name for matrix in graph.matrices)
            raise SpecError("SPARSE", f"{graph.name} has no matrix {min(unknown)!r}", fix=f"name some of {names}")
        self._listed = [] if products == "int8" else [f"weight_{name}" for name in sparse]  # which is packed whole
        self.zeros_stay = self._listed if self.kept else []
        shapes = parameter_shapes(graph, widths)
        self.parameters = tuple(shapes)
        rows = {item.name: item.axis for item in graph.given} | {mask.name: mask.axis for mask in graph.masks}
        self.names = (*self.parameters, *rows)
        self.shapes = [*shapes.values()], [*shapes.values()] * 2
        self.beside, self.features = bool(rows), widths["I"]
        every, nodes = all_widths(widths), graph.nodes
        self.strides = (*(0 for _ in self.parameters), *(every[axis] for axis in rows.values()))
        self.state_widths = tuple(widths[state.axis] for state in graph.states)
        self.output_width = self.state_widths[0]
        self.values = {n: every[nodes[i].axis] for n, i in graph.reported.items() if n != graph.output.name}
        self.text = self._described()
        self._siblings: dict[Products | None, SizedCell] = {products: self}
        self._forward: dict[tuple[torch.dtype, bool, Variant, Half], NativePlan] = {}
        self._backward: dict[tuple[torch.dtype, bool, Variant, Half], NativePlan] = {}
        self._gradient: dict[torch.dtype, NativePlan] = {}
        self._delta: dict[tuple[torch.dtype, bool, bool], tuple[NativePlan, Remembered]] = {}

    def _described(self) -> str:
        description = {"tidegate": __version__, "widths": self.widths, "graph": self.graph.to_json()}
        others = {"sparse": self.sparse, "kept": self.kept, "products": self.products, "saved": self.saved}
        return json.dumps(description | {name: value for name, value in others.items() if value}, separators=(",", ":"))

    def __reduce__(self) -> tuple[object, ...]:
        return _made, (self.graph, tuple(self.widths.items()), self.sparse, self.kept, self.products, self.saved)

    def with_products(self, products: Products | None) -> SizedCell:
        """The same cell, which multiplies in this type.

        Args:
            products: see ``sized``.

        Raises:
            SpecError: there is no such type.
        """
        known = self._siblings.get(products)
        if known is None:
            widths = tuple(self.widths.items())
            known = sized(self.graph, widths, self.sparse, kept=self.kept, products=products, saved=self.saved)
            self._siblings[products] = known
        return known

    def work_type(self, dtype: torch.dtype) -> torch.dtype:
        """The type in which it computes on tensors of this type: float32 where they have that of its products."""
        return torch.float32 if dtype is self.half else dtype

    def kind(self, dtype: torch.dtype) -> int | None:
        """The engine's number for tensors of this type and the products of this cell; None if it has none."""
        return KINDS.get((dtype, self.products))

    def saved_type(self, dtype: torch.dtype) -> torch.dtype:
        """The type of what a run on tensors of this type saves; float64 is for checks, and saved as it is."""
        return torch.bfloat16 if self.saved and dtype == torch.float32 else dtype

    @cached_property
    def rounds_output(self) -> bool:
        """Whether nothing but products in bfloat16 reads its output, so that the engine may write it in this type."""
        if self.half is not torch.bfloat16 or not _has_room(self.graph):
            return False
        cell = compiled(self.graph)
        forward = forward_plan(cell, self.widths, "f32", saving=True)
        return rounds_output(forward, backward_plan(cell, self.widths, "f32", input_gradient=True))

    def _halved(
        self, plan: Plan, halved: Halved, dtype: torch.dtype, half: Half = WHOLE, *, saving: bool = True
    ) -> Plan:
        """A plan that writes or reads saved values and the output, in the types in which these are kept."""
        return with_halves(
            plan,
            halved,
            saved=saving and self.saved_type(dtype) != dtype,
            output=half.output,
            read_input=half.inputs and halved is Halved.READ and self.half is torch.bfloat16,
        )

    @cached_property
    def saved_width(self) -> int:
        """Width of what a forward run of the engine keeps for each step, for a backward run."""
        if not _has_room(self.graph):
            return 0
        return sum(all_widths(self.widths)[s.axis] for s in compiled(self.graph).lowered.forward.series if s.saved)

    @cached_property
    def gradients(self) -> Summands:
        """What gradients of parameters are made of."""
        plan = gradient_plan(compiled(self.graph), self.widths, "f32")
        return Summands(plan.gradients, plan.sums, tallied_sums(compiled(self.graph), self.widths))

    @cached_property
    def watched(self) -> Watched:
        """Where a watched backward run leaves what it tells."""
        return watched_columns(compiled(self.graph), self.widths)

    def forward_plan(
        self, dtype: torch.dtype, *, saving: bool, variant: Variant = "plain", half: Half = WHOLE
    ) -> NativePlan:
        """The plan of forward runs, with or without what a backward run needs; ``"traced"`` for what a trace shows."""
        known = self._forward.get((dtype, saving, variant, half))
        if known is None:
            self._check_derivative(wanted=saving)
            cell = compiled(self.graph, variant)
            kind = DTYPES[dtype]
            plan = with_lists(forward_plan(cell, self.widths, kind, saving=saving), self._listed)
            plan = self._halved(plan, Halved.WRITTEN, dtype, half, saving=saving)
            known = self._forward[dtype, saving, variant, half] = _native(cell, self._narrowed(plan, half), kind)
        return known

    def _check_derivative(self, *, wanted: bool = True) -> None:
        if wanted and self.products == "int8":
            raise InputError(
                "PRODUCTS",
                f"{self.graph.name} multiplies in int8, of which there is no derivative",
                fix="call it under torch.no_grad(), or train in bfloat16 or float32",
            )

    def _narrowed(self, plan: Plan, half: Half) -> Plan:
        """The plan for tensors of which some are of half precision, as far as the engine reads them so."""
        if self.products not in NARROW:
            return plan
        return with_narrow(plan, self.parameters if half.parameters else (), inputs=half.inputs)

    def delta_plan(self, dtype: torch.dtype, *, inputs: bool, states: bool) -> tuple[NativePlan, Remembered]:
        """The plan of forward runs whose products of the input, of states, or of both are sums of what changed.

        Its matrices have no lists: what is sent is whole columns.
        """
        known = self._delta.get((dtype, inputs, states))
        if known is None:
            cell, kind = compiled(self.graph), DTYPES[dtype]
            plain = forward_plan(cell, self.widths, kind, saving=False, by_steps=True)
            plan, remembered = with_delta(plain, dtype.itemsize, inputs=inputs, states=states)
            known = self._delta[dtype, inputs, states] = _native(cell, plan, kind), remembered
        return known

    def gradient_plan(self, dtype: torch.dtype) -> NativePlan:
        """The plan of runs that make gradients of parameters of what a backward run has left."""
        known = self._gradient.get(dtype)
        if known is None:
            self._check_derivative()
            cell, kind = compiled(self.graph), DTYPES[dtype]
            plan = with_lists(gradient_plan(cell, self.widths, kind), self._listed, kept=self.kept)
            plan = self._halved(plan, Halved.READ, dtype)
            known = self._gradient[dtype] = _native(cell, plan, kind)
        return known

    def backward_plan(
        self, dtype: torch.dtype, *, input_gradient: bool, variant: Variant = "plain", half: Half = WHOLE
    ) -> NativePlan:
        """The plan of backward runs; ``"watched"`` for one that writes adjoints, ``"apart"`` without gradients."""
        known = self._backward.get((dtype, input_gradient, variant, half))
        if known is None:
            self._check_derivative()
            cell = compiled(self.graph, variant)
            kind = DTYPES[dtype]
            apart = variant == "apart"
            plan = backward_plan(cell, self.widths, kind, input_gradient=input_gradient, apart=apart)
            plan = self._halved(with_lists(plan, self._listed, kept=self.kept), Halved.READ, dtype, half)
            plan = self._narrowed(plan, half)
            known = self._backward[dtype, input_gradient, variant, half] = _native(cell, plan, kind)
        return known


def _check_type(name: str, value: object, types: tuple[str, ...]) -> None:
    if value not in (None, *types):
        raise SpecError(name.upper(), f"{name} in {value!r:.40}", fix=f"name one of {', '.join(types)}, or None")


def sized(
    graph: Graph,
    widths: tuple[tuple[str, int], ...],
    sparse: tuple[str, ...] = (),
    *,
    kept: bool = False,
    products: Products | None = None,
    saved: Saved | None = None,
) -> SizedCell:
    """The cell at these widths, given as pairs of axis and width; the same object for the same arguments.

    Args:
        graph: the cell.
        widths: pairs of axis and width.
        sparse: matrices, such as ``"U"``, that are multiplied by what is not zero in them. The engine skips a number
            where 64, 32 or 16 neighbouring rows of a weight, such as 64 units of a gate, are zero in one column
            (float32 under AVX-512; narrower elsewhere), forward, and backward for eight sequences or more.
            Results and gradients are those of the whole matrix. A matrix without zeros is multiplied a little slower.

        kept: a number of these matrices that is zero has the gradient zero, so that only blocks that are kept are made.
            For weights whose zeros stay zero.
        products: the type in which it multiplies by its matrices. A product M v in ``"bfloat16"`` rounds M and v to
            bfloat16 (to the nearest, ties to even), multiplies exactly and adds in the type of its tensors; the same
            holds for its derivative, M' dv and dv v', where the adjoint dv is rounded, too. In ``"float16"`` M and v
            are rounded and adjoints are not. ``"int8"`` is for the engine and without a derivative: M[j] is the nearest
            of 255 multiples of its largest number / 127, for each row j, and v is rounded to 8 bits by its largest
            number, or to 16 where it comes from outside; sums are exact (``engine/int8.h``). Everything else (states,
            gates, biases, vectors) is not rounded. None for no rounding.
        saved: ``"bfloat16"`` for half the memory between the forward run and the backward run of float32 tensors: what
            the derivative reads of gates and states is rounded when the engine saves it. Results are not rounded,
            gradients take the rounding. None for no rounding; what runs eagerly has none either.

    Raises:
        SpecError: the cell has no such matrix, or there is no such type of products or of what is saved.
    """
    return _made(graph, widths, sparse, kept and bool(sparse), products, saved)


@lru_cache(maxsize=512)
def _made(
    graph: Graph,
    widths: tuple[tuple[str, int], ...],
    sparse: tuple[str, ...],
    kept: bool,
    products: Products | None = None,
    saved: Saved | None = None,
) -> SizedCell:
    return SizedCell(graph, dict(widths), sparse, kept=kept, products=products, saved=saved)


@lru_cache(maxsize=512)
def described(text: str) -> SizedCell:
    """The cell that ``SizedCell.text`` describes.

    Raises:
        SpecError: the text does not describe a cell with the widths of all its axes.
    """
    try:
        data = json.loads(text)
        graph, widths = Graph.from_json(data["graph"]), data["widths"]
        if not all(type(width) is int and 0 < width < 1 << 31 for width in widths.values()):
            raise SpecError("CELL_TEXT", f"the widths {widths!r:.60} are not counts", fix="pass SizedCell.text")
        lists, kept = tuple(data.get("sparse", ())), data.get("kept") is True
        types = {name: data.get(name) for name in ("products", "saved")}
        return sized(graph, tuple(widths.items()), lists, kept=kept, **types)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SpecError("CELL_TEXT", f"{text!r:.60} does not describe a cell", fix="pass SizedCell.text") from error
