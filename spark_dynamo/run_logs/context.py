"""`pipeline_run`: a run bounded by a `with` block or by a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar, cast

from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.metadata.models import LogLevel
from spark_dynamo.run_logs.failures import failure_of
from spark_dynamo.run_logs.recorder import LEASE_SECONDS
from spark_dynamo.run_logs.run import Run, watch_for_termination
from spark_dynamo.run_logs.session_runs import default_run
from spark_dynamo.run_logs.settings import RunSettings

__all__ = ["current_run", "pipeline_run"]

_current: ContextVar[Run | None] = ContextVar("spark_dynamo_run", default=None)
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def opened_run() -> Run | None:
    """The innermost run that was opened in this thread or asyncio task, by `pipeline_run`.

    >>> opened_run() is None
    True
    """
    return _current.get()


def current_run() -> Run | None:
    """The innermost run that is open in this thread or asyncio task, else that of the process's only registered session.

    >>> current_run() is None  # none is open
    True
    """
    return _current.get() or default_run()


class pipeline_run:  # noqa: N801 - it is called and used like a function
    """A run of a pipeline, as a `with` block or as a decorator; its row writes itself.

    The row says `running` at once, and at the end `success`, `failed` with class, message and stack (also for
    `sys.exit(1)`), or `cancelled` (KeyboardInterrupt, SIGTERM, a cancelled task or Spark job). Exceptions go on unchanged, and
    no trouble with DynamoDB reaches the body. A run in a run, or in a session with a listener, has the outer one's id as its tag
    `parent_run_id`, and figures of its own, which the outer one's leave out (what `run.metric` counts is in both); a thread starts
    without an outer `pipeline_run`, so that one may be given there as `parent_run_id`.

    `spark` is a session or None; `config` is `DynamoDBConfig()` where it is None. Secrets in `config_snapshot` become stars.
    `ttl`, in seconds or a timedelta, lets the row expire that long after the start. A driver that dies leaves a row whose lease
    runs out after `lease_seconds`; `reap` marks it as lost. Messages below `log_level` are left out. Raises ConfigurationError
    before the body where an argument or the configuration can't be used.

    >>> with pipeline_run(None, "sales", "schedule") as run:  # doctest: +SKIP
    ...     with run.stage("load"):
    ...         run.table_read("orders")
    ...     run.check("row count", passed=True, expected=100, actual=100)
    >>> @pipeline_run(None, "sales")
    ... def job() -> None: ...
    """

    def __init__(
        self,
        spark: Any,
        pipeline_id: str,
        trigger_type: str = "manual",
        *,
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
    ) -> None:
        self._settings = RunSettings(
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
        self._spark = spark
        self._entered: list[tuple[Run, Token[Run | None]]] = []

    def __enter__(self) -> Run:
        run = self._settings.open(outer=_current.get() or default_run(self._spark))
        watch_for_termination()
        self._entered.append((run, _current.set(run)))
        if self._spark is not None:
            try:
                run.attach(self._spark)
            except BaseException as error:  # somebody interrupts it
                self.__exit__(type(error), error, None)
                raise
        return run

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        run, token = self._entered.pop()
        try:
            _current.reset(token)
        except ValueError:  # a generator was closed in another context than it began in
            _current.set(None)
        run.end(failure_of(error))

    def __call__(self, function: FunctionT) -> FunctionT:
        """The function with a run around each call of it; a coroutine function stays one."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{function.__qualname__} is a generator: put `with pipeline_run(...)` into its body instead"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_coroutine(*arguments: Any, **named: Any) -> Any:
                with self._fresh():
                    return await function(*arguments, **named)

            return cast("FunctionT", run_coroutine)

        @functools.wraps(function)
        def run_function(*arguments: Any, **named: Any) -> Any:
            with self._fresh():
                return function(*arguments, **named)

        return cast("FunctionT", run_function)

    def _fresh(self) -> pipeline_run:
        """Another one like this, since several threads may call a function at once."""
        fresh = object.__new__(type(self))
        fresh.__dict__.update(self.__dict__, _entered=[])
        return fresh
