"""The report in a real browser: it loads from a file, runs its script without complaint, and shows something."""

import shutil
import struct
import subprocess
import zlib
from dataclasses import replace

import pytest

from tests.unit.report_record import comparison, renamed
from tidegate.report import write_html

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine, so the page cannot be shown")

PROBE = """<script>
addEventListener("load", () => {
  const panel = document.querySelector(".panel"), box = panel.getBoundingClientRect();
  panel.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + box.width / 2, clientY: box.top + 40}));
  const tip = panel.querySelector(".tip");
  document.body.dataset.tip = tip.hidden ? "hidden" : tip.textContent;
  const toggle = document.querySelector("[data-toggle='0']");
  toggle.click();
  const lines = [...document.querySelectorAll(".panel [data-series='0']")];
  document.body.dataset.toggled = lines.length > 0 && lines.every((line) => line.style.display === "none");
  const clipped = [...document.querySelectorAll("svg.figure")].flatMap((figure) => {
    const frame = figure.getBoundingClientRect();
    return [...figure.querySelectorAll("text")].filter((text) => {
      const box = text.getBoundingClientRect();
      const wide = Math.max(frame.left - box.left, box.right - frame.right);
      return Math.max(wide, frame.top - box.top, box.bottom - frame.bottom) > 1;
    });
  });
  document.body.dataset.clipped = clipped.map((text) => text.textContent).join("; ");
  document.body.dataset.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
});
</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_html(comparison(), path)
    return path


def chromium(page, folder, *options):
    command = [
        *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-extensions", "--disable-dev-shm-usage"),
        *("--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}", *options, page.as_uri()),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def test_page_loads_without_complaint(page, tmp_path):
    done = chromium(page, tmp_path, "--dump-dom")
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert complaints == []
    for section in ("answer", "scores", "pairs", "costs", "curves", "memory", "runs", "baselines", "cells", "protocol"):
        assert f'<section id="{section}"' in done.stdout
    assert done.stdout.count('class="tip"') == 2


@pytest.mark.parametrize("width", [500, 1280])
def test_hover_and_toggles_work_and_the_page_never_scrolls_sideways(page, tmp_path, width):
    probed = tmp_path / "probed.html"
    probed.write_text(page.read_text(encoding="utf-8").replace("</body>", PROBE), encoding="utf-8")
    dom = chromium(probed, tmp_path, "--dump-dom", f"--window-size={width},2000").stdout
    assert 'data-overflow="0"' in dom
    assert 'data-tip="epoch ' in dom
    assert "GRU8." in dom
    assert 'data-toggled="true"' in dom


@pytest.mark.parametrize("metric", ["MAE/sd", "negative log-likelihood per frame of all voices"])
def test_long_labels_are_not_cut_off(tmp_path, metric):
    record = replace(comparison(epochs=4), metric=metric, unit="standard deviations of the training target yy")
    record = renamed(record, {cell.name: f"{'a' * 40}{cell.name}" for cell in record.cells})
    path = tmp_path / "long.html"
    write_html(record, path)
    path.write_text(path.read_text(encoding="utf-8").replace("</body>", PROBE), encoding="utf-8")
    assert 'data-clipped=""' in chromium(path, tmp_path, "--dump-dom", "--window-size=1280,2000").stdout


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_picture_is_not_blank(page, tmp_path, scheme):
    shot = tmp_path / "shot.png"
    options = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    chromium(page, tmp_path, f"--screenshot={shot}", "--window-size=800,700", *options)
    lines = scanlines(shot)
    assert len(lines) == 700
    assert len(set(lines)) > 200
    assert (lines[2][-1] < 100) == (scheme == "dark")


def test_page_prints(page, tmp_path):
    printed = tmp_path / "report.pdf"
    chromium(page, tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={printed}")
    assert printed.read_bytes().startswith(b"%PDF")


def scanlines(path):
    """Rows of a PNG with 8 bits a channel, filters undone."""
    data, place, packed = path.read_bytes(), 8, b""
    width, height, _, kind = struct.unpack(">IIBB", data[16:26])
    step = {2: 3, 6: 4}[kind]
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        if data[place + 4 : place + 8] == b"IDAT":
            packed += data[place + 8 : place + 8 + length]
        place += 12 + length
    raw, wide = zlib.decompress(packed), width * step
    lines, above = [], bytes(wide)
    for row in range(height):
        start = row * (wide + 1)
        above = unfiltered(raw[start], raw[start + 1 : start + 1 + wide], above, step)
        lines.append(above)
    return lines


def unfiltered(kind, line, above, step):
    result = bytearray(line)
    for i in range(len(line)) if kind else ():
        left, corner = (result[i - step], above[i - step]) if i >= step else (0, 0)
        guess = (0, left, above[i], (left + above[i]) // 2, paeth(left, above[i], corner))[kind]
        result[i] = (line[i] + guess) & 255
    return bytes(result)


def paeth(left, above, corner):
    estimate = left + above - corner
    return min((left, above, corner), key=lambda value: abs(estimate - value))
