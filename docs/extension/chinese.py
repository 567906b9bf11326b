"""Search in Chinese without a dictionary: pages and queries are split into all pairs of neighbouring characters.

Sphinx's own search, which needs no server, leaves Chinese words out unless a segmenter is installed.
"""

import re
from itertools import pairwise

from sphinx import search
from sphinx.application import Sphinx
from sphinx.search.zh import SearchChinese

WORDS = re.compile("[\u4e00-\u9fff]+|[A-Za-z0-9_]+")


class Pairs(SearchChinese):
    """The same pairs in Python, for the index, and in the page's script, for what is asked."""

    language_name = "English"  # that of the stemmer in the page's script: Sphinx 9.0 looks for one that does not exist
    js_splitter_code = """
function splitQuery(query) {
  const words = query.match(/[\\u4e00-\\u9fff]+|[A-Za-z0-9_]+/g) || [];
  return words.flatMap((word) =>
    word.charCodeAt(0) < 0x4e00 || word.length < 3
      ? [word]
      : Array.from({ length: word.length - 1 }, (_, at) => word.slice(at, at + 2)));
}
"""

    def split(self, input: str) -> list[str]:
        found = []
        for word in WORDS.findall(input):
            if word.isascii():
                self.latin_terms.add(word)
            found += [word] if word.isascii() or len(word) < 3 else map("".join, pairwise(word))
        return found


def setup(_: Sphinx) -> None:
    search.languages["zh"] = Pairs
