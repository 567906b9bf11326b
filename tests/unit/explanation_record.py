"""Explanations of models that are really trained: a series and a text, with plain measures of their gradients.

The measures here are the simplest that are right: autograd over single steps in float64. They stand in for those of
``tidegate.explain`` so that tests of the page need nothing but the page.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch

import tidegate as tg
from tidegate.data import BUNDLED
from tidegate.explain.trace import layer_records, packed, traced, with_traces
from tidegate.records import (
    AblationRecord,
    AttributionRecord,
    ChangeRecord,
    CheckRecord,
    ContextRecord,
    CurveRecord,
    DynamicsRecord,
    EvidenceRecord,
    ExplanationRecord,
    ExponentRecord,
    FixedPointRecord,
    FlowRecord,
    ForcingRecord,
    GateRecord,
    MemoryRecord,
    PathRecord,
    RemedyRecord,
    ShareRecord,
    SignalRecord,
    SilenceRecord,
    TraceRecord,
    VerdictLine,
)

SEED = 4


@dataclass
class Model:
    """A layer, what reads it, and the sequences it is explained on: input [T, B, I] and target of the last step."""

    layer: tg.nn.Recurrent
    head: torch.nn.Linear
    x: torch.Tensor
    y: torch.Tensor

    def loss(self, output):
        """Of each sequence, at its last step."""
        answer = self.head(output[-1])
        if self.y.is_floating_point():
            return (answer.squeeze(-1) - self.y).square()
        return torch.nn.functional.cross_entropy(answer, self.y, reduction="none")


def trained(layer, head, batches, x, y, loss):
    """The model after one pass over the batches, in float64."""
    optimiser = torch.optim.Adam([*layer.parameters(), *head.parameters()], 5e-3)
    for given, wanted in batches:
        optimiser.zero_grad()
        loss(head(layer(given)[0]), wanted).backward()
        torch.nn.utils.clip_grad_norm_([*layer.parameters(), *head.parameters()], 1.0)
        optimiser.step()
    frozen = [part.double().eval().requires_grad_(requires_grad=False) for part in (layer, head)]
    return Model(*frozen, x.double(), y.double() if y.is_floating_point() else y)


# --- two models ---


@cache
def elnino():
    """Months, temperatures, and a GRU that forecasts the next month."""
    rows = list(csv.DictReader(BUNDLED["elnino"].read().decode().splitlines()))
    months = [row["month"] for row in rows]
    values = np.array([float(row["temperature"]) for row in rows])
    scaled = torch.tensor((values - values.mean()) / values.std(), dtype=torch.float32)
    phase = torch.tensor([2 * math.pi * int(month[5:]) / 12 for month in months], dtype=torch.float32)
    table = torch.stack([scaled, phase.sin(), phase.cos()], -1)
    draw = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    batches = []
    for _ in range(120):
        starts = torch.randint(0, 500, (16,), generator=draw)
        batches.append(
            (
                torch.stack([table[s : s + 48] for s in starts], 1),
                torch.stack([scaled[s + 1 : s + 49] for s in starts], 1),
            )
        )
    ends = [len(values) - 2 - 18 * k for k in range(8)]
    x = torch.stack([table[end - 95 : end + 1] for end in ends], 1)
    y = torch.stack([scaled[end + 1] for end in ends])
    layer, head = tg.nn.GRU(3, 32), torch.nn.Linear(32, 1)
    model = trained(layer, head, batches, x, y, lambda out, to: (out.squeeze(-1) - to).square().mean())
    return model, [months[end - 95 : end + 1] for end in ends], values.mean(), values.std()


@cache
def shakespeare(cell="gru", sequences=8, steps=200, units=64):
    """Letters, and a network that forecasts the next one."""
    text = BUNDLED["shakespeare"].read().decode()[:60_000]
    letters = sorted(set(text))
    codes = torch.tensor([letters.index(letter) for letter in text])
    draw = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    eye = torch.eye(len(letters))
    batches = []
    for _ in range(60):
        starts = torch.randint(0, 50_000, (16,), generator=draw).tolist()
        given = torch.stack([codes[s : s + 50] for s in starts], 1)
        batches.append((eye[given], torch.stack([codes[s + 1 : s + 51] for s in starts], 1)))
    starts = [52_000 + 900 * k for k in range(sequences)]
    x = eye[torch.stack([codes[s : s + steps] for s in starts], 1)]
    y = torch.stack([codes[s + steps] for s in starts])
    layer, head = tg.nn.Recurrent(cell, len(letters), units), torch.nn.Linear(units, len(letters))
    model = trained(
        layer, head, batches, x, y, lambda out, to: torch.nn.functional.cross_entropy(out.flatten(0, 1), to.flatten())
    )
    return model, [text[s : s + steps] for s in starts]


# --- plain measures ---


def stepwise(model, x):
    """Outputs of all steps, and the states that autograd can be asked about."""
    state, states, outputs = None, [], []
    for t in range(len(x)):
        output, state = model.layer(x[t : t + 1], state)
        own = state if isinstance(state, tuple) else (state,)
        for part in own:
            part.retain_grad()
        states.append(own)
        outputs.append(output)
    return torch.cat(outputs), states


def flow_of(model, lags):
    """Quartiles over sequences of log10 of the gradient by lag, relative to lag 1."""
    output, states = stepwise(model, model.x.clone().requires_grad_())
    model.loss(output).sum().backward()
    norms = torch.stack([torch.cat([part.grad[0] for part in own], -1).norm(dim=-1) for own in states[:-1]])
    norms = norms.flip(0)  # of the states that the last step reads, the one before it, and so on
    ratio = (norms / norms[0]).log10()[:lags].numpy()
    low, median, high = np.quantile(ratio, [0.25, 0.5, 0.75], axis=1)
    slope = float(np.polyfit(np.arange(1, lags + 1), median * math.log(10), 1)[0])
    series = {"low": tuple(low.tolist()), "median": tuple(median.tolist()), "high": tuple(high.tolist())}
    return series, slope, float(np.median(ratio[-1]))


def jacobian_at(layer, x, h):
    """The Jacobian of one step at several inputs and states: one backward run over a copy of each for each unit."""
    size = h.shape[-1]
    copies = h.repeat_interleave(size, 0).requires_grad_()
    _, after = layer(x.repeat_interleave(size, 0)[None], copies[None])
    wanted = torch.eye(size, dtype=h.dtype).repeat(len(h), 1)
    return torch.autograd.grad(after[0], copies, wanted)[0].view(len(h), size, size)


def jacobians(model, sequence):
    """The Jacobian of each step along one sequence, for a cell with one state."""
    states = model.layer(model.x[:, sequence])[0]
    before = torch.cat([torch.zeros(1, model.layer.hidden_size, dtype=states.dtype), states[:-1]])
    return jacobian_at(model.layer, model.x[:, sequence], before)


def memory_of(model, gate="z"):
    """Half-lives by the gate that carries, and where gates lie."""
    with torch.no_grad():
        values = model.layer.trace(model.x)
    carry = values[f"{gate}_l0"]
    lives = (math.log(0.5) / carry.log().mean((0, 1))).tolist()
    quartiles = np.quantile(lives, [0.25, 0.5, 0.75]).tolist()
    share = (model.head.weight.abs().sum(0) * values["h_l0"].std((0, 1))).detach()
    gates = []
    for name in ("r", "z"):
        value = values[f"{name}_l0"]
        sides = [float(((v).double().mean((0, 1)) >= 0.95).double().mean()) for v in (value < 0.1, value > 0.9)]
        gates.append(GateRecord(name, float(value.mean()), *sides))
    series, _, _ = flow_of(model, 60)
    half = next((float(k + 1) for k, value in enumerate(series["median"]) if value <= math.log10(0.5)), None)
    moved = float((values["h_l0"][1:] - values["h_l0"][:-1]).abs().mean())
    return MemoryRecord(
        "gru.l0",
        gate,
        *quartiles,
        max(lives),
        tuple(lives),
        half,
        moved,
        tuple((share / share.sum()).tolist()),
        tuple(gates),
    )


def exponents_of(jacobian):
    """Exponents along one sequence, by QR at every step."""
    q = torch.eye(jacobian.shape[-1], dtype=torch.float64)
    total = torch.zeros(jacobian.shape[-1], dtype=torch.float64)
    for one in jacobian:
        q, r = torch.linalg.qr(one @ q)
        total += r.diagonal().abs().log()
    return tuple(sorted((total / len(jacobian)).tolist(), reverse=True))


def gradients_at_input(model):
    """Integrated gradients of the answer from zeros, 16 points; answers at both ends."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    total = torch.zeros_like(model.x)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        x = (node * model.x).requires_grad_()
        (gradient,) = torch.autograd.grad(model.head(model.layer(x)[0][-1]).sum(), x)
        total += weight * gradient
    with torch.no_grad():
        ends = [model.head(model.layer(x)[0][-1]).mean() for x in (torch.zeros_like(model.x), model.x)]
    return total * model.x, float(ends[0]), float(ends[1])


