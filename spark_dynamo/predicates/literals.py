"""Comparisons with literals: the literal is brought onto the operand's own type, with Spark's ANSI coercion in mind.

A number that the operand's type can't hold decides the comparison by itself, or moves to the neighbour that the type
holds: `amount > 1.234` is `amount > 1.23` where amount has two digits after the point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    MapType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
)

from spark_dynamo.errors import OptionError, shorten
from spark_dynamo.predicates.literal_syntax import Literal, read_date, read_moment
from spark_dynamo.predicates.numbers import (
    AS_DOUBLE,
    INTEGERS,
    compare_decimal,
    compare_double,
    compare_float,
    double_of,
    exact_of,
    fits_together,
    is_bigint,
)
from spark_dynamo.predicates.refusals import refused
from spark_dynamo.predicates.tree import (
    ArrayContains,
    Comparison,
    Constant,
    In,
    IsTrue,
    Node,
    Operand,
    Operator,
    Or,
    Path,
    Size,
)
from spark_dynamo.wire import types

_MOMENT_KINDS = ("string", "timestamp", "timestamp_ntz")
_LOCAL_KINDS = ("string", "timestamp_ntz", "date")


def compare(operand: Operand, op: Operator, literal: Literal) -> Node:
    """`operand op literal`; `OptionError` where Spark's meaning is not reproduced."""
    check_comparable(operand)
    if literal.kind == "null":
        return Constant(None)
    company = _Company.of([literal], together=False)
    _check_digits(operand, company)
    return _comparison(operand, op, literal, company)


def compare_null_safe(operand: Operand, literal: Literal) -> Node:
    """`operand <=> literal`, without the case of NULL."""
    return IsTrue(compare(operand, "=", literal))


def equals_any(operand: Operand, literals: Sequence[Literal]) -> Node:
    """`operand IN (literals)`, which Spark brings to one type together."""
    check_comparable(operand)
    has_null = any(literal.kind == "null" for literal in literals)
    given = [literal for literal in literals if literal.kind != "null"]
    if not given:
        return Constant(None)
    company = _Company.of(given, together=True)
    _check_digits(operand, company)
    nodes = [_comparison(operand, "=", literal, company) for literal in given]
    points = tuple(dict.fromkeys(node.value for node in nodes if isinstance(node, Comparison)))
    ranges = tuple(node for node in nodes if not isinstance(node, Comparison) and not _never(node))
    if not points and not ranges and not has_null:
        return nodes[0]
    one_of = In(operand, points, has_null)
    return Or((*ranges, one_of)) if ranges else one_of


def contains_element(path: Path, literal: Literal) -> Node:
    """`array_contains(path, literal)`, which unlike a comparison never casts a string."""
    if not isinstance(path.kind, ArrayType):
        raise refused(
            f"asks whether {show(path)} contains {shorten(literal.text)}, but it is {types.ddl(path.kind)}, no ARRAY"
        )
    element = path.kind.elementType
    inner = Path(path.column, path.steps, element, "")
    if literal.kind == "null":
        raise refused(f"asks whether {show(path)} contains NULL, which Spark refuses")
    if (literal.kind == "string") != isinstance(element, StringType) or (
        literal.kind == "date" and isinstance(element, TimestampNTZType)
    ):
        raise _mismatch(inner, literal)
    company = _Company.of([literal], together=True)
    check_comparable(inner)
    _check_digits(inner, company)
    node = _comparison(inner, "=", literal, company)
    if not isinstance(node, Comparison):
        raise refused(
            f"asks whether {show(path)} contains {shorten(literal.text)}, which is no value of {types.ddl(element)}; "
            "leave it out, or use .where(...) after load"
        )
    return ArrayContains(path, node.value)


def kind_of(operand: Operand) -> DataType:
    """The Spark type of an operand."""
    return IntegerType() if isinstance(operand, Size) else operand.kind


def show(operand: Operand) -> str:
    """An operand as errors name it."""
    if isinstance(operand, Size):
        return f"size({show(operand.path)})"
    return ".".join([operand.column, *(step.name for step in operand.steps)])


def check_comparable(operand: Operand) -> None:
    """`OptionError` where the operand is no leaf, or a string that does not compare by its bytes."""
    kind = kind_of(operand)
    if isinstance(kind, StructType | MapType | ArrayType | VariantType):
        raise refused(
            f"compares {show(operand)}, which is {types.ddl(kind)}; compare its fields or elements, "
            "or use .where(...) after load"
        )
    if isinstance(kind, StringType) and kind != StringType():
        raise refused(f"compares {show(operand)}, a STRING with a collation; use .where(...) after load")


def _never(node: Node) -> bool:
    return not isinstance(node, Comparison) and getattr(node, "value", None) is False


