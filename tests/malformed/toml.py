"""Configurations and settings that cannot be used."""

from tests.malformed.case import Case


def config(name: str, content: bytes, *says: str) -> Case:
    return Case(name, "music", {"a.toml": content}, "jsb", ["a.toml", *says], ["--config", "a.toml"])


def options(name: str, given: list[str], *says: str) -> Case:
    return Case(name, "music", {}, "jsb", list(says), given)


CASES = [
    config("not-toml", b"hidden size = 3", "not TOML", "line 1"),
    config("json", b'{"hidden_size": 3}', "not TOML"),
    config("no-value", b"seed = 1\nhidden_size =\n", "not TOML", "line 2"),
    config("twice", b"seed = 1\nseed = 2\n", "not TOML"),
    config("binary", bytes(range(256)), "not UTF-8 at byte 128"),
    config("latin1", 'cell = "é"'.encode("latin-1"), "not UTF-8 at byte 8"),
    config("utf16", 'cell = "lstm"'.encode("utf-16"), "not UTF-8 at byte 0"),
    config("deep", b"seed = " + b"[" * 50_000, "not TOML"),
    config("deep-tables", b"a." * 5_000 + b"b = 1"),
    config("endless-number", b"seed = " + b"9" * 100_000, "not TOML"),
    Case(
        "huge-number",
        "music",
        {"a.toml": b"hidden_size = 1" + b"0" * 1000},
        "jsb",
        ["hidden_size=1000", "at most 65536"],
        ["--config", "a.toml"],
    ),
    config("unknown", b"hiden_size = 3", "hiden_size", "did you mean 'hidden_size'"),
    config("flag-spelling", b"hidden-size = 3", "hidden-size", "did you mean 'hidden_size'"),
    config("table", b"[training]\nseed = 3", "training"),
    config("array-of-tables", b"[[seed]]\nx = 3", "seed", "an integer"),
    config("other-task", b'task = "language"', "'language'", "'music'"),
    config("task-is-a-list", b"task = []", "'music'"),
    config("text-for-number", b'seed = "three"', "seed", "'three'", "an integer"),
    config("fraction-for-count", b"layers = 1.5", "layers", "1.5", "an integer"),
    config("truth-for-number", b"epochs = true", "epochs", "an integer"),
    config("date", b"seed = 2026-11-25", "seed", "an integer"),
    config("schedule", b'schedule = "linear"', "schedule", "linear", "plateau"),
    config("long-text", b'schedule = "' + b"x" * 1_000_000 + b'"', "schedule"),
    options("unknown-cell", ["--cell", "lstn"], "lstn", "did you mean 'lstm'"),
    Case("no-config", "music", {}, "jsb", ["none.toml", "cannot be read"], ["--config", "none.toml"]),
    Case("folder-config", "music", {"c/x": b""}, "jsb", ["no regular file"], ["--config", "c"]),
    options("no-layers", ["--layers", "0"], "--layers 0 ", "at least 1"),
    options("full-dropout", ["--dropout", "1"], "--dropout 1", "at most 0.99"),
    options("no-rate", ["--learning-rate", "0"], "--learning-rate 0"),
    options("rate-nan", ["--learning-rate", "nan"], "--learning-rate nan"),
    options("clip-negative", ["--clip=-1"], "--clip -1"),
    options("decay-inf", ["--weight-decay", "inf"], "--weight-decay inf"),
    options("seed-negative", ["--seed=-1"], "--seed -1"),
    options("no-cell", ["--cell", ""], "no cell"),
    options("cell-file", ["--cell", "none.py:Mine"], "none.py"),
    options("out-is-a-file", ["--out", "/dev/null"], "/dev/null", "not a folder"),
    options("out-in-a-file", ["--out", "/dev/null/a"], "/dev/null"),
]
