"""The secret stream, its noise, its sampler, and what is spent."""

import math
import warnings

import pytest
import torch

from tidegate.errors import InputError
from tidegate.private import account
from tidegate.private.noise import PIECE, add_noise, gaussians
from tidegate.private.sampler import PoissonSampler, check_participation
from tidegate.private.stream import SecretStream
from tidegate.records import PrivacyRecord, privacy_sentence


def test_a_stream_is_shake_in_counter_mode_and_goes_on_where_it_was():
    import hashlib

    stream = SecretStream(bytes(range(32)))
    first, state, second = stream.words(3), stream.state(), stream.words(2)
    block = hashlib.shake_256(bytes(range(32)) + (1).to_bytes(16, "big")).digest(16)
    assert second.tolist() == [int.from_bytes(block[:8], "little"), int.from_bytes(block[8:], "little")]
    assert SecretStream.from_state(state).words(2).tolist() == second.tolist() != first.tolist()[:2]
    assert state["position"] == 1
    assert "insecure" not in repr(stream)
    assert state["key"] not in repr(stream)


def test_streams_differ_unless_they_have_an_insecure_seed():
    assert SecretStream.fresh().words(4).tolist() != SecretStream.fresh().words(4).tolist()
    seeded = [SecretStream.fresh(seed).words(4).tolist() for seed in (1, 1, 2)]
    assert seeded[0] == seeded[1] != seeded[2]
    assert SecretStream.from_state(SecretStream.fresh(5).state()).insecure_seed == 5


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        {"key": "00" * 31, "position": 0, "insecure_seed": None},
        {"key": "zz" * 32, "position": 0, "insecure_seed": None},
        {"key": "00" * 32, "position": -1, "insecure_seed": None},
        {"key": "00" * 32, "position": True, "insecure_seed": None},
        {"key": "00" * 32, "position": 0, "insecure_seed": "1"},
    ],
)
def test_a_damaged_state_is_one_clear_error(state):
    with pytest.raises(InputError, match="secret stream"):
        SecretStream.from_state(state)


def test_gaussians_have_the_moments_tails_and_independence_of_the_normal_distribution():
    x = gaussians(400_000, SecretStream.fresh(0))
    root = math.sqrt(len(x))
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert abs(float((x**power).mean()) - expected) < 4 * math.sqrt(variance) / root
    for bound in (1.0, 2.0, 3.0, 4.0):
        share = math.erfc(bound / math.sqrt(2))
        assert abs(float((x.abs() > bound).double().mean()) - share) < 4 * math.sqrt(share / len(x))
    ordered, place = x.sort().values, torch.arange(1, len(x) + 1) / len(x)
    below = 0.5 * torch.erfc(-ordered / math.sqrt(2))
    assert float((below - place).abs().max()) < 1.95 / root  # Kolmogorov and Smirnov, one in a thousand
    half = len(x) // 2
    for other in (x.roll(1), x.roll(half), x.roll(1) ** 2 - 1, x.roll(half) ** 2 - 1):  # the other of a pair is half on
        assert abs(float((x * other).mean())) < 4 * math.sqrt(2) / root
    assert abs(float(((x**2 - 1) * (x.roll(half) ** 2 - 1)).mean())) < 4 * 2 / root


def test_rare_words_reach_far_into_the_tail(monkeypatch):
    class Planted(SecretStream):
        def words(self, count):
            return super().words(count) * 0  # the smallest u, then no further bits

    x = gaussians(2, Planted(bytes(32)))
    assert float(x[0]) == pytest.approx(math.sqrt(2 * 129 * math.log(2)))
    assert float(x[1]) == 0


def test_noise_is_that_of_the_mechanism_on_a_grid():
    """What comes out lies on one grid whatever the sum is, and shifting the sum by the grid shifts the result."""
    clip, sigma = 0.37, 1.3
    grid = 2.0 ** (math.floor(math.log2(sigma * clip)) - 28)
    sums = [torch.randn(300, 7, dtype=torch.float64), torch.randn(11, dtype=torch.float64)]
    first, second, shift = [x.clone() for x in sums], [x.clone() for x in sums], [x.clone() for x in sums]
    add_noise(first, clip, sigma, SecretStream.fresh(3))
    add_noise(second, clip, sigma, SecretStream.fresh(4))
    for tensor in shift:
        tensor.add_(5 * grid)
    add_noise(shift, clip, sigma, SecretStream.fresh(3))
    for x, y, s, before in zip(first, second, shift, sums, strict=True):
        assert torch.equal((x / grid).round() * grid, x)
        assert not torch.equal(x, y)
        assert torch.equal(s, x + 5 * grid)
        assert float((x - before).std()) == pytest.approx(sigma * clip, rel=0.5)


