"""A driver program of Spark in a process of its own, which runs code as it is told, and all processes that come from it.

They are found by a mark in their environment, which children inherit, so that nothing escapes that has lost its parent.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

_MARK = "SPARK_DYNAMO_TEST_PROCESS"
_LOOK_SECONDS = 0.05
_END_SECONDS = 60.0  # on a machine that is busy with other things
_ESTABLISHED = "01"  # of /proc/net/tcp

# It reads lines of JSON and answers each by one. Whatever is no Exception ends it, as Ctrl-C ends a script.
_PROGRAM = """
import json, sys
from pyspark.sql import SparkSession

def start(config):
    builder = SparkSession.builder
    for name, value in config.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    return session

def answer(**said):
    print("answer " + json.dumps(said), flush=True)

config = json.loads(sys.argv[1])
names = {"spark": start(config), "start": start, "config": config}
answer(result="ready")
for line in sys.stdin:
    asked = json.loads(line)
    names.update(asked["variables"], result=None)
    try:
        exec(asked["code"], names)
    except Exception as error:
        answer(error=f"{type(error).__name__}: {error}")
    else:
        answer(result=names["result"])
names["spark"].stop()
"""

CONFIG = {
    "spark.driver.host": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "OFF",
}


class DriverError(Exception):
    """The code raised an error; the message has its class and text."""


@dataclass
class Driver:
    """A running driver program."""

    process: subprocess.Popen[str]
    family: Family
    _folder: Path

    @property
    def log(self) -> str:
        """What it and its processes have said on standard error."""
        return (self._folder / "log").read_text()

    @property
    def temporary_files(self) -> set[str]:
        """The names in its folder for temporary files, which is its own."""
        return {path.name for path in (self._folder / "tmp").iterdir()}

    def run(self, code: str, **variables: Any) -> Any:
        """What the code assigns to `result`; it sees `spark` and the variables, which JSON must be able to say."""
        self.begin(code, **variables)
        return self.finish()

    def begin(self, code: str, **variables: Any) -> None:
        """Let the driver run code, and don't wait for it."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"code": code, "variables": variables}) + "\n")
        self.process.stdin.flush()

    def finish(self) -> Any:
        """What the code came to that was begun."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("answer "):
                answer = json.loads(line.removeprefix("answer "))
                if "error" in answer:
                    raise DriverError(answer["error"])
                return answer["result"]
        raise DriverError(f"the driver has ended: {self.process.wait()}")

    def interrupt(self) -> None:
        """What Ctrl-C does: SIGINT for all processes of the terminal's group."""
        os.killpg(self.process.pid, signal.SIGINT)


@dataclass(frozen=True)
class Family:
    """All processes that come from one, by the mark in their environment."""

    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def environment(self) -> Mapping[str, str]:
        return {**os.environ, _MARK: self.mark}

    def members(self) -> set[int]:
        """The process ids of those that live."""
        mark = f"{_MARK}={self.mark}".encode()
        return {pid for pid in _processes() if mark in _read(pid, "environ").split(b"\0")}

    def end(self) -> None:
        """End what is left of them by force, and wait until nothing is."""
        for pid in self.members():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.members(), "all processes have ended")


@contextmanager
def spark_driver(config: Mapping[str, str]) -> Iterator[Driver]:
    """A driver with a session of that configuration beside `CONFIG`; at the end nothing of it is left."""
    family = Family()
    with TemporaryDirectory(prefix="spark-driver-") as folder, Path(folder, "log").open("wb") as log:
        Path(folder, "tmp").mkdir()
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, json.dumps({**CONFIG, **config})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**family.environment, "TMPDIR": f"{folder}/tmp"},
            start_new_session=True,
        )
        try:
            with process:  # closes its standard input, at which it ends
                driver = Driver(process, family, Path(folder))
                driver.finish()
                yield driver
            wait_until(lambda: not family.members(), "the driver's processes have ended")
        finally:
            family.end()


def clients_of(endpoint: str) -> Counter[int]:
    """How many connections to a server on this machine each process has, this one aside, by process id."""
    port = urlsplit(endpoint).port
    sockets: set[str] = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        if columns[3] == _ESTABLISHED and int(columns[2].rpartition(":")[2], 16) == port:
            sockets.add(f"socket:[{columns[9]}]")
    others = (pid for pid in _processes() if pid != os.getpid())
    return +Counter({pid: len(sockets & _open_files(pid)) for pid in others})


def kill(pids: Iterable[int]) -> None:
    """SIGKILL, which no process can do anything about."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def parent(pid: int) -> int:
    """The id of the process that started it."""
    return int(_read(pid, "stat").rpartition(b")")[2].split()[1])


def command(pid: int) -> str:
    """Its command line; empty where there is no such process any more."""
    return _read(pid, "cmdline").replace(b"\0", b" ").decode()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = _END_SECONDS) -> float:
    """Wait until that is so; for how many seconds. AssertionError after so many."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"it is not so after {seconds} s: {what}"
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - began


def _processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:  # it has ended, or is another user's
        return b""


def _open_files(pid: int) -> set[str]:
    folder = Path("/proc", str(pid), "fd")
    try:
        return {str(file.readlink()) for file in folder.iterdir()}
    except OSError:
        return set()
