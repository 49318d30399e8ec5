"""One value at a time: the text of a DynamoDB attribute value <-> a Python value that Arrow takes.

This is the reference that the column kernels must agree with, and the route of the values that they refuse: odd but
valid forms, and values that don't fit at all. Each function raises ValueError with the reason where a value doesn't fit.
"""

from __future__ import annotations

import binascii
import math
import re
import struct
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import TYPE_CHECKING

from spark_dynamo.timezones import read_iso

if TYPE_CHECKING:
    from pyspark.sql.types import DecimalType

_EXACT = Context(prec=1000, traps=[Inexact, InvalidOperation])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SUB_MICROSECOND = re.compile(r"[.,]\d{6}(\d+)")


def read_integer(text: str, bits: int) -> int:
    """An integer of that many bits."""
    number = _number(text)
    if _EXACT.remainder(number, Decimal(1)):
        raise ValueError("it has a fraction")
    if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
        raise ValueError(f"it is outside the {bits}-bit range")
    return int(number)


def read_decimal(text: str, kind: DecimalType) -> Decimal:
    """A decimal of exactly that precision and scale."""
    number = _number(text)
    try:
        scaled = number.quantize(Decimal(1).scaleb(-kind.scale), context=_EXACT)
    except Inexact:
        raise ValueError(f"it needs more than {kind.scale} digits after the point") from None
    if scaled and len(scaled.as_tuple().digits) > kind.precision:
        raise ValueError(f"it needs more than {kind.precision} digits")
    return scaled


def read_float(text: str, bits: int = 64) -> float:
    """The floating-point number of that many bits that is nearest to the number."""
    number = float(_number(text))
    try:
        nearest: float = number if bits == 64 else struct.unpack("f", struct.pack("f", number))[0]
    except OverflowError:
        nearest = math.inf
    if math.isinf(nearest):
        raise ValueError(f"it is beyond the largest floating-point number of {bits} bits")
    return nearest


def read_timestamp(text: str) -> int:
    """Microseconds since 1970 in UTC from any ISO 8601 form; a text without a zone is UTC."""
    moment = _datetime(text)
    # no astimezone(): the first and the last hours of Python's years have no datetime in UTC
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def is_instant(text: str) -> bool:
    """Whether it is an ISO 8601 date and time with a zone, down to the microsecond at most."""
    try:
        return _datetime(text).tzinfo is not None
    except ValueError:
        return False


def read_local_timestamp(text: str) -> datetime:
    """A date and time without a zone, from any ISO 8601 form."""
    moment = _datetime(text)
    if moment.tzinfo:
        raise ValueError("it has a time zone, which TIMESTAMP_NTZ can't hold")
    return moment


def read_epoch_seconds(text: str) -> int:
    """Microseconds since 1970 from epoch seconds, or those of an interval from its seconds."""
    micros = _EXACT.multiply(_number(text), Decimal(1_000_000))
    if _EXACT.remainder(micros, Decimal(1)):
        raise ValueError("it has a fraction finer than a microsecond")
    if not -(1 << 63) <= micros < 1 << 63:
        raise ValueError("it is beyond the range of TIMESTAMP and INTERVAL")
    return int(micros)


def read_date(text: str) -> date:
    """A date from any ISO 8601 form of a date."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("it is no ISO 8601 date") from None


def read_binary(text: str) -> bytes:
    """The bytes behind base64."""
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise ValueError(f"it is no base64: {error}") from None
    if len(text) != (len(data) + 2) // 3 * 4:  # strict mode lets padding after full groups through
        raise ValueError("it is no base64: excess padding")
    return data


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError("it is no number") from None
    if not number.is_finite():
        raise ValueError("it is no finite number")
    if number and abs(number.adjusted()) > 400:
        raise ValueError("it is far beyond DynamoDB's numbers")
    return number


def _datetime(text: str) -> datetime:
    finer = _SUB_MICROSECOND.search(text)
    if finer and finer[1].strip("0"):
        raise ValueError("it is finer than a microsecond")
    try:
        return read_iso(text)
    except ValueError:
        raise ValueError("it is no ISO 8601 date and time") from None
