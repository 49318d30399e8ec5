"""A run that is open: what its body can tell of it, and how it ends."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any

from spark_dynamo.aws.client import Connection
from spark_dynamo.errors import ValidationError
from spark_dynamo.metadata.models import LogLevel, PipelineRunLog, RunStatus
from spark_dynamo.run_logs.events import (
    Checked,
    Counted,
    Described,
    Ended,
    Event,
    Figures,
    Logged,
    StageEnded,
    StageStarted,
    TableRead,
    TableWritten,
)
from spark_dynamo.run_logs.failures import Failure, failure_of
from spark_dynamo.run_logs.plain_values import text
from spark_dynamo.run_logs.process import before_exit, close_recorders, recorder_for
from spark_dynamo.run_logs.process_outcome import is_idle
from spark_dynamo.run_logs.signals import TermSignal
from spark_dynamo.run_logs.state import RunState
from spark_dynamo.run_logs.store import RunStore
from spark_dynamo.run_logs.watch import Watch, is_classic, session_of, watch_of
from spark_dynamo.telemetry import run_metric

__all__ = ["JOB_TAG_PREFIX", "PARENT_TAG", "Run"]

JOB_TAG_PREFIX = "spark-dynamo-run-"  # before the run's id, in the tag of its Spark jobs
PARENT_TAG = "parent_run_id"  # of a run within another one
_MOST_REFUSALS = 100  # metrics that can't be counted, of which each is told once
_TERM_SECONDS = 4.0  # of a terminated process for the last writes
_SETTLE_SECONDS = 5.0  # for what Spark has yet to tell of a run that ends
_EXIT_SECONDS = 1.0  # for the same of all runs, where the process ends
logger = logging.getLogger(__name__)


class Run:
    """One run of a pipeline, from `pipeline_run`.

    Any thread may call its methods; they never raise, and none but `flush` waits.
    What is told after the run's end, or in a forked child, is not noted; the log says so once.

    >>> with sd.pipeline_run(spark, "sales") as run:  # doctest: +SKIP
    ...     with run.stage("load"):
    ...         run.log("three files")
    """

    def __init__(
        self,
        first: PipelineRunLog,
        connection: Connection,
        table: str,
        lease_seconds: float,
        *,
        outer: Run | None = None,
        secrets: Sequence[str | None] = (),
    ) -> None:
        self._state = RunState(first, secrets)
        self._outer = outer
        self._parent = _open.get(first.tags.get(PARENT_TAG, ""))  # whose metrics have this one's too
        self._refused: set[str] = set()  # names of metrics that can't be counted
        self._thread: int | None = None  # the one whose jobs are tagged
        self._place = connection, table
        self._lease = lease_seconds
        self._process = os.getpid()
        self._spark: Any = None
        self._watch: Watch | None = None
        self._is_told_to_end = False
        self._raised_by_signal: str | None = None
        self._has_warned = False
        self.at_exit: Callable[[], Failure] = _left_open  # how it ends if it is open when the process does
        self.ends_at: datetime | None = None  # its end where that was before it is told; None: when it is told
        self.when_engine_ends: Callable[[datetime], None] | None = None
        _open[self.run_id] = self
        recorder_for(*self._place).changed(self._state, urgent=True, lease=lease_seconds)

    def __repr__(self) -> str:
        return f"Run({self.run_id!r}, {self.status.value!r})"

    @property
    def run_id(self) -> str:
        """The run's id, the key of its row."""
        return self._state.run_id

    @property
    def pipeline_id(self) -> str:
        """The id of the pipeline that runs."""
        return self._state.pipeline_id

    @property
    def status(self) -> RunStatus:
        """How the run stands here; its row may lag behind, see `flush`."""
        return self._state.status

    @property
    def job_tag(self) -> str:
        """The tag that the Spark jobs of the run's thread carry while it is open."""
        known = self.run_id
        if "," in known:  # which Spark has between tags
            known = hashlib.sha256(known.encode()).hexdigest()
        return f"{JOB_TAG_PREFIX}{known}"

    @property
    def last_error(self) -> Exception | None:
        """Why the newest attempt to write a row of this table failed; None where it did not."""
        return recorder_for(*self._place).last_error

    def store(self) -> RunStore:
        """The table that has the run's row."""
        return RunStore(*self._place)

    @property
    def is_own(self) -> bool:
        """Whether it was opened in this process, not in the one that this was forked from."""
        return os.getpid() == self._process

    def snapshot(self) -> PipelineRunLog:
        """The run log as of now."""
        return self._state.snapshot()

    def to_openlineage(self, *, namespace: str | None = None) -> dict[str, Any]:
        """The run as of now as a RunEvent of OpenLineage, see `sd.to_openlineage`."""
        from spark_dynamo.run_logs.openlineage import to_openlineage

        return to_openlineage(self.snapshot(), namespace=namespace)

    def tell(self, event: Event) -> bool:
        """Take in an event, as the other methods do; False where it changes nothing."""
        if os.getpid() != self._process or self._state.is_ended:
            if not self._has_warned:
                self._has_warned = True
                why = "has ended" if self._state.is_ended else f"belongs to process {self._process}"
                logger.warning(
                    "Run %s %s: what it is told now is not noted (%s)", self.run_id, why, type(event).__name__
                )
            return False
        try:
            if not self._state.apply(event):
                return False
        except ValidationError as error:
            self._refuse(event, error)
            return False
        except Exception:  # as where the user's objects have methods that fail
            logger.warning("Run %s can't take in a %s", self.run_id, type(event).__name__, exc_info=True)
            return False
        recorder_for(*self._place).changed(self._state, urgent=isinstance(event, Ended), lease=self._lease)
        return True

    def stage(self, name: str) -> StageContext:
        """A `with` block that is a stage of the run; an exception that leaves it makes it a failed one.

        A name that the run has had gets a number, as in `load (2)`.
        """
        return StageContext(self, name)

    def _refuse(self, event: Event, error: ValidationError) -> None:
        """Say once for each name of a metric why it is not counted, in the log and in the run's messages."""
        name = text(getattr(event, "name", ""))
        if name not in self._refused and len(self._refused) < _MOST_REFUSALS:
            self._refused.add(name)
            logger.warning("Run %s: %s", self.run_id, error)
            self.log(str(error), LogLevel.WARNING)

    def log(self, message: str, level: str = LogLevel.INFO, **details: Any) -> None:
        """Add a log message, with details by their names; one below the run's `log_level` is left out.

        A detail named `time` goes under `time_`, as each message has its time.
        """
        self.tell(Logged(message, _now(), level, details))

    def metric(self, name: str, value: float | Decimal, unit: str | None = None) -> bool:
        """Count a number of the run's own; what is told under a name that it has had adds up, in the runs around it, too.

        True where it is counted. Else the log and the run's messages say once for each name why not: no finite number, a truth in
        place of one, another unit than before, more than 1,000 names. What differs from run to run and is no sum, as an age
        or a share, should be told once.
        """
        if not self.tell(Counted(name, value, _now(), unit)):
            return False
        outer = self._parent
        while outer is not None:
            outer.tell(Counted(name, value, _now(), unit))
            outer = outer._parent
        run_metric(name, value, unit, pipeline=self.pipeline_id)
        return True

    def check(
        self, name: str, *, passed: bool, expected: Any = None, actual: Any = None, error_message: str | None = None
    ) -> bool:
        """Add the result of a data quality check and return `passed`; a failed check fails no run.

        What is neither true nor false, as a null, has not passed.
        """
        try:
            is_passed = bool(passed)
        except Exception as error:  # as of what is neither true nor false, like `pandas.NA`
            is_passed, error_message = False, error_message or f"neither passed nor failed: {error}"
        self.tell(Checked(name, is_passed, _now(), expected, actual, error_message))
        return is_passed

    def table_read(self, name: str) -> None:
        """Note that the run reads a table; each counts once."""
        self.tell(TableRead(name, _now()))

    def table_written(self, name: str) -> None:
        """Note that the run writes a table; each counts once."""
        self.tell(TableWritten(name, _now()))

    def writes(self, timeout: float = _SETTLE_SECONDS) -> dict[str, Figures]:
        """What the newest write of each table counted, by the table's name or path, where that is known.

        Waits for what Spark has yet to tell of it, `timeout` seconds at most. A stage that wrote several tables counts for none.
        """
        watch = self._watch
        with suppress(Exception):  # no trouble of Spark's is to come from here
            if watch is not None and watch.settle(self, timeout):
                return self._state.writes()
        return {}

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that was told is written; False where that took longer than `timeout` seconds."""
        return os.getpid() == self._process and recorder_for(*self._place).flush(timeout)

    def attach(self, spark: Any, *, is_default: bool = False) -> None:
        """Learn from a Spark session its version and application, tag the jobs of this thread from now on, and watch them.

        With `is_default`, jobs are not tagged: the run is that of all work that belongs to no other one.
        """
        version = application = None
        try:
            version = str(spark.version)
            with suppress(Exception):  # Spark Connect knows no application
                application = str(getattr(spark, "sparkContext", spark).applicationId)
            former, self._watch = self._watch, watch_of(spark)
            if former is not None and former is not self._watch:  # that of a session that was stopped
                former.end(self, _EXIT_SECONDS)
            if self._watch is not None:
                self._watch.begin(self, is_default=is_default, session=session_of(spark))
            if not is_default:
                self._look_for_others(spark)
                spark.addTag(self.job_tag)
                self._spark, self._thread = spark, threading.get_ident()
                if is_classic(spark):  # a session's tags are those of its queries, not of the jobs of RDDs
                    spark.sparkContext.addJobTag(self.job_tag)
        except Exception:  # no trouble of Spark's is to come from here
            logger.debug("Run %s learns nothing of its Spark session", self.run_id, exc_info=True)
        source = None if self._watch is None else self._watch.source
        if version or application or source:
            self.tell(Described(_now(), spark_version=version, spark_application_id=application, metrics_source=source))

    def _look_for_others(self, spark: Any) -> None:
        """On classic Spark, asyncio tasks of one thread share its tags: what they do at the same time can't be told apart."""
        if not is_classic(spark):
            return
        outer, around = self._outer, {self}
        while outer is not None:
            around.add(outer)
            outer = outer._outer
        tags = spark.getTags()
        for other in list(_open.values()):
            if other not in around and other.job_tag in tags:
                for one, its in ((self, other), (other, self)):
                    one._tell_mixed(f"run {its.run_id} was open in the same thread at the same time")

    def _tell_mixed(self, why: str) -> None:
        self.tell(Described(_now(), metrics_complete=False))
        self.log(f"The figures may lack work, or have another run's: {why}", LogLevel.WARNING)

    def engine_ended(self, at: datetime) -> None:
        """Take note that the Spark application, or session, has been stopped; whoever watches it says so."""
        if self.when_engine_ends is not None:
            self.when_engine_ends(at)

    def detach(self, timeout: float = _SETTLE_SECONDS) -> None:
        """Tag no jobs any more, and take in what Spark has yet to tell, within `timeout` seconds."""
        spark, self._spark = self._spark, None
        if spark is not None:
            with suppress(Exception):  # the session may have been stopped
                if self._thread == threading.get_ident() and self.job_tag not in spark.getTags():
                    self._tell_mixed(
                        "somebody has cleared the tags of this thread, by which Spark's jobs are known as the run's"
                    )
                spark.removeTag(self.job_tag)
                if is_classic(spark):
                    spark.sparkContext.removeJobTag(self.job_tag)
        watch, self._watch = self._watch, None
        if watch is not None:
            with suppress(Exception):
                watch.end(self, timeout)

    def end(self, failure: Failure, *, at: datetime | None = None, timeout: float = _SETTLE_SECONDS) -> None:
        """End the run once and for all, at that time or now; what was a failure after SIGTERM is a cancellation."""
        now = _now()
        if self.is_own:
            self.detach(timeout)
        status = failure.status
        if status is RunStatus.FAILED and self._is_told_to_end and self._ends_as_told(failure):
            status = RunStatus.CANCELLED
        if not self._state.is_ended:
            self.tell(Ended(status, at or self.ends_at or now, failure.message, failure.stack))
        _open.pop(self.run_id, None)
        if not _open:
            _term_signal.restore()

    def _ends_as_told(self, failure: Failure) -> bool:
        """Whether it ends by what SIGTERM's handler raised, or exits after it; any other error is one of its own."""
        return failure.message in (self._raised_by_signal, "SystemExit:") or (failure.message or "").startswith(
            "SystemExit: "
        )


