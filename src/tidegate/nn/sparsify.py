"""``sparsify``: prune the recurrent layers of a model in blocks while it learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch.nn.utils.parametrize import is_parametrized

from tidegate.errors import InputError
from tidegate.nn.sparse import Blocks, Sparse, class_of


class Sparsity:
    """The pruning of a model: call ``step`` after each step of the optimizer. ``sparsify`` makes it.

    Attributes:
        target: the share of each weight that is kept in the end.
        steps: how many steps have been taken.
    """

    def __init__(
        self, model: torch.nn.Module, target: float, block: int, begin: int, end: int, every: int, of: str | None
    ) -> None:
        self.target, self.steps = target, 0
        self._block, self._begin, self._end, self._every = block, begin, end, every
        self._weights = [*_chosen(model, of)]
        self._prune()

    @property
    def density(self) -> float:
        """The largest share of each weight that is kept at this step."""
        if self.steps >= self._end:
            return self.target
        left = min(1.0, (self._end - self.steps) / (self._end - self._begin))
        return self.target + (1 - self.target) * left**3

    @property
    def finished(self) -> bool:
        """Whether the target is reached."""
        return self.steps >= self._end

    def step(self) -> None:
        """Take a step: prune where it is time, and set to zero again what an optimizer has moved."""
        self.steps += 1
        since = self.steps - self._begin
        if self.steps <= self._end and since >= 0 and (since % self._every == 0 or self.steps == self._end):
            self._prune()
            return
        with torch.no_grad():
            for layer, name in self._weights:
                getattr(layer, name).masked_fill_(layer.sparse[name].zero, 0)

    def _prune(self) -> None:
        density = self.density
        for layer in dict.fromkeys(layer for layer, _ in self._weights):
            known = layer.weights()
            layer.hold_zero(
                {
                    name: Blocks.largest(getattr(layer, name), density, self._block, known[name].heights)
                    for own, name in self._weights
                    if own is layer
                }
            )

    def state_dict(self) -> dict[str, int]:
        """The number of steps; what is pruned is what is zero in the weights of the model."""
        return {"steps": self.steps}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where another one was. The model reads what is pruned from its own ``state_dict``.

        Args:
            state: from ``state_dict``.
        """
        self.steps = state["steps"]

    def __repr__(self) -> str:
        where = "" if self.finished else f" at step {self.steps:,} of {self._end:,}"
        return f"Sparsity(density={self.density:.4g}{where}, block={self._block}, weights={len(self._weights)})"


