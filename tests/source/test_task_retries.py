"""A task that Spark runs again gives each row once: what its first attempt gave is gone with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.conftest import Server
from tests.servers.faulty import faulty_server

_JOB = """
import json, sys
from pyspark.sql import SparkSession

endpoint, table = sys.argv[1:]
spark = (
    SparkSession.builder.master("local[2,3]")  # three attempts; local[2] has one
    .config("spark.ui.enabled", "false").config("spark.log.level", "OFF").getOrCreate()
)
rows = (
    spark.read.format("dynamo-meta")
    .options(endpointUrl=endpoint, region="us-east-1", accessKeyId="local", secretAccessKey="local")
    .options(numPartitions=2, segments=4)
    .schema("id STRING NOT NULL").load(table).collect()
)
print(json.dumps(sorted(row.id for row in rows)))
"""


def test_a_failed_task_is_run_again(moto_server: Server, python: Callable[..., Any]) -> None:
    table = moto_server.create()
    moto_server.put(table, *({"id": {"S": f"item-{number:03d}"}} for number in range(60)))
    scans = 0

    def choose(operation: str, request: dict[str, Any]) -> str | None:
        nonlocal scans
        scans += operation == "Scan"
        # pages of three items, so that rows have reached Spark when a request fails for good
        return "ExpiredTokenException" if scans == 12 else "short page" if operation == "Scan" else None

    with faulty_server(moto_server.endpoint, choose) as proxy:
        finished = python(_JOB, proxy.endpoint, table)
        assert finished.returncode == 0, finished.stderr
        assert json.loads(finished.stdout.splitlines()[-1]) == [f"item-{number:03d}" for number in range(60)]
        assert proxy.faults["ExpiredTokenException"] == 1
        first_pages = [
            request["Segment"]
            for operation, request, _ in proxy.log
            if operation == "Scan" and "ExclusiveStartKey" not in request
        ]
        assert len(first_pages) > 4  # the segments of the failed task were begun twice
