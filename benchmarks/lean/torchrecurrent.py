"""Which cell of ours each layer of torchrecurrent 0.2.5 is: data for the table of coverage.

``python -m benchmarks.lean.torchrecurrent`` prints them.
"""

from __future__ import annotations

from typing import NamedTuple


class Ours(NamedTuple):
    """What stands here for a layer of theirs.

    Attributes:
        cell: the name of our cell; empty if there is none.
        note: what differs in the equations, or why there is none; empty where nothing does.
    """

    cell: str
    note: str = ""


ONE_BIAS = "ours has one bias a gate, theirs two that are added"
PER_UNIT = "the two numbers of the paper are vectors here, one number a unit"

OURS: dict[str, Ours] = {
    "AntisymmetricRNN": Ours("antisymmetricrnn", ONE_BIAS),
    "GatedAntisymmetricRNN": Ours(
        "antisymmetricrnn/gated", "theirs leaves the recurrent bias out of the gate; ours has one bias a gate"
    ),
    "ATR": Ours("atr", ONE_BIAS),
    "BR": Ours("brc", ONE_BIAS),
    "NBR": Ours("nbrc", ONE_BIAS),
    "CFN": Ours("cfn", ONE_BIAS),
    "DSGU": Ours("dsgu"),
    "MCLSTM": Ours("mclstm", ONE_BIAS),
    "MGU": Ours("mgu", ONE_BIAS),
    "MinimalRNN": Ours("minimalrnn"),
    "MiRU1": Ours("miru1", ONE_BIAS),
    "MiRU2": Ours("miru2", ONE_BIAS),
    "coRNN": Ours("cornn", "one bias here, three that are added there; theirs damps y and z with the names changed"),
    "FastRNN": Ours("fastrnn", f"{ONE_BIAS}; {PER_UNIT}"),
    "FastGRNN": Ours("fastgrnn", f"{ONE_BIAS}; {PER_UNIT}"),
    "IndRNN": Ours("indrnn", ONE_BIAS),
    "IntersectionRNN": Ours("intersectionrnn", ONE_BIAS),
    "JANET": Ours("janet", ONE_BIAS),
    "LEM": Ours("lem", ONE_BIAS),
    "LiGRU": Ours("ligru", ONE_BIAS),
    "LightRU": Ours("lightru", ONE_BIAS),
    "MultiplicativeLSTM": Ours("multiplicativelstm"),
    "MUT1": Ours("mut1", ONE_BIAS),
    "MUT2": Ours("mut2", ONE_BIAS),
    "MUT3": Ours("mut3", ONE_BIAS),
    "NAS": Ours("nas", ONE_BIAS),
    "OriginalLSTM": Ours("lstm1997", "the logistic functions of 1997, where theirs has tanh"),
    "PeepholeLSTM": Ours("peepholelstm"),
    "RAN": Ours("ran", ONE_BIAS),
    "ResLSTM": Ours("reslstm", ONE_BIAS),
    "SCRN": Ours("scrn"),
    "SGU": Ours("sgu"),
    "SGRN": Ours("sgrn"),
    "STAR": Ours("star", ONE_BIAS),
    "tauGRU": Ours("taugru"),
    "TRNN": Ours("mingru", "the same equations: its gate f is 1 - z"),
    "TGRU": Ours("typedgru", "one bias a gate; the last input is kept as its products"),
    "TLSTM": Ours("typedlstm", "one bias a gate; the last input is kept as its products"),
    "UGRNN": Ours("ugrnn", ONE_BIAS),
    "UnICORNN": Ours("unicornn"),
    "WMCLSTM": Ours("wmclstm"),
}


def main() -> None:
    """Print a row of a Markdown table for each."""
    print("| torchrecurrent 0.2.5 | Tidegate | note |\n|---|---|---|")
    for theirs, ours in OURS.items():
        print(f"| {theirs} | {f'`{ours.cell}`' if ours.cell else '-'} | {ours.note} |")


if __name__ == "__main__":
    main()
