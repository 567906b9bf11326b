"""Does the engine agree with the definition? One configuration at a time, or ``python -m tests.backend.agreement``.

As a program it runs seeds in the instruction set that ``TIDEGATE_ISA`` names and prints a line of JSON before and
behind each, so that whoever started it knows which one it was running if it crashes.
"""

from __future__ import annotations

import faulthandler
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from tests.backend.drawn import Configuration, Problem, arguments_of, draw, flat, layer_of, problem_of
from tests.reference import tolerance
from tests.reference.compare import relative_error
from tidegate.cell.parameter import attribute
from tidegate.machine import most_threads
from tidegate.nn import Recurrent
from tidegate.runtime import Adjoints, eager_only, fused, strict, watch_adjoints
from tidegate.runtime.library import BRIDLES, ENDURES, load
from tidegate.runtime.sized import compiled

Tensors = dict[str, Tensor]
Definition = Callable[[Problem, torch.dtype], Tensors]

TINY = {torch.float32: 1e-30, torch.float64: 1e-290}
"""Errors are measured against at least this: the engine takes denormal numbers for zeros, as torch can be told to."""

MATRIX_EPS = 8 * 2.0**-23
"""Allowed for the gradient of a matrix in float32, instead of 4: the definition adds up a sum for each step, which is
more exact than the one product over all steps that the engine and torch.nn make, of hundreds of rows in a register."""

NEIGHBOURS = 8
NEARBY_FACTOR = 3.0
"""The factor 2 is for errors of many numbers. Of a single one, eight samples of an error show two thirds of what it can
be, seldom half."""

PATIENCE = 300  # seconds that one configuration may take before it counts as hanging


@dataclass
class Verdict:
    """How far results are from what is right, as a share of what is allowed; above 1 is wrong."""

    seed: int
    cell: str
    dtype: str
    results: float = 0.0
    gradients: float = 0.0
    complaints: list[str] = field(default_factory=list)
    unlucky: int = 0  # results that are right only if measured against the definition at neighbouring problems
    by_unit: bool = False  # each unit runs through time by itself


@contextmanager
def engine() -> Iterator[None]:
    """Whatever would run by its definition is a mistake in here."""
    with mock.patch.object(fused, "run_eagerly", side_effect=AssertionError("this ran by its definition")):
        yield


@contextmanager
def threads(count: int, temper: int = ENDURES) -> Iterator[None]:
    """So many threads, also where there are fewer processors, or other programs on them."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    load().share(count, temper)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        load().share(most_threads())


@contextmanager
def poisoned() -> Iterator[None]:
    """Memory that torch does not initialise is full of NaN: outputs and the engine's workspace."""
    torch.use_deterministic_algorithms(mode=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=False)


# Running


def prepared(problem: Problem, dtype: torch.dtype) -> Recurrent:
    """The layer, with its parameters, some of them frozen."""
    c = problem.configuration
    layer = layer_of(c, dtype)
    layer.load_state_dict(problem.parameters)
    choose = Random(c.seed)
    for parameter in layer.parameters():
        parameter.requires_grad_(choose.random() >= c.frozen)
    return layer


def upstream(problem: Problem, outputs: Mapping[str, Tensor]) -> Tensors:
    """The results that the loss reads, each with its gradient."""
    c = problem.configuration
    generator = torch.Generator().manual_seed(c.seed)
    grads = {n: torch.randn(v.shape, generator=generator, dtype=c.dtype).to(v.dtype) for n, v in outputs.items()}
    y, *lasts = outputs
    if c.loss in ("sum", "end"):
        return (
            {y: torch.ones((), dtype=outputs[y].dtype).expand(outputs[y].shape)}
            if c.loss == "sum"
            else {y: _end(grads[y])}
        )
    if c.loss == "transposed":
        return {y: grads[y].mT.contiguous().mT}
    chosen = {"all": [y, *lasts], "output": [y], "last": lasts, "one state": [lasts[c.seed % len(lasts)]]}[c.loss]
    return {name: grads[name] for name in chosen}


def _end(grad: Tensor) -> Tensor:
    masked = torch.zeros_like(grad)
    masked[-1:] = grad[-1:]
    return masked


