"""Translation: model, search, scores and estimator against computations written out by hand."""

import io
import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tidegate import nn
from tidegate.cli import main
from tidegate.data import Source, cleaned, group_of
from tidegate.errors import InputError
from tidegate.tasks import Translator, from_pretrained
from tidegate.tasks.translation.model import Attention, PairBatch, SequenceToSequence
from tidegate.tasks.translation.score import nearest, symbol_scores, text_scores
from tidegate.tasks.translation.search import Translations, beam_search
from tidegate.tasks.translation.setting import TranslationSetting
from tidegate.tasks.translation.task import TranslationTask
from tidegate.tasks.translation.translate import _written
from tidegate.tasks.translation.vocabulary import BEGIN, END, SPECIAL, UNKNOWN, Vocabulary
from tidegate.train.bucket import bucketed

TEXTS = ["I don't know.", "It's 5 o'clock!", "l\u2019homme  est là", "a (b) c--d", "Don't go, Tom."]
CELLS = ["lstm", "gru", "rnn", "slstm", "scrn", "indrnn", "mgu"]


def model(cell="lstm", attention="general", *, sizes=(9, 6), width=5, hidden=4, seed=0, **options):
    torch.manual_seed(seed)

    def layer(features, **asked):
        taken = hidden if nn.Recurrent(cell, hidden, hidden).graph.input_axis == "H" else features
        return nn.Recurrent(cell, taken, hidden, **{"num_layers": 2, **options, **asked})

    made = SequenceToSequence(sizes, width, layer, attention, bidirectional=True, dropout=0.3)
    with torch.no_grad():
        made.bias.normal_()
        made.target.weight.mul_(4)  # so that what it says depends on what it reads
    return made.eval()


def batch(lengths=((3, 4), (6, 2), (1, 5)), sizes=(9, 6), seed=0):
    drawn = torch.Generator().manual_seed(seed)
    S, T = (max(side) for side in zip(*lengths, strict=True))
    units = torch.randint(SPECIAL, sizes[1], (T, len(lengths)), generator=drawn)
    sources = torch.randint(SPECIAL, sizes[0], (S, len(lengths)), generator=drawn)
    inputs = torch.cat([torch.full((1, len(lengths)), BEGIN), units[:-1]])
    ends = torch.tensor(lengths)
    return PairBatch(inputs, units, ends[:, 1], sources=sources, source_lengths=ends[:, 0])


