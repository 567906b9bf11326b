"""Files for other programs, read and run here by code of its own that follows those programs."""

import json
import struct

import numpy as np
import pytest
import torch

import tidegate as tg
from tidegate.errors import EmitError, InputError

STEPS = 20


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def ours(layer, head, x):
    y, _ = torch.func.functional_call(
        layer, {name: value.double() for name, value in layer.state_dict().items()}, torch.from_numpy(x)
    )
    with torch.no_grad():
        return (y @ head.weight.double().T + head.bias.double()).numpy()


def drawn_states(layer):
    for name, value in layer.named_parameters():
        if name.startswith("initial"):
            torch.nn.init.uniform_(value, -1, 1)
    return layer


# --- Neural Amp Modeler ---


def as_nam(text, x):
    """As its core runs a file: one list of numbers, read layer by layer."""
    file = json.loads(text)
    config, numbers = file["config"], np.array(file["weights"])
    H, width, layers = config["hidden_size"], config["input_size"], []

    def take(*shape):
        nonlocal numbers
        taken, numbers = np.split(numbers, [int(np.prod(shape))])
        return taken.reshape(shape)

    for k in range(config["num_layers"]):
        W = take(4 * H, (H if k else width) + H)
        layers.append([W, take(4 * H), take(H), take(H)])
    weight, bias = take(config.get("out_channels", 1), H), take(config.get("out_channels", 1))
    assert not numbers.size
    found = []
    for v in x:
        for layer in layers:
            W, b, h, c = layer
            i, f, g, o = np.split(W @ np.concatenate([v, h]) + b, 4)
            layer[3] = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            v = layer[2] = sigmoid(o) * np.tanh(layer[3])  # noqa: PLW2901  the output is the next layer's input
        found.append(weight @ v + bias)
    return np.stack(found)


@pytest.mark.parametrize(("channels", "layers", "learned"), [(1, 1, False), (1, 2, True), (3, 1, True)])
def test_nam(channels, layers, learned) -> None:
    torch.manual_seed(0)
    layer = drawn_states(tg.nn.LSTM(channels, 5, layers, learn_initial_state=learned))
    head, x = torch.nn.Linear(5, channels), np.random.default_rng(0).standard_normal((STEPS, channels))
    text = tg.ship.nam(layer, head, 44100, {"name": "test"})
    np.testing.assert_allclose(as_nam(text, x), ours(layer, head, x), atol=1e-6)
    assert json.loads(text)["sample_rate"] == 44100
    assert json.loads(text)["metadata"]["name"] == "test"


# --- RTNeural ---


def as_rtneural(text, x):
    for part in json.loads(text)["layers"]:
        x = KINDS[part["type"]](x, part, *map(np.array, part["weights"]))
    return x


def dense(x, part, kernel, bias):
    assert not part["activation"]
    return x @ kernel + bias


