"""A task that Spark runs again: what its first attempt gave is gone with it, and what it wrote is no reason to refuse it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.conftest import Server
from tests.servers.faulty import faulty_server
from tests.servers.spark_driver import Driver, spark_driver
from tests.source.killed_workers import WRITES, survives

_READ = """
rows = spark.read.format("dynamo-meta").options(**options).schema("id STRING NOT NULL").load(table).collect()
result = sorted(row.id for row in rows)
"""


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    # three attempts, where local[2] has one; no task runs twice at once on one machine, but each knows that some might
    with spark_driver({"spark.master": "local[2,3]", "spark.speculation": "true"}) as started:
        yield started


def test_a_failed_task_is_run_again(local_server: Server, driver: Driver) -> None:
    table = local_server.create()
    local_server.put(table, *({"id": {"S": f"item-{number:03d}"}} for number in range(60)))
    scans = 0

    def choose(operation: str, request: dict[str, Any]) -> str | None:
        nonlocal scans
        scans += operation == "Scan"
        # pages of three items, so that rows have reached Spark when a request fails for good
        return "ExpiredTokenException" if scans == 12 else "short page" if operation == "Scan" else None

    with faulty_server(local_server.endpoint, choose) as proxy:
        options = {**Server("proxy", proxy.endpoint).options, "numPartitions": "2", "segments": "4"}
        assert driver.run(_READ, options=options, table=table) == [f"item-{number:03d}" for number in range(60)]
        assert proxy.faults["ExpiredTokenException"] == 1
        first_pages = [
            request["Segment"]
            for operation, request, _ in proxy.log
            if operation == "Scan" and "ExclusiveStartKey" not in request
        ]
        assert len(first_pages) > 4  # the segments of the failed task were begun twice


_INSERT = """
frame = spark.range(20).selectExpr("concat('item-', id) AS id", "id AS n")
frame.write.format("dynamo-meta").options(**options).option("operation", "insert").mode("append").save(table)
result = None
"""


def test_with_speculation_the_first_attempt_may_find_what_the_second_has_written(
    local_server: Server, driver: Driver, tmp_path: Path
) -> None:
    table = local_server.create()
    local_server.put(table, *({"id": {"S": f"item-{n}"}, "n": {"N": f"{n}"}} for n in range(5, 12)))
    local_server.put(table, {"id": {"S": "item-3"}, "n": {"N": "7"}})
    options = {**local_server.options, "conditionFailed": str(tmp_path)}
    driver.run(_INSERT, options=options, table=table)
    (line,) = [line for file in tmp_path.rglob("part-*") for line in file.read_text().splitlines()]
    assert orjson.loads(line)["stored"] == {"id": {"S": "item-3"}, "n": {"N": "7"}}
    assert len(local_server.items(table)) == 20


@pytest.mark.skipif(sys.platform != "linux", reason="which processes write is read from /proc")
@pytest.mark.parametrize(
    "name",
    [
        "puts",
        "overwrite",
        "inserts in transactions",
        pytest.param("updates with a condition", marks=pytest.mark.slow),
        pytest.param("an operation for each row", marks=pytest.mark.slow),
    ],
)
def test_workers_are_killed_in_the_middle_of_a_write(
    local_server: Server, driver: Driver, tmp_path: Path, name: str
) -> None:
    with faulty_server(local_server.endpoint) as proxy:
        survives(driver, local_server, proxy, WRITES[name], tmp_path)
