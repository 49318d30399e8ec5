"""How Spark writes literals: strings and their escapes, numbers and their suffixes, dates and times, LIKE patterns."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal as Choice

from spark_dynamo.errors import shorten
from spark_dynamo.predicates.refusals import refused
from spark_dynamo.predicates.tree import Moment, Wildcard

LiteralKind = Choice[
    "string", "int", "bigint", "smallint", "tinyint", "decimal", "double", "float", "binary", "date", "timestamp",
    "timestamp_ntz", "boolean", "null",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Literal:
    """A literal as Spark types it: `value` is a str, bytes, bool, float, None, or for every exact number a Decimal."""

    kind: LiteralKind
    value: str | bytes | bool | float | Decimal | None
    text: str


TYPED = {"date": "date", "timestamp": "timestamp", "timestamp_ltz": "timestamp", "timestamp_ntz": "timestamp_ntz"}
_ESCAPE = re.compile(
    r"\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|\\([01][0-7]{2})|\\(.)|(?P<quote>['\"])(?P=quote)", re.DOTALL
)
_CONTROLS = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}


def read_string(quoted: str, where: str) -> str:
    """The value of a string literal in quotes."""
    quote, inner = quoted[0], quoted[1:-1]
    if inner.isascii() and "\\" not in inner and quote not in inner:
        return inner

    def replace(match: re.Match[str]) -> str:
        short, long, octal, character = match.groups()[:4]
        if short or long:
            code = int(short or long, 16)
            if code > 0x10FFFF:
                raise refused(f"has the escape '{match[0]}' {where}, which is no character")
            return chr(code)
        if octal:
            return chr(int(octal, 8))
        if character:
            return _CONTROLS.get(character, character)
        return quote if match["quote"] == quote else match[0]

    value = _ESCAPE.sub(replace, inner)
    try:
        return value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise refused(f"has half a surrogate pair in a string {where}, which is no character") from None


_BOUNDS = {"tinyint": 7, "smallint": 15, "int": 31, "bigint": 63}


def read_number(sign: str, match: re.Match[str], text: str, where: str) -> Literal:
    """A number with its sign, exponent and suffix; `match` has the groups `digits`, `exponent` and `suffix`."""
    digits = sign + match["digits"]
    suffix = (match["suffix"] or "").upper()
    whole = match["digits"].isdigit()
    if suffix in ("D", "F") or (not suffix and match["exponent"]):
        return _floating(digits, suffix, text, where)
    if suffix in ("L", "S", "Y") and not whole:
        raise refused(f"has a number that can't be read {where}")
    value = Decimal(digits)
    kind: LiteralKind = "decimal"
    if suffix in ("L", "S", "Y"):
        kind = {"L": "bigint", "S": "smallint", "Y": "tinyint"}[suffix]  # type: ignore[assignment]
    elif whole and not suffix and value.adjusted() < 19:
        kind = "int" if _fits(value, 31) else "bigint" if _fits(value, 63) else "decimal"
    if kind in _BOUNDS and not _fits(value, _BOUNDS[kind]):
        raise refused(f"has a number {where} that is too large for {kind.upper()}")
    if kind == "decimal" and max(digits_of(value)) > 38:
        raise refused(f"has a number {where} of more than 38 digits")
    return Literal(kind, value, text)


def _fits(value: Decimal, bits: int) -> bool:
    return -(1 << bits) <= value < 1 << bits


def digits_of(value: Decimal) -> tuple[int, int]:
    """Precision and scale of a decimal literal, as Spark counts them.

    >>> digits_of(Decimal("1.50")), digits_of(Decimal("0.001")), digits_of(Decimal("1E+2"))
    ((3, 2), (3, 3), (3, 0))
    """
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    count = len(digits)
    return max(count, -exponent) if exponent <= 0 else count + exponent, max(0, -exponent)


def _floating(digits: str, suffix: str, text: str, where: str) -> Literal:
    number = float(digits)
    try:
        if suffix == "F":
            number = struct.unpack("f", struct.pack("f", number))[0]
    except OverflowError:
        number = float("inf")
    if number in (float("inf"), float("-inf")) or (number == 0 and Decimal(digits) != 0):
        raise refused(f"has a number {where} that a floating-point number can't hold")
    return Literal("float" if suffix == "F" else "double", number, text)


def read_typed(kind: str, value: str, text: str) -> Literal:
    """A string with the name of a type before it, such as `DATE'2026-11-01'` or `X'00ff'`."""
    if kind != "x":
        return Literal(TYPED[kind], value, text)  # type: ignore[arg-type]
    if not re.fullmatch(r"(?:[0-9a-fA-F]{2})*", value):
        raise refused(f"has {shorten(text)}, which is not an even number of hexadecimal digits")
    return Literal("binary", bytes.fromhex(value), text)


_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?", re.ASCII)
_MOMENT = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})[ T](\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6}))?(Z|[+-]\d\d:\d\d)?)?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1)
_FURTHEST_OFFSET = timedelta(hours=18)  # Java's


def read_date(literal: Literal) -> date:
    """A date; `OptionError` where the text is none of `2026-11-01`, `2026-11` and `2026`."""
    match = _DATE.fullmatch(str(literal.value))
    try:
        if match:
            return date(*(int(part or 1) for part in match.groups()))
    except ValueError:
        pass
    raise refused(f"has {shorten(literal.text)} for a date; write it as DATE'2026-11-01'")


def read_moment(literal: Literal, *, with_zone: bool) -> Moment:
    """A moment; `OptionError` where the text is no ISO 8601, or has a zone where there must be none."""
    text = str(literal.value)
    if _DATE.fullmatch(text):
        midnight = datetime.combine(read_date(literal), time())
        return Moment(_micros(midnight), local=True)
    match = _MOMENT.fullmatch(text)
    try:
        if match:
            *parts, fraction, zone = match.groups()
            year, month, day, hour, minute, second = (int(part or 0) for part in parts)
            moment = datetime(year, month, day, hour, minute, second, int((fraction or "").ljust(6, "0")))
            if zone is None:
                return Moment(_micros(moment), local=True)
            if with_zone:
                return Moment(_micros(moment) - _offset(zone) // timedelta(microseconds=1), local=False)
    except ValueError:
        pass
    example = "'2026-11-01T10:30:00Z'" if with_zone else "TIMESTAMP_NTZ'2026-11-01 10:30:00'"
    raise refused(f"has {shorten(literal.text)} for a timestamp; write it as {example}")


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _offset(zone: str) -> timedelta:
    if zone == "Z":
        return timedelta(0)
    hours, minutes = int(zone[1:3]), int(zone[4:])
    offset = timedelta(hours=hours, minutes=minutes)
    if minutes > 59 or offset > _FURTHEST_OFFSET:
        raise ValueError("it is no offset")
    return -offset if zone[0] == "-" else offset


_WILDCARDS = {"_": Wildcard.ONE, "%": Wildcard.MANY}


def like_pattern(pattern: str, escape: str) -> tuple[str | Wildcard, ...]:
    """The parts of a pattern; `OptionError` where the escape character stands before an ordinary one or at the end.

    >>> like_pattern("a%", "\\\\")
    ('a', <Wildcard.MANY: '%'>)
    """
    parts: list[str | Wildcard] = []
    characters = iter(pattern)
    for character in characters:
        if character == escape:
            escaped = next(characters, None)
            if escaped is None or escaped not in ("_", "%", escape):
                raise refused(
                    f"has the LIKE pattern {shorten(repr(pattern))}, in which the escape character '{escape}' stands "
                    f"before neither _, % nor itself; double it"
                )
            _append(parts, escaped)
        elif character in _WILDCARDS:
            wildcard = _WILDCARDS[character]
            if not (wildcard is Wildcard.MANY and parts[-1:] == [wildcard]):
                parts.append(wildcard)
        else:
            _append(parts, character)
    return tuple(parts)


def _append(parts: list[str | Wildcard], character: str) -> None:
    if parts and isinstance(parts[-1], str):
        parts[-1] += character
    else:
        parts.append(character)
