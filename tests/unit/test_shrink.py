"""Units that do nothing are taken out: outputs stay, and what is not such a unit stays too."""

import copy

import pytest
import torch
from torch.nn.utils import parametrizations

import tidegate as tg
from tidegate.errors import InputError
from tidegate.nn.shrink import first_units

FEATURES, UNITS = 5, 12
GONE = [1, 4, 5, 11]
torch.manual_seed(2)
X = torch.randn(9, 6, FEATURES)


def made(cell="gru", features=FEATURES, **options):
    torch.manual_seed(0)
    return tg.nn.Recurrent(cell, features, UNITS, **options)


@torch.no_grad()
def silence(layer, gone=GONE, name=""):
    """Clear all rows of these units, in every direction of every layer; ``name`` chooses parameters."""
    for parameter, value in layer.named_parameters():
        if name in parameter and not parameter.startswith(("weight_hr", "weight_U_rank")):
            value.unflatten(0, (-1, UNITS))[:, gone] = 0
    return layer


def outputs(layer, x=X):
    """In float64, by the definition of the cell."""
    with tg.runtime.eager_only(), torch.no_grad():
        return copy.deepcopy(layer).double()(x.double())[0]


def agrees(layer, found, x=X):
    """The output has the columns of the units that stayed; what the others gave was zero."""
    count = 1 + layer.bidirectional
    kept = torch.cat([d * UNITS + own for d, own in enumerate(found.kept[""][-count:])])
    whole, small = outputs(layer, x), outputs(found.model, x)
    others = [k for k in range(count * UNITS) if k not in kept]
    return (whole[..., kept] - small).abs().max() < 1e-12 and not whole[..., others].any()


@pytest.mark.parametrize("cell", ["gru", "gru/before", "lstm", "peepholelstm", "rnn/relu", "mgu", "mingru", "indrnn"])
def test_silent_units_go(cell) -> None:
    layer = silence(made(cell))
    found = tg.shrink(layer)
    assert found.kept[""][0].tolist() == [k for k in range(UNITS) if k not in GONE]
    assert str(found) == "(model)  8 of 12 units"
    assert found.model.hidden_size == 8
    assert agrees(layer, found)
    assert (found.model(X)[0] - outputs(found.model)).abs().max() < 1e-6
    assert found.model.last_path == "fused"


@pytest.mark.parametrize(
    "options",
    [
        {"num_layers": 2, "bidirectional": True},
        {"zoneout": 0.3, "state_clip": 0.5, "batch_first": True},
        {"learn_initial_state": True, "num_layers": 2},
        {"bias": False},
        {"rank": 3},
    ],
    ids=str,
)
def test_layers_of_every_kind(options) -> None:
    layer = silence(made("lstm", **options).eval())
    found = tg.shrink(layer)
    assert found.model.hidden_size == UNITS - len(GONE)
    assert agrees(layer, found)
    new = tg.nn.Recurrent("lstm", FEATURES, UNITS - len(GONE), **options)
    assert [(n, p.shape) for n, p in new.state_dict().items()] == [
        (n, p.shape) for n, p in found.model.state_dict().items()
    ]
    assert repr(found.model) == repr(new)
    found.model.train()(X)[0].sum().backward()
    assert all(p.grad is not None for p in found.model.parameters())


def test_an_output_that_is_projected_stays_whole() -> None:
    layer = silence(made("lstm", proj_size=3))
    found = tg.shrink(layer)
    assert found.model.hidden_size == UNITS - len(GONE)
    assert (outputs(layer) - outputs(found.model)).abs().max() < 1e-12


def test_units_with_a_bias_or_a_first_state_or_a_weight_are_not_silent() -> None:
    for parameter in ("bias_ih_l0", "initial_h_l0", "weight_ih_l0"):
        layer = silence(made(learn_initial_state=True))
        with torch.no_grad():
            getattr(layer, parameter).unflatten(0, (-1, UNITS))[-1, 4] = 0.5  # of the candidate
        kept = tg.shrink(layer).kept[""][0]
        assert kept.tolist() == sorted({*range(UNITS)} - {*GONE} | {4})
        assert agrees(layer, tg.shrink(layer))
    assert tg.shrink(silence(made("slstm"))).model.hidden_size == UNITS  # its normaliser counts steps


