"""The recipe of a training: one dataclass per task says how a model is made and trained.

A setting has one name, one default and one explanation. It is a flag of ``tidegate train``, an argument of the
estimator, and a line of ``config.toml``. ``compare`` trains with the same settings.
"""

from __future__ import annotations

import ast
import inspect
import math
import re
import reprlib
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from functools import cache, wraps
from itertools import pairwise
from numbers import Integral, Real
from types import NoneType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    ParamSpec,
    TypeVar,
    get_args,
    get_type_hints,
)

from tidegate.errors import InputError
from tidegate.option import OPTIONS, Option


class Range(NamedTuple):
    """The smallest and the largest value of a number, both allowed."""

    low: float
    high: float = math.inf


Seed = Annotated[int, Range(0, 2**53)]
Temperature = Annotated[float, Range(0, 100)]  # of sampling


class Level:
    """Marks a list of probabilities, each between 0 and 1."""


class Column:
    """Marks the name of a column, or a list of them. No column serves two purposes."""


@dataclass(kw_only=True)
class Model:
    """The recurrent layers of a model."""

    cell: str = "lstm"
    """The recurrent cell: a name from the zoo, or FILE.py:CLASS."""
    hidden_size: Annotated[int, Range(1, 1 << 16)] = 128
    """Units of each recurrent layer."""
    layers: Annotated[int, Range(1, 64)] = 1
    """Number of stacked recurrent layers."""
    dropout: Annotated[float, Range(0, 0.99)] = 0.1
    """Probability of zeroing an output, between layers and before the head, during training."""


def _field(option: Option) -> tuple[str, Any, Any]:
    """The field that an option of a layer becomes."""
    low = -math.inf if option.low is None else option.low
    high = math.inf if option.high is None else option.high
    kind = Annotated[option.setting, Range(low, high)] if math.isfinite(low) else option.setting
    return option.name, kind, field(default=option.default)


# Every option of a layer is a setting, too. Its declaration in tidegate.option is the only one.
SETTING_OPTIONS = [option for option in OPTIONS.values() if option.setting is not None]
if TYPE_CHECKING:  # a type checker cannot read the table
    Layers = Model
else:
    Layers = make_dataclass("Layers", map(_field, SETTING_OPTIONS), bases=(Model,), kw_only=True)


