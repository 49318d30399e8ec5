"""`StreamRuns`: each streaming query of a session is a run of its own, classic and Connect alike."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from pyspark.sql.streaming.listener import StreamingQueryListener

from spark_dynamo.metadata.models import RunStatus
from spark_dynamo.run_logs.connect import ConnectWatch
from spark_dynamo.run_logs.events import Described, Event, Measured, StageEnded, StageStarted, TableRead, TableWritten
from spark_dynamo.run_logs.failures import Failure, is_cancellation, with_cause
from spark_dynamo.run_logs.micro_batches import JobFigures, Progress
from spark_dynamo.run_logs.run import Run
from spark_dynamo.run_logs.settings import RunSettings
from spark_dynamo.run_logs.state import OPEN_STATUSES
from spark_dynamo.run_logs.watch import Watch, is_classic, watch_of

__all__ = ["StreamRuns"]

_SHUT_DOWN = "SparkContext was shut down"
_SETTLE_SECONDS = 5.0  # for what the jobs of a query that has ended have yet to tell
_ANSWER_SECONDS = 2.0  # for Spark, which may be gone
_ENDED_KEPT = 1_000
_TABLES_KEPT = 1_000
logger = logging.getLogger(__name__)
T = TypeVar("T")
_to_stop: weakref.WeakSet[StreamRuns] = weakref.WeakSet()
_is_registered = False


class StreamRuns:
    """Opens a run for each streaming query of a session when it starts, and ends it when the query terminates.

    A run has the `settings`, but for `run_id`, and the tags `query_id`, `query_run_id` and `query_name`; with `outer` it is a
    run within that one. It succeeds where the query was stopped or came to its natural end, has failed where the query
    terminated with an exception, and is cancelled where its jobs or session were, or where nobody watches it any more. It
    is lost where the query is over and Spark didn't tell how it ended.

    What its log says is told by `micro_batches`. Queries that are active already become runs that begin now. A restart is
    another run. Nothing here raises, and Spark's callbacks never wait.
    """

    def __init__(self, spark: Any, settings: RunSettings, outer: Run | None = None) -> None:
        parent = settings.parent_run_id if outer is None else None
        self._settings = replace(settings, run_id=None, parent_run_id=parent)
        self._outer = outer
        self._spark = spark
        self._condition = threading.Condition()  # with a reentrant lock: a signal's handler may come in between
        self._queries: dict[str, _QueryRun] = {}  # by the query's run id
        self._over: OrderedDict[str, None] = OrderedDict()  # run ids of queries whose events may come late
        self._ending: set[threading.Thread] = set()
        self._is_stopped = self._has_warned = False
        self._watch = _attempt(lambda: watch_of(spark))
        self._version = _attempt(lambda: str(spark.version))
        self._application = _attempt(lambda: str(spark.sparkContext.applicationId))
        self._source = "listener" if self._watch is None else self._watch.source
        self._listener = _Listener(self)
        self._forget: Callable[[], None] = lambda: None
        if isinstance(self._watch, ConnectWatch):  # Spark warns of listeners that its session's end cuts off
            self._forget = self._watch.when_stopping(self._session_stops)
            _stop_before_exit(self)
        try:
            spark.streams.addListener(self._listener)
            for query in spark.streams.active:
                self._open(str(query.id), str(query.runId), query.name)
        except Exception as error:
            self._warn(error)

    def stop(self) -> None:
        """Watch no more: the runs of queries that are active still are cancelled; within some 10 seconds at worst."""
        self._stop("The query is active still, but watched no more")

    def _session_stops(self) -> None:
        self._stop(_SESSION_OVER)

    def _stop(self, why: str) -> None:
        with self._condition:
            if self._is_stopped:
                return
            self._is_stopped = True
        self._forget()
        _to_stop.discard(self)
        active: set[str] | None = None
        if not _is_over(self._spark):
            active = _answer(lambda: {str(query.runId) for query in self._spark.streams.active})
            if active is not None:  # what has ended was told, or is about to be
                with self._condition:
                    self._condition.wait_for(lambda: self._queries.keys() <= active, _ANSWER_SECONDS)
            _answer(lambda: self._spark.streams.removeListener(self._listener))
        with self._condition:
            left = list(self._queries)
        for run_id in left:
            if active is None:
                self._close(run_id, Failure(RunStatus.CANCELLED, _SESSION_OVER))
            else:
                self._close(run_id, Failure(RunStatus.CANCELLED, why) if run_id in active else _UNTOLD)
        deadline = time.monotonic() + _SETTLE_SECONDS
        for thread in tuple(self._ending):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _open(self, query_id: str, run_id: str, name: str | None) -> _QueryRun | None:
        """The run of a query, opened if it isn't; None where the query is over."""
        with self._condition:
            known = self._queries.get(run_id)
            if known is not None or run_id in self._over or (self._is_stopped and run_id not in self._queries):
                return known
            named = {"query_name": name} if name else {}
            tags = {**self._settings.tags, "query_id": query_id, "query_run_id": run_id, **named}
            run = replace(self._settings, tags=tags).open(outer=self._outer)
            self._queries[run_id] = query = _QueryRun(run, query_id, self._watch)
        run.tell(
            Described(
                _now(),
                spark_version=self._version,
                spark_application_id=self._application,
                metrics_source=self._source,
            )
        )
        query.begin()
        return query

    def _heard(self, query_id: str, run_id: str, name: str | None) -> _QueryRun | None:
        """The run of a query of which there is an event in its turn, so that those before it will tell no more."""
        query = self._open(query_id, run_id, name)
        with self._condition:
            others = [other for other, one in self._queries.items() if one.query_id == query_id]
        if run_id in others:
            for other in others[: others.index(run_id)]:  # a query is active once at a time
                self._close(other, _UNTOLD)
        return query

    def _close(self, run_id: str, failure: Failure) -> None:
        with self._condition:
            query = self._queries.pop(run_id, None)
            self._over[run_id] = None
            if len(self._over) > _ENDED_KEPT:
                self._over.popitem(last=False)
            self._condition.notify_all()
        if query is None:
            return

        def finish() -> None:
            try:
                query.end(failure)
            finally:
                self._ending.discard(thread)

        # the jobs' last figures come through the very bus that waits for us
        thread = threading.Thread(target=finish, name="spark-dynamo-stream-end")
        self._ending.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the interpreter ends
            finish()

    def _warn(self, error: Exception) -> None:
        level = logging.DEBUG if self._has_warned else logging.WARNING
        self._has_warned = True
        logger.log(level, "Streaming queries can't be logged: %s", error)


