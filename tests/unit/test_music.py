"""Music: MIDI and MATLAB files against mido's and scipy's own answers, splits, windows, compositions."""

import io
import json
import lzma
import math
import struct
from pathlib import Path

import mido
import numpy as np
import pytest
import scipy.io
import scipy.optimize
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit

from tests.malformed.music import PIECE, matlab, midi, pieces
from tidegate import nn, tasks
from tidegate.cli import main
from tidegate.data import Source, locate, read_music, to_midi
from tidegate.data.matlab import read_cells
from tidegate.data.midi import read_midi
from tidegate.errors import InputError
from tidegate.tasks import Composer, from_pretrained
from tidegate.tasks.music.independent import shift
from tidegate.tasks.music.plot import draw_piano_roll
from tidegate.tasks.music.setting import MusicSetting
from tidegate.tasks.music.task import MusicTask
from tidegate.train.loop import evaluate

SHARED = Path(__file__).parents[3] / "shared" / "data" / "music"
SPLITS = ("train", "valid", "test")


def source(raw, name="a.mid"):
    return Source(name, name, raw)


def written(*messages, ticks=480, kind=1):
    """A MIDI file of the messages (type, note, time, and what else)."""
    track = mido.MidiTrack([mido.Message(name, note=note, time=time, **rest) for name, note, time, rest in messages])
    file, content = mido.MidiFile(type=kind, ticks_per_beat=ticks, tracks=[track]), io.BytesIO()
    file.save(file=content)
    return content.getvalue()


def track(events):
    """A MIDI file of one track with these bytes."""
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + b"MTrk" + struct.pack(">I", len(events)) + events


def on(note, time=0, **rest):
    return "note_on", note, time, rest


def off(note, time=0, **rest):
    return "note_off", note, time, rest


def sounding(roll):
    return [(21 + np.flatnonzero(step)).tolist() for step in roll]


def folder(path, count=30):
    for k in range(count):
        (path / f"{k:02}.mid").write_bytes(midi(40 + k, 50, 60))
    return path


ROLLS = arrays(bool, st.tuples(st.integers(1, 12), st.just(88)), elements=st.booleans(), fill=st.just(value=False))


