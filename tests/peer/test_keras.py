"""The Keras layers against equations written out step by step, against Keras's own layers, and in Keras's own uses."""

import itertools
import json
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest
import torch

keras = pytest.importorskip("keras", reason="Keras is not installed")

import tidegate as tg  # noqa: E402
import tidegate.keras as tk  # noqa: E402
from tests.reference import keras_loop, tolerance  # noqa: E402
from tests.reference.compare import assert_equal, public  # noqa: E402
from tests.sample import VARIED  # noqa: E402
from tidegate.cell import Cell, sigmoid, tanh  # noqa: E402
from tidegate.errors import InputError, SpecError  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras's, at each get_weights
    pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`:UserWarning"),  # the published example does
]
B, T, I, H = 4, 6, 3, 5
LAYERS = {
    "SimpleRNN": (tk.SimpleRNN, {}, keras_loop.simple_rnn),
    "LSTM": (tk.LSTM, {}, keras_loop.lstm),
    "PeepholeLSTM": (tk.PeepholeLSTM, {}, keras_loop.peephole_lstm),
    "GRU": (tk.GRU, {}, keras_loop.gru),
    "GRU before": (tk.GRU, {"reset_after": False}, keras_loop.gru_before),
}
MASKS = {
    "none": None,
    "all": torch.ones(B, T, dtype=torch.bool),
    "right": torch.arange(T) < torch.tensor([6, 2, 0, 4])[:, None],
    "left": torch.arange(T) >= torch.tensor([3, 0, 6, 5])[:, None],
    "holes": torch.tensor([[1, 0, 1, 1, 0, 1], [0, 0, 1, 0, 1, 0], [0] * 6, [0, 1, 1, 1, 1, 0]], dtype=torch.bool),
    "nothing": torch.zeros(B, T, dtype=torch.bool),
}
THEIRS = {"SimpleRNN": keras.layers.SimpleRNN, "LSTM": keras.layers.LSTM, "GRU": keras.layers.GRU}


def x_of(dtype=torch.float64, seed=0):
    return torch.randn(B, T, I, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def made(kind, dtype="float64", **options):
    """A built layer, with biases that are not zeros."""
    layer = kind(H, dtype=dtype, bias_initializer=keras.initializers.RandomNormal(seed=5), **options)
    layer.build((B, T, I))
    return layer


def states_of(layer, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    return tuple(torch.randn(B, H, generator=generator, dtype=dtype) for _ in layer.state_size)


def graded(names, leaves, results):
    """Results, and the gradients of a loss that weighs each of their elements by chance."""
    generator = torch.Generator().manual_seed(7)
    loss = sum(
        (r * torch.randn(r.shape, generator=generator, dtype=torch.float64).to(r)).sum() for r in results if r.numel()
    )
    grads = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    named = {f"result {k}": result.detach() for k, result in enumerate(results)}
    return named | {f"d {name}": grad for name, grad in zip(names, grads, strict=True)}


def by_layer(layer, x, states, mask=None, training=False):
    """Output and states of a layer with return_state, and every gradient."""
    x = x.clone().requires_grad_()
    states = tuple(state.clone().requires_grad_() for state in states)
    results = layer(x, initial_state=[*states], mask=mask, training=training)
    names = ["x", *(f"state{k}" for k in range(len(states))), *(w.path.split("/")[-1] for w in layer.trainable_weights)]
    return graded(names, [x, *states, *(w.value for w in layer.trainable_weights)], [*results])


def by_loop(step, layer, x, states, mask=None, **options):
    """The same by the equations."""
    x = x.clone().requires_grad_()
    states = tuple(state.clone().requires_grad_() for state in states)
    weights = [w.value.detach().clone().requires_grad_() for w in layer.trainable_weights]
    outputs, last = keras_loop.run(step, weights, x, states, mask, **options)
    results = [outputs if layer.return_sequences else outputs[:, -1], *last]
    names = ["x", *(f"state{k}" for k in range(len(states))), *(w.path.split("/")[-1] for w in layer.trainable_weights)]
    return graded(names, [x, *states, *weights], results)


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_states_and_gradients_are_those_of_the_equations(name, mask, backwards):
    kind, options, step = LAYERS[name]
    for sequences, zeros in itertools.product([False, True], repeat=2):
        flags = {"return_sequences": sequences, "return_state": True, "go_backwards": backwards}
        layer = made(kind, zero_output_for_mask=zeros, **flags, **options)
        x, states = x_of(), states_of(layer)
        with tg.strict():
            got = by_layer(layer, x, states, MASKS[mask])
        assert layer.last_path == "fused"
        assert_equal(got, by_loop(step, layer, x, states, MASKS[mask], backwards=backwards, zeros=zeros))


@pytest.mark.parametrize("name", LAYERS)
def test_a_wrong_weight_or_step_is_found(name):
    kind, options, step = LAYERS[name]
    layer = made(kind, return_sequences=True, return_state=True, **options)
    x, states = x_of(), states_of(layer)
    got = by_layer(layer, x, states, MASKS["holes"])
    with pytest.raises(AssertionError, match="result 0 off by"):  # a mask that is one step off
        assert_equal(got, by_loop(step, layer, x, states, MASKS["holes"].roll(1, 1)))
    with pytest.raises(AssertionError, match="off by"):
        assert_equal(got, by_loop(step, layer, x, states, MASKS["holes"], zeros=True))
    swapped = by_loop(lambda w, *rest: step([w[0].flip(1), *w[1:]], *rest), layer, x, states, MASKS["holes"])
    with pytest.raises(AssertionError, match="d kernel off by"):
        assert_equal(got, swapped)


# Each is compiled: so every function in one layer, and in a layer that has it twice those that differ in kind.
@pytest.mark.parametrize(
    ("name", "activation", "bias"),
    [
        *(("SimpleRNN", activation, True) for activation in keras_loop.FUNCTIONS),
        *(("LSTM", activation, True) for activation in ("tanh", "softsign", "exponential")),
        *((name, "tanh", False) for name in ("SimpleRNN", "LSTM")),
    ],
)
def test_every_activation_that_the_engine_knows(name, activation, bias):
    kind, _, step = LAYERS[name]
    gates = {"recurrent_activation": "hard_sigmoid"} if name == "LSTM" else {}
    draw = keras.initializers.RandomNormal  # small, or exponential is infinite soon
    small = {"kernel_initializer": draw(stddev=0.2, seed=1), "recurrent_initializer": draw(stddev=0.1, seed=2)}
    flags = {"return_sequences": True, "return_state": True, "use_bias": bias}
    given = getattr(tk, activation, activation)  # one that Keras has no name for
    layer = made(kind, activation=given, **flags, **gates, **small)
    x, states = x_of(), tuple(0.1 * state for state in states_of(layer))
    with tg.strict():
        got = by_layer(layer, x, states, MASKS["holes"])
    assert_equal(got, by_loop(step, layer, x, states, MASKS["holes"], activation=activation, **gates))


@pytest.mark.parametrize("mask", ["none", "right", "holes"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("name", THEIRS)
def test_the_numbers_of_keras_are_ours(name, training, dtype, mask):
    options = {"return_sequences": True, "return_state": True, "dropout": 0.4, "seed": 11}
    ours, theirs = made(getattr(tk, name), dtype, **options), made(THEIRS[name], dtype, **options)
    ours.set_weights(theirs.get_weights())
    x, states = x_of(getattr(torch, dtype)), states_of(ours, getattr(torch, dtype))
    for _ in range(2):  # the second call drops others
        found, wanted = (by_layer(layer, x, states, MASKS[mask], training) for layer in (ours, theirs))
        assert_equal(found, wanted, tolerance.KERAS_FLOAT32)
    assert ours.last_path == "fused"


@pytest.mark.parametrize("mask", ["none", "holes"])
@pytest.mark.parametrize("rate", [0.3, 1.0])
@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in THEIRS), ("GRU", {"reset_after": False})])
def test_recurrent_dropout_is_fused(name, options, rate, mask):
    options = {"return_sequences": True, "return_state": True, "recurrent_dropout": rate, "seed": 11, **options}
    ours, theirs = made(getattr(tk, name), "float32", **options), made(THEIRS[name], "float32", **options)
    ours.set_weights(theirs.get_weights())
    x, states = x_of(torch.float32), states_of(ours, torch.float32)
    for training in (True, False, True):  # the last call drops others
        with tg.strict():
            found = by_layer(ours, x, states, MASKS[mask], training)
        assert_equal(found, by_layer(theirs, x, states, MASKS[mask], training), tolerance.KERAS_FLOAT32)
    assert ours.last_path == "fused"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"recurrent_dropout": 0.3, "dropout": 0.2, "seed": 1}, "one dropout mask for each gate"),
        ({"implementation": 1, "dropout": 0.2, "seed": 1, "use_cudnn": False}, "one dropout mask for each gate"),
        ({"activation": "gelu"}, "activation is gelu"),
    ],
)
def test_what_the_engine_cannot_do_runs_as_keras_does_it(options, reason):
    ours, theirs = (kind(H, return_sequences=True, **options) for kind in (tk.LSTM, keras.layers.LSTM))
    x, mask = x_of(torch.float32), MASKS["holes"]
    ours.build(x.shape)
    theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    assert torch.equal(ours(x, mask=mask, training=True), theirs(x, mask=mask, training=True))
    assert ours.last_path == f"eager: {reason}"
    with tg.strict(), pytest.raises(InputError, match=reason):
        ours(x, mask=mask, training=True)


def test_keras_classes_are_our_bases():
    for name in ("RNN", "SimpleRNN", "LSTM", "GRU"):
        assert issubclass(getattr(tk, name), getattr(keras.layers, name))
    with pytest.raises(ValueError, match="Received an invalid value for argument `units`"):
        tk.LSTM(0)


@pytest.mark.parametrize("name", LAYERS)
def test_states_are_kept_from_call_to_call(name):
    kind, options, step = LAYERS[name]
    layer = made(kind, stateful=True, return_state=True, **options)
    x = x_of()
    zeros = tuple(torch.zeros(B, H, dtype=torch.float64) for _ in layer.state_size)
    layer(x[:, :2])
    output, *last = layer(x[:, 2:])
    output.sum().backward()  # the states were overwritten meanwhile
    _, wanted = keras_loop.run(step, [w.value for w in layer.trainable_weights], x, zeros)
    assert_equal(dict(enumerate(s.detach() for s in last)), dict(enumerate(w.detach() for w in wanted)))
    with pytest.raises(ValueError, match="Expected batch size: 4"):
        layer(x[:2])
    layer.reset_state()
    assert not any(state.numpy().any() for state in layer.states)


@pytest.mark.parametrize("merge_mode", ["sum", "mul", "ave", "concat", None])
@pytest.mark.parametrize("mask", ["none", "holes"])
@pytest.mark.parametrize("sequences", [True, False])
def test_bidirectional_takes_our_layers(merge_mode, mask, sequences):
    made_of = {}
    for side, kind in (("ours", tk.GRU), ("theirs", keras.layers.GRU)):
        layer = keras.layers.Bidirectional(kind(H, return_sequences=sequences, return_state=True), merge_mode)
        layer.build((B, T, I))
        made_of[side] = layer
    made_of["ours"].set_weights(made_of["theirs"].get_weights())
    x = x_of(torch.float32)
    found, wanted = (
        {f"{k}": r.detach() for k, r in enumerate(keras.tree.flatten(layer(x, mask=MASKS[mask])))}
        for layer in made_of.values()
    )
    assert_equal(found, wanted, tolerance.KERAS_FLOAT32)
    assert made_of["ours"].forward_layer.last_path == made_of["ours"].backward_layer.last_path == "fused"


def test_a_stack_of_cells_is_fused():
    def cells():
        return [keras.layers.LSTMCell(4, dropout=0.3, seed=1), keras.layers.GRUCell(6), tk.PeepholeLSTMCell(5)]

    ours, theirs = (kind(cells(), return_sequences=True, return_state=True) for kind in (tk.RNN, keras.layers.RNN))
    x = x_of(torch.float32)
    theirs.build(x.shape)
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    for mask, training in itertools.product((None, MASKS["holes"]), (False, True)):
        found, wanted = (
            {f"{k}": r.detach() for k, r in enumerate(keras.tree.flatten(layer(x, mask=mask, training=training)))}
            for layer in (ours, theirs)
        )
        assert_equal(found, wanted, tolerance.KERAS_FLOAT32)
    assert ours.last_path == "fused"


@pytest.mark.parametrize("cell", VARIED)
def test_a_layer_of_any_cell_has_the_numbers_of_ours_in_torch(cell):
    layer = tk.Recurrent(cell, H, dtype="float64", return_sequences=True, bias_initializer="uniform")
    features = H if tg.zoo.CELLS[cell].graph.input_axis == "H" else I
    x = torch.randn(B, T, features, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layer.build(x.shape)
    own = tg.nn.Recurrent(cell, features, H, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        held = {public(name): value for name, value in own.named_parameters()}
        for name, weight in zip(own._flat_weights_names, layer.weights, strict=True):
            held[name].copy_(weight.value.T if held[name].dim() == 2 else weight.value)
    wanted, _ = own(x)
    generic = keras.layers.RNN(layer.cell, return_sequences=True, dtype="float64")
    got = {"on the engine": layer(x).detach(), "by Keras's loop": generic(x).detach()}
    assert_equal(got, dict.fromkeys(got, wanted.detach()))
    assert layer.last_path == "fused"


def test_a_cell_with_a_width_of_its_own():
    layer = tk.Recurrent("scrn", H, widths={"S": 2}, return_state=True)
    y, h, s = layer(x_of(torch.float32))
    assert (tuple(y.shape), tuple(h.shape), tuple(s.shape)) == ((B, H), (B, H), (B, 2))
    again = tk.Recurrent.from_config(layer.get_config())
    assert again.cell.widths == {"S": 2}
    with pytest.raises(InputError, match="has no axis 'Z'"):
        tk.Recurrent("scrn", H, widths={"Z": 2})(x_of(torch.float32))


def test_what_is_no_cell_is_refused():
    with pytest.raises(InputError, match="is not a cell"):
        tk.Recurrent(3, H)
    with pytest.raises(
        InputError, match="GRUD reads dt and m beside its input, which layers of Keras have no place for"
    ):
        tk.Recurrent("grud", 4)
    with pytest.raises(InputError, match="is a projected cell"):
        tk.Recurrent(tg.passes.project(tg.zoo.LSTM.graph), H)
    with pytest.raises(SpecError, match="not a saved cell"):
        tk.Recurrent.from_config({**tk.Recurrent("mgu", 3).get_config(), "cell": {"format": 2}})
    with pytest.raises(ValueError, match="Received an invalid value for argument `units`"):
        tk.Recurrent("mgu", 0)


OTHER_SHAPES = [((B, T, I + 1), (B, H)), ((B, T, I), (1, H)), ((B, T, I), (B, H + 1))]


def answer_to(layer, shapes):
    """The shape of the result of a second call with other shapes, or the type of the error."""
    layer(x_of(torch.float32))
    x, state = map(torch.zeros, shapes)
    try:
        return layer(x, initial_state=[state]).shape
    except Exception as error:  # noqa: BLE001  whatever Keras raises
        return type(error)


@pytest.mark.parametrize("shapes", OTHER_SHAPES)
def test_other_shapes_than_at_the_first_call_are_for_keras_to_judge(shapes):
    layer = tk.GRU(H)
    assert answer_to(layer, shapes) == answer_to(keras.layers.GRU(H), shapes)
    assert layer.last_path.startswith("eager: ")


@pytest.mark.parametrize("shapes", OTHER_SHAPES)
def test_a_cell_of_ours_refuses_other_shapes(shapes):
    assert answer_to(tk.Recurrent("gru", H), shapes) is InputError
    assert answer_to(keras.layers.RNN(tk.RecurrentCell("gru", H)), shapes) is InputError


def model_of(layers):
    return keras.Sequential([keras.Input((T, I)), keras.layers.Masking(), *layers, keras.layers.Dense(1)])


def every_layer():
    class Own(Cell):  # gone when the model is loaded
        gates = "z n"

        def step(self, x, h, U):
            z = sigmoid(x.z + U(h).z)
            n = tanh(x.n + U(z * h).n)
            return (1 - z) * h + z * n

    regularised = {"kernel_regularizer": keras.regularizers.L2(1e-3), "recurrent_constraint": "max_norm"}
    return [
        tk.SimpleRNN(H, return_sequences=True, dropout=0.1, seed=1),
        tk.LSTM(H, return_sequences=True, recurrent_dropout=0.1, unit_forget_bias=False),
        tk.PeepholeLSTM(H, return_sequences=True, peephole_initializer="ones", **regularised),
        tk.RNN([keras.layers.GRUCell(H), tk.RecurrentCell("mgu", H)], return_sequences=True),
        keras.layers.Bidirectional(tk.GRU(H, return_sequences=True, reset_after=False), "ave"),
        tk.Recurrent(Own, H, go_backwards=True, use_bias=False, **regularised),
    ]


def test_a_model_comes_back_from_its_file(tmp_path):
    model = model_of(every_layer())
    x = x_of(torch.float32)
    before = model(x)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert torch.equal(again(x), before)
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in model.layers]
    for layer, loaded in zip(model.layers, again.layers, strict=True):
        assert json.dumps(loaded.get_config()) == json.dumps(layer.get_config())  # tuples come back as lists
    with zipfile.ZipFile(tmp_path / "model.keras") as file:
        config = json.loads(file.read("config.json"))
    recurrent = config["config"]["layers"][-2]
    assert (recurrent["registered_name"], recurrent["config"]["cell"]["name"]) == ("tidegate>Recurrent", "Own")


@pytest.mark.parametrize("layer", every_layer(), ids=lambda layer: layer.name)
def test_a_layer_comes_back_from_its_config(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("name", [*THEIRS, "PeepholeLSTM"])
def test_the_seed_of_the_dropout_comes_back(name):
    layer = getattr(tk, name)(H, dropout=0.5, seed=1337)
    again = type(layer).from_config(layer.get_config())
    x = x_of(torch.float32)
    layer.build(x.shape)
    again.build(x.shape)
    again.set_weights(layer.get_weights())
    assert again.cell.seed == 1337
    assert torch.equal(again(x, training=True), layer(x, training=True))


@pytest.mark.parametrize("name", THEIRS)
def test_files_of_weights_fit_both_ways(name, tmp_path):
    layers = [THEIRS[name](H, name="layer"), getattr(tk, name)(H, name="layer")]
    models = [model_of([layer]) for layer in layers]
    x = x_of(torch.float32)
    for source, target in (models, models[::-1]):
        source.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in source.weights])
        source.save_weights(tmp_path / f"{name}.weights.h5")
        target.load_weights(tmp_path / f"{name}.weights.h5")
        assert_equal({"y": target(x).detach()}, {"y": source(x).detach()}, tolerance.KERAS_FLOAT32)


def test_the_published_example_learns_a_sine():
    from tidegate.keras import LSTM  # and no other line differs

    keras.utils.set_random_seed(1)
    wave = np.sin(0.1 * np.arange(210))
    x = np.stack([wave[k : k + 10] for k in range(200)])[..., None]
    model = keras.Sequential(
        [LSTM(50, input_shape=(10, 1), activation="tanh", return_sequences=True), LSTM(50), keras.layers.Dense(1)]
    )
    model.compile(optimizer="adam", loss="mse")
    history = model.fit(x, wave[10:], epochs=8, batch_size=8, verbose=0).history["loss"]
    assert history[-1] < 0.02 < history[0]
    assert {layer.last_path for layer in model.layers[:2]} == {"fused"}
    assert np.abs(model.predict(x, verbose=0)[:, 0] - wave[10:]).max() < 0.5


def test_weights_changed_behind_kerass_back_are_seen():
    layer = made(tk.LSTM)
    x = x_of()
    layer(x)
    layer.cell.kernel.value.data.zero_()  # no version counter notes this
    layer.cell.recurrent_kernel.value.data.zero_()
    layer.cell.bias.value.data.zero_()
    assert not layer(x).detach().any()


def test_integers_are_read_as_keras_reads_them():
    ours, theirs = tk.SimpleRNN(H), keras.layers.SimpleRNN(H)
    x = torch.arange(B * T * I).reshape(B, T, I) % 3
    ours.build(x.shape)
    theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    assert_equal({"y": ours(x).detach()}, {"y": theirs(x).detach()}, tolerance.KERAS_FLOAT32)


def answer(program, **environment):
    command = [sys.executable, "-W", "ignore", "-c", program]
    from os import environ

    kept = {name: value for name, value in environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=kept | environment, timeout=120)
    return done.stdout + done.stderr


def test_tidegate_alone_does_not_import_keras():
    program = "import sys, tidegate as tg; tg.nn, tg.zoo; print('keras' in sys.modules)"
    assert answer(program).strip() == "False"


def test_without_keras_the_error_says_what_to_install():
    printed = answer("import sys; sys.modules['keras'] = None; import tidegate.keras")
    assert "pip install 'tidegate[keras]'" in printed


def test_on_another_backend_the_error_says_what_to_set():
    printed = answer("import tidegate.keras", KERAS_BACKEND="jax")
    assert "KERAS_BACKEND=torch before Keras is first imported" in printed
    if "could not be imported" not in printed:
        assert "Keras runs on jax" in printed


def test_the_check_of_kerass_own_tests_counts_what_got_worse(benchmark_script):
    script = benchmark_script("check_keras_tests")
    theirs = {"a": ("passed", ""), "b": ("failed", "x"), "c": ("passed", "")}
    assert script.worse({"tests": theirs}, {"tests": theirs}) == []
    assert script.worse({"tests": theirs}, {"tests": {"a": ("failed", "y"), "b": ("failed", "x")}}) == ["a", "c"]


def test_torch_compile_leaves_the_engine_and_keeps_the_numbers():
    layer = made(tk.LSTM, "float32", return_sequences=True)
    x = x_of(torch.float32)
    wanted = layer(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of its compiler
        got = torch.compile(layer, backend="eager")(x)
    assert_equal({"y": got.detach()}, {"y": wanted.detach()}, tolerance.KERAS_FLOAT32)


@pytest.mark.parametrize("changes", [{"rank": 2}, {"semi_tied": True}, {"heads": 2}], ids=str)
def test_lean_cells_are_those_of_the_layers(changes, tmp_path):
    layer = tk.Recurrent("gru", 4, return_sequences=True, **changes)
    model = keras.Sequential([keras.Input((T, I)), layer])
    x = torch.randn(B, T, I)
    y = model(x)
    assert layer.last_path == "fused"
    model.save(tmp_path / "lean.keras")
    again = keras.saving.load_model(tmp_path / "lean.keras")
    assert torch.equal(again(x), y)
    ours = tg.nn.GRU(I, 4, batch_first=True, **changes)
    with torch.no_grad():
        for parameter, value in zip(ours.parameters(), layer.cell.values(), strict=True):
            parameter.copy_(value)
    assert torch.allclose(ours(x)[0], y, atol=1e-6)
    if "semi_tied" in changes:
        assert torch.equal(ours.tied_l0, torch.ones(12))
    with pytest.raises(InputError, match="rank=5, but U of GRU has 4 columns"):
        tk.Recurrent("gru", 4, rank=5)(x)
