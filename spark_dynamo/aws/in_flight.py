"""The requests of one task that are under way at once: as many as latency and throttling make worth it.

A request waits for the network most of its time, so a task needs many of them; but where DynamoDB throttles, or where the
process has no CPU time left, more requests at once get no more done.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from spark_dynamo.aws.connections import interrupt
from spark_dynamo.aws.requests import Requests, Stopped
from spark_dynamo.errors import ConditionFailedError, DynamoDBWrapperError, UnwrittenItemsError

FEWEST, MOST = 4, 64
_WINDOW = 0.1  # seconds between two looks at what a limit got done
_HOLD_THROTTLED, _HOLD = 3.0, 1.0  # seconds without growth after a throttling, and after a growth that brought nothing
_GAIN = 0.3  # the part of the hoped-for gain that a growth must bring
_BUSY, _FULL = 0.8, 0.95  # of one CPU
_MOST_BYTES = 64_000_000  # of the bodies that wait or are under way
_HALT_SECONDS = 1.0  # what a request gets to end by itself when the task ends before its time
_SHOWN_KEYS = 3


class Job(Protocol):
    """One request, and the items that it has still to get done."""

    @property
    def operation(self) -> str:
        """What it does to its items: put, insert, update or delete."""

    @property
    def left(self) -> int:
        """How many of its items are not done yet."""

    @property
    def size(self) -> int:
        """The bytes that it holds in memory."""

    def send(self) -> None:
        """Do it, in one of the flight's threads; whatever it raises ends the task."""

    def keys(self, most: int) -> list[dict[str, object]]:
        """The keys of the first items that are not done yet."""