def lstm(x, part, kernel, recurrent, bias):
    h, c, found = np.zeros(len(recurrent)), 0, []
    for v in x:
        i, f, g, o = np.split(v @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        found.append(h)
    return np.stack(found)


def gru(x, part, kernel, recurrent, bias):
    h, found = np.zeros(len(recurrent)), []
    for v in x:
        z, r, n = np.split(v @ kernel + bias[0], 3)
        of_z, of_r, of_n = np.split(h @ recurrent + bias[1], 3)
        z = sigmoid(z + of_z)
        h = z * h + (1 - z) * np.tanh(n + sigmoid(r + of_r) * of_n)
        found.append(h)
    return np.stack(found)


def activation(x, part):
    return {"tanh": np.tanh, "relu": lambda v: np.maximum(v, 0)}[part["activation"]](x)


KINDS = {"lstm": lstm, "gru": gru, "dense": dense, "activation": activation}


@pytest.mark.parametrize(
    "layer",
    [
        tg.nn.LSTM(2, 5),
        tg.nn.GRU(2, 5, num_layers=2),
        tg.nn.GRU(2, 5, update="write"),
        tg.nn.LSTM(2, 5, bias=False),
        tg.nn.GRU(2, 5, bias=False),
        tg.nn.LSTM(2, 5, learn_initial_state=True),  # zeros so far
        tg.nn.Recurrent("v", 2, 5),
    ],
)
def test_rtneural(layer) -> None:
    for name, value in layer.named_parameters():
        if name.startswith("p_"):
            torch.nn.init.zeros_(value)
    head, x = torch.nn.Linear(5, 3), np.random.default_rng(0).standard_normal((STEPS, 2))
    text = tg.ship.rtneural(layer, head, {"in_skip": 1})
    np.testing.assert_allclose(as_rtneural(text, x), ours(layer, head, x), atol=1e-6)
    assert json.loads(text)["in_skip"] == 1


def test_rtneural_has_layers_above() -> None:
    layer = tg.nn.GRU(1, 4)
    first, last = torch.nn.Linear(4, 3), torch.nn.Linear(3, 1)
    x = np.random.default_rng(0).standard_normal((STEPS, 1))
    text = tg.ship.rtneural(layer, torch.nn.Sequential(first, torch.nn.Tanh(), last))
    with torch.no_grad():
        wanted = last(torch.tanh(first(layer(torch.from_numpy(x).float())[0])))
    np.testing.assert_allclose(as_rtneural(text, x), wanted, atol=1e-6)


# --- RNNoise ---


def records(content):
    found = {}
    while content:
        magic, version, kind, size, room, name = struct.unpack("<4siiii44s", content[:64])
        assert (magic, version, room % 64) == (b"DNNw", 0, 0)
        dtype = {0: "<f4", 1: "<i4", 3: "<i1"}[kind]
        found[name.rstrip(b"\0").decode()] = np.frombuffer(content[64 : 64 + size], dtype)
        content = content[64 + room :]
    return found


def matrix(held, name, inputs, outputs, kind):
    """A matrix out of blocks: all of them, or those that the index names."""
    blocks = iter(held[f"{name}_weights_{kind}"].reshape(-1, 32))
    index = iter(held.get(f"{name}_weights_idx", []))
    found = np.zeros((inputs, outputs))
    for row in range(0, outputs, 8):
        places = [next(index) for _ in range(next(index))] if f"{name}_weights_idx" in held else range(0, inputs, 4)
        for at in places:
            block = next(blocks)
            found[at : at + 4, row : row + 8] = block.reshape(8, 4).T if kind == "int8" else block.reshape(4, 8)
    if f"{name}_weights_diag" in held:
        for gate in np.split(np.arange(outputs), outputs // inputs):
            found[np.arange(inputs), gate] += held[f"{name}_weights_diag"][gate] / (
                held[f"{name}_scale"][gate] * 127 if kind == "int8" else 1
            )
    return found


def pruned_gru(**options):
    torch.manual_seed(1)
    layer = tg.nn.GRU(8, 16, **options)
    with torch.no_grad():
        layer.weight_hh_l0[8:16, 4:8] = 0
    return layer


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"update": "write"}])
def test_dnnw_holds_the_weights_exactly(options) -> None:
    layer = pruned_gru(**options)
    held = records(tg.ship.dnnw({"gru": layer}, "float32"))
    kernel, recurrent, *bias = tg.convert.dump(layer, "keras")[0]
    np.testing.assert_array_equal(matrix(held, "gru_input", 8, 48, "float"), kernel)
    np.testing.assert_array_equal(matrix(held, "gru_recurrent", 16, 48, "float"), recurrent)
    biases = np.stack([held["gru_input_bias"], held["gru_recurrent_bias"]])
    np.testing.assert_array_equal(biases, bias[0] if bias else 0 * biases)
    assert held["gru_recurrent_weights_int8"].size < 16 * 48  # blocks of zeros are left out


