"""Models that were written for torch.nn: the same numbers with layers of Tidegate, and the way back."""

import copy
import io
import pickle
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import tidegate as tg
from tidegate.errors import BackendError, InputError, TidegateWarning
from tidegate.nn import accelerate as accelerate_of_nn
from tidegate.runtime import Obstacle, eager_only, fused, library

TOLERANCE = 1e-12  # absolute, float64

try:
    library.load()
except library.BackendError:
    ENGINE = False
else:
    ENGINE = True
needs_engine = pytest.mark.skipif(not ENGINE, reason="no engine here")


class Tagger(nn.Module):
    """A tag for each word of padded sentences."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 5)
        self.lstm = nn.LSTM(5, 6, num_layers=2, batch_first=True, bidirectional=True)
        self.tag = nn.Linear(12, 4)

    def forward(self, words, lengths):
        packed = pack_padded_sequence(self.embedding(words), lengths, batch_first=True, enforce_sorted=False)
        packed, (h, c) = self.lstm(packed)
        padded, _ = pad_packed_sequence(packed, batch_first=True)
        return self.tag(padded), h, c


class Forecaster(nn.Module):
    """The next value of a series."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 7, num_layers=3, dropout=0.4, batch_first=True)
        self.head = nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 1))

    def forward(self, series):
        y, h = self.gru(series)
        return self.head(y[:, -1]), h


class Policy(nn.Module):
    """An agent that is called step by step and forgets where an episode ends."""

    def __init__(self) -> None:
        super().__init__()
        self.core = nn.LSTM(4, 8)
        self.action, self.value = nn.Linear(8, 3), nn.Linear(8, 1)

    def forward(self, observed, done):
        h = c = observed.new_zeros(1, observed.shape[1], 8)
        logits, values = [], []
        for x, ended in zip(observed, done, strict=True):
            keep = (~ended).to(x.dtype)[None, :, None]
            y, (h, c) = self.core(x[None], (keep * h, keep * c))
            logits.append(self.action(y))
            values.append(self.value(y))
        return torch.cat(logits), torch.cat(values)


class Stepper(nn.Module):
    """A loop of its own over the steps of a cell."""

    def __init__(self, cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x, state=None):
        for step in x:
            state = self.cell(step, state)
        return state


def tagger() -> tuple[nn.Module, tuple]:
    return Tagger(), (torch.randint(11, (4, 6)), torch.tensor([3, 6, 1, 5]))


def forecaster() -> tuple[nn.Module, tuple]:
    return Forecaster(), (torch.randn(4, 9, 3, dtype=torch.float64, requires_grad=True),)


def policy() -> tuple[nn.Module, tuple]:
    return Policy(), (torch.randn(7, 3, 4, dtype=torch.float64), torch.rand(7, 3) < 0.3)


def lone(kind, *sizes, **options):
    """A recurrent layer that is the model."""

    def make() -> tuple[nn.Module, tuple]:
        return kind(*sizes, **options), (torch.randn(5, 3, sizes[0], dtype=torch.float64, requires_grad=True),)

    return make


def stepped(kind, **options):
    """A cell, called step by step."""

    def make() -> tuple[nn.Module, tuple]:
        return Stepper(kind(4, 6, **options)), (torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True),)

    return make


MODELS = {
    "tagger": tagger,
    "forecaster": forecaster,
    "policy": policy,
    "rnn": lone(nn.RNN, 4, 6, num_layers=2),
    "relu": lone(nn.RNN, 4, 6, nonlinearity="relu", bias=False),
    "gru": lone(nn.GRU, 4, 6, bidirectional=True),
    "lstm without bias": lone(nn.LSTM, 4, 6, bias=False, bidirectional=True),
    "rnn cell": stepped(nn.RNNCell),
    "relu cell without bias": stepped(nn.RNNCell, nonlinearity="relu", bias=False),
    "lstm cell": stepped(nn.LSTMCell),
    "lstm cell without bias": stepped(nn.LSTMCell, bias=False),
    "gru cell": stepped(nn.GRUCell),
    "projected": lone(nn.LSTM, 4, 6, num_layers=2, proj_size=3, bidirectional=True),
    "projected without bias": lone(nn.LSTM, 4, 6, proj_size=2, bias=False, batch_first=True),
}


