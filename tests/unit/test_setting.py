"""Settings: TOML and back, and every mistake by name."""

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args, get_origin, get_type_hints

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.cli.train import SETTINGS
from tidegate.errors import InputError
from tidegate.tasks import Composer, Forecaster, LanguageModel, Transcriber, Translator
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.music.setting import MusicSetting
from tidegate.train.setting import Column, Level, Range, Training, check, descriptions, marks, names
from tidegate.train.toml import from_toml, to_toml


@dataclass(kw_only=True)
class Wide(Training):
    """Settings of every type that a task may have."""

    bands: tuple[int, ...] = (1, 2)
    lags: list[float] = dataclasses.field(default_factory=list)
    span: tuple[int, int] | None = None
    column: str | None = None
    side: Literal["left", "right"] | None = None
    share: float | None = 0.5

    _task: ClassVar[str] = "wide"


def values_of(kind: type[Training]) -> st.SearchStrategy[Training]:
    """Settings of that kind with any values that are in range."""
    hints, ranges = get_type_hints(kind), marks(kind, Range)
    drawn = {}
    for name in names(kind):
        hint = hints[name]
        low, high = ranges.get(name, (0, 100))
        high = min(high, 10**6)
        if hint is int:
            drawn[name] = st.integers(math.ceil(low), int(high))
        elif hint is float:
            drawn[name] = st.floats(low, high)
        elif hint is bool:
            drawn[name] = st.booleans()
        elif get_origin(hint) is Literal:
            drawn[name] = st.sampled_from(get_args(hint))
        elif hint == (str | None):
            drawn[name] = st.none() | st.text().map(lambda text, name=name: name + text)  # no two columns are the same
        elif hint is str:
            drawn[name] = st.text()
    return st.fixed_dictionaries(drawn).map(lambda values: kind(**values))


@pytest.mark.parametrize("kind", SETTINGS.values(), ids=SETTINGS)
def test_defaults_are_in_range_and_return_from_toml(kind) -> None:
    check(kind())
    assert from_toml(to_toml(kind()), kind) == kind()
    assert from_toml("", kind) == kind()


@hypothesis.settings(max_examples=30)
@given(st.sampled_from(sorted(SETTINGS)).flatmap(lambda name: values_of(SETTINGS[name])))
def test_any_settings_return_from_toml(setting) -> None:
    assert from_toml(to_toml(setting), type(setting)) == setting


@pytest.mark.parametrize(
    "setting",
    [
        Wide(),
        Wide(bands=(), lags=[0.5, 1.0], span=(3, 4), column='ä = "b"\n', side="left", share=None),
    ],
)
def test_every_type_returns_from_toml(setting) -> None:
    """What is None is left out, so it comes back as the default."""
    expected = dataclasses.replace(setting, share=setting.share if setting.share is not None else 0.5)
    back = from_toml(to_toml(setting), Wide)
    assert back == expected
    assert type(back.bands) is tuple
    assert type(back.lags) is list


def test_own_settings_come_first_in_toml() -> None:
    keys = [line.split(" = ")[0] for line in to_toml(LanguageSetting()).splitlines()]
    assert keys[0] == "task"
    given = {field.name for field in dataclasses.fields(LanguageSetting) if field.default is not None}
    assert set(keys[1:]) == given
    own = [key for key in keys[1:] if key not in {field.name for field in dataclasses.fields(Training)}]
    assert keys[1 : len(own) + 1] == own
    assert own


def test_an_integer_is_a_number_and_a_mark_at_the_begin_is_skipped() -> None:
    assert from_toml("\ufeffclip = 2", MusicSetting).clip == 2.0
    assert type(from_toml("clip = 2", MusicSetting).clip) is float


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hidden_size", ["a.toml", "TOML"]),
        ("hidden_size = ", ["a.toml", "TOML"]),
        ("a = " + "[" * 5000, ["a.toml", "TOML"]),
        ("seed = " + "9" * 5000, ["a.toml", "TOML"]),
        ("hiden_size = 3", ["a.toml", "hiden_size", "did you mean 'hidden_size'"]),
        ("zzzz = 3", ["a.toml", "zzzz", "music does not have"]),
        ('"new\\nline" = 3', ["a.toml", "new\\nline"]),
        ("x" * 5000 + " = 3", ["a.toml", "xxx"]),
        ("[model]\nhidden_size = 3", ["a.toml", "model"]),
        ("hidden_size.deep = 3", ["a.toml", "hidden_size", "an integer"]),
        ("hidden_size = 1.0", ["a.toml", "hidden_size", "1.0", "an integer"]),
        ("hidden_size = true", ["a.toml", "hidden_size", "true", "an integer"]),
        ('hidden_size = "3"', ["a.toml", "hidden_size", "an integer"]),
        ("hidden_size = [3]", ["a.toml", "hidden_size", "an integer"]),
        ("hidden_size = 2026-01-01", ["a.toml", "hidden_size", "an integer"]),
        ("layer_norm = 1", ["a.toml", "layer_norm", "true or false"]),
        ("cell = 3", ["a.toml", "cell", "a string"]),
        ('schedule = "step"', ["a.toml", "schedule", "step", "plateau"]),
        ("schedule = 1", ["a.toml", "schedule"]),
        ("clip = " + "9" * 400, ["a.toml", "clip", "a number"]),
        ('task = "language"', ["a.toml", "'language'", "'music'"]),
        ("task = 3", ["a.toml", "task 3", "'music'"]),
        ("hidden_size = 0", ["hidden_size=0 is out of range", "at least 1"]),
        ("hidden_size = 9" + "0" * 300, ["hidden_size=9000", "at most 65536"]),
        ("dropout = 1.0", ["dropout=1.0", "0.99"]),
        ("dropout = nan", ["dropout=nan"]),
        ("learning_rate = inf", ["learning_rate=inf"]),
        ("learning_rate = -1", ["learning_rate=-1"]),
        ("seed = -1", ["seed=-1"]),
    ],
)
def test_what_does_not_fit_is_one_short_line(text, says) -> None:
    with pytest.raises(InputError) as error:
        from_toml(text, MusicSetting, "a.toml")
    line = str(error.value)
    assert len(line.splitlines()) == 1
    assert len(line) < 400
    assert all(part in line for part in says), line


