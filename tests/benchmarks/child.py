"""The process that runs one contender: `python -m tests.benchmarks.child MODULE.FUNCTION WARMUPS RUNS ARGUMENTS`.

A contender is a context manager that prepares and yields what is to be timed: a function that returns its number of items.
The last line of standard output is JSON: `{"runs": [[items, seconds, CPU seconds, those of Spark's task workers], ...],
"peak": bytes}`. Only the standard library is imported here, so that a peer's own environment can run it.
"""

import importlib
import json
import os
import resource
import sys
import threading
import time
from pathlib import Path

_PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")
_SPARK_TASKS = b"pyspark.worker"  # the argument of pyspark.daemon that tells workers of tasks from those of planning


def main() -> None:
    contender, warmups, runs, arguments = sys.argv[1:]
    module, _, function = contender.partition(".")
    prepare = getattr(importlib.import_module(f"tests.benchmarks.{module}"), function)
    watch = _Watch()
    timed = []
    with prepare(**json.loads(arguments)) as work:
        for _ in range(int(warmups)):
            work()
        for _ in range(int(runs)):
            start, cpu, workers_cpu = time.perf_counter(), _cpu_seconds(), _workers_cpu_seconds()
            items = work()
            seconds = time.perf_counter() - start
            timed.append((items, seconds, _cpu_seconds() - cpu, _workers_cpu_seconds() - workers_cpu))
        watch.stop()
    print(json.dumps({"runs": timed, "peak": watch.peak() or _own_peak()}), flush=True)


class _Watch(threading.Thread):
    """Looks at the peak memory of Spark's task workers, which the kernel keeps, until they are gone."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._stopped = threading.Event()
        self._peaks: dict[int, int] = {}
        self.start()

    def run(self) -> None:
        while not self._stopped.wait(0.2):
            self._look()

    def stop(self) -> None:
        self._stopped.set()
        self.join()
        self._look()

    def peak(self) -> int:
        return max(self._peaks.values(), default=0)

    def _look(self) -> None:
        for process in _task_workers():
            try:
                status = (_PROC / str(process) / "status").read_text()
            except OSError:
                continue  # it has just ended
            for line in status.splitlines():
                if line.startswith("VmHWM:"):
                    self._peaks[process] = int(line.split()[1]) * 1024


def _own_peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _cpu_seconds() -> float:
    """Of this process, of those beneath it, and of those beneath it that have ended."""
    ended = os.times()
    return time.process_time() + ended.children_user + ended.children_system + sum(map(_cpu_seconds_of, _descendants()))


def _workers_cpu_seconds() -> float:
    """Of Spark's task workers; the daemon that forks them counts those that have ended."""
    return sum(map(_cpu_seconds_of, _task_workers()))


def _cpu_seconds_of(process: int) -> float:
    fields = _stat(process)
    return sum(map(int, fields[11:15])) / _TICK if fields else 0.0  # utime, stime, cutime, cstime


def _task_workers() -> list[int]:
    found = []
    for process in _descendants():
        try:
            arguments = (_PROC / str(process) / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has just ended
        if _SPARK_TASKS in arguments:
            found.append(process)
    return found


def _descendants() -> list[int]:
    """The processes beneath this one; none where there is no /proc."""
    parents = {int(path.name): fields for path in _PROC.glob("[0-9]*") if (fields := _stat(int(path.name)))}
    found = {os.getpid()}
    while more := {pid for pid, fields in parents.items() if int(fields[1]) in found} - found:
        found |= more
    return sorted(found - {os.getpid()})


def _stat(process: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on, as `man proc` numbers them: the name may hold spaces."""
    try:
        return (_PROC / str(process) / "stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


if __name__ == "__main__":
    main()