def made(name: str) -> tuple[nn.Module, tuple]:
    torch.manual_seed(0)
    model, inputs = MODELS[name]()
    return model.double(), inputs


def flat(values) -> list[torch.Tensor]:
    return [values] if isinstance(values, torch.Tensor) else [t for value in values for t in flat(value)]


def results(model: nn.Module, inputs: tuple) -> list[torch.Tensor]:
    """Outputs and the gradients of everything that has one."""
    torch.manual_seed(1)
    outputs = flat(model(*inputs))
    leaves = [t for t in (*inputs, *model.parameters()) if t.requires_grad]
    loss = sum((output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum() for output in outputs)
    return [*outputs, *torch.autograd.grad(loss, leaves)]


def check_equal(found: list[torch.Tensor], wanted: list[torch.Tensor]) -> None:
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=TOLERANCE)


def types(model: nn.Module) -> list[type]:
    return [type(module) for module in model.modules()]


def same_parameters(model: nn.Module, before: dict[str, nn.Parameter]) -> bool:
    after = dict(model.named_parameters(remove_duplicate=False))
    return [*after] == [*before] and all(after[name] is before[name] for name in before)


# accelerate


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_computes_the_same(name, training) -> None:
    model, inputs = made(name)
    model.train(training)
    wanted = results(model, inputs)
    before, state = dict(model.named_parameters()), copy.deepcopy(model.state_dict())
    done = tg.accelerate(model)
    assert done.model is model
    assert len(done.swapped) == 1
    assert not done.left
    (layer,) = done.swapped.values()
    assert isinstance(layer, (tg.nn.Recurrent, tg.nn.RecurrentCell))
    assert layer.training is training
    check_equal(results(model, inputs), wanted)
    assert layer.last_path == "fused" or not ENGINE
    assert same_parameters(model, before)
    assert [*model.state_dict()] == [*state]
    model.load_state_dict(state, strict=True)


@pytest.mark.parametrize("name", MODELS)
def test_the_comparison_finds_exchanged_weights(name) -> None:
    """A planted bug: two units of one matrix are exchanged, as a wrong order of gates would do."""
    model, inputs = made(name)
    wanted = results(model, inputs)
    (layer,) = tg.accelerate(model).swapped.values()
    matrix = next(p for name, p in layer.named_parameters() if name.startswith("weight_hh"))
    with torch.no_grad():
        matrix.copy_(matrix.roll(1, 0))
    with pytest.raises(AssertionError, match="not close"):
        check_equal(results(model, inputs), wanted)


@pytest.mark.parametrize("name", MODELS)
def test_restore_is_the_way_back(name) -> None:
    model, inputs = made(name)
    wanted, kinds, before = results(model, inputs), types(model), dict(model.named_parameters())
    attributes = {path: set(vars(module)) for path, module in model.named_modules()}
    tg.accelerate(model)
    assert types(model) != kinds
    results(model, inputs)
    assert tg.restore(model) is model
    assert types(model) == kinds
    assert same_parameters(model, before)
    assert {path: set(vars(module)) for path, module in model.named_modules()} == attributes
    assert all(map(torch.equal, results(model, inputs), wanted))


def test_an_optimizer_made_before_goes_on_training() -> None:
    model, inputs = made("tagger")
    twin = copy.deepcopy(model)
    optimizers = [torch.optim.Adam(m.parameters(), lr=0.05) for m in (model, twin)]
    losses = []
    for step in range(6):
        if step == 2:
            tg.accelerate(model)
            first = {name: p.detach().clone() for name, p in model.lstm.named_parameters()}
        for trained, optimizer in zip((model, twin), optimizers, strict=True):
            optimizer.zero_grad()
            loss = trained(*inputs)[0].square().sum()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < losses[0]
    # Adam divides by the root of squared gradients, which magnifies their last bits.
    torch.testing.assert_close(losses[::2], losses[1::2], rtol=1e-9, atol=0)
    assert all(not torch.equal(p, first[name]) for name, p in model.lstm.named_parameters())


