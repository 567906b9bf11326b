"""Draw a case, run it through a layer and through the reference, and compare every result.

Results are dictionaries from a name ("y", "last h", "d x", "d weight_ih_l0") to a tensor.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tests.reference import tolerance
from tests.reference.equations import REFERENCES
from tests.reference.normalised import NORMALISED
from tests.reference.unroll import Reference, forward, gradients

Tensors = dict[str, Tensor]
EVERY = ChainMap(REFERENCES, NORMALISED)
FEATURES = 5  # unlike every width, so that a transposed matrix cannot fit


@dataclass(frozen=True)
class Case:
    """Everything that determines one comparison. ``states`` is None where zeros are to be assumed."""

    cell: str
    params: Tensors
    x: Tensor  # [T, B, I]
    states: tuple[Tensor, ...] | None  # each [B, width]
    dy: Tensor  # [T, B, H], the gradient of the loss by the outputs
    dlast: tuple[Tensor, ...]  # each [B, width], the same by the last states

    @property
    def reference(self) -> Reference:
        return EVERY[self.cell]

    @property
    def hidden(self) -> int:
        return self.dy.shape[-1]


def draw(
    cell: str,
    T: int,
    B: int,
    H: int,
    *,
    features: int = FEATURES,
    given: bool = True,
    scale: float = 1.0,
    seed: int = 0,
) -> Case:
    """A random case; parameters spread as in torch.nn, inputs, states and upstream gradients normal."""
    reference = EVERY[cell]
    features = reference.features(H, features)
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def uniform(shape: tuple[int, ...]) -> Tensor:
        return (2 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 1) / H**0.5

    params = {name: uniform(shape) for name, shape in reference.shapes(features, H).items()}
    states = reference.reachable(*(normal(B, width) for width in reference.state_widths(H)))
    dlast = tuple(normal(B, width) for width in reference.state_widths(H))
    return Case(cell, params, scale * normal(T, B, features), states if given else None, normal(T, B, H), dlast)


def strided(case: Case) -> Case:
    """The same case with an input and states that are not contiguous in memory."""
    x = case.x.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    states = case.states and tuple(torch.stack([s, s], dim=-1)[..., 0] for s in case.states)
    return replace(case, x=x, states=states)


def by_reference(case: Case) -> Tensors:
    """Results of the hand-written equations."""
    states = case.states or tuple(torch.zeros_like(d) for d in case.dlast)
    y, last = forward(case.reference, case.params, case.x, states)
    found = gradients(case.reference, case.params, case.x, states, (case.dy, case.dlast))
    if case.states is None:
        found = {name: value for name, value in found.items() if not name.startswith("state")}
    return _outputs(y, last) | {f"d {name}": value for name, value in found.items()}


def _outputs(y: Tensor, last: tuple[Tensor, ...]) -> Tensors:
    return {"y": y, **{f"last {k}": value for k, value in enumerate(last)}}


def as_state(states: tuple[Tensor, ...] | None) -> Tensor | tuple[Tensor, ...] | None:
    """States [B, H] in the form that a layer takes: [1, B, H], bare if there is one."""
    if states is None:
        return None
    deep = tuple(state.unsqueeze(0) for state in states)
    return deep[0] if len(deep) == 1 else deep


def from_state(state: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The reverse of ``as_state``."""
    return tuple(s.squeeze(0) for s in ((state,) if isinstance(state, Tensor) else state))


def by_layer(case: Case) -> Tensors:
    """Results of the library's layer."""
    layer = layer_of(case)
    x = case.x.detach().requires_grad_()  # not cloned: a clone could be contiguous where the case is not
    states = case.states and tuple(s.detach().requires_grad_() for s in case.states)
    y, state = layer(x, as_state(states))
    last = from_state(state)
    loss = (y * case.dy).sum() + sum((a * b).sum() for a, b in zip(last, case.dlast, strict=True))
    own = {public(name): value for name, value in layer.named_parameters()}
    leaves = {"x": x, **{f"state{k}": s for k, s in enumerate(states or ())}, **own}
    found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True, allow_unused=True)
    grads = {f"d {name}": grad for name, grad in zip(leaves, found, strict=True)}
    return _outputs(y.detach(), tuple(s.detach() for s in last)) | grads


def layer_of(case: Case) -> torch.nn.Module:
    """The library's layer with the parameters of the case."""
    from tidegate.nn import Recurrent
    from tidegate.zoo import CELLS

    cell, _, over = case.cell.partition("|")
    layer = Recurrent(
        CELLS[cell],
        case.x.shape[-1],
        case.hidden,
        dtype=case.x.dtype,
        widths=case.reference.further(case.hidden),
        layer_norm=over or False,
    )
    held = {public(name): name for name in layer.state_dict()}
    layer.load_state_dict({held[name]: value for name, value in case.params.items()})  # strict: as the reference's
    return layer


def public(name: str) -> str:
    """The name of a parameter without what torch's parametrizations add."""
    return name.removeprefix("parametrizations.").removesuffix(".original")


def relative_error(got: Tensor, ref: Tensor, floor: float = 0.0) -> float:
    """Largest difference over the largest element of ``ref``, or over ``floor`` if that is larger.

    Raises:
        AssertionError: the tensors cannot be compared, or one of them is not finite.
    """
    assert got.shape == ref.shape, f"shape {tuple(got.shape)}, expected {tuple(ref.shape)}"
    assert got.dtype == ref.dtype, f"dtype {got.dtype}, expected {ref.dtype}"
    assert torch.isfinite(got).all(), "not finite"
    assert torch.isfinite(ref).all(), "the reference is not finite"
    difference = (got - ref).abs().max().item() if ref.numel() else 0.0
    size = max(ref.abs().max().item() if ref.numel() else 0.0, floor)
    return difference / size if size else (0.0 if difference == 0 else float("inf"))


def errors(got: Mapping[str, Tensor], ref: Mapping[str, Tensor], floor: float = 0.0) -> dict[str, float]:
    """The relative error of every result.

    Raises:
        AssertionError: a result is missing or cannot be compared.
    """
    assert got.keys() == ref.keys(), f"results differ: {sorted(got.keys() ^ ref.keys())}"
    found = {}
    for name in ref:
        try:
            found[name] = relative_error(got[name], ref[name], floor)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
    return found


def assert_equal(
    got: Mapping[str, Tensor], ref: Mapping[str, Tensor], limit: float = tolerance.FLOAT64, floor: float = 0.0
) -> None:
    """Every result within ``limit``.

    Raises:
        AssertionError: naming each result that is not, with its error.
    """
    wrong = {name: error for name, error in errors(got, ref, floor).items() if not error <= limit}
    assert not wrong, "; ".join(f"{name} off by {error:.1e}, allowed {limit:.0e}" for name, error in wrong.items())


def assert_as_exact(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], exact: Mapping[str, Tensor]) -> None:
    """Our float32 about as near to a float64 run as theirs.

    Raises:
        AssertionError: naming each result that is further away than the tolerance says.
    """
    assert ours.keys() == theirs.keys() == exact.keys(), "results differ in name"
    wrong = []
    for name, truth in exact.items():
        assert ours[name].dtype == theirs[name].dtype == torch.float32, f"{name}: not float32"
        our_error = relative_error(ours[name].double(), truth)
        allowed = tolerance.FLOAT32_FACTOR * relative_error(theirs[name].double(), truth) + tolerance.FLOAT32_EPS
        if not our_error <= allowed:
            wrong.append(f"{name} off by {our_error:.1e}, allowed {allowed:.1e}")
    assert not wrong, "; ".join(wrong)
