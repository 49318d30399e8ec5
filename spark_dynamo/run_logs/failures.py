"""What an exception says about the run or stage that it ended."""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import dataclass

from spark_dynamo.metadata.models import RunStatus
from spark_dynamo.run_logs.values import text

__all__ = ["Failure", "failure_of", "is_cancellation"]

# Spark's error conditions of a job that somebody cancelled, classic and Connect
_EXITS_BY_SIGNAL = (128 + 2, 128 + 15)  # as shells count: after SIGINT and SIGTERM
_CANCELLED = ("[SPARK_JOB_CANCELLED]", "[OPERATION_CANCELED]")


@dataclass(frozen=True, slots=True)
class Failure:
    """The status that an exception leads to, with its class and message, and its stack."""

    status: RunStatus
    message: str | None = None
    stack: str | None = None


def failure_of(error: BaseException | None) -> Failure:
    """How a body ended that raised `error`, None where it ended by itself.

    `sys.exit()` and `sys.exit(0)` are no failures. KeyboardInterrupt, a cancelled asyncio task, a closed generator, a cancelled
    Spark job and the exit codes 130 and 143, as after SIGINT and SIGTERM, are cancellations. The message begins with the
    exception's class and a colon.

    >>> failure_of(ValueError("no rows")).message, failure_of(SystemExit(0)).status.value
    ('ValueError: no rows', 'success')
    """
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return Failure(RunStatus.SUCCESS)
    told_to_end = isinstance(error, SystemExit) and error.code in _EXITS_BY_SIGNAL
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    said = text(error)
    stopped = isinstance(error, KeyboardInterrupt | asyncio.CancelledError | GeneratorExit)
    is_cancelled = stopped or told_to_end or is_cancellation(said)
    message = f"{name}: {said}" if said else f"{name}:"
    return Failure(RunStatus.CANCELLED if is_cancelled else RunStatus.FAILED, message, _stack(error))


def is_cancellation(message: str) -> bool:
    """Whether Spark says that somebody cancelled the job.

    >>> is_cancellation("[SPARK_JOB_CANCELLED] Job 7 cancelled")
    True
    """
    return any(condition in message for condition in _CANCELLED)


def _stack(error: BaseException) -> str:
    try:
        return text("".join(traceback.format_exception(error)))
    except Exception as problem:  # an exception's own methods may do anything
        return f"The stack trace can't be shown: {text(problem)}"