def test_dnnw_rounds_to_the_scale() -> None:
    layer, head = pruned_gru(), torch.nn.Linear(16, 8)
    held = records(tg.ship.dnnw({"gru": layer, "out": head}))
    assert not any(name.endswith("float") for name in held)
    wanted = {"gru_input": layer.weight_ih_l0, "out": head.weight}
    for name, weight in wanted.items():
        scale = held[f"{name}_scale"] * 127
        order = np.r_[16:32, 0:16, 32:48] if name == "gru_input" else slice(None)
        exact = weight.detach().numpy()[order].T
        rounded = matrix(held, name, *exact.shape, "int8")
        assert np.abs(rounded * scale - exact).max() <= 0.5001 * scale.max()
        pairs = rounded[::2] + rounded[1::2]
        assert np.abs(pairs).max() <= 130  # two of them times 254 stay near 16 bits
        np.testing.assert_allclose(held[f"{name}_subias"], held[f"{name}_bias"] - (rounded * scale).sum(0), atol=1e-5)


def test_dnnw_holds_convolutions_over_time() -> None:
    convolution = torch.nn.Conv1d(4, 8, 3)
    held = records(tg.ship.dnnw({"conv": convolution}, floating=["conv"]))
    x = torch.randn(1, 4, 3)
    got = x[0].T.reshape(-1).numpy() @ held["conv_weights_float"].reshape(12, 8) + held["conv_bias"]
    np.testing.assert_allclose(got, convolution(x)[0, :, 0].detach(), atol=1e-6)


# --- safetensors ---


def test_safetensors() -> None:
    from safetensors.torch import load

    layer, head = tg.nn.Recurrent("mgu", 2, 3), torch.nn.Linear(3, 1)
    content = tg.ship.safetensors({"cell": layer, "head": head}, {"sample_rate": "48000"})
    held = load(content)
    assert {name.removeprefix("cell.") for name in held if name.startswith("cell.")} == layer.state_dict().keys()
    size = int.from_bytes(content[:8], "little")
    told = json.loads(content[8 : 8 + size])["__metadata__"]
    assert told["sample_rate"] == "48000"
    assert tg.cell.Graph.from_json(json.loads(told["tidegate.cell"])["cell"]).hash == layer.graph.hash


# --- what they cannot hold ---

