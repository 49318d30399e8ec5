"""The run logs of streaming queries."""

from __future__ import annotations

from typing import Any

from spark_dynamo.metadata.models import PipelineRunLog
from spark_dynamo.run_logs.process import flush_recorders
from tests.runs.tables import RunTable


def log_of(table: RunTable, query: Any) -> PipelineRunLog:
    """The one row of that run of a streaming query."""
    assert flush_recorders(60.0)
    (run_id,) = (item["run_id"]["S"] for item in table.server.items(table.name) if run_of(item) == str(query.runId))
    return table.log(run_id)


def run_of(item: dict[str, Any]) -> str | None:
    """The run id of the query that a row is about; None where it is about none."""
    found: str | None = item.get("tags", {}).get("M", {}).get("query_run_id", {}).get("S")
    return found
