"""torch's own database of module calls, run over our classes: ``python -m tests.peer.module_database LSTM``.

A program of its own, because importing the database changes settings of torch for the whole process. For every module
named it makes the checks that torch makes of every module of its own, on the CPU, in training and in evaluation, and
prints one line of JSON for each: what was checked, how it ended with ours, and if it failed, how with torch's.
"""

from __future__ import annotations

import copy
import io
import itertools
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
import torch
from torch.testing._internal.common_modules import ModuleErrorEnum, ModuleInfo, module_db
from torch.utils._pytree import tree_leaves, tree_map_only

from tests.reference.compare import assert_as_exact, assert_equal
from tidegate import nn as ours

FLOAT64 = (torch.float64, True)  # a type, and whether in training
FLOAT32 = (torch.float32, False)
STRIDED = {torch.float32: 1e-5, torch.float64: 1e-13}  # sums stand in another order
KINDS = ("value", "gradient")  # of results


class Case(NamedTuple):
    """A module of the database with the class that stands for it."""

    info: ModuleInfo
    kind: type[torch.nn.Module]
    dtype: torch.dtype
    training: bool

    def samples(self) -> list[Any]:
        """The calls of the database, the same each time; layers also of packed sequences."""
        torch.manual_seed(1)
        more = {} if self.info.name.endswith("Cell") else {"with_packed_sequence": True}
        return list(
            self.info.module_inputs_func(
                self.info, device="cpu", dtype=self.dtype, requires_grad=True, training=self.training, **more
            )
        )

    def make(self, sample: Any, kind: type[torch.nn.Module] | None = None, **options: Any) -> Any:
        made = sample.constructor_input
        torch.manual_seed(0)
        module = (kind or self.kind)(*made.args, **made.kwargs, **({"dtype": self.dtype} | options))
        return module.train(self.training)

    def each(self) -> Iterator[tuple[Any, Any, tuple[Any, ...]]]:
        """For each call the module, the call, and its arguments."""
        for sample in self.samples():
            assert not sample.forward_input.kwargs
            yield self.make(sample), sample, sample.forward_input.args


Check = Callable[[Case], None]


def flat(values: Any) -> list[torch.Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]


def results(module: Any, arguments: Any, dtype: torch.dtype | None = None) -> dict[str, torch.Tensor]:
    """Every output, and every gradient of a weighted sum of them; in another type if one is given."""
    if dtype is not None:
        module, arguments = copy.deepcopy(module).to(dtype), tree_map_only(torch.Tensor, widened(dtype), arguments)
    found = [value for value in flat(module(*arguments)) if value.is_floating_point()]
    loss = sum((value * torch.linspace(-1, 2, value.numel()).view_as(value).to(value)).sum() for value in found)
    leaves = [value for value in (*flat(arguments), *module.parameters()) if value.requires_grad]
    grads = torch.autograd.grad(loss, leaves)
    named = zip(KINDS, (found, grads), strict=True)
    return {f"{kind} {k}": value.detach() for kind, values in named for k, value in enumerate(values)}


