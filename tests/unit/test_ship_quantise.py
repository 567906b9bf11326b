"""Layers in whole numbers: how far from the layer, and the same integers in NumPy and in C on every target."""

import numpy as np
import pytest
import torch
from benchmarks.ship import qemu
from benchmarks.ship.program import HEAD, noise, run_of, sum_of_bits

import tidegate as tg
from tests.sample import VARIED
from tests.unit.test_ship_kernel import STRICT
from tidegate.errors import EmitError, InputError
from tidegate.runtime import eager_only
from tidegate.ship.int8 import whole
from tidegate.zoo import CELLS

STEPS = 60
FUNCTION, UNREAD = "an operation without a form in whole numbers: {}", "its step never reads its state {}"
REFUSED = {
    **dict.fromkeys(("minlstm", "slstm", "rglru", "sgu"), FUNCTION.format("log_sigmoid")),
    **dict.fromkeys(("slstm/exp", "lru"), FUNCTION.format("exp")),
    **dict.fromkeys(("sru", "qrnn", "qrnn2", "hgrn", "mclstm", "typedlstm"), UNREAD.format("h")),
    "intersectionrnn": UNREAD.format("y"),
}
COMPILED = ["gru/before", "peepholelstm", "fgr", "adaptivescrn", "indrnn"]  # all: benchmarks/ship/int8.py
OPTIONS = {
    "stack": {"num_layers": 2},
    "both": {"num_layers": 2, "bidirectional": True},
    "projected": {"num_layers": 2, "proj_size": 5},
    "first": {"learn_initial_state": True},
    "clipped": {"state_clip": 0.3},
    "kept": {"zoneout": 0.1},
    "heads": {"heads": 3},
}