class TestBuckets:
    @given(st.lists(st.integers(1, 90), min_size=1, max_size=200), st.integers(1, 40), st.integers(0, 9))
    def test_every_index_once_in_groups_of_similar_length(self, lengths, size, seed):
        order = torch.Generator().manual_seed(seed)
        groups = list(bucketed(torch.tensor(lengths), size, order, spread=3))
        assert sorted(itertools.chain(*groups)) == list(range(len(lengths)))
        assert sorted(map(len, groups)) == sorted(
            [size] * (len(lengths) // size) + [len(lengths) % size] * (len(lengths) % size > 0)
        )
        by_length = sorted(groups, key=lambda group: min(lengths[k] for k in group))
        for shorter, longer in itertools.pairwise(by_length):
            assert min(lengths[k] for k in longer) > max(lengths[k] for k in shorter) - 6

    def test_without_an_order_shorter_ones_come_first(self):
        assert list(bucketed(torch.tensor([5, 1, 4, 1]), 3)) == [[1, 3, 2], [0]]


class TestVocabulary:
    @pytest.mark.parametrize("unit", ["word", "character", "piece"])
    def test_texts_come_back(self, unit):
        vocabulary = Vocabulary.learn(list(map(cleaned, TEXTS)), unit, 50)
        assert [vocabulary.join(vocabulary.cut(cleaned(text))) for text in TEXTS] == list(map(cleaned, TEXTS))

    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
    def test_any_text_comes_back_in_words_and_characters(self, text):
        for unit in ("word", "character"):
            vocabulary = Vocabulary(unit, (), folded=False)
            assert vocabulary.join(vocabulary.cut(cleaned(text))) == cleaned(text)

    def test_words_carry_their_blanks(self):
        assert Vocabulary("word", (), folded=False).cut("It's me, l'homme.") == [
            " It'",
            "s",
            " me",
            ",",
            " l'",
            "homme",
            ".",
        ]

    def test_a_word_that_occurs_once_is_unknown(self):
        vocabulary = Vocabulary.learn(["a b a", "c b a"], "word", 50)
        assert vocabulary.units == (" a", " b")
        assert vocabulary.encode(vocabulary.cut("b c a")).tolist() == [SPECIAL + 1, UNKNOWN, SPECIAL, END]
        assert Vocabulary.learn(["a b a", "c b a"], "word", 1).units == (" a",)

    def test_lower_case_where_training_has_no_capital(self):
        assert Vocabulary.learn(["hello"], "character", 50).cut("HellO") == list("hello")
        assert Vocabulary.learn(["hello", "Hi"], "character", 50).cut("HellO") == list("HellO")

    @pytest.mark.parametrize("unit", ["word", "character", "piece", "symbol"])
    def test_plain_data(self, unit):
        vocabulary = Vocabulary.learn(TEXTS, unit, 50)
        again = Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
        assert again == vocabulary
        assert again.cut(TEXTS[0]) == vocabulary.cut(TEXTS[0])

    @pytest.mark.parametrize(
        "change", [{"unit": "byte"}, {"unit": "piece", "model": "????"}, {"units": [1]}, {"more": 1}]
    )
    def test_damaged_data_are_refused(self, change):
        data = Vocabulary.learn(TEXTS, "word", 50).to_json() | change
        with pytest.raises((KeyError, TypeError, ValueError, RuntimeError)):
            Vocabulary.from_json(data)


class TestModel:
    @pytest.mark.parametrize("kind", ["general", "dot", "additive"])
    def test_attention_written_out(self, kind):
        torch.manual_seed(0)
        attention = Attention(kind, 3, 6).double()
        hidden, values = torch.randn(4, 2, 3).double(), torch.randn(5, 2, 6).double()
        lengths = torch.tensor([5, 2])
        context, weights = attention(hidden, attention.memory(values, lengths))
        for t, b in itertools.product(range(4), range(2)):
            scores = []
            for s in range(lengths[b]):
                h, v = hidden[t, b], values[s, b]
                if kind == "general":
                    scores.append(h @ (attention.key.weight @ v))
                elif kind == "dot":
                    scores.append(h @ (v[:3] + v[3:]))
                else:
                    inner = attention.query.weight @ h + attention.query.bias + attention.key.weight @ v
                    scores.append(attention.score.weight[0] @ torch.tanh(inner))
            alpha = torch.stack(scores).softmax(0)
            assert torch.allclose(weights[t, b, : lengths[b]], alpha)
            assert weights[t, b, lengths[b] :].eq(0).all()
            assert torch.allclose(context[t, b], sum(a * values[s, b] for s, a in enumerate(alpha)))

    @pytest.mark.parametrize(
        ("cell", "attention"), [*((cell, "general") for cell in CELLS), ("lstm", "dot"), ("gru", "additive")]
    )
    def test_step_by_step_as_all_at_once(self, cell, attention):
        options = {"num_layers": 1} if cell == "indrnn" else {}
        made, pairs = model(cell, attention, **options).double(), batch()
        whole = logits_of(made, pairs)
        memory, state = made.read(pairs.sources, pairs.source_lengths)
        for t, units in enumerate(pairs.inputs):
            logits, _, state = made.write(units[None], memory, state)
            running = pairs.lengths > t
            assert torch.allclose(logits[0][running], whole[t][running], atol=1e-9)

    @pytest.mark.parametrize("cell", ["lstm", "gru"])
    def test_padding_and_neighbours_do_not_matter(self, cell):
        made, pairs = model(cell).double(), batch()
        whole = logits_of(made, pairs)
        for b, (S, T) in enumerate(zip(pairs.source_lengths, pairs.lengths, strict=True)):
            one = PairBatch(
                pairs.inputs[:T, b : b + 1],
                pairs.targets[:T, b : b + 1],
                T[None],
                sources=pairs.sources[:S, b : b + 1],
                source_lengths=S[None],
            )
            assert torch.allclose(made(one)[0], whole[:T, b], atol=1e-9)

    def test_the_decoder_begins_with_the_mean_of_both_directions(self):
        made, pairs = model(), batch()
        embedded = made.scale * made.source(pairs.sources)
        _, (h, c) = made.reader(embedded, lengths=pairs.source_lengths)
        _, (first, cell) = made.read(pairs.sources, pairs.source_lengths)
        for layer in range(2):
            assert torch.equal(first[layer], (h[2 * layer] + h[2 * layer + 1]) / 2)
            assert torch.equal(cell[layer], (c[2 * layer] + c[2 * layer + 1]) / 2)

    def test_every_parameter_learns(self):
        made = model().train()
        made(batch())[0].square().sum().backward()
        assert all(parameter.grad is not None for parameter in made.parameters())

    def test_rows_are_shared_by_several_processes(self):
        pairs = batch()
        share = pairs.share(0, 2)
        assert share.sources.shape == (6, 2)
        assert share.source_lengths.tolist() == [3, 1]
        assert torch.equal(share.inputs, pairs.inputs[:, ::2])


def logits_of(made, pairs):
    """[T, B, units] of all steps at once, as in training."""
    return made.write(pairs.inputs, *made.read(pairs.sources, pairs.source_lengths), pairs.lengths)[0]


def chance(made, source, units):
    """Log-probability of units (an end included, if there is one), one row, all steps at once."""
    inputs = torch.tensor([BEGIN, *units[:-1]])[:, None]
    memory, state = made.read(source[:, None], torch.tensor([len(source)]))
    logits, _, _ = made.write(inputs, memory, state)
    return sum(logits[t, 0].log_softmax(-1)[unit].item() for t, unit in enumerate(units))


def every_target(units, longest):
    for length in range(longest):
        for body in itertools.product(units, repeat=length):
            yield [*body, END]
    for body in itertools.product(units, repeat=longest):
        yield list(body)


class TestSearch:
    @pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
    @pytest.mark.parametrize("cell", ["lstm", "gru"])
    def test_a_wide_beam_is_exhaustive(self, cell, length_penalty):
        made, pairs, longest = model(cell, seed=3).double(), batch(seed=3), 3
        found = beam_search(
            made, pairs.sources, pairs.source_lengths, beam=100, longest=longest, length_penalty=length_penalty
        )
        for b, S in enumerate(pairs.source_lengths):
            scored = {
                tuple(units): chance(made, pairs.sources[:S, b], units) / len(units) ** length_penalty
                for units in every_target([UNKNOWN, 3, 4, 5], longest)
            }
            best = max(scored, key=scored.__getitem__)
            assert found.scores[b].item() == pytest.approx(scored[best])
            assert found.units[: found.lengths[b], b].tolist() == [unit for unit in best if unit != END]

    def test_a_beam_of_one_is_greedy(self):
        made, pairs = model(seed=1).double(), batch(seed=1)
        found = beam_search(made, pairs.sources, pairs.source_lengths, beam=1, longest=7)
        for b, S in enumerate(pairs.source_lengths):
            memory, state = made.read(pairs.sources[:S, b : b + 1], S[None])
            unit, written = BEGIN, []
            while len(written) < 7:
                logits, _, state = made.write(torch.tensor([[unit]]), memory, state)
                logits[..., BEGIN] = -math.inf
                unit = int(logits.argmax())
                if unit == END:
                    break
                written.append(unit)
            assert found.units[: found.lengths[b], b].tolist() == written

    def test_wider_beams_find_nothing_worse_here(self):
        made, pairs = model(seed=2), batch(seed=2)
        by_beam = [
            beam_search(made, pairs.sources, pairs.source_lengths, beam=beam, longest=4, length_penalty=0).scores
            for beam in (1, 400)
        ]
        assert (by_beam[1] >= by_beam[0] - 1e-6).all()

    def test_neighbours_do_not_matter(self):
        made, pairs = model(seed=4).double(), batch(seed=4)
        together = beam_search(made, pairs.sources, pairs.source_lengths, beam=3, longest=9)
        for b, S in enumerate(pairs.source_lengths):
            alone = beam_search(made, pairs.sources[:S, b : b + 1], S[None], beam=3, longest=9)
            assert alone.lengths[0] == together.lengths[b]
            length = int(alone.lengths[0])
            assert torch.equal(alone.units[:length, 0], together.units[:length, b])
            assert alone.scores[0].item() == pytest.approx(together.scores[b].item())

    def test_unknown_units_are_copied_from_where_attention_looked(self):
        vocabulary = Vocabulary("word", (" ist", " da"), folded=False)
        units = torch.tensor([[UNKNOWN], [SPECIAL], [UNKNOWN], [END]])
        weights = np.zeros((4, 1, 4), np.float32)
        weights[0, 0], weights[2, 0] = [0.1, 0.6, 0.3, 0], [0, 0.05, 0.05, 0.9]  # the last one is the source's end
        weights[2, 0, 0] = 0.04
        source = [" this", " Ulm", " is"]
        found = _written(vocabulary, source, Translations(units, torch.tensor([3]), torch.tensor([-0.5])), weights, 0)
        assert found.target == (" Ulm", " ist", " Ulm")
        assert found.text == "Ulm ist Ulm"
        assert found.attention.shape == (3, 3)


class TestScores:
    def test_the_best_of_several_references_counts(self):
        found = symbol_scores(["A B C", "A X", "Q"], [["A B C", "Z"], ["A B C", "A B"], ["A B C D"]])
        assert found["PER"][0] == pytest.approx(100 * (0 + 1 + 4) / (3 + 2 + 4))
        assert found["WER"][0] == pytest.approx(100 * 2 / 3)

    @given(st.lists(st.sampled_from("AB"), max_size=4), st.lists(st.sampled_from("AB"), min_size=1, max_size=4))
    def test_edits_by_enumeration(self, found, reference):
        def away(a, b):
            if not a or not b:
                return len(a) + len(b)
            return min(away(a[1:], b) + 1, away(a, b[1:]) + 1, away(a[1:], b[1:]) + (a[0] != b[0]))

        rate = symbol_scores([" ".join(found)], [[" ".join(reference)]])["PER"][0]
        assert rate == pytest.approx(100 * away(found, reference) / len(reference))

    def test_bleu_knows_all_references_and_says_how_it_counts(self):
        found = text_scores(
            ["the cat sat on the mat", "yes it is so"], [["no", "the cat sat on the mat"], ["yes it is so"]]
        )
        assert found["BLEU"][0] == pytest.approx(100)
        assert found["chrF"][0] == pytest.approx(100)
        assert "tok:13a" in found["BLEU"][1]

    @pytest.mark.parametrize(
        ("answers", "right", "tokenizer", "least", "most"),
        [
            (
                "我喜欢在公园散步。|他昨天去北京了。|今天天气很好。",
                "我喜欢在公园里散步。|他昨天去了北京。|今天天气非常好。",
                "zh",
                30,
                60,
            ),
            ("私は公園を散歩するのが好きです。", "私は公園で散歩するのが好きです。", "char", 60, 90),
            ("나는 공원에서 걷는 것을 좋아한다.", "나는 공원에서 산책하는 것을 좋아한다.", "char", 60, 90),
            ("ผมชอบเดินเล่นในสวน", "ผมชอบเดินในสวนมาก", "char", 40, 90),
            ("我用 Python 写程序", "我用 Python 写了一个程序", "zh", 10, 60),
            ("der Hund liest 漢字 nicht", "der Hund liest 漢字 nicht", "13a", 100, 100),
            ("он идёт в парк", "он идёт в парк", "13a", 100, 100),
        ],
        ids=["zh", "ja", "ko", "th", "zh with Latin", "de with Chinese", "ru"],
    )
    def test_the_script_decides_what_bleu_counts(self, answers, right, tokenizer, least, most):
        score, signature = text_scores(answers.split("|"), [[text] for text in right.split("|")])["BLEU"]
        assert f"tok:{tokenizer}" in signature
        assert least <= score <= most + 1e-9

    def test_the_nearest_source(self):
        assert nearest(["a red dog", "a blue cat"], ["rot", "blau"], ["the blue cats", "dogs"]) == ["blau", "rot"]


def lines(count=300, seed=0):
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list("abcdef"), int(rng.integers(2, 6)))) for _ in range(count)]
    return [(word, " ".join(reversed(word.upper()))) for word in words]


