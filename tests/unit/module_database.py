"""torch's own database of module calls, run over our classes: ``python -m tests.unit.module_database``.

A program of its own, because importing the database changes settings of torch for the whole process.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing._internal.common_modules import ModuleErrorEnum, ModuleInfo, module_db

from tests.reference.compare import assert_as_exact, assert_equal
from tidegate import nn as ours


def outputs(module: torch.nn.Module, call: Any) -> dict[str, torch.Tensor]:
    new = module(*call.args, **call.kwargs)
    return {str(k): state.detach() for k, state in enumerate((new,) if isinstance(new, torch.Tensor) else new)}


def wide(module: torch.nn.Module, call: Any) -> dict[str, torch.Tensor]:
    """The same outputs in float64."""
    as_double = torch.utils._pytree.tree_map_only(torch.Tensor, torch.Tensor.double, (call.args, call.kwargs))
    return outputs(module.double(), type(call)(*as_double[0], **as_double[1]))


def compare_outputs(info: ModuleInfo, dtype: torch.dtype) -> int:
    """Outputs of the same weights for the same input; how many were compared."""
    samples = info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=True, training=True)
    for sample in samples:
        made = sample.constructor_input
        theirs = info.module_cls(*made.args, **made.kwargs, dtype=dtype)
        mine = getattr(ours, info.module_cls.__name__)(*made.args, **made.kwargs, dtype=dtype)
        mine.load_state_dict(theirs.state_dict())
        got, want = outputs(mine, sample.forward_input), outputs(theirs, sample.forward_input)
        if dtype == torch.float64:
            assert_equal(got, want)
        else:
            assert_as_exact(got, want, wide(theirs, sample.forward_input))
    return len(samples)


def compare_errors(info: ModuleInfo) -> int:
    """Errors of the type and with the text that the database expects; how many were compared."""
    samples = info.module_error_inputs_func(info, device="cpu", dtype=torch.float32, requires_grad=False, training=True)
    for sample in samples:
        assert sample.error_on is ModuleErrorEnum.FORWARD_ERROR
        made, call = sample.module_error_input.constructor_input, sample.module_error_input.forward_input
        mine = getattr(ours, info.module_cls.__name__)(*made.args, **made.kwargs)
        with pytest.raises(sample.error_type, match=sample.error_regex):
            mine(*call.args, **call.kwargs)
    return len(samples)


if __name__ == "__main__":
    cells = [info for info in module_db if info.name.endswith("Cell")]
    compared = sum(compare_outputs(info, dtype) for info in cells for dtype in (torch.float32, torch.float64))
    print(len(cells), "modules,", compared, "outputs,", sum(map(compare_errors, cells)), "errors")  # noqa: T201
