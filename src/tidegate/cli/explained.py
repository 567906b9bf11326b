"""How an explanation is printed: verdicts first, then the numbers behind them."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from tidegate.cli.console import fitting, print_line, shown, table
from tidegate.cli.words import in_shell
from tidegate.language import joined, local, say, translated, word
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
    many = say("{count} sequences", count=record.sequences) if record.sequences != 1 else say("1 sequence")
    lag = say("lag {lag}: {lag_from}", lag=record.lag, lag_from=record.lag_from)
    print_line(screen, joined([record.target, lag, many], "; "))
    if record.privacy:
        print_line(screen, say("privacy: {text}", text=record.privacy))
    if record.shares:
        parts = joined([joined([share.part, _percent(share.share)]) for share in record.shares], ", ")
        print_line(screen, say("who answers: {parts}", parts=parts))
        if any(share.part == LAYERS and not share.share for share in record.shares):
            print_line(screen, say("no answer comes from the layers: the following is about layers that nobody hears"))
    screen.print()
    for line in record.verdicts:
        _print_verdict(screen, line)
    if not any(line.severity == "fault" for line in record.verdicts):
        print_line(screen, say("no fault was found"))
    screen.print()
    _print_layers(screen, record)
    for text in _sentences(record):
        print_line(screen, text)
    for attribution in record.attributions:
        _print_attribution(screen, attribution)
    for check in record.checks:
        verdict = {True: say("passed"), False: say("failed"), None: ""}[check.passed]
        found = say("{verdict}, {sentence}", verdict=verdict, sentence=check.sentence) if verdict else check.sentence
        print_line(screen, say("{check}: {found}", check=translated(word(check.name)), found=found))
    for text in record.left_out:
        print_line(screen, say("left out: {text}", text=in_shell(translated(text), ["checks"])), style="dim")


def _print_verdict(screen: Console, line: VerdictLine) -> None:
    where = local(" in {layer}", layer=line.layer) if line.layer else ""
    severity = f"[{COLOURS[line.severity]}]{word(line.severity)}[/]"
    screen.print(f"{severity} [bold]{shown(line.name)}[/]{shown(where)}", soft_wrap=True)
    print_line(screen, INDENT + translated(line.sentence))
    if line.evidence:
        print_line(
            screen, INDENT + local("measured: {numbers}", numbers=joined([*map(_measured, line.evidence)], "; "))
        )
    if line.against:
        print_line(screen, INDENT + local("against it: {text}", text=line.against))
    if line.remedy:
        print_line(screen, INDENT + local("remedy: {text}", text=line.remedy))
    for text in filter(None, (line.command, line.code)):
        print_line(screen, f"{INDENT * 2}{text}", style="bold")
    if line.tried is not None:
        tried = line.tried
        came = say("the verdict is gone") if tried.gone else say("the verdict stays")
        before, after = _number(tried.loss_before), _number(tried.loss_after)
        losses = say("loss {before} without it, {after} with it", before=before, after=after)
        text = local("tried: {how}: {came}; {losses}", how=tried.how, came=came, losses=losses)
        print_line(screen, INDENT + text)


def _measured(evidence: EvidenceRecord) -> str:
    value = joined([evidence.name, _number(evidence.value), evidence.unit])
    if evidence.threshold is None:
        return value
    threshold = _number(evidence.threshold)
    return say("{value} ({side} {threshold})", value=value, side=word(evidence.side), threshold=threshold)


def _print_layers(screen: Console, record: ExplanationRecord) -> None:
    """A row for each layer: the gradient at the lag, its exponent, half-lives, the top exponent."""
    memory = {own.layer: own for own in record.memory}
    driven = _driven(record)
    rows = table(
        local("layer"), local("log10 gradient at lag {lag}", lag=record.lag), local("exponent a step"),
        local("half-life"), local("longest"), local("gate"), local("Lyapunov"),
    )  # fmt: skip
    for flow in record.flow:
        own = memory.get(flow.layer)
        life = (_number(own.median), _number(own.longest), own.gate or local("none")) if own else ("", "", "")
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
        first, near, whole = (_number(context.scores[place]) for place in (0, context.lengths.index(context.reach), -1))
        some = context.reach not in (1, context.lengths[-1])
        parts = (
            say("{score} {unit} with the last step alone", score=first, unit=context.unit),
            say("{score} with the last {count}", score=near, count=context.reach) if some else "",
            say("{score} with all {count} steps", score=whole, count=context.lengths[-1]),
        )
        text = say("history: the {metric} is {parts}", metric=context.metric, parts=joined(parts, ", "))
        season = say("a season of the data has {count} steps", count=record.seasonality) if record.seasonality else ""
        yield joined([text, season], "; ")
    for system in record.dynamics:
        if system.starts:
            stable = sum(point.stable for point in system.points)
            counts = {say("stable"): stable, say("unstable"): len(system.points) - stable, say("slow"): system.slow}
            kinds = joined([joined([str(count), kind]) for kind, count in counts.items() if count], ", ") or say("none")
            yield say(
                "fixed points of {layer} at {input}, from {starts} starts: {kinds}",
                layer=system.layer, input=system.input, starts=system.starts, kinds=kinds,
            )  # fmt: skip
    for silence in record.silences:
        yield say("silence behind {layer}: {sentence}", layer=silence.layer, sentence=silence.sentence)
    for found in record.ablations:
        worst = [joined([one.name, f"{one.change:+.3g}"]) for one in found.changes[:MOST_CHANGES] if one.change]
        yield say(
            "without one of its {part} the loss of {loss} changes by: {changes}",
            part=word(found.part),
            loss=joined([_number(found.loss), found.unit]),
            changes=joined(worst, ", ") or say("nothing"),
        )
    forcing = record.forcing
    if forcing is not None:
        steps = zip(forcing.horizons, forcing.forced, forcing.free, strict=True)
        gaps = "; ".join(f"{h}: {_number(forced)}, {_number(free)}" for h, forced, free in steps)
        yield say("error by horizon, reading the true past and its own answers: {gaps}", gaps=gaps)


def _print_attribution(screen: Console, found: AttributionRecord) -> None:
    """The lags and features that contribute most."""
    if found.abstained:
        text = say("what the {target} rests on: not told, {reason}", target=found.target, reason=found.abstained)
        print_line(screen, text)
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
    what = say("what the {target} rests on", target=found.target)
    if found.unit:
        what = say("what the {target} rests on in {unit}", target=found.target, unit=found.unit)
    error = say("contributions miss the answer by {share}", share=_percent(found.completeness_error))
    print_line(screen, joined([what, error], "; "), style="bold")
    rows = table(local("lag"), local("feature"), local("mean contribution"), local("share of sizes"))
    rows.columns[1].justify = "left"
    for size, lag, feature, value in sorted(cells, reverse=True, key=lambda cell: cell[0])[:DRIVERS]:
        rows.add_row(str(lag), shown(feature), _number(value), _percent(size / whole))
    screen.print(fitting(screen, rows))
    if found.parts:
        parts = "".join(f" {_signed(part.share)} ({translated(part.part)})" for part in found.parts)
        start = local("{number} at {baseline}", number=_number(found.start, 4), baseline=found.baseline)
        print_line(screen, f"{start}{parts} = {_number(found.answer, 4)}")
    screen.print()


def _at(flow: FlowRecord, lag: int) -> str:
    return _number(flow.median[flow.lags.index(lag)]) if lag in flow.lags else local("no such lag")


def _number(value: float | None, digits: int = 3) -> str:
    return local("none") if value is None else f"{value:.{digits}g}"


def _signed(value: float | None) -> str:
    """A summand with its sign."""
    return local("+ none") if value is None else f"{'-' if value < 0 else '+'} {abs(value):.4g}"


def _percent(value: float | None) -> str:
    """With two digits, or more where it has them before the point."""
    if value is None:
        return local("none")
    return f"{100 * value:.0f} %" if abs(value) >= 0.1 else f"{100 * value:.2g} %"
