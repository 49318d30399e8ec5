"""How long runs and stages took, as their rows have it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

__all__ = ["seconds_between"]


def seconds_between(start: datetime | None, end: datetime | None) -> Decimal | None:
    """Seconds between two times, to the microsecond; None where one is not known, or the clock was set back meanwhile.

    >>> seconds_between(datetime(2026, 11, 1, 8), datetime(2026, 11, 1, 8, 1, 30))
    Decimal('90.000000')
    """
    if start is None or end is None or end < start:
        return None
    return Decimal((end - start) // timedelta(microseconds=1)).scaleb(-6)
