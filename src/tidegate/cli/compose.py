"""``tidegate compose``: a trained model plays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tidegate.cli.check import check_picture
from tidegate.cli.console import console, shown_as


@dataclass(frozen=True)
class Compose:
    """Compose with a model of music, as a MIDI file.

    A model says only which keys sound at a step: a key that sounds at steps in a row is one held note.
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """The folder that tidegate train music wrote."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")] = Path("tune.mid")
    """The MIDI file."""
    steps: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 128
    """Steps to be drawn."""
    seed: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 0
    """Of the draw."""
    temperature: Annotated[float, tyro.conf.arg(metavar="NUMBER")] = 1.0
    """Below 1 the likely becomes likelier; at 0 nothing is drawn."""
    prompt: Annotated[str | None, shown_as("FILE")] = None
    """How the piece begins: a MIDI file or piano rolls, of which the first piece is taken;
    else the first chord of a training piece."""
    prompt_steps: Annotated[int, tyro.conf.arg(metavar="NUMBER")] = 16
    """Of the prompt, so many first steps at most."""
    tempo: Annotated[float, tyro.conf.arg(metavar="NUMBER")] = 120.0
    """Quarter notes in a minute."""
    steps_per_quarter: Annotated[int | None, shown_as("NUMBER")] = None
    """Steps in a quarter note; as in the training pieces unless given."""
    picture: Annotated[Path | None, shown_as("FILE")] = None
    """Draw the piano roll too, as .svg, .png or .pdf."""

    def run(self) -> None:
        """Compose, write, say where to."""
        check_picture("picture", self.picture)
        from tidegate.data import address_of  # slow to load: not for --help
        from tidegate.tasks.music.estimator import Composer
        from tidegate.tasks.music.plot import draw_piano_roll

        composer = Composer.from_pretrained(self.model)
        prompt = None if self.prompt is None else address_of(self.prompt)
        roll = composer.compose(
            self.steps, prompt, prompt_steps=self.prompt_steps, temperature=self.temperature, seed=self.seed
        )
        composer.write_midi(self.out, roll, tempo=self.tempo, steps_per_quarter=self.steps_per_quarter)
        given = len(roll) - self.steps
        screen = console()
        screen.print(
            f"{self.out}: {given} steps to begin with and {self.steps} composed ones, "
            f"{roll.sum(1).mean():.1f} keys at once on average",
            markup=False,
            soft_wrap=True,
        )
        if self.picture is not None:
            draw_piano_roll(roll, self.picture, f"{self.model.name}, seed {self.seed}", given)
            screen.print(f"picture: {self.picture}", markup=False, soft_wrap=True)
