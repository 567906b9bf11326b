"""The comparison helpers must fail where a cell is wrong: each bug here is planted."""

from dataclasses import replace

import pytest
import torch
from torch.autograd.gradcheck import GradcheckError

from tests.reference import compare, measure, tolerance
from tests.reference.compare import assert_as_exact, assert_equal, by_layer, by_reference, draw, errors, relative_error
from tests.reference.equations import REFERENCES, sigma, tanh
from tests.reference.unroll import forward
from tests.reference.worst import main


def swapped_gates(p, x, h, c):
    """The order of ONNX, i o f c, on weights stored i f g o."""
    i = sigma(p.W(0, x) + p.b(0) + p.U(0, h) + p.d(0))
    f = sigma(p.W(2, x) + p.b(2) + p.U(2, h) + p.d(2))
    g = tanh(p.W(3, x) + p.b(3) + p.U(3, h) + p.d(3))
    o = sigma(p.W(1, x) + p.b(1) + p.U(1, h) + p.d(1))
    c = f * c + i * g
    return o * tanh(c), c


def dropped_bias(p, x, h, c):
    i = sigma(p.W(0, x) + p.b(0) + p.U(0, h))
    f = sigma(p.W(1, x) + p.b(1) + p.U(1, h) + p.d(1))
    g = tanh(p.W(2, x) + p.b(2) + p.U(2, h) + p.d(2))
    o = sigma(p.W(3, x) + p.b(3) + p.U(3, h) + p.d(3))
    c = f * c + i * g
    return o * tanh(c), c


def zeros(p, x, h, c):
    return 0 * h, 0 * c


def run(case, step):
    y, last = forward(replace(case.reference, step=step), case.params, case.x, case.states)
    return {"y": y, **{f"last {k}": v for k, v in enumerate(last)}}


@pytest.fixture
def case():
    return draw("lstm", 3, 2, 4)


@pytest.fixture
def right(case):
    return run(case, case.reference.step)


@pytest.mark.parametrize("bug", [swapped_gates, dropped_bias, zeros])
def test_a_wrong_cell_is_found(case, right, bug):
    assert_equal(right, right)
    with pytest.raises(AssertionError, match="y off by"):
        assert_equal(run(case, bug), right)


@pytest.mark.parametrize("bug", [swapped_gates, dropped_bias, zeros])
def test_a_wrong_cell_is_found_in_float32(case, right, bug):
    single = {name: value.float() for name, value in right.items()}
    wrong = {name: value.float() for name, value in run(case, bug).items()}
    assert_as_exact(single, single, right)
    with pytest.raises(AssertionError, match="y off by"):
        assert_as_exact(wrong, single, right)


@pytest.mark.parametrize("bug", [swapped_gates, dropped_bias, zeros])
def test_a_wrong_cell_is_found_through_the_layer(case, bug, monkeypatch):
    monkeypatch.setitem(REFERENCES, "lstm", replace(REFERENCES["lstm"], step=bug, back=None))
    with pytest.raises(AssertionError, match="off by"):
        assert_equal(by_layer(case), by_reference(case))


@pytest.mark.parametrize("name", ["d x", "d state0", "d state1", "d weight_ih_l0", "d weight_hh_l0", "d bias_hh_l0"])
def test_one_wrong_gradient_is_found_and_named(case, name):
    found = by_reference(case)
    with pytest.raises(AssertionError, match=f"^{name} off by"):
        assert_equal({**found, name: found[name] * (1 + 1e-11)}, found)


@pytest.mark.parametrize("lost", ["y", "d bias_ih_l0"])
def test_a_missing_result_is_found(case, lost):
    found = by_reference(case)
    with pytest.raises(AssertionError, match=lost):
        assert_equal({name: value for name, value in found.items() if name != lost}, found)


def test_a_zero_gradient_is_found_where_the_true_one_is_zero_too():
    zero = torch.zeros(3, dtype=torch.float64)
    assert relative_error(zero, zero) == 0
    assert relative_error(zero + 1e-300, zero) == float("inf")


@pytest.mark.parametrize(
    ("got", "why"),
    [
        (torch.full((3,), float("nan"), dtype=torch.float64), "not finite"),
        (torch.ones(4, dtype=torch.float64), "shape"),
        (torch.ones(3), "dtype"),
    ],
)
def test_what_cannot_be_compared_fails(got, why):
    with pytest.raises(AssertionError, match=why):
        errors({"y": got}, {"y": torch.ones(3, dtype=torch.float64)})


def test_the_float32_helper_refuses_float64(right):
    single = {name: value.float() for name, value in right.items()}
    with pytest.raises(AssertionError, match="not float32"):
        assert_as_exact(right, single, right)


def test_the_floor_hides_nothing_of_the_size_of_a_bug(case, right):
    with pytest.raises(AssertionError):
        assert_equal(run(case, dropped_bias), right, floor=tolerance.SATURATED_FLOOR)


class _WrongSine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, v):
        ctx.save_for_backward(v)
        return v.sin()

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0].sin()


def test_the_check_of_derivatives_fails_for_a_wrong_gradient(monkeypatch):
    point = [torch.ones(2, dtype=torch.float64, requires_grad=True)]
    monkeypatch.setattr(measure, "differentiable", lambda cell: (_WrongSine.apply, point))
    with pytest.raises(GradcheckError):
        measure.gradients_check("lstm")


def test_the_table_fails_for_a_wrong_cell(monkeypatch, capsys):
    monkeypatch.setattr(measure, "sizes", lambda: [(2, 1, 3)])
    assert main(["lstm"]) == 0
    monkeypatch.setitem(REFERENCES, "lstm", replace(REFERENCES["lstm"], step=swapped_gates, back=None))
    assert main(["lstm"]) == 1
    assert "exceeded" in capsys.readouterr().out


def test_a_strided_case_has_the_same_numbers(case):
    other = compare.strided(case)
    assert not other.x.is_contiguous()
    assert torch.equal(other.x, case.x)
    assert_equal(by_reference(other), by_reference(case))
