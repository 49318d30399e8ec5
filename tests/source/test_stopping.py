"""A write that is stopped ends within seconds, and nothing of it is left, whatever the server does."""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.conftest import Server
from tests.servers.scripted import Reply, refusal, scripted_server
from tests.servers.spark_driver import Driver, DriverError, clients_of, spark_driver, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="which processes are left is read from /proc")

_SOON = 20.0  # seconds, on a busy machine; on an idle one three, of which Spark gives two to a task's Python worker
_DESCRIPTIONS = ("DescribeTable", "DescribeLimits")


@dataclass
class Stuck:
    """A server that gets no write done: where it is, and the operations that came."""

    endpoint: str
    came: list[str] = field(default_factory=list)

    def writers(self) -> set[int]:
        """The processes that write: planning needs one connection at a time, a task several."""
        return {pid for pid, connections in clients_of(self.endpoint).items() if connections > 1}


@contextmanager
def stuck_server(backend: Server, kind: str, honest: tuple[str, ...] = _DESCRIPTIONS) -> Iterator[Stuck]:
    """It never answers, or throttles for ever, but for those operations."""

    def answer(operation: str, request: dict[str, Any]) -> Reply:
        if operation not in honest:
            stuck.came.append(operation)
            return Reply(delay=3600.0) if kind == "silent" else refusal("ThrottlingException")
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "X-Amz-Date": "20260101T000000Z",
            "Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, "
            "SignedHeaders=host, Signature=0",
        }
        asked = urllib.request.Request(backend.endpoint, orjson.dumps(request), headers)
        with urllib.request.urlopen(asked) as answered:
            return Reply(answered.read())

    stuck = Stuck("")
    with scripted_server(answer) as server:
        stuck.endpoint = server.endpoint
        yield stuck


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with spark_driver({"spark.master": "local[2]"}) as started:
        yield started


# The main thread writes, as Spark finds no Python data source in others; another waits for what is to stop it.
_WRITE = """
import pathlib, threading, time

def stop():
    how = pathlib.Path(pipe).read_text()
    moments.append(time.monotonic())
    exec(how)

moments = []
stopper = threading.Thread(target=stop, daemon=True)
stopper.start()
frame = spark.sql("SELECT string(id) id, repeat('x', 100) text FROM range(0, 4000, 1, 2)")
try:
    frame.write.format("dynamo-meta").options(**options).mode(mode).save(table)
except Exception as error:
    result = [time.monotonic() - moments[0], f"{type(error).__name__}: {error}"]
else:
    result = [0.0, "written"]
stopper.join()
"""


@pytest.mark.parametrize(
    ("how", "kind", "operation"),
    [
        pytest.param("spark.sparkContext.cancelAllJobs()", "silent", "put", marks=pytest.mark.slow),
        pytest.param("spark.interruptAll()", "throttling", "insert", marks=pytest.mark.slow),
        ("spark.stop()", "silent", "insert"),
    ],
)
def test_a_write_under_way_is_stopped(
    local_server: Server, driver: Driver, tmp_path: Path, how: str, kind: str, operation: str
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with stuck_server(local_server, kind) as server:
        options = {**Server("stuck", server.endpoint).options, "operation": operation}
        driver.begin(_WRITE, options=options, mode="append", table=local_server.create(), pipe=str(pipe))
        wait_until(lambda: len(server.writers()) == 2, "both tasks write")
        writers = server.writers()
        pipe.write_text(how)
        seconds, outcome = driver.finish()
        assert seconds < _SOON
        assert outcome != "written"
        wait_until(lambda: not writers & driver.family.members(), "their processes have ended", _SOON)
        wait_until(lambda: not server.writers(), "nobody else has begun to write", _SOON)
    assert not {name for name in driver.temporary_files if name.startswith("spark-dynamo")}
    if how == "spark.stop()":
        driver.run("spark = start(config)")


@pytest.mark.slow
def test_what_the_tasks_share_their_budget_by_goes_with_a_write_that_is_stopped(
    local_server: Server, driver: Driver, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with stuck_server(local_server, "silent") as server:
        options = {**Server("stuck", server.endpoint).options, "maxWriteUnits": "1000"}
        driver.begin(_WRITE, options=options, mode="append", table=local_server.create(), pipe=str(pipe))
        wait_until(lambda: len(server.came) == 2, "both tasks write")
        assert len(ledgers(driver)) == 1
        pipe.write_text("spark.sparkContext.cancelAllJobs()")
        assert driver.finish()[1] != "written"
        assert not ledgers(driver)


_STREAM = """
reader = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 200).option("numPartitions", 2)
frame = reader.load().selectExpr("string(value) id", "'x' text").writeStream.format("dynamo-meta").options(**options)
query = frame.option("checkpointLocation", checkpoint).start(table)
"""


@pytest.mark.slow
def test_a_stream_is_stopped(local_server: Server, driver: Driver, tmp_path: Path) -> None:
    table, options = local_server.create(), {**local_server.options, "maxWriteUnits": "100000"}
    driver.run(_STREAM, options=options, checkpoint=str(tmp_path), table=table)
    driver.run("while not query.recentProgress: query.awaitTermination(0.1)")
    driver.run("query.stop()")
    assert len(local_server.items(table)) >= 200
    assert len(ledgers(driver)) <= 1  # that of an epoch that has not ended
    with stuck_server(local_server, "silent") as server:
        options = Server("stuck", server.endpoint).options
        driver.run(_STREAM, options=options, checkpoint=str(tmp_path), table=table)
        wait_until(lambda: len(server.writers()) == 2, "both tasks write")
        writers = server.writers()
        code = "import time; began = time.monotonic(); query.stop(); result = time.monotonic() - began"
        assert driver.run(code) < _SOON
        wait_until(lambda: not writers & driver.family.members(), "their processes have ended", _SOON)


def ledgers(driver: Driver) -> set[str]:
    return {name for name in driver.temporary_files if name.startswith("spark-dynamo-budget")}


def test_ctrl_c_ends_the_driver_and_all_its_processes(local_server: Server, driver: Driver, tmp_path: Path) -> None:
    """The last test with this driver."""
    os.mkfifo(tmp_path / "pipe")
    with stuck_server(local_server, "silent") as server:
        options = Server("stuck", server.endpoint).options
        table, pipe = local_server.create(), str(tmp_path / "pipe")
        driver.begin(_WRITE, options=options, mode="append", table=table, pipe=pipe)
        wait_until(lambda: len(server.writers()) == 2, "both tasks write")
        driver.interrupt()
        wait_until(lambda: not driver.family.members(), "all processes have ended", _SOON)
    with pytest.raises(DriverError, match="the driver has ended"):
        driver.finish()
    assert "KeyboardInterrupt" in driver.log
