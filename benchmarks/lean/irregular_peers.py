"""Cells of irregular time beside the packages that have them: the largest difference of their outputs, and time.

    python -m benchmarks.lean.irregular_peers

Prints the largest difference of the outputs in float64 over the largest value, and how many times as long as ours the
package's loop takes in float32: 100 steps of 32 sequences, 16 features, 64 units, one thread, forward, in turns, the
lowest of 15 rounds of thread time. All steps are one apart, as ncps takes no other times for batches. All three
packages run their cells step by step in Python. Writes benchmarks/results/lean/irregular_peers.md.

It needs ncps (CfC, by its authors), torchrecurrent (tauGRU) and pypots (GRU-D) on the path. The GRU-D of pypots is
another cell: torch's GRU, which resets behind the product and reads the faded state twice. Without a recurrent matrix
in the candidate both are the same, so that decay, filling and gates are compared there.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from tidegate.nn import Recurrent

T, B, I, H = 25, 4, 3, 16
ROUNDS = 15
RESULTS = Path(__file__).parents[1] / "results" / "lean" / "irregular_peers.md"


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference over the largest value."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Input [T, B, I], times between steps [T, B] and mask [T, B, I]."""
    torch.manual_seed(0)
    return torch.randn(T, B, I).double(), 2 * torch.rand(T, B).double(), (torch.rand(T, B, I) > 0.4).double()


@cache
def _pypots(name: str) -> Any:
    """A module of pypots without its package, which imports a dozen others."""
    spec = importlib.util.find_spec("pypots")
    assert spec is not None, "pypots is not on the path"
    package = ModuleType("pypots")
    package.__path__ = list(spec.submodule_search_locations or ())
    sys.modules["pypots"] = package
    return importlib.import_module(name)


@torch.no_grad()
def cfc() -> float:
    from ncps.torch.cfc_cell import CfCCell

    x, dt, _ = batch()
    peer = CfCCell(I, H, backbone_units=11).double()
    layer = Recurrent("cfc", I, H, widths={"K": 11}, dtype=torch.float64)
    heads = (peer.ff1, peer.ff2, peer.time_a, peer.time_b)
    layer.load_state_dict(
        {
            "weight_ih_l0": peer.backbone[0].weight[:, :I],
            "weight_hh_l0": peer.backbone[0].weight[:, I:],
            "bias_ih_l0": peer.backbone[0].bias,
            "weight_F_l0": torch.cat([head.weight for head in heads]),
            "bias_F_l0": torch.cat([head.bias for head in heads]),
        }
    )
    h, outputs = torch.zeros(B, H).double(), []
    for t in range(T):
        h, _ = peer(x[t], h, dt[t, :, None])
        outputs.append(h)
    return difference(layer(x, given={"dt": dt})[0], torch.stack(outputs))


@torch.no_grad()
def tau_gru() -> float:
    from torchrecurrent import tauGRU

    x, _, _ = batch()
    peer, layer = tauGRU(I, H).double(), Recurrent("taugru", I, H, dtype=torch.float64)
    layer.load_state_dict({f"{name.rpartition('.')[2]}_l0": value for name, value in peer.named_parameters()})
    return difference(layer(x)[0], peer(x)[0])


