"""The table of options: every module declares one, completely, and its checks follow from the declaration."""

import ast
import math
import pkgutil
import re
import subprocess
import sys
from typing import Literal, get_args

import pytest
import torch

import tidegate.option
from tidegate.errors import InputError
from tidegate.nn import LSTM
from tidegate.option import OPTIONS, Option, Options, Storage
from tidegate.option.table import SHARED

every_option = pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)


def test_every_module_declares_the_option_of_its_name() -> None:
    modules = {module.name for module in pkgutil.iter_modules(tidegate.option.__path__)}
    assert modules - SHARED == set(OPTIONS)
    assert modules > SHARED


def test_options_stand_in_the_order_in_which_they_take_effect() -> None:
    orders = [option.order for option in OPTIONS.values()]
    assert orders == sorted(set(orders))


def test_the_table_is_read_without_torch() -> None:
    code = "import sys, tidegate.option as o; assert o.OPTIONS; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@every_option
def test_a_declaration_is_complete(option: Option) -> None:
    assert option.read(option.default) == option.default
    sentences = re.findall(r"[.](?: |$)", option.doc)
    assert 1 <= len(sentences) <= 3
    assert option.doc.endswith(".")
    if option.choices:
        assert option.setting == Literal[option.choices] | None
        assert option.default is None
    else:
        assert option.setting in (bool, int, float, float | None, int | None)
        assert isinstance(option.default, get_args(option.setting) or option.setting)
    assert set(option.excludes) <= set(OPTIONS)


@every_option
def test_a_number_out_of_its_range_is_refused(option: Option) -> None:
    for bound, beyond in ((option.low, -1), (option.high, 1)):
        if bound is not None:
            assert option.read(bound) == bound
            with pytest.raises(InputError, match=f"{option.name} must .*, got"):
                option.read(bound + beyond)
            with pytest.raises(InputError):
                option.read(math.nextafter(bound, beyond * math.inf))


@every_option
@pytest.mark.parametrize("wrong", ["much", math.nan, math.inf, [], {"h": "x"}, object()])
def test_what_is_no_value_is_refused(option: Option, wrong: object) -> None:
    with pytest.raises(InputError, match=f"{option.name} must ") as caught:
        Options(**{option.name: wrong})
    assert caught.value.code == "OPTION"
    assert caught.value.fix.startswith("pass ")


def test_the_text_of_a_refusal() -> None:
    with pytest.raises(InputError) as caught:
        Options(zoneout=2)
    assert str(caught.value) == "zoneout must lie in [0, 1], got 2 — pass e.g. 0.05 or {'h': 0.05, 'c': 0.5}"


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(TypeError, match="there is no option 'zoneot'; did you mean 'zoneout'"):
        Options(zoneot=0.1)


def test_options_are_values() -> None:
    one, same, other = Options(zoneout={"h": 0.1}), Options(zoneout={"h": 0.1}, chrono=None), Options(zoneout=0.1)
    assert one == same != other
    assert len({one, same, other}) == 2
    assert one.zoneout == (("h", 0.1),)
    assert one.recurrent_dropout == 0
    assert repr(one) == "Options(zoneout={'h': 0.1})"
    with pytest.raises(AttributeError, match="no attribute 'zonein'"):
        one.zonein  # noqa: B018  the access raises


def run(**options: object) -> tuple[list[torch.Tensor], dict[str, torch.Tensor], list[torch.Tensor]]:
    """Results in training, initial parameters, and their gradients, of LSTMs whose states grow."""
    torch.manual_seed(0)
    layer, x = LSTM(32, 32, 2, **options), (10 * torch.randn(1, 4, 32)).expand(40, 4, 32)
    y, (h, c) = layer(x, reset=torch.arange(40)[:, None].expand(40, 4) == 20)
    gradients = torch.autograd.grad(y.square().sum() + c.square().sum(), [*layer.parameters()])
    return [y, h, c], {name: p.detach() for name, p in layer.named_parameters()}, [*gradients]


@every_option
def test_no_option_prints_itself_and_does_nothing(option: Option) -> None:
    value = True if isinstance(option.default, bool) else ast.literal_eval(option.example.split(" or ")[0])
    assert f"{option.name}=" in repr(LSTM(32, 32, 2, **{option.name: value}))
    plain, (results, parameters, gradients) = run(), run(**{option.name: value})
    added = [gradient for name, gradient in zip(parameters, gradients, strict=True) if name not in plain[1]]
    assert all(gradient.any() for gradient in added)
    changed = any(not torch.equal(a, b) for a, b in zip(results, plain[0], strict=True))
    begun = any(name not in parameters or not torch.equal(parameters[name], v) for name, v in plain[1].items())
    assert changed or begun or added or isinstance(option, Storage)  # which changes gradients alone
    if not begun and not added:
        assert any(not torch.equal(a, b) for a, b in zip(gradients, plain[2], strict=True))
