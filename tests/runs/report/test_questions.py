"""The README's questions, asked of a table of a hundred run logs by Spark, and answered by hand beside it."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from pyspark.sql import Row, SparkSession

from spark_dynamo.metadata.models import PipelineRunLog
from tests.conftest import Server
from tests.runs.report.logs import made
from tests.runs.report.questions import QUESTIONS
from tests.runs.tables import ITEMS, run_table

pytestmark = pytest.mark.slow

ERRORS = ("ValueError: no rows", "pyspark.errors.AnalysisException: [TABLE_NOT_FOUND] orders: gone", "SystemExit: 1")
PIPELINES = ("billing", "orders", "sales")
NIGHTS = 60


def generated() -> list[PipelineRunLog]:
    """60 nights of three pipelines, some of which fail; a run that is open, one that is late and one that hangs."""
    chance = random.Random(6)
    now = datetime.now(UTC)
    logs = []
    for night in range(NIGHTS):
        for place, pipeline in enumerate(PIPELINES):
            fails = chance.random() < 0.1
            logs.append(
                made(
                    f"{pipeline}-{night}",
                    "failed" if fails else "success",
                    pipeline_id=pipeline,
                    start_time=now - timedelta(days=NIGHTS - night, minutes=chance.uniform(1, 9)),
                    seconds=round(600 * (place + 1) + chance.gauss(0, 60), 3),
                    rows_written=None if fails else 1_000 * (place + 1) + night,
                    error_message=chance.choice(ERRORS) if fails else None,
                    tags={"sla_minutes": "11"} if pipeline == "billing" else {},
                )
            )
    opened: dict[str, Any] = {"seconds": None, "current_stage": "load", "lease_owner": "host:7", "stages": []}
    lease = {"lease_expires_at": now + timedelta(hours=1)}
    return [
        *logs,
        made("open", "running", start_time=now - timedelta(minutes=5), **opened, **lease),
        made("late", "running", start_time=now - timedelta(minutes=50), tags={"sla_minutes": "30"}, **opened, **lease),
        made(
            "dead", "running", start_time=now - timedelta(hours=9), lease_expires_at=now - timedelta(hours=8), **opened
        ),
        made(
            "lost",
            "lost",
            start_time=now - timedelta(days=1),
            seconds=None,
            error_message="Lost: the driver said no more",
        ),
    ]


@pytest.fixture(scope="module")
def logs() -> list[PipelineRunLog]:
    return generated()


@pytest.fixture(scope="module")
def asked(spark: SparkSession, local_server: Server, logs: list[PipelineRunLog]) -> Iterator[SparkSession]:
    """The session with a view of each question over a table with the logs."""
    table = run_table(local_server)
    items = [orjson.loads(text) for text in ITEMS.encode(logs).to_pylist()]
    for start in range(0, len(items), 25):
        puts = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        local_server.client.batch_write_item(RequestItems={table.name: puts})
    options = {**local_server.options, "tablePrefix": table.prefix, "numPartitions": "1", "segments": "1"}
    frame = spark.read.format("dynamo-meta").options(**options).load("pipeline_run_logs")
    frame.cache().createOrReplaceTempView("run_logs")
    for view, (_, query) in QUESTIONS.items():
        spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW {view} AS {query}")
    yield spark
    frame.unpersist()
    for view in ("run_logs", *QUESTIONS):
        spark.catalog.dropTempView(view)


def answer(asked: SparkSession, view: str) -> list[Row]:
    return asked.table(view).collect()


def test_the_slowest_pipelines_of_this_week(asked: SparkSession, logs: list[PipelineRunLog]) -> None:
    rows = answer(asked, "slowest_pipelines")
    assert [row.pipeline_id for row in rows] == ["sales", "orders", "billing"]
    recent = datetime.now(UTC) - timedelta(days=7)
    for row in rows:
        seconds = [
            log.duration_seconds
            for log in logs
            if (log.pipeline_id, log.status.value) == (row.pipeline_id, "success") and log.start_time >= recent
            if log.duration_seconds is not None
        ]
        assert row.runs == len(seconds)
        assert float(row.usual_minutes) == pytest.approx(float(statistics.median(seconds)) / 60, abs=0.051)
        assert float(row.longest_minutes) == pytest.approx(float(max(seconds)) / 60, abs=0.051)


def test_failures_by_class(asked: SparkSession, logs: list[PipelineRunLog]) -> None:
    counted = Counter((log.error_message or "").partition(":")[0] for log in logs if log.status in ("failed", "lost"))
    rows = answer(asked, "failures_by_error")
    assert {row.error: row.runs for row in rows} == counted
    assert set(counted) == {"ValueError", "pyspark.errors.AnalysisException", "SystemExit", "Lost"}
    assert rows[0].runs == max(counted.values())
    assert all(set(row.pipelines) <= set(PIPELINES) for row in rows)


def test_the_trend_of_rows(asked: SparkSession, logs: list[PipelineRunLog]) -> None:
    rows = [row for row in answer(asked, "rows_trend") if row.pipeline_id == "sales"]
    written = Counter[date]()  # just after midnight two runs may lie in one day
    for log in logs:
        if (log.pipeline_id, log.status) == ("sales", "success"):
            written[log.start_time.date()] += log.rows_written or 0
    assert {row.day: row.rows for row in rows} == written
    assert rows[0].percent_above_week_before is None
    last = [row.rows for row in rows[-8:]]
    assert float(rows[-1].percent_above_week_before) == pytest.approx(
        100 * (last[-1] / statistics.mean(last[:-1]) - 1), abs=0.051
    )


def test_what_still_runs(asked: SparkSession) -> None:
    rows = answer(asked, "still_running")
    assert [(row.run_id, row.is_alive) for row in rows] == [("dead", False), ("late", True), ("open", True)]
    assert rows[1].current_stage == "load"
    assert rows[1].lease_owner == "host:7"
    assert 50 <= rows[1].minutes <= 55


def test_sla_misses(asked: SparkSession, logs: list[PipelineRunLog]) -> None:
    missed = {
        log.run_id for log in logs if log.pipeline_id == "billing" if (log.duration_seconds or 0) > Decimal("663")
    }
    near = {log.run_id for log in logs if log.pipeline_id == "billing" if 657 <= (log.duration_seconds or 0) <= 663}
    found = {row.run_id for row in answer(asked, "sla_misses")}
    assert missed | {"late"} <= found <= missed | {"late"} | near
    assert len(missed) > 5
