"""An embedded local DynamoDB: moto's server in this process, over HTTP, on loopback only."""

from __future__ import annotations

import atexit
import logging
import socket
import threading
import urllib.request
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeAlias

from spark_dynamo.aws.announcement import Announcement, announce, find_announcement
from spark_dynamo.aws.client import Connection, dynamodb_client, named_endpoint, region_of
from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.errors import ConfigurationError

_HOST = "127.0.0.1"
_WRITES = ("PutItem", "UpdateItem", "DeleteItem", "WriteItem", "WriteItems")  # and those of batches and transactions
_Application: TypeAlias = Callable[[dict[str, Any], Any], Any]


class LocalDynamoDB:
    """A local DynamoDB that later reads and writes of this process find by themselves.

    It starts at once and ends with `stop()`, at the end of a `with` block, or with the process; its tables are gone then.
    Where DYNAMODB_ENDPOINT_URL (of the environment or `.env`), AWS_ENDPOINT_URL_DYNAMODB or AWS_ENDPOINT_URL is set, that
    server is used instead, and left running. With `share=False` a server is started in any case, and nobody finds it but by
    its `endpoint_url`.
    """

    def __init__(self, port: int = 0, *, share: bool = True) -> None:
        self._server: Any = None  # None where the server is not ours
        self._before: Announcement | None = None
        self._share = share
        config = DynamoDBConfig.from_env()
        self.region = region_of(config)
        given = named_endpoint(config.endpoint_url) if share else None
        if given:
            self.endpoint_url = given
            return
        self._server = _start(port)
        self.endpoint_url = "http://{}:{}".format(*self._server.get_host_and_port())
        if share:
            self._before = find_announcement()
            announce(Announcement(self.endpoint_url, self.region))
        atexit.register(self.stop)

    @property
    def is_own(self) -> bool:
        """Whether it runs in this process; False for a server of the environment's, and after `stop()`."""
        return self._server is not None

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
        if self._server is None:
            return
        server, self._server = self._server, None
        atexit.unregister(self.stop)
        if self._share:
            announce(self._before)
        # moto keeps tables per process, not per server
        reset = urllib.request.Request(f"{self.endpoint_url}/moto-api/reset", method="POST")  # noqa: S310 - our own
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(reset, timeout=10).close()
        server.stop()

    def __enter__(self) -> LocalDynamoDB:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"LocalDynamoDB({self.endpoint_url})"


def local_dynamodb(port: int = 0) -> LocalDynamoDB:
    """Start a local DynamoDB in this process, on a free port or the given one; a context manager.

    Raises ConfigurationError where moto is not installed (`pip install 'spark-dynamo[local]'`) or the port is taken.

    >>> with local_dynamodb() as server:  # doctest: +SKIP
    ...     spark.read.format("dynamo-meta").load("pipeline_run_logs").show()
    """
    return LocalDynamoDB(port)


def _start(port: int) -> Any:
    try:
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        raise ConfigurationError(
            "The embedded DynamoDB needs moto: pip install 'spark-dynamo[local]', or set DYNAMODB_ENDPOINT_URL", error
        ) from error
    _check_free(port)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for every request otherwise
    server = ThreadedMotoServer(ip_address=_HOST, port=port, verbose=False)
    server.start()
    listening: Any = server._server
    listening.app = _writing_in_turn(listening.app)
    return server


def _writing_in_turn(app: _Application) -> _Application:
    """The same server, but one write after the other: moto undoes a cancelled transaction with all written meanwhile."""
    turn = threading.Lock()

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        if not operation.endswith(_WRITES):
            return app(environ, start_response)
        with turn:
            return app(environ, start_response)

    return answer


def _check_free(port: int) -> None:
    """moto would wait forever for a server that could not take its port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"Port {port} of {_HOST} can't be used: {str(error).removesuffix('.')}. Choose another one", error
            ) from error
