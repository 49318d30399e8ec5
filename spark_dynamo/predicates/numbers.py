"""Comparisons of numbers: a literal and a column of any two number types, brought onto the values the column can hold."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from pyspark.sql.types import ByteType, DataType, DecimalType, IntegerType, LongType, ShortType

from spark_dynamo.predicates.literal_syntax import Literal, digits_of
from spark_dynamo.predicates.tree import And, Comparison, Known, Node, Operand, Operator, Value

INTEGERS = (LongType, IntegerType, ShortType, ByteType)
AS_DOUBLE = ("double", "float")
_BITS: dict[type[DataType], int] = {LongType: 64, IntegerType: 32, ShortType: 16, ByteType: 8}
_DIGITS_OF_INTEGER: dict[type[DataType], int] = {LongType: 20, IntegerType: 10, ShortType: 5, ByteType: 3}
_DIGITS_OF_LITERAL = {"bigint": 20, "int": 10, "smallint": 5, "tinyint": 3}
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def exact_of(literal: Literal, kind: DataType) -> Decimal | None:
    """A literal as the exact number that a column of type `kind` is compared with, None where it is none."""
    if isinstance(literal.value, Decimal):
        return literal.value
    if literal.kind == "string" and isinstance(kind, INTEGERS) and _WHOLE_NUMBER.fullmatch(str(literal.value)):
        number = Decimal(str(literal.value))
        return number if is_bigint(number) else None  # Spark casts the text to BIGINT
    return None


def is_bigint(number: Decimal) -> bool:
    """Whether a number lies in the range of BIGINT."""
    return -(1 << 63) <= number <= (1 << 63) - 1


def double_of(literal: Literal) -> float | None:
    """A literal as a double, None where it is no number or a string that is no plain, finite one."""
    if isinstance(literal.value, Decimal | float):
        return float(literal.value)
    if literal.kind == "string" and _NUMBER.fullmatch(str(literal.value)):
        number = float(str(literal.value))
        return number if math.isfinite(number) else None
    return None


def fits_together(kind: DataType, literals: Sequence[Literal], *, together: bool) -> bool:
    """Whether Spark's common decimal type holds the column and the literals exactly.

    Alone, an integer literal counts with its own digits, `together` in a list with those of its type.
    """
    if isinstance(kind, INTEGERS) and all(literal.kind != "decimal" for literal in literals):
        return True
    shapes = [_shape(kind)]
    for literal in literals:
        if together and literal.kind in _DIGITS_OF_LITERAL:
            shapes.append((_DIGITS_OF_LITERAL[literal.kind], 0))
        else:
            assert isinstance(literal.value, Decimal)
            precision, scale = digits_of(literal.value)
            shapes.append((precision - scale, scale))
    return max(whole for whole, _ in shapes) + max(scale for _, scale in shapes) <= 38


def columns_fit_together(left: DataType, right: DataType) -> bool:
    """Whether Spark's common decimal type holds both columns exactly."""
    (left_whole, left_scale), (right_whole, right_scale) = _shape(left), _shape(right)
    return max(left_whole, right_whole) + max(left_scale, right_scale) <= 38


def _shape(kind: DataType) -> tuple[int, int]:
    """Digits before and after the point."""
    if isinstance(kind, DecimalType):
        return kind.precision - kind.scale, kind.scale
    return _DIGITS_OF_INTEGER[type(kind)], 0


# ---------------------------------------------------------------------------------------- integers and decimals


@dataclass(frozen=True, slots=True)
class _Grid:
    """The values of an exact number type, counted in units of its last digit."""

    least: int
    most: int
    scale: int
    whole: bool

    def value(self, units: int) -> Value:
        if self.whole:
            return units
        return Decimal((units < 0, tuple(map(int, str(abs(units)))), -self.scale))


def _grid(kind: DataType) -> _Grid:
    if isinstance(kind, DecimalType):
        most = 10**kind.precision - 1
        return _Grid(-most, most, kind.scale, whole=False)
    bits = _BITS[type(kind)]
    return _Grid(-(1 << (bits - 1)), (1 << (bits - 1)) - 1, 0, whole=True)


