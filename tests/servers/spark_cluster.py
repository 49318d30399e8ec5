"""A standalone cluster of Spark on this machine: a master, and workers with one core each, out of pip's pyspark."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyspark

from .spark_classes import java_options
from .spark_driver import Family, command, wait_until

_HOME = Path(pyspark.__file__).parent
_ADDRESS = re.compile(r"Starting Spark master at (spark://\S+)")


@dataclass(frozen=True)
class Cluster:
    """The master's address, `spark://127.0.0.1:<port>`, and all processes of the cluster."""

    master: str
    family: Family

    def executors(self) -> set[int]:
        """The process ids of the JVMs in which tasks run."""
        return {pid for pid in self.family.members() if "CoarseGrainedExecutorBackend" in command(pid)}


@contextmanager
def spark_cluster(workers: int = 2) -> Iterator[Cluster]:
    """The cluster, once all workers have registered; at the end no process of it is left."""
    family = Family()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="spark-cluster-", ignore_cleanup_errors=True)))
        stack.callback(family.end)  # executors outlive a worker that is killed
        log = _start(stack, family, folder, "master.Master")
        wait_until(lambda: _ADDRESS.search(log.read_text()) is not None, "the master has an address")
        found = _ADDRESS.search(log.read_text())
        assert found is not None
        for number in range(workers):
            place = str(folder / f"work-{number}")
            _start(
                stack,
                family,
                folder,
                "worker.Worker",
                *(["--cores", "1", "--memory", "1g", "--work-dir"]),
                place,
                found[1],
            )
        wait_until(lambda: log.read_text().count("Registering worker") == workers, "all workers have registered")
        yield Cluster(found[1], family)


def _start(stack: ExitStack, family: Family, folder: Path, name: str, *arguments: str) -> Path:
    """Start one of Spark's own servers on free ports; the file with its log."""
    log = folder / f"{name}.log"
    output = stack.enter_context(log.open("ab"))
    address = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
    process = subprocess.Popen(
        [_HOME / "bin" / "spark-class", f"org.apache.spark.deploy.{name}", *address, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={
            **family.environment,
            "SPARK_HOME": str(_HOME),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_JAVA_OPTS": java_options(),
        },
        cwd=folder,
    )
    stack.callback(_stop, process)
    return log


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