def test_frozen_parameters_buffers_hooks_and_attributes_stay() -> None:
    layer = nn.GRU(3, 4)
    layer.weight_ih_l0.requires_grad = False
    layer.register_buffer("mean", torch.ones(3))
    layer.note = "mine"
    seen = []
    handle = layer.register_forward_hook(lambda module, inputs, output: seen.append(module))
    tg.accelerate(layer)
    layer(torch.randn(2, 1, 3))
    handle.remove()
    layer(torch.randn(2, 1, 3))
    assert len(seen) == 1
    assert seen[0] is layer
    assert layer.note == "mine"
    assert "mean" in layer.state_dict()
    assert [name for name, p in layer.named_parameters() if not p.requires_grad] == ["weight_ih_l0"]


def test_tied_weights_and_shared_layers_stay_tied() -> None:
    shared, tied = nn.LSTM(4, 4), nn.LSTM(4, 4)
    tied.weight_hh_l0 = shared.weight_hh_l0
    kept = [shared]  # a place that no module knows
    model = nn.ModuleDict({"a": shared, "b": nn.Sequential(nn.Identity(), shared), "c": tied})
    done = tg.accelerate(model)
    assert [*done.swapped] == ["a", "c"]
    assert model["a"] is model["b"][1] is kept[0]
    assert model["c"].weight_hh_l0 is model["a"].weight_hh_l0
    assert type(kept[0]) is tg.nn.LSTM


def test_containers_in_containers() -> None:
    model = nn.Sequential(
        nn.ModuleDict({"deep": nn.ModuleList([nn.GRU(2, 3), nn.Sequential(nn.RNN(3, 4, nonlinearity="relu"))])}),
        tg.nn.PeepholeLSTM(4, 5),
    )
    done = tg.accelerate(model)
    assert {path: type(layer) for path, layer in done.swapped.items()} == {
        "0.deep.0": tg.nn.GRU,
        "0.deep.1.0": tg.nn.RNN,
    }
    assert model[0]["deep"][1][0].nonlinearity == "relu"
    assert repr(model[0]["deep"][0]) == "GRU(2, 3)"
    assert not tg.accelerate(model).swapped  # a second time there is nothing to do


@pytest.mark.parametrize("way", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["copy", "pickle"])
def test_copies_and_pickles_afterwards(way) -> None:
    model, inputs = made("tagger")
    tg.accelerate(model)
    wanted = results(model, inputs)
    other = way(model)
    assert other.lstm.last_path == model.lstm.last_path
    assert type(other.lstm) is tg.nn.LSTM
    assert other.lstm.weight_hh_l0 is not model.lstm.weight_hh_l0
    check_equal(results(other, inputs), wanted)
    tg.restore(other)
    assert type(model.lstm) is tg.nn.LSTM
    check_equal(results(other, inputs), wanted)


def test_a_layer_can_change_its_dtype_and_weights_afterwards() -> None:
    model, twin = nn.LSTM(3, 4), nn.LSTM(3, 4)
    tg.accelerate(model)
    for layer in (model, twin):
        torch.manual_seed(0)
        layer.double().reset_parameters()
        layer.weight_hh_l0 = nn.Parameter(torch.eye(4, dtype=torch.float64).repeat(4, 1))
    inputs = (torch.randn(5, 2, 3, dtype=torch.float64),)
    check_equal(results(model, inputs), results(twin, inputs))


def test_an_accelerated_cell_is_what_the_constructor_makes() -> None:
    for ours, theirs, options in [
        (tg.nn.LSTMCell, nn.LSTMCell, {"bias": False}),
        (tg.nn.GRUCell, nn.GRUCell, {}),
        (tg.nn.RNNCell, nn.RNNCell, {"nonlinearity": "relu"}),
    ]:
        wanted, found = ours(3, 4, **options), tg.accelerate(theirs(3, 4, **options)).model
        assert type(found) is ours
        assert found.graph == wanted.graph
        assert vars(found).keys() == vars(wanted).keys()
        assert repr(found) == repr(wanted)


