"""One operation on DynamoDB, from its begin to its end: `operation`."""

from __future__ import annotations

import logging
from time import perf_counter
from types import TracebackType
from typing import Any

from spark_dynamo.telemetry.providers import Instruments, Span, instruments_in_use

logger = logging.getLogger("spark_dynamo.telemetry")


class Operation:
    """An operation under way; add to `units`, `retries` and `items` what it consumes, repeats and moves.

    `operation` is DynamoDB's own name for it, as in `GetItem`, `table` the physical name, None where it is about none.
    After the end `duration_ms` is its time in milliseconds, and `error` the failure's code or class, None where it went well.
    """

    __slots__ = (
        "_instruments",
        "_span",
        "_started",
        "duration_ms",
        "error",
        "items",
        "operation",
        "pipeline",
        "retries",
        "table",
        "units",
    )

    def __init__(self, operation: str, table: str | None, pipeline: str | None) -> None:
        self.operation = operation
        self.table = table
        self.pipeline = pipeline
        self.units = 0.0
        self.retries = 0
        self.items = 0
        self.error: str | None = None
        self.duration_ms: float | None = None
        self._instruments: Instruments | None = None
        self._span: Span | None = None

    def __enter__(self) -> Operation:
        instruments = instruments_in_use()
        if instruments is not None:
            try:
                self._span = instruments.begin(self)
                self._instruments = instruments
            except Exception:  # no trouble of whoever looks on is to come from here
                logger.debug("No span of %s can be begun", self.operation, exc_info=True)
        self._started = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.duration_ms = (perf_counter() - self._started) * 1000
        if error is not None:
            self.error = error_type(error)
        if self._instruments is not None:
            try:
                self._instruments.end(self, self._span)
            except Exception:
                logger.debug("%s can't be counted", self.operation, exc_info=True)
        if logger.isEnabledFor(logging.DEBUG):
            self._log()

    def facts(self) -> dict[str, Any]:
        """What the log record carries beside its message; units are None where no answer told any.

        >>> Operation("Scan", "orders", None).facts()["items"]
        0
        """
        return facts(
            self.operation,
            self.table,
            pipeline=self.pipeline,
            duration_ms=self.duration_ms,
            units=self.units,
            retries=self.retries,
            items=self.items,
            error=self.error,
        )

    def _log(self) -> None:
        logger.debug(
            "%s%s %s after %.1f ms: %d items, %s units, %d retries%s",
            self.operation,
            f" on table '{self.table}'" if self.table else "",
            "failed" if self.error else "succeeded",
            self.duration_ms,
            self.items,
            self.units or "unknown",
            self.retries,
            f", error {self.error}" if self.error else "",
            extra=self.facts(),
            stacklevel=3,  # where the operation is, not here
        )


def operation(name: str, table: str | None = None, pipeline: str | None = None) -> Operation:
    """Observe an operation on DynamoDB for as long as the `with` block runs; what it raises passes through.

    >>> with operation("Query", table="orders") as observed:
    ...     observed.items += 25
    """
    return Operation(name, table, pipeline)


def facts(
    operation: str,
    table: str | None,
    *,
    units: float,
    retries: int,
    items: int,
    duration_ms: float | None = None,
    pipeline: str | None = None,
    error: str | None = None,
) -> dict[str, Any]:
    """What each log record of work on DynamoDB carries beside its message, as `extra`; None is what is not known.

    >>> facts("Scan", "orders", units=0.0, retries=0, items=3)["units"] is None
    True
    """
    return {
        "operation": operation,
        "table": table,
        "pipeline": pipeline,
        "duration_ms": None if duration_ms is None else round(duration_ms, 3),
        "units": units or None,  # no request is free: 0 is what nobody told
        "retries": retries,
        "items": items,
        "error": error,
    }


def error_type(error: BaseException) -> str:
    """DynamoDB's code where the failure has one, else its class: never its text, which may hold values."""
    code = getattr(error, "code", None)
    if not code:
        response = getattr(error, "response", None)
        code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return code if isinstance(code, str) and code else type(error).__qualname__


def debug_logging() -> None:
    """Let the logger `spark_dynamo` pass DEBUG records on to whatever handlers the application has; it adds none."""
    logging.getLogger("spark_dynamo").setLevel(logging.DEBUG)