# --- two records ---


@cache
def series_record():
    """The forecast of a series, with every part of a record."""
    model, months, mean, spread = elnino()
    names = ("temperature", "month, sine", "month, cosine")
    lags, season = 60, 12
    series, slope, at_end = flow_of(model, lags)
    jacobian = jacobians(model, 0)
    product = np.cumsum([math.log10(float(torch.linalg.matrix_norm(one, 2))) for one in jacobian.flip(0)[:lags]])
    sup = max(float(torch.linalg.matrix_norm(one, 2)) for one in jacobian)
    contributions, start, answer = gradients_at_input(model)
    by_lag = spread * contributions.flip(0).mean(1)[:48]
    layers = tuple(layer_records("gru", model.layer))
    call = traced("gru", model.layer, model.x)
    readout = memory_of(model).readout
    with torch.no_grad():
        said = (model.head(model.layer(model.x)[0][-1]).squeeze(-1) * spread + mean).tolist()
    blank = [
        TraceRecord(
            title=f"{labels[0]} to {labels[-1]}",
            labels=tuple(labels),
            signals=(),
            target=len(labels) - 1,
            answer=f"Forecast for the next month: {said[k]:.2f} °C; it was {float(model.y[k]) * spread + mean:.2f} °C.",
            curves=tuple(CurveRecord(name, tuple(model.x[:, k, f].tolist())) for f, name in enumerate(names[:1])),
            attribution=tuple((spread * contributions[:, k].sum(-1)).tolist()),
        )
        for k, labels in enumerate(months)
    ]
    traces = with_traces(blank, range(len(blank)), [call], {"gru.l0": readout})
    return ExplanationRecord(
        title=f"The gradient dies before lag {lags}" if at_end < -4 else "The gradient arrives",
        task="forecast",
        model="models/elnino",
        data="El Niño 1950 to 2010, monthly",
        lag=lags,
        lag_from="given",
        target="the last step",
        sequences=model.x.shape[1],
        seasonality=season,
        layers=layers,
        shares=shares_of(model),
        verdicts=verdicts_of(model, at_end, lags),
        flow=(
            FlowRecord(
                "gru",
                tuple(range(1, lags + 1)),
                **series,
                sequences=8,
                slope=slope,
                bound=tuple(k * math.log10(sup) for k in range(lags)),
                bound_name="sup over steps of the norm, to the lag",
                product=tuple((product - product[0]).tolist()),
            ),
        ),
        memory=(memory_of(model),),
        dynamics=(dynamics_of(model, jacobian),),
        silences=(SilenceRecord("gru", 63.0, None, "steps", -13.0, None, "After the burst the output settles."),),
        ablations=(
            AblationRecord(
                "units", 0.3125, "°C", tuple(ChangeRecord(f"gru[{k}]", 0.5 / (k + 1), 0.01) for k in range(20)), 24
            ),
            AblationRecord("features", 0.3125, "°C", (ChangeRecord("<b>", -0.25, None),), 1),
        ),
        attributions=(
            AttributionRecord(
                "next month",
                "°C",
                names,
                tuple(range(48)),
                tuple(tuple(row) for row in by_lag.tolist()),
                tuple(tuple(row) for row in (spread * contributions.abs()).flip(0).mean(1)[:48].tolist()),
                (ShareRecord("layers", spread * float(contributions.sum(0).sum(-1).mean())),),
                "zeros",
                spread * start + mean,
                spread * answer + mean,
                abs(float(contributions.sum((0, 2)).mean()) - (answer - start)) / abs(answer - start),
                16,
            ),
        ),
        context=context_of(model, spread),
        forcing=forcing_of(model, spread),
        checks=checks_of(model),
        traces=traces,
        importance="share of what is read out",
        left_out=("Free-running exponents of layer gru: the task has covariates that the model does not forecast.",),
        versions={"tidegate": tg.__version__, "torch": torch.__version__},
        command="tidegate explain models/elnino elnino --lag 60 --out explain.html",
    )


