"""Parameters begin as the definition of their cell says, and all others as torch.nn draws them."""

import pytest
import torch

import tidegate as tg

H = 400


def vectors(cell, **options):
    torch.manual_seed(3)
    layer = tg.nn.Recurrent(cell, H, H, dtype=torch.float64, **options)
    return {name.removesuffix("_l0"): value.detach() for name, value in layer.named_parameters()}


def between(v, low, high):
    """Uniform in these bounds: its mean and its ends say so."""
    assert low <= v.min()
    assert v.max() <= high
    assert abs(v.mean() - (low + high) / 2) < 0.1 * (high - low)
    assert v.max() - v.min() > 0.95 * (high - low)


def test_refined_gates_begin_at_every_share():
    between(torch.sigmoid(vectors("urlstm")["u"]), 1 / H, 1 - 1 / H)


def test_the_decay_of_a_real_gated_unit():
    between(torch.sigmoid(vectors("rglru")["decay"]) ** 8, 0.9, 0.999)


def test_complex_units_begin_on_a_disk_and_keep_the_size_of_their_input():
    own = vectors("lru")
    radius = torch.exp(-torch.exp(own["nu"]))
    between(radius**2, 0, 1)
    torch.testing.assert_close(torch.exp(own["gamma"]), torch.sqrt(1 - radius**2))
    between(2 * torch.atan(own["u"]) % (2 * torch.pi), 0, 2 * torch.pi)


def test_numbers_and_blocks():
    own = vectors("fastgrnn")
    assert {name: own[name].unique().tolist() for name in ("zeta", "nu", "b_z")} == {
        "zeta": [1],
        "nu": [-4],
        "b_z": [1],
    }
    assert vectors("fastrnn")["bias_ih"].unique().tolist() == [1]
    bias = vectors("cfn")["bias_ih"]
    assert bias.unflatten(0, (2, H)).unique(dim=1).tolist() == [[1], [-1]]
    between(vectors("unicornn")["c"], -0.1, 0.1)


def test_highways_begin_closed():
    """The authors' own start: -2 for the gate of each layer, and what torch draws for the candidates."""
    bias = vectors("rhn")["bias_hh"].unflatten(0, (3, 2, H))
    assert bias[:, 1].unique().tolist() == [-2]
    between(bias[:, 0] * H**0.5, -1, 1)


def test_angles_of_a_hierarchically_gated_unit_are_spread_over_all_periods():
    angles = 2 * torch.atan(vectors("hgrn")["u"])
    assert angles[0] == 1
    torch.testing.assert_close(angles[1:] / angles[:-1], torch.full((H - 1,), 10000 ** (-2 / H), dtype=torch.float64))


def test_everything_else_is_drawn_as_if_nothing_were_said():
    """The draw of torch.nn comes first, and what the definition says after it."""
    plain = type("CFN", (tg.zoo.CFN,), {"initial": {}})
    with_rules, without = vectors(tg.zoo.CFN), vectors(plain)
    assert all(torch.equal(with_rules[name], without[name]) for name in ("weight_ih", "weight_hh"))
    assert "bias_ih" not in vectors("cfn", bias=False)


def test_options_come_after_it():
    own = vectors("cfn", forget_bias=3.0)["bias_ih"]
    assert own[:H].unique().tolist() == [3]
    own = vectors("cfn", layer_norm=True)
    assert own["bias_ih"][:H].unique().tolist() == [1]


def test_layers_directions_and_steps_begin_alike():
    layer = tg.nn.Recurrent("fastrnn", 3, 5, num_layers=2, bidirectional=True)
    found = [value.unique().tolist() for name, value in layer.named_parameters() if name.startswith("alpha")]
    assert found == [[-3]] * 4
    step = tg.nn.RecurrentCell("fastrnn", 3, 5)
    assert step.alpha.unique().tolist() == [-3]
    with torch.no_grad():
        step.alpha.zero_()
    step.reset_parameters()
    assert step.alpha.unique().tolist() == [-3]


@pytest.mark.parametrize("H", [1, 2])
def test_few_units(H):
    for cell in ("urlstm", "lru", "rglru", "hgrn"):
        layer = tg.nn.Recurrent(cell, H, H)
        assert all(torch.isfinite(value).all() for value in layer.parameters())


def test_a_step_size_is_chosen_without_another_cell():
    """h moves by dt z, and z by dt times the force."""
    layer = tg.nn.Recurrent(tg.zoo.CoRNN.variant(dt=0.25, gamma=0.0, epsilon=0.0), 2, 3)
    with torch.no_grad():
        for value in layer.parameters():
            value.zero_()
        layer.bias_ih_l0.fill_(100.0)
    y, (_, z) = layer(torch.zeros(2, 1, 2))
    torch.testing.assert_close(y[:, 0], torch.tensor([[0.0625] * 3, [0.1875] * 3]))
    torch.testing.assert_close(z, torch.full_like(z, 0.5))
