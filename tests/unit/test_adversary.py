"""Changes of inputs within a norm: balls, slopes, and ascent where the worst change is known."""

import math

import pytest
import torch

from tidegate.adversary import Ball, by_gradient, by_queries, climb, cross_entropy, free, margin, projected_gradient
from tidegate.errors import InputError

T, B, C = 6, 5, 3
LENGTHS = torch.tensor([6, 4, 1, 5, 2])
NORMS = ("linf", "l2")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(seed=0, scale=1.0):
    return torch.randn(T, B, C, generator=rng(seed), dtype=torch.float64) * scale


def norm_of(change, norm):
    """By hand, row by row."""
    rows = [change[:, row].flatten().tolist() for row in range(change.shape[1])]
    return torch.tensor([max(map(abs, row)) if norm == "linf" else math.sqrt(sum(v * v for v in row)) for row in rows])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("radius", [0.0, 0.7, torch.tensor([0.0, 0.1, 0.5, 1.0, 3.0])])
def test_a_projection_is_inside_changes_nothing_that_is_inside_and_is_the_nearest(norm, radius) -> None:
    ball, change = Ball(norm, radius, free(LENGTHS, (T, B, C))), drawn(scale=2.0)
    inside = ball.project(change)
    assert (norm_of(inside, norm) <= torch.as_tensor(radius) + 1e-12).all()
    assert torch.allclose(ball.project(inside), inside, rtol=0, atol=1e-15)
    masked = change * ball.mask
    far = (masked - inside).square().sum((0, 2))
    for seed in range(200):
        other = ball.start(change, rng(seed))
        assert (norm_of(other, norm) <= torch.as_tensor(radius) + 1e-12).all()
        assert ((masked - other).square().sum((0, 2)) >= far - 1e-9).all()


@pytest.mark.parametrize("norm", NORMS)
def test_steps_have_their_size_and_go_up_best(norm) -> None:
    gradient = drawn()
    for scale in (1.0, 1e-30, 1e30):  # squares of these leave float32
        step = Ball(norm, 1.0).step((gradient * scale).float(), 0.25)
        assert torch.allclose(norm_of(step, norm), torch.tensor(0.25))
    best = (Ball(norm, 1.0).step(gradient, 0.25) * gradient).sum((0, 2))
    dual = gradient.abs().sum((0, 2)) if norm == "linf" else gradient.square().sum((0, 2)).sqrt()
    assert torch.allclose(best, 0.25 * dual)
    nothing = Ball(norm, 1.0).step(torch.full((T, B, C), math.nan), 1.0)
    assert not nothing.any()


def test_padding_keeps_its_bits_and_chosen_steps_and_features_alone_move() -> None:
    x = drawn().float()
    x[4:, 1] = -0.0
    mask = free(LENGTHS, x.shape, steps=(1, 4), features=[0, 2])
    by_hand = [[[1 <= t < 4 and t < LENGTHS[b] and c != 1 for c in range(C)] for b in range(B)] for t in range(T)]
    assert mask.tolist() == by_hand
    for norm in NORMS:
        ball = Ball(norm, 1.0, mask)
        found = projected_gradient(lambda z: z.square().sum((0, 2)), x, ball, steps=5, restarts=3, generator=rng())
        moved = ball.moved(x, found.change)
        bits = [values.view(torch.int32)[~mask] for values in (x, moved)]
        assert torch.equal(*bits)
        assert (moved != x)[mask].all()
        for row in range(B):
            assert torch.equal(ball.rows(torch.tensor([row])).mask, mask[:, row : row + 1])


def test_steps_count_from_the_end_of_each_row() -> None:
    mask = free(LENGTHS, (T, B, C), steps=(-2, None))[..., 0]
    assert mask.sum(0).tolist() == [2, 2, 1, 2, 2]
    assert mask[3:5, 3].all()
    assert free(LENGTHS, (T, B, C), steps=(0, -1))[..., 0].sum(0).tolist() == [5, 3, 0, 4, 1]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("slope", ["gradient", "queries"])
def test_the_worst_change_of_a_linear_loss_is_found(norm, slope) -> None:
    weight, x, radius = drawn(1), drawn(2), torch.tensor([0.0, 0.1, 0.5, 1.0, 2.0]).double()
    ball = Ball(norm, radius, free(LENGTHS, x.shape))

    def loss(z):
        return (weight * z).sum((0, 2))

    own = weight * ball.mask
    dual = own.abs().sum((0, 2)) if norm == "linf" else own.square().sum((0, 2)).sqrt()
    if slope == "gradient":
        found, near = projected_gradient(loss, x, ball, steps=10, restarts=1), 1e-9
    else:
        width = by_queries(loss, 0.01, pairs=60, generator=rng(), mask=ball.mask)
        found, near = climb(width, x, ball, steps=60, restarts=1), 0.02
    assert torch.allclose(found.score - loss(x), radius * dual, rtol=near, atol=1e-9)
    assert torch.allclose(loss(ball.moved(x, found.change)), found.score)


