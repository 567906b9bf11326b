"""Exact zeros of our layers, and mistakes that were planted."""

import pytest
import torch

import tidegate as tg
from tidegate.errors import InputError
from tidegate.explain import check_chunks, check_leak, check_padding, check_resets

T, B, I, H = 11, 4, 3, 5
LENGTHS = [11, 4, 1, 7]
LAYERS = {
    "rnn": lambda: tg.nn.RNN(I, H),
    "relu": lambda: tg.nn.RNN(I, H, nonlinearity="relu", num_layers=2),
    "lstm": lambda: tg.nn.LSTM(I, H, num_layers=2),
    "gru": lambda: tg.nn.GRU(I, H),
    "gru before": lambda: tg.nn.GRU(I, H, reset="before", update="write"),
    "peephole": lambda: tg.nn.PeepholeLSTM(I, H),
    "mgu": lambda: tg.nn.Recurrent("mgu", I, H),
    "batch first": lambda: tg.nn.LSTM(I, H, batch_first=True),
    "projected": lambda: tg.nn.LSTM(I, H, proj_size=3),
    "zoneout": lambda: tg.nn.GRU(I, H, zoneout=0.2),
    "recurrent dropout": lambda: tg.nn.LSTM(I, H, recurrent_dropout=0.2, weight_dropout=0.2),
    "input dropout": lambda: tg.nn.LSTM(I, H, input_dropout=0.2, dropout=0.2, num_layers=2),
    "clip": lambda: tg.nn.LSTM(I, H, state_clip=0.3),
    "layer norm": lambda: tg.nn.LSTM(I, H, layer_norm=True),
    "learned state": lambda: tg.nn.GRU(I, H, learn_initial_state=True),
    "initialised": lambda: tg.nn.LSTM(I, H, forget_bias=1.0, orthogonal=True),
}
BOTH = {
    "lstm both": lambda: tg.nn.LSTM(I, H, bidirectional=True, num_layers=2),
    "gru both": lambda: tg.nn.GRU(I, H, bidirectional=True, learn_initial_state=True),
}
every_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
every_direction = pytest.mark.parametrize("make", (LAYERS | BOTH).values(), ids=LAYERS | BOTH)


def input_of(layer):
    x = torch.randn(T, B, I)
    return x.transpose(0, 1) if getattr(layer, "batch_first", False) else x


def resets(layer):
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[4, 0] = reset[8, 0] = reset[3, 1] = reset[1, 3] = True
    return reset.T if layer.batch_first else reset


@every_direction
def test_padding_of_our_layers_moves_nothing(make):
    layer = make()
    found = check_padding(layer, input_of(layer), LENGTHS)
    assert found.value == 0
    assert found.passed
    assert found.sentence.endswith("exactly 0.")


@every_layer
def test_chunks_of_our_layers_are_the_whole(make):
    layer = make()
    found = check_chunks(layer, input_of(layer), lengths=LENGTHS)
    assert found.passed
    assert found.value < 1e-14
    full = check_chunks(layer, input_of(layer), chunk=4)
    assert full.passed


@every_direction
def test_resets_of_our_layers_let_nothing_through(make):
    layer = make()
    found = check_resets(layer, input_of(layer), resets(layer), lengths=LENGTHS)
    assert found.value == 0
    assert found.passed


class Tagger(torch.nn.Module):
    """Tokens to an answer at every step; what it forgets is planted.

    Attributes:
        forgets: ``"lengths"``, ``"state"``, ``"reset"`` or nothing.
    """

    def __init__(self, forgets="", **options):
        super().__init__()
        self.forgets = forgets
        self.table, self.layer = torch.nn.Embedding(9, I), tg.nn.GRU(I, H, **options)
        self.head = torch.nn.Linear(self.layer.output_size, 2)

    def forward(self, tokens, state=None, *, lengths=None, reset=None):
        given = {"lengths": lengths, "reset": reset, "state": state} | {self.forgets: None}
        hidden, state = self.layer(self.table(tokens), given["state"], lengths=given["lengths"], reset=given["reset"])
        return self.head(hidden), state


def test_a_model_around_our_layers_passes_every_check():
    tokens = torch.randint(9, (T, B))
    assert check_padding(Tagger(), tokens, LENGTHS).value == 0
    assert check_padding(Tagger(bidirectional=True), tokens, LENGTHS).value == 0
    assert check_chunks(Tagger(), tokens).passed
    assert check_resets(Tagger(), tokens, resets(Tagger().layer)).value == 0


