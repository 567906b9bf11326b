"""What every contestant offers to the bench."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.engine.item import Item
from benchmarks.engine.problem import Arrays, Problem


@dataclass(frozen=True)
class Prepared:
    """Work that is ready to be timed.

    Attributes:
        call: does the work once.
        read: names the results of a call: ``y`` and ``final h``, and in training ``x`` and the weights for their
            gradients. None for what has no result to check, such as the peak of the machine.
        around: a context that is entered once for many calls.
        clock: seconds of one call, for what times itself; then ``call`` is its warm-up only.
    """

    call: Callable[[], Any]
    read: Callable[[Any], Arrays] | None
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
    clock: Callable[[], float] | None = None


class Peer(ABC):
    """A contestant. It is asked whether it can do an item before its library is loaded.

    Attributes:
        name: as tables print it.
        packages: the distributions that it needs.
        stacks: whether it runs several layers, and both directions.
        products: the types of products that it can be asked for beside that of the numbers.
    """

    name: str
    packages: tuple[str, ...] = ("torch",)
    stacks: bool = False
    products: tuple[str, ...] = ()

    def missing(self, item: Item) -> str | None:
        """Why this contestant cannot do the item here, None if it can."""
        absent = [package for package, found in self.versions().items() if found is None]
        return f"{' and '.join(absent)} not installed" if absent else self.refuses(item)

    def versions(self) -> dict[str, str | None]:
        """The versions of its packages, None for those that are not installed."""
        return {package: _version(package) for package in self.packages}

    def refuses(self, item: Item) -> str | None:
        """Why it cannot do the item anywhere, None if it can."""
        if item.products and item.products not in self.products:
            return f"no {item.products}"
        return "one layer in one direction only" if item.stacked and not self.stacks else self.supports(item)

    @abstractmethod
    def supports(self, item: Item) -> str | None:
        """The same, of a layer in one direction."""

    @abstractmethod
    def prepare(self, problem: Problem) -> Prepared:
        """Load the library, build the layer with these weights."""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
