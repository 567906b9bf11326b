"""Layers drawn at random against ``layers``, which has them by hand; benchmarks/fuzz_layers.py runs thousands.

An error is measured for each sequence against what rounding does to the same equations: in float32 those of the hand
in float32, in float64 those of parameters that differ in their last bit. Where both are finite, the layer must be too.
"""

from __future__ import annotations

import faulthandler
import json
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import tidegate.nn.draw
from tests.reference.given import Fading
from tests.reference.layers import CELLS, GIVEN, NORMALISED, Asked, Sequences, Tensors, direction
from tidegate.errors import TidegateError
from tidegate.nn import GRU, Recurrent
from tidegate.runtime.library import ENDURES, load

OPTIONS: tuple[dict[str, Any], ...] = (
    {"zoneout": 0.3},
    {"recurrent_dropout": 0.4},
    {"weight_dropout": 0.25},
    {"input_dropout": 0.5},
    {"state_clip": 0.5},
    {"learn_initial_state": True},
    {"layer_norm": True},
    {"layer_norm": "each"},
)  # fmt: skip
ALL = {"zoneout": 0.2, "recurrent_dropout": 0.3, "weight_dropout": 0.25, "input_dropout": 0.2, "state_clip": 0.7,
       "learn_initial_state": True}  # fmt: skip
SPECIAL = {"huge": 1e30, "denormal": 1e-40, "infinite": float("inf"), "nan": float("nan")}
EPS = {torch.float32: 2.0**-23, torch.float64: 2.0**-52}
SHARE_HEADS, SHARE_GIVEN = 0.3, 0.04
EVERY = CELLS | GIVEN
NOISE_FACTOR, ROUNDINGS, MORE_DRAWS = 8.0, 128.0, 6
OF_ONE = 4.0  # roundings of numbers of size 1, which gates and upstream gradients are, however small a result is
LARGEST = 64.0  # of a state by which they are multiplied; beyond it rounding must show in the draws
PATIENCE = 120  # seconds after which a configuration counts as hanging


@dataclass(frozen=True)
class Drawn:
    """A layer and one call of it."""

    seed: int
    cell: str
    I: int
    H: int
    B: int
    T: int
    both: bool
    bias: bool
    options: dict[str, Any]
    training: bool
    layout: str
    lengths: tuple[int, ...]
    resets: bool
    given: bool
    memory: str
    dtype: torch.dtype
    threads: int
    special: str
    frozen: float
    scale: float
    heads: int = 1


def draw(seed: int, *, options: bool = True) -> Drawn:
    """The configuration of a seed; most are small, so that thousands take minutes."""
    r = Random(seed)
    cell = r.choice([*CELLS])
    cell = next(iter(GIVEN)) if Random(f"given {seed}").random() < SHARE_GIVEN else cell
    size = r.random()
    H, B, T, I = r.randint(1, 24), r.randint(0, 9), r.randint(1, 12), r.randint(1, 12)
    if size > 0.82:
        H, B, T, I = r.randint(1, 130), r.randint(1, 40), r.randint(1, 40), r.randint(1, 70)
    if size > 0.97:
        large = {"H": r.randint(200, 1100), "B": r.randint(50, 300), "T": r.randint(100, 600)}
        which = r.choice([*large])
        H, B, T = ({"H": H, "B": min(B, 12), "T": min(T, 9)} | {which: large[which]}).values()
    layout = r.choice(["full", "full", "lengths", "packed"]) if B else "full"
    least = 1 if layout == "packed" else 0
    lengths = (T, *(r.randint(least, T) for _ in range(B - 1)))[:B] if layout != "full" else (T,) * B
    chosen = r.choice([*OPTIONS, ALL]) if options and r.random() < 0.5 else {}
    if "layer_norm" in chosen and cell not in NORMALISED:
        chosen = ALL
    return Drawn(
        seed, cell, I, H, B, T,
        both=r.random() < 0.3,
        bias=r.random() < 0.9 or bool(chosen) or not options,  # each one without is a compilation
        options=chosen,
        training=r.random() < 0.6,
        layout=layout,
        lengths=lengths,
        resets=layout != "packed" and r.random() < 0.25,
        given=r.random() < 0.5,
        memory=r.choice(["plain", "strided", "expanded", "transposed"]),
        dtype=r.choice([torch.float32, torch.float64]),
        threads=r.choice([1, 2, 3, 8]),
        special=r.choice(["", "", "", "", *SPECIAL]),
        frozen=r.choice([0.0, 0.0, 0.3, 1.0]),
        scale=r.choice([1.0, 1.0, 3.0]),
        heads=_heads(Random(f"heads {seed}"), H),
    )  # fmt: skip


