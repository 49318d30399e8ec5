"""`launch`: a Python file as the program, with a run around it and around all Spark that it starts."""

from __future__ import annotations

import functools
import io
import logging
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spark_dynamo.run_logs.failures import failure_of
from spark_dynamo.run_logs.registration import RunListener
from spark_dynamo.run_logs.settings import RunSettings

__all__ = ["launch"]

_INTERRUPTED = 130  # what a shell makes of SIGINT
_UNREADABLE = 2  # Python's own code where the file can't be opened
logger = logging.getLogger(__name__)


def launch(job: str, arguments: Sequence[str], settings: RunSettings) -> int:
    """Run the file `job` with those arguments as `python job ...` would, and log it as a run; its exit code.

    The run begins before the file's first line, takes in each Spark session as soon as it exists, and ends when the file and the
    threads have that it left behind. Tracebacks and messages go to standard error as Python's own do. A file that can't be
    read is none of the pipeline's runs. Raises ConfigurationError where the configuration of the run can't be used.
    """
    path = str(Path(job).absolute())
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as problem:
        sys.stderr.write(f"spark-dynamo: can't open file '{path}': [Errno {problem.errno}] {problem.strerror}\n")
        return _UNREADABLE
    listener = RunListener(settings, is_launched=True)
    error: BaseException | None = None
    try:
        with _sessions_attached(listener), _program(job, path, source, arguments) as run:
            run()
            _join_threads()
    except BaseException as caught:
        error = caught
        _show(caught, path)
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        listener.conclude()
    else:
        listener.end(failure_of(_without_frames(error, path)))
    return _exit_code(error)


@contextmanager
def _program(job: str, path: str, source: bytes, arguments: Sequence[str]) -> Iterator[Callable[[], None]]:
    """What runs the file as `__main__`; at the end, `sys` is as it was."""
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=path, __builtins__=__builtins__, __cached__=None)
    former = sys.modules["__main__"], sys.argv, sys.path
    sys.modules["__main__"] = main
    sys.argv = [job, *arguments]
    sys.path = list(sys.path) if sys.flags.safe_path else [str(Path(path).resolve().parent), *sys.path[1:]]

    def run() -> None:
        exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)  # noqa: S102 - that is what it is for

    try:
        yield run
    finally:
        sys.modules["__main__"], sys.argv, sys.path = former


def _join_threads() -> None:
    """Python ends when the threads have that are no daemons; before, those of pools are told that no work comes any more."""
    for callback in reversed(getattr(threading, "_threading_atexits", ())):
        try:
            callback()
        except Exception:
            logger.warning("What a library does at the end of the threads failed", exc_info=True)
    for thread in threading.enumerate():
        if not thread.daemon and thread not in (threading.main_thread(), threading.current_thread()):
            thread.join()


@contextmanager
def _sessions_attached(listener: RunListener) -> Iterator[None]:
    """Let the listener know each context and session of Spark when it has been made."""
    try:
        from pyspark.sql import SparkSession

        places: list[tuple[Any, str, bool]] = [(SparkSession.Builder, "getOrCreate", True)]
        try:
            from pyspark.core.context import SparkContext

            places.append((SparkContext, "__init__", False))
        except ImportError:  # the client of Spark Connect alone
            pass
    except ImportError:
        yield
        return
    former = [(place, name, getattr(place, name)) for place, name, _ in places]
    for (place, name, returns), (_, _, original) in zip(places, former, strict=True):
        setattr(place, name, _telling(original, listener, returns))
    try:
        yield
    finally:
        for place, name, original in former:
            setattr(place, name, original)


def _telling(original: Callable[..., Any], listener: RunListener, returns: bool) -> Callable[..., Any]:
    @functools.wraps(original)
    def made(this: Any, *arguments: Any, **named: Any) -> Any:
        result = original(this, *arguments, **named)
        try:
            listener.attach(result if returns else this)
        except Exception:
            logger.debug("Run %s can't take in a Spark session", listener.run_id, exc_info=True)
        return result

    return made


def _without_frames(error: BaseException, path: str) -> BaseException:
    """The error with a traceback that begins in the file."""
    place = error.__traceback__
    while place is not None and place.tb_frame.f_code.co_filename != path:
        place = place.tb_next
    return error.with_traceback(place)


def _show(error: BaseException, path: str) -> None:
    """Say on standard error what Python would."""
    if isinstance(error, SystemExit):
        if error.code is not None and not isinstance(error.code, int):
            sys.stderr.write(f"{error.code}\n")
        return
    error = _without_frames(error, path)
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    sys.excepthook(type(error), error, error.__traceback__)


def _exit_code(error: BaseException | None) -> int:
    match error:
        case None:
            return 0
        case SystemExit(code=None):
            return 0
        case SystemExit(code=int() as code):
            return code
        case KeyboardInterrupt():
            return _INTERRUPTED
        case _:
            return 1
