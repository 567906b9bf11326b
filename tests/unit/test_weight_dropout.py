"""``weight_dropout``: DropConnect on the recurrent matrices, one mask for each forward call."""

import math
import warnings
from dataclasses import replace

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

import tidegate as tg
from tidegate.errors import InputError
from tidegate.nn import GRU, LSTM, Recurrent
from tidegate.runtime import eager_only, strict
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.train.loop import train
from tidegate.train.plan import Plan
from tidegate.zoo import CELLS


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(kind=LSTM, *sizes, **options):
    torch.manual_seed(0)
    return kind(*(sizes or (3, 6)), **options)


def test_it_runs_on_the_fused_kernels_as_by_the_definition() -> None:
    layer, x = made(LSTM, 3, 6, 2, bidirectional=True, weight_dropout=0.4, dtype=torch.float64), torch.randn(5, 4, 3)
    results = []
    for context in (strict, eager_only):
        with context():
            y, _ = layer(x.double(), lengths=[5, 0, 3, 4], generator=seeded())
            results.append([y, *torch.autograd.grad(y.square().sum(), [*layer.parameters()])])
        assert layer.last_path == ("fused" if context is strict else "eager: eager_only is on")
    torch.testing.assert_close(*results)


def test_equal_generators_agree_and_different_ones_do_not() -> None:
    layer, x = made(weight_dropout=0.5), torch.randn(5, 4, 3)
    first, same, other = (layer(x, generator=seeded(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_evaluation_is_the_plain_layer() -> None:
    layer, plain, x = made(weight_dropout=0.5).eval(), made(), torch.randn(5, 4, 3)
    assert layer.state_dict().keys() == plain.state_dict().keys()
    assert torch.equal(layer(x)[0], plain(x)[0])


def test_masked_weights_have_no_gradient_and_others_a_scaled_one() -> None:
    layer, plain = made(GRU, 3, 6, weight_dropout=0.5), made(GRU, 3, 6)
    x, hx = torch.randn(1, 4, 3), torch.randn(1, 4, 6)
    layer(x, hx, generator=seeded())[0].sum().backward()
    dropped = layer.weight_hh_l0.grad == 0
    assert 0 < dropped.sum() < dropped.numel()
    assert layer.weight_ih_l0.grad.ne(0).all()
    with torch.no_grad():  # the same call, by hand
        plain.weight_hh_l0.copy_(torch.where(dropped, 0.0, plain.weight_hh_l0 / 0.5))
    y, _ = plain(x, hx)
    torch.testing.assert_close(y, layer(x, hx, generator=seeded())[0])
    y.sum().backward()
    torch.testing.assert_close(layer.weight_hh_l0.grad, torch.where(dropped, 0.0, plain.weight_hh_l0.grad / 0.5))


def test_all_steps_and_sequences_share_the_mask() -> None:
    layer = made(GRU, 3, 6, weight_dropout=0.5)
    x, hx = torch.randn(1, 1, 3).expand(1, 4, 3), torch.randn(1, 1, 6).expand(1, 4, 6)
    y, _ = layer(x, hx.contiguous(), generator=seeded())
    assert torch.equal(y, y[:, :1].expand_as(y))
    torch.testing.assert_close(  # both steps at once, and one after the other
        layer(x.expand(2, 4, 3), hx.contiguous(), generator=seeded())[0][1:],
        layer(x, y, generator=seeded())[0],
    )


def test_the_mean_of_many_draws_is_the_plain_weight() -> None:
    rate, draws = 0.3, 2000
    layer = made(Recurrent, "rnn/relu", 1, 8, bias=False, weight_dropout=rate, dtype=torch.float64)
    with torch.no_grad():  # relu of positive numbers is linear in the weights
        for parameter in layer.parameters():
            parameter.abs_()
    x, hx = torch.zeros(1, 1, 1, dtype=torch.float64), torch.ones(1, 1, 8, dtype=torch.float64)
    with torch.no_grad():
        values = torch.stack([layer(x, hx, generator=seeded(k))[0].sum() for k in range(draws)])
        expected = layer.eval()(x, hx)[0].sum()
    error = values.std() / math.sqrt(draws)
    assert abs(values.mean() - expected) < 3 * error
    assert values.std() == pytest.approx(
        float(layer.weight_hh_l0.detach().square().sum() * rate / (1 - rate)) ** 0.5, rel=0.1
    )


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_under_vmap_masks_follow_its_randomness(randomness) -> None:
    layer, x = made(GRU, 3, 6, weight_dropout=0.5), torch.randn(5, 2, 3).expand(4, 5, 2, 3)
    y = vmap(lambda x: layer(x)[0], randomness=randomness)(x)
    assert torch.equal(y[0], y[1]) == (randomness == "same")


def test_an_ensemble_runs_by_functional_call() -> None:
    layers, x = [made(GRU, 3, 6, weight_dropout=0.5), GRU(3, 6, weight_dropout=0.5)], torch.randn(5, 2, 3)
    parameters, _ = stack_module_state(layers)
    torch.manual_seed(1)
    y = vmap(lambda own: functional_call(layers[0], own, (x,))[0], randomness="same")(parameters)
    for layer, own in zip(layers, y, strict=True):
        torch.manual_seed(1)
        torch.testing.assert_close(layer(x)[0], own)


def test_it_is_no_layer_of_torchs_and_prints_itself() -> None:
    layer = made(weight_dropout=0.5)
    assert repr(layer) == "LSTM(3, 6, weight_dropout=0.5)"
    with pytest.raises(InputError, match="torch has no weight_dropout="):
        tg.restore(layer)


@pytest.mark.parametrize("cell", [name for name in CELLS if not any(m.mirror for m in CELLS[name].graph.matrices)])
@pytest.mark.parametrize("option", [{"recurrent_dropout": 0.5}, {"weight_dropout": 0.5}, {"orthogonal": True}])
def test_a_layer_warns_of_an_option_without_effect_on_its_cell(cell, option) -> None:
    recurrent = [
        name for name, operand, _ in CELLS[cell].graph.products if CELLS[cell].graph.nodes[operand].op != "input"
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Recurrent(cell, 4, 4, **option)
    name, graph = next(iter(option)), CELLS[cell].graph
    text = f"{graph.name} has no recurrent matrix, so {name} has no effect"
    assert [(str(w.message), w.filename) for w in caught] == ([] if recurrent else [(text, __file__)])


def test_a_run_that_is_resumed_ends_with_the_same_bytes(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tidegate.train.loop.SAVE_EVERY_SECONDS", -1.0)
    monkeypatch.setattr("tidegate.train.loop.SAVE_SHARE", math.inf)
    task = tg.tasks.load("elnino")
    plan = Plan(ForecastSetting(epochs=4, patience=4, weight_dropout=0.3), initial_seed=1, order_seed=2)

    def layer(inputs: int) -> Recurrent:
        return Recurrent("gru", inputs, 6, weight_dropout=0.3)

    def interrupt(record) -> None:
        if record.epoch == 3:
            raise KeyboardInterrupt

    whole = train(task, layer, plan)
    with pytest.raises(KeyboardInterrupt):
        train(task, layer, plan, checkpoint=tmp_path / "run.safetensors", on_epoch=interrupt)
    resumed = train(task, layer, plan, checkpoint=tmp_path / "run.safetensors")
    plain = train(task, lambda inputs: Recurrent("gru", inputs, 6), plan)
    assert [replace(r, seconds=0.0) for r in resumed.curve] == [replace(r, seconds=0.0) for r in whole.curve]
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name])
    assert whole.curve[-1].valid != plain.curve[-1].valid


def test_it_is_a_setting_and_a_flag_of_train(capsys) -> None:
    from tidegate.cli import main

    assert ForecastSetting(weight_dropout=0.5).weight_dropout == 0.5
    with pytest.raises(SystemExit):
        main(["train", "forecast", "elnino", "--help"])
    assert "--weight-dropout" in capsys.readouterr().out
