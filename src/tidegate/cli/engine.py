"""``tidegate engine``: the processor, and what the engine chose for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.cli.console import console, print_line
from tidegate.errors import BackendError
from tidegate.machine import bound, quota

LEVELS = ("first", "second", "third")


@dataclass(frozen=True)
class Engine:
    """Show this processor, and what the engine of the layers chose for it."""

    def run(self) -> None:
        """Print facts, then choices."""
        screen = console()
        for name, fact in (*_machine(), *_choices()):
            print_line(screen, f"{name:<18} {fact}")


def _machine() -> Iterator[tuple[str, str]]:
    import torch  # slow to load: not for --help

    from tidegate.runtime.library import processor
    from tidegate.runtime.processor import WORTH_NAMING

    found = processor()
    sizes = zip(LEVELS, found.caches, strict=True)
    caches = [f"{level} level {size >> 10:,} KiB" for level, size in sizes if size]
    yield "processor", found.name or "unknown"
    yield "instructions", " ".join(flag for flag in WORTH_NAMING if flag in found.flags) or "none beyond the baseline"
    yield "caches", ", ".join(caches) or "unknown"
    limit = quota()
    of_time = "" if limit == float("inf") else f", a quota of {limit:g} processors' time"
    yield "processors", f"{bound()}{of_time}"
    yield "threads", f"{torch.get_num_threads()} of torch"


def _choices() -> Iterator[tuple[str, str]]:
    from tidegate.runtime.library import isa, load, processor
    from tidegate.runtime.tuning import chosen

    entry = chosen(processor(), isa())
    try:
        yield "engine", f"{isa()}, {load().path}"
    except BackendError as error:
        yield "engine", f"none, layers run by their definition: {error}"
    yield "tuning", entry.name
    for name, value in entry.tuning._asdict().items():
        yield f"  {name}", f"{value:,}"
    yield from _tiles()


def _tiles() -> Iterator[tuple[str, str]]:
    """What multiplies in fewer bits, and what could but is off."""
    from tidegate.runtime.library import load, processor
    from tidegate.runtime.tiles import left_aside

    try:
        for products, name in load().tiles.items():
            yield f"tiles, {products}", name
    except BackendError:
        return
    for name, why in left_aside(processor()):
        yield f"  {name}", f"off: {why}"
