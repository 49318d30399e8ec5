"""Times and zones: instants are kept in UTC, and a zone is for reading people's clocks and for showing them.

A time without a zone is taken in the zone that the call states, else in the default one. Where clocks change, such a time
may stand for two instants (clocks go back: an hour comes twice) or for none (clocks go forward: an hour is skipped). Then
the parameter `transition` decides:

* "fold", the default, follows PEP 495: of an hour that comes twice, the time's `fold` 0 is the first and 1 the second; a
  skipped time is read by the clock before the change with fold 0 (02:30 becomes 03:30), by the one after with fold 1.
* "raise" raises LocalTimeError, which names both instants.

Where a call takes a `timezone`, it may be named `tz` as well, and `user_tz` where it is the one to show a time in.

The default zone of the process comes from DYNAMODB_TIMEZONE, and the zone in which times are shown from
DYNAMODB_USER_TIMEZONE. `set_global_timezone` and `configure_timezone_from_config` replace both in one step; a zone given to
a call is for that call only.
"""

from __future__ import annotations

import os
import re
import threading
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias, overload
from zoneinfo import ZoneInfo, available_timezones

from spark_dynamo.errors import ConfigurationError, LocalTimeError, nearest, shorten

if TYPE_CHECKING:
    from spark_dynamo.config import DynamoDBConfig

__all__ = [
    "TimezoneManager",
    "configure_timezone_from_config",
    "convert_utc_to_user_tz",
    "ensure_timezone_aware",
    "get_timezone_manager",
    "now_in_tz",
    "set_global_timezone",
    "to_user_timezone",
    "to_utc",
    "utcnow",
    "validate_timezone_string",
]

Zone: TypeAlias = str | tzinfo
Transition: TypeAlias = Literal["fold", "raise"]
# a date, whatever stands behind it, and 24 as the hour
_END_OF_DAY = re.compile(r"(.{7,10}\D)24(.*)", re.DOTALL)


def validate_timezone_string(timezone: str) -> str:
    """The same name where it is one of the IANA database; else ConfigurationError, which begins "Invalid timezone".

    >>> validate_timezone_string("Europe/London")
    'Europe/London'
    """
    _zone(timezone)
    return timezone


