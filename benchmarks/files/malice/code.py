"""Pickles that run code when they are loaded, and TorchScript that never ends."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from benchmarks.files.damage import Bad
from benchmarks.files.sound import H, I, zipped

DEEP = 100_000


class Call:
    """Pickled as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.called = function, arguments

    def __reduce__(self) -> Any:
        return self.called


def pickles(canary: Path) -> Iterator[Bad]:
    write = f"open({str(canary)!r}, 'w').close()"
    lines = {
        "os.system": f"cposix\nsystem\n(S'touch {canary}'\ntR.",
        "exec": f"cbuiltins\nexec\n(S{write!r}\ntR.",
        "eval": f"cbuiltins\neval\n(S{write!r}\ntR.",
        "subprocess": f"csubprocess\nPopen\n((lS'touch'\naS'{canary}'\natR.",
        "open": f"cbuiltins\nopen\n(S'{canary}'\nS'w'\ntR.",
        "import": "cimportlib\nimport_module\n(S'antigravity'\ntR.",
        "an attribute": "cbuiltins\ngetattr\n(cos\npath\nS'join'\ntR.",
        "a file of NumPy's": f"cnumpy\nsave\n(S'{canary}'\nI1\ntR.",
        "torch.load": f"ctorch.serialization\nload\n(S'{canary}'\ntR.",
        "exec in __setstate__": f"ccopyreg\n__newobj__\n(ccode\nInteractiveInterpreter\ntRS{write!r}\nb.",
        "a codec": "c_codecs\nencode\n(S'a'\nS'zlib'\ntR.",
    }
    for what, text in lines.items():
        code = text.encode()
        yield Bad(f"a pickle that calls {what}", ".pt", b"\x80\x02" + code)
        yield Bad(f"a pickle that calls {what}, in an archive", ".pt", _torch_archive(code))
        yield Bad(f"a pickle that calls {what}, in TorchScript", ".ts", _torch_archive(code, script=True))
    yield Bad("a loop in __setstate__", ".ts", looping())
    yield Bad("nested pickles", ".pt", b"\x80\x02" + b"(" * DEEP + b"." * DEEP)
    yield Bad("nested lists", ".pt", _torch_archive(b"\x80\x02" + b"]" * DEEP + b"a" * (DEEP - 1) + b"."))
    yield Bad("a memo that doubles", ".pt", _torch_archive(b"\x80\x02]" + b"q\x00(h\x00h\x00e0"[:5] * 3 + b"."))
    yield Bad("a huge string", ".pt", b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b".")


class Looping(torch.nn.Module):
    """Scripted, it loops for ever when it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = torch.nn.GRU(I, H)
        self.weight_hh_l0 = torch.nn.Parameter(torch.ones(2, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gru(x)[0]

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, bool]:
        return self.weight_hh_l0, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
        while True:
            self.weight_hh_l0 = state[0]


def looping() -> bytes:
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(Looping()), stream)
    return stream.getvalue()


def _torch_archive(code: bytes, *, script: bool = False) -> bytes:
    members = {"a/data.pkl": code, "a/version": b"3\n", "a/byteorder": b"little"}
    return zipped({**members, **({"a/constants.pkl": b"\x80\x02)."} if script else {})})
