"""Pruned weights: which blocks are kept, that they stay, and that layers compute what torch.nn computes with them."""

import copy
import pickle

import pytest
import torch
from torch.nn.utils import parametrizations, prune

import tidegate as tg
from tidegate.errors import InputError
from tidegate.nn.sparse import multiplied, nonzeros
from tidegate.runtime import panel_vectors

FEATURES, UNITS = 40, 72  # neither divides into blocks of 32
torch.manual_seed(1)
X = torch.randn(11, 20, FEATURES)


def layer_of(kind=tg.nn.GRU, density=0.2, **options):
    torch.manual_seed(0)
    layer = kind(FEATURES, UNITS, **options)
    return layer, tg.sparsify(layer, density)


def weights_of(layer):
    return {name: value for name, value in layer.named_parameters() if name.startswith("weight")}


def kept_blocks(weight, density, block, gates):
    """As one would write it by hand: the largest blocks, as long as there is room."""
    spans = [
        (gate * UNITS + at, min(gate * UNITS + at + block, (gate + 1) * UNITS))
        for gate in range(gates)
        for at in range(0, UNITS, block)
    ]
    blocks = [
        (-sum(abs(weight[i, j].item()) for i in range(*span)) / (span[1] - span[0]), span, j)
        for span in spans
        for j in range(weight.shape[1])
    ]
    kept, room = torch.zeros_like(weight), density * weight.numel()
    for _, (first, end), j in sorted(blocks):
        room -= end - first
        if room < -1e-6:
            break
        kept[first:end, j] = 1
    return kept


@pytest.mark.parametrize("block", [1, 16, 32, 100])
def test_the_largest_blocks_are_kept(block) -> None:
    torch.manual_seed(0)
    layer = tg.nn.GRU(5, UNITS)
    before = {name: value.detach().clone() for name, value in weights_of(layer).items()}
    tg.sparsify(layer, 0.3, block)
    for name, weight in weights_of(layer).items():
        assert torch.equal(weight, before[name] * kept_blocks(before[name], 0.3, block, 3))
        assert 0.3 - block / len(before[name]) < (weight != 0).float().mean() <= 0.3


def test_the_density_falls_along_a_cubic_curve() -> None:
    layer = tg.nn.RNN(FEATURES, UNITS)
    pruning = tg.sparsify(layer, 0.1, 8, begin=2, end=12, every=5)
    seen = []
    for _ in range(14):
        pruning.step()
        seen.append((pruning.density, (layer.weight_hh_l0 != 0).float().mean().item()))
    wanted = [1 - 0.9 * (1 - (1 - max(0, min(10, s - 2)) / 10) ** 3) for s in range(1, 15)]
    assert [d for d, _ in seen] == pytest.approx(wanted)
    at = [1.0] * 6 + [wanted[6]] * 5 + [0.1] * 3  # pruned at steps 2, 7 and 12
    assert [kept for _, kept in seen] == pytest.approx(at, abs=8 / UNITS / UNITS * 8)
    assert pruning.finished
    assert repr(pruning) == "Sparsity(density=0.1, block=8, weights=2)"


@pytest.mark.parametrize(
    ("kind", "options"),
    [(tg.nn.GRU, {"num_layers": 2, "bidirectional": True}), (tg.nn.LSTM, {"proj_size": 16}), (tg.nn.RNN, {})],
)
def test_outputs_and_gradients_are_those_of_torch_in_float64(kind, options) -> None:
    layer, _ = layer_of(kind, **options)
    exact = kind.torch_class()(FEATURES, UNITS, **options).double()
    exact.load_state_dict(layer.state_dict())
    y, right = layer(X)[0], exact(X.double())[0]
    assert layer.last_path == "fused"
    assert (y - right).abs().max() < 2e-6
    y.square().sum().backward()
    right.square().sum().backward()
    for (name, own), true in zip(layer.named_parameters(), exact.parameters(), strict=True):
        wanted = true.grad * (own != 0) if name.startswith("weight") else true.grad
        assert (own.grad - wanted).abs().max() <= 1e-5 * true.grad.abs().max()
        if name.startswith("weight"):
            assert not own.grad[own == 0].any()
            assert (own != 0).double().mean() <= 0.2


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.Adam(p, 0.01, fused=True),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
        lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1),
    ],
)
def test_momentum_moves_nothing_that_is_pruned(optimizer) -> None:
    """Also in copies, which know nothing of the schedule."""
    torch.manual_seed(0)
    layer = tg.nn.GRU(FEATURES, UNITS)
    chosen = optimizer(layer.parameters())

    def learn(module, steps):
        for _ in range(steps):
            chosen.zero_grad()
            (module(X)[0] - 0.5).square().mean().backward()
            chosen.step()

    learn(layer, 3)
    tg.sparsify(layer, 0.2)
    zero = {name: value == 0 for name, value in weights_of(layer).items()}
    before = layer.weight_hh_l0.detach().clone()
    learn(layer, 3)
    assert all(torch.equal(value == 0, zero[name]) for name, value in weights_of(layer).items())
    assert not torch.equal(layer.weight_hh_l0, before)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        chosen = optimizer(other.parameters())
        learn(other, 2)
        assert all(torch.equal(value == 0, zero[name]) for name, value in weights_of(other).items())


