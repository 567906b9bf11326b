"""Language models: units, gradients through time, scores, against computations written out by hand."""

import dataclasses
import json
import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tidegate import nn, tasks
from tidegate.data import Source
from tidegate.errors import InputError
from tidegate.tasks.language.encoding import LanguageEncoding
from tidegate.tasks.language.model import surprise
from tidegate.tasks.language.ngram import _kneser_ney, strongest, uniform
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.language.task import LanguageTask
from tidegate.tasks.language.unit import Characters, Pieces
from tidegate.train.batch import Batch
from tidegate.train.estimator import graph_of, make_layer
from tidegate.train.loop import _Run, evaluate
from tidegate.train.plan import Plan

WORDS = ("tide", "gate", "river", "the", "of", "naïve", "ebb", "and", "flow", "sea")


def prose(characters, seed=0):
    rng = np.random.default_rng(seed)
    words = rng.choice(WORDS, characters)
    ends = rng.choice([" ", " ", " ", ",  ", ".\n"], characters)
    return "".join(word + end for word, end in zip(words, ends, strict=True))[:characters]


def source(text, name="a.txt", **parts):
    return Source(f"/nowhere/{name}", name, text.encode(), **parts)


def settings(**changes):
    return LanguageSetting(**{"hidden_size": 5, "embedding_size": 3, "dropout": 0.0, "epoch_size": 1 << 20, **changes})


@pytest.fixture(scope="module")
def pieces():
    return Pieces.learn(prose(4000), 320)


class TestUnits:
    @given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\u2581"), max_size=40))
    def test_pieces_give_every_text_back(self, pieces, text):
        symbols = pieces.encode(text)
        assert pieces.decode(symbols) == text
        assert pieces.begun[symbols].sum() == len(text)
        assert (symbols > 0).all()

    @pytest.mark.parametrize("text", ["  two  spaces ", "a\tb\r\nc\n\n", "\u2028\x0b\x1c", "<0x41> <unk> ⁇ ▅"])
    def test_pieces_change_no_blanks(self, pieces, text):
        assert pieces.decode(pieces.encode(text)) == text

    def test_frequent_words_are_single_pieces(self, pieces):
        assert len(pieces.encode("tide")) == 1
        assert len(pieces.encode("zq")) == 2
        assert [pieces.content[symbol] for symbol in pieces.encode("é😀")] == [bytes([byte]) for byte in "é😀".encode()]

    def test_a_long_line_is_learnt_from_too(self):
        text = "x" * 8000 + "wonderful " * 4000
        assert len(Pieces.learn(text, 320).encode("wonderful")) <= 2

    def test_too_few_pieces_for_many_letters(self):
        letters = "".join(chr(0x4E00 + k) for k in range(2000))
        with pytest.raises(InputError, match="300 pieces cannot be learnt"):
            Pieces.learn(letters, 300)

    def test_characters(self):
        unit = Characters.learn("banana 😀")
        assert unit.alphabet == " abn😀"
        assert unit.encode("nab?😀").tolist() == [4, 2, 3, 0, 5]
        assert unit.decode(unit.encode("nab?😀")) == "nab\ufffd😀"
        assert unit.begun.tolist() == [1] * 6

    @pytest.mark.parametrize("unit", ["character", "piece"])
    def test_an_encoding_survives_json(self, unit):
        made = LanguageEncoding.learn(prose(2000), settings(unit=unit, pieces=300))
        again = LanguageEncoding.from_json(json.loads(json.dumps(made.to_json())))
        assert again.unit.content == made.unit.content
        assert again.start == made.start
        assert made.unit.content[made.start] == b"\n"
        assert torch.equal(again.encode("the tide\n"), made.encode("the tide\n"))

    def test_without_line_ends_a_text_starts_behind_its_most_frequent_symbol(self):
        made = LanguageEncoding.learn("abbab", settings())
        assert made.unit.content[made.start] == b"b"

    @pytest.mark.parametrize("data", [{}, {"unit": {}, "start": 1}, {"unit": {"character": "ab"}, "start": 9}])
    def test_json_that_is_no_encoding(self, data):
        with pytest.raises((KeyError, TypeError, ValueError)):
            LanguageEncoding.from_json(data)

    @pytest.mark.parametrize("unit", ["character", "piece"])
    def test_nothing_is_learnt_from_validation_and_test(self, unit):
        text = prose(4000)
        made = settings(unit=unit, pieces=320)
        one = LanguageTask(source(text), made).encoding
        other = LanguageTask(source(text[:3600] + "Ωmega " * 66 + "Ωμεγ"), made).encoding
        assert json.dumps(one.to_json()) == json.dumps(other.to_json())


