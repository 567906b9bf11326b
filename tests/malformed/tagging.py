"""Sentences with tags that cannot be used."""

from tests.malformed.case import Case

ROWS = "".join(f"to O\nword{n} B-TOWN\n\n" for n in range(20)).encode()
LINES = b'{"words": ["to", "Rome"], "tags": ["O", "TOWN"]}\n' * 20
CONLLU = b"".join(
    b"1\tto%d" % n + b"\tto\tADP" + b"\t_" * 6 + b"\n2\tRome\tRome\tPROPN" + b"\t_" * 6 + b"\n\n" for n in range(20)
)


def case(name, content, *says, file="a.conll", options=()):
    return Case(name, "tagging", {file: content}, file, list(says), list(options))


def beside(name, part, content, *says):
    return Case(name, "tagging", {"a.conll": ROWS, "b.conll": content}, "a.conll", list(says), [f"--{part}", "b.conll"])


CASES = [
    case("empty file", b"", "a.conll", "empty"),
    case("blanks only", b" \n\t\n", "a.conll", "empty"),
    case("UTF-16", ROWS.decode().encode("utf-16"), "UTF-16"),
    case("not UTF-8", ROWS + b"caf\xe9 O\n", "0xe9", "line 61"),
    case("binary", ROWS + b"a\0 O\n", "zero byte"),
    case("comments only", b"# text = a\n\n# text = b\n", "no words"),
    case("documents only", b"-DOCSTART- -X- O\n\n" * 20, "no words"),
    case("word without a tag", ROWS + b"to\n", "line 61", "1 column", "have 2"),
    case("a column too many", ROWS + b"to O O\n", "line 61", "3 columns", "have 2"),
    case("a tag that is missing behind a tab", ROWS.replace(b" ", b"\t") + b"to\t\n", "line 61", "no tag in column 2"),
    case("a word that is missing before a tab", ROWS.replace(b" ", b"\t") + b"\tO\n", "line 61", "no word in column 1"),
    case("words alone", b"to\nRome\n\n" * 20, "a.conll", "one column"),
    case("no blank lines", ROWS.replace(b"\n\n", b"\n"), "1 sentence", "10", "blank line"),
    case("few sentences", b"to O\nRome X\n\n" * 3, "3 sentences", "at least 10"),
    case("one sentence over and over", b"to O\nRome X\n\n" * 20, "1 of its 20 differ"),
    case("one tag", ROWS.replace(b"B-TOWN", b"O"), "every word", "'O'"),
    case("mixed with tags that mark nothing", ROWS + b"Rome TOWN\n", "mixed", "'TOWN' of 'Rome'", "line 61", "--plain"),
    case("mixed BIOES and BILOU", ROWS + b"Rome S-TOWN\n\nOslo U-TOWN\n", "BIOES and BILOU", "'U-TOWN'"),
    case("column that does not exist", ROWS, "--tag-column 3", "2 columns", options=["--tag-column", "3"]),
    case("one column for both", ROWS, "both 1", options=["--word-column", "1", "--tag-column", "1"]),
    case("column zero", ROWS, "--tag-column 0", "at least 1", options=["--tag-column", "0"]),
    case("part that is not named for all", ROWS + b"# split = test\nto O\n", "all sentences"),
    case("no part for training", b"# split = test\n" + ROWS, "no sentence to training"),
    case("nine columns of CoNLL-U", CONLLU.replace(b"\t_\n", b"\n"), "9 columns", "10", file="a.conllu"),
    case(
        "CoNLL-U without tags",
        CONLLU + CONLLU[:9].replace(b"\tto\tA", b"\t") + b"\tto\t_" + b"\t_" * 6,
        "61",
        file="a.conllu",
    ),
    case("CoNLL-U that miscounts", CONLLU.replace(b"2\tRome", b"3\tRome"), "line 2", "number 3", "2", file="a.conllu"),
    case("CoNLL-U without blank lines", CONLLU.replace(b"\n\n", b"\n"), "line 3", "number 1", file="a.conllu"),
    case("CoNLL-U with a letter", CONLLU + b"x\tto\tto\tADP" + b"\t_" * 6, "line 61", "'x'", file="a.conllu"),
    case("not JSON", LINES + b'{"words"\n', "line 21", "not JSON", file="a.jsonl"),
    case("JSON without words", LINES + b'{"text": "to Rome"}\n', "line 21", "'words'", file="a.jsonl"),
    case("JSON without tags", LINES + b'{"words": ["to"]}\n', "line 21", "'tags'", file="a.jsonl"),
    case(
        "JSON of two lengths", LINES + b'{"words": ["to", "x"], "tags": ["O"]}\n', "line 21", "2 words", file="a.jsonl"
    ),
    case("JSON with a text", LINES + b'{"words": "to", "tags": ["O"]}\n', "line 21", "not a list", file="a.jsonl"),
    case("JSON with a number", LINES + b'{"words": ["to"], "tags": [3]}\n', "line 21", "holds 3", file="a.jsonl"),
    case("JSON with an empty word", LINES + b'{"words": [""], "tags": ["O"]}\n', "line 21", "empty", file="a.jsonl"),
    case("JSON with half a letter", LINES + b'{"words": ["\\ud800"], "tags": ["O"]}\n', "line 21", file="a.jsonl"),
    case("JSON with another part", LINES + b'{"words": ["to"], "tags": ["O"], "split": "x"}\n', "'x'", file="a.jsonl"),
    case("JSON with empty sentences alone", b'{"words": [], "tags": []}\n' * 20, "0 sentences", file="a.jsonl"),
    beside("validation by other tags", "valid", b"to X\nRome Y\n\n", "B-TOWN", "X", "--plain"),
    beside("test without tags", "test", b"to\nRome\n", "b.conll", "one column"),
    beside("test by new tags alone", "test", b"Rome B-CITY\n", "b.conll", "B-CITY", "'B-TOWN', 'O'"),
    Case("folder", "tagging", {"d/a.conll": ROWS}, "d", ["is a folder"]),
    Case("name misspelt", "tagging", {"trips.conll": ROWS}, "trip.conll", ["did you mean 'trips.conll'"]),
    Case("set of another task", "tagging", {}, "jsb", ["JSB", "music"]),
]
