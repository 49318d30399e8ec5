"""`ConnectWatch`: the operations of one Spark Connect client, told to the runs that they belong to."""

from __future__ import annotations

import inspect
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from spark_dynamo.metadata.models import LogLevel, RunStatus
from spark_dynamo.run_logs.connect.figures import Observed
from spark_dynamo.run_logs.connect.requests import (
    call_site,
    count_written_rows,
    hides_subqueries,
    is_query,
    kind_of,
    table_written,
    tables_read,
)
from spark_dynamo.run_logs.context import opened_run
from spark_dynamo.run_logs.events import (
    Described,
    Event,
    Logged,
    Measured,
    StageEnded,
    StageStarted,
    TableRead,
    TableWritten,
)
from spark_dynamo.run_logs.failures import failure_of
from spark_dynamo.run_logs.run import JOB_TAG_PREFIX, Run
from spark_dynamo.run_logs.watch import nobodys_work

__all__ = ["ConnectWatch"]

_METHOD = "_execute_and_fetch_as_iterator"  # of the client: all that runs passes through it
_STOPPING = ("release_session", "close")  # what a session's stop calls
_OBSERVATION = "spark-dynamo-rows-"
_PACE = 0.5  # seconds between two tellings of an operation's progress
logger = logging.getLogger(__name__)
_lock = threading.RLock()
_watches: weakref.WeakKeyDictionary[Any, ConnectWatch] = weakref.WeakKeyDictionary()


class _Patch:
    """A method of a client that another one stands in for, on this instance alone."""

    def __init__(self, client: Any, name: str, made: Callable[[Any], Callable[..., Any]]) -> None:
        self._client, self._name = client, name
        self._before = vars(client).get(name)
        self._made = made(getattr(client, name))
        setattr(client, name, self._made)

    def undo(self) -> None:
        """As it was, unless somebody has put another one in its place: that one calls this, which lets everything pass."""
        if vars(self._client).get(self._name) is not self._made:
            return
        if self._before is None:
            delattr(self._client, self._name)
        else:
            setattr(self._client, self._name, self._before)


@dataclass(slots=True, eq=False)
class _Watched:
    """An open run."""

    run: Run
    is_default: bool
    is_complete: bool = True
    lacks_work: bool = False  # whether operations were nobody's while the run was open

    def misses(self) -> None:
        """Note that not all figures of the run are known."""
        if self.is_complete:
            self.is_complete = False
            self.run.tell(Described(_now(), metrics_complete=False))


@dataclass(slots=True, eq=False)
class _Operation:
    """A request that runs, or whose rows are being fetched."""

    key: tuple[str, str]
    kind: str
    name: str
    began: datetime
    owner: _Watched | None
    observed: Observed
    reads: set[str]
    writes: str | None
    is_partial: bool  # it has parts of which the server tells no metrics
    is_told: bool = False
    told_at: float = 0.0
    is_lazy: bool = False  # SQL of a query, which runs when its rows are asked for
    observation: str = field(init=False)

    def __post_init__(self) -> None:
        self.observation = _OBSERVATION + self.key[1]

    def tell(self, event: Event) -> None:
        if (owner := self.owner) is not None:
            owner.run.tell(event)

    def start(self) -> None:
        if not self.is_told:
            self.is_told = True
            self.tell(StageStarted(self.key, self.name, self.began))
            for name in sorted(self.reads):
                self.tell(TableRead(name, self.began))

    def take(self, response: Any) -> bool:
        """Look at a response; False where it is ours alone."""
        kind = type(response).__name__
        if kind == "PlanMetrics":
            self.observed.node(response)
        elif kind == "PlanObservedMetrics" and response.name == self.observation:
            self.observed.rows_written = int(response.pairs["rows"])
            return False
        elif kind == "dict" and "sql_command_result" in response:
            self.is_lazy = response["sql_command_result"].WhichOneof("rel_type") != "local_relation"
        elif kind == "RecordBatch":
            self.observed.rows()
        return True

    def end(self, error: BaseException | None) -> None:
        if error is None and self.is_lazy and not self.is_told:
            return
        self.start()
        failure = failure_of(error)
        at = _now()
        succeeded = failure.status is RunStatus.SUCCESS
        if succeeded and self.writes:
            self.tell(TableWritten(self.writes, at, self.key))
        self.tell(Measured(self.key, self.observed.figures(succeeded=succeeded), at))
        message = failure.message and failure.message.partition("\n\nJVM stacktrace:")[0]
        if isinstance(error, GeneratorExit):
            message = "The rows were not fetched to their end"
        self.tell(StageEnded(self.key, at, failure.status, message))
        is_complete = succeeded and not self.is_partial and self.observed.is_complete
        if not is_complete and (owner := self.owner) is not None:
            owner.misses()


