"""Speech recognition: spectra, connectionist temporal classification, decoding."""

from tidegate.tasks.speech.decode import Hypothesis, align, beam_search, best_path
from tidegate.tasks.speech.encoding import SpeechEncoding
from tidegate.tasks.speech.feature import Filterbank
from tidegate.tasks.speech.task import Speech, SpeechBatch

__all__ = ["Filterbank", "Hypothesis", "Speech", "SpeechBatch", "SpeechEncoding", "align", "beam_search", "best_path"]