class StageContext:
    """The `with` block of a stage."""

    def __init__(self, run: Run, name: str) -> None:
        self._run = run
        self._name = name

    def __enter__(self) -> StageContext:
        self._run.tell(StageStarted(self, self._name, _now()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        failure = failure_of(error)
        self._run.tell(StageEnded(self, _now(), failure.status, failure.message))


def watch_for_termination() -> None:
    """Let SIGTERM end the open runs as cancelled, as far as this thread can see to that."""
    _term_signal.install()


def _received() -> None:
    for run in list(_open.values()):
        run._is_told_to_end = True


def _raised(error: BaseException) -> None:
    for run in list(_open.values()):
        run._raised_by_signal = failure_of(error).message


def _terminating() -> None:
    deadline = time.monotonic() + _TERM_SECONDS
    cancelled = Failure(RunStatus.CANCELLED, "SIGTERM: the process was told to terminate")
    # a notebook that is shut down is told so: nothing was running, and what was done stands
    _end_all(lambda run: run.at_exit() if is_idle() else cancelled)
    close_recorders(max(0.0, deadline - time.monotonic()))


def _at_exit() -> None:
    _end_all(lambda run: run.at_exit())


def _end_all(failure_of_run: Callable[[Run], Failure]) -> None:
    """End the open runs, inner ones first, within the seconds that there are for all of them."""
    deadline = time.monotonic() + _EXIT_SECONDS
    for run in reversed(list(_open.values())):
        run.end(failure_of_run(run), timeout=max(0.0, deadline - time.monotonic()))


def _left_open() -> Failure:
    return Failure(RunStatus.CANCELLED, "Exit: the process ended while the run was open")


def _now() -> datetime:
    return datetime.now(UTC)


_open: dict[str, Run] = {}  # the runs of this process
_term_signal = TermSignal(_received, _raised, _terminating)
before_exit(_at_exit)
os.register_at_fork(after_in_child=_open.clear)
