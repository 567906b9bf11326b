"""C programs on emulated Cortex-M processors: built, run, and their instructions, flash and stack counted.

``qemu-system-arm -icount shift=0`` runs one instruction in one nanosecond of its clock, so SysTick, which counts at the
speed of the board, counts instructions: how many to a tick is measured with a loop of known length. Instructions are
not cycles: a processor may take several for one, and flash may make it wait.

Two machines: ``mps2-an386`` has a Cortex-M4 with FPU. ``microbit`` has a Cortex-M0, which runs the same instructions as
a Cortex-M0+ (ARMv6-M), for which the programs are compiled; qemu has no machine with that one.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DEVICE = Path(__file__).parent / "device"
STRICT = ("-std=c99", "-ffp-contract=off")


@dataclass(frozen=True)
class Target:
    """Where programs run.

    Attributes:
        compiler: with the options that choose the processor.
        start: the source file that gives ``device.h`` there.
        machine: of qemu; None runs the program itself.
    """

    compiler: tuple[str, ...]
    start: str = "start.c"
    machine: str | None = None

    @property
    def missing(self) -> str | None:
        """The first program that this target needs and this machine lacks."""
        needed = [self.compiler[0], *(["qemu-system-arm"] if self.machine else [])]
        return next((name for name in needed if shutil.which(name) is None), None)


_ARM = ("arm-none-eabi-gcc", "-mthumb")
TARGETS: dict[str, Target] = {
    "gcc": Target(("gcc",), start="host.c"),
    "clang": Target(("clang",), start="host.c"),
    "cortex-m4": Target((*_ARM, "-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"), machine="mps2-an386"),
    "cortex-m0": Target((*_ARM, "-mcpu=cortex-m0plus"), machine="microbit"),
}


@dataclass(frozen=True)
class Size:
    """Bytes of an object file: what goes to flash, and what to RAM besides the stack."""

    code: int
    constants: int
    ram: int


def build(
    target: str,
    sources: Sequence[Path],
    folder: Path,
    *,
    level: str = "-O2",
    flags: Sequence[str] = (),
    libraries: Sequence[str] = (),
) -> Path:
    """Compile sources with the start of the target, and link them. Returns the program."""
    where = TARGETS[target]
    objects = []
    for source in [*sources, DEVICE / where.start]:
        own = where.machine is not None and source.parent == DEVICE
        options = ["-std=gnu99", "-O1"] if own else [*STRICT, level, *flags]
        objects.append(folder / f"{source.stem}.o")
        compile_one(target, source, objects[-1], options)
    script = ["-nostartfiles", f"-L{DEVICE}", "-T", f"{where.machine}.ld", "-Wl,--gc-sections"]
    program = folder / f"{target}.elf"
    _run([*where.compiler, *(script if where.machine else []), *map(str, objects), *libraries, "-o", str(program)])
    return program


def compile_one(target: str, source: Path, output: Path, options: Sequence[str]) -> None:
    sections = ["-ffunction-sections", "-fdata-sections"] if TARGETS[target].machine else []
    command = [*TARGETS[target].compiler, *options, *sections, f"-I{DEVICE}", "-c", str(source), "-o", str(output)]
    _run(command)


def run(target: str, program: Path, *, seconds: float = 120) -> dict[str, int]:
    """What the program printed: numbers by name."""
    machine = TARGETS[target].machine
    emulator = ["qemu-system-arm", "-M", str(machine), "-icount", "shift=0", "-nographic", "-monitor", "none"]
    emulator += ["-serial", "none", "-chardev", "stdio,id=out"]
    emulator += ["-semihosting-config", "enable=on,target=native,chardev=out", "-kernel"]
    text = _run([*(emulator if machine else []), str(program)], seconds)
    return {name: int(value, 16) for name, value in (line.split() for line in text.splitlines())}


def instructions(numbers: Mapping[str, int]) -> float:
    """Instructions in ``ticks``, given the ticks of the loop of known length that ``measure.c`` runs."""
    return numbers["ticks"] * LOOP_INSTRUCTIONS / numbers["loop"]


LOOP_INSTRUCTIONS = 200_000  # of device.h's loop(): 100,000 times a subtraction and a branch


def size(target: str, compiled: Path) -> Size:
    """Of an object file. Constants are .rodata, and what stands beside the code is counted with it."""
    tool = TARGETS[target].compiler[0].removesuffix("gcc") + "size"
    sections: dict[str, int] = {}
    for line in _run([tool, "-A", str(compiled)]).splitlines():
        match line.split():
            case [name, count, _] if name.startswith((".text", ".rodata", ".data", ".bss")):
                kind = name.split(".")[1]
                sections[kind] = sections.get(kind, 0) + int(count)
    get = sections.get
    return Size(get("text", 0), get("rodata", 0), get("data", 0) + get("bss", 0))


def _run(command: Sequence[str], seconds: float = 120) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout
