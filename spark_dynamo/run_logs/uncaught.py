"""How the process, a thread or a notebook's cell ended, for a run that nothing bounds: `Outcome`.

* An exception that ends the process is found in `sys.last_value`, where Python puts it whatever `sys.excepthook` is.
* One that ends a thread comes by `threading.excepthook`, whose former hook is called as ever.
* `sys.exit`, `exit` and `quit` mark the SystemExit that they raise. Python drops one that nobody catches when no frame is left
  on the main thread's stack, one that was caught while there is some. From Python 3.12 on, `sys.monitoring` (PEP 669) shows
  those that `raise SystemExit(1)` makes, too; before, it can be seen only that the program did not come to its end, and such a
  run is lost, as its exit code is told to nobody. `os._exit` leaves the run's lease to run out.
* In IPython, and so in Jupyter and Databricks, errors stay in their cell: the last cell that ended counts.
"""

from __future__ import annotations

import dis
import os
import sys
import threading
import traceback
from contextlib import suppress
from types import FrameType
from typing import Any

from spark_dynamo.metadata.models import RunStatus
from spark_dynamo.run_logs.failures import Failure, failure_of

__all__ = ["Outcome"]

_TOOLS = (4, 3, 5, 0)  # ids of `sys.monitoring`; those of coverage and profilers come last or not at all
_lock = threading.RLock()
_open: list[Outcome] = []


class Outcome:
    """What is known of the end from the time that this is made; `close` it when that is asked for no more.

    >>> outcome = Outcome()
    >>> outcome.verdict().status.value
    'success'
    >>> outcome.close()
    """

    def __init__(self) -> None:
        self._before = _last_error()
        self._ended_thread: Failure | None = None
        self._ended_process: Failure | None = None
        self._has_exited = False
        self._ended_cell: Failure | None = None
        with _lock:
            _install()
            _open.append(self)

    def close(self) -> None:
        """Look no more; the last one takes the hooks away."""
        with _lock:
            if self in _open:
                _open.remove(self)
                if not _open:
                    _uninstall()

    def verdict(self) -> Failure:
        """How it ended, as far as it has: by an exception of the main thread, else of the last cell, else of any thread."""
        return self._ended_process or self._ended_cell or self._ended_thread or Failure(RunStatus.SUCCESS)

    def verdict_at_exit(self) -> Failure:
        """The same where the process is about to end."""
        error = _last_error()
        if not is_interactive() and error is not None and error is not self._before:
            return failure_of(error)
        if not self._has_exited and not is_interactive() and "tool" not in _former and _was_cut_short():
            return _UNSEEN_EXIT
        return self.verdict()

    def _thread_ended(self, failure: Failure) -> None:
        self._ended_thread = self._ended_thread or failure

    def _cell_ended(self, failure: Failure) -> None:
        self._ended_cell = None if failure.status is RunStatus.SUCCESS else failure

    def _process_ended(self, failure: Failure) -> None:
        self._has_exited = True
        if failure.status is RunStatus.SUCCESS:  # it says nothing of the threads
            return
        self._ended_process = self._ended_process or failure  # one that it was raised in the handling of goes after it


class _Exit:
    """The mark of a SystemExit, which goes when it goes."""

    def __init__(self, failure: Failure) -> None:
        self._failure = failure
        self._process = os.getpid()

    def __del__(self) -> None:
        with suppress(Exception):
            if threading.current_thread() is threading.main_thread() and os.getpid() == self._process and _is_alone():
                for outcome in list(_open):
                    outcome._process_ended(self._failure)


def _is_alone() -> bool:
    """Whether the caller was called by no Python code."""
    try:
        sys._getframe(2)
    except ValueError:
        return True
    return False


def _last_error() -> BaseException | None:
    found: BaseException | None = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return found


def _mark(error: SystemExit) -> None:
    """Mark an exit that is a failure."""
    with suppress(Exception):
        failure = failure_of(error)
        # without the two frames of ours
        stack = traceback.format_stack(sys._getframe(2))
        told = ["Traceback (most recent call last):\n", *stack, *traceback.format_exception_only(error)]
        error.__dict__["_spark_dynamo"] = _Exit(Failure(failure.status, failure.message, "".join(told)))


_UNSEEN_EXIT = Failure(
    RunStatus.LOST,
    "Exit: the program raised SystemExit, and before Python 3.12 its exit code is told to nobody; leave by sys.exit(...)",
)


