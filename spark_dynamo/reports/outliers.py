"""What is usual for a pipeline, told from its own runs by a rule that a few odd ones don't sway."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["FEWEST", "Usual", "usual"]

FEWEST = 5  # with fewer, nothing is usual yet
_THRESHOLD = 3.5  # Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993)
_OF_NORMAL = 1.4826  # the standard deviation of normally spread values, in median absolute deviations
_LEAST_SHARE = 0.1  # nobody calls a run slow that took a tenth longer


@dataclass(frozen=True, slots=True)
class Usual:
    """The median of some values and the limits of what is usual around it."""

    median: float
    low: float
    high: float

    def is_outlier(self, value: float) -> bool:
        """Whether a value lies outside the limits."""
        return not self.low <= value <= self.high


def usual(values: Iterable[float]) -> Usual | None:
    """The limits around the median of some values; None of fewer than five.

    A value is an outlier that lies further from the median than 3.5 times the spread, which is the median absolute deviation
    times 1.4826, and further than a tenth of the median. Just under half of the values may be wild, and the limits stay.

    >>> usual([10, 11, 9, 10, 12, 500]).is_outlier(500), usual([10, 11, 9, 10, 12, 500]).is_outlier(12)
    (True, False)
    >>> usual([1, 2, 3, 4])
    """
    known: Sequence[float] = [float(value) for value in values]
    if len(known) < FEWEST:
        return None
    median = statistics.median(known)
    spread = _OF_NORMAL * statistics.median(abs(value - median) for value in known)
    reach = max(_THRESHOLD * spread, _LEAST_SHARE * abs(median))
    return Usual(median, max(0.0, median - reach), median + reach)
