"""What the engine chooses for a processor: the choice is right for described ones, and no choice changes a result."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
import torch

from tests.backend.agreement import engine
from tidegate.cli import main
from tidegate.errors import InputError
from tidegate.nn import GRU, LSTM
from tidegate.runtime import library, processor
from tidegate.runtime.processor import V3, V4, Processor
from tidegate.runtime.sized import _made
from tidegate.runtime.tuning import TABLE, Tuning, choose, chosen

MOST_MATRICES = 4  # kRowMatrices of engine/kernel.h
V3_FLAGS, V4_FLAGS = " ".join(sorted(V3)), " ".join(sorted(V4))
DESCRIBED = {
    "Zen 5": (f"{V4_FLAGS} avx512_bf16", "48K", "1024K", "avx512"),
    "Emerald Rapids": (f"{V4_FLAGS} avx512_bf16 amx_tile amx_bf16", "48K", "2048K", "avx512"),
    "Rocket Lake": (V4_FLAGS, "48K", "512K", "avx512-small"),
    "Zen 2": (V3_FLAGS, "32K", "512K", "avx2-middle"),
    "Haswell": (V3_FLAGS, "32K", "256K", "avx2-small"),
    "Alder Lake": (f"{V3_FLAGS} avx_vnni", "48K", "1280K", "avx2"),
    "Nehalem": ("sse4_2", "32K", "256K", "baseline"),
    "AVX2 without caches": (V3_FLAGS, "", "", "avx2-small"),
}


@pytest.fixture
def no_libc(monkeypatch) -> None:
    """Nobody but the described files tells the caches."""
    monkeypatch.setattr(processor, "_sizes_by_libc", dict)
    monkeypatch.setattr(processor.platform, "machine", lambda: "x86_64")


@pytest.mark.usefixtures("no_libc")
@pytest.mark.parametrize("name", DESCRIBED)
def test_a_described_processor_gets_its_row(tmp_path, name) -> None:
    flags, first, second, row = DESCRIBED[name]
    described = {"proc/cpuinfo": f"processor\t: 0\nmodel name\t: {name}\nflags\t\t: {flags}\n\nprocessor\t: 1\n"}
    for k, (level, kind, size) in enumerate(
        [("1", "Data", first), ("1", "Instruction", "7K"), ("2", "Unified", second)]
    ):
        if size:
            files = {"level": level, "type": kind, "size": f"{size}\n"}
            described |= {f"sys/devices/system/cpu/cpu0/cache/index{k}/{file}": text for file, text in files.items()}
    for path, text in described.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    found = Processor.read(tmp_path)
    assert found.name == name
    assert found.caches == (*(int(size[:-1]) << 10 if size else 0 for size in (first, second)), 0)
    assert choose(found, found.isas[0]).name == row


@pytest.mark.usefixtures("no_libc")
def test_an_unknown_processor_gets_the_most_careful_row(tmp_path) -> None:
    found = Processor.read(tmp_path)
    assert found == Processor()
    assert choose(found, found.isas[0]).name == "baseline"


def test_this_processor_tells_of_itself() -> None:
    if not processor._sizes(processor.Path("/sys/devices/system/cpu/cpu0/cache")):
        pytest.skip("this system shows no caches")
    first, second, _ = Processor.read().caches
    assert 8 << 10 <= first < second
    by_libc = processor._sizes_by_libc()
    if by_libc and by_libc[2]:  # what some containers rely on
        assert by_libc[2] == second


def test_every_row_of_the_table_can_be_chosen_and_holds_together() -> None:
    assert len({entry.name for entry in TABLE}) == len(TABLE)
    assert {entry.isa for entry in TABLE} == set(library.ISAS)
    for entry in TABLE:
        assert choose(Processor(caches=(0, entry.second_level, 0)), entry.isa) == entry
        assert min(entry.tuning) >= 1
        assert entry.tuning.row_matrices <= MOST_MATRICES
        assert entry.tuning.fewest_rows <= entry.tuning.backward_rows


def test_the_environment_forces_a_row(monkeypatch) -> None:
    monkeypatch.setenv("TIDEGATE_TUNING", "avx2-small")
    assert chosen(Processor(), "x86-64-v4").name == "avx2-small"
    monkeypatch.setenv("TIDEGATE_TUNING", "fast")
    with pytest.raises(InputError, match=r"'fast', expected one of avx512, .* — unset it or name one"):
        chosen(Processor(), "x86-64-v4")


def test_the_command_prints_processor_and_choices(capsys) -> None:
    assert main(["engine"]) == 0
    printed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    entry = chosen(library.processor(), library.isa())
    assert printed["tuning"] == entry.name
    assert printed["forward_chunk"] == f"{entry.tuning.forward_chunk:,}"
    assert library.isa() in printed["engine"]


# No choice changes a result

TINY = Tuning(*(1 for _ in Tuning._fields))
HUGE = Tuning(*(1 << 40 for _ in Tuning._fields))._replace(row_matrices=3)
CHOICES = {entry.name: entry.tuning for entry in TABLE} | {"tiny": TINY, "huge": HUGE}
SHAPES = {"one sequence": (150, 1), "some": (40, 13), "few rows": (2, 4)}


@contextmanager
def tuned(tuning: Tuning) -> Iterator[None]:
    """Plans made in the block have these choices."""
    with mock.patch.object(library.load(), "tuning", tuning):
        _made.cache_clear()
        try:
            yield
        finally:
            _made.cache_clear()


def results(kind: type, tuning: Tuning, shape: tuple[int, int], dtype: torch.dtype) -> list[torch.Tensor]:
    """Outputs, then gradients."""
    with tuned(tuning), engine():
        torch.manual_seed(3)
        layer = kind(70, 67, bidirectional=True, dtype=dtype)
        x = torch.randn(*shape, 70, dtype=dtype, requires_grad=True)
        y, _ = layer(x)
        return [y.detach(), *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_no_choice_changes_a_result(kind, shape) -> None:
    expected = {dtype: results(kind, Tuning(), SHAPES[shape], dtype) for dtype in (torch.float32, torch.float64)}
    for name, choice in CHOICES.items():
        for dtype, right in expected.items():
            found = results(kind, choice, SHAPES[shape], dtype)
            if choice.unpacked_rows == Tuning().unpacked_rows:  # else sums run in another order
                assert torch.equal(found[0], right[0]), name
            for a, b in zip(found, right, strict=True):
                allowed = (1e-12 if dtype == torch.float64 else 3e-6) * b.abs().max()
                assert (a - b).abs().max() <= allowed, name