def test_directions_and_layers_keep_one_width() -> None:
    layer = made(bidirectional=True, num_layers=2)
    silence(layer, [0, 3, 7], "l0")
    silence(layer, [2, 3], "l1")
    with torch.no_grad():
        layer.weight_ih_l1_reverse[5] = 1.0
    found = tg.shrink(layer)
    assert found.model.hidden_size == UNITS - 2
    assert agrees(layer, found)
    assert tg.shrink(made()).model.hidden_size == UNITS
    assert tg.shrink(silence(made(), [*range(UNITS)])).model.hidden_size == 1


class Model(torch.nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.layer = made(**options)
        self.head = torch.nn.Linear(self.layer.output_size, 3)

    def forward(self, x):
        return self.head(self.layer(x)[0])

    def readers(self):
        return {"layer": ["head"]}


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_units_that_nobody_reads_go_with_what_they_are(options) -> None:
    model = Model(**options)
    with torch.no_grad():
        for name, value in model.layer.named_parameters():
            if name.startswith(("weight_hh", "weight_ih_l1")):
                value.unflatten(1, (-1, UNITS))[..., GONE] = 0
        model.head.weight.unflatten(1, (-1, UNITS))[..., GONE] = 0
    found = tg.shrink(model)
    assert found.model.layer.hidden_size == UNITS - len(GONE)
    assert found.model.head.in_features == found.model.layer.output_size == found.model.head.weight.shape[1]
    double, small = copy.deepcopy(model).double(), copy.deepcopy(found.model).double()
    assert (double(X.double()) - small(X.double())).abs().max() < 1e-12
    assert tg.shrink(model.layer).model.hidden_size == UNITS  # of which somebody may read them
    with torch.no_grad():
        model.head.weight[0, GONE[0]] = 1
    assert tg.shrink(model).model.layer.hidden_size == UNITS - len(GONE) + 1


def test_an_axis_of_a_cell_of_its_own_stays() -> None:
    model = Model(cell="scrn", widths={"S": 7})
    with torch.no_grad():
        model.layer.weight_hh_l0[:, GONE] = model.head.weight[:, GONE] = 0
    found = tg.shrink(model)
    assert found.model.layer.cells[0].widths == {"I": FEATURES, "H": UNITS - len(GONE), "S": 7}
    double, small = copy.deepcopy(model).double(), copy.deepcopy(found.model).double()
    assert (double(X.double()) - small(X.double())).abs().max() < 1e-12


def test_units_go_that_are_read_only_by_units_that_go() -> None:
    model = Model()
    with torch.no_grad():
        model.head.weight[:, [2, 3]] = 0
        model.layer.weight_hh_l0[:, [2, 3]] = 0
        model.layer.weight_hh_l0.unflatten(0, (-1, UNITS))[:, 2, 3] = 1
    assert tg.shrink(model).model.layer.hidden_size == UNITS - 2


def test_a_model_whose_readers_are_not_known_is_refused() -> None:
    model = torch.nn.ModuleDict({"a": silence(made()), "b": torch.nn.Linear(UNITS, 2)})
    with pytest.raises(InputError, match=r"nobody says what reads the output of a in ModuleDict — pass readers={'a'"):
        tg.shrink(model)
    found = tg.shrink(model, {"a": ["b"]})
    assert found.model["b"].in_features == UNITS - len(GONE)
    whole = model["b"](model["a"](X)[0])
    assert (found.model["b"](found.model["a"](X)[0]) - whole).abs().max() < 1e-6
    for names, message in ((["c"], "but there is none"), (["a"], r"but it is Recurrent\(GRU")):
        with pytest.raises(InputError, match=r"expected a torch.nn.Linear of 12 features at .*" + message):
            tg.shrink(model, {"a": names})
    with pytest.raises(InputError, match=r"torch.nn.modules.linear.Linear has no recurrent layer of tidegate.nn"):
        tg.shrink(model["b"])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: made(layer_norm=True), "a mean over its units"),
        (lambda: made("lstm", heads=2), "heads have to be equally wide"),
        (lambda: made("mut1", UNITS), "its input is as wide as its units"),
        (lambda: parametrizations.spectral_norm(made(), "weight_hh_l0"), "shared, parametrized or pruned"),
    ],
)
def test_layers_out_of_which_no_unit_can_go_are_refused_by_name(make, reason) -> None:
    for function in (tg.shrink, tg.group_penalty):
        with pytest.raises(InputError, match=rf"units cannot be taken out of (?s:.*){reason}"):
            function(make())