def is_interactive() -> bool:
    """Whether there is a prompt, at which no error ends the process."""
    return hasattr(sys, "ps1") or _ipython() is not None


def is_idle() -> bool:
    """Whether this is IPython, and no cell is running."""
    return "shell" in _former and not _former.get("is_busy")


def _outermost() -> FrameType | None:
    """The frame of the main thread that was there first: the program's."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _was_cut_short() -> bool:
    """Whether the program's frame was left by an exception: its last instruction was none that returns."""
    frame = _former.get("program")
    if frame is None or frame is _outermost() or frame.f_lasti < 0:
        return False
    return not dis.opname[frame.f_code.co_code[frame.f_lasti]].startswith("RETURN")


def _ipython() -> Any:
    module = sys.modules.get("IPython")
    return None if module is None else module.get_ipython()


def _thread_hook(details: Any, /) -> None:
    with suppress(Exception):
        if details.exc_type is not SystemExit:
            failure = failure_of(details.exc_value or details.exc_type())
            for outcome in list(_open):
                outcome._thread_ended(failure)
    _former["thread"](details)


def _exit(*arguments: Any) -> None:
    try:
        _former["exit"](*arguments)
    except SystemExit as error:
        _mark(error)
        raise


def _unwound(code: object, offset: int, error: BaseException, /) -> None:
    """An exception leaves a frame: see whether it is an exit that nobody has marked yet."""
    if isinstance(error, SystemExit) and "_spark_dynamo" not in error.__dict__:
        _mark(error)


def _quit(quitter: Any, code: Any = None) -> None:
    try:
        _former["quit"](quitter, code)
    except SystemExit as error:
        _mark(error)
        raise


def _cell_begins(info: Any) -> None:
    _former["is_busy"] = True


def _cell_hook(result: Any) -> None:
    _former["is_busy"] = False
    with suppress(Exception):
        failure = failure_of(result.error_before_exec or result.error_in_exec)
        for outcome in list(_open):
            outcome._cell_ended(failure)


_former: dict[str, Any] = {}


def _quitter() -> Any:
    module = sys.modules.get("_sitebuiltins")  # not there under `python -S`
    return None if module is None else module.Quitter


def _install() -> None:
    if _former:
        return
    _former.update(thread=threading.excepthook, exit=sys.exit, program=_outermost())
    threading.excepthook = _thread_hook
    sys.exit = _exit  # type: ignore[assignment]
    quitter = _quitter()
    if quitter is not None:
        _former["quit"] = quitter.__call__
        quitter.__call__ = _quit
    _monitor()
    shell = _ipython()
    if shell is not None:
        _former["shell"], _former["is_busy"] = shell, _is_in_cell(shell)
        shell.events.register("pre_run_cell", _cell_begins)
        shell.events.register("post_run_cell", _cell_hook)


def _is_in_cell(shell: Any) -> bool:
    """Whether the caller is a cell, or was called by one."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals is shell.user_global_ns:
            return True
        frame = frame.f_back
    return False


def _monitor() -> None:
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is None:
        return
    for tool in _TOOLS:
        with suppress(ValueError):  # another tool has that id
            monitoring.use_tool_id(tool, "spark_dynamo")
            monitoring.register_callback(tool, monitoring.events.PY_UNWIND, _unwound)
            monitoring.set_events(tool, monitoring.events.PY_UNWIND)
            _former["tool"] = tool
            return


def _uninstall() -> None:
    """Take away what is ours; where somebody has put another hook over it, ours stays beneath and does nothing."""
    if threading.excepthook is not _thread_hook or sys.exit is not _exit:
        return
    threading.excepthook, sys.exit = _former["thread"], _former["exit"]
    if "quit" in _former:
        _quitter().__call__ = _former["quit"]
    if "tool" in _former:
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        monitoring.set_events(_former["tool"], 0)
        monitoring.register_callback(_former["tool"], monitoring.events.PY_UNWIND, None)
        monitoring.free_tool_id(_former["tool"])
    if "shell" in _former:
        for event, hook in (("pre_run_cell", _cell_begins), ("post_run_cell", _cell_hook)):
            with suppress(ValueError):
                _former["shell"].events.unregister(event, hook)
    _former.clear()


def _forget() -> None:
    """In a forked child: the runs are the parent's."""
    global _lock
    _lock = threading.RLock()
    _open.clear()


os.register_at_fork(after_in_child=_forget)
