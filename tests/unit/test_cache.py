"""Data larger than memory: the cache holds what memory would, is whole or absent, and gives the same model."""

import csv
import io
import json
import os
import shutil
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.unit.refusal import refused
from tidegate.data import Source, locate
from tidegate.data.cache import CARD, DRAFT, Cache, Draft
from tidegate.data.piecewise import Text
from tidegate.errors import InputError
from tidegate.tasks import Composer, LanguageModel, SequenceClassifier, load
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.classification.stored import StoredTexts
from tidegate.tasks.language.corpus import read_corpus
from tidegate.tasks.language.passage import Windows
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.language.task import LanguageTask
from tidegate.train import loop
from tidegate.train.bucket import Blocks
from tidegate.train.layer import make_layer
from tidegate.train.loop import train
from tidegate.train.plan import Plan
from tidegate.zoo import graph_of

WORDS = ("tide", "gate", "river", "the", "of", "naïve", "ebb", "and", "flow", "sea", "😀", "\u2028")
SMALL = {"hidden_size": 5, "embedding_size": 3, "epochs": 2, "steps": 4, "pieces": 320}


def prose(characters, seed=0):
    rng = np.random.default_rng(seed)
    words = rng.choice(WORDS, characters)
    ends = rng.choice([" ", " ", " ", ",  ", ".\n", "\r\n"], characters)
    return "".join(word + end for word, end in zip(words, ends, strict=True))[:characters]


def written(path, text):
    path.write_bytes(text.encode())
    return path


@pytest.fixture
def blocks(monkeypatch):
    """Files are read in blocks of a thousand bytes."""
    for module in ("source", "block"):
        monkeypatch.setattr(f"tidegate.data.{module}.BLOCK", 1000)


@pytest.fixture
def large(monkeypatch, blocks):
    """Files of more than 5,000 bytes are large; samples are smaller still."""
    monkeypatch.setattr("tidegate.data.source.LARGE", 5000)
    monkeypatch.setattr("tidegate.tasks.language.corpus.LEARNT", 4000)
    monkeypatch.setattr("tidegate.tasks.language.corpus.SCORED", 2000)
    monkeypatch.setattr("tidegate.data.piecewise.NEAR", 20)


class TestText:
    @pytest.mark.parametrize("text", [prose(5000), "x" * 5000, "😀" * 1500, "\ufeff" + "a\rb" * 900], ids=range(4))
    def test_pieces_are_the_text_and_places_are_of_its_characters(self, text, blocks):
        raw = text.encode()
        whole = text.removeprefix("\ufeff")
        found = Text.surveyed(Source("memory", "a", raw))
        assert found.characters == len(whole)
        assert "".join(found.pieces((0, len(raw)))) == whole
        assert found.source.hash == Source("memory", "a", raw).hash
        for character in (0, 1, 249, 250, 999, 1000, len(whole) - 1):
            assert raw[found.place(character) :].decode().removeprefix("\ufeff") == whole[character:]

    def test_a_sample_has_lines_of_all_parts(self, monkeypatch, blocks):
        lines = [f"{number:05}" for number in range(4000)]
        found = Text.surveyed(Source("memory", "a", "\n".join(lines).encode()))
        ranges = found.sample((0, 24_000), 4000)
        assert len(ranges) == 64
        assert all(first < last for first, last in ranges)
        taken = "".join(found.pieces(*ranges)).split("\n")[:-1]
        assert 500 < len(taken) == len(set(taken)) < 700
        assert set(taken) <= set(lines)
        assert np.diff(np.array(taken, int)).max() < 100

    @pytest.mark.parametrize(
        ("raw", "code", "part"),
        [
            (b"a\n" * 1700 + b"caf\xe9\n", "TEXT_ENCODING", r"byte 0xe9 at position 3403 (line 1701)"),
            (b"a\n" * 1700 + b"\0", "TEXT_BINARY", "a zero byte at position 3400"),
            (b"PK\x03\x04" * 900, "TEXT_BINARY", "Excel"),
            (b" \n" * 2000, "FILE_EMPTY", "empty"),
            (b"\x80" * 3000, "TEXT_ENCODING", "position 0"),
        ],
    )
    def test_errors_say_where(self, raw, code, part, blocks):
        refused(code, lambda: Text.surveyed(Source("memory", "a.txt", raw)), part)


