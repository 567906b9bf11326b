"""The table: how each framework stores each cell. Gates have our names and stand in the order of the other side."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.convert import activation as names
from tidegate.convert.activation import RELU, SIGMOID, TANH
from tidegate.convert.layout import Layout, Role, Stored, each

LSTM, GRU = "i f g o", "r z n"  # in our order, which is torch's
# For each row its gates, then its candidates, then the output ("h") of those that squash a cell state: ONNX's f, g, h.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "rnn": ("h",),
    **dict.fromkeys(("lstm", "lstm/projected", "peepholelstm", "peepholelstm/projected"), ("i f o", "g", "h")),
    "cifg": ("i o", "g", "h"),
    **dict.fromkeys(("gru", "gru/before"), ("r z", "n")),
}
PROJECTED = ("lstm", "peepholelstm")  # rows whose output may have a width of its own


def _torch(kind: str, gates: str, *further: Stored) -> Layout:
    """Two biases, both there or neither."""
    arrays = (
        Stored("weight_ih", each("W", gates)),
        Stored("weight_hh", each("U", gates)),
        Stored("bias_ih", each("b", gates), optional=True),
        Stored("bias_hh", each("d", gates), optional=True),
    )
    if kind == "RNN":
        return Layout(kind, arrays, roles=(Role("mode", "h", {"RNN_TANH": TANH, "RNN_RELU": RELU}),))
    candidates = Role("", "g h" if kind == "LSTM" else "n", {"tanh": TANH})
    gate = Role("", "i f o" if kind == "LSTM" else "r z", {"sigmoid": SIGMOID})
    return Layout(kind, (*arrays, *further), settings={"mode": kind}, roles=(gate, candidates))


def _roles(
    gates: str, of_gates: str, of_candidates: str, vocabulary: Mapping[str, names.Activation]
) -> tuple[Role, ...]:
    """The other side's words for the activations of gates, and of everything else."""
    if gates == "h":
        return (Role(of_candidates, "h", vocabulary),)
    of_rest = "g h" if "g" in gates else "n"
    return (
        Role(of_gates, " ".join(gate for gate in gates.split() if gate not in of_rest), vocabulary),
        Role(of_candidates, of_rest, vocabulary),
    )


def _keras(kind: str, gates: str, bias: Stored, **settings: object) -> Layout:
    arrays = (Stored("kernel", each("W", gates)), Stored("recurrent_kernel", each("U", gates)), bias)
    roles = _roles(gates, "recurrent_activation", "activation", names.KERAS)
    return Layout(kind, arrays, transposed=True, settings=settings, roles=roles)


def _keras_bias(gates: str) -> Stored:
    return Stored("bias", each("b+d", gates), optional=True)


def _by_gate(kind: str, kernels: Mapping[str, tuple[str, str]], biases: Mapping[str, tuple[str, str]]) -> Layout:
    """Flax's way: a module for each gate and side, whose name leads to source and gate."""
    arrays = [Stored(f"{module}/kernel", each(*piece)) for module, piece in kernels.items()]
    arrays += [Stored(f"{module}/bias", each(*piece)) for module, piece in biases.items()]
    gates = " ".join(dict.fromkeys(gate for _, gate in kernels.values()))
    return Layout(kind, tuple(arrays), transposed=True, roles=_roles(gates, "gate_fn", "activation_fn", names.JAX))


def _flax_lstm(kind: str, forget: str) -> Layout:
    """``forget`` is the name of the module from the input to the forget gate: "if" is a keyword."""
    inputs = {"ii": ("W", "i"), forget: ("W", "f"), "ig": ("W", "g"), "io": ("W", "o")}
    hidden = {f"h{gate}": ("U", gate) for gate in LSTM.split()}
    return _by_gate(kind, {**inputs, **hidden}, {f"h{gate}": ("b+d", gate) for gate in LSTM.split()})


def _nnx(kind: str, gates: str, bias: Stored) -> Layout:
    arrays = (Stored("dense_i/kernel", each("W", gates)), Stored("dense_h/kernel", each("U", gates)), bias)
    return Layout(kind, arrays, transposed=True, roles=_roles(gates, "gate_fn", "activation_fn", names.JAX))


def _onnx(kind: str, gates: str, row: str, peepholes: str = "", **settings: int) -> Layout:
    arrays = [
        Stored("W", each("W", gates)),
        Stored("R", each("U", gates)),
        Stored("B", each("b", gates) + each("d", gates), optional=True),
    ]
    if peepholes:
        arrays.append(Stored("P", each("p", peepholes), optional=True))
    states = ("h", "c") if kind == "LSTM" else ("h",)
    arrays += [Stored(f"initial_{state}", each("initial", state), optional=True) for state in states]
    roles = tuple(Role(f"{letter} of activations", group) for letter, group in zip("fgh", GROUPS[row], strict=False))
    return Layout(kind, tuple(arrays), settings=settings, roles=roles)


