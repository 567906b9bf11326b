"""Files of pairs that cannot be used."""

import gzip
import io

import pandas as pd

from tests.malformed.case import Case

GOOD = b"".join(b"source %d\ttarget %d\n" % (k, k) for k in range(40))


def parquet() -> bytes:
    """A Parquet file with a column of numbers."""
    written = io.BytesIO()
    pd.DataFrame({"source": ["a", "b"], "target": [1, 2]}).to_parquet(written)
    return written.getvalue()


def case(name: str, file: str, content: bytes, says: list[str], options: list[str] | None = None) -> Case:
    return Case(name, "translation", {file: content}, file, [file.removesuffix(".gz"), *says], options or [])


CASES = [
    case("empty", "a.tsv", b"", ["empty"]),
    case("blank", "a.tsv", b" \n\n", ["empty"]),
    case("one pair", "a.tsv", b"Hi.\tSalut.\n", ["1 different source,", "20"]),
    case("one source", "a.tsv", b"".join(b"Hi.\tSalut %d\n" % k for k in range(40)), ["1 different source,"]),
    case("one column", "a.tsv", GOOD + b"no tab here\n", ["line 41", "1 column", "a tab"]),
    case("spaces for tabs", "a.txt", b"Hi. Salut.\n" * 40, ["line 1", "a tab"]),
    case("empty sides", "a.tsv", b"Hi.\t\n\tSalut.\n", ["no pair with text on both sides", "2 rows"]),
    case("latin-1", "a.tsv", GOOD + "gar\u00e7on\tboy\n".encode("latin-1"), ["line 41", "0xe7", "UTF-8"]),
    case("utf-16", "a.tsv", GOOD.decode().encode("utf-16"), ["UTF-16"]),
    case("zero bytes", "a.tsv", GOOD + b"a\0b\tc\n", ["binary"]),
    case("a document for a sentence", "a.tsv", GOOD + b"word " * 4000 + b"\tmot\n", ["line 41", "characters"]),
    case("no such suffix", "a.docx", GOOD, ["suffix", ".tsv"]),
    case("cut gzip", "a.tsv.gz", gzip.compress(GOOD)[:-20], ["unpacked", "gzip"]),
    case("no gzip", "a.tsv.gz", GOOD, ["unpacked", "not what its name says"]),
    case("csv without the columns", "a.csv", b"en,de\nHi.,Hallo.\n", ["'source'", "--source-column", "'en', 'de'"]),
    case(
        "csv without that column",
        "a.csv",
        b"en,de\nHi.,Hi\n",
        ["'dee'", "'de'"],
        ["--source-column", "en", "--target-column", "dee"],
    ),
    case("csv with a row too long", "a.csv", b"source,target\nHi.,Hallo.,x\n", ["line 2", "3 cells"]),
    case("csv with an open quote", "a.csv", b'source,target\n"Hi.,Hallo.\n', ["line 2"]),
    case("csv of one row", "a.csv", b"source,target\nHi.,Hallo.\n", ["1 different source,"]),
    case("json line cut", "a.jsonl", b'{"source": "a", "target": "b"}\n{"source": "a"', ["line 2", "JSON"]),
    case("json of numbers", "a.jsonl", b'{"source": 1, "target": NaN}\n', ["line 1", '"target": "text"']),
    case("json list", "a.jsonl", b'["a", "b"]\n', ["line 1", '"source": "text"']),
    case(
        "json half character",
        "a.jsonl",
        b'{"source": "\\ud83d", "target": "b"}\n',
        ["line 1", "half of a surrogate pair"],
    ),
    case("no parquet", "a.parquet", b"PAR1 and no more", ["Parquet"]),
    case("parquet of numbers", "a.parquet", parquet(), ["row 1", "'target'", "text"]),
    case("word without phonemes", "a.dict", b"hello HH AH0 L OW1\nworld\n", ["line 2", "'world'", "phonemes"]),
    case("a dictionary of remarks", "a.dict", b";;; nothing\n# here\n", ["no pair"]),
    Case(
        "fewer pieces than characters",
        "translation",
        {"a.tsv": GOOD},
        "a.tsv",
        ["8 pieces", "different characters", "--source-vocabulary"],
        ["--source-vocabulary", "8"],
    ),
    case("all too long", "a.tsv", GOOD, ["longer than 1 units", "--longest"], ["--longest", "1"]),
    Case(
        "parallel files of unequal lines",
        "translation",
        {"d/train.en": b"a\nb\n", "d/train.de": b"a\n"},
        "d",
        ["train.en has 2 lines", "train.de has 1"],
        ["--source-column", "en", "--target-column", "de"],
    ),
    Case(
        "parallel files without a direction",
        "translation",
        {"d/train.en": b"a\n", "d/train.de": b"a\n"},
        "d",
        ["de, en", "--source-column"],
    ),
    Case("folder of others", "translation", {"d/a.png": b"x"}, "d", ["train.en"]),
    Case(
        "test file of another kind",
        "translation",
        {"a.tsv": GOOD, "b.tsv": b"no tab\n"},
        "a.tsv",
        ["b.tsv", "line 1"],
        ["--test", "b.tsv"],
    ),
]
