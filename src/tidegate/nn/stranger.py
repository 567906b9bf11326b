"""Recurrent layers of a model that are no longer modules of torch.nn: scripted, traced, exported, quantized."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch

KINDS = frozenset({"RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"})
READABLE = "tidegate.convert.load reads its weights"
CALL = re.compile(r"\baten::((?:lstm|gru|rnn_tanh|rnn_relu)(?:_cell)?)\(")
OPERATOR = re.compile(r"aten\.(?:lstm|gru|rnn_tanh|rnn_relu)(?:_cell)?\.")
QUANTIZED = ("torch.ao.nn.quantized.", "torch.ao.nn.quantizable.", "torch.nn.quantized.")


def strangers(model: torch.nn.Module) -> Iterator[tuple[str, str]]:
    """Path and reason of each recurrent layer that cannot be swapped because of what torch has made of it.

    Args:
        model: any module.
    """
    for path, module in model.named_modules():
        is_script = isinstance(module, torch.jit.ScriptModule)
        if is_script and getattr(module, "original_name", "") in KINDS:
            how = "traced" if "Traced" in type(module).__name__ else "scripted"
            yield path, f"{how}; {READABLE}"
        elif is_script and (call := CALL.search(_frozen_code(module))):
            yield path, f"frozen TorchScript that calls {call[1]}; load the weights of the model that it was made of"
        elif isinstance(module, torch.fx.GraphModule):
            yield from _exported(path, module)
        elif type(module).__module__.startswith(QUANTIZED) and type(module).__name__ in KINDS:
            is_packed = hasattr(module, "get_weight")
            yield (
                path,
                f"quantized; {READABLE}" if is_packed else "prepared to be quantized; accelerate the float model",
            )


def _exported(path: str, module: torch.fx.GraphModule) -> Iterator[tuple[str, str]]:
    """The layers that the graph of an exported program calls, where they stood in the model."""
    places: dict[str, None] = {}
    for node in module.graph.nodes:
        if node.op == "call_function" and OPERATOR.match(str(node.target)):
            stack = list((node.meta.get("nn_module_stack") or {"": ("",)}).values())
            places[".".join(filter(None, (path, stack[-1][0])))] = None
    for place in places:
        yield place, f"exported; {READABLE}"


def _frozen_code(module: torch.jit.ScriptModule) -> str:
    """The graph, as text, of a scripted module of which freezing has left no parts; nothing for another one."""
    is_whole = next(module.children(), None) is None and hasattr(module, "forward")
    return str(module.inlined_graph) if is_whole else ""
