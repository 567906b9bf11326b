"""``tidegate compose``: music from a trained model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tidegate.cli.check import check_model, check_picture
from tidegate.cli.console import console, print_line, shown_as
from tidegate.cli.status import status
from tidegate.cli.threads import Threads


@dataclass(frozen=True)
class Compose:
    """Compose music into a MIDI file.

    The model predicts which keys sound at each step; a key that sounds at several steps in a row becomes one held note.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder that tidegate train music wrote."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")] = Path("tune.mid")
    """MIDI file to write."""
    steps: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 128
    """Number of steps to compose."""
    seed: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 0
    """Seed for sampling; the same seed gives the same piece."""
    temperature: Annotated[float, tyro.conf.arg(metavar="NUMBER")] = 1.0
    """Below 1 favours probable keys; 0 always takes the most probable."""
    prompt: Annotated[str | None, shown_as("FILE")] = None
    """File whose first piece begins the composition: MIDI or piano rolls. Unless given, the first chord of a
    randomly chosen training piece."""
    prompt_steps: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 16
    """Largest number of steps to take from the prompt."""
    tempo: Annotated[float, tyro.conf.arg(metavar="NUMBER")] = 120.0
    """Tempo in quarter notes per minute."""
    steps_per_quarter: Annotated[int | None, shown_as("NUMBER")] = None
    """Steps per quarter note; as in the training pieces unless given."""
    picture: Annotated[Path | None, shown_as("FILE")] = None
    """Also draw the piano roll into this .svg, .png or .pdf file."""
    threads: Threads = None

    def run(self) -> None:
        """Compose, write the file, and print its name."""
        check_picture("picture", self.picture)
        with status() as now:
            check_model(self.model, self.prompt)
            now.phase("loading torch")
            from tidegate.data import address_of
            from tidegate.tasks.music.estimator import Composer
            from tidegate.tasks.music.plot import draw_piano_roll

            composer = Composer.from_pretrained(self.model)
            prompt = None if self.prompt is None else address_of(self.prompt)
            now.phase("composing")
            roll = composer.compose(
                self.steps, prompt, prompt_steps=self.prompt_steps, temperature=self.temperature, seed=self.seed
            )
        composer.write_midi(self.out, roll, tempo=self.tempo, steps_per_quarter=self.steps_per_quarter)
        opening = len(roll) - self.steps
        screen = console()
        print_line(
            screen,
            f"{self.out}: {opening} opening steps and {self.steps} composed ones, "
            f"{roll.sum(1).mean():.1f} keys at once on average",
        )
        if self.picture is not None:
            draw_piano_roll(roll, self.picture, f"{self.model.name}, seed {self.seed}", opening)
            print_line(screen, f"picture: {self.picture}")