class TestLanguage:
    @pytest.mark.parametrize("unit", ["character", "piece"])
    def test_a_model_is_the_same_from_memory_and_from_the_cache(self, unit, tmp_path, blocks):
        path, test = written(tmp_path / "a.txt", prose(4000)), written(tmp_path / "test.txt", prose(1100, seed=1))
        for name, cache in (("memory", None), ("cached", tmp_path / "cache"), ("again", tmp_path / "cache")):
            LanguageModel(**SMALL, unit=unit).fit(path, test=test, folder=tmp_path / name, cache=cache)
        cards = [json.loads((tmp_path / name / "model.json").read_text()) for name in ("memory", "cached", "again")]
        for card in cards:
            card["curve"] = [{**epoch, "seconds": 0} for epoch in card["curve"]]
        assert cards[0] == cards[1] == cards[2]
        assert len(list((tmp_path / "cache").glob(f"*/{CARD}"))) == 1

    def test_symbols_take_as_little_as_they_can(self, tmp_path):
        made = read_corpus(Source("memory", "a", prose(2000).encode(), cache=str(tmp_path)), LanguageSetting(), None)
        assert made.symbols.dtype == np.uint8
        assert isinstance(made.symbols.base, np.memmap)

    def test_a_large_file_is_cached_beside_it_and_sampled(self, tmp_path, large):
        lines = [f"{number:05}\n" for number in range(10_000)]
        text = "".join(lines)
        task = load(written(tmp_path / "a.txt", text))
        assert [card.parent.parent for card in tmp_path.glob(f"*/*/{CARD}")] == [tmp_path / "a.txt.cache"]
        assert task.source.raw == b""
        assert task.data.hash == Source("", "", text.encode()).hash
        assert task.encoding.unit.decode(task.symbols[: task.bounds["train"][1]]) == text[:54_000]
        for split, within in (("valid", lines[9000:9500]), ("test", lines[9500:])):
            first, last = task.bounds[split]
            assert 1000 < last - first < 2100
            taken = task.encoding.unit.decode(task.symbols[first:last]).splitlines(keepends=True)
            assert set(taken) <= set(within)
            assert len(set(taken)) == len(taken)
            assert np.ptp([int(line) for line in taken]) > 480
        assert [note.split(":")[0] for note in task.data.warnings[:3]] == ["train", "valid", "test"]
        assert "MB from 64 places" in task.data.warnings[0]
        assert task.characters["train"] == 54_000 - 1
        assert all(0 < line.score < 40 for line in task.baselines())

    def test_a_worker_reads_the_same_cache(self, tmp_path, large, monkeypatch):
        from tidegate.tasks import from_json

        task = load(written(tmp_path / "a.txt", prose(9000)))
        monkeypatch.setattr(Draft, "append", None)
        again = from_json(json.loads(json.dumps(task.to_json())))
        assert again.source.hash == task.source.hash
        assert (again.symbols == task.symbols).all()
        monkeypatch.undo()
        monkeypatch.setattr("tidegate.data.source.LARGE", 5000)
        written(tmp_path / "a.txt", prose(9000, seed=1))
        refused("DATA_CHANGED", lambda: from_json(task.to_json()), "a.txt has changed")

    def test_a_changed_file_is_read_anew_and_a_touched_one_is_not(self, tmp_path, large):
        path = written(tmp_path / "a.txt", prose(9000))
        load(path)
        (folder,) = {card.parent for card in tmp_path.glob(f"*/*/{CARD}")}
        os.utime(path, ns=(1, 1))
        before = (folder / CARD).stat().st_mtime_ns
        load(path)
        assert (folder / CARD).stat().st_mtime_ns == before
        written(path, "".join(reversed(prose(9000))))
        assert load(path).data.hash == locate(path).hash
        (other,) = {card.parent for card in tmp_path.glob(f"*/*/{CARD}")}
        assert other != folder

    def test_a_half_cache_is_never_taken_for_a_whole_one(self, tmp_path, large, monkeypatch):
        path = written(tmp_path / "a.txt", prose(9000))
        append, calls, clear = Draft.append, [], shutil.rmtree

        def killed(draft, name, part):
            append(draft, name, part)
            calls.append(name)
            if len(calls) == 4:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(Draft, "append", killed)
            patched.setattr(shutil, "rmtree", lambda *_, **__: calls or clear)  # a killed process clears nothing away
            with pytest.raises(KeyboardInterrupt):
                load(path)
        home = tmp_path / "a.txt.cache"
        assert (home / DRAFT / "symbols").stat().st_size > 1000
        assert not list(home.glob(f"*/{CARD}"))
        task = LanguageTask(Source(str(path), "a.txt", path.read_bytes(), cache=str(home)))
        symbols = np.array(task.symbols)
        assert task.encoding.unit.decode(symbols) == path.read_bytes().decode()
        assert not (home / DRAFT).exists()
        (stored,) = home.glob("*/symbols")
        stored.write_bytes(stored.read_bytes()[:-1])
        again = LanguageTask(Source(str(path), "a.txt", path.read_bytes(), cache=str(home)))
        assert (again.symbols == symbols).all()

    def test_a_full_disk_is_an_error_with_its_numbers(self, tmp_path, monkeypatch):
        path = written(tmp_path / "a.txt", prose(9000))
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2_000_000))
        refused(
            "DISK_FULL",
            lambda: LanguageModel(**SMALL).fit(path, cache=tmp_path / "c"),
            "the cache of a.txt takes about 0 MB, and 2 MB are free in",
        )
        assert not list(tmp_path.glob(f"c/*/{CARD}"))

    def test_a_folder_that_cannot_be_made(self, tmp_path, large):
        written(tmp_path / "a.txt.cache", "taken")
        refused("UNWRITABLE", lambda: load(written(tmp_path / "a.txt", prose(9000))), "a.txt.cache")

    def test_a_compressed_large_file(self, tmp_path, large):
        (tmp_path / "a.txt").write_bytes(b"\x1f\x8b" + bytes(range(256)) * 40)
        refused("FILE_PACKED", lambda: load(tmp_path / "a.txt"), "a.txt is compressed (gzip)")

    def test_resuming_reads_nothing_again(self, tmp_path, monkeypatch):
        setting = LanguageSetting(**{**SMALL, "steps": 7}, dropout=0.2, window=8, batch_size=4)
        source = Source("memory", "a", prose(6000).encode(), cache=str(tmp_path / "cache"))
        monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 0.0)
        monkeypatch.setattr(loop, "SAVE_SHARE", 1e9)
        read = Windows.__getitem__
        places = []
        monkeypatch.setattr(Windows, "__getitem__", lambda windows, at: places.append(at) or read(windows, at))

        def run(checkpoint, stop=None):
            def interrupt(record):
                if record.total == stop:
                    raise KeyboardInterrupt

            task = LanguageTask(source, setting)
            layer = make_layer(graph_of("lstm"), setting)
            return train(task, layer, Plan.of(setting, "lstm"), checkpoint=checkpoint, on_step=interrupt)

        whole = run(None)
        assert len(whole.curve) == 2
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "c", stop=11)
        places.clear()
        resumed = run(tmp_path / "c")
        assert places[0] == 3  # of the second epoch, in which four steps were taken and three saved
        for name, tensor in whole.model.state_dict().items():
            assert torch.equal(tensor, resumed.model.state_dict()[name])