class ConnectWatch:
    """Tells runs of the operations of one Spark Connect client: see `Watch`.

    An operation belongs to the run that is open in the thread or asyncio task which asks for it, else to the innermost open
    one whose tag it carries, else to the default run. While a run is open, the client's method through which all operations
    pass is wrapped, and a progress handler registered. Results, exceptions and laziness stay as they are; what goes wrong in
    here is logged at DEBUG.
    """

    source = "connect"

    def __init__(self, client: Any) -> None:
        self._client = weakref.ref(client)
        self._lock = threading.RLock()  # a signal's handler may come in between
        self._runs: dict[str, _Watched] = {}  # the outermost first
        self._stoppers: list[Callable[[], None]] = []
        self._operations: dict[str, _Operation] = {}
        self._removal: Callable[[], None] | None = None

    @classmethod
    def of(cls, spark: Any) -> ConnectWatch:
        """The watch of that session's client, made when it is first asked for."""
        with _lock:
            watch = _watches.get(spark.client)
            if watch is None:
                _watches[spark.client] = watch = cls(spark.client)
            return watch

    def begin(
        self, run: Run, *, is_default: bool = False, query_id: str | None = None, session: str | None = None
    ) -> None:
        """Tell `run` of its operations from now on; of what streaming queries do, the client sees nothing."""
        if query_id is not None:
            return
        with self._lock:
            watched = self._runs.setdefault(run.run_id, _Watched(run, is_default))
            watched.is_default |= is_default
            if not self._installed():
                watched.misses()

    def settle(self, run: Run, timeout: float) -> bool:
        """Whether the run is watched: all that has ended has been told."""
        return run.run_id in self._runs

    def end(self, run: Run, timeout: float) -> None:
        """Tell nothing more; all that has ended has been told."""
        with self._lock:
            watched = self._runs.pop(run.run_id, None)
            if watched is None:
                return
            for operation in list(self._operations.values()):
                if operation.owner is watched:  # it goes on, in another thread or as rows that nobody fetches
                    operation.owner = None
                    watched.misses()
            if watched.is_complete:
                run.tell(Described(_now(), metrics_complete=True))
            self._remove_if_idle()

    def when_stopping(self, action: Callable[[], None]) -> Callable[[], None]:
        """Call `action` before the session is stopped; the function that is returned takes that back."""
        with self._lock:
            self._stoppers.append(action)
            self._installed()

        def take_back() -> None:
            with self._lock:
                if action in self._stoppers:
                    self._stoppers.remove(action)
                self._remove_if_idle()

        return take_back

    def _installed(self) -> bool:
        """Take one's place in the client; False where this client can't be watched."""
        if self._removal is None:
            try:
                self._removal = self._install()
            except Exception:
                logger.debug("This client of Spark Connect can't be watched", exc_info=True)
        return self._removal is not None

    def _install(self) -> Callable[[], None]:
        client = self._client()
        if client is None or next(iter(inspect.signature(getattr(client, _METHOD)).parameters), None) != "req":
            raise TypeError(f"{_METHOD} takes no req")

        def watched(original: Any) -> Callable[..., Any]:
            return lambda req, *arguments, **named: self._watched(original, req, arguments, named)

        def stopping(original: Any) -> Callable[..., Any]:
            def stop(*arguments: Any, **named: Any) -> Any:
                self._guarded(self._stopping)
                return original(*arguments, **named)

            return stop

        client.register_progress_handler(self._progress)
        patches = [_Patch(client, _METHOD, watched), *(_Patch(client, name, stopping) for name in _STOPPING)]

        def remove() -> None:
            with suppress(ValueError):  # somebody has removed all handlers
                client.remove_progress_handler(self._progress)
            for patch in patches:
                patch.undo()

        return remove

    def _remove_if_idle(self) -> None:
        if self._removal is not None and not self._runs and not self._stoppers:
            removal, self._removal = self._removal, None
            removal()

    def _stopping(self) -> None:
        with self._lock:
            stoppers, self._stoppers = self._stoppers, []
            runs = [watched.run for watched in self._runs.values()]
        for action in stoppers:
            self._guarded(action)
        for run in runs:
            run.engine_ended(_now())

    def _watched(self, original: Callable[..., Iterator[Any]], req: Any, arguments: Any, named: Any) -> Iterator[Any]:
        """The responses to a request as they are; runs from the first on, as the method itself does."""
        operation = self._guarded(self._begin, req)
        responses = original(req, *arguments, **named)
        if operation is None:
            yield from responses
            return
        error: BaseException | None = None
        try:
            for response in responses:
                if self._guarded(operation.take, response) is not False:
                    yield response
        except BaseException as raised:
            error = raised
            raise
        finally:
            with suppress(AttributeError):
                responses.close()  # type: ignore[attr-defined]
            self._guarded(self._end, operation, error)
            del error  # it knows this frame

    def _begin(self, request: Any) -> _Operation | None:
        kind = kind_of(request)
        owner = None if kind is None else self._owner(request.tags)
        if kind is None:
            return None
        if owner is None:
            self._note_nobodys(call_site(kind), request.tags)
            return None
        operation = _Operation(
            ("connect", request.operation_id),
            kind,
            call_site(kind),
            _now(),
            owner,
            Observed(is_query(request), kind == "local_relation"),
            tables_read(request),
            table_written(request),
            hides_subqueries(request),
        )
        self._guarded(count_written_rows, request, operation.observation)
        self._operations[request.operation_id] = operation
        if kind != "sql_command":  # of which it is not known yet whether it runs
            operation.start()
        return operation

    def _note_nobodys(self, name: str, tags: Any) -> None:
        """An operation that no open run asked for: of a thread that knows of none."""
        if any(tag.startswith(JOB_TAG_PREFIX) for tag in tags):  # of a run that has ended
            return
        with self._lock:
            watched = list(self._runs.values())
        for one in watched:
            if not one.lacks_work:
                one.lacks_work = True
                one.misses()
                one.run.tell(Logged(nobodys_work(name), _now(), LogLevel.WARNING))

    def _owner(self, tags: Any) -> _Watched | None:
        carried = frozenset(tags)
        current = opened_run()
        with self._lock:
            inner = list(reversed(self._runs.values()))
        rules: list[Callable[[_Watched], bool]] = [
            lambda one: one.run is current,
            lambda one: one.run.job_tag in carried,
            lambda one: one.is_default,
        ]
        return next((one for rule in rules for one in inner if rule(one)), None)

    def _end(self, operation: _Operation, error: BaseException | None) -> None:
        self._operations.pop(operation.key[1], None)
        operation.end(error)

    def _progress(self, stages: Any, inflight_tasks: int, operation_id: str | None, done: bool) -> None:
        """A progress handler of pyspark, called in the thread of the operation."""
        operation = self._operations.get(operation_id or "")
        if operation is not None:
            self._guarded(self._advance, operation, stages, inflight_tasks)

    def _advance(self, operation: _Operation, stages: Any, inflight_tasks: int) -> None:
        operation.observed.progress(stages, inflight_tasks)
        now = time.monotonic()
        if now - operation.told_at >= _PACE:
            operation.told_at = now
            operation.start()
            operation.tell(Measured(operation.key, operation.observed.so_far(), _now()))

    def _guarded(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function returns; None where it fails, which must not come to the user's query."""
        try:
            return function(*arguments)
        except Exception:
            logger.debug("An operation of Spark Connect can't be watched", exc_info=True)
            return None


def _now() -> datetime:
    return datetime.now(UTC)