@dataclass(kw_only=True)
class Training(Layers):
    """The settings that every task has."""

    batch_size: Annotated[int, Range(1, 1 << 20)] = 32
    """Sequences in a batch, counted over all processes."""
    learning_rate: Annotated[float, Range(1e-9, 100)] = 4e-3
    """Initial learning rate of Adam."""
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    """Learning rate schedule: halve it when validation stalls, follow a cosine over all epochs, or keep it constant."""
    warmup: Annotated[int, Range(0)] = 0
    """Steps over which the learning rate rises from zero."""
    weight_decay: Annotated[float, Range(0, 10)] = 0.0
    """Decoupled weight decay, as in AdamW."""
    clip: Annotated[float, Range(1e-9)] = 1.0
    """Largest norm of the gradient; larger gradients are scaled down to it."""
    averaging: Annotated[float, Range(0, 0.99999)] = 0.0
    """Decay of the moving average of weights used for validation and saving; 0 disables it."""
    epochs: Annotated[int, Range(1)] = 30
    """Largest number of passes over the training data."""
    steps: Annotated[int | None, Range(1)] = None
    """Largest number of batches in an epoch; an epoch is a pass over the training data unless given."""
    patience: Annotated[int, Range(1)] = 5
    """Stop after this many epochs without a better validation score."""
    patience_rate: Annotated[int, Range(1)] = 2
    """With schedule="plateau": halve the learning rate after this many epochs without a better score."""
    seed: Seed = 0
    """Seed for initial weights, dropout and the order of the data."""
    precision: Literal["float32", "float64", "bfloat16"] = "float32"
    """Type of the arithmetic. bfloat16 rounds the factors of matrix products to 8 bits in training, which is quicker on
    processors with instructions for it. Weights, states, losses and Adam stay float32, and so does whatever the model
    does afterwards."""
    density: Annotated[float, Range(1e-3, 1)] = 1.0
    """Share of the weights of the recurrent layers that is kept. Blocks of small ones are set to zero as the share
    falls; layers do not multiply them."""
    block: Annotated[int, Range(1, 4096)] = 32
    """With density below 1: units of a block, in one gate and one column of a weight."""
    density_epochs: Annotated[int | None, Range(1)] = None
    """Epochs over which the density falls; half of epochs unless given. Models before its end do not count as the
    best."""
    group_penalty: Annotated[float, Range(0, 10)] = 0.0
    """Penalty on each unit of the recurrent layers as a whole, such as 0.05. Units that training does not hold up fall
    silent, and the finished model is without them."""

    epsilon: Annotated[float | None, Range(0.01, 1000)] = None
    """Train with differential privacy: whether one row was in the training part or not changes the probability of any
    model by a factor of exp(epsilon) at most, but for a chance of delta. Small is private and costs accuracy: 1 is
    strong, 8 is weak, and beyond 20 there is little protection left."""
    delta: Annotated[float | None, Range(1e-15, 0.1)] = None
    """With epsilon: the chance that its bound does not hold; 1 / N^1.1 for N protected units unless given."""
    clip_norm: Annotated[float, Range(1e-9)] = 1.0
    """With epsilon: the largest norm of the gradient of one unit; larger ones are scaled down to it. The noise grows
    with it."""
    protect: str = "row"
    """With epsilon: what a unit is: a row, or all rows that share a value in the column of this name, such as the rows
    of one patient."""
    public: tuple[str, ...] = ()
    """With epsilon: what is learnt from training rows without noise because it is no secret, such as
    vocabulary,scale. The model tells it beside epsilon."""
    public_data: str | None = None
    """With epsilon: a file of the same kind whose rows are no secret. Vocabulary, scale and classes are learnt from it
    in place of the training rows."""
    insecure_seed: Annotated[int | None, Range(0, 2**53)] = None
    """With epsilon, for tests: a seed for the noise and for the draws of rows. Who knows it can take the noise off, so
    the model states no epsilon."""
    canaries: Annotated[int, Range(0, 1 << 20)] = 0
    """Rows to make up for tidegate audit, each planted among the training rows with probability 1/2. canaries.json
    beside the model keeps the coins. A thousand can prove much, a hundred little."""
    adversarial: Annotated[float | None, Range(1e-6, 1e6)] = None
    """Learn from the worst change of each sequence within this bound, so that the model bears an attack: for series and
    speech the largest change of a value, in standard deviations of the training part; for names, edits of
    characters."""
    attack_steps: Annotated[int, Range(1, 1000)] = 3
    """With adversarial: gradient steps by which the worst change is looked for; for names, edits that are tried for
    each one that is made."""
    smooth: Annotated[float | None, Range(1e-6, 1e6)] = None
    """Learn with Gaussian noise of this deviation on series (in standard deviations of the training part) or on the
    features of speech, so that tidegate attack can certify what the votes of noisy copies answer."""

    _task: ClassVar[str] = ""
    _fixed: ClassVar[str] = ""
    _unsmoothed: ClassVar[str] = "it reads symbols, to which no noise can be added"
    _older: ClassVar[Mapping[str, Any]] = {}
    _compared: ClassVar[Mapping[str, Any]] = {}
    _private: ClassVar[Mapping[str, Any]] = {
        "schedule": "cosine",
        "dropout": 0.0,
        "batch_size": 256,
        "learning_rate": 1e-2,
    }


PRIVACY = (
    "epsilon",
    "delta",
    "clip_norm",
    "protect",
    "public",
    "public_data",
    "insecure_seed",
)  # settings of private training
S = TypeVar("S", bound=Training)


