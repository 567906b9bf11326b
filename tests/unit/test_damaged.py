"""Damaged and hostile files of every kind: one line that names the file, in no words of Python's."""

import io
import json
import os
import struct
import zipfile

import numpy as np
import pytest

from tidegate.data import Source, check_step, locate
from tidegate.data.foreign import foreign
from tidegate.data.labelled import Layout, in_memory, read_labelled
from tidegate.data.music import read_music
from tidegate.data.npz import read_npz
from tidegate.data.packed import LEAST_LIMIT
from tidegate.data.parquet import read_parquet
from tidegate.data.speech import read_speech
from tidegate.errors import InputError
from tidegate.plain import read_json, typed

CENTRAL, LOCAL = b"PK\1\2", b"PK\3\4"


def archive(method: int = zipfile.ZIP_DEFLATED, **arrays) -> bytes:
    """An archive of arrays, compressed."""
    arrays = arrays or {"x": np.random.default_rng(0).normal(size=(40, 30)), "y": np.arange(40) % 2}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as file:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.save(part, array)
            file.writestr(f"{name}.npy", part.getvalue())
    return content.getvalue()


def patched(raw: bytes, field: int, value: int) -> bytes:
    """Another number in a field of two bytes of each header: 6 flags, 8 method; the central ones have it 2 later."""
    content = bytearray(raw)
    for mark, shift in ((LOCAL, 0), (CENTRAL, 2)):
        at = content.find(mark)
        while at >= 0:
            struct.pack_into("<H", content, at + field + shift, value)
            at = content.find(mark, at + 4)
    return bytes(content)


def flipped(raw: bytes) -> bytes:
    """The stream of the first array with other bytes."""
    return raw[:60] + bytes(byte ^ 0x5A for byte in raw[60:400]) + raw[400:]


def array_with(header: bytes, data: bytes = b"") -> bytes:
    """An archive whose x has this header."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("x.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data)
    return content.getvalue()


def bomb() -> bytes:
    """Zeros that unpack to more than the limit."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file, file.open("x.npy", "w") as part:
        for _ in range(LEAST_LIMIT // (1 << 20) + 1):
            part.write(bytes(1 << 20))
    return content.getvalue()


HEADER = b"{'descr': '<f8', 'fortran_order': False, 'shape': (%s), }\n"
ARCHIVES = {
    "encrypted": (patched(archive(), 6, 1), "encrypted"),
    "patched data": (patched(archive(), 6, 0x20), "patched data"),
    "strong encryption": (patched(archive(), 6, 0x41), "encrypt"),
    "unknown compression": (patched(archive(), 8, 99), "compression"),
    "another compression": (patched(archive(), 8, 12), ""),
    "damaged deflate": (flipped(archive()), ""),
    "damaged LZMA": (flipped(archive(zipfile.ZIP_LZMA)), ""),
    "damaged bzip2": (flipped(archive(zipfile.ZIP_BZIP2)), ""),
    "cut off": (archive()[:-200], ""),
    "open header": (array_with(b"{'descr': '<f8', 'shape': (3,"), ""),
    "header of another kind": (array_with(b"[1, 2]\n"), ""),
    "deep header": (array_with(b"[" * 5000 + b"\n"), ""),
    "huge shape": (array_with(HEADER % b"1 << 40,".replace(b"1 << 40", b"1099511627776")), "only 0 bytes"),
    "negative shape": (array_with(HEADER % b"-3,", bytes(80)), "shape"),
    "objects": (archive(x=np.array([{}, 1], dtype=object)), ""),
    "bomb": (bomb(), "unpack to"),
}


def line_of(caught) -> str:
    """The error, which must be one line in plain words."""
    line = str(caught.value)
    assert line.isprintable(), line
    assert len(line) < 600
    assert not any(word in line for word in ("Error", "Exception", "recursion", "NoneType", "sys.")), line
    return line


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_of_series_is_refused(name) -> None:
    raw, says = ARCHIVES[name]
    with pytest.raises(InputError, match=r"not a readable .npz archive: .") as caught:
        read_labelled(Source("a.npz", "a.npz", raw), Layout())
    assert says in line_of(caught)


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_of_spectra_is_refused(name) -> None:
    raw, says = ARCHIVES[name]
    with pytest.raises(InputError, match=r"no readable spectra: .") as caught:
        read_speech(Source("a.npz", "a.npz", raw))
    assert says in line_of(caught)


OTHER = {
    "lengths": (np.array([2.0, 1.0]), "lengths must be counts"),
    "negative": (np.array([4, -1]), "lengths must be counts"),
    "frames": (np.ones((3, 4), np.float32), "frames must be whole numbers"),
    "names": (np.array([1, 2]), "names must be texts"),
    "texts": (np.array([["a", "b"]]), "texts must be texts"),
    "sum": (np.array([2, 2]), "lengths add up to 4, but there are 3 frames"),
}


def test_classes_in_numbers_wider_than_pythons_are_read() -> None:
    raw = archive(x=np.zeros((4, 3)), y=np.array([0, 1, 0, 1], dtype=np.longdouble))
    assert read_labelled(Source("a.npz", "a.npz", raw), Layout())["train"].labels == (0.0, 1.0, 0.0, 1.0)


@pytest.mark.parametrize("name", OTHER)
def test_spectra_whose_arrays_are_of_another_kind_are_refused(name) -> None:
    words = dict.fromkeys(("names", "texts", "speakers", "splits"), np.array(["a", "b"]))
    made = {"rate": 8000, "window": 256, "hop": 160, "low": 60.0, "high": 3800.0, "peak": True}
    good = {"lengths": np.array([2, 1]), "frames": np.ones((3, 4), np.uint8), **words}
    good["made"] = np.array(json.dumps({**made, "least": -9.0, "most": 8.0}))
    assert len(read_speech(Source("a.npz", "a.npz", archive(**good))).recordings) == 2
    good["made"] = good["made"][None]  # as numpy's asfortranarray leaves it
    assert len(read_speech(Source("a.npz", "a.npz", archive(**good))).recordings) == 2
    array, says = OTHER[name]
    bad = {**good, name if name in good else "lengths": array}
    with pytest.raises(InputError, match="a.npz has no readable spectra: " + says) as caught:
        read_speech(Source("a.npz", "a.npz", archive(**bad)))
    line_of(caught)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_sound_archive_is_read_as_numpy_reads_it(method) -> None:
    arrays = {"x": np.asfortranarray(np.arange(12.0).reshape(3, 4)), "y": np.array(["ä", "b"]), "n": np.int64(3)}
    arrays["none"] = np.zeros((0, 1 << 40))
    read = read_npz(archive(method, **arrays))
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array, strict=True)


