"""Whole models as data: programs of one step, of which the writers of ONNX and C make artefacts.

What a writer needs:

- ``flow.inputs``, ``flow.nodes`` and ``flow.outputs``, in order. A node names its operation, a row of ``OPS`` whose
  text is the equation; its arguments, which are inputs or earlier nodes; its attributes and parameters; and the layer
  of ``recurrent``. ``flow.kinds`` has the width and dtype of every value.
- ``flow.states``: everything that is remembered, each state with its node, its part and its first value. An artefact
  shows all of them by these names, may be given them, and hands them back.
- ``Flow.run``: what the artefact must answer, in float64, for lengths and states, too.
- ``flow.again``, ``flow.facts``, and the words, units and labels of inputs and outputs, which the artefact carries.

Of two arguments of ``add`` to ``maximum`` one may have the width 1; it then counts for all numbers of the other. No
value of a step depends on a later step, unless ``flow.streams`` is False; then there is a model of sequences only.
"""

from tidegate.ship.flow.draft import Draft, Value
from tidegate.ship.flow.flow import Answer, Flow
from tidegate.ship.flow.node import Input, Kind, Node, Output, State
from tidegate.ship.flow.op import OPS

__all__ = ["OPS", "Answer", "Draft", "Flow", "Input", "Kind", "Node", "Output", "State", "Value"]
