"""The kinds of file that are read, and for each the commands that read it and the mutations that fit it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from . import binary, form, seed
from .mutation import BYTES, KEPT, NAMES, PLACES, TEXT, Mutation, crlf, final_lines, mark, named

Files = dict[str, bytes]
TRAIN = ["--epochs", "2", "--hidden-size", "4", "--batch-size", "16", "--layers", "1"]

COMPARE = ["--cells", "rnn", "--seeds", "1", "--trials", "1", "--epochs", "2", "--parameters", "8000", "--workers", "1"]


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        files: what lies in the folder of an attempt, in which ``victim`` is damaged.
        commands: the words after ``tidegate``; HERE is the folder, VICTIM the damaged file, MODEL that of the task.
        sealed: whether the hashes of a saved model are made to fit after the damage.
        learns: the command that trains the model that the others use, if this kind's own data train it.
    """

    name: str
    victim: str
    files: Callable[[], Files]
    commands: list[list[str]]
    mutations: list[Mutation]
    rows: int | None = None
    sealed: bool = False


def _one(name: str, content: Callable[[], bytes]) -> Callable[[], Files]:
    return lambda: {name: content()}


def _data(
    name: str,
    victim: str,
    content: Callable[[], bytes],
    task: str,
    own: list[Mutation],
    *verbs: list[str],
    options: list[str] | None = None,
    also: Callable[[], Files] = dict,
    data: str = "VICTIM",
    rows: int | None = seed.ROWS,
    model: str = "",
    free: bool = True,
) -> Kind:
    """A kind of training data, which is trained on, evaluated and predicted from; ``free`` if any name will do."""
    train = ["train", task, data, *TRAIN, *(options or []), "--out", "HERE/out"]
    used = f"MODELS/{model or task}"
    verbs_on = [[verb[0], used, *(verb[1:] or [data])] for verb in (*verbs, ["evaluate"])]
    mutations = [*own, *BYTES, *PLACES, *(NAMES if free else [])]
    return Kind(name, victim, lambda: {**also(), victim: content()}, [train, *verbs_on], mutations, rows)


TEXT_KEPT, GZ = [*KEPT, *form.PACKED], form.PACKED[0]
CSV, TSV = [*form.tables(","), *TEXT, *TEXT_KEPT], [*form.tables("\t"), *TEXT, *TEXT_KEPT]
SEMICOLONS = [*form.tables(";"), *TEXT, *TEXT_KEPT]
LINES = [*form.JSON_LINES, *TEXT, *TEXT_KEPT]
PLAIN = [*TEXT, *TEXT, *TEXT_KEPT]
PROSE = [*TEXT, *TEXT, *named([mark], keeps=True), *named([crlf, final_lines]), *form.PACKED]
COMPOSE = ["compose", "--steps", "4", "--prompt", "VICTIM", "--out", "HERE/t.mid"]
FORECAST = ["--target", "level", "--series", "port", "--time", "day", "--context", "8"]


def _level() -> dict[str, list]:
    return {"level": seed.measured()["level"][:50], "wind": seed.measured()["wind"][:50]}