def parquet(**columns) -> bytes:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content)
    return content.getvalue()


def test_parquet_that_is_not_utf8_is_refused() -> None:
    pa = pytest.importorskip("pyarrow")
    text = pa.StringArray.from_buffers(2, pa.array([0, 1, 3], pa.int32()).buffers()[1], pa.py_buffer(b"a\xff\xfe"))
    with pytest.raises(InputError, match="column 'text' is damaged or not UTF-8") as caught:
        read_parquet(Source("a.parquet", "a.parquet", parquet(text=text)))
    line_of(caught)


def test_parquet_of_a_billion_equal_numbers_is_refused() -> None:
    pa = pytest.importorskip("pyarrow")
    raw = parquet(x=pa.chunked_array([pa.nulls(1 << 20, pa.int8())] * 12))
    with pytest.raises(InputError, match="unpack to") as caught:
        read_parquet(Source("a.parquet", "a.parquet", raw))
    line_of(caught)


LABELS = [10**4000, "9" * 4000, "a" * 1001]


@pytest.mark.parametrize("label", LABELS, ids=lambda label: str(type(label)))
def test_a_class_of_thousands_of_characters_is_refused(label) -> None:
    rows = [json.dumps({"text": f"a {k}", "label": label if k == 3 else k % 2}) for k in range(20)]
    with pytest.raises(InputError, match=r"the class in line 4 of a.jsonl .* 1,000") as caught:
        read_labelled(Source("a.jsonl", "a.jsonl", "\n".join(rows).encode()), Layout())
    line_of(caught)
    with pytest.raises(InputError, match="characters"):
        read_labelled(in_memory(["a", "b"], [str(label), "c"]), Layout())


def test_a_class_of_more_digits_than_python_prints_is_refused_in_memory() -> None:
    with pytest.raises(InputError, match="more than 1,000 digits"):
        in_memory(["a", "b"], [10**5000, 1])


JSONS = {
    b"[" * 100_000: "nested too deeply",
    b'{"a": ' * 50_000: "nested too deeply",
    b"9" * 5000: "thousands of digits",
    b"\xff": "byte 0 is not UTF-8",
    b"{'a': 1}": "line 1, column 2",
    b"": "line 1, column 1",
}


