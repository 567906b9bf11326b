"""``tg.ship.c``: a layer as two files of C99."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.ship.c.array import Arrays
from tidegate.ship.c.body import body_text
from tidegate.ship.c.flow import flow_texts
from tidegate.ship.c.header import header_text
from tidegate.ship.c.int8.stack import whole_units
from tidegate.ship.c.kernel import CORTEX_M, HOST, INTEGER_STATES
from tidegate.ship.c.selftest import vector_of, whole_vector_of
from tidegate.ship.c.stack import Unit, units
from tidegate.ship.flow import Flow
from tidegate.ship.int8.stack import Quantised
from tidegate.storage import replace_file

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,40}")
TARGETS = {"host": HOST, "cortex-m4": CORTEX_M, "cortex-m0": CORTEX_M}


@dataclass(frozen=True)
class Source:
    """Two files of C99.

    Attributes:
        name: of both files, and the beginning of every name in them.
        header: ``NAME.h``: sizes, the state, what can be called, how to compile it.
        body: ``NAME.c``: weights and code.
    """

    name: str
    header: str
    body: str

    def write(self, folder: str | Path) -> tuple[Path, Path]:
        """Write both files.

        Args:
            folder: where to; made if it is not there. Files of these names are replaced.

        Returns:
            The paths of the header and of the body.
        """
        paths = (Path(folder) / f"{self.name}.h", Path(folder) / f"{self.name}.c")
        for path, text in zip(paths, (self.header, self.body), strict=True):
            replace_file(path, text)
        return paths


def c(
    layer: Recurrent | Flow,
    name: str,
    *,
    target: str = "host",
    weights: Quantised | Mapping[str, Quantised] | None = None,
) -> Source:
    """A layer or a flow as C99 that needs no library, allocates nothing and gives the same bits on every machine.

    The layer computes as in evaluation, in float32. ``NAME.h`` declares

        - ``NAME_state``: all states, as named members such as ``h_l0``; whoever has one runs one sequence.
        - ``NAME_reset(state)``: zeros, or the initial states that the layer has learned.
        - ``NAME_step(state, x, y)``: one step, from I features to the output of the last layer. What a cell reads
          beside its input, such as time, stands behind the features.
        - ``NAME_block(state, x, y, n)``: n steps, one after another.
        - ``NAME_selftest()``: how many numbers are wrong after four steps; 0 where all is well.

    A stack in two directions has no steps: ``NAME_sequence(x, y, n, work)`` runs a whole sequence.

    A flow has its inputs and outputs as structures with named members: ``NAME_step(state, in, out)``.
    ``NAME_reset_layer(state)`` lets its layers begin, and nothing else; ``NAME_again(in, out)`` makes the next row of
    an answer.

    Args:
        layer: any recurrent layer of tidegate.nn, of any cell and with any options; or a flow that answers step by
            step.
        name: of both files, and the beginning of every name in them: a letter, then letters, digits or underscores.
        target: whose products these are: ``"host"`` for processors with caches and wide registers, ``"cortex-m4"`` or
            ``"cortex-m0"`` for small ones. All give the same bits.
        weights: the layer in whole numbers, by ``tg.ship.quantise``: weights then have 8 bits, states and inputs 16,
            and nothing between them is a float. All targets get the same code. Of a flow by its nodes:
            ``{"layer": ...}``; what stands around the layers stays in floats.

    Returns:
        Both files; ``write`` puts them into a folder.

    Raises:
        InputError: not a layer, a name that C does not take, an unknown target, or weights that are not finite.
        EmitError: a cell that C cannot express.

    Example:
        >>> import tidegate as tg
        >>> source = tg.ship.c(tg.nn.GRU(16, 64), "gru")
        >>> print(source.header[source.header.index("void gru_step") :].splitlines()[0])
        void gru_step(gru_state *state, const float *x, float *y);
    """
    _check(layer, name, target)
    if isinstance(layer, Flow):
        return Source(name, *flow_texts(layer, name, TARGETS[target], _by_node(layer, weights)))
    arrays = Arrays()
    stack: list[Unit]
    if not isinstance(weights, Quantised):
        kernel = TARGETS[target]
        stack = [*units(layer, arrays, kernel, f"{name}_")]
        vector = vector_of(layer)
    else:
        kernel, vector = INTEGER_STATES, whole_vector_of(layer, weights)
        stack = [*whole_units(weights, arrays, kernel, f"{name}_")]
    return Source(
        name,
        header_text(name, layer, stack, arrays.size),
        body_text(name, layer, stack, arrays, kernel, vector),
    )


def _by_node(flow: Flow, weights: Quantised | Mapping[str, Quantised] | None) -> Mapping[str, Quantised]:
    """The layers in whole numbers, by the nodes of a flow."""
    nodes = [node.name for node in flow.recurrent]
    own = dict.fromkeys(nodes, weights) if isinstance(weights, Quantised) else dict(weights or {})
    if strange := [name for name in own if name not in nodes]:
        raise InputError("C_WEIGHTS", f"{flow.name} has no layers {strange[0]!r}", fix=f"they are {', '.join(nodes)}")
    return own


def _check(layer: object, name: object, target: str) -> None:
    if not isinstance(layer, (Recurrent, Flow)):
        raise InputError(
            "SHIP_LAYER",
            f"{type(layer).__name__} is not a recurrent layer of tidegate.nn",
            fix="pass one; tidegate.accelerate makes one of a layer of torch.nn",
        )
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InputError(
            "C_NAME",
            f"{name!r:.60} cannot begin the names of C",
            fix="use a letter, then letters, digits or underscores, at most 41",
        )
    if target not in TARGETS:
        raise InputError("C_TARGET", f"there is no target {target!r:.40}", fix=f"choose one of {', '.join(TARGETS)}")
