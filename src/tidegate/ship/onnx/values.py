"""The values of a cell as ONNX nodes: for all steps at once before the loop, and for one step inside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np

from tidegate.cell.graph import LEAVES, REDUCTIONS, Op
from tidegate.ship.onnx.operation import OF_SERIES, OPERATIONS
from tidegate.ship.onnx.plan import EARLY, FIXED, Group, Plan, Sum, Term
from tidegate.ship.onnx.weights import Array, Weights
from tidegate.ship.onnx.writer import Writer


class Values:
    """Values of one level by node, written in the order of the cell.

    Args:
        plan: of the cell.
        weights: its parameters.
        writer: of the graph that the values stand in.
        given: what is known already, by node.
    """

    operations = OPERATIONS

    def __init__(self, plan: Plan, weights: Weights, writer: Writer, given: Mapping[int, str]) -> None:
        self.plan, self.weights, self.writer = plan, weights, writer
        self.nodes = plan.graph.nodes
        self.names = dict(given)
        self._reported = {index: name for name, index in reversed(plan.graph.reported.items())}
        self._fixed: dict[int, Array] = {}

    def value(self, index: int) -> str:
        """The name of a value that is known by now."""
        if index not in self.names and self.plan.levels[index] == FIXED:
            self.names[index] = self.writer.hold(self.fixed(index), self.hint(index))
        return self.names[index]

    def fixed(self, index: int) -> Array:
        """The value of a node that depends on parameters alone."""
        for at in sorted(self.plan.graph.reaches((index,)) - self._fixed.keys()):
            node = self.nodes[at]
            self._fixed[at] = self.weights.fixed(node, [self._fixed[arg] for arg in node.args])
        return self._fixed[index]

    def hint(self, index: int) -> str:
        """What to call the value of a node."""
        node = self.nodes[index]
        named = f"{node.matrix}_{node.name}" if node.op is Op.PRODUCT else node.label or node.op.value
        return self._reported.get(index, named)

    def width(self, of: Sum) -> int:
        """How wide a sum is."""
        axis = self.nodes[of.node].axis
        return self.weights.widths.get(axis, 1)

    def operation(self, index: int) -> None:
        """Write a node that is no sum."""
        node = self.nodes[index]
        args = self._alike(node.args) if node.op in REDUCTIONS else [self.value(arg) for arg in node.args]
        self.names[index] = self.operations[node.op](self.writer, args, self.hint(index))

    def _alike(self, args: Sequence[int]) -> list[str]:
        """Values of one shape, though one may be the same for all rows."""
        full = next(self.value(arg) for arg in args if self.plan.levels[arg] != FIXED)
        return [
            self._spread(self.value(arg), full) if self.plan.levels[arg] == FIXED else self.value(arg) for arg in args
        ]

    def _spread(self, value: str, full: str) -> str:
        return self.writer.add("Expand", value, self.writer.add("Shape", full, name="shape"), name="spread")

    def product(self, sums: Sequence[Sum], operand: int, name: str, added: str = "", *, gemm: bool) -> str:
        """The products of sums with one operand, side by side, and what is added to them."""
        rows = np.concatenate([self._rows(of, operand) for of in sums])
        if gemm:
            weight = self.writer.hold(rows, f"{name}.weight")
            return self.writer.add("Gemm", self.value(operand), weight, *filter(None, [added]), name=name, transB=1)
        product = self.writer.add("MatMul", self.value(operand), self.writer.hold(rows.T, f"{name}.weight"), name=name)
        return self.writer.add("Add", added, product, name=name) if added else product

    def _rows(self, of: Sum, operand: int) -> Array:
        rows = np.zeros((self.width(of), self.weights.widths[self.nodes[operand].axis]))
        for sign, index in of.products:
            if self.nodes[index].args[0] == operand:
                rows = rows + sign * self.weights.rows(self.nodes[index].matrix, self.nodes[index].name)
        return rows

    def constant(self, of: Sum) -> Array:
        """What a sum adds at every step: the biases of its products, and terms that are fixed."""
        total = np.zeros(self.width(of))
        for sign, index in of.products:
            total = total + sign * self.weights.bias(self.nodes[index].matrix, self.nodes[index].name)
        for sign, index in of.early:
            if self.plan.levels[index] == FIXED:
                total = total + sign * self.fixed(index)
        return total

    def total(self, start: str, terms: Sequence[Term], name: str) -> str:
        """A value and further terms, added one after the other."""
        parts = [(1, start)] if start else []
        parts += sorted(((sign, self.value(index)) for sign, index in terms), key=lambda part: -part[0])
        sign, result = parts[0]
        if sign < 0:
            result = self.writer.add("Neg", result, name=f"{name}.negated")
        for k, (sign, value) in enumerate(parts[1:], 2):
            hint = name if k == len(parts) else f"{name}.sum"
            result = self.writer.add("Add" if sign > 0 else "Sub", result, value, name=hint)
        return result


class EarlyValues(Values):
    """Values that wait for no state, for all steps at once: [T, B, width]."""

    operations = OF_SERIES

    def write(self, wanted: Sequence[int]) -> None:
        """Compute nodes, and what they are computed from."""
        early = [index for index in wanted if self.plan.levels[index] == EARLY]
        for index in sorted(self.plan.graph.reaches(tuple(early))):
            known = index in self.names or index in self.plan.inlined or self.nodes[index].op in LEAVES
            if known or self.plan.levels[index] != EARLY:
                continue
            if index in self.plan.sums:
                of = self.plan.sums[index]
                self.names[index] = self._side_by_side([of], [np.zeros(self.width(of))], self.hint(index))
            else:
                self.operation(index)

    def of_group(self, group: Group, name: str) -> str:
        """What a group adds to its products, side by side: the early terms, and the biases of the products."""
        sums = [self._early_part(of) for of in group.sums]
        self.write([index for of in sums for _, index in of.rest])
        self.write([self.nodes[index].args[0] for of in sums for _, index in of.products])
        constants = [self.constant(of) for of in group.sums]
        if len(sums) > 1 and any(of.rest for of in sums):
            return self.writer.joined(
                [self._side_by_side([of], [own], name) for of, own in zip(sums, constants, strict=True)], name
            )
        return self._side_by_side(sums, constants, name)

    def _early_part(self, of: Sum) -> Sum:
        """The terms that are not the same at every step."""
        early = Sum(of.node)
        for sign, index in of.early:
            if self.plan.levels[index] == EARLY:
                opened = self.nodes[index].op is Op.PRODUCT and index in self.plan.inlined
                (early.products if opened else early.rest).append((sign, index))
        return early

    def _side_by_side(self, sums: Sequence[Sum], constants: Sequence[Array], name: str) -> str:
        """Sums of early values by one product for each operand; a single sum may have a rest."""
        linear, operands = "", sorted({operand for of in sums for operand in self.plan.operands(of)})
        for operand in operands:
            linear = self.product(sums, operand, f"{name}.product", linear, gemm=False)
        constant = np.concatenate([of_sum + self.constant(of) for of, of_sum in zip(sums, constants, strict=True)])
        if constant.any() or not linear:  # which also brings one number a row to the width of the sum
            bias = self.writer.hold(constant, f"{name}.bias")
            linear = self.writer.add("Add", linear, bias, name=name) if linear else bias
        return self.total(linear, sums[0].rest, name) if len(sums) == 1 else linear


class LateValues(Values):
    """Values of one step: [B, width].

    Args:
        added: what each group adds to its products, by the node of its first sum.
    """

    def __init__(
        self, plan: Plan, weights: Weights, writer: Writer, given: Mapping[int, str], added: Mapping[int, str]
    ) -> None:
        super().__init__(plan, weights, writer, given)
        self.added = added
        self._blocks = dict[int, str]()  # of sums: all but the rest

    def write(self) -> None:
        """Compute all of the step."""
        for index in self.plan.needed:
            known = index in self.names or index in self.plan.inlined or self.nodes[index].op in LEAVES
            if known or self.plan.levels[index] <= EARLY:
                continue
            if index in self.plan.groups:
                if index not in self._blocks:
                    self._group(self.plan.groups[index])
                self.names[index] = self.total(
                    self._blocks[index], self.plan.groups[index].of(index).rest, self.hint(index)
                )
            else:
                self.operation(index)

    def _group(self, group: Group) -> None:
        chosen = [of.node if squash is None else squash for of, squash in zip(group.sums, group.squashes, strict=True)]
        names, widths = [self.hint(index) for index in chosen], [self.width(of) for of in group.sums]
        value = self._products(group, f"{'_'.join(names)}.sum")
        kinds = [None if squash is None else self.nodes[squash].op for squash in group.squashes]
        runs = [(kind, [at for at, _ in run]) for kind, run in groupby(enumerate(kinds), key=lambda pair: pair[1])]
        hints = ["_".join(names[at] for at in run) for _, run in runs]
        parts = self.writer.split(
            value, [sum(widths[at] for at in run) for _, run in runs], [f"{hint}.sum" for hint in hints]
        )
        for (kind, run), part, hint in zip(runs, parts, hints, strict=True):
            squashed = part if kind is None else OPERATIONS[kind](self.writer, [part], hint)
            ends = self.writer.split(squashed, [widths[at] for at in run], [names[at] for at in run])
            for at, end in zip(run, ends, strict=True):
                squash = group.squashes[at]
                self._blocks[group.sums[at].node] = end
                if squash is not None:
                    self.names[squash] = end

    def _products(self, group: Group, name: str) -> str:
        """One Gemm after the other; the first adds what was known before."""
        value = self.added.get(group.sums[0].node, "")
        if not value:
            constant = np.concatenate([self.constant(of) for of in group.sums])
            value = self.writer.hold(constant, f"{name}.bias") if constant.any() else ""
        for operand in group.operands:
            value = self.product(group.sums, operand, name, value, gemm=True)
        return value