@dataclass(kw_only=True)
class Tabular(Training):
    """The settings of tasks that read tables."""

    separator: str | None = None
    """What stands between the cells of a text file: one of , ; | or tab. Found from all rows unless given."""


def task_of(setting: Training | type[Training]) -> str:
    """The name of the task that settings belong to."""
    return setting._task  # noqa: SLF001  estimators inherit settings, and must not show this among them


def older(kind: type[S]) -> S:
    """The defaults, but for settings that models of earlier versions do not name: these are as they were then."""
    return kind(**kind._older)  # noqa: SLF001  as above


def compared(kind: type[S]) -> S:
    """The recipe of a comparison: the defaults, but for what takes time and is the same for every cell."""
    return kind(**kind._compared)  # noqa: SLF001  as above


def privately(kind: type[S], epsilon: float) -> S:
    """The recipe of a private training: the defaults, but for what suits noisy gradients."""
    return kind(epsilon=epsilon, **kind._private)  # noqa: SLF001  as above


def with_recipe(make: Callable[..., None], kind: type[Training]) -> Callable[..., None]:
    """A constructor with the same arguments, whose defaults are those of private training where ``epsilon`` is given.

    Args:
        make: the constructor, with all settings as arguments.
        kind: the class of the settings.
    """

    @wraps(make)
    def private(self: Any, **settings: Any) -> None:
        epsilon = settings.get("epsilon")
        recipe = {} if epsilon is None else vars(privately(kind, epsilon))
        make(self, **{**recipe, **settings})

    return private


def names(kind: type[Training]) -> list[str]:
    """The names of all settings: the task's own, then the model's, then the training's."""
    return [*own_names(kind), *(shared.name for shared in fields(Training))]


def own_names(kind: type[Training]) -> list[str]:
    """The names of the settings that only this task has."""
    shared = {shared.name for shared in fields(Training)}
    return [own.name for own in fields(kind) if own.name not in shared]


def marks(kind: type[Training], mark: type) -> Mapping[str, Any]:
    """The settings marked as ``Range``, ``Level`` or ``Column``, with their marks.

    A task that only changes a default keeps the mark of its base class.
    """
    marked: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if "__annotations__" not in vars(base):
            continue
        for name, hint in get_type_hints(base, include_extras=True).items():
            marked.update((name, extra) for extra in get_args(hint)[1:] if isinstance(extra, mark))
    return marked


def descriptions(kind: type[Training]) -> Mapping[str, str]:
    """The explanation of each setting: the text below it in its class, or that of the layer option."""
    texts = {option.name: option.doc for option in SETTING_OPTIONS}
    written: list[type] = [base for base in reversed(kind.__mro__) if issubclass(base, Model) and base is not Layers]
    for base in written:
        texts |= _texts_below_fields(base)
    return texts


def documented(kind: type[Training]) -> str:
    """The docstring of a class with an entry for each setting, in front of its attributes and examples."""
    text = textwrap.dedent("    " + (kind.__doc__ or "")).strip()
    entries = [textwrap.fill(f"{name}: {doc}", 112) for name, doc in descriptions(kind).items() if name in names(kind)]
    arguments = "Args:\n" + textwrap.indent("\n".join(entry.replace("\n", "\n    ") for entry in entries), "    ")
    head, *tail = re.split(r"(?m)^(?=(?:Attributes|Examples?):$)", text, maxsplit=1)
    return "\n\n".join([head.strip(), arguments, *tail])


@cache
def _texts_below_fields(kind: type) -> dict[str, str]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    return {
        above.target.id: " ".join(ast.literal_eval(below.value).split())
        for above, below in pairwise(definition.body)
        if isinstance(above, ast.AnnAssign) and isinstance(above.target, ast.Name) and isinstance(below, ast.Expr)
    }


