"""Write layers for RTNeural, Neural Amp Modeler and RNNoise, run them there, and compare with float64.

    python -m benchmarks.ship.target --peers FOLDER --out benchmarks/results/ship

The folder holds checkouts called RTNeural, NAM and rnnoise (peer.py says from where); Debian's g++ and libeigen3-dev
compile them. Layers have random weights, learned initial states where the target holds them, and inputs in [-1, 1].
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.ship.target.peer import PEERS, run

import tidegate as tg

STEPS = 1000
AUDIO = ((1, 1, 1, 16), (1, 1, 1, 40), (1, 1, 2, 24), (3, 2, 1, 8), (1, 1, 1, 1), (1, 1, 1, 96))  # I, O, layers, H
NOISE = ((16, 8, 1, 64), (384, 32, 3, 384), (8, 8, 1, 8), (64, 8, 2, 128))
Row = tuple[str, str, str, float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, required=True, help="folder of the three checkouts")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "tidegate-targets")
    parser.add_argument("--out", type=Path, help="folder for targets.md; printed alone by default")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    programs = [peer.built(arguments.peers, arguments.work) for peer in PEERS]
    revisions = [_revision(arguments.peers / peer.name) for peer in PEERS]
    torch.manual_seed(0)
    found = [
        *audio(programs[0], programs[1], arguments.work),
        *noise(programs[2], arguments.work),
        *theirs(dict(zip(("RTNeural", "NAM"), programs, strict=False)), arguments.peers, arguments.work),
    ]
    text = page(found, [f"{peer.name} {revision}" for peer, revision in zip(PEERS, revisions, strict=True)])
    print(text)
    if arguments.out:
        (arguments.out / "targets.md").write_text(text, encoding="utf-8")


def audio(rtneural: Path, nam: Path, work: Path) -> Iterator[Row]:
    for I, O, layers, H in AUDIO:
        head, x = torch.nn.Linear(H, O), np.random.default_rng(H).uniform(-1, 1, (STEPS, I))
        shape = f"{I} -> {layers} x {H} -> {O}"
        for layer in (tg.nn.LSTM(I, H, layers), tg.nn.GRU(I, H, layers), tg.nn.GRU(I, H, layers, update="write")):
            got = run(rtneural, tg.ship.rtneural(layer, head), x, O, work)
            yield "RTNeural (Eigen)", layer.graph.name, shape, *errors(got, layer, head, x)
        layer = tg.nn.LSTM(I, H, layers, learn_initial_state=True)
        for name, value in layer.named_parameters():
            if name.startswith("initial"):
                torch.nn.init.uniform_(value, -0.5, 0.5)
        got = run(nam, tg.ship.nam(layer, head, 48000), x, O, work)
        yield "NAM core", "LSTM, initial states", shape, *errors(got, layer, head, x)


def noise(rnnoise: Path, work: Path) -> Iterator[Row]:
    for I, O, layers, H in NOISE:
        head, x = torch.nn.Linear(H, O), np.random.default_rng(H).uniform(-1, 1, (STEPS, I))
        layer, shape = tg.nn.GRU(I, H, layers), f"{I} -> {layers} x {H} -> {O}"
        for weights in ("float32", "int8"):
            for plain in (False, True):
                content = tg.ship.dnnw({"gru": layer, "out": head}, weights, floating=("out",) if plain else ())
                got = run(rnnoise, content, x, O, work, (I, H, O, layers, int(plain)))
                what = f"GRU, {weights}{', head in float' if plain and weights == 'int8' else ''}"
                if weights == "int8" or plain:
                    yield "RNNoise", f"{what}, {len(content):,} bytes", shape, *errors(got, layer, head, x)


def theirs(programs: dict[str, Path], peers: Path, work: Path) -> Iterator[Row]:
    """Trained files that come with the programs, read by us."""
    for name, path in {"NAM": "example_models/lstm.nam", "RTNeural": "models/lstm_1d.json"}.items():
        (found,) = tg.convert.read(peers / name / path)
        x = np.random.default_rng(0).uniform(-1, 1, (STEPS, found.input_size))
        head = torch.nn.Linear(found.hidden_size, len(found.head["bias"]))
        head.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in found.head.items()})
        got = run(programs[name], (peers / name / path).read_text(encoding="utf-8"), x, len(found.head["bias"]), work)
        shape = f"{found.input_size} -> {found.layers} x {found.hidden_size} -> {head.out_features}"
        yield f"{name}, {path}", f"{found.kind}, read by us", shape, *errors(got, found.layer(), head, x)


def errors(got: Any, layer: Any, head: torch.nn.Linear, x: Any) -> tuple[float, float]:
    """The largest and the root mean square difference from float64, relative to the largest output."""
    weights = {name: value.double() for name, value in layer.state_dict().items()}
    with torch.no_grad():
        y, _ = torch.func.functional_call(layer, weights, torch.from_numpy(x))
        wanted = (y @ head.weight.double().T + head.bias.double()).numpy()
    difference = np.abs(got - wanted) / np.abs(wanted).max()
    return float(difference.max()), float(np.sqrt((difference**2).mean()))


def page(rows: list[Row], revisions: list[str]) -> str:
    lines = [
        "# Layers of ours in other programs\n",
        "`python -m benchmarks.ship.target --peers FOLDER`\n",
        f"{', '.join(revisions)}, each compiled from its sources. {STEPS} steps of random numbers in [-1, 1]; the",
        "difference of the program's output from our layer in float64, as a share of the largest output.\n",
        "| program | cell | inputs -> layers x units -> outputs | largest | root mean square |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {target} | {cell} | {shape} | {most:.1e} | {usual:.1e} |" for target, cell, shape, most, usual in rows),
        "",
        "RNNoise's C has a tanh that is off by 3e-4 and a sigmoid that is off by 2e-4, and rounds the inputs of int8",
        "layers to 1/127.",
    ]
    return "\n".join(lines) + "\n"


def _revision(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
