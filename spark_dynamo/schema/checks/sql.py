"""Python values and names as Spark's SQL writes them, so that no setting of the session reads them in another way.

A text with more than plain characters is given by its bytes: whether a backslash escapes depends on a setting.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from pyspark.sql import types
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

__all__ = [
    "LiteralError",
    "digits",
    "field",
    "fraction",
    "identifier",
    "is_binary",
    "is_exact",
    "literal",
    "scale_of",
    "text",
    "value_range",
]

_BITS: Mapping[type[DataType], int] = MappingProxyType({ByteType: 8, ShortType: 16, IntegerType: 32, LongType: 64})
_PLAIN = re.compile(r"[ !\"#%-&(-\[\]-~]*")  # no quote, no backslash, no $ of a variable
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class LiteralError(ValueError):
    """A value that a type doesn't have; the text says why."""


def text(value: str) -> str:
    """A text.

    >>> text("a b"), text("a'b")
    ("'a b'", "CAST(X'612762' AS STRING)")
    """
    return f"'{value}'" if _PLAIN.fullmatch(value) else f"CAST(X'{value.encode().hex()}' AS STRING)"


def identifier(name: str) -> str:
    """The name of a column.

    >>> identifier("a`b")
    '`a``b`'
    """
    return "`{}`".format(name.replace("`", "``"))


def field(struct: str, name: str) -> str:
    """A field of a struct, also where a column and a table have the struct's name.

    >>> field("`a`", "b"), field("`a`", "b'c")
    ("`a`['b']", "coalesce(`a`).`b'c`")
    """
    return f"{struct}['{name}']" if _PLAIN.fullmatch(name) else f"coalesce({struct}).{identifier(name)}"


def literal(value: Any, data_type: DataType) -> str:
    """A value of a column's type; LiteralError where the type has no such value.

    >>> literal(1, LongType()), literal(Decimal("1.5"), DecimalType(5, 2))
    ('1', "CAST('1.50' AS DECIMAL(5,2))")
    """
    if is_exact(data_type):
        number = fraction(value) * 10 ** scale_of(data_type)
        lowest, highest = value_range(data_type)
        if number.denominator != 1 or not lowest <= number <= highest:
            raise LiteralError(f"{data_type.simpleString()} can't hold {value!r}")
        return digits(number.numerator, data_type)
    kinds, write = _WRITERS.get(type(data_type), ((), None))
    if isinstance(data_type, StringType) and not is_binary(data_type):
        raise LiteralError(f"{data_type.simpleString()} compares in another way than Python")
    # a datetime is a date to Python, and a bool an int
    if (
        write is None
        or not isinstance(value, kinds)
        or (isinstance(value, datetime | bool) and type(value) not in kinds)
    ):
        raise LiteralError(f"{data_type.simpleString()} can't be compared with {value!r}")
    try:
        return write(value)
    except OverflowError as error:
        raise LiteralError(f"{data_type.simpleString()} can't hold {value!r}") from error


def is_exact(kind: DataType) -> bool:
    """Whether it is a type of integers or decimals."""
    return type(kind) in _BITS or isinstance(kind, DecimalType)


def is_binary(kind: StringType) -> bool:
    """Whether texts of the type are equal only where all their characters are: it has no collation of its own."""
    return getattr(kind, "collation", "UTF8_BINARY") == "UTF8_BINARY"  # collations came with Spark 4


def fraction(number: Any) -> Fraction:
    """The exact value of a number; of a float, the decimal that it is written as, which is what Pydantic takes."""
    try:
        return Fraction(Decimal(str(number)) if isinstance(number, float) else number)
    except (TypeError, ValueError, OverflowError) as error:
        raise LiteralError(f"{number!r} is no number to compare with") from error


def scale_of(kind: DataType) -> int:
    """The digits behind the point that a type of exact numbers has."""
    return kind.scale if isinstance(kind, DecimalType) else 0


def value_range(kind: DataType) -> tuple[int, int]:
    """The least and the greatest value of a type of exact numbers, in its last digit."""
    if isinstance(kind, DecimalType):
        return 1 - 10**kind.precision, 10**kind.precision - 1
    half: int = 1 << (_BITS[type(kind)] - 1)
    return -half, half - 1


def digits(number: int, kind: DataType) -> str:
    """A number that is given in the type's last digit."""
    if not isinstance(kind, DecimalType):
        return str(number) if -(2**31) < number < 2**31 else f"{number}L"
    exact = Decimal((int(number < 0), tuple(map(int, str(abs(number)))), -kind.scale))
    return f"CAST('{exact:f}' AS {kind.simpleString().upper()})"


def _double(value: float | Decimal) -> str:
    number = float(value)
    if math.isnan(number):
        raise LiteralError("nothing compares with NaN")
    return f"CAST('{number}' AS DOUBLE)" if math.isinf(number) else f"{number!r}D"


def _moment(value: datetime) -> str:
    # what has no zone is compared with the time as the value shows it, which is UTC
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return f"timestamp_micros({(aware - _EPOCH) // _MICROSECOND}L)"


def _span(value: timedelta) -> str:
    seconds, micros = divmod(abs(value) // _MICROSECOND, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    sign = "-" if value < timedelta(0) else ""
    return f"INTERVAL '{sign}{days} {hour:02}:{minute:02}:{second:02}.{micros:06}' DAY TO SECOND"


_WRITERS: Mapping[type[DataType], tuple[tuple[type, ...], Callable[[Any], str]]] = MappingProxyType(
    {
        StringType: ((str,), lambda value: text(str.__str__(value))),
        BooleanType: ((bool,), lambda value: str(value).lower()),
        BinaryType: ((bytes,), lambda value: f"X'{value.hex()}'"),
        FloatType: ((int, float, Decimal), _double),
        DoubleType: ((int, float, Decimal), _double),
        DateType: ((date,), lambda value: f"CAST('{value.isoformat()}' AS DATE)"),
        TimestampType: ((datetime,), _moment),
        # a zone is not looked at: the clocks are compared
        TimestampNTZType: ((datetime,), lambda value: f"CAST('{value.replace(tzinfo=None)}' AS TIMESTAMP_NTZ)"),
        DayTimeIntervalType: ((timedelta,), _span),
        # TIME came with Spark 4.1
        **({types.TimeType: ((time,), lambda value: f"CAST('{value}' AS TIME)")} if hasattr(types, "TimeType") else {}),
    }
)