def test_a_pruned_layer_stays_pruned() -> None:
    layer = silence(made())
    tg.sparsify(layer, 0.5, 2)
    found = tg.shrink(layer)
    assert [*found.model.sparse] == ["weight_ih_l0", "weight_hh_l0"]
    for name, blocks in found.model.sparse.items():
        pairs = getattr(found.model, name).unflatten(0, (3, 4, 2)) == 0  # 8 units are four blocks of two in each gate
        assert torch.equal(blocks.zero.unflatten(0, (3, 4, 2)), pairs.all(2, keepdim=True).expand_as(pairs))
    assert agrees(layer, found)


def test_a_model_of_the_shape_of_a_shrunk_one() -> None:
    model = first_units(Model(num_layers=2), {"layer": 4})
    assert model.layer.weight_ih_l1.shape == (12, 4)
    assert model(X).shape == (9, 6, 3)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_penalty_makes_silent_units(cell) -> None:
    torch.manual_seed(0)
    layer = made(cell, learn_initial_state=True)
    penalty, optimizer = tg.group_penalty(layer, 0.1), torch.optim.Adam(layer.parameters(), 0.01)
    while penalty.gone[0].sum() < 3:
        optimizer.zero_grad()
        (layer(X)[0][..., :3] - 0.3).square().mean().backward()
        optimizer.step()
        penalty.step(0.01)
    gone = int(penalty.gone[0].sum())
    assert gone < UNITS
    assert penalty.alive == 1 - gone / UNITS
    found = tg.shrink(layer)
    assert found.model.hidden_size == UNITS - gone
    assert agrees(layer, found)
    again = tg.group_penalty(layer, 0.1)
    assert torch.equal(again.gone[0], penalty.gone[0])


def test_a_step_of_the_penalty_by_hand() -> None:
    layer = made("rnn")
    w, u = layer.weight_ih_l0.detach().clone(), layer.weight_hh_l0.detach().clone()
    tg.group_penalty(layer, 0.5).step(0.1)
    n = FEATURES + 2 * UNITS
    norms = [(w[j].square().sum() + u[j].square().sum() + u[:, j].square().sum()).sqrt() for j in range(UNITS)]
    middle = sum(norms) / UNITS
    factors = torch.tensor([max(0, 1 - 0.05 * n**0.5 * middle / norm**2) for norm in norms])
    assert torch.allclose(layer.weight_ih_l0, factors[:, None] * w)
    assert torch.allclose(layer.weight_hh_l0, factors[:, None] * u * factors)


def test_a_penalty_that_cannot_silence_is_refused() -> None:
    with pytest.raises(InputError, match=r"a unit of SLSTM whose weights and biases are all zero is not silent"):
        tg.group_penalty(made("slstm"))
    with pytest.raises(InputError, match=r"strength=-1 is not a strength"):
        tg.group_penalty(made(), -1)
    with pytest.raises(InputError, match=r"torch.nn.modules.linear.Linear has no recurrent layer"):
        tg.group_penalty(torch.nn.Linear(1, 1))