def shares_of(model):
    """What the answer keeps of its size without the layers: the bias of the head alone."""
    with torch.no_grad():
        whole = model.head(model.layer(model.x)[0][-1]).squeeze(-1)
        bias = float((model.head.bias.abs() / (whole - model.head.bias).abs().add(model.head.bias.abs())).mean())
    return (ShareRecord("layers", 1 - bias, "the recurrent layer"), ShareRecord("anchor", bias, "a constant"))


def verdicts_of(model, at_end, lag):
    """Verdicts on what was measured, and one remedy that was really tried."""
    return vanishing(model, at_end, lag), unused(model), recent(model)


def vanishing(model, at_end, lag):
    """The gradient at the lag; the bias of the update gate is raised to see whether it comes back."""
    evidence = (EvidenceRecord(f"log10 of the gradient at lag {lag} over lag 1", at_end, -4.0, "below"),)
    kept = model.layer.bias_hh_l0.detach().clone()
    with torch.no_grad():
        before = float(model.loss(model.layer(model.x)[0]).mean())
        model.layer.bias_hh_l0[32:64] += 2.0
    _, _, after = flow_of(model, lag)
    with torch.no_grad():
        loss = float(model.loss(model.layer(model.x)[0]).mean())
        model.layer.bias_hh_l0.copy_(kept)
    how = "2 added to the bias of the update gate, no training"
    return VerdictLine(
        name="vanishing",
        severity="fault",
        layer="gru",
        sentence=f"The gradient dies before lag {lag}: what happened {lag} steps ago cannot be learnt.",
        evidence=evidence,
        against="The loss is taken at the last step; with a loss at every step shorter lags would matter more.",
        remedy="Start the update gate open, with chrono for the lag asked for.",
        code=f"tg.nn.GRU(3, 32, chrono={lag})",
        command=f"tidegate train forecast elnino --chrono {lag}",
        tried=RemedyRecord(how, evidence, (replace(evidence[0], value=after),), before, loss, gone=after >= -4),
    )


