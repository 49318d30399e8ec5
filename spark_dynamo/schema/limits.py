"""Bounds, multiples and digits as Spark sees them, exactly: a bound is first made a value of the column's own type.

So no comparison widens both sides to a type that rounds one of them, and the same rows fail whatever `spark.sql.ansi.enabled` is.
A predicate is true, false or null where the value fails, is fine, or is null.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial, reduce
from types import MappingProxyType
from typing import Any

from pyspark.sql import Column, types
from pyspark.sql import functions as F  # noqa: N812 - as everybody imports it
from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    ByteType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

__all__ = ["LimitError", "Predicate", "beyond", "is_binary", "literal", "no_multiple", "too_many_digits"]

Predicate = Callable[[Column], Column]

_BITS: Mapping[type[DataType], int] = MappingProxyType({ByteType: 8, ShortType: 16, IntegerType: 32, LongType: 64})
# the digits of a quotient in Python's decimal arithmetic, and so in Pydantic's
_QUOTIENT_DIGITS = 28
# how far from a multiple Pydantic lets a floating-point number be
_TOLERANCE = 1e-9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LimitError(ValueError):
    """A bound that says nothing of the column's type; the text says why."""


_FAILS: Mapping[str, Callable[[Column, Column], Column]] = MappingProxyType(
    {
        "ge": lambda value, bound: value < bound,
        "gt": lambda value, bound: value <= bound,
        "le": lambda value, bound: value > bound,
        "lt": lambda value, bound: value >= bound,
    }
)


def beyond(relation: str, bound: Any, data_type: DataType) -> Predicate | None:
    """Where a value is not `relation` (ge, gt, le, lt) the bound; None where every value of the type is.

    Raises LimitError for a bound that can't be compared with the type's values.
    """
    if type(data_type) in _BITS or isinstance(data_type, DecimalType):
        return _exactly_beyond(relation, bound, data_type)
    fails, limit = _FAILS[relation], _literal_of(bound, data_type)
    if isinstance(data_type, FloatType | DoubleType):  # to Spark, NaN is the largest number
        return lambda value: F.isnan(value) | fails(value.cast("double"), limit())
    return lambda value: fails(value, limit())


def _exactly_beyond(relation: str, bound: Any, data_type: DataType) -> Predicate | None:
    number = _fraction(bound) * 10 ** _scale(data_type)
    lowest, highest = _range(data_type)
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
        return lambda value: value.isNotNull()
    return lambda value: _FAILS[relation](value, _unscaled(limit, data_type))


def no_multiple(divisor: Any, data_type: DataType, *, is_decimal: bool = False) -> Predicate | None:
    """Where a value is no multiple; None where every value of the type is one.

    With `is_decimal`, values are `Decimal` in Python, which divides with 28 digits, and so does Pydantic: it refuses what has a
    longer quotient, and takes what is a multiple once the quotient is rounded. Floating-point numbers may be off by a
    billionth, as for Pydantic.
    """
    if isinstance(data_type, FloatType | DoubleType):
        return _float_multiple(float(divisor))
    if not (type(data_type) in _BITS or isinstance(data_type, DecimalType)):
        raise LimitError(f"{data_type.simpleString()} has no multiples")
    exact = _fraction(divisor)
    if exact <= 0:
        raise LimitError("only a number above 0 has multiples to check")
    step, highest = _step(exact, data_type), _range(data_type)[1]
    unit = exact * 10 ** _scale(data_type)
    found: list[Predicate] = []
    if step > highest:
        found = [lambda value: value != _unscaled(0, data_type)]
    elif step > 1:
        exempt = list(_rounded_away(unit, step, data_type)) if is_decimal else []
        found = [lambda value: reduce(lambda one, other: one & ~other(value), exempt, _remains(value, step, data_type))]
    too_long = math.ceil(unit * 10**_QUOTIENT_DIGITS)
    if is_decimal and too_long <= highest:
        found.append(lambda value: _as_far_as(value, too_long, data_type))
    return (lambda value: reduce(operator.or_, [predicate(value) for predicate in found])) if found else None


