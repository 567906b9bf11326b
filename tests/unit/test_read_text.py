"""JSON of audio plugins and RNNoise's records, as files of others lay them out; and layers that read from the end."""

import json

import numpy as np
import pytest
import torch

import tidegate as tg
from tests.unit.test_ship_targets import as_nam, as_rtneural, drawn_states, ours, pruned_gru
from tidegate.errors import InputError

X = np.random.default_rng(0).standard_normal((12, 1))


def written(tmp_path, name, content):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def head_of(found):
    head = torch.nn.Linear(found.hidden_size, len(found.head["bias"]))
    head.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in found.head.items()})
    return head


# --- Neural Amp Modeler ---


def nam_file(**changes):
    torch.manual_seed(0)
    layer = drawn_states(tg.nn.LSTM(1, 3, 2, learn_initial_state=True))
    return {**json.loads(tg.ship.nam(layer, torch.nn.Linear(3, 1), 48000)), **changes}


@pytest.mark.parametrize("name", ["amp.nam", "amp.json"])
def test_nam(name, tmp_path):
    file = nam_file(version="0.6.1")
    (found,) = tg.convert.read(written(tmp_path, name, file))
    assert (found.layers, found.facts) == (2, {"sample_rate": 48000})
    layer = found.layer()
    assert str(layer) == "LSTM(1, 3, num_layers=2, learn_initial_state=True)"
    np.testing.assert_allclose(ours(layer, head_of(found), X), as_nam(json.dumps(file), X), atol=1e-6)


def test_nam_in_a_container(tmp_path):
    inside = nam_file()
    submodels = [{"max_value": 0.5, "model": nam_file(architecture="WaveNet")}, {"max_value": 1.0, "model": inside}]
    file = nam_file(architecture="SlimmableContainer", config={"submodels": submodels}, weights=[])
    (found,) = tg.convert.read(written(tmp_path, "amp.nam", file))
    assert found.name == "submodels.1"


NAM_DAMAGES = {
    "lacks one of version": {"config": 3},
    "0.5 to 0.7 are read": {"version": "0.8.0"},
    "holds WaveNet, no LSTM": {"architecture": "WaveNet"},
    "must be a positive integer": {"config": {"input_size": 1, "hidden_size": -3, "num_layers": 1}},
    "000 units need": {"config": {"input_size": 1, "hidden_size": 10**9, "num_layers": 10**9}},
    "need 70 weights": {"config": {"input_size": 1, "hidden_size": 3, "num_layers": 1}},
    "something else than numbers": {"weights": ["1.0"]},
    "rows of different lengths": {"weights": [[1.0], 2.0]},
    "float32 has not": {"weights": [1e300]},
    "lacks one of": {"architecture": "SlimmableContainer", "config": {"submodels": [3]}},
}


@pytest.mark.parametrize("fault", NAM_DAMAGES)
def test_damaged_nam(fault, tmp_path):
    with pytest.raises(InputError, match=fault):
        tg.convert.read(written(tmp_path, "amp.nam", nam_file(**NAM_DAMAGES[fault])))


def test_what_is_no_json(tmp_path):
    for content in (
        '{"version": ',
        '{"a": ' + "[" * 100_000,
        "{" + "\ud800".encode("utf-8", "surrogatepass").decode("latin1"),
    ):
        with pytest.raises(InputError, match="is damaged"):
            tg.convert.read(written(tmp_path, "amp.nam", content))


# --- RTNeural ---


@pytest.mark.parametrize("layer", [tg.nn.LSTM(1, 4), tg.nn.GRU(1, 4, update="write")])
def test_rtneural(layer, tmp_path):
    text = tg.ship.rtneural(layer, torch.nn.Linear(4, 1), {"in_skip": 1})
    (found,) = tg.convert.read(written(tmp_path, "amp.json", text))
    assert found.facts == {"in_skip": 1}
    np.testing.assert_allclose(ours(found.layer(), head_of(found), X), as_rtneural(text, X), atol=1e-6)


def test_rtneural_with_layers_around(tmp_path):
    layer, above = (
        tg.nn.GRU(1, 4, 2),
        torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)),
    )
    reading = tg.convert.read(written(tmp_path, "amp.json", tg.ship.rtneural(layer, above)))
    assert [found.name for found in reading] == ["gru_0", "gru_1"]
    assert not reading[0].head
    assert reading[1].head["weight"].shape == (3, 4)
    assert reading[1].where == "layers[1], dense, activation tanh, dense"
    stack = reading.stacked().layer()
    assert str(stack) == "GRU(1, 4, num_layers=2)"
    x = torch.from_numpy(X).float()
    torch.testing.assert_close(stack(x)[0], layer(x)[0])


