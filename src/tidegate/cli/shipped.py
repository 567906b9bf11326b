"""How a shipped model is printed: files, layers, what is inside and outside, sizes, proofs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from tidegate.cli.console import fitting, print_line, shown, table

if TYPE_CHECKING:
    from tidegate.ship import Checked, Inspection, Shipped

ROUNDING = 1e-5  # share of a metric below which a difference is no share worth telling
PASSED = {True: "passed", False: "FAILED", None: "not run"}


def print_shipped(screen: Console, shipped: Shipped, found: list[Inspection]) -> None:
    """Print what was written.

    Args:
        screen: where to.
        shipped: the files.
        found: what is known of them.
    """
    target = f", {shipped.target}" if shipped.target else ""
    screen.print()
    print_line(screen, f"{shipped.name}: {shipped.format.says}; {shipped.weights}{target}", style="bold")
    rows = table("file", "bytes", "")
    rows.columns[2].justify = "left"
    for name, content in shipped.files.items():
        rows.add_row(shown(name), f"{len(content):,}", shown(shipped.says[name]))
    screen.print(fitting(screen, rows))
    screen.print()
    rows = table("layer", "cell", "size", "written as")
    for column in rows.columns:
        column.justify = "left"
    several = len({line["model"] for line in shipped.layers}) > 1
    for line in shipped.layers:
        name = f"{line['model']}: {line['layer']}" if several else line["layer"]
        rows.add_row(shown(name), shown(line["cell"]), shown(line["size"]), shown(line["written"]))
    screen.print(fitting(screen, rows))
    screen.print()
    print_line(screen, f"inside: {shipped.said.inside}")
    print_line(screen, f"outside: {shipped.said.outside}")
    for text in shipped.missing:
        print_line(screen, f"not written: {text}")
    for one in found:
        for text in _measured(one, several=len(found) > 1):
            print_line(screen, text)
    print_line(screen, f"runs in: {shipped.format.runs}")
    if shipped.privacy:
        print_line(screen, f"privacy: {shipped.privacy}")
    if shipped.format.beware:
        print_line(screen, f"beware: {shipped.format.beware}")


def _measured(one: Inspection, *, several: bool) -> list[str]:
    from tidegate.ship.inspect import duration

    name = f"{one.path.name}: " if several else ""
    lines = []
    memory = [f"{one.facts[part]} of {part}" for part in ("flash", "RAM", "stack") if part in one.facts]
    if memory:
        lines.append(f"{name}memory: {', '.join(memory)}; flash is that of the weights, the code comes on top")
    parts = []
    if one.multiplies is not None:
        parts.append(f"{one.multiplies:,} multiplications of weights")
    if one.latency is not None:
        parts.append(f"{duration(one.latency)} here ({one.how})")
    if parts:
        lines.append(f"{name}a step: {', '.join(parts)}")
    if one.tested is not None:
        lines.append(f"{name}self-test {PASSED[one.tested.passed]}: {one.tested.says}")
    return lines


def print_checked(screen: Console, checked: Checked) -> None:
    """Print what came of running the files inside their task."""
    screen.print()
    print_line(screen, f"check on {checked.data}, {checked.count:,} {checked.items}", style="bold")
    rows = table("", "model", "files", "difference")
    unit = f" ({checked.unit})" if checked.unit and checked.unit != checked.metric else ""
    difference = checked.after - checked.before
    same = abs(difference) <= ROUNDING * abs(checked.before)
    share = f"{100 * difference / abs(checked.before):+.2g} %" if checked.before and not same else f"{difference:+.2g}"
    rows.add_row(shown(checked.metric + unit), f"{checked.before:.6g}", f"{checked.after:.6g}", share)
    screen.print(fitting(screen, rows))
    errors = f"largest error {checked.largest:.2g}, mean {checked.mean:.2g}; the largest answer is {checked.scale:.4g}"
    print_line(screen, f"answers ({checked.of}): {errors}")
    print_line(screen, f"check {PASSED[checked.passed]}: {checked.bound}", style="" if checked.passed else "red")
    screen.print()
