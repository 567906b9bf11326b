"""Verdicts on planted faults and on healthy networks, their words, and what their remedies do to a copy."""

import dataclasses
import math
from functools import cache

import pytest
import torch

import tidegate as tg
from tests.unit.test_explain_memory import Net
from tidegate import zoo
from tidegate.errors import InputError
from tidegate.explain.change import KeepUnits, Rescale, SetBias, SetOption, constructor, remember
from tidegate.explain.measure import measure
from tidegate.explain.remedy import try_remedy
from tidegate.explain.rule import RULES
from tidegate.explain.verdict import NAMES, verdicts
from tidegate.nn import Recurrent
from tidegate.records import CheckRecord, ForcingRecord

LAG, STEPS = 30, 36


def made(cell, *args, plant=None, hidden=32, **options):
    torch.manual_seed(0)
    net = Net(Recurrent(cell, 2, hidden, *args, **options))
    if plant is not None:
        with torch.no_grad():
            plant(net)
    return net


def loss(answer):
    return (answer - 1).square().mean()


def x(size=6, steps=STEPS):
    return torch.randn(steps, size, 2, generator=torch.Generator().manual_seed(1))


def judged(net, lag=LAG, given=None, **named):
    return verdicts(measure(net, loss, x() if given is None else given, **named), lag)


def names(net, lag=LAG, **named):
    return [own.line.name for own in judged(net, lag, **named)]


def shut(gate, value):
    def plant(net):
        SetBias(gate, value).apply(net, "layer")
        k = [block.name for block in net.layer.graph.matrices[0].blocks].index(gate)
        for weight in (net.layer.weight_ih_l0, net.layer.weight_hh_l0):
            weight[32 * k : 32 * k + 32] *= 0.1

    return plant


def gain(value):
    def plant(net):
        net.layer.weight_hh_l0.normal_(0, value / 32**0.5)

    return plant


def loud(net):
    net.layer.weight_ih_l0 *= 60


def half_read(net):
    net.head.weight[:, :16] = 0


CHRONO = {"chrono": 2 * LAG}
FAULTS = {
    "vanishing": ("lstm", {}, None),
    "exploding": ("rnn", {}, gain(3.5)),
    "forget_shut": ("lstm", CHRONO, shut("f", -6.0)),
    "output_shut": ("lstm", CHRONO, shut("o", -6.0)),
    "frozen": ("gru", CHRONO, shut("z", 9.0)),
    "saturated": ("rnn", {"orthogonal": True}, loud),
    "unused_units": ("lstm", CHRONO, half_read),
}


def planted(name):
    cell, options, plant = FAULTS[name]
    return made(cell, plant=plant, **options)


@cache
def of_fault(name):
    return judged(planted(name))


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_the_one_verdict(name):
    assert [own.line.name for own in of_fault(name)] == [name]


@pytest.mark.parametrize(
    ("cell", "args", "options"),
    [
        ("lstm", (), CHRONO),
        ("lstm", (2,), CHRONO),
        ("lstm", (), {**CHRONO, "bidirectional": True}),
        ("lstm", (), {**CHRONO, "proj_size": 24}),
        ("gru", (), CHRONO),
        ("rnn", (), {"orthogonal": True}),
        ("janet", (), CHRONO),
    ],
)
def test_healthy_networks_are_left_alone(cell, args, options):
    assert names(made(cell, *args, **options)) == []


def test_ragged_sequences_and_short_lags():
    assert names(made("lstm", **CHRONO), lengths=[36, 36, 35, 34, 33, 32]) == []
    assert names(made("lstm"), lag=4) == []
    assert names(made("lstm"), lag=STEPS + 5) == []  # no sequence is so long


def test_a_stack_vanishes_only_if_all_of_it_does():
    net = made("lstm", 2)
    assert names(net) == ["vanishing"]
    memory = Recurrent("lstm", 32, 32, **CHRONO)
    with torch.no_grad():
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(net.layer, f"{name}_l1").copy_(getattr(memory, f"{name}_l0"))
    assert names(net) == []


def test_one_sequence_that_explodes_is_named():
    net = made("rnn", plant=gain(1.6))
    given = torch.full((STEPS, 6, 2), 4.0)
    given[:, 3] = 0
    with torch.no_grad():
        net.layer.weight_ih_l0.fill_(2.0)
        net.layer.bias_ih_l0.zero_()
        net.layer.bias_hh_l0.zero_()
    (found,) = [own for own in judged(net, given=given) if own.line.name == "spikes"]
    assert "In sequence 3 " in found.line.sentence
    assert found.remedy.change is None