class TestSplits:
    def test_files_of_their_own(self):
        task = LanguageTask(source("ab" * 600, valid=source("ba" * 20), test=source("aab" * 5)), settings())
        parts = {split: task.symbols[first:last].tolist() for split, (first, last) in task.bounds.items()}
        assert parts["train"] == ([1, 2] * 600)[1:]
        assert parts["valid"] == ([2, 1] * 20)[1:]
        assert parts["test"] == ([1, 1, 2] * 5)[1:]

    def test_one_file_of_its_own(self):
        task = LanguageTask(source("ab" * 600, test=source("aab" * 5)), settings())
        assert task.bounds == {"train": (1, 1140), "valid": (1140, 1200), "test": (1201, 1215)}

    def test_all_of_new_data_is_the_test(self):
        learnt = LanguageTask(source("ab" * 600))
        task = LanguageTask(source("abc"), settings(), learnt.encoding)
        assert task.bounds["test"] == (1, 3)
        assert task.bounds["train"] == task.bounds["valid"] == (0, 0)
        assert [record.name for record in task.baselines()] == ["uniform"]
        assert task.data.warnings == ("test: 1 characters do not occur in training and count as one unknown symbol",)

    def test_without_settings_the_recipe_is_that_of_train(self):
        assert tasks.load("shakespeare").setting == LanguageTask(source("ab" * 600)).setting == LanguageSetting()

    def test_an_epoch_is_the_whole_text_or_a_short_one_several_times(self):
        task = LanguageTask(source(prose(20_000)), LanguageSetting())
        batches = list(task.batches("train", torch.Generator().manual_seed(0)))
        begins = [at for at, batch in enumerate(batches) if batch.starts]
        assert len(begins) == 200 // 8
        for begin, end in pairwise([*begins, len(batches)]):
            learnt = torch.cat([batch.targets.flatten() for batch in batches[begin:end]])
            assert len(learnt) > 0.85 * 18_000
        long = LanguageTask(source(prose(500_000)), LanguageSetting())
        assert sum(batch.starts for batch in long.batches("train", torch.Generator().manual_seed(0))) == 1

    def test_streams_and_windows_are_those_of_the_settings(self):
        task = LanguageTask(source(prose(20_000)), settings(window=50, batch_size=7, epoch_size=3500))
        batches = list(task.batches("train", torch.Generator().manual_seed(0)))
        assert [batch.inputs.shape for batch in batches] == [(50, 7)] * 10


def lstm(x, state, weight, recurrent, bias):
    h, c = state
    i, f, g, o = (x @ weight.T + h @ recurrent.T + bias).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return (o.sigmoid() * c.tanh(), c)


def gru(x, state, weight, recurrent, bias):
    (h,) = state
    x_r, x_z, x_n = (x @ weight.T + bias[0]).chunk(3, -1)
    h_r, h_z, h_n = (h @ recurrent.T + bias[1]).chunk(3, -1)
    z = (x_z + h_z).sigmoid()
    n = (x_n + (x_r + h_r).sigmoid() * h_n).tanh()
    return ((1 - z) * n + z * h,)


def gradients_by_hand(cell, parameters, inputs, targets, window):
    """Of the mean bits in each window, the state cut off at its borders; the whole sequence if window is None."""
    p = {name: value.detach().clone().requires_grad_() for name, value in parameters.items()}
    bias = (p["layer.bias_ih_l0"], p["layer.bias_hh_l0"])
    bias = bias[0] + bias[1] if cell == "lstm" else bias
    state = tuple(torch.zeros(inputs.shape[1], 5, dtype=torch.float64) for _ in range(2 if cell == "lstm" else 1))
    bits, found = [], []
    for step, (given_symbol, asked) in enumerate(zip(inputs, targets, strict=True)):
        if window and step % window == 0:
            state = tuple(part.detach() for part in state)
        x = p["encoder.weight"][given_symbol]
        state = {"lstm": lstm, "gru": gru}[cell](x, state, p["layer.weight_ih_l0"], p["layer.weight_hh_l0"], bias)
        logits = state[0] @ p["head.weight"].T + p["head.bias"]
        chances = logits.exp() / logits.exp().sum(-1, keepdim=True)
        bits.append(-chances[torch.arange(len(asked)), asked].log2())
        if step == len(inputs) - 1 or (window and step % window == window - 1):
            loss = torch.stack(bits).mean()
            found.append(dict(zip(p, torch.autograd.grad(loss, p.values(), retain_graph=True), strict=True)))
            bits = []
    return found