DATA = [
    _data("texts csv", "a.csv", lambda: seed.table(seed.labelled()), "classification", CSV, ["predict"]),
    _data("texts tsv", "a.tsv", lambda: seed.table(seed.labelled(), "\t"), "classification", TSV, ["predict"]),
    _data("texts lines", "a.txt", seed.class_lines, "classification", PLAIN, ["predict"]),
    _data("texts jsonl", "a.jsonl", lambda: seed.json_lines(seed.labelled()), "classification", LINES, ["predict"]),
    _data(
        "texts parquet",
        "a.parquet",
        lambda: seed.parquet(seed.labelled()),
        "classification",
        [*binary.PARQUET, GZ],
        ["predict"],
    ),
    _data(
        "texts folder",
        "d/ebb.txt",
        seed.prose,
        "classification",
        PLAIN,
        data="HERE/d",
        rows=2 * seed.ROWS,
        free=False,
        also=lambda: {"d/flow.txt": seed.prose().upper()},
    ),
    _data(
        "series npz",
        "a.npz",
        lambda: seed.npz(seed.series()),
        "classification",
        [*binary.NPZ, GZ],
        ["predict"],
        model="series",
    ),
    _data("series ts", "a.ts", seed.ts, "classification", PLAIN, ["predict"], model="series"),
    _data("series stamped", "a.ts", seed.stamped, "classification", PLAIN, ["predict"], model="stamped"),
    _data(
        "series long",
        "a.csv",
        lambda: seed.table(seed.soundings()),
        "classification",
        CSV,
        ["predict"],
        options=["--series", "buoy", "--time", "hour", "--label", "tide"],
        model="long",
    ),
    _data(
        "forecast csv",
        "a.csv",
        lambda: seed.table(seed.measured()),
        "forecast",
        CSV,
        ["forecast", "VICTIM"],
        options=FORECAST,
        rows=100,
    ),
    _data(
        "forecast german",
        "a.csv",
        seed.german,
        "forecast",
        SEMICOLONS,
        ["forecast", "VICTIM"],
        options=FORECAST,
        rows=100,
    ),
    _data(
        "forecast tsv",
        "a.tsv",
        lambda: seed.table(_level(), "\t"),
        "forecast",
        TSV,
        options=["--target", "level", "--context", "8"],
        rows=50,
        model="level",
    ),
    _data(
        "forecast parquet",
        "a.parquet",
        lambda: seed.parquet(seed.measured()),
        "forecast",
        [*binary.PARQUET, GZ],
        ["forecast", "VICTIM"],
        options=FORECAST,
        rows=100,
    ),
    _data("language txt", "a.txt", seed.prose, "language", PROSE, rows=None),
    _data("music json", "a.json", seed.rolls, "music", [*form.JSON, *TEXT_KEPT], COMPOSE, rows=12),
    _data(
        "music mat",
        "a.mat",
        seed.matlab,
        "music",
        [Mutation("compressed", lambda *_: seed.matlab(compress=True), keeps=True), GZ],
        rows=12,
    ),
    _data(
        "music midi",
        "d/0.mid",
        lambda: seed.midi(0),
        "music",
        [*binary.MIDI, GZ],
        COMPOSE,
        data="HERE/d",
        also=lambda: {f"d/{k}.mid": seed.midi(k) for k in range(12)},
        rows=12,
    ),
    _data(
        "speech wav",
        "0.wav",
        lambda: seed.wav(0),
        "speech",
        binary.WAV,
        ["transcribe", "VICTIM"],
        data="HERE/a.csv",
        rows=20,
        free=False,
        also=lambda: {**seed.recordings(), "a.csv": seed.table(seed.spoken())},
    ),
    _data("speech csv", "a.csv", lambda: seed.table(seed.spoken()), "speech", CSV, also=seed.recordings, rows=20),
    _data(
        "speech jsonl",
        "a.jsonl",
        lambda: seed.json_lines(seed.spoken()),
        "speech",
        LINES,
        also=seed.recordings,
        rows=20,
    ),
    _data(
        "speech spectra",
        "a.npz",
        lambda: seed.npz(seed.spectra()),
        "speech",
        [*binary.NPZ, GZ],
        rows=20,
        model="spectra",
    ),
    _data("tagging columns", "a.conll", seed.columns_of_words, "tagging", PLAIN, ["predict"]),
    _data("tagging conllu", "a.conllu", seed.universal, "tagging", PLAIN, ["predict"], model="universal"),
    _data("tagging jsonl", "a.jsonl", seed.tagged_lines, "tagging", LINES, ["predict"]),
    _data(
        "pairs tsv", "a.tsv", seed.bare_pairs, "translation", PLAIN, ["translate", "--file", "VICTIM", "--beam", "1"]
    ),
    _data("pairs jsonl", "a.jsonl", lambda: seed.json_lines(seed.pairs()), "translation", LINES),
    _data("pairs csv", "a.csv", lambda: seed.table(seed.pairs()), "translation", CSV),
    _data("pairs parquet", "a.parquet", lambda: seed.parquet(seed.pairs()), "translation", [*binary.PARQUET, GZ]),
    _data("pairs dict", "a.dict", seed.lexicon, "translation", PLAIN),
    _data(
        "pairs folder",
        "d/train.en",
        seed.prose,
        "translation",
        PLAIN,
        data="HERE/d",
        model="parallel",
        free=False,
        options=["--source-column", "en", "--target-column", "de"],
        also=lambda: {"d/train.de": seed.prose().lower()},
    ),
]


# --- what tidegate itself has written ---

