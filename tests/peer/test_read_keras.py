"""Files of Keras: those that Keras 3 writes here, and those of Keras 2 as it laid them out."""

import json
import zipfile

import numpy as np
import pytest
import torch

import tidegate as tg
from tidegate.errors import InputError, TidegateWarning

h5py = pytest.importorskip("h5py")
keras = pytest.importorskip("keras")

T, I = 7, 3
X = np.random.default_rng(0).standard_normal((2, T, I)).astype(np.float32)
layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def ours(layer, x=X):
    with torch.inference_mode():
        return layer(torch.from_numpy(x).transpose(0, 1))[0].transpose(0, 1).numpy()


def saved(tmp_path, model, suffix):
    path = tmp_path / f"model{suffix}"
    (model.save_weights if suffix == ".weights.h5" else model.save)(path)
    return path


# --- Keras 3, run beside ---

FORMS = {
    "LSTM": lambda: layers.LSTM(4, return_sequences=True),
    "GRU": lambda: layers.GRU(4, return_sequences=True),
    "GRU, reset before": lambda: layers.GRU(4, return_sequences=True, reset_after=False),
    "SimpleRNN": lambda: layers.SimpleRNN(4, return_sequences=True, activation="relu"),
    "no bias": lambda: layers.LSTM(4, return_sequences=True, use_bias=False),
    "hard sigmoid": lambda: layers.LSTM(4, return_sequences=True, recurrent_activation="hard_sigmoid"),
    "bidirectional": lambda: layers.Bidirectional(layers.GRU(4, return_sequences=True)),
    "cell": lambda: layers.RNN(layers.LSTMCell(4), return_sequences=True),
    "named like a half": lambda: layers.LSTM(4, return_sequences=True, name="backward_rnn"),
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("form", FORMS)
def test_what_keras_computes(form, suffix, tmp_path):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((None, I)), FORMS[form]()])
    model.layers[0].set_weights(
        [np.random.default_rng(k).uniform(-1, 1, w.shape) for k, w in enumerate(model.get_weights())]
    )
    (found,) = tg.convert.read(saved(tmp_path, model, suffix))
    assert found.name == model.layers[0].name
    assert not found.assumed
    np.testing.assert_allclose(ours(found.layer()), keras.ops.convert_to_numpy(model(X)), atol=1e-6)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_go_backwards_leaves_the_output_reversed(suffix, tmp_path):
    model = keras.Sequential([keras.Input((None, I)), layers.GRU(4, return_sequences=True, go_backwards=True)])
    (found,) = tg.convert.read(saved(tmp_path, model, suffix))
    assert found.directions == "reverse"
    np.testing.assert_allclose(ours(found.layer()), keras.ops.convert_to_numpy(model(X)), atol=1e-6)


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
@pytest.mark.parametrize("is_named", [True, False])
def test_models_in_models(suffix, is_named, tmp_path):
    """Each layer gets its own weights, also where older files number layers by their classes."""
    given = keras.Input((None, I))
    x = layers.Bidirectional(layers.LSTM(2, return_sequences=True, name="lstm"), name="both")(given)
    inner = keras.Sequential([keras.Input((None, 4)), layers.LSTM(3, return_sequences=True, name="deep")], name="inner")
    x = layers.LSTM(5, return_sequences=True, name="last")(inner(x))
    cells = [layers.GRUCell(2, name="low"), layers.GRUCell(3, name="high")]
    model = keras.Model(given, layers.RNN(cells, return_sequences=True, name="stack")(x))
    path = saved(tmp_path, model, suffix)
    if not is_named:
        if suffix != ".keras":
            pytest.skip("these files have names")
        path = without_names(path)
    reading = tg.convert.read(path)
    sizes = {found.name: (found.input_size, found.hidden_size) for found in reading}
    wanted = {"both": (3, 2), "inner/deep": (4, 3), "last": (3, 5), "stack/low": (5, 2), "stack/high": (2, 3)}
    if suffix == ".weights.h5":
        wanted = {**{name: size for name, size in wanted.items() if name != "both"}, "both/lstm": (3, 2)}
    assert sizes == wanted
    if suffix != ".weights.h5":
        assert list(sizes) == list(wanted)
    kernel = model.get_layer("last").get_weights()[0]
    np.testing.assert_array_equal(reading["last"].passes[0][0]["W.i"], kernel[:, :5].T)


