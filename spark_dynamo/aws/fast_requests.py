"""Raw requests as botocore would send them, at a fraction of its CPU time.

botocore resolves the endpoint, builds, signs and parses each request anew, which takes a millisecond. Of two requests of the
same operation on the same table only date, body and signature differ. So botocore makes and sends the first one; the later
ones are copies of it with a new date, body and signature, over the connections that botocore has opened. Where they would not
be what botocore makes (checked with the first), and where no connection is open, botocore sends them as ever.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import logging
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from botocore import xform_name
from botocore.awsrequest import HeadersDict
from botocore.exceptions import ClientError, ConnectionClosedError, IncompleteReadError, ReadTimeoutError
from botocore.parsers import create_parser

from spark_dynamo.aws import internals
from spark_dynamo.aws.answers import received
from spark_dynamo.aws.client import Connection, raw_client, renewed
from spark_dynamo.aws.internals import without
from spark_dynamo.aws.per_process import once_per_process
from spark_dynamo.errors import ConfigurationError, shorten

logger = logging.getLogger(__name__)

T = TypeVar("T")

_SWITCH = "SPARK_DYNAMO_REQUESTS"
_OWN, _BOTOCORE = "own", "botocore"
_OTHERWISE = "botocore itself sends each request, which takes more CPU time"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=.+/\d{8}/(?P<scope>.+)/aws4_request, SignedHeaders=(?P<names>.+), Signature=\w+"
)
_SENT_BY_HTTP = {"Accept-Encoding": "identity"}  # what Python's HTTP client adds to each request
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_HOOKS = (
    *(
        "provide-client-params",
        "before-parameter-build",
        "before-call",
        "request-created",
        "choose-signer",
        "before-sign",
    ),
    *("before-send", "before-parse", "response-received", "needs-retry", "after-call", "after-call-error"),
)
_AT_ONCE = 65_536  # bytes; a larger body is not copied to go with the head
_BUFFER = 16_384  # bytes, as much as a TLS record holds


class Sender:
    """Sends the raw requests of one client; threads share it."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._sent = threading.local()
        self._models: dict[tuple[str, str], _Model | None] = {}  # None: copies would not be what botocore makes
        self._makes_copies = _is_wanted()
        client.meta.events.register("before-send.dynamodb", self._remember)

    def send(self, operation: str, routing: Mapping[str, Any], table: str, body: bytes) -> bytes:
        """The answer's body; `body` is the request's, `routing` the parameters that tell botocore which table it is about.

        Raises what botocore raises.
        """
        found = self._known(self._model_with_connection, operation, table)
        if found is not None:
            model, connection = found
            try:
                return model.send(connection, body)
            except ClientError as error:
                if not renewed(self._client, error.response):
                    raise
        credentials = self._known(self._credentials)
        self._sent.request = None
        content: bytes = getattr(self._client, xform_name(operation))(**routing, RawBody=body)["Body"]
        request, self._sent.request = self._sent.request, None
        self._known(self._learn, operation, table, request, credentials)
        return content

    def _remember(self, request: Any, **_: Any) -> None:
        self._sent.request = request

    def _known(self, ask: Callable[..., T], *arguments: Any) -> T | None:
        """What a function finds in botocore; None from the first time on that something is not as expected there."""
        if self._makes_copies:
            with without(_OTHERWISE):
                return ask(*arguments)
            self._makes_copies = False
        return None

    def _credentials(self) -> Any:
        return internals.credentials_of(internals.signer_of(self._client))

    def _model_with_connection(self, operation: str, table: str) -> tuple[_Model, Any] | None:
        model = self._models.get((operation, table))
        if model is None or model.credentials != self._credentials():
            return None
        connection = internals.take_open(model.pool)
        return None if connection is None else (model, connection)

    def _learn(self, operation: str, table: str, request: Any, credentials: Any) -> None:
        """Keep the model of a request that botocore has just sent with those credentials, if there is no such model."""
        if (operation, table) in self._models:
            model = self._models[operation, table]
            if model is None or model.credentials == credentials:
                return
        made = _model_of(self._client, operation, request, credentials)
        if made is not None or self._credentials() == credentials:  # else they were renewed in this moment
            self._models[operation, table] = made


def sender(connection: Connection) -> Sender:
    """The sender of that connection's raw client, one per process."""
    return _sender(connection)


@once_per_process(most=32)
def _sender(connection: Connection) -> Sender:
    return Sender(raw_client(connection))


