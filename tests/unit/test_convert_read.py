"""Recurrent layers in files: what is found, that it computes the same, and that nothing in a file is run."""

import io
import os
import pickle
import struct
import zipfile
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import tidegate as tg
from tidegate.convert import Reading, dump, read
from tidegate.errors import InputError, TidegateWarning
from tidegate.runtime.path import eager_only

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

I, H = 3, 4
X = torch.linspace(-2, 2, 5 * 2 * I).reshape(5, 2, I)


class Model(torch.nn.Module):
    """Layers of every kind and much that is none."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(10, 4)
        self.encoder = torch.nn.LSTM(I, H, num_layers=2, bidirectional=True)
        self.parts = torch.nn.ModuleList([torch.nn.GRU(2 * H, 5), torch.nn.RNN(5, 6)])
        self.cell = torch.nn.GRUCell(6, 7)
        self.projected = torch.nn.LSTM(6, 5, proj_size=2)
        self.head = torch.nn.Linear(5, 2)

    def forward(self, x):
        y, _ = self.parts[0](self.encoder(x)[0])
        y, _ = self.parts[1](y)
        self.projected(y)
        return self.cell(y[-1])


USUAL = ["sigmoid", "tanh", "tanh"]
NAMES = ["encoder", "parts.0", "parts.1", "cell", "projected"]


def save_torch(model, path):
    torch.save(model.state_dict(), path)


def save_checkpoint(model, path):
    optimizer = torch.optim.Adam(model.parameters())
    torch.save({"epoch": 3, "state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}, path)


def save_legacy(model, path):
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)


def save_safetensors(model, path):
    save_file(model.state_dict(), path)


def save_npz(model, path):
    np.savez_compressed(path, **{name: value.numpy() for name, value in model.state_dict().items()})


def save_scripted(model, path):
    torch.jit.script(model).save(path)


def save_traced(model, path):
    torch.jit.trace(model, X).save(path)


FORMATS = {
    "torch.pt": save_torch,
    "checkpoint.ckpt": save_checkpoint,
    "legacy.pth": save_legacy,
    "model.safetensors": save_safetensors,
    "model.npz": save_npz,
    "scripted.pt": save_scripted,
    "traced.jit": save_traced,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    torch.manual_seed(0)
    model, folder = Model(), tmp_path_factory.mktemp("files")
    for name, save in FORMATS.items():
        save(model, folder / name)
    return model, folder


def output(layer, x):
    with torch.no_grad(), eager_only():
        return layer(x)[0]


@pytest.mark.filterwarnings("ignore:.*tanh or relu:tidegate.errors.TidegateWarning")
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize("name", FORMATS)
def test_every_layer_of_a_file_is_found_and_computes_the_same(files, name):
    model, folder = files
    reading = read(folder / name)
    prefix = "state_dict." if "checkpoint" in name else ""
    assert sorted(layer.name for layer in reading) == sorted(prefix + one for one in NAMES)
    for found in reading:
        layer, theirs = found.layer(), model.get_submodule(found.name.removeprefix(prefix))
        x = torch.rand(5, 2, found.input_size)
        with torch.no_grad():
            expected = theirs(x[0]) if isinstance(theirs, torch.nn.GRUCell) else theirs(x)[0]
        got = output(layer, x[:1])[0] if isinstance(theirs, torch.nn.GRUCell) else output(layer, x)
        assert torch.allclose(got, expected, atol=1e-6)


def test_a_reading_is_a_table_a_sequence_and_a_dictionary(files):
    reading = read(files[1] / "torch.pt")
    assert len(reading) == len(NAMES)
    assert reading[0] is reading["encoder"]
    table = str(reading).splitlines()
    assert table[0].split() == ["name", "kind", "input", "hidden", "layers", "direction", "activations", "where"]
    assert table[1].split() == ["encoder", "LSTM", "3", "4", "2", "bidirectional", *USUAL, "encoder.weight_ih_l0"]
    assert "5 -> 2" in table[5]
    assert repr(reading) == str(reading)
    assert repr(reading["cell"]).startswith("<FoundLayer cell | GRU | 6 | 7 | 1 | forward")
    with pytest.raises(InputError, match="no layer of this name; did you mean 'encoder'"):
        reading["encode"]


def test_a_part_of_a_file(files):
    path = files[1] / "torch.pt"
    assert [layer.name for layer in read(path, at="parts")] == ["parts.0", "parts.1"]
    assert [layer.name for layer in read(path, at="parts.1")] == ["parts.1"]
    assert [layer.name for layer in read(str(path), node="cell")] == ["cell"]
    for wrong in ({"at": "part"}, {"node": "parts"}):
        with pytest.raises(InputError, match="no layer of this name"):
            read(path, **wrong)


def test_an_rnn_whose_file_does_not_say_its_activation(files):
    found = read(files[1] / "torch.pt")["parts.1"]
    with pytest.warns(TidegateWarning, match="tanh or relu"):
        assert found.layer().graph == tg.zoo.RNN.graph
    relu = found.layer(nonlinearity="relu")
    expected = (relu.weight_ih_l0.sum(1) + relu.bias_ih_l0 + relu.bias_hh_l0).relu()
    assert torch.allclose(output(relu, torch.ones(1, 1, 5))[0, 0], expected, atol=1e-6)


def test_layers_of_ours_come_back_from_a_file(tmp_path):
    layer = tg.nn.PeepholeLSTM(I, H, num_layers=2, bidirectional=True, learn_initial_state=True).eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-1, 1)
    save_file(layer.state_dict(), tmp_path / "ours.safetensors")
    (found,) = read(tmp_path / "ours.safetensors")
    assert found.kind == "PeepholeLSTM"
    assert torch.equal(output(found.layer(), X), output(layer, X))


def test_pieces_by_gate_come_back_from_a_file(tmp_path):
    layer = tg.nn.PeepholeLSTM(I, H).eval()
    np.savez(tmp_path / "gates.npz", **{f"net.{name}": value for name, value in dump(layer, "gates").items()})
    (found,) = read(tmp_path / "gates.npz")
    assert found.name == "net"
    with pytest.warns(TidegateWarning, match="sigmoid and tanh are assumed"):
        assert torch.equal(output(found.layer(), X), output(layer, X))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["torch.pt", "model.safetensors", "scripted.pt"])
def test_types_of_numbers(tmp_path, name, dtype):
    model = torch.nn.ModuleDict({"a": torch.nn.GRU(I, H, dtype=dtype)})
    if name == "scripted.pt":
        model = torch.nn.GRU(I, H, dtype=dtype)
    FORMATS[name](model, tmp_path / name)
    layer = read(tmp_path / name)[0].layer()
    theirs = model["a"] if name != "scripted.pt" else model
    assert layer.weight_hh_l0.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(layer.weight_hh_l0, theirs.weight_hh_l0.to(layer.weight_hh_l0.dtype))
    assert read(tmp_path / name)[0].layer(dtype=torch.float16, batch_first=True).weight_ih_l0.dtype == torch.float16


STATE = torch.nn.LSTM(I, H).state_dict()


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({**STATE, "gamma_l0": torch.ones(1)}, "also has lstm.gamma_l0"),
        ({**STATE, "norm.weight": torch.ones(1)}, "also has lstm.norm.weight"),
        ({k: v for k, v in STATE.items() if k != "bias_hh_l0"}, "only one of its two biases"),
        ({k: v for k, v in STATE.items() if k != "weight_ih_l0"}, "no two matrices"),
        ({**STATE, "weight_ih_l1": torch.ones(16, 4)}, "without weight_hh"),
        ({**STATE, "weight_ih_l7": torch.ones(16, 4)}, "without weight_hh, weight_ih"),
        ({**STATE, "weight_hh_l0_reverse": torch.ones(16, 4)}, "without weight_ih"),
        ({**STATE, "bias_ih_l0": torch.ones(15)}, r"expected bias_ih of shape (16,), got (15,)"),
        ({**STATE, "weight_hh_l0": torch.ones(15, 4)}, "15 rows for 4 units"),
        ({**STATE, "weight_hh_l0": torch.ones(8, 4)}, "8 rows for 4 units"),
        ({**STATE, "weight_hh_l0": torch.ones(16)}, "no two matrices"),
        ({**STATE, "weight_hh_l0": torch.ones(16, 4, dtype=torch.int8)}, "numbers of the type int8"),
        ({**STATE, "weight_hh_l0": torch.ones(0, 0)}, "0 rows for 0 units"),
        ({**STATE, "p_i_l0": torch.ones(4), "p_f_l0": torch.ones(4)}, "without p_o"),
        ({**STATE, "initial_h_l0": torch.ones(4)}, "without initial_c"),
    ],
)  # fmt: skip
def test_what_is_nearly_a_layer_is_listed_with_its_fault_and_refused(tmp_path, arrays, fault):
    save_file({f"lstm.{name}": value for name, value in arrays.items()}, tmp_path / "odd.safetensors")
    reading = read(tmp_path / "odd.safetensors")
    assert fault in str(reading)
    with pytest.raises(InputError, match="cannot be read"):
        reading["lstm"].layer()


@pytest.mark.parametrize("normed", ["weight_norm", "spectral_norm"])
def test_parametrized_layers_are_listed_with_what_they_have_besides(tmp_path, normed):
    model = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(I, H)})
    getattr(torch.nn.utils.parametrizations, normed)(model["lstm"], "weight_hh_l0")
    torch.save(model.state_dict(), tmp_path / "normed.pt")
    (found,) = read(tmp_path / "normed.pt")
    assert found.name == "lstm"
    assert "parametrizations.weight_hh_l0" in found.fault


@pytest.mark.parametrize("name", ["scrn", "fgr", "mgu", "lstm1997", "ugrnn", "slstm"])
@pytest.mark.parametrize("prefix", ["", "net."])
def test_cells_that_torch_does_not_have_are_no_layers_of_torch(tmp_path, name, prefix):
    state = tg.nn.Recurrent(name, I, H).state_dict()
    save_file({prefix + key: value for key, value in state.items()}, tmp_path / "ours.safetensors")
    assert all(found.fault for found in read(tmp_path / "ours.safetensors"))


def test_two_names_for_one_array_are_no_layer(tmp_path):
    save_file({**STATE, "weight_ih": STATE["weight_ih_l0"].clone()}, tmp_path / "twice.safetensors")
    assert "also has weight_ih" in read(tmp_path / "twice.safetensors")[0].fault


def test_a_file_without_a_recurrent_layer(tmp_path):
    save_file(torch.nn.Linear(2, 3).state_dict(), tmp_path / "linear.safetensors")
    with pytest.raises(InputError, match="holds no recurrent layer"):
        read(tmp_path / "linear.safetensors")
    assert str(Reading("linear.safetensors", [])) == "no recurrent layer in linear.safetensors"


def test_only_a_reverse_layer_is_flipped(files):
    found = read(files[1] / "torch.pt")["parts.0"]
    with pytest.raises(InputError, match="leave flipped out"):
        found.layer(flipped=True)
    reverse = replace(found, is_reverse=True)
    assert reverse.directions == "reverse"
    assert torch.equal(reverse.layer(flipped=True).weight_hh_l0, found.layer().weight_hh_l0)


# Files of strangers.


class Shout:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class Stated:
    def __setstate__(self, state):
        os.mkdir(state["path"])  # noqa: PTH102  as the plainest thing that leaves a trace


def made_pickle(trap):
    return pickle.dumps({"lstm.weight_ih_l0": Shout(trap)}, protocol=2)


def made_state(trap):
    stated = Stated()
    stated.path = str(trap)
    return pickle.dumps(stated, protocol=2)


def made_torch(trap):
    buffer = io.BytesIO()
    torch.save({"a": Shout(trap), **STATE}, buffer)
    return buffer.getvalue()


def made_module(trap):
    del trap
    buffer = io.BytesIO()
    torch.save(torch.nn.LSTM(I, H), buffer)
    return buffer.getvalue()


def made_npz(trap):
    buffer = io.BytesIO()
    np.savez(buffer, weight_ih_l0=np.array([Shout(trap)], dtype=object))
    return buffer.getvalue()


def archive(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return buffer.getvalue()


def made_torchscript(trap):
    return archive(x__data_dot_pkl=made_pickle(trap), x__constants_dot_pkl=b"")


def array_of(count: int, stored: int) -> bytes:
    """An array whose header promises so many numbers, and so many bytes behind it."""
    said = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count},), }}".encode()
    return b"\x93NUMPY\x01\x00v\x00" + said.ljust(117) + b"\n" + bytes(stored)


def made_bomb(trap):
    del trap
    return archive(weight_ih_l0_dot_npy=array_of(30_000_000, 120_000_000))


def made_torch_bomb(trap):
    del trap
    return archive(x__data_dot_pkl=made_pickle("x"), x__data__0=bytes(120_000_000))


def made_wide(trap):
    """A tensor of 2^40 numbers in a storage of one, which a stride of zero makes possible."""
    del trap
    buffer = io.BytesIO()
    torch.save({"weight_hh_l0": torch.zeros(1).expand(2**40), "weight_ih_l0": torch.zeros(1)}, buffer)
    return buffer.getvalue()


def made_promise(trap):
    del trap
    return archive(weight_ih_l0_dot_npy=array_of(2**50, 64))


def made_safetensors(trap):
    del trap
    head = b'{"weight_ih_l0":{"dtype":"F32","shape":[4,4],"data_offsets":[0,1000000]}}'
    return struct.pack("<Q", len(head)) + head


MADE = {
    "reduce.pkl": (made_pickle, "asks for posix.mkdir"),
    "setstate.pt": (made_state, "asks for tests.unit.test_convert_read.Stated"),
    "reduce.pt": (made_torch, "asks for posix.mkdir"),
    "module.pt": (made_module, "asks for torch.nn.modules.rnn.LSTM"),
    "object.npz": (made_npz, "may run code"),
    "reduce.jit": (made_torchscript, "asks for posix.mkdir"),
    "bomb.npz": (made_bomb, "unpacked, more than 50 times"),
    "bomb.pt": (made_torch_bomb, "unpacked, more than 50 times"),
    "wide.pt": (made_wide, "unpacked, more than 50 times"),
    "promise.npz": (made_promise, "unpacked, more than 50 times"),
    "lying.safetensors": (made_safetensors, "is damaged"),
    "empty.pt": (lambda _: b"", "no format that is read here"),
    "text.npz": (lambda _: b"hello", "no format that is read here"),
    "cut.npz": (lambda _: archive(a_dot_npy=b"\x93NUMPY\x01"), "is damaged"),
    "other.zip": (lambda _: archive(readme=b"hello"), "no format that is read here"),
    "zip.npz": (lambda _: archive(a_dot_npy=b"")[:-30], "no format|damaged|cannot be read"),
    "bad.jit": (lambda _: archive(x__data_dot_pkl=b"\x80\x02.", x__constants_dot_pkl=b""), "is damaged"),
}


@pytest.mark.parametrize("name", MADE)
def test_nothing_in_a_file_of_a_stranger_is_run(tmp_path, name):
    make, says = MADE[name]
    trap = tmp_path / "trap"
    (tmp_path / name).write_bytes(make(trap))
    with pytest.raises(InputError, match=says) as caught:
        read(tmp_path / name)
    assert caught.value.fix
    assert not trap.exists()


def test_the_traps_do_spring_elsewhere(tmp_path):
    for k, make in enumerate((made_pickle, made_state)):
        pickle.loads(make(tmp_path / str(k)))
        assert (tmp_path / str(k)).exists()


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_give_one_clear_error_or_what_is_left(files, tmp_path, name):
    data = bytearray((files[1] / name).read_bytes())
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for k in range(12):
        damaged = bytearray(data)
        if k % 3 == 0:
            damaged = damaged[: int(rng.integers(1, len(data)))]
        else:
            for place in rng.integers(0, min(len(data), (200, len(data))[k % 2]), 4):
                damaged[place] ^= int(rng.integers(1, 256))
        path = tmp_path / f"{k}{name}"
        path.write_bytes(damaged)
        try:
            str(read(path))
        except InputError as error:
            assert error.fix  # noqa: PT017  the other way out is no error


def test_a_path_that_leads_nowhere(tmp_path):
    for path in (tmp_path / "nothing.pt", tmp_path):
        with pytest.raises(InputError, match=r"is no file|cannot be read"):
            read(path)
