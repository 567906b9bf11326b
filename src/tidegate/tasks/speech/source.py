"""How settings read a source. It loads no torch, so that a wrong file is refused before that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.data import Corpus, Reader, Recording, Source, read_speech
from tidegate.errors import InputError
from tidegate.tasks.speech.setting import SpeechSetting
from tidegate.train.fitted import is_private, owner_of

if TYPE_CHECKING:
    from tidegate.train.task import Split


def reader(setting: SpeechSetting) -> Reader[Corpus]:
    """What reads all recordings to learn from.

    Raises:
        InputError: private training cannot tell whose losses are whose.
    """
    if is_private(setting) and setting.join > 1:
        raise InputError(
            "PRIVATE_SETTING",
            f"join={setting.join} does not go with epsilon=: it makes one sequence of several recordings, whose losses "
            "have no parts",
            fix="leave out join=",
        )
    return Reader(_read, (setting, setting.rate, owner_of(setting)), folders=True)


def again(setting: SpeechSetting, rate: int) -> Reader[Corpus]:
    """What reads recordings for a trained model.

    Args:
        setting: of the task.
        rate: the sampling rate that the model needs.
    """
    return Reader(_read, (setting, rate, None), folders=True)


def _read(source: Source, setting: SpeechSetting, rate: int | None, owner: str | None) -> Corpus:
    """Read all recordings; files for validation or test replace that part."""
    if setting.hold_out is not None and (source.valid or source.test):
        raise InputError(
            "SPEECH_PARTS",
            f"the speaker {setting.hold_out} is the test, but files of their own are given for validation or test",
            fix="leave out either hold_out= or valid= and test=",
        )
    whole = read_speech(source, setting.transcripts, rate, setting.separator, owner)
    own: list[tuple[Split, Source | None]] = [("valid", source.valid), ("test", source.test)]
    recordings, warnings = list(whole.recordings), list(whole.warnings)
    for name, part in own:
        if part is not None:
            corpus = read_speech(part, setting.transcripts, rate or whole.rate, setting.separator)
            if (corpus.spectra is None) != (whole.spectra is None):
                raise InputError(
                    "SPEECH_PARTS", f"{part.title} must hold what {source.title} holds", fix="pass the same kind"
                )
            warnings += corpus.warnings
            recordings = [recording for recording in recordings if recording.split != name]
            recordings += [
                Recording(recording.name, recording.text, recording.speaker, name, recording.sound)
                for recording in corpus.recordings
            ]
    return Corpus(tuple(recordings), whole.rate, whole.spectra, tuple(warnings))
