"""DynamoDB tables as DataFrames of Apache Spark, in pure Python.

>>> import spark_dynamo as sd
>>> with sd.local_dynamodb() as server:  # doctest: +SKIP
...     sd.create_tables()
...     spark.read.format("dynamo-meta").load("pipeline_run_logs").show()

Importing this package is cheap: each public name is loaded when it is first used, so that Spark's workers, which import it
anew again and again, pay only for what they touch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spark_dynamo.aws.tables import Index, KeyAttribute
    from spark_dynamo.config import DynamoDBConfig
    from spark_dynamo.errors import (
        AccessDeniedError,
        ConditionFailedError,
        ConfigurationError,
        ConnectionError,
        DuplicateKeyError,
        DynamoDBWrapperError,
        InvalidItemError,
        InvalidResponseError,
        ItemError,
        ItemNotFoundError,
        MalformedItemError,
        MigrationError,
        NewerVersionError,
        OptionError,
        RequestFailedError,
        SchemaError,
        SchemaMismatchError,
        TableNotFoundError,
        UnwrittenItemsError,
        ValidationError,
    )
    from spark_dynamo.local import local_dynamodb
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
    from spark_dynamo.metadata.tables import create_tables
    from spark_dynamo.runs.context import current_run, pipeline_run
    from spark_dynamo.runs.reaper import reap
    from spark_dynamo.runs.run import Run
    from spark_dynamo.runs.store import ExpiredRun
    from spark_dynamo.schema.bridge import struct_type
    from spark_dynamo.schema.checks.violations import unchecked, violations
    from spark_dynamo.schema.drift.align import align
    from spark_dynamo.schema.drift.compare import compare
    from spark_dynamo.schema.drift.comparison import SchemaComparison, SchemaDifference
    from spark_dynamo.schema.evolve import migration
    from spark_dynamo.schema.fingerprint import fingerprint
    from spark_dynamo.schema.generation.model_source import model_source
    from spark_dynamo.schema.generation.model_type import model_type
    from spark_dynamo.schema.policy import SchemaPolicy, SparkType
    from spark_dynamo.schema.storage import StorageForm
    from spark_dynamo.schema.values import iter_models, to_dataframe, to_models
    from spark_dynamo.source.datasource import register
    from spark_dynamo.source.explain import ReadPlan, explain_read
    from spark_dynamo.source.inference import InferredSchema, infer_schema
    from spark_dynamo.source.upgrade import UpgradeReport, upgrade_table

__version__ = "0.1.0"

_HOMES = {
    "spark_dynamo.aws.tables": ("Index", "KeyAttribute"),
    "spark_dynamo.config": ("DynamoDBConfig",),
    "spark_dynamo.errors": (
        "AccessDeniedError",
        "ConditionFailedError",
        "ConfigurationError",
        "ConnectionError",
        "DuplicateKeyError",
        "DynamoDBWrapperError",
        "InvalidItemError",
        "InvalidResponseError",
        "ItemError",
        "ItemNotFoundError",
        "MalformedItemError",
        "MigrationError",
        "NewerVersionError",
        "OptionError",
        "RequestFailedError",
        "SchemaError",
        "SchemaMismatchError",
        "TableNotFoundError",
        "UnwrittenItemsError",
        "ValidationError",
    ),
    "spark_dynamo.local": ("local_dynamodb",),
    "spark_dynamo.metadata.models": (
        "DataFormat",
        "DataQualityResult",
        "LogLevel",
        "PipelineConfig",
        "PipelineRunLog",
        "RunStatus",
        "StageInfo",
        "TableConfig",
        "TableType",
    ),
    "spark_dynamo.metadata.tables": ("create_tables",),
    "spark_dynamo.schema.drift.align": ("align",),
    "spark_dynamo.runs.context": ("current_run", "pipeline_run"),
    "spark_dynamo.runs.reaper": ("reap",),
    "spark_dynamo.runs.run": ("Run",),
    "spark_dynamo.runs.store": ("ExpiredRun",),
    "spark_dynamo.schema.bridge": ("struct_type",),
    "spark_dynamo.schema.drift.comparison": ("SchemaComparison", "SchemaDifference"),
    "spark_dynamo.schema.drift.compare": ("compare",),
    "spark_dynamo.schema.evolve": ("migration",),
    "spark_dynamo.schema.fingerprint": ("fingerprint",),
    "spark_dynamo.schema.generation.model_source": ("model_source",),
    "spark_dynamo.schema.generation.model_type": ("model_type",),
    "spark_dynamo.schema.policy": ("SchemaPolicy", "SparkType"),
    "spark_dynamo.schema.storage": ("StorageForm",),
    "spark_dynamo.schema.values": ("iter_models", "to_dataframe", "to_models"),
    "spark_dynamo.schema.checks.violations": ("unchecked", "violations"),
    "spark_dynamo.source.datasource": ("register",),
    "spark_dynamo.source.explain": ("ReadPlan", "explain_read"),
    "spark_dynamo.source.inference": ("InferredSchema", "infer_schema"),
    "spark_dynamo.source.upgrade": ("UpgradeReport", "upgrade_table"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AccessDeniedError",
    "ConditionFailedError",
    "ConfigurationError",
    "ConnectionError",
    "DataFormat",
    "DataQualityResult",
    "DuplicateKeyError",
    "DynamoDBConfig",
    "DynamoDBWrapperError",
    "ExpiredRun",
    "Index",
    "InferredSchema",
    "InvalidItemError",
    "InvalidResponseError",
    "ItemError",
    "ItemNotFoundError",
    "KeyAttribute",
    "LogLevel",
    "MalformedItemError",
    "MigrationError",
    "NewerVersionError",
    "OptionError",
    "PipelineConfig",
    "PipelineRunLog",
    "ReadPlan",
    "RequestFailedError",
    "Run",
    "RunStatus",
    "SchemaComparison",
    "SchemaDifference",
    "SchemaError",
    "SchemaMismatchError",
    "SchemaPolicy",
    "SparkType",
    "StageInfo",
    "StorageForm",
    "TableConfig",
    "TableNotFoundError",
    "TableType",
    "UnwrittenItemsError",
    "UpgradeReport",
    "ValidationError",
    "__version__",
    "align",
    "compare",
    "create_tables",
    "current_run",
    "explain_read",
    "fingerprint",
    "infer_schema",
    "iter_models",
    "local_dynamodb",
    "migration",
    "model_source",
    "model_type",
    "pipeline_run",
    "reap",
    "register",
    "struct_type",
    "to_dataframe",
    "to_models",
    "unchecked",
    "upgrade_table",
    "violations",
]


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'spark_dynamo' has no attribute '{name}'")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