def test_numbers_beyond_float32_are_an_overflow():
    net = made("rnn/relu", plant=gain(6.0))
    found = judged(net, given=x(steps=80))[0]
    assert found.line.name == "overflow"
    assert found.line.code == 'tg.nn.Recurrent("rnn/relu", 2, 32, state_clip=10.0)'
    assert found.line.evidence[0].value > 38.5


@pytest.mark.parametrize("name", FAULTS)
def test_a_verdict_holds_by_its_numbers_alone(name):
    rule = next(rule for rule in RULES if rule.name == name)
    line = of_fault(name)[0].line
    decisive = [number for number in line.evidence if number.threshold is not None]
    assert decisive
    for number in decisive:
        assert number.value is not None
        assert (number.value < number.threshold) == (number.side == "below")
    assert line.severity == rule.severity
    assert line.sentence
    assert line.against
    assert line.remedy
    assert line.code or line.command
    assert line.layer == ("layer" if rule.of_stack else "layer.l0")
    assert dataclasses.asdict(line)["name"] == name


def test_what_a_command_begins_with():
    measured = measure(planted("vanishing"), loss, x())
    (found,) = verdicts(measured, LAG, command="tidegate train forecast sales.csv")
    assert found.line.command == "tidegate train forecast sales.csv --chrono 60"
    assert found.line.code == 'tg.nn.Recurrent("lstm", 2, 32, chrono=60)'


@pytest.mark.parametrize("lag", [1, 0, -3, 2.5, True, "auto"])
def test_a_lag_that_is_none(lag):
    with pytest.raises(InputError, match="lag is"):
        verdicts([], lag)


def test_failed_checks_come_first_and_others_are_silent():
    checks = [
        CheckRecord("padding", 0.3, passed=False, sentence="The model reads padding."),
        CheckRecord("chunks", 0.0, passed=True, sentence="fine"),
        CheckRecord("resets", 0.2, passed=False, sentence="A gradient crosses."),
        CheckRecord("leak", None, passed=None, sentence="not made"),
    ]
    found = [own.line for own in verdicts(measure(planted("vanishing"), loss, x()), LAG, checks)]
    assert [line.name for line in found] == ["padding", "reset_leak", "vanishing"]
    assert found[0].sentence == "The model reads padding."
    assert "lengths=lengths" in found[0].code
    assert "reset=starts" in found[1].code


@pytest.mark.parametrize(("free", "expected"), [(2.5, ["forcing_gap"]), (1.5, []), (None, [])])
def test_the_gap_of_teacher_forcing(free, expected):
    forcing = ForcingRecord((1, 2), (1.0, 1.0), (1.0, free), "MAE")
    found = verdicts([], LAG, forcing=forcing, command="tidegate train forecast a.csv")
    assert [own.line.name for own in found] == expected
    assert all(own.line.command == "tidegate train forecast a.csv --strategy direct" for own in found)


def test_every_verdict_has_a_name_once():
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("name", sorted(zoo.CELLS))
def test_every_cell_has_a_remedy_that_can_be_copied(name):
    size = 16 if zoo.find(name).graph.input_axis == "H" else 2
    torch.manual_seed(0)
    layer = Recurrent(name, size, 16)
    remedy = remember(layer, "layer", "tidegate train TASK DATA", LAG)
    assert remedy.sentence
    if isinstance(remedy.change, SetBias):
        model = torch.nn.ModuleDict({"layer": layer})
        exec(remedy.code, {"model": type("Model", (), {"layer": layer})})
        own = {parameter: value.clone() for parameter, value in layer.named_parameters()}
        remedy.change.apply(model, "layer")
        for parameter, value in layer.named_parameters():
            assert torch.allclose(value, own[parameter], atol=5e-3)
    else:
        built = eval(remedy.code, {"tg": tg})
        assert built.hidden_size == 16
        if remedy.change is not None:
            model = remedy.change.apply(torch.nn.ModuleDict({"layer": layer}), "layer")
            assert str(model["layer"].options) == str(built.options)


def test_words_of_layers_with_names_and_options():
    net = Net(tg.nn.LSTM(2, 32, forget_bias=-1.0, state_clip={"c": 9.0}))
    (found,) = judged(net)
    assert found.line.code == "tg.nn.LSTM(2, 32, state_clip={'c': 9.0}, chrono=60)"