def test_an_accelerated_layer_is_what_the_constructor_makes() -> None:
    for ours, theirs, options in [
        (tg.nn.LSTM, nn.LSTM, {"proj_size": 2, "bias": False}),
        (tg.nn.GRU, nn.GRU, {"num_layers": 2}),
        (tg.nn.RNN, nn.RNN, {"nonlinearity": "relu"}),
    ]:
        wanted, found = ours(3, 4, **options), tg.accelerate(theirs(3, 4, **options)).model
        assert found.graph == wanted.graph
        assert found.cells == wanted.cells
        assert vars(found).keys() == vars(wanted).keys()


def test_hooks_that_hold_the_layer_still_hold_it() -> None:
    layer, seen = nn.LSTM(3, 4), []
    layer.register_load_state_dict_pre_hook(lambda module, *_: seen.append(module))
    layer.register_full_backward_hook(lambda module, *_: seen.append(module))
    tg.accelerate(layer)
    layer.load_state_dict(layer.state_dict())
    layer(torch.randn(2, 1, 3, requires_grad=True))[0].sum().backward()
    assert len(seen) == 2
    assert all(module is layer for module in seen)


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_a_restored_model_can_be_scripted() -> None:
    model, x = nn.Sequential(nn.LSTM(3, 4)), torch.randn(5, 2, 3)
    tg.accelerate(model)
    wanted = model(x)[0]
    torch.testing.assert_close(torch.jit.script(tg.restore(model))(x)[0], wanted)


@needs_engine
def test_a_session_of_an_accelerated_layer() -> None:
    layer, x = tg.accelerate(nn.GRU(3, 4)).model, torch.randn(5, 1, 3)
    torch.testing.assert_close(tg.Session(layer).run(x), layer(x)[0])


def test_what_tidegate_adds_is_there() -> None:
    model = tg.accelerate(nn.LSTM(3, 4)).model
    x = torch.randn(5, 2, 3)
    y, _ = model(x, lengths=[5, 2])
    assert not y[2:, 1].any()
    assert model.trace(x)["f_l0"].shape == (5, 2, 4)


# What is left alone


class OwnCell(nn.GRUCell):
    pass


class Own(nn.LSTM):
    def forward(self, x, hx=None):
        return super().forward(2 * x, hx)


def weight_normed():
    with pytest.warns(FutureWarning, match="weight_norm"):
        return nn.utils.weight_norm(nn.LSTM(3, 4), "weight_hh_l0")


def parametrized():
    return parametrizations.weight_norm(nn.LSTM(3, 4), "weight_hh_l0")


def pruned():
    return prune.l1_unstructured(nn.GRU(3, 4), "weight_hh_l0", 0.5)


def resized(cell):
    cell.weight_hh = nn.Parameter(torch.ones(16, 3))
    return cell


def changed(**attributes):
    layer = nn.LSTM(3, 4)
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


LEFT = {
    "a subclass of a cell": (lambda: OwnCell(3, 4), "it is a subclass, OwnCell"),
    "a parametrized cell": (
        lambda: parametrizations.weight_norm(nn.GRUCell(3, 4), "weight_hh"),
        "its parameters are parametrized",
    ),
    "a cell of another shape": (lambda: resized(nn.LSTMCell(3, 4)), r"torch's own \(weight_hh\)"),
    "a cell's dtype": (lambda: nn.GRUCell(3, 4).to(torch.float8_e5m2), "its parameters are float8_e5m2"),
    "subclass": (lambda: Own(3, 4), "it is a subclass, Own"),
    "parametrized": (parametrized, "its parameters are parametrized"),
    "weight norm": (weight_normed, r"torch's own \(weight_hh_l0, weight_hh_l0_g, weight_hh_l0_v\)"),
    "pruned": (pruned, r"torch's own \(weight_hh_l0, weight_hh_l0_orig\)"),
    "an extra parameter": (lambda: changed(more=nn.Parameter(torch.ones(1))), r"torch's own \(more\)"),
    "another shape": (lambda: changed(weight_hh_l0=nn.Parameter(torch.ones(16, 3))), r"torch's own \(weight_hh_l0\)"),
    "a forward": (lambda: changed(forward=lambda x: x), "its method 'forward' has been replaced"),
    "an attribute that ours have": (lambda: changed(cells=3), "it has an attribute 'cells'"),
    "a submodule": (lambda: changed(norm=nn.Identity()), "it has a submodule, norm"),
    "a dtype": (lambda: nn.LSTM(3, 4).to(torch.float8_e5m2), "its parameters are float8_e5m2, in which the engine"),
    "a device": (lambda: nn.LSTM(3, 4, device="meta"), "its parameters are on meta, and the engine"),
}


