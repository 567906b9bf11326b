"""What checks say: what was done, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.language import listed, say


def of_padding(padded: int, sequences: int, value: float, *, told: bool) -> str:
    """What a check of padding says.

    Args:
        padded: how many sequences end before the last step.
        sequences: how many there are.
        value: how far outputs moved.
        told: whether the model takes ``lengths``.
    """
    done = say(
        "What follows the end of each sequence ({count} of {size} are padded) was replaced",
        count=padded,
        size=sequences,
    )
    if value == 0:
        return say("{done}: outputs moved by exactly 0.", done=done)
    fix = say("a part of it does not use lengths") if told else say("pass lengths= on to its layers")
    return say(
        "{done}: outputs moved by up to {value:.3g}. The model reads padding; {fix}.", done=done, value=value, fix=fix
    )


def of_chunks(sizes: Sequence[int], value: float, rounding: float) -> str:
    """What a check of chunks says.

    Args:
        sizes: steps of chunks.
        value: how far outputs or last states differ.
        rounding: how far rounding alone may move them.
    """
    done = say("In chunks of {ways} steps, with the state carried on", ways=listed([str(size) for size in sizes]))
    if value == 0:
        return say("{done}, outputs and last states are exactly the same.", done=done)
    if value <= rounding:
        reach = say("which is rounding: it may reach {rounding:.2g} here", rounding=rounding)
        return say(
            "{done}, outputs and last states differ by {value:.2g}, {reach}.", done=done, value=value, reach=reach
        )
    return say(
        "{done}, outputs or last states differ by up to {value:.3g}. State is lost between chunks.",
        done=done,
        value=value,
    )


def of_resets(count: int, movement: float, gradient: float, *, told: bool) -> str:
    """What a check of resets says.

    Args:
        count: of resets.
        movement: of outputs from the reset on.
        gradient: of these outputs, before the reset.
        told: whether the model takes ``reset``.
    """
    done = say("Inputs before {count} resets were replaced", count=count)
    if max(movement, gradient) == 0:
        return say(
            "{done}: outputs from the reset on moved by exactly 0, and their gradient before it is exactly 0.",
            done=done,
        )
    fix = say("a part of it does not use reset") if told else say("pass reset= on to its layers")
    return say(
        "{done}: outputs from the reset on moved by up to {movement:.3g}, and their gradient before it is up to "
        "{gradient:.3g}. The model remembers the episode before; {fix}.",
        done=done,
        movement=movement,
        gradient=gradient,
        fix=fix,
    )


def of_reverse(names: Sequence[str], ahead: float) -> str:
    """What it says besides of layers that read from the end.

    Args:
        names: of the layers.
        ahead: how far outputs before a reset move with the inputs from it on.
    """
    return say(
        "The other way round, outputs before a reset move by up to {ahead:.3g} with the inputs from it on: {names} "
        "reads from the end, and clears its states before the marked step in that order, too.",
        ahead=ahead,
        names=", ".join(names),
    )


def of_leak(name: str, share: float, scores: str, *, leaks: bool) -> str:
    """What a check for a leak says.

    Args:
        name: of the feature that carries most.
        share: what it carries, of the squares of contributions.
        scores: what it and the model score, in words.
        leaks: whether it holds the answer by itself.
    """
    carried = say(
        "At the step of the answer, {name} carries {share:.0f} % of the attribution", name=name, share=100 * share
    )
    if leaks:
        return say(
            "{carried}; {scores}. The answer may have leaked into this input, or it is that easy.",
            carried=carried,
            scores=scores,
        )
    return say(
        "No single input holds the answer. {carried}, more than any other; {scores}.", carried=carried, scores=scores
    )
