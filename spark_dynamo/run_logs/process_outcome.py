"""How the process, a thread or a notebook's cell ended, for a run that nothing bounds: `Outcome`.

While there is an open `Outcome`, and no longer, this module puts hooks into the interpreter. Each calls what was there before it,
never raises, and changes nothing but what is known of the end:

| what | how | to see |
|---|---|---|
| `threading.excepthook` | replaced | an exception that ends a thread |
| `sys.exit`, and `Quitter.__call__` behind `exit` and `quit` | replaced | exit codes: the SystemExit gets a mark |
| `sys.monitoring`, event `PY_UNWIND` (PEP 669, from Python 3.12 on) | one of four free tool ids | those of `raise SystemExit(1)` |
| IPython's `pre_run_cell` and `post_run_cell` | registered | errors that stay in their cell; the last one that ended counts |

An exception that ends the process needs no hook: Python puts it into `sys.last_value`, whatever `sys.excepthook` is. A marked
SystemExit that nobody catches goes when no frame is left on the main thread's stack, one that is caught goes while there is some:
so `__del__` of the mark tells them apart. `os._exit` is seen by nobody, and leaves the run's lease to run out.

With SPARK_DYNAMO_EXIT_HOOKS=off in the environment the second and third row are left alone. Then, as for `raise SystemExit(1)`
before Python 3.12, it can only be seen that the program did not come to its end, and such a run is lost: its exit code is told to
nobody.
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

_SWITCH = "SPARK_DYNAMO_EXIT_HOOKS"
_TOOLS = (4, 3, 5, 0)  # ids of `sys.monitoring`; those of coverage and profilers come last or not at all
_lock = threading.RLock()
_open: list[Outcome] = []
_hooks: _Hooks | None = None  # while any is open


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
        global _hooks
        with _lock:
            _hooks = _hooks or _Hooks()
            _open.append(self)

    def close(self) -> None:
        """Look no more; the last one takes the hooks away, unless somebody has put others over them."""
        global _hooks
        with _lock:
            if self in _open:
                _open.remove(self)
                if not _open and _hooks is not None and _hooks.remove():
                    _hooks = None

    def verdict(self) -> Failure:
        """How it ended, as far as it has: by an exception of the main thread, else of the last cell, else of any thread."""
        return self._ended_process or self._ended_cell or self._ended_thread or Failure(RunStatus.SUCCESS)

    def verdict_at_exit(self) -> Failure:
        """How it ended, asked when the process is about to end."""
        error = _last_error()
        if not is_interactive() and error is not None and error is not self._before:
            return failure_of(error)
        if not self._has_exited and not is_interactive() and _hooks is not None and _hooks.missed_exit():
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
    "Exit: the program was left by SystemExit, and its exit code is told to nobody: leave by sys.exit(...), which is seen unless "
    f"{_SWITCH} is off",
)


def is_interactive() -> bool:
    """Whether there is a prompt, at which no error ends the process."""
    return hasattr(sys, "ps1") or _ipython() is not None


def is_idle() -> bool:
    """Whether this is IPython, and no cell is running."""
    return _hooks is not None and _hooks.shell is not None and not _hooks.is_in_cell


def _ipython() -> Any:
    module = sys.modules.get("IPython")
    return None if module is None else module.get_ipython()


class _Hooks:
    """What is in the interpreter now, and what was there before."""

    def __init__(self) -> None:
        self._program = _outermost()
        self._thread_hook = threading.excepthook
        threading.excepthook = self._thread_ended
        self._tool: int | None = None
        self._exit: Any = None
        self._quitter: Any = None
        self._quit: Any = None
        if os.environ.get(_SWITCH, "").lower() != "off":
            self._see_exits()
        self.shell = _ipython()
        self.is_in_cell = self.shell is not None and _is_in_cell(self.shell)
        if self.shell is not None:
            self.shell.events.register("pre_run_cell", self._cell_begins)
            self.shell.events.register("post_run_cell", self._cell_ended)

    def _see_exits(self) -> None:
        self._exit = sys.exit
        sys.exit = self._exiting  # type: ignore[assignment]
        site = sys.modules.get("_sitebuiltins")  # not there under `python -S`
        if site is not None:
            self._quitter, self._quit = site.Quitter, site.Quitter.__call__
            site.Quitter.__call__ = self._quitting()
        monitoring: Any = getattr(sys, "monitoring", None)
        for tool in _TOOLS if monitoring is not None else ():
            with suppress(ValueError):  # another tool has that id
                monitoring.use_tool_id(tool, "spark_dynamo")
                monitoring.register_callback(tool, monitoring.events.PY_UNWIND, _unwound)
                monitoring.set_events(tool, monitoring.events.PY_UNWIND)
                self._tool = tool
                return

    def remove(self) -> bool:
        """Put back what was there; False where somebody has put another hook over one of these, which stay beneath it."""
        if threading.excepthook != self._thread_ended or (self._exit is not None and sys.exit != self._exiting):
            return False
        threading.excepthook = self._thread_hook
        if self._exit is not None:
            sys.exit = self._exit
        if self._quitter is not None:
            self._quitter.__call__ = self._quit
        if self._tool is not None:
            monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
            monitoring.set_events(self._tool, 0)
            monitoring.register_callback(self._tool, monitoring.events.PY_UNWIND, None)
            monitoring.free_tool_id(self._tool)
        if self.shell is not None:
            for event, hook in (("pre_run_cell", self._cell_begins), ("post_run_cell", self._cell_ended)):
                with suppress(ValueError):
                    self.shell.events.unregister(event, hook)
        return True

    def missed_exit(self) -> bool:
        """Whether the program was left by an exception that none of these can see: its last instruction was none that returns."""
        frame = self._program
        if self._tool is not None or frame is None or frame is _outermost() or frame.f_lasti < 0:
            return False
        return not dis.opname[frame.f_code.co_code[frame.f_lasti]].startswith("RETURN")

    def _thread_ended(self, details: Any, /) -> None:
        with suppress(Exception):
            if details.exc_type is not SystemExit:
                failure = failure_of(details.exc_value or details.exc_type())
                for outcome in list(_open):
                    outcome._thread_ended(failure)
        self._thread_hook(details)

    def _exiting(self, *arguments: Any) -> None:
        try:
            self._exit(*arguments)
        except SystemExit as error:
            _mark(error)
            raise

    def _quitting(self) -> Any:
        def leave(quitter: Any, code: Any = None) -> None:  # a method of another class
            try:
                self._quit(quitter, code)
            except SystemExit as error:
                _mark(error)
                raise

        return leave

    def _cell_begins(self, info: Any) -> None:
        self.is_in_cell = True

    def _cell_ended(self, result: Any) -> None:
        self.is_in_cell = False
        with suppress(Exception):
            failure = failure_of(result.error_before_exec or result.error_in_exec)
            for outcome in list(_open):
                outcome._cell_ended(failure)


def _unwound(code: object, offset: int, error: BaseException, /) -> None:
    """An exception leaves a frame: see whether it is an exit that nobody has marked yet."""
    if isinstance(error, SystemExit) and "_spark_dynamo" not in error.__dict__:
        _mark(error)


def _outermost() -> FrameType | None:
    """The frame of the main thread that was there first: the program's."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _is_in_cell(shell: Any) -> bool:
    """Whether the caller is a cell, or was called by one."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals is shell.user_global_ns:
            return True
        frame = frame.f_back
    return False


def _forget() -> None:
    """In a forked child: the runs are the parent's."""
    global _lock
    _lock = threading.RLock()
    _open.clear()


os.register_at_fork(after_in_child=_forget)
