"""One thread per process and table that keeps the rows of runs up to date; whoever tells it of a change never waits.

Of each run only that it has changed is noted, and the thread takes a snapshot when it writes: at once when a run begins or
ends, else at most every 5 seconds, a large row less often. Open runs are written again before their lease runs out. While
DynamoDB can't be reached, throttles or refuses, nothing is lost: one warning, then attempts with backoff; what is left when the
process ends, and the oldest of more than 1,000 ended runs that wait, goes to a local file (see `spill_file`).
"""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from weakref import WeakSet

import orjson

from spark_dynamo.aws.connections import interrupt
from spark_dynamo.aws.failures import is_transient
from spark_dynamo.errors import DynamoDBWrapperError, ItemError, RequestFailedError, SchemaError, ValidationError
from spark_dynamo.run_logs.concurrent_appends import Others
from spark_dynamo.run_logs.plain_values import LARGEST_LOG, fit
from spark_dynamo.run_logs.spill_file import MissedLogs
from spark_dynamo.run_logs.state import OPEN_STATUSES, RunState
from spark_dynamo.run_logs.store import LEASE, OWNER, Item, RunStore, Stored, lease_text, written_over

__all__ = ["LEASE_SECONDS", "Recorder"]

LEASE_SECONDS = 120.0  # renewed after a quarter of it
_PACE = 5.0  # seconds between two writes of a run that goes on, and longer where its row has more bytes than this
_LARGE_ROW = 16_000
_MOST_WAITING = 1_000
_FIRST_DELAY, _LONGEST_DELAY, _LONGEST_IN_HASTE = 0.1, 30.0, 0.5
_SMALLEST_LARGEST = 20_000  # bytes; a row that is refused even so is not refused for its size
_SPILLING = 1.0  # seconds of closing that are kept for the file
logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Entry:
    """A run whose row is kept up to date, and what is known of that row."""

    state: RunState
    lease: float
    version: int = 1  # grows with each change
    saved: int = 0  # the version that the row has
    urgent: bool = True
    written_at: float = 0.0
    number: int = 0
    exists: bool = False
    row: Item = field(default_factory=dict)  # what this driver has put there
    others: Others = field(default_factory=Others)
    unsure: set[str] = field(default_factory=set)  # attributes of writes that may have taken effect or not
    numbers: set[int] = field(default_factory=set)  # and their numbers
    size: int = 0  # of that row as it was written, in bytes of JSON
    largest: int = LARGEST_LOG
    is_cut: bool = False
    is_overtaken: bool = False  # its row is not to be written as long as the run is open
    is_given_up: bool = False  # it goes to the file

    @property
    def due(self) -> float:
        if self.is_given_up:
            return -1.0
        if self.version > self.saved:
            # a large row costs more units: it is written less often
            pace = _PACE * max(1.0, self.size / _LARGE_ROW)
            return 0.0 if self.urgent else self.written_at + min(pace, self.lease / 4)
        return float("inf") if self.is_overtaken else self.written_at + self.lease / 4


