"""Run logs as the table has them, newest first; those whose driver died are marked as lost on the way, where that is allowed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from functools import cached_property

import orjson

from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.errors import DynamoDBWrapperError, MalformedItemError, ValidationError, shorten
from spark_dynamo.metadata.codec import Codec
from spark_dynamo.metadata.models import PipelineRunLog, RunStatus
from spark_dynamo.metadata.repositories import PipelineRunLogsRepository
from spark_dynamo.reports.status import as_lost, is_open, is_overdue
from spark_dynamo.run_logs.reaper import reap
from spark_dynamo.run_logs.state import OPEN_STATUSES

__all__ = ["read_children", "read_run", "read_runs"]

_BY_STATUS = "status-start_time-index"
_MOST_HOURS = 1e6  # of the repository; no run log is as old as that
logger = logging.getLogger(__name__)


class _ReadableOnly(Codec[PipelineRunLog]):
    """The codec of run logs, whose pages leave out what is none; `unreadable` tells why, by run id."""

    def __init__(self, table: str) -> None:
        super().__init__(PipelineRunLog, table, (PipelineRunLogsRepository.primary_key,))
        self.unreadable: dict[str, str] = {}

    def page(self, body: bytes) -> list[PipelineRunLog]:
        try:
            return super().page(body)
        except (MalformedItemError, ValidationError):
            return [log for item in orjson.loads(body)["Items"] for log in self._readable(item)]

    def _readable(self, item: dict[str, dict[str, str]]) -> list[PipelineRunLog]:
        try:
            return self.models_of([item])
        except MalformedItemError as error:
            found = (
                "missing" if error.found is None else f"{shorten(repr(error.value))}, of DynamoDB type {error.found}"
            )
            problem = f"{error.attribute}: is {found}, not {error.expected}"
        except ValidationError as error:
            problem = "; ".join(f"{path.rpartition(': ')[2]}: {text}" for path, text in error.errors.items()) or str(
                error
            )
        self.unreadable[item[self.key_names[0]]["S"]] = problem
        return []


class _ReadableRuns(PipelineRunLogsRepository):
    """The repository, whose lists leave out what is no run log."""

    @cached_property
    def codec(self) -> _ReadableOnly:
        return _ReadableOnly(self.physical_table_name)


def read_runs(
    config: DynamoDBConfig,
    *,
    pipeline_id: str | None = None,
    statuses: Collection[RunStatus] = (),
    since: datetime | None = None,
    last: int | None = None,
) -> tuple[list[PipelineRunLog], dict[str, str]]:
    """The newest `last` runs, newest first, of that pipeline, in one of those statuses, begun at `since` or later.

    Beside them, by run id, why rows that were read on the way are no run logs. Without a pipeline each status is asked for by
    itself, so a row whose status is none is not among them. Raises TableNotFoundError, AccessDeniedError, RequestFailedError or
    ConnectionError.
    """
    repository = _ReadableRuns(config)
    wanted = frozenset(statuses) or frozenset(RunStatus)
    # a lost run that nobody has marked yet stands as an open one
    asked = wanted | OPEN_STATUSES if RunStatus.LOST in wanted else wanted

    def is_wanted(log: PipelineRunLog, among: Collection[RunStatus]) -> bool:
        return log.status in among and (since is None or log.start_time >= since)

    if pipeline_id is not None:
        found = _of_pipeline(repository, pipeline_id, last, since, lambda log: is_wanted(log, asked))
    elif not statuses:
        found = repository.get_recent_runs(_hours(since), last)
    else:
        # all open ones: any of them may turn out to be lost, or not to be
        found = [
            log
            for status in asked
            for log in repository.get_runs_by_status(status, None if status in OPEN_STATUSES else last)
        ]
    chosen = [log for log in _with_lost(config, repository, found) if is_wanted(log, wanted)]
    chosen.sort(key=lambda log: log.start_time, reverse=True)
    return chosen if last is None else chosen[:last], repository.codec.unreadable


def read_run(config: DynamoDBConfig, run_id: str) -> PipelineRunLog | None:
    """One run; None where there is none. Raises the errors of `read_runs`, and MalformedItemError or ValidationError
    where it is no run log.
    """
    repository = PipelineRunLogsRepository(config)
    log = repository.get_by_run_id(run_id)
    return None if log is None else _with_lost(config, repository, [log])[0]


def read_children(config: DynamoDBConfig, log: PipelineRunLog, most: int = 100) -> list[PipelineRunLog]:
    """The runs that began within a run, as their tag `parent_run_id` says, oldest first; empty where they can't be asked for."""
    repository = _ReadableRuns(config)
    written = log.run_id.replace("\\", "\\\\").replace("'", "\\'")
    try:
        found = [
            child
            for status in RunStatus
            for child in repository.query_by_pk(
                status,
                most,
                index=_BY_STATUS,
                sort_key_from=log.start_time,
                sort_key_to=log.end_time or datetime.now(UTC),
                filter=f"tags['parent_run_id'] = '{written}'",
            )
        ]
    except DynamoDBWrapperError as error:  # as of a table without the index
        logger.info("The runs within run %s can't be asked for: %s", log.run_id, error)
        return []
    return sorted(found, key=lambda child: child.start_time)[:most]


def _of_pipeline(
    repository: PipelineRunLogsRepository,
    pipeline_id: str,
    last: int | None,
    since: datetime | None,
    is_asked: Callable[[PipelineRunLog], bool],
) -> list[PipelineRunLog]:
    """The newest `last` runs of a pipeline that are asked for, and perhaps more; as few others as may be are read for it."""
    limit = last
    while True:
        found = repository.get_runs_by_pipeline(pipeline_id, limit)
        asked = [log for log in found if is_asked(log)]
        is_all = limit is None or len(found) < limit or (since is not None and found[-1].start_time < since)
        if is_all or last is None or len(asked) >= last:
            return asked
        limit = None if limit is None else limit * 4


def _hours(since: datetime | None) -> float | None:
    """How long ago that is; a moment more, since the repository reads the clock anew."""
    if since is None:
        return None
    hours = max((datetime.now(UTC) - since).total_seconds() + 60, 60) / 3_600
    return hours if hours < _MOST_HOURS else None


def _with_lost(
    config: DynamoDBConfig, repository: PipelineRunLogsRepository, logs: Iterable[PipelineRunLog]
) -> list[PipelineRunLog]:
    """The logs; overdue ones as they stand after `reap`, or as it would mark them where it is not allowed to."""
    now = datetime.now(UTC)
    found = list(logs)
    if not any(is_overdue(log, now) for log in found):
        return found
    try:
        reap(config)
    except DynamoDBWrapperError as error:
        logger.info("Runs whose lease ran out are shown as lost, but could not be marked so: %s", error)
    # an index may be late: the row itself tells whether its driver has come back
    fresh = [(repository.get_by_run_id(log.run_id) or log) if is_overdue(log, now) else log for log in found]
    return [as_lost(log) if is_open(log) and is_overdue(log, now) else log for log in fresh]
