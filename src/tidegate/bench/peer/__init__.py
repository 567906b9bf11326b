"""The contestants, by name."""

from tidegate.bench.peer.ceiling import MatrixVector, Peak
from tidegate.bench.peer.compiled_scan import CompiledScan
from tidegate.bench.peer.jax_scan import Jax
from tidegate.bench.peer.onnx_session import OnnxRuntime
from tidegate.bench.peer.own import Eager, Layer, Session
from tidegate.bench.peer.peer import Peer
from tidegate.bench.peer.torch_nn import TorchLayer
from tidegate.bench.peer.torchrecurrent_layer import TorchRecurrent

_ALL: tuple[Peer, ...] = (
    *(Layer(), Eager(), Session()),
    *(TorchLayer(), OnnxRuntime(), Jax(), TorchRecurrent(), CompiledScan()),
    *(Peak(), MatrixVector()),
)
PEERS: dict[str, Peer] = {peer.name: peer for peer in _ALL}

__all__ = ["PEERS", "Peer"]
