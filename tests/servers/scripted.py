"""A DynamoDB server whose answers are written down beforehand, over real HTTP: for what no real server does on demand."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from spark_dynamo.aws.client import Connection

Answer = Callable[[str, dict[str, Any]], "Reply"]


@dataclass(frozen=True)
class Reply:
    """One answer: status, body, and how it is damaged on its way."""

    body: dict[str, Any] | bytes = field(default_factory=dict)
    status: int = 200
    delay: float = 0.0  # seconds before the first byte
    reset: bool = False  # the connection ends without an answer
    cut: bool = False  # half of the body is missing
    cut_length: bool = False  # Content-Length says that this half is all
    wrong_crc: bool = False
    drip: float = 0.0  # seconds between one byte of the body and the next
    closes: bool = False  # the connection ends with the answer, whose length is not said
    headers: dict[str, str] | None = None  # in place of the CRC32


def refusal(code: str, message: str = "no", status: int = 400) -> Reply:
    """An error as DynamoDB words it."""
    return Reply({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}, status)


@dataclass
class ScriptedServer:
    """The address, and the requests that came: pairs of operation and body."""

    endpoint: str
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def connection(self) -> Connection:
        return Connection("us-east-1", self.endpoint, access_key_id="k", secret_access_key="s", read_timeout=1.0)


class _Listening(ThreadingHTTPServer):
    request_queue_size = 1024  # with its five, connections that come at once are reset


@contextmanager
def scripted_server(answer: Answer) -> Iterator[ScriptedServer]:
    """Serve on loopback; `answer` gets each request's operation and body, in several threads at once."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer takes 40 ms

        def do_POST(self) -> None:
            operation = self.headers["X-Amz-Target"].partition(".")[2]
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                script.requests.append((operation, request))
            reply = answer(operation, request)
            if reply.delay:
                closing.wait(reply.delay)
            if reply.reset and not reply.cut:
                self._reset()
                return
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            if reply.closes:
                self.send_header("Connection", "close")
            else:
                self.send_header("Content-Length", str(len(body) // 2 if reply.cut_length else len(body)))
            default = {} if reply.closes else {"x-amz-crc32": str(zlib.crc32(body) ^ reply.wrong_crc)}
            for name, value in (default if reply.headers is None else reply.headers).items():
                self.send_header(name, value)
            try:
                self.end_headers()
                while reply.drip and len(body) > 1 and not closing.wait(reply.drip):
                    self.wfile.write(body[:1])
                    body = body[1:]
                self.wfile.write(body[: len(body) // 2] if reply.cut or reply.cut_length else body)
            except OSError:  # a client that waited too long has gone
                self.close_connection = True
            if reply.reset:
                self._reset()
            elif reply.cut:
                self.close_connection = True

        def _reset(self) -> None:
            """End the connection with RST in place of FIN."""
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())  # at once: the server would say FIN first
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    lock, closing = threading.Lock(), threading.Event()
    server = _Listening(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script = ScriptedServer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield script
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
