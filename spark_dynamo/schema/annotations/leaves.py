"""The one table of annotations that hold a single value: which Spark type each has, and how values go there and back.

What depends on more than the annotation (digits, bounds, the policy) has a function each, in `_MADE`.
"""

from __future__ import annotations

import ipaddress
import operator
import pathlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from types import MappingProxyType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pydantic
import pydantic_core
from pydantic import networks
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
    IntegerType,
    LongType,
    ShortType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from spark_dynamo.errors import SchemaError
from spark_dynamo.schema.annotations.places import Place, name_of
from spark_dynamo.schema.nodes import Node

__all__ = [
    "LEAVES",
    "UNCHANGED",
    "Convert",
    "Leaf",
    "integers_of",
    "leaf_node",
    "leaf_of",
    "whole_microseconds",
    "whole_microseconds_of_span",
]

Convert = Callable[[Any], Any]

# DynamoDB keeps 38 significant digits
_MAX_DIGITS = 38
_MOST_OF_DECIMAL = 10**_MAX_DIGITS - 1
_INTEGERS = (ByteType(), ShortType(), IntegerType(), LongType())
_BITS: Mapping[type[DataType], int] = MappingProxyType({ByteType: 8, ShortType: 16, IntegerType: 32, LongType: 64})


@dataclass(frozen=True, slots=True)
class Leaf:
    """One row of the table: the Spark type, and `dump` and `load` as nodes have them.

    `narrower` says that the annotation refuses values which the Spark type takes, as UUID does with most strings.
    """

    data_type: DataType
    dump: Convert | None = None
    load: Convert | None = None
    narrower: bool = False


def patient(convert: Convert) -> Convert:
    """A conversion that leaves a value that it refuses as it is, so that the model's own validation names it."""

    def load(value: Any) -> Any:
        try:
            return convert(value)
        except (ValueError, ArithmeticError):
            return value

    return load


def _plain_date(value: date) -> date:
    if isinstance(value, datetime):  # Arrow would drop the time of day
        raise TypeError(f"{value!r} is a datetime, not a date")
    return value


def whole_microseconds(value: datetime) -> datetime:
    """The value; ValueError for one of pandas with nanoseconds, which Arrow would cut off."""
    if type(value) is not datetime and getattr(value, "nanosecond", None):
        raise ValueError(f"{value!r} has nanoseconds, and a column ends with microseconds; round it to 'us' first")
    return value


def whole_microseconds_of_span(value: timedelta) -> timedelta:
    """A time between two, of whole microseconds; ValueError where it is none."""
    if type(value) is not timedelta and getattr(value, "nanoseconds", None):
        raise ValueError(f"{value!r} has nanoseconds, and a column ends with microseconds; round it to 'us' first")
    return value


def _without_zone(value: datetime) -> datetime:
    if value.tzinfo is not None:  # Arrow would drop the zone
        raise ValueError(f"{value!r} has a time zone, which TIMESTAMP_NTZ can't hold")
    return whole_microseconds(value)


_SECRETS = (pydantic.SecretStr, pydantic.SecretBytes)


def _secret(value: Any) -> Any:
    return value.get_secret_value()


def _text_leaf(load: Convert | None = None, *, dump: Convert = str) -> Leaf:
    return Leaf(StringType(), dump, patient(load) if load else None, narrower=True)


_URLS = tuple(
    found
    for found in (getattr(pydantic, name, None) for name in networks.__all__ if name.endswith(("Url", "Dsn")))
    if isinstance(found, type)
)
_ADDRESSES = (
    *(ipaddress.IPv4Address, ipaddress.IPv6Address),
    *(ipaddress.IPv4Interface, ipaddress.IPv6Interface, ipaddress.IPv4Network, ipaddress.IPv6Network),
)
_PATHS = (pathlib.Path, pathlib.PurePath, pathlib.PosixPath, pathlib.PurePosixPath, pathlib.PureWindowsPath)

