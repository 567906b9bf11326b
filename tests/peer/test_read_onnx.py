"""ONNX models read from files: ONNX's own node tests, and models of every shape that a recurrent node can stand in."""

import numpy as np
import pytest
import torch

import tidegate as tg
from tidegate.errors import InputError

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402  once it is known to be there

I, H, T, B = 3, 4, 6, 2
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
OPSET = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
RNG = np.random.default_rng(0)


def drawn(*shape):
    return RNG.uniform(-0.6, 0.6, shape).astype(np.float32)


def weights(kind, directions=1, width=I):
    rows = GATES[kind] * H
    return {
        "W": drawn(directions, rows, width),
        "R": drawn(directions, rows, H),
        "B": drawn(directions, 2 * rows),
    }


def tensors(arrays):
    return [numpy_helper.from_array(value, name) for name, value in arrays.items()]


def value(name, shape=None, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model_of(nodes, initializers=(), inputs=(), outputs=("Y",)):
    graph = helper.make_graph(
        [*nodes], "graph", [value("X", [None, None, I]), *inputs], [value(name) for name in outputs], [*initializers]
    )
    return helper.make_model(graph, opset_imports=OPSET, ir_version=8)


def read(model, tmp_path, **options):
    path = tmp_path / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return tg.convert.read(path, **options)


def outputs(layer, x, **options):
    with torch.inference_mode():
        y, states = layer(torch.from_numpy(x), **options)
    return y.numpy(), [state.numpy() for state in (states if isinstance(states, tuple) else (states,))]


def by_direction(y, directions):
    """[T, B, D*H] as ONNX has it, [T, D, B, H]."""
    return y.reshape(*y.shape[:2], directions, -1).swapaxes(1, 2)


def check_with_runtime(model, layer, directions=1, **options):
    x = drawn(T, B, I)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = session.run(["Y"], {"X": x})[0]
    y, _ = outputs(layer, x, **options)
    np.testing.assert_allclose(by_direction(y, directions), wanted, atol=1e-6)


# --- ONNX's own tests ---


def node_cases():
    from onnx.backend.test.case import node
    from onnx.backend.test.case.node import gru, lstm, rnn, scan  # noqa: F401  which collect their cases

    wanted = {*GATES, "Scan"}
    return [case for case in node._NodeTestCases if {one.op_type for one in case.model.graph.node} <= wanted]


CASES = {case.name: case for case in node_cases()}
RECURRENT = [name for name in CASES if "scan" not in name]


def test_there_are_22_node_cases():
    assert len(CASES) == 22
    assert len(RECURRENT) == 18


@pytest.mark.parametrize("name", RECURRENT)
def test_node_case(name, tmp_path):
    """Weights are inputs there; here they are held, and the others are passed to our layer."""
    case = CASES[name]
    (node,), given = (
        case.model.graph.node,
        dict(zip((one.name for one in case.model.graph.input), case.data_sets[0][0], strict=True)),
    )
    held = {name: array for name, array in given.items() if name not in {"X", "sequence_lens"}}
    case.model.graph.initializer.extend(tensors(held))
    (found,) = read(case.model, tmp_path)
    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    layer = found.layer(batch_first=bool(attributes.get("layout")))
    lengths = given.get("sequence_lens")
    y, states = outputs(layer, given["X"], lengths=None if lengths is None else torch.from_numpy(lengths))
    wanted = {one.name: array for one, array in zip(case.model.graph.output, case.data_sets[0][1], strict=True)}
    batched = bool(attributes.get("layout"))  # [B, T, D, H] instead of [T, D, B, H]
    if "Y" in wanted:
        directions = wanted["Y"].shape[2 if batched else 1]
        ours = y.reshape(*y.shape[:2], directions, -1)
        np.testing.assert_allclose(ours if batched else ours.swapaxes(1, 2), wanted["Y"], atol=1e-6)
    for state, output in zip(states, ("Y_h", "Y_c"), strict=False):
        if output in wanted:
            np.testing.assert_allclose(state.swapaxes(0, 1) if batched else state, wanted[output], atol=1e-6)


@pytest.mark.parametrize("name", RECURRENT)
def test_node_case_and_back(name, tmp_path):
    """What was read and is shipped again gives in onnxruntime what the case expects."""
    case = CASES[name]
    given = dict(zip((one.name for one in case.model.graph.input), case.data_sets[0][0], strict=True))
    case.model.graph.initializer.extend(tensors({k: v for k, v in given.items() if k not in {"X", "sequence_lens"}}))
    (found,) = read(case.model, tmp_path)
    batched = any(one.name == "layout" for one in case.model.graph.node[0].attribute)
    x, is_reverse = given["X"].swapaxes(0, 1) if batched else given["X"], found.is_reverse
    shipped = tg.ship.onnx(found.layer(flipped=is_reverse))
    session = runtime.InferenceSession(shipped.SerializeToString(), providers=["CPUExecutionProvider"])
    lengths = given.get("sequence_lens", np.full(x.shape[1], len(x))).astype(np.int64)
    y, *states = session.run(None, {"x": x[::-1].copy() if is_reverse else x, "lengths": lengths})
    wanted = {one.name: array for one, array in zip(case.model.graph.output, case.data_sets[0][1], strict=True)}
    if "Y" in wanted:
        expected = wanted["Y"].transpose(1, 2, 0, 3) if batched else wanted["Y"]
        ours = y.reshape(*y.shape[:2], -1, found.hidden_size).swapaxes(1, 2)
        np.testing.assert_allclose(ours[::-1] if is_reverse else ours, expected, atol=1e-6)
    if "Y_h" in wanted:
        expected = wanted["Y_h"].swapaxes(0, 1) if batched else wanted["Y_h"]
        names = [value.name for value in shipped.graph.output][1:]
        last = [state for name, state in zip(names, states, strict=True) if name.startswith("next.0.h")]
        np.testing.assert_allclose(np.stack(last), expected, atol=1e-6)


SHIPPED = {
    "LSTM": lambda: tg.nn.LSTM(I, H, num_layers=2),
    "GRU": lambda: tg.nn.GRU(I, H, bidirectional=True),
    "GRU/before/write": lambda: tg.nn.GRU(I, H, reset="before", update="write"),
    "PeepholeLSTM": lambda: tg.nn.PeepholeLSTM(I, H),
    "RNN": lambda: tg.nn.RNN(I, H, nonlinearity="relu"),
    "CIFG": lambda: tg.nn.Recurrent("cifg", I, H),
    "MGU": lambda: tg.nn.Recurrent("mgu", I, H),  # a GRU whose gates are one
}


@pytest.mark.parametrize("name", SHIPPED)
def test_what_was_shipped_is_read_again(name, tmp_path):
    layer, x = SHIPPED[name](), drawn(T, B, I)
    reading = read(tg.ship.onnx(layer), tmp_path)
    (wanted, _), (got, _) = outputs(layer, x), outputs(reading.stacked().layer(), x)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in CASES if "scan" in name])
