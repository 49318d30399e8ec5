"""A task's share of the capacity that a job may consume: requests wait until what was consumed before is paid for.

A request is charged with what it is expected to cost when it starts, and with the rest when its answer tells what it did
cost. Where the share is small, a page of 1 MB would be seconds' worth of it, so requests are made smaller.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

from __future__ import annotations

import math
import threading
import time

from spark_dynamo.aws.shared_budget import Clock, Ledger
from spark_dynamo.errors import OptionError

PAGE_UNITS = 128.5  # what a page of 1 MB costs, eventually consistent
_REQUEST_SECONDS = 0.25  # the largest part of the share that one request may cost
_LOOK_SECONDS = 0.2  # how often who waits looks whether the task has ended
_LEAST_UNITS = 1e-6  # of an item: an answer can name no units at all
_MEMORY = 0.75  # what an earlier request counts beside a later one, where costs are learned
_UNKNOWN_ITEM_BYTES = 4096.0


class Budget:
    """Capacity units per second that one task may consume, or several that share a `clock`; a task's threads share it.

    `average_item_bytes` is needed only where a server does not tell what a read consumed; without it the size of the
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

    def __init__(
        self,
        units_per_second: float = math.inf,
        *,
        average_item_bytes: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not units_per_second > 0:
            raise ValueError(f"a budget of {units_per_second} units per second lets nothing happen")
        self.units_per_second = units_per_second
        self._average_item_bytes = average_item_bytes
        self._clock = clock or Clock()
        self._turn = threading.Lock()  # one thread waits for the clock, and the others wait for their turn
        self._changed = threading.Condition()
        self._starts_at = 0.0  # when the thread that waits may go on
        self._is_probing = False  # the first small request is under way
        self._units = self._estimated = 0.0  # of recent requests
        self._request_units: float | None = None

    def reserve(
        self, stop: threading.Event, *, most: int | None = None, each: float = 0.5, page: float = PAGE_UNITS
    ) -> Reservation:
        """Wait until a request may start, and charge it; returns at once where `stop` is set.

        `most` is the number of items that the request names (keys, puts), None for a page of unknown length. An item is
        estimated to cost `each`, a whole page `page`; how far that is from what items do cost is learned.
        """
        if math.isinf(self.units_per_second):
            return Reservation(self, stop, most, 0.0, each)
        with self._turn, self._changed:
            while self._is_probing and not stop.is_set():
                self._changed.wait(_LOOK_SECONDS)
            limit, expected = self._size(most, each, page)
            self._is_probing = not self._estimated and limit is not None
            charged = self._wait(stop, expected)
        return Reservation(self, stop, limit, charged, each)

    def estimate(self, items: int, *, item_bytes: float | None, separately: bool, consistent: bool) -> float:
        """The read units of items whose answer does not tell: separately read ones are rounded up to 4 KB one by one."""
        size = self._average_item_bytes or item_bytes or _UNKNOWN_ITEM_BYTES
        blocks = items * math.ceil(size / 4096) if separately else math.ceil(items * size / 4096)
        return max(1, blocks) * (1.0 if consistent else 0.5)

    def _size(self, most: int | None, each: float, page: float) -> tuple[int | None, float]:
        """How many items a request may have (None: as many as there are), and what it will cost."""
        affordable = self.units_per_second * _REQUEST_SECONDS
        if most is None and affordable >= page:
            return None, page if self._request_units is None else self._request_units
        if not self._estimated:
            return 1, each
        cost = max(each * self._units / self._estimated, _LEAST_UNITS)
        limit = max(1, min(int(affordable / cost), most or 1_000_000))
        return limit, min(limit * cost, math.inf if most else page)

    def _wait(self, stop: threading.Event, units: float) -> float:
        """Charge these units and wait until all before them are paid for; what was charged, nothing where `stop` is set."""
        seconds = units / self.units_per_second
        self._starts_at = time.monotonic() + self._clock.charge(seconds)
        while not stop.is_set():
            delay = self._starts_at - time.monotonic()
            if delay <= 0:
                return units
            self._changed.wait(min(delay, _LOOK_SECONDS))
        self._clock.correct(-seconds)
        return 0.0

    def _settle(self, reservation: Reservation, units: float, items: int) -> None:
        if math.isinf(self.units_per_second):
            return
        with self._changed:
            seconds = (units - reservation.charged) / self.units_per_second
            self._clock.correct(seconds)
            self._starts_at += min(0.0, seconds)  # who waits already gets what is given back
            if items:
                self._units = self._units * _MEMORY + units
                self._estimated = self._estimated * _MEMORY + items * reservation.each
            earlier = units if self._request_units is None else self._request_units
            self._request_units = earlier * _MEMORY + units * (1 - _MEMORY)
            self._is_probing = False
            self._changed.notify_all()

    def _renew(self, reservation: Reservation) -> None:
        if math.isinf(self.units_per_second):
            return
        with self._turn, self._changed:
            self._wait(reservation.stop, reservation.charged)


class Reservation:
    """What one request was charged with: use it as a context manager, and settle it when the answer is there."""

    def __init__(self, budget: Budget, stop: threading.Event, limit: int | None, charged: float, each: float) -> None:
        self.limit = limit
        self.stop = stop
        self.charged = charged  # units
        self.each = each
        self._budget = budget
        self._is_settled = False

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_settled:
            self.settle(0.0, items=0)

    def settle(self, units: float, *, items: int) -> None:
        """Charge what the request did cost, and learn from it what an item costs."""
        self._is_settled = True
        self._budget._settle(self, units, items)

    def renew(self) -> None:
        """Pay once more for the same request, whose answer was lost on its way; waits until it may start again."""
        self._budget._renew(self)


def write_budget(units_per_second: float, ledger: Ledger | None, tasks: int | None = None) -> Budget:
    """A task's part in the write units per second of its whole job.

    `tasks` is the number of tasks that write at once, where it is known (option numPartitions): each has an equal share.
    Otherwise the tasks share what is in the ledger; OptionError where that is on another machine than this task.

    >>> write_budget(100.0, None, tasks=4).units_per_second
    25.0
    """
    if tasks is not None:
        return Budget(units_per_second / tasks)
    clock = ledger.open() if ledger else None
    if clock is None:
        raise OptionError(
            "maxWriteUnits",
            "(or writeRatio) needs numPartitions beside it where tasks run on several machines, or on Windows: as many as "
            "write at once, and each gets an equal share",
        )
    return Budget(units_per_second, clock=clock)