def compare_decimal(operand: Operand, kind: DataType, op: Operator, value: Decimal | float) -> Node:
    """An integer or decimal against a number; a float means that both are compared as doubles."""
    grid = _grid(kind)
    if isinstance(value, Decimal):
        numerator, denominator = value.as_integer_ratio()
        units, rest = divmod(numerator * 10**grid.scale, denominator)
        first, after = units + (rest > 0), units + 1
    else:
        first = _first_at_least(value, grid)
        after = _first_at_least(math.nextafter(value, math.inf), grid)
    # for the units x of a value: x is not less than the literal from `first` on, and greater from `after` on
    if op == "=":
        return _between(operand, grid, first, after)
    pivot = first if op in ("<", ">=") else after - 1
    holds_below = op in ("<", "<=")
    if pivot < grid.least:
        return Known(operand, not holds_below)
    if pivot > grid.most:
        return Known(operand, holds_below)
    return Comparison(operand, op, grid.value(pivot))


def _between(operand: Operand, grid: _Grid, first: int, after: int) -> Node:
    low, high = max(first, grid.least), min(after - 1, grid.most)
    if low > high:
        return Known(operand, False)
    if low == high:
        return Comparison(operand, "=", grid.value(low))
    return And((Comparison(operand, ">=", grid.value(low)), Comparison(operand, "<=", grid.value(high))))


def _first_at_least(value: float, grid: _Grid) -> int:
    """The units of the least value whose nearest double is not less than `value`."""
    if math.isinf(value):
        return grid.most + 1
    bound = rounds_up_to(value) * 10**grid.scale
    units: int = math.ceil(bound)
    return units + 1 if units == bound and not _is_even(value) else units


def rounds_up_to(value: float) -> Fraction:
    """Halfway between a double and the one before it: what lies above it rounds to `value` or more."""
    before = double_before(value)
    if math.isinf(before):  # the next double, were there one
        return Fraction(value) - Fraction(math.ulp(value)) / 2
    return (Fraction(value) + Fraction(before)) / 2


def _is_even(value: float) -> bool:
    """Whether a number halfway to a neighbour rounds to `value`."""
    bits: int = struct.unpack("<Q", struct.pack("<d", value))[0]
    return bits % 2 == 0


# ---------------------------------------------------------------------------------------- doubles and floats


def compare_double(operand: Operand, op: Operator, value: float) -> Node:
    """A DOUBLE against a double."""
    return Comparison(operand, op, value + 0.0)  # -0.0 + 0.0 is 0.0


def compare_float(operand: Operand, op: Operator, value: float) -> Node:
    """A FLOAT against a double, which is compared as a double."""
    below, above = _float_below(value), -_float_below(-value)
    if op == "=":
        return Comparison(operand, op, value + 0.0) if below == above else Known(operand, False)
    pivot = above if op in ("<", ">=") else below
    if math.isinf(pivot):
        return Known(operand, (op in ("<", "<=")) == (pivot > 0))
    return Comparison(operand, op, pivot + 0.0)


def _float_below(value: float) -> float:
    """The greatest number of 32 bits that is not greater."""
    try:
        nearest: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return LARGEST_FLOAT if value > 0 else -math.inf
    return nearest if nearest <= value else float_before(nearest)


LARGEST_FLOAT: float = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]


def double_before(value: float) -> float:
    """The double before one, an infinity where there is none."""
    return math.nextafter(value, -math.inf)


def float_before(value: float) -> float:
    """The number of 32 bits before one, an infinity where there is none."""
    bits: int = struct.unpack("<i", struct.pack("<f", value))[0]
    if value == 0:
        bits = -0x7FFFFFFF  # the sign and the smallest magnitude
    else:
        bits += -1 if value > 0 else 1
    return struct.unpack("<f", struct.pack("<i", bits))[0]  # type: ignore[no-any-return]