def test_a_task_that_reads_its_data_at_once_takes_no_cache(tmp_path):
    refused("CACHE_TASK", lambda: Composer().fit("jsb", cache=tmp_path), "music", "cache=")


def test_what_does_not_fit_into_memory_is_refused(tmp_path, monkeypatch):
    path = written(tmp_path / "a.json", "[" + " " * 6000 + "]")
    monkeypatch.setattr("tidegate.data.large.LARGE", 5000)
    monkeypatch.setattr("tidegate.data.large.free_memory", lambda: 95_000)
    refused("FILE_LARGE", lambda: load(path), "a.json", "MB of memory")
    monkeypatch.setattr("tidegate.data.large.free_memory", lambda: 97_000)
    with pytest.raises(InputError, match=r"a\.json") as caught:
        load(path)
    assert caught.value.code != "FILE_LARGE"


def test_only_one_process_writes(tmp_path):
    cache = Cache(Source("memory", "a", b"a", cache=str(tmp_path)))
    found = []

    def find():
        found.append(len(found))
        time.sleep(0.1)
        return {"found": found[-1]}

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: cache.remembered("x", find), range(4))) == [{"found": 0}] * 4
    assert found == [0]


def reviews(rows, seed=0):
    """Texts with a class, a blank in some, and classes that their words tell."""
    rng = np.random.default_rng(seed)
    for row in range(rows):
        words = rng.choice(WORDS[:10], rng.integers(1, 30))
        label = ["good", "bad", "no idea"][row % 3]
        rare = "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyzü"), rng.integers(1, 25)))
        yield {"text": " ".join([*words, label[:1], rare, "it's"]), "label": label}