def sparsify(
    model: torch.nn.Module,
    density: float = 0.1,
    block: int = 32,
    *,
    begin: int = 0,
    end: int = 0,
    every: int = 100,
    of: str | None = None,
) -> Sparsity:
    """Prune the recurrent layers and cells of a model in blocks, at once or in steps while it learns.

    A block is ``block`` neighbouring units of a gate in one column of a weight. Of each weight, layer and direction the
    blocks with the largest mean of absolute values are kept. The others are set to zero and stay zero: their gradients
    are zero, and every optimizer of torch leaves them where they are, whatever momentum it has. Call ``step`` after
    each step of any other optimizer too. The layers multiply what is kept (``tidegate.nn.sparse``), and ``repr`` says
    how much that is. A pruned block does not come back.

    The weights stay dense tensors with zeros under their own names, so checkpoints stay what they are, and every other
    program reads them. Where such weights are loaded into a layer that was sparsified, their zero blocks are held at
    zero and no others. ``Session`` finds blocks of zeros by itself.

    Equations:
        density after step s = density + (1 - density) (1 - (s - begin) / (end - begin))^3, at most 1

    Args:
        model: any module; it may be a layer or a cell itself. Layers of torch.nn are left alone; see ``accelerate``.
        density: the share of each weight that is kept in the end, above 0. 1 holds at zero the blocks that are zero.
        block: units of a block. Blocks of 32, aligned as ours are, are multiplied as quickly as promised in float32
            where the processor has AVX-512; 8 and 16 suffice under AVX2. Narrow blocks cost less accuracy; with 1, what
            is zero is spread out, so that hardly a product is spared.
        begin: the step at which pruning begins.
        end: the step at which the density is reached; by default all is pruned at once.
        every: prune after so many steps, from ``begin`` on.
        of: the matrices of the cell, such as ``"U"`` or ``"W U"``; all unless given.

    Returns:
        The schedule. Where ``end`` is 0 it has nothing more to do.

    Raises:
        InputError: no layer or cell of tidegate.nn in the model, a number out of range, a matrix that no cell has, or a
            weight that is parametrized or pruned by torch.nn.utils.prune.

    References:
        The schedule: Zhu and Gupta 2017, arXiv 1710.01878. Blocks: Narang et al. 2017, arXiv 1711.02782.

    Example:
        >>> import torch, tidegate as tg
        >>> layer = tg.nn.GRU(64, 128)
        >>> optimizer = torch.optim.Adam(layer.parameters())
        >>> pruning = tg.sparsify(layer, density=0.2, end=3, every=1)
        >>> for _ in range(3):
        ...     layer(torch.randn(5, 8, 64))[0].square().mean().backward()
        ...     optimizer.step()
        ...     pruning.step()
        >>> pruning.density, round(float((layer.weight_hh_l0 != 0).float().mean()), 2)
        (0.2, 0.2)
    """
    if not (isinstance(density, (int, float)) and 0 < density <= 1):
        raise InputError("SPARSITY", f"density={density!r:.40} is not a share", fix="pass a number above 0, up to 1")
    for name, value, low in (("block", block, 1), ("begin", begin, 0), ("every", every, 1), ("end", end, 0)):
        if type(value) is not int or value < low:
            raise InputError("SPARSITY", f"{name}={value!r:.40} is not a count", fix=f"pass a whole number from {low}")
    if begin > end:
        raise InputError("SPARSITY", f"begin={begin} comes after end={end}", fix="let pruning end after it begins")
    return Sparsity(model, density, block, begin, end, every, of)


def _chosen(model: torch.nn.Module, of: str | None) -> Iterator[tuple[Sparse, str]]:
    """Each weight to prune: its module and its attribute."""
    layers = sparse_modules(model)
    matrices = {weight.matrix: None for layer in layers for weight in layer.weights().values()}
    wanted = matrices if of is None else dict.fromkeys(of.split())
    unknown = [name for name in wanted if name not in matrices]
    if unknown or not wanted:
        raise InputError(
            "SPARSITY", f"of={of!r:.40}, but the cells here have {' '.join(matrices)}", fix="name some of those"
        )
    for layer in layers:
        for name, weight in layer.weights().items():
            if weight.matrix not in wanted:
                continue
            if is_parametrized(layer, name) or name not in layer._parameters:  # noqa: SLF001  of a module
                raise InputError(
                    "SPARSITY",
                    f"{name} of {type(layer).__name__} is parametrized or pruned by torch.nn.utils.prune",
                    fix="make a plain parameter of it: parametrize.remove_parametrizations, or prune.remove",
                )
            yield layer, name


def sparse_modules(model: torch.nn.Module) -> list[Sparse]:
    """The layers and cells of ours in a model.

    Raises:
        InputError: there are none, or it is not a module.
    """
    if not isinstance(model, torch.nn.Module):
        raise InputError(
            "MODEL",
            f"expected a torch.nn.Module, got {type(model).__name__}",
            fix="pass the model that contains the layers",
        )
    layers = [module for module in model.modules() if isinstance(module, Sparse)]
    if not layers:
        raise InputError(
            "SPARSITY",
            f"{class_of(model)} has no layer or cell of tidegate.nn",
            fix="pass a model with some; tidegate.accelerate makes them of torch's",
        )
    return layers
