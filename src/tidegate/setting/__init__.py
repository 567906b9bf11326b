"""How a model is made and trained, as plain dataclasses that print, save and reload as TOML.

They are the flags of ``tidegate train``, the arguments of the estimators and the ``config.toml`` of a saved
model at once, so that each setting has one name, one default and one explanation.
"""

from tidegate.setting.classification import Classification
from tidegate.setting.forecast import Forecast
from tidegate.setting.language import Language
from tidegate.setting.music import Music
from tidegate.setting.speech import Speech
from tidegate.setting.synthetic import Synthetic
from tidegate.setting.toml import from_toml, to_toml
from tidegate.setting.training import Training
from tidegate.setting.translation import Translation

SETTINGS: dict[str, type[Training]] = {
    kind.task: kind for kind in (Classification, Forecast, Language, Music, Speech, Translation)
}

__all__ = [
    "SETTINGS",
    "Classification",
    "Forecast",
    "Language",
    "Music",
    "Speech",
    "Synthetic",
    "Training",
    "Translation",
    "from_toml",
    "to_toml",
]
