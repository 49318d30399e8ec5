"""The texts of DATE and TIMESTAMP literals: the ISO 8601 forms among those that Spark reads."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

from spark_dynamo.errors import shorten
from spark_dynamo.predicates.refusals import refused
from spark_dynamo.predicates.spellings import Literal
from spark_dynamo.predicates.tree import Moment

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