def gradients_of_the_loop(cell, made):
    """Those of every step of an epoch, through the training loop; its rate is 0, so that nothing moves."""
    task = LanguageTask(source(prose(1000)), made)
    recipe = {"learning_rate": 0.0, "dropout": 0.0, "epochs": 1, "clip": 1e9, "precision": "float64"}
    plan = Plan(dataclasses.replace(made, **recipe), 0, 0)
    run = _Run(task, make_layer(graph_of(cell), made), plan, None, None)
    batches = list(task.batches("train", torch.Generator().manual_seed(0)))
    found = []
    for batch in batches:
        run.step.take(batch, 0.0)
        found.append({name: value.grad.clone() for name, value in run.model.named_parameters()})
    inputs, targets = (torch.cat([getattr(batch, name) for batch in batches]) for name in ("inputs", "targets"))
    return found, dict(run.model.named_parameters()), inputs, targets


def worst(left, right):
    return max((a[name] - b[name]).abs().max().item() for a, b in zip(left, right, strict=True) for name in a)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
class TestGradientsThroughTime:
    def test_a_window_over_the_whole_sequence_is_full_backpropagation(self, cell):
        found, parameters, inputs, targets = gradients_of_the_loop(cell, settings(window=1000, epoch_size=300))
        assert len(found) == 1
        assert len(inputs) == 300
        assert set(found[0]) == set(parameters)
        assert worst(found, gradients_by_hand(cell, parameters, inputs, targets, None)) < 1e-13

    def test_shorter_windows_cut_the_gradient_not_the_state(self, cell):
        made = settings(window=7, batch_size=3)
        found, parameters, inputs, targets = gradients_of_the_loop(cell, made)
        assert len(found) == math.ceil(len(inputs) / 7)
        assert inputs.shape[1] == 3
        assert worst(found, gradients_by_hand(cell, parameters, inputs, targets, 7)) < 1e-13

    def test_the_cut_makes_a_difference(self, cell):
        made = settings(window=7, batch_size=3)
        found, parameters, inputs, targets = gradients_of_the_loop(cell, made)
        second = {"inputs": inputs[7:14], "targets": targets[7:14]}
        without_memory = gradients_by_hand(cell, parameters, **second, window=7)
        assert worst(found[1:2], without_memory) > 1e-6
        shares = [min(7, len(inputs) - at) / len(inputs) for at in range(0, len(inputs), 7)]
        mean = {name: sum(s * one[name] for s, one in zip(shares, found, strict=True)) for name in found[0]}
        assert worst([mean], gradients_by_hand(cell, parameters, inputs, targets, None)) > 1e-6


class TestModels:
    @pytest.mark.parametrize("width", [5, 3])
    def test_tied_logits_by_hand(self, width):
        made = settings(tied=True, embedding_size=width)
        task = LanguageTask(source(prose(1000)), made)
        model = task.model(make_layer(graph_of("gru"), made)).double().eval()
        torch.nn.init.normal_(model.bias)
        inputs = torch.randint(1, 9, (6, 2))
        logits, _ = model(Batch(inputs, inputs))
        p = dict(model.named_parameters())
        hidden, _ = model.layer(p["encoder.weight"][inputs])
        if width == 3:
            hidden = hidden @ p["head.weight"].T + p["head.bias"]
        assert ("head.weight" in p) == (width == 3)
        torch.testing.assert_close(logits, hidden @ p["encoder.weight"].T + p["bias"], rtol=1e-12, atol=1e-12)

    def test_a_tied_model_learns_in_both_places(self):
        made = settings(tied=True)
        task = LanguageTask(source(prose(1000)), made)
        model = task.model(make_layer(graph_of("lstm"), made))
        batch = task.batches("train", torch.Generator().manual_seed(0))[0]
        task.measure(model(batch)[0], batch).loss.backward()
        assert model.embedding.weight.grad.abs().min() >= 0
        assert (model.embedding.weight.grad.abs().sum(1) > 0).all()  # symbols that are no input, too

    def test_surprise_does_not_depend_on_how_it_is_cut(self, monkeypatch):
        task = LanguageTask(source(prose(1000)), settings())
        model = task.model(make_layer(graph_of("lstm"), settings())).double()
        symbols = torch.from_numpy(task.symbols.astype(np.int64))
        whole = surprise(model, symbols[:200])
        logits, _ = model.eval()(Batch(symbols[:199, None], symbols[:199, None]))
        chances = logits[:, 0].softmax(-1)[torch.arange(199), symbols[1:200]]
        torch.testing.assert_close(whole, -chances.log2(), rtol=1e-12, atol=1e-12)
        monkeypatch.setattr("tidegate.tasks.language.model.STEPS", 17)
        torch.testing.assert_close(surprise(model, symbols[:200]), whole, rtol=1e-12, atol=1e-12)


