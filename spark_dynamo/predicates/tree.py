"""The nodes of a predicate: frozen, picklable, in SQL's three-valued logic, and free of the parser's classes.

A node is TRUE, FALSE or UNKNOWN (SQL's null) for each row. Literals are already of the operand's own type, so that every
kernel compares like with like:

=========================  ==================================================
operand                    value
=========================  ==================================================
STRING                     str
integers, `Size`           int
DECIMAL(p,s)               decimal.Decimal of exactly that scale
DOUBLE, FLOAT              float, for FLOAT one that 32 bits hold
BOOLEAN                    bool
BINARY                     bytes
DATE                       datetime.date
TIMESTAMP, TIMESTAMP_NTZ   Moment
=========================  ==================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Literal, TypeAlias

from pyspark.sql.types import DataType


@dataclass(frozen=True, slots=True)
class Field:
    """A step into a struct."""

    name: str


@dataclass(frozen=True, slots=True)
class Key:
    """A step into a MAP: the value of that key."""

    name: str


@dataclass(frozen=True, slots=True)
class Path:
    """A top-level column, or what lies below it in structs and maps.

    `kind` is the Spark type of what the path leads to, `tag` the DynamoDB attribute type that holds it: `S`, `N`, `B`,
    `BOOL`, `M`, `L`, `SS`, `NS`, `BS`, or an empty text for VARIANT, which any attribute type may hold.
    """

    column: str
    steps: tuple[Field | Key, ...]
    kind: DataType
    tag: str


@dataclass(frozen=True, slots=True)
class RowValue(Path):
    """A column of the row that is about to be written, `new.<column>` in a write's condition; its name is the only step."""


@dataclass(frozen=True, slots=True)
class Size:
    """The number of elements of an ARRAY, or of entries of a MAP, as an INT; null where the collection is."""

    path: Path


@dataclass(frozen=True, slots=True)
class Moment:
    """A literal of TIMESTAMP or TIMESTAMP_NTZ, in microseconds since 1970-01-01T00:00.

    `local` says that these are read off a wall clock: for a TIMESTAMP, of the session time zone, which only `evaluate`
    knows; for a TIMESTAMP_NTZ always. Else it is an instant, and 1970 began in UTC.
    """

    micros: int
    local: bool


Operand: TypeAlias = Path | Size
Value: TypeAlias = str | int | Decimal | float | bool | bytes | date | Moment
Operator: TypeAlias = Literal["=", "<", "<=", ">", ">="]


class Wildcard(Enum):
    """The two wildcards of LIKE: `_` is any one character, `%` any text."""

    ONE = "_"
    MANY = "%"


@dataclass(frozen=True, slots=True)
class Constant:
    """TRUE, FALSE, or UNKNOWN as None, whatever the row holds."""

    value: bool | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The operand against a literal; UNKNOWN where the operand is null."""

    operand: Operand
    op: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class ColumnComparison:
    """Two operands of like types against each other; UNKNOWN where one of them is null."""

    left: Operand
    op: Operator
    right: Operand


@dataclass(frozen=True, slots=True)
class NullSafeEqual:
    """`<=>` of two operands of like types: equality in which null equals null and nothing else; never UNKNOWN."""

    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Known:
    """`value` wherever the operand is not null, else UNKNOWN: a comparison whose literal decides it alone.

    Such is `n < 3000000000` for an INT, or `amount = 1.234` for a DECIMAL(10,2).
    """

    operand: Operand
    value: bool


@dataclass(frozen=True, slots=True)
class IsNull:
    """Whether the operand is null; never UNKNOWN."""

    operand: Operand


@dataclass(frozen=True, slots=True)
class In:
    """Whether the operand equals one of the values; `has_null` says that NULL stood among them, too.

    UNKNOWN where the operand is null, and, with a NULL among the values, where it equals none of them.
    """

    operand: Operand
    values: tuple[Value, ...]
    has_null: bool = False


@dataclass(frozen=True, slots=True)
class Like:
    """Whether a STRING fits the pattern, a sequence of texts that stand for themselves and of wildcards."""

    operand: Path
    pattern: tuple[str | Wildcard, ...]


@dataclass(frozen=True, slots=True)
class ArrayContains:
    """Whether an ARRAY has that element.

    UNKNOWN where the array is null, and where it has a null but not that element.
    """

    operand: Path
    value: Value


@dataclass(frozen=True, slots=True)
class IsTrue:
    """Whether the child is TRUE; never UNKNOWN."""

    child: Node


@dataclass(frozen=True, slots=True)
class IsUnknown:
    """Whether the child is UNKNOWN; never UNKNOWN itself."""

    child: Node


@dataclass(frozen=True, slots=True)
class Not:
    """TRUE for FALSE, FALSE for TRUE, and UNKNOWN stays UNKNOWN."""

    child: Node


@dataclass(frozen=True, slots=True)
class And:
    """FALSE where a child is, else UNKNOWN where a child is, else TRUE."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """TRUE where a child is, else UNKNOWN where a child is, else FALSE."""

    children: tuple[Node, ...]


Node: TypeAlias = (
    Constant
    | Comparison
    | ColumnComparison
    | NullSafeEqual
    | Known
    | IsNull
    | In
    | Like
    | ArrayContains
    | IsTrue
    | IsUnknown
    | Not
    | And
    | Or
)


def references(node: Node) -> set[str]:
    """The names of the top-level columns that a predicate looks at."""
    return {path.column for path in paths(node)}


def parts(node: object) -> Iterator[object]:
    """A predicate and all that it is made of: nodes, operands, steps and values."""
    yield node
    for part in node if isinstance(node, tuple) else [getattr(node, name) for name in getattr(node, "__slots__", ())]:
        yield from parts(part)


def paths(node: Node) -> Iterator[Path]:
    """Every path that a predicate looks at, as often as it does."""
    pending: list[object] = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, Path):
            yield item
        elif isinstance(item, tuple):
            pending += item
        elif isinstance(item, _INNER):
            pending += [getattr(item, field.name) for field in fields(item)]


_INNER = (
    Size, Comparison, ColumnComparison, NullSafeEqual, Known, IsNull, In, Like, ArrayContains, IsTrue, IsUnknown, Not,
    And, Or,
)  # fmt: skip
