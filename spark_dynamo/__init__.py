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
        ItemAlreadyExistsError,
        ItemError,
        ItemNotFoundError,
        LocalTimeError,
        MalformedItemError,
        MigrationError,
        NewerVersionError,
        OptionError,
        OverwriteConflictError,
        RequestFailedError,
        SchemaError,
        SchemaMismatchError,
        TableNotFoundError,
        UnwrittenItemsError,
        ValidationError,
        VersionConflictError,
    )
    from spark_dynamo.integration import (
        SparkDynamoDBIntegration,
        allow_models,
        allow_reject_places,
        create_spark_session_with_dynamodb,
        get_pipeline_config_for_spark,
        get_table_configs_for_spark,
        log_pipeline_run_from_spark,
    )
    from spark_dynamo.local import local_dynamodb
    from spark_dynamo.metadata.caching import Cache, MemoryCache, RedisCache
    from spark_dynamo.metadata.models import (
        DataFormat,
        DataQualityResult,
        LogLevel,
        PipelineConfig,
        PipelineRunLog,
        RunMetric,
        RunStatus,
        StageInfo,
        TableConfig,
        TableType,
    )
    from spark_dynamo.metadata.repositories import (
        AsyncDynamoRepository,
        AsyncPipelineConfigRepository,
        AsyncPipelineRunLogsRepository,
        AsyncTableConfigRepository,
        AsyncTransaction,
        BaseDynamoRepository,
        PipelineConfigRepository,
        PipelineRunLogsRepository,
        TableConfigRepository,
        Transaction,
    )
    from spark_dynamo.metadata.tables import create_tables
    from spark_dynamo.reports.runs import Runs, runs
    from spark_dynamo.run_logs.context import current_run, pipeline_run
    from spark_dynamo.run_logs.openlineage import to_openlineage
    from spark_dynamo.run_logs.reaper import reap
    from spark_dynamo.run_logs.registration import RunListener, register_run_listener
    from spark_dynamo.run_logs.run import Run
    from spark_dynamo.run_logs.spill_import import ImportedRun, import_missed_runs
    from spark_dynamo.run_logs.store import ExpiredRun
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
    from spark_dynamo.source.read.explain import ReadPlan, explain_read
    from spark_dynamo.source.read.inference import InferredSchema, infer_schema
    from spark_dynamo.source.upgrade.table import UpgradeReport, upgrade_table
    from spark_dynamo.source.write.table_creation import create_table
    from spark_dynamo.timezones import (
        TimezoneManager,
        configure_timezone_from_config,
        convert_utc_to_user_tz,
        ensure_timezone_aware,
        get_timezone_manager,
        now_in_tz,
        set_global_timezone,
        to_user_timezone,
        to_utc,
        utcnow,
        validate_timezone_string,
    )

__version__ = "0.1.0"