class TimezoneManager:
    """A default zone for times that carry none, and one in which times are shown; unchangeable, so threads may share it.

    Without `default_timezone` it is DYNAMODB_TIMEZONE's, else UTC; without `user_timezone` times are shown in the default
    one. Wherever a method takes a zone, that is an IANA name or a `tzinfo`, for this call only.

    >>> paris = TimezoneManager("Europe/Paris")
    >>> paris.to_utc(datetime(2026, 7, 1, 12)).isoformat()
    '2026-07-01T10:00:00+00:00'
    """

    __slots__ = ("_default_timezone", "_user_timezone")

    def __init__(self, default_timezone: str | None = None, user_timezone: str | None = None) -> None:
        self._default_timezone = validate_timezone_string(
            (os.environ.get("DYNAMODB_TIMEZONE") or "UTC") if default_timezone is None else default_timezone
        )
        self._user_timezone = None if user_timezone is None else validate_timezone_string(user_timezone)

    @property
    def default_timezone(self) -> str:
        """The name of the zone in which times without one are taken."""
        return self._default_timezone

    @property
    def user_timezone(self) -> str:
        """The name of the zone in which times are shown."""
        return self._user_timezone or self._default_timezone

    def __repr__(self) -> str:
        return f"TimezoneManager({self.default_timezone!r}, user_timezone={self.user_timezone!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TimezoneManager):
            return NotImplemented
        return (self.default_timezone, self.user_timezone) == (other.default_timezone, other.user_timezone)

    def __hash__(self) -> int:
        return hash((self.default_timezone, self.user_timezone))

    def get_timezone(self, timezone: Zone | None = None, *, tz: Zone | None = None) -> tzinfo:
        """The zone of that name, or the default one."""
        zone = _either(timezone, tz=tz)
        return _zone(self._default_timezone if zone is None else zone)

    def now(self, timezone: Zone | None = None, *, tz: Zone | None = None) -> datetime:
        """The time now in that zone, or in the default one."""
        return datetime.now(self.get_timezone(timezone, tz=tz))

    def utcnow(self) -> datetime:
        """The time now in UTC, aware."""
        return datetime.now(UTC)

    @overload
    def to_utc(
        self,
        time: datetime,
        timezone: Zone | None = None,
        *,
        transition: Transition = "fold",
        tz: Zone | None = None,
    ) -> datetime: ...
    @overload
    def to_utc(
        self, time: None, timezone: Zone | None = None, *, transition: Transition = "fold", tz: Zone | None = None
    ) -> None: ...
    def to_utc(
        self,
        time: datetime | None,
        timezone: Zone | None = None,
        *,
        transition: Transition = "fold",
        tz: Zone | None = None,
    ) -> datetime | None:
        """The instant in UTC, None of None; a time without a zone is taken in `timezone`, or in the default one."""
        return None if time is None else _instant(time, self.get_timezone(timezone, tz=tz), transition)

    def to_timezone(
        self,
        time: datetime,
        timezone: Zone | None = None,
        *,
        transition: Transition = "fold",
        tz: Zone | None = None,
    ) -> datetime:
        """The same instant in that zone, or in the default one; a time without a zone is taken in the default one."""
        return _instant(time, self._default_timezone, transition).astimezone(self.get_timezone(timezone, tz=tz))

    def to_user_timezone(
        self,
        time: datetime,
        timezone: Zone | None = None,
        *,
        transition: Transition = "fold",
        user_tz: Zone | None = None,
    ) -> datetime:
        """The same instant in that zone, or in the user's; a time without a zone is taken in the default one."""
        zone = _either(timezone, user_tz=user_tz)
        return self.to_timezone(time, self.user_timezone if zone is None else zone, transition=transition)

    def get_user_timezone_datetime(
        self, time: datetime | None = None, timezone: Zone | None = None, *, user_tz: Zone | None = None
    ) -> datetime:
        """The same as `to_user_timezone`; without a time, the time now.

        >>> paris = TimezoneManager("UTC", user_timezone="Europe/Paris")
        >>> paris.get_user_timezone_datetime(datetime(2026, 7, 1, 12)).isoformat()
        '2026-07-01T14:00:00+02:00'
        """
        return self.to_user_timezone(datetime.now(UTC) if time is None else time, timezone, user_tz=user_tz)

    def ensure_timezone(
        self,
        time: datetime,
        timezone: Zone | None = None,
        *,
        transition: Transition = "fold",
        tz: Zone | None = None,
    ) -> datetime:
        """An aware time as it is; one without a zone in `timezone`, or in the default one, as its clocks show it."""
        if _is_aware(time):
            return time
        zone = self.get_timezone(timezone, tz=tz)
        return _instant(time, zone, transition).astimezone(zone)

    def format_iso(self, time: datetime) -> str:
        """The time as ISO text with its offset; a time without a zone is taken in the default one.

        >>> TimezoneManager("Asia/Kolkata").format_iso(datetime(2026, 7, 1, 12))
        '2026-07-01T12:00:00+05:30'
        """
        return self.ensure_timezone(time).isoformat()

    def parse_iso(
        self,
        text: str,
        timezone: Zone | None = None,
        *,
        transition: Transition = "fold",
        tz: Zone | None = None,
    ) -> datetime:
        """The time of an ISO text (`Z` too), in `timezone` where one is given; without an offset it is in the default one.

        Raises ConfigurationError where the text is no time.

        >>> TimezoneManager("UTC").parse_iso("2026-07-01T12:00:00Z", "Asia/Tokyo").isoformat()
        '2026-07-01T21:00:00+09:00'
        """
        try:
            time = read_iso(text)
        except ValueError:
            raise ConfigurationError(
                f"{shorten(repr(text))} is no ISO time: write it as in '2026-07-01T12:00:00Z'"
            ) from None
        zone = _either(timezone, tz=tz)
        if zone is not None:
            return self.to_timezone(time, zone, transition=transition)
        return self.ensure_timezone(time, transition=transition)


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


_lock = threading.Lock()
_manager: TimezoneManager | None = None


def get_timezone_manager() -> TimezoneManager:
    """The process's manager; the first call makes it of DYNAMODB_TIMEZONE and DYNAMODB_USER_TIMEZONE.

    >>> get_timezone_manager() is get_timezone_manager()
    True
    """
    global _manager
    manager = _manager
    if manager is None:
        with _lock:
            if _manager is None:
                _manager = TimezoneManager(None, os.environ.get("DYNAMODB_USER_TIMEZONE") or None)
            manager = _manager
    return manager


def set_global_timezone(timezone: str | None, user_timezone: str | None = None) -> None:
    """Make these the process's zones, for all threads; None takes them from the environment again.

    Raises ConfigurationError where a name is unknown, and then changes nothing.

    >>> set_global_timezone("Europe/Berlin")
    >>> to_utc(datetime(2026, 7, 1, 12)).hour
    10
    >>> set_global_timezone(None)
    """
    _set(None if timezone is None and user_timezone is None else TimezoneManager(timezone, user_timezone))


