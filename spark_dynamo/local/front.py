"""A small front before a server that answers everybody: it refuses what `visitors` refuses, and passes on all else as it is."""

from __future__ import annotations

import json
import re
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

from spark_dynamo.local.visitors import refusal

_LARGEST_HEAD = 65_536  # bytes
_AT_ONCE = 262_144  # bytes that are passed on
_LAST_WORDS = 2.0  # seconds in which who is refused may still send, lest a reset takes the answer from him
_PAUSE = 0.1  # seconds, where no connection can be taken
_THREADS = "spark-dynamo-front"
_END = b"\r\n\r\n"
_FIRST_LINE = re.compile(r"[A-Z]+ [!-~]+ HTTP/1\.[01]")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")


class RefusedError(Exception):
    """A request that is not passed on: its status and why."""

    def __init__(self, status: str, kind: str, message: str) -> None:
        super().__init__(message)
        body = json.dumps({"__type": f"com.amazon.coral.service#{kind}", "message": message})
        self.answer = (
            f"HTTP/1.1 {status}\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n"
            f"Connection: close\r\n\r\n{body}"
        ).encode()


class Requests:
    """The requests of one connection, as their bytes come."""

    def __init__(self) -> None:
        self._head = b""  # what has come of one that is not whole
        self._left = 0  # bytes of the body that are still to come

    def take(self, block: bytes) -> Iterator[bytes]:
        """The bytes that may be passed on; RefusedError after those that stand before a request that may not.

        >>> list(Requests().take(b"GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n"))
        [b'GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n']
        """
        while block:
            if self._left:
                passed = block[: self._left]
                self._left -= len(passed)
            else:
                block = self._head + block
                end = block.find(_END)
                if (end if end >= 0 else len(block)) > _LARGEST_HEAD:
                    raise _bad("431 Request Header Fields Too Large", f"is longer than {_LARGEST_HEAD:,} bytes")
                if end < 0:
                    self._head = block
                    return
                self._head = b""
                self._left = _checked_length(block[:end])
                passed = block[: end + len(_END)]
            yield passed
            block = block[len(passed) :]


class Front:
    """A listening socket, and behind it a server that only requests of this machine's programs reach."""

    def __init__(self, listening: socket.socket, behind: tuple[str, int]) -> None:
        """Serve in threads of this process; the socket is closed by `stop`."""
        self._listening = listening
        self._behind = behind
        self._talks: dict[threading.Thread, socket.socket] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True, name=_THREADS)
        self._thread.start()

    def stop(self) -> None:
        """End it with all connections."""
        self._ended.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept, but on macOS
        with suppress(OSError):
            socket.create_connection(self._listening.getsockname(), timeout=_LAST_WORDS).close()  # which this does
        self._thread.join()
        self._listening.close()
        for talk, client in list(self._talks.items()):
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            talk.join(_LAST_WORDS)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:  # it ends, or the system has no more files for a while
                if self._ended.wait(_PAUSE):
                    return
                continue
            if self._ended.is_set():
                client.close()
                return
            talk = threading.Thread(target=self._talk, args=(client,), daemon=True, name=_THREADS)
            self._talks[talk] = client
            try:
                talk.start()
            except RuntimeError:  # the system has no more threads for a while
                del self._talks[talk]
                client.close()

    def _talk(self, client: socket.socket) -> None:
        try:
            self._pass(client)
        finally:
            del self._talks[threading.current_thread()]

    def _pass(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self._behind) as server:
            for side in (client, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                _pass_on(client, server)
            except RefusedError as refused:
                server.shutdown(socket.SHUT_WR)
                _pass_answers(server, client)  # of what was asked before
                client.sendall(refused.answer)
                client.shutdown(socket.SHUT_WR)
                client.settimeout(_LAST_WORDS)
                while client.recv(_AT_ONCE):
                    pass


def _pass_on(client: socket.socket, server: socket.socket) -> None:
    """Pass on requests and answers until either side ends."""
    requests = Requests()
    waiting = select.poll()
    waiting.register(client, select.POLLIN)
    waiting.register(server, select.POLLIN)
    while True:
        ready = {number for number, _ in waiting.poll()}
        if server.fileno() in ready:
            answer = server.recv(_AT_ONCE)
            if not answer:
                return
            client.sendall(answer)
        if client.fileno() in ready:
            block = client.recv(_AT_ONCE)
            if not block:  # it has asked all, and may wait for answers
                server.shutdown(socket.SHUT_WR)
                _pass_answers(server, client)
                return
            for passed in requests.take(block):
                try:
                    server.sendall(passed)
                except ConnectionError:  # it has answered before all was sent
                    _pass_answers(server, client)
                    return


def _pass_answers(server: socket.socket, client: socket.socket) -> None:
    with suppress(ConnectionError):
        while answer := server.recv(_AT_ONCE):
            client.sendall(answer)


def _checked_length(head: bytes) -> int:
    """The length of the body behind a head that may pass; RefusedError where it may not, or might be read in two ways."""
    first, *lines = head.decode("latin-1").split("\r\n")
    if not _FIRST_LINE.fullmatch(first):
        raise _bad("400 Bad Request", "does not begin as one of HTTP/1.1 does")
    headers: dict[str, str] = {}
    for line in lines:
        found = _HEADER.fullmatch(line)
        if found is None:
            raise _bad("400 Bad Request", "has a line that is not a header")
        name = "HTTP_" + found[1].upper().replace("-", "_")
        if name in headers and name in ("HTTP_HOST", "HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE", "HTTP_CONTENT_LENGTH"):
            raise _bad("400 Bad Request", f"has header {found[1]} twice")
        headers[name] = found[2].rstrip(" \t")
    if said := refusal(headers):
        raise RefusedError("403 Forbidden", "AccessDeniedException", said)
    if "HTTP_TRANSFER_ENCODING" in headers:
        raise _bad("411 Length Required", "has a body in pieces: send it with Content-Length")
    length = headers.get("HTTP_CONTENT_LENGTH", "0")
    if not re.fullmatch("[0-9]{1,15}", length):
        raise _bad("400 Bad Request", f"has the Content-Length {length[:40]!a}")
    return int(length)


def _bad(status: str, problem: str) -> RefusedError:
    return RefusedError(status, "ValidationException", f"The embedded server refuses a request whose head {problem}")
