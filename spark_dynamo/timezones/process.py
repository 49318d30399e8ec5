"""The zones of the process, and times by them."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, overload

from spark_dynamo.timezones.instants import Transition, Zone, either, instant_of, is_aware, zone_of
from spark_dynamo.timezones.manager import TimezoneManager

if TYPE_CHECKING:
    from spark_dynamo.config import DynamoDBConfig

__all__ = [
    "configure_timezone_from_config",
    "convert_utc_to_user_tz",
    "ensure_timezone_aware",
    "get_timezone_manager",
    "now_in_tz",
    "set_global_timezone",
    "to_user_timezone",
    "to_utc",
    "utcnow",
]

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
    zone = either(timezone, tz=tz)
    return instant_of(time, get_timezone_manager().default_timezone if zone is None else zone, transition)


def to_user_timezone(
    time: datetime, timezone: Zone | None = None, *, transition: Transition = "fold", user_tz: Zone | None = None
) -> datetime:
    """An instant in that zone, or in the user's; a time without a zone is taken in the default one.

    An aware time and a zone ask nothing of the process's own zones.

    >>> to_user_timezone(datetime(2026, 7, 1, 12, tzinfo=UTC), "Asia/Tokyo").isoformat()
    '2026-07-01T21:00:00+09:00'
    """
    zone = either(timezone, user_tz=user_tz)
    if zone is not None and is_aware(time):
        return instant_of(time, UTC, transition).astimezone(zone_of(zone))
    return get_timezone_manager().to_user_timezone(time, zone, transition=transition)


def convert_utc_to_user_tz(time: datetime, timezone: Zone | None = None, *, user_tz: Zone | None = None) -> datetime:
    """A time of UTC in that zone, or in the user's; here a time without a zone is one of UTC.

    >>> convert_utc_to_user_tz(datetime(2026, 7, 1, 12), "Asia/Tokyo").isoformat()
    '2026-07-01T21:00:00+09:00'
    """
    return to_user_timezone(instant_of(time, UTC, "fold"), timezone, user_tz=user_tz)


def ensure_timezone_aware(
    time: datetime, timezone: Zone | None = None, *, transition: Transition = "fold", tz: Zone | None = None
) -> datetime:
    """An aware time as it is; one without a zone in `timezone`, or in the default one, as its clocks show it.

    >>> ensure_timezone_aware(datetime(2026, 7, 1, 12), "Asia/Tokyo").isoformat()
    '2026-07-01T12:00:00+09:00'
    """
    if is_aware(time):
        return time
    given = either(timezone, tz=tz)
    zone = zone_of(get_timezone_manager().default_timezone if given is None else given)
    return instant_of(time, zone, transition).astimezone(zone)