def test_an_estimate_is_the_gradient_on_average() -> None:
    x, mask = drawn(3), free(LENGTHS, (T, B, C))

    def loss(z):
        return (z.sin() * drawn(4)).sum((0, 2))

    value, gradient = by_queries(loss, 1e-4, pairs=2000, generator=rng(), mask=mask)(x)
    true = by_gradient(loss)(x)
    assert torch.equal(value, true.score)
    assert (gradient - true.gradient * mask).abs().max() < 0.25
    assert (gradient * true.gradient * mask).sum() / (true.gradient * mask).square().sum() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("norm", NORMS)
def test_more_restarts_are_never_weaker_and_no_change_is_the_least(norm) -> None:
    x, ball = drawn(5), Ball(norm, 1.5)

    def loss(z):  # with many hills
        return (5 * z).sin().sum((0, 2)) + z.cos().prod(0).sum(1)

    scores = [projected_gradient(loss, x, ball, steps=8, restarts=n, generator=rng()).score for n in (1, 3, 9)]
    assert (scores[0] > loss(x)).all()
    assert (scores[1] >= scores[0]).all()
    assert (scores[2] >= scores[1]).all()
    still = projected_gradient(lambda z: -z.square().sum((0, 2)), torch.zeros_like(x), ball, steps=8, restarts=3)
    assert not still.change.any()


def test_rows_that_have_no_gradient_say_so() -> None:
    x, dead = drawn(6), torch.tensor([1.0, 0.0, 1.0, 0.0, math.nan])

    def loss(z):
        return dead * z.sum((0, 2)) if dead.isfinite().all() else (z.sum((0, 2)) * dead.nan_to_num(0.0))

    found = projected_gradient(loss, x, Ball("l2", 1.0), steps=4, restarts=2, generator=rng())
    assert found.silent.tolist() == pytest.approx([0, 1, 0, 1, 1])
    rounded = projected_gradient(lambda z: z.detach().round().sum((0, 2)), x, Ball("linf", 1.0), steps=4, restarts=2)
    assert rounded.silent.tolist() == pytest.approx([1] * B)
    assert (rounded.score >= x.round().sum((0, 2))).all()


def test_what_judges_need_not_be_what_is_climbed() -> None:
    x, ball = drawn(7), Ball("linf", 1.0)

    def score(z):
        return z.round().sum((0, 2))

    found = projected_gradient(lambda z: (z.sum((0, 2)), score(z)), x, ball, steps=10, restarts=1)
    assert torch.equal(found.score, score(x + found.change))
    assert torch.equal(found.score, score(x + 1))
    down = lambda z: (-z.sum((0, 2)), score(z))  # noqa: E731
    again = projected_gradient(down, x, ball, steps=3, restarts=1, start=found.change)
    assert torch.equal(again.score, found.score)  # the start itself is judged


def test_losses_are_those_of_the_papers() -> None:
    logits = torch.randn(7, 4, generator=rng(), dtype=torch.float64)
    targets = torch.tensor([0, 1, 2, 3, 0, 1, 2])
    for row, (z, y) in enumerate(zip(logits.tolist(), targets.tolist(), strict=True)):
        assert margin(logits, targets)[row].item() == pytest.approx(max(z[:y] + z[y + 1 :]) - z[y])
        assert cross_entropy(logits, targets)[row].item() == pytest.approx(
            math.log(sum(map(math.exp, z))) - z[y], rel=1e-12
        )


def test_a_saturated_softmax_hides_the_gradient_from_cross_entropy_alone() -> None:
    weight = torch.randn(2, T * C, generator=rng())
    x = torch.randn(T, 1, C, generator=rng(1)).expand(T, B, C) + 0.0
    logits = lambda z: 1e4 * z.transpose(0, 1).flatten(1) @ weight.T  # noqa: E731
    targets = logits(x).argmax(1)
    silent = {
        loss.__name__: projected_gradient(lambda z, own=loss: own(logits(z), targets), x, Ball("linf", 3.0), restarts=1)
        for loss in (margin, cross_entropy)
    }
    assert (silent["margin"].score > 0).all()
    assert (silent["cross_entropy"].silent > 0.9).all()


@pytest.mark.parametrize(("norm", "radius", "code"), [("l1", 1.0, "NORM"), ("l2", -1, "RADIUS"), ("l2", math.nan, "")])
def test_balls_that_are_none_are_refused(norm, radius, code) -> None:
    with pytest.raises(InputError, match="must be") as caught:
        Ball(norm, radius)
    assert code in caught.value.code
