"""Build the site in all languages at the same time: ``make docs``. Arguments go to Sphinx.

Each warning fails the build, and so does code of a page that fails, and a page that is not wholly translated.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

DOCS = Path(__file__).resolve().parent
BUILT = DOCS / "_build"
PLACES = {"en": BUILT / "html", "zh_CN": BUILT / "html" / "zh"}
PHASE = re.compile(r"(reading|writing)[^[]*\[ *(\d+)%\]\S* *(\S*)")
COMPLAINT = re.compile(r"\b(WARNING|ERROR)\b")
EVERY = 1 if sys.stderr.isatty() else 15  # seconds between two words on how far it is


class Build:
    """Sphinx at work on one language, in a process of its own."""

    def __init__(self, language: str, arguments: list[str]) -> None:
        self.language, self.trees, self.at, self.warnings = language, BUILT / "trees" / language, "begins", 0
        command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--conf-dir", str(DOCS)]
        command += ["-d", str(self.trees), "-D", f"language={language}", *arguments]
        self.process = subprocess.Popen(  # noqa: S603
            [*command, str(DOCS.parent), str(PLACES[language])],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
            env={"OMP_NUM_THREADS": "1", **os.environ, "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"},
        )  # fmt: skip
        self.readers = [Thread(target=self.follow), Thread(target=self.complain)]
        for reader in self.readers:
            reader.start()

    def follow(self) -> None:
        for line in self.process.stdout or ():
            if found := PHASE.search(line):
                self.at = "{} {} % {}".format(*found.groups())

    def complain(self) -> None:
        for line in self.process.stderr or ():
            self.warnings += bool(COMPLAINT.search(line))
            sys.stderr.write(f"\r\x1b[K{line}" if sys.stderr.isatty() else line)

    def numbers(self) -> dict:
        """What the site's part of Sphinx counted."""
        file = self.trees / "numbers.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def watch(builds: list[Build], begun: float) -> None:
    """Say how far the builds are until they end."""
    said = begun
    while any(build.process.poll() is None for build in builds):
        time.sleep(0.2)
        if time.monotonic() - said > EVERY:
            said = time.monotonic()
            line = f"{said - begun:4.0f} s  " + "  ".join(f"{build.language}: {build.at}" for build in builds)
            sys.stderr.write(f"\r\x1b[K{line[:100]}" if sys.stderr.isatty() else f"{line}\n")
            sys.stderr.flush()
    for build in builds:
        for reader in build.readers:
            reader.join()
    sys.stderr.write("\r\x1b[K" if sys.stderr.isatty() else "")


def told(build: Build) -> str:
    """One line on a build that has ended."""
    numbers = build.numbers()
    parts = [f"{build.language}: {numbers.get('pages', 0)} pages", f"{numbers.get('blocks', 0)} code blocks"]
    for name, (known, total, fuzzy) in numbers.get("translated", {}).items():
        parts.append(f"{name} {100 * known / max(total, 1):.1f} % translated ({known} of {total}), {fuzzy} fuzzy")
    return ", ".join([*parts, f"{build.warnings} warnings"])


def main() -> int:
    begun = time.monotonic()
    shutil.rmtree(PLACES["en"], ignore_errors=True)
    builds = [Build(language, sys.argv[1:]) for language in PLACES]
    watch(builds, begun)
    for build in builds:
        print(told(build))  # noqa: T201
    failed = [build.language for build in builds if build.process.returncode]
    end = f"failed: {', '.join(failed)}" if failed else f"open {PLACES['en'] / 'index.html'}"
    print(f"{time.monotonic() - begun:.0f} s; {end}")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