def task(pairs=None, encoding=None, **options):
    chosen = {"source_unit": "character", "target_unit": "symbol", **options}
    text = "".join(f"{one}\t{other}\n" for one, other in pairs or lines())
    return TranslationTask(Source("/nowhere/a.tsv", "a.tsv", text.encode()), TranslationSetting(**chosen), encoding)


class TestTask:
    def test_no_source_is_in_two_parts(self):
        pairs = [(f"Source {k % 90}{end}", f"target {k}") for k, end in enumerate(["", ".", " !"] * 100)]
        parts = task(pairs).pairs
        there = {split: set(map(group_of, part.sources)) for split, part in parts.items()}
        assert sum(map(len, there.values())) == len(set.union(*there.values())) == 90
        assert len(there["test"]) == 9
        assert sum(len(part.sources) for part in parts.values()) == len(set(pairs))

    def test_vocabularies_are_of_training_only(self):
        found = task()
        changed = [
            (one, f"{other} NEW") if one in found.pairs["test"].sources else (one, other) for one, other in lines()
        ]
        again = task(changed)
        assert again.encoding == found.encoding
        unknown = sum(int((target == UNKNOWN).sum()) for _, target in again.coded["test"])
        assert unknown == len(again.coded["test"])
        assert any(f"test: {unknown} of" in warning for warning in again.data.warnings)

    def test_batches_hold_every_pair_once(self):
        found = task()
        seen = []
        for one in found.batches("train", torch.Generator().manual_seed(0)):
            assert torch.equal(one.inputs[1:], one.targets[:-1])
            assert one.inputs[0].eq(BEGIN).all()
            for b, (S, T) in enumerate(zip(one.source_lengths, one.lengths, strict=True)):
                assert one.sources[S - 1, b] == one.targets[T - 1, b] == END
                source = found.encoding.source.join(
                    map(found.encoding.source.unit_of, one.sources[: S - 1, b].tolist())
                )
                target = found.encoding.target.join(
                    map(found.encoding.target.unit_of, one.targets[: T - 1, b].tolist())
                )
                seen.append((source, target))
        part = found.pairs["train"]
        assert sorted(seen) == sorted(zip(part.sources, part.targets, strict=True))

    def test_loss_and_error_written_out(self):
        found = task(label_smoothing=0.2)
        pairs = batch(sizes=(9, len(found.encoding.target)))
        logits = torch.randn(*pairs.inputs.shape, len(found.encoding.target), dtype=torch.float64)
        error = loss = 0.0
        for b, T in enumerate(pairs.lengths):
            for t in range(T):
                p = logits[t, b].softmax(-1).log2()
                error -= p[pairs.targets[t, b]].item()
                loss -= 0.8 * p[pairs.targets[t, b]].item() + 0.2 * p.mean().item()
        measure = found.measure(logits[pairs.scored()], pairs)
        assert measure.count == int(pairs.lengths.sum())
        assert measure.error == pytest.approx(error, rel=1e-5)
        assert measure.loss.item() == pytest.approx(loss, rel=1e-5)

    def test_long_pairs_are_not_learnt_from_and_said(self):
        found = task(longest=4)
        kept = [len(source) - 1 for source, _ in found.coded["train"]]
        assert max(kept) == 4
        left = sum(len(source) > 4 for source in found.pairs["train"].sources)
        assert (
            f"{left} of {len(found.pairs['train'].sources)} training pairs are left out: longer than 4 units"
            in found.data.warnings
        )
        assert len(found.coded["test"]) == len(found.pairs["test"].sources)

    def test_with_an_encoding_all_rows_are_the_test(self):
        encoding = task().encoding
        again = task([("fade", "E D A F")], encoding)
        assert again.encoding is encoding
        assert again.pairs["test"].sources == ("fade",)
        assert not again.coded["train"]
        assert again.baselines() == []

    def test_a_source_shared_with_training_is_said_of_official_splits(self):
        text = "".join(f"{one}\t{other}\n" for one, other in lines())
        part = Source("/b", "b.tsv", f"{lines()[0][0].upper()}\tX\nzzz\tZ\n".encode())
        chosen = TranslationSetting(source_unit="character", target_unit="symbol")
        found = TranslationTask(Source("/a", "a.tsv", text.encode(), test=part), chosen)
        assert "test: 1 of 2 pairs have a source that also occurs in training" in found.data.warnings
        assert found.data.split.startswith("valid drawn by source")

    def test_multi30k_as_it_comes(self, request):
        folder = request.config.rootpath.parent / "shared" / "data" / "translation"
        if not folder.is_dir():
            pytest.skip(f"the folder of Multi30k is not there: {folder}")
        from tidegate.data import locate, read_splits

        found = read_splits(locate(folder, folders=True), ("en", "de"))
        assert found["train"].warnings == ("train: 3 of 29000 pairs are exact copies of another and count once",)
        assert [len(found[split].sources) for split in ("train", "valid", "test")] == [28_997, 1014, 1000]
        assert found["train"].targets[2] == "Ein kleines Mädchen klettert in ein Spielhaus aus Holz."


