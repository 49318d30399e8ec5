"""`TimezoneManager`: the zone in which times without one are taken, and the one in which times are shown."""

from __future__ import annotations

import os
from datetime import UTC, datetime, tzinfo
from typing import overload

from spark_dynamo.errors import ConfigurationError, shorten
from spark_dynamo.timezones.instants import Transition, Zone, either, instant_of, is_aware, read_iso, zone_of

__all__ = ["TimezoneManager", "validate_timezone_string"]


def validate_timezone_string(timezone: str) -> str:
    """A name as it was given where it is one of the IANA database; else ConfigurationError, which begins "Invalid timezone".

    >>> validate_timezone_string("Europe/London")
    'Europe/London'
    """
    zone_of(timezone)
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
        zone = either(timezone, tz=tz)
        return zone_of(self._default_timezone if zone is None else zone)

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
        return None if time is None else instant_of(time, self.get_timezone(timezone, tz=tz), transition)

    def to_timezone(
        self,
        time: datetime,
        timezone: Zone | None = None,
        *,
        transition: Transition = "fold",
        tz: Zone | None = None,
    ) -> datetime:
        """An instant in that zone, or in the default one; a time without a zone is taken in the default one."""
        return instant_of(time, self._default_timezone, transition).astimezone(self.get_timezone(timezone, tz=tz))

    def to_user_timezone(
        self,
        time: datetime,
        timezone: Zone | None = None,
        *,
        transition: Transition = "fold",
        user_tz: Zone | None = None,
    ) -> datetime:
        """An instant in that zone, or in the user's; a time without a zone is taken in the default one."""
        zone = either(timezone, user_tz=user_tz)
        return self.to_timezone(time, self.user_timezone if zone is None else zone, transition=transition)

    def get_user_timezone_datetime(
        self, time: datetime | None = None, timezone: Zone | None = None, *, user_tz: Zone | None = None
    ) -> datetime:
        """An instant in that zone, or in the user's, as `to_user_timezone` gives it; without a time, the time now.

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
        if is_aware(time):
            return time
        zone = self.get_timezone(timezone, tz=tz)
        return instant_of(time, zone, transition).astimezone(zone)

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
        zone = either(timezone, tz=tz)
        if zone is not None:
            return self.to_timezone(time, zone, transition=transition)
        return self.ensure_timezone(time, transition=transition)