def outcome(
    problem: Problem, layer: Recurrent, call: Callable[..., Any] | None = None, *, repeat: int = 1
) -> list[Tensors]:
    """Results and gradients, as often as asked for from one graph."""
    call = call or layer
    dtype = next(layer.parameters()).dtype
    args, named, leaves = arguments_of(problem, dtype)
    leaves |= {n: p for n, p in layer.named_parameters() if p.requires_grad}
    y, state = call(*args, **named)
    states = state if isinstance(state, tuple) else (state,)
    outputs = {"y": flat(y), **{f"last {k}": s for k, s in enumerate(states)}}
    found = []
    for number in range(repeat):
        grads = {f"d {n}": torch.zeros_like(v) for n, v in leaves.items()}
        if leaves and any(v.requires_grad for v in outputs.values()):  # no step at all depends on no leaf
            wanted = {n: g for n, g in upstream(problem, outputs).items() if outputs[n].requires_grad}
            values = torch.autograd.grad(
                [outputs[n] for n in wanted], list(leaves.values()), list(wanted.values()),
                retain_graph=number + 1 < repeat, allow_unused=True, materialize_grads=True,
            )  # fmt: skip
            grads = {f"d {n}": v for n, v in zip(leaves, values, strict=True)}
        found.append({n: v.detach() for n, v in (outputs | grads).items()})
    return found


def by_engine(problem: Problem, count: int | None = None, temper: int = ENDURES) -> Tensors:
    c = problem.configuration
    with engine(), poisoned(), threads(count or c.threads, temper):
        return outcome(problem, prepared(problem, c.dtype))[0]


def by_definition(problem: Problem, dtype: torch.dtype) -> Tensors:
    with eager_only(), threads(1):
        return outcome(problem, prepared(problem, dtype))[0]


# Comparing


@dataclass
class Judge:
    """What results of a problem may be: near to ``exact``, by the rules of tests/reference/tolerance.py.

    In float64 ``exact`` is the definition itself. In float32 it is the definition run in float64, and ``rough`` the one
    in float32, which shows how far from it rounding leads. A gradient that is one number, the sum of many that cancel,
    may be exact by luck. So what fails is measured again, against the largest such error at neighbouring problems.
    """

    problem: Problem
    exact: Tensors
    rough: Tensors | None
    floor: float
    definition: Definition
    _neighbours: list[tuple[Tensors, Tensors]] = field(default_factory=list)

    @staticmethod
    def of(problem: Problem, definition: Definition = by_definition) -> Judge:
        c = problem.configuration
        floor = tolerance.SATURATED_FLOOR if c.saturated else TINY[c.dtype]
        rough = definition(problem, torch.float32) if c.dtype == torch.float32 else None
        return Judge(problem, definition(problem, torch.float64), rough, floor, definition)

    def shares(self, got: Tensors) -> tuple[dict[str, float], int]:
        """For each result its error as a share of what is allowed, and how many only a second look lets pass."""
        unknown = got.keys() - self.exact.keys()
        assert not unknown, f"unknown results: {sorted(unknown)}"
        shares, unlucky = {}, 0
        for name, value in got.items():
            error = self._error(name, value, self.exact)
            shares[name] = error / self._allowed(name, tolerance.FLOAT32_FACTOR * self._rough_error(name))
            if shares[name] > 1 and self.rough is not None:
                shares[name] = error / self._allowed(name, NEARBY_FACTOR * self._largest_error_nearby(name))
                unlucky += shares[name] <= 1
        return shares, unlucky

    def _error(self, name: str, value: Tensor, exact: Tensors) -> float:
        try:
            return relative_error(value.double(), exact[name], self.floor)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error

    def _rough_error(self, name: str) -> float:
        return 0.0 if self.rough is None else self._error(name, self.rough[name], self.exact)

    def _allowed(self, name: str, rough: float) -> float:
        if self.rough is None:
            return tolerance.FLOAT64 * (tolerance.NORMALISED_FACTOR if self.problem.configuration.norm else 1)
        return rough + (MATRIX_EPS if name.startswith("d weight") else tolerance.FLOAT32_EPS)

    def _largest_error_nearby(self, name: str) -> float:
        if not self._neighbours:
            near = [_nudged(self.problem, k) for k in range(NEIGHBOURS)]
            run = self.definition
            self._neighbours = [(run(p, torch.float32), run(p, torch.float64)) for p in near]
        return max(self._error(name, rough[name], exact) for rough, exact in self._neighbours)