def _comparison(operand: Operand, op: Operator, literal: Literal, company: _Company) -> Node:
    kind = kind_of(operand)
    if isinstance(kind, (DecimalType, *INTEGERS)):
        return _exact(operand, kind, op, literal, company)
    if isinstance(kind, DoubleType):
        return compare_double(operand, op, _double(operand, literal))
    if isinstance(kind, FloatType):
        return compare_float(operand, op, _double(operand, literal))
    for spark, kinds, read in _OTHERS:
        if isinstance(kind, spark):
            if literal.kind not in kinds:
                raise _mismatch(operand, literal)
            return Comparison(operand, op, read(literal))
    raise _mismatch(operand, literal)


_OTHERS: tuple[tuple[type[DataType], tuple[str, ...], Callable[[Literal], Any]], ...] = (
    (StringType, ("string",), lambda literal: str(literal.value)),
    (BooleanType, ("boolean",), lambda literal: bool(literal.value)),
    (BinaryType, ("binary",), lambda literal: literal.value),
    (DateType, ("string", "date"), read_date),
    (TimestampType, _MOMENT_KINDS, lambda literal: read_moment(literal, with_zone=literal.kind != "timestamp_ntz")),
    (TimestampNTZType, _LOCAL_KINDS, lambda literal: read_moment(literal, with_zone=False)),
)


@dataclass(frozen=True, slots=True)
class _Company:
    """What all literals of one comparison or list have in common, for Spark brings them to one type together."""

    literals: tuple[Literal, ...]
    together: bool
    kinds: frozenset[str]

    @classmethod
    def of(cls, given: Sequence[Literal], *, together: bool) -> _Company:
        return cls(tuple(given), together, frozenset(literal.kind for literal in given))


_WHOLE_KINDS = {"string", "int", "bigint", "smallint", "tinyint"}


def _exact(operand: Operand, kind: DataType, op: Operator, literal: Literal, company: _Company) -> Node:
    """Integers and decimals, with which doubles and numbers in strings may be compared."""
    kinds = company.kinds
    if "string" in kinds and len(kinds) > 1 and not (isinstance(kind, INTEGERS) and kinds <= _WHOLE_KINDS):
        raise refused(f"compares {show(operand)} with numbers and strings in one list; write numbers only")
    if not kinds.isdisjoint(AS_DOUBLE) or (isinstance(kind, DecimalType) and "string" in kinds):
        return compare_decimal(operand, kind, op, _double(operand, literal))
    value = exact_of(literal, kind)
    if value is None:
        raise _mismatch(operand, literal)
    if isinstance(kind, INTEGERS) and literal.kind == "decimal" and op != "=" and not is_bigint(value):
        return Constant((op in ("<", "<=")) == (value > 0))  # Spark decides it by the literal alone, even for a null
    return compare_decimal(operand, kind, op, value)


def _check_digits(operand: Operand, company: _Company) -> None:
    """`OptionError` where Spark's common type would round the column or a literal."""
    kind = kind_of(operand)
    if not isinstance(kind, (DecimalType, *INTEGERS)) or not company.kinds.isdisjoint({*AS_DOUBLE, "string"}):
        return
    numbers = [literal for literal in company.literals if isinstance(literal.value, Decimal)]
    if not fits_together(kind, numbers, together=company.together):
        shown = shorten(", ".join(literal.text for literal in numbers))
        raise refused(
            f"compares {show(operand)}, which is {types.ddl(kind)}, with {shown}: together they need "
            "more than 38 digits, and Spark rounds there; use .where(...) after load"
        )


def _double(operand: Operand, literal: Literal) -> float:
    number = double_of(literal)
    if number is None:
        raise _mismatch(operand, literal)
    return number


_WRITE: tuple[tuple[type[DataType] | tuple[type[DataType], ...], str], ...] = (
    (StringType, "a string in quotes"),
    (BooleanType, "TRUE or FALSE"),
    (BinaryType, "a binary literal such as X'00FF'"),
    (DateType, "a date such as DATE'2026-11-01'"),
    (TimestampType, "a timestamp such as TIMESTAMP'2026-11-01 10:30:00' or '2026-11-01T10:30:00Z'"),
    (TimestampNTZType, "a timestamp such as TIMESTAMP_NTZ'2026-11-01 10:30:00'"),
    ((*INTEGERS, DecimalType, DoubleType, FloatType), "a number"),
)


def _mismatch(operand: Operand, literal: Literal) -> OptionError:
    kind = kind_of(operand)
    advice = next((f"write {what}, or " for spark, what in _WRITE if isinstance(kind, spark)), "")
    return refused(
        f"compares {show(operand)}, which is {types.ddl(kind)}, with {shorten(literal.text)}, and that is not supported; "
        f"{advice}use .where(...) after load"
    )
