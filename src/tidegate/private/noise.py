"""Gaussian noise for sums of clipped gradients, on a grid, so that no bit of a result tells where it came from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from tidegate.errors import InputError
from tidegate.private.stream import SecretStream

FINE: Final = 28  # the grid is 2^-28 of the noise's deviation, or finer by less than a factor of two
EXACT: Final = 2.0**52  # float64 holds every integer up to here
RARE: Final = 2.0**44  # of 2^64
PIECE: Final = 1 << 20  # weights at a time, so that noise needs 8 MB and not twice the model


def add_noise(sums: Sequence[Tensor], clip: float, sigma: float, stream: SecretStream) -> None:
    """Add Gaussian noise to the sums of clipped gradients, in place: the Gaussian mechanism.

    Equations:
        out = g (round(sum / g) + round(n / g)),  n ~ N(0, sigma² (clip + g sqrt(d))²) for each of d weights

    with g = 2^-28 sigma clip, rounded down to a power of two.

    Plain addition in floating point is not private: which of the unevenly spaced numbers can come out depends on the
    sum (Mironov 2012), an attack that works on this kind of training (Jin et al. 2021, arXiv 2112.05307) and that
    sums of several draws (Holohan and Braghin 2021) make expensive, not impossible (Haney et al. 2022, arXiv
    2207.13793). Here all results lie on one grid whatever the sum is, and round(n / g) + m = round(n / g + m) for every
    integer m: the result is that of the ideal mechanism on the rounded sum, rounded. Rounding changes a sum by at most
    g/2 in each weight, so two sums that are ``clip`` apart are at most clip + g sqrt(d) apart; the noise is as much
    wider, four millionths for a million weights. ``gaussians`` says why every point of the grid can be reached.

    Args:
        sums: of all parameters; one call for a step, since ``clip`` holds for all of them together.
        clip: the largest norm of the gradient of one unit.
        sigma: the noise multiplier; 0 changes nothing and draws nothing.
        stream: where the noise comes from.

    Raises:
        InputError: ``clip`` is infinite or not positive, or a sum is too large for the grid.

    Example:
        >>> import torch, tidegate as tg
        >>> sums = [torch.zeros(3)]
        >>> tg.private.add_noise(sums, clip=1.0, sigma=0.5, stream=tg.private.SecretStream.fresh(insecure_seed=0))
        >>> bool(sums[0].abs().max() > 0)
        True
    """
    if sigma == 0:
        return
    if not (0 < clip < math.inf and 0 < sigma < math.inf):
        raise InputError(
            "NOISE_SCALE",
            f"noise of {sigma:g} times a clip norm of {clip:g} is not a finite, positive amount",
            fix="pass a finite clip norm, or sigma 0 for no noise",
        )
    grid = 2.0 ** (math.floor(math.log2(sigma * clip)) - FINE)
    count = sum(tensor.numel() for tensor in sums)
    deviation = sigma * (clip / grid + math.sqrt(count))
    for tensor in sums:
        flat = tensor.detach().contiguous().view(-1)
        for piece in flat.split(PIECE):
            steps = (piece.double() / grid).round_()
            if bool((steps.abs() > EXACT).any() & steps.isfinite().all()):
                raise InputError(
                    "NOISE_RANGE",
                    f"a sum of clipped gradients is over {EXACT * grid:g}, too large for noise of {sigma * clip:g}",
                    fix="draw fewer units at a step",
                )
            noise = gaussians(piece.numel(), stream).mul_(deviation).round_().to(piece.device)
            piece.copy_(steps.add_(noise).mul_(grid))
        tensor.detach().copy_(flat.view_as(tensor))


def gaussians(count: int, stream: SecretStream) -> Tensor:
    """Independent standard normal numbers, float64 [count], by the transform of Box and Muller (1958).

    Equations:
        r = sqrt(-2 log u),  x = r cos(2 pi v),  y = r sin(2 pi v),  u and v uniform

    u has 64 bits, and 53 more where it is below 2^-20; above 1/2 its logarithm is taken from 1 - u. So neighbouring
    radii are less than 2^-32 apart from 0 to 12, and neighbouring angles 2^-50: on a grid of 2^-29 pairs (x, y) miss no
    point within 12 deviations, beyond which lies less than 2^-100 of the probability.
    """
    half = (count + 1) // 2
    words = stream.words(2 * half)
    u = words[:half].astype(np.float64)
    rare = np.flatnonzero(u < RARE)
    if len(rare):
        u[rare] += (stream.words(len(rare)).astype(np.float64) + 0.5) * 2.0**-64
    low = torch.from_numpy(u).mul_(2.0**-64)
    rest = torch.from_numpy((~words[:half]).astype(np.float64)).add_(1).mul_(2.0**-64)
    radius = torch.where(low < 0.5, low.log(), rest.neg_().log1p_()).mul_(-2).sqrt_()
    angle = torch.from_numpy(words[half:].astype(np.float64)).mul_(math.tau * 2.0**-64)
    return torch.cat((radius * angle.cos(), radius * angle.sin()))[:count]
