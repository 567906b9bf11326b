"""``Composer``: learns polyphonic music, and composes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from tidegate.data import KEYS, LOWEST, Roll, locate, read_piece, to_midi
from tidegate.errors import InputError
from tidegate.phase import counted
from tidegate.storage import replace_file
from tidegate.tasks.music.setting import Grid, MusicSetting
from tidegate.tasks.music.task import MusicTask
from tidegate.train.estimator import Estimator
from tidegate.train.setting import Range, Seed, Temperature, checked

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
        """Compose a piece by sampling, one chord after another.

        Equations:
            chord[t + 1] ~ p(x | chord[0..t]), drawn from below (``nade.Nade.draw``), or with nade_size=0 each
            key by itself (``independent.draw``)

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
            for _ in counted("composing", range(steps)):
                chord, state = self.model_.compose(heard, state, temperature, random)
                heard = chord[None]
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
        if not openings:
            raise InputError(
                "PROMPT", "a private model keeps no chord of a training piece to begin with", fix="pass a prompt"
            )
        roll = np.zeros((1, KEYS), bool)
        roll[0, np.array(openings[int(torch.randint(len(openings), (), generator=random))], int) - LOWEST] = True
        return roll

    def _prompt(self, prompt: Roll | str | os.PathLike[str]) -> Roll:
        if isinstance(prompt, np.ndarray):
            if prompt.ndim == 2 and prompt.shape[1] == KEYS and len(prompt):
                return prompt.astype(bool)
            raise InputError("PROMPT", f"the prompt has shape {prompt.shape}", fix=f"pass [T, {KEYS}], T at least 1")
        return read_piece(locate(prompt), self.encoding_.steps_per_quarter)