@pytest.mark.parametrize("why", LEFT)
def test_what_cannot_be_swapped_is_left_with_its_reason(why) -> None:
    make, reason = LEFT[why]
    layer = make()
    kind, attributes = type(layer), dict(vars(layer))
    model = nn.ModuleDict({"odd": layer, "plain": nn.GRU(3, 4)})
    done = tg.accelerate(model)
    assert [*done.swapped] == ["plain"]
    assert [*done.left] == ["odd"]
    assert re.search(reason, done.left["odd"])
    assert type(layer) is kind
    assert vars(layer).keys() == attributes.keys()


def test_where_torchs_own_are_quicker_they_are_left(monkeypatch) -> None:
    model = nn.ModuleDict({"layer": nn.LSTM(3, 4), "cell": nn.LSTMCell(3, 4)})
    monkeypatch.setattr(accelerate_of_nn, "unavailable", lambda _: Obstacle("no library: no compiler"))
    done = tg.accelerate(model)
    assert not done.swapped
    assert done.left["cell"] == "the engine is not available: no library: no compiler"
    monkeypatch.setattr(accelerate_of_nn, "unavailable", lambda _: None)
    monkeypatch.setattr(accelerate_of_nn, "isa", lambda: "baseline")
    done = tg.accelerate(model)
    assert [*done.swapped] == ["layer"]
    assert "no instruction set wider than the baseline" in done.left["cell"]


@needs_engine
def test_a_model_that_steps_cells_has_the_numbers_it_had() -> None:
    class Stepping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.LSTMCell(5, 7), nn.GRUCell(7, 7)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hc, h = None, None
            for t in range(x.shape[1]):
                hc = self.first(x[:, t], hc)
                h = self.second(hc[0], h)
            return h

    model, x = Stepping(), torch.randn(3, 6, 5)
    wanted = model(x)
    grads = torch.autograd.grad(wanted.square().sum(), [*model.parameters()])
    assert [*tg.accelerate(model).swapped] == ["first", "second"]
    with tg.strict():
        found = model(x)
    torch.testing.assert_close(found, wanted)
    for one, other in zip(torch.autograd.grad(found.square().sum(), [*model.parameters()]), grads, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_the_report_is_a_table() -> None:
    assert str(tg.accelerate(nn.Linear(2, 3))) == "no recurrent layer of torch.nn"
    assert str(tg.accelerate(nn.GRU(2, 3))) == "(model)  swapped: GRU(2, 3)"
    lines = str(tg.accelerate(nn.ModuleDict({"encoder": nn.RNN(2, 3), "odd": Own(2, 3)}))).splitlines()
    assert lines == ["encoder  swapped: RNN(2, 3)", "odd      left: it is a subclass, Own"]


@pytest.mark.parametrize("function", [tg.accelerate, tg.restore])
def test_only_modules_are_models(function) -> None:
    with pytest.raises(InputError, match=r"expected a torch.nn.Module, got list"):
        function([nn.LSTM(2, 3)])


class OurOwn(tg.nn.LSTM):
    pass


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: tg.nn.PeepholeLSTM(3, 4), "torch has no such layer"),
        (lambda: tg.nn.Recurrent("mgu", 3, 4), "torch has no such layer"),
        (lambda: OurOwn(3, 4), "torch has no such layer"),
        (lambda: tg.nn.RecurrentCell("mgu", 3, 4), "torch has no such layer"),
        (lambda: tg.nn.GRUCell(3, 4, reset="before"), "torch has reset"),
        (lambda: tg.nn.GRU(3, 4, reset="before"), "torch has reset"),
        (lambda: tg.nn.GRU(3, 4, update="write"), "torch has reset"),
        (lambda: parametrizations.weight_norm(tg.nn.LSTM(3, 4), "weight_hh_l0"), "parametrized"),
    ],
)
def test_what_torch_does_not_have_is_not_restored_and_nothing_is_changed(make, reason) -> None:
    model = nn.ModuleDict({"first": tg.nn.LSTM(3, 4), "odd": make()})
    kinds = types(model)
    with pytest.raises(InputError, match=f"at odd: .*{reason}"):
        tg.restore(model)
    assert types(model) == kinds


