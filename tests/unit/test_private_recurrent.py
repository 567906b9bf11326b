"""Gradients of single sequences of recurrent layers against a loop over sequences that runs the definition."""

from __future__ import annotations

import math

import pytest
import torch

from tidegate.cell import Cell, layer_norm, mean, sigmoid, tanh
from tidegate.errors import BackendError, InputError
from tidegate.nn import GRU, LSTM, Recurrent
from tidegate.private import Gradients, Recorder, Use
from tidegate.runtime import Withheld, eager_only, library

try:
    library.load()
except BackendError as none:
    pytest.skip(f"no engine here: {none}", allow_module_level=True)

T, B, I, H = 6, 4, 3, 8
LIMIT = 1e-12
FACTORS = torch.tensor([0.3, 2.0, 0.1, 1.0], dtype=torch.float64)


class Everything(Cell):
    """Two operands of one matrix, a number a row, a vector and a norm."""

    gates = "f n m"
    inputs = "f n"
    matrices = {"U": "f n"}
    state = "h c"
    vectors = "p"

    def step(self, x, h, c, U, p):
        f = sigmoid(x.f + U(h).f + p * c)
        m = mean(f * c)
        n = tanh(layer_norm(x.n) + U(f * c).n + m)
        return f * h + (1 - f) * n, f * c + n


def single_gradients(layer, loss_of):
    """For each sequence the gradient of every parameter, by torch's autograd alone."""
    parameters = [p for p in layer.parameters() if p.requires_grad]

    def gradient(b: int):
        nothing = sum(0 * p.sum() for p in parameters)  # a sequence without a step depends on none of them
        return torch.autograd.grad(loss_of(b) + nothing, parameters)

    with eager_only():
        each = [gradient(b) for b in range(B)]
    return {p: torch.stack(own) for p, own in zip(parameters, zip(*each, strict=True), strict=True)}


def of_uses(uses: list[Use], parameter: torch.Tensor) -> torch.Tensor:
    """What ``Use`` says that the gradients are."""
    total = torch.zeros(B, *parameter.shape, dtype=parameter.dtype)
    for use in uses:
        assert use.parameter is parameter
        own = use.adjoint.sum(0)
        if use.operand is not None:
            own = torch.einsum("tbr,tbc->brc", use.adjoint, use.operand)
        places = (slice(None), ...) if use.place is ... else (slice(None), use.place)
        total[places] += own
    return total


def check(layer, run, limit: float = LIMIT) -> None:
    """``run(b)`` is the output of sequence b, of all for None; equal random numbers each time."""
    torch.manual_seed(5)
    weights: dict[tuple[int, ...], torch.Tensor] = {}

    def loss_of(b: int | None) -> torch.Tensor:
        results = run(b)
        total = torch.zeros((), dtype=torch.float64)
        for k, result in enumerate(results):
            generator = torch.Generator().manual_seed(k)
            whole = (*result.shape[:1], B, *result.shape[2:])
            weight = weights.setdefault((k, *whole), torch.randn(whole, generator=generator, dtype=torch.float64))
            total = total + (result * (weight if b is None else weight[:, b : b + 1])).sum()
        return total

    wanted = single_gradients(layer, loss_of)
    with Recorder() as recorder:
        loss_of(None).backward()
    (call,) = recorder.calls
    assert call.module is layer
    assert call.sequences == B
    assert set(call.parameters) == set(wanted)
    assert all(p.grad is None for p in layer.parameters())  # nobody made a plain gradient
    squares, sums, uses = call.squares(), call.weighted(FACTORS), call.uses()
    for parameter, exact in wanted.items():
        norms = exact.flatten(1).square().sum(1)
        scale = norms.max().clamp_min(1e-300)
        assert ((squares[parameter] - norms).abs() <= limit * scale).all()
        total = torch.einsum("b,b...->...", FACTORS, exact)
        assert ((sums[parameter] - total).abs() <= limit * scale.sqrt()).all()
        own = of_uses([use for use in uses if use.parameter is parameter], parameter)
        assert ((own - exact).abs() <= limit * scale.sqrt()).all()


def made(layer):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.5)
    return layer.double()