class TestMidi:
    @given(ROLLS, st.integers(1, 48), st.floats(20, 300))
    def test_a_roll_survives(self, roll, grid, tempo):
        roll = roll[: np.flatnonzero(roll.any(1)).max(initial=-1) + 1]  # silence at the end leaves no trace
        raw = to_midi(roll, steps_per_quarter=grid, tempo=tempo)
        if not len(roll):
            with pytest.raises(InputError, match="no notes"):
                read_midi(source(raw), grid)
            return
        again, beyond = read_midi(source(raw), grid)
        assert beyond == 0
        assert np.array_equal(again[: len(roll)], roll)
        assert not again[len(roll) :].any()

    def test_a_file_on_the_grid_survives(self):
        raw = written(on(60), on(64), off(64, 240), on(67), off(60, 240), off(67, 480), on(60), off(60, 240))
        again = to_midi(read_midi(source(raw), 2)[0], steps_per_quarter=2)
        assert events(again) == events(raw)

    def test_a_key_that_goes_on_is_held(self):
        roll = np.zeros((5, 88), bool)
        roll[[0, 1, 3], 39] = True
        assert events(to_midi(roll)) == [(0, "on", 60), (960, "off", 60), (1440, "on", 60), (1920, "off", 60)]

    def test_notes_take_the_nearest_steps_and_one_at_least(self):
        raw = written(on(60, 100), off(60, 430), on(62), off(62, 10), on(64, 500), off(64, 480))
        # in quarters: 60 from 0.21 to 1.10, 62 from 1.10 to 1.13, 64 from 2.17 to 3.17
        assert sounding(read_midi(source(raw), 1)[0]) == [[60], [62], [64]]

    def test_tempo_does_not_matter_and_resolution_does_not_either(self):
        roll = np.eye(4, 88, 30, dtype=bool)
        for tempo in (30, 240):
            assert np.array_equal(read_midi(source(to_midi(roll, steps_per_quarter=3, tempo=tempo)), 3)[0], roll)
        coarse = written(on(60), off(60, 96), ticks=96)
        assert sounding(read_midi(source(coarse), 4)[0]) == [[60]] * 4

    def test_drums_and_keys_beyond_the_piano_are_left_out(self):
        raw = written(on(36, channel=9), off(36, 480, channel=9), on(10), on(60), off(10, 480), off(60))
        roll, beyond = read_midi(source(raw), 1)
        assert sounding(roll) == [[], [60]]
        assert beyond == 1

    def test_velocity_zero_ends_a_note_and_the_last_event_ends_all(self):
        raw = written(on(60), on(60, 480, velocity=0), on(64), on(62, 480), off(62, 480))
        assert sounding(read_midi(source(raw), 1)[0]) == [[60], [64], [62, 64]]

    def test_channels_do_not_end_each_others_notes(self):
        raw = written(on(60), on(60, channel=1), off(60, 480), off(60, 480, channel=1))
        assert sounding(read_midi(source(raw), 1)[0]) == [[60], [60]]

    def test_too_long(self):
        with pytest.raises(InputError, match="lasts more than 100,000 steps"):
            read_midi(source(written(on(60), off(60, 480 * 30_000))), 4)

    @pytest.mark.parametrize(
        "message",
        [
            b"\xff\x59\x02\x12\x00",  # a key of 18 sharps
            b"\xff\x54\x05\xe1\x00\x00\x00\x00",  # an SMPTE offset of frames that do not exist
            b"\xff\x03\x03\xff\xfe\xfd",  # a name that is no text
            b"\xff\x51\x01\x00",  # a tempo of one byte
            b"\xff\x58\x00",  # a time signature without content
            b"\xf0\x03\x90\x3d\x40",  # a system message that never ends
            b"\xf4",  # a status that the standard leaves undefined
        ],
    )
    def test_damage_that_says_nothing_about_notes(self, message):
        raw = track(b"\x00" + message + b"\x00\x90\x3c\x40\x83\x60\x80\x3c\x00\x00\xff\x2f\x00")
        assert sounding(read_midi(source(raw), 1)[0]) == [[60], []]

    def test_in_riff_and_beside_other_chunks(self):
        raw = written(on(60), on(62, 480), off(60), off(62, 480))
        wrapped = b"RIFF" + struct.pack("<I", len(raw) + 12) + b"RMIDdata" + struct.pack("<I", len(raw)) + raw
        beside = raw[:14] + b"XFIH" + struct.pack(">I", 3) + b"abc" + raw[14:]
        for other in (wrapped, beside):
            assert np.array_equal(read_midi(source(other), 1)[0], read_midi(source(raw), 1)[0])

    @pytest.mark.parametrize(
        ("events", "says"),
        [
            (b"\x00\x3c\x40", "begins with a message without a status"),
            (b"\x00\x90\x3c", "ends inside a message"),
            (b"\x00\xff\x01\x7fabc", "ends inside a message"),
            ((b"\xff" * 4095 + b"\0") * 200, "a number without an end, at byte 2"),
        ],
    )
    def test_damaged_tracks_name_the_byte(self, events, says):
        with pytest.raises(InputError, match=f"a.mid is not a readable MIDI file: track 1 .*{says}"):
            read_midi(source(track(events)), 1)

    def test_a_quarter_of_no_ticks(self):
        raw = written(on(60), off(60, 480))
        with pytest.raises(InputError, match="into 0 ticks"):
            read_midi(source(raw[:12] + bytes(2) + raw[14:]), 1)

    def test_many_notes_at_once_are_paired_in_turn(self):
        raw = track(b"\x00\x90\x3c\x40" * 20_000 + b"\x83\x60\x80\x3c\x00" + b"\x00\x3c\x00" * 19_999)
        assert sounding(read_midi(source(raw), 1)[0]) == [[60], []]

    def test_a_bad_file_in_a_folder_is_named_and_left_out(self, tmp_path):
        folder(tmp_path)
        (tmp_path / "bad.mid").write_bytes(midi(50)[:-9])
        (tmp_path / "mute.mid").write_bytes(midi())
        read = read_music(locate(tmp_path, folders=True))
        assert sum(map(len, (read.train, read.valid, read.test))) == 30
        assert read.warnings == ("2 of 32 MIDI files are left out; the first: bad.mid was cut off after 26 bytes",)

    def test_damage_is_an_error_or_a_roll(self):
        raw, random = written(*[message for k in range(20) for message in (on(50 + k), off(50 + k, 99))]), rng()
        refused = 0
        for _ in range(400):
            try:
                assert read_midi(source(damaged(raw, random)), 4)[0].any()
            except InputError:
                refused += 1
        assert 50 < refused < 400