MODELS = {  # with the kind whose data train it, and what uses it
    "classification": ("texts csv", ["predict"]),
    "series": ("series npz", ["predict"]),
    "stamped": ("series stamped", ["predict"]),
    "long": ("series long", ["predict"]),
    "forecast": ("forecast csv", ["forecast"]),
    "level": ("forecast tsv", ["forecast"]),
    "parallel": ("pairs folder", ["translate", "tide", "--beam", "1"]),
    "language": ("language txt", ["generate", "--prompt", "The ", "--length", "5"]),
    "music": ("music json", ["compose", "--steps", "4", "--out", "HERE/t.mid"]),
    "speech": ("speech csv", ["transcribe"]),
    "spectra": ("speech spectra", ["evaluate"]),
    "tagging": ("tagging columns", ["predict"]),
    "universal": ("tagging conllu", ["evaluate"]),
    "translation": ("pairs tsv", ["translate", "tide and gate", "--beam", "1"]),
}
PARTS: dict[str, list[Mutation]] = {
    "config.toml": [*form.TOML, *TEXT, *BYTES, *PLACES],
    "model.json": [*form.JSON, *form.JSON, *TEXT, *BYTES, *PLACES],
    "model.safetensors": [*binary.TENSORS, *BYTES, *PLACES],
}
WITH_DATA = ("predict", "transcribe", "evaluate", "forecast")


def _models(work: Path) -> list[Kind]:
    made = []
    for name, (own, verb) in MODELS.items():
        data = next(kind for kind in DATA if kind.name == own)
        place = work / "seed" / own.replace(" ", "-") / ("0.wav" if verb == ["transcribe"] else data.victim)
        use = [verb[0], "HERE/model", *verb[1:], *([str(place)] if verb[0] in WITH_DATA else [])]
        look = ["evaluate", "HERE/model"]
        for part, mutations in PARTS.items():
            files = cache(lambda name=name: read_folder(work / "models" / name, "model"))
            made.append(Kind(f"model {name} {part}", f"model/{part}", files, [use, look], mutations, sealed=True))
    return made


def _unfinished(work: Path) -> list[Kind]:
    """Checkpoints, logs, and the records of a comparison; settings of --config."""
    texts, prose = work / "seed/texts-csv/a.csv", work / "seed/language-txt/a.txt"
    resume = ["train", "classification", str(texts), *TRAIN, "--out", "HERE/out"]
    compare = ["compare", str(prose), *COMPARE, "--out", "HERE/out"]
    stopped = cache(lambda: read_folder(work / "stopped", "out"))
    half, whole = (cache(lambda name=name: read_folder(work / name, "out")) for name in ("half", "compared"))
    point = next((name for name in half() if name.endswith(".safetensors")), "")
    record = next((name for name in whole() if "/runs/" in name and name.endswith(".json")), "")
    config = _one("c.toml", (work / "models/classification/config.toml").read_bytes)
    settings = ["train", "classification", str(texts), "--config", "VICTIM", "--out", "HERE/out"]
    return [
        Kind("checkpoint", "out/checkpoint.safetensors", stopped, [resume], [*binary.TENSORS, *BYTES, *PLACES]),
        Kind("log", "out/log.csv", stopped, [resume], [*form.tables(","), *TEXT, *BYTES, *PLACES]),
        Kind("compare checkpoint", point, half, [compare], [*binary.TENSORS, *BYTES, *PLACES]),
        Kind("run record", record, whole, [compare], [*form.JSON, *TEXT, *BYTES, *PLACES]),
        Kind("configuration", "c.toml", config, [settings], [*form.TOML, *TEXT, *BYTES, *PLACES]),
    ]


def kinds(work: Path) -> list[Kind]:
    """All kinds; ``work`` holds the models and checkpoints that have been made from the seeds."""
    return [*DATA, *_models(work), *_unfinished(work)]


def read_folder(folder: Path, name: str) -> Files:
    inside = (path for path in folder.rglob("*") if path.is_file() and path.name not in (".lock", "lock"))
    return {f"{name}/{path.relative_to(folder)}": path.read_bytes() for path in inside}


def seal(folder: Path) -> None:
    """Let the card of a saved model name the hashes of its files, if it can still be read."""
    card = folder / "model.json"
    try:
        data = json.loads(card.read_bytes())
        data["sha256"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in data["sha256"]}
        card.write_text(json.dumps(data), encoding="utf-8")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return
