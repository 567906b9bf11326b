"""Numbers as text, with no more digits than the experiment justifies."""

from __future__ import annotations

import math
from collections.abc import Iterable

MISSING = "–"  # noqa: RUF001  (an en dash marks an empty cell)
MINUS = "−"  # noqa: RUF001  (a hyphen is narrower than tabular figures)
SPACE = "\N{NO-BREAK SPACE}"


def known(value: float | None) -> bool:
    """Whether the value is a finite number."""
    return value is not None and math.isfinite(value)


def decimals_for(widths: Iterable[float | None], values: Iterable[float | None]) -> int:
    """Decimals for two digits of the smallest uncertainty, or for four of the smallest score."""
    known_widths = [abs(width) for width in widths if width is not None and math.isfinite(width) and width != 0]
    if known_widths:
        return _clamped(1 - _magnitude(min(known_widths)))
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value) and value != 0]
    return _clamped(3 - _magnitude(min(sizes))) if sizes else 3


def _magnitude(value: float) -> int:
    return math.floor(math.log10(value))


def _clamped(decimals: int) -> int:
    return max(0, min(6, decimals))


def fixed(value: float | None, decimals: int, *, sign: bool = False) -> str:
    """A number with ``decimals`` decimal places, e.g. ``"−1.25"``."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = f"{value:{'+' if sign else ''},.{decimals}f}"
    return text.replace("-", MINUS).replace(",", "\N{NARROW NO-BREAK SPACE}")


def rounded(value: float | None, digits: int = 3) -> str:
    """A number with ``digits`` significant digits, without an exponent unless it is very small or large."""
    if value is None or not math.isfinite(value) or value == 0:
        return fixed(value, 0)
    if not 1e-4 <= abs(value) < 1e12:
        return f"{value:.{digits - 1}e}".replace("-", MINUS)
    return fixed(value, max(0, digits - 1 - _magnitude(abs(value))))


def plain(value: float | None) -> str:
    """A number that somebody chose, such as a setting or a tick, in its shortest form."""
    if value is None or not math.isfinite(value):
        return fixed(value, 0)
    text = f"{value:.6g}" if abs(value) < 1e4 else fixed(value, 0)
    return text.replace("-", MINUS)


def percent(value: float | None, decimals: int = 1, *, sign: bool = False) -> str:
    """A fraction as a percentage."""
    text = fixed(None if value is None else 100 * value, decimals, sign=sign)
    return text if text == MISSING else f"{text}{SPACE}%"


def probability(value: float | None) -> str:
    """A p value or a probability with three decimals, never rounded to 0 or 1."""
    if value is None or not math.isfinite(value):
        return MISSING
    if 0 <= value < 0.001:
        return f"<{SPACE}0.001"
    return f">{SPACE}0.999" if 0.999 < value < 1 else f"{value:.3f}"


def count(value: float) -> str:
    """A whole number in groups of three digits."""
    return fixed(value, 0)


def duration(seconds: float | None) -> str:
    """Seconds as seconds, minutes or hours."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 100:
        return f"{rounded(seconds)}{SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{SPACE}min {rest}{SPACE}s"
    return f"{minutes // 60}{SPACE}h {minutes % 60}{SPACE}min"


def size(value: float | None) -> str:
    """Bytes in decimal units."""
    if value is None or not math.isfinite(value):
        return MISSING
    for unit in ("B", "kB", "MB"):
        if abs(value) < 1000:
            return f"{rounded(value)}{SPACE}{unit}"
        value /= 1000
    return f"{rounded(value)}{SPACE}GB"
