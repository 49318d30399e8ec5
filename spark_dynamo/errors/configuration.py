"""Values of configurations and options that can't be used."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from spark_dynamo.errors.base import DynamoDBWrapperError
from spark_dynamo.errors.texts import nearest


class ConfigurationError(DynamoDBWrapperError, ValueError):
    """A configuration value that can't be used."""


class OptionError(ConfigurationError):
    """An option of the data source that is unknown, malformed or contradicts another."""

    def __init__(self, option: str, problem: str, known: Iterable[str] = ()) -> None:
        close = nearest(option, known)
        hint = f" Did you mean '{close}'?" if close else ""
        super().__init__(f"Option '{option}' {problem}.{hint}")
        self.option = option


class LocalTimeError(ConfigurationError):
    """A time without an offset that its zone's clocks skip, or show twice, so that it stands for no one instant.

    `earlier` and `later` are the two instants that it could stand for, in UTC.
    """

    def __init__(self, time: datetime, timezone: str, earlier: datetime, later: datetime, *, skipped: bool) -> None:
        what = "is skipped" if skipped else "comes twice"
        super().__init__(
            f"{time.isoformat(sep=' ')} {what} in {timezone}, where the clocks change: it could be "
            f"{earlier:%Y-%m-%d %H:%M:%S} or {later:%Y-%m-%d %H:%M:%S} UTC. Give the time with its offset, or pass "
            "transition='fold' to take the one that the time's fold says"
        )
        self.time = time
        self.timezone = timezone
        self.earlier = earlier
        self.later = later
        self.skipped = skipped
