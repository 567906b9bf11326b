"""Steps of private training in a loop of one's own."""

import copy
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

import tidegate as tg
from tidegate.errors import InputError
from tidegate.private import PoissonSampler, SecretStream, Step

UNITS, RATE = 40, 0.2
TIGHT = 1e-12


class Model(torch.nn.Module):
    """Three classes of sequences, by the last valid step."""

    def __init__(self, dropout: float = 0.0, *, padded: bool = False) -> None:
        super().__init__()
        self.layer, self.head = tg.nn.GRU(2, 4), torch.nn.Linear(4, 3)
        self.dropout, self.padded = torch.nn.Dropout(dropout), padded

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        x = x[: max([0, *lengths.tolist()])]
        h = self.layer(x)[0][-1] if self.padded else self.layer(x, lengths=lengths)[1][0]
        return self.head(self.dropout(h))


@pytest.fixture(autouse=True)
def data():
    torch.manual_seed(2)
    x, lengths = torch.randn(9, UNITS, 2, dtype=torch.float64), torch.randint(1, 10, (UNITS,))
    return x, lengths, torch.randint(0, 3, (UNITS,))


def begun(data, model: torch.nn.Module | None = None, **options) -> Step:
    x, lengths, y = data
    model = Model().double() if model is None else model

    def losses(places: torch.Tensor) -> torch.Tensor:
        return cross_entropy(model(x[:, places], lengths[places]), y[places], reduction="none")

    chosen = {"units": UNITS, "rate": RATE, "noise": 1.0, "clip_norm": 0.3, **options}
    return Step(model, torch.optim.Adam(model.parameters(), lr=0.05), losses, **chosen)


def weights(step: Step) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in step.model.parameters()])


def test_without_noise_and_clipping_a_step_is_a_plain_one(data) -> None:
    step = begun(data, noise=0.0, clip_norm=math.inf, rate=0.02, piece=2, insecure_seed=5)  # some draws are empty
    plain = copy.deepcopy(step.model)
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.05)
    x, lengths, y = data
    sizes = set()
    for _ in range(50):
        stream = SecretStream.from_state(step.stream.state())
        places = PoissonSampler(UNITS, 0.02, stream).draw()
        sizes.add(len(places))
        step()
        answers = plain(x[:, places], lengths[places]) if len(places) else plain.head.weight.new_zeros(0, 3)
        loss = cross_entropy(answers, y[places], reduction="sum") / (0.02 * UNITS)
        for parameter in plain.parameters():
            parameter.grad = torch.zeros_like(parameter)
        if len(places):
            loss.backward()
        optimizer.step()
    assert {0, 1} <= sizes
    right = torch.cat([parameter.detach().flatten() for parameter in plain.parameters()])
    assert float((weights(step) - right).abs().max()) < TIGHT


def test_noise_has_the_size_that_it_should_have(data) -> None:
    step = begun(data, noise=3.0, clip_norm=1e-6, insecure_seed=1)
    step.gradient()
    noise = torch.cat([parameter.grad.flatten() for parameter in step.model.parameters()]) * RATE * UNITS / 3e-6
    assert abs(float(noise.std()) - 1) < 0.2
    assert abs(float(noise.mean())) < 0.3


def test_equal_seeds_of_torch_give_unlike_models_and_equal_insecure_seeds_equal_ones(data) -> None:
    ends = []
    for seed in (None, None, 7, 7):
        torch.manual_seed(0)
        step = begun(data, Model(0.3).double(), insecure_seed=seed)
        before = torch.get_rng_state()
        for _ in range(2):
            step()
        assert torch.equal(before, torch.get_rng_state())
        ends.append(weights(step))
    assert not torch.equal(ends[0], ends[1])
    assert torch.equal(ends[2], ends[3])


def test_a_step_goes_on_exactly(data) -> None:
    torch.manual_seed(0)
    whole = begun(data, Model(0.3).double())
    for _ in range(2):
        whole()
    torch.manual_seed(1)
    other = begun(data, copy.deepcopy(whole.model))
    other.optimizer.load_state_dict(copy.deepcopy(whole.optimizer.state_dict()))
    other.load_state_dict(whole.state_dict())
    x, lengths, y = data
    other.losses = lambda places: cross_entropy(other.model(x[:, places], lengths[places]), y[places], reduction="none")
    for _ in range(3):
        whole()
        other()
    assert torch.equal(weights(whole), weights(other))
    assert whole.steps == other.steps == 5
    assert whole.epsilon(1e-3) == other.epsilon(1e-3) > 0


def test_what_is_not_private_has_no_epsilon(data) -> None:
    assert begun(data).epsilon(1e-3) == 0
    for step in (begun(data, insecure_seed=3), begun(data, noise=0.0)):
        step()
        assert step.epsilon(1e-3) == math.inf


def test_a_model_whose_units_see_each_other_is_refused(data) -> None:
    with pytest.raises(InputError, match="lengths=") as caught:
        begun(data, Model(padded=True).double())()
    assert caught.value.code == "PRIVATE_MIXED"


def test_values_that_are_not_finite_are_refused(data) -> None:
    data[0][0] = math.nan
    with pytest.raises(InputError) as caught:
        begun(data)()
    assert caught.value.code == "PRIVATE_FINITE"


@pytest.mark.parametrize(
    ("options", "code"),
    [({"clip_norm": 0}, "PRIVATE_RANGE"), ({"noise": -1}, "PRIVATE_RANGE"), ({"piece": 0}, "PRIVATE_RANGE")],
)
def test_numbers_out_of_range_are_refused(data, options, code) -> None:
    with pytest.raises(InputError) as caught:
        begun(data, **options)
    assert caught.value.code == code


def test_an_optimizer_of_another_model_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        Step(Model(), torch.optim.SGD(Model().parameters()), lambda _: torch.zeros(0), units=9, rate=0.1, noise=1.0)
    assert caught.value.code == "PRIVATE_OPTIMIZER"