def rng():
    return np.random.default_rng(0)


def damaged(raw, random):
    """Some bytes changed, and now and then the end gone."""
    content = bytearray(raw)
    for at in random.integers(0, len(raw), random.integers(1, 4)):
        content[at] = random.integers(256)
    return bytes(content[: random.integers(len(raw) // 2, 2 * len(raw))])


def events(raw):
    """(tick, on or off, note) of every note event."""
    now, found = 0, []
    for message in mido.MidiFile(file=io.BytesIO(raw)).merged_track:
        now += message.time
        if message.type in ("note_on", "note_off"):
            found.append((now, message.type.removeprefix("note_"), message.note))
    return sorted(found)


class TestMatlab:
    @pytest.mark.parametrize("compressed", [False, True])
    @pytest.mark.parametrize("kind", [np.uint8, bool, np.int16, np.int32, np.float32, np.float64])
    def test_as_scipy_reads_it(self, compressed, kind):
        content, random = io.BytesIO(), rng()
        rolls = [(random.random((length, 88)) < 0.1).astype(kind) for length in (1, 2, 37)]
        scipy.io.savemat(content, {"traindata": pieces(*rolls), "x": "text"}, do_compression=compressed)
        found = read_cells(content.getvalue(), ("traindata",))["traindata"]
        expected = scipy.io.loadmat(io.BytesIO(content.getvalue()))["traindata"][0]
        assert len(found) == len(expected) == 3
        assert all(np.array_equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))

    @pytest.mark.parametrize("name", ["JSB_Chorales.mat", "Nottingham.mat"])
    def test_published_sets(self, name):
        if not (SHARED / name).exists():
            pytest.skip(f"{name} is not beside this repository")
        rolls = read_music(locate(SHARED / name))
        expected = scipy.io.loadmat(SHARED / name)
        for split in SPLITS:
            theirs = expected[f"{split}data"][0]
            assert all(np.array_equal(a, b) for a, b in zip(getattr(rolls, split), theirs, strict=True))

    def test_the_bundled_chorales_are_the_published_ones(self):
        if not (SHARED / "JSB_Chorales.mat").exists():
            pytest.skip("JSB_Chorales.mat is not beside this repository")
        ours, theirs = read_music(locate("bundled:jsb")), read_music(locate(SHARED / "JSB_Chorales.mat"))
        for split in SPLITS:
            assert all(np.array_equal(*both) for both in zip(getattr(ours, split), getattr(theirs, split), strict=True))

    def test_damage_is_an_error_or_a_roll(self):
        raw, random, refused = matlab(), rng(), 0
        for _ in range(400):
            try:
                assert read_music(source(damaged(raw, random), "a.mat")).train
            except InputError:
                refused += 1
        assert refused > 50


class TestSplit:
    def test_every_piece_goes_to_one_split(self, tmp_path):
        rolls = read_music(locate(folder(tmp_path), folders=True))
        found = {split: {piece.tobytes() for piece in getattr(rolls, split)} for split in SPLITS}
        assert [len(found[split]) for split in SPLITS] == [24, 3, 3]
        assert len(set.union(*found.values())) == 30
        assert rolls.steps_per_quarter == 4

    def test_packed_pieces_are_read_as_others(self, tmp_path):
        whole = read_music(locate(folder(tmp_path), folders=True))
        (tmp_path / "00.mid.xz").write_bytes(lzma.compress((tmp_path / "00.mid").read_bytes()))
        (tmp_path / "00.mid").unlink()
        packed = read_music(locate(tmp_path, folders=True))
        assert packed.warnings == whole.warnings == ()
        assert [len(getattr(packed, split)) for split in SPLITS] == [24, 3, 3]

    def test_copies_stay_together(self, tmp_path):
        folder(tmp_path)
        for k in range(30):
            (tmp_path / f"copy{k}.mid").write_bytes((tmp_path / f"{k:02}.mid").read_bytes())
        rolls = read_music(locate(tmp_path, folders=True))
        found = {split: {piece.tobytes() for piece in getattr(rolls, split)} for split in SPLITS}
        assert [len(getattr(rolls, split)) for split in SPLITS] == [48, 6, 6]
        assert not found["train"] & (found["valid"] | found["test"])
        assert not found["valid"] & found["test"]

    def test_names_do_not_matter_and_the_seed_does(self, tmp_path):
        folder(tmp_path)
        first = read_music(locate(tmp_path, folders=True))
        other = read_music(locate(tmp_path, folders=True), split_seed=1)
        for k in range(30):
            (tmp_path / f"{k:02}.mid").rename(tmp_path / f"z{99 - k}.mid")
        again = read_music(locate(tmp_path, folders=True))
        assert same(first.test, again.test)
        assert not same(first.test, other.test)

    def test_files_of_their_own(self, tmp_path):
        for name, note in (("a", 50), ("b", 60), ("c", 70)):
            (tmp_path / f"{name}.mid").write_bytes(midi(note))
        path = {name: tmp_path / f"{name}.mid" for name in "abc"}
        rolls = read_music(locate(path["a"], valid=path["b"], test=path["c"]))
        assert [sounding(getattr(rolls, split)[0])[0] for split in SPLITS] == [[50], [60], [70]]

    def test_a_trained_model_reads_the_test_part_or_all(self, tmp_path):
        data = {"train": [[[50], [50]]], "valid": [[[60], [60]]], "test": [[[70], [70]]]}
        rolls = read_music(source(json.dumps(data).encode(), "a.json"), score=True)
        assert sounding(rolls.test[0]) == [[70], [70]]
        assert rolls.train == rolls.valid == ()
        assert len(read_music(locate(folder(tmp_path), folders=True), score=True).test) == 30


def same(left, right):
    return {piece.tobytes() for piece in left} == {piece.tobytes() for piece in right}


def long_pieces(lengths, seed=0):
    random = np.random.default_rng(seed)
    rolls = [(random.random((length, 88)) < 0.05).astype(np.uint8) for length in lengths]
    return source(matlab(**{f"{split}data": pieces(*rolls) for split in SPLITS}), "a.mat")


class TestWindows:
    def test_windows_hold_every_step_once_in_order(self):
        task = MusicTask(long_pieces([50, 23, 47, 20]), MusicSetting(window=20, batch_size=4))
        batches = list(task.batches("train", torch.Generator().manual_seed(0)))
        assert [batch.starts for batch in batches] == [True, False, False]
        assert [batch.lengths.tolist() for batch in batches] == [[19, 20, 20, 20], [0, 2, 20, 20], [0, 0, 6, 9]]
        whole = next(task.batches("test"))
        assert torch.equal(torch.cat([batch.inputs for batch in batches]), whole.inputs)
        assert torch.equal(torch.cat([batch.targets for batch in batches]), whole.targets)

    def test_carried_states_give_the_outputs_of_whole_pieces(self):
        task = MusicTask(long_pieces([50, 23, 47, 20]), MusicSetting(window=20, batch_size=4))
        model = task.model(lambda inputs: nn.LSTM(inputs, 5)).eval()
        outputs, state = [], None
        with torch.no_grad():
            for batch in task.batches("train", torch.Generator().manual_seed(0)):
                found, state = model(batch, state)
                outputs.append(found)
            whole = next(task.batches("test"))
            expected, _ = model(whole)
        scored = whole.scored()
        assert torch.allclose(torch.cat(outputs)[scored], expected[scored], atol=1e-6)

    def test_a_fresh_model_answers_how_often_keys_sound(self):
        task = tasks.load("jsb", setting=MusicSetting(nade_size=0))
        model = task.model(lambda inputs: nn.GRU(inputs, 5))
        torch.nn.init.zeros_(model.head.weight)
        assert evaluate(task, model, "test") == pytest.approx(task.baselines()[0].score, rel=1e-5)

    def test_batch_size_and_window_are_heeded(self):
        task = MusicTask(long_pieces([9] * 10), MusicSetting(batch_size=3))
        assert [batch.inputs.shape[1] for batch in task.batches("test")] == [3, 3, 3, 1]
        assert all(batch.starts for batch in task.batches("train"))


@pytest.fixture(scope="module")
def composer():
    """A model that learnt that the lower and the upper half of the keys take turns."""
    roll = np.zeros((40, 88), np.uint8)
    roll[::2, :44] = roll[1::2, 44:] = 1
    data = matlab(**{f"{split}data": pieces(*[roll] * 8) for split in SPLITS})
    made = Composer(cell="gru", hidden_size=16, epochs=20, learning_rate=1e-2, dropout=0.0, batch_size=1, nade_size=0)
    return made.fit(source(data, "a.mat"))


class TestComposer:
    def test_it_plays_what_it_learnt(self, composer):
        roll = composer.compose(30, temperature=0)
        assert sounding(roll) == [list(range(21, 65)), list(range(65, 109))] * 15 + [list(range(21, 65))]

    def test_the_draw_follows_the_logits(self, composer):
        prompt = np.eye(3, 88, 39, dtype=bool)
        draws = np.mean([composer.compose(1, prompt, seed=seed, temperature=0.2)[-1] for seed in range(600)], axis=0)
        inputs = torch.from_numpy(prompt).float()[:, None]
        with torch.no_grad():
            hidden, _ = composer.model_.layer(inputs)
            logits = composer.model_.head(hidden)[-1, 0].double().numpy()
        count = expit(logits).sum()
        moved = scipy.optimize.brentq(lambda b: expit(logits / 0.2 + b).sum() - count, -50, 50)
        chance = expit(logits / 0.2 + moved)
        assert np.abs(draws - chance).max() < 5 * math.sqrt(0.25 / 600)
        assert abs(draws.sum(-1).mean() - count) < 1
        assert np.ptp(chance) > 0.1

    def test_at_temperature_one_the_chances_are_the_models_own(self):
        logits = torch.randn(88, generator=torch.Generator().manual_seed(0)).double() * 5
        assert shift(logits, torch.sigmoid(logits).sum()) == pytest.approx(0, abs=1e-9)

    def test_state_is_carried_as_in_one_pass(self, composer):
        roll = composer.compose(12, np.eye(4, 88, 39, dtype=bool), seed=3, temperature=3.0)
        more = composer.compose(1, roll, prompt_steps=16, temperature=0)
        with torch.no_grad():
            hidden, _ = composer.model_.layer(torch.from_numpy(roll).float()[:, None])
            logits = composer.model_.head(hidden)[-1, 0].numpy()
        likeliest = np.argsort(-logits)[: round(expit(logits).sum())]
        assert np.flatnonzero(more[-1]).tolist() == sorted(likeliest.tolist())

    def test_the_seed_decides_and_the_prompt_stays(self, composer):
        prompt = (np.random.default_rng(1).random((20, 88)) < 0.1).astype(bool)
        first = composer.compose(10, prompt, seed=5, prompt_steps=7, temperature=4.0)
        assert np.array_equal(first, composer.compose(10, prompt, seed=5, prompt_steps=7, temperature=4.0))
        assert not np.array_equal(first, composer.compose(10, prompt, seed=6, prompt_steps=7, temperature=4.0))
        assert first.shape == (17, 88)
        assert np.array_equal(first[:7], prompt[:7])

    def test_files(self, composer, tmp_path):
        roll = composer.compose(12, temperature=0)
        composer.write_midi(tmp_path / "a.mid", roll, tempo=90)
        assert np.array_equal(composer.compose(1, tmp_path / "a.mid", prompt_steps=13)[:13], roll)
        draw_piano_roll(roll, tmp_path / "a.png", "a")
        draw_piano_roll(np.zeros((3, 88), bool), tmp_path / "b.svg", "silence", 1)
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")

    def test_it_survives_saving_and_scores_other_music(self, composer, tmp_path):
        composer.save_pretrained(tmp_path)
        again = from_pretrained(tmp_path)
        assert np.array_equal(again.compose(9, seed=2), composer.compose(9, seed=2))
        (other,) = again.evaluate(source(to_midi(np.eye(12, 88, 30, dtype=bool))))
        (own,) = again.evaluate()
        assert own.value < 1 < own.baselines["key frequency"]
        assert other.value > 20

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"steps": 0}, "steps=0 is out of range"),
            ({"temperature": math.nan}, "temperature=nan is out of range"),
            ({"prompt_steps": 0}, "prompt_steps=0 is out of range"),
            ({"prompt": np.zeros((3, 87))}, r"shape \(3, 87\)"),
            ({"prompt": np.zeros((0, 88))}, "at least 1"),
            ({"prompt": "nowhere.mid"}, "no file"),
        ],
    )
    def test_requests_that_cannot_be_met(self, composer, options, said):
        with pytest.raises(InputError, match=said):
            composer.compose(**options)

    def test_tempo(self, composer):
        with pytest.raises(InputError, match="tempo=0 is out of range"):
            composer.write_midi("a.mid", PIECE.astype(bool), tempo=0)


