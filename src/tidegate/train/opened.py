"""The data of a task: where they are, and what a bundled set adds to the settings. It loads no torch."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tidegate.data import Source, address_of, bundled_at, locate, with_parts
from tidegate.errors import InputError
from tidegate.train.setting import Training

S = TypeVar("S", bound=Training)
Data = str | os.PathLike[str] | Source


def opened(
    data: Data,
    *,
    folders: bool,
    any_size: tuple[str, ...] = (),
    valid: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Source:
    """The source of a bundled set, a file, or a folder, with files of its own for validation and test.

    Args:
        data: the name of a bundled set, a path, or a source.
        folders: whether it may be a folder.
        any_size: the suffixes of files that need not fit into memory.
        valid: a separate file for validation.
        test: a separate file for the test.
        cache: a folder for what training reads in place of the data.

    Raises:
        InputError: something is missing, cannot be read, or is empty.
    """
    source = data if isinstance(data, Source) else locate(address_of(data), folders=folders, any_size=any_size)
    source = with_parts(source, valid=valid, test=test, folders=folders, any_size=any_size)
    return source if cache is None else replace(source, cache=os.fspath(cache))


def called(source: Source) -> str:
    """The name that users know a source by: that of the file itself, though it be compressed; else its title."""
    return source.title if bundled_at(source.address) or source.address == "memory" else Path(source.address).name


def completed(task: str, data: Data, setting: S) -> S:
    """The settings; those that name no target column get that of the bundled set.

    Args:
        task: the name of the task.
        data: as ``opened`` takes it.
        setting: of the task.

    Raises:
        InputError: the bundled set belongs to another task.
    """
    bundled = bundled_at(data.address if isinstance(data, Source) else address_of(data))
    if bundled and bundled.task != task:
        raise InputError(
            "BUNDLED_TASK",
            f"{bundled.title} is a data set for the task {bundled.task}, not for {task}",
            fix=f"name the task {bundled.task}, or pass a file of your own",
        )
    if bundled and bundled.target and getattr(setting, "target", None) is None:
        return replace(setting, target=bundled.target)  # type: ignore[call-arg]  # those that have one
    return setting