class Limit:
    """How many requests may be under way: it doubles while that gets more done, and is halved by throttling.

    It looks at windows of a tenth of a second at least. It grows only where the queue was never empty and CPU time was left,
    goes back where a growth brought little, and shrinks where the process has no CPU time left, as more threads than the CPU
    can serve only get in each other's way.
    """

    def __init__(self, fewest: int = FEWEST, most: int = MOST, *, now: float = 0.0, cpu: float = 0.0) -> None:
        self.value = fewest
        self.had_gap = False  # somebody waited for work in this window
        self._fewest = fewest
        self._most = most
        self._growth = 2.0
        self._before: tuple[int, float] | None = None  # the limit before the last growth, and its requests per second
        self._held_until = now
        self._began = now
        self._cpu = cpu
        self._finished = 0
        self._troubles = 0

    def finished(self, now: float) -> bool:
        """Count a request; True where it is time to `adapt`."""
        self._finished += 1
        return now - self._began >= _WINDOW and self._finished >= 2 * self.value

    def adapt(self, now: float, cpu: float, troubles: int) -> None:
        """Choose the limit anew; `cpu` is the process's CPU time and `troubles` the number of throttlings so far."""
        rate = self._finished / (now - self._began)
        busy = (cpu - self._cpu) / (now - self._began)
        before, self._before = self._before, None
        if troubles > self._troubles:
            self._hold(now + _HOLD_THROTTLED, self.value // 2)
        elif before is not None and rate < before[1] * (1 + _GAIN * (self.value / before[0] - 1)):
            self._hold(now + _HOLD, before[0])
        elif busy > _FULL:
            self.value = max(self._fewest, self.value * 3 // 4)
        elif busy < _BUSY and not self.had_gap and now >= self._held_until and self.value < self._most:
            self._before = (self.value, rate)
            self.value = min(self._most, max(self.value + 1, int(self.value * self._growth)))
        self._began, self._cpu, self._troubles, self._finished, self.had_gap = now, cpu, troubles, 0, False

    def _hold(self, until: float, value: int) -> None:
        self.value = max(self._fewest, value)
        self._growth = 1.25
        self._held_until = until


class Flight:
    """The requests of one task that are under way; use it as a context manager, and give it to the task's senders.

    `submit` returns as soon as a job is queued, and waits where too many are; `wait` returns when all are done, as leaving the
    context does. The first job that fails ends them all: `submit` or `wait` then raises `UnwrittenItemsError`, with the first
    keys and the cause. An exception that leaves the context ends all requests within a second or so.
    """

    def __init__(self, requests: Requests, *, fewest: int = FEWEST, most: int = MOST) -> None:
        most = min(most, requests.connection.max_pool_connections)
        self.requests = requests
        self._limit = Limit(min(fewest, most), most, now=time.monotonic(), cpu=time.process_time())
        self._lock = threading.RLock()
        self._work = threading.Condition(self._lock)  # for the threads: there is something to do, or it is over
        self._room = threading.Condition(self._lock)  # for the caller: there is room in the queue, or nothing is left
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._queue: deque[Job] = deque()
        self._under_way: set[Job] = set()
        self._undone: list[Job] = []  # those that ended without being done
        self._bytes = 0
        self._failure: tuple[BaseException, Job] | None = None
        self._is_over = False

    @property
    def limit(self) -> int:
        """How many requests may be under way now."""
        return self._limit.value

    def __enter__(self) -> Flight:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._halt()

    def submit(self, job: Job) -> None:
        """Queue a job; waits for room, raises what a failed job means."""
        with self._room:
            while not self._is_over and self._is_full(job):
                self._room.wait()
            if not self._is_over:
                self._queue.append(job)
                self._bytes += job.size
                self._employ()
                return
        self._raise(job)

    def wait(self) -> None:
        """Return when all that was submitted is done; raise `UnwrittenItemsError` where some of it could not be."""
        with self._room:
            while not self._is_over and (self._queue or self._under_way):
                self._room.wait()
            if not self._is_over:
                return
        self._raise()

    def _is_full(self, job: Job) -> bool:
        if not self._bytes:
            return False
        return len(self._queue) >= 2 * self._limit.value or self._bytes + job.size > _MOST_BYTES

    def _employ(self) -> None:
        """Wake or start as many threads as there is work for within the limit."""
        wanted = min(len(self._queue), self._limit.value - len(self._under_way))
        if wanted <= 0:
            return
        self._work.notify(min(wanted, self._idle))
        for _ in range(wanted - (len(self._threads) - len(self._under_way))):
            name = f"dynamodb-write-{len(self._threads)}"
            # a daemon: a request that nobody answers must not keep the interpreter from ending
            thread = threading.Thread(target=self._serve, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self) -> None:
        """What each thread does until it is over."""
        while True:
            job = self._next()
            if job is None:
                return
            error: BaseException | None = None
            try:
                job.send()
            except BaseException as raised:  # whatever it is, the caller must hear of it
                error = raised
            self._ended(job, error)

    def _next(self) -> Job | None:
        with self._work:
            while not self._is_over:
                if self._queue and len(self._under_way) < self._limit.value:
                    job = self._queue.popleft()
                    self._under_way.add(job)
                    return job
                self._limit.had_gap |= not self._queue
                self._idle += 1
                self._work.wait()
                self._idle -= 1
            return None

    def _ended(self, job: Job, error: BaseException | None) -> None:
        with self._work:
            self._under_way.discard(job)
            self._bytes -= job.size
            if error is not None:
                self._undone.append(job)
                if self._failure is None or isinstance(self._failure[0], Stopped):
                    self._failure = (error, job)
                self._end()
                return
            now = time.monotonic()
            if self._limit.finished(now):
                counts = self.requests.counts
                self._limit.adapt(now, time.process_time(), counts.throttles + counts.unprocessed)
                self._employ()
            is_idle = not (self._queue or self._under_way)
            if is_idle or (len(self._queue) <= self._limit.value and self._bytes <= _MOST_BYTES // 2):
                self._room.notify_all()

    def _end(self) -> None:
        """No further job begins, and whoever waits for backoff wakes up."""
        self._is_over = True
        self._undone.extend(self._queue)
        self._queue.clear()
        self.requests.stop.set()
        self._work.notify_all()
        self._room.notify_all()

    def _halt(self) -> None:
        """End all threads; one that still waits for an answer after a second loses its connection."""
        # Ctrl-C between taking the lock and holding it leaves it to a caller who doesn't know
        with suppress(RuntimeError):
            while True:
                self._lock.release()
        with self._work:
            self._end()
            threads = list(self._threads)
        if _join(threads, _HALT_SECONDS):
            interrupt(threads)
            _join(threads, _HALT_SECONDS)

    def _raise(self, *unsent: Job) -> None:
        """Raise what the failure means, once it is known what else is not done."""
        self._halt()
        if self._failure is None:  # the task was told to end from elsewhere
            raise Stopped
        error, job = self._failure
        if not isinstance(error, DynamoDBWrapperError) or isinstance(error, ConditionFailedError):
            raise error
        with self._work:
            count = sum(other.left for other in {*self._undone, *self._under_way, *unsent})
        keys = job.keys(_SHOWN_KEYS)
        table = self.requests.table
        raise UnwrittenItemsError(table, count, keys, error, operation=job.operation) from error


def write_units(size: int, items: int = 1) -> float:
    """About what the write of items costs whose JSON is that many bytes: a unit for each KB of each.

    >>> write_units(30_000, items=20)
    40.0
    """
    return items * max(1.0, float(-(-size // (1024 * items))))


def consumed_write_units(answer: Mapping[str, Any]) -> float | None:
    """The write units that an answer says it consumed, None where it does not say.

    >>> consumed_write_units({"ConsumedCapacity": [{"TableName": "t", "CapacityUnits": 4.0, "WriteCapacityUnits": 4.0}]})
    4.0
    """
    consumed = answer.get("ConsumedCapacity") or ()
    tables = [consumed] if isinstance(consumed, Mapping) else consumed
    # the answer to a transaction that had been done already names the units of a read
    units = [
        table.get("WriteCapacityUnits", 0.0 if "ReadCapacityUnits" in table else table.get("CapacityUnits", 0.0))
        for table in tables
    ]
    return float(sum(units)) if units else None


def _join(threads: list[threading.Thread], seconds: float) -> list[threading.Thread]:
    """Wait for threads to end, for that long altogether; those that have not."""
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in threads if thread.is_alive()]