@pytest.fixture(scope="module")
def speller(tmp_path_factory):
    """A model that learnt to spell words backwards, its folder, and words that it never saw."""
    folder = tmp_path_factory.mktemp("speller")
    made = Translator(
        source_unit="character",
        target_unit="symbol",
        cell="gru",
        hidden_size=48,
        embedding_size=16,
        dropout=0.0,
        learning_rate=1e-2,
        epochs=12,
    )
    made.fit(lines(1500), folder=folder)
    known = {word for word, _ in lines(1500)}
    return made, folder, [word for word, _ in lines(40, seed=1) if word not in known]


class TestTranslator:
    def test_it_learns_what_no_neighbour_knows(self, speller):
        by_name = {score.name: score for score in speller[0].scores_}
        assert by_name["WER"].value < 10 < by_name["WER"].baselines["nearest source"]
        assert by_name["PER"].value < 5 < by_name["PER"].baselines["nearest source"]
        assert by_name["bits per unit"].value < by_name["bits per unit"].baselines["3-gram"] / 4

    def test_translations_do_not_depend_on_who_else_is_asked(self, speller):
        made, _, words = speller
        together = made.translate(words)
        assert together == [made.translate(word)[0] for word in words]
        assert sum(
            one == " ".join(reversed(word.upper())) for word, one in zip(words, together, strict=True)
        ) > 0.8 * len(words)

    def test_attention_runs_backwards(self, speller):
        (found,) = speller[0].align("fedcab")
        assert found.source == tuple("fedcab")
        assert found.attention.shape == (len(found.target), 6)
        assert (found.attention.sum(1) < 1 + 1e-5).all()
        assert found.score < 0

    def test_a_saved_model_translates_the_same(self, speller):
        made, folder, words = speller
        again = from_pretrained(folder)
        assert isinstance(again, Translator)
        assert again.translate(words, beam=2) == made.translate(words, beam=2)
        assert [score.value for score in again.evaluate()] == [score.value for score in made.scores_]

    def test_evaluate_on_new_pairs(self, speller):
        made, _, words = speller
        right = [(word, " ".join(reversed(word.upper()))) for word in words]
        found = {score.name: score for score in made.evaluate(right)}
        asked = made.translate(words)
        wrong = sum(one != other for one, (_, other) in zip(asked, right, strict=True))
        assert found["WER"].value == pytest.approx(100 * wrong / len(words))
        assert not found["WER"].baselines

    def test_nothing_becomes_nothing(self, speller):
        assert speller[0].translate(["", " ", "abc"])[:2] == ["", ""]
        assert speller[0].translate([]) == []

    def test_data_in_memory_are_one_source_however_they_come(self):
        made, pairs = Translator(), lines(30)
        sources, targets = map(list, zip(*pairs, strict=True))
        raw = {
            made._source(*given).raw
            for given in [(pairs, None), (sources, targets), ((sources, targets), None), (np.array(pairs), None)]
        }
        assert len(raw) == 1

    @pytest.mark.parametrize(
        "given", [([("a",)], None), ([("a", 1)], None), (["a"], ["b", "c"]), (5, None), (["abc"], None)]
    )
    def test_what_are_no_pairs(self, given):
        with pytest.raises(InputError) as caught:
            Translator()._source(*given)
        assert caught.value.code == "FIT_DATA"

    def test_wrong_questions(self, speller):
        for ask in (lambda: speller[0].translate([1]), lambda: speller[0].translate("a", beam=0)):
            with pytest.raises(InputError):
                ask()
        with pytest.raises(InputError, match="not fitted"):
            Translator().translate("a")


class TestCommand:
    def test_texts_file_and_standard_input_say_the_same(self, speller, tmp_path, capsys, monkeypatch):
        made, folder, words = speller
        path = tmp_path / "words.txt"
        path.write_text("\n".join(words[:3]) + "\n", encoding="utf-8")
        assert main(["translate", str(folder), *words[:3]]) == 0
        by_argument = capsys.readouterr().out
        assert by_argument.splitlines() == made.translate(words[:3])
        assert main(["translate", str(folder), "--file", str(path)]) == 0
        assert capsys.readouterr().out == by_argument
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
        assert main(["translate", str(folder)]) == 0
        assert capsys.readouterr().out == by_argument

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--file", "missing.txt"], "there is no file"),
            (["a", "--file", "b.txt"], "both texts and --file"),
            (["a", "--beam", "0"], "--beam 0 is out of range"),
        ],
    )
    def test_mistakes_are_one_line(self, speller, capsys, arguments, says):
        assert main(["translate", str(speller[1]), *arguments]) == 2
        said = capsys.readouterr().err
        assert says in said
        assert said.count("\n") == 1
