"""Recordings and tables of such that cannot be used."""

import io

import numpy as np
import soundfile

from tests.malformed.case import Case


def wav(samples=4000, rate=8000, subtype="PCM_16", value=None, channels=1, seed=0) -> bytes:
    sound = np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, channels))
    if value is not None:
        sound[samples // 2] = value
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format="WAV", subtype=subtype)
    return file.getvalue()


TABLE = b"path,text\na.wav,one\n"
MANY = {f"{word}/{k}.wav": wav(seed=k) for word in ("no", "yes") for k in range(2)}


def case(name, files, data, says, *options) -> Case:
    return Case(name, "speech", files, data, says, list(options))


CASES = [
    case("empty table", {"a.csv": b""}, "a.csv", ["a.csv", "empty"]),
    case("header only", {"a.csv": b"path,text\n"}, "a.csv", ["a.csv", "no rows"]),
    case("no text column", {"a.csv": b"path,txt\na.wav,one\n"}, "a.csv", ["a.csv", "'text'", "'txt'"]),
    case("row too short", {"a.csv": b"path,text\na.wav\n"}, "a.csv", ["line 2 of a.csv", "1 cell,"]),
    case("empty text", {"a.csv": b"path,text\na.wav,\n"}, "a.csv", ["row 1", "a.csv", "no text"]),
    case("unknown split", {"a.csv": b"path,text,split\na.wav,one,tst\n"}, "a.csv", ["row 1", "'tst'", "train, valid"]),
    case("table in another encoding", {"a.csv": b"path,text\na.wav,caf\xe9\n"}, "a.csv", ["a.csv", "UTF-8", "line 2"]),
    case("file missing", {"a.csv": TABLE}, "a.csv", ["there is no file", "a.wav"]),
    case("a path with NUL", {"a.jsonl": b'{"path": "a\\u0000.wav", "text": "a"}\n'}, "a.jsonl", ["line 1 of a.jsonl"]),
    case("a path twice", {"a.csv": TABLE + b"a.wav,two\n", "a.wav": wav()}, "a.csv", ["a.wav", "more than once"]),
    case("not JSON", {"a.jsonl": b'{"path": "a.wav"\n'}, "a.jsonl", ["line 1 of a.jsonl", "not JSON"]),
    case("text is a number", {"a.jsonl": b'{"path": "a.wav", "text": 7}\n'}, "a.jsonl", ["line 1 of a.jsonl", "path"]),
    case("not a sound", {"a.csv": TABLE, "a.wav": b"hello world" * 9}, "a.csv", ["a.wav", "not a readable sound file"]),
    case("empty sound file", {"a.csv": TABLE, "a.wav": b""}, "a.csv", ["a.wav", "not a readable sound file"]),
    case("header cut off", {"a.csv": TABLE, "a.wav": wav()[:30]}, "a.csv", ["a.wav", "not a readable sound file"]),
    case("sound cut off", {"a.csv": TABLE, "a.wav": wav()[:1000]}, "a.csv", ["a.wav", "cut off", "8,000 bytes"]),
    case("no samples", {"a.csv": TABLE, "a.wav": wav(0)}, "a.csv", ["20", "recordings"]),
    case("NaN", {"a.csv": TABLE, "a.wav": wav(subtype="FLOAT", value=np.nan)}, "a.csv", ["a.wav", "NaN", "2,000"]),
    case("infinity", {"a.csv": TABLE, "a.wav": wav(subtype="DOUBLE", value=np.inf)}, "a.csv", ["a.wav", "infinity"]),
    case("one recording", {"a.csv": TABLE, "a.wav": wav()}, "a.csv", ["leave none", "at least 20"]),
    case("all too short", {f"{k % 2}_a_{k}.wav": wav(100, seed=k) for k in range(40)}, ".", ["too short", "0.013 s"]),
    case("all too long", {f"{k % 2}_a_{k}.wav": wav(seed=k) for k in range(40)}, ".", ["longest"], "--longest", "0.1"),
    case(
        "mixed rates",
        {"a/1.wav": wav(), "b/1.wav": wav(rate=16000)},
        ".",
        ["8,000", "16,000", "a/1.wav", "b/1.wav", "--rate 8000"],
    ),
    case(
        "no texts anywhere",
        {"a.wav": wav(), "b.wav": wav()},
        ".",
        ["has no texts for its 2 recordings", "a.wav", ".jsonl"],
    ),
    case("no recordings", {"a.md": b"nothing"}, ".", ["no recordings"]),
    case(
        "some texts beside", {"a.wav": wav(), "b.wav": wav(), "a.txt": b"one"}, ".", ["b.txt"], "--transcripts", "files"
    ),
    case("empty text beside", {"a.wav": wav(), "a.txt": b" \n"}, ".", ["a.txt", "empty"]),
    case("no digit in a name", {"seven_a_1.wav": wav()}, ".", ["DIGIT_SPEAKER_NUMBER"], "--transcripts", "digits"),
    case("no such speaker", {f"{k % 2}_a_{k}.wav": wav(seed=k) for k in range(40)}, ".", ["'b'"], "--hold-out", "b"),
    case("nobody is named", MANY, ".", ["do not name the speakers"], "--hold-out", "b"),
    case(
        "bands above the rate",
        {f"{k % 2}_a_{k}.wav": wav(seed=k) for k in range(40)},
        ".",
        ["4000"],
        "--high-hz",
        "5000",
    ),
    case(
        "bands too narrow", {f"{k % 2}_a_{k}.wav": wav(seed=k) for k in range(40)}, ".", ["--bands"], "--bands", "200"
    ),
    case("bands out of range", MANY, ".", ["--bands 1 ", "at least 2"], "--bands", "1"),
    case("another kind of file", {"a.txt": b"some text"}, "a.txt", ["a.txt", "neither a folder nor a table"]),
    case("not spectra", {"a.npz": b"PK\x03\x04 no archive"}, "a.npz", ["a.npz", "no readable spectra"]),
]