@torch.no_grad()
def gru_d() -> float:
    BackboneGRUD = _pypots("pypots.nn.modules.grud.backbone").BackboneGRUD
    x, dt, m = batch()
    peer, layer = BackboneGRUD(T, I, H).double(), Recurrent("grud", I, H, dtype=torch.float64)
    cell, sign = peer.rnn_cell, torch.ones(3 * H, 1).double()
    cell.weight_hh[2 * H :], cell.bias_hh[2 * H :], cell.weight_ih[2 * H :, I:-I] = 0, 0, 0
    sign[H : 2 * H] = -1  # of z, which torch keeps with and the paper writes with
    layer.load_state_dict(
        {
            "weight_ih_l0": sign * cell.weight_ih[:, :I],
            "weight_hh_l0": sign * (cell.weight_ih[:, I:-I] + cell.weight_hh),
            "weight_V_l0": sign * cell.weight_ih[:, -I:],
            "bias_ih_l0": sign[:, 0] * (cell.bias_ih + cell.bias_hh),
            "weight_D_l0": peer.temp_decay_h.W,
            "bias_D_l0": peer.temp_decay_h.b,
            "d_w_l0": peer.temp_decay_x.W.diagonal(),
            "d_b_l0": peer.temp_decay_x.b,
        }
    )
    last, gap, delta, filled = torch.zeros(B, I).double(), torch.zeros(B, I).double(), [], []
    for t in range(T):
        delta.append(gap + dt[t, :, None])
        last = torch.where(m[t] == 1, x[t], last)
        filled.append(last)
        gap = (1 - m[t]) * delta[-1]
    given = [value.transpose(0, 1) for value in (x, m, torch.stack(delta))]
    peers, after = peer(*given, torch.zeros(I).double(), torch.stack(filled).transpose(0, 1))
    theirs = torch.cat([peers[:, 1:].transpose(0, 1), after[None]])  # theirs are faded before each step
    ours, _ = layer(x, given={"dt": dt, "m": m})
    fade = torch.exp(-torch.relu(torch.stack(delta)[1:] @ peer.temp_decay_h.W.T + peer.temp_decay_h.b))
    return difference(torch.cat([fade * ours[:-1], ours[-1:]]), theirs)


def ratio(ours: Callable[[], object], theirs: Callable[[], object]) -> float:
    """How many times as long theirs takes."""
    best = [float("inf"), float("inf")]
    for _ in range(ROUNDS):
        for place, call in enumerate((ours, theirs)):
            start = time.thread_time()
            call()
            best[place] = min(best[place], time.thread_time() - start)
    return best[1] / best[0]


@torch.no_grad()
def times() -> dict[str, float]:
    """The ratio of each."""
    from ncps.torch import CfC
    from torchrecurrent import tauGRU

    steps, rows, features, units = 100, 32, 16, 64
    x, dt, m = torch.randn(steps, rows, features), torch.rand(steps, rows), torch.ones(steps, rows, features)
    turned = [value.transpose(0, 1).contiguous() for value in (x, dt, m)]
    grud = _pypots("pypots.nn.modules.grud.backbone").BackboneGRUD(steps, features, units)
    delta = turned[1][..., None].expand_as(turned[0])
    own_cfc = Recurrent("cfc", features, units, widths={"K": 128})
    own = {name: Recurrent(name, features, units) for name in ("taugru", "grud")}
    their_cfc, their_tau = CfC(features, units), tauGRU(features, units)
    return {
        "CfC of ncps": ratio(lambda: own_cfc(x, given={"dt": dt}), lambda: their_cfc(turned[0])),
        "tauGRU of torchrecurrent": ratio(lambda: own["taugru"](x), lambda: their_tau(x)),
        "GRU-D of pypots": ratio(
            lambda: own["grud"](x, given={"dt": dt, "m": m}),
            lambda: grud(turned[0], turned[2], delta, torch.zeros(features), turned[0]),
        ),
    }


PEERS: dict[str, Callable[[], float]] = {
    "CfC of ncps": cfc,
    "tauGRU of torchrecurrent": tau_gru,
    "GRU-D of pypots": gru_d,
}


def main() -> None:
    """Compare, print and write."""
    torch.set_num_threads(1)
    differences, ratios = {name: compare() for name, compare in PEERS.items()}, times()
    rows = [f"| {name} | {off:.1e} | {ratios[name]:.1f} |" for name, off in differences.items()]
    head = ["| cell | largest difference, float64 | its time over ours, float32 |", "|---|---|---|"]
    text = "\n".join(["`python -m benchmarks.lean.irregular_peers`", "", *head, *rows, ""])
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
