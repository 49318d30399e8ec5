"""Run logs that DynamoDB did not get: a local file of JSON lines, one `PipelineRunLog` each."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

from spark_dynamo.metadata.models import PipelineRunLog

__all__ = ["MissedLogs"]

logger = logging.getLogger(__name__)


class MissedLogs:
    """A file that is made with its first line; a warning says where it is. Never raises.

    Only the user may read it. `import_missed_runs` brings it into the table; `PipelineRunLog.model_validate_json(line)` gives
    a log back, whole.
    """

    def __init__(self, table: str, folder: Path | None = None) -> None:
        self.path: Path | None = None
        self._table = table
        self._folder = folder

    def add(self, log: PipelineRunLog) -> None:
        """Append a log."""
        try:
            if self.path is None:
                handle, name = tempfile.mkstemp(".jsonl", "spark-dynamo-missed-runs-", self._folder)
                os.close(handle)
                self.path = Path(name)
                logger.warning("Run logs that could not be written to table '%s' are in %s", self._table, self.path)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(log.model_dump_json() + "\n")
        except Exception:  # a full disk must not end a job either
            logger.warning("The log of run %s could be written nowhere and is lost", log.run_id, exc_info=True)
