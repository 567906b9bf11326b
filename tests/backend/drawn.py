"""Random configurations of a layer, each told by its seed: what the engine is compared with the definition at."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from tests.reference.given import Timed
from tests.reference.unitwise import UNITWISE
from tidegate.cell import Cell
from tidegate.cell.graph import all_widths
from tidegate.nn import Recurrent
from tidegate.runtime import SizedCell, sized
from tidegate.zoo import CELLS, find

AWKWARD = (1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 129)  # around the widths of vectors and panels
MOST_PRODUCTS = 3e8  # multiplications of a forward run: half a second
MOST_STEPS = 400  # of all layers and directions together, since the definition runs them one by one
SATURATING = 30.0

LAYOUTS = ("full", "full", "batch first", "batch first", "lengths", "lengths", "packed", "single")
PLACES = ("whole", "whole", "transposed", "sliced", "expanded")  # how the input lies in memory
LOSSES = ("all", "all", "output", "last", "one state", "sum", "end", "transposed")
ALL_OPTIONS = {"zoneout": 0.2, "recurrent_dropout": 0.3, "state_clip": 0.5, "learn_initial_state": True}
BY_UNIT = ("mingru", "minlstm", "indrnn", *UNITWISE)  # every unit runs through time by itself
SHARE_BY_UNIT = 0.15
NORMED = ("lstm", "lstm", "gru", "mgu", "rnn")
SHARE_GIVEN = 0.05  # of configurations: these too have cells that read time and what is missing
FEWEST_NORMED = 8  # units: of a row of one nothing is left, and of two the signs; gradients are then rounding errors
SPARSE = ("blocks", "halves", "scattered", "heads", "nothing")  # what is kept of matrices whose panels have lists
SHARE_SPARSE = 0.15
SHARE_HEADS = 0.3
EXTRAS = ("threads", "retain", "data", "functional", "inference", "traced", "watched")


@dataclass(frozen=True)
class Configuration:
    """A layer and a way to call it. ``lengths`` is None where all sequences are equally long."""

    seed: int
    cell: str
    projected: int
    T: int
    B: int
    features: int
    hidden: int
    own: dict[str, int]  # widths of axes of the cell's own
    layers: int
    bidirectional: bool
    bias: bool
    layout: str
    lengths: tuple[int, ...] | None
    resets: bool
    given: bool
    place: str
    saturated: bool
    dtype: torch.dtype
    threads: int
    loss: str
    input_gradient: bool
    frozen: float  # the share of parameters that are
    extras: tuple[str, ...]
    options: Mapping[str, object] = field(default_factory=dict)
    norm: str | bool = False
    sparse: str = ""  # one of SPARSE
    heads: int = 1

    @property
    def passes(self) -> int:
        return self.layers * (1 + self.bidirectional)

    @property
    def batch_first(self) -> bool:
        return self.layout == "batch first" or (self.lengths is not None and self.seed % 2 == 0)


# To the engine a matrix that is made of another one is like any other; options and names of parameters differ.
PLAIN = [name for name, cell in CELLS.items() if not any(matrix.mirror for matrix in cell.graph.matrices)]


def draw(seed: int) -> Configuration:
    """The configuration of that seed."""
    random, other, third = Random(seed), Random(-seed), Random(f"by unit {seed}")
    norm = other.choice(("all", "all", "each")) if other.random() < 0.1 else False
    cell = random.choice([*PLAIN, "lstm", "gru"])  # the two that most people run, twice as often
    cell = other.choice(NORMED) if norm else cell
    layers, bidirectional = random.choice((1, 1, 1, 2, 3)), random.random() < 0.4
    cell = third.choice(BY_UNIT) if not norm and third.random() < SHARE_BY_UNIT else cell
    cell = "timed" if not norm and Random(f"given {seed}").random() < SHARE_GIVEN else cell
    graph = cell_of(cell).graph
    layout = random.choice(LAYOUTS)
    features, hidden = _width(random), _width(random)
    hidden = max(hidden, FEWEST_NORMED) if norm else hidden
    if graph.input_axis == "H":  # which two directions below another layer are not
        features, bidirectional = hidden, bidirectional and layers == 1
    if any(item.axis == "I" for item in (*graph.states, *graph.given)):  # as wide as the input of every layer
        layers, features = (layers, hidden) if layers > 1 and not bidirectional else (1, features)
    T, B = _sizes(random, layers * (1 + bidirectional), features, hidden)
    B = min(B, third.choice((B, third.randint(1, 12)))) if cell in BY_UNIT else B  # few run one after the other
    B = 1 if layout == "single" else max(B, layout == "packed")  # torch packs no empty batch
    projected = random.randint(1, hidden - 1) if cell == "lstm" and hidden > 1 and random.random() < 0.4 else 0
    own = {axis: _width(random) for axis in graph.own_axes}
    return Configuration(
        seed=seed,
        cell=cell,
        projected=projected,
        T=T,
        B=B,
        features=features,
        hidden=hidden,
        own=own,
        layers=layers,
        bidirectional=bidirectional,
        bias=random.random() < 0.8,
        layout=layout,
        lengths=_lengths(random, layout, T, B),
        resets=layout != "packed" and random.random() < 0.25,
        given=random.random() < 0.5,
        place=random.choice(PLACES),
        saturated=random.random() < 0.1,
        dtype=random.choice((torch.float32, torch.float64)),
        threads=random.choice((1, 2, 2, 3, 4)),
        loss=random.choice(LOSSES),
        input_gradient=random.random() < 0.8,
        frozen=random.choice((0, 0, 0, 0.3, 1)),
        extras=tuple(extra for extra in EXTRAS if random.random() < 0.2),
        options=_options(random) if seed % 16 == 0 else {},  # seldom: each takes seconds to compile
        norm=norm,
        sparse=_sparse(Random(f"sparse {seed}")),
        heads=_heads(Random(f"heads {seed}"), hidden, projected, *own.values()),
    )


def cell_of(name: str) -> type[Cell]:
    """The cell of that name in the zoo, or among those that only tests have."""
    return UNITWISE.get(name) or (Timed if name == "timed" else find(name))


def _options(random: Random) -> dict[str, object]:
    """One option or all of them: no more combinations than that, so that few are compiled."""
    chosen = random.choice([*ALL_OPTIONS, None])
    return {name: value for name, value in ALL_OPTIONS.items() if chosen in (name, None)}


def _sparse(random: Random) -> str:
    return random.choice(SPARSE) if random.random() < SHARE_SPARSE else ""


def _heads(random: Random, *widths: int) -> int:
    """A divisor of all widths, if any."""
    divisors = [n for n in range(2, max(widths) + 1) if not any(width % n for width in widths)]
    return random.choice(divisors) if divisors and random.random() < SHARE_HEADS else 1


def _width(random: Random) -> int:
    return random.choice(AWKWARD) if random.random() < 0.6 else random.randint(1, 150)


def _sizes(random: Random, passes: int, features: int, hidden: int) -> tuple[int, int]:
    T, B = random.choice((1, 2, *[random.randint(1, 40)] * 6)), random.randint(1, 70)
    rare = random.random()
    if rare < 0.04:
        T, B = random.randint(100, 500), random.randint(1, 4)
    elif rare < 0.08:
        T, B = random.randint(1, 6), random.randint(100, 600)
    elif rare < 0.09:
        B = 0
    T = max(1, min(T, MOST_STEPS // passes))
    while T * B * passes * 4 * hidden * (hidden + features) > MOST_PRODUCTS and B > 1:
        B //= 2
    return T, B


def _lengths(random: Random, layout: str, T: int, B: int) -> tuple[int, ...] | None:
    if layout not in ("lengths", "packed"):
        return None
    low = 1 if layout == "packed" else 0
    kind = random.random()
    if kind < 0.1:
        return (random.choice((low, T)),) * B
    return tuple(random.choice((low, T, *[random.randint(low, T)] * 4)) for _ in range(B))


@dataclass(frozen=True)
class Problem:
    """The numbers of a configuration, in its number type."""

    configuration: Configuration
    parameters: dict[str, Tensor]
    x: Tensor  # [T, B, features]
    resets: Tensor | None  # [T, B]
    states: tuple[Tensor, ...] | None  # each [passes, B, width]
    seed: int
    given: dict[str, Tensor]  # each [T, B] or [T, B, width]


def layer_of(configuration: Configuration, dtype: torch.dtype) -> Recurrent:
    c = configuration
    options = dict(c.options) | ({"proj_size": c.projected} if c.projected else {})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* has no recurrent matrix")  # options are drawn for all cells alike
        layer = Recurrent(
            cell_of(c.cell),
            c.features,
            c.hidden,
            c.layers,
            c.bias,
            c.batch_first,
            0.0,
            c.bidirectional,
            dtype=dtype,
            widths=c.own,
            layer_norm=c.norm,
            heads=c.heads,
            **options,
        )
    if c.sparse:
        layer._variants = {
            when: variant._replace(cells=[with_lists(cell) for cell in variant.cells])
            for when, variant in layer._variants.items()
        }
    return layer


def with_lists(cell: SizedCell) -> SizedCell:
    """The same cell, all of whose matrices have lists."""
    return sized(cell.graph, tuple(cell.widths.items()), tuple(matrix.name for matrix in cell.graph.matrices))


def kept(weight: Tensor, which: str) -> Tensor:
    """What is kept of a weight [rows, columns]: 1 and 0."""
    rows, columns = weight.shape
    if which == "heads":  # in each block of as many rows as columns its diagonal third, of a narrow one all
        head = -(-columns // 3)
        return ((torch.arange(rows) % columns)[:, None] // head == torch.arange(columns) // head).to(weight.dtype)
    if which == "scattered":
        return (torch.rand(rows, columns) < 0.3).to(weight.dtype)
    if which == "nothing":
        return torch.zeros_like(weight)
    height = 32 if which == "halves" else 64
    count = -(-rows // height)
    blocks = (torch.rand(count, columns) < 0.3) & (torch.rand(count, 1) < 0.8)  # some keep nothing
    return blocks.repeat_interleave(height, 0)[:rows].to(weight.dtype)


def problem_of(configuration: Configuration) -> Problem:
    """Random numbers: parameters as torch draws them, all else normal."""
    c = configuration
    torch.manual_seed(c.seed)
    layer = layer_of(c, c.dtype)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("initial_"):
                parameter.normal_()
            if c.sparse and name.startswith("weight") and parameter.dim() == 2:
                parameter.mul_(kept(parameter, c.sparse))
    widths = layer.cells[0].state_widths
    states = tuple(torch.randn(c.passes, c.B, width, dtype=c.dtype) for width in widths)
    return Problem(
        c,
        {name: p.detach().clone() for name, p in layer.named_parameters()},
        torch.randn(c.T, c.B, c.features, dtype=c.dtype) * (SATURATING if c.saturated else 1),
        torch.rand(c.T, c.B) < 0.1 if c.resets else None,
        states if c.given else None,
        c.seed,
        _given(c, layer),
    )


def _given(c: Configuration, layer: Recurrent) -> dict[str, Tensor]:
    """What the cell reads beside its input: times, and shares of what is there."""
    axes = all_widths(layer.cells[0].widths)
    shapes = {v.name: (c.T, c.B) if v.axis == "1" else (c.T, c.B, axes[v.axis]) for v in layer.graph.given}
    return {name: torch.rand(shape, dtype=c.dtype) for name, shape in shapes.items()}


def placed(x: Tensor, place: str) -> Tensor:
    """The same values, laid out in memory in another way; ``expanded`` makes all sequences equal."""
    if place == "transposed":
        return x.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    if place == "sliced":  # at odd addresses, rows apart
        wide = x.new_full((*x.shape[:-1], x.shape[-1] + 3), float("nan"))
        wide[..., 1:-2] = x
        return wide[..., 1:-2]
    return x[:, :1].expand(x.shape) if place == "expanded" else x


def arguments_of(problem: Problem, dtype: torch.dtype) -> tuple[tuple, dict, dict[str, Tensor]]:
    """Positional and named arguments of a call, and the leaves among them."""
    c = problem.configuration
    leaf = placed(problem.x.to(dtype), c.place).detach().requires_grad_(c.input_gradient)
    states = problem.states and tuple(_stacked(s.to(dtype), c.place).requires_grad_() for s in problem.states)
    leaves = ({"x": leaf} if c.input_gradient else {}) | {f"state {k}": s for k, s in enumerate(states or ())}
    if c.layout == "single":
        x, resets = leaf[:, 0], None if problem.resets is None else problem.resets[:, 0]
        hx = states and tuple(s[:, 0] for s in states)
    else:
        x, resets, hx = leaf, problem.resets, states
    if c.batch_first and c.layout != "single":
        x, resets = x.transpose(0, 1), None if resets is None else resets.transpose(0, 1)
    named: dict = {"reset": resets} if resets is not None else {}
    if problem.given:
        given = {name: value.to(dtype) for name, value in problem.given.items()}
        if c.layout == "single":
            given = {name: value[:, 0] for name, value in given.items()}
        elif c.batch_first:
            given = {name: value.transpose(0, 1) for name, value in given.items()}
        named["given"] = given
    if c.options:
        named["generator"] = torch.Generator().manual_seed(c.seed)  # the same masks in every run
    if c.layout == "packed":
        x = pack_padded_sequence(x, list(c.lengths or ()), c.batch_first, enforce_sorted=False)
    elif c.lengths is not None:
        named["lengths"] = c.lengths
    return (x, hx[0] if hx and len(hx) == 1 else hx), named, leaves


def _stacked(state: Tensor, place: str) -> Tensor:
    return (torch.stack([state, state], dim=-1)[..., 0] if place == "transposed" else state.clone()).detach()


def flat(y: Tensor | PackedSequence) -> Tensor:
    return y.data if isinstance(y, PackedSequence) else y
