"""What a task knows of the session that it works for."""

from __future__ import annotations

import os
from pathlib import Path

from pyspark import TaskContext

from spark_dynamo.predicates.settings import TOLD, Settings

_EXECUTION = "spark.sql.execution.id"  # a task of Spark SQL has it, and with it the session's settings
_ZONE = "spark.sql.session.timeZone"


def session_settings() -> Settings:
    """The session's settings as a task has them; those of Spark itself where no task is running.

    Without a setting of its own, the session's zone is, as for Spark, the machine's.
    """
    task = TaskContext.get()
    machine = str(Path("/etc/localtime").resolve()).partition("zoneinfo/")[2]
    zone = os.environ.get("TZ", "").lstrip(":") or machine or "UTC"
    if task is None:
        return Settings(zone)
    told = {name: value for name in TOLD if (value := task.getLocalProperty(name)) is not None}
    is_known = bool(told) or task.getLocalProperty(_EXECUTION) is not None
    return Settings(task.getLocalProperty(_ZONE) or zone, told if is_known else None)
