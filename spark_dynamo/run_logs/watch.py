"""Who tells the runs of a Spark session what Spark does: a `Watch`, one a session's engine, classic or Connect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a run asks for its watch, and the watch tells the run
    from spark_dynamo.run_logs.run import Run

__all__ = ["Watch", "is_classic", "watch_of"]


class Watch(Protocol):
    """Tells open runs of the Spark work that is theirs, by `Run.tell`; any thread may call its methods."""

    @property
    def source(self) -> str:
        """What `metrics_source` of a run log says: listener or connect."""

    def begin(
        self, run: Run, *, is_default: bool = False, query_id: str | None = None, session: str | None = None
    ) -> None:
        """From now on tell `run` of all work that carries its `job_tag`.

        With `is_default` also of the work that belongs to no run; with `query_id` of the streaming query of that id, which then
        belongs to no other run. Work of `session` that belongs to no run makes the figures incomplete, and a message says so.
        """

    def settle(self, run: Run, timeout: float) -> bool:
        """Tell the run what has happened until now, within `timeout` seconds; False where something may be missing."""

    def end(self, run: Run, timeout: float) -> None:
        """Tell the run what has happened until now, within `timeout` seconds, and then nothing more."""


def nobodys_work(name: str) -> str:
    """What a run's message says of work that belongs to no run."""
    return (
        f"The figures may lack work: '{name}' ran in this session while the run was open, and belongs to no run. A thread of one's "
        "own does not carry the run's tag: give it `inheritable_thread_target(spark)(function)` of pyspark's, made anew for "
        "each call"
    )


def session_of(spark: Any) -> str | None:
    """The id of a classic session, None where it has none that is told."""
    try:
        return str(spark._jsparkSession.sessionUUID())
    except Exception:  # a context, or a session of Connect
        return None


def is_classic(spark: Any) -> bool:
    """Whether a session, or context, has a JVM of its own.

    >>> is_classic(object())
    False
    """
    # by names: asking with `isinstance` would import the other engine
    return any(kind.__module__ in ("pyspark.sql.session", "pyspark.core.context") for kind in type(spark).__mro__)


def watch_of(spark: Any) -> Watch | None:
    """The watch of that session's engine, made when it is first asked for; None where nothing can be known."""
    if is_classic(spark):
        from spark_dynamo.run_logs.classic.watch import ClassicWatch

        return ClassicWatch.of(spark)
    if any(kind.__module__ == "pyspark.sql.connect.session" for kind in type(spark).__mro__):
        from spark_dynamo.run_logs.connect import ConnectWatch

        return ConnectWatch.of(spark)
    return None
