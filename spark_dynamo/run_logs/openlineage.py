"""A run log as an OpenLineage RunEvent (core specification 2-0-2), for catalogs that speak it.

What the specification has no facet for is in facets of ours, whose schema is `openlineage_facets.json` beside this module.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

from spark_dynamo.errors import ConfigurationError, shorten
from spark_dynamo.metadata.models import DataQualityResult, PipelineRunLog, RunStatus

__all__ = ["EventType", "dataset_name", "is_uuid", "run_uuid", "to_openlineage"]

EventType: TypeAlias = Literal["START", "RUNNING", "COMPLETE", "FAIL", "ABORT", "OTHER"]

_SPECIFICATION = "https://openlineage.io/spec"
_SCHEMA_URL = f"{_SPECIFICATION}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_VERSION = version("spark-dynamo")
_PRODUCER = f"https://github.com/spark-dynamo/spark-dynamo/tree/v{_VERSION}"
# the specification asks for a URL that never changes; the facets have a version of their own
_OUR_FACETS = (
    "https://raw.githubusercontent.com/spark-dynamo/spark-dynamo/v0.1.0/spark_dynamo/run_logs/openlineage_facets.json"
)
_UUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_MOST_STAGES = 100  # of thousands, so that an event stays small
_OF_RUNS = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/spark-dynamo/spark-dynamo/runs")
_LOCATED = re.compile(r"(?P<place>(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*))(?P<path>.*)", re.DOTALL)
_TYPES: Mapping[RunStatus, EventType] = MappingProxyType(
    {
        RunStatus.PENDING: "OTHER",
        RunStatus.RUNNING: "RUNNING",
        RunStatus.SUCCESS: "COMPLETE",
        RunStatus.SKIPPED: "COMPLETE",
        RunStatus.FAILED: "FAIL",
        RunStatus.CANCELLED: "ABORT",
        RunStatus.LOST: "ABORT",
    }
)
_FIGURES: Mapping[str, str] = MappingProxyType(
    {
        "rowsRead": "rows_read",
        "rowsWritten": "rows_written",
        "recordsProcessed": "total_records_processed",
        "recordsFailed": "total_records_failed",
        "inputBytes": "input_data_size_bytes",
        "outputBytes": "output_data_size_bytes",
        "shuffleReadBytes": "shuffle_read_bytes",
        "shuffleWriteBytes": "shuffle_write_bytes",
        "spillBytes": "spill_bytes",
        "taskCount": "task_count",
        "failedTaskCount": "failed_task_count",
        "peakMemoryBytes": "peak_memory_bytes",
        "cpuHours": "cpu_hours",
        "durationSeconds": "duration_seconds",
        "retryCount": "retry_count",
        "metricsComplete": "metrics_complete",
        "metricsSource": "metrics_source",
    }
)


def to_openlineage(
    log: PipelineRunLog,
    *,
    namespace: str | None = None,
    event_type: EventType | None = None,
    parent: PipelineRunLog | None = None,
) -> dict[str, Any]:
    """The run as a RunEvent, ready for `json.dumps`.

    Its type is that of the status (running: RUNNING; success, skipped: COMPLETE; failed: FAIL; cancelled, lost: ABORT; pending:
    OTHER) unless `event_type` names another: "START" gives the event of the run's begin, which the specification asks for beside
    that of its end. The job is the pipeline, in `namespace`, else that of the variable OPENLINEAGE_NAMESPACE, else
    `spark-dynamo-<environment>`. `runId` is the run's id where that is a UUID (with dashes or without), else one that is derived
    from it, always the same. Rows and bytes are those of a dataset where it is the only one; else the run alone has them, in the
    facet `sparkDynamo_run`. A parent is named where `parent` is its log, or the tag `parent_pipeline_id` tells its pipeline. A lost
    run's event is of when its lease ran out, the last that is known of it. Raises ConfigurationError for another `event_type`.

    >>> event = to_openlineage(PipelineRunLog(run_id="r1", pipeline_id="sales", status="success", trigger_type="schedule"))
    >>> event["eventType"], event["job"]["name"], event["run"]["runId"]
    ('COMPLETE', 'sales', '65f4f94a-008a-5774-8925-cbc8020c108f')
    """
    kind = event_type or _TYPES[log.status]
    if kind not in get_args(EventType):
        raise ConfigurationError(f"event_type {shorten(repr(event_type))} is none of {', '.join(get_args(EventType))}")
    spoken = namespace or os.environ.get("OPENLINEAGE_NAMESPACE") or f"spark-dynamo-{log.environment}"
    is_begin = kind == "START"
    return {
        "eventType": kind,
        "eventTime": _time(_event_time(log, kind)),
        "run": {"runId": run_uuid(log.run_id), "facets": _run_facets(log, spoken, parent, is_begin=is_begin)},
        "job": {"namespace": spoken, "name": log.pipeline_id, "facets": {"jobType": _job_type(log)}},
        "inputs": [] if is_begin else _datasets(log, log.input_tables, spoken, "input"),
        "outputs": [] if is_begin else _datasets(log, log.output_tables, spoken, "output"),
        "producer": _PRODUCER,
        "schemaURL": _SCHEMA_URL,
    }


def is_uuid(text: str) -> bool:
    """Whether a run's id is a UUID, with dashes or without.

    >>> is_uuid("5F0C2A9E8B7D4C6FA1B2C3D4E5F60718"), is_uuid("nightly")
    (True, False)
    """
    return _UUID.fullmatch(text) is not None


def run_uuid(run_id: str) -> str:
    """A run's id as a UUID: itself where it is one, else the UUIDv5 of its name.

    >>> run_uuid("5F0C2A9E8B7D4C6FA1B2C3D4E5F60718"), run_uuid("nightly") == run_uuid("nightly")
    ('5f0c2a9e-8b7d-4c6f-a1b2-c3d4e5f60718', True)
    """
    return str(uuid.UUID(run_id) if is_uuid(run_id) else uuid.uuid5(_OF_RUNS, run_id))


def dataset_name(table: str, namespace: str) -> tuple[str, str]:
    """Namespace and name of a dataset, by the specification's naming: of a URL its place and its path.

    >>> dataset_name("s3a://lake/orders/day=1", "x"), dataset_name("/data/orders", "x"), dataset_name("orders", "x")
    (('s3://lake', 'orders/day=1'), ('file', '/data/orders'), ('x', 'orders'))
    """
    if found := _LOCATED.fullmatch(table):
        scheme = found["scheme"].lower()
        if not found["authority"]:
            return scheme, found["path"] or "/"
        if scheme in ("s3a", "s3n"):
            scheme = "s3"
        path = found["path"] if scheme == "hdfs" else found["path"].strip("/")
        return f"{scheme}://{found['authority']}", path or "/"
    if table.startswith("file:"):
        return "file", table.removeprefix("file:")
    return ("file", table) if table.startswith("/") else (namespace, table)


def _event_time(log: PipelineRunLog, kind: EventType) -> datetime:
    if kind == "START":
        return log.start_time
    if log.status is RunStatus.LOST and log.lease_expires_at is not None:
        return log.end_time or log.lease_expires_at  # the row was updated whenever somebody looked
    return log.end_time or log.updated_at


def _time(time: datetime) -> str:
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _facet(path: str, **fields: Any) -> dict[str, Any]:
    """A facet; fields that are None are left out."""
    known = {name: value for name, value in fields.items() if value is not None}
    name = path.partition("/")[2]
    url = f"{_SPECIFICATION}/facets/{path}.json#/$defs/{name}" if name else f"{_OUR_FACETS}#/$defs/{path}"
    return {"_producer": _PRODUCER, "_schemaURL": url, **known}


def _run_facets(
    log: PipelineRunLog, namespace: str, parent: PipelineRunLog | None, *, is_begin: bool
) -> dict[str, dict[str, Any]]:
    facets = {"parent": _parent(log, namespace, parent), "processing_engine": _engine(log), "tags": _tags(log)}
    if not is_begin:
        facets |= {
            "errorMessage": _error(log),
            "test": _tests(log.data_quality_results),
            "sparkDynamo_run": _run(log),
        }
    return {name: facet for name, facet in facets.items() if facet is not None}


def _parent(log: PipelineRunLog, namespace: str, parent: PipelineRunLog | None) -> dict[str, Any] | None:
    run_id = parent.run_id if parent else log.tags.get("parent_run_id")
    pipeline = parent.pipeline_id if parent else log.tags.get("parent_pipeline_id")
    if not run_id or not pipeline:
        return None
    job = {"namespace": namespace, "name": pipeline}
    return _facet("1-1-0/ParentRunFacet", run={"runId": run_uuid(run_id)}, job=job)


def _engine(log: PipelineRunLog) -> dict[str, Any] | None:
    if log.spark_version is None:
        return None
    return _facet(
        "1-1-1/ProcessingEngineRunFacet", name="spark", version=log.spark_version, openlineageAdapterVersion=_VERSION
    )


def _tags(log: PipelineRunLog) -> dict[str, Any] | None:
    if not log.tags:
        return None
    tags = [{"key": name, "value": value, "source": "USER"} for name, value in log.tags.items()]
    return _facet("1-0-0/TagsRunFacet", tags=tags)


def _error(log: PipelineRunLog) -> dict[str, Any] | None:
    if log.error_message is None:
        return None
    return _facet(
        "1-0-1/ErrorMessageRunFacet",
        message=log.error_message,
        programmingLanguage="Python",
        stackTrace=log.error_stack_trace,
    )


def _tests(results: Sequence[DataQualityResult]) -> dict[str, Any] | None:
    if not results:
        return None
    tests = [
        {
            "name": result.check_name,
            "status": "pass" if result.passed else "fail",
            "severity": "warn",  # a check that failed fails no run
            **{
                name: str(value)
                for name, value in (
                    ("expected", result.expected_value),
                    ("actual", result.actual_value),
                    ("description", result.error_message),
                )
                if value is not None
            },
        }
        for result in results
    ]
    return _facet("1-0-1/TestRunFacet", tests=tests)


def _run(log: PipelineRunLog) -> dict[str, Any]:
    figures = {name: _number(getattr(log, field)) for name, field in _FIGURES.items()}
    stages = [
        {
            "name": stage.stage_name,
            "status": stage.status.value,
            **({"startTime": _time(stage.start_time)} if stage.start_time else {}),
            **({"endTime": _time(stage.end_time)} if stage.end_time else {}),
            **({"records": stage.records_processed} if stage.records_processed is not None else {}),
        }
        for stage in log.stages[-_MOST_STAGES:]
    ]
    return _facet(
        "SparkDynamoRunFacet",
        runId=log.run_id,
        status=log.status.value,
        triggerType=log.trigger_type,
        sparkApplicationId=log.spark_application_id,
        parentRunId=log.tags.get("parent_run_id"),
        pythonVersion=log.python_version,
        pipelineVersion=log.pipeline_version,
        customMetrics=[
            {"name": name, "value": _number(metric.value), **({"unit": metric.unit} if metric.unit else {})}
            for name, metric in log.custom_metrics.items()
        ]
        or None,
        stageCount=len(log.stages),
        stages=stages,
        **figures,
    )


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _job_type(log: PipelineRunLog) -> dict[str, Any]:
    kind = "STREAMING" if log.trigger_type == "streaming" else "BATCH"
    return _facet("2-0-3/JobTypeJobFacet", processingType=kind, integration="SPARK", jobType="PIPELINE")


def _datasets(
    log: PipelineRunLog, tables: Sequence[str], namespace: str, side: Literal["input", "output"]
) -> list[dict[str, Any]]:
    datasets: list[dict[str, Any]] = []
    for table in tables:
        place, name = dataset_name(table, namespace)
        dataset: dict[str, Any] = {"namespace": place, "name": name, "facets": {}}
        if table in log.schema_fingerprints:
            dataset["facets"]["sparkDynamo_schemaFingerprint"] = _facet(
                "SparkDynamoSchemaFingerprintDatasetFacet", fingerprint=log.schema_fingerprints[table]
            )
        datasets.append(dataset)
    statistics = _statistics(log, side) if len(tables) == 1 else None
    if statistics:
        datasets[0][f"{side}Facets"] = statistics
    return datasets


def _statistics(log: PipelineRunLog, side: Literal["input", "output"]) -> dict[str, Any] | None:
    """Rows and bytes of the only table of a side, for which those of the run stand."""
    is_input = side == "input"
    rows = log.rows_read if is_input else log.rows_written
    size = log.input_data_size_bytes if is_input else log.output_data_size_bytes
    if rows is None and size is None:
        return None
    path = "1-0-0/InputStatisticsInputDatasetFacet" if is_input else "1-0-2/OutputStatisticsOutputDatasetFacet"
    return {f"{side}Statistics": _facet(path, rowCount=rows, size=size)}
