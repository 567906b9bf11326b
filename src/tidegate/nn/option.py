"""What a layer of any cell can be asked for: regularisation, first states and initialisation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from numbers import Real
from typing import Any, NamedTuple

import torch

from tidegate.cell import Graph
from tidegate.errors import InputError
from tidegate.nn.rows import Batch
from tidegate.passes import clip, drop_recurrent, restart, zoneout
from tidegate.passes.drop import MASK as DROPOUT
from tidegate.passes.restart import MASK as RESET
from tidegate.passes.zoneout import MASK as ZONEOUT
from tidegate.runtime import SizedCell

ByState = float | tuple[tuple[str, float], ...]  # one number for all states, or pairs of a state and its number


def _number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def _probability(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _positive(value: Any) -> bool:
    return _number(value) and value > 0


def _each(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """The check for one number, and for pairs of a state and a number."""
    return lambda value: all(check(v) for _, v in value) if isinstance(value, tuple) else check(value)


def _switch(value: object) -> bool:
    return isinstance(value, bool)


ALLOWED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "zoneout": (_each(_probability), "a probability, or a mapping from states to probabilities"),
    "recurrent_dropout": (_probability, "a probability"),
    "state_clip": (_each(_positive), "a positive number, or a mapping from states to such numbers"),
    "learn_initial_state": (_switch, "True or False"),
    "forget_bias": (_number, "a number"),
    "chrono": (lambda steps: _number(steps) and steps >= 2, "the longest dependency in steps, at least 2"),
    "orthogonal": (_switch, "True or False"),
}


@dataclass(frozen=True)
class Options:
    """The options of a layer. As text they are what a layer prints of them.

    Args:
        zoneout: probability that a unit keeps the old value of a state in a step, drawn anew at every step; for all
            states, or as a mapping from states to probabilities. Values are mixed behind the step, so h is made from
            the unmixed new c, as the paper prints it. In evaluation the mask is replaced by its expectation.
        recurrent_dropout: probability that a unit is dropped from what the recurrent matrices read, the same units at
            all steps of a sequence and for all of these matrices; those that stay are multiplied by 1 / (1 - p).
            In training only.
        state_clip: new states are clipped to [-s, s], all of them (so the only one of a cell with one), or those that a
            mapping names. What a step computes from a new state, as h from c, sees the clipped one.
        learn_initial_state: states that are not given begin as parameters, and ``reset=`` returns to them.
        forget_bias: the sum of the biases of the gate that keeps the state: f, or the update gate in a cell without
            one. Where an open gate writes (a GRU with ``update="write"``), it is the negative.
        chrono: the longest dependency T in steps: that sum is drawn as log(u), u from U[1, T-1], and that of the input
            gate beside a gate f is its negative.
        orthogonal: each gate's block of the recurrent matrices begins as an orthogonal matrix of its own.

    Random numbers:
        Layer by layer, and for each direction, the masks of zoneout in the order of the states, then that of recurrent
        dropout; then the dropout of what the layer above reads. Masks are drawn for all steps of all sequences in the
        caller's order, whatever the lengths. All are drawn by the ``generator`` of the call, or else by torch's own.

    References:
        Krueger et al. 2017, Zoneout, arXiv 1606.01305; Gal & Ghahramani 2016, A Theoretically Grounded Application of
        Dropout in Recurrent Neural Networks, arXiv 1512.05287; Tallec & Ollivier 2018, Can Recurrent Neural Networks
        Warp Time?, arXiv 1804.11188.

    Raises:
        InputError: a value that cannot be meant.

    Example:
        >>> from tidegate.nn.option import Options
        >>> print(Options(zoneout={"h": 0.05, "c": 0.5}, learn_initial_state=True))
        , zoneout={'h': 0.05, 'c': 0.5}, learn_initial_state=True
    """

    zoneout: ByState | Mapping[str, float] = 0.0
    recurrent_dropout: float = 0.0
    state_clip: ByState | Mapping[str, float] | None = None
    learn_initial_state: bool = False
    forget_bias: float | None = None
    chrono: float | None = None
    orthogonal: bool = False

    def __post_init__(self) -> None:
        for name in ("zoneout", "state_clip"):  # its owner could change a mapping, and it cannot be a key of a cache
            if isinstance(value := getattr(self, name), Mapping):
                object.__setattr__(self, name, tuple(value.items()))
        for name, value in self._chosen().items():
            allowed, expected = ALLOWED[name]
            if not allowed(value):
                raise InputError("OPTION", f"{name} is {_shown(value)}, expected {expected}", fix=f"change {name}")
        if self.forget_bias is not None and self.chrono is not None:
            raise InputError(
                "OPTION", "forget_bias and chrono both set the bias of the forget gate", fix="leave one of them out"
            )

    def __str__(self) -> str:
        return "".join(f", {name}={_shown(value)}" for name, value in self._chosen().items())

    def _chosen(self) -> dict[str, Any]:
        """The options that differ from those of a plain layer."""
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {name: value for name, (value, plain) in values.items() if value != plain}

    def check(self, graph: Graph) -> None:
        """Refuse names of states that the cell does not carry.

        Raises:
            InputError: naming those that it does.
        """
        has = [state.name for state in graph.states]
        for option in ("zoneout", "state_clip"):
            value = getattr(self, option)
            unknown = [name for name, _ in value if name not in has] if isinstance(value, tuple) else []
            if unknown:
                raise InputError(
                    "OPTION_STATE",
                    f"{option} names {', '.join(map(repr, unknown))}, but {graph.name} carries {' '.join(has)}",
                    fix="name states that the cell carries",
                )

    @property
    def drawn(self) -> bool:
        """Whether a layer draws masks in training."""
        return bool(self.zoneout or self.recurrent_dropout)

    @property
    def run_differently(self) -> bool:
        """Whether a layer computes something else than a plain one, once it is initialised."""
        return self.drawn or self.learn_initial_state or self.state_clip is not None

    def masks(self, draw: Draw, cell: SizedCell) -> list[torch.Tensor]:
        """The masks of one direction of a layer, drawn in the order in which its graph declares them."""
        found = []
        for mask in cell.graph.masks:
            width = cell.widths[mask.axis]
            if mask.name.startswith(RESET.format("")):
                assert draw.resets is not None
                found.append(draw.resets[:, None].to(draw.like.dtype).expand(-1, width))
            elif mask.name.startswith(DROPOUT.format("")):
                shape = (draw.sequences, width)
                found.append(draw.placed(kept(shape, draw.like, self.recurrent_dropout, draw.generator), mask.each))
            else:
                rate = _by_state(self.zoneout, cell.graph)[mask.name.removeprefix(ZONEOUT.format(""))]
                shape = (draw.steps * draw.sequences, width)
                found.append(draw.placed(ones(shape, draw.like, rate, draw.generator), mask.each))
        return found


class Draw(NamedTuple):
    """How a call draws masks: for all steps of all sequences in the caller's order, so that no length changes them.

    Attributes:
        like: masks are of its dtype, on its device.
        steps: of the caller's layout.
        sequences: those of length zero included.
        resets: for each row whether it begins anew.
        generator: that draws; torch's own unless given.
        batch: as whose rows the masks are to lie; None to leave them in the caller's order.
    """

    like: torch.Tensor
    steps: int
    sequences: int
    resets: torch.Tensor | None
    generator: torch.Generator | None
    batch: Batch | None = None

    @staticmethod
    def of_rows(batch: Batch, like: torch.Tensor, generator: torch.Generator | None) -> Draw:
        """For masks that lie as the rows of a batch."""
        return Draw(like, batch.steps, batch.size, batch.rows.resets, generator, batch)

    def placed(self, mask: torch.Tensor, each: str) -> torch.Tensor:
        return mask if self.batch is None else self.batch.placed(mask, each)


def _shown(value: object) -> str:
    return repr(dict(value) if isinstance(value, tuple) else value)


def _by_state(value: Any, graph: Graph) -> dict[str, float]:
    if value is None:
        return {}
    return dict(value) if isinstance(value, tuple) else {state.name: value for state in graph.states}


@lru_cache(maxsize=256)
def with_options(graph: Graph, options: Options, *, training: bool, restarts: bool) -> Graph:
    """The cell as a layer with these options runs it.

    States are clipped first; what is mixed by zoneout is within their bounds then.

    Args:
        graph: the cell, projected if it is to be.
        options: of the layer.
        training: masks are drawn; else zoneout is its expectation, and nothing is dropped.
        restarts: resets lead to the learned states, by a mask of their own.
    """
    bounds, rates = _by_state(options.state_clip, graph), _by_state(options.zoneout, graph)
    graph = clip(graph, bounds) if bounds else graph
    graph = zoneout(graph, rates, drawn=training) if any(rates.values()) else graph
    graph = drop_recurrent(graph) if training and options.recurrent_dropout else graph
    return restart(graph) if restarts else graph


def ones(shape: tuple[int, ...], like: torch.Tensor, rate: float, generator: torch.Generator | None) -> torch.Tensor:
    """1 with probability ``rate``, else 0. The same numbers are drawn whatever the dtype.

    Comparing uniform numbers takes half of the time of torch's Bernoulli numbers on a CPU.
    """
    drawn = torch.rand(shape, dtype=torch.float32, device=like.device, generator=generator)
    return (drawn < rate).to(like.dtype)


def kept(shape: tuple[int, ...], like: torch.Tensor, rate: float, generator: torch.Generator | None) -> torch.Tensor:
    """A mask of dropout: 0 with probability ``rate``, else 1 / (1 - rate)."""
    mask = ones(shape, like, 1 - rate, generator)
    return mask if rate == 1 else mask.div_(1 - rate)
