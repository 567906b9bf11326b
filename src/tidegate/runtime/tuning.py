"""What differs from processor to processor, as one table of plain data; chosen when the engine is loaded.

The heights and widths of tiles are not here: they follow from the registers of an instruction set, and so are constants
of ``engine/kernel.h``. Nothing is measured at run time.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from tidegate.errors import InputError
from tidegate.runtime.processor import Processor

KIB, MIB = 1 << 10, 1 << 20


class Tuning(NamedTuple):
    """The choices of one processor; the fields of ``tg_tuning`` in ``engine/plan.h``.

    Attributes:
        forward_chunk: bytes of the products of the input that are made ahead of the steps. They are read again soon,
            so they should lie in the second-level cache, beside what a step reads of its matrices.
        backward_chunk: bytes of the adjoints that gradients are made of at a time.
        backward_rows: the most rows of such a chunk.
        fewest_rows: and the fewest, however long they are.
        gradient_rows: rows that are summed before a sum is written: two packed operands lie in the caches.
        unpacked_rows: with so many rows in all or fewer, matrices are read as they are stored,
        across_tiles: those that a backward run multiplies across their rows are read as they are stored where so many
            tiles of rows or fewer, of all steps together, want each panel: each reads it a little more slowly.
        row_matrices: how many matrices one row is multiplied by at a time: enough sums to hide how long each takes.
        thread_work: multiplications that are worth waking a thread.
        meeting_work: multiplications of a thread between two meetings that are worth meeting.
    """

    forward_chunk: int = 512 * KIB
    backward_chunk: int = 2 * MIB
    backward_rows: int = 512
    fewest_rows: int = 128
    gradient_rows: int = 256
    unpacked_rows: int = 8
    across_tiles: int = 24
    row_matrices: int = 2
    thread_work: int = 100_000
    meeting_work: int = 80_000


class Entry(NamedTuple):
    """A row of the table.

    Attributes:
        name: what ``TIDEGATE_TUNING`` calls it.
        isa: the instruction set that it is for.
        second_level: bytes of a core's second-level cache from which on it is.
        tuning: the choices.
    """

    name: str
    isa: str
    second_level: int
    tuning: Tuning


_SMALL = Tuning(forward_chunk=128 * KIB, backward_chunk=1 * MIB, backward_rows=256)  # for 256 KiB
_MIDDLE = Tuning(forward_chunk=256 * KIB)  # for 512 KiB
TABLE = (
    Entry("avx512", "x86-64-v4", 1 * MIB, Tuning()),  # Zen 4 and 5, and Xeons from Skylake on
    Entry("avx512-small", "x86-64-v4", 0, _MIDDLE),  # Ice Lake and Rocket Lake
    Entry("avx2", "x86-64-v3", 1 * MIB, Tuning(row_matrices=4)),  # Alder Lake
    Entry("avx2-middle", "x86-64-v3", 512 * KIB, _MIDDLE._replace(row_matrices=4)),  # Zen 1 to 3
    Entry("avx2-small", "x86-64-v3", 0, _SMALL._replace(row_matrices=4)),  # Haswell to Comet Lake
    Entry("baseline", "baseline", 0, _SMALL._replace(row_matrices=4, unpacked_rows=16)),
)


def choose(processor: Processor, isa: str) -> Entry:
    """The row of the table for a processor; where it does not tell its caches, that of the smallest.

    Args:
        processor: its caches count.
        isa: the instruction set that the engine runs in.
    """
    rows = (entry for entry in TABLE if entry.isa == isa and entry.second_level <= processor.caches[1])
    return max(rows, key=lambda entry: entry.second_level)


def chosen(processor: Processor, isa: str) -> Entry:
    """The same, unless ``TIDEGATE_TUNING`` names another row.

    Args:
        processor: its caches count.
        isa: the instruction set that the engine runs in.

    Raises:
        InputError: it names none.
    """
    wanted = os.environ.get("TIDEGATE_TUNING", "")
    if not wanted:
        return choose(processor, isa)
    found = {entry.name: entry for entry in TABLE}.get(wanted)
    if found is None:
        names = ", ".join(entry.name for entry in TABLE)
        raise InputError(
            "TUNING", f"TIDEGATE_TUNING is {wanted!r}, expected one of {names}", fix="unset it or name one"
        )
    return found