def check(setting: Training) -> None:
    """Check every number and every column name.

    Raises:
        InputError: a number is out of range, a level is no probability, or a column is named twice.
    """
    kind = type(setting)
    hints = get_type_hints(kind)
    for name, bounds in marks(kind, Range).items():
        _check_number(name, getattr(setting, name), bounds, [*_parts(hints[name])])
    for name in marks(kind, Level):
        wrong = [level for level in getattr(setting, name) if not (isinstance(level, float) and 0 < level < 1)]
        if wrong:
            raise InputError(
                "SETTING_LEVEL", f"{name}= has {wrong[0]!r}", fix="use levels between 0 and 1, such as 0.1 and 0.9"
            )
    _check_columns(setting)
    _check_adversary(setting)


P = ParamSpec("P")
R = TypeVar("R")


def checked(method: Callable[P, R]) -> Callable[P, R]:
    """Check the arguments of every call, as annotated: numbers with a ``Range``, and texts.

    Raises:
        InputError: when called with a number out of range, or something else than a number or a text.
    """
    signature = inspect.signature(method)

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        check_values(method, signature.bind(*args, **kwargs).arguments)
        return method(*args, **kwargs)

    return call


def check_values(declared: Any, values: Mapping[str, Any]) -> None:
    """Check values against the annotations of a function or class: numbers with a ``Range``, and texts.

    Raises:
        InputError: a number is out of range, or a value is not a number or no text.
    """
    hints = get_type_hints(declared, include_extras=True)
    for name, value in values.items():
        parts = list(_parts(hints.get(name)))
        bounds = next((part for part in parts if isinstance(part, Range)), None)
        if bounds is not None:
            _check_number(name, value, bounds, parts)
        elif parts in ([str], [str, NoneType]) and not isinstance(value, tuple(parts)):
            raise InputError("SETTING_TEXT", f"{name}={reprlib.repr(value)} is not a text", fix="pass a string")


def _parts(hint: Any) -> Iterator[Any]:
    """The types of a hint and their marks, without the unions and annotations around them."""
    inner = get_args(hint)
    if inner:
        for part in inner:
            yield from _parts(part)
    else:
        yield hint


def _check_number(name: str, value: Any, bounds: Range, kinds: list[Any]) -> None:
    low, high = bounds
    argument = f"{name}={reprlib.repr(value)}"
    if value is None and NoneType in kinds:
        return
    is_number, is_whole = isinstance(value, Real), isinstance(value, Integral)
    if not is_number:
        raise InputError("SETTING_NUMBER", f"{argument} is not a number", fix=f"use a number such as {low:g}")
    if not low <= value <= high:
        most = f" and at most {_exactly(high)}" if math.isfinite(high) else ""
        raise InputError("SETTING_RANGE", f"{argument} is out of range", fix=f"use at least {_exactly(low)}{most}")
    if not is_whole and int in kinds and float not in kinds:
        raise InputError("SETTING_NUMBER", f"{argument} is not a whole number", fix=f"use one such as {low:g}")


def _exactly(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _check_adversary(setting: Training) -> None:
    task = setting._task  # noqa: SLF001  as above
    reasons = {"adversarial": setting._fixed, "smooth": setting._unsmoothed}  # noqa: SLF001  as above
    for name, reason in reasons.items():
        if getattr(setting, name) is not None and reason:
            raise InputError(f"{name.upper()}_TASK", f"{name}= is not for {task}: {reason}", fix="leave it out")
    if setting.adversarial is not None and setting.smooth is not None:
        what = "adversarial= and smooth= are two ways to bear a change, and their promises do not add up"
        raise InputError("SMOOTH_ADVERSARIAL", what, fix="leave one of them out")


def _check_columns(setting: Training) -> None:
    columns: dict[str, str] = {}
    for name in marks(type(setting), Column):
        value = getattr(setting, name)
        for column in (value,) if isinstance(value, str) else value or ():
            if column in columns:
                raise InputError(
                    "SETTING_COLUMN",
                    f"{columns[column]}= and {name}= both name the column {column!r}",
                    fix="name another column, or leave one of them out",
                )
            columns[column] = name
