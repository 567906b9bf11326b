"""What happened to parameters in one run of a model: every function of torch that read one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from tidegate.errors import InputError
from tidegate.private.derived import Derived, derive, tensors
from tidegate.private.function import Made, is_parameter, rule
from tidegate.private.rows import Rows
from tidegate.private.use import Use

ACCELERATE = "call tidegate.accelerate(model), whose layers compute the same"
RULED = "use linear, matmul, embedding, conv1d, layer_norm, or arithmetic between tensors"
SPREADING = ("expand", "expand_as", "repeat", "repeat_interleave", "tile")  # of a parameter, over units
CASTING = ("to", "type_as")  # which read the type of a tensor of data, not its values
OPENED = (list, tuple, torch.Size, torch.nn.Parameter)  # what may hold a parameter
STATISTICS = (torch.nn.functional.batch_norm, torch.nn.functional.instance_norm)
RECURRENT = frozenset(name + end for name in ("lstm", "gru", "rnn_tanh", "rnn_relu") for end in ("", "_cell"))


class Call:
    """One call of a function that read parameters.

    Args:
        name: of the function and of its parameters, as an error names them.
        made: what its rule says.
        output: that the caller got.
        read: its arguments.

    Attributes:
        rows: of its output, each of which belongs to one unit.
    """

    def __init__(self, name: str, made: Made, output: torch.Tensor, read: Iterable[Any]) -> None:
        self.name, self._made = name, made
        self.rows = Rows(f"what {name} made", output, made.rows, made.arrange)
        self._versions = [(value, value._version) for value in read if isinstance(value, torch.Tensor)]  # noqa: SLF001

    @property
    def outputs(self) -> list[Rows]:
        """From which the owners are read."""
        return [self.rows]

    @property
    def shape(self) -> torch.Size:
        """Of the rows."""
        return self.rows.shape

    def owner(self, weighted: Sequence[Sequence[torch.Tensor | None]], units: int) -> torch.Tensor:
        """The unit of each row; see ``Rows.owners``.

        Args:
            weighted: of each output, the adjoints of weighted runs.
            units: how many losses there are.
        """
        return self.rows.owners(weighted[0], units)

    def uses(self, owner: torch.Tensor | None, axis: int | None, units: int) -> Iterator[Use]:
        """What the gradients of single units are made of.

        Args:
            owner: of each row, [*rows]; -1 where there is no gradient. Not read where ``axis`` is known.
            axis: of the rows, the one that numbers the units.
            units: how many there are.

        Raises:
            InputError: what the function read has been changed since.
        """
        made, a = self._made, self.rows.adjoint
        if a is None:
            return
        if any(value._version != version for value, version in self._versions):  # noqa: SLF001
            raise InputError(
                "PRIVATE_IN_PLACE",
                f"what {self.name} read was changed in place before the gradient came back",
                fix="change a copy of it",
            )
        if made.apart:
            number = torch.arange(units)
            if axis is not None:
                owner = number.view(-1, *[1] * (a.dim() - 1 - axis))
            assert owner is not None
            a, axis = torch.where(owner == number.view(-1, *[1] * a.dim()), a, 0), 0
        rows = 1 if made.apart else made.rows
        for parameter, adjoint, operand, place in made.parts(a):
            if is_parameter(parameter):
                yield _laid(Use(parameter, place, adjoint, operand, owner), rows, axis)


def _laid(use: Use, rows: int, axis: int | None) -> Use:
    """A use whose first dimensions are those of the rows, as [T, B, ...]; as [1, R, ...] without an axis."""
    if axis is not None:

        def laid(values: torch.Tensor) -> torch.Tensor:
            return values.movedim(axis, rows - 1).flatten(0, rows - 2) if rows > 1 else values[None]

        owner = None
    else:
        assert use.owner is not None
        there = use.owner.flatten() >= 0
        owner = use.owner.flatten()[there]

        def laid(values: torch.Tensor) -> torch.Tensor:
            return values.flatten(0, rows - 1)[there][None]

    operand = None if use.operand is None else laid(use.operand)
    return Use(use.parameter, use.place, laid(use.adjoint), operand, owner)


class Record(TorchFunctionMode):
    """Inside, functions of torch read parameters as constants, and leave a ``Call`` each.

    Args:
        names: of the parameters that learn and of the buffers, by their ``id``.
        hidden: whether a layer of ours is at work, which has a record of its own.

    Attributes:
        calls: in their order.
        derived: tensors computed from parameters and buffers alone, in their order.
    """

    def __init__(self, names: Mapping[int, str], hidden: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        self.names, self.hidden = dict(names), hidden
        self.calls: list[Call] = []
        self.derived: list[Derived] = []
        self._anchor = torch.zeros((), requires_grad=True)

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Let a function of torch run, and remember it if it read parameters."""
        del types
        kwargs = kwargs or {}
        if self.hidden() or not torch.is_grad_enabled():
            return func(*args, **kwargs)
        if func in STATISTICS:
            _refuse_statistics(func, args, kwargs)
        every = [*args, *kwargs.values()] if kwargs else args
        if not any(id(value) in self.names or type(value) in OPENED for value in every):
            return func(*args, **kwargs)  # the most frequent case
        values = tensors(every)
        read = [value for value in values if is_parameter(value)]
        if not read:
            return func(*args, **kwargs)
        name = self._named(func.__name__, read)
        _refuse(func, name, kwargs)
        data = [value for value in values if id(value) not in self.names]
        if (not data and func.__name__ not in SPREADING) or (func.__name__ in CASTING and values[0] is read[0]):
            return self._derived(func, args, kwargs, name)
        nested = len(values) > sum(isinstance(value, torch.Tensor) for value in every)
        made = rule(func)(*args, **kwargs) if not nested else None
        if made is None:
            raise InputError("PRIVATE_FUNCTION", f"private training has no rule for {name}", fix=RULED)
        if not made.output.is_floating_point():
            return made.output
        output = made.output if made.output.requires_grad else made.output + self._anchor
        self.calls.append(Call(name, made, output, values))
        return output

    def _derived(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], name: str) -> Any:
        before = len(self.derived)
        answer = derive(func, args, kwargs, self.derived)
        self.names.update({id(new.value): name for new in self.derived[before:]})
        return answer

    def _named(self, function: str, read: Iterable[Any]) -> str:
        for parameter in read:
            if id(parameter) not in self.names:
                raise InputError(
                    "PRIVATE_PARAMETER",
                    f"{function} reads a parameter of shape {list(parameter.shape)} that the model does not have",
                    fix="make it a part of the model, or call requires_grad_(False) on it",
                )
        return f"{function}({', '.join(dict.fromkeys(self.names[id(parameter)] for parameter in read))})"