def test_lengths_that_are_not_passed_on_are_found():
    tokens = torch.randint(9, (T, B))
    found = check_padding(Tagger("lengths"), tokens, LENGTHS)
    assert not found.passed
    assert found.value > 1e-3
    assert "does not use lengths" in found.sentence
    both = check_padding(
        Tagger("lengths", bidirectional=True), tokens, LENGTHS, answer=lambda output: output[0][0, :, 0]
    )
    assert not both.passed
    unheard = check_padding(torch.nn.LSTM(I, H), torch.randn(T, B, I), LENGTHS)
    assert "pass lengths= on" in unheard.sentence


def test_a_causal_answer_before_the_end_does_not_read_padding():
    """One direction without lengths: only what is read behind the end is wrong."""
    layer = torch.nn.LSTM(I, H)
    x, lengths = torch.randn(T, B, I), torch.tensor(LENGTHS)
    found = check_padding(layer, x, lengths, answer=lambda output: output[0][lengths - 1, torch.arange(B), 0])
    assert found.value == 0
    wrong = check_padding(layer, x, lengths, answer=lambda output: output[0][-1, :, 0])
    assert wrong.value > 1e-3


def test_a_model_of_exactly_so_many_steps():
    class Flat(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.head = tg.nn.GRU(I, H), torch.nn.Linear(T * H, 1)

        def forward(self, x, lengths):
            return self.head(self.layer(x, lengths=lengths)[0].transpose(0, 1).flatten(1))

    assert check_padding(Flat(), torch.randn(T, B, I), LENGTHS, extra=0).value == 0
    with pytest.raises(InputError, match="no sequence ends before"):
        check_padding(Flat(), torch.randn(T, B, I), [T] * B, extra=0)


def test_a_state_that_is_dropped_between_chunks_is_found():
    found = check_chunks(Tagger("state"), torch.randint(9, (T, B)))
    assert not found.passed
    assert found.value > 1e-3
    assert "State is lost" in found.sentence


def test_a_session_is_a_way_to_run_chunks():
    layer = tg.nn.LSTM(I, H)

    def run(model, arguments, state):
        state = tg.Session(model, batch_size=B) if state is None else state
        return state.run(arguments[0]), state

    assert check_chunks(layer, torch.randn(T, B, I), step=run).passed


def test_chaos_does_not_make_rounding_a_fault():
    torch.manual_seed(0)
    layer = tg.nn.RNN(I, 64)
    torch.nn.init.normal_(layer.weight_hh_l0, std=3 / 8)
    found = check_chunks(layer, torch.randn(300, 2, I), chunk=7)
    assert found.passed

    def careless(model, arguments, state):
        output, state = model(*arguments, state)
        return output, state * (1 + 1e-9)

    assert not check_chunks(layer, torch.randn(30, 2, I), chunk=7, step=careless).passed


def test_a_reset_that_is_forgotten_is_found():
    tokens, reset = torch.randint(9, (T, B)), resets(Tagger().layer)
    found = check_resets(Tagger("reset"), tokens, reset)
    assert not found.passed
    assert found.value > 1e-3
    assert "does not use reset" in found.sentence
    unheard = check_resets(torch.nn.LSTM(I, H), torch.randn(T, B, I), reset)
    assert "pass reset= on" in unheard.sentence
    answer = check_resets(Tagger("reset"), tokens, reset, answer=lambda output: output[0][-1, :, 0])
    assert not answer.passed
    assert check_resets(Tagger(), tokens, reset, answer=lambda output: output[0][-1, :, 0]).value == 0


def test_a_layer_that_reads_from_the_end_has_read_the_marked_step():
    """Its states are cleared before the marked step in its own order; nothing beyond that step comes through."""
    layer, x = tg.nn.LSTM(I, H, bidirectional=True, dtype=torch.float64), torch.randn(T, 1, I).double()
    reset = torch.zeros(T, 1, dtype=torch.bool)
    reset[4] = True
    assert "outputs before a reset move" in check_resets(layer, x, reset).sentence
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x, reset=reset)[0][:4].sum(), x)
    assert gradient[4].any()
    assert not gradient[5:].any()
    assert "outputs before" not in check_resets(tg.nn.LSTM(I, H), x, reset).sentence


