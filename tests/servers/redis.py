"""A real Redis server on a free port of loopback, in memory, for the time of a `with` block."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from .requirement import missing

_START_SECONDS = 20


@dataclass
class RedisServer:
    """The server's URL, and its process, which a test may stop and start again."""

    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def start(self) -> None:
        settings = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(["redis-server", *settings], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with self.client as client:
                try:
                    client.ping()
                except redis.ConnectionError:
                    assert time.monotonic() < deadline, "redis-server has not started in time"
                    time.sleep(0.01)
                else:
                    return

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A new server; where there is no `redis-server`, the test is skipped, or fails where `CI` is `true`."""
    if shutil.which("redis-server") is None:
        missing("redis-server is not on the PATH: install Debian's package redis-server")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = RedisServer(listener.getsockname()[1])
    server.start()
    try:
        yield server
    finally:
        server.stop()