_HOMES = {
    "spark_dynamo.aws.tables": (
        "Index",
        "KeyAttribute",
    ),
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
        "ItemAlreadyExistsError",
        "ItemError",
        "ItemNotFoundError",
        "LocalTimeError",
        "MalformedItemError",
        "MigrationError",
        "NewerVersionError",
        "OptionError",
        "OverwriteConflictError",
        "RequestFailedError",
        "SchemaError",
        "SchemaMismatchError",
        "TableNotFoundError",
        "UnwrittenItemsError",
        "ValidationError",
        "VersionConflictError",
    ),
    "spark_dynamo.integration": (
        "SparkDynamoDBIntegration",
        "allow_models",
        "allow_reject_places",
        "create_spark_session_with_dynamodb",
        "get_pipeline_config_for_spark",
        "get_table_configs_for_spark",
        "log_pipeline_run_from_spark",
    ),
    "spark_dynamo.local": ("local_dynamodb",),
    "spark_dynamo.metadata.caching": (
        "Cache",
        "MemoryCache",
        "RedisCache",
    ),
    "spark_dynamo.metadata.models": (
        "DataFormat",
        "DataQualityResult",
        "LogLevel",
        "PipelineConfig",
        "PipelineRunLog",
        "RunMetric",
        "RunStatus",
        "StageInfo",
        "TableConfig",
        "TableType",
    ),
    "spark_dynamo.metadata.repositories": (
        "AsyncDynamoRepository",
        "AsyncPipelineConfigRepository",
        "AsyncPipelineRunLogsRepository",
        "AsyncTableConfigRepository",
        "AsyncTransaction",
        "BaseDynamoRepository",
        "PipelineConfigRepository",
        "PipelineRunLogsRepository",
        "TableConfigRepository",
        "Transaction",
    ),
    "spark_dynamo.metadata.tables": ("create_tables",),
    "spark_dynamo.run_logs.context": (
        "current_run",
        "pipeline_run",
    ),
    "spark_dynamo.run_logs.spill_import": ("ImportedRun", "import_missed_runs"),
    "spark_dynamo.run_logs.reaper": ("reap",),
    "spark_dynamo.run_logs.registration": (
        "RunListener",
        "register_run_listener",
    ),
    "spark_dynamo.run_logs.openlineage": ("to_openlineage",),
    "spark_dynamo.reports.runs": (
        "Runs",
        "runs",
    ),
    "spark_dynamo.run_logs.run": ("Run",),
    "spark_dynamo.run_logs.store": ("ExpiredRun",),
    "spark_dynamo.schema.bridge": ("struct_type",),
    "spark_dynamo.schema.checks.violations": (
        "unchecked",
        "violations",
    ),
    "spark_dynamo.schema.drift.align": ("align",),
    "spark_dynamo.schema.drift.compare": ("compare",),
    "spark_dynamo.schema.drift.comparison": (
        "SchemaComparison",
        "SchemaDifference",
    ),
    "spark_dynamo.schema.evolve": ("migration",),
    "spark_dynamo.schema.fingerprint": ("fingerprint",),
    "spark_dynamo.schema.generation.model_source": ("model_source",),
    "spark_dynamo.schema.generation.model_type": ("model_type",),
    "spark_dynamo.schema.policy": (
        "SchemaPolicy",
        "SparkType",
    ),
    "spark_dynamo.schema.storage": ("StorageForm",),
    "spark_dynamo.schema.values": (
        "iter_models",
        "to_dataframe",
        "to_models",
    ),
    "spark_dynamo.source.write.table_creation": ("create_table",),
    "spark_dynamo.source.datasource": ("register",),
    "spark_dynamo.source.read.explain": (
        "ReadPlan",
        "explain_read",
    ),
    "spark_dynamo.source.read.inference": (
        "InferredSchema",
        "infer_schema",
    ),
    "spark_dynamo.source.upgrade.table": (
        "UpgradeReport",
        "upgrade_table",
    ),
    "spark_dynamo.timezones": (
        "TimezoneManager",
        "configure_timezone_from_config",
        "convert_utc_to_user_tz",
        "ensure_timezone_aware",
        "get_timezone_manager",
        "now_in_tz",
        "set_global_timezone",
        "to_user_timezone",
        "to_utc",
        "utcnow",
        "validate_timezone_string",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AccessDeniedError",
    "AsyncDynamoRepository",
    "AsyncPipelineConfigRepository",
    "AsyncPipelineRunLogsRepository",
    "AsyncTableConfigRepository",
    "AsyncTransaction",
    "BaseDynamoRepository",
    "Cache",
    "ConditionFailedError",
    "ConfigurationError",
    "ConnectionError",
    "DataFormat",
    "DataQualityResult",
    "DuplicateKeyError",
    "DynamoDBConfig",
    "DynamoDBWrapperError",
    "ExpiredRun",
    "ImportedRun",
    "Index",
    "InferredSchema",
    "InvalidItemError",
    "InvalidResponseError",
    "ItemAlreadyExistsError",
    "ItemError",
    "ItemNotFoundError",
    "KeyAttribute",
    "LocalTimeError",
    "LogLevel",
    "MalformedItemError",
    "MemoryCache",
    "MigrationError",
    "NewerVersionError",
    "OptionError",
    "OverwriteConflictError",
    "PipelineConfig",
    "PipelineConfigRepository",
    "PipelineRunLog",
    "PipelineRunLogsRepository",
    "ReadPlan",
    "RedisCache",
    "RequestFailedError",
    "Run",
    "RunListener",
    "RunMetric",
    "RunStatus",
    "Runs",
    "SchemaComparison",
    "SchemaDifference",
    "SchemaError",
    "SchemaMismatchError",
    "SchemaPolicy",
    "SparkDynamoDBIntegration",
    "SparkType",
    "StageInfo",
    "StorageForm",
    "TableConfig",
    "TableConfigRepository",
    "TableNotFoundError",
    "TableType",
    "TimezoneManager",
    "Transaction",
    "UnwrittenItemsError",
    "UpgradeReport",
    "ValidationError",
    "VersionConflictError",
    "__version__",
    "align",
    "allow_models",
    "allow_reject_places",
    "compare",
    "configure_timezone_from_config",
    "convert_utc_to_user_tz",
    "create_spark_session_with_dynamodb",
    "create_table",
    "create_tables",
    "current_run",
    "ensure_timezone_aware",
    "explain_read",
    "fingerprint",
    "get_pipeline_config_for_spark",
    "get_table_configs_for_spark",
    "get_timezone_manager",
    "import_missed_runs",
    "infer_schema",
    "iter_models",
    "local_dynamodb",
    "log_pipeline_run_from_spark",
    "migration",
    "model_source",
    "model_type",
    "now_in_tz",
    "pipeline_run",
    "reap",
    "register",
    "register_run_listener",
    "runs",
    "set_global_timezone",
    "struct_type",
    "to_dataframe",
    "to_models",
    "to_openlineage",
    "to_user_timezone",
    "to_utc",
    "unchecked",
    "upgrade_table",
    "utcnow",
    "validate_timezone_string",
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