@pytest.mark.parametrize("raw", JSONS, ids=lambda raw: raw[:8])
def test_json_is_refused_in_plain_words(raw) -> None:
    with pytest.raises(InputError) as caught:
        read_json(raw)
    assert JSONS[raw] in line_of(caught)
    if len(raw) > 1000:
        with pytest.raises(InputError, match=f"a.json is not JSON: .*{JSONS[raw]}"):
            read_music(Source("a.json", "a.json", raw))


TYPES = [
    (3, float, 3.0),
    ([1, 2.5], tuple[float, ...], (1.0, 2.5)),
    ({"a": [1, 2]}, dict[str, tuple[float, float]], {"a": (1.0, 2.0)}),
    (True, str | int | bool, True),
    (None, int | None, None),
]
MISFITS = [
    (True, int, "a is true, expected an integer"),
    (1.0, int, "a is 1.0, expected an integer"),
    (10**400, float, "expected a number"),
    ([1], tuple[int, int], "a list of 2"),
    ([[1], ["x"]], list[list[int]], "a[1][0] is 'x'"),
    ({"\x1b": None}, dict[str, int], r"a.'\x1b' is null"),
    ("x", int | float, "an integer or a number"),
    ({}, list[int], "a is {}, expected a list"),
]


@pytest.mark.parametrize(("value", "hint", "result"), TYPES)
def test_a_value_becomes_its_declared_type(value, hint, result) -> None:
    made = typed(value, hint, "a")
    assert made == result
    assert type(made) is type(result)


@pytest.mark.parametrize(("value", "hint", "says"), MISFITS)
def test_a_value_of_another_type_is_named(value, hint, says) -> None:
    with pytest.raises(InputError) as caught:
        typed(value, hint, "a")
    assert says in line_of(caught)


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError("maximum"), KeyError("x"), ZeroDivisionError(), OSError()]
)
def test_whatever_a_reader_raises_is_one_line(error) -> None:
    with (
        pytest.raises(InputError, match=r"^a.x is not readable: .") as caught,
        foreign("X", "a.x is not readable", "-"),
    ):
        raise error
    line_of(caught)


def test_an_interruption_and_an_error_of_ours_pass() -> None:
    for error in (KeyboardInterrupt(), InputError("A", "b")):
        with pytest.raises(type(error)) as caught, foreign("X", "y", "z"):
            raise error
        assert caught.value is error


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_pipe_is_refused_in_one_sentence(tmp_path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(InputError) as caught:
        locate(tmp_path / "a.csv")
    assert (
        line_of(caught) == f"{tmp_path / 'a.csv'} is no regular file, but a device or a pipe — write it to a file first"
    )


def test_texts_of_an_archive_are_of_characters():
    texts = np.array(["ebb", "flow"])
    texts.view("<u4")[1] = 0xFFFFFFFF
    with pytest.raises(InputError, match=r"a\.npz .*stand for no character"):
        read_labelled(Source("a.npz", "a.npz", archive(x=np.zeros((2, 3)), y=texts)), Layout())
    for kept in (np.array("é"), np.array(["é"]).astype(">U1"), np.array([], "<U3")):
        assert read_npz(archive(x=kept))["x"].tolist() == kept.tolist()


@pytest.mark.parametrize(
    "error", [OSError("Couldn't deserialize thrift: TProtocolException"), ValueError("KeyError: x")]
)
def test_a_reason_is_in_no_words_of_code(error):
    with (
        pytest.raises(InputError, match=r"a\.parquet is unreadable: it is damaged"),
        foreign("A", "a.parquet is unreadable", "."),
    ):
        raise error


@pytest.mark.parametrize(
    ("step", "dated"),
    [("\x1b[2J", True), ("", True), ("9" * 20 + "D", True), ("x", False), ("nan", False), ("0", False)],
)
def test_a_step_that_no_rows_can_have_is_quoted(step, dated):
    with pytest.raises(ValueError, match=r"^'[^']*' is no step from one row to the next$"):
        check_step(step, dated=dated)


def test_half_precision_is_checked_without_a_warning():
    found = read_labelled(Source("a.npz", "a.npz", archive(x=np.ones((4, 3), np.float16), y=np.arange(4))), Layout())
    assert len(found["train"].items) == 4
