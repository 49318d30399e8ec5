"""The zone of times that a model took to be UTC as they carried none, so that a call that states a zone can take them anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

__all__ = ["ASSUMED_UTC"]


class _AssumedUtc(tzinfo):
    """UTC in all that can be asked of it, equal to it and printed like it; only `is` tells the two apart."""

    def utcoffset(self, dt: datetime | None) -> timedelta:
        return timedelta(0)

    def dst(self, dt: datetime | None) -> None:
        return None

    def tzname(self, dt: datetime | None) -> str:
        return "UTC"

    def fromutc(self, dt: datetime) -> datetime:
        return dt.replace(tzinfo=UTC)  # an instant that is converted to this zone is known, not assumed

    def __eq__(self, other: object) -> bool:
        return other is self or other == UTC

    def __hash__(self) -> int:
        return hash(UTC)

    def __repr__(self) -> str:
        return repr(UTC)

    def __str__(self) -> str:
        return "UTC"

    def __reduce__(self) -> str:
        return "ASSUMED_UTC"  # copies and pickles are the very same object


ASSUMED_UTC = _AssumedUtc()