@pytest.mark.parametrize(
    "text",
    ["bands = 3", "bands = [1, 2.5]", 'lags = ["a"]', "span = [1]", "span = [1, 2, 3]", 'side = "up"', "column = 1"],
)
def test_lists_and_choices_are_checked_through(text) -> None:
    with pytest.raises(InputError, match=text.split(" ", maxsplit=1)[0]):
        from_toml(text, Wide)


@pytest.mark.parametrize("kind", SETTINGS.values(), ids=SETTINGS)
def test_every_bound_is_held(kind) -> None:
    for name, (low, high) in marks(kind, Range).items():
        for value in (low - 1, high + 1 if math.isfinite(high) else math.nan, math.nan):
            with pytest.raises(InputError, match=name):
                check(dataclasses.replace(kind(), **{name: value}))


@pytest.mark.parametrize("value", [2.5, math.inf, "2", None])
def test_a_count_is_a_whole_number(value) -> None:
    with pytest.raises(InputError, match="epochs="):
        check(Training(epochs=value))
    check(Training(epochs=np.int64(2)))


CALLS = {
    "compose": lambda **options: Composer().compose(**options),
    "write_midi": lambda **options: Composer().write_midi("a.mid", np.zeros((4, 88), bool), **options),
    "translate": lambda **options: Translator().translate("a", **options),
    "align": lambda **options: Translator().align(["a"], **options),
    "transcribe": lambda **options: Transcriber().transcribe("a.wav", **options),
    "generate": lambda **options: LanguageModel().generate(**options),
    "search": lambda **options: LanguageModel().search(**options),
    "backtest": lambda **options: Forecaster().backtest(**options),
}


@pytest.mark.parametrize(
    ("call", "name", "values"),
    [
        ("compose", "seed", [2**70, -1, None, 0.5]),
        ("compose", "steps", [0, 2.5]),
        ("compose", "prompt_steps", [0, None]),
        ("compose", "temperature", [-1, 101, math.nan, "hot", None]),
        ("write_midi", "tempo", [0, 1e6, math.inf, None]),
        ("write_midi", "steps_per_quarter", [0, 49, 1.5]),
        ("translate", "beam", [0, 1001, 2.5, "5"]),
        ("align", "beam", [0]),
        ("transcribe", "beam", [0, 1.5, None]),
        ("transcribe", "best", [0]),
        ("transcribe", "rate", [1, 2**31]),
        ("generate", "seed", [2**70, -1, None]),
        ("search", "length", [0, 2.5, None]),
        ("backtest", "stride", [0, -1, 1.5]),
    ],
)
def test_the_numbers_of_a_call_have_ranges_too(call, name, values) -> None:
    for value in values:
        with pytest.raises(InputError, match=f"^.*{name}=.* — use ") as caught:
            CALLS[call](**{name: value})
        assert caught.value.code in ("SETTING_RANGE", "SETTING_NUMBER")


@pytest.mark.parametrize("kind", SETTINGS.values(), ids=SETTINGS)
def test_every_number_has_a_range(kind) -> None:
    numbers = {name for name, hint in get_type_hints(kind).items() if hint in (int, float) and name in names(kind)}
    assert numbers - {"forget_bias"} <= marks(kind, Range).keys()


@pytest.mark.parametrize("kind", SETTINGS.values(), ids=SETTINGS)
def test_every_setting_is_explained(kind) -> None:
    assert descriptions(kind).keys() == set(names(kind))
    assert all(text.endswith(".") for text in descriptions(kind).values())


def test_a_number_of_another_type_is_named() -> None:
    with pytest.raises(InputError, match="hidden_size='many' is not a number"):
        check(MusicSetting(hidden_size="many"))


def test_a_task_that_changes_a_default_keeps_the_range() -> None:
    assert marks(MusicSetting, Range)["hidden_size"] == marks(Training, Range)["hidden_size"]


def test_columns_and_levels_are_marked() -> None:
    assert set(marks(ForecastSetting, Column)) == {"target", "series", "time", "known"}
    assert set(marks(ForecastSetting, Level)) == {"quantiles"}
    with pytest.raises(InputError, match="target= and known= both name the column 'a'"):
        check(ForecastSetting(target="a", known=("b", "a")))
    with pytest.raises(InputError, match=r"quantiles= has 2\.0"):
        check(ForecastSetting(quantiles=(0.1, 2.0)))
