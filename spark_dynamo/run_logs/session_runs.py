"""The runs of whole sessions, which are those of whatever no other run is around."""

from __future__ import annotations

import os
from typing import Any, Protocol

from spark_dynamo.run_logs.run import Run
from spark_dynamo.run_logs.watch import is_classic

__all__ = ["DefaultRun", "default_run", "default_runs", "engine_of"]


class DefaultRun(Protocol):
    """A run, and the engines whose work is its own."""

    run: Run

    @property
    def engines(self) -> frozenset[str]:
        """As `engine_of` names them."""


default_runs: list[DefaultRun] = []


def engine_of(spark: Any) -> str:
    """What tells a session's engine from others: a classic application, or a session of Spark Connect."""
    if is_classic(spark):
        context = getattr(spark, "sparkContext", spark)
        return f"application {context.applicationId}"
    return f"session {getattr(spark, 'session_id', id(spark))}"


def default_run(spark: Any = None) -> Run | None:
    """The run of that session; without a session, of the process's only one."""
    found = list(default_runs)
    if spark is not None:
        try:
            engine = engine_of(spark)
        except Exception:  # a session that was stopped
            return None
        found = [one for one in found if engine in one.engines] or [one for one in found if not one.engines]
    return found[0].run if len(found) == 1 else None


os.register_at_fork(after_in_child=default_runs.clear)