LINEAR = torch.nn.Linear(4, 1)
REFUSED = {
    "reverse direction": lambda: tg.ship.nam(tg.nn.LSTM(1, 4, bidirectional=True), torch.nn.Linear(8, 1), 48000),
    "no cell that computes GRU": lambda: tg.ship.nam(tg.nn.GRU(1, 4), LINEAR, 48000),
    "no cell that computes GRU/before": lambda: tg.ship.rtneural(tg.nn.GRU(1, 4, reset="before"), LINEAR),
    "a projection": lambda: tg.ship.rtneural(tg.nn.LSTM(1, 4, proj_size=2), LINEAR),
    "a layer norm": lambda: tg.ship.rtneural(tg.nn.LSTM(1, 4, layer_norm=True), LINEAR),
    "state_clip": lambda: tg.ship.nam(tg.nn.LSTM(1, 4, state_clip=0.5), LINEAR, 48000),
    "zoneout": lambda: tg.ship.rtneural(tg.nn.GRU(1, 4, zoneout=0.1), LINEAR),
    "peepholes": lambda: tg.ship.nam(tg.nn.PeepholeLSTM(1, 4), LINEAR, 48000),
    "learned initial states": lambda: tg.ship.rtneural(drawn_states(tg.nn.GRU(1, 4, learn_initial_state=True)), LINEAR),
    "alpha=2": lambda: tg.ship.rtneural(tg.nn.GRU(1, 4), torch.nn.ELU(2)),
    "the head reads 4": lambda: tg.ship.rtneural(tg.nn.GRU(1, 5), LINEAR),
    "torch.nn.Linear as head": lambda: tg.ship.nam(tg.nn.LSTM(1, 4), None, 48000),
    "blocks have 4 and 8": lambda: tg.ship.dnnw({"gru": tg.nn.GRU(3, 8)}),
    "has 1032 units": lambda: tg.ship.dnnw({"gru": tg.nn.GRU(8, 1032, device="meta")}),
    "stride": lambda: tg.ship.dnnw({"conv": torch.nn.Conv1d(4, 8, 3, stride=2)}),
    "longer than 43 bytes": lambda: tg.ship.dnnw({"x" * 40: torch.nn.Linear(8, 8)}),
    "no weights of 'int4'": lambda: tg.ship.dnnw({"gru": tg.nn.GRU(8, 8)}, "int4"),
    "floating names other": lambda: tg.ship.dnnw({"gru": tg.nn.GRU(8, 8)}, floating=["other"]),
    "two names stand for one": lambda: tg.ship.safetensors({"a": LINEAR, "b": LINEAR}),
    "expected a module": lambda: tg.ship.safetensors({"a": 3}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_target_cannot_hold_is_named(what) -> None:
    with pytest.raises((EmitError, InputError), match=what):
        REFUSED[what]()


def test_numbers_that_are_not_finite_are_refused() -> None:
    layer = tg.nn.LSTM(1, 4)
    torch.nn.init.constant_(layer.weight_ih_l0, float("nan"))
    with pytest.raises(InputError, match="not finite"):
        tg.ship.nam(layer, LINEAR, 48000)


class Own(tg.Cell):
    gates = "i f g o"
    state = "h c"

    def step(self, x, h, c, U):
        i = tg.relu(x.i + U(h).i)
        f = tg.sigmoid(x.f + U(h).f)
        g = tg.tanh(x.g + U(h).g)
        o = tg.sigmoid(x.o + U(h).o)
        c = f * c + i * g
        h = o * c
        return h, c


LAYERS = {
    "LSTM": lambda: tg.nn.LSTM(3, 4, 2, bidirectional=True),
    "GRU that writes": lambda: tg.nn.GRU(3, 4, update="write"),
    "options": lambda: tg.nn.LSTM(3, 4, state_clip=0.1, zoneout={"h": 0.2}, learn_initial_state=True),
    "layer norm": lambda: tg.nn.GRU(3, 4, layer_norm=True),
    "projected, without bias": lambda: tg.nn.LSTM(3, 4, proj_size=2, bias=False),
    "own cell": lambda: tg.nn.Recurrent(Own, 3, 4),
    "own widths": lambda: tg.nn.Recurrent("scrn", 3, 4, widths={"S": 2}),
    "float64": lambda: tg.nn.Recurrent("indrnn", 4, 4, dtype=torch.float64),
}


@pytest.mark.parametrize("name", LAYERS)
def test_safetensors_make_the_same_layer_again(name, tmp_path) -> None:
    layer = LAYERS[name]().eval()
    path = tmp_path / "model.safetensors"
    path.write_bytes(tg.ship.safetensors({"rnn": layer, "head": torch.nn.Linear(4, 1)}))
    (found,) = tg.convert.read(path)
    assert (found.name, found.input_size, found.hidden_size) == ("rnn", layer.input_size, 4)
    x = torch.randn(5, 2, layer.input_size, dtype=next(layer.parameters()).dtype)
    again = found.layer(batch_first=True)
    torch.testing.assert_close(again(x.transpose(0, 1))[0].transpose(0, 1), layer(x)[0])


DAMAGES = {
    "sizes": lambda said: said.update(hidden_size=10**9),
    "layers": lambda said: said.update(num_layers=10**9),
    "directions": lambda said: said.update(bidirectional=True),
    "options": lambda said: said.update(options={"state_clip": "x"}),
    "unknown option": lambda said: said.update(options={"x": 1}),
    "no options": lambda said: said.pop("options"),
    "cell": lambda said: said["cell"]["nodes"].pop(),
    "cell of other arrays": lambda said: said.update(cell=tg.zoo.GRU.graph.to_json()),
    "no cell": lambda said: said.update(cell=3),
    "names": lambda said: said.update(widths=[1]),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_heads_that_lie_are_refused(name, tmp_path) -> None:
    from safetensors.torch import load, save

    content = tg.ship.safetensors({"rnn": tg.nn.LSTM(3, 4)})
    head = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    said = json.loads(head["tidegate.rnn"])
    DAMAGES[name](said)
    path = tmp_path / "model.safetensors"
    path.write_bytes(save(load(content), {"tidegate.rnn": json.dumps(said)}))
    with pytest.raises(InputError, match="is damaged"):
        tg.convert.read(path)
