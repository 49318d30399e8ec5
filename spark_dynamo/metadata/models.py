"""The models of the three metadata tables: PipelineConfig, TableConfig, PipelineRunLog, and what they hold.

They are contracts: each field's description is the comment of its column. What can't be known is None, never 0.
Times parse ISO text (`Z` too), are aware and in UTC in memory, and dump as ISO in JSON; a time without a zone counts as
UTC, until a repository's method takes it in the zone of its call. Fractions are Decimal, so that DynamoDB's numbers come
back as they went. An unknown field is an error.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from spark_dynamo.errors.masking import masked
from spark_dynamo.schema.storage import StorageForm
from spark_dynamo.timezones.assumed_utc import ASSUMED_UTC

__all__ = [
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
    "seconds_between",
]


def _as_utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        return time.replace(tzinfo=ASSUMED_UTC)
    return time if time.tzinfo is ASSUMED_UTC else time.astimezone(UTC)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _whole_seconds(time: datetime) -> datetime:
    return time.replace(microsecond=0)


KeyText: TypeAlias = Annotated[str, Field(min_length=1)]  # DynamoDB refuses an empty key
Count: TypeAlias = Annotated[int, Field(ge=0, le=2**63 - 1)]  # what BIGINT can count
UtcTime: TypeAlias = Annotated[datetime, AfterValidator(_as_utc)]
# TTL knows whole seconds only: memory holds what the table will
ExpiryTime: TypeAlias = Annotated[UtcTime, AfterValidator(_whole_seconds), StorageForm("N")]


class RunStatus(StrEnum):
    """How a run or a stage stands; `lost` is a run whose driver died without a word.

    >>> RunStatus("failed").name
    'FAILED'
    """

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    LOST = "lost"


class LogLevel(StrEnum):
    """How much a run logs.

    >>> LogLevel.WARNING.value
    'warning'
    """

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class TableType(StrEnum):
    """A table's part in its pipeline.

    >>> TableType("lookup").name
    'LOOKUP'
    """

    SOURCE = "source"
    DESTINATION = "destination"
    LOOKUP = "lookup"
    INTERMEDIATE = "intermediate"


class DataFormat(StrEnum):
    """The Spark format of a table's data.

    >>> DataFormat.DYNAMO_META.value
    'dynamo-meta'
    """

    PARQUET = "parquet"
    JSON = "json"
    CSV = "csv"
    AVRO = "avro"
    DELTA = "delta"
    DYNAMO_META = "dynamo-meta"


class _MetadataModel(BaseModel):
    model_config = ConfigDict(validate_assignment=True, extra="forbid")

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """What `repr` and `str` show: settings without their secrets."""
        shown = list(super().__repr_args__())
        return list(zip((name for name, _ in shown), masked([value for _, value in shown]), strict=True))


class StageInfo(_MetadataModel):
    """One stage of a run.

    >>> StageInfo(stage_name="load", status="running", start_time="2026-11-01T08:00:00Z").status
    <RunStatus.RUNNING: 'running'>
    """

    stage_name: str = Field(description="Name of the stage, unique in its run")
    status: RunStatus = Field(description="How the stage stands")
    start_time: UtcTime | None = Field(None, description="When the stage began")
    end_time: UtcTime | None = Field(None, description="When the stage ended")
    duration_seconds: Decimal | None = Field(None, description="Seconds from begin to end")
    records_processed: Count | None = Field(None, description="Records that the stage processed")
    error_message: str | None = Field(None, description="Why the stage failed")


class DataQualityResult(_MetadataModel):
    """What one data quality check of a run found.

    >>> DataQualityResult(check_name="row_count", passed=False, expected_value=100, actual_value=97).passed
    False
    """

    check_name: str = Field(description="Name of the check")
    passed: bool = Field(description="Whether the data passed the check")
    expected_value: Any | None = Field(None, description="What the check expects")
    actual_value: Any | None = Field(None, description="What the check found")
    error_message: str | None = Field(None, description="Why the data did not pass, or the check could not run")


class RunMetric(_MetadataModel):
    """A number that a run told of itself under a name, summed up.

    >>> RunMetric(value=12, unit="rows").value
    Decimal('12')
    """

    value: Decimal = Field(description="The sum of what was told")
    unit: str | None = Field(None, description="What it counts, as in rows")


class PipelineConfig(_MetadataModel):
    """What a pipeline is: its source, its destination, its schedule and its resources.

    >>> PipelineConfig(pipeline_id="sales", pipeline_name="Sales", source_type="s3", destination_type="delta").version
    '1.0.0'
    """

    pipeline_id: KeyText = Field(description="Partition key: the pipeline's id")
    pipeline_name: str = Field(description="The pipeline's name for people")
    description: str | None = Field(None, description="What the pipeline does")
    config: dict[str, Any] = Field(default_factory=dict, description="Settings of the pipeline's own")
    source_type: str = Field(description="Kind of system that the pipeline reads")
    source_config: dict[str, Any] = Field(default_factory=dict, description="Settings of the source")
    destination_type: str = Field(description="Kind of system that the pipeline writes")
    destination_config: dict[str, Any] = Field(default_factory=dict, description="Settings of the destination")
    schedule_expression: str | None = Field(None, description="When the pipeline runs, as its scheduler writes it")
    is_active: bool = Field(True, description="Whether the pipeline is to run")
    environment: str = Field("dev", description="Environment that the pipeline belongs to")
    version: str = Field("1.0.0", description="Version of the pipeline")
    spark_config: dict[str, Any] = Field(default_factory=dict, description="Spark settings of the pipeline's session")
    cpu_cores: Count | None = Field(None, description="CPU cores that the pipeline asks for")
    memory_gb: Decimal | None = Field(None, description="Memory that the pipeline asks for, in GB")
    tags: dict[str, str] = Field(default_factory=dict, description="Labels for search and cost")
    created_at: UtcTime = Field(default_factory=_utc_now, description="When the configuration was created")
    updated_at: UtcTime = Field(default_factory=_utc_now, description="When the configuration was last changed")
    created_by: str | None = Field(None, description="Who created the configuration")
    updated_by: str | None = Field(None, description="Who last changed the configuration")


class TableConfig(_MetadataModel):
    """What a table of a pipeline is: where it lies, its format, its schema and its checks.

    >>> orders = TableConfig(table_id="orders", pipeline_id="sales", table_name="orders", table_type="source",
    ...                      data_format="parquet", location="s3://lake/orders")
    >>> orders.data_format
    <DataFormat.PARQUET: 'parquet'>
    """

    table_id: KeyText = Field(description="Partition key: the table's id")
    pipeline_id: KeyText = Field(description="Id of the pipeline that the table belongs to")
    table_name: str = Field(description="The table's name")
    table_type: TableType = Field(description="The table's part in the pipeline")
    data_format: DataFormat = Field(description="Spark format of the data")
    schema_definition: dict[str, Any] = Field(default_factory=dict, description="Schema of the data")
    partition_columns: list[str] = Field(default_factory=list, description="Columns that partition the data")
    primary_key_columns: list[str] = Field(default_factory=list, description="Columns that identify a row")
    location: str = Field(description="Path or name under which Spark finds the data")
    connection_config: dict[str, Any] = Field(default_factory=dict, description="Settings of the connection")
    read_options: dict[str, Any] = Field(default_factory=dict, description="Options for reading")
    write_options: dict[str, Any] = Field(default_factory=dict, description="Options for writing")
    validation_rules: dict[str, Any] = Field(default_factory=dict, description="Rules that rows must meet")
    data_quality_checks: list[dict[str, Any]] = Field(default_factory=list, description="Checks of the whole data")
    caching_enabled: bool = Field(False, description="Whether the pipeline caches the table")
    cache_level: str | None = Field(None, description="Spark storage level of the cache")
    retention_days: Count | None = Field(None, description="Days after which data may be deleted")
    archive_after_days: Count | None = Field(None, description="Days after which data moves to the archive")
    environment: str = Field("dev", description="Environment that the table belongs to")
    is_active: bool = Field(True, description="Whether the pipeline uses the table")
    description: str | None = Field(None, description="What the table holds")
    tags: dict[str, str] = Field(default_factory=dict, description="Labels for search and cost")
    last_updated_data: UtcTime | None = Field(None, description="When the data last changed")
    record_count: Count | None = Field(None, description="Records of the last write")
    size_bytes: Count | None = Field(None, description="Bytes of the last write")
    created_at: UtcTime = Field(default_factory=_utc_now, description="When the configuration was created")
    updated_at: UtcTime = Field(default_factory=_utc_now, description="When the configuration was last changed")
    created_by: str | None = Field(None, description="Who created the configuration")
    updated_by: str | None = Field(None, description="Who last changed the configuration")


class PipelineRunLog(_MetadataModel):
    """One run of a pipeline: when, how it ended, what it read and wrote, and what it cost.

    Counts, bytes and `metrics_complete` are None where they are not known, so that 0 always means that there were none.
    `expires_at` has whole seconds (a fraction is cut off) and is stored as epoch seconds, for TTL.

    >>> PipelineRunLog(run_id="r1", pipeline_id="sales", status="running", trigger_type="schedule").rows_read is None
    True
    """

    run_id: KeyText = Field(description="Partition key: the run's id")
    pipeline_id: KeyText = Field(description="Id of the pipeline that runs")
    status: RunStatus = Field(description="How the run stands")
    trigger_type: str = Field(description="What started the run, as in schedule or manual")
    start_time: UtcTime = Field(default_factory=_utc_now, description="When the run began")
    end_time: UtcTime | None = Field(None, description="When the run ended")
    duration_seconds: Decimal | None = Field(None, description="Seconds from begin to end")
    stages: list[StageInfo] = Field(default_factory=list, description="The run's stages, in their order")
    current_stage: str | None = Field(None, description="Name of the stage that runs now")
    total_records_processed: Count | None = Field(None, description="Records that the run processed")
    total_records_failed: Count | None = Field(None, description="Records that the run could not process")
    input_data_size_bytes: Count | None = Field(None, description="Bytes read from sources")
    output_data_size_bytes: Count | None = Field(None, description="Bytes written to destinations")
    spark_application_id: str | None = Field(None, description="Spark's id of the application")
    cpu_hours: Decimal | None = Field(None, description="CPU time of all tasks, in hours")
    memory_usage_gb: Decimal | None = Field(None, description="Memory used, in GB")
    data_quality_results: list[DataQualityResult] = Field(default_factory=list, description="What the checks found")
    data_quality_passed: bool = Field(True, description="Whether no check failed")
    error_message: str | None = Field(None, description="Why the run failed")
    error_stack_trace: str | None = Field(None, description="Stack trace of the failure")
    retry_count: Count = Field(0, description="Times that the run was started again")
    pipeline_version: str | None = Field(None, description="Version of the pipeline that ran")
    config_snapshot: dict[str, Any] = Field(default_factory=dict, description="Configuration that the run began with")
    environment: str = Field("dev", description="Environment that the run belongs to")
    spark_version: str | None = Field(None, description="Version of Spark")
    python_version: str | None = Field(None, description="Version of Python on the driver")
    input_tables: list[str] = Field(default_factory=list, description="Tables that the run read")
    output_tables: list[str] = Field(default_factory=list, description="Tables that the run wrote")
    log_level: LogLevel = Field(LogLevel.INFO, description="How much the run logs")
    log_messages: list[dict[str, Any]] = Field(default_factory=list, description="Log messages, in their order")
    monitoring_urls: dict[str, str] = Field(default_factory=dict, description="Addresses of dashboards, by name")
    tags: dict[str, str] = Field(default_factory=dict, description="Labels for search and cost")
    created_by: str | None = Field(None, description="Who or what started the run")
    created_at: UtcTime = Field(default_factory=_utc_now, description="When the run log was created")
    updated_at: UtcTime = Field(default_factory=_utc_now, description="When the run log was last changed")
    rows_read: Count | None = Field(None, description="Rows read from sources")
    rows_written: Count | None = Field(None, description="Rows written to destinations")
    shuffle_read_bytes: Count | None = Field(None, description="Bytes that shuffles read")
    shuffle_write_bytes: Count | None = Field(None, description="Bytes that shuffles wrote")
    spill_bytes: Count | None = Field(None, description="Bytes spilled to disk")
    task_count: Count | None = Field(None, description="Tasks that ran, failed attempts included")
    failed_task_count: Count | None = Field(None, description="Tasks that failed")
    peak_memory_bytes: Count | None = Field(None, description="Largest execution memory of one task, in bytes")
    custom_metrics: dict[str, RunMetric] = Field(
        default_factory=dict, description="Numbers that the run told of itself, and runs within it, by their names"
    )
    schema_fingerprints: dict[str, str] = Field(default_factory=dict, description="Fingerprint of each table's schema")
    metrics_complete: bool | None = Field(None, description="Whether all metrics of the run were seen")
    metrics_source: str | None = Field(
        None, description="What counted: listener (classic Spark) or connect; None: nothing"
    )
    lease_expires_at: UtcTime | None = Field(
        None, description="Until when the driver of an open run is taken to be alive"
    )
    lease_owner: str | None = Field(None, description="Host and process of the driver")
    expires_at: ExpiryTime | None = Field(None, description="When DynamoDB may delete the run log")


def seconds_between(start: datetime | None, end: datetime | None) -> Decimal | None:
    """Seconds between two times, to the microsecond; None where one is not known, or the clock was set back meanwhile.

    >>> seconds_between(datetime(2026, 11, 1, 8), datetime(2026, 11, 1, 8, 1, 30))
    Decimal('90.000000')
    """
    if start is None or end is None or end < start:
        return None
    return Decimal((end - start) // timedelta(microseconds=1)).scaleb(-6)
