"""Bounds, multiples and digits as Spark sees them, exactly: a bound is first made a value of the column's own type.

So no comparison widens both sides to a type that rounds one of them, and the same rows fail whatever `spark.sql.ansi.enabled` is.
A predicate's condition is true, false or null where the value fails, is fine, or is null.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from types import MappingProxyType
from typing import Any

from pyspark.sql.types import DataType, DecimalType, DoubleType, FloatType

from spark_dynamo.schema.checks.sql import LiteralError, digits, fraction, is_exact, literal, scale_of, value_range

__all__ = ["Predicate", "beyond", "no_multiple", "too_many_digits"]

# from the SQL of a value, which isn't null, to the SQL of a condition
Predicate = Callable[[str], str]

# the digits of a quotient in Python's decimal arithmetic, and so in Pydantic's
_QUOTIENT_DIGITS = 28
# how far from a multiple Pydantic lets a floating-point number be
_TOLERANCE = 1e-9

# what a value that fails is to its bound
_FAILS: Mapping[str, str] = MappingProxyType({"ge": "<", "gt": "<=", "le": ">", "lt": ">="})


def beyond(relation: str, bound: Any, data_type: DataType) -> Predicate | None:
    """Where a value is not `relation` (ge, gt, le, lt) the bound; None where every value of the type is.

    Raises LiteralError for a bound that can't be compared with the type's values.
    """
    if is_exact(data_type):
        return _exactly_beyond(relation, bound, data_type)
    fails, limit = _FAILS[relation], literal(bound, data_type)
    if isinstance(data_type, FloatType | DoubleType):  # to Spark, NaN is the largest number
        return lambda value: f"isnan({value}) OR CAST({value} AS DOUBLE) {fails} {limit}"
    return lambda value: f"{value} {fails} {limit}"


def _exactly_beyond(relation: str, bound: Any, data_type: DataType) -> Predicate | None:
    number = fraction(bound) * 10 ** scale_of(data_type)
    lowest, highest = value_range(data_type)
    limit = math.ceil(number) if relation in ("ge", "lt") else math.floor(number)
    if relation in ("ge", "gt"):
        fails_never = limit <= lowest if relation == "ge" else limit < lowest
        fails_always = limit > highest if relation == "ge" else limit >= highest
    else:
        fails_never = limit >= highest if relation == "le" else limit > highest
        fails_always = limit < lowest if relation == "le" else limit <= lowest
    if fails_never:
        return None
    if fails_always:
        return lambda value: f"{value} IS NOT NULL"
    return lambda value: f"{value} {_FAILS[relation]} {digits(limit, data_type)}"


def no_multiple(divisor: Any, data_type: DataType, *, is_decimal: bool = False) -> Predicate | None:
    """Where a value is no multiple; None where every value of the type is one.

    With `is_decimal`, values are `Decimal` in Python, which divides with 28 digits, and so does Pydantic: it refuses what has a
    longer quotient, and takes what is a multiple once the quotient is rounded. Floating-point numbers may be off by a
    billionth, as for Pydantic.
    """
    if isinstance(data_type, FloatType | DoubleType):
        return _float_multiple(float(divisor))
    if not is_exact(data_type):
        raise LiteralError(f"{data_type.simpleString()} has no multiples")
    exact = fraction(divisor)
    if exact <= 0:
        raise LiteralError("only a number above 0 has multiples to check")
    step, highest = _step(exact, data_type), value_range(data_type)[1]
    unit = exact * 10 ** scale_of(data_type)
    found: list[Predicate] = []
    if step > highest:
        found = [lambda value: f"{value} <> {digits(0, data_type)}"]
    elif step > 1:
        exempt = list(_rounded_away(unit, step, data_type)) if is_decimal else []
        found = [
            lambda value: " AND NOT ".join([_remains(step, data_type)(value), *(f"({near(value)})" for near in exempt)])
        ]
    too_long = math.ceil(unit * 10**_QUOTIENT_DIGITS)
    if is_decimal and too_long <= highest:
        found.append(_as_far_as(too_long, data_type))
    return _any_of(found)


def _any_of(predicates: list[Predicate]) -> Predicate | None:
    if not predicates:
        return None
    return lambda value: " OR ".join(f"({predicate(value)})" for predicate in predicates)


def _rounded_away(unit: Fraction, step: int, data_type: DataType) -> Iterator[Predicate]:
    """Where Python's quotient has so many digits before the point that what is behind it is rounded to a whole number."""
    highest = value_range(data_type)[1]
    for whole in range(1, _QUOTIENT_DIGITS + 1):
        start, most = math.ceil(unit * 10 ** (whole - 1)), step // (2 * 10 ** (_QUOTIENT_DIGITS - whole))
        if most and start <= highest:
            yield partial(_near_multiple, start, most, step, data_type)


