"""Layers of Keras under half-precision policies: rounded products, float32 inside, and the types that Keras gives."""

import numpy as np
import pytest
import torch

keras = pytest.importorskip("keras", reason="Keras is not installed")

import tidegate as tg  # noqa: E402
import tidegate.keras as tk  # noqa: E402
from tests.peer.test_keras import LAYERS, MASKS, THEIRS, B, H, I, T, x_of  # noqa: E402
from tests.reference import keras_loop  # noqa: E402
from tests.reference.half import FORMATS, Rounding  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's
FLOAT32 = 1e-6  # sums of a few products
POLICIES = {"mixed_bfloat16": torch.bfloat16, "mixed_float16": torch.float16, "bfloat16": torch.bfloat16}
RETURNS = {"return_sequences": True, "return_state": True}


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


def made(kind, policy, **options):
    """A built layer, with biases that are not zeros; torch makes no orthogonal matrices in half precision."""
    draw = keras.initializers.RandomNormal
    options = {"recurrent_initializer": draw(stddev=0.4, seed=4), "bias_initializer": draw(seed=5), **options}
    layer = kind(H, dtype=policy, **RETURNS, **options)
    layer.build((B, T, I))
    return layer


def states_of(layer):
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(B, H, generator=generator) for _ in layer.state_size]


def graded(leaves, results, dtype):
    """Results, and the gradients of a loss that weighs each of their elements by a number of half precision."""
    generator = torch.Generator().manual_seed(7)
    loss = sum((r * torch.randn(r.shape, generator=generator).to(dtype).to(r)).sum() for r in results)
    return [*(result.detach() for result in results), *torch.autograd.grad(loss, leaves)]


def by_layer(layer, mask, dtype, training=False):
    """Outputs, states and every gradient of a layer."""
    x, *states = leaves = [value.requires_grad_() for value in (x_of(torch.float32), *states_of(layer))]
    results = layer(x, initial_state=states, mask=mask, training=training)
    return graded([*leaves, *(w.value for w in layer.trainable_weights)], [*results], dtype)


def by_loop(step, layer, mask, dtype, to):
    """The same by the equations in float64, with factors of products rounded to a format."""
    held = [value.to(dtype) for value in (x_of(torch.float32), *states_of(layer))]  # as Keras casts its arguments
    held += [weight.value.detach() for weight in layer.trainable_weights]
    x, *rest = leaves = [value.double().requires_grad_() for value in held]
    first, weights = tuple(rest[: len(layer.state_size)]), rest[len(layer.state_size) :]
    with Rounding(to):
        outputs, last = keras_loop.run(step, weights, x, first, mask)
        return graded(leaves, [outputs, *last], dtype)


def apart(found, wanted, units):
    """The typical and the largest difference, over the largest number; what is itself rounded may be off by a unit."""
    differences = []
    for own, right, unit in zip(found, wanted, units, strict=True):
        off = ((own.double() - right).abs() - unit * right.abs()).clamp(min=0) / right.abs().max()
        differences.append((float(off.median()), float(off.max())))
    return tuple(map(max, zip(*differences, strict=True)))


