"""Chinese."""

from collections.abc import Mapping

TEXTS: Mapping[str, str] = {}
JOINTS: Mapping[str, str] = {}