def test_plain_addition_leaves_traces_that_the_grid_does_not():
    """The attack: of x + noise, the last bits tell whether x was 0 or 1 (Mironov 2012). Planted, then guarded."""
    noise = gaussians(4000, SecretStream.fresh(1)) * 2.0**-4
    fine = noise * 2.0**56 % 1.0  # 0 for multiples of 2^-56, which sums near 1 always are
    assert int((fine != 0).sum()) > 100  # with 0, plain addition shows finer numbers
    assert int(((1.0 + noise) * 2.0**53 % 1.0 != 0).sum()) == 0
    for value in (0.0, 1.0):
        guarded = torch.full((4000,), value, dtype=torch.float64)
        add_noise([guarded], 1.0, 2.0**-4, SecretStream.fresh(1))
        assert int((guarded * 2.0**32 % 1.0 != 0).sum()) == 0


def test_noise_has_one_deviation_over_all_tensors_types_and_layouts():
    sums = [torch.zeros(400, 300).t(), torch.zeros(PIECE + 5), torch.zeros(7, dtype=torch.float64)]
    add_noise(sums, 2.0, 0.5, SecretStream.fresh(9))
    for tensor in sums[:2]:
        assert float(tensor.double().pow(2).mean()) == pytest.approx(1, abs=4 * math.sqrt(2 / tensor.numel()))
    flat = sums[1][:1000]
    assert abs(float((flat * sums[0].reshape(-1)[:1000]).mean())) < 0.2


def test_no_noise_changes_and_draws_nothing():
    stream, sums = SecretStream.fresh(), [torch.ones(3)]
    add_noise(sums, math.inf, 0.0, stream)
    assert stream.position == 0
    assert sums[0].tolist() == [1, 1, 1]


def test_noise_that_cannot_be_made_is_refused():
    for clip, sigma in ((math.inf, 1.0), (0.0, 1.0), (1.0, -1.0), (math.nan, 1.0)):
        with pytest.raises(InputError, match="finite, positive"):
            add_noise([torch.zeros(2)], clip, sigma, SecretStream.fresh())
    with pytest.raises(InputError, match="too large"):
        add_noise([torch.full((2,), 1e9)], 1e-9, 1.0, SecretStream.fresh())
    sums = [torch.tensor([math.nan, 0.0])]
    add_noise(sums, 1.0, 1.0, SecretStream.fresh())  # a training that diverges says so itself
    assert bool(sums[0][0].isnan())


def test_coins_have_their_rate():
    sampler = PoissonSampler(5000, 0.02, SecretStream.fresh(2))
    draws = [sampler.draw() for _ in range(200)]
    assert check_participation(draws, 5000, 0.02).passed
    assert all(bool((draw.diff() > 0).all()) for draw in draws)
    assert len(PoissonSampler(50, 1.0, SecretStream.fresh()).draw()) == 50
    assert len(PoissonSampler(50, 1e-30, SecretStream.fresh()).draw()) == 0
    for units, rate in ((0, 0.5), (5, 0.0), (5, 1.5)):
        with pytest.raises(InputError, match="cannot be drawn"):
            PoissonSampler(units, rate, SecretStream.fresh())


def honest(units, rate, steps, seed):
    sampler = PoissonSampler(units, rate, SecretStream.fresh(seed))
    return [sampler.draw() for _ in range(steps)]


def shuffled(units, rate, steps, seed):
    generator, draws = torch.Generator().manual_seed(seed), []
    while len(draws) < steps:
        draws += torch.randperm(units, generator=generator).split(round(units * rate))
    return draws[:steps]


def fixed_size(units, rate, steps, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(units, generator=generator)[: round(units * rate)] for _ in range(steps)]


def one_step_an_epoch(units, rate, steps, seed):
    """Balls and bins: sizes vary, but everyone comes exactly once an epoch."""
    generator, draws = torch.Generator().manual_seed(seed), []
    while len(draws) < steps:
        bins = torch.randint(round(1 / rate), (units,), generator=generator)
        draws += [torch.nonzero(bins == k).flatten() for k in range(round(1 / rate))]
    return draws[:steps]


