"""``Composer``: learns polyphonic music, and composes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from tidegate.data import KEYS, LOWEST, Roll, locate, read_piece, to_midi
from tidegate.errors import InputError
from tidegate.storage import replace_file
from tidegate.tasks.music.setting import Grid, MusicSetting
from tidegate.tasks.music.task import MusicTask
from tidegate.train.estimator import Estimator
from tidegate.train.setting import Range, Seed, Temperature, checked
from tidegate.train.task import Batch

BOUND = 40.0  # the logit of a probability of practically 1
HALVINGS = 60
TEMPOS = Range(4, 1000)  # a MIDI file cannot express less than 4


class Composer(Estimator[MusicSetting], MusicSetting):
    """A model of polyphonic music.

    Example:
        >>> from tidegate.tasks import Composer
        >>> Composer(cell="gru", epochs=3).epochs
        3
    """

    _task_class = MusicTask

    @checked
    def compose(
        self,
        steps: Annotated[int, Range(1)] = 128,
        prompt: Roll | str | os.PathLike[str] | None = None,
        *,
        prompt_steps: Annotated[int, Range(1)] = 16,
        temperature: Temperature = 1.0,
        seed: Seed = 0,
    ) -> Roll:
        """Compose a piece by sampling.

        Equations:
            P(key k at step t + 1) = sigmoid(logit[t, k] / temperature + b[t]), independently for each key, where b[t]
            keeps the expected number of keys at its value for temperature 1; otherwise chords would thin out

        Args:
            steps: the number of steps to compose.
            prompt: the beginning: a piano roll, or a file, whose first piece is used. Unless given, the first chord of
                a randomly chosen training piece.
            prompt_steps: the largest number of steps to take from the prompt.
            temperature: below 1 favours probable keys; 0 always takes the most probable.
            seed: seed for sampling.

        Shapes:
            prompt: [T, 88] bool, T at least 1.

        Returns:
            [T + steps, 88] bool: the T steps of the beginning, then the composed ones.

        Raises:
            InputError: the model is not fitted, a number is out of range, or the prompt cannot be used.
        """
        self._check_fitted()
        random = torch.Generator().manual_seed(seed)
        start = self._opening(random) if prompt is None else self._prompt(prompt)[:prompt_steps]
        heard, state = torch.from_numpy(start), None
        played = [heard]
        with torch.inference_mode():
            for _ in range(steps):
                logits, state = self._listen(heard, state)
                heard = _draw(logits, temperature, random)[None]
                played.append(heard)
        return torch.cat(played).numpy()

    @checked
    def write_midi(
        self,
        path: str | os.PathLike[str],
        roll: Roll,
        *,
        tempo: Annotated[float, TEMPOS] = 120,
        steps_per_quarter: Grid = None,
    ) -> None:
        """Write a piano roll as a MIDI file; a key that sounds at several steps in a row becomes one held note.

        Args:
            path: the file.
            roll: [T, 88] bool.
            tempo: quarter notes per minute.
            steps_per_quarter: steps per quarter note; as in the training pieces unless given.

        Raises:
            InputError: the model is not fitted, or a number is out of range.
        """
        self._check_fitted()
        grid = steps_per_quarter or self.encoding_.steps_per_quarter
        replace_file(Path(path), to_midi(roll, steps_per_quarter=grid, tempo=tempo))

    def _opening(self, random: torch.Generator) -> Roll:
        openings = self.encoding_.openings
        roll = np.zeros((1, KEYS), bool)
        roll[0, np.array(openings[int(torch.randint(len(openings), (), generator=random))], int) - LOWEST] = True
        return roll

    def _prompt(self, prompt: Roll | str | os.PathLike[str]) -> Roll:
        if isinstance(prompt, np.ndarray):
            if prompt.ndim == 2 and prompt.shape[1] == KEYS and len(prompt):
                return prompt.astype(bool)
            raise InputError("PROMPT", f"the prompt has shape {prompt.shape}", fix=f"pass [T, {KEYS}], T at least 1")
        return read_piece(locate(prompt), self.encoding_.steps_per_quarter)

    def _listen(self, heard: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """Logits [88] of the step after the steps [T, 88] heard, and the state after them."""
        inputs = heard.to(next(self.model_.parameters()).dtype)[:, None]
        outputs, state = self.model_(Batch(inputs, inputs), state)
        return outputs[-1, 0], state


def _draw(logits: torch.Tensor, temperature: float, random: torch.Generator) -> torch.Tensor:
    """[88] bool: the keys that sound."""
    logits = logits.double()
    expected = torch.sigmoid(logits).sum()
    if temperature == 0:
        return torch.zeros(KEYS, dtype=torch.bool).index_fill(0, logits.topk(int(expected.round())).indices, value=True)
    sharpened = logits / temperature
    return torch.rand(KEYS, generator=random) < torch.sigmoid(sharpened + _shift(sharpened, expected))


def _shift(logits: torch.Tensor, expected: torch.Tensor) -> float:
    """The shift of all logits at which ``expected`` keys sound on average, by bisection."""
    low, high = -float(logits.max()) - BOUND, -float(logits.min()) + BOUND
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if torch.sigmoid(logits + middle).sum() > expected else (middle, high)
    return (low + high) / 2
