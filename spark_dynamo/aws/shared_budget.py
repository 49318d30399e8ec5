"""The clocks by which budgets are kept: one of a task's own, or one that the tasks of a job share through a small file.

Nobody tells the tasks of a write how many they are. So the process that plans the write makes a ledger, a file with a random
name in the folder for temporary files, and tasks on the same machine keep one clock in it: `time.monotonic` is the same for
all processes of a machine.
"""

from __future__ import annotations

import os
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_PREFIX = "spark-dynamo-budget-"
_PAID_AT = struct.Struct("<d")
_CREDIT_SECONDS = 0.1  # what a late request may catch up on, so that threads that wake up late lose nothing
_STALE_SECONDS = 7 * 86_400.0  # since a ledger was written last; its job has ended without removing it
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Clock:
    """Until when all is paid for that was charged so far, by `time.monotonic`; its callers charge one after the other.

    >>> clock = Clock()
    >>> clock.charge(60.0), round(clock.charge(1.0)), round(clock.charge(1.0))
    (0.0, 60, 61)
    """

    def __init__(self) -> None:
        self.paid_at = time.monotonic()

    def charge(self, seconds: float) -> float:
        """Charge something with its price in seconds; for how long it must wait until all before it is paid for."""
        with self._turn():
            now = time.monotonic()
            start = max(self.paid_at, now - _CREDIT_SECONDS)
            self.paid_at = start + seconds
            return max(0.0, start - now)

    def correct(self, seconds: float) -> None:
        """Charge what something cost above what it was charged with, or give back what it cost less."""
        with self._turn():
            if seconds > 0:
                self.paid_at = max(self.paid_at, time.monotonic() - _CREDIT_SECONDS)
            self.paid_at += seconds

    @contextmanager
    def _turn(self) -> Iterator[None]:
        yield


class SharedClock(Clock):
    """A clock that several processes of this machine keep together in an open ledger."""

    def __init__(self, file: int) -> None:
        self._file = file

    def __del__(self) -> None:
        os.close(self._file)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            (self.paid_at,) = _PAID_AT.unpack(os.pread(self._file, _PAID_AT.size, 0))
            yield
            os.pwrite(self._file, _PAID_AT.pack(self.paid_at), 0)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the tasks of one job keep their clock: a file of one machine. It is pickled into every task.

    >>> ledger = Ledger.create()
    >>> clock = ledger.open()
    >>> clock.charge(60.0), round(ledger.open().charge(1.0))
    (0.0, 60)
    >>> ledger.remove()
    >>> ledger.open() is None
    True
    """

    path: str
    machine: str

    @classmethod
    def create(cls) -> Ledger:
        """A new one; those that jobs have left behind a week ago are removed. On Windows nobody can open it."""
        _remove_stale()
        file, path = tempfile.mkstemp(prefix=_PREFIX)
        try:
            os.write(file, _PAID_AT.pack(time.monotonic()))
        finally:
            os.close(file)
        return cls(path, _machine())

    def open(self) -> SharedClock | None:
        """The clock in it; None where the ledger is on another machine, or belongs to another user, or is removed."""
        if sys.platform == "win32" or self.machine != _machine():
            return None
        try:
            return SharedClock(os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW))
        except OSError:
            return None

    def remove(self) -> None:
        """Remove it once the job is over; tasks that have it open go on with it."""
        Path(self.path).unlink(missing_ok=True)


def _remove_stale() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()
        except OSError:  # somebody else's, or another process was faster
            continue


def _machine() -> str:
    """What tells machines apart where they share the folder for temporary files, as those of Linux may."""
    return _BOOT.read_text().strip() if _BOOT.exists() else sys.platform