@pytest.mark.parametrize("form", ["plain", "GuitarML"])
def test_names_of_torch_in_json(form, tmp_path):
    module, head = torch.nn.LSTM(1, 4), torch.nn.Linear(4, 1)
    state = {**{f"rec.{k}": v.tolist() for k, v in module.state_dict().items()}}
    state |= {f"lin.{k}": v.tolist() for k, v in head.state_dict().items()}
    file = state if form == "plain" else {"model_data": {"unit_type": "LSTM", "skip": 1}, "state_dict": state}
    (found,) = tg.convert.read(written(tmp_path, "amp.json", file))
    assert found.facts == ({} if form == "plain" else {"unit_type": "LSTM", "skip": 1})
    with torch.no_grad():
        wanted = head(module(torch.from_numpy(X).float())[0])
    np.testing.assert_allclose(ours(found.layer(), head_of(found), X), wanted, atol=1e-6)


def changed(change):
    file = json.loads(tg.ship.rtneural(tg.nn.GRU(1, 4), torch.nn.Linear(4, 1)))
    change(file["layers"])
    return file


RTNEURAL_DAMAGES = {
    "a layer has no weights": lambda layers: layers[0].pop("weights"),
    "has weights of shape": lambda layers: layers[0]["weights"].pop(),
    "expected kernel of": lambda layers: layers[0]["weights"][1].pop(),
    "is said to have 5 units": lambda layers: layers[0].update(shape=[None, None, 5]),
    "rows of different lengths": lambda layers: layers[0]["weights"][1][0].pop(),
    "reads 3 numbers of 4": lambda layers: layers[1]["weights"][0].pop(),
    "a dense layer has a kernel": lambda layers: layers[1].update(weights=[[1.0], [1.0]]),
    "no LSTM and no GRU": lambda layers: layers.pop(0),
}


@pytest.mark.parametrize("fault", RTNEURAL_DAMAGES)
def test_damaged_rtneural(fault, tmp_path):
    with pytest.raises(InputError, match=fault):
        tg.convert.read(written(tmp_path, "amp.json", changed(RTNEURAL_DAMAGES[fault])))


# --- RNNoise ---


def test_dnnw(tmp_path):
    layer = pruned_gru()
    (found,) = tg.convert.read(written(tmp_path, "blob.bin", tg.ship.dnnw({"gru": layer}, "float32")))
    assert (found.name, found.where) == ("gru", "float32")
    for name, value in found.layer().state_dict().items():
        np.testing.assert_array_equal(value, layer.state_dict()[name])
    (found,) = tg.convert.read(written(tmp_path, "blob.bin", tg.ship.dnnw({"gru": layer})))
    assert found.where == "int8"
    for name, value in found.layer().state_dict().items():
        np.testing.assert_allclose(value, layer.state_dict()[name], atol=0.25 / 127)


def test_damaged_dnnw(tmp_path):
    content = tg.ship.dnnw({"gru": pruned_gru()})
    at = content.index(b"gru_recurrent_weights_idx") - 20  # where its head begins
    damages = {
        "ends within a record": content[: at + 30],
        "is none": content[:at] + b"DNNx" + content[at + 4 :],
        "do not fit": content[: at + 64] + b"\x77" + content[at + 65 :],
        "would have": content[: at + 68] + b"\xfc\xff\xff\x7f" + content[at + 72 :],
        "lacks its weights": content.replace(b"gru_input_scale", b"gru_input_scall"),
    }
    for fault, damaged in damages.items():
        with pytest.raises(InputError, match=fault):
            tg.convert.read(written(tmp_path, "blob.bin", damaged))


# --- Reverse ---


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("aligned", [False, True])
def test_reverse_reads_each_sequence_from_its_end(batch_first, aligned):
    layer = tg.nn.LSTM(2, 3, batch_first=batch_first)
    reverse = tg.convert.Reverse(layer, aligned=aligned)
    x, lengths = torch.randn(3, 5, 2), [5, 2, 0]
    given = x if batch_first else x.transpose(0, 1)
    y, (h, c) = reverse(given, lengths=lengths)
    y = y if batch_first else y.transpose(0, 1)
    for k, n in enumerate(lengths):
        if n == 0:
            assert not y[k].any()
            assert not h[0, k].any()
            continue
        wanted, (last, cell) = layer(x[k, :n].flip(0))
        torch.testing.assert_close(y[k, :n], wanted.flip(0) if aligned else wanted)
        torch.testing.assert_close((h[0, k], c[0, k]), (last[0], cell[0]))
        assert not y[k, n:].any()
    whole, _ = reverse(given)
    every, _ = reverse(given, lengths=[5] * 3)
    torch.testing.assert_close(whole, every)
    single, _ = reverse(x[0])
    torch.testing.assert_close(single, (whole if batch_first else whole.transpose(0, 1))[0])
    torch.testing.assert_close(reverse(x[0], lengths=[5])[0], single)


def test_reverse_refuses():
    with pytest.raises(InputError, match="has two directions"):
        tg.convert.Reverse(tg.nn.GRU(2, 3, bidirectional=True))
    reverse = tg.convert.Reverse(tg.nn.GRU(2, 3))
    with pytest.raises(InputError, match="lengths"):
        reverse(torch.zeros(5, 3, 2), lengths=[6, 1, 1])
    with pytest.raises(InputError, match="expected a tensor"):
        reverse([1.0])
    with pytest.raises(RuntimeError):
        reverse(torch.zeros(5, 3, 4))