@pytest.mark.parametrize(
    "layer",
    [
        tg.nn.GRU(2, 8, reset="before", update="write", zoneout={"h": 0.5}),
        tg.nn.RNN(2, 8, nonlinearity="relu", batch_first=True, orthogonal=True),
        tg.nn.LSTM(2, 8, 2, bidirectional=True, proj_size=4, layer_norm="each"),
        Recurrent("scrn", 2, 8, widths={"S": 3}),
        Recurrent("gru/before", 2, 8, dropout=0.5, num_layers=2, learn_initial_state=True),
    ],
    ids=str,
)
def test_the_expression_of_a_layer_makes_it_again(layer):
    again = eval(constructor(layer, state_clip=2.0), {"tg": tg})
    assert again.graph == layer.graph
    assert str(again) == str(layer.with_options(state_clip=2.0))


def test_a_chrono_that_is_too_short_becomes_longer():
    (found,) = judged(made("lstm", chrono=3))
    assert found.line.code.endswith("chrono=60)")


@pytest.mark.parametrize("name", FAULTS)
def test_the_remedy_mends_a_copy(name):
    net, first = planted(name), of_fault(name)[0]
    before = {key: value.clone() for key, value in net.state_dict().items()}
    mended, record = try_remedy(net, first, loss, x(), lag=LAG)
    assert record.gone
    assert len(record.before) == len(record.after) == 2
    assert first.line.name not in names(mended)
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in before.items())
    if name == "exploding":
        assert record.before[0].value > math.log10(5)
        assert isinstance(first.remedy.instead.change, Rescale)
        _, scaled = try_remedy(net, first, loss, x(), lag=LAG, instead=True)
        assert scaled.gone
        assert scaled.after[1].value < record.before[1].value
    if name == "unused_units":
        assert mended.layer.hidden_size == 16
        assert record.loss_after == pytest.approx(record.loss_before, abs=0.1)


def test_training_with_and_without_the_remedy():
    net, first, given = planted("forget_shut"), of_fault("forget_shut")[0], x()
    target = given[5, :, :1]

    def error(answer):
        return (answer - target).square().mean()

    _, record = try_remedy(net, first, error, given, lag=LAG, steps=30, learning_rate=1e-2)
    assert record.how == "applied, trained 30 steps with and without it"
    assert record.loss_after < record.loss_before


def test_units_that_are_kept_compute_what_they_did():
    net = made("lstm", plant=half_read)
    with torch.no_grad():
        net.layer.weight_hh_l0[:, :16] = 0
    expected = net(x())
    kept = KeepUnits(tuple(range(16, 32))).apply(net, "layer")
    assert kept.layer.hidden_size == 16
    assert torch.allclose(kept(x()), expected, atol=1e-6)


def test_a_remedy_that_only_the_caller_can_apply():
    checks = [CheckRecord("padding", 0.3, passed=False, sentence="The model reads padding.")]
    (found,) = verdicts([], LAG, checks)
    with pytest.raises(InputError, match="not one that can be applied"):
        try_remedy(made("lstm"), found, loss, x(), lag=LAG)


def test_nothing_to_learn_from():
    (first,) = of_fault("vanishing")
    with pytest.raises(InputError, match="no loss to learn from"):
        try_remedy(planted("vanishing"), first, "last", x(), lag=LAG, steps=1)


def test_a_layer_that_is_the_model():
    layer = tg.nn.LSTM(2, 32)
    measured = measure(layer, "last", x())
    (found,) = verdicts(measured, LAG)
    mended, record = try_remedy(layer, found, "last", x(), lag=LAG)
    assert record.gone
    assert isinstance(mended, tg.nn.LSTM)
    assert (record.loss_before, record.loss_after) == (None, None)


def test_two_readers_cannot_be_made_smaller():
    net = made("lstm", plant=half_read, **CHRONO)
    net.other = torch.nn.Linear(32, 2)
    first = judged(net)[0]
    assert isinstance(first.remedy.change, KeepUnits)
    with pytest.raises(InputError, match="2 linear maps"):
        try_remedy(net, first, loss, x(), lag=LAG)


def test_options_are_set_on_a_copy():
    torch.manual_seed(0)
    net = made("gru")
    layer = net.layer
    new = SetOption("layer_norm", value=True).apply(net, "layer").layer
    assert new is not layer
    assert new.options.layer_norm
    assert torch.equal(new.weight_hh_l0, layer.weight_hh_l0)
    assert torch.equal(new.norm_ih_l0, torch.ones(96))