class TestScores:
    @pytest.mark.parametrize("unit", ["character", "piece"])
    def test_bits_perplexities_and_characters_by_hand(self, unit):
        made = settings(unit=unit, pieces=300)
        text = prose(6000)
        task = LanguageTask(source(text), made)
        model = task.model(make_layer(graph_of("gru"), made))
        bits, symbols, state, characters = 0.0, 0, None, len(text) - int(0.95 * 6000)
        for batch in task.batches("test"):
            assert batch.lengths is None
            logits, state = model.eval()(batch, None if batch.starts else state)
            bits -= logits.double().softmax(-1).gather(-1, batch.targets[..., None]).log2().sum().item()
            symbols += batch.targets.numel()
        metric = evaluate(task, model, "test")
        assert metric == pytest.approx(bits / characters, rel=1e-5)
        found = {score.name: score for score in task.scores(model, metric)}
        assert found["bits per character"].value == metric
        assert found[f"perplexity per {unit}"].value == pytest.approx(2 ** (bits / symbols), rel=1e-4)
        words = len(text[int(0.95 * 6000) :].split())
        assert found["perplexity per word"].value == pytest.approx(2 ** (bits / words), rel=1e-3)
        for name, baseline in found["bits per character"].baselines.items():
            assert found["perplexity per word"].baselines[name] == pytest.approx(2 ** (baseline * characters / words))


class TestKneserNey:
    def test_against_dictionaries(self):
        rng = np.random.default_rng(0)
        text, train, vocabulary = rng.integers(0, 4, 600) ** 2 // 3, 500, 5

        def counted(order, highest):
            grams = [
                (-1,) * max(0, order - 1 - at) + tuple(text[max(0, at - order + 1) : at + 1]) for at in range(train)
            ]
            if highest:
                return Counter(grams)
            longer = {(-1,) * max(0, order - at) + tuple(text[max(0, at - order) : at + 1]) for at in range(train)}
            return Counter(gram[1:] for gram in longer)

        def discounts(counts):
            n = Counter(counts.values())
            if not (n[1] and n[2] and n[3]):
                return [0, 0.5, 0.5, 0.5]
            y = n[1] / (n[1] + 2 * n[2])
            return [0, *(min(k, max(0, k - (k + 1) * y * n[k + 1] / n[k])) for k in (1, 2, 3))]

        def model(order, highest=True):
            if not order:
                return lambda history, word: 1 / vocabulary
            counts, below = counted(order, highest), model(order - 1, highest=False)
            d = discounts(counts)
            followers = {}
            for gram, count in counts.items():
                followers.setdefault(gram[:-1], {})[gram[-1]] = count

            def chance(history, word):
                history = history[len(history) - order + 1 :]
                seen = followers.get(history)
                lower = below(history, word)
                if not seen:
                    return lower
                total = sum(seen.values())
                spared = sum(min(d[min(count, 3)], count) for count in seen.values())
                count = seen.get(word, 0)
                return (count - min(d[min(count, 3)], count)) / total + spared / total * lower

            return chance

        learnt = np.arange(600) < train
        for order, found in zip((1, 2, 3), _kneser_ney(text, learnt, vocabulary), strict=False):
            by_hand = model(order)
            places = range(train, 600)
            expected = [by_hand(tuple(text[at - 3 : at].tolist()), int(text[at])) for at in places]
            np.testing.assert_allclose(found[train:], expected, rtol=1e-12)
            total = sum(by_hand(tuple(text[550:553].tolist()), word) for word in range(vocabulary))
            assert total == pytest.approx(1)

    def test_the_order_is_chosen_by_validation_alone(self):
        text = np.array([1, 2, 3, 1, 2, 4] * 200 + [1, 2, 3, 1, 2, 4] * 10 + [4, 4, 1, 3, 2, 2] * 10)
        one = strongest(text, 1200, (1200, 1260), (1260, 1320), 5)
        other = strongest(text, 1200, (1200, 1260), (1200, 1260), 5)
        assert one.name == other.name
        assert other.score < 0.1 < one.score

    def test_uniform(self):
        assert uniform(5, 7, 0.5).score == 1.0


def test_a_layer_of_its_own_width_is_read_through_a_map():
    made = settings(tied=True, embedding_size=3)
    task = LanguageTask(source(prose(1000)), made)
    model = task.model(lambda features: nn.Recurrent("indrnn", 5, 5))
    assert model.embedding.weight.shape[1] == 3
    batch = task.batches("test")[0]
    assert model(batch)[0].shape[-1] == task.encoding.vocabulary
