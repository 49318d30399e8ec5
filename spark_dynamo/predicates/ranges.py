"""Sets of values of one DynamoDB attribute, as DynamoDB orders them: intervals, and unions of intervals.

Values are `str` for S (Python's order by code points is the order of UTF-8 bytes), `decimal.Decimal` for N, `bytes` for
B and `bool` for BOOL, which DynamoDB compares for equality only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias

Wire: TypeAlias = str | Decimal | bytes | bool
_Key: TypeAlias = tuple[int, Any, int]  # compares bounds: -1 and 1 are the infinite ends, the last member is the side


@dataclass(frozen=True, slots=True)
class Interval:
    """All values from `low` to `high`; None is no bound on that side.

    >>> "b" in Interval("a", "c", high_inclusive=False), "c" in Interval("a", "c", high_inclusive=False)
    (True, False)
    """

    low: Wire | None = None
    high: Wire | None = None
    low_inclusive: bool = True
    high_inclusive: bool = True

    @property
    def is_point(self) -> bool:
        """Whether it holds one value alone, which is `low`."""
        return self.low is not None and self.low == self.high

    def __contains__(self, value: Wire) -> bool:
        return _low(self) <= (0, value, 0) <= _high(self)


@dataclass(frozen=True, slots=True)
class Domain:
    """Disjoint intervals in order, or all there is.

    Where `intervals` is None, nothing is known about the attribute, not even that it exists. Else it exists, with its
    tag, and with a value in one of the intervals; of none, no item fits.

    >>> one_to_five = Domain.of(Interval(Decimal(1), Decimal(5)))
    >>> one_to_five & Domain.points([Decimal(4), Decimal(7)])
    Domain(intervals=(Interval(low=Decimal('4'), high=Decimal('4'), low_inclusive=True, high_inclusive=True),))
    """

    intervals: tuple[Interval, ...] | None

    @classmethod
    def of(cls, *intervals: Interval) -> Domain:
        """The union of any intervals, also of empty, overlapping and unordered ones."""
        merged: list[Interval] = []
        for interval in sorted(filter(_holds_any, intervals), key=_low):
            if merged and _touch(merged[-1], interval):
                merged[-1] = _between(_low(merged[-1]), max(_high(merged[-1]), _high(interval)))
            else:
                merged.append(_between(_low(interval), _high(interval)))
        return cls(tuple(merged))

    @classmethod
    def points(cls, values: Iterable[Wire]) -> Domain:
        """These values and no others."""
        return cls(tuple(Interval(value, value) for value in _sorted(values)))

    @classmethod
    def all_but(cls, values: Iterable[Any]) -> Domain:
        """All values but these."""
        points = _sorted(values)
        ends = zip([None, *points], [*points, None], strict=True)
        return cls(tuple(Interval(low, high, low is None, high is None) for low, high in ends))

    @property
    def is_all(self) -> bool:
        """Whether nothing is known."""
        return self.intervals is None

    @property
    def is_empty(self) -> bool:
        """Whether no value fits."""
        return self.intervals == ()

    @property
    def only_points(self) -> tuple[Wire, ...] | None:
        """The values, in order, where they are finitely many, else None."""
        if self.intervals is None or not all(interval.is_point for interval in self.intervals):
            return None
        return tuple(interval.low for interval in self.intervals if interval.low is not None)

    @property
    def hull(self) -> Interval | None:
        """The one interval around all; None where the domain is empty or all."""
        return _between(_low(self.intervals[0]), _high(self.intervals[-1])) if self.intervals else None

    def __contains__(self, value: Wire) -> bool:
        if self.intervals is None:
            return True
        begun = bisect_right(self.intervals, (0, value, 0), key=_low)
        return begun > 0 and value in self.intervals[begun - 1]

    def __and__(self, other: Domain) -> Domain:
        return intersection([self, other])

    def __or__(self, other: Domain) -> Domain:
        if self.intervals is None or other.intervals is None:
            return ALL
        return Domain.of(*self.intervals, *other.intervals)


ALL: Final = Domain(None)
EXISTS: Final = Domain((Interval(),))
NOTHING: Final = Domain(())


def union(domains: Iterable[Domain]) -> Domain:
    """The union of many domains."""
    intervals: list[Interval] = []
    for domain in domains:
        if domain.intervals is None:
            return ALL
        intervals += domain.intervals
    return Domain.of(*intervals)


def intersection(domains: Iterable[Domain]) -> Domain:
    """What is in all of the domains: what is in none of their gaps, which takes one sort however many they are."""
    known = [domain.intervals for domain in domains if domain.intervals is not None]
    if len(known) < 2:
        return Domain(known[0]) if known else ALL
    return Domain(_gaps(Domain.of(*(gap for intervals in known for gap in _gaps(intervals))).intervals or ()))


def prefixed(prefix: str) -> Interval:
    """All texts that begin with `prefix`.

    >>> prefixed("ab")
    Interval(low='ab', high='ac', low_inclusive=True, high_inclusive=False)
    """
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return Interval(prefix)
    following = ord(stem[-1]) + 1
    if following == 0xD800:  # surrogates are no characters
        following = 0xE000
    return Interval(prefix, stem[:-1] + chr(following), high_inclusive=False)


def _sorted(values: Iterable[Any]) -> list[Any]:
    """The different ones, in order."""
    return sorted(set(values))


def _low(interval: Interval) -> _Key:
    if interval.low is None:
        return (-1, 0, 0)
    return (0, interval.low, 0 if interval.low_inclusive else 1)


def _high(interval: Interval) -> _Key:
    if interval.high is None:
        return (1, 0, 0)
    return (0, interval.high, 0 if interval.high_inclusive else -1)


def _gaps(intervals: tuple[Interval, ...]) -> tuple[Interval, ...]:
    """The values between, before and behind disjoint intervals in order."""
    gaps: list[Interval] = []
    low: _Key = (-1, 0, 0)
    for interval in intervals:
        if interval.low is not None:
            gaps.append(_between(low, (0, interval.low, -int(interval.low_inclusive))))
        if interval.high is None:
            return tuple(gaps)
        low = (0, interval.high, int(interval.high_inclusive))
    return (*gaps, _between(low, (1, 0, 0)))


def _holds_any(interval: Interval) -> bool:
    return _low(interval) <= _high(interval)


def _touch(first: Interval, second: Interval) -> bool:
    """Whether no value lies between the two, of which `first` begins first."""
    end, start = _high(first), _low(second)
    return start <= end or (end[:2] == start[:2] and start[2] - end[2] < 2)


def _between(low: _Key, high: _Key) -> Interval:
    return Interval(
        None if low[0] else low[1],
        None if high[0] else high[1],
        low_inclusive=low[2] == 0,
        high_inclusive=high[2] == 0,
    )
