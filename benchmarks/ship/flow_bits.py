"""Does the C of flows give the same bits everywhere?

    python -m benchmarks.ship.flow_bits    # about five minutes on one core

Drawn flows (benchmarks/ship/fuzz_flows.py) and forecasters of El Niño run 200 steps in every build of
benchmarks/ship/c_bits.py: gcc and clang, optimised or not, as C and as C++, under sanitizers and valgrind, and on
emulated Cortex-M4 and M0+. A build prints one number for each flow, made of the bits of all outputs, or 0 where its
self-test fails; all builds must print the same. Writes benchmarks/results/ship/flow_bits.md.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.ship.c_bits import AT_ONCE, RESULTS, at_once, builds, seen, under_valgrind, version
from benchmarks.ship.fuzz_flows import Drawing
from benchmarks.ship.qemu import TARGETS
from tests.unit.test_ship_kind import SMALL, untrained

import tidegate as tg
from tidegate.emit.c99 import number
from tidegate.ship.flow import Flow, Input
from tidegate.tasks import Forecaster
from tidegate.tasks.forecast.learn import Choice

STEPS, DRAWN = 200, 24
FORECASTERS = {
    "direct": (Choice("direct", "season"), {"horizon": 6, "quantiles": (0.1, 0.9), "centre": 3}),
    "recursive": (Choice("recursive", "linear"), {"horizon": 6, "logarithm": "yes"}),
}
RUN = """\
static uint32_t run_@(void)
{
    static @_state state;
    static @_input in;
    static @_output out;
    uint32_t seed = 1, sum = 2166136261u, word;
    @_reset(&state);
    for (int t = 0; t < STEPS; ++t) {
INPUTS
        @_step(&state, &in, &out);
        for (size_t k = 0; k < sizeof out; k += sizeof word) {
            memcpy(&word, (const char *)&out + k, sizeof word);
            sum = mix(sum, word);
        }
    }
    return @_selftest() ? 0 : sum;
}
"""


def flows() -> dict[str, Flow]:
    """By names that C takes."""
    found = {f"drawn_{seed}": Drawing(seed).flow() for seed in range(DRAWN)}
    for name, (choice, own) in FORECASTERS.items():
        model = untrained(Forecaster(**SMALL, **own), "elnino", choice=choice)
        model.model_.share.fill_(0.6)
        (found[name],) = tg.ship.flows(model)
    return found


def drawn(one: Input) -> str:
    """The line that draws an input."""
    loop, index = ("", "") if one.kind.width == 1 else (f"for (int k = 0; k < {one.kind.width}; ++k) ", "[k]")
    if one.limit:
        return f"        {loop}in.{one.name}{index} = (int32_t)((noise(&seed) + 1.0f) * {one.limit / 2!r}f);"
    mean, sd = (part[0] if part else usual for part, usual in ((one.mean, 0.0), (one.sd, 1.0)))
    return f"        {loop}in.{one.name}{index} = {number(mean)} + {number(sd)} * noise(&seed);"


def sources(chosen: dict[str, Flow], folder: Path, target: str) -> list[Path]:
    """All flows as C, and a program that runs each."""
    written = [tg.ship.c(flow, name, target=target).write(folder)[1] for name, flow in chosen.items()]
    text = '#include "device.h"\n#include <string.h>\n' + "".join(f'#include "{name}.h"\n' for name in chosen)
    for name, flow in chosen.items():
        text += RUN.replace("INPUTS", "\n".join(map(drawn, flow.inputs))).replace("@", name)
    text += "int main(void)\n{\n" + "".join(f'    print("{name}", run_{name}());\n' for name in chosen)
    (folder / "main.c").write_text(text + "    return 0;\n}\n")
    return [folder / "main.c", *written]


def main() -> int:
    chosen, lines, wrong = flows(), [], 0
    with tempfile.TemporaryDirectory() as folder:
        files = {form: sources(chosen, Path(folder, form), form) for form in ("host", "cortex-m4", "cortex-m0")}
        first: dict[str, int] = {}
        for one in builds(quick=False):
            if missing := TARGETS[one.target].missing:
                lines.append(f"- {one}: not run, {missing} is not installed")
                continue
            found = dict(seen(one, files[one.form], STEPS))
            first = first or found
            different = [name for name in chosen if found[name] != first[name] or not found[name]]
            wrong += len(different)
            lines.append(f"- {one}: {', '.join(different) or 'all equal'}")
            print(lines[-1], flush=True)
        expected = "".join(f"{name} {value:08x}\n" for name, value in first.items())
        said = {
            f"{what}, {' '.join(command)}": at_once(files["host"], STEPS, *command) for what, command in AT_ONCE.items()
        }
        if shutil.which("valgrind"):
            said["valgrind, gcc -O1: silent"] = under_valgrind(files["host"], STEPS)
    for what, text in said.items():
        wrong += text != expected
        lines.append(f"- {what}: {'all equal' if text == expected else 'different'}")
        print(lines[-1], flush=True)
    nodes = sum(len(flow.nodes) for flow in chosen.values())
    head = (
        "# The bits of the C of flows\n\nWritten by `python -m benchmarks.ship.flow_bits`: "
        f"{len(chosen)} flows of {nodes:,} nodes, {STEPS} steps, one number for the bits of all outputs. "
        f"{'; '.join(map(version, ('gcc', 'clang')))}.\n\n"
    )
    (RESULTS / "flow_bits.md").write_text(head + "\n".join(lines) + "\n")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
