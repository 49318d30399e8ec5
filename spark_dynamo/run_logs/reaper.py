"""Runs whose driver died without a word: their lease ran out, and `reap` marks them as lost."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from spark_dynamo.aws.client import Connection
from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.run_logs.store import ExpiredRun, RunStore, lost_message

__all__ = ["reap"]

logger = logging.getLogger(__name__)


def reap(
    config: DynamoDBConfig | RunStore | None = None, *, now: datetime | None = None, scan: bool = True
) -> list[ExpiredRun]:
    """Mark each run as lost that is still open and whose lease has run out; those that were marked, as they were found.

    `config` is `DynamoDBConfig()` where it is None, `now` the time in UTC; without `scan`, a table that lacks the index of
    statuses is left alone. A run whose driver renews its lease or ends it in the same moment stays as it is: each mark is a
    conditional write. The end of a lost run is not known, so it has none. Raises
    TableNotFoundError, AccessDeniedError, RequestFailedError or ConnectionError.

    >>> reap(DynamoDBConfig(table_prefix="myapp"))  # doctest: +SKIP
    [ExpiredRun(run_id='5f0c', pipeline_id='sales', status='running', ...)]
    """
    now = (now or datetime.now(UTC)).astimezone(UTC)
    store = config if isinstance(config, RunStore) else _store(config or DynamoDBConfig())
    lost = [run for run in store.expired(now, scan=scan) if store.mark_lost(run, now, _message(run))]
    for run in lost:
        logger.warning("Run %s of pipeline %s is lost: %s", run.run_id, run.pipeline_id, _message(run))
    return lost


def _store(config: DynamoDBConfig) -> RunStore:
    return RunStore(Connection.from_config(config), config.get_table_name("pipeline_run_logs"))


def _message(run: ExpiredRun) -> str:
    return lost_message(run.owner, run.lease_expires_at)