def _nudged(problem: Problem, number: int) -> Problem:
    """The problem with every number moved by about a rounding, at random up or down."""
    torch.manual_seed(1000 * problem.configuration.seed + number)

    def moved(value: Tensor) -> Tensor:
        return value * (1 + torch.finfo(value.dtype).eps * torch.randint(-2, 3, value.shape))

    return replace(
        problem,
        parameters={n: moved(p) for n, p in problem.parameters.items()},
        x=moved(problem.x),
        given={n: moved(value) for n, value in problem.given.items()},
        states=problem.states and tuple(moved(s) for s in problem.states),
    )


def must_equal(what: str, got: Tensors, wanted: Tensors) -> None:
    """Every bit of every result."""
    wrong = [n for n in wanted if not torch.equal(got[n], wanted[n])]
    assert not wrong, f"{what}: not the same: {', '.join(wrong)}"


# What a share of the configurations is also held to


def same_for_any_number_of_threads(problem: Problem, judge: Judge, got: Tensors) -> Iterable[Tensors]:
    for count in (1, 2, 3, 4):
        must_equal(f"{count} threads", by_engine(problem, count), got)
    for count in (2, 3):
        must_equal(f"{count} threads, and one from the first step on", by_engine(problem, count, BRIDLES), got)
    return ()


def same_if_run_back_twice(problem: Problem, judge: Judge, got: Tensors) -> Iterable[Tensors]:
    c = problem.configuration
    with engine(), poisoned(), threads(c.threads):
        first, second = outcome(problem, prepared(problem, c.dtype), repeat=2)
    must_equal("retain_graph", first, got)
    must_equal("second backward", second, got)
    return ()


def sees_parameters_changed_through_data(problem: Problem, judge: Judge, got: Tensors) -> Iterable[Tensors]:
    """In place, which no version counter shows, and by another tensor."""
    c = problem.configuration
    with engine(), poisoned(), threads(c.threads):
        layer = prepared(problem, c.dtype)
        for number, (name, parameter) in enumerate(layer.named_parameters()):
            if number % 2:
                parameter.data = torch.randn_like(problem.parameters[name])
            else:
                parameter.data.mul_(-3)
        outcome(problem, layer)
        with torch.no_grad():
            layer(*_call(problem)[0], **_call(problem)[1])
        for name, parameter in layer.named_parameters():
            parameter.data.copy_(problem.parameters[name])
        must_equal("parameters changed through .data", outcome(problem, layer)[0], got)
    return ()


def _call(problem: Problem) -> tuple[tuple, dict]:
    args, named, _ = arguments_of(problem, problem.configuration.dtype)
    return args, named


def same_by_functional_call(problem: Problem, judge: Judge, got: Tensors) -> Iterable[Tensors]:
    """With parameters from outside, not contiguous, in a layer that has others."""
    c = problem.configuration
    own = prepared(problem, c.dtype)
    stranger = layer_of(c, c.dtype)
    given = {n: p if p.dim() == 1 else _across(p) for n, p in own.named_parameters()}

    def call(*args: Any, **named: Any) -> Any:
        return torch.func.functional_call(stranger, given, args, named)

    with engine(), poisoned(), threads(c.threads):
        must_equal("functional_call", outcome(problem, own, call)[0], got)
    return ()


def _across(parameter: Tensor) -> Tensor:
    return parameter.t().contiguous().t()


def same_without_gradients(problem: Problem, judge: Judge, got: Tensors) -> Iterable[Tensors]:
    c = problem.configuration
    args, named = _call(problem)
    with engine(), poisoned(), threads(c.threads), torch.no_grad():
        y, state = prepared(problem, c.dtype)(*args, **named)
    states = state if isinstance(state, tuple) else (state,)
    return [{"y": flat(y), **{f"last {k}": s for k, s in enumerate(states)}}]


def traced_as_by_the_definition(problem: Problem, judge: Judge, got: Tensors) -> Iterable[Tensors]:
    """Every gate and state at every step."""
    with strict(), poisoned(), threads(problem.configuration.threads):
        values = traced(problem, problem.configuration.dtype)
    shares, _ = Judge.of(problem, traced_by_definition).shares(values)
    wrong = {name: share for name, share in shares.items() if not share <= 1}
    assert not wrong, f"traced: times as far off as allowed: {wrong}"
    return ()


