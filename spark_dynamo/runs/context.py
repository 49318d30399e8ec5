"""`pipeline_run`: a run bounded by a `with` block or by a function."""

from __future__ import annotations

import functools
import inspect
import platform
import uuid
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, TypeVar, cast

from spark_dynamo.aws.client import Connection
from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.errors import ConfigurationError, shorten
from spark_dynamo.metadata.models import LogLevel, PipelineRunLog, RunStatus
from spark_dynamo.runs.failures import failure_of
from spark_dynamo.runs.recorder import LEASE_SECONDS
from spark_dynamo.runs.run import Run, watch_for_termination
from spark_dynamo.runs.values import plain, text

__all__ = ["PARENT_TAG", "current_run", "pipeline_run"]

PARENT_TAG = "parent_run_id"  # the tag of a run within another one
_LONGEST_KEY = {"run_id": 2048, "pipeline_id": 2048, "trigger_type": 10_000}  # bytes
_current: ContextVar[Run | None] = ContextVar("spark_dynamo_run", default=None)
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def current_run() -> Run | None:
    """The innermost run that is open in this thread or asyncio task; None where there is none."""
    return _current.get()


class pipeline_run:  # noqa: N801 - it is called and used like a function
    """A run of a pipeline, as a `with` block or as a decorator; its row writes itself.

    The row says `running` at once, and at the end `success`, `failed` with class, message and stack (also for
    `sys.exit(1)`), or `cancelled` (KeyboardInterrupt, SIGTERM, a cancelled task or Spark job). Exceptions go on unchanged, and
    no trouble with DynamoDB reaches the body. A run in a run has the outer one's id as its tag `parent_run_id`; a thread starts
    without an outer run, so that one may be given there as `parent_run_id`.

    `spark` is a session or None; `config` is `DynamoDBConfig()` where it is None. `ttl`, in seconds or a timedelta, lets the
    row expire that long after the start. A driver that dies leaves a row whose lease runs out after `lease_seconds`; `reap` marks
    it as lost. Messages below `log_level` are left out. Raises ConfigurationError before the body where an argument or the
    configuration can't be used.

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
        for name, value in (("pipeline_id", pipeline_id), ("trigger_type", trigger_type), ("run_id", run_id)):
            _check_key(name, value)
        if log_level not in list(LogLevel):
            raise ConfigurationError(f"log_level {shorten(repr(log_level))} is none of {', '.join(LogLevel)}")
        if not lease_seconds > 0:
            raise ConfigurationError(f"lease_seconds {lease_seconds!r} must be greater than 0")
        self._spark = spark
        self._config = config
        self._lease_seconds = float(lease_seconds)
        self._ttl = ttl if ttl is None or isinstance(ttl, timedelta) else timedelta(seconds=ttl)
        self._run_id = run_id
        self._parent_run_id = parent_run_id
        self._given: dict[str, Any] = {
            "pipeline_id": pipeline_id,
            "trigger_type": trigger_type,
            "created_by": None if created_by is None else text(created_by),
            "pipeline_version": None if pipeline_version is None else text(pipeline_version),
            "log_level": LogLevel(log_level),
        }
        self._tags = {text(name): text(value) for name, value in (tags or {}).items()}
        self._config_snapshot = config_snapshot or {}
        self._entered: list[tuple[Run, Token[Run | None]]] = []

    def __enter__(self) -> Run:
        config = self._config or DynamoDBConfig()
        run = Run(
            self._first_log(config),
            Connection.from_config(config),
            config.get_table_name("pipeline_run_logs"),
            self._lease_seconds,
        )
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

    def _first_log(self, config: DynamoDBConfig) -> PipelineRunLog:
        now = datetime.now(UTC)
        outer = current_run()
        parent = self._parent_run_id or (outer.run_id if outer else None)
        snapshot = plain(self._config_snapshot)
        return PipelineRunLog(
            run_id=self._run_id or uuid.uuid4().hex,
            status=RunStatus.RUNNING,
            start_time=now,
            created_at=now,
            updated_at=now,
            environment=config.environment,
            python_version=platform.python_version(),
            tags=self._tags | ({PARENT_TAG: text(parent)} if parent else {}),
            config_snapshot=snapshot if isinstance(snapshot, dict) else {"config": snapshot},
            expires_at=None if self._ttl is None else now + self._ttl,
            **self._given,
        )


def _check_key(name: str, value: object) -> None:
    if value is None and name == "run_id":
        return
    longest = _LONGEST_KEY[name]
    if not isinstance(value, str) or not value or len(text(value).encode()) > longest or text(value) != value:
        raise ConfigurationError(f"{name} {shorten(repr(value))} must be a text of 1 to {longest:,} bytes")