_TORCH_LSTM = _torch("LSTM", LSTM)
_TORCH_PROJECTED = _torch("LSTM", LSTM, Stored("weight_hr", each("hr", "h")))

TORCH = {
    "rnn": _torch("RNN", "h"),
    "lstm": _TORCH_LSTM,
    "lstm/projected": _TORCH_PROJECTED,
    "peepholelstm": _TORCH_LSTM,
    "peepholelstm/projected": _TORCH_PROJECTED,
    "gru": _torch("GRU", GRU),
}

_KERAS_LSTM = _keras("LSTM", LSTM, _keras_bias(LSTM))

KERAS = {
    "rnn": _keras("SimpleRNN", "h", _keras_bias("h")),
    "lstm": _KERAS_LSTM,
    "peepholelstm": _KERAS_LSTM,
    "gru": _keras(
        "GRU",
        "z r n",
        Stored("bias", each("b", "z r n") + each("d", "z r n"), optional=True, stacked=2),
        reset_after=True,
    ),
    "gru/before": _keras("GRU", "z r n", _keras_bias("z r n"), reset_after=False),
}

_LINEN_RNN = _by_gate("SimpleCell", {"i": ("W", "h"), "h": ("U", "h")}, {"i": ("b+d", "h")})
_LINEN_LSTM = _flax_lstm("LSTMCell or OptimizedLSTMCell", "if")

LINEN = {
    "rnn": _LINEN_RNN,
    "lstm": _LINEN_LSTM,
    "peepholelstm": _LINEN_LSTM,
    "gru": _by_gate(
        "GRUCell",
        {f"{side}{gate}": (source, gate) for side, source in (("i", "W"), ("h", "U")) for gate in GRU.split()},
        {"ir": ("b+d", "r"), "iz": ("b+d", "z"), "in": ("b", "n"), "hn": ("d", "n")},
    ),
}

_NNX_RNN = _nnx("SimpleCell", "h", Stored("dense_i/bias", each("b+d", "h")))
_NNX_LSTM = _flax_lstm("LSTMCell", "if_")
_NNX_OPTIMIZED = _nnx("OptimizedLSTMCell", LSTM, Stored("dense_h/bias", each("b+d", LSTM)))

NNX = {
    "rnn": _NNX_RNN,
    "lstm": _NNX_LSTM,
    "peepholelstm": _NNX_LSTM,
    "gru": _nnx("GRUCell", GRU, Stored("dense_i/bias", each("b+d", "r z") + each("b", "n"))),  # no d.n, unlike linen
}

_ONNX_LSTM = _onnx("LSTM", "i o f g", "lstm", peepholes="i o f", input_forget=0)

ONNX = {
    "rnn": _onnx("RNN", "h", "rnn"),
    "lstm": _ONNX_LSTM,
    "peepholelstm": _ONNX_LSTM,
    "cifg": _onnx("LSTM", "i o _ g", "cifg", peepholes="i o _", input_forget=1),
    "gru": _onnx("GRU", "z r n", "gru", linear_before_reset=1),
    "gru/before": _onnx("GRU", "z r n", "gru/before", linear_before_reset=0),
}

# Neural Amp Modeler: W and U side by side in one matrix, then the bias and the first states. Files, no framework.
_NAM_LSTM = Layout(
    "LSTM",
    (
        *(Stored(name, each(name, LSTM)) for name in ("W", "U")),
        Stored("b", each("b+d", LSTM)),
        *(Stored(name, each("initial", name)) for name in ("h", "c")),
    ),
)
NAM = {"lstm": _NAM_LSTM, "peepholelstm": _NAM_LSTM}

FORMATS: Mapping[str, Mapping[str, Layout]] = {
    "torch": TORCH,
    "keras": KERAS,
    "linen": LINEN,
    "nnx": NNX,
    "nnx/optimized": {"lstm": _NNX_OPTIMIZED, "peepholelstm": _NNX_OPTIMIZED},
    "onnx": ONNX,
}

# Cells of the zoo: the row of the table, and gates that the others store with the opposite sign. If the update gate of
# a GRU writes, 1 - sigmoid(a) = sigmoid(-a) is the gate of one that keeps.
ROWS: Mapping[str, tuple[str, str]] = {
    "rnn": ("rnn", ""),
    "rnn/relu": ("rnn", ""),
    "lstm": ("lstm", ""),
    "np": ("lstm", ""),
    "peepholelstm": ("peepholelstm", ""),
    "v": ("peepholelstm", ""),
    "cifg": ("cifg", ""),
    "gru": ("gru", ""),
    "gru/write": ("gru", "z"),
    "gru/before": ("gru/before", ""),
    "gru/before/write": ("gru/before", "z"),
}