def test_an_optimizer_of_ones_own_is_undone_by_the_schedule() -> None:
    layer, pruning = layer_of()
    zero = layer.weight_hh_l0 == 0
    with torch.no_grad():
        layer.weight_hh_l0 += 1
    pruning.step()
    assert torch.equal(layer.weight_hh_l0 == 0, zero)


def test_a_layer_of_which_little_is_kept_runs_by_lists() -> None:
    layer, _ = layer_of(density=0.05)
    assert layer.cells[0].sparse == ("W", "U")
    share = {name: multiplied(w == 0, (UNITS,) * 3, 4) for name, w in weights_of(layer).items()}
    total = sum(share[name] * w.numel() for name, w in weights_of(layer).items())
    total /= sum(w.numel() for w in weights_of(layer).values())
    kept = sum(int((w != 0).sum()) for w in weights_of(layer).values()) / (3 * UNITS * (FEATURES + UNITS))
    assert f"kept={kept:.3g}, multiplied={total:.3g})" in repr(layer)
    assert kept <= total < 0.2
    spread, _ = layer_of(density=0.99)
    assert spread.cells[0].sparse == ()
    only, _ = (layer := tg.nn.LSTM(FEATURES, UNITS)), tg.sparsify(layer, 0.1, of="U")
    assert only.cells[0].sparse == ("U",)
    assert (only.weight_ih_l0 != 0).all()


