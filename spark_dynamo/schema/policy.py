"""What a schema is to be where an annotation leaves a choice: `SchemaPolicy`, and `SparkType` for one field.

A model says its policy itself, `schema_policy: ClassVar[SchemaPolicy] = ...`, so that all who use it have the same schema:
DataFrames, repositories, option `model`. It counts for all that the model holds, also for models in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from pyspark.sql.types import DataType, DecimalType

from spark_dynamo.errors import ConfigurationError, nearest, shorten

__all__ = ["ADVICE", "SchemaPolicy", "SparkType", "declared_policy"]

POLICY = "schema_policy"  # of the model
ADVICE = f"a policy (`{POLICY}: ClassVar[SchemaPolicy]` in the model, or an argument)"

Integers = Literal["bigint", "bounds"]
ScalarUnions = Literal["error", "string", "variant"]
ModelUnions = Literal["error", "merge", "variant"]
Recursion = Literal["error", "variant"]
Time = Literal["string", "time"]

_CHOICES = (("integers", Integers), ("scalar_unions", ScalarUnions), ("model_unions", ModelUnions), ("time", Time))


@dataclass(frozen=True, slots=True)
class SchemaPolicy:
    """How annotations that leave a choice become Spark types; without one, they are errors rather than guesses.

    A model says its own as `schema_policy: ClassVar[SchemaPolicy]`; a subclass does so for a model that is somebody else's. An
    argument `policy` takes its place.

    `decimal` is the type of a `Decimal` without declared digits. `integers="bounds"` makes an int as narrow as its declared
    bounds (TINYINT, SMALLINT, INT) in place of BIGINT. `scalar_unions` says what `int | str` is, `model_unions` what a union of
    models is: `merge` is one struct of all their fields, nullable where a model lacks them. `recursion` says what a model that
    holds itself is: a number is how many levels below the first one are kept, the next one is left out; or VARIANT. `time` says
    what a `datetime.time` is: TIME needs Spark 4.1. Raises ConfigurationError for any other choice.

    >>> from typing import ClassVar
    >>> from pydantic import BaseModel
    >>> class Reading(BaseModel):
    ...     schema_policy: ClassVar[SchemaPolicy] = SchemaPolicy(scalar_unions="variant")
    ...     value: int | str
    """

    decimal: DecimalType = field(default_factory=lambda: DecimalType(38, 18))
    integers: Integers = "bigint"
    scalar_unions: ScalarUnions = "error"
    model_unions: ModelUnions = "error"
    recursion: int | Recursion = "error"
    time: Time = "string"

    def __post_init__(self) -> None:
        if not isinstance(self.decimal, DecimalType):
            raise ConfigurationError(
                f"SchemaPolicy's decimal must be a DecimalType, as in DecimalType(10, 2), not {shorten(repr(self.decimal))}"
            )
        for name, kind in _CHOICES:
            if getattr(self, name) not in get_args(kind):
                raise _no_choice(name, getattr(self, name), get_args(kind))
        levels = self.recursion
        if type(levels) is not int and levels not in get_args(Recursion):
            raise _no_choice("recursion", levels, get_args(Recursion), " or a number of levels from 0 on")
        if isinstance(levels, int) and levels < 0:
            raise ConfigurationError(f"SchemaPolicy's recursion must be a number of levels from 0 on, not {levels}")


def declared_policy(model: Any) -> SchemaPolicy:
    """The policy that a model says for itself, else the one without choices; ConfigurationError for what is none.

    >>> class Reading:
    ...     schema_policy = SchemaPolicy(time="time")
    >>> declared_policy(Reading).time, declared_policy(int).time
    ('time', 'string')
    """
    found = getattr(model, POLICY, None)
    if isinstance(found, SchemaPolicy):
        return found
    if found is not None and hasattr(model, "model_fields"):  # of a field, Pydantic leaves no class attribute
        raise ConfigurationError(
            f"{POLICY} of {model.__name__} is {shorten(repr(found))}, and must be a SchemaPolicy, as in "
            f"`{POLICY}: ClassVar[SchemaPolicy] = SchemaPolicy(scalar_unions='variant')`"
        )
    return SchemaPolicy()


def _no_choice(name: str, given: Any, known: tuple[str, ...], more: str = "") -> ConfigurationError:
    close = nearest(given, known) if isinstance(given, str) else None
    hint = f". Did you mean '{close}'?" if close else ""
    return ConfigurationError(
        f"SchemaPolicy's {name} must be one of {', '.join(known)}{more}, not {shorten(repr(given))}{hint}"
    )


@dataclass(frozen=True, slots=True)
class SparkType:
    """The Spark type of a field, element or key, written in its `Annotated`, in place of the one that the annotation has.

    `kind` is a type as SQL writes it, or a DataType. Nullability stays the annotation's own. Values of an annotation that has no
    Spark type are stored as Pydantic serializes them. Raises ConfigurationError for what is neither.

    >>> from typing import Annotated
    >>> Quantity = Annotated[int, SparkType("INT")]
    """

    kind: str | DataType

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str | DataType):
            raise ConfigurationError(
                f"SparkType's kind must be a type as SQL writes it, or a DataType, as in SparkType('INT') or "
                f"SparkType(IntegerType()), not {shorten(repr(self.kind))}"
            )
