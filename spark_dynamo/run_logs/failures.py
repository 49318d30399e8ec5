"""What an exception says about the run or stage that it ended."""

from __future__ import annotations

import asyncio
import re
import traceback
from dataclasses import dataclass

from spark_dynamo.metadata.models import RunStatus
from spark_dynamo.run_logs.plain_values import text

__all__ = ["Failure", "failure_of", "is_cancellation", "with_cause"]

# Spark's error conditions of a job that somebody cancelled, classic and Connect
_EXITS_BY_SIGNAL = (128 + 2, 128 + 15)  # as shells count: after SIGINT and SIGTERM
# how Spark tells that a Python function failed in a worker, classic and Connect, query and job
_OF_WORKERS = ("exception was thrown from the Python worker", "org.apache.spark.api.python.PythonException")
# the line behind the indented ones of a traceback, up to the next one or to the JVM's frames
_RAISED = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)+(\S.*)$", re.MULTILINE)
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
    exception's class and a colon, and where a Python function failed in a worker of Spark's, goes on with what it raised.

    >>> failure_of(ValueError("no rows")).message, failure_of(SystemExit(0)).status.value
    ('ValueError: no rows', 'success')
    """
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return Failure(RunStatus.SUCCESS)
    told_to_end = isinstance(error, SystemExit) and error.code in _EXITS_BY_SIGNAL
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    said = with_cause(text(error))
    stopped = isinstance(error, KeyboardInterrupt | asyncio.CancelledError | GeneratorExit)
    is_cancelled = stopped or told_to_end or is_cancellation(said)
    message = f"{name}: {said}" if said else f"{name}:"
    return Failure(RunStatus.CANCELLED if is_cancelled else RunStatus.FAILED, message, _stack(error))


def with_cause(message: str) -> str:
    """What Spark says of a Python function that failed in a worker, behind what the function raised; any other text as it is.

    >>> said = "exception was thrown from the Python worker\\nTraceback (most recent call last):\\n  File x\\nValueError: no price"
    >>> with_cause(said).splitlines()[0], with_cause("no rows")
    ('ValueError: no price', 'no rows')
    """
    if not any(words in message for words in _OF_WORKERS):
        return message
    # "Traceback" may stand behind the class of Java's exception
    raised = _RAISED.findall(message.replace("Traceback (most recent", "\nTraceback (most recent"))
    return f"{raised[-1]}\n\n{message}" if raised and raised[-1] not in message.partition("\n")[0] else message


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
