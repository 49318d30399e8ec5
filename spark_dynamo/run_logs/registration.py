"""`register_run_listener`: a run of all that a Spark session does until it stops or the process ends."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.errors import ConfigurationError
from spark_dynamo.metadata.models import LogLevel
from spark_dynamo.run_logs.context import current_run
from spark_dynamo.run_logs.failures import Failure, failure_of
from spark_dynamo.run_logs.process_outcome import Outcome, is_interactive
from spark_dynamo.run_logs.reaper import reap
from spark_dynamo.run_logs.recorder import LEASE_SECONDS
from spark_dynamo.run_logs.run import Run, watch_for_termination
from spark_dynamo.run_logs.session_runs import default_runs, engine_of
from spark_dynamo.run_logs.settings import RunSettings
from spark_dynamo.run_logs.watch import is_classic

__all__ = ["RunListener", "register_run_listener"]

_GRACE = 10.0  # seconds after a session's stop within which, at a prompt, an error of the last cell still fails its run
logger = logging.getLogger(__name__)
_lock = threading.RLock()
_listeners: dict[str, RunListener] = {}  # by engine


def register_run_listener(
    spark: Any,
    *,
    pipeline_id: str,
    trigger_type: str = "manual",
    config: DynamoDBConfig | None = None,
    created_by: str | None = None,
    tags: Mapping[str, str] | None = None,
    pipeline_version: str | None = None,
    config_snapshot: Mapping[str, Any] | None = None,
    ttl: timedelta | float | None = None,
    log_level: LogLevel | str = LogLevel.INFO,
    run_id: str | None = None,
    parent_run_id: str | None = None,
    lease_seconds: float = LEASE_SECONDS,
) -> RunListener:
    """Log what a session does from now on as a run of that pipeline, without another line of code.

    The run ends at `unregister()`, with the session's `stop()`, or with the process: as `failed` where an exception that nobody
    caught ended the process, one of its threads or the notebook's last cell, or `sys.exit` with a failure; as `cancelled` by
    Ctrl-C, SIGTERM and a cancelled job; else as `success`. An exception that the code itself caught is a failed stage of a
    successful run. Since a script may fail after `spark.stop()`, a stopped session's run is closed at the process's end, by
    `flush()` or the next listener, and at a prompt 10 seconds later; its end is the stop's time.

    A `pipeline_run` names this run as its parent, and its figures are its own; each streaming query is a run too. The arguments
    mean what they mean for `pipeline_run`. A session has one listener: the same call again returns it, a different one raises
    ConfigurationError, as does an argument that can't be used.

    >>> listener = register_run_listener(spark, pipeline_id="sales", trigger_type="schedule")  # doctest: +SKIP
    >>> listener.run_id  # doctest: +SKIP
    '5f0c2b6e3d7d4a5f8f0e1c2d3b4a5968'
    """
    settings = RunSettings(
        pipeline_id=pipeline_id,
        trigger_type=trigger_type,
        config=config,
        created_by=created_by,
        tags=tags or {},
        pipeline_version=pipeline_version,
        config_snapshot=config_snapshot or {},
        ttl=ttl,
        log_level=log_level,
        run_id=run_id,
        parent_run_id=parent_run_id,
        lease_seconds=lease_seconds,
    )
    engine = _checked_engine(spark)
    for former in list(_listeners.values()):
        former._settle_if_stopped()
    with _lock:
        registered = _listeners.get(engine) or _listeners.get("")
        if registered is None:
            return RunListener(settings, outer=current_run())._attached(spark)
    if registered.is_launched:
        logger.warning(
            "This job's run is %s already, that of `spark-dynamo run`: it has no other one", registered.run_id
        )
        return registered
    if registered.settings != settings:
        raise ConfigurationError(
            f"This session's run is {registered.run_id} of pipeline '{registered.settings.pipeline_id}' already: "
            "end it by `unregister()` before another one is registered"
        )
    return registered


def _checked_engine(spark: Any) -> str:
    if not callable(getattr(spark, "stop", None)):
        raise ConfigurationError(f"spark is a {type(spark).__qualname__}: give a SparkSession")
    try:
        return engine_of(spark)
    except Exception as error:
        raise ConfigurationError("The session that was given as spark has been stopped: make a new one") from error


class RunListener:
    """The run of a session, from `register_run_listener`; in a `with` block, the block's end is its end.

    >>> listener = sd.register_run_listener(spark, pipeline_id="sales")  # doctest: +SKIP
    >>> listener.run_id, listener.last_error  # doctest: +SKIP
    ('1f0e...', None)
    """

    def __init__(self, settings: RunSettings, *, outer: Run | None = None, is_launched: bool = False) -> None:
        self.settings = settings
        self.is_launched = is_launched
        self._outcome = Outcome()
        try:
            self.run = settings.open(outer=outer)
        except BaseException:
            self._outcome.close()
            raise
        self.run.at_exit = self._outcome.verdict_at_exit
        self._engines: set[str] = set()
        self._is_engine_over: Callable[[], bool] = _never
        self._streams: Any = None
        self._stopped_at: datetime | None = None
        self._is_settled = False
        self._settled = threading.Event()
        watch_for_termination()
        default_runs.append(self)
        if is_launched:
            _listeners[""] = self
        threading.Thread(target=self._reap, name="spark-dynamo-reap", daemon=True).start()

    def __repr__(self) -> str:
        return f"RunListener({self.run_id!r}, {self.run.status.value!r})"

    def __enter__(self) -> RunListener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self.is_launched:  # else the job goes on
            self.end(failure_of(error) if error is not None else self._outcome.verdict())

    @property
    def run_id(self) -> str:
        """The run's id, the key of its row."""
        return self.run.run_id

    @property
    def engines(self) -> frozenset[str]:
        """The Spark applications, or sessions of Connect, whose work this is."""
        return frozenset(self._engines)

    @property
    def last_error(self) -> Exception | None:
        """Why the newest attempt to write a row of this table failed; None where it did not."""
        return self.run.last_error

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that is known is written; False where that took longer than `timeout` seconds."""
        if sys.exc_info()[1] is None:  # else it may yet end the process
            self._settle_if_stopped()
        return self.run.flush(timeout)

    def unregister(self) -> None:
        """End the run, as it stands; nothing happens where it has ended, or is that of `spark-dynamo run`."""
        if self.is_launched:
            return
        if sys.exc_info()[1] is None:
            self.end(self._outcome.verdict())
        else:  # perhaps in a `finally`: whether somebody catches it is yet to be seen
            self._stop(datetime.now(UTC))

    def conclude(self) -> None:
        """End the run where all has gone well as far as the caller can see."""
        self.end(self._outcome.verdict())

    def attach(self, spark: Any) -> None:
        """Take a session's work, or a context's, as this run's from now on; never raises."""
        engine = engine_of(spark)
        if engine not in self._engines:
            self._engines.add(engine)
            _listeners[engine] = self
            self.run.when_engine_ends = self._engine_ended
            self._is_engine_over = _over(spark)
            self.run.attach(spark, is_default=True)
        if self._streams is None and hasattr(spark, "streams"):
            try:
                from spark_dynamo.run_logs.streaming import StreamRuns

                self._streams = StreamRuns(spark, self.settings, self.run)
            except Exception:
                logger.debug("Streaming queries have no runs", exc_info=True)

    def _reap(self) -> None:
        """Mark the runs as lost whose drivers died, as far as the table's index shows them, once the own row is there."""
        try:
            if self.run.flush(60):
                reap(self.run.store(), scan=False)
        except Exception:
            logger.debug("Runs whose drivers died can't be looked for", exc_info=True)

    def _attached(self, spark: Any) -> RunListener:
        try:
            self.attach(spark)
        except BaseException as error:  # somebody interrupts it
            self.end(failure_of(error))
            raise
        return self

    def end(self, failure: Failure, *, at: datetime | None = None) -> None:
        """End the run, with that status, at that time or now; nothing happens where it has ended."""
        with _lock:
            if self._is_settled:
                return
            self._is_settled = True
            for engine in [name for name, listener in _listeners.items() if listener is self]:
                del _listeners[engine]
            if self in default_runs:
                default_runs.remove(self)
        self._stop_streams()
        self.run.end(failure, at=at)
        self._outcome.close()
        self._settled.set()

    def _engine_ended(self, at: datetime) -> None:
        """The session was stopped; told by the thread that watches it, which is not to wait here."""
        if self.is_launched:  # the job goes on, perhaps with another session
            self._engines.clear()
            self._streams = None
        else:
            self._stop(at)

    def _stop(self, at: datetime) -> None:
        with _lock:
            if self._stopped_at is not None or self._is_settled:
                return
            self._stopped_at = self.run.ends_at = at
        threading.Thread(target=self._wait, name="spark-dynamo-verdict", daemon=True).start()

    def _wait(self) -> None:
        self._stop_streams()
        self.run.detach()
        # in a script an error may yet end the process, however late
        if is_interactive() and not self._settled.wait(_GRACE) and self.run.is_own:
            self._settle_if_stopped()

    def _settle_if_stopped(self) -> None:
        if self._stopped_at is None and not self.is_launched and self._is_engine_over():
            self.run.detach()  # which tells the time of the stop, where that is known
            self._stop(datetime.now(UTC))
        if self._stopped_at is not None:
            self.end(self._outcome.verdict(), at=self._stopped_at)

    def _stop_streams(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            try:
                streams.stop()
            except Exception:
                logger.debug("Streaming queries' runs can't be ended", exc_info=True)


def _never() -> bool:
    return False


def _over(spark: Any) -> Callable[[], bool]:
    """What tells whether that session, or context, has been stopped."""
    if is_classic(spark):
        context = getattr(spark, "sparkContext", spark)
        return lambda: context._jsc is None
    return lambda: bool(getattr(spark, "is_stopped", False))


def _forget() -> None:
    """In a forked child: the listeners are the parent's."""
    global _lock
    _lock = threading.RLock()
    _listeners.clear()


os.register_at_fork(after_in_child=_forget)
