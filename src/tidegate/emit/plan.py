"""Plans: what the engine is told about one run of a cell, as plain data that prints itself.

A plan says which rows each phase multiplies, where every value lies and which emitted function does the
pointwise work. It names tensors and functions; addresses are filled in by ``runtime/structure.py``, which
writes a plan into the C structures of ``engine/plan.h``. Offsets and widths count elements.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """Where a row of values lies; the numbers of ``tg_kind`` in ``engine/plan.h``."""

    ROWS = 0  # of a tensor with one row for each sequence
    SERIES = 1  # of a tensor with one row for each step of each sequence
    CHUNK = 2  # of the workspace for the steps of the present chunk
    BEFORE = 3  # of the carried values before the step
    AFTER = 4  # of the carried values after the step
    SCRATCH = 5  # of the values that earlier phases of the step kept
    PRODUCT = 6  # of this phase's products; the offset is the number of the product
    VECTOR = 7  # of a tensor with one row for all
    PREVIOUS = 8  # of a series one step earlier, or of the initial rows where there is none


class Halved(IntEnum):
    """What a run does with a series in bfloat16; the numbers of ``tg_halved`` in ``engine/plan.h``."""

    READ = 1
    WRITTEN = 2


class Place(NamedTuple):
    """Where a row of values lies.

    Attributes:
        kind: the memory.
        offset: first column in it.
        tensor: which tensor of the call, for ROWS, SERIES, VECTOR and PREVIOUS.
        initial: for PREVIOUS the tensor that stands in at the first step.
        one: one number a row, the same for all units.
    """

    kind: Kind
    offset: int = 0
    tensor: str = ""
    initial: str = ""
    one: bool = False

    def __str__(self) -> str:
        first = f" or {self.initial}" if self.initial else ""
        return f"{self.tensor or self.kind.name.lower()}{first} @{self.offset}{' one' if self.one else ''}"


class Weight(NamedTuple):
    """A block of rows of a weight: multiplied as it is stored (``across``) or, like W in W x, transposed.

    Where it is ``sparse``, what is zero in a whole row of a panel is neither kept nor multiplied. With ``heads``, each
    has an equal part of the rows and multiplies an equal part of the operand; a stored row has the columns of its part.
    """

    tensor: str
    row: int
    rows: int
    columns: int
    across: bool = False
    sparse: bool = False
    heads: int = 1

    def __str__(self) -> str:
        block = f"{self.tensor}[{self.row}:{self.row + self.rows}, :{self.columns}]"
        heads = f" {self.heads} heads" if self.heads > 1 else ""
        return f"{block}{'' if self.across else '.T'}{' sparse' if self.sparse else ''}{heads}"


class Product(NamedTuple):
    """Rows times a block of a weight, plus a bias.

    Attributes:
        operand: the rows.
        weight: the block.
        result: the number of the product in its phase; for products over a chunk the first column there.
        add: to what is there already.
        bias: the tensor of the bias, if any.
        bias_offset: first element of it.
        group: of a delta run: neighbours of one operand share a list of what changed; else -1.
        sum: first column of the sum in what a delta run remembers,
        sent: and of the operand as it was last sent.
    """

    operand: Place
    weight: Weight
    result: int
    add: bool = False
    bias: str = ""
    bias_offset: int = 0
    group: int = -1
    sum: int = 0
    sent: int = 0

    def __str__(self) -> str:
        bias = f" + {self.bias}[{self.bias_offset}:]" if self.bias else ""
        delta = f", group {self.group}: sum @{self.sum} sent @{self.sent}" if self.group >= 0 else ""
        return f"@{self.result} {'+=' if self.add else '='} ({self.operand}) x {self.weight}{bias}{delta}"


class Reduction(NamedTuple):
    """Mean and variance over all units of some places; columns of scratch, -1 where nothing reads the result."""

    width: int
    places: tuple[Place, ...]
    mean: int
    variance: int

    def __str__(self) -> str:
        return f"mean @{self.mean} variance @{self.variance} width {self.width}: {', '.join(map(str, self.places))}"


class PhasePlan(NamedTuple):
    """One phase: products, then pointwise work tile by tile.

    Attributes:
        width: of its rows.
        function: the name of the emitted pointwise function.
        products: multiplied first.
        places: the rows that the function reads and writes, in its own order.
        reductions: made of each tile when its pointwise work is complete.
        joins: the numbers of the reductions of this program that are finished before anything else.
    """

    width: int
    function: str
    products: tuple[Product, ...]
    places: tuple[Place, ...]
    reductions: tuple[Reduction, ...]
    joins: tuple[int, ...]

    @property
    def worked_on(self) -> tuple[Place, ...]:
        """What its pointwise work and its reductions read and write."""
        return *self.places, *(place for reduction in self.reductions for place in reduction.places)

    def lines(self) -> Iterator[str]:
        """The phase as text."""
        yield f"phase {self.function}, width {self.width}"
        yield from (f"  join reduction {number}" for number in self.joins)
        yield from (f"  product {product}" for product in self.products)
        yield from (f"  place {number}: {place}" for number, place in enumerate(self.places))
        yield from (f"  reduction {reduction}" for reduction in self.reductions)


class CarriedRow(NamedTuple):
    """A value that one step hands to the next; ``initial`` and ``last`` name tensors, "" for none."""

    width: int
    offset: int
    initial: str
    last: str

    def __str__(self) -> str:
        return f"@{self.offset} width {self.width}: {self.initial or 'zeros'} -> {self.last or 'nowhere'}"


class Gradient(NamedTuple):
    """``tensor[row ..] +=`` the sum over steps of adjoint times operand; if sparse, where the weight is not zero."""

    adjoint: int
    rows: int
    columns: int
    operand: Place
    tensor: str
    row: int
    sparse: bool = False

    @property
    def weight(self) -> str:
        """The tensor that it is the gradient of."""
        return self.tensor.removeprefix("d ")

    def __str__(self) -> str:
        block = f"{self.tensor}[{self.row}:{self.row + self.rows}, :{self.columns}]"
        return f"{block} += @{self.adjoint} x ({self.operand}){' sparse' if self.sparse else ''}"


class Sum(NamedTuple):
    """``tensor[offset ..] +=`` the sum over steps of an adjoint."""

    adjoint: int
    width: int
    tensor: str
    offset: int

    def __str__(self) -> str:
        return f"{self.tensor}[{self.offset}:{self.offset + self.width}] += @{self.adjoint}"


class Plan(NamedTuple):
    """A run of a cell at certain widths in one number type.

    Attributes:
        tensors: those of a call, in its order.
        carried_width: of all carried values, side by side.
        scratch_width: of the values that phases of one step keep for later ones.
        chunk_width: of one row of the chunk.
        saved_width: of the saved series, side by side.
        carried: the values that one step hands to the next.
        phases: of every step.
        ending: phases that run once, after the last step of a backward run.
        before: products of the input that fill a chunk before its steps.
        after: products of a full chunk that give the gradient of the input.
        gradients: of matrices, made from a full chunk.
        sums: of a full chunk: gradients of biases and vectors.
        input_gradient: the tensor that takes it, or "".
        chunk: the series whose rows are those of the chunk, or "": they lie in the workspace.
        tally: the tensor that takes for each sequence the sum of its rows of a second chunk, or "". That one lies in
            the workspace, beside the one that is a series.
        tally_width: of one row of it.
        source: the series that a chunk is copied from, each row times the weight of its sequence, or "".
        weights: the tensor of these, one number for each sequence.
        settings: numbers chosen for the layer, which lie in the last tensor; a plan brings this one itself.
        narrow: the tensors that have the type of the products, where that has fewer bits, instead of the plan's.
        halved: series that a call holds in bfloat16, which this run reads (READ) or writes (WRITTEN).
        by_unit: no unit ever reads another one, so each runs through time by itself; there is one phase, whose products
            are those of the input.
    """

    tensors: tuple[str, ...]
    carried_width: int
    scratch_width: int
    chunk_width: int
    saved_width: int
    carried: tuple[CarriedRow, ...]
    phases: tuple[PhasePlan, ...]
    ending: tuple[PhasePlan, ...] = ()
    before: tuple[Product, ...] = ()
    after: tuple[Product, ...] = ()
    gradients: tuple[Gradient, ...] = ()
    sums: tuple[Sum, ...] = ()
    input_gradient: str = ""
    chunk: str = ""
    tally: str = ""
    tally_width: int = 0
    source: str = ""
    weights: str = ""
    settings: tuple[float, ...] = ()
    by_unit: bool = False
    narrow: tuple[str, ...] = ()
    halved: tuple[tuple[str, Halved], ...] = ()

    @property
    def slots(self) -> int:
        """How many results of products one tile holds at once."""
        products = [product for phase in (*self.phases, *self.ending) for product in phase.products]
        return max((product.result + 1 for product in products), default=0)

    def __str__(self) -> str:
        widths = (self.carried_width, self.scratch_width, self.chunk_width, self.saved_width)
        lines = [f"tensors: {', '.join(self.tensors)}"]
        lines.append("widths: carried {}, scratch {}, chunk {}, saved {}".format(*widths))
        lines += ["each unit by itself"] * self.by_unit
        lines += [f"narrow: {', '.join(self.narrow)}"] * bool(self.narrow)
        lines += [f"the chunk lies in {self.chunk}"] * bool(self.chunk)
        lines += [f"{self.tally} += a chunk of width {self.tally_width}"] * bool(self.tally)
        lines += [f"the chunk is {self.source} by {self.weights}"] * bool(self.source)
        lines += [f"{tensor} in bfloat16, {half.name.lower()}" for tensor, half in self.halved]
        lines += [f"settings {', '.join(map(repr, self.settings))}"] * bool(self.settings)
        lines += [f"carried {row}" for row in self.carried]
        lines += [f"before the steps {product}" for product in self.before]
        lines += [line for phase in self.phases for line in phase.lines()]
        lines += [f"ending {line}" for phase in self.ending for line in phase.lines()]
        lines += [f"gradient {gradient}" for gradient in self.gradients]
        lines += [f"sum {one}" for one in self.sums]
        lines += [f"{self.input_gradient} {product}" for product in self.after]
        return "\n".join(lines)