def hand_in_hand(units, rate, steps, seed):
    """Neighbours come together."""
    return [torch.cat((2 * draw, 2 * draw + 1)) for draw in honest(units // 2, rate, steps, seed)]


def sticky(units, rate, steps, seed):
    """A draw stays for two steps."""
    return [draw for draw in honest(units, rate, steps // 2, seed) for _ in range(2)]


def too_often(units, rate, steps, seed):
    return honest(units, rate * 1.25, steps, seed)


@pytest.mark.parametrize("size", [(400, 0.05, 60), (2000, 0.01, 100)])
def test_participation_passes_coins_and_catches_everything_else(size):
    assert sum(check_participation(honest(*size, seed), size[0], size[1]).passed for seed in range(20)) == 20
    for sampler in (shuffled, fixed_size, one_step_an_epoch, hand_in_hand, sticky, too_often):
        caught = sum(not check_participation(sampler(*size, seed), size[0], size[1]).passed for seed in range(20))
        assert caught == 20, sampler.__name__


def test_records_that_cannot_be_tested_are_refused():
    draw = torch.tensor([0, 3])
    for draws, units, rate in (([draw], 5, 0.5), ([draw, draw], 3, 0.5), ([draw, draw], 5, 1.0)):
        with pytest.raises(InputError, match="cannot be tested"):
            check_participation(draws, units, rate)
    with pytest.raises(InputError, match="cannot be tested"):
        check_participation([draw, torch.tensor([1, 1])], 5, 0.5)


def test_epsilon_is_the_published_one_and_other_accountants_agree():
    q, sigma, steps, delta = 0.05, 1.0, 1000, 8e-5
    pld = account.epsilon_of(q, sigma, steps, delta)
    assert pld == pytest.approx(9.757, abs=1e-3)
    assert account._rough(q, sigma, steps, delta) > pld
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prv = pytest.importorskip("opacus.accountants").PRVAccountant()
        rdp = pytest.importorskip("opacus.accountants").RDPAccountant()
        for other in (prv, rdp):
            other.history = [(sigma, q, steps)]
        assert prv.get_epsilon(delta) == pytest.approx(9.768, abs=2e-3)  # allows an error of 0.01 in epsilon
        assert rdp.get_epsilon(delta) == pytest.approx(10.78, abs=1e-2)


def test_epsilon_of_one_gaussian_is_the_closed_one():
    """Balle and Wang 2018: delta(epsilon) = Phi(1/2s - e s) - exp(e) Phi(-1/2s - e s); not by dp-accounting."""

    def phi(x):
        return 0.5 * math.erfc(-x / math.sqrt(2))

    for sigma, steps, delta in ((2.0, 1, 1e-5), (8.0, 9, 1e-8), (1000.0, 1_000_000, 1e-8)):
        s = sigma / math.sqrt(steps)
        epsilon = account.epsilon_of(1.0, sigma, steps, delta)
        low, high = (e * epsilon for e in (0.998, 1.0))
        spent = [phi(0.5 / s - e * s) - math.exp(e) * phi(-0.5 / s - e * s) for e in (low, high)]
        assert spent[1] <= delta < spent[0]


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 8.0, 300.0])
def test_the_noise_for_an_epsilon_is_enough_and_little_more(epsilon):
    sigma = account.sigma_for(epsilon, 0.02, 400, 1e-5)
    digit = 10.0 ** (math.floor(math.log10(sigma)) - 3)
    assert account.epsilon_of(0.02, sigma, 400, 1e-5) <= epsilon < account.epsilon_of(0.02, sigma - digit, 400, 1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: account.sigma_for(0.0, 0.1, 10, 1e-5), "epsilon is 0, expected above 0"),
        (lambda: account.sigma_for(math.nan, 0.1, 10, 1e-5), "epsilon is nan"),
        (lambda: account.sigma_for(1e-9, 1.0, 10**6, 1e-10), "no noise multiplier up to 1,048,576"),
        (lambda: account.sigma_for(1e9, 0.1, 10, 1e-5), "next to no noise"),
        (lambda: account.epsilon_of(0.1, 0.0, 10, 1e-5), "sigma is 0"),
        (lambda: account.epsilon_of(0.1, 1.0, 0, 1e-5), "number of steps is 0"),
        (lambda: account.epsilon_of(1.1, 1.0, 1, 1e-5), "rate is 1.1"),
        (lambda: account.epsilon_of(0.1, 1.0, 1, 0.0), "delta is 0"),
        (lambda: account.epsilon_of(0.1, 1.0, 1, 1.0), "delta is 1"),
    ],
)
def test_what_is_impossible_is_said(call, words):
    with pytest.raises(InputError, match=words):
        call()


def record(**other):
    values = {"epsilon": 7.99912, "delta": 2.1234e-5, "unit": "row", "noise_multiplier": 1.1, "clip_norm": 1.0}
    return PrivacyRecord(**{**values, "sampling_rate": 0.05, "steps": 1000, "accountant": "PLD", **other})


def test_the_sentence_never_promises_more_than_is_kept():
    text = privacy_sentence(record(public=("vocabulary", "scale\x1b[2J")))
    assert text.startswith(
        "epsilon 8 at delta 2.13e-05 per row of the training part (add or remove one unit; noise 1.1 "
    )
    assert text.endswith("learnt without privacy: vocabulary, scale\\x1b[2J)")
    assert "per unit of the training part, which is one text (add" in privacy_sentence(record(unit="one text"))
    assert "epsilon" not in privacy_sentence(record(epsilon=None, insecure_seed=3))
    assert privacy_sentence(record(epsilon=9.99991)).startswith("epsilon 10 at")


@pytest.mark.parametrize(
    "other",
    [
        {"epsilon": None},
        {"insecure_seed": 1},
        {"epsilon": -1.0},
        {"epsilon": math.inf},
        {"delta": 0.0},
        {"sampling_rate": 0.0},
        {"noise_multiplier": 0.0},
        {"steps": 0},
    ],
)
def test_a_record_that_no_training_ends_with_is_refused(other):
    with pytest.raises(InputError, match="no training ends"):
        record(**other)