# last_path and strict


def pair(dtype=torch.float32) -> tuple[tg.nn.Recurrent, torch.Tensor]:
    return tg.nn.LSTM(3, 4, dtype=dtype), torch.randn(5, 2, 3, dtype=dtype)


def plain():
    layer, x = pair()
    layer(x)
    return layer


def by_dtype():
    layer, x = pair(torch.complex64)
    layer(x)
    return layer


def by_states_of_another_dtype():
    layer, x = pair()
    with mock.patch.object(fused, "run_eagerly", lambda task, x, *rest: fused.run(task, x, None, rest[1])):
        layer(x, (torch.zeros(1, 2, 4).double(), torch.zeros(1, 2, 4)))
    return layer


def by_device():
    layer = tg.nn.PeepholeLSTM(3, 4, device="meta")
    layer(torch.randn(5, 2, 3, device="meta"))
    return layer


class Marked(torch.Tensor):
    pass


def by_subclass():
    layer, x = pair()
    layer(x.as_subclass(Marked))
    return layer


def by_forward_mode():
    layer, x = pair()
    with torch.autograd.forward_ad.dual_level():
        layer(x)
    return layer


def by_tracer():
    layer, x = pair()
    torch.jit.trace(layer, (x,), check_trace=False)
    return layer


def by_dispatch_mode():
    from torch.utils.flop_counter import FlopCounterMode

    layer, x = pair()
    with FlopCounterMode(display=False):
        layer(x)
    return layer


def by_weights_with_functions_of_their_own():
    from torch.nn.utils._per_sample_grad import call_for_per_sample_grads

    layer, x = tg.nn.GRU(3, 4), torch.randn(5, 2, 3)
    call_for_per_sample_grads(layer, batch_size=2, batch_first=False)(x)
    return layer


def without_library():
    layer, x = pair()
    broken = mock.patch.object(fused, "load", side_effect=BackendError("ENGINE", "no compiler", fix="install one"))
    fused.unavailable.cache_clear()
    try:
        with broken, mock.patch.object(fused, "_warn_once"):
            layer(x)
    finally:
        fused.unavailable.cache_clear()
    return layer


def by_request():
    layer, x = pair()
    with eager_only():
        layer(x)
    return layer


EAGER = {
    by_dtype: ("dtype is complex64", InputError),
    by_states_of_another_dtype: ("dtypes are float32 and float64", InputError),
    by_device: ("device is meta", InputError),
    by_subclass: ("tensor subclass Marked", InputError),
    by_forward_mode: ("forward-mode differentiation", BackendError),
    by_tracer: ("torch.jit.trace", BackendError),
    by_dispatch_mode: ("a torch dispatch mode is active", BackendError),
    by_weights_with_functions_of_their_own: ("torch.nn's own function, for ExpandedWeight", InputError),
    without_library: ("no library: no compiler", BackendError),
}
quiet = pytest.mark.filterwarnings("ignore:.torch.jit", "ignore::torch.jit.TracerWarning")