class _Listener(StreamingQueryListener):
    """Passes on Spark's events; an exception in here would be printed, or end the listening."""

    def __init__(self, runs: StreamRuns) -> None:
        self._runs = runs

    # comes at once, while the other events wait for their turn
    def onQueryStarted(self, event: Any) -> None:  # noqa: N802
        self._guarded(lambda: self._runs._open(str(event.id), str(event.runId), event.name))

    def onQueryProgress(self, event: Any) -> None:  # noqa: N802
        def advance() -> None:
            progress = event.progress
            query = self._runs._heard(str(progress.id), str(progress.runId), progress.name)
            if query is not None:
                query.advance(progress)

        self._guarded(advance)

    def onQueryIdle(self, event: Any) -> None:  # noqa: N802
        """Nothing has happened."""

    def onQueryTerminated(self, event: Any) -> None:  # noqa: N802
        def close() -> None:
            # on Connect this may come before the start
            self._runs._heard(str(event.id), str(event.runId), None)
            self._runs._close(str(event.runId), _failure(event.exception))

        self._guarded(close)

    def _guarded(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:
            self._runs._warn(error)


class _QueryRun:
    """The run of one query; to the watch it is the run that is told of the query's jobs."""

    def __init__(self, run: Run, query_id: str, watch: Watch | None) -> None:
        self.query_id = query_id
        self._run = run
        self._watch = watch
        self._lock = threading.RLock()
        self._progress = Progress(_now(), is_watched=watch is not None and watch.source == "listener")
        self._jobs = JobFigures()
        self._tables: set[str] = set()

    @property
    def run_id(self) -> str:
        return self._run.run_id

    @property
    def job_tag(self) -> str:
        return self._run.job_tag

    @property
    def status(self) -> RunStatus:
        return self._run.status

    def begin(self) -> None:
        if self._watch is not None:
            self._watch.begin(cast("Run", self), query_id=self.query_id)

    def tell(self, event: Event) -> bool:
        """What the watch tells: stages would be several for each batch, and rows are merged with those of the progress."""
        with self._lock:
            if self.status not in OPEN_STATUSES or isinstance(event, StageStarted | StageEnded):
                return False
            if isinstance(event, Measured):
                self._jobs.put(event.key, event.figures)
                return self._tell_jobs(event.at)
            if isinstance(event, TableRead | TableWritten):
                return self._is_table(event.name) and self._run.tell(event)
            if isinstance(event, Described) and event.schema_fingerprints:
                tables = {name: found for name, found in event.schema_fingerprints.items() if self._is_table(name)}
                event = replace(event, schema_fingerprints=tables)
            return self._run.tell(event)

    def _is_table(self, name: str) -> bool:
        """Whether to tell of a table; the files of a source are another few in each batch, and are told by its name."""
        if "." in name.rpartition("/")[2] and "/" in name:
            return False
        if len(self._tables) < _TABLES_KEPT:
            self._tables.add(name)
        return name in self._tables

    def advance(self, progress: Any) -> None:
        with self._lock:
            if self.status not in OPEN_STATUSES:
                return
            at, before = _now(), self._progress.sink_counts
            for event in self._progress.take(progress, at):
                self._run.tell(event)
            if self._progress.sink_counts != before:
                self._tell_jobs(at)

    def end(self, failure: Failure) -> None:
        if self._watch is not None:
            with suppress(Exception):
                self._watch.end(cast("Run", self), _SETTLE_SECONDS)
        with self._lock:
            if self.status in OPEN_STATUSES:
                at = _now()
                if self._progress.sink_counts is None:
                    self._run.tell(Measured("jobs", self._jobs.total(sink_counts=False), at))
                for event in self._progress.end(failure.status, at):
                    self._run.tell(event)
            self._run.end(failure)

    def _tell_jobs(self, at: datetime) -> bool:
        return self._run.tell(Measured("jobs", self._jobs.total(sink_counts=self._progress.sink_counts), at))


_SESSION_OVER = "The Spark session was stopped while the query was active"
_UNTOLD = Failure(RunStatus.LOST, "The query is over, and Spark did not tell how it ended")


def _failure(exception: str | None) -> Failure:
    """How a query ended that terminated with that exception and its stack, as Spark's event tells it."""
    if not exception:
        return Failure(RunStatus.SUCCESS)
    is_cancelled = is_cancellation(exception) or _SHUT_DOWN in exception
    message = with_cause(exception.partition("\n\tat ")[0].strip())
    return Failure(RunStatus.CANCELLED if is_cancelled else RunStatus.FAILED, message, exception)


def _stop_before_exit(runs: StreamRuns) -> None:
    """Stop these before Python waits for all threads to end: pyspark's thread for listeners of Connect would never."""
    global _is_registered
    register = getattr(threading, "_register_atexit", None)  # `atexit` comes later
    if register is not None and not _is_registered:
        _is_registered = True
        with suppress(RuntimeError):  # the interpreter ends
            register(_stop_all)
    _to_stop.add(runs)


def _stop_all() -> None:
    for runs in tuple(_to_stop):
        runs.stop()


def _is_over(spark: Any) -> bool:
    """Whether the session has been stopped, so that nobody need be asked."""
    if is_classic(spark):
        return bool(spark.sparkContext._jsc is None)
    return bool(getattr(spark, "is_stopped", False))


def _attempt(question: Callable[[], T]) -> T | None:
    try:
        return question()
    except Exception:
        return None


def _answer(question: Callable[[], T]) -> T | None:
    """What Spark answers; None where it doesn't within two seconds, as a server that is gone."""
    answers: list[T | None] = []
    thread = threading.Thread(
        target=lambda: answers.append(_attempt(question)), name="spark-dynamo-stream-question", daemon=True
    )
    try:
        thread.start()
    except RuntimeError:  # the interpreter ends
        return None
    thread.join(_ANSWER_SECONDS)
    return answers[0] if answers else None


def _now() -> datetime:
    return datetime.now(UTC)