@dataclass(frozen=True, slots=True)
class _Model:
    """What all requests of one operation on one table have in common, as botocore made it."""

    client: Any
    operation: str
    url: str
    pool: Any  # urllib3's, with the connections that botocore has opened
    credentials: Any = field(repr=False)  # frozen ones
    scope: str  # region and service
    headers: Mapping[str, str] = field(repr=False)  # a session token is among them
    signed: tuple[tuple[str, str], ...]  # names in lower case and as they are in the headers

    def send(self, connection: Any, body: bytes) -> bytes:
        """The answer's body; the connection is an open one of the pool, and is given back. Raises what botocore raises."""
        keep = False
        try:
            moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            head = _head(self.request_headers(body, moment, str(uuid.uuid4())))
            connection.sock.settimeout(self.client.meta.config.read_timeout)
            if len(body) <= _AT_ONCE:
                connection.sock.sendall(head + body)
            else:
                connection.sock.sendall(head)
                connection.sock.sendall(body)
            with connection.sock.makefile("rb", buffering=_BUFFER) as file:
                status, headers, content, keep = _receive(file)
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=self.url, error=error) from error
        except http.client.IncompleteRead as error:
            partial, missing = len(error.partial), error.expected or 0
            raise IncompleteReadError(actual_bytes=partial, expected_bytes=partial + missing) from error
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionClosedError(endpoint_url=self.url, error=error) from error
        finally:
            if not keep:
                connection.close()
            with without(_OTHERWISE):
                internals.give_back(self.pool, connection)
        status, content = received(status, headers, content, self.url)
        if status >= 300:
            raise self._error(status, headers, content)
        return content

    def request_headers(self, body: bytes, moment: str, invocation: str) -> dict[str, str]:
        """All headers of a request; `moment` is as in 20260131T235959Z."""
        headers = {
            **self.headers,
            "X-Amz-Date": moment,
            "Content-Length": str(len(body)),
            "amz-sdk-invocation-id": invocation,
        }
        day = moment[:8]
        lines = "\n".join([f"{name}:{headers[given]}" for name, given in self.signed])
        names = ";".join([name for name, _ in self.signed])
        canonical = f"POST\n/\n\n{lines}\n\n{names}\n{hashlib.sha256(body).hexdigest()}"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = _signing_key(self.credentials.secret_key, day, self.scope)
        text = f"AWS4-HMAC-SHA256\n{moment}\n{day}/{self.scope}/aws4_request\n{digest}"
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.credentials.access_key}/{day}/{self.scope}/aws4_request, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return headers

    def _error(self, status: int, headers: Mapping[str, str], content: bytes) -> Exception:
        """The error that botocore makes of an answer."""
        parser, service = create_parser("json"), self.client.meta.service_model
        operation = service.operation_model(self.operation)
        response = {
            "status_code": status,
            "headers": HeadersDict(headers),
            "body": content,
            "context": {"operation_name": self.operation},
        }
        parsed = parser.parse(response, operation.output_shape)
        code = parsed.get("Error", {}).get("Code")
        shape = code and service.shape_for_error_code(code)
        if shape:
            parsed.update(parser.parse(response, shape))
        parsed["ResponseMetadata"]["RetryAttempts"] = 0
        return cast("Exception", self.client.exceptions.from_code(code)(parsed, self.operation))


def _is_wanted() -> bool:
    wanted = os.environ.get(_SWITCH) or _OWN
    if wanted not in {_OWN, _BOTOCORE}:
        raise ConfigurationError(
            f"The environment variable {_SWITCH} is {shorten(repr(wanted))}; it takes {_OWN} (which also holds where it is not "
            f"set) and {_BOTOCORE}"
        )
    return wanted == _OWN


def _model_of(client: Any, operation: str, request: Any, credentials: Any) -> _Model | None:
    """The model of a request that botocore has made, None where copies of it would not be what botocore makes."""
    place, pool = urlsplit(request.url), internals.pool_of(client, request.url)
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    authorization = _AUTHORIZATION.fullmatch(headers.get("Authorization", ""))
    if authorization is None or pool is None or request.method != "POST" or _strangers(client, operation):
        logger.debug("botocore sends each %s, as something unusual is set up", operation)
        return None
    headers |= {"Host": place.netloc.lower().removesuffix(_DEFAULT_PORTS[place.scheme]), **_SENT_BY_HTTP}
    names = {name.lower(): name for name in headers}
    model = _Model(
        client=client,
        operation=operation,
        url=request.url,
        pool=pool,
        credentials=credentials,
        scope=authorization["scope"],
        headers=headers,
        signed=tuple((name, names[name]) for name in authorization["names"].split(";") if name in names),
    )
    if model.request_headers(request.body, headers["X-Amz-Date"], headers["amz-sdk-invocation-id"]) != headers:
        logger.debug("botocore sends each %s, as it signs them in another way", operation)
        return None
    return model


def _strangers(client: Any, operation: str) -> list[Any]:
    """What others than botocore and this package want to do with each request."""
    known = ("botocore.", "boto3.", "spark_dynamo.")
    return [
        handler
        for hook in _HOOKS
        for handler in internals.handlers_of(client, f"{hook}.dynamodb.{operation}")
        if not str(getattr(handler, "__module__", "")).startswith(known)
    ]


def _head(headers: Mapping[str, str]) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(["POST / HTTP/1.1", *lines, "", ""]).encode()


@lru_cache(maxsize=8)
def _signing_key(secret: str, day: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, *scope.split("/"), "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _receive(file: Any) -> tuple[int, Mapping[str, str], bytes, bool]:
    """Status, headers by names in lower case, and body of an answer, and whether the connection stays open.

    An answer as DynamoDB gives it on success is read here, any other by Python's HTTP client.
    """
    start = file.peek()
    end = start.find(b"\r\n\r\n")
    if end > 0 and start.startswith(b"HTTP/1.1 200 "):
        lines = start[:end].decode("latin-1").split("\r\n")[1:]
        headers = {name.lower(): value.strip() for name, _, value in [line.partition(":") for line in lines]}
        length = headers.get("content-length", "")
        is_kept = headers.get("connection", "keep-alive").lower() == "keep-alive"
        if is_kept and length.isdecimal() and "transfer-encoding" not in headers:
            file.read(end + 4)
            content = file.read(int(length))
            if len(content) < int(length):
                raise http.client.IncompleteRead(content, int(length) - len(content))
            return 200, headers, content, True
    with http.client.HTTPResponse(_Opened(file), method="POST") as response:  # type: ignore[arg-type]
        response.begin()
        content = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, content, not response.will_close


class _Opened:
    """A file in place of the socket that Python's HTTP client wants."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def makefile(self, mode: str) -> Any:
        return self._file
