"""Where a recurrent layer of Keras runs its sequence: by the engine if that can, else by Keras's own loop."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import torch

from tidegate.errors import InputError
from tidegate.keras.backend import own_errors
from tidegate.keras.form import Form, dropped, form_of
from tidegate.keras.rows import Batch, full, masked
from tidegate.runtime import FUSED, Obstacle, Rows, check_strict, obstacle, run_layer

Tensors = tuple[torch.Tensor, ...]
OTHER_STATES = Obstacle("initial states of other shapes", "pass one [B, units] for each state", InputError)
GATE_DROPOUT = Obstacle("one dropout mask for each gate", "use implementation=2", InputError)


class Stage(NamedTuple):
    """One cell of a layer: what runs, from which states [B, width], and what is dropped from its input.

    Attributes:
        form: the cell and its parameters.
        first: the states before the first step.
        input_mask: factors [B, I] that drop inputs, the same at every step; None in inference.
        masks: factors [B, H] that drop what each gate reads of a state, likewise; none in inference.
        listed: whether the caller's states came as a list, and so return as one.
    """

    form: Form
    first: Tensors
    input_mask: torch.Tensor | None
    masks: list[torch.Tensor]
    listed: bool


class OnEngine:
    """Stands before a recurrent layer of Keras among the bases of a class, and runs its sequences.

    Attributes:
        last_path: how the last call ran, ``"fused"`` or ``"eager: "`` and the reason; None before the first.
    """

    last_path: str | None = None
    cell: Any  # this and what follows are set by Keras
    stateful: bool
    go_backwards: bool
    return_sequences: bool
    zero_output_for_mask: bool
    compute_dtype: str

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """As ``keras.layers.RNN`` has it: the last output, all outputs, and the last states.

        Raises:
            InputError, BackendError: under ``tidegate.strict()``, where Keras's own loop would run.
        """
        if _is_symbolic(sequences):  # Keras asks for shapes alone
            return super().inner_loop(sequences, initial_state, mask, training=training)  # type: ignore[misc]
        x = keras.ops.cast(sequences, self.compute_dtype) if _is_integer(sequences) else sequences
        stages = self._stages(x, initial_state, mask, training=training)
        if isinstance(stages, Obstacle):
            with own_errors():
                check_strict(stages)
            self.__dict__["last_path"] = stages.path
            return super().inner_loop(sequences, initial_state, mask, training=training)  # type: ignore[misc]
        self.__dict__["last_path"] = FUSED
        return self._run(stages, self._batch(x, mask))

    def _stages(self, x: Any, states: Any, mask: Any, *, training: bool) -> list[Stage] | Obstacle:
        """The cells that run one after the other over the sequence, or why the engine cannot."""
        stacked = type(self.cell) is keras.layers.StackedRNNCells
        cells, given = (self.cell.cells, states) if stacked else ([self.cell], [states])
        misfit = _shape_obstacle(x, mask) or (None if len(cells) == len(given) else OTHER_STATES)
        if misfit is not None:
            return misfit
        stages: list[Stage] = []
        for cell, first in zip(cells, given, strict=True):
            width = stages[-1].form.cell.output_width if stages else x.shape[-1]
            stage = self._stage(cell, first, x, width, training=training)
            if isinstance(stage, Obstacle):
                return stage
            stages.append(stage)
        return stages

    def _stage(self, cell: Any, states: Any, x: torch.Tensor, width: int, *, training: bool) -> Stage | Obstacle:
        form = form_of(cell)
        if isinstance(form, Obstacle):
            return form
        if width != form.cell.widths["I"]:
            return Obstacle(f"{width} features", f"pass {form.cell.widths['I']}, as at the first call", InputError)
        if training and cell.dropout and getattr(cell, "dropout_mask_count", None):
            return GATE_DROPOUT
        listed = keras.tree.is_nested(states)
        first = tuple(form.precision.working(states if listed else [states]))
        if [tuple(state.shape) for state in first] != [(len(x), units) for units in form.cell.state_widths]:
            return OTHER_STATES
        if self.stateful:
            first = tuple(state.clone() for state in first)  # Keras overwrites its own before a backward run
        one = x.new_empty(len(x), width, dtype=form.precision.result)
        input_mask = cell.get_dropout_mask(one) if training else None
        masks = _masks(cell, first[0].to(form.precision.result)) if training else []
        form = dropped(form) if masks else form
        read = x[:0].to(form.precision.work)
        return obstacle(form.cell, read, first, form.parameters) or Stage(form, first, input_mask, masks, listed)

    def _batch(self, x: torch.Tensor, mask: Any) -> Batch:
        mask = _only(mask)
        if mask is None:
            return full(x, backwards=self.go_backwards)
        used = keras.ops.convert_to_tensor(mask, dtype="bool")
        return masked(x, used, backwards=self.go_backwards, zeros=self.zero_output_for_mask)

    def _run(self, stages: list[Stage], batch: Batch) -> tuple[torch.Tensor, torch.Tensor, list[Any]]:
        rows, last, given = batch.rows, list[Any](), batch.rows.data.dtype
        for stage in stages:
            precision = stage.form.precision
            data = rows.data.to(given).to(precision.result)  # as Keras casts what a cell gives and what it is given
            data = data if stage.input_mask is None else data * batch.of_rows(stage.input_mask)
            first = tuple(batch.enter(state) for state in stage.first)
            masks = precision.working(batch.enter(mask)[0] for mask in stage.masks)
            read, tensors = Rows(data.to(precision.work), rows.steps), [*stage.form.parameters, *masks]
            _, (output, *final) = run_layer(stage.form.cell, read, batch.shape[0], first, tensors)
            rows, given, states = Rows(output, rows.steps), precision.result, [batch.leave(state) for state in final]
            kept = precision.results(states)
            last.append(kept if stage.listed else kept[0])
        # Steps that show the same output are rounded one by one, so their adjoints are added up in float32.
        last_output = batch.last_output(states[0])
        every = batch.outputs(rows.data) if self.return_sequences else last_output.unsqueeze(1)
        return last_output.to(given), every.to(given), last if len(last) > 1 else last[0]


def _masks(cell: Any, state: torch.Tensor) -> list[torch.Tensor]:
    """What drops units of a state, for each gate in Keras's order; nothing if nothing is dropped."""
    gated = getattr(cell, "dropout_mask_count", None) is not None
    if not cell.recurrent_dropout or (gated and cell.recurrent_dropout == 1):  # then Keras's gates drop nothing
        return []
    drawn = cell.get_recurrent_dropout_mask(state)
    return drawn if gated else [drawn]


def _is_symbolic(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.is_meta


def _is_integer(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and not x.is_floating_point()


def _only(mask: Any) -> Any:
    """The mask: Keras hands on a list of them where a layer was called with several tensors."""
    return keras.tree.flatten(mask)[0] if keras.tree.is_nested(mask) else mask


def _shape_obstacle(x: Any, mask: Any) -> Obstacle | None:
    """What is wrong with the layout of a call."""
    if not isinstance(x, torch.Tensor) or x.dim() != 3 or not x.shape[1]:
        return Obstacle("input that is not [B, T, features]", "pass one tensor of at least one step", InputError)
    mask = _only(mask)
    if mask is not None and tuple(mask.shape) != tuple(x.shape[:2]):
        got = f"mask of shape {list(mask.shape)}"
        return Obstacle(got, f"pass one of shape {list(x.shape[:2])}", InputError)
    return None