def configure_timezone_from_config(config: DynamoDBConfig) -> TimezoneManager:
    """Make the configuration's zones the process's, and give their manager.

    >>> configure_timezone_from_config(DynamoDBConfig.with_timezone("Asia/Tokyo")).timezone  # doctest: +SKIP
    'Asia/Tokyo'
    """
    manager = config.get_timezone_manager()
    _set(manager)
    return manager


def _set(manager: TimezoneManager | None) -> None:
    global _manager
    with _lock:
        _manager = manager


def now_in_tz(timezone: Zone | None = None, *, tz: Zone | None = None) -> datetime:
    """The time now in that zone, or in the default one.

    >>> now_in_tz("Asia/Tokyo").strftime("%z")
    '+0900'
    """
    return get_timezone_manager().now(timezone, tz=tz)


def utcnow() -> datetime:
    """The time now in UTC, aware.

    >>> utcnow().tzinfo
    datetime.timezone.utc
    """
    return datetime.now(UTC)


@overload
def to_utc(
    time: datetime, timezone: Zone | None = None, *, transition: Transition = "fold", tz: Zone | None = None
) -> datetime: ...
@overload
def to_utc(
    time: None, timezone: Zone | None = None, *, transition: Transition = "fold", tz: Zone | None = None
) -> None: ...
def to_utc(
    time: datetime | None, timezone: Zone | None = None, *, transition: Transition = "fold", tz: Zone | None = None
) -> datetime | None:
    """The instant in UTC, None of None; a time without a zone is taken in `timezone`, or in the default one.

    >>> to_utc(datetime(2026, 7, 1, 12), "Europe/London").isoformat()
    '2026-07-01T11:00:00+00:00'
    """
    if time is None:
        return None
    zone = _either(timezone, tz=tz)
    return _instant(time, get_timezone_manager().default_timezone if zone is None else zone, transition)


def to_user_timezone(
    time: datetime, timezone: Zone | None = None, *, transition: Transition = "fold", user_tz: Zone | None = None
) -> datetime:
    """The same instant in that zone, or in the user's; a time without a zone is taken in the default one.

    An aware time and a zone ask nothing of the process's own zones.

    >>> to_user_timezone(datetime(2026, 7, 1, 12, tzinfo=UTC), "Asia/Tokyo").isoformat()
    '2026-07-01T21:00:00+09:00'
    """
    zone = _either(timezone, user_tz=user_tz)
    if zone is not None and _is_aware(time):
        return _instant(time, UTC, transition).astimezone(_zone(zone))
    return get_timezone_manager().to_user_timezone(time, zone, transition=transition)


def convert_utc_to_user_tz(time: datetime, timezone: Zone | None = None, *, user_tz: Zone | None = None) -> datetime:
    """A time of UTC in that zone, or in the user's; here a time without a zone is one of UTC.

    >>> convert_utc_to_user_tz(datetime(2026, 7, 1, 12), "Asia/Tokyo").isoformat()
    '2026-07-01T21:00:00+09:00'
    """
    return to_user_timezone(_instant(time, UTC, "fold"), timezone, user_tz=user_tz)


def ensure_timezone_aware(
    time: datetime, timezone: Zone | None = None, *, transition: Transition = "fold", tz: Zone | None = None
) -> datetime:
    """An aware time as it is; one without a zone in `timezone`, or in the default one, as its clocks show it.

    >>> ensure_timezone_aware(datetime(2026, 7, 1, 12), "Asia/Tokyo").isoformat()
    '2026-07-01T12:00:00+09:00'
    """
    if _is_aware(time):
        return time
    given = _either(timezone, tz=tz)
    zone = _zone(get_timezone_manager().default_timezone if given is None else given)
    return _instant(time, zone, transition).astimezone(zone)


def _either(timezone: Zone | None, **also: Zone | None) -> Zone | None:
    """The zone of a call, by whichever of its two names it was given; ConfigurationError where it was given twice, and as two."""
    ((name, other),) = also.items()
    if timezone is not None and other is not None and timezone != other:
        raise ConfigurationError(
            f"timezone is {shorten(repr(timezone))} and {name} is {shorten(repr(other))}: both name the zone, give one of them"
        )
    return other if timezone is None else timezone


def _instant(time: datetime, timezone: Zone, transition: Transition) -> datetime:
    """The instant in UTC. All ways lead through here, so that all read a clock alike."""
    if _is_aware(time):
        return time.astimezone(UTC)
    if transition not in ("fold", "raise"):
        raise ConfigurationError(f"transition must be 'fold' or 'raise', not {shorten(repr(transition))}")
    local = time.replace(tzinfo=_zone(timezone))
    if transition == "raise":
        _check_unambiguous(time, local)
    return local.astimezone(UTC)


def _is_aware(time: datetime) -> bool:
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
def _zone(timezone: Zone) -> tzinfo:
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
