"""What is asked of `runs` and the commands, checked: where the runs are, which statuses, since when, in which zone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.errors import ConfigurationError, shorten
from spark_dynamo.metadata.models import RunStatus
from spark_dynamo.timezones import read_iso

__all__ = ["config_of", "named_zone", "shown_zone", "since_of", "statuses_of"]

_AGO = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def config_of(spark_or_config: Any) -> DynamoDBConfig:
    """The configuration: itself, or that of the environment for None and a Spark session, which says nothing of DynamoDB."""
    if isinstance(spark_or_config, DynamoDBConfig):
        return spark_or_config
    if (
        spark_or_config is None
        or hasattr(spark_or_config, "createDataFrame")
        or hasattr(spark_or_config, "sparkContext")
    ):
        return DynamoDBConfig()
    given = shorten(repr(spark_or_config))
    example = given if isinstance(spark_or_config, str) else "'sales'"
    raise ConfigurationError(
        f"{given} is neither a DynamoDBConfig nor a Spark session: name a pipeline by pipeline_id={example}"
    )


def statuses_of(status: RunStatus | str | Collection[RunStatus | str] | None) -> frozenset[RunStatus]:
    """The statuses; none for None."""
    names = (
        []
        if status is None
        else list(status)
        if isinstance(status, Iterable) and not isinstance(status, str)
        else [status]
    )
    for name in names:
        if name not in list(RunStatus):
            raise ConfigurationError(f"status {shorten(repr(name))} is none of {', '.join(RunStatus)}")
    return frozenset(map(RunStatus, names))


def since_of(since: datetime | date | timedelta | str | None, zone: tzinfo) -> datetime | None:
    """The time since when, with a zone: `zone` where it names none, in which a day begins, too.

    >>> str(since_of("2026-11-01T08:00", UTC)), str(since_of(date(2026, 11, 1), UTC))
    ('2026-11-01 08:00:00+00:00', '2026-11-01 00:00:00+00:00')
    >>> since_of("90m", UTC) < datetime.now(UTC) - timedelta(minutes=89)
    True
    """
    asked = _parsed(since) if isinstance(since, str) else since
    if isinstance(asked, timedelta):
        try:
            return datetime.now(UTC) - asked
        except OverflowError:
            raise ConfigurationError(
                f"since {shorten(repr(since))} is before the year 1: leave it out for all runs"
            ) from None
    if isinstance(asked, date) and not isinstance(asked, datetime):
        asked = datetime.combine(asked, time())
    if asked is not None and not isinstance(asked, datetime):
        raise ConfigurationError(
            f"since {shorten(repr(since))} is neither a time nor how long ago: give a datetime, a timedelta or a text such as '7d'"
        )
    return asked.replace(tzinfo=zone) if asked is not None and asked.tzinfo is None else asked


def _parsed(text: str) -> datetime | timedelta:
    if found := _AGO.fullmatch(text.strip()):
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        return read_iso(text.strip())
    except ValueError:
        raise ConfigurationError(
            f"since {shorten(repr(text))} is neither a duration such as 90m, 24h, 7d, 2w nor a time such as 2026-11-01T08:00"
        ) from None


def shown_zone(config: DynamoDBConfig, user_timezone: str | None) -> tzinfo:
    """The zone in which times are shown: the one asked for, else the configuration's."""
    return named_zone(user_timezone or config.user_timezone or config.default_timezone)


def named_zone(timezone: str | tzinfo) -> tzinfo:
    """The zone of that name; ConfigurationError where there is none."""
    if isinstance(timezone, tzinfo):
        return timezone
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError, TypeError):  # unknown; malformed; a directory of the zone database; no text
        raise ConfigurationError(
            f"Invalid timezone {shorten(repr(timezone))}: give a name of the IANA database, as in 'Europe/London'"
        ) from None