def without_names(path):
    """As Keras 3 wrote at first: groups without an attribute that names the layer."""
    bare = path.with_name("bare.keras")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(bare, "w") as other:
        for member in archive.namelist():
            content = archive.read(member)
            if member.endswith(".h5"):
                inner = path.with_name("inner.h5")
                inner.write_bytes(content)
                with h5py.File(inner, "r+") as file:
                    file.visititems(lambda _, item: [item.attrs.pop(name) for name in list(item.attrs)] and None)
                content = inner.read_bytes()
            other.writestr(member, content)
    return bare


def test_weights_alone_say_what_is_assumed(tmp_path):
    model = keras.Sequential(
        [keras.Input((None, I)), layers.LSTM(4, recurrent_activation="hard_sigmoid", return_sequences=True)]
    )
    (found,) = tg.convert.read(saved(tmp_path, model, ".weights.h5"))
    assert "sigmoid and tanh are assumed" in found.assumed
    with pytest.warns(TidegateWarning, match="are assumed"):
        found.layer()
    layer = found.layer(activations=["hard_sigmoid", "tanh", "tanh"])
    np.testing.assert_allclose(ours(layer), keras.ops.convert_to_numpy(model(X)), atol=1e-6)
    for names, fault in {("sigmoid",): "has 3 activations", ("sigmoid", "tanh", "x"): "no activation 'x'"}.items():
        with pytest.raises(InputError, match=fault):
            found.layer(activations=names)


# --- Keras 2, whose files are made here by hand ---


def old_file(path, arrays, version="2.2.4", config=None, names=("lstm_1",)):
    """As Keras 2 wrote them: a group for each layer, its arrays by names that begin with the layer's."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = version.encode(), b"tensorflow"
        root = file
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
            root = file.create_group("model_weights")
        root.attrs["layer_names"] = [name.encode() for name in names]
        for name, own in zip(names, arrays, strict=True):
            group = root.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in own]
            for key, value in own.items():
                group[f"{name}/{key}:0"] = value
    return path


def drawn(gates, width, bias):
    rng = np.random.default_rng(3)
    shapes = {"kernel": (width, gates * 4), "recurrent_kernel": (4, gates * 4), "bias": bias}
    return {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def by_hand(arrays, hard=lambda v: np.clip(0.2 * v + 0.5, 0, 1), x=X):
    """An LSTM of Keras in NumPy."""
    h = c = np.zeros((len(x), 4))
    found = []
    for v in x.swapaxes(0, 1):
        i, f, g, o = np.split(v @ arrays["kernel"] + h @ arrays["recurrent_kernel"] + arrays["bias"], 4, axis=1)
        c = hard(f) * c + hard(i) * np.tanh(g)
        h = hard(o) * np.tanh(c)
        found.append(h)
    return np.stack(found, 1)


def sequential(kind, **config):
    plain = {"name": "lstm_1", "units": 4, "activation": "tanh", **config}
    return {"class_name": "Sequential", "config": [{"class_name": kind, "config": plain}]}


def test_the_hard_sigmoid_of_old_versions(tmp_path):
    arrays = drawn(4, I, (16,))
    for version, hard in {"2.2.4": True, "2.3.1": False, "2.2.4-tf": False, "1.2.2": True}.items():
        (found,) = tg.convert.read(old_file(tmp_path / "model.h5", [arrays], version))
        with pytest.warns(TidegateWarning, match="are assumed"):
            layer = found.layer()
        wanted = by_hand(arrays) if hard else by_hand(arrays, lambda v: 1 / (1 + np.exp(-v)))
        np.testing.assert_allclose(ours(layer), wanted, atol=1e-5)
    config = sequential("LSTM", recurrent_activation="hard_sigmoid")
    (found,) = tg.convert.read(old_file(tmp_path / "model.h5", [arrays], "2.10.0", config))
    np.testing.assert_allclose(ours(found.layer()), by_hand(arrays), atol=1e-5)


def as_cudnn(arrays, gates):
    """As CuDNN's layers kept them: of each gate the numbers of (out, in) in the shape (in, out)."""
    kernels = [gate.T.ravel().reshape(gate.shape) for gate in np.hsplit(arrays["kernel"], gates)]
    recurrent = [gate.T for gate in np.hsplit(arrays["recurrent_kernel"], gates)]
    return {"kernel": np.hstack(kernels), "recurrent_kernel": np.hstack(recurrent)}


@pytest.mark.parametrize("kind", ["CuDNNLSTM", "LSTM", ""])
def test_cudnn_s_layout(kind, tmp_path):
    """Under its own class, under LSTM as some files have it, and without a configuration."""
    arrays = drawn(4, I, (16,))
    halves = np.stack([arrays["bias"] * 0.25, arrays["bias"] * 0.75])
    stored = {**as_cudnn(arrays, 4), "bias": halves.ravel()}
    config = sequential(kind, recurrent_activation="sigmoid") if kind else None
    (found,) = tg.convert.read(old_file(tmp_path / "model.h5", [stored], "2.1.5", config))
    assert not found.assumed
    np.testing.assert_allclose(ours(found.layer()), by_hand(arrays, lambda v: 1 / (1 + np.exp(-v))), atol=1e-5)


