"""Texts and series with classes that cannot be used."""

from tests.malformed.case import Case

LINES = b"".join(b"%d a text that says %d\n" % (n % 2, n) for n in range(40))
TABLE = b"text,label\n" + b"".join(b"a text that says %d,%d\n" % (n, n % 2) for n in range(40))
NUMBERS = b"text,label\n" + b"".join(b"a text that says %d,%d.5\n" % (n, n) for n in range(40))
HEADER = b"@problemName a\n@timeStamps false\n@univariate true\n@classLabel true a b\n@data\n"
STAMPED = HEADER.replace(b"Stamps false", b"Stamps true")
PAIRS = b"".join(b"(0,%d),(1.5,2):%s\n" % (n, b"ab"[n % 2 : n % 2 + 1]) for n in range(40))
LONG = b"id,at,level,class\n" + b"".join(b"s%d,%d,%d,%d\n" % (n // 2, n % 2, n * n % 7, n // 2 % 2) for n in range(40))
ROWS = b"".join(b"%d,1,2,3:%s\n" % (n, b"ab"[n % 2 : n % 2 + 1]) for n in range(40))


def case(name, content, *says, file="a.txt", options=()):
    return Case(name, "classification", {file: content}, file, [file, *says], list(options))


def long_case(name, content, *says, options=("--series", "id", "--time", "at")):
    return case(name, content, *says, file="a.csv", options=options)


CASES = [
    case("no file content", b"", "empty"),
    case("blanks only", b" \n \n", "empty"),
    case("UTF-16", "a text".encode("utf-16"), "UTF-16"),
    case("not UTF-8", LINES + b"1 caf\xe9\n", "0xe9", "line 41"),
    case("binary", LINES + b"1 \0\0", "zero byte"),
    case("line without a text", LINES + b"alone\n", "line 41", "'alone'"),
    case("prose", b"".join(b"word%d goes on\n" % n for n in range(40)), "40 different words"),
    case("one class", LINES.replace(b"1 a", b"0 a"), "every row", "'0'"),
    case("one row", b"1 a text\n", "class '1'"),
    case("few rows", b"1 a\n0 b\n1 c\n0 d\n", "4 rows", "10"),
    case("one text over and over", b"1 a\n0 a\n" * 20, "1 of its 40 rows differ"),
    case("missing column", TABLE, "'verdict'", "'label'", file="a.csv", options=["--label", "verdict"]),
    case("no obvious columns", TABLE.replace(b"text,label", b"a,b"), "--text", "'a', 'b'", file="a.csv"),
    Case(
        "one column for both",
        "classification",
        {"a.csv": TABLE},
        "a.csv",
        ["--text and --label both name", "'label'"],
        ["--text", "label", "--label", "label"],
    ),
    case("header only", b"text,label\n", "no rows", file="a.csv"),
    case("ragged row", TABLE + b"a,b,c\n", "line 42", file="a.csv"),
    case("open quote", TABLE + b'"a,1\n', "line 42", file="a.csv"),
    case("row without a class", TABLE + b"a text,\n", "row 41", "a class", file="a.csv"),
    case("numbers to regress", NUMBERS, "40 different classes", file="a.csv"),
    case("not JSON", b'{"text": "a", "label": 1}\n{"text": \n', "line 2", file="a.jsonl"),
    case("JSON without keys", b"[1, 2]\n", "line 1", file="a.jsonl"),
    case("JSON with other keys", b'{"text": "a", "label": 1}\n{"text": "a"}\n', "line 2", "'label'", file="a.jsonl"),
    case("JSON of another kind", b'{"text": 3, "label": 1}\n', "line 1", "not a number: 3", file="a.jsonl"),
    case("JSON nested too deep", b'{"text": ' + b"[" * 100_000, "line 1", file="a.jsonl"),
    case("JSON with null for a class", b'{"text": "a", "label": null}\n', "line 1", file="a.jsonl"),
    case("JSON with NaN for a class", b'{"text": "a", "label": NaN}\n', "line 1", "nan", file="a.jsonl"),
    case("truncated Parquet", b"PAR1\x15\x04\x15", "not a readable Parquet", file="a.parquet"),
    case("truncated archive", b"PK\3\4\x14\0\0\0", "not a readable .npz", file="a.npz"),
    case("no @data", HEADER.replace(b"@data\n", b""), "no line @data", file="a.ts"),
    case("no series", HEADER, "no series", file="a.ts"),
    case("series without classes", HEADER.replace(b"true a b", b"false") + ROWS, "@classLabel false", file="a.ts"),
    case("time stamps without pairs", STAMPED + ROWS, "line 6", "(time,value)", file="a.ts"),
    case("time stamps that fall", STAMPED + PAIRS + b"(1,1),(0,1):a\n", "line 46", "the time 0 behind 1", file="a.ts"),
    case("dates as time stamps", STAMPED + b"(2024-01-31 10:00:00,1):a\n" + PAIRS, "line 6", "2024-01-31", file="a.ts"),
    long_case("times without series", LONG, "'at'", "--series", options=["--time", "at"]),
    long_case("no such series", LONG, "'who'", "'id'", options=["--series", "who"]),
    long_case("series without a name", LONG + b",0,1,1\n", "row 41", "'id'"),
    long_case("series of two classes", LONG + b"s3,2,1,0\n", "'s3'", "'1' in row 7", "'0' in row 41"),
    long_case("series without a class", LONG + b"s77,2,1,\n", "'s77'", "no class"),
    long_case("word among values", LONG + b"s77,2,high,1\n", "'level' in row 41", "'high'"),
    long_case("huge value", LONG + b"s77,2,1e40,1\n", "'level' in row 41", "'1e40'"),
    long_case("time twice", LONG + b"s3,1,1,1\n", "the time 1 twice", "'s3'"),
    long_case("times that fall", LONG + b"s3,0.5,1,1\n", "in time order", "'s3'"),
    long_case("row without a time", LONG + b"s3,,1,1\n", "row 41", "a date or a number"),
    long_case(
        "no values", b"id,at,class\n" + b"".join(b"s%d,0,%d\n" % (n, n % 2) for n in range(40)), "no column of numbers"
    ),
    case(
        "series of what is no table",
        HEADER + ROWS,
        "--series id",
        "no table",
        file="a.ts",
        options=["--series", "id"],
    ),
    case("class that the header lacks", HEADER + ROWS + b"1,2,3:c\n", "line 46", "'c'", file="a.ts"),
    case("too many channels", HEADER + ROWS + b"1,2:1,2:a\n", "line 46", "2 channels", file="a.ts"),
    case("channels of two lengths", HEADER.replace(b"@univariate true\n", b"") + b"1,2:1:a\n", "line 5", file="a.ts"),
    case("another length", b"@seriesLength 4\n" + HEADER + ROWS + b"1,2:a\n", "line 47", "2 steps", file="a.ts"),
    case("word for a number", HEADER + ROWS + b"1,two:a\n", "line 46", "'two'", file="a.ts"),
    case("infinite number", HEADER + ROWS + b"1,inf:a\n", "line 46", "infinite", file="a.ts"),
    case("absurd count", b"@dimensions -1\n" + HEADER + ROWS, "line 1", file="a.ts"),
    Case("share out of range", "classification", {"a.txt": LINES}, "a.txt", ["0.9", "0.4"], ["--valid-share", "0.9"]),
    Case(
        "classes as files and as folders",
        "classification",
        {"a/pos.txt": b"good\n", "a/neg/1.txt": b"bad\n"},
        "a",
        ["pos.txt", "neg/1.txt"],
    ),
    Case(
        "folder with a binary file",
        "classification",
        {"a/pos.txt": b"good\n" * 20, "a/neg.txt": b"b\0d"},
        "a",
        ["a/neg.txt", "zero byte"],
    ),
]
