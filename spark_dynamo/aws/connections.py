"""Connections of raw requests that can be broken from outside: a thread that waits for an answer hears nothing else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from botocore.awsrequest import AWSHTTPConnection, AWSHTTPConnectionPool, AWSHTTPSConnection, AWSHTTPSConnectionPool

_under_way: dict[int, Any] = {}  # by thread: the connection of the raw request that it has under way


def interrupt(threads: Iterable[threading.Thread]) -> None:
    """Break the connections on which those threads have raw requests under way; the requests fail at once."""
    for thread in threads:
        connection = _under_way.get(thread.ident or 0)
        for sock in (getattr(connection, "sock", None), getattr(connection, "noted", None)):
            if isinstance(sock, socket.socket):
                with suppress(OSError):  # it is closed already
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)  # that of TLS would pull the rug from under a reader


class _Followed:
    """A pool of connections that notes which thread uses which of them."""

    def _get_conn(self, *arguments: Any, **named: Any) -> Any:
        connection = super()._get_conn(*arguments, **named)  # type: ignore[misc]
        _under_way[threading.get_ident()] = connection
        return connection

    def _put_conn(self, conn: Any) -> None:
        _under_way.pop(threading.get_ident(), None)
        super()._put_conn(conn)  # type: ignore[misc]


class _Noted:
    """A connection that notes its socket: Python's HTTP client forgets that of an answer after which the server closes it."""

    noted: socket.socket | None = None

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.noted = getattr(self, "sock", None)


class _HTTPConnection(_Noted, AWSHTTPConnection):  # type: ignore[misc]
    pass


class _HTTPSConnection(_Noted, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class HTTPPool(_Followed, AWSHTTPConnectionPool):
    """Connections by plain http."""

    ConnectionCls = _HTTPConnection


class HTTPSPool(_Followed, AWSHTTPSConnectionPool):
    """Connections by TLS."""

    ConnectionCls = _HTTPSConnection
