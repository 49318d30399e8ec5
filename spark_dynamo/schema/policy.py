"""What a schema is to be where an annotation leaves a choice: `SchemaPolicy`, and `SparkType` for one field."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pyspark.sql.types import DataType, DecimalType

__all__ = ["SchemaPolicy", "SparkType"]


@dataclass(frozen=True, slots=True)
class SchemaPolicy:
    """How annotations that leave a choice become Spark types; without one, they are errors rather than guesses.

    `decimal` is the type of a `Decimal` without declared digits. `integers="bounds"` makes an int as narrow as its declared
    bounds (TINYINT, SMALLINT, INT) in place of BIGINT. `scalar_unions` says what `int | str` is, `model_unions` what a union of
    models is: `merge` is one struct of all their fields, nullable where a model lacks them. `recursion` says what a model that
    holds itself is: a number is how many levels below the first one are kept, the next one is left out; or VARIANT. `time` says
    what a `datetime.time` is: TIME needs Spark 4.1.

    >>> SchemaPolicy(scalar_unions="variant").scalar_unions
    'variant'
    """

    decimal: DecimalType = field(default_factory=lambda: DecimalType(38, 18))
    integers: Literal["bigint", "bounds"] = "bigint"
    scalar_unions: Literal["error", "string", "variant"] = "error"
    model_unions: Literal["error", "merge", "variant"] = "error"
    recursion: int | Literal["error", "variant"] = "error"
    time: Literal["string", "time"] = "string"


@dataclass(frozen=True, slots=True)
class SparkType:
    """The Spark type of a field, element or key, written in its `Annotated`, in place of the one that the annotation has.

    `kind` is a type as SQL writes it, or a DataType. Nullability stays the annotation's own.

    >>> from typing import Annotated
    >>> Quantity = Annotated[int, SparkType("INT")]
    """

    kind: str | DataType
