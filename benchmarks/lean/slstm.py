"""How quick is an sLSTM layer with four heads beside its authors' code on the CPU?

    pip install --no-deps --target PEERS xlstm tirex-ts    # code of others, for this measurement only
    PYTHONPATH=PEERS python -m benchmarks.lean.slstm --output benchmarks/results/lean

The layer reads H features in four heads and has H units in four heads, as in a block of an xLSTM: four headwise maps,
then the recurrence. Contenders, all in float32 and inference, but where they say otherwise:

- **xlstm**: ``LinearHeadwiseExpand`` and ``sLSTMCell`` of the package, backend "vanilla", the one for CPUs.
- **tirex**: the recurrence of the package tirex-ts, backend "torch", which runs in bfloat16, between the same maps.
- **compiled loop**: a loop over steps of our own, each of which torch.compile has made one call.
- **ours**: ``tidegate.convert.from_xlstm``, as a layer that packs at each call, and as a session.

Outputs must be equal to 1e-5 (tirex: to what bfloat16 leaves). All take turns on one thread; times are those of the
thread, the best of all rounds. Contenders that are not installed are left out, and said to be.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from benchmarks.engine import processor
from benchmarks.lean.sparse import best

import tidegate as tg

HEADS, STEPS = 4, 128
Tensor = torch.Tensor
Run = Callable[[Tensor], Tensor]  # from [T, B, H] to [T, B, H]
SHAPES = ((1, 256), (32, 256), (1, 512), (32, 512))


def weights_of(units: int) -> dict[str, Tensor]:
    """As the packages store them, in the layout of kernels for GPUs."""
    draw = torch.Generator().manual_seed(0)
    d = units // HEADS
    found = {f"{gate}gate.weight": torch.randn(HEADS, d, d, generator=draw) / d**0.5 for gate in "fizo"}
    found["slstm_cell._recurrent_kernel_"] = torch.randn(HEADS, d, 4 * d, generator=draw) / d**0.5
    found["slstm_cell._bias_"] = torch.randn(4 * units, generator=draw)
    return found


def mapped(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """What the four headwise maps give, [T, B, 4 H]."""
    parts = x.unflatten(-1, (HEADS, -1))
    gates = [torch.einsum("...hd,hod->...ho", parts, weights[f"{gate}gate.weight"]).flatten(-2) for gate in "fizo"]
    return torch.cat(gates, -1)


def xlstm(weights: dict[str, Tensor], units: int) -> Run:
    from xlstm.blocks.slstm.cell import sLSTMCell, sLSTMCellConfig
    from xlstm.components.linear_headwise import LinearHeadwiseExpand, LinearHeadwiseExpandConfig

    config = sLSTMCellConfig(hidden_size=units, num_heads=HEADS, backend="vanilla", dtype="float32")
    cell, d = sLSTMCell(config).eval(), units // HEADS
    maps = [LinearHeadwiseExpand(LinearHeadwiseExpandConfig(units, HEADS, bias=False)) for _ in range(4)]
    kernel, bias = weights["slstm_cell._recurrent_kernel_"], weights["slstm_cell._bias_"]
    with torch.no_grad():
        for one, gate in zip(maps, "fizo", strict=True):
            one.weight.copy_(weights[f"{gate}gate.weight"])
        own = dict(cell.named_parameters())
        own["_recurrent_kernel_"].copy_(kernel.unflatten(2, (4, d)).permute(0, 2, 3, 1).reshape(HEADS, 4 * d, d))
        own["_bias_"].copy_(bias.reshape(HEADS, 4, d).transpose(0, 1).reshape(-1))

    def run(x: Tensor) -> Tensor:
        rows = x.transpose(0, 1)
        return cell(torch.cat([one(rows) for one in maps], -1))[0].permute(2, 0, 1, 3).flatten(2)

    return run


def tirex(weights: dict[str, Tensor], units: int) -> Run:
    file = next((p for at in sys.path if (p := Path(at) / "tirex/models/slstm/cell.py").exists()), None)
    if file is None:
        raise ModuleNotFoundError("tirex")
    util = types.ModuleType("tirex.util")  # the package loads models from the network, which its cell does not need
    util.dataclass_from_dict = None  # type: ignore[attr-defined]
    sys.modules |= {"tirex": types.ModuleType("tirex"), "tirex.util": util}
    spec = importlib.util.spec_from_file_location("tirex_cell", file)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    cell = module.sLSTMCell(module.sLSTMBlockConfig(units, HEADS), "torch").eval()
    with torch.no_grad():
        for name, parameter in cell.named_parameters():
            parameter.copy_(weights[f"slstm_cell.{name}"])
    return lambda x: cell(mapped(weights, x).transpose(0, 1), None)[0].permute(2, 0, 1, 3).flatten(2)


def compiled(weights: dict[str, Tensor], units: int) -> Run:
    kernel = weights["slstm_cell._recurrent_kernel_"]
    bias = weights["slstm_cell._bias_"].reshape(HEADS, 4, units // HEADS).transpose(0, 1).reshape(-1)

    @torch.compile(dynamic=False)
    def step(wx: Tensor, h: Tensor, c: Tensor, n: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        u = torch.bmm(h.unflatten(-1, (HEADS, -1)).transpose(0, 1), kernel)  # [heads, B, 4 d]
        u = u.unflatten(-1, (4, -1)).permute(1, 2, 0, 3).flatten(1)
        i, f, z, o = (wx + u + bias).chunk(4, -1)
        log_f = torch.nn.functional.logsigmoid(f) + m
        new = torch.maximum(log_f, i)
        write, keep = torch.exp(i - new), torch.exp(log_f - new)
        c = keep * c + write * torch.tanh(z)
        n = keep * n + write
        return torch.sigmoid(o) * c / n, c, n, new

    def run(x: Tensor) -> Tensor:
        wx = mapped(weights, x)
        h = c = n = x.new_zeros(x.shape[1], units)
        m = torch.full_like(h, -1e30)
        rows = []
        for t in range(len(wx)):
            h, c, n, m = step(wx[t], h, c, n, m)
            rows.append(h)
        return torch.stack(rows)

    return run


def contenders(units: int, batch: int) -> tuple[dict[str, Run], list[str]]:
    """Those that are there, and the names of others."""
    weights = weights_of(units)
    layer = tg.convert.from_xlstm(weights).eval()
    session = tg.Session(layer, batch)

    def run_session(x: Tensor) -> Tensor:
        session.reset()
        return session.run(x)

    found: dict[str, Run] = {"ours": lambda x: layer(x)[0], "our session": run_session}
    absent = []
    for name, make in {"xlstm": xlstm, "tirex": tirex, "compiled loop": compiled}.items():
        try:
            found[name] = make(weights, units)
        except ModuleNotFoundError:
            absent.append(name)
    return found, absent


def lines(rounds: int) -> Iterator[str]:
    yield "| B | H | contender | us a step | ours is quicker | our session is quicker | largest difference |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for batch, units in SHAPES:
        found, absent = contenders(units, batch)
        x = torch.randn(STEPS, batch, units, generator=torch.Generator().manual_seed(1))
        right = found["ours"](x)
        off = {name: float((run(x) - right).abs().max()) for name, run in found.items()}
        if wrong := [name for name, most in off.items() if most > (0.1 if name == "tirex" else 1e-5)]:
            sys.exit(f"not the same: {', '.join(f'{name} by {off[name]:.1e}' for name in wrong)}")
        times = best({name: lambda run=run, x=x: run(x) for name, run in found.items()}, rounds)
        for name, seconds in times.items():
            ratios = [seconds / times[own] for own in ("ours", "our session")]
            shown = " | ".join(f"{ratio:.1f}" for ratio in ratios)
            yield f"| {batch} | {units} | {name} | {seconds / STEPS * 1e6:.1f} | {shown} | {off[name]:.0e} |"
        for name in absent:
            yield f"| {batch} | {units} | {name} | not installed | | | |"


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--output", type=Path, help="a folder for the page, which is named after the processor")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    text = []
    with torch.inference_mode():
        for line in lines(arguments.rounds):
            print(line, flush=True)
            text.append(line)
    if arguments.output:
        command = f"`python -m benchmarks.lean.slstm` on {processor()}, one thread, {STEPS} steps, {HEADS} heads."
        arguments.output.mkdir(parents=True, exist_ok=True)
        path = arguments.output / f"slstm-{processor().slug}.md"
        path.write_text("\n".join(["# sLSTM", "", command, "", *text]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
