"""An end for requests whose answer does not come, or drips: a socket's own timeout begins anew with each byte.

One thread of the process looks after all of them, some times a second; it ends by itself where there is nothing to look after.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from botocore.exceptions import ReadTimeoutError

from spark_dynamo.aws.connections import interrupt

_LOOK_SECONDS = 0.1
_IDLE_LOOKS = 50  # without any request, until the thread ends


class TimeLimitError(ReadTimeoutError):
    """The whole answer was not there in time."""

    fmt = 'Read timeout on endpoint URL: "{endpoint_url}", no whole answer within {seconds:.1f} s'


class _Limit:
    """Until when the request of a thread may take."""

    __slots__ = ("ends_at", "is_over", "thread")

    def __init__(self, seconds: float) -> None:
        self.thread = threading.current_thread()
        self.ends_at = time.monotonic() + seconds
        self.is_over = False


class _Watch:
    """The limits of all requests that are under way, and the thread that looks at them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits: set[_Limit] = set()
        self._is_watching = False

    def begin(self, limit: _Limit) -> None:
        with self._lock:
            self._limits.add(limit)
            if not self._is_watching:
                with suppress(RuntimeError):  # an interpreter that ends starts no thread; the socket's timeout is left
                    threading.Thread(target=self._look, name="request-time-limits", daemon=True).start()
                    self._is_watching = True

    def end(self, limit: _Limit) -> None:
        with self._lock:
            self._limits.discard(limit)

    def _look(self) -> None:
        idle = 0
        while True:
            time.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            with self._lock:
                idle = 0 if self._limits else idle + 1
                if idle > _IDLE_LOOKS:
                    self._is_watching = False
                    return
                for limit in [limit for limit in self._limits if limit.ends_at <= now]:
                    limit.is_over = True
                    interrupt([limit.thread])  # again at each look: it may have had no connection yet
                    if not limit.thread.is_alive():
                        self._limits.discard(limit)


_watch = _Watch()


def _forget() -> None:
    """A forked child has none of its parent's threads, and its parent's lock may be held."""
    global _watch
    _watch = _Watch()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@contextmanager
def time_limit(seconds: float, endpoint: str | None) -> Iterator[None]:
    """Let what this thread asks of a raw client take so long at most; raises `TimeLimitError` where it takes longer."""
    limit, watch = _Limit(seconds), _watch
    try:
        watch.begin(limit)
        yield
    except Exception as error:
        if limit.is_over:
            raise TimeLimitError(endpoint_url=endpoint or "AWS", seconds=seconds) from error
        raise
    finally:
        watch.end(limit)
    if limit.is_over:  # an answer without a length seems to be whole where it was cut off
        raise TimeLimitError(endpoint_url=endpoint or "AWS", seconds=seconds)
