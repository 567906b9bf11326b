"""What names a trial: settings that came later leave the names of earlier runs as they were."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from tidegate.train.setting import Training

_WORDS = """
    separator text label label_end encoding flat frame unit vocabulary longest valid_share test_share split_seed
    embedding_size votes ngrams unit_dropout bidirectional pooling calibrate cell hidden_size layers dropout
    input_dropout layer_norm state_clip zoneout recurrent_dropout weight_dropout learn_initial_state orthogonal
    forget_bias chrono batch_size learning_rate schedule warmup weight_decay clip averaging epochs steps patience
    patience_rate seed precision target series time known day_first date_format time_zone decimal fill horizon
    strategy quantiles difference logarithm centre season window context pieces tied epoch_size scored_size
    steps_per_quarter nade_size transcripts hold_out symbols streaming join rate bands window_ms hop_ms low_hz
    high_hz level normalise stack mask_frames mask_bands keep_case word_column tag_column plain min_count ends_size
    word_dropout source_column target_column source_unit target_unit source_vocabulary target_vocabulary stress
    attention label_smoothing beam length_penalty length
"""
AT_FIRST = frozenset(_WORDS.split())  # the settings of all tasks when the present protocol of trials began


def as_at_first(setting: dict[str, Any], kind: type[Training]) -> dict[str, Any]:
    """The settings without those that came later and are as they would be without them: at their defaults.

    Args:
        setting: values by name, as plain data.
        kind: the class of the settings.
    """
    defaults = {item.name: item.default for item in fields(kind)}
    return {name: value for name, value in setting.items() if name in AT_FIRST or not _same(value, defaults.get(name))}


def _same(value: Any, default: Any) -> bool:
    return bool(value == (list(default) if isinstance(default, tuple) else default))
