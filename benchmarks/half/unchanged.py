"""Are results of float32 and float64 those of an earlier commit, to the last bit?

    python -m benchmarks.half.unchanged --before a515db70            # about two minutes

Draws layers with all options as benchmarks/fuzz_layers.py does, runs each forward and backward with the sources of both
commits, in every instruction set of this CPU, and compares the hashes of all results. Ends with 1 if any differs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def digests(count: int, *, options: bool) -> None:
    """Print the hash of the results and gradients of each layer."""
    from tests.reference import drawn

    import tidegate
    from tidegate.errors import TidegateError

    sys.stdout.write(f"{Path(tidegate.__file__).parents[2]}\n")
    for seed in range(count):
        configuration = drawn.draw(seed, options=options)
        problem = drawn.problem_of(configuration)
        try:
            found, _ = drawn.by_layer(configuration, problem)
        except TidegateError as error:
            found, digest = {}, error.code
        else:
            every = [value.detach().contiguous().numpy().tobytes() for _, value in sorted(found.items())]
            digest = hashlib.sha256(b"".join(every)).hexdigest()[:16]
        sys.stdout.write(f"{seed} {configuration.cell} {configuration.dtype} {digest}\n")


def of_source(source: Path, isa: str, extra: Sequence[str]) -> list[str]:
    """The lines that the sources of a folder print."""
    libraries = sysconfig.get_paths()["purelib"]  # by path: -S leaves out what an editable installation puts first
    paths = os.pathsep.join([str(source / "src"), str(ROOT), libraries, os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths, "TIDEGATE_ISA": isa}
    command = [sys.executable, "-S", "-m", "benchmarks.half.unchanged", "--digests", *extra]
    run = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    used, *lines = run.stdout.splitlines()
    if Path(used).resolve() != source.resolve():
        raise SystemExit(f"expected the sources of {source}, got those of {used}")
    return lines


def main(arguments: argparse.Namespace) -> int:
    if arguments.digests:
        warnings.simplefilter("ignore")
        digests(arguments.count, options=not arguments.plain)
        return 0
    from benchmarks.fuzz_layers import available

    wrong, extra = 0, ["--count", str(arguments.count), *(["--plain"] if arguments.plain else [])]
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "before"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", before, arguments.before], cwd=ROOT, check=True)
        try:
            for isa in arguments.isa or available():
                pairs = [*zip(*(of_source(s, isa, extra) for s in (before, ROOT)), strict=True)]
                unlike = [pair for pair in pairs if pair[0] != pair[1]]
                sys.stdout.write(f"{isa}: {len(pairs) - len(unlike)} of {len(pairs)} layers have the same bits\n")
                sys.stdout.writelines(f"  {old} | {new}\n" for old, new in unlike)
                wrong += len(unlike)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", before], cwd=ROOT, check=True)
    return 1 if wrong else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--before", default="a515db70", help="the earlier commit")
    parser.add_argument("--count", type=int, default=40, help="of layers")
    parser.add_argument("--isa", nargs="+", help="instruction sets; by default all of this CPU")
    parser.add_argument("--plain", action="store_true", help="without options, each of which is a compilation")
    parser.add_argument("--digests", action="store_true", help="print those of the sources that are imported")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(parsed()))