LEAVES: Mapping[Any, Leaf] = MappingProxyType(
    {
        str: Leaf(StringType()),
        bool: Leaf(BooleanType()),
        bytes: Leaf(BinaryType()),
        float: Leaf(DoubleType()),
        pydantic.ByteSize: Leaf(LongType(), operator.index, narrower=True),
        UUID: _text_leaf(UUID),
        **{url: _text_leaf() for url in (*_URLS, pydantic_core.Url, pydantic_core.MultiHostUrl)},
        **{address: _text_leaf(address) for address in _ADDRESSES},
        pydantic.IPvAnyAddress: _text_leaf(ipaddress.ip_address),
        pydantic.IPvAnyInterface: _text_leaf(ipaddress.ip_interface),
        pydantic.IPvAnyNetwork: _text_leaf(ipaddress.ip_network),
        pydantic.EmailStr: _text_leaf(),
        pydantic.NameEmail: _text_leaf(),
        **{path: _text_leaf(path) for path in _PATHS},
        ZoneInfo: _text_leaf(ZoneInfo),
        pydantic.SecretStr: _text_leaf(pydantic.SecretStr, dump=_secret),
        pydantic.SecretBytes: Leaf(BinaryType(), _secret, pydantic.SecretBytes),
        date: Leaf(DateType(), _plain_date),
        pydantic.PastDate: Leaf(DateType(), _plain_date, narrower=True),
        pydantic.FutureDate: Leaf(DateType(), _plain_date, narrower=True),
        datetime: Leaf(TimestampType(), whole_microseconds),
        pydantic.AwareDatetime: Leaf(TimestampType(), whole_microseconds),
        pydantic.PastDatetime: Leaf(TimestampType(), whole_microseconds, narrower=True),
        pydantic.FutureDatetime: Leaf(TimestampType(), whole_microseconds, narrower=True),
        pydantic.NaiveDatetime: Leaf(TimestampNTZType(), _without_zone),
        timedelta: Leaf(DayTimeIntervalType(), whole_microseconds_of_span),
    }
)

# the class whose values these give back as they are, so that the loop over all values need not call them
UNCHANGED: Mapping[Convert | None, type[Any]] = MappingProxyType(
    {operator.index: int, whole_microseconds: datetime, whole_microseconds_of_span: timedelta}
)

# the storage forms that a type can take
_STORAGE_FORMS: Mapping[type[DataType], frozenset[str]] = MappingProxyType({TimestampType: frozenset({"S", "N"})})


def leaf_of(place: Place, annotation: Any) -> Leaf | None:
    """The row for an annotation at its place, or None where it holds no single value."""
    if not isinstance(annotation, Hashable):  # no annotation at all
        return None
    made = _MADE.get(annotation)
    if made is not None:
        return made(place)
    leaf = LEAVES.get(annotation)
    if leaf is None and isinstance(annotation, type) and issubclass(annotation, _URLS):  # a user's own URL
        leaf = next(LEAVES[base] for base in annotation.__mro__ if base in LEAVES)
    if leaf is None and isinstance(annotation, type) and issubclass(annotation, _SECRETS):
        leaf = replace(next(LEAVES[base] for base in annotation.__mro__ if base in LEAVES), load=annotation)
    return leaf


def leaf_node(place: Place, annotation: Any, leaf: Leaf) -> Node:
    """The node of a single value."""
    form = place.form.dynamodb if place.form else None
    if form is not None and form not in _STORAGE_FORMS.get(type(leaf.data_type), ()):
        raise place.refuse(f"{name_of(annotation)} can't be stored as DynamoDB type '{form}'")
    constraints = (annotation, *place.constraints) if leaf.narrower else place.constraints
    return Node(place.path, leaf.data_type, False, form, constraints, dump=leaf.dump, load=leaf.load)