def _rounded_away(unit: Fraction, step: int, data_type: DataType) -> Iterator[Predicate]:
    """Where Python's quotient has so many digits before the point that what is behind it is rounded to a whole number."""
    highest = _range(data_type)[1]
    for whole in range(1, _QUOTIENT_DIGITS + 1):
        start, most = math.ceil(unit * 10 ** (whole - 1)), step // (2 * 10 ** (_QUOTIENT_DIGITS - whole))
        if most and start <= highest:
            yield partial(_near_multiple, start, most, step, data_type)


def _near_multiple(start: int, most: int, step: int, data_type: DataType, value: Column) -> Column:
    """From `start` on, and within `most` of a multiple of `step`."""
    rest = value % _unscaled(step, data_type)
    is_near = ~_as_far_as(rest, most + 1, data_type) | _as_far_as(rest, step - most, data_type)
    return _as_far_as(value, start, data_type) & is_near


def _step(exact: Fraction, data_type: DataType) -> int:
    """The smallest multiple above 0 that the type can hold, in its last digit."""
    whole: int = exact.numerator * 10 ** _scale(data_type)
    return whole // math.gcd(whole, exact.denominator)


def _as_far_as(value: Column, distance: int, data_type: DataType) -> Column:
    """Whether it is that far from 0 or further; Spark's `abs` rounds a decimal to 34 digits."""
    return (value >= _unscaled(distance, data_type)) | (value <= _unscaled(-distance, data_type))


def _remains(value: Column, step: int, data_type: DataType) -> Column:
    return value % _unscaled(step, data_type) != _unscaled(0, data_type)


def _float_multiple(divisor: float) -> Predicate:
    def fails(value: Column) -> Column:
        number = value.cast("double")
        nearest = F.rint(number / F.lit(divisor)) * F.lit(divisor)
        is_finite = ~F.isnan(number) & (F.abs(number) != F.lit(math.inf))
        return is_finite & (F.abs(nearest - number) > F.lit(_TOLERANCE))

    return fails


def too_many_digits(digits: int | None, places: int | None, data_type: DataType) -> Predicate | None:
    """Where a decimal needs more than `digits` digits or `places` places; zeros at its end don't count.

    As for Pydantic, zeros between the point and the first other digit count as digits. None where every value of the type fits.
    """
    if not isinstance(data_type, DecimalType):
        raise LimitError(f"{data_type.simpleString()} has no digits to count")
    found: list[Predicate] = []
    if places is not None:
        found.append(_more_places(places, data_type))
    if digits is not None and places is not None:
        found.append(_more_whole_digits(digits - places, data_type))
    elif digits is not None:
        found += [_more_whole_digits(digits, data_type), _more_places(digits, data_type)]
        for whole in range(1, digits + 1):
            found.append(_both(_more_whole_digits(whole - 1, data_type), _more_places(digits - whole, data_type)))
    predicates = [predicate for predicate in found if predicate is not _NEVER]
    if not predicates:
        return None
    return lambda value: reduce(operator.or_, [predicate(value) for predicate in predicates])


def _NEVER(value: Column) -> Column:  # noqa: N802 - a constant that is a function
    return F.lit(False)


def _both(one: Predicate, other: Predicate) -> Predicate:
    return _NEVER if _NEVER in (one, other) else lambda value: one(value) & other(value)


def _more_places(places: int, data_type: DecimalType) -> Predicate:
    if places >= data_type.scale:
        return _NEVER
    step = 10 ** (data_type.scale - places)
    if step > _range(data_type)[1]:
        return lambda value: value != _unscaled(0, data_type)
    return lambda value: _remains(value, step, data_type)


def _more_whole_digits(whole: int, data_type: DecimalType) -> Predicate:
    if whole >= data_type.precision - data_type.scale:
        return _NEVER
    return lambda value: _as_far_as(value, 10 ** (whole + data_type.scale), data_type)


def _fraction(bound: Any) -> Fraction:
    try:
        # as Pydantic does: the decimal that the float is written as
        return Fraction(Decimal(str(bound)) if isinstance(bound, float) else bound)
    except (TypeError, ValueError, OverflowError) as error:
        raise LimitError(f"{bound!r} is no number") from error