LENGTHS = [6, 2, 4, 0]
RESET = torch.rand(T, B, generator=torch.Generator().manual_seed(3)) < 0.3
LAYERS = {
    "lstm": (lambda: LSTM(I, H), {}),
    "reset before, ragged": (lambda: GRU(I, H, reset="before"), {"lengths": LENGTHS}),
    "stacked, both ways, resets": (lambda: LSTM(I, H, 2, bidirectional=True), {"reset": RESET, "lengths": LENGTHS}),
    "projected": (lambda: LSTM(I, H, 2, proj_size=3), {}),
    "unit by unit": (lambda: Recurrent("mingru", I, H), {"lengths": LENGTHS}),
    "own cell": (lambda: Recurrent(Everything, I, H, bidirectional=True), {"lengths": LENGTHS}),
    "norm": (lambda: GRU(I, H, layer_norm=True), {"lengths": LENGTHS}),
    "shared layers": (lambda: GRU(H, H, 3, share="layers"), {"lengths": LENGTHS}),
    "shared directions": (lambda: LSTM(I, H, 2, bidirectional=True, share="directions"), {"lengths": LENGTHS}),
    "heads, low rank": (lambda: LSTM(I, H, heads=2), {}),
    "low rank": (lambda: GRU(I, H, rank=3), {}),
    "spectral norm": (lambda: LSTM(I, H, spectral=0.5).eval(), {}),
    "semi-tied": (lambda: GRU(I, H, semi_tied=True), {}),
    "mirrored": (lambda: Recurrent("antisymmetricrnn", I, H), {"lengths": LENGTHS}),
    "learned first states": (lambda: LSTM(I, H, 2, bidirectional=True, learn_initial_state=True), {"lengths": LENGTHS}),
    "learned first states, resets": (lambda: GRU(I, H, learn_initial_state=True), {"reset": RESET}),
}


@pytest.mark.parametrize("name", LAYERS)
def test_norms_sums_and_uses_are_those_of_a_loop_over_sequences(name):
    make, named = LAYERS[name]
    layer = made(make())
    x = torch.randn(T, B, layer.input_size, dtype=torch.float64)

    def run(b: int | None):
        chosen = slice(None) if b is None else slice(b, b + 1)
        own = {key: value[chosen] if key == "lengths" else value[:, chosen] for key, value in named.items()}
        y, last = layer(x[:, chosen], **own)
        return [y, *(last if isinstance(last, tuple) else (last,))]

    check(layer, run)


