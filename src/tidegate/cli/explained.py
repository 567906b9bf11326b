"""How an explanation is printed: verdicts first, then the numbers behind them."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from tidegate.cli.console import fitting, print_line, shown, table
from tidegate.cli.words import in_shell
from tidegate.records import AttributionRecord, EvidenceRecord, ExplanationRecord, FlowRecord, VerdictLine

COLOURS = {"fault": "red", "warning": "yellow", "note": "dim"}
MOST_CHANGES = 5  # of the loss without a part
DRIVERS = 8  # lags and columns that are printed; the page has all
LAYERS = "layers"  # as shares name them
INDENT = "  "


def print_explanation(screen: Console, record: ExplanationRecord) -> None:
    """Print what was found.

    Args:
        screen: where to print.
        record: of the explanation.
    """
    screen.print()
    print_line(screen, record.title, style="bold")
    many = f"{record.sequences} sequence{'s' * (record.sequences != 1)}"
    print_line(screen, f"{record.target}; lag {record.lag}: {record.lag_from}; {many}")
    if record.privacy:
        print_line(screen, f"privacy: {record.privacy}")
    if record.shares:
        parts = ", ".join(f"{share.part} {_percent(share.share)}" for share in record.shares)
        print_line(screen, f"who answers: {parts}")
        if any(share.part == LAYERS and not share.share for share in record.shares):
            print_line(screen, "no answer comes from the layers: the following is about layers that nobody hears")
    screen.print()
    for line in record.verdicts:
        _print_verdict(screen, line)
    if not any(line.severity == "fault" for line in record.verdicts):
        print_line(screen, "no fault was found")
    screen.print()
    _print_layers(screen, record)
    for text in _sentences(record):
        print_line(screen, text)
    for attribution in record.attributions:
        _print_attribution(screen, attribution)
    for check in record.checks:
        verdict = {True: "passed", False: "failed", None: ""}[check.passed]
        print_line(screen, f"{check.name}: {verdict}{', ' * bool(verdict)}{check.sentence}")
    for text in record.left_out:
        print_line(screen, f"left out: {in_shell(text, ['checks'])}", style="dim")


def _print_verdict(screen: Console, line: VerdictLine) -> None:
    where = f" in {line.layer}" if line.layer else ""
    screen.print(
        f"[{COLOURS[line.severity]}]{line.severity}[/] [bold]{shown(line.name)}[/]{shown(where)}", soft_wrap=True
    )
    print_line(screen, INDENT + line.sentence)
    if line.evidence:
        print_line(screen, f"{INDENT}measured: {'; '.join(map(_measured, line.evidence))}")
    if line.against:
        print_line(screen, f"{INDENT}against it: {line.against}")
    if line.remedy:
        print_line(screen, f"{INDENT}remedy: {line.remedy}")
    for text in filter(None, (line.command, line.code)):
        print_line(screen, f"{INDENT * 2}{text}", style="bold")
    if line.tried is not None:
        tried = line.tried
        came = "the verdict is gone" if tried.gone else "the verdict stays"
        losses = f"loss {_number(tried.loss_before)} without it, {_number(tried.loss_after)} with it"
        print_line(screen, f"{INDENT}tried: {tried.how}: {came}; {losses}")


def _measured(evidence: EvidenceRecord) -> str:
    unit = f" {evidence.unit}" if evidence.unit else ""
    limit = f" ({evidence.side} {_number(evidence.threshold)})" if evidence.threshold is not None else ""
    return f"{evidence.name} {_number(evidence.value)}{unit}{limit}"


def _print_layers(screen: Console, record: ExplanationRecord) -> None:
    """A row for each layer: the gradient at the lag, its exponent, half-lives, the top exponent."""
    memory = {own.layer: own for own in record.memory}
    driven = _driven(record)
    rows = table(
        "layer", f"log10 gradient at lag {record.lag}", "exponent a step", "half-life", "longest", "gate", "Lyapunov"
    )
    for flow in record.flow:
        own = memory.get(flow.layer)
        life = (_number(own.median), _number(own.longest), own.gate or "none") if own else ("", "", "")
        top = _number(driven[flow.layer]) if flow.layer in driven else ""
        rows.add_row(shown(flow.layer), _at(flow, record.lag), _number(flow.slope), *map(shown, life), top)
    if record.flow:
        screen.print(fitting(screen, rows))
        screen.print()


def _driven(record: ExplanationRecord) -> dict[str, float | None]:
    """The top exponent along the data of each layer, by the name that its gradient has."""
    found = {d.layer: e.values[0] for d in record.dynamics for e in d.exponents if e.kind == "driven" and e.values}
    names = {flow.layer for flow in record.flow}
    return {name if name in names else f"{name}.l0": value for name, value in found.items()}


def _sentences(record: ExplanationRecord) -> Iterator[str]:
    """What is known of the history that the answers rest on, and of a model that reads its own answers."""
    context = record.context
    if context is not None and context.reach is not None:
        season = f"; a season of the data has {record.seasonality} steps" if record.seasonality else ""
        first, near, whole = (_number(context.scores[place]) for place in (0, context.lengths.index(context.reach), -1))
        last = f"{first} {context.unit} with the last step alone"
        reach = f", {near} with the last {context.reach}" if context.reach not in (1, context.lengths[-1]) else ""
        yield f"history: the {context.metric} is {last}{reach}, {whole} with all {context.lengths[-1]} steps{season}"
    for system in record.dynamics:
        if system.starts:
            stable = sum(point.stable for point in system.points)
            counts = {"stable": stable, "unstable": len(system.points) - stable, "slow": system.slow}
            kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "none"
            yield f"fixed points of {system.layer} at {system.input}, from {system.starts} starts: {kinds}"
    for silence in record.silences:
        yield f"silence behind {silence.layer}: {silence.sentence}"
    for found in record.ablations:
        unit = f" {found.unit}" if found.unit else ""
        worst = ", ".join(f"{one.name} {one.change:+.3g}" for one in found.changes[:MOST_CHANGES] if one.change)
        whole = f"{_number(found.loss)}{unit}"
        yield f"without one of its {found.part} the loss of {whole} changes by: {worst or 'nothing'}"
    forcing = record.forcing
    if forcing is not None:
        steps = zip(forcing.horizons, forcing.forced, forcing.free, strict=True)
        gaps = "; ".join(f"{h}: {_number(forced)}, {_number(free)}" for h, forced, free in steps)
        yield f"error by horizon, reading the true past and its own answers: {gaps}"


def _print_attribution(screen: Console, found: AttributionRecord) -> None:
    """The lags and features that contribute most."""
    if found.abstained:
        print_line(screen, f"what the {found.target} rests on: not told, {found.abstained}")
        return
    cells = [
        (size or 0.0, lag, feature, values[k])
        for lag, values, sizes in zip(found.lags, found.values, found.sizes, strict=True)
        for k, (feature, size) in enumerate(zip(found.features, sizes, strict=True))
    ]
    cells = [cell for cell in cells if cell[0]]
    if not cells:
        return
    whole = sum(size for size, *_ in cells) or 1.0
    unit = f" in {found.unit}" if found.unit else ""
    error = f"contributions miss the answer by {_percent(found.completeness_error)}"
    print_line(screen, f"what the {found.target} rests on{unit}; {error}", style="bold")
    rows = table("lag", "feature", "mean contribution", "share of sizes")
    rows.columns[1].justify = "left"
    for size, lag, feature, value in sorted(cells, reverse=True, key=lambda cell: cell[0])[:DRIVERS]:
        rows.add_row(str(lag), shown(feature), _number(value), _percent(size / whole))
    screen.print(fitting(screen, rows))
    if found.parts:
        parts = "".join(f" {_signed(part.share)} ({part.part})" for part in found.parts)
        print_line(screen, f"{_number(found.start, 4)} at {found.baseline}{parts} = {_number(found.answer, 4)}")
    screen.print()


def _at(flow: FlowRecord, lag: int) -> str:
    return _number(flow.median[flow.lags.index(lag)]) if lag in flow.lags else "no such lag"


def _number(value: float | None, digits: int = 3) -> str:
    return "none" if value is None else f"{value:.{digits}g}"


def _signed(value: float | None) -> str:
    """A summand with its sign."""
    return "+ none" if value is None else f"{'-' if value < 0 else '+'} {abs(value):.4g}"


def _percent(value: float | None) -> str:
    """With two digits, or more where it has them before the point."""
    if value is None:
        return "none"
    return f"{100 * value:.0f} %" if abs(value) >= 0.1 else f"{100 * value:.2g} %"
