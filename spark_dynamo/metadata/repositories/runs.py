"""The repository of run logs: how runs stand, and what a run's story needs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from spark_dynamo.config.layers import known_secrets
from spark_dynamo.errors import ValidationError, shorten
from spark_dynamo.errors.masking import masked
from spark_dynamo.metadata.models import (
    DataQualityResult,
    LogLevel,
    PipelineRunLog,
    RunStatus,
    StageInfo,
    seconds_between,
)
from spark_dynamo.metadata.repositories.argument_orders import pipeline_first, pipeline_second, spelled_also
from spark_dynamo.metadata.repositories.base import AsyncDynamoRepository, BaseDynamoRepository
from spark_dynamo.metadata.repositories.calls import operation
from spark_dynamo.metadata.repositories.operations import Operations
from spark_dynamo.metadata.repositories.reading import Wanted, find
from spark_dynamo.metadata.repositories.run_updates import append, attributes_of, end_stage, put_stage
from spark_dynamo.metadata.steps import Steps
from spark_dynamo.metadata.zones import taken
from spark_dynamo.timezones import utcnow

__all__ = ["AsyncPipelineRunLogsRepository", "PipelineRunLogsRepository"]

_BY_PIPELINE = "pipeline_id-start_time-index"
_BY_STATUS = "status-start_time-index"
_OPEN = (RunStatus.PENDING, RunStatus.RUNNING)


class PipelineRunLogsOperations(Operations[PipelineRunLog]):
    """What the two repositories of run logs can do beside what all can.

    Each update sets `updated_at`. Runs are found by the indexes `pipeline_id-start_time-index` and `status-start_time-index`,
    or by others with those keys and all attributes, and come newest first; where there is none the table is scanned, and the
    log says so once. An index may be a moment behind.

    What belongs to a run's story is appended in place: what others append at the same time stays, and an element that is there
    already, equal in all its fields, is not appended a second time, so that a call is safe to repeat. An item holds 400 KB:
    InvalidItemError where a run's story is longer.
    """

    table_name = "pipeline_run_logs"
    model_class = PipelineRunLog
    primary_key = "run_id"
    updated_attribute = "updated_at"

    # ------------------------------------------------------------------------------------------------------ reading

    @operation
    def get_by_run_id(self, run_id: str, user_timezone: str | None = None) -> Steps[PipelineRunLog | None]:
        """The run's log, None where there is none.

        >>> PipelineRunLogsRepository().get_by_run_id("sales-2026-11-01")  # doctest: +SKIP
        """
        return (yield from self.get.steps(run_id, user_timezone))

    @operation
    def get_runs_by_pipeline(
        self, pipeline_id: str, limit: int | None = None, user_timezone: str | None = None
    ) -> Steps[list[PipelineRunLog]]:
        """The runs of a pipeline, newest first; `limit` bounds what is read, too.

        >>> [run.status for run in PipelineRunLogsRepository().get_runs_by_pipeline("sales", limit=5)]  # doctest: +SKIP
        [<RunStatus.RUNNING: 'running'>, <RunStatus.SUCCESS: 'success'>]
        """
        return (yield from self._runs(("pipeline_id", pipeline_id), _BY_PIPELINE, limit, user_timezone))

    @operation
    @spelled_also(pipeline_second)
    def get_runs_by_status(
        self,
        status: RunStatus | str,
        limit: int | None = None,
        user_timezone: str | None = None,
        *,
        pipeline_id: str | None = None,
    ) -> Steps[list[PipelineRunLog]]:
        """The runs that stand so, of a pipeline or of all, newest first; `limit` bounds what is read, too, without a pipeline.

        `pipeline_id` may also come second.

        >>> PipelineRunLogsRepository().get_runs_by_status("lost", pipeline_id="sales")  # doctest: +SKIP
        """
        if pipeline_id is None:
            return (yield from self._runs(("status", status), _BY_STATUS, limit, user_timezone))
        equal = {"status": status}
        return (yield from self._runs(("pipeline_id", pipeline_id), _BY_PIPELINE, limit, user_timezone, None, equal))

    @operation
    def get_running_pipelines(self, user_timezone: str | None = None) -> Steps[list[PipelineRunLog]]:
        """The runs that are running now, newest first.

        >>> {run.pipeline_id for run in PipelineRunLogsRepository().get_running_pipelines()}  # doctest: +SKIP
        {'sales'}
        """
        return (yield from self._runs(("status", RunStatus.RUNNING), _BY_STATUS, None, user_timezone))

    @operation
    def get_failed_runs(
        self,
        pipeline_id: str | None = None,
        hours: float = 24,
        user_timezone: str | None = None,
        *,
        limit: int | None = None,
    ) -> Steps[list[PipelineRunLog]]:
        """The failed runs of a pipeline, or of all, that began in the last so many hours, newest first.

        >>> PipelineRunLogsRepository().get_failed_runs("sales", hours=6)  # doctest: +SKIP
        """
        since = _hours_ago(hours)
        if pipeline_id is None:
            return (yield from self._runs(("status", RunStatus.FAILED), _BY_STATUS, limit, user_timezone, since))
        failed = {"status": RunStatus.FAILED}
        return (yield from self._runs(("pipeline_id", pipeline_id), _BY_PIPELINE, limit, user_timezone, since, failed))

    @operation
    @spelled_also(pipeline_first)
    def get_recent_runs(
        self,
        hours: float | None = 24,
        limit: int | None = 100,
        user_timezone: str | None = None,
        *,
        pipeline_id: str | None = None,
    ) -> Steps[list[PipelineRunLog]]:
        """The runs that began in the last so many hours, of a pipeline or of all, newest first; None: whenever they began.

        Of all pipelines each status is asked for by itself, as the index has it, so at most 7 times `limit` items are read;
        without the index one Scan reads all. The pipeline may come first, then hours and zone.

        >>> PipelineRunLogsRepository().get_recent_runs(limit=20)  # doctest: +SKIP
        >>> PipelineRunLogsRepository().get_recent_runs("sales", 6)  # doctest: +SKIP
        """
        since = None if hours is None else _hours_ago(hours)
        if pipeline_id is not None:
            return (yield from self._runs(("pipeline_id", pipeline_id), _BY_PIPELINE, limit, user_timezone, since))
        first, *others = RunStatus
        return (yield from self._runs(("status", first), _BY_STATUS, limit, user_timezone, since, others=others))

    def _runs(
        self,
        partition: tuple[str, Any],
        index: str,
        limit: int | None,
        user_timezone: str | None,
        since: datetime | None = None,
        equal: dict[str, Any] | None = None,
        others: Sequence[RunStatus] = (),
    ) -> Steps[list[PipelineRunLog]]:
        self.shown_zone(user_timezone)
        wanted = Wanted(partition, index, "start_time", since, equal, others)
        found = yield from find(self.codec, wanted, newest_first=True, limit=limit)
        return self.shown(found, user_timezone)

    # ------------------------------------------------------------------------------------------------------ writing

    @operation
    def create_run_log(
        self,
        /,
        run_id: str,
        pipeline_id: str,
        trigger_type: str = "manual",
        created_by: str | None = None,
        current_timezone: str | None = None,
        *,
        status: RunStatus | str = RunStatus.RUNNING,
        overwrite: bool = False,
        **fields: Any,
    ) -> Steps[PipelineRunLog]:
        """Store a new run's log; `fields` are further ones of `PipelineRunLog`. Secrets in `config_snapshot` become stars.

        Raises ItemAlreadyExistsError where there is one, unless `overwrite` replaces it.

        >>> PipelineRunLogsRepository().create_run_log("r1", "sales", "schedule", created_by="airflow")  # doctest: +SKIP
        """
        named = {
            "run_id": run_id,
            "pipeline_id": pipeline_id,
            "trigger_type": trigger_type,
            "created_by": created_by,
            "status": status,
        }
        if "config_snapshot" in fields:
            fields["config_snapshot"] = self._masked(fields["config_snapshot"])
        made = self.written(current_timezone).made({**named, **fields})
        return (yield from self.create.steps(made, overwrite=overwrite, current_timezone=current_timezone))

    @operation
    def update_run_status(
        self,
        run_id: str,
        status: RunStatus | str,
        error_message: str | None = None,
        end_time: datetime | str | None = None,
        current_timezone: str | None = None,
    ) -> Steps[PipelineRunLog]:
        """Say how a run stands, and give its log; ItemNotFoundError where there is none.

        Where the run has ended by that, `end_time` is now unless it is given, and `duration_seconds` follows from it. An
        `error_message` of None leaves the one that is stored, secrets in one become stars. Nothing else is touched but
        `updated_at`.

        >>> PipelineRunLogsRepository().update_run_status("r1", "failed", "no such bucket")  # doctest: +SKIP
        """
        changes: dict[str, Any] = {"status": status}
        if error_message is not None:
            changes["error_message"] = self._masked(error_message)
        written = self.written(current_timezone)
        validated = written.take(changes)
        if end_time is None and validated["status"] not in _OPEN:
            end_time = utcnow()
        if end_time is not None:
            changes["end_time"] = written.take({"end_time": end_time})["end_time"]
            started = (yield from attributes_of(written, run_id, ["start_time"])).get("start_time", {}).get("S")
            begin = None if started is None else self.codec.attributes.validate({"start_time": started})["start_time"]
            changes["duration_seconds"] = seconds_between(begin, changes["end_time"])
        return (yield from self.update.steps(run_id, changes, current_timezone=current_timezone))

    @operation
    def add_stage(
        self,
        run_id: str,
        stage: StageInfo | str,
        status: RunStatus | str = RunStatus.RUNNING,
        start_time: datetime | str | None = None,
        current_timezone: str | None = None,
    ) -> Steps[StageInfo]:
        """Append a stage to a run, whole or by its name, and give it; ItemNotFoundError where there is no such run.

        A stage that is given by its name begins now, unless `start_time` is given. One that runs becomes `current_stage`.

        >>> PipelineRunLogsRepository().add_stage("r1", "load")  # doctest: +SKIP
        """
        written = self.written(current_timezone)
        given: Any = stage
        if isinstance(stage, str):
            given = {"stage_name": stage, "status": status, "start_time": start_time or utcnow()}
        (added,) = written.take({"stages": [given]})["stages"]
        current = {"current_stage": added.stage_name} if added.status == RunStatus.RUNNING else {}
        yield from append(written, run_id, "stages", added, current)
        result: StageInfo = added
        return result

    @operation
    def add_stage_info(
        self, run_id: str, stage_info: StageInfo | Mapping[str, Any], current_timezone: str | None = None
    ) -> Steps[PipelineRunLog]:
        """Put a stage in the place of the run's newest one of that name, or append it, and give the run's log as it is then.

        The stage is replaced whole: what `stage_info` doesn't say is None. One that runs becomes `current_stage`, and ceases to be
        where it doesn't. Raises ItemNotFoundError where there is no such run.

        >>> PipelineRunLogsRepository().add_stage_info("r1", {"stage_name": "load", "status": "running"})  # doctest: +SKIP
        """
        written = self.written(current_timezone)
        (stage,) = written.take({"stages": [stage_info]})["stages"]
        return (yield from put_stage(written, run_id, stage))

    @operation
    def end_stage(
        self,
        run_id: str,
        stage_name: str,
        status: RunStatus | str = RunStatus.SUCCESS,
        error_message: str | None = None,
        end_time: datetime | str | None = None,
        current_timezone: str | None = None,
        *,
        records_processed: int | None = None,
    ) -> Steps[StageInfo]:
        """Say how the newest stage of that name ended, and give it as it is then.

        `end_time` is now unless it is given. Raises ItemNotFoundError where there is no such run, and ValidationError where it
        has no such stage.

        >>> PipelineRunLogsRepository().end_stage("r1", "load", records_processed=1200)  # doctest: +SKIP
        """
        written = self.written(current_timezone)
        node = self.codec.attributes.field("end_time").node
        changes = {
            "status": status,
            "error_message": self._masked(error_message),
            "end_time": utcnow() if end_time is None else taken(end_time, node, written.zone),
            "records_processed": records_processed,
        }
        return (yield from end_stage(written, run_id, stage_name, changes))

    @operation
    def add_quality_result(
        self, run_id: str, result: DataQualityResult | dict[str, Any], current_timezone: str | None = None
    ) -> Steps[DataQualityResult]:
        """Append what a check found to a run, and give it; ItemNotFoundError where there is no such run.

        A failed one sets `data_quality_passed` to False. Nothing but its content tells one from another, so that a repeated call
        adds nothing: two checks of a run have two names, or found different values.

        >>> PipelineRunLogsRepository().add_quality_result(  # doctest: +SKIP
        ...     "r1", DataQualityResult(check_name="row_count", passed=False, expected_value=100, actual_value=97))
        """
        written = self.written(current_timezone)
        (added,) = written.take({"data_quality_results": [result]})["data_quality_results"]
        yield from append(
            written, run_id, "data_quality_results", added, {} if added.passed else {"data_quality_passed": False}
        )
        given: DataQualityResult = added
        return given

    @operation
    def add_log_message(
        self,
        /,
        run_id: str,
        message: str,
        level: LogLevel | str = LogLevel.INFO,
        time: datetime | str | None = None,
        current_timezone: str | None = None,
        **details: Any,
    ) -> Steps[dict[str, Any]]:
        """Append a log message to a run, with a time (now, unless it is given) and further details, and give it.

        Its `id` tells it from an equal one of another writer. Secrets in message and details become stars. Raises
        ItemNotFoundError where there is no such run.

        >>> PipelineRunLogsRepository().add_log_message("r1", "retrying", "warning", attempt=2)  # doctest: +SKIP
        """
        written = self.written(current_timezone)
        if not isinstance(message, str):
            raise ValidationError(f"The message of a log message is text, not {shorten(repr(message))}")
        level = self.codec.attributes.validate({"log_level": level})["log_level"]
        at = utcnow() if time is None else written.take({"updated_at": time})["updated_at"]
        entry = {
            "time": at.isoformat(timespec="microseconds"),
            "level": str(level),
            "message": self._masked(message),
            "id": uuid.uuid4().hex[:12],
            **self._masked(details),
        }
        (added,) = written.take({"log_messages": [entry]})["log_messages"]
        yield from append(written, run_id, "log_messages", added, {})
        given: dict[str, Any] = added
        return given

    def _masked(self, value: Any) -> Any:
        """Settings, or a text, without secrets: those that their form tells, and those of the configuration."""
        return masked(value, known_secrets(self.config))


class PipelineRunLogsRepository(PipelineRunLogsOperations, BaseDynamoRepository[PipelineRunLog]):
    """Run logs; the methods block.

    >>> PipelineRunLogsRepository().physical_table_name
    'dev_pipeline_run_logs'
    """


class AsyncPipelineRunLogsRepository(PipelineRunLogsOperations, AsyncDynamoRepository[PipelineRunLog]):
    """Run logs; the methods are awaited.

    >>> await AsyncPipelineRunLogsRepository().add_log_message("r1", "half of it is done")  # doctest: +SKIP
    """


def _hours_ago(hours: float) -> datetime:
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 < hours < 1e6:
        raise ValidationError(f"hours is {shorten(repr(hours))}: give how many hours back, as in 24 or 0.5")
    return utcnow() - timedelta(hours=hours)
