"""Run logs made up for tests: the same each time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from spark_dynamo.metadata.models import DataQualityResult, PipelineRunLog, StageInfo

__all__ = ["NOW", "made", "nightly", "of_every_kind"]

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def made(run_id: str = "r1", status: str = "success", *, seconds: float | None = 60, **fields: Any) -> PipelineRunLog:
    """One run, by default a successful one of a minute with two stages."""
    start = fields.pop("start_time", NOW - timedelta(hours=1))
    end = None if seconds is None else start + timedelta(seconds=seconds)
    if "stages" not in fields and end is not None:
        middle = start + (end - start) / 3
        fields["stages"] = [_stage("extract", start, middle, "success"), _stage("load", middle, end, status)]
    values: dict[str, Any] = {
        "run_id": run_id,
        "pipeline_id": "sales",
        "status": status,
        "trigger_type": "schedule",
        "start_time": start,
        "end_time": end,
        "duration_seconds": None if seconds is None else Decimal(str(seconds)),
        "created_at": start,
        "updated_at": end or start,
    }
    return PipelineRunLog(**(values | fields))


def _stage(name: str, start: datetime, end: datetime | None, status: str, **fields: Any) -> StageInfo:
    seconds = None if end is None else Decimal(str((end - start).total_seconds()))
    values = {"stage_name": name, "status": status, "start_time": start, "end_time": end, "duration_seconds": seconds}
    return StageInfo(**(values | fields))


def nightly(count: int = 50, pipeline: str = "sales", *, seed: int = 7) -> list[PipelineRunLog]:
    """A run a night, most of about ten minutes, some odd: slow ones, failed ones, one without rows."""
    chance = random.Random(f"{pipeline} {seed}")
    return list(_nights(count, pipeline, chance))


def _nights(count: int, pipeline: str, chance: random.Random) -> Iterator[PipelineRunLog]:
    for night in range(count):
        start = NOW - timedelta(days=count - night, minutes=chance.uniform(0, 20))
        rows = int(1_000_000 + 9_000 * night + chance.gauss(0, 15_000))
        seconds = round(600 + 2 * night + chance.gauss(0, 20), 3)
        status, error = "success", None
        if night in (12, 31):
            seconds = round(seconds * (1.9 + night / 40), 3)
        if night in (20, 41):
            status, seconds, error = (
                "failed",
                92.5,
                "pyspark.errors.AnalysisException: [TABLE_NOT_FOUND] orders\n  at x",
            )
        written = None if status == "failed" else 0 if night == 35 else rows - 17_000
        yield made(
            f"{pipeline}-{night:03}",
            status,
            seconds=seconds,
            pipeline_id=pipeline,
            start_time=start,
            rows_read=rows,
            rows_written=written,
            error_message=error,
        )


def of_every_kind() -> list[PipelineRunLog]:
    """A run of each status within an hour, with stages beside each other, names of every script and markup."""
    start = NOW - timedelta(minutes=50)

    def at(minutes: float) -> datetime:
        return start + timedelta(minutes=minutes)

    return [
        made(
            "5f0c2a9e8b7d4c6fa1b2c3d4e5f60718",
            seconds=840,
            start_time=start,
            rows_read=5_000_000,
            rows_written=4_999_000,
        ),
        made(
            "failed-run",
            "failed",
            seconds=300,
            start_time=at(5),
            pipeline_id="orders & <b>returns</b>",
            rows_read=12,
            error_message="ValueError: price < 0 in <script>alert(1)</script>\nand more",
            error_stack_trace='Traceback:\n  File "job.py", line 7\nValueError: price < 0',
            stages=[
                _stage("read", at(5), at(7), "success", records_processed=12),
                _stage("check $prices$", at(6), at(10), "failed", error_message="ValueError: price < 0"),
            ],
            data_quality_results=[
                DataQualityResult(check_name="rows", passed=False, expected_value=10, actual_value=12)
            ],
            data_quality_passed=False,
        ),
        made("cancelled", "cancelled", seconds=200, start_time=at(12), error_message="KeyboardInterrupt:", stages=[]),
        made(
            "lost",
            "lost",
            seconds=None,
            start_time=at(15),
            lease_expires_at=at(27),
            stages=[_stage("load", at(16), None, "lost")],
            error_message="Lost: the driver host:7 said nothing more, and its lease ran out",
        ),
        made("skipped", "skipped", seconds=0.2, start_time=at(20), stages=[]),
        made(
            "a-run-whose-id-is-" + "long-" * 20,
            "running",
            seconds=None,
            start_time=at(30),
            pipeline_id="夜間 ジョブ " + "x" * 120,
            current_stage="join",
            lease_expires_at=NOW + timedelta(minutes=1),
            lease_owner="host:42",
            stages=[
                _stage("read a", at(30), at(36), "success", records_processed=1_000),
                _stage("read b", at(31), at(40), "success", records_processed=2_000),
                _stage("read c", at(31), at(33), "success"),
                _stage("join", at(40), None, "running"),
            ],
        ),
        made("pending", "pending", seconds=None, start_time=at(49), pipeline_id="billing"),
    ]