def as_json_lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def as_csv(rows, **dialect):
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ["label", "text"], **dialect)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


CLASSIFIER = {"hidden_size": 4, "embedding_size": 3, "epochs": 2, "steps": 5, "vocabulary": 9}


class TestClassification:
    @pytest.mark.parametrize("unit", ["word", "character"])
    def test_a_model_is_the_same_from_memory_and_from_the_cache(self, unit, tmp_path):
        path = written(tmp_path / "a.jsonl", as_json_lines([*reviews(300), {"text": "", "label": "bad"}]))
        for name, cache in (("memory", None), ("cached", tmp_path / "cache")):
            SequenceClassifier(**CLASSIFIER, unit=unit, longest=40).fit(path, folder=tmp_path / name, cache=cache)
        cards = [json.loads((tmp_path / name / "model.json").read_text()) for name in ("memory", "cached")]
        for card in cards:
            card["curve"] = [{**epoch, "seconds": 0} for epoch in card["curve"]]
        assert cards[0] == cards[1]

    @pytest.mark.parametrize("form", ["jsonl", "csv", "tsv", "quoted.tsv"])
    def test_a_large_file_is_split_by_its_rows(self, form, tmp_path, large, monkeypatch):
        monkeypatch.setattr("tidegate.tasks.classification.content.LEARNT", 60_000)
        monkeypatch.setattr("tidegate.tasks.classification.content.SCORED", 20_000)
        rows = list(reviews(2000))
        text = {
            "jsonl": lambda: as_json_lines(rows),
            "csv": lambda: as_csv(rows, delimiter=";"),
            "tsv": lambda: as_csv(rows, dialect="excel-tab"),
            "quoted.tsv": lambda: as_csv([row | {"text": f'"{row["text"]}, he said'} for row in rows], delimiter="\t",
                                         quoting=csv.QUOTE_NONE, quotechar=None, escapechar=None),
        }[form]()  # fmt: skip
        setting = ClassificationSetting(**CLASSIFIER)
        task = load(written(tmp_path / f"a.{form}", text), "classification", setting)
        whole = load(Source("/nowhere/a", f"a.{form}", text.encode()), "classification", setting)
        assert task.source.large
        assert whole.source.hash == task.data.hash
        stored = task.content.stored
        assert isinstance(stored, StoredTexts)
        assert {split: len(part.items) for split, part in task.parts.items()}["valid"] > 100
        everything = {
            item: kind for part in whole.parts.values() for item, kind in zip(part.items, part.classes, strict=True)
        }
        assert task.encoding.classes == whole.encoding.classes
        seen = Counter()
        for split in ("valid", "test"):
            for item, kind in zip(task.parts[split].items, task.parts[split].classes, strict=True):
                assert everything[item] == kind
                seen[item] += 1
        kept = [item for item in (row["text"] if form != "quoted.tsv" else f'"{row["text"]}, he said' for row in rows)
                if item not in seen]  # fmt: skip
        assert len(stored) == len(kept)
        for row, item in enumerate(kept):
            assert torch.equal(stored[row], task.encoding.reading.encode(item))
            assert stored.classes[row] == everything[item]
        assert set(task.parts["train"].items) < set(kept)
        assert "are learnt from" in task.data.warnings[0]
        assert form != "jsonl" or all(line.score > 0 for line in task.baselines())

    @pytest.mark.parametrize(
        ("name", "change", "code", "part"),
        [
            ("a.jsonl", ('{"text"', '{"texts"'), "JSONL_KEY", "line 501 of a.jsonl has no 'text'"),
            ("a.jsonl", ('"label": "good"', '"label": null'), "LABELLED_LABEL", "line 502 of a.jsonl"),
            ("a.jsonl", ("{", "{{"), "JSONL", "line 501 of a.jsonl is not JSON"),
            ("a.csv", ("good,", "good,1,"), "SERIES_ROW", "line 503 of a.csv has 3 cells"),
            ("a.csv", ("good,", 'good,"x"y'), "SERIES_CSV", "at line 503"),
            ("a.tsv", ("good\t", 'good\t"x"'), "TABLE_QUOTES", "the quotes in line 503 of a.tsv"),
        ],
    )
    def test_errors_of_a_large_file_name_the_row(self, name, change, code, part, tmp_path, large):
        rows = list(reviews(600))
        text = as_json_lines(rows) if name == "a.jsonl" else as_csv(rows, delimiter="," if name == "a.csv" else "\t",
                                                                    lineterminator="\n")  # fmt: skip
        lines = text.splitlines(keepends=True)
        at = next(at for at in range(500, 600) if change[0] in lines[at])
        lines[at] = lines[at].replace(*change)
        refused(code, lambda: load(written(tmp_path / name, "".join(lines)), "classification"), part)

    def test_many_rows_are_drawn_in_blocks(self, monkeypatch):
        monkeypatch.setattr("tidegate.train.bucket.BLOCK", 8)
        monkeypatch.setattr("tidegate.train.bucket.WINDOW", 4)
        lengths = np.random.default_rng(0).integers(1, 40, 203)
        draw = lambda seed: Blocks(lengths, 5, torch.Generator().manual_seed(seed), 2.0)  # noqa: E731
        groups = list(draw(0))
        assert len(groups) == len(draw(0))
        assert sorted(row for group in groups for row in group) == list(range(203))
        assert max(map(len, groups)) == 5
        assert groups[17:] == [draw(0)[at] for at in range(17, len(groups))] == draw(0)[17:]
        assert groups != list(draw(1))
        begins = [[row // 8 for group in groups[at : at + 6] for row in group] for at in range(0, 36, 6)]
        assert all(len(set(blocks)) <= 8 for blocks in begins)
        assert np.mean([np.ptp(lengths[group]) for group in groups]) < 12

    def test_what_a_large_file_cannot_have(self, tmp_path, large):
        path = written(tmp_path / "a.jsonl", as_json_lines(reviews(600)))
        for options in ({"encoding": "latin-1"}, {}):
            setting = ClassificationSetting(**options)
            own = {} if options else {"test": path}
            refused("FILE_LARGE", lambda s=setting, o=own: load(path, "classification", s, **o))

    def test_series_take_no_cache(self, tmp_path):
        classifier = SequenceClassifier(**{**CLASSIFIER, "epochs": 1})
        series = tmp_path / "a.npz"
        np.savez(series, x=np.random.default_rng(0).normal(size=(40, 9)), y=np.arange(40) % 2)
        refused("CACHE_TASK", lambda: classifier.fit(series, cache=tmp_path / "c"), "series")
