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
    from spark_dynamo.schema.bridge import struct_type
    from spark_dynamo.schema.drift import Difference, compare, show_differences
    from spark_dynamo.schema.storage import StorageForm
    from spark_dynamo.source.datasource import register
    from spark_dynamo.source.explain import ReadPlan, explain_read
    from spark_dynamo.source.inference import InferredSchema, infer_schema

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
    "spark_dynamo.schema.bridge": ("struct_type",),
    "spark_dynamo.schema.drift": ("Difference", "compare", "show_differences"),
    "spark_dynamo.schema.storage": ("StorageForm",),
    "spark_dynamo.source.datasource": ("register",),
    "spark_dynamo.source.inference": ("InferredSchema", "infer_schema"),
    "spark_dynamo.source.explain": ("ReadPlan", "explain_read"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AccessDeniedError",
    "ConditionFailedError",
    "ConfigurationError",
    "ConnectionError",
    "DataFormat",
    "DataQualityResult",
    "Difference",
    "DuplicateKeyError",
    "DynamoDBConfig",
    "DynamoDBWrapperError",
    "Index",
    "InferredSchema",
    "InvalidItemError",
    "InvalidResponseError",
    "ItemError",
    "ItemNotFoundError",
    "KeyAttribute",
    "LogLevel",
    "MalformedItemError",
    "OptionError",
    "PipelineConfig",
    "PipelineRunLog",
    "ReadPlan",
    "RequestFailedError",
    "RunStatus",
    "SchemaError",
    "SchemaMismatchError",
    "StageInfo",
    "StorageForm",
    "TableConfig",
    "TableNotFoundError",
    "TableType",
    "UnwrittenItemsError",
    "ValidationError",
    "__version__",
    "compare",
    "create_tables",
    "explain_read",
    "infer_schema",
    "local_dynamodb",
    "register",
    "show_differences",
    "struct_type",
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