def integers_of(place: Place, low: int | None, high: int | None) -> Leaf:
    """The row for integers between two bounds, both inclusive; None where there is no such bound."""
    bounds = [bound for bound in (low, high) if bound is not None]
    if any(not _fits(LongType(), bound) for bound in bounds):
        if any(abs(bound) > _MOST_OF_DECIMAL for bound in bounds):
            raise place.refuse(f"its bounds need more than {_MAX_DIGITS} digits, which no Spark or DynamoDB number has")
        return Leaf(DecimalType(_MAX_DIGITS, 0), lambda value: Decimal(operator.index(value)), int)
    is_bounded = place.walk.policy.integers == "bounds" and low is not None and high is not None
    kinds = _INTEGERS if is_bounded else _INTEGERS[-1:]
    kind = next(kind for kind in kinds if all(_fits(kind, bound) for bound in bounds))
    return Leaf(kind, operator.index)  # Arrow itself would cut a fraction off


def _fits(kind: DataType, number: int) -> bool:
    limit = 1 << (_BITS[type(kind)] - 1)
    return -limit <= number < limit


def _integer(place: Place) -> Leaf:
    low = [value for name in ("ge", "gt") for value in _bounds(place, name)]
    high = [value for name in ("le", "lt") for value in _bounds(place, name)]
    return integers_of(place, max(low, default=None), min(high, default=None))


def _bounds(place: Place, name: str) -> list[int]:
    """The bounds of one kind as the integers that they let in last."""
    found: list[Any] = [getattr(entry, name, None) for entry in place.constraints]
    return [_LAST[name](bound) for bound in found if isinstance(bound, int | float | Decimal) and isfinite(bound)]


_LAST: Mapping[str, Callable[[Any], int]] = MappingProxyType(
    {
        "ge": lambda bound: int(-(-bound // 1)),
        "gt": lambda bound: int(bound // 1) + 1,
        "le": lambda bound: int(bound // 1),
        "lt": lambda bound: int(-(-bound // 1)) - 1,
    }
)


def _decimal(place: Place) -> Leaf:
    given: dict[str, int] = {}
    for entry in place.constraints:
        known = getattr(entry, "__dict__", {})
        given.update({name: known[name] for name in ("max_digits", "decimal_places") if known.get(name) is not None})
    digits, places = given.get("max_digits"), given.get("decimal_places")
    if places is None:
        usual = place.walk.policy.decimal
        if digits is None or digits <= min(usual.scale, usual.precision - usual.scale):  # any such number fits
            return Leaf(usual)
        raise place.refuse(f"max_digits={digits} alone leaves the scale open. Give decimal_places too")
    precision = _MAX_DIGITS if digits is None else digits
    if not 0 <= places <= precision <= _MAX_DIGITS or precision == 0:
        raise place.refuse(
            f"max_digits={digits}, decimal_places={places} is no Spark decimal. "
            f"Keep decimal_places <= max_digits <= {_MAX_DIGITS}"
        )
    return Leaf(DecimalType(precision, places))


def _time(place: Place) -> Leaf:
    if place.walk.policy.time == "string":
        return Leaf(StringType(), time.isoformat, patient(_iso_time), narrower=True)
    if not hasattr(types, "TimeType"):
        raise SchemaError(place.path, "the policy time='time' needs Spark 4.1. Use time='string', or a newer pyspark")
    return Leaf(types.TimeType(), _time_without_zone)


def _iso_time(text: str) -> time:
    if text.removeprefix("T").startswith("24"):  # Python reads it as 00:00 since 3.14
        raise ValueError(f"{text!r} is the end of a day and no time of it")
    return time.fromisoformat(text)


def _time_without_zone(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError(f"{value!r} has a time zone, which TIME can't hold")
    return value


_MADE: Mapping[Any, Callable[[Place], Leaf]] = MappingProxyType({int: _integer, Decimal: _decimal, time: _time})