def _near_multiple(start: int, most: int, step: int, data_type: DataType, value: str) -> str:
    """From `start` on, and within `most` of a multiple of `step`."""
    rest = f"({value} % {digits(step, data_type)})"
    is_near = f"NOT ({_as_far_as(most + 1, data_type)(rest)}) OR {_as_far_as(step - most, data_type)(rest)}"
    return f"({_as_far_as(start, data_type)(value)}) AND ({is_near})"


def _step(exact: Fraction, data_type: DataType) -> int:
    """The smallest multiple above 0 that the type can hold, in its last digit."""
    whole: int = exact.numerator * 10 ** scale_of(data_type)
    return whole // math.gcd(whole, exact.denominator)


def _as_far_as(distance: int, data_type: DataType) -> Predicate:
    """Whether it is that far from 0 or further; Spark's `abs` rounds a decimal to 34 digits."""
    return lambda value: f"{value} >= {digits(distance, data_type)} OR {value} <= {digits(-distance, data_type)}"


def _remains(step: int, data_type: DataType) -> Predicate:
    return lambda value: f"{value} % {digits(step, data_type)} <> {digits(0, data_type)}"


def _float_multiple(divisor: float) -> Predicate:
    by = literal(divisor, DoubleType())

    def fails(value: str) -> str:
        number = f"CAST({value} AS DOUBLE)"
        distance = f"abs(rint({number} / {by}) * {by} - {number})"
        return f"NOT isnan({number}) AND abs({number}) <> CAST('Infinity' AS DOUBLE) AND {distance} > {_TOLERANCE}D"

    return fails


def too_many_digits(digits: int | None, places: int | None, data_type: DataType) -> Predicate | None:
    """Where a decimal needs more than `digits` digits or `places` places; zeros at its end don't count.

    As for Pydantic, zeros between the point and the first other digit count as digits. None where every value of the type fits.
    """
    if not isinstance(data_type, DecimalType):
        raise LiteralError(f"{data_type.simpleString()} has no digits to count")
    found: list[Predicate | None] = []
    if places is not None:
        found.append(_more_places(places, data_type))
    if digits is not None and places is not None:
        found.append(_more_whole_digits(digits - places, data_type))
    elif digits is not None:
        found += [_more_whole_digits(digits, data_type), _more_places(digits, data_type)]
        for whole in range(1, digits + 1):
            found.append(_both(_more_whole_digits(whole - 1, data_type), _more_places(digits - whole, data_type)))
    return _any_of([predicate for predicate in found if predicate is not None])


def _both(one: Predicate | None, other: Predicate | None) -> Predicate | None:
    if one is None or other is None:
        return None
    return lambda value: f"({one(value)}) AND ({other(value)})"


def _more_places(places: int, data_type: DecimalType) -> Predicate | None:
    if places >= data_type.scale:
        return None
    step = 10 ** (data_type.scale - places)
    if step > value_range(data_type)[1]:
        return lambda value: f"{value} <> {digits(0, data_type)}"
    return _remains(step, data_type)


def _more_whole_digits(whole: int, data_type: DecimalType) -> Predicate | None:
    if whole >= data_type.precision - data_type.scale:
        return None
    return _as_far_as(10 ** (whole + data_type.scale), data_type)