def _heads(r: Random, H: int) -> int:
    return r.choice([n for n in range(1, H + 1) if H % n == 0]) if r.random() < SHARE_HEADS else 1


@dataclass(frozen=True)
class Problem:
    """The layer, and the tensors of the call by name: x, state h ..., dy, d last h ..., in the layer's type."""

    layer: Recurrent
    tensors: Tensors
    reset: Tensor | None


def problem_of(drawn: Drawn) -> Problem:
    """The layer and its call, with weights, inputs and upstream gradients drawn."""
    g = torch.Generator().manual_seed(drawn.seed)
    options = drawn.options | {"heads": drawn.heads}
    kind, _, rest = drawn.cell.partition("/")
    if kind == "gru":
        how = {"reset": "before" if "before" in rest else "after", "update": "write" if "write" in rest else "keep"}
        layer = GRU(drawn.I, drawn.H, bias=drawn.bias, bidirectional=drawn.both, **how, **options)
    else:
        layer = Recurrent(
            Fading if kind in GIVEN else drawn.cell,
            drawn.I,
            drawn.H,
            bias=drawn.bias,
            bidirectional=drawn.both,
            **options,
        )
    layer = layer.to(drawn.dtype).train(drawn.training)
    r = Random(drawn.seed + 1)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=g) * drawn.scale / parameter.shape[-1] ** 0.5)
            parameter.requires_grad_(r.random() >= drawn.frozen)
    T, B, H, D = drawn.T, drawn.B, drawn.H, 1 + drawn.both
    shapes = {"x": (T, B, drawn.I), "dy": (T, B, D * H)}
    for state in EVERY[drawn.cell][1]:
        shapes |= {f"state {state}": (D, B, H), f"d last {state}": (D, B, H)}
    tensors = {name: torch.randn(shape, generator=g).to(drawn.dtype) for name, shape in shapes.items()}
    if drawn.cell in GIVEN:
        beside = {"dt": (T, B, 1), "m": (T, B, drawn.I)}
        tensors |= {name: torch.rand(shape, generator=g).to(drawn.dtype) for name, shape in beside.items()}
    if drawn.memory == "expanded" and B:
        tensors["x"] = tensors["x"][:, :1].expand(T, B, drawn.I)
    elif drawn.special and B:
        tinier = 1e-270 if drawn.special == "denormal" and drawn.dtype == torch.float64 else 1.0
        value = SPECIAL[drawn.special] * tinier
        for _ in range(1 + B // 4):
            tensors["x"][r.randrange(T), r.randrange(B), r.randrange(drawn.I)] = value * r.choice([1, -1])
    reset = torch.rand(T, B, generator=g) < 0.3 if drawn.resets else None
    return Problem(layer, tensors, reset)


def laid_out(x: Tensor, memory: str) -> Tensor:
    """The same values, elsewhere in memory."""
    if memory == "strided":
        wide = x.new_zeros(2 * x.shape[0], x.shape[1] + 1, x.shape[2] + 3)
        part = wide[::2, 1:, 1 : 1 + x.shape[2]]
        return part.copy_(x)
    return x.transpose(0, 1).contiguous().transpose(0, 1) if memory == "transposed" else x


@contextmanager
def recorded() -> Iterator[list[Tensor]]:
    """The masks that a layer draws in here, in the caller's order."""
    masks: list[Tensor] = []
    plain = tidegate.nn.draw.bernoulli

    def listening(*args: Any) -> Tensor:
        masks.append(plain(*args))
        return masks[-1]  # scaled in place later

    with mock.patch.object(tidegate.nn.draw, "bernoulli", listening):
        yield masks


def by_layer(drawn: Drawn, problem: Problem) -> tuple[Tensors, list[Tensor]]:
    """Results and gradients of the layer, and the masks that it drew."""
    torch.set_num_threads(drawn.threads)
    load().share(drawn.threads, ENDURES)  # also where there are fewer processors, or other programs on them
    layer, names = problem.layer, EVERY[drawn.cell][1]
    x = laid_out(problem.tensors["x"], drawn.memory).requires_grad_(drawn.frozen < 1)
    states = [problem.tensors[f"state {name}"].clone().requires_grad_(drawn.frozen < 0.3) for name in names]
    hx = (states[0] if len(names) == 1 else tuple(states)) if drawn.given else None
    call = {} if drawn.layout != "lengths" else {"lengths": list(drawn.lengths)}
    call |= {} if problem.reset is None else {"reset": problem.reset}
    if drawn.cell in GIVEN:
        call["given"] = {name: problem.tensors[name] for name in ("dt", "m")}
    sequences = x if drawn.layout != "packed" else pack_padded_sequence(x, list(drawn.lengths), enforce_sorted=False)
    torch.manual_seed(drawn.seed)
    with recorded() as masks:
        y, last = layer(sequences, hx, **call)
    y = pad_packed_sequence(y)[0] if drawn.layout == "packed" else y
    found = {"y": y} | {f"last {n}": v for n, v in zip(names, (last,) if len(names) == 1 else last, strict=True)}
    leaves = {"x": x} | {f"state {n}": s for n, s in zip(names, states, strict=True) if drawn.given}
    leaves |= dict(layer.named_parameters())
    return found | gradients(found, leaves, problem.tensors), masks


def gradients(found: Tensors, leaves: Tensors, upstream: Tensors) -> Tensors:
    """Of the leaves that want one, given those of the results; none if nothing does."""
    wanted = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    results = [value for value in found.values() if value.requires_grad]
    given = [upstream["dy" if name == "y" else f"d {name}"] for name, v in found.items() if v.requires_grad]
    if not wanted or not results:
        return {}
    every = torch.autograd.grad(results, [*wanted.values()], given, allow_unused=True)
    return {f"d {n}": torch.zeros_like(wanted[n]) if g is None else g for n, g in zip(wanted, every, strict=True)}


def by_hand(drawn: Drawn, problem: Problem, masks: list[Tensor], change: Any) -> Tensors:
    """The same from the equations, all tensors changed by a function first."""
    names, options = EVERY[drawn.cell][1], drawn.options
    tensors = {name: change(tensor) for name, tensor in problem.tensors.items()}
    own = dict(problem.layer.named_parameters())
    parameters = {n: change(p.detach()).requires_grad_(p.requires_grad) for n, p in own.items()}
    x = tensors["x"].detach().requires_grad_(drawn.frozen < 1)
    states = {n: tensors[f"state {n}"].detach().requires_grad_(drawn.frozen < 0.3) for n in names}
    left = iter([mask.to(x.dtype) for mask in masks])
    read = x * next(left) if "input_dropout" in options and drawn.training else x
    outputs, lasts = [], []
    for d, suffix in enumerate(["_l0", "_l0_reverse"][: 1 + drawn.both]):
        ours = {n.removesuffix(suffix) + "_l0": p for n, p in parameters.items() if n.endswith(suffix)}
        first = {n: states[n][d] for n in names}
        if not drawn.given:
            zero = x.new_zeros(drawn.B, drawn.H)
            first = {n: zero + ours[f"initial_{n}_l0"] if "learn_initial_state" in options else zero for n in names}
        beside = {name: tensors[name] for name in ("dt", "m") if name in tensors}
        given = Sequences(read, drawn.lengths, problem.reset, beside)
        y, last = direction(drawn.cell, ours, given, first, asked(drawn, left), reverse=bool(d))
        outputs.append(y)
        lasts.append(last)
    found = {"y": torch.cat(outputs, -1)} | {f"last {n}": torch.stack([one[n] for one in lasts]) for n in names}
    leaves = {"x": x} | ({f"state {n}": s for n, s in states.items()} if drawn.given else {}) | parameters
    return found | gradients(found, leaves, tensors)


def asked(drawn: Drawn, masks: Iterator[Tensor]) -> Asked:
    """The options of one direction, with the next masks in the order in which a layer draws them."""
    options, names = drawn.options, EVERY[drawn.cell][1]
    bound, norm = options.get("state_clip"), options.get("layer_norm")
    norm = "all" if norm is True else norm
    rate = options.get("zoneout", 0.0)
    if not drawn.training:
        return Asked(dict.fromkeys(names, rate), bound=bound, norm=norm, heads=drawn.heads)
    weights = next(masks) if "weight_dropout" in options else None
    zoneout = {name: next(masks) for name in names} if rate else {}
    return Asked(zoneout, next(masks) if "recurrent_dropout" in options else None, weights, bound, norm, drawn.heads)


def nearby(seed: int, dtype: torch.dtype) -> Any:
    """Numbers changed in their last bit."""
    g = torch.Generator().manual_seed(seed)
    return lambda v: v * (1 + (torch.rand(v.shape, generator=g, dtype=v.dtype) - 0.5) * 2 * EPS[dtype])


def by_sequence(name: str, value: Tensor) -> Tensor:
    """[parts, numbers]: a sequence each where there are some, else the whole tensor."""
    value = value.detach().double()
    if not value.numel():
        return value.reshape(1, 0)
    whole = not name.removeprefix("d ").startswith(("x", "y", "last", "state"))
    return value.reshape(1, -1) if whole else value.transpose(0, 1).reshape(value.shape[1], -1)


def wrong(
    name: str, ours: Tensor, exact: Tensor, every_noisy: Sequence[Tensor], dtype: torch.dtype, unit: float = 1.0
) -> str:
    """What is wrong with a result, given what rounding made of it in one or more draws; empty if nothing is.

    ``unit`` is the size of what a small result may be the rest of: that of gates, or of a larger state.
    """
    if ours.shape != exact.shape:
        return f"{name} has the shape {tuple(ours.shape)}, not {tuple(exact.shape)}"
    ours, exact, *every_noisy = (by_sequence(name, value) for value in (ours, exact, *every_noisy))
    noisy = every_noisy[0]
    if not exact.numel():
        return ""
    most = torch.finfo(dtype).max / 1e6
    fine = exact.isfinite() & noisy.isfinite() & (exact.abs() < most) & (noisy.abs() < most)
    if (fine & ~ours.isfinite()).any():
        return f"{name} is not finite where it should be"
    if not name.startswith("d ") and (exact.isnan() & noisy.isnan() & ours.isfinite()).any():
        return f"{name} hides a NaN"
    clean = [torch.where(fine, value, 0) for value in (ours, exact, *every_noisy)]
    size = clean[1].abs().amax(1)
    noise = torch.stack([(value - clean[1]).abs().amax(1) for value in clean[2:]]).amax(0)
    allowed = NOISE_FACTOR * noise + EPS[dtype] * (ROUNDINGS * size + OF_ONE * unit)
    share = ((clean[0] - clean[1]).abs().amax(1) / allowed).amax().item()
    return f"{name} is off by {share:.3g} times what is allowed" if share > 1 else ""


def complaints(ours: Tensors, exact: Tensors, every_noisy: Sequence[Tensors], dtype: torch.dtype) -> list[str]:
    """What is wrong with the results."""
    states = [exact[name].detach() for name in exact if name.startswith("last") and exact[name].numel()]
    sizes = [state.nan_to_num(0.0).abs().amax().item() for state in states]
    unit = min(max([1.0, *sizes]), LARGEST)
    found = [
        wrong(name, ours[name], exact[name], [noisy[name] for noisy in every_noisy], dtype, unit) for name in exact
    ]
    return [complaint for complaint in found if complaint]


def judge(seed: int, *, options: bool = True) -> tuple[str, str]:
    """``right``, ``error`` or ``different``, and what was found."""
    drawn = draw(seed, options=options)
    problem = problem_of(drawn)
    try:
        ours, masks = by_layer(drawn, problem)
    except TidegateError as error:
        return "error", str(error)
    torch.set_num_threads(1)
    exact = by_hand(drawn, problem, masks, Tensor.double)
    single = drawn.dtype == torch.float32
    noisy = by_hand(drawn, problem, masks, Tensor.clone if single else nearby(seed, drawn.dtype))
    if ours.keys() != exact.keys():
        return "different", f"gradients of {sorted(ours.keys() ^ exact.keys())}"
    every_noisy = [noisy]
    if complaints(ours, exact, every_noisy, drawn.dtype):  # one draw of chaos may be a small one
        every_noisy += [by_hand(drawn, problem, masks, nearby(seed + k, drawn.dtype)) for k in range(1, MORE_DRAWS)]
    if found := complaints(ours, exact, every_noisy, drawn.dtype):
        return "different", "; ".join(found)
    path = problem.layer.last_path
    return ("right", "") if path == "fused" else ("different", f"ran {path}")


def shown(seed: int) -> str:
    """The configuration on one line."""
    return str(replace(draw(seed), lengths=()))


def main(seeds: Iterable[int], judge: Callable[[int], tuple[str, str]] = judge) -> None:
    """Judge each, with a line of JSON before and after it; who asked sees which one a process ended at."""
    for seed in seeds:
        say({"start": seed})
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        start = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcome, detail = judge(seed)
        except Exception:  # noqa: BLE001  whatever it is, the next configuration is still of interest
            outcome, detail = "traceback", traceback.format_exc()[-2000:]
        faulthandler.cancel_dump_traceback_later()
        seconds = round(time.monotonic() - start, 2)
        say({"seed": seed, "outcome": outcome, "detail": detail, "seconds": seconds})


def say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(map(int, sys.argv[1:]))
