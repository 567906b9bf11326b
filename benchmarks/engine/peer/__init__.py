"""The contestants, by name."""

from benchmarks.engine.peer.ceiling import MatrixVector, Peak, Products, Reading
from benchmarks.engine.peer.cell_loop import Cells, TorchCells
from benchmarks.engine.peer.compiled_scan import CompiledAssociative, CompiledScan
from benchmarks.engine.peer.jax_scan import Jax, JaxAssociative
from benchmarks.engine.peer.onnx_session import DynamicQuantisation, OnnxRuntime
from benchmarks.engine.peer.own import Eager, Frozen, Layer, Session
from benchmarks.engine.peer.peer import Peer
from benchmarks.engine.peer.torch_nn import TorchLayer
from benchmarks.engine.peer.torchrecurrent_layer import TorchRecurrent

_ALL: tuple[Peer, ...] = (
    *(Layer(), Eager(), Session(), Frozen(), Cells()),
    *(TorchLayer(), TorchCells(), TorchRecurrent(), CompiledScan(), CompiledAssociative()),
    *(OnnxRuntime(), DynamicQuantisation(), Jax(), JaxAssociative()),
    *(Peak(), Reading(), MatrixVector(), Products()),
)
PEERS: dict[str, Peer] = {peer.name: peer for peer in _ALL}

__all__ = ["PEERS", "Peer"]