def joined(found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """All values as one tensor and all gradients as one: a unit that is saturated has digits of no meaning alone."""
    parts = {kind: [value.flatten() for name, value in found.items() if name.startswith(kind)] for kind in KINDS}
    return {kind: torch.cat(values) for kind, values in parts.items()}


def widened(dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
    def cast(value: torch.Tensor) -> torch.Tensor:
        return value.detach().to(dtype).requires_grad_() if value.is_floating_point() else value

    return cast


def as_torch_has_it(case: Case) -> None:
    """Outputs and gradients are torch's, of the same weights for the same input."""
    for mine, sample, arguments in case.each():
        theirs = case.make(sample, case.info.module_cls)
        mine.load_state_dict(theirs.state_dict())
        got, want = results(mine, arguments), results(theirs, arguments)
        if case.dtype == torch.float64:
            assert_equal(got, want)
        else:
            assert_as_exact(*map(joined, (got, want, results(theirs, arguments, torch.float64))))


def as_the_reference_has_it(case: Case) -> None:
    """Outputs are those of the reference that the database brings, if there is one."""
    for module, sample, arguments in case.each():
        if sample.reference_fn is not None and not isinstance(arguments[0], tuple):
            torch.testing.assert_close(module(*arguments), sample.reference_fn(module, *arguments))


def in_the_type_and_place_asked_for(case: Case) -> None:
    for sample, device in itertools.product(case.samples(), ("cpu", "meta")):
        module = case.make(sample, device=device)
        assert {(p.device.type, p.dtype) for p in module.parameters()} == {(device, case.dtype)}


def in_print(case: Case) -> None:
    for module, sample, _ in case.each():
        assert repr(module) == str(module) == repr(case.make(sample, case.info.module_cls))


def from_a_file(case: Case) -> None:
    for module, _, arguments in case.each():
        file = io.BytesIO()
        torch.save(module, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        assert_equal(results(loaded, arguments), results(module, arguments), limit=0)


def from_a_copy(case: Case) -> None:
    for module, _, arguments in case.each():
        copied = copy.deepcopy(module)
        assert all(a is not b for a, b in zip(module.parameters(), copied.parameters(), strict=True))
        assert_equal(results(copied, arguments), results(module, arguments), limit=0)


def in_strided_memory(case: Case) -> None:
    """Input, states and parameters that do not lie in one piece make no difference."""

    def strided(value: torch.Tensor) -> torch.Tensor:
        spread = torch.stack([value.detach(), torch.full_like(value, float("nan"))], -1)[..., 0]
        assert not spread.is_contiguous()
        return spread.requires_grad_(value.requires_grad)

    for module, _, arguments in case.each():
        if isinstance(arguments[0], tuple):
            continue
        want = results(module, arguments)
        for parameter in module.parameters():
            parameter.data = strided(parameter).detach()
        assert_equal(
            results(module, tree_map_only(torch.Tensor, strided, arguments)), want, limit=STRIDED[case.dtype], floor=1.0
        )


def differentiable(module: Any, arguments: Any, check: Callable[..., bool]) -> bool:
    """By finite differences, in the input, the states and every parameter, and for many gradients at once."""
    leaves, parameters = flat(arguments), dict(module.named_parameters())

    def run(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = iter(values[: len(leaves)])
        rebuilt = tree_map_only(torch.Tensor, lambda _: next(given), arguments)
        named = dict(zip(parameters, values[len(leaves) :], strict=True))
        return tuple(flat(torch.func.functional_call(module, named, rebuilt)))

    return check(run, (*leaves, *parameters.values()), check_batched_grad=True, fast_mode=True)


def differentiable_once(case: Case) -> None:
    for module, _, arguments in case.each():
        if not isinstance(arguments[0], tuple):
            assert differentiable(module, arguments, torch.autograd.gradcheck)


def differentiable_twice(case: Case) -> None:
    """A tenth of the calls: this takes longer than all other checks together."""
    assert case.info.supports_gradgrad
    for module, _, arguments in itertools.islice(case.each(), 0, None, 10):
        if not isinstance(arguments[0], tuple):
            assert differentiable(module, arguments, torch.autograd.gradgradcheck)


def in_a_memory_format(case: Case) -> None:
    for module, _, arguments in case.each():
        want = results(module, arguments)
        for memory_format in (torch.preserve_format, torch.contiguous_format):
            module.to(memory_format=memory_format)
            assert_equal(results(module, arguments), want, limit=0)
            batch_first = getattr(module, "batch_first", False)
            assert batch_first or all(value.is_contiguous() for value in flat(module(*arguments)))


def in_either_mode(case: Case) -> None:
    """Only a module that the database says differs between the modes may look at which it is in."""
    for module, _, arguments in case.each():
        del module.training
        try:
            module(*arguments)
        except AttributeError as error:
            if "training" not in str(error) or not case.info.train_and_eval_differ:
                raise


def moved(case: Case) -> None:
    """to, half, double, to_empty: parameters arrive, and the module computes what it computed."""
    for module, _, arguments in case.each():
        want, state = results(module, arguments), copy.deepcopy(module.state_dict())
        module.half().to(torch.bfloat16).double().to(case.dtype)
        module.to("meta")
        assert all(p.is_meta for p in module.parameters())
        module.to_empty(device="cpu")
        module.load_state_dict(state)
        assert_equal(results(module, arguments), want, limit=0)


def through_its_state(case: Case) -> None:
    """state_dict and load_state_dict, with hooks, strict and by assignment."""
    for module, sample, arguments in case.each():
        seen: list[str] = []
        module.register_state_dict_post_hook(lambda *_: seen.append("saved"))  # noqa: B023  used at once
        state = module.state_dict()
        for assign in (False, True):
            other = case.make(sample)
            with torch.no_grad():
                for parameter in other.parameters():
                    parameter.zero_()
            other.register_load_state_dict_pre_hook(lambda *_: seen.append("loading"))  # noqa: B023
            other.register_load_state_dict_post_hook(lambda *_: seen.append("loaded"))  # noqa: B023
            assert not any(map(any, other.load_state_dict(copy.deepcopy(state), strict=True, assign=assign)))
            assert_equal(results(other, arguments), results(module, arguments), limit=0)
        assert seen == ["saved", "loading", "loaded", "loading", "loaded"]
        with pytest.raises(RuntimeError, match="Missing key"):
            module.load_state_dict({}, strict=True)


def refused(case: Case) -> None:
    """Errors of the type and with the text that the database expects."""
    errors = case.info.module_error_inputs_func(
        case.info, device="cpu", dtype=case.dtype, requires_grad=False, training=case.training
    )
    assert errors
    for error in errors:
        made, call = error.module_error_input.constructor_input, error.module_error_input.forward_input
        if error.error_on is ModuleErrorEnum.CONSTRUCTION_ERROR:
            with pytest.raises(error.error_type, match=error.error_regex):
                case.kind(*made.args, **made.kwargs)
            continue
        module = case.kind(*made.args, **({"dtype": torch.float32} | made.kwargs))
        as_float = tree_map_only(torch.Tensor, lambda v: v.float(), (call.args, call.kwargs))
        arguments, options = as_float if "dtype" not in made.kwargs else (call.args, call.kwargs)
        with pytest.raises(error.error_type, match=error.error_regex):
            module(*arguments, **options)


CHECKS = (
    as_torch_has_it,
    as_the_reference_has_it,
    in_the_type_and_place_asked_for,
    in_print,
    from_a_file,
    from_a_copy,
    in_strided_memory,
    differentiable_once,
    differentiable_twice,
    in_a_memory_format,
    in_either_mode,
    moved,
    through_its_state,
    refused,
)

IN_BOTH = (as_torch_has_it, as_the_reference_has_it, in_strided_memory, refused)  # what may depend on the type


def outcome(check: Check, case: Case) -> str:
    """Empty if the check passes, else what went wrong."""
    try:
        check(case)
    except Exception as error:  # noqa: BLE001  whatever a module raises is its failure
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"[:400] or "failed"
    return ""


def lines(name: str, kind: type[torch.nn.Module], checks: Sequence[Check] = CHECKS) -> Iterator[dict[str, Any]]:
    """How every check of a module ends with the class that stands for it, and if it fails, how with torch's own."""
    torch.set_num_threads(1)  # these are small
    (info,) = (info for info in module_db if info.name == f"nn.{name}")
    modes = [(check, mode) for check in checks for mode in ((FLOAT32, FLOAT64) if check in IN_BOTH else (FLOAT64,))]
    for check, (dtype, training) in modes:
        mine = outcome(check, Case(info, kind, dtype, training))
        theirs = outcome(check, Case(info, info.module_cls, dtype, training)) if mine else ""
        yield {"check": check.__name__, "dtype": str(dtype), "training": training, "ours": mine, "torchs": theirs}


def report(names: Sequence[str]) -> None:
    """A line of JSON for each check of our modules of these names."""
    for name in names:
        for line in lines(name, getattr(ours, name)):
            print(json.dumps({"module": name} | line), flush=True)  # noqa: T201


if __name__ == "__main__":
    report(sys.argv[1:])