def _scale(data_type: DataType) -> int:
    return data_type.scale if isinstance(data_type, DecimalType) else 0


def _range(data_type: DataType) -> tuple[int, int]:
    """The least and the greatest value of a type, in its last digit."""
    if isinstance(data_type, DecimalType):
        return 1 - 10**data_type.precision, 10**data_type.precision - 1
    half: int = 1 << (_BITS[type(data_type)] - 1)
    return -half, half - 1


def _unscaled(number: int, data_type: DataType) -> Column:
    """The literal of a number that is given in the type's last digit."""
    if not isinstance(data_type, DecimalType):
        return F.lit(number)
    exact = Decimal((int(number < 0), tuple(map(int, str(abs(number)))), -data_type.scale))
    return F.lit(f"{exact:f}").cast(data_type.simpleString())


def literal(value: Any, data_type: DataType) -> Callable[[], Column]:
    """What makes the literal of a Python value in a column's type; LimitError where the type has no such value."""
    if type(data_type) in _BITS or isinstance(data_type, DecimalType):
        number = _fraction(value) * 10 ** _scale(data_type)
        lowest, highest = _range(data_type)
        if number.denominator != 1 or not lowest <= number <= highest:
            raise LimitError(f"{data_type.simpleString()} can't hold {value!r}")
        return lambda: _unscaled(number.numerator, data_type)
    return _literal_of(value, data_type)


def _literal_of(value: Any, data_type: DataType) -> Callable[[], Column]:
    kinds, make = _LITERALS.get(type(data_type), ((), None))
    # a datetime is a date to Python, and a bool an int
    if (
        make is None
        or not isinstance(value, kinds)
        or (isinstance(value, datetime | bool) and type(value) not in kinds)
    ):
        raise LimitError(f"{data_type.simpleString()} can't be compared with {value!r}")
    try:
        made = make(value)
    except OverflowError as error:
        raise LimitError(f"{data_type.simpleString()} can't hold {value!r}") from error
    return made


def is_binary(kind: StringType) -> bool:
    """Whether texts of the type are equal only where all their characters are: it has no collation of its own."""
    return getattr(kind, "collation", "UTF8_BINARY") == "UTF8_BINARY"  # collations came with Spark 4


def _number(value: float | Decimal) -> Callable[[], Column]:
    number = float(value)
    if math.isnan(number):
        raise LimitError("nothing compares with NaN")
    return lambda: F.lit(number)


def _moment(value: datetime) -> Callable[[], Column]:
    # what has no zone is compared with the time as the value shows it, which is UTC
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    micros = (aware - _EPOCH) // timedelta(microseconds=1)
    return lambda: F.timestamp_micros(F.lit(micros))


def _cast_from(text: str, kind: str) -> Callable[[], Column]:
    return lambda: F.lit(text).cast(kind)


_LITERALS: Mapping[type[DataType], tuple[tuple[type, ...], Callable[[Any], Callable[[], Column]]]] = MappingProxyType(
    {
        StringType: ((str,), lambda value: lambda: F.lit(str.__str__(value))),
        BooleanType: ((bool,), lambda value: lambda: F.lit(value)),
        BinaryType: ((bytes,), lambda value: lambda: F.unhex(F.lit(value.hex()))),
        FloatType: ((int, float, Decimal), _number),
        DoubleType: ((int, float, Decimal), _number),
        DateType: ((date,), lambda value: _cast_from(value.isoformat(), "date")),
        TimestampType: ((datetime,), _moment),
        # a zone is not looked at: the clocks are compared
        TimestampNTZType: (
            (datetime,),
            lambda value: _cast_from(value.replace(tzinfo=None).isoformat(sep=" "), "timestamp_ntz"),
        ),
        DayTimeIntervalType: ((timedelta,), lambda value: lambda: F.lit(value)),
        # TIME came with Spark 4.1
        **({types.TimeType: ((time,), lambda value: lambda: F.lit(value))} if hasattr(types, "TimeType") else {}),
    }
)
