"""The metadata tables as DataFrames: logical names, schemas from models, lossless VARIANT columns."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as all of Spark's users write it

from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.metadata.models import PipelineConfig, PipelineRunLog, StageInfo
from spark_dynamo.metadata.tables import create_tables
from spark_dynamo.schema.bridge import struct_type
from spark_dynamo.source.read.explain import explain_read
from tests.conftest import Server

ANYTHING = {
    "text": 'ü\u0000"\\',
    "whole": 12345678901234567890,
    "fraction": 1.25,
    "flag": True,
    "nothing": None,
    "list": [1, "two", [], {}, [None]],
    "with.dot": {"deep": {"deeper": [{"x": 1}]}},
    "empty": "",
}


@pytest.fixture(scope="module")
def tables(server: Server) -> dict[str, str]:
    """The three tables on that server, with a prefix of this test module's own; the options that lead to them."""
    prefix = "metadata-tests"
    config = DynamoDBConfig(
        aws_access_key_id="local", aws_secret_access_key="local", endpoint_url=server.endpoint, table_prefix=prefix
    )
    assert create_tables(config) == [
        f"{prefix}_dev_{name}" for name in ("pipeline_config", "table_config", "pipeline_run_logs")
    ]
    return {**server.options, "tablePrefix": prefix}


def frame_of(spark: SparkSession, *models: Any) -> Any:
    texts = spark.createDataFrame([(model.model_dump_json(),) for model in models], "json STRING")
    schema = struct_type(type(models[0]))
    return texts.select(F.from_json("json", schema, {"mode": "FAILFAST"}).alias("model")).select("model.*")


def test_anything_in_a_config_survives(spark: SparkSession, tables: dict[str, str]) -> None:
    model = PipelineConfig(
        pipeline_id="sales",
        pipeline_name="Sales",
        source_type="jdbc",
        destination_type="dynamo-meta",
        config=ANYTHING,
        tags={"team": "a b", "größe": "ü"},
    )
    frame_of(spark, model).write.format("dynamo-meta").options(**tables).mode("append").save("pipeline_config")
    frame = spark.read.format("dynamo-meta").options(**tables).load("pipeline_config")
    assert frame.schema.names == list(PipelineConfig.model_fields)
    row = frame.where("pipeline_id = 'sales'").select("*", F.to_json("config").alias("config_text")).first()
    assert row is not None
    assert json.loads(row["config_text"]) == ANYTHING
    assert row["tags"] == model.tags
    assert row["is_active"] is True
    assert row["description"] is None
    assert row["created_at"].timestamp() == model.created_at.timestamp()


def test_run_logs_have_their_nested_schema(spark: SparkSession, tables: dict[str, str]) -> None:
    run = PipelineRunLog(
        run_id="r1",
        pipeline_id="sales",
        status="success",
        trigger_type="manual",
        duration_seconds="12.5",
        stages=[StageInfo(stage_name="load", status="success", records_processed=7)],
        expires_at="2026-12-01T00:00:00Z",
        log_messages=[{"level": "info", "n": 1}],
    )
    frame_of(spark, run).write.format("dynamo-meta").options(**tables).mode("append").save("pipeline_run_logs")
    frame = spark.read.format("dynamo-meta").options(**tables).load("pipeline_run_logs")
    assert frame.schema == struct_type(PipelineRunLog)
    (row,) = frame.selectExpr(
        "status", "duration_seconds", "stages[0].records_processed n", "unix_timestamp(expires_at) expires",
        "variant_get(log_messages[0], '$.level', 'string') level",
    ).collect()  # fmt: skip
    assert (row.status, float(row.duration_seconds), row.n, row.level) == ("success", 12.5, 7, "info")
    assert row.expires == run.expires_at.timestamp()  # type: ignore[union-attr]


def test_logical_names_follow_environment_and_prefix(spark: SparkSession, tables: dict[str, str]) -> None:
    physical = f"{tables['tablePrefix']}_dev_table_config"
    by_logical_name = spark.read.format("dynamo-meta").options(**tables).load("table_config")
    by_physical_name = spark.read.format("dynamo-meta").options(**tables).schema("table_id STRING").load(physical)
    assert by_logical_name.count() == by_physical_name.count() == 0
    with pytest.raises(Exception, match="no table 'metadata-tests_staging_table_config'"):
        spark.read.format("dynamo-meta").options(**tables, environment="staging").load("table_config").collect()


def test_run_logs_are_queried_by_their_indexes(tables: dict[str, str]) -> None:
    plan = explain_read(
        "pipeline_run_logs",
        **tables,
        filter="pipeline_id = 'sales' AND start_time >= '2026-11-01' AND status = 'failed'",
    )
    assert (plan.access, plan.index) == ("Query", "pipeline_id-start_time-index")
    assert plan.key_condition == "pipeline_id = 'sales' AND start_time >= '2026-10-30'"  # wide enough for any time zone
    by_status = explain_read("pipeline_run_logs", **tables, filter="status IN ('failed', 'lost')")
    assert (by_status.index, by_status.requests) == ("status-start_time-index", 2)
    assert explain_read("pipeline_run_logs", **tables, filter="run_id = 'r-1'").access == "GetItem"
