"""The tiles of AMX in Bochs, which emulates its instructions: ``python -m benchmarks.half.amx BOCHS``.

BOCHS is a source folder of Bochs 3.0 in which it was built: ``./configure --enable-cpu-level=6 --enable-x86-64
--enable-avx --enable-evex --enable-amx --with-nogui --disable-plugins --disable-docbook && make``. A floppy is made
that starts the check of ``engine/tile_check.h`` without a system. It multiplies tiles of all shapes by the
instructions and by our emulation of them, and compares all bits. Needs g++, ld and objcopy.
"""

from __future__ import annotations

import re
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).with_name("amx_boot")
FLAGS = (
    *("-std=c++17", "-O2", "-march=x86-64-v4", "-ffreestanding", "-fno-exceptions", "-fno-rtti", "-fno-pic", "-no-pie"),
    *("-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-ftls-model=local-exec", "-fno-threadsafe-statics"),
    *("-fcf-protection=none", "-Wno-psabi"),
)
SECTOR, SECTORS = 512, 2880  # of a floppy
SETTINGS = """
cpu: model=sapphire_rapids, count=1, ips=50000000, reset_on_triple_fault=0
memory: guest=64, host=64
romimage: file={bochs}/bios/BIOS-bochs-latest
vgaromimage: file={bochs}/bios/VGABIOS-lgpl/VGABIOS-lgpl-latest.bin
floppya: 1_44={floppy}, status=inserted
boot: floppy
port_e9_hack: enabled=1
display_library: nogui
log: {log}
panic: action=fatal
clock: sync=none
"""
QUESTIONS = (
    "tdpbf16ps has the bits of our emulation",
    "tdpbusd has",
    "with even and odd numbers swapped tdpbf16ps has",
)


def floppy(folder: Path) -> Path:
    """The disk with the check."""
    check, linked, image = (folder / name for name in ("check.o", "check.elf", "check.bin"))
    _run("g++", *FLAGS, "-c", str(HERE / "check.cpp"), "-o", str(check))
    _run("ld", "-T", str(HERE / "boot.ld"), "-o", str(linked), str(check))
    _run("objcopy", "-O", "binary", "-j", ".text", str(linked), str(image))
    count = -(-image.stat().st_size // SECTOR)
    sector, boot = folder / "boot.o", folder / "boot.bin"
    _run("g++", "-c", f"-Wa,--defsym,SECTORS={count}", str(HERE / "boot.S"), "-o", str(sector))
    _run("ld", "-Ttext", "0x7c00", "--oformat", "binary", "-o", str(boot), str(sector))
    disk = folder / "floppy.img"
    disk.write_bytes((boot.read_bytes() + image.read_bytes()).ljust(SECTOR * SECTORS, b"\0"))
    return disk


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def answers(bochs: Path) -> str:
    """A letter for each question: y or n."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        settings, log = folder / "bochsrc", folder / "log"
        settings.write_text(SETTINGS.format(bochs=bochs, floppy=floppy(folder), log=log), encoding="ascii")
        done = subprocess.run(
            [bochs / "bochs", "-q", "-f", settings],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=600,
            check=False,
        )
    found = re.search(rb"amx:([yn]{3})", done.stdout)
    if found is None:
        sys.exit(f"the check did not end: {done.stdout.decode(errors='replace')[-500:]}")
    return found[1].decode()


def main() -> None:
    parser = ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bochs", type=Path, help="its folder, in which it was built")
    for question, answer in zip(QUESTIONS, answers(parser.parse_args().bochs.resolve()), strict=True):
        sys.stdout.write(f"{question}: {'yes' if answer == 'y' else 'no'}\n")


if __name__ == "__main__":
    main()