@needs_engine
def test_a_plain_call_is_fused() -> None:
    assert tg.nn.LSTM(3, 4).last_path is None
    with tg.strict():
        assert plain().last_path == "fused"


@quiet
@needs_engine
@pytest.mark.parametrize("call", EAGER, ids=lambda call: call.__name__)
def test_an_eager_call_says_why_and_strict_refuses_it(call) -> None:
    reason, error = EAGER[call]
    assert call().last_path == f"eager: {reason}"
    with tg.strict(), pytest.raises(error, match=f"expected the fused path, got eager: {reason} — ") as caught:
        call()
    assert caught.value.code == "STRICT"
    assert caught.value.fix
    assert call().last_path == f"eager: {reason}"


@needs_engine
def test_what_was_asked_for_is_no_silent_fallback() -> None:
    with tg.strict():
        assert by_request().last_path == "eager: eager_only is on"


@needs_engine
def test_a_trace_says_how_it_ran_and_strict_refuses_a_fallback() -> None:
    layer = tg.nn.LSTM(3, 4)
    layer.trace(torch.randn(5, 2, 3))
    assert layer.last_path == "fused"
    layer = tg.nn.LSTM(3, 4, dtype=torch.complex64)
    layer.trace(torch.zeros(5, 2, 3, dtype=torch.complex64))
    assert layer.last_path == "eager: dtype is complex64"
    with tg.strict(), pytest.raises(InputError, match="got eager: dtype is complex64"):
        layer.trace(torch.zeros(5, 2, 3, dtype=torch.complex64))


TRACED = {
    "LSTM": lambda: tg.nn.LSTM(3, 4, num_layers=2, bidirectional=True),
    "GRU, batch first": lambda: tg.nn.GRU(3, 4, batch_first=True),
    "RNN": lambda: tg.nn.RNN(3, 4, nonlinearity="relu"),
    "accelerated": lambda: tg.accelerate(nn.LSTM(3, 4)).model,
    "without a twin": lambda: tg.nn.Recurrent("mgu", 3, 4),
    "GRU of another convention": lambda: tg.nn.GRU(3, 4, reset="before"),
    "learned states": lambda: tg.nn.LSTM(3, 4, learn_initial_state=True),
    "LSTMCell": lambda: tg.nn.LSTMCell(3, 4),
    "GRUCell": lambda: tg.nn.GRUCell(3, 4),
    "RecurrentCell": lambda: tg.nn.RecurrentCell("mgu", 3, 4),
}


@quiet
@pytest.mark.parametrize("make", TRACED.values(), ids=TRACED)
def test_a_traced_module_runs_at_any_size(make) -> None:
    module = make()
    sizes = [(2, 3), (4, 3), (1, 3)] if isinstance(module, nn.RNNCellBase) else [(5, 2, 3), (7, 4, 3), (1, 1, 3)]
    traced = torch.jit.trace(module, torch.randn(sizes[0]))
    saved = io.BytesIO()
    torch.jit.save(traced, saved)
    saved.seek(0)
    for again in (traced, torch.jit.load(saved)):
        for size in sizes:
            x = torch.randn(size, requires_grad=True)
            expected, found = (result if torch.is_tensor(result) else result[0] for result in (module(x), again(x)))
            torch.testing.assert_close(found, expected)
            (wanted,), (got,) = (torch.autograd.grad(y.square().sum(), x) for y in (expected, found))
            torch.testing.assert_close(got, wanted)


@quiet
def test_a_traced_twin_is_of_torch_alone() -> None:
    module = nn.Sequential(tg.nn.LSTM(3, 4))
    assert "tidegate::" not in str(torch.jit.trace(module, torch.randn(5, 2, 3)).inlined_graph)


class WithLengths(nn.Module):
    def __init__(self, layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x, lengths):
        return self.layer(x, lengths=lengths)[0]


class Packed(WithLengths):
    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(self.layer(packed)[0])[0]


