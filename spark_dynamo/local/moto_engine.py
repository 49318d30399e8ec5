"""moto's server in this process: pip brings it, nothing else is needed."""

from __future__ import annotations

import decimal
import io
import json
import logging
import threading
import urllib.request
from importlib.metadata import version
from typing import Any

from spark_dynamo.errors import ConfigurationError
from spark_dynamo.local.numbers import MOST_DIGITS, TooManyDigitsError, shorten_numbers
from spark_dynamo.local.ports import HOST, free_port
from spark_dynamo.local.visitors import Application, programs_only

_WRITES = ("PutItem", "UpdateItem", "DeleteItem", "WriteItem", "WriteItems")  # and those of batches and transactions


class MotoEngine:
    """A running server of moto's."""

    name = "moto"

    def __init__(self, port: int) -> None:
        """Start it on that port, 0 for a free one; ConfigurationError where moto is not installed or the port is taken."""
        try:
            from moto.server import ThreadedMotoServer
        except ImportError as error:
            raise ConfigurationError(
                "The embedded DynamoDB needs moto: pip install 'spark-dynamo[local]', or set DYNAMODB_ENDPOINT_URL",
                error,
            ) from error
        free_port(port)  # moto would wait forever for a server that could not take its port
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for every request otherwise
        self._server = ThreadedMotoServer(ip_address=HOST, port=port, verbose=False)
        self._server.start()
        listening: Any = self._server._server
        listening.app = programs_only(_with_short_numbers(_writing_in_turn(listening.app)))
        self.endpoint_url = "http://{}:{}".format(*self._server.get_host_and_port())
        self.version = version("moto")

    def stop(self) -> None:
        """End it and forget its tables."""
        # moto keeps tables per process, not per server
        reset = urllib.request.Request(f"{self.endpoint_url}/moto-api/reset", method="POST")  # noqa: S310 - our own
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(reset, timeout=10).close()
        self._server.stop()


def _writing_in_turn(app: Application) -> Application:
    """A server that does one write after the other: moto undoes a cancelled transaction with all written meanwhile."""
    turn = threading.Lock()

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        if not operation.endswith(_WRITES):
            return app(environ, start_response)
        with turn:
            return app(environ, start_response)

    return answer


def _with_short_numbers(app: Application) -> Application:
    """A server that sees numbers as DynamoDB stores them, and refuses those that it doesn't take."""

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        length = environ.get("CONTENT_LENGTH", "")
        if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB_") or not length.isdecimal():
            return app(environ, start_response)
        try:
            body = shorten_numbers(environ["wsgi.input"].read(int(length)))
        except TooManyDigitsError as error:
            kind = "com.amazon.coral.validate#ValidationException"
            refused = json.dumps({"__type": kind, "message": str(error)}).encode()
            headers = [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", str(len(refused)))]
            start_response("400 Bad Request", headers)
            return [refused]
        with decimal.localcontext(prec=MOST_DIGITS):  # moto adds numbers by Python's own context, which rounds to 28
            return app({**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}, start_response)

    return answer
