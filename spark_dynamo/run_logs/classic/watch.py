"""`ClassicWatch`: who asks the listener in the JVM what is new, and tells each run of its own work."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql.types import StructType

from spark_dynamo.metadata.models import LogLevel
from spark_dynamo.run_logs.classic.jvm import JvmEvents
from spark_dynamo.run_logs.classic.work import Key, Work, stage_name, status_of, streaming_query, time_of
from spark_dynamo.run_logs.events import Described, Logged, Measured, StageEnded, StageStarted, TableRead, TableWritten
from spark_dynamo.run_logs.failures import with_cause
from spark_dynamo.run_logs.run import Run
from spark_dynamo.run_logs.watch import nobodys_work
from spark_dynamo.schema.fingerprint import fingerprint
from spark_dynamo.source.write.receipts import Execution, take_receipts, wait_for_receipts, wait_no_more

__all__ = ["ClassicWatch"]

_PACE = 1.0  # seconds between two questions while runs are open
_ENDED_KEPT = 1_000  # works that are over, of which late tasks may yet be told
_SCHEMAS_KEPT = 1_000
_LONGEST_ERROR = 2_000  # characters, of a stage
logger = logging.getLogger(__name__)

_lock = threading.RLock()  # a signal's handler may come in between
_watches: dict[str, ClassicWatch | None] = {}  # by application


@dataclass(slots=True, eq=False)
class _Watched:
    """A run that is told of its work."""

    run: Run
    is_default: bool
    session: str | None = None  # where that is known
    is_lost: bool = False  # whether some of its events were
    lacks: str | None = None  # the first work that was nobody's while the run was open
    query_ids: set[str] = field(default_factory=set)
    since: int = field(default_factory=lambda: time.time_ns() // 1_000_000)  # milliseconds


@dataclass(slots=True, eq=False)
class _Ending:
    """A run that is to be told of what has happened until now, and if that `is_last`, then no more."""

    watched: _Watched
    deadline: float
    is_last: bool = True
    is_complete: bool = False
    done: threading.Event = field(default_factory=threading.Event)


class ClassicWatch:
    """The watch of a SparkContext; a listener in its JVM, and a thread in Python while runs are open.

    Work belongs to the innermost run whose tag it carries and that is open: a run's figures leave out those of the runs within
    it, so that the sum over rows counts nothing twice. A streaming query's batches belong to the run that began with its id, or
    to one that began within the batch; what carries no open run's tag belongs to the default run.
    """

    source = "listener"

    def __init__(self, context: Any) -> None:
        self._events = JvmEvents(context)
        self._application = str(context.applicationId)
        self._url = context.uiWebUrl
        self._watched: dict[str, _Watched] = {}  # by tag, the outermost first
        self._asked: SimpleQueue[_Ending | None] = SimpleQueue()
        self._work: dict[Key, Work] = {}
        self._ended: OrderedDict[Key, Work] = OrderedDict()
        self._fingerprints: OrderedDict[str, str] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._is_over = False

    @classmethod
    def of(cls, spark: Any) -> ClassicWatch | None:
        """The watch of a session's context, made when it is first asked for; None where this Spark can't be watched."""
        context = getattr(spark, "sparkContext", spark)
        application = str(context.applicationId)
        with _lock:
            if application not in _watches:
                _watches.clear()  # a process has one context at a time
                try:
                    _watches[application] = cls(context)
                except Exception:
                    logger.warning("Runs have no figures: the listener can't be added to this Spark", exc_info=True)
                    _watches[application] = None
            return _watches[application]

    def begin(
        self, run: Run, *, is_default: bool = False, query_id: str | None = None, session: str | None = None
    ) -> None:
        """From now on tell `run` of its work, see `Watch`."""
        with _lock:
            if self._is_over:
                return
            if not self._watched:
                self._events.listen(True)
                wait_for_receipts(self._application)
            watched = self._watched.setdefault(run.job_tag, _Watched(run, is_default, session))
            watched.is_default |= is_default
            if query_id is not None:
                watched.query_ids.add(query_id)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="spark-dynamo-watch", daemon=True)
                self._thread.start()
        if self._url:
            run.tell(Described(datetime.now(UTC), monitoring_urls={"spark_ui": str(self._url)}))
        self._asked.put(None)

    def end(self, run: Run, timeout: float) -> None:
        """Tell the run what has happened until now, and then nothing more, see `Watch`."""
        watched = self._watched.get(run.job_tag)
        if watched is None:
            return
        ending = _Ending(watched, time.monotonic() + timeout)
        self._asked.put(ending)
        ending.done.wait(timeout)
        run.tell(Described(datetime.now(UTC), metrics_complete=ending.is_complete))
        self._forget(watched)

    def settle(self, run: Run, timeout: float) -> bool:
        """Tell the run what has happened until now, see `Watch`."""
        watched = self._watched.get(run.job_tag)
        if watched is None:
            return False
        asked = _Ending(watched, time.monotonic() + timeout, is_last=False)
        self._asked.put(asked)
        return asked.done.wait(timeout) and asked.is_complete

    def _forget(self, watched: _Watched) -> None:
        with _lock:
            self._watched.pop(watched.run.job_tag, None)

    def _run(self) -> None:
        """The thread's work: wait for what is asked, else look once in a while."""
        while True:
            try:
                asked = self._asked.get(timeout=_PACE if self._watched else None)
            except Empty:
                asked = None
            try:
                if asked is not None:
                    self._settle(asked)
                elif self._watched and not self._is_over:
                    self._look()
            except Py4JJavaError:  # what was not told this time is lost, but the JVM is there
                logger.debug("Spark fails to tell what runs did", exc_info=True)
                self._lost()
            except Exception:  # the JVM is gone: what is known stays
                logger.debug("Spark can't be asked what runs did", exc_info=True)
                self._over()
            finally:
                if asked is not None:
                    if asked.is_last:
                        self._forget(asked.watched)
                    asked.done.set()
            if self._is_over and not self._watched:
                return

    def _settle(self, ending: _Ending) -> None:
        is_whole = self._events.sync(max(0.0, ending.deadline - time.monotonic()))
        self._look()
        watched = ending.watched
        ending.is_complete = is_whole and not watched.is_lost and watched.lacks is None
        if not ending.is_last:
            return
        with _lock:
            self._forget(ending.watched)
            for work in itertools.chain(self._work.values(), self._ended.values()):
                if work.run is ending.watched.run:
                    work.run = None
            if not self._watched and not self._is_over:
                self._events.listen(False)
                wait_no_more(self._application)
                self._work.clear()
                self._ended.clear()

    def _over(self) -> None:
        with _lock:
            self._is_over = True
            wait_no_more(self._application)
            _watches.pop(self._application, None)

    def _lost(self) -> None:
        for watched in list(self._watched.values()):
            watched.is_lost = True

    def _look(self) -> None:
        """Take in what is new; figures of one work that were told again and again count once, the last ones."""
        changed: dict[Key, Work] = {}
        for event in self._events.drain():
            try:
                self._take(event, changed)
            except Exception:  # one odd event must not keep the others from their runs
                logger.debug("An event of Spark's can't be taken in: %s", event.get("kind"), exc_info=True)
                self._lost()
        for work in changed.values():
            self._measure(work)

    def _take(self, event: dict[str, Any], changed: dict[Key, Work]) -> None:
        kind = event["kind"]
        if kind == "figures":
            key = event["of"], event["id"]
            work = self._work.get(key) or self._ended.get(key)
            if work is not None:
                work.figures[key] = event
                changed[work.key] = work
        elif kind in ("sql", "job"):
            self._begin(kind, event)
        elif kind in ("sql_end", "job_end"):
            self._end((kind.removesuffix("_end"), event["id"]), event, changed)
        elif kind == "lost":
            self._lost()
        elif kind == "application_end":
            self._over()
            for watched in list(self._watched.values()):
                if isinstance(watched.run, Run):  # else it stands in for one, as a streaming query's does
                    watched.run.engine_ended(time_of(event["at"]))

    def _begin(self, kind: str, event: dict[str, Any]) -> None:
        key = kind, event["id"]
        around = self._work.get(("sql", event.get("root", -1)))
        tags = frozenset(event["tags"])
        # unless a run began within it
        if around is not None and tags <= around.tags:
            self._work[key] = around
            self._note_tables(around, event, is_inner=True)
            return
        owner = self._owner(event)
        work = self._work[key] = Work(key, owner, tags)
        if owner is None:
            self._note_nobodys(event)
            return
        if event["infers"]:  # no work that anybody asked for; its tasks count
            work.is_hidden = True
            return
        written = list((event.get("tables") or {}).get("written", {}))
        name = stage_name(event["name"], f"{'query' if kind == 'sql' else 'job'} {event['id']}", *written[:1])
        owner.tell(StageStarted((self._application, key), name, time_of(event["at"])))
        self._note_tables(work, event)

    def _note_nobodys(self, event: dict[str, Any]) -> None:
        """Work that began while runs were open, in their session, and is that of none: of a thread without a run's tag."""
        if event["tags"] or event["is_part"] or event.get("query") or streaming_query(event["name"]):
            return
        with _lock:
            watched = [one for one in self._watched.values() if not one.query_ids and event["at"] >= one.since]
        for one in watched:
            is_its_session = one.session == event["session"] or None in (one.session, event["session"])
            if one.lacks is None and is_its_session:
                one.lacks = stage_name(event["name"], "a job")
                one.run.tell(Logged(nobodys_work(one.lacks), time_of(event["at"]), LogLevel.WARNING))

    def _end(self, key: Key, event: dict[str, Any], changed: dict[Key, Work]) -> None:
        work = self._work.pop(key, None)
        if work is None:
            return
        self._take_receipts(work, key, time_of(event["at"]))
        self._ended[key] = work
        if len(self._ended) > _ENDED_KEPT:
            self._ended.popitem(last=False)
        self._note_tables(work, event, is_inner=key != work.key)
        if key != work.key or work.run is None or work.is_hidden:
            return
        changed.pop(key, None)
        self._measure(work)
        error = event["error"] and with_cause(event["error"])[:_LONGEST_ERROR]
        stage = self._application, key  # another application's ids begin anew
        work.run.tell(StageEnded(stage, time_of(event["at"]), status_of(event["error"]), error))

    def _take_receipts(self, work: Work, key: Key, at: datetime) -> None:
        if key[0] != "sql":
            return
        for receipt in take_receipts(Execution(self._application, key[1])):
            work.receipts[key] = receipt
            if work.run is not None:
                level = LogLevel.INFO if receipt.is_whole else LogLevel.WARNING
                work.run.tell(Logged(receipt.sentence, at, level))

    def _measure(self, work: Work) -> None:
        if work.run is not None:
            work.run.tell(Measured((self._application, work.key), work.sums(), datetime.now(UTC)))

    def _owner(self, event: dict[str, Any]) -> Run | None:
        """The run that work belongs to, None where it is that of none."""
        with _lock:
            watched = list(self._watched.values())
        query = event.get("query") or streaming_query(event["name"])
        tags = set(event["tags"])
        inner = reversed(watched)
        rules: list[Callable[[_Watched], bool]] = [
            # the query's id stays the same when it is started again
            # a run within a batch began after the query's, whose thread carries the tags of those that began before
            lambda one: (query in one.query_ids and event["at"] >= one.since) or one.run.job_tag in tags,
            lambda one: one.is_default and event["at"] >= one.since,
        ]
        candidates = list(inner)
        return next((one.run for rule in rules for one in candidates if rule(one)), None)

    def _note_tables(self, work: Work, event: dict[str, Any], *, is_inner: bool = False) -> None:
        tables = event.get("tables")
        if not tables or work.run is None or work.is_hidden:
            return
        if tables["leaves_receipt"]:
            work.leaves_receipt.add((event["kind"].removesuffix("_end"), event["id"]))
        at = time_of(event["at"])
        is_left_be = tables["is_tentative"] and not event.get("has_written")
        written = {} if is_left_be or (is_inner and work.has_written) else tables["written"]
        work.has_written |= bool(written) and not is_inner
        for name in tables["read"]:
            work.run.tell(TableRead(name, at))
        for name in written:
            work.run.tell(TableWritten(name, at, (self._application, work.key)))
        prints = {name: self._fingerprint(name, schema) for name, schema in (tables["read"] | written).items()}
        known = {name: found for name, found in prints.items() if found is not None}
        if known:
            work.run.tell(Described(at, schema_fingerprints=known))

    def _fingerprint(self, name: str, schema: dict[str, Any] | None) -> str | None:
        """The fingerprint of a table's schema; None for the schema means that it is as it was."""
        if schema is None:
            return self._fingerprints.get(name)
        try:
            found = fingerprint(StructType.fromJson(schema))
        except Exception:  # a type that has no form here, as a user's own
            self._fingerprints.pop(name, None)
            return None
        self._fingerprints[name] = found
        if len(self._fingerprints) > _SCHEMAS_KEPT:
            self._fingerprints.popitem(last=False)
        return found


def _forget() -> None:
    """In a forked child: the threads and connections are the parent's."""
    global _lock
    _lock = threading.RLock()
    _watches.clear()


os.register_at_fork(after_in_child=_forget)
