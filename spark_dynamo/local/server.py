"""A local DynamoDB that this process starts, and that its reads and writes find by themselves."""

from __future__ import annotations

import atexit
import logging
import os
from types import TracebackType
from typing import Any, Literal, Protocol, TypeAlias

from spark_dynamo.aws.client import Connection, dynamodb_client, named_endpoint, region_of
from spark_dynamo.aws.embedded_server import Announcement, announce, find_announcement
from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.errors import ConfigurationError
from spark_dynamo.local.dynoxide_engine import DynoxideEngine, find_dynoxide
from spark_dynamo.local.moto_engine import MotoEngine

EngineName: TypeAlias = Literal["auto", "moto", "dynoxide"]

logger = logging.getLogger(__name__)


class _Engine(Protocol):
    """A program that serves DynamoDB's API: its name, its version, where it listens."""

    name: str
    version: str
    endpoint_url: str

    def stop(self) -> None: ...


class LocalDynamoDB:
    """A local DynamoDB that later reads and writes of this process find by themselves.

    It starts at once and ends with `stop()`, at the end of a `with` block, or with the process; its tables are gone then.
    Where DYNAMODB_ENDPOINT_URL (of the environment or `.env`), AWS_ENDPOINT_URL_DYNAMODB or AWS_ENDPOINT_URL is set, that
    server is used instead, and left running. With `share=False` a server is started in any case, and nobody finds it but by
    its `endpoint_url`. What serves is moto or dynoxide, which is the faster and stricter one; "auto" takes dynoxide where
    it is installed.
    """

    def __init__(self, port: int = 0, *, share: bool = True, engine: EngineName = "auto") -> None:
        self._engine: _Engine | None = None  # None where the server is not ours
        self._process = os.getpid()
        self._before: Announcement | None = None
        self._share = share
        config = DynamoDBConfig.from_env()
        self.region = region_of(config)
        given = named_endpoint(config.endpoint_url) if share else None
        if given:
            self.endpoint_url = given
            return
        self._engine = _start(engine, port)
        self.endpoint_url = self._engine.endpoint_url
        logger.info("Local DynamoDB: %s at %s", self.engine, self.endpoint_url)
        if share:
            self._before = find_announcement()
            announce(Announcement(self.endpoint_url, self.region))
        atexit.register(self.stop)

    @property
    def is_own(self) -> bool:
        """Whether this process has started it; False for a server of the environment's, and after `stop()`."""
        return self._engine is not None

    @property
    def engine(self) -> str:
        """What serves, with its version, as in `moto 5.2.5`; `unknown` for a server of the environment's."""
        return f"{self._engine.name} {self._engine.version}" if self._engine else "unknown"

    @property
    def connection(self) -> Connection:
        """How to reach it, as reads and writes without options do."""
        if not self.is_own:
            return Connection(self.region, self.endpoint_url)
        return Connection(self.region, self.endpoint_url, access_key_id="local", secret_access_key="local")  # noqa: S106

    def client(self) -> Any:
        """A boto3 client for it."""
        return dynamodb_client(self.connection)

    def stop(self) -> None:
        """End the server and forget its tables; a second call does nothing."""
        if self._engine is None or self._process != os.getpid():  # a fork leaves it to its parent
            return
        engine, self._engine = self._engine, None
        atexit.unregister(self.stop)
        if self._share:
            announce(self._before)
        engine.stop()

    def __enter__(self) -> LocalDynamoDB:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"LocalDynamoDB({self.engine}, {self.endpoint_url})"


def local_dynamodb(port: int = 0, *, engine: EngineName = "auto") -> LocalDynamoDB:
    """Start a local DynamoDB on a free port of loopback, or on the given one; a context manager.

    `engine` is "moto", which `pip install 'spark-dynamo[local]'` brings; "dynoxide", a program of its own, faster and as strict
    as AWS, found on the PATH or in ~/.cache/spark_dynamo; or "auto": dynoxide where it is found, else moto. The log and
    `server.engine` tell which one runs. Either answers programs of this machine only: no other host, and no web page that a
    browser on it shows.

    Raises ConfigurationError where the engine is not installed or unknown, or the port is taken.

    >>> with local_dynamodb() as server:  # doctest: +SKIP
    ...     spark.read.format("dynamo-meta").load("pipeline_run_logs").show()
    """
    return LocalDynamoDB(port, engine=engine)


def _start(engine: str, port: int) -> _Engine:
    if engine not in ("auto", "moto", "dynoxide"):
        raise ConfigurationError(f"engine={engine!r} is not known: 'auto', 'moto' and 'dynoxide' are")
    if engine == "dynoxide" or (engine == "auto" and find_dynoxide()):
        return DynoxideEngine(port)
    return MotoEngine(port)
