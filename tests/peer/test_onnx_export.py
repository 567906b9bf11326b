"""``torch.onnx.export`` of models that hold our layers."""

import collections

import numpy as np
import pytest
import torch

import tidegate as tg
from tests.reference import shipped_onnx as shipped

pytest.importorskip("onnxscript", reason="torch.onnx.export(dynamo=True) needs it")
pytest.importorskip("onnxruntime", reason="exported models are run by it")

pytestmark = pytest.mark.filterwarnings("ignore:.*treespec:FutureWarning")  # of torch's own exporter


class Model(torch.nn.Module):
    """A layer between others, with lengths or without."""

    def __init__(self, cell, **options):
        super().__init__()
        self.layer = tg.nn.Recurrent(cell, 5, 6, **options)
        self.head = torch.nn.Linear(self.layer.output_size, 3)

    def forward(self, x, lengths=None):
        y, last = self.layer(torch.tanh(x), lengths=lengths)
        return self.head(y), last[-1] if isinstance(last, tuple) else last


def exported(model, *inputs, **dynamic):
    names = tg.ship.onnx_translations(model)
    return torch.onnx.export(model, inputs, dynamo=True, verbose=False, custom_translation_table=names, **dynamic)


@pytest.mark.parametrize(
    ("cell", "options", "ragged", "kinds"),
    [
        ("mgu", {"num_layers": 2, "bidirectional": True}, True, {"GRU": 2}),
        ("peepholelstm", {"bidirectional": True}, True, {"LSTM": 1}),
        ("slstm", {"bidirectional": True}, True, {"Scan": 2}),
        ("fgr", {}, False, {"Scan": 1}),
        ("lstm", {"layer_norm": True, "learn_initial_state": True, "batch_first": True}, False, {"Scan": 1}),
    ],
)
def test_steps_and_batch_are_free(cell, options, ragged, kinds) -> None:
    torch.manual_seed(0)
    model = Model(cell, **options).eval()
    shipped.scaled(model.layer)
    drawn = [torch.randn(7, 3, 5), *[torch.tensor([7, 2, 5])] * ragged]
    shapes = ({0: "T", 1: "B"}, *[{0: "C"}] * ragged)
    made = exported(model, *drawn, dynamic_shapes=shapes).model_proto
    found = collections.Counter(node.op_type for node in made.graph.node)
    assert {kind: found[kind] for kind in ("GRU", "LSTM", "RNN", "Scan") if found[kind]} == kinds
    running = shipped.session(made)
    names = [value.name for value in running.get_inputs()]
    for first, second in ((7, 3), (12, 2), (1, 1)):
        inputs = [torch.randn(first, second, 5), *[torch.arange(second) % (first + 1)] * ragged]
        with torch.no_grad():
            wanted = model(*inputs)
        got = running.run(None, {name: value.numpy() for name, value in zip(names, inputs, strict=True)})
        for one, other in zip(got, wanted, strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-5)


def test_weights_that_are_computed_are_refused() -> None:
    model = Model("gru").eval()
    torch.nn.utils.parametrizations.weight_norm(model.layer, "weight_hh_l0")
    with pytest.raises(torch.onnx.errors.OnnxExporterError, match="is no parameter of the model"):
        exported(model, torch.randn(4, 2, 5))
