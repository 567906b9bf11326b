"""What a model can be shipped to: a table of formats, and what is refused before anything slow begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Format:
    """A row of the table.

    Attributes:
        says: what the files are.
        whole: they hold all of a model from raw values to the answer; else its network alone.
        weights: the kinds of weights that they can have, the usual one first.
        processors: those that there is a choice of, the usual one first; none for a format that any can read.
        needs: options that it needs.
        runs: what runs the files.
        beware: what is known to run them wrong.
    """

    says: str
    whole: bool
    weights: tuple[str, ...] = ("float32",)
    processors: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    runs: str = ""
    beware: str = ""


FORMATS: Mapping[str, Format] = {
    "onnx": Format(
        "ONNX models, of whole sequences and of one step", whole=True,
        runs="onnxruntime, and runtimes that keep to opset 17",
        beware="OpenVINO ignores peepholes, tract errs in reverse directions: hold a runtime to tidegate.ship.selftest",
    ),
    "c": Format(
        "C99 that needs no library", whole=True, weights=("float32", "int8"),
        processors=("host", "cortex-m4", "cortex-m0"),
        runs="any C99 or C++ compiler; the same bits everywhere with -ffp-contract=off",
        beware="-ffast-math, and x87 without SSE: other bits",
    ),
    "rtneural": Format("JSON of RTNeural", whole=False, runs="RTNeural, AIDA-X and other audio plugins"),
    "nam": Format(
        "a .nam file", whole=False, needs=("sample_rate",), runs="Neural Amp Modeler's core and its plugins",
    ),
    "dnnw": Format(
        'a "DNNw" file', whole=False, weights=("float32", "int8"), runs="the C of RNNoise and Opus (nnet.c)",
        beware="int8: inputs beyond [-1, 1] are cut off",
    ),
    "safetensors": Format("arrays by name", whole=False, runs="any reader of safetensors: torch, NumPy, JAX, Rust"),
}  # fmt: skip
OPTIONS = {"sample_rate": "the sample rate of the sound, in hertz"}


def chosen(
    to: str, weights: str | None = None, target: str | None = None, sample_rate: float | None = None
) -> tuple[Format, str, str]:
    """The row of a format, with the weights and the processor that are asked for or usual.

    Args:
        to: its name.
        weights: None for the usual ones.
        target: the processor; None for the usual one.
        sample_rate: None if it was not given.

    Raises:
        InputError: there is no such format, or it has no such weights, processors or options.
    """
    if to not in FORMATS:
        raise InputError(
            "SHIP_TO", f"there is no format {to!r}{did_you_mean(to, FORMATS)}", fix=f"choose of {', '.join(FORMATS)}"
        )
    row = FORMATS[to]
    if weights is not None and weights not in row.weights:
        able = ", ".join(name for name, other in FORMATS.items() if weights in other.weights)
        raise InputError(
            "SHIP_WEIGHTS",
            f"{to} has no weights {weights!r}, but {' and '.join(row.weights)}",
            fix=f"ship to {able} for those" if able else f"leave out weights={weights!r}",
        )
    if target is not None and target not in row.processors:
        what = f"a choice of {', '.join(row.processors)}" if row.processors else "no choice of processors"
        fix = "choose one of them" if row.processors else f"leave out target={target!r}, or ship to c"
        raise InputError("SHIP_TARGET", f"{to} has {what}, got target={target!r}", fix=fix)
    if sample_rate is None and "sample_rate" in row.needs:
        raise InputError(
            "SHIP_RATE",
            f"{to} files say how many samples a second has",
            fix=f"pass {OPTIONS['sample_rate']}, as sample_rate=48000",
        )
    if sample_rate is not None and "sample_rate" not in row.needs:
        raise InputError("SHIP_RATE", f"{to} files have no sample rate", fix="leave out sample_rate=")
    if sample_rate is not None and not 0 < sample_rate < 1e7:
        raise InputError(
            "SHIP_RATE",
            f"sample_rate={sample_rate:g} is no rate of a sound",
            fix="pass it in hertz, as sample_rate=48000",
        )
    return row, weights or row.weights[0], target or (row.processors or ("",))[0]