class Recorder:
    """Writes the runs that it is told of into `store`; its thread is a daemon and starts with the first of them.

    `most_waiting` bounds the ended runs that wait, `folder` is where the file of missed ones goes (None: the system's for
    temporary files). `last_error` is why the newest attempt failed, None where it did not.
    """

    def __init__(self, store: RunStore, *, most_waiting: int = _MOST_WAITING, folder: Path | None = None) -> None:
        self.last_error: Exception | None = None
        self._store = store
        self._most_waiting = most_waiting
        self._missed = MissedLogs(store.table, folder)
        self._condition = threading.Condition()  # with a reentrant lock: a signal's handler may come in between
        self._entries: dict[str, _Entry] = {}
        self._over: WeakSet[RunState] = WeakSet()  # ended runs that are dealt with
        self._thread: threading.Thread | None = None
        self._closed = False
        self._in_haste = 0
        self._retry_at = 0.0
        self._failures = 0
        self._warned = self._refused = False

    @property
    def missed_path(self) -> Path | None:
        """The file of missed run logs, None as long as there is none."""
        return self._missed.path

    def changed(self, state: RunState, *, urgent: bool = False, lease: float = LEASE_SECONDS) -> None:
        """Note that a run has changed; `lease` is that of a run that is new here, in seconds."""
        with self._condition:
            if state in self._over:
                return
            entry = self._entries.get(state.run_id)
            if entry is None:
                self._entries[state.run_id] = entry = _Entry(state, lease)
            elif not entry.is_overtaken or state.is_ended:
                entry.version += 1
                entry.urgent |= urgent
            self._start()
            self._condition.notify_all()

    def flush(self, timeout: float = 5.0) -> bool:
        """Write all that has changed until now, without a pause; False where some of it was not within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._condition:
            wanted = {entry: entry.version for entry in self._entries.values() if entry.version > entry.saved}
            for entry in wanted:
                entry.urgent = True
            self._in_haste += 1
            self._retry_at = 0.0
            self._condition.notify_all()
            try:
                done = self._condition.wait_for(
                    lambda: all(entry.saved >= version for entry, version in wanted.items()),
                    max(0.0, deadline - time.monotonic()),
                )
                return done and not any(entry.is_given_up for entry in wanted)
            finally:
                self._in_haste -= 1

    def close(self, timeout: float = 5.0) -> bool:
        """Flush, put what could not be written into the file, and end the thread; False where something could not."""
        deadline = time.monotonic() + timeout
        with self._condition:
            if self._closed:
                return True
        done = self.flush(max(timeout / 2, timeout - _SPILLING))
        with self._condition:
            self._closed = True
            rest = [entry for entry in self._entries.values() if entry.version > entry.saved]
            self._entries.clear()
            self._condition.notify_all()
        for entry in rest:
            self._miss(entry)
        if self._thread is not None and self._thread.ident is not None:
            interrupt([self._thread])
            self._thread.join(max(0.0, min(_SPILLING, deadline - time.monotonic())))
        return done

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._work, name="spark-dynamo-runs", daemon=True)
            with suppress(RuntimeError):  # the interpreter ends: what is left is for `close`
                self._thread.start()

    def _work(self) -> None:
        while self._step():
            pass

    def _step(self) -> bool:
        """Deal with the next entry; False when all is over."""
        entry = self._next()
        if entry is None:
            return False
        if entry.is_given_up:
            self._miss(entry)
            self._saved(entry, entry.version)
            return True
        try:
            self._write(entry)
        except Exception as error:  # the thread must go on whatever happens
            self._failed(entry, error)
        return True

    def _next(self) -> _Entry | None:
        """The entry that is due, when it is; None when all is over."""
        with self._condition:
            while not self._closed:
                now = time.monotonic()
                self._give_up_oldest()
                entry = min(self._entries.values(), key=lambda entry: entry.due, default=None)
                due = float("inf") if entry is None else max(entry.due, self._retry_at)
                if entry is not None and entry.is_given_up:
                    return entry
                if entry is not None and due <= now:
                    return entry
                self._condition.wait(min(due - now, threading.TIMEOUT_MAX))
        return None

    def _write(self, entry: _Entry) -> None:
        """Bring the row up to date in one request."""
        with self._condition:
            version = entry.version
            entry.urgent = False
        log, cut = fit(entry.state.snapshot(), entry.largest)
        if cut and not entry.is_cut:
            entry.is_cut = True
            logger.warning("The log of run %s is too large. %s", log.run_id, cut)
        item = self._store.item(log)
        item.pop("run_id")
        item[OWNER] = {"S": _owner()}
        if log.status in OPEN_STATUSES:
            item[LEASE] = {"S": lease_text(datetime.now(UTC) + timedelta(seconds=entry.lease))}
        joined = entry.others.joined(item)
        told = set(entry.unsure)
        if log.status not in OPEN_STATUSES:
            # what others have begun ends with the run, and so does their word that it is lost
            told |= {"stages", "current_stage", "error_message", "error_stack_trace"}
        changes = {name: joined[name] for name, value in item.items() if name in told or entry.row.get(name) != value}
        removed = frozenset((entry.row.keys() | told) - item.keys())
        entry.size = len(orjson.dumps(joined))
        # by the clock, so that a driver that takes up a run of another one goes on from there
        entry.number = number = max(entry.number + 1, time.time_ns() // 1_000)
        entry.unsure |= changes.keys() | removed
        entry.others.attempted({name: item[name] for name in changes})
        entry.numbers.add(number)
        found = self._store.save(
            log.run_id,
            changes,
            removed,
            status=log.status,
            number=number,
            create=not entry.exists,
            sizes={name: size for name, size in entry.others.sizes.items() if name in changes},
            stages=entry.others.statuses if "stages" in changes else {},
        )
        self._succeeded()
        if found is None or (found.status == log.status and found.number in _conclusive(entry, log.status)):
            entry.row, entry.exists = item, True
            entry.others.written(changes)
            entry.unsure.clear()
            entry.numbers.clear()
        elif self._is_to_repeat(entry, found, log.status):
            return
        else:
            logger.warning(
                "The row of run %s says '%s': '%s' is not written over it", log.run_id, found.status, log.status
            )
            entry.is_overtaken = True
        self._saved(entry, version, is_ended=log.status not in OPEN_STATUSES)

    def _saved(self, entry: _Entry, version: int, *, is_ended: bool = True) -> None:
        with self._condition:
            entry.saved, entry.written_at = version, time.monotonic()
            if is_ended:  # the end may have been seen before it was told
                entry.saved = entry.version
                self._over.add(entry.state)
                self._entries.pop(entry.state.run_id, None)
            self._condition.notify_all()

    def _is_to_repeat(self, entry: _Entry, found: Stored, status: str) -> bool:
        """Whether the next attempt takes account of what stood in the way of a log of that status."""
        if found.status is None and entry.exists:  # somebody has deleted the row
            entry.exists, entry.row, entry.others = False, {}, Others()
            entry.unsure.clear()
        elif found.status in OPEN_STATUSES and (found.number or 0) >= entry.number:  # a clock is ahead of this one
            entry.number = found.number or 0
        elif found.status in written_over(status) and (found.number or 0) < entry.number:
            entry.others.found(found.row)  # somebody has put more into the lists
        else:
            return False
        with self._condition:
            entry.urgent = True
            entry.version += entry.version == entry.saved
        return True

    def _succeeded(self) -> None:
        if self._failures:
            logger.info("Run logs can be written to table '%s' again", self._store.table)
        with self._condition:
            self._failures, self._retry_at, self.last_error = 0, 0.0, None

    def _failed(self, entry: _Entry, error: Exception) -> None:
        """Note a failure: wait, or give up the row where the cause is in it."""
        self.last_error = error
        if isinstance(error, RequestFailedError) and error.code == "ValidationException":
            entry.largest //= 2  # perhaps others have made the row large
            if entry.largest >= _SMALLEST_LARGEST:
                entry.urgent = True
                return
        elif isinstance(error, DynamoDBWrapperError) and not isinstance(
            error, ItemError | SchemaError | ValidationError
        ):
            self._wait(entry, error)
            return
        level = (
            logging.DEBUG if self._refused else logging.WARNING
        )  # perhaps all are refused, as by a table with other keys
        self._refused = True
        logger.log(level, "The log of run %s can't be written: %s", entry.state.run_id, error)
        with self._condition:
            entry.is_overtaken = True
            entry.is_given_up = entry.state.is_ended
            entry.saved = entry.saved if entry.is_given_up else entry.version
            self._condition.notify_all()

    def _wait(self, entry: _Entry, error: DynamoDBWrapperError) -> None:
        """Put off the next attempt; the first failure that is more than a moment's is told."""
        with self._condition:
            self._failures += 1
            longest = _LONGEST_IN_HASTE if self._in_haste else _LONGEST_DELAY
            delay = min(longest, _FIRST_DELAY * 2 ** min(self._failures, 16)) * random.uniform(0.5, 1)  # noqa: S311
            self._retry_at = time.monotonic() + delay
            entry.urgent = True
        # a single failure that may pass, as of a connection that was idle for long, is no news
        passes = error.original_error is not None and is_transient(error.original_error)
        if self._warned or (passes and self._failures < 2):
            logger.debug("Writing run logs to table '%s' failed: %s", self._store.table, error)
            return
        self._warned = True
        logger.warning(
            "Run logs can't be written to table '%s' for now; the job goes on, they are kept, and it is tried again: %s",
            self._store.table,
            error,
        )

    def _give_up_oldest(self) -> None:
        waiting = [entry for entry in self._entries.values() if entry.state.is_ended]
        for entry in waiting[: max(0, len(waiting) - self._most_waiting)]:
            entry.is_given_up = True

    def _miss(self, entry: _Entry) -> None:
        try:
            self._missed.add(entry.state.snapshot())
        except Exception:
            logger.warning("The log of run %s is lost", entry.state.run_id, exc_info=True)


def _conclusive(entry: _Entry, status: str) -> set[int | None]:
    """The write numbers by which a row that is found tells that the write took effect: after an end nothing changes any more."""
    return {entry.number} if status in OPEN_STATUSES else {*entry.numbers}


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
