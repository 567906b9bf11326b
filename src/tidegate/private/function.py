"""What each function of torch does with a parameter: a table of rules.

A rule has the arguments of its function. It computes the same with parameters that autograd does not see, and says
what the gradients of single units are made of, once the adjoint of the output is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from tidegate.errors import InputError

Function = Callable[..., Any]


class Part(NamedTuple):
    """A ``Use`` whose leading dimensions are those of the rows; the parameter may be None, or learn nothing."""

    parameter: Any
    adjoint: torch.Tensor
    operand: torch.Tensor | None
    place: Any = ...


Parts = Callable[[torch.Tensor], Iterator[Part]]


@dataclass(frozen=True)
class Made:
    """What a rule says of one call.

    Attributes:
        output: of the function.
        parts: from the adjoint, laid out as ``arrange`` does, what belongs to each argument that is a parameter.
        rows: how many leading dimensions number the rows after ``arrange``; every row belongs to one unit.
        arrange: the output, or its adjoint, with those dimensions in front.
        apart: whether ``parts`` wants the adjoint of each unit by itself, [units, ...], and answers so.
    """

    output: torch.Tensor
    parts: Parts
    rows: int
    arrange: Callable[[torch.Tensor], torch.Tensor] = lambda values: values
    apart: bool = False


def _linear(x: torch.Tensor, weight: Any, bias: Any = None) -> Made:
    def parts(a: torch.Tensor) -> Iterator[Part]:
        yield Part(weight, a, x.detach())
        yield Part(bias, a, None)

    output = F.linear(x, plain(weight), plain(bias))
    return Made(output, parts, output.dim() - 1)


def _matmul(x: torch.Tensor, weight: Any) -> Made | None:
    if is_parameter(x) or weight.dim() != 2:
        return _anything(torch.matmul, (x, weight), {})

    def parts(a: torch.Tensor) -> Iterator[Part]:
        yield Part(weight, x.detach(), a)

    output = torch.matmul(x, plain(weight))
    return Made(output, parts, output.dim() - 1)


def _embedding(
    rows: torch.Tensor,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Made:
    del norm_type, sparse
    _refuse_counting(max_norm, scale_grad_by_freq)

    def parts(a: torch.Tensor) -> Iterator[Part]:
        yield Part(weight, _unpadded(a, rows, padding_idx, len(weight)), rows)

    return Made(F.embedding(rows, plain(weight)), parts, rows.dim())


def _embedding_bag(
    rows: torch.Tensor,
    weight: Any,
    offsets: torch.Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: torch.Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Made:
    del norm_type, sparse, include_last_offset
    _refuse_counting(max_norm, scale_grad_by_freq)
    if rows.dim() != 2 or offsets is not None or per_sample_weights is not None or mode == "max":
        raise InputError(
            "PRIVATE_BAG",
            f"private training reads bags of one size, without weights, by their sum or mean, got mode={mode!r}",
            fix="pass rows [bags, size] with mode='sum'; fill up with padding_idx",
        )
    padding = None if padding_idx is None else padding_idx % len(weight)

    def parts(a: torch.Tensor) -> Iterator[Part]:
        if mode == "mean":
            members = rows != padding if padding is not None else torch.ones_like(rows)
            a = a / members.sum(1, keepdim=True).clamp(min=1)
        for member in rows.T:
            yield Part(weight, _unpadded(a, member, padding, len(weight)), member)

    output = F.embedding_bag(rows, plain(weight), mode=mode, padding_idx=padding)
    return Made(output, parts, 1)


def _unpadded(a: torch.Tensor, rows: torch.Tensor, padding: int | None, count: int) -> torch.Tensor:
    return a if padding is None else a.masked_fill((rows == padding % count)[..., None], 0)


def _refuse_counting(max_norm: float | None, scale_grad_by_freq: bool) -> None:
    if max_norm is not None or scale_grad_by_freq:
        name = "scale_grad_by_freq" if scale_grad_by_freq else "max_norm"
        raise InputError(
            "PRIVATE_EMBEDDING",
            f"an embedding with {name} learns from how often rows are read, which no clipping bounds",
            fix=f"make the embedding without {name}",
        )


def _layer_norm(
    x: torch.Tensor, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Made:
    def parts(a: torch.Tensor) -> Iterator[Part]:
        if weight is not None:
            yield Part(weight, a * F.layer_norm(x.detach(), normalized_shape, None, None, eps), None)
        yield Part(bias, a, None)

    output = F.layer_norm(x, normalized_shape, plain(weight), plain(bias), eps)
    return Made(output, parts, output.dim() - len(normalized_shape))


def _rms_norm(x: torch.Tensor, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Made:
    def parts(a: torch.Tensor) -> Iterator[Part]:
        yield Part(weight, a * F.rms_norm(x.detach(), normalized_shape, None, eps), None)

    output = F.rms_norm(x, normalized_shape, plain(weight), eps)
    return Made(output, parts, output.dim() - len(normalized_shape))


def _group_norm(x: torch.Tensor, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Made:
    def parts(a: torch.Tensor) -> Iterator[Part]:
        if weight is not None:
            yield Part(weight, a * F.group_norm(x.detach(), num_groups, None, None, eps).movedim(1, -1), None)
        yield Part(bias, a, None)

    output = F.group_norm(x, num_groups, plain(weight), plain(bias), eps)
    return Made(output, parts, output.dim() - 1, lambda values: values.movedim(1, -1))


def _conv1d(
    x: torch.Tensor,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Made:
    """[N, channels, L] to [N, outputs, L']: a matrix [outputs, channels * taps] for each group."""
    taps = weight.shape[2]
    (step,), (apart,) = (value if isinstance(value, Sequence) else (value,) for value in (stride, dilation))
    x, ends = x if x.dim() == 3 else x[None], _ends(padding, apart * (taps - 1))

    def parts(a: torch.Tensor) -> Iterator[Part]:
        wide = F.pad(x.detach(), ends)
        starts = torch.arange(a.shape[-2]) * step
        seen = wide[:, :, starts[:, None] + torch.arange(taps) * apart]  # [N, channels, L', taps]
        heights = a.shape[-1] // groups
        for group, own in enumerate(seen.transpose(1, 2).chunk(groups, 2)):
            at = slice(group * heights, (group + 1) * heights)
            yield Part(weight, a[..., at], own.flatten(2), at if groups > 1 else ...)
        yield Part(bias, a, None)

    output = torch.conv1d(F.pad(x, ends), plain(weight), plain(bias), step, 0, apart, groups)
    return Made(output, parts, 2, lambda values: values.transpose(1, 2))


def _ends(padding: Any, reach: int) -> tuple[int, int]:
    if padding == "same":
        return reach // 2, reach - reach // 2
    if padding == "valid":
        return 0, 0
    before = padding[0] if isinstance(padding, Sequence) else padding
    return before, before


def _elementwise(function: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Made | None:
    """Every element by itself, such as ``x + bias`` or ``gain * x``."""
    inside = [value for value in args if is_parameter(value)]
    if len(inside) != 1 or any(map(is_parameter, kwargs.values())):
        return _anything(function, args, kwargs)
    (parameter,) = inside
    output = function(*map(plain, args), **kwargs)
    wide = (1,) * (output.dim() - parameter.dim()) + tuple(parameter.shape)
    order = sorted(range(output.dim()), key=lambda k: wide[k] != 1)  # first where one element meets many
    back, rows = [order.index(k) for k in range(len(order))], wide.count(1)
    others = [value.detach() if isinstance(value, torch.Tensor) else value for value in args]

    def parts(a: torch.Tensor) -> Iterator[Part]:
        with torch.enable_grad():
            each = parameter.detach().expand(output.shape).requires_grad_()
            again = function(*(each if own is parameter else other for own, other in zip(args, others, strict=True)))
            (slope,) = torch.autograd.grad(again, each, a.permute(back))
        yield Part(parameter, slope.permute(order).reshape(*a.shape[:rows], *parameter.shape), None)

    return Made(output, parts, rows, lambda values: values.permute(order))


def _anything(function: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Made | None:
    """Functions without a rule: one backward run through them for each unit. None if they answer no single tensor."""
    inside = [value for value in [*args, *kwargs.values()] if is_parameter(value)]
    output = function(*map(plain, args), **{name: plain(value) for name, value in kwargs.items()})
    if not isinstance(output, torch.Tensor):
        return None

    def parts(a: torch.Tensor) -> Iterator[Part]:
        leaves = {id(value): value.detach().requires_grad_() for value in inside}

        def leaf(value: Any) -> Any:
            return leaves.get(id(value), value.detach() if isinstance(value, torch.Tensor) else value)

        with torch.enable_grad():
            again = function(*map(leaf, args), **{name: leaf(value) for name, value in kwargs.items()})
        if not again.requires_grad:  # it read a type or a shape
            return
        every = list(leaves.values())
        slopes = torch.autograd.grad(again, every, a, is_grads_batched=True, allow_unused=True)
        for value, slope in zip({id(value): value for value in inside}.values(), slopes, strict=True):
            if slope is not None:
                yield Part(value, slope, None)

    return Made(output, parts, output.dim(), apart=True)


def is_parameter(value: Any) -> bool:
    """Whether it is a parameter that learns."""
    return isinstance(value, torch.nn.Parameter) and value.requires_grad


def plain(value: Any) -> Any:
    """A parameter as autograd does not see it; everything else as it is."""
    return value.detach() if is_parameter(value) else value


RULES: Mapping[Function, Callable[..., Made | None]] = {
    F.linear: _linear,
    torch.matmul: _matmul,
    torch.Tensor.matmul: _matmul,
    F.embedding: _embedding,
    F.embedding_bag: _embedding_bag,
    F.layer_norm: _layer_norm,
    F.rms_norm: _rms_norm,
    F.group_norm: _group_norm,
    F.conv1d: _conv1d,
}
ARITHMETIC = ("add", "sub", "mul", "div", "true_divide", "__radd__", "__rsub__", "__rmul__", "__rtruediv__")
ELEMENTWISE = frozenset([*ARITHMETIC, "maximum", "minimum", "pow", "expand", "expand_as"])


def rule(function: Function) -> Callable[..., Made | None]:
    """The rule of a function, which gives None for a call that it cannot follow.

    Args:
        function: of torch.
    """
    if function in RULES:
        return RULES[function]
    general = _elementwise if function.__name__ in ELEMENTWISE else _anything
    return lambda *args, **kwargs: general(function, args, kwargs)
