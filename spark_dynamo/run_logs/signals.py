"""SIGTERM while runs are open: they end as cancelled before the process does.

A handler can be installed in the main thread only, and stands only while runs are open there. What the signal did before, it
does afterwards: the former handler is called and decides; where there was none, the process is terminated by the signal, as ever.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["TermSignal"]


class TermSignal:
    """The handler of one process.

    `received` is called first, `raised` where the former handler ends what is running by an exception, `terminating` where the
    process is about to end by the signal.
    """

    def __init__(
        self, received: Callable[[], None], raised: Callable[[BaseException], None], terminating: Callable[[], None]
    ) -> None:
        self._received, self._raised = received, raised
        self._terminating = terminating
        self._former: Any = None
        self._is_installed = False

    def install(self) -> None:
        """Stand in for the handler that is there, if this is the main thread and the signal isn't ignored."""
        if self._is_installed or threading.current_thread() is not threading.main_thread():
            return
        former = signal.getsignal(signal.SIGTERM)
        if former in (None, signal.SIG_IGN):  # one that Python doesn't know can't be called
            return
        self._former, self._is_installed = former, True
        signal.signal(signal.SIGTERM, self._handle)

    def restore(self) -> None:
        """Put the former handler back, unless somebody has put another one in its place meanwhile."""
        if not self._is_installed or threading.current_thread() is not threading.main_thread():
            return
        self._is_installed = False
        if signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, self._former)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if callable(self._former):
            self._received()
            try:
                self._former(number, frame)
            except BaseException as error:
                self._raised(error)
                raise
            return
        self._terminating()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