def unused(model):
    """Units that the head hardly reads."""
    share = float(np.mean(np.array(memory_of(model).readout) < 0.005))
    return VerdictLine(
        name="unused_units",
        severity="warning",
        layer="gru",
        sentence=f"{share:.0%} of the units are hardly read.".replace("%", "\N{NO-BREAK SPACE}%"),
        evidence=(EvidenceRecord("share of units below 0.5 % of what is read", share, 0.1, "above"),),
        remedy="A smaller layer would do.",
        command="tidegate train forecast elnino --hidden-size 24",
    )


def recent(model):
    """Where in time the attribution lies."""
    sizes = gradients_at_input(model)[0].abs().sum((1, 2)).flip(0)
    share = float(sizes[:12].sum() / sizes.sum())
    return VerdictLine(
        name="recent",
        severity="note",
        layer="",
        sentence="The forecast rests on the last season.",
        evidence=(EvidenceRecord("share of absolute attribution at lags 0 to 11", share),),
    )


def dynamics_of(model, jacobian):
    """Exponents along the data, the plane of the states, and fixed points by iterating the step."""
    with torch.no_grad():
        states = model.layer(model.x)[0]
        flat = states.flatten(0, 1)
        centre = flat.mean(0)
        _, sizes, axes = torch.linalg.svd(flat - centre, full_matrices=False)
        share = (sizes**2 / (sizes**2).sum())[:2].tolist()
        plane = (states - centre) @ axes[:2].T
        zero = torch.zeros(1, 64, 3, dtype=torch.float64)
        h = flat[:: len(flat) // 64][:64][None].contiguous()
        for _ in range(2000):
            h = model.layer(zero, h)[1]
        found, _, counts = np.unique(h[0].round(decimals=4).numpy(), axis=0, return_inverse=True, return_counts=True)
    points = []
    steps = jacobian_at(model.layer, zero[0, : len(found)], torch.tensor(found))
    for state, step, reached in zip(torch.tensor(found), steps, counts.tolist(), strict=True):
        radius = torch.linalg.eigvals(step).abs()
        x, y = ((state - centre) @ axes[:2].T).tolist()
        points.append(
            FixedPointRecord(x, y, bool(radius.max() < 1), int((radius > 1).sum()), reached, float(radius.max()))
        )
    paths = tuple(
        PathRecord(f"sequence {k + 1}", tuple(plane[:, k, 0].tolist()), tuple(plane[:, k, 1].tolist()))
        for k in range(4)
    )
    driven = ExponentRecord("driven", exponents_of(jacobian), len(jacobian))
    return DynamicsRecord("gru", (driven,), "zeros", 64, 0, tuple(points), tuple(share), paths)


def context_of(model, spread):
    """Absolute errors with the last steps as history."""
    lengths, rows = (1, 2, 3, 4, 6, 8, 12, 16, 24, 36, 48, 96), []
    with torch.no_grad():
        for length in lengths:
            answer = model.head(model.layer(model.x[-length:])[0][-1]).squeeze(-1)
            rows.append((spread * (answer - model.y).abs()).tolist())
    low, _, high = np.quantile(rows, [0.25, 0.5, 0.75], axis=1)
    means = tuple(np.mean(rows, axis=1).tolist())
    reach = next(n for n, score in zip(lengths, means, strict=True) if score <= 1.01 * means[-1])
    return ContextRecord(
        lengths, means, "mean absolute error", tuple(low.tolist()), tuple(high.tolist()), "°C", reach=reach
    )


def forcing_of(model, spread):
    """Absolute errors over the last twelve months, with true and with own values as input."""
    steps = 12
    with torch.no_grad():
        truth = torch.cat([model.x[1:, :, 0], model.y[None]])[-steps:]
        forced = model.head(model.layer(model.x)[0]).squeeze(-1)[-steps:]
        output, state = model.layer(model.x[: -steps + 1 or None])
        free = [model.head(output[-1]).squeeze(-1)]
        for t in range(len(model.x) - steps + 1, len(model.x)):
            given = torch.cat([free[-1][:, None], model.x[t, :, 1:]], -1)
            output, state = model.layer(given[None], state)
            free.append(model.head(output[-1]).squeeze(-1))
        errors = [(spread * (one - truth).abs().mean(1)).tolist() for one in (forced, torch.stack(free))]
    return ForcingRecord(tuple(range(1, steps + 1)), *map(tuple, errors), "mean absolute error", "°C")


def checks_of(model):
    """Padding and chunks, really run."""
    with torch.no_grad():
        lengths = [90] * model.x.shape[1]
        whole = model.layer(model.x, lengths=lengths)[0]
        other = model.x.clone()
        other[90:] = 1e3
        padding = float((model.layer(other, lengths=lengths)[0] - whole).abs().max())
        first, state = model.layer(model.x[:40])
        rest, _ = model.layer(model.x[40:], state)
        chunks = float((torch.cat([first, rest]) - model.layer(model.x)[0]).abs().max())
        lost = float((torch.cat([first, model.layer(model.x[40:])[0]]) - model.layer(model.x)[0]).abs().max())
    return (
        CheckRecord(
            "padding", padding, padding == 0, "The values after the end of each sequence were changed to 1,000."
        ),
        CheckRecord(
            "chunks", chunks, chunks == 0, "Steps 1 to 40 and the rest ran apart, with the state carried over."
        ),
        CheckRecord(
            "state dropped", lost, lost == 0, "The same with the state dropped between the two: a planted mistake."
        ),
        CheckRecord("resets", None, None, "The model is called without resets."),
    )


@cache
def text_record(cell="gru", sequences=8, steps=200, units=64):
    """A text with one label for each letter, as large as a page takes."""
    model, texts = shakespeare(cell, sequences, steps, units)
    call = traced("gru", model.layer, model.x)
    blank = [
        TraceRecord(f"{text[:24]!r}…", tuple(text), (), len(text) - 1, f"Next letter: {text[-1]!r}") for text in texts
    ]
    traces = with_traces(blank, range(len(blank)), [call])
    series, slope, _ = flow_of(model, 40)
    return ExplanationRecord(
        title="A network that reads letters",
        task="language",
        model="models/letters",
        data="Tiny Shakespeare",
        lag=20,
        lag_from="given",
        target="the last step",
        sequences=sequences,
        layers=tuple(layer_records("gru", model.layer)),
        flow=(FlowRecord("gru", tuple(range(1, 41)), **series, sequences=sequences, slope=slope),),
        traces=traces,
    )


@cache
def music_record():
    """Chorales as notes, with a small LSTM that forecasts the next chord."""
    pieces = json.loads(BUNDLED["jsb"].read())["train"][:24]
    steps, low, keys = 48, 21, 88
    x = torch.zeros(steps, len(pieces), keys)
    for b, piece in enumerate(pieces):
        for t, chord in enumerate(piece[:steps]):
            x[t, b, [note - low for note in chord]] = 1
    torch.manual_seed(SEED)
    layer, head = tg.nn.LSTM(keys, 32), torch.nn.Linear(32, keys)
    after = torch.cat([x[1:], x[-1:]])
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    model = trained(layer, head, [(x, after)] * 30, x[:, :4], after[-1, :4].sum(-1), loss)
    roll = tuple(range(low, low + keys))
    blank = [
        TraceRecord(
            f"chorale {b + 1}",
            tuple(str(t + 1) for t in range(steps)),
            (),
            roll=SignalRecord("", "keys", roll, 0.0, 1.0, packed(x[:, b], 0.0, 1.0)),
        )
        for b in range(4)
    ]
    return ExplanationRecord(
        title="A network that reads chords",
        task="music",
        model="models/chorales",
        data="JSB chorales",
        lag=8,
        lag_from="given",
        target="all steps",
        sequences=4,
        layers=tuple(layer_records("lstm", model.layer)),
        traces=with_traces(blank, range(4), [traced("lstm", model.layer, model.x)]),
    )
