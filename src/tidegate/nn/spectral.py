"""A parametrization that keeps parts of a matrix within a spectral norm."""

from __future__ import annotations

from itertools import groupby

import torch

VECTORS = 16  # what grows from nothing is among the sixteen largest directions long before it is the largest
STEPS = 2  # of an iteration at each call; the call before was nearly there
FIRST_STEPS = 30


class SpectralBound(torch.nn.Module):
    """Scales each part of a matrix down to at most a spectral norm: ``W_g * min(1, bound / norm(W_g))``.

    Parts within the bound stay as they are. Norms are found by iterating a subspace of sixteen vectors for each part,
    which goes on from call to call. It comes from below, so the norm of a result may exceed the bound a little.
    Gradients pass through the norm.

    Args:
        rows: of each part.
        bound: of the norm of each part.
        weight: the matrix.
    """

    v: torch.Tensor

    def __init__(self, rows: tuple[int, ...], bound: float, weight: torch.Tensor) -> None:
        super().__init__()
        self.bound = bound
        self.stacks = [(len([*same]), count) for count, same in groupby(rows)]  # parts of equal height, side by side
        columns = weight.shape[1]
        shape = (len(rows), columns, min(VECTORS, columns, *rows))
        start = torch.randn(shape, generator=torch.Generator().manual_seed(0))  # leaves torch's own numbers alone
        self.register_buffer("v", start.to(weight))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The matrix with its parts scaled down."""
        pairs = self._singular_pairs(weight, STEPS, keep=self.training)
        parts = []
        for part, (u, v) in zip(self._parts(weight), pairs, strict=True):
            norm = torch.einsum("nr,nrc,nc->n", u, part, v)
            parts.append((part * (self.bound / norm.clamp_min(self.bound))[:, None, None]).flatten(0, 1))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        """The matrix to store for one that somebody assigns: itself, whose norms are found anew."""
        self.find(weight)
        return weight

    def find(self, weight: torch.Tensor) -> None:
        """Find the norms of a matrix that has nothing to do with the one before."""
        self._singular_pairs(weight, FIRST_STEPS, keep=True)

    def extra_repr(self) -> str:
        return f"bound={self.bound:g}"

    def _parts(self, weight: torch.Tensor) -> list[torch.Tensor]:
        """Parts of equal height together, each [parts, rows, columns]."""
        cut = weight.split([count * rows for count, rows in self.stacks])
        return [one.unflatten(0, stack) for one, stack in zip(cut, self.stacks, strict=True)]

    @torch.no_grad()
    def _singular_pairs(
        self, weight: torch.Tensor, steps: int, *, keep: bool
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """For each stack the left and right vectors of the largest singular values of its parts."""
        pairs, found = [], []
        for part, start in zip(self._parts(weight.detach()), self.v.split([n for n, _ in self.stacks]), strict=True):
            v = start
            for _ in range(steps):
                u, _ = torch.linalg.qr(part @ v)
                v, small = torch.linalg.qr(part.mT @ u)  # part.mT u = v small, so that u.mT part v = small.mT
            left, _, right = torch.linalg.svd(small.mT)
            pairs.append(((u @ left[..., :1])[..., 0], (v @ right.mT[..., :1])[..., 0]))
            found.append(v)
        if keep:
            self.v.copy_(torch.cat(found))
        return pairs