@pytest.mark.parametrize("lengths", [[64, 3, 64, 17], [33, 32, 31, 0]], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_norms_of_long_and_of_short_sequences_are_those_of_their_gradients(dtype, lengths):
    """Short ones are measured by pairs of steps, long ones by tiles of the gradient."""
    torch.manual_seed(2)
    layer = GRU(I, 40, bidirectional=True, dtype=dtype)
    x = torch.randn(max(lengths), len(lengths), I, dtype=dtype)
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            with Recorder() as recorder:
                layer(x, lengths=lengths)[0].square().sum().backward()
            found.append(recorder.calls[0].squares())
        finally:
            torch.set_num_threads(1)
    (call,) = recorder.calls
    for b in range(len(lengths)):
        one = call.weighted(torch.eye(len(lengths))[b])
        for parameter, gradient in one.items():
            exact = gradient.double().square().sum().item()
            assert abs(found[0][parameter][b].item() - exact) <= (1e-5 if dtype == torch.float32 else 1e-13) * exact
    assert all(torch.equal(found[0][p], found[1][p]) for p in found[0])  # however many threads


def test_steps_that_cancel_do_not_cost_the_norm_its_digits():
    """The gradient of W is small beside its summands; from pairs in float32 its norm would be wrong altogether."""
    torch.manual_seed(2)
    layer = Recurrent("rnn", 4, 64)
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
    x = torch.randn(1, 2, 4).expand(8, 2, 4).contiguous()
    signs = torch.tensor([1.0, -1.0] * 4)[:, None, None] * torch.randn(1, 2, 64) + 1e-4 * torch.randn(8, 2, 64)
    with Recorder() as recorder:
        (layer(x)[0] * signs).sum().backward()
    (call,) = recorder.calls
    squares = call.squares()[layer.weight_ih_l0]
    for b in range(2):
        exact = call.weighted(torch.eye(2)[b])[layer.weight_ih_l0].double().square().sum().item()
        assert abs(squares[b].item() - exact) <= 1e-4 * exact


def test_a_batch_of_none_and_a_call_that_no_loss_depends_on_add_nothing():
    layer = LSTM(I, H, 2, bidirectional=True, learn_initial_state=True, weight_dropout=0.2)
    for sequences in (0, 2):
        with Recorder() as recorder:
            unused = layer(torch.randn(T, 2, I))[0]
            layer(torch.randn(T, sequences, I))[0].sum().backward()
        assert unused.requires_grad
        idle, call = recorder.calls
        for own, count in ((idle, 2), (call, sequences)):
            assert {value.shape for value in own.squares().values()} == {(count,)}
            assert set(own.squares()) == set(own.weighted(torch.ones(count))) == set(layer.parameters())
        assert all((value == 0).all() for value in [*idle.squares().values(), *idle.weighted(torch.ones(2)).values()])
        assert all(of_single(use).shape == (sequences, *use.parameter[use.place].shape) for use in call.uses())


def of_single(use: Use) -> torch.Tensor:
    own = use.adjoint.sum(0)
    return own if use.operand is None else torch.einsum("tbr,tbc->brc", use.adjoint, use.operand)


def test_what_has_no_gradients_of_single_sequences_is_refused_by_name():
    layer, x = LSTM(I, H), torch.randn(T, B, I)
    with Recorder(), pytest.raises(BackendError, match="drop create_graph=True"):
        torch.autograd.grad(layer(x.requires_grad_())[0].sum(), [x], create_graph=True)
    with Recorder(), eager_only(), pytest.raises(InputError, match="adjoints come from the engine"):
        layer(x)
    with Recorder() as recorder:
        y = layer(x)[0]
        y.sum().backward()
        with torch.no_grad():
            y.zero_()
    with pytest.raises(InputError, match="changed in place"):
        recorder.calls[0].squares()


def test_the_check_itself_finds_a_norm_that_is_a_little_wrong(monkeypatch):
    layer, x = made(LSTM(I, H)), torch.randn(T, B, I, dtype=torch.float64)

    def run(b: int | None):
        return [layer(x if b is None else x[:, b : b + 1])[0]]

    check(layer, run)
    right = Withheld.square_norms
    monkeypatch.setattr(Withheld, "square_norms", lambda call, wanted: right(call, wanted) * (1 + 1e-10))
    with pytest.raises(AssertionError):
        check(layer, run)


@pytest.mark.parametrize("make", [lambda: LSTM(I, H, 2, bidirectional=True), lambda: GRU(I, H, reset="before")])
def test_without_noise_and_clip_fifty_private_steps_are_those_of_plain_training(make, monkeypatch):
    plain, private = made(make()), made(make())
    x, y = torch.randn(T, 20, I, dtype=torch.float64), torch.randn(T, 20, plain.output_size, dtype=torch.float64)
    draws = [torch.nonzero(torch.rand(20) < 0.3)[:, 0] for _ in range(49)] + [torch.zeros(0, dtype=torch.int64)]
    calls, right = list[Withheld](), Withheld.weighted
    monkeypatch.setattr(Withheld, "weighted", lambda call, weights: calls.append(call) or right(call, weights))
    gradients = Gradients(private, math.inf)
    optimizers = [torch.optim.Adam(layer.parameters(), 0.01) for layer in (plain, private)]
    for rows in draws:

        def losses(layer, rows=rows):
            return (layer(x[:, rows])[0] - y[:, rows]).square().sum((0, 2))

        optimizers[0].zero_grad(set_to_none=False)
        (losses(plain).sum() / 6).backward()  # 0.3 of twenty are expected
        gradients.clear()
        gradients.add(lambda losses=losses: losses(private), len(rows))
        for parameter, total in gradients.sums.items():
            parameter.grad = total / 6
        for optimizer in optimizers:
            optimizer.step()
    layers = plain.num_layers
    assert len(calls) == layers * sum(len(rows) > 0 for rows in draws)  # the private path ran
    for a, b in zip(plain.parameters(), private.parameters(), strict=True):
        assert (a - b).abs().max() <= LIMIT * a.abs().max()