def _refuse(func: Any, name: str, kwargs: Mapping[str, Any]) -> None:
    """Refuse functions that could only be wrong."""
    if func.__name__ in RECURRENT:
        raise InputError("PRIVATE_FUNCTION", f"{name} tells nothing of single steps", fix=ACCELERATE)
    if _in_place(func.__name__) or kwargs.get("out") is not None:
        fix = "write x = x + bias, not x += bias"
        raise InputError("PRIVATE_FUNCTION", f"{name} changes a tensor in place", fix=fix)


def _in_place(name: str) -> bool:
    changes = name.endswith("_") and not name.endswith("__")
    return (changes and name != "requires_grad_") or name in {"__setitem__", "__iadd__", "__isub__", "__imul__"}


def _refuse_statistics(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Refuse functions that let units of a batch change each other, or buffers learn from them."""
    if func is torch.nn.functional.batch_norm:
        learns = kwargs.get("training", args[5] if len(args) > 5 else False)  # its sixth argument
    else:
        learns = kwargs.get("running_mean", args[1] if len(args) > 1 else None) is not None
    if learns:
        raise InputError(
            "PRIVATE_BATCH_NORM",
            f"{func.__name__} takes means over the units of a batch, so that each unit changes all others",
            fix="take torch.nn.GroupNorm or torch.nn.LayerNorm, which see one unit at a time",
        )