@pytest.mark.parametrize("mask", ["none", "holes"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_states_and_gradients_are_those_of_rounded_products(name, policy, mask):
    kind, options, step = LAYERS[name]
    layer, dtype = made(kind, policy, **options), POLICIES[policy]
    to = FORMATS[str(dtype).removeprefix("torch.")]
    with tg.strict():
        found = by_layer(layer, MASKS[mask], dtype)
    assert layer.last_path == "fused"
    held = torch.float32 if policy.startswith("mixed") else dtype
    count = 1 + len(layer.state_size)
    assert {result.dtype for result in found[:count]} == {dtype}
    assert {weight.value.dtype for weight in layer.weights} == {slope.dtype for slope in found[2 * count :]} == {held}
    units = [to.unit] * 2 * count + [0.0 if held == torch.float32 else to.unit] * len(layer.weights)
    typical, most = apart(found, by_loop(step, layer, MASKS[mask], dtype, to), units)
    assert typical < FLOAT32
    assert most < 4 * to.unit  # a number next to a tie may be rounded to either side
    assert apart(found, by_loop(step, layer, MASKS[mask], dtype, None), units)[1] > 20 * FLOAT32


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("name", THEIRS)
def test_types_are_those_of_keras_and_numbers_closer_to_float64(name, training):
    options = {"dropout": 0.4, "seed": 11} if training else {}
    ours, theirs = (made(kind, "mixed_bfloat16", **options) for kind in (getattr(tk, name), THEIRS[name]))
    exact = made(THEIRS[name], "float64", **options)
    for layer in (theirs, exact):
        layer.set_weights(ours.get_weights())
    found, wanted = (by_layer(layer, None, torch.bfloat16, training) for layer in (ours, theirs))
    assert [value.dtype for value in found] == [value.dtype for value in wanted]
    if not training:  # whose masks depend on the type
        x, states = x_of(torch.float32).double(), [state.double() for state in states_of(exact)]
        right = exact(x, initial_state=states)
        mine, other = (
            sum(float((own.double() - best.detach()).abs().mean()) for own, best in zip(some, right, strict=False))
            for some in (found, wanted)
        )
        assert mine < other
    for own, their in zip(found, wanted, strict=True):
        assert (own - their).norm() < 0.1 * their.norm()  # most of it is Keras's, which rounds after each operation


def test_each_cell_has_its_own_policy():
    cells = [
        keras.layers.LSTMCell(4, dtype="mixed_bfloat16"),
        keras.layers.GRUCell(6, dtype="float32"),
        tk.RecurrentCell("mgu", 5, dtype="mixed_float16"),
    ]
    layer = tk.RNN(cells, return_sequences=True, return_state=True)
    x = x_of(torch.float32)
    with tg.strict():
        y, *states = layer(x)
    kept = [[state.dtype for state in keras.tree.flatten(own)] for own in states]
    theirs = keras.layers.RNN(cells, return_sequences=True, return_state=True)
    z, *others = theirs(x)
    assert kept == [[state.dtype for state in keras.tree.flatten(own)] for own in others]
    assert y.dtype == z.dtype == torch.float32
    assert (y - z).abs().max() < 0.01


def test_a_layer_of_any_cell_is_that_of_torch_in_half_precision():
    layer = tk.Recurrent("mgu", H, dtype="bfloat16", return_sequences=True, recurrent_initializer="glorot_uniform")
    x = x_of(torch.float32)
    got = layer(x)
    own = tg.nn.Recurrent("mgu", I, H, batch_first=True, dtype=torch.bfloat16)
    with torch.no_grad():
        for name, weight in zip(own._flat_weights_names, layer.weights, strict=True):
            held = getattr(own, name)
            held.copy_(weight.value.T if held.dim() == 2 else weight.value)
    assert torch.equal(got, own(x.bfloat16())[0])
    generic = keras.layers.RNN(layer.cell, return_sequences=True, dtype="bfloat16")
    assert generic(x).dtype == torch.bfloat16
    assert (generic(x) - got).abs().max() < 0.02  # Keras rounds the state after each step


def test_states_are_kept_from_call_to_call_as_keras_holds_them():
    ours, theirs = (made(kind, "mixed_bfloat16", stateful=True) for kind in (tk.LSTM, keras.layers.LSTM))
    theirs.set_weights(ours.get_weights())
    x = x_of(torch.float32)
    for _ in range(2):
        mine, other = ours(x)[0], theirs(x)[0]
    assert [state.dtype for state in ours.states] == [state.dtype for state in theirs.states]
    assert (mine - other).abs().max() < 0.02


@pytest.fixture
def policy(request):
    """The policy of all layers that are made or loaded meanwhile."""
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"], indirect=True)
def test_a_model_learns_and_comes_back_from_its_file(policy, tmp_path):
    layers = [keras.layers.Bidirectional(tk.LSTM(8, return_sequences=True)), tk.Recurrent("gru/before", 8)]
    head = keras.layers.Dense(1, dtype="float32")
    model = keras.Sequential([keras.Input((T, I)), keras.layers.Masking(), *layers, head])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(64, T, I)).astype("float32")
    losses = model.fit(x, x.mean((1, 2)), epochs=6, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert {layers[0].forward_layer.last_path, layers[1].last_path} == {"fused"}
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [layer.dtype_policy.name for layer in again.layers] == [layer.dtype_policy.name for layer in model.layers]
    assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
