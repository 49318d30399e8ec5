"""The metadata models: their fields, times, enums and errors, and the schemas they give."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pyspark.sql.types import StructType

from spark_dynamo.metadata.models import (
    DataFormat,
    DataQualityResult,
    LogLevel,
    PipelineConfig,
    PipelineRunLog,
    RunStatus,
    StageInfo,
    TableConfig,
    TableType,
)
from spark_dynamo.schema.bridge import struct_type

MODELS: list[type[BaseModel]] = [PipelineConfig, TableConfig, PipelineRunLog, StageInfo, DataQualityResult]
TIME = datetime(2026, 11, 1, 8, 30, tzinfo=UTC)


def run_log(**fields: Any) -> PipelineRunLog:
    return PipelineRunLog(
        **{"run_id": "r1", "pipeline_id": "sales", "status": "running", "trigger_type": "manual", **fields}
    )


def pipeline(**fields: Any) -> PipelineConfig:
    return PipelineConfig(
        **{"pipeline_id": "p", "pipeline_name": "P", "source_type": "s3", "destination_type": "delta", **fields}
    )


def table(**fields: Any) -> TableConfig:
    return TableConfig(
        **{
            "table_id": "t",
            "pipeline_id": "p",
            "table_name": "T",
            "table_type": "source",
            "data_format": "parquet",
            "location": "s3://lake/t",
            **fields,
        }
    )


def test_enums_are_their_text() -> None:
    assert [status.value for status in RunStatus] == [
        *("pending", "running", "success", "failed", "cancelled", "skipped", "lost")
    ]
    assert [str(level) for level in LogLevel] == ["debug", "info", "warning", "error", "critical"]
    assert [f"{kind}" for kind in TableType] == ["source", "destination", "lookup", "intermediate"]
    assert [str(form) for form in DataFormat] == ["parquet", "json", "csv", "avro", "delta", "dynamo-meta"]
    assert run_log().status == "running"
    assert run_log().status is RunStatus.RUNNING


def test_defaults() -> None:
    config, log, orders = pipeline(), run_log(), table()
    assert (config.is_active, config.environment, config.version, config.config, config.tags) == (
        *(True, "dev", "1.0.0", {}, {}),
    )
    assert (orders.caching_enabled, orders.is_active, orders.environment) == (False, True, "dev")
    assert (orders.partition_columns, orders.data_quality_checks, orders.schema_definition) == ([], [], {})
    assert (log.data_quality_passed, log.retry_count, log.log_level, log.stages) == (True, 0, LogLevel.INFO, [])
    assert pipeline().config is not config.config


def test_what_is_not_known_is_none() -> None:
    log = run_log()
    for field in (
        *("rows_read", "rows_written", "shuffle_read_bytes", "shuffle_write_bytes", "spill_bytes", "task_count"),
        *("failed_task_count", "peak_memory_bytes", "metrics_complete", "expires_at", "total_records_processed"),
    ):
        assert getattr(log, field) is None
    assert log.schema_fingerprints == {}


def test_times_begin_now_in_utc() -> None:
    before = datetime.now(UTC)
    log = run_log()
    assert before <= log.start_time <= log.created_at <= log.updated_at <= datetime.now(UTC)
    assert log.start_time.tzinfo is UTC


@pytest.mark.parametrize(
    "given",
    [
        "2026-11-01T08:30:00Z",
        "2026-11-01T08:30:00",
        "2026-11-01T08:30:00.000000+00:00",
        "2026-11-01T10:30:00+02:00",
        datetime(2026, 11, 1, 8, 30),
        datetime(2026, 11, 1, 3, 30, tzinfo=timezone(timedelta(hours=-5))),
    ],
)
def test_every_form_of_a_time_is_the_same_moment_in_utc(given: object) -> None:
    log = run_log(start_time=given)
    log.end_time = given  # type: ignore[assignment]
    for time in (log.start_time, log.end_time):
        assert time == TIME
        assert time.tzinfo == UTC
        assert str(time.tzinfo) == "UTC"
    assert json.loads(log.model_dump_json())["start_time"] == "2026-11-01T08:30:00Z"
    stage = StageInfo(stage_name="load", status=RunStatus.RUNNING, start_time=given)  # type: ignore[arg-type]
    assert stage.start_time == TIME


@pytest.mark.parametrize("given", ["2026-11-01T08:30:00.75Z", int(TIME.timestamp()), Decimal(int(TIME.timestamp()))])
def test_expiry_has_whole_seconds(given: object) -> None:
    assert run_log(expires_at=given).expires_at == TIME


def test_numbers_stay_exact() -> None:
    log = run_log(duration_seconds=Decimal("12.345678901234567890"), cpu_hours="0.1")
    assert log.duration_seconds == Decimal("12.345678901234567890")
    assert log.cpu_hours == Decimal("0.1")
    assert PipelineRunLog.model_validate_json(log.model_dump_json()) == log


def test_a_full_log_survives_json() -> None:
    log = run_log(
        stages=[StageInfo(stage_name="load", status=RunStatus.SUCCESS, records_processed=3)],
        data_quality_results=[
            DataQualityResult(check_name="rows", passed=False, expected_value=[1], actual_value=None)
        ],
        config_snapshot={"depth": {"of": [1, "two", None]}},
        log_messages=[{"level": "info", "message": "begun"}],
        schema_fingerprints={"orders": "abc"},
        metrics_complete=True,
        expires_at=TIME,
    )
    assert PipelineRunLog.model_validate_json(log.model_dump_json()) == log
    assert PipelineRunLog.model_validate(log.model_dump()) == log


@pytest.mark.parametrize(
    ("make", "fields", "problem"),
    [
        (run_log, {"status": "done"}, "status"),
        (run_log, {"run_id": ""}, "run_id"),
        (run_log, {"pipeline_id": None}, "pipeline_id"),
        (run_log, {"rows_read": -1}, "rows_read"),
        (run_log, {"rows_read": 2**63}, "rows_read"),
        (run_log, {"rows_read": 1.5}, "rows_read"),
        (run_log, {"start_time": "yesterday"}, "start_time"),
        (run_log, {"cpu_hours": Decimal("NaN")}, "cpu_hours"),
        (run_log, {"stages": [{"stage_name": "load", "status": "done"}]}, r"stages\.0\.status"),
        (run_log, {"stauts": "failed"}, "stauts"),
        (pipeline, {"pipeline_id": ""}, "pipeline_id"),
        (pipeline, {"tags": {"a": 1}}, r"tags\.a"),
        (table, {"table_type": "view"}, "table_type"),
        (table, {"data_format": "xml"}, "data_format"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(make: Any, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=rf"(?m)^{problem}$"):
        make(**fields)


def test_an_assignment_is_checked() -> None:
    log = run_log()
    log.status = "failed"  # type: ignore[assignment]
    assert log.status is RunStatus.FAILED
    with pytest.raises(ValidationError, match="status"):
        log.status = "done"  # type: ignore[assignment]
    assert log.status is RunStatus.FAILED


@pytest.mark.parametrize("model", MODELS)
def test_every_field_has_a_description(model: type[BaseModel]) -> None:
    assert not [name for name, field in model.model_fields.items() if not field.description]


def columns(model: type[BaseModel]) -> dict[str, str]:
    return {f.name: f.dataType.simpleString() + (" null" if f.nullable else "") for f in struct_type(model)}


@pytest.mark.parametrize("model", MODELS)
def test_no_column_is_a_binary_fraction(model: type[BaseModel]) -> None:
    assert not [name for name, type_ in columns(model).items() if "double" in type_ or "float" in type_]


def test_the_schema_of_the_run_log() -> None:
    schema = struct_type(PipelineRunLog)
    assert schema.names == list(PipelineRunLog.model_fields)
    found = columns(PipelineRunLog)
    expected = {
        "run_id": "string",
        "status": "string",
        "start_time": "timestamp",
        "end_time": "timestamp null",
        "duration_seconds": "decimal(38,18) null",
        "rows_read": "bigint null",
        "retry_count": "bigint",
        "data_quality_passed": "boolean",
        "config_snapshot": "variant",
        "log_messages": "array<variant>",
        "monitoring_urls": "map<string,string>",
        "input_tables": "array<string>",
        "metrics_complete": "boolean null",
        "expires_at": "timestamp null",
        "stages": "array<struct<stage_name:string,status:string,start_time:timestamp,end_time:timestamp,"
        "duration_seconds:decimal(38,18),records_processed:bigint,error_message:string>>",
        "data_quality_results": "array<struct<check_name:string,passed:boolean,expected_value:variant,"
        "actual_value:variant,error_message:string>>",
    }
    assert {name: found[name] for name in expected} == expected
    assert schema["expires_at"].metadata == {"comment": "When DynamoDB may delete the run log", "dynamodb": "N"}
    assert schema["start_time"].metadata == {"comment": "When the run began"}


@pytest.mark.parametrize("model", MODELS)
def test_the_schemas_survive_json(model: type[BaseModel]) -> None:
    schema = struct_type(model)
    assert StructType.fromJson(json.loads(schema.json())) == schema
