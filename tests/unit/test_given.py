"""What a cell reads beside its input: time, and what is missing."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import tidegate as tg
from tests.reference.given import Timed, timed
from tidegate.errors import InputError
from tidegate.runtime import eager_only, frozen

T, B, I, H = 5, 4, 3, 6
LENGTHS = [5, 2, 0, 3]


def layer_of(dtype=torch.float64, **arguments):
    torch.manual_seed(0)
    return tg.nn.Recurrent(Timed, I, H, dtype=dtype, **arguments)


def batch(dtype=torch.float64):
    torch.manual_seed(1)
    return torch.randn(T, B, I, dtype=dtype), {"dt": torch.rand(T, B, dtype=dtype), "m": torch.rand(T, B, I) > 0.4}


def by_hand(layer, x, given, lengths=LENGTHS, reset=None):
    """Output and last states of all directions, row by row."""
    outputs, lasts = [], []
    for suffix in ("_l0", "_l0_reverse")[: 1 + layer.bidirectional]:
        own = {name.removesuffix(suffix): p for name, p in layer.named_parameters() if name.endswith(suffix)}
        output, last = [], []
        for b, length in enumerate(lengths):
            states = x.new_zeros(1, H), x.new_zeros(1, I)
            rows = {}
            for t in reversed(range(length)) if suffix.endswith("reverse") else range(length):
                if reset is not None and reset[t, b]:
                    states = tuple(map(torch.zeros_like, states))
                step = (value[t, b : b + 1] for value in (given["dt"], given["m"]))
                states = timed(own, x[t, b : b + 1], *states, *step)
                rows[t] = states[0][0]
            output.append(torch.stack([rows.get(t, x.new_zeros(H)) for t in range(T)]))
            last.append([state[0] for state in states])
        outputs.append(torch.stack(output, 1))
        lasts.append([torch.stack(state) for state in zip(*last, strict=True)])
    return torch.cat(outputs, -1), tuple(torch.stack(parts) for parts in zip(*lasts, strict=True))


def gradients(layer, run):
    for parameter in layer.parameters():
        parameter.grad = None
    output, last = run()
    (output.square().sum() + sum(state.sum() for state in last)).backward()
    return [output, *last, *(parameter.grad for parameter in layer.parameters())]


def close(ours, theirs, tolerance=1e-11):
    for own, other in zip(ours, theirs, strict=True):
        assert torch.allclose(own, other, rtol=0, atol=tolerance * max(1, other.abs().max().item()))


@pytest.mark.parametrize("both", [False, True])
def test_a_layer_is_its_equations_forward_and_every_gradient(both):
    layer, (x, given) = layer_of(bidirectional=both), batch()
    reset = torch.rand(T, B) > 0.8
    ours = gradients(layer, lambda: layer(x, given=given, lengths=LENGTHS, reset=reset))
    assert layer.last_path == "fused"
    close(ours, gradients(layer, lambda: by_hand(layer, x, given, reset=reset)))
    with eager_only():
        close(gradients(layer, lambda: layer(x, given=given, lengths=LENGTHS, reset=reset)), ours)


def test_time_and_gaps_may_come_in_every_layout():
    layer, (x, given) = layer_of(), batch()
    y, last = layer(x, given=given, lengths=[5, 4, 3, 1])
    numbers = {"dt": given["dt"][..., None], "m": given["m"].double()}
    close(layer(x, given=numbers, lengths=[5, 4, 3, 1])[:1], [y])
    first = layer_of(batch_first=True)
    turned = {name: value.transpose(0, 1) for name, value in given.items()}
    close(first(x.transpose(0, 1), given=turned, lengths=[5, 4, 3, 1])[:1], [y.transpose(0, 1)])
    one = {name: value[:, 0] for name, value in given.items()}
    close(layer(x[:, 0], given=one)[:1], [y[:, 0]])
    shuffled = [2, 0, 3, 1]
    pack = pack_padded_sequence(x[:, shuffled], torch.tensor([3, 5, 1, 4]), enforce_sorted=False)
    results, ends = layer(pack, given={name: value[:, shuffled] for name, value in given.items()})
    close([pad_packed_sequence(results)[0], *ends], [y[:, shuffled], *(state[:, shuffled] for state in last)])


def test_a_cell_of_one_step_and_options_read_them_too():
    layer, (x, given) = layer_of(), batch()
    cell = tg.nn.RecurrentCell(Timed, I, H, dtype=torch.float64)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    states = None
    for t in range(T):
        states = cell(x[t], states, given={name: value[t] for name, value in given.items()})
    close(states, [state[0] for state in layer(x, given=given)[1]])
    assert cell.last_path == "fused"
    alone = cell(x[0, 0], given={"dt": given["dt"][0, 0], "m": given["m"][0, 0]})
    close(alone, [state[0] for state in cell(x[0], given={name: value[0] for name, value in given.items()})])
    close(layer_of(recurrent_dropout=0.5).eval()(x, given=given)[:1], layer(x, given=given)[:1])
    dropped = layer_of(recurrent_dropout=0.5, learn_initial_state=True, bidirectional=True)
    dropped(x, given=given, reset=torch.rand(T, B) > 0.5)[0].sum().backward()
    assert dropped.last_path == "fused"


def test_a_gradient_of_what_is_given_is_that_of_the_definition():
    layer, (x, given) = layer_of(), batch()
    given["dt"].requires_grad_()
    output, _ = layer(x, given=given)
    assert layer.last_path == "eager: what is given wants a gradient"
    theirs, _ = by_hand(layer, x, given, [T] * B)
    close(*([torch.autograd.grad(y.square().sum(), given["dt"])[0]] for y in (output, theirs)))


def test_operators_of_torch_see_them():
    layer, (x, given) = layer_of(), batch()
    y, _ = layer(x, given=given)

    def loss(x, dt):
        return layer(x, given={"dt": dt, "m": given["m"]})[0].square().sum()

    ours = torch.func.grad(loss, argnums=(0, 1))(x, given["dt"])
    x.requires_grad_()
    given["dt"].requires_grad_()
    close(ours, torch.autograd.grad(loss(x, given["dt"]), (x, given["dt"])))
    x, dt = x.detach(), given["dt"].detach()
    several = torch.vmap(lambda x, dt: layer(x, given={"dt": dt, "m": given["m"]})[0])(
        torch.stack([x, 2 * x]), torch.stack([dt, 3 * dt])
    )
    close(several, [y, layer(2 * x, given={"dt": 3 * dt, "m": given["m"]})[0]])


@pytest.mark.parametrize("wanted", [False, True])
def test_compiled_layers_make_their_gradients_too(wanted):
    layer, (x, given) = layer_of(), batch()
    given["dt"].requires_grad_(wanted)

    def run(function):
        y, _ = function(x, given=given, lengths=torch.tensor(LENGTHS))
        return torch.autograd.grad(y.square().sum(), [*layer.parameters(), *[given["dt"]] * wanted])

    with tg.strict() if not wanted else nullcontext():  # only what is given makes it run by its definition
        close(run(torch.compile(layer, backend="aot_eager", fullgraph=True)), run(layer))


@pytest.mark.parametrize(
    ("given", "text"),
    {
        "nothing": (None, "reads dt and m beside its input, got nothing"),
        "no mapping": (torch.zeros(2), "got Tensor"),
        "one missing": ({"dt": 0}, "reads 'm', which given= lacks"),
        "one too many": ({"dt": 0, "m": 0, "dT": 0}, "given= has 'dT', which Timed does not read"),
        "no tensor": ({"dt": 1.0, "m": 0}, "given 'dt' is a float, expected a tensor"),
        "wrong shape": (
            {"dt": torch.zeros(B, T), "m": 0},
            r"'dt' has the shape \[4, 5\], expected \[5, 4\], one number",
        ),
        "wrong type": ({"dt": torch.zeros(T, B), "m": 0}, r"'dt' is torch.float32, the layer torch.float64"),
    }.values(),
)
def test_what_does_not_fit_is_refused(given, text):
    with pytest.raises(InputError, match=text):
        layer_of()(batch()[0], given=given)


def test_widths_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="reads nothing beside its input"):
        tg.nn.GRU(I, H)(torch.zeros(T, B, I), given={"dt": torch.zeros(T, B)})
    with pytest.raises(InputError, match="last and m of Timed are as wide as the input, 3, but its second layer"):
        tg.nn.Recurrent(Timed, I, H, num_layers=2)
    square = tg.nn.Recurrent(Timed, H, H, num_layers=2)
    square(torch.zeros(T, B, H), given={"dt": torch.ones(T, B), "m": torch.ones(T, B, H)})
    assert square.last_path == "fused"


def test_half_precision_computes_in_float32():
    layer, (x, given) = layer_of(torch.float32), batch(torch.float32)
    y, _ = layer(x, given=given)
    halved = layer_of(torch.bfloat16)
    close([halved(x.bfloat16(), given=given | {"dt": given["dt"].bfloat16()})[0].float()], [y], 0.02)
    with torch.autocast("cpu", torch.bfloat16):
        close([layer(x, given=given)[0].float()], [y], 0.02)


def test_frozen_weights_are_packed_once():
    layer, (x, given) = layer_of(bidirectional=True), batch()
    y, _ = layer(x, given=given)
    with torch.no_grad(), tg.frozen(layer):
        close([layer(x, given=given)[0] for _ in range(2)], [y, y])
        assert all(len(weights._packed) == 1 for weights in frozen.kept.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sessions_read_them_step_by_step_and_in_blocks(dtype):
    layer, (x, given) = layer_of(dtype).eval(), batch(dtype)
    y = layer(x, given=given)[0].detach()
    session = tg.Session(layer, B)
    steps = [session.step(x[t], {name: value[t] for name, value in given.items()}) for t in range(2)]
    rest = session.run(x[2:], given={name: value[2:] for name, value in given.items()})
    close([torch.cat([torch.stack(steps), rest])], [y], 1e-6)
    alone = tg.Session(layer)
    own = {name: value[:, 0] for name, value in given.items()}
    close([alone.step(x[t, 0], {name: value[t] for name, value in own.items()}) for t in range(T)], y[:, 0], 1e-6)
    delta = tg.Session(layer, B, delta=1e-9)
    close([delta.run(x, given)], [y], 1e-5)
    both = layer_of(dtype, bidirectional=True).eval()
    close([tg.Session(both, B, bidirectional=True).run(x, given)], [both(x, given=given)[0]], 1e-6)
    with pytest.raises(InputError, match="given 'dt' has the shape"):
        session.step(x[0], given)
    with pytest.raises(InputError, match="reads dt and m beside its input, got nothing"):
        session.step(x[0])