@quiet
def test_lengths_are_inputs_of_a_traced_module() -> None:
    for layer in (tg.nn.LSTM(3, 4), tg.nn.Recurrent("mgu", 3, 4)):
        module = WithLengths(layer)
        traced = torch.jit.trace(module, (torch.randn(5, 3, 3), torch.tensor([5, 2, 0])))
        x, lengths = torch.randn(7, 2, 3), torch.tensor([3, 7])
        torch.testing.assert_close(traced(x, lengths), module(x, lengths))


@quiet
def test_packed_sequences_are_traced_by_torch_or_refused() -> None:
    example, x, lengths = (torch.randn(5, 2, 3), torch.tensor([5, 2])), torch.randn(7, 3, 3), torch.tensor([3, 7, 1])
    module = Packed(tg.nn.GRU(3, 4))
    torch.testing.assert_close(torch.jit.trace(module, example)(x, lengths), module(x, lengths))
    with pytest.raises(InputError, match="would keep the lengths of this PackedSequence"):
        torch.jit.trace(Packed(tg.nn.Recurrent("mgu", 3, 4)), example)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:torch.quantize_per_tensor:UserWarning")
@pytest.mark.parametrize("chosen", [nn.LSTM, tg.nn.LSTM])
def test_dynamic_quantization_says_what_it_leaves(chosen) -> None:
    model = nn.Sequential(tg.nn.LSTM(3, 4))
    with pytest.warns(TidegateWarning, match=r"LSTM\(3, 4\) stays as it is.*call tidegate.restore\(model\) first"):
        left = torch.ao.quantization.quantize_dynamic(model, {chosen})
    assert type(left[0]) is tg.nn.LSTM
    assert not hasattr(left[0], "qconfig")
    quantized = torch.ao.quantization.quantize_dynamic(tg.restore(model), {nn.LSTM})
    assert type(quantized[0]) is torch.ao.nn.quantized.dynamic.LSTM


@needs_engine
def test_a_cell_says_how_it_ran() -> None:
    cell, x = tg.nn.GRUCell(3, 4), torch.randn(2, 3)
    assert cell.last_path is None
    with tg.strict():
        cell(x)
    assert cell.last_path == "fused"
    with eager_only():
        cell(x)
    assert cell.last_path == "eager: eager_only is on"


@needs_engine
def test_the_last_call_counts() -> None:
    layer, x = pair()
    layer(x.as_subclass(Marked))
    layer(x)
    assert layer.last_path == "fused"


@needs_engine
def test_a_stack_is_fused_only_if_every_layer_is() -> None:
    layer, x = tg.nn.LSTM(3, 4, num_layers=2), torch.randn(5, 2, 3)
    layer.weight_hh_l0 = nn.Parameter(layer.weight_hh_l0.detach().as_subclass(Marked))
    with mock.patch.object(fused, "run_eagerly", fused.run):
        layer(x)
    assert layer.last_path == "eager: tensor subclass Marked"


@needs_engine
def test_strict_refuses_a_second_derivative() -> None:
    layer, x = pair()
    with tg.strict():
        y, _ = layer(x)
        torch.autograd.grad(y.sum(), [layer.weight_hh_l0], retain_graph=True)
        with pytest.raises(BackendError, match="differentiated twice"):
            torch.autograd.grad(y.sum(), [layer.weight_hh_l0], create_graph=True)


@needs_engine
def test_strict_refuses_many_gradients_at_once() -> None:
    layer, x = pair()
    y, _ = layer(x)
    with tg.strict(), pytest.raises(BackendError, match=r"torch\.func"):
        torch.autograd.grad(y, [layer.weight_hh_l0], torch.stack([y, y]), is_grads_batched=True)


@needs_engine
def test_strict_holds_for_its_own_thread_and_ends() -> None:
    with tg.strict(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(by_dtype).result().last_path == "eager: dtype is complex64"
        with tg.strict(), pytest.raises(InputError):
            by_dtype()
        with pytest.raises(InputError):
            by_dtype()
    by_dtype()


def test_the_names_are_there_without_torch() -> None:
    code = "import sys, tidegate; assert 'torch' not in sys.modules; tidegate.accelerate; tidegate.strict"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"accelerate", "restore", "strict"} <= set(dir(tg))
