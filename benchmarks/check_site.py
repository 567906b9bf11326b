"""Every page that `make docs` has built, in a browser: foreign requests, complaints, sideways scrolling, contrast.

    make docs
    python -m benchmarks.check_site --out benchmarks/results/check_site.md

Each page is opened at 360 and at 1,400 pixels, light and dark, in headless Chromium. Ends with 1 if anything is found.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.browser.devtools import Tab, chromium
from tests.browser.test_site_browser import CONTRAST

SITE = Path(__file__).parents[1] / "docs" / "_build" / "html"
VIEWS = [(width, dark) for width in (360, 1400) for dark in (False, True)]
WHAT = ("foreign requests", "complaints of the console", "pages that scroll sideways", "texts of a contrast below 4.5")


def faults(tab: Tab, page: Path, width: int, *, dark: bool) -> Counter[str]:
    """What one view of a page shows."""
    tab.open(page, width, dark=dark)
    foreign = [url for url in tab.requests if not url.startswith(SITE.as_uri())]
    sideways = tab.run("document.documentElement.scrollWidth") > width
    return Counter(dict(zip(WHAT, (len(foreign), len(tab.complaints), sideways, len(tab.run(CONTRAST))), strict=True)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a Markdown file for the table")
    options = parser.parse_args()
    pages = sorted(page for page in SITE.rglob("*.html") if "<article" in page.read_text(encoding="utf-8"))
    if not pages:
        raise SystemExit(f"there is no page in {SITE}; run make docs first")
    begun, found = time.monotonic(), {view: Counter(dict.fromkeys(WHAT, 0)) for view in VIEWS}
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile, chromium(profile) as tab:
        for done, page in enumerate(pages, 1):
            for width, dark in VIEWS:
                seen = faults(tab, page, width, dark=dark)
                found[width, dark].update(seen)
                if seen.total():
                    print(
                        f"{page.relative_to(SITE)}, {width} px, {'dark' if dark else 'light'}: {dict(+seen)}",
                        flush=True,
                    )
            if done % 50 == 0:
                print(f"{done} of {len(pages)} pages, {time.monotonic() - begun:.0f} s", flush=True)
    lines = [
        f"{len(pages)} pages, each in {len(VIEWS)} views.",
        "",
        f"| view | {' | '.join(WHAT)} |",
        "|---" + "|---:" * len(WHAT) + "|",
    ]
    for (width, dark), counts in found.items():
        lines.append(
            f"| {width:,} px, {'dark' if dark else 'light'} | {' | '.join(str(counts[what]) for what in WHAT)} |"
        )
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return 1 if any(counts.total() for counts in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
