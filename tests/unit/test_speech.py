"""Speech: spectra, alignments and splits against computations written out, and a recogniser of tones."""

import csv
import io
import itertools
import json
import math
import struct
import zlib
from collections import Counter
from contextlib import suppress
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from tidegate import tasks, zoo
from tidegate.cli import main
from tidegate.data import Corpus, Recording, Source, locate, read_sound, read_speech
from tidegate.data.script import has_words
from tidegate.errors import InputError
from tidegate.tasks import Transcriber, from_pretrained
from tidegate.tasks.speech.decode import align, beam_search, best_path
from tidegate.tasks.speech.encoding import SpeechEncoding
from tidegate.tasks.speech.feature import Filterbank, stacked
from tidegate.tasks.speech.score import character_error_rate, edits, nearest, word_error_rate
from tidegate.tasks.speech.setting import SpeechSetting
from tidegate.tasks.speech.split import shared_sounds, split
from tidegate.tasks.speech.task import SpeechBatch, SpeechTask
from tidegate.tasks.speech.utterance import Utterance, joined
from tidegate.train.layer import make_layer
from tidegate.train.toml import from_toml, to_toml

RATE = 8000
BUNDLED = Path(str(resources.files("tidegate.data"))) / "bundled" / "fsdd" / "recordings"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "speech" / "recordings"
BANK = Filterbank(RATE, 16, 256, 160, 60.0, 3800.0, peak=True)


def noise(samples, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, samples).astype(np.float32)


