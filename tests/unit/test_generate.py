"""Generation: choices, beams and streams against enumeration, by hand and by counting."""

import io
import itertools
import math
import sys

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from tidegate import nn
from tidegate.cli import main
from tidegate.errors import BackendError, InputError
from tidegate.tasks import LanguageModel
from tidegate.tasks.language.encoding import LanguageEncoding
from tidegate.tasks.language.generate import Beam, Choice, drawn, opening, spelled
from tidegate.tasks.language.reader import Reader
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.language.unit import Characters, Pieces
from tidegate.train.batch import Batch

LETTERS = "abc"
ENCODING = LanguageEncoding(Characters(LETTERS), start=1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def tiny(layer=nn.GRU, seed=0, **options):
    """A model of three letters with decided opinions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ENCODING.model(lambda n: layer(n, 6, **options), LanguageSetting(embedding_size=4)).double().eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.8)
    return model


def chance(model, begun, symbols):
    """log2 p(symbols | begun), by running the whole model anew for each symbol; 0 is never chosen."""
    total = 0.0
    for at, symbol in enumerate(symbols):
        inputs = torch.tensor([*begun, *symbols[:at]])[:, None]
        weights = [math.exp(logit) for logit in model(Batch(inputs, inputs))[0][-1, 0].tolist()]
        total += math.log2(weights[symbol] / sum(weights[1:]))
    return total


class TestChoice:
    @pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
    @pytest.mark.parametrize("top_k", [None, 1, 3, 50])
    @pytest.mark.parametrize("top_p", [None, 0.05, 0.6, 0.9, 1.0])
    def test_against_every_subset(self, temperature, top_k, top_p):
        for seed in range(5):
            logits = torch.randn(6, generator=generator(seed), dtype=torch.float64) * 2
            weights = [math.exp(logit / temperature) for logit in logits.tolist()]
            kept = max(itertools.combinations(range(6), min(top_k or 6, 6)), key=lambda s: sum(weights[k] for k in s))
            if top_p is not None:
                whole = sum(weights[k] for k in kept)
                subsets = (s for size in range(1, 7) for s in itertools.combinations(kept, size))
                enough = [s for s in subsets if sum(weights[k] for k in s) >= top_p * whole * (1 - 1e-12)]
                kept = max((s for s in enough if len(s) == len(enough[0])), key=lambda s: sum(weights[k] for k in s))
            expected = [weights[k] / sum(weights[j] for j in kept) if k in kept else 0.0 for k in range(6)]
            found = Choice(temperature, top_k, top_p).probabilities(logits)
            np.testing.assert_allclose(found, expected, rtol=1e-12)

    def test_equal_logits_are_cut_to_exactly_k(self):
        assert (Choice(top_k=2).probabilities(torch.zeros(5)) > 0).sum() == 2

    def test_temperature_0_is_the_likeliest(self):
        logits = torch.tensor([0.0, 1e-3, -1.0])
        assert Choice(0).probabilities(logits).tolist() == [0, 1, 0]
        assert Choice(0).draw(logits, generator()) == 1
        for value, choice in itertools.product((torch.nan, torch.inf), (Choice(), Choice(0))):
            with pytest.raises(InputError, match="not finite"):
                choice.draw(torch.tensor([0.0, value]), generator())

    @pytest.mark.parametrize("choice", [Choice(), Choice(0.7, top_k=5), Choice(1.5, top_p=0.8)])
    def test_frequencies_are_probabilities(self, choice):
        logits = torch.randn(8, generator=generator(1)) * 1.5
        draws = generator(2)
        counts = np.bincount([choice.draw(logits, draws) for _ in range(5000)], minlength=8)
        expected = choice.probabilities(logits).numpy()
        assert counts[expected == 0].sum() == 0
        assert chisquare(counts[expected > 0], 5000 * expected[expected > 0]).pvalue > 0.01

    @pytest.mark.parametrize("wrong", [{"temperature": -1}, {"temperature": math.nan}, {"top_k": 0}, {"top_p": 0.0}])
    def test_numbers_out_of_range(self, wrong):
        with pytest.raises(InputError):
            Choice(**wrong)


LAYERS = [(nn.GRU, {}), (nn.LSTM, {"num_layers": 2}), (nn.LSTM, {"layer_norm": True})]


class TestReader:
    @pytest.mark.parametrize(("layer", "options"), LAYERS)
    def test_a_session_and_the_layer_give_the_same_numbers(self, layer, options):
        model = tiny(layer, **options)
        fast, plain = Reader(model, 3), Reader(model, 3, session=False)
        assert (fast.path, plain.path) == ("session", "layer: asked for")
        symbols = torch.randint(1, 4, (9, 3), generator=generator())
        for part in (symbols[:4], symbols[4:5], symbols[5:6]):
            torch.testing.assert_close(fast.read(part), plain.read(part), rtol=1e-12, atol=1e-12)
        for reader in (fast, plain):
            reader.select(torch.tensor([2, 0, 0]))
        after = fast.read(symbols[6:7])
        torch.testing.assert_close(after, plain.read(symbols[6:7]), rtol=1e-12, atol=1e-12)
        history = torch.cat([symbols[:6, [2, 0, 0]], symbols[6:7]])
        torch.testing.assert_close(after[:, 1:], model(Batch(history, history))[0][-1][:, 1:], rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize(("layer", "options"), LAYERS)
    def test_they_write_the_same_text(self, layer, options):
        model = tiny(layer, **options)
        texts = [
            list(drawn(Reader(model, session=session), torch.tensor([1, 2]), 200, Choice(0.9), generator()))
            for session in (True, False)
        ]
        assert texts[0] == texts[1]
        assert len(set(texts[0])) > 1

    def test_a_layer_without_a_session_still_reads(self, monkeypatch):
        def lacking(*_: object) -> None:
            raise BackendError("NO_COMPILER", "no C++ compiler was found", fix="install one")

        monkeypatch.setattr("tidegate.tasks.language.reader.Session", lacking)
        reader = Reader(tiny())
        assert reader.path == "layer: no C++ compiler was found"
        assert reader.read(torch.tensor([[1], [2]])).shape == (1, 4)


class TestDrawn:
    def test_frequencies_of_texts_are_their_probabilities(self):
        model, begun = tiny(), torch.tensor([1, 3])
        texts = list(itertools.product((1, 2, 3), repeat=3))
        expected = np.array([2 ** chance(model, begun.tolist(), text) for text in texts])
        assert expected.sum() == pytest.approx(1)
        draws = generator(5)
        found = [tuple(drawn(Reader(model), begun, 3, Choice(), draws)) for _ in range(2000)]
        assert chisquare([found.count(text) for text in texts], 2000 * expected).pvalue > 0.01

    def test_a_seed_is_a_text(self):
        model, begun = tiny(), torch.tensor([1])
        a, b, c = (list(drawn(Reader(model), begun, 50, Choice(), generator(seed))) for seed in (1, 1, 2))
        assert a == b != c

    def test_greedy_takes_the_likeliest_each_time(self):
        model, begun = tiny(), [1, 2]
        found = list(drawn(Reader(model), torch.tensor(begun), 12, Choice(0), generator()))
        for at in range(12):
            options = {symbol: chance(model, [*begun, *found[:at]], [symbol]) for symbol in (1, 2, 3)}
            assert found[at] == max(options, key=options.get)


class TestBeam:
    @pytest.mark.parametrize("seed", range(3))
    def test_a_wide_beam_finds_what_enumeration_finds(self, seed):
        model, begun = tiny(seed=seed), [1, 2]
        everything = sorted(
            ((chance(model, begun, text), text) for text in itertools.product((1, 2, 3), repeat=4)), reverse=True
        )
        found = Beam(width=27, best=5).search(Reader(model, 27), torch.tensor(begun), 4, ENCODING.unit)
        for one, (bits, text) in zip(found, everything, strict=False):
            assert one.text == "".join(LETTERS[symbol - 1] for symbol in text)
            assert one.bits == pytest.approx(-bits, rel=1e-9)
            assert one.score == pytest.approx(bits / 4, rel=1e-9)

    @pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0, 2.0])
    @pytest.mark.parametrize("until", ["b", "ca"])
    def test_texts_of_different_lengths(self, penalty, until):
        model, begun = tiny(seed=7), [1]
        scored = {}
        for text in itertools.product((1, 2, 3), repeat=5):
            letters = "".join(LETTERS[symbol - 1] for symbol in text)
            size = letters.index(until) + len(until) if until in letters else 5
            scored[letters[:size]] = chance(model, begun, text[:size]) / size**penalty
        best = sorted(scored, key=scored.get, reverse=True)[:4]
        found = Beam(81, 4, penalty, until).search(Reader(model, 81), torch.tensor(begun), 5, ENCODING.unit)
        assert [one.text for one in found] == best
        assert [one.score for one in found] == pytest.approx([scored[text] for text in best], rel=1e-9)

    def test_a_beam_of_one_is_greedy(self):
        model, begun = tiny(), torch.tensor([1, 2])
        greedy = "".join(spelled(drawn(Reader(model), begun, 9, Choice(0), generator()), ENCODING.unit))
        (found,) = Beam(1).search(Reader(model), begun, 9, ENCODING.unit)
        assert found.text == greedy

    @pytest.mark.parametrize("wrong", [{"width": 0}, {"width": 2, "best": 3}, {"best": 0}, {"penalty": -1.0}])
    def test_numbers_out_of_range(self, wrong):
        with pytest.raises(InputError):
            Beam(**wrong)


class TestSpelled:
    def test_characters_come_when_their_last_byte_does(self):
        unit = Pieces.learn("the tide " * 300, 300)
        symbols = unit.encode("é😀!").tolist()
        assert list(spelled(symbols, unit)) == ["é", "😀", "!"]
        assert list(spelled(symbols[:4], unit)) == ["é", "\ufffd"]

    @pytest.mark.parametrize(
        ("until", "expected"),
        [("b", "ab"), ("bc", "abc"), ("ca", "abca"), ("abcab", "abcab"), ("x", "abcabc"), (None, "abcabc")],
    )
    def test_until(self, until, expected):
        read = []
        symbols = (read.append(symbol) or symbol for symbol in [1, 2, 3, 1, 2, 3])
        assert "".join(spelled(symbols, ENCODING.unit, until)) == expected
        assert len(read) == len(expected)

    def test_a_piece_is_cut_behind_until(self):
        unit = Pieces.learn("the tide " * 300, 300)
        symbols = unit.encode(" the tide the").tolist()
        assert max(len(unit.content[symbol]) for symbol in symbols) > 2
        assert "".join(spelled(symbols, unit, "id")) == " the tid"


class TestOpening:
    def test_a_text_begins_behind_the_start(self):
        assert opening(ENCODING, "").tolist() == [1]
        assert opening(ENCODING, "cb").tolist() == [1, 3, 2]

    @pytest.mark.parametrize(("prompt", "part"), [("abé", "'é' at position 2"), ("\ud800", "not text")])
    def test_prompts_that_cannot_be_read(self, prompt, part):
        with pytest.raises(InputError, match=part):
            opening(ENCODING, prompt)


TEXT = "the tide comes in, the tide goes out.\n" * 60


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    made = LanguageModel(hidden_size=24, embedding_size=8, epochs=2, learning_rate=0.02, dropout=0.0, batch_size=4)
    return made.fit(text=TEXT, folder=folder / "m"), folder / "m"


class TestLanguageModel:
    def test_it_has_learnt(self, model):
        scores = {score.name: score for score in model[0].scores_}
        assert scores["bits per character"].value < 1
        assert model[0].bits_per_character("the tide goes out.\n") < model[0].bits_per_character("eth edit sego uto.\n")

    def test_a_saved_model_writes_the_same(self, model):
        again = LanguageModel.from_pretrained(model[1])
        for one in (model[0], again):
            assert "".join(one.generate("the t", 30, temperature=0)).startswith("ide ")
        assert list(again.generate(seed=3)) == list(model[0].generate(seed=3)) != list(again.generate(seed=4))
        assert again.search("the ", 12, width=5, best=2) == model[0].search("the ", 12, width=5, best=2)

    def test_generation_leaves_the_global_state(self, model):
        state = torch.get_rng_state()
        "".join(model[0].generate("the", 20))
        assert torch.equal(torch.get_rng_state(), state)

    def test_likelihoods_by_hand(self, model):
        one = model[0]
        symbols = opening(one.encoding_, "the")
        logits, _ = one.model_(Batch(symbols[:-1, None], symbols[1:, None]))
        chances = logits[:, 0].softmax(-1)[torch.arange(3), symbols[1:]].tolist()
        bits = -sum(map(math.log2, chances)) / 3
        assert one.bits_per_character("the") == pytest.approx(bits, rel=1e-5)
        assert one.score("the") == -one.bits_per_character("the")
        assert one.perplexity("the") == pytest.approx(2**bits, rel=1e-5)
        (found,) = one.search("t", 2, width=25)
        assert one.bits_per_character(f"t{found.text}") * 3 - one.bits_per_character("t") == pytest.approx(
            found.bits,
            abs=1e-2,  # a search leaves the unknown symbol out
        )

    def test_text_in_memory_with_a_test_file(self, tmp_path):
        (tmp_path / "test.txt").write_text("the tide\n")
        made = LanguageModel(hidden_size=4, embedding_size=4, epochs=1, epoch_size=64).fit(
            text=TEXT, test=tmp_path / "test.txt"
        )
        assert ", test 8;" in made.data_.split

    def test_new_text_is_evaluated(self, model):
        found = model[0].evaluate(text=TEXT[:500])
        assert found[0].value < found[0].baselines["uniform"]
        assert model[0].evaluate() == model[0].scores_

    @pytest.mark.parametrize(
        ("call", "code"),
        [
            (lambda one: one.fit(), "FIT_DATA"),
            (lambda one: one.fit("a.txt", text="b"), "FIT_DATA"),
            (lambda one: one.fit(TEXT), "FIT_TEXT"),
            (lambda one: one.fit(text=""), "FILE_EMPTY"),
            (lambda one: one.fit(text="short"), "LANGUAGE_SHORT"),
            (lambda one: one.generate(), "NOT_FITTED"),
            (lambda one: one.score("a"), "NOT_FITTED"),
        ],
    )
    def test_requests_that_cannot_be_met(self, call, code):
        with pytest.raises(InputError) as caught:
            call(LanguageModel())
        assert caught.value.code == code

    @pytest.mark.parametrize(
        ("call", "code"),
        [
            (lambda one: one.generate(length=0), "SETTING_RANGE"),
            (lambda one: one.generate(length=2.5), "SETTING_NUMBER"),
            (lambda one: one.generate(length=None), "SETTING_NUMBER"),
            (lambda one: one.generate(seed=2**70), "SETTING_RANGE"),
            (lambda one: one.generate(seed=-1), "SETTING_RANGE"),
            (lambda one: one.generate(seed=None), "SETTING_NUMBER"),
            (lambda one: one.generate(top_k=2.5), "SETTING_NUMBER"),
            (lambda one: one.generate(top_k=0), "SETTING_RANGE"),
            (lambda one: one.generate(top_p=1.5), "SETTING_RANGE"),
            (lambda one: one.generate(top_p=0), "TOP_P"),
            (lambda one: one.generate(temperature=math.nan), "SETTING_RANGE"),
            (lambda one: one.generate(temperature="hot"), "SETTING_NUMBER"),
            (lambda one: one.generate(None), "SETTING_TEXT"),
            (lambda one: one.generate(until=5), "SETTING_TEXT"),
            (lambda one: one.search(5), "SETTING_TEXT"),
            (lambda one: one.search(width=2.0), "SETTING_NUMBER"),
            (lambda one: one.search(penalty=-1), "SETTING_RANGE"),
            (lambda one: one.search(best=5), "BEAM_BEST"),
            (lambda one: one.perplexity(None), "SETTING_TEXT"),
            (lambda one: one.generate("Ω"), "PROMPT_UNKNOWN"),
            (lambda one: one.generate(temperature=-1), "SETTING_RANGE"),
            (lambda one: one.search(width=0), "SETTING_RANGE"),
            (lambda one: one.bits_per_character(""), "TEXT_EMPTY"),
            (lambda one: one.evaluate("x.txt", text="y"), "FIT_DATA"),
        ],
    )
    def test_requests_are_refused_at_once(self, model, call, code):
        with pytest.raises(InputError) as caught:
            call(model[0])
        assert caught.value.code == code

    @pytest.mark.parametrize("tied", [False, True])
    def test_a_model_of_pieces_learns_and_survives(self, tmp_path, tied):
        made = LanguageModel(
            unit="piece",
            pieces=300,
            tied=tied,
            hidden_size=16,
            embedding_size=8,
            epochs=1,
            epoch_size=2000,
            learning_rate=0.02,
        )
        made.fit(text=TEXT).save_pretrained(tmp_path / "m")
        again = LanguageModel.from_pretrained(tmp_path / "m")
        assert again.bits_per_character("the tide, naïve 😀") == made.bits_per_character("the tide, naïve 😀")
        assert "".join(again.generate("é", 40)) == "".join(made.generate("é", 40))


class TestCommand:
    def test_text_is_written_behind_the_prompt(self, model, capsys):
        assert main(["generate", str(model[1]), "--prompt", "the tide", "--length", "9", "--temperature", "0"]) == 0
        written = capsys.readouterr().out
        assert written == "the tide" + "".join(model[0].generate("the tide", 9, temperature=0)) + "\n"

    def test_a_prompt_from_standard_input(self, model, capsys, monkeypatch):
        for raw, code in ((b"the tide", 0), (b"\xff", 2)):
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
            assert main(["generate", str(model[1]), "--prompt", "-", "--length", "5", "--until", "e"]) == code
        shown = capsys.readouterr()
        assert shown.out.startswith("the tide")
        assert "byte 0xff at position 0" in shown.err

    def test_a_beam(self, model, capsys):
        asked = ["generate", str(model[1]), "--prompt", "the ", "--length", "6", "--beam", "3", "--best", "2"]
        assert main(asked) == 0
        found = model[0].search("the ", 6, width=3, best=2)
        expected = "".join(f"the {one.text}\n[{one.bits:.2f} bits, score {one.score:.4f}]\n\n" for one in found)
        assert capsys.readouterr().out == expected

    @pytest.mark.parametrize(
        ("options", "part"),
        [
            (["--prompt", "Ω"], "'Ω' at position 0"),
            (["--beam", "2", "--temperature", "0.5"], "--temperature has no effect with --beam"),
            (["--best", "2"], "--best has no effect without --beam"),
            (["--top-p", "2"], "--top-p 2.0 is out of range"),
            (["--length", "0"], "--length 0 is out of range"),
        ],
    )
    def test_errors_are_one_line(self, model, capsys, options, part):
        assert main(["generate", str(model[1]), *options]) == 2
        shown = capsys.readouterr()
        assert part in shown.err
        assert shown.err.count("\n") == 1
        assert not shown.out

    def test_no_model(self, tmp_path, capsys):
        assert main(["generate", str(tmp_path)]) == 2
        assert "no trained model" in capsys.readouterr().err
