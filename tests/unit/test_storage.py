"""Files are replaced as a whole or not at all."""

import pytest

from tidegate.storage import replace_file


@pytest.mark.parametrize("content", ["ä\r\n", b"\x00\xff"])
def test_content_stands_as_it_was_given(tmp_path, content) -> None:
    path = tmp_path / "new" / "file"
    replace_file(path, content)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch) -> None:
    path = tmp_path / "file"
    replace_file(path, "old")

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        replace_file(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