def drawn(layer: tg.nn.Recurrent, factor: float = 2.0) -> tg.nn.Recurrent:
    """With weights that are large enough for gates to open and close."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-0.3 * factor, 0.3 * factor, generator=generator)
    return layer.eval()


def relative_error(layer, quantised, x, **options) -> float:
    with eager_only():
        wanted = layer(torch.from_numpy(x), **options)[0].detach().numpy()
    found = quantised.run(x, **options)[0]
    return float(np.sqrt(((found - wanted) ** 2).mean() / (wanted**2).mean()))


@pytest.mark.parametrize("name", [name for name in VARIED if name not in REFUSED])
def test_every_other_cell_stays_close_to_itself(name) -> None:
    layer = drawn(tg.nn.Recurrent(CELLS[name], 10, 10), 1.5)
    x = noise(30, 3, 10)
    quantised = tg.ship.quantise(layer, x)
    assert relative_error(layer, quantised, x) < 0.02


@pytest.mark.parametrize("name", REFUSED)
def test_a_cell_without_whole_numbers_is_refused_by_name(name) -> None:
    with pytest.raises(EmitError, match=REFUSED[name]):
        tg.ship.quantise(tg.nn.Recurrent(CELLS[name], 4, 4), noise(5, 1, 4))


def test_a_state_that_no_step_reads_is_refused_by_name() -> None:
    class Kept(tg.Cell):
        state = "h c"
        matrices: dict[str, str] = {}
        biases = "W"
        gates = "f"

        def step(self, x, h, c):
            f = tg.sigmoid(x.f)
            c = f * c + x.f
            return tg.tanh(c), c

    with pytest.raises(EmitError, match="its step never reads its state h"):
        tg.ship.quantise(tg.nn.Recurrent(Kept, 3, 4), noise(5, 1, 3))


def test_a_layer_norm_is_refused_by_name() -> None:
    with pytest.raises(EmitError, match=r"LSTM.*: mean"):
        tg.ship.quantise(tg.nn.LSTM(4, 4, layer_norm=True), noise(5, 1, 4))


def test_lengths_states_and_layouts_are_those_of_the_layer() -> None:
    layer = drawn(tg.nn.LSTM(4, 6, 2, bidirectional=True, batch_first=True), 1.5)
    x, lengths = noise(3, 20, 4), torch.tensor([20, 1, 7])
    first = tuple(torch.from_numpy(noise(4, 3, 6, seed=k)) / 2 for k in (5, 6))
    quantised = tg.ship.quantise(layer, x)
    with eager_only():
        y, (h, c) = layer(torch.from_numpy(x), first, lengths=lengths)
    found, (found_h, found_c) = quantised.run(x, first, lengths=lengths)
    for a, b in ((y, found), (h, found_h), (c, found_c)):
        assert a.shape == b.shape
        assert np.abs(a.detach().numpy() - b).max() < 0.03
    assert not found[1, 1:].any()


def test_a_module_gives_one_for_each_layer() -> None:
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.below, self.above = drawn(tg.nn.GRU(3, 5)), drawn(tg.nn.LSTM(5, 4))

        def forward(self, x, lengths):
            hidden, _ = self.below(x, lengths=lengths)
            packed = torch.nn.utils.rnn.pack_padded_sequence(hidden, lengths, enforce_sorted=False)
            return self.above(packed)

    model, x = Model(), noise(9, 4, 3)
    with eager_only():
        found = tg.ship.quantise(model, lambda: model(torch.from_numpy(x), torch.tensor([9, 3, 9, 2])))
    assert list(found) == ["below", "above"]
    assert relative_error(model.below, found["below"], x) < 0.02
    assert not model.below._forward_pre_hooks


@pytest.mark.parametrize(
    ("model", "data", "code"),
    [
        (torch.nn.Linear(2, 2), [], "INT8_MODEL"),
        (torch.nn.Sequential(tg.nn.GRU(2, 2)), noise(3, 1, 2), "INT8_MODEL"),
        (tg.nn.GRU(2, 2), [], "INT8_DATA"),
        (tg.nn.GRU(2, 2), noise(3, 1, 3), "INT8_DATA"),
        (tg.nn.GRU(2, 2), noise(3, 2), "INT8_DATA"),
        (tg.nn.GRU(2, 2), np.zeros((0, 1, 2)), "INT8_DATA"),
        (tg.nn.GRU(2, 2), noise(3, 1, 2) * np.nan, "INT8_DATA"),
    ],
)
def test_what_cannot_be_read_is_refused(model, data, code) -> None:
    with pytest.raises(InputError) as caught:
        tg.ship.quantise(model, data)
    assert caught.value.code == code


def test_the_functions_are_exact_to_a_unit() -> None:
    v = np.arange(-(2**19), 2**19)
    assert np.abs(whole.tanh(v) - np.tanh(v / 2**15) * 2**15).max() < 1.6
    assert np.abs(whole.sigmoid(v) - 2**15 / (1 + np.exp(-v / 2**14))).max() < 1.6


def test_a_gate_that_is_held_open_stays_open() -> None:
    layer = drawn(tg.nn.GRU(4, 8))
    with torch.no_grad():
        layer.bias_ih_l0[:8] = 100.0
    x = noise(50, 3, 4)
    assert relative_error(layer, tg.ship.quantise(layer, x), x) < 0.02


@pytest.mark.parametrize("cell", [tg.nn.LSTM, tg.nn.GRU])
def test_layers_are_3_4_times_smaller(cell) -> None:
    layer = cell(16, 64)
    quantised = tg.ship.quantise(layer, noise(5, 1, 16))
    assert sum(p.numel() for p in layer.parameters()) * 4 / quantised.size >= 3.4


# --- C ---


def program(folder, layers, factor: float = 1.0, *, weights=None):
    """C of layers, a program that runs each, and the sums of bits that it has to print."""
    includes, runs, calls, wanted, files = "", "", "", {}, []
    for name, layer in layers.items():
        x = noise(STEPS, 1, layer.input_size)
        quantised = (weights or {}).get(name) or tg.ship.quantise(layer, x)
        files.append(tg.ship.c(layer, name, weights=quantised).write(folder)[1])
        includes += f'#include "{name}.h"\n'
        runs += run_of(name, layer.input_size, layer.output_size, STEPS, factor)
        calls += f"run_{name}(); "
        wanted |= {name: sum_of_bits(quantised.run(x * np.float32(factor))[0]), f"{name}_wrong": 0}
    main = folder / "main.c"
    main.write_text(f"{HEAD}{includes}{runs}int main(void)\n{{\n{calls}\nreturn 0;\n}}\n")
    return [*files, main], wanted


def seen(target, folder, files, flags=(), level="-O2"):
    if missing := qemu.TARGETS[target].missing:
        pytest.skip(f"this machine has no {missing}")
    strict = [*STRICT, "-Wconversion", "-Wshadow", f"-I{folder}", *flags]
    return qemu.run(target, qemu.build(target, files, folder, level=level, flags=strict))


def several() -> dict[str, tg.nn.Recurrent]:
    cells = {f"c{k}": drawn(tg.nn.Recurrent(CELLS[name], 9, 9)) for k, name in enumerate(COMPILED)}
    return cells | {name: drawn(tg.nn.LSTM(5, 9, **options)) for name, options in OPTIONS.items() if name != "both"}


@pytest.mark.parametrize("target", ["gcc", "cortex-m4", "cortex-m0"])
def test_c_computes_the_integers_of_numpy(target, tmp_path) -> None:
    layers = several() if target == "gcc" else {"gru": drawn(tg.nn.GRU(5, 9)), "lstm": drawn(tg.nn.LSTM(6, 8, 2))}
    files, wanted = program(tmp_path, layers)
    assert seen(target, tmp_path, files, level="-O1") == wanted


def test_a_wrong_integer_would_be_seen(tmp_path) -> None:
    files, wanted = program(tmp_path, {"gru": drawn(tg.nn.GRU(5, 9))})
    text = files[0].read_text()
    files[0].write_text(text.replace("(v + (1 << (bits - 1))) >> bits", "v >> bits"))
    assert files[0].read_text() != text
    found = seen("gcc", tmp_path, files)
    assert found["gru"] != wanted["gru"]
    assert found["gru_wrong"] > 0


def test_inputs_out_of_range_are_cut_off_without_overflow(tmp_path) -> None:
    """Weights at their limits, wide rows, inputs a million times too large, under a sanitizer."""
    wide = drawn(tg.nn.LSTM(600, 4, 2))
    with torch.no_grad():
        for parameter in wide.parameters():
            parameter.copy_(parameter.sign() * 3)
    layers = {"wide": wide, "ligru": drawn(tg.nn.Recurrent(CELLS["ligru"], 5, 9)), "gru": drawn(tg.nn.GRU(5, 9))}
    files, wanted = program(tmp_path, layers, 1e6)
    found = seen("gcc", tmp_path, files, ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"])
    assert found == wanted


def test_a_stack_in_two_directions_runs_whole_sequences(tmp_path) -> None:
    layer = drawn(tg.nn.LSTM(5, 9, **OPTIONS["both"]))
    x = noise(STEPS, 1, 5)
    quantised = tg.ship.quantise(layer, x)
    body = tg.ship.c(layer, "both", weights=quantised).write(tmp_path)[1]
    main = tmp_path / "main.c"
    main.write_text(
        f"""{HEAD}#include "both.h"
int main(void)
{{
    static float x[{STEPS} * 5], y[{STEPS} * 18], work[{STEPS} * 18];
    uint32_t seed = 1, total = 2166136261u, bits;
    int k;
    for (k = 0; k < {STEPS} * 5; ++k) x[k] = noise(&seed);
    both_sequence(x, y, {STEPS}, work);
    for (k = 0; k < {STEPS} * 18; ++k) {{ memcpy(&bits, &y[k], 4); total = mix(total, bits); }}
    print("both", total);
    print("wrong", (uint32_t)both_selftest());
    return 0;
}}
"""
    )
    assert seen("gcc", tmp_path, [body, main]) == {"both": sum_of_bits(quantised.run(x)[0]), "wrong": 0}