@pytest.mark.parametrize("density", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("itemsize", [4, 8])
def test_what_is_multiplied_is_what_the_engine_keeps(density, itemsize) -> None:
    """As one would count it by hand: of each panel the cut that costs least, and of that the parts with something."""
    torch.manual_seed(3)
    kept = torch.rand(2 * UNITS, 9) < density
    lanes, most = panel_vectors(itemsize)
    total = 0
    for gate in kept.split(UNITS):
        for panel in gate.split(lanes * most):
            vectors = panel.split(lanes)
            best = None
            for size in (4, 2, 1):
                parts = [torch.cat(vectors[at : at + size]) for at in range(0, len(vectors), size)]
                widths = [len(vectors[at : at + size]) for at in range(0, len(vectors), size)]
                columns = [int(part.any(0).sum()) for part in parts]
                cost = sum(count * (2 * width + 1) for count, width in zip(columns, widths, strict=True))
                if size <= most and (best is None or cost < best[0]):
                    best = cost, sum(count * len(part) for count, part in zip(columns, parts, strict=True))
            total += best[1]
    assert multiplied(~kept, (UNITS, UNITS), itemsize) == total / kept.numel()


def test_masks_of_torch_are_picked_up() -> None:
    """Those of whole columns spare products; those of single numbers do not, and are said to."""
    layer = tg.nn.GRU(FEATURES, UNITS)
    plain = layer(X)[0]
    prune.ln_structured(layer, "weight_hh_l0", 0.5, n=2, dim=1)
    exact = torch.nn.GRU(FEATURES, UNITS).double()
    y = layer(X)[0]
    exact.load_state_dict({name: getattr(layer, name) for name in exact.state_dict()})
    assert layer.last_path == "fused"
    assert layer.cells[0].sparse == ("U",)
    assert repr(layer) == f"GRU({FEATURES}, {UNITS}, kept=0.5, multiplied=0.5)"
    assert (y - exact(X.double())[0]).abs().max() < 1e-6
    assert not torch.equal(y, plain)
    y.sum().backward()
    assert not layer.weight_hh_l0_orig.grad[layer.weight_hh_l0_mask == 0].any()
    prune.custom_from_mask(layer, "weight_ih_l0", torch.zeros(3 * UNITS, FEATURES))
    layer(X)
    assert layer.cells[0].sparse == ("W", "U")
    prune.remove(layer, "weight_hh_l0")
    prune.remove(layer, "weight_ih_l0")
    layer(X)
    assert layer.cells[0].sparse == ()
    spread = prune.l1_unstructured(tg.nn.GRU(FEATURES, UNITS), "weight_hh_l0", 0.2)
    spread(X)
    assert spread.cells[0].sparse == ()
    assert repr(spread) == f"GRU({FEATURES}, {UNITS}, kept=0.8, multiplied=1)"


def test_masks_of_torch_on_a_cell() -> None:
    cell = tg.nn.GRUCell(FEATURES, UNITS)
    prune.ln_structured(cell, "weight_ih", 0.75, n=2, dim=1)
    h = cell(X[0])
    assert cell.definition().sparse == ("W",)
    exact = torch.nn.GRUCell(FEATURES, UNITS).double()
    prune.remove(cell, "weight_ih")
    exact.load_state_dict(cell.state_dict())
    assert (h - exact(X[0].double())).abs().max() < 1e-6


@pytest.mark.parametrize("kind", [tg.nn.LSTMCell, tg.nn.GRUCell, tg.nn.RNNCell])
def test_cells_are_pruned(kind) -> None:
    torch.manual_seed(0)
    cell = kind(FEATURES, UNITS)
    tg.sparsify(cell, 0.1)
    exact = kind.torch_class()(FEATURES, UNITS).double()
    exact.load_state_dict(cell.state_dict())
    assert cell.definition().sparse == ("W", "U")
    hx = torch.randn(20, UNITS)
    hx = (hx, hx / 2) if kind is tg.nn.LSTMCell else hx
    double = tuple(h.double() for h in hx) if kind is tg.nn.LSTMCell else hx.double()
    new, right = cell(X[0], hx), exact(X[0].double(), double)
    y, true = (new[0], right[0]) if kind is tg.nn.LSTMCell else (new, right)
    assert (y - true).abs().max() < 1e-6
    y.square().sum().backward()
    true.square().sum().backward()
    for own, other in zip((cell.weight_ih, cell.weight_hh), (exact.weight_ih, exact.weight_hh), strict=True):
        assert (own.grad - other.grad * (own != 0)).abs().max() <= 1e-5 * other.grad.abs().max()
    assert torch.equal(tg.Session(cell, 20).step(X[0]), cell(X[0])[0] if kind is tg.nn.LSTMCell else cell(X[0]))


def test_a_state_dict_is_dense_and_says_what_is_pruned() -> None:
    layer, _ = layer_of()
    state = copy.deepcopy(layer.state_dict())
    assert [*state] == [*torch.nn.GRU(FEATURES, UNITS).state_dict()]
    for other in (tg.nn.GRU(FEATURES, UNITS), layer_of(density=0.5)[0]):
        tg.sparsify(other, 0.2)
        other.load_state_dict(state)
        assert repr(other) == repr(layer)
        assert torch.equal(other.weight_hh_l0 == 0, layer.weight_hh_l0 == 0)
    dense = tg.nn.GRU(FEATURES, UNITS).state_dict()
    layer.load_state_dict(dense)
    assert (layer.weight_hh_l0 != 0).all()
    assert layer.cells[0].sparse == ()
    plain = tg.nn.GRU(FEATURES, UNITS)
    plain.load_state_dict(state)
    tg.sparsify(plain, 1.0)  # the zeros that there are
    assert repr(plain) == repr(other)


def test_pruning_goes_on_from_its_state() -> None:
    def begun():
        torch.manual_seed(0)
        layer = tg.nn.GRU(FEATURES, UNITS)
        return layer, tg.sparsify(layer, 0.1, end=8, every=2), torch.optim.Adam(layer.parameters(), 0.01)

    def learn(layer, pruning, optimizer, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            (layer(X)[0] - 0.5).square().mean().backward()
            optimizer.step()
            pruning.step()

    whole, first, second = begun(), begun(), begun()
    learn(*whole, 10)
    learn(*first, 5)
    for one, other in zip(first, second, strict=True):
        other.load_state_dict(copy.deepcopy(one.state_dict()))
    learn(*second, 5)
    assert all(map(torch.equal, second[0].parameters(), whole[0].parameters()))
    assert second[1].steps == 10


def test_copies_options_and_torch() -> None:
    layer, _ = layer_of()
    assert repr(copy.deepcopy(layer)) == repr(layer)
    clone = pickle.loads(pickle.dumps(layer))
    assert torch.equal(clone(X)[0], layer(X)[0])
    assert clone.cells[0] is layer.cells[0]
    held = layer.with_options(zoneout=0.1)
    held(X)[0].sum().backward()
    assert held.cells[0].sparse == ("W", "U")
    assert not held.weight_hh_l0.grad[held.weight_hh_l0 == 0].any()
    assert layer.double().cells[0].sparse
    assert repr(layer.to("meta")).startswith("GRU(40, 72, kept=")
    other, _ = layer_of()
    tg.restore(other)
    assert type(other) is torch.nn.GRU
    assert "sparse" not in vars(other)
    optimizer = torch.optim.SGD(other.parameters(), 0.1)
    other(X)[0].sum().backward()
    optimizer.step()
    assert (other.weight_hh_l0 != 0).all()  # torch's layer learns all its weights
    model = torch.nn.ModuleDict({"a": torch.nn.LSTM(FEATURES, UNITS)})
    tg.accelerate(model)
    tg.sparsify(model, 0.1)
    assert model["a"].cells[0].sparse == ("W", "U")


def test_a_session_multiplies_by_lists_without_being_told() -> None:
    layer, _ = layer_of(num_layers=2)
    plain = tg.nn.GRU(FEATURES, UNITS, num_layers=2)
    plain.load_state_dict(layer.state_dict())
    for own in (layer, plain):
        session = tg.Session(own, 20)
        assert [part.cell.sparse for part in session._stream._layers] == [("W", "U")] * 2
        with torch.no_grad():
            assert torch.equal(session.run(X), plain(X)[0])


def test_gradients_are_zero_under_transforms_of_torch() -> None:
    layer, _ = layer_of()
    named = dict(layer.named_parameters())

    def loss(parameters):
        return torch.func.functional_call(layer, parameters, (X,))[0].square().sum()

    gradients = torch.func.grad(loss)({name: value.detach() for name, value in named.items()})
    layer(X)[0].square().sum().backward()
    for name, value in named.items():
        assert (gradients[name] - value.grad).abs().max() <= 1e-5 * value.grad.abs().max()
        assert not gradients[name][value == 0].any()
    layer.zero_grad()
    torch.compile(layer, backend="aot_eager")(X)[0].square().sum().backward()
    assert not layer.weight_hh_l0.grad[layer.weight_hh_l0 == 0].any()
    assert layer.weight_hh_l0.grad.any()


def test_nonzeros_are_counted() -> None:
    layer, _ = layer_of(density=0.2)
    whole = sum(p.numel() for p in layer.parameters())
    zeros = sum(int((w == 0).sum()) for w in weights_of(layer).values())
    assert nonzeros(layer) == whole - zeros
    assert nonzeros(torch.nn.ModuleList([layer, layer])) == whole - zeros


def test_inspect_says_how_many_weights_are_zero(tmp_path) -> None:
    layer, _ = layer_of(density=0.2)
    zeros = sum(int((w == 0).sum()) for w in weights_of(layer).values())
    tg.ship.ship(layer, "safetensors", name="pruned").write(tmp_path)
    (line,) = tg.ship.inspect(tmp_path / "pruned.safetensors").layers
    assert line.endswith(f", {zeros:,} of its weights are zero")


@pytest.mark.parametrize("options", [{"heads": 4}, {"rank": 8}, {"share": "layers", "num_layers": 2}], ids=str)
def test_fewer_weights_of_several_kinds(options) -> None:
    torch.manual_seed(0)
    layer = tg.nn.GRU(UNITS, UNITS, **options)
    tg.sparsify(layer, 0.3, 8)
    x = torch.randn(5, 20, UNITS)
    y = layer(x)[0]
    y.square().sum().backward()
    assert all(cell.sparse[:2] == ("W", "U") for cell in layer.cells)
    assert not any(w.grad[w == 0].any() for w in weights_of(layer).values())
    with tg.runtime.eager_only(), torch.no_grad():
        right = copy.deepcopy(layer).double()(x.double())[0]
    assert (y - right).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"density": 0}, r"density=0 is not a share — pass a number above 0, up to 1"),
        ({"density": float("nan")}, r"density=nan is not a share"),
        ({"block": 0}, r"block=0 is not a count — pass a whole number from 1"),
        ({"end": 1.5}, r"end=1.5 is not a count"),
        ({"begin": 3, "end": 2}, r"begin=3 comes after end=2"),
        ({"of": "V"}, r"of='V', but the cells here have W U — name some of those"),
    ],
)
def test_what_cannot_be_done_is_refused(arguments, message) -> None:
    with pytest.raises(InputError, match=message):
        tg.sparsify(tg.nn.GRU(4, 8), **arguments)


def test_what_cannot_be_pruned_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"torch.nn.modules.rnn.GRU has no layer or cell of tidegate.nn"):
        tg.sparsify(torch.nn.GRU(4, 8))
    with pytest.raises(InputError, match=r"expected a torch.nn.Module, got int"):
        tg.sparsify(3)
    for layer in (
        parametrizations.spectral_norm(tg.nn.GRU(4, 8), "weight_hh_l0"),
        prune.l1_unstructured(tg.nn.GRU(4, 8), "weight_hh_l0", 0.5),
    ):
        with pytest.raises(InputError, match=r"weight_hh_l0 of (Parametrized)?GRU is parametrized or pruned"):
            tg.sparsify(layer)
