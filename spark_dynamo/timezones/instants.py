"""A clock's time and the instant that it stands for: zones by name, times that come twice or never, ISO texts."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

from spark_dynamo.errors import ConfigurationError, LocalTimeError, nearest, shorten

__all__ = ["Transition", "Zone", "either", "instant_of", "is_aware", "read_iso", "zone_of"]

Zone: TypeAlias = str | tzinfo
Transition: TypeAlias = Literal["fold", "raise"]
# a date, whatever stands behind it, and 24 as the hour
_END_OF_DAY = re.compile(r"(.{7,10}\D)24(.*)", re.DOTALL)


def read_iso(text: str) -> datetime:
    """The date and time of an ISO 8601 text, with a zone where the text has one; ValueError where it is none.

    24:00 is the first moment of the next day, with every version of Python: they read it themselves since 3.14.

    >>> read_iso("2026-07-01T24:00:00Z").isoformat()
    '2026-07-02T00:00:00+00:00'
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        end_of_day = _END_OF_DAY.fullmatch(text)
        if end_of_day is None:
            raise
    begin_of_day = datetime.fromisoformat("00".join(end_of_day.groups()))
    if begin_of_day.time() != time.min:
        raise ValueError(f"{shorten(repr(text))} is later than the end of the day")
    try:
        return begin_of_day + timedelta(days=1)
    except OverflowError:
        raise ValueError(f"{shorten(repr(text))} is beyond the year 9999") from None


def either(timezone: Zone | None, **also: Zone | None) -> Zone | None:
    """The zone of a call, by whichever of its two names it was given; ConfigurationError where it was given twice, and as two."""
    ((name, other),) = also.items()
    if timezone is not None and other is not None and timezone != other:
        raise ConfigurationError(
            f"timezone is {shorten(repr(timezone))} and {name} is {shorten(repr(other))}: both name the zone, give one of them"
        )
    return other if timezone is None else timezone


def instant_of(time: datetime, timezone: Zone, transition: Transition) -> datetime:
    """The instant in UTC. All ways lead through here, so that all read a clock alike."""
    if is_aware(time):
        return time.astimezone(UTC)
    if transition not in ("fold", "raise"):
        raise ConfigurationError(f"transition must be 'fold' or 'raise', not {shorten(repr(transition))}")
    local = time.replace(tzinfo=zone_of(timezone))
    if transition == "raise":
        _check_unambiguous(time, local)
    return local.astimezone(UTC)


def is_aware(time: datetime) -> bool:
    """Whether a time has an offset; ConfigurationError where it is no time."""
    if not isinstance(time, datetime):
        raise ConfigurationError(
            f"{shorten(repr(time))} is no time but {type(time).__name__}: give a datetime; parse_iso of a TimezoneManager makes "
            "one of a text"
        )
    return time.utcoffset() is not None


def _check_unambiguous(time: datetime, local: datetime) -> None:
    first, second = local.replace(fold=0), local.replace(fold=1)
    if first.utcoffset() == second.utcoffset():
        return
    earlier, later = sorted((first.astimezone(UTC), second.astimezone(UTC)))
    # of a time that is skipped, the reading by the clock before the change is the later instant
    raise LocalTimeError(time, str(local.tzinfo), earlier, later, skipped=first.astimezone(UTC) == later)


@lru_cache(maxsize=256)
def zone_of(timezone: Zone) -> tzinfo:
    """The zone of that name of the IANA database, or the zone that it is; else ConfigurationError.

    >>> zone_of("UTC")
    datetime.timezone.utc
    """
    if isinstance(timezone, tzinfo):
        return timezone
    if timezone == "UTC":
        return UTC  # the one that parsers and models use, so that times compare and print alike
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError, TypeError):  # unknown; malformed; a directory of the zone database; no text
        close = nearest(str(timezone)[:100], available_timezones())
        hint = f"did you mean '{close}'?" if close else "give a name of the IANA database, as in 'Europe/London'"
        raise ConfigurationError(f"Invalid timezone {shorten(repr(timezone))}: {hint}") from None