def wav(sound, rate=RATE, subtype="PCM_16"):
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def tone(word, seed=0, samples=1600):
    """A tone that rises or falls, with noise and at a level of chance."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, samples + int(rng.integers(400)))
    hertz = 300 + 1200 * (time if word == "rise" else 1 - time) * rng.uniform(0.8, 1.2)
    sound = np.sin(2 * np.pi * np.cumsum(hertz) / RATE) + 0.02 * rng.normal(size=len(time))
    return (rng.uniform(0.2, 0.8) * sound).clip(-0.99, 0.99)


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """A folder for each word, 40 recordings in each."""
    home = tmp_path_factory.mktemp("tones")
    for word in ("rise", "fall"):
        (home / word).mkdir()
        for k in range(40):
            (home / word / f"{k}.wav").write_bytes(wav(tone(word, 2 * k + (word == "rise"))))
    return home


@pytest.fixture(scope="module")
def model(tones, tmp_path_factory):
    home = tmp_path_factory.mktemp("model")
    Transcriber(hidden_size=16, epochs=12, patience=12, batch_size=4, learning_rate=0.01).fit(tones, folder=home)
    return home


def slow_spectra(sound, bank):
    """Written out in float64: window, Fourier transform by its matrix, triangles, logarithm."""
    sound = sound.astype(np.float64) / (np.abs(sound).max() if bank.peak else 1.0)
    size = next(2**k for k in range(20) if 2**k >= bank.window) * (
        2 if bank.window == 2 ** int(math.log2(bank.window)) else 1
    )
    window = [0.54 - 0.46 * math.cos(2 * math.pi * n / (bank.window - 1)) for n in range(bank.window)]
    fourier = np.exp(-2j * np.pi * np.outer(np.arange(size // 2 + 1), np.arange(bank.window)) / size)
    low, high = (2595 * math.log10(1 + hertz / 700) for hertz in (bank.low, bank.high))
    mels = [low + (high - low) * k / (bank.bands + 1) for k in range(bank.bands + 2)]
    edges = [math.floor((size + 1) * 700 * (10 ** (mel / 2595) - 1) / bank.rate) for mel in mels]
    rows = []
    for start in range(0, len(sound) - bank.window + 1, bank.hop):
        power = np.abs(fourier @ (sound[start : start + bank.window] * window)) ** 2
        row = []
        for a, b, c in zip(edges, edges[1:], edges[2:], strict=False):
            rising = sum(power[k] * (k - a) / (b - a) for k in range(a, b))
            row.append(math.log(1e-4 + rising + sum(power[k] * (c - k) / (c - b) for k in range(b, c))))
        rows.append(row)
    return np.array(rows)


class TestSpectra:
    @pytest.mark.parametrize(
        "bank",
        [
            BANK,
            Filterbank(RATE, 16, 256, 160, 60.0, 3800.0, peak=False),
            Filterbank(16000, 40, 400, 160, 20.0, 7600.0, peak=True),
            Filterbank(22050, 23, 512, 221, 0.0, 11025.0, peak=False),
        ],
        ids=["default", "recorded", "16 kHz", "22 kHz"],
    )
    def test_against_a_slow_computation(self, bank):
        sound = noise(bank.window + 7 * bank.hop + 3)
        found = bank(sound)
        assert found.shape == (8, bank.bands)
        assert found.numpy() == pytest.approx(slow_spectra(sound, bank), abs=2e-4)

    @given(st.integers(0, 3000), st.integers(0, 3000))
    def test_frames_do_not_change_when_more_sound_comes(self, first, more):
        bank = Filterbank(RATE, 8, 256, 160, 60.0, 3800.0, peak=False)
        sound = noise(first + more)
        early, whole = bank(sound[:first]), bank(sound)
        assert len(early) == bank.count(first) == max(0, 1 + (first - 256) // 160)
        assert torch.allclose(early, whole[: len(early)], atol=1e-4)

    def test_silence_is_finite(self):
        assert BANK(np.zeros(1000, np.float32)).unique().tolist() == pytest.approx([math.log(1e-4)])

    def test_bundled_recordings_have_the_bundled_spectra(self):
        corpus = read_speech(locate("bundled:fsdd"))
        bundled = {one.name: one.sound for one in corpus.recordings}
        least, most = -9.155184, 7.981463
        step = (most - least) / 255
        for path in BUNDLED.glob("*.wav"):
            samples, rate, channels, _ = read_sound(path.read_bytes(), path.name)
            assert (rate, channels) == (RATE, 1)
            found = BANK(samples).numpy().clip(least, most)
            assert np.abs(found - bundled[path.name]).max() < 0.52 * step  # rounding to 8 bits, and nothing else

    def test_stacked_frames_stand_side_by_side(self):
        frames = torch.arange(10.0).reshape(5, 2)
        assert stacked(frames, 2).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 8, 9]]

    @pytest.mark.parametrize(("low", "high", "bands"), [(0, 4001, 8), (300, 200, 8), (60, 3800, 200)])
    def test_bands_that_cannot_be(self, low, high, bands):
        with pytest.raises(InputError):
            Filterbank(RATE, bands, 256, 160, low, high, peak=True)


def reading(path):
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)


def enumerated(chances):
    """The probability of every reading, over all alignments one by one, and the best alignment of each."""
    steps, symbols = chances.shape
    total, best = Counter(), {}
    for path in itertools.product(range(symbols), repeat=steps):
        log = sum(float(chances[time, symbol]) for time, symbol in enumerate(path))
        total[reading(path)] += math.exp(log)
        best[reading(path)] = max(best.get(reading(path), (-math.inf, ())), (log, path))
    return total, best


def chances(steps, symbols, seed, sharp=2.0):
    drawn = torch.randn(steps, symbols, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (sharp * drawn).log_softmax(-1)


class TestDecoding:
    @pytest.mark.parametrize(("steps", "symbols"), [(1, 2), (3, 2), (4, 3), (5, 3), (4, 4), (7, 2)])
    @pytest.mark.parametrize("seed", range(4))
    def test_a_beam_of_all_prefixes_is_exact(self, steps, symbols, seed):
        given_ = chances(steps, symbols, seed)
        total, _ = enumerated(given_)
        found = beam_search(given_, 10_000, 10_000)
        assert len(found) == len(total)
        assert sum(math.exp(one.log_probability) for one in found) == pytest.approx(1)
        for one in found:
            assert math.exp(one.log_probability) == pytest.approx(total[one.symbols], rel=1e-9)
        assert [one.log_probability for one in found] == sorted((one.log_probability for one in found), reverse=True)

    @pytest.mark.parametrize("seed", range(8))
    def test_the_loss_sums_the_same_alignments(self, seed):
        given_ = chances(5, 3, seed)
        total, _ = enumerated(given_)
        for symbols, chance in total.items():
            target = torch.tensor([symbols], dtype=torch.int64)
            loss = torch.nn.functional.ctc_loss(given_[:, None], target, [5], [len(symbols)], reduction="sum")
            assert math.exp(-loss.item()) == pytest.approx(chance, rel=1e-9)

    @pytest.mark.parametrize("seed", range(8))
    def test_the_best_path_is_the_reading_of_the_best_alignment(self, seed):
        given_ = chances(6, 3, seed)
        _, best = enumerated(given_)
        assert best_path(given_) == max(best, key=lambda symbols: best[symbols])

    @pytest.mark.parametrize("seed", range(8))
    def test_alignments_are_the_best_of_all(self, seed):
        given_ = chances(6, 3, seed)
        _, best = enumerated(given_)
        for symbols, (_, path) in best.items():
            runs = [(k, len(list(group))) for k, group in itertools.groupby(path)]
            ends = list(itertools.accumulate(length for _, length in runs))
            expected = [(end - n, end - 1) for (k, n), end in zip(runs, ends, strict=True) if k]
            assert align(given_, symbols) == expected

    def test_the_best_path_is_not_always_the_best_reading(self):
        given_ = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log()  # blank blank 0.36, but some "a" 0.64
        assert best_path(given_) == ()
        (found,) = beam_search(given_, 2)
        assert found.symbols == (1,)
        assert math.exp(found.log_probability) == pytest.approx(0.64)

    def test_a_repeated_symbol_needs_a_blank(self):
        given_ = torch.full((2, 2), 0.5).log()
        assert (1, 1) not in {one.symbols for one in beam_search(given_, 100, 100)}
        with pytest.raises(ValueError, match="do not fit"):
            align(given_, (1, 1))

    @pytest.mark.parametrize("width", [1, 2, 5])
    def test_impossible_symbols_are_never_read(self, width):
        given_ = torch.tensor([[0.5, 0.0, 0.5]] * 4).log()
        assert all(1 not in one.symbols for one in beam_search(given_, width, width))

    @given(st.lists(st.integers(1, 3), max_size=6), st.lists(st.integers(1, 3), max_size=6))
    def test_edits_by_the_definition(self, truth, found):
        rows = [[max(i, j) if not i * j else 0 for j in range(len(found) + 1)] for i in range(len(truth) + 1)]
        for i, a in enumerate(truth, 1):
            for j, b in enumerate(found, 1):
                rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (a != b))
        assert edits([truth], [found]) == rows[-1][-1]

    def test_error_rates_by_hand(self):
        assert word_error_rate(["a b c", "d"], ["a x", "d e"]) == 3 / 4
        assert character_error_rate(["abc"], ["abd"]) == pytest.approx(1 / 3)


def recording(k, speaker="a", text="x", part=""):
    return Recording(
        f"{speaker}{text}{k}.wav", text, speaker, part, noise(400, seed=zlib.crc32(f"{k}{speaker}{text}".encode()))
    )


class TestSplit:
    def corpus(self, **changed):
        some = [recording(k, speaker, text) for speaker in "ab" for text in "xy" for k in range(20)]
        return Corpus(tuple(some), RATE, **changed)

    def test_parts_are_disjoint_and_whole(self):
        corpus = self.corpus()
        parts, how = split(corpus, None)
        names = [one.name for part in parts.values() for one in part]
        assert sorted(names) == sorted(one.name for one in corpus.recordings)
        assert {name: len(part) for name, part in parts.items()} == {"train": 64, "valid": 8, "test": 8}
        assert how == "a tenth each drawn for valid and test"
        for part in ("valid", "test"):
            assert set(Counter((one.speaker, one.text) for one in parts[part]).values()) == {2}

    def test_the_order_of_files_does_not_matter(self):
        corpus = self.corpus()
        other = Corpus(corpus.recordings[::-1], RATE)
        first, second = split(corpus, None)[0], split(other, None)[0]
        assert all({one.name for one in first[k]} == {one.name for one in second[k]} for k in first)

    def test_a_speaker_that_is_held_out_is_in_the_test_alone(self):
        parts, how = split(self.corpus(), "b")
        assert {one.speaker for one in parts["test"]} == {"b"}
        assert {one.speaker for one in parts["train"] + parts["valid"]} == {"a"}
        assert len(parts["test"]) == 40
        assert "speaker b" in how

    def test_named_parts_stay_what_they_are(self):
        some = [recording(k, part="test" if k < 5 else "train") for k in range(45)]
        parts, how = split(Corpus(tuple(some), RATE), None)
        assert {one.name for one in parts["test"]} == {f"ax{k}.wav" for k in range(5)}
        assert len(parts["valid"]) == 4
        assert how == "as the data say; a tenth each drawn for valid"

    def test_equal_sounds_stay_together(self):
        copies = [
            Recording(f"copy{k}.wav", one.text, one.speaker, "", one.sound)
            for k, one in enumerate(self.corpus().recordings)
        ]
        parts, _ = split(Corpus(self.corpus().recordings + tuple(copies), RATE), None)
        assert len(parts["valid"]) == 16
        assert shared_sounds(parts) == ()

    def test_a_leak_that_the_data_name_is_told(self):
        some = [recording(k) for k in range(40)]
        leak = Recording("leak.wav", "x", "a", "test", some[0].sound)
        assert "test: 1 of 1 recordings are the same" in shared_sounds(split(Corpus((*some, leak), RATE), None)[0])[0]

    def test_the_official_split_of_the_bundled_digits(self):
        task = tasks.load("fsdd")
        assert {name: len(part) for name, part in task.utterances.items()} == {"train": 2430, "valid": 270, "test": 300}
        assert set(Counter((one.speaker, one.text) for one in task.utterances["test"]).values()) == {5}
        assert task.encoding.words
        assert len(task.encoding.symbols) == 10
        assert not task.data.warnings
        (line,) = task.baselines()
        assert line.score == pytest.approx(0.04)  # 12 of 300

    def test_the_folder_of_digits_is_the_bundled_set(self):
        if not SHARED.is_dir():
            pytest.skip(f"the recordings are not at {SHARED}")
        bundled = {one.name: one for one in read_speech(locate("bundled:fsdd")).recordings}
        folder = read_speech(locate(SHARED, folders=True))
        assert len(folder.recordings) == 3000
        for one in folder.recordings:
            other = bundled[one.name]
            assert (one.text, one.speaker, one.split) == (other.text, other.speaker, other.split)
            assert BANK.count(len(one.sound)) == len(other.sound)


def folder(home, files):
    for name, content in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(content)
    return locate(home, folders=True)


class TestReaders:
    @pytest.mark.parametrize(
        ("name", "table"),
        [
            ("m.csv", "path,text,speaker,split\nx/a.wav,Good day,ann,train\nb.wav,Bye,bob,dev\n"),
            ("m.tsv", "text\tpath\tsplit\tspeaker\nGood day\tx/a.wav\ttrain\tann\nBye\tb.wav\tvalid\tbob\n"),
            (
                "m.jsonl",
                (
                    '{"path": "x/a.wav", "text": "Good day", "speaker": "ann", "split": "train"}\n\n'
                    '{"path": "b.wav", "text": "Bye", "speaker": "bob", "split": "validation"}\n'
                ),
            ),
        ],
    )
    def test_tables(self, tmp_path, name, table):
        folder(tmp_path, {"x/a.wav": wav(noise(500)), "b.wav": wav(noise(600)), name: table.encode()})
        for source in (locate(tmp_path / name), locate(tmp_path, folders=True)):
            corpus = read_speech(source)
            rows = [(one.name, one.text, one.speaker, one.split, len(one.sound)) for one in corpus.recordings]
            assert rows == [("x/a.wav", "Good day", "ann", "train", 500), ("b.wav", "Bye", "bob", "valid", 600)]
            assert corpus.rate == RATE

    def test_texts_beside_recordings(self, tmp_path):
        source = folder(tmp_path, {"a.wav": wav(noise(500)), "a.txt": b"Good day\n", "notes.md": b"x"})
        assert [one.text.strip() for one in read_speech(source).recordings] == ["Good day"]

    def test_names_of_folders(self, tmp_path):
        source = folder(tmp_path, {"good_day/a.wav": wav(noise(500)), "bye/a.wav": wav(noise(500, 1))})
        corpus = read_speech(source)
        assert [(one.name, one.text) for one in corpus.recordings] == [
            ("bye/a.wav", "bye"),
            ("good_day/a.wav", "good day"),
        ]
        assert "names of the folders" in corpus.warnings[0]

    def test_digits_in_names(self, tmp_path):
        source = folder(tmp_path, {f"7_ann_{k}.wav": wav(noise(500, k)) for k in range(7)})
        corpus = read_speech(source)
        assert {one.text for one in corpus.recordings} == {"seven"}
        assert {one.name for one in corpus.recordings if one.split == "train"} == {"7_ann_5.wav", "7_ann_6.wav"}
        assert "recordings 0 to 4 are the test" in corpus.warnings[0]

    @pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
    def test_kinds_of_samples(self, subtype):
        sound = noise(300)
        found, rate, channels, _ = read_sound(wav(sound, subtype=subtype), "a.wav")
        assert (rate, channels, found.dtype) == (RATE, 1, np.float32)
        assert found == pytest.approx(sound, abs={"PCM_U8": 0.01, "ULAW": 0.02}.get(subtype, 1e-4))

    @pytest.mark.parametrize(
        "size",
        [0, 2**32 - 1, 2**32 - 1 - 36, 2**31, 2**31 - 1, 0x7FFFF000, 0x7F000000],
        ids=["gstreamer", "ffmpeg", "lame", "arecord", "mplayer", "sox", "sox aiff"],
    )
    def test_a_pipe_does_not_know_how_much_comes(self, size):
        whole = wav(noise(300))
        piped = whole[:40] + struct.pack("<I", size) + whole[44:]
        assert np.array_equal(read_sound(piped, "a.wav").samples, read_sound(whole, "a.wav").samples)

    @pytest.mark.parametrize("name", [b"RF64", b"BW64"])
    def test_long_headers(self, name):
        whole = wav(noise(300))

        def long(stated):
            sizes = b"WAVEds64" + struct.pack("<IQQQI", 28, 0, stated, 0, 0)
            return read_sound(name + b"\xff" * 4 + sizes + whole[12:40] + b"\xff" * 4 + whole[44:], "a.wav").samples

        for stated in (0, 600, 2**63):
            assert np.array_equal(long(stated), read_sound(whole, "a.wav").samples)
        with pytest.raises(InputError, match="promises 5,000 bytes of sound, but it has 600"):
            long(5000)

    def test_no_sound_is_none_although_other_chunks_follow(self):
        empty = wav(noise(0))
        listed = empty + b"LIST" + struct.pack("<I", 6) + b"abcdef"
        assert [len(read_sound(raw, "a.wav").samples) for raw in (empty, listed)] == [0, 0]

    @pytest.mark.parametrize("kind", ["WAV", "AIFF", "AU", "OGG"])
    def test_what_is_cut_off_is_named(self, kind):
        file = io.BytesIO()
        soundfile.write(file, noise(3000), RATE, format=kind)
        with pytest.raises(InputError, match="is cut off: its"):
            read_sound(file.getvalue()[:-1000], "a.wav")

    def test_other_kinds_from_a_pipe(self):
        file = io.BytesIO()
        soundfile.write(file, noise(300), RATE, format="AU")
        for size in (bytes(4), b"\xff" * 4):
            raw = file.getvalue()[:8] + size + file.getvalue()[12:]
            assert read_sound(raw, "a.au").samples == pytest.approx(noise(300), abs=1e-4)
        file = io.BytesIO()
        soundfile.write(file, noise(300), RATE, format="FLAC")
        raw = bytearray(file.getvalue())
        raw[22:26] = bytes(4)
        with pytest.raises(InputError, match="does not state its length, as FLAC that was written to a pipe"):
            read_sound(bytes(raw), "a.flac")
        raw[21] |= 15
        with pytest.raises(InputError, match="expected at most 268,435,456"):
            read_sound(bytes(raw), "a.flac")

    @pytest.mark.parametrize("rate", [1, 999, 2**31 - 1])
    def test_impossible_rates(self, rate):
        raw = wav(noise(300))
        with pytest.raises(InputError, match=f"a.wav states {rate:,} samples per second, expected 1,000 to 768,000"):
            read_sound(raw[:24] + struct.pack("<I", rate) + raw[28:], "a.wav")

    def test_damage_prints_nothing(self, capfd):
        file, random = io.BytesIO(), np.random.default_rng(0)
        soundfile.write(file, noise(300), RATE, format="AIFF")
        for _ in range(300):
            raw = bytearray(file.getvalue())
            place = int(random.integers(4, 60))
            raw[place : place + 4] = b"\xff" * int(random.integers(1, 5))
            with suppress(InputError):
                read_sound(bytes(raw), "a.aif")
        assert capfd.readouterr() == ("", "")

    def test_opposite_channels_are_told(self, tmp_path):
        pair = np.stack([noise(500), -noise(500)], 1)
        corpus = read_speech(folder(tmp_path, {"a.wav": wav(pair), "a.txt": b"x"}))
        (note,) = corpus.warnings[1:]
        assert note.startswith("1 recordings: the channels are opposite, so their mean is silence; pass one channel")
        assert note.endswith("the first is a.wav")

    def test_channels_are_averaged_with_a_note(self, tmp_path):
        pair = np.stack([noise(500, 1), noise(500, 2)], 1)
        corpus = read_speech(folder(tmp_path, {"a.wav": wav(pair), "a.txt": b"x"}))
        assert corpus.recordings[0].sound == pytest.approx(pair.mean(1), abs=1e-4)
        assert corpus.warnings == ("1 recordings have several channels, which were averaged",)

    def test_resampled_if_asked_for(self, tmp_path):
        time = np.arange(4000) / 16000
        files = {"x/a.wav": wav(np.sin(2 * np.pi * 440 * time), 16000), "y/b.wav": wav(noise(500))}
        source = folder(tmp_path, files)
        with pytest.raises(InputError, match="different sampling rates"):
            read_speech(source)
        corpus = read_speech(source, rate=RATE)
        expected = np.sin(2 * np.pi * 440 * np.arange(2000) / RATE)
        assert corpus.recordings[0].sound[100:-100] == pytest.approx(expected[100:-100], abs=0.01)
        assert "recordings of 16000 Hz were resampled to 8000 Hz" in corpus.warnings

    def test_silence_is_told(self, tmp_path):
        corpus = read_speech(folder(tmp_path, {"a.wav": wav(np.zeros(500)), "a.txt": b"x"}))
        assert "1 recordings are silent throughout" in corpus.warnings[0]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["今天天气很好", "我喜欢散步"], False),
        (["今天 天气 很 好", "我 喜欢 散步"], True),  # cut into words by hand
        (["ผมชอบเดินเล่น"], False),
        (["今日は天気がいいです"], False),
        (["오늘은 날씨가 좋다"], True),
        (["good day", "seven"], True),
        ([""], True),
    ],
)
def test_words_need_blanks(texts, words):
    assert has_words(texts) is words


class TestTask:
    def test_a_script_without_blanks_has_no_words_to_count(self, tmp_path):
        texts = ("今天天气很好", "我喜欢散步")
        rows = [f"{k}.wav,{texts[k % 2]},{('train', 'valid', 'test')[min(k // 2, 2)]}" for k in range(8)]
        files = {f"{k}.wav": wav(noise(2000, k)) for k in range(8)}
        table = "\n".join(["path,text,split", *rows]).encode()
        task = SpeechTask(
            folder(tmp_path, {"a.csv": table, **files}), SpeechSetting(hidden_size=4, symbols="characters")
        )
        model = task.encoding.model(make_layer(zoo.GRU.graph, task.setting), task.setting)
        assert [score.name for score in task.scores(model, 1.0)] == ["CER"]

    def test_batches_hold_every_recording_once(self, tones):
        task = tasks.load(tones, "speech")
        for order in (None, torch.Generator().manual_seed(0)):
            batches = list(task.batches("train", order))
            assert sum(len(batch.lengths) for batch in batches) == len(task.utterances["train"])
            steps = sum(int(batch.lengths.sum()) for batch in batches)
            assert steps == sum(len(one.frames) for one in task.utterances["train"])

    def test_inputs_are_scaled_by_the_training_recordings(self, tones):
        task = tasks.load(tones, "speech")
        frames = torch.cat([one.frames for one in task.utterances["train"]])
        assert torch.tensor(task.encoding.mean) == pytest.approx(frames.mean(0), abs=1e-5)
        scaled = torch.cat([task.encoding.steps(one.frames) for one in task.utterances["train"]])
        assert scaled.mean(0).abs().max() < 1e-4
        assert scaled.std(0) == pytest.approx(torch.ones(16), abs=1e-4)

    def test_characters_and_words(self):
        for symbols, expected in (("words", ["bye", "good"]), ("characters", [" ", *"bdegoy"])):
            learnt = SpeechEncoding.learnt(
                SpeechSetting(symbols=symbols), BANK, torch.randn(9, 16), ["good bye", "bye"]
            )
            assert list(learnt.symbols) == expected
            assert learnt.text(learnt.encode("Good  BYE")) == "good bye"
            assert learnt.encode("new bye")[-1] == learnt.encode("bye")[-1]
            assert SpeechEncoding.from_json(json.loads(json.dumps(learnt.to_json()))) == learnt

    def test_the_loss_is_torchs_and_padding_does_not_count(self, tones):
        task = tasks.load(tones, "speech")
        batch = next(task.batches("test"))
        outputs = torch.randn(*batch.inputs.shape[:2], 3, generator=torch.Generator().manual_seed(0))
        alone = [
            torch.nn.functional.ctc_loss(
                outputs[:n, row].log_softmax(-1), batch.targets[:, row], [n], [1], reduction="sum"
            ).item()
            for row, n in enumerate(batch.lengths.tolist())
        ]
        measure = task.measure(outputs, batch)
        assert measure.loss.item() == pytest.approx(sum(alone), rel=1e-5)
        hidden = torch.arange(len(outputs))[:, None] >= batch.lengths
        noisy = torch.where(hidden[..., None], 100 * torch.randn_like(outputs), outputs)
        assert task.measure(noisy, batch).loss.item() == pytest.approx(measure.loss.item())
        assert task.measure(noisy, batch).error == measure.error

    def test_masks_are_for_training_alone(self, tones):
        plain, masked = (tasks.load(tones, "speech", SpeechSetting(mask_frames=n, mask_bands=n)) for n in (0, 6))
        for part in ("valid", "test"):
            for a, b in zip(plain.batches(part), masked.batches(part), strict=True):
                assert torch.equal(a.inputs, b.inputs)
        changed = sum(
            int((a.frames != masked._masked(a.frames, torch.Generator().manual_seed(k))).any())
            for k, a in enumerate(plain.utterances["train"])
        )
        assert changed > 0.8 * len(plain.utterances["train"])

    def test_recordings_too_short_for_their_text_are_not_learnt_from(self, tmp_path):
        lines = [
            f"{k}.wav,{'a' * (40 if k == 7 else 1)},s,{part}"
            for k, part in enumerate(["train"] * 12 + ["valid", "test"])
        ]
        files = {f"{k}.wav": wav(noise(1600, k)) for k in range(14)}
        folder(tmp_path, {**files, "m.csv": "\n".join(["path,text,speaker,split", *lines]).encode()})
        task = tasks.load(tmp_path, "speech", SpeechSetting(symbols="characters"))
        assert len(task.utterances["train"]) == 11
        assert task.data.warnings == ("train: 1 recordings are left out: they have fewer steps than symbols",)

    def test_parts_of_their_own(self, tones, tmp_path):
        folder(
            tmp_path, {f"{word}/new{k}.wav": wav(tone(word, 900 + k)) for word in ("fall", "rise") for k in range(3)}
        )
        task = tasks.load(tones, "speech", test=tmp_path)
        assert len(task.utterances["test"]) == 6
        assert len(task.utterances["train"]) + len(task.utterances["valid"]) == 80

    @pytest.mark.parametrize("most", [2, 5])
    def test_joined_recordings(self, most):
        said = [Utterance(torch.full((3, 2), float(k)), f"w{k}", "ab"[k % 2]) for k in range(31)]
        found = joined(said, most, torch.Generator().manual_seed(0))
        words = [word for one in found for word in one.text.split()]
        assert sorted(words) == sorted(one.text for one in said)
        assert max(len(one.text.split()) for one in found) == most
        for one in found:
            numbers = [int(word[1:]) for word in one.text.split()]
            assert {"ab"[k % 2] for k in numbers} == {one.speaker}
            heard = [k for k, _ in itertools.groupby(one.frames[one.frames[:, 0] >= 0, 0].int().tolist())]
            assert heard == numbers

    def test_a_speaker_and_a_file_cannot_both_be_the_test(self, tones):
        with pytest.raises(InputError, match="leave out either hold_out="):
            tasks.load(tones, "speech", SpeechSetting(hold_out="a"), test=tones)

    def test_joined_tests_are_the_same_in_every_pass_and_made_of_the_test(self, tones):
        task = tasks.load(tones, "speech", SpeechSetting(join=3))
        alone = tasks.load(tones, "speech")
        words = [word for one in task.utterances["test"] for word in one.text.split()]
        assert sorted(words) == sorted(one.text for one in alone.utterances["test"])
        for a, b in zip(task.batches("test"), task.batches("test"), strict=True):
            assert torch.equal(a.inputs, b.inputs)

    def test_the_nearest_by_a_loop(self):
        train = [torch.randn(20, 3) for _ in range(9)]
        test = [torch.randn(20, 3) for _ in range(5)]
        expected = [min(range(9), key=lambda k: float((one - train[k]).square().sum())) for one in test]
        assert nearest(train, test) == expected

    def test_settings_survive_toml(self):
        made = SpeechSetting(hold_out="ann", rate=16000, high_hz=7000.0, symbols="words", streaming=True)
        assert from_toml(to_toml(made), SpeechSetting) == made

    def test_spectra_of_other_settings_are_refused(self):
        with pytest.raises(InputError, match=r"bands 16 \(asked: 20\)"):
            tasks.load("fsdd", None, SpeechSetting(bands=20))


class TestTranscriber:
    def test_it_learns_tones(self, model):
        made = from_pretrained(model)
        assert made.evaluate()[0].value == 0
        sounds = [tone("rise", 999), tone("fall", 998)]
        assert [one.text for one in made.transcribe(sounds, rate=RATE)] == ["rise", "fall"]
        assert [one.text for one in made.transcribe(sounds[0], rate=RATE)] == ["rise"]

    def test_a_beam_sums_alignments(self, model):
        made = from_pretrained(model)
        (path,), (beam,) = (made.transcribe(tone("fall", 998), rate=RATE, beam=n, best=min(n, 3)) for n in (1, 8))
        assert path.text == beam.text == "fall"
        assert path.log_probability <= beam.log_probability <= 0
        ranks = [beam.log_probability, *(chance for _, chance in beam.others)]
        assert ranks == sorted(ranks, reverse=True)

    def test_symbols_have_times_within_the_recording(self, model):
        (found,) = from_pretrained(model).transcribe(tone("fall", 998), rate=RATE)
        (spoken,) = found.spoken
        assert spoken.symbol == "fall"
        assert 0 <= spoken.start < spoken.end <= 0.3

    def test_new_data_are_all_a_test(self, model, tmp_path):
        folder(tmp_path, {f"{word}/{k}.wav": wav(tone(word, 500 + k)) for word in ("fall", "rise") for k in range(2)})
        made = from_pretrained(model)
        before = {name: value.clone() for name, value in made.model_.state_dict().items()}
        assert made.evaluate(tmp_path)[0].value == 0
        assert all(torch.equal(before[name], value) for name, value in made.model_.state_dict().items())
        task = SpeechTask(locate(tmp_path, folders=True), made._setting(), made.encoding_)
        assert len(task.utterances["test"]) == 4
        assert not task.utterances["train"]
        assert task.baselines() == []

    def test_transcripts_without_a_known_symbol_are_refused(self, model, tmp_path):
        (tmp_path / "5 678").mkdir()
        (tmp_path / "5 678" / "0.wav").write_bytes(wav(tone("rise", 999)))
        with pytest.raises(InputError, match=r"no transcript of the part 'test' of .* words that training has"):
            from_pretrained(model).evaluate(tmp_path)

    def test_another_rate_is_refused_or_resampled(self, model):
        made = from_pretrained(model)
        sound = np.repeat(tone("rise", 999), 2)  # at twice the rate, if roughly
        with pytest.raises(InputError, match="16,000"):
            list(made.transcribe(sound, rate=16000))
        assert [one.text for one in made.transcribe(sound, rate=16000, resample=True)] == ["rise"]

    @pytest.mark.parametrize(
        ("sound", "rate", "says"),
        [
            (np.zeros(100), RATE, "less than one window"),
            (np.full(1000, np.nan), RATE, "without NaN"),
            (np.zeros(1000), None, "rate="),
        ],
    )
    def test_arrays_that_cannot_be_used(self, model, sound, rate, says):
        with pytest.raises(InputError, match=says):
            list(from_pretrained(model).transcribe(sound, rate=rate))

    def test_a_streaming_model_does_not_look_ahead(self, tones):
        setting_ = {"hidden_size": 4, "epochs": 1, "streaming": True, "level": "recorded"}
        made = Transcriber(**setting_).fit(tones)
        sound = tone("fall", 3)
        whole, early = (made.encoding_.steps(made.encoding_.filterbank(one)) for one in (sound, sound[:1000]))
        batches = [SpeechBatch(one[:, None], torch.zeros(0, 1), torch.tensor([len(one)])) for one in (whole, early)]
        with torch.inference_mode():
            outputs = [made.model_(batch)[0] for batch in batches]
        assert torch.allclose(outputs[0][: len(outputs[1])], outputs[1], atol=1e-5)


class TestCommand:
    def test_a_line_each_and_a_table(self, model, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("a.wav").write_bytes(wav(tone("rise", 999)))
        folder(tmp_path / "more", {"b.wav": wav(tone("fall", 998))})
        assert main(["transcribe", str(model), "a.wav", "more", "--beam", "8", "--best", "2", "--out", "t.csv"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert (lines[0], lines[3]) == ("a.wav: rise", f"{Path('more') / 'b.wav'}: fall")
        rows = list(csv.DictReader(Path("t.csv").read_text(encoding="utf-8").splitlines()))
        assert [(row["recording"], row["rank"], row["text"]) for row in rows][::2] == [
            ("a.wav", "1", "rise"),
            (str(Path("more") / "b.wav"), "1", "fall"),
        ]

    def test_timings(self, model, tmp_path, capsys):
        (tmp_path / "a.wav").write_bytes(wav(tone("rise", 999)))
        assert main(["transcribe", str(model), str(tmp_path / "a.wav"), "--timings"]) == 0
        assert capsys.readouterr().out.strip().split("a.wav: ")[1].startswith("rise  [rise 0.")

    @pytest.mark.parametrize(
        ("content", "arguments", "says"),
        [
            (b"hello", [], "not a readable sound file"),
            (wav(noise(5))[:50], [], "cut off"),
            (wav(noise(5)), [], "less than one window"),
            (wav(noise(900), 44100), [], "--resample"),
            (wav(noise(900)), ["--beam", "0"], "--beam must be at least 1, got 0"),
            (wav(noise(900)), ["--best", "2"], "2 hypotheses need a beam of at least 2, got 1"),
        ],
    )
    def test_bad_input_is_one_line(self, model, tmp_path, capsys, content, arguments, says):
        (tmp_path / "a.wav").write_bytes(content)
        assert main(["transcribe", str(model), str(tmp_path / "a.wav"), *arguments]) == 2
        said = capsys.readouterr().err
        assert says in said
        assert len(said.strip().splitlines()) == 1

    def test_files_that_are_not_there(self, model, capsys):
        assert main(["transcribe", str(model), "nowhere.wav"]) == 2
        assert main(["transcribe", str(model), "elnino"]) == 2
        assert "no recordings" in capsys.readouterr().err

    def test_the_bundled_recordings_are_at_hand(self, model, capsys):
        assert main(["transcribe", str(model), "fsdd"]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 12


def test_a_table_names_its_files_from_its_own_folder(tmp_path, monkeypatch):
    folder(tmp_path, {"d/a.wav": wav(noise(500)), "d/m.csv": b"path,text\na.wav,x\n"})
    monkeypatch.chdir(tmp_path)
    assert len(read_speech(locate("d/m.csv")).recordings) == 1
    with pytest.raises(InputError, match=r"elsewhere\.csv"):
        locate("elsewhere.csv")
    assert Source("x", "x", b"").members == ()