def test_a_reset_one_step_late_is_found():
    class Late(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = tg.nn.LSTM(I, H)

        def forward(self, x, reset):
            return self.layer(x, reset=reset.roll(1, 0))

    assert check_resets(Late(), torch.randn(T, B, I), resets(tg.nn.LSTM(I, H))).value > 1e-3


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (lambda: check_padding(tg.nn.LSTM(I, H), torch.randn(T, B, I), [12, 1, 1, 1]), "from 0 to 11"),
        (lambda: check_padding(tg.nn.LSTM(I, H), torch.randn(T, B, I), LENGTHS, extra=-1), "extra is -1"),
        (lambda: check_chunks(tg.nn.LSTM(I, H), torch.randn(T, B, I), 0), "chunks of 0"),
        (lambda: check_chunks(tg.nn.LSTM(I, H), torch.randn(T, B, I), 11), "from 1 to 10"),
        (lambda: check_chunks(tg.nn.LSTM(I, H), torch.randn(1, B, I)), "1 steps cannot be cut"),
        (lambda: check_chunks(tg.nn.LSTM(I, H, bidirectional=True), torch.randn(T, B, I)), "from the end"),
        (
            lambda: check_chunks(torch.nn.Sequential(tg.nn.LSTM(I, H)), torch.randn(T, B, I)),
            "takes no state",
        ),
        (lambda: check_resets(tg.nn.LSTM(I, H), torch.randn(T, B, I), torch.zeros(T, B)), "reset is torch.float32"),
        (lambda: check_resets(tg.nn.LSTM(I, H), torch.randn(T, B, I), torch.zeros(T, B).bool()), "no sequence has"),
    ],
)
def test_what_cannot_be_checked_is_refused(check, text):
    with pytest.raises(InputError, match=text):
        check()


# --- leaks ---


class Chosen(torch.nn.Module):
    """Answers with one input of the last step, or with a sum over all steps."""

    def __init__(self, column=None, classes=False):
        super().__init__()
        self.layer, self.column, self.classes = tg.nn.LSTM(I, H), column, classes

    def forward(self, x):
        slight = 1e-3 * self.layer(x)[0][-1, :, 0]
        value = slight + (x.sum((0, 2)) if self.column is None else x[-1, :, self.column])
        return torch.stack([torch.zeros_like(value), 9 * value], -1) if self.classes else value


@pytest.mark.parametrize("classes", [False, True])
def test_an_input_that_holds_the_answer_is_found(classes):
    torch.manual_seed(0)
    x = torch.randn(T, 200, I)
    y = (x[-1, :, 1] > 0).long() if classes else x[-1, :, 1]
    found = check_leak(Chosen(1, classes), x, y, lambda output: output, names=["a", "b", "c"])
    assert found.passed is False
    assert found.value > 0.95
    assert found.sentence.startswith("At the step of the answer, b carries")
    assert "or it is that easy" in found.sentence


@pytest.mark.parametrize("classes", [False, True])
def test_a_sum_over_all_steps_is_no_leak(classes):
    torch.manual_seed(0)
    x = torch.randn(T, 200, I)
    total = x.sum((0, 2))
    found = check_leak(Chosen(None, classes), x, (total > 0).long() if classes else total, lambda output: output)
    assert found.passed
    assert found.value < 0.5


def test_attribution_alone_is_no_leak():
    """The answer reads one input alone, but it is not right."""
    torch.manual_seed(0)
    x = torch.randn(T, 200, I)
    untrained = check_leak(Chosen(1), x, torch.randn(200), lambda output: output)
    assert untrained.passed  # nothing is predicted
    curved = check_leak(Chosen(1), x, x[-1, :, 1].abs(), lambda output: output)
    assert curved.passed  # the model is worse than the mean


def test_a_leak_into_a_ragged_batch_is_read_at_each_end():
    torch.manual_seed(0)
    x, lengths = torch.randn(T, 60, I), torch.randint(3, T + 1, (60,))
    y = x[lengths - 1, torch.arange(60), 2]

    class Ends(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = tg.nn.GRU(I, H)

        def forward(self, x, lengths):
            hidden, _ = self.layer(x, lengths=lengths)
            return x[lengths - 1, torch.arange(x.shape[1]), 2] + 1e-3 * hidden[0, :, 0]

    assert check_leak(Ends(), x, y, lambda output: output, lengths=lengths).passed is False


@pytest.mark.parametrize(
    ("y", "prediction", "text"),
    [
        (torch.randn(9), lambda output: output, "fewer|at least 20"),
        (torch.randn(9, 1), lambda output: output, "expected 9 numbers"),
        (torch.randn(9) > 0, lambda output: output, "expected 9 numbers"),
    ],
)
def test_answers_that_do_not_fit_are_refused(y, prediction, text):
    with pytest.raises(InputError, match=text):
        check_leak(Chosen(1), torch.randn(T, 9, I), y, prediction)
    with pytest.raises(InputError, match="expected numbers"):
        check_leak(Chosen(1, classes=True), torch.randn(T, 30, I), torch.randn(30), lambda output: output)
    with pytest.raises(InputError, match="scores"):
        check_leak(Chosen(1, classes=True), torch.randn(T, 30, I), torch.full((30,), 2), lambda output: output)
