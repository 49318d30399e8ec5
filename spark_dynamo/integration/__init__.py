"""Pipelines on Spark by what the metadata tables say of them: `SparkDynamoDBIntegration`.

>>> from spark_dynamo.config import DynamoDBConfig
>>> pipelines = SparkDynamoDBIntegration(DynamoDBConfig.for_pyspark())
>>> spark = pipelines.create_spark_session("sales")  # doctest: +SKIP
>>> with pipelines.pipeline_run_context("sales", "schedule") as run_id:  # doctest: +SKIP
...     orders = spark.read.load(**pipelines.get_table_read_options("orders"))
...     orders.write.save(**pipelines.get_table_write_options("clean_orders"))
...     pipelines.update_table_stats_after_write("clean_orders", orders, run_id)
"""

from __future__ import annotations

from spark_dynamo.integration.facade import SparkDynamoDBIntegration
from spark_dynamo.integration.functions import (
    create_spark_session_with_dynamodb,
    get_pipeline_config_for_spark,
    get_table_configs_for_spark,
    log_pipeline_run_from_spark,
)
from spark_dynamo.integration.trust import allow_models, allow_reject_places

__all__ = [
    "SparkDynamoDBIntegration",
    "allow_models",
    "allow_reject_places",
    "create_spark_session_with_dynamodb",
    "get_pipeline_config_for_spark",
    "get_table_configs_for_spark",
    "log_pipeline_run_from_spark",
]