def test_scans_of_sums_hold_no_layer(name, tmp_path):
    with pytest.raises(InputError, match="holds no recurrent layer"):
        read(CASES[name].model, tmp_path)


# --- where weights come from ---


def test_constants_and_what_is_computed_of_them(tmp_path):
    held = weights("LSTM")
    W, R, B = held.values()
    i, o, f, c = np.split(W[0], 4)
    scale = np.float32(2**-9)
    rounded = np.clip(np.rint(R / scale), -127, 127).astype(np.int8)
    half = B.astype(np.float16)
    parts = {"iofc": np.concatenate([f, c, i, o]).T.copy(), "rounded": rounded, "scale": scale, "half": half[0]}
    nodes = [
        helper.make_node("Constant", [], ["axes"], value=numpy_helper.from_array(np.array([0]))),
        helper.make_node("Transpose", ["iofc"], ["upright"], perm=[1, 0]),
        *(
            helper.make_node("Constant", [], [name], value_ints=[number])
            for name, number in {"zero": 0, "middle": 2 * H, "end": 4 * H}.items()
        ),
        helper.make_node("Slice", ["upright", "middle", "end", "zero"], ["first"]),
        helper.make_node("Slice", ["upright", "zero", "middle", "zero"], ["last"]),
        helper.make_node("Concat", ["first", "last"], ["flat"], axis=0),
        helper.make_node("Unsqueeze", ["flat", "axes"], ["W"]),
        helper.make_node("DequantizeLinear", ["rounded", "scale"], ["R"]),
        helper.make_node("Cast", ["half"], ["single"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["single", "axes"], ["B"]),
        helper.make_node("LSTM", ["X", "W", "R", "B"], ["Y"], hidden_size=H, name="lstm"),
    ]
    model = model_of(nodes, tensors(parts))
    layer = read(model, tmp_path)["lstm"].layer()
    check_with_runtime(model, layer)


def nested(kind, node, held):
    """A model with a node inside a graph of If, Loop or Scan; its weights lie inside or outside."""
    inner = helper.make_graph([node], "inner", [], [value("Y")], tensors(held))
    if kind == "If":
        other = helper.make_graph([helper.make_node("Identity", ["X"], ["Y_"])], "other", [], [value("Y_")])
        outer = helper.make_node("If", ["yes"], ["out"], then_branch=inner, else_branch=other, name="if")
        return model_of([outer], tensors({"yes": np.array([True])}), outputs=["out"])
    steps, going, on = (value(name, [], kind) for name, kind in (("k", 7), ("going", 9), ("on", 9)))  # int64, bool
    nodes = [node, helper.make_node("Identity", ["going"], ["on"])]
    body = helper.make_graph(nodes, "body", [steps, going], [on, value("Y")])
    outer = helper.make_node("Loop", ["count", "yes"], ["out"], body=body, name="loop")
    return model_of([outer], tensors({**held, "count": np.array(2), "yes": np.array([True])}), outputs=["out"])


@pytest.mark.parametrize("kind", ["If", "Loop"])
def test_nodes_inside_other_graphs(kind, tmp_path):
    held = weights("GRU")
    node = helper.make_node("GRU", ["X", *held], ["Y"], hidden_size=H, linear_before_reset=1, name="deep")
    (found,) = read(nested(kind, node, held), tmp_path)
    assert found.name == "deep"
    assert found.where.startswith(f"/{kind.lower()}.")
    plain = model_of([node], tensors(held))
    check_with_runtime(plain, found.layer())


def test_a_node_is_chosen_by_its_name(tmp_path):
    held = {f"{name}{k}": array for k in "ab" for name, array in weights("GRU").items()}
    nodes = [
        helper.make_node("GRU", ["X", f"W{k}", f"R{k}", f"B{k}"], [f"Y{k}"], hidden_size=H, name=f"gru/{k}")
        for k in "ab"
    ]
    model = model_of(nodes, tensors(held), outputs=["Ya", "Yb"])
    assert [found.name for found in read(model, tmp_path)] == ["gru/a", "gru/b"]
    (found,) = read(model, tmp_path, node="gru/b")
    np.testing.assert_array_equal(found.passes[0][0]["W.z"], held["Wb"][0][:H])
    with pytest.raises(InputError, match="has no layer of this name; did you mean 'gru/"):
        read(model, tmp_path, node="gru/c")


def test_a_stack_of_nodes(tmp_path):
    first, second = weights("LSTM", 2), weights("LSTM", 2, 2 * H)
    held = {f"{name}{k}": array for k, one in enumerate((first, second)) for name, array in one.items()}
    nodes = [
        helper.make_node(
            "LSTM", ["X", "W0", "R0", "B0"], ["y"], hidden_size=H, direction="bidirectional", name="below"
        ),
        helper.make_node("Transpose", ["y"], ["z"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["z", "shape"], ["x"]),
        helper.make_node(
            "LSTM", ["x", "W1", "R1", "B1"], ["Y"], hidden_size=H, direction="bidirectional", name="above"
        ),
    ]
    model = model_of(nodes, tensors({**held, "shape": np.array([0, 0, 2 * H])}))
    reading = read(model, tmp_path)
    assert str(reading.stacked().layer()) == "LSTM(3, 4, num_layers=2, bidirectional=True)"
    check_with_runtime(model, reading.stacked("below", "above").layer(), directions=2)
    with pytest.raises(InputError, match="does not stand on"):
        reading.stacked("above", "below")


# --- directions, states, activations ---


@pytest.mark.parametrize("kind", GATES)
def test_reverse_nodes_with_lengths(kind, tmp_path):
    held = weights(kind)
    node = helper.make_node(kind, ["X", *held, "lengths"], ["Y"], hidden_size=H, direction="reverse", name="back")
    lengths = np.array([T, 2], np.int32)
    model = model_of([node], tensors({**held, "lengths": lengths}))
    (found,) = read(model, tmp_path)
    assert found.directions == "reverse"
    check_with_runtime(model, found.layer(), lengths=torch.from_numpy(lengths))
    layer = found.layer(flipped=True)
    assert isinstance(layer, tg.nn.Recurrent)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_constant_first_states_are_learned_ones(direction, tmp_path):
    directions = 1 + (direction == "bidirectional")
    held = {**weights("LSTM", directions), "lengths": np.array([T, T], np.int32)}
    states = {name: np.repeat(drawn(directions, 1, H), B, axis=1) for name in ("initial_h", "initial_c")}
    node = helper.make_node("LSTM", ["X", *held, *states], ["Y"], hidden_size=H, direction=direction)
    model = model_of([node], tensors({**held, **states}))
    layer = read(model, tmp_path)[0].layer()
    assert "learn_initial_state=True" in str(layer)
    check_with_runtime(model, layer, directions)


def test_first_states_of_the_model_are_said(tmp_path):
    held = weights("GRU")
    node = helper.make_node("GRU", ["X", *held, "", "h0"], ["Y"], hidden_size=H, name="gru")
    (found,) = read(model_of([node], tensors(held), [value("h0", [1, None, H])]), tmp_path)
    assert "initial_h from outside" in found.where
    assert "learn_initial_state" not in str(found.layer())
    nodes = [
        helper.make_node("Shape", ["X"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["h0"]),
        node,
    ]
    (found,) = read(model_of(nodes, tensors(held)), tmp_path)
    assert "initial_h" not in found.where  # it is zeros, for as many sequences as come
    states = {"h0": drawn(1, B, H)}
    (found,) = read(model_of([node], tensors({**held, **states})), tmp_path)
    assert "not the same for all sequences" in found.fault


ACTIVATIONS = {
    "one number": ("GRU", ["HardSigmoid", "Tanh"], [0.3], [0.4]),
    "in order": ("LSTM", ["HardSigmoid", "ScaledTanh", "LeakyRelu"], [0.25, 0.9, 0.05], [0.5, 1.3]),
    "defaults": ("LSTM", ["HardSigmoid", "Elu", "Softsign"], None, None),
    "in any case": ("LSTM", ["sIGMOID", "sOFTPLUS", "tANH"], None, None),
    "affine": ("LSTM", ["Sigmoid", "Affine", "Tanh"], [0.5], [0.1]),
    "relu": ("RNN", ["Relu"], None, None),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("directions", [1, 2])
def test_activations(name, directions, tmp_path):
    kind, functions, alpha, beta = ACTIVATIONS[name]
    attributes = {"activations": functions * directions, "hidden_size": H}
    attributes |= {} if alpha is None else {"activation_alpha": alpha * directions}
    attributes |= {} if beta is None else {"activation_beta": beta * directions}
    attributes |= {"direction": "bidirectional"} if directions == 2 else {}
    held = weights(kind, directions)
    model = model_of([helper.make_node(kind, ["X", *held], ["Y"], **attributes)], tensors(held))
    check_with_runtime(model, read(model, tmp_path)[0].layer(), directions)


@pytest.mark.parametrize(
    ("kind", "attributes"), [("LSTM", {"input_forget": 1}), ("GRU", {"linear_before_reset": 1}), ("GRU", {})]
)
def test_variants(kind, attributes, tmp_path):
    held = weights(kind)
    model = model_of([helper.make_node(kind, ["X", *held], ["Y"], hidden_size=H, **attributes)], tensors(held))
    check_with_runtime(model, read(model, tmp_path)[0].layer())


def test_peepholes_without_a_bias(tmp_path):
    held = {name: array for name, array in weights("LSTM").items() if name != "B"} | {"P": drawn(1, 3 * H)}
    node = helper.make_node("LSTM", ["X", "W", "R", "", "", "", "", "P"], ["Y"], hidden_size=H)
    model = model_of([node], tensors(held))
    check_with_runtime(model, read(model, tmp_path)[0].layer())


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_8_bits_are_made_floating(per_row, dtype, tmp_path):
    held, quantised, floats = weights("LSTM", 2), {}, {}
    for name in ("W", "R"):
        rows = held[name].swapaxes(1, 2)  # (directions, inputs, 4H)
        zero = np.full((2, 4 * H) if per_row else 2, 0 if dtype is np.int8 else 128, dtype)
        scale = np.abs(rows).max((1,) if per_row else (1, 2)).astype(np.float32) / 127
        wide = [array.reshape(2, 1, -1) for array in (scale, zero)]
        quantised[name] = np.rint(rows / wide[0] + wide[1].astype(np.float32)).astype(dtype)
        quantised |= {f"{name}_scale": scale, f"{name}_zero_point": zero}
        floats[name] = ((quantised[name].astype(np.float32) - wide[1]) * wide[0]).swapaxes(1, 2).copy()
    inputs = ["X", "W", "R", "B", "", "", "", "", "W_scale", "W_zero_point", "R_scale", "R_zero_point"]
    node = helper.make_node(
        "DynamicQuantizeLSTM", inputs, ["Y"], domain="com.microsoft", hidden_size=H, direction="bidirectional", name="q"
    )
    reading = read(model_of([node], tensors({**quantised, "B": held["B"]})), tmp_path)
    plain = helper.make_node("LSTM", ["X", "W", "R", "B"], ["Y"], hidden_size=H, direction="bidirectional")
    check_with_runtime(model_of([plain], tensors({**floats, "B": held["B"]})), reading["q"].layer(), 2)


# --- what cannot be read ---

FAULTS = {
    "clip=": {"clip": 3.0},
    "ThresholdedRelu": {"activations": ["Sigmoid", "ThresholdedRelu"]},
    "Affine without alpha and beta": {"activations": ["Sigmoid", "Affine"]},
    "direction='up'": {"direction": "up"},
    "but 2 direction": {"direction": "bidirectional"},
    "ours has 2": {"activations": ["Sigmoid"]},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_and_leave_the_rest_readable(fault, tmp_path):
    held = weights("GRU")
    nodes = [
        helper.make_node("GRU", ["X", *held], ["a"], hidden_size=H, name="bad", **FAULTS[fault]),
        helper.make_node("GRU", ["X", *held], ["Y"], hidden_size=H, name="good"),
    ]
    reading = read(model_of(nodes, tensors(held)), tmp_path)
    assert fault in str(reading)
    with pytest.raises(InputError, match=fault.partition("=")[0]):
        reading["bad"].layer()
    assert reading["good"].layer().hidden_size == H


def test_weights_that_are_no_constants_are_named(tmp_path):
    held = weights("GRU")
    W = held.pop("W")
    node = helper.make_node("GRU", ["X", "W", "R", "B"], ["Y"], hidden_size=H)
    (found,) = read(model_of([node], tensors(held), [value("W", W.shape)]), tmp_path)
    assert "W is an input" in found.fault
    nodes = [helper.make_node("Relu", ["V"], ["W"]), node]
    (found,) = read(model_of(nodes, tensors({**held, "V": W})), tmp_path)
    assert "computed by Relu" in found.fault
    nodes = [helper.make_node("Add", ["W", "W"], ["W"]), node]
    (found,) = read(model_of(nodes, tensors(held)), tmp_path)
    assert "computed of itself" in found.fault
    nodes = [helper.make_node("Concat", [f"w{k}"] * 2, [f"w{k + 1}"], axis=0) for k in range(60)]
    nodes += [helper.make_node("Identity", ["w60"], ["W"]), node]
    (found,) = read(model_of(nodes, tensors({**held, "w0": W})), tmp_path)
    assert "would make" in found.fault


def test_external_weights_lie_in_the_folder(tmp_path):
    held = weights("GRU")
    node = helper.make_node("GRU", ["X", *held], ["Y"], hidden_size=H)
    model = model_of([node], tensors(held))
    secret = tmp_path / "secret"
    folder = tmp_path / "model"
    folder.mkdir()
    for place in (secret, folder / "weights"):
        place.write_bytes(held["W"].tobytes())
    (folder / "link").symlink_to(secret)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add(key="location")
    for location, fault in {
        "weights": "",
        "../secret": "no file in",
        str(secret): "no file in",
        "link": "no file in",
    }.items():
        entry.value = location
        (found,) = read(model, folder)
        assert fault in found.fault
        assert bool(fault) == bool(found.fault)
        if not fault:
            np.testing.assert_array_equal(found.passes[0][0]["W.z"], held["W"][0][:H])
    entry.value = "weights"
    tensor.external_data.add(key="length", value="99999")
    (found,) = read(model, folder)
    assert "beyond the end" in found.fault


def test_what_is_no_model(tmp_path):
    for content in (b"\x08\xff\xff", b"\x08\x08:\xff\xff\xff\x7f"):
        with pytest.raises(InputError, match="no ONNX model"):
            read(content, tmp_path)
