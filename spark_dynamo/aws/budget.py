"""A task's share of the capacity that a job may consume: requests wait until what was consumed before is paid for.

A request is charged with what it is expected to cost when it starts, and with the rest when its answer tells what it did
cost. Where the share is small, a page of 1 MB would be seconds' worth of it, so requests are made smaller.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

from __future__ import annotations

import math
import threading
import time

PAGE_UNITS = 128.5  # what a page of 1 MB costs, eventually consistent
_REQUEST_SECONDS = 0.25  # the largest part of the share that one request may cost
_CREDIT_SECONDS = 0.1  # what a late request may catch up on, so that threads that wake up late lose nothing
_LOOK_SECONDS = 0.2  # how often who waits looks whether the task has ended
_MEMORY = 0.75  # what an earlier request counts beside a later one, where costs are learned
_UNKNOWN_ITEM_BYTES = 4096.0


class Budget:
    """Capacity units per second that one task may consume; its threads share it, and it knows nothing of other tasks.

    `average_item_bytes` is needed only where a server does not tell what a request consumed; without it the size of the
    answers is taken, which a projection makes smaller and JSON larger than what DynamoDB counts.

    >>> budget = Budget(100.0)
    >>> with budget.reserve(threading.Event()) as reservation:
    ...     print(reservation.limit)  # the first request shows what an item costs
    ...     reservation.settle(0.5, items=1)
    1
    >>> with budget.reserve(threading.Event()) as reservation:
    ...     print(reservation.limit)  # 25 units are the share of a quarter of a second
    50
    """

    def __init__(self, units_per_second: float = math.inf, *, average_item_bytes: float | None = None) -> None:
        if not units_per_second > 0:
            raise ValueError(f"a budget of {units_per_second} units per second lets nothing happen")
        self.units_per_second = units_per_second
        self._average_item_bytes = average_item_bytes
        self._changed = threading.Condition()
        self._paid_at = time.monotonic()  # when all that was charged so far is paid for
        self._is_probing = False  # the first small request is under way
        self._units = self._items = 0.0  # of recent requests
        self._request_units: float | None = None

    def reserve(
        self, stop: threading.Event, *, most: int | None = None, each: float = 0.5, page: float = PAGE_UNITS
    ) -> Reservation:
        """Wait until a request may start, and charge it; returns at once where `stop` is set.

        `most` is the number of items that the request names (keys, puts), None for a page of unknown length; an item costs
        `each` at least, a whole page `page`.
        """
        with self._changed:
            self._wait(stop)
            limit, expected = self._size(most, each, page)
            self._charge(expected)
            return Reservation(self, stop, limit, expected)

    def estimate(self, items: int, *, item_bytes: float | None, separately: bool, consistent: bool) -> float:
        """The read units of items whose answer does not tell: separately read ones are rounded up to 4 KB one by one."""
        size = self._average_item_bytes or item_bytes or _UNKNOWN_ITEM_BYTES
        blocks = items * math.ceil(size / 4096) if separately else math.ceil(items * size / 4096)
        return max(1, blocks) * (1.0 if consistent else 0.5)

    def _size(self, most: int | None, each: float, page: float) -> tuple[int | None, float]:
        """How many items a request may read (None: as many as there are), and what it will cost."""
        affordable = self.units_per_second * _REQUEST_SECONDS
        if math.isinf(affordable):
            return most, 0.0
        if most is None and affordable >= page:
            return None, page if self._request_units is None else self._request_units
        if not self._items:
            self._is_probing = True
            return 1, each
        cost = self._units / self._items
        limit = max(1, min(int(affordable / cost), most or 1_000_000))
        return limit, min(limit * cost, math.inf if most else page)

    def _wait(self, stop: threading.Event) -> None:
        while not stop.is_set():
            delay = _LOOK_SECONDS if self._is_probing else self._paid_at - time.monotonic()
            if delay <= 0:
                return
            self._changed.wait(min(delay, _LOOK_SECONDS))

    def _charge(self, units: float) -> None:
        if units > 0:
            self._paid_at = max(self._paid_at, time.monotonic() - _CREDIT_SECONDS)
        self._paid_at += units / self.units_per_second

    def _settle(self, expected: float, units: float, items: int) -> None:
        with self._changed:
            self._charge(units - expected)
            if items:
                self._units = self._units * _MEMORY + units
                self._items = self._items * _MEMORY + items
            earlier = units if self._request_units is None else self._request_units
            self._request_units = earlier * _MEMORY + units * (1 - _MEMORY)
            self._is_probing = False
            self._changed.notify_all()

    def _renew(self, stop: threading.Event, expected: float) -> None:
        with self._changed:
            self._wait(stop)
            self._charge(expected)


class Reservation:
    """What one request was charged with: use it as a context manager, and settle it when the answer is there."""

    def __init__(self, budget: Budget, stop: threading.Event, limit: int | None, expected: float) -> None:
        self.limit = limit
        self._budget = budget
        self._stop = stop
        self._expected = expected
        self._is_settled = False

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_settled:
            self.settle(0.0, items=0)

    def settle(self, units: float, *, items: int) -> None:
        """Charge what the request did cost, and learn from it what an item costs."""
        self._is_settled = True
        self._budget._settle(self._expected, units, items)

    def renew(self) -> None:
        """Pay once more for the same request, whose answer was lost on its way; waits until it may start again."""
        self._budget._renew(self._stop, self._expected)