def test_cudnn_s_gru(tmp_path):
    arrays = drawn(3, I, (2, 12))
    stored = {**as_cudnn(arrays, 3), "bias": arrays["bias"].ravel()}
    (found,) = tg.convert.read(old_file(tmp_path / "model.h5", [stored], "2.2.4"))
    layer = tg.nn.GRU(I, 4)
    tg.convert.load(
        layer, "keras", [[*arrays.values()]], activation={"activation": "tanh", "recurrent_activation": "sigmoid"}
    )
    np.testing.assert_array_equal(ours(found.layer()), ours(layer))


def test_old_bidirectional_layers(tmp_path):
    one, other = drawn(4, I, (16,)), {name: -value for name, value in drawn(4, I, (16,)).items()}
    arrays = {f"{side}_lstm_1/{k}": v for side, own in (("forward", one), ("backward", other)) for k, v in own.items()}
    inner = {"class_name": "LSTM", "config": {"name": "lstm_1", "units": 4, "recurrent_activation": "hard_sigmoid"}}
    config = sequential("Bidirectional", layer=inner, merge_mode="concat")
    config["config"][0]["config"]["name"] = "bidirectional_1"
    path = old_file(tmp_path / "model.h5", [arrays], "2.2.4", config, ["bidirectional_1"])
    (found,) = tg.convert.read(path)
    wanted = np.concatenate([by_hand(one), by_hand(other, x=X[:, ::-1])[:, ::-1]], -1)
    np.testing.assert_allclose(ours(found.layer()), wanted, atol=1e-5)
    config["config"][0]["config"]["merge_mode"] = "sum"
    (found,) = tg.convert.read(old_file(path, [arrays], "2.2.4", config, ["bidirectional_1"]))
    with pytest.raises(InputError, match="merges its directions by 'sum'"):
        found.layer()


# --- what is not run ---


def test_lambdas_and_foreign_classes(tmp_path):
    """A Lambda beside does not matter, since only data are read; as an activation it is refused by its name."""
    arrays, canary = drawn(4, I, (16,)), tmp_path / "canary"
    code = {"class_name": "__lambda__", "config": {"code": f"open({str(canary)!r}, 'w')"}}
    config = sequential("LSTM", recurrent_activation="sigmoid")
    config["config"].append({"class_name": "Lambda", "config": {"name": "lambda", "function": code}})
    (found,) = tg.convert.read(old_file(tmp_path / "model.h5", [arrays], "2.9.0", config))
    found.layer()
    for where in ("activation", "recurrent_activation"):
        (found,) = tg.convert.read(
            old_file(tmp_path / "model.h5", [arrays], "2.9.0", sequential("LSTM", **{where: code}))
        )
        with pytest.raises(InputError, match=f"{where}='__lambda__'"):
            found.layer()
    config = sequential("MyLSTM")
    config["config"].append({"class_name": "LSTM", "config": {"name": "other", "units": 4}})
    mine, other = tg.convert.read(old_file(tmp_path / "model.h5", [arrays], "2.9.0", config))[::-1]
    assert "no weights of this layer" in mine.fault
    assert "is none of Keras's own" in other.fault
    assert not canary.exists()


def test_data_of_other_files_are_not_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(np.arange(64, dtype=np.float32).tobytes())
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("lstm_1/lstm_1")
        group["kernel:0"] = np.zeros((I, 16), np.float32)
        group.create_dataset("recurrent_kernel:0", (4, 16), np.float32, external=[(str(secret), 0, 256)])
        group["bias:0"] = np.zeros(16, np.float32)
    with pytest.raises(InputError, match="lies in another file"):
        tg.convert.read(path)
    with h5py.File(path, "w") as file:
        file["lstm_1"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/lstm")
    old_file(tmp_path / "other.h5", [drawn(4, I, (16,))])
    with pytest.raises(InputError, match="holds no recurrent layer"):
        tg.convert.read(path)


def test_files_that_promise_more_than_they_hold(tmp_path):
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("lstm/kernel:0", (1 << 20, 1 << 20), np.float32, chunks=(1, 1024))
        file.create_dataset("lstm/recurrent_kernel:0", (1 << 18, 1 << 20), np.float32, chunks=(1, 1024))
    with pytest.raises(InputError, match="would have"):
        tg.convert.read(path)
