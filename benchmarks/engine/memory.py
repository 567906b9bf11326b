"""How much a layer keeps for its backward pass."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from benchmarks.engine.item import Item
from benchmarks.engine.peer.own import layer_of
from benchmarks.engine.problem import problem


def kept_floats(item: Item, layer: torch.nn.Module | None = None) -> float:
    """Floats that live on between forward and backward pass, per T * B * H; weights and input left out.

    Counts every storage once: the saved tensors, and those that a Python ``autograd.Function`` holds as
    attributes of its node.
    """
    layer = layer or layer_of(item)
    x = torch.from_numpy(problem(item).x).requires_grad_()
    kept: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y, _ = layer(x)
    kept += _attributes(y.grad_fn)
    sizes = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in kept}
    for given in (x, *layer.parameters()):
        sizes.pop(given.untyped_storage().data_ptr(), None)
    return sum(sizes.values()) / x.element_size() / (item.T * item.B * item.H)


def _attributes(root: torch.autograd.graph.Node | None) -> Iterator[torch.Tensor]:
    """Tensors that the nodes of a graph hold as Python attributes."""
    stack, seen = [root], set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        stack.extend(following for following, _ in node.next_functions)
        for value in getattr(node, "__dict__", {}).values():
            yield from (v for v in (value if isinstance(value, (list, tuple)) else [value]) if torch.is_tensor(v))