class TestShell:
    def run(self, *arguments):
        return main([str(argument) for argument in arguments])

    def test_compose_writes_midi_and_a_picture(self, composer, tmp_path, capsys):
        composer.save_pretrained(tmp_path / "model")
        tune, picture = tmp_path / "a.mid", tmp_path / "a.png"
        arguments = ["--out", tune, "--steps", 6, "--temperature", 0, "--picture", picture, "--tempo", 90]
        assert self.run("compose", tmp_path / "model", *arguments) == 0
        assert "6 composed ones, 44.0 keys at once" in capsys.readouterr().out
        assert np.array_equal(read_midi(source(tune.read_bytes()), 1)[0], composer.compose(6, temperature=0))
        assert picture.exists()
        again = tmp_path / "b.mid"
        assert self.run("compose", tmp_path / "model", "--out", again, "--prompt", tune, "--prompt-steps", 2) == 0
        assert np.array_equal(
            read_midi(source(again.read_bytes()), 1)[0][:2], read_midi(source(tune.read_bytes()), 1)[0][:2]
        )

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--picture", "a.xyz"], "none of the suffixes"),
            (["--steps", "0"], "--steps 0 is out of range"),
            (["--prompt", "a.mid"], "there is no file"),
            (["--tempo", "inf"], "--tempo inf "),
        ],
    )
    def test_mistakes(self, composer, tmp_path, capsys, monkeypatch, options, said):
        monkeypatch.chdir(tmp_path)
        composer.save_pretrained("model")
        assert self.run("compose", "model", *options) == 2
        assert said in capsys.readouterr().err
        assert not Path("tune.mid").exists()