def traced_by_definition(problem: Problem, dtype: torch.dtype) -> Tensors:
    with eager_only(), threads(1):
        return traced(problem, dtype)


def traced(problem: Problem, dtype: torch.dtype) -> Tensors:
    args, named, _ = arguments_of(problem, dtype)
    with torch.no_grad():
        found = prepared(problem, dtype).trace(*args, **named)
    return {name: flat(value).nan_to_num() for name, value in found.items()}


def same_if_watched(problem: Problem, judge: Judge, got: Tensors) -> Iterable[Tensors]:
    """And the gradients of matrices are sums of adjoints times operands."""
    c = problem.configuration
    layer = prepared(problem, c.dtype)
    with engine(), poisoned(), threads(c.threads), watch_adjoints() as calls:
        results = outcome(problem, layer)[0]
    for k, one in enumerate(calls):
        for d, adjoints in enumerate(one.directions):
            for name, made, size, rows in _gradients_made(layer, adjoints):
                here = "d " + attribute(name, k, reverse=bool(d))
                if here in results:
                    kind = torch.finfo(c.dtype)  # a sum is off by as many roundings, and products may be flushed to 0
                    share = (made - results[here].double()).abs() / (max(rows, 1) * (kind.eps * size + kind.tiny))
                    assert (share <= 1).all(), f"{here} is not made of adjoints and operands: {share.max():.3g}"
    return [results]


def _gradients_made(layer: Recurrent, adjoints: Adjoints) -> Iterator[tuple[str, Tensor, Tensor, int]]:
    """The gradient of each matrix that is applied once, the sum of the sizes of its summands, and their number."""
    matrices = [product.matrix for product in adjoints.products]
    for product in adjoints.products:
        if matrices.count(product.matrix) == 1:
            terms = [flat(a).flatten(0, -2).double() for a in product.adjoints.values()]
            o = flat(product.operand).flatten(0, -2).double()
            pairs = [pair for a in terms for pair in zip(*(v.chunk(product.heads, -1) for v in (a, o)), strict=True)]
            size = torch.cat([a.abs().T @ own.abs() for a, own in pairs])
            yield f"weight_{product.matrix}", torch.cat([a.T @ own for a, own in pairs]), size, len(o)


CHECKS: Mapping[str, Callable[[Problem, Judge, Tensors], Iterable[Tensors]]] = {
    "threads": same_for_any_number_of_threads,
    "retain": same_if_run_back_twice,
    "data": sees_parameters_changed_through_data,
    "functional": same_by_functional_call,
    "inference": same_without_gradients,
    "traced": traced_as_by_the_definition,
    "watched": same_if_watched,
}


def judge(configuration: Configuration) -> Verdict:
    """Run one configuration in every way that it asks for."""
    c = configuration
    verdict = Verdict(c.seed, c.cell, str(c.dtype).removeprefix("torch."))
    problem = problem_of(c)
    try:
        verdict.by_unit = compiled(layer_of(c, c.dtype).graph).by_unit
        got = by_engine(problem)
        by = Judge.of(problem)
        _add(verdict, *by.shares(got))
        for extra in c.extras:
            for results in CHECKS[extra](problem, by, got):
                _add(verdict, *by.shares(results))
    except Exception as error:  # noqa: BLE001  whatever it is, the next configuration is still of interest
        verdict.complaints.append(f"{type(error).__name__}: {error}"[:1500])
    return verdict


def _add(verdict: Verdict, shares: dict[str, float], unlucky: int) -> None:
    verdict.unlucky += unlucky
    for name, share in shares.items():
        if name.startswith("d "):
            verdict.gradients = max(verdict.gradients, share)
        else:
            verdict.results = max(verdict.results, share)
        if not share <= 1:
            verdict.complaints.append(f"{name} is {share:.3g} times as far off as allowed")


def main(seeds: list[str]) -> None:
    torch.set_num_threads(1)
    for seed in map(int, seeds):
        say({"start": seed})
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        begin = time.monotonic()
        verdict = judge(draw(seed))
        faulthandler.cancel_dump_traceback_later()
        say(vars(verdict) | {"seconds": time.monotonic() - begin})


def say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
