"""What a network for audio does in silence: it settles, rests at an offset, or goes on by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tidegate.errors import InputError
from tidegate.explain.arguments import layout, tensors
from tidegate.explain.probe import Probe, probe
from tidegate.language import joined, say

LEVEL = -90.0  # decibels: below the noise of 16 bits at full scale, 98 dB, and of most gear
BURST = 0.1  # seconds
REPEATS = 0.01  # of the variance by which two periods of a cycle may differ
FALLS = 1.0  # decibels between the last two quarters of the silence: it still settles
UNITS = {"s": ("s", say("second")), "steps": (say("steps"), say("step"))}  # and one of them
MOST_STEPS = 50_000_000


@dataclass(frozen=True)
class Silence:
    """What is heard after the input has fallen silent. Levels are in decibels of the largest output in the burst.

    Attributes:
        seconds: until the output stays within ``level`` of its offset; None if it does not within the time.
        level: what counts as settled.
        offset: [outputs] the mean of the output in the last quarter of the silence, under a smooth window.
        offset_level: of the largest offset; -inf for zero.
        idle: [outputs] the same without any burst before.
        rest_level: of what still moves in the last quarter; -inf for nothing.
        period: of a limit cycle, in seconds; None where nothing moves above ``level``, or without a period.
        falling: by how many decibels a second the movement still falls; 0 if it does not.
        sentence: all of this in words.
    """

    seconds: float | None
    level: float
    offset: tuple[float, ...]
    offset_level: float
    idle: tuple[float, ...]
    rest_level: float
    period: float | None
    falling: float
    sentence: str


def settle(
    model: torch.nn.Module | Probe,
    seconds: float = 5.0,
    rate: float = 44100.0,
    *,
    features: int | None = None,
    burst: float = BURST,
    amplitude: float = 1.0,
    level: float = LEVEL,
    seed: int = 0,
    unit: str = "s",
    batch_first: bool | None = None,
    **named: Any,
) -> Silence:
    """Feed a burst of noise and then silence, and measure how the output settles.

    Zeros follow a burst of uniform noise. The output should fall back to zero: what remains is a DC offset if it rests
    elsewhere, and a limit cycle if it goes on by itself, such as a whistle or a hum. A second sequence is silent from
    the start; a network that rests elsewhere after a burst than without one remembers it for ever.

    Args:
        model: a layer, or a module ``model(x)`` that holds one and returns its output first.
        seconds: of silence.
        rate: steps a second.
        features: the width of the input; None for that of the first recurrent layer.
        burst: the seconds of noise before.
        amplitude: of the noise, which lies between plus and minus this.
        level: decibels below the largest output in the burst that count as settled.
        seed: of the noise.
        unit: what times are told in: ``"steps"`` at a rate of 1.
        batch_first: whether the axis of sequences comes first; None if as in the recurrent layers.
        **named: further arguments of the model.

    Raises:
        InputError: times or levels that are no such numbers, a layer that reads from the end, or an output without
            steps.

    References:
        The stability of gated networks in silence: Bonassi, Farina and Scattolini, "On the stability properties of
        gated recurrent units neural networks", 2020, arXiv 2011.06806.

    Example:
        >>> import torch, tidegate as tg
        >>> from tidegate.explain import settle
        >>> _ = torch.manual_seed(0)
        >>> found = settle(tg.nn.LSTM(1, 8), seconds=0.1, rate=8000)
        >>> found.seconds < 0.1, found.period
        (True, None)
    """
    _check(seconds, rate, burst, amplitude, level)
    if features is not None and (isinstance(features, bool) or not isinstance(features, int) or features < 1):
        raise InputError("SILENCE", f"features is {features!r:.40}, expected an integer from 1", fix="leave it out")
    probed = probe(model)
    first = next(iter(probed.layers.values()))
    reverse = [name for name, layer in probed.layers.items() if layer.bidirectional]
    if reverse:
        raise InputError(
            "SILENCE", f"{', '.join(reverse)} reads sequences from the end: there is no after", fix="use one direction"
        )
    loud, quiet = max(1, round(burst * rate)), max(8, round(seconds * rate))
    generator = torch.Generator().manual_seed(seed)
    x = torch.zeros(loud + quiet, 2, first.input_size if features is None else features, dtype=torch.float64)
    x[:loud, 0] = amplitude * (2 * torch.rand(loud, x.shape[2], generator=generator, dtype=torch.float64) - 1)
    turned = layout(probed.model) if batch_first is None else batch_first
    y = _output(probed, x, named, turned=turned)
    found = _measured(y[:loud, 0], y[loud:, 0], y[loud:, 1], rate, level)
    return replace(found, sentence=_sentence(found, quiet / rate, unit))


def _check(seconds: float, rate: float, burst: float, amplitude: float, level: float) -> None:
    for name, value in (("seconds", seconds), ("rate", rate), ("burst", burst), ("amplitude", amplitude)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise InputError("SILENCE", f"{name} is {value!r:.40}, expected a number above 0", fix="see its default")
    if isinstance(level, bool) or not isinstance(level, (int, float)) or not -250 <= level < 0:
        raise InputError("SILENCE", f"level is {level!r:.40}, expected decibels from -250 to 0", fix="pass level=-90")
    if (seconds + burst) * rate > MOST_STEPS:
        raise InputError(
            "SILENCE",
            f"{seconds:g} seconds at {rate:g} steps a second are more than {MOST_STEPS:,} steps",
            fix="pass fewer seconds",
        )


def _output(probed: Probe, x: Tensor, named: dict[str, Any], *, turned: bool) -> Tensor:
    """[T, B, outputs]: the first tensor of the output."""
    with torch.no_grad():
        output = next(tensors(probed(x.transpose(0, 1) if turned else x, **named)), None)
    if output is not None and output.dim() == 2:
        output = output[..., None]
    if output is None or output.dim() != 3 or output.shape[:2] != (x.transpose(0, 1) if turned else x).shape[:2]:
        got = "no tensor" if output is None else f"shape {list(output.shape)}"
        raise InputError(
            "SILENCE", f"the output has {got}, expected one for each of {len(x)} steps", fix="pass the part that has it"
        )
    return output.transpose(0, 1) if turned else output


def _measured(loud: Tensor, after: Tensor, idle: Tensor, rate: float, level: float) -> Silence:
    """What the output does in the burst, after it, and without it, each [T, outputs]."""
    if not bool(loud.isfinite().all() and after.isfinite().all()):
        raise InputError("SILENCE", "the output is not finite", fix="see the exponents of its layers: it explodes")
    quarter = len(after) // 4
    end = after[-quarter:]
    offset = _mean(end)
    reference = (loud - offset).abs().max().item()
    rest = end - offset
    rest_level = _decibels(rest.abs().max().item(), reference)
    moving = ((after - offset).abs() > reference * 10 ** (level / 20)).any(1).nonzero()
    still = rest_level <= level
    seconds = (int(moving[-1]) + 1 if len(moving) else 0) / rate if still else None
    before = after[-2 * quarter : -quarter] - offset
    fall = _decibels(before.square().mean().sqrt().item(), reference) - _decibels(
        rest.square().mean().sqrt().item(), reference
    )
    falling = fall / (quarter / rate) if not still and fall > FALLS else 0.0
    period = None if still or falling else _period(rest)
    idle_offset = _mean(idle[-quarter:])
    return Silence(
        seconds,
        level,
        tuple(offset.tolist()),
        _decibels(offset.abs().max().item(), reference),
        tuple(idle_offset.tolist()),
        rest_level,
        None if period is None else period / rate,
        falling,
        "",
    )


def _mean(end: Tensor) -> Tensor:
    """[outputs] the mean under a smooth window, in which a cycle that is cut off leaves next to nothing."""
    window = torch.hann_window(len(end), periodic=True, dtype=end.dtype).square()
    return window @ end / window.sum()


def _decibels(value: float, reference: float) -> float:
    return 20 * math.log10(value / reference) if value > 0 and reference > 0 else -math.inf


def _period(rest: Tensor) -> float | None:
    """The shortest lag, in steps, after which the output repeats itself; None if it never does.

    The mean squared difference of the output and itself some lag later, over that of two independent moments, has its
    first dip below a limit at the period (de Cheveigné & Kawahara 2002); a parabola finds the dip between steps.
    """
    steps = len(rest)
    most = steps // 2
    spectrum = torch.fft.rfft(rest, 2 * steps, dim=0)
    products = torch.fft.irfft(spectrum.abs().square(), 2 * steps, dim=0)[: most + 1].sum(1)
    power = torch.cat([torch.zeros(1, dtype=rest.dtype), rest.square().sum(1).cumsum(0)])
    lags = torch.arange(most + 1)
    energy = power[steps - lags] + (power[-1] - power[lags])
    dips = (energy - 2 * products) / energy.clamp(min=torch.finfo(rest.dtype).tiny)
    low = (dips[1:-1] < REPEATS) & (dips[1:-1] <= dips[:-2]) & (dips[1:-1] <= dips[2:])
    if not low.any():
        return None
    k = int(low.nonzero()[0]) + 1
    left, here, right = dips[k - 1 : k + 2].tolist()
    bend = left - 2 * here + right
    return k + (0.5 * (left - right) / bend if bend > 0 else 0.0)


def _sentence(found: Silence, waited: float, unit: str) -> str:
    where = say(
        "It rests at an offset of {offset:.3g} ({level:.1f} dB)",
        offset=max(found.offset, key=abs),
        level=found.offset_level,
    )
    same = all(math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-12) for a, b in zip(found.offset, found.idle, strict=True))
    left = say("{where} that the burst has left behind.", where=where)
    rest = say("{where}, with and without a burst.", where=where) if same else left
    return joined([_settled(found, waited, unit), rest if found.offset_level > found.level else ""])


def _settled(found: Silence, waited: float, unit: str) -> str:
    """Whether the output falls back, and how long that takes."""
    times, one = UNITS.get(unit, (unit, unit.removesuffix("s")))
    level = found.rest_level
    if found.seconds is not None:
        return say(
            "After the burst the output settles to {level:g} dB in {seconds:.3g} {unit}.",
            level=found.level, seconds=found.seconds, unit=times,
        )  # fmt: skip
    if found.falling:
        return say(
            "After {waited:.4g} {unit} the output is at {level:.1f} dB and falls by {falling:.3g} dB a {one}: listen "
            "longer.",
            waited=waited, unit=times, level=level, falling=found.falling, one=one,
        )  # fmt: skip
    if found.period is None:
        return say("The output never settles: it goes on at {level:.1f} dB without a period.", level=level)
    cycle = say("{period:.3g} {unit}", period=found.period, unit=times)
    if unit == "s":
        cycle = say("{frequency:.4g} Hz ({period:.3g} s)", frequency=1 / found.period, period=found.period)
    return say(
        "The output never settles: a limit cycle of {cycle} at {level:.1f} dB goes on by itself.",
        cycle=cycle, level=level,
    )  # fmt: skip
