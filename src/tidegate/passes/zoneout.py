"""Zoneout: states that keep their old value at random (Krueger et al. 2017, arXiv 1606.01305)."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.cell.graph import Graph, Node, Op, State
from tidegate.cell.symbol import Symbol
from tidegate.passes.rewrite import Rewriter

MASK = "zoneout_{}"  # by the name of a state; also the rate in evaluation
REST = "zoneout_{}_rest"  # one less the rate


def zoneout(graph: Graph, rates: Mapping[str, float], *, drawn: bool) -> Graph:
    """The same cell with ``s' = m s + (1 - m) new`` for some of its states.

    They are mixed after the step, as in the paper: what a step computes from a new state, as an LSTM computes h from
    c, it computes from the unmixed one. The output of the step is the mixed h.

    Args:
        graph: the cell.
        rates: for each of the states the probability that a unit keeps its value.
        drawn: m is a mask of zeros and ones, for training; else it is the rate, which is the mask's expectation.
    """
    rewriter = Rewriter("zoneout", graph)
    updates = []
    for state, index in zip(graph.states, graph.updates, strict=True):
        new = rewriter.values[index]
        if rates.get(state.name):
            old = rewriter.add(Node(Op.STATE, name=state.name, axis=state.axis))
            keeps, takes = _shares(rewriter, state, rates[state.name], drawn=drawn)
            new = keeps * old + takes * new
        updates.append(new)
    return rewriter.finished(updates)


def _shares(rewriter: Rewriter, state: State, rate: float, *, drawn: bool) -> tuple[Symbol, Symbol]:
    """How much of the old value stays, and how much of the new one comes."""
    if drawn:
        keeps = rewriter.mask(MASK.format(state.name), state.axis, "step")
        return keeps, 1 - keeps
    return rewriter.setting(MASK.format(state.name), rate), rewriter.setting(REST.format(state.name), 1 - rate)
