"""The facade's doors for programs that need one thing only."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.errors.masking import masked
from spark_dynamo.integration.facade import SparkDynamoDBIntegration
from spark_dynamo.integration.sessions import base_settings, session_with
from spark_dynamo.integration.settings import setting_texts
from spark_dynamo.metadata.models import PipelineConfig, TableConfig

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def create_spark_session_with_dynamodb(
    app_name: str,
    pipeline_id: str | None = None,
    config: DynamoDBConfig | None = None,
    additional_config: Mapping[str, object] | None = None,
) -> SparkSession:
    """A Spark session of that name, with the settings of a pipeline where one is given, and above them `additional_config`.

    `config` is `DynamoDBConfig.for_pyspark()` where it is None, here and in the functions below.

    >>> spark = create_spark_session_with_dynamodb("sales report", "sales")  # doctest: +SKIP
    """
    pipelines = SparkDynamoDBIntegration(config)
    named = {"spark.app.name": app_name, **(additional_config or {})}
    if pipeline_id is not None:
        return pipelines.create_spark_session(pipeline_id, named)
    return session_with(base_settings(pipelines.config, app_name) | setting_texts(named))


def get_pipeline_config_for_spark(pipeline_id: str, config: DynamoDBConfig | None = None) -> PipelineConfig:
    """The configuration of a pipeline; ItemNotFoundError where there is none.

    >>> get_pipeline_config_for_spark("sales").spark_config  # doctest: +SKIP
    """
    return SparkDynamoDBIntegration(config).pipeline_repo.get_or_raise(pipeline_id)


def get_table_configs_for_spark(pipeline_id: str, config: DynamoDBConfig | None = None) -> list[TableConfig]:
    """The configurations of the tables that a pipeline uses, which may be none.

    >>> [table.table_id for table in get_table_configs_for_spark("sales")]  # doctest: +SKIP
    """
    return SparkDynamoDBIntegration(config).table_repo.get_active_tables_by_pipeline(pipeline_id)


def log_pipeline_run_from_spark(
    pipeline_id: str, trigger_type: str = "spark", config: DynamoDBConfig | None = None, **fields: Any
) -> str:
    """Store the log of a run that somebody else looks after, and give the run's id; `fields` are those of PipelineRunLog.

    Its status is running where no other is given; secrets in its `config_snapshot` become stars. For a run of this program
    `pipeline_run_context` does all of it.

    >>> run_id = log_pipeline_run_from_spark("sales", created_by="airflow", status="running")  # doctest: +SKIP
    """
    run_id = fields.pop("run_id", None) or uuid.uuid4().hex
    if "config_snapshot" in fields:
        fields["config_snapshot"] = masked(fields["config_snapshot"])
    SparkDynamoDBIntegration(config).logs_repo.create_run_log(run_id, pipeline_id, trigger_type, **fields)
    return run_id
