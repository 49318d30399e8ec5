"""What a process has once: a recorder for each table, the runs that are open, their end when the process ends or is forked."""

from __future__ import annotations

import atexit
import multiprocessing
import multiprocessing.util
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from spark_dynamo.aws.client import Connection
from spark_dynamo.run_logs.recorder import Recorder
from spark_dynamo.run_logs.store import RunStore

__all__ = ["before_exit", "close_recorders", "flush_recorders", "recorder_for"]

EXIT_SECONDS = 5.0
_LONGEST_CONNECT = 2.0  # seconds
_LONGEST_READ = 5.0

_lock = threading.RLock()
_recorders: dict[tuple[Connection, str], Recorder] = {}
_before_exit: list[Callable[[], None]] = []


def recorder_for(connection: Connection, table: str) -> Recorder:
    """The process's recorder for that table, made when it is first asked for; it is closed when the process ends."""
    key = connection, table
    with _lock:
        recorder = _recorders.get(key)
        if recorder is None:
            hasty = replace(
                connection,
                connect_timeout=min(connection.connect_timeout, _LONGEST_CONNECT),
                read_timeout=min(connection.read_timeout, _LONGEST_READ),
            )
            if not _recorders and multiprocessing.parent_process() is not None:
                # such a process ends without `atexit`
                multiprocessing.util.Finalize(None, _at_exit, exitpriority=100)
            _recorders[key] = recorder = Recorder(RunStore(hasty, table))
        return recorder


def before_exit(action: Callable[[], None]) -> None:
    """Call `action` when the process ends, before the recorders are closed."""
    _before_exit.append(action)


def flush_recorders(timeout: float) -> bool:
    """Flush all of the process's recorders within `timeout` seconds together."""
    with _lock:
        recorders = list(_recorders.values())
    deadline = time.monotonic() + timeout
    done = [recorder.flush(_share(deadline, len(recorders) - place)) for place, recorder in enumerate(recorders)]
    return all(done)


def close_recorders(timeout: float = EXIT_SECONDS) -> bool:
    """Close all of the process's recorders within `timeout` seconds together; the next run gets a new one."""
    with _lock:
        recorders = list(_recorders.values())
        _recorders.clear()
    deadline = time.monotonic() + timeout
    done = [recorder.close(_share(deadline, len(recorders) - place)) for place, recorder in enumerate(recorders)]
    return all(done)


def _share(deadline: float, left: int) -> float:
    return max(0.0, deadline - time.monotonic()) / left


def _at_exit() -> None:
    deadline = time.monotonic() + EXIT_SECONDS - 0.5
    for action in _before_exit:
        action()
    close_recorders(max(1.0, deadline - time.monotonic()))


def _forget() -> None:
    """In a forked child: the recorders' threads are the parent's, and so are its runs."""
    global _lock
    _lock = threading.RLock()
    _recorders.clear()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_forget)
