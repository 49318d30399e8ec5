"""Run logs of a file of missed ones, brought into the table afterwards, over what stands there only where the driver would."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydantic

from spark_dynamo.aws.client import Connection
from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.errors import ConfigurationError, RequestFailedError, shorten
from spark_dynamo.metadata.models import PipelineRunLog
from spark_dynamo.run_logs.concurrent_appends import Others
from spark_dynamo.run_logs.plain_values import fit
from spark_dynamo.run_logs.state import OPEN_STATUSES
from spark_dynamo.run_logs.store import LEASE, RunStore, Stored, lease_text, written_over

__all__ = ["ImportedRun", "import_missed_runs"]

_ATTEMPTS = 20  # at a row into which somebody else writes all the time
_AT_THE_END = frozenset(
    {LEASE, "current_stage", "error_message", "error_stack_trace"}
)  # what an ended run may not keep
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """A run of the file: whether its log was written, and the status of the row that stood in its way, None where none did.

    >>> [run.run_id for run in sd.import_missed_runs("missed.jsonl") if not run.is_written]  # doctest: +SKIP
    []
    """

    run_id: str
    pipeline_id: str
    status: str
    is_written: bool
    found: str | None = None


def import_missed_runs(path: str | Path, config: DynamoDBConfig | None = None) -> list[ImportedRun]:
    """Write the run logs of a file, one as JSON to a line, into the table of run logs; safe to repeat.

    Such files are `spark-dynamo-missed-runs-*.jsonl`, which a warning names. `config` is `DynamoDBConfig()` where it is None. Of
    several lines of one run the last counts. A row that says that its run has ended stays as it is, but one that is `lost`, and
    what others have added to a row stays in it. A run that the file leaves open is written only where it has no row, and the next
    `reap` marks it as lost. Raises ConfigurationError, before anything is written, where the file can't be read or a line is no
    run log; TableNotFoundError, AccessDeniedError, RequestFailedError or ConnectionError.

    >>> import_missed_runs("/tmp/spark-dynamo-missed-runs-x7.jsonl")  # doctest: +SKIP
    [ImportedRun(run_id='5f0c', pipeline_id='sales', status='success', is_written=True, found=None)]
    """
    logs = {log.run_id: log for log in _read(Path(path))}
    config = config or DynamoDBConfig()
    store = RunStore(Connection.from_config(config), config.get_table_name("pipeline_run_logs"))
    imported = []
    for log in logs.values():
        found = _write(store, log)
        if found is not None:
            logger.warning(
                "The row of run %s says '%s': '%s' is not written over it", log.run_id, found.status, log.status
            )
        status = None if found is None else found.status
        imported.append(ImportedRun(log.run_id, log.pipeline_id, log.status.value, found is None, status))
    return imported


def _read(path: Path) -> Iterator[PipelineRunLog]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigurationError(f"File '{path}' can't be read: {error.strerror}. Check its name", error) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield PipelineRunLog.model_validate_json(line)
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigurationError(
                f"Line {number} of '{path}' is no run log: {f'{where}: ' if where else ''}{shorten(first['msg'])}. Nothing was "
                "imported: correct the line or leave it out",
                error,
            ) from error


def _write(store: RunStore, log: PipelineRunLog) -> Stored | None:
    """Write a log; the row that stays as it is, None where none does."""
    is_open = log.status in OPEN_STATUSES
    log, cut = fit(log)
    if cut:
        logger.warning("The log of run %s is too large. %s", log.run_id, cut)
    item = store.item(log)
    item.pop("run_id")
    if is_open:  # nobody renews it
        item[LEASE] = {"S": lease_text(log.updated_at)}
    others = Others()
    others.attempted(item)
    # a row of the run's driver has a greater number than 0
    number = 0 if is_open else time.time_ns() // 1_000
    for _ in range(_ATTEMPTS):
        joined = others.joined(item)
        found = store.save(
            log.run_id,
            joined,
            frozenset() if is_open else _AT_THE_END - joined.keys(),
            status=log.status,
            number=number,
            create=True,
            sizes={name: size for name, size in others.sizes.items() if name in joined},
            stages=others.statuses if "stages" in joined else {},
        )
        if found is None or is_open or found.status not in written_over(log.status):
            return found
        others.found(found.row)
        number = max(number, (found.number or 0) + 1)
    raise RequestFailedError(
        f"The row of run '{log.run_id}' in table '{store.table}' changes all the time. Import the file again later"
    )
