"""Requests that botocore does not send: they are what it would send, and what comes of them is what it would make of it."""

from __future__ import annotations

import datetime
import json
import re
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from types import SimpleNamespace
from typing import Any

import botocore
import botocore.auth
import botocore.handlers
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ConnectionClosedError, IncompleteReadError, ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from spark_dynamo.aws.client import RAW_OPERATIONS, Connection, raw_client
from spark_dynamo.aws.fast_requests import Sender, sender
from tests.conftest import Server

pytestmark = pytest.mark.server

BODY = b'{"Items":[],"Count":0}'
SCAN = b'{"TableName":"t"}'
Answer = Callable[["Received"], bytes | None]


@pytest.fixture(autouse=True, scope="module")
def _without_moto() -> Iterator[None]:
    """Once it is imported, moto looks at each request of this process before it is sent."""
    import moto.core.models  # noqa: F401

    with pytest.MonkeyPatch.context() as patch:
        stock = [entry for entry in botocore.handlers.BUILTIN_HANDLERS if "moto" not in type(entry[1]).__module__]
        patch.setattr(botocore.handlers, "BUILTIN_HANDLERS", stock)
        yield


@dataclass(frozen=True)
class Received:
    """A request as it came, and the number of the connection that it came on."""

    connection: int
    line: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def access_key(self) -> str:
        return self.headers["Authorization"].partition("Credential=")[2].partition("/")[0]


@dataclass
class Wire:
    """A server that answers with ready bytes; None ends the connection."""

    port: int
    requests: list[Received] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def connection(self) -> Connection:
        return Connection("us-east-1", self.endpoint, access_key_id="k", secret_access_key="s", read_timeout=30.0)


def ok(body: bytes = BODY, *headers: str, length: bool = True) -> bytes:
    """An answer as DynamoDB gives it."""
    lines = ["HTTP/1.1 200 OK", f"x-amz-crc32: {zlib.crc32(body)}", *headers]
    lines += [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def wire_server(answer: Answer, tls: ssl.SSLContext | None = None, *, is_proxy: bool = False) -> Iterator[Wire]:
    class Handler(StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self) -> None:
            with lock:
                numbers.append(len(numbers))
                number = numbers[-1]
            with suppress(OSError):
                if is_proxy:
                    assert self._receive(number).line.startswith("CONNECT ")
                    self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                if tls is None:
                    self._serve(number)
                    return
                with (
                    tls.wrap_socket(self.request, server_side=True) as secured,
                    secured.makefile("rb") as self.rfile,
                    secured.makefile("wb", buffering=0) as self.wfile,
                ):
                    self._serve(number)

        def _serve(self, number: int) -> None:
            while (received := self._receive(number)).line:
                with lock:
                    wire.requests.append(received)
                reply = answer(received)
                if reply is not None:
                    self.wfile.write(reply)
                if reply is None or reply.startswith(b"HTTP/1.0") or b"Connection: close" in reply:
                    return

        def _receive(self, number: int) -> Received:
            line = self.rfile.readline().decode().strip()
            headers = {}
            while header := self.rfile.readline().decode().strip():
                name, _, value = header.partition(": ")
                headers[name] = value
            return Received(number, line, headers, self.rfile.read(int(headers.get("Content-Length", 0))))

    lock, numbers = threading.Lock(), list[int]()
    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        wire = Wire(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield wire
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def counted(connection: Connection) -> Iterator[list[str]]:
    """The addresses of requests that botocore itself sends meanwhile."""
    session = sender(connection)._client._endpoint.http_session  # raw_client may have forgotten that one
    sent: list[str] = []
    stock = session.send

    def send(request: Any) -> Any:
        sent.append(request.url)
        return stock(request)

    session.send = send
    try:
        yield sent
    finally:
        del session.send


def scan(connection: Connection, body: bytes = SCAN) -> bytes:
    return sender(connection).send("Scan", {"TableName": "t"}, "t", body)


def set_clock(patch: pytest.MonkeyPatch, moment: datetime.datetime) -> None:
    """Let botocore sign as if it were that time."""
    if hasattr(botocore.auth, "get_current_datetime"):
        patch.setattr(botocore.auth, "get_current_datetime", lambda: moment)
    else:  # an older botocore
        clock = SimpleNamespace(datetime=SimpleNamespace(utcnow=lambda: moment))
        patch.setattr(botocore.auth, "datetime", clock)


def signed_by_botocore(received: Received, token: str | None, monkeypatch: pytest.MonkeyPatch) -> str:
    """The Authorization header that botocore makes for that request at its time."""
    set_clock(monkeypatch, datetime.datetime.strptime(received.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
    signed = received.headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: value for name, value in received.headers.items() if name.lower() in signed}
    request = AWSRequest("POST", f"http://{received.headers['Host']}/", headers=headers, data=received.body)
    botocore.auth.SigV4Auth(Credentials("k", "s", token), "dynamodb", "us-east-1").add_auth(request)
    return str(request.headers["Authorization"])


@pytest.mark.parametrize("token", [None, "a+token/="])
@pytest.mark.parametrize("operation", RAW_OPERATIONS)
def test_a_later_request_is_what_botocore_would_send(
    operation: str, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    routing = {
        "BatchGetItem": {"RequestItems": {"t": {}}},
        "BatchWriteItem": {"RequestItems": {"t": []}},
        "TransactWriteItems": {"TransactItems": [{"Put": {"TableName": "t", "Item": {}}}]},
    }.get(operation, {"TableName": "t"})
    with wire_server(lambda received: ok()) as wire:
        connection = replace(wire.connection, session_token=token)
        with counted(connection) as by_botocore:
            for body in (SCAN, b"{}", "{“ünïcode”}".encode(), b"x" * 200_000):
                answer = sender(connection).send(operation, routing, "t", body)
                assert answer == BODY
        assert len(by_botocore) == 1
    assert [received.body for received in wire.requests] == [SCAN, b"{}", "{“ünïcode”}".encode(), b"x" * 200_000]
    assert {received.connection for received in wire.requests} == {0}
    first, *later = wire.requests
    assert re.match(r"Boto3/.* Botocore/.* spark-dynamo$", first.headers["User-Agent"])
    own = {"X-Amz-Date", "Authorization", "Content-Length", "amz-sdk-invocation-id"}
    for received in later:
        assert received.line == first.line == "POST / HTTP/1.1"
        assert received.headers.keys() == first.headers.keys()
        assert all(received.headers[name] == first.headers[name] for name in first.headers.keys() - own)
        assert received.headers["Authorization"] == signed_by_botocore(received, token, monkeypatch)
    assert len({received.headers["amz-sdk-invocation-id"] for received in wire.requests}) == 4


@pytest.fixture(scope="module")
def model() -> Any:
    with wire_server(lambda received: ok()) as wire:
        scan(wire.connection)
        return sender(wire.connection)._models["Scan", "t"]


@given(
    secret=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1),
    region=st.sampled_from(["eu-west-1", "us-gov-west-1", "cn-north-1"]),
    body=st.binary(max_size=100),
    moment=st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2099, 1, 1)),
)
def test_signatures_are_botocores(model: Any, secret: str, region: str, body: bytes, moment: datetime.datetime) -> None:
    credentials = Credentials("key", secret)
    own = replace(model, credentials=credentials.get_frozen_credentials(), scope=f"{region}/dynamodb")
    headers = own.request_headers(body, moment.strftime("%Y%m%dT%H%M%SZ"), "i")
    request = AWSRequest("POST", model.url, headers={name: headers[name] for _, name in own.signed}, data=body)
    with pytest.MonkeyPatch.context() as patch:
        set_clock(patch, moment)
        botocore.auth.SigV4Auth(credentials, "dynamodb", region).add_auth(request)
    assert headers["Authorization"] == request.headers["Authorization"]


def test_real_servers_take_them(server: Server) -> None:
    table = server.create()
    send = sender(server.connection).send
    name = {"TableName": table}
    for number in range(5):
        item = {"id": {"S": f"ä{number}"}, "n": {"N": f"{number}"}}
        batch = {"RequestItems": {table: [{"PutRequest": {"Item": {**item, "id": {"S": f"b{number}"}}}}]}}
        send("PutItem", name, table, json.dumps({**name, "Item": item}).encode())
        send("BatchWriteItem", {"RequestItems": {table: []}}, table, json.dumps(batch).encode())
        page = json.loads(send("Scan", name, table, json.dumps(name).encode()))
        assert page["Count"] == 2 * number + 2
        key = {**name, "Key": {"id": item["id"]}}
        assert json.loads(send("GetItem", name, table, json.dumps(key).encode()))["Item"] == item
    assert len(server.items(table)) == 10


REFUSED = [
    ("Scan", {"TableName": "no-such-table"}),
    ("Scan", {"TableName": "T", "FilterExpression": "bad !"}),
    (
        "PutItem",
        {
            "TableName": "T",
            "Item": {"id": {"S": "a"}},
            "ConditionExpression": "attribute_not_exists(id)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
    ),
    (
        "TransactWriteItems",
        {
            "TransactItems": [
                {
                    "Put": {
                        "TableName": "T",
                        "Item": {"id": {"S": "a"}},
                        "ConditionExpression": "attribute_not_exists(id)",
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                    }
                }
            ]
        },
    ),
]


@pytest.mark.parametrize(("operation", "request_"), REFUSED, ids=["table", "expression", "condition", "transaction"])
def test_a_refusal_is_the_same_error(operation: str, request_: dict[str, Any], dynoxide_server: Server) -> None:
    table = dynoxide_server.create()
    dynoxide_server.put(table, {"id": {"S": "a"}, "blob": {"B": b"\0\xff"}})
    body = json.dumps(request_).replace('"T"', f'"{table}"').encode()
    routing = {"TransactItems": [{"Put": {"TableName": table, "Item": {}}}]} if "Transact" in operation else {}
    fine = {
        "Scan": {"TableName": table},
        "PutItem": {"TableName": table, "Item": {"id": {"S": "b"}}},
        "TransactWriteItems": {"TransactItems": [{"Put": {"TableName": table, "Item": {"id": {"S": "c"}}}}]},
    }[operation]
    errors = []
    own = sender(dynoxide_server.connection)
    for count in (1, 0):
        with counted(dynoxide_server.connection) as by_botocore, pytest.raises(ClientError) as caught:
            own.send(operation, routing or {"TableName": table}, table, body)
        assert len(by_botocore) == count
        errors.append(caught.value)
        own.send(operation, routing or {"TableName": table}, table, json.dumps(fine).encode())
    first, second = errors
    assert type(first) is type(second)
    assert str(first).replace(" (reached max retries: 0)", "") == str(second)
    for error in errors:
        metadata = error.response.pop("ResponseMetadata")
        assert metadata["RetryAttempts"] == 0
        assert metadata["RequestId"]
        assert metadata["HTTPStatusCode"] == 400
    assert first.response == second.response


STS = """<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>{key}</AccessKeyId>
<SecretAccessKey>secret</SecretAccessKey><SessionToken>token of {key}</SessionToken>
<Expiration>{until}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


def test_credentials_of_a_role_renew_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones expire in five minutes, so that botocore asks for others at once."""
    keys = iter([("A", 300), ("B", 7200)])

    def answer(received: Received) -> bytes:
        if b"Action=AssumeRole" not in received.body:
            return ok()
        key, seconds = next(keys)
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
        return ok(STS.format(key=key, until=until.isoformat()).encode())

    with wire_server(answer) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", wire.endpoint)
        connection = replace(wire.connection, role_arn="arn:aws:iam::123456789012:role/r")
        with counted(connection) as by_botocore:
            for _ in range(5):
                scan(connection)
    requests = [received for received in wire.requests if received.body == SCAN]
    used = [received.access_key for received in requests]
    assert used == sorted(used)
    assert used[-2:] == ["B", "B"]
    assert next(keys, None) is None
    assert all(received.headers["X-Amz-Security-Token"] == f"token of {received.access_key}" for received in requests)
    assert len(by_botocore) <= 2


def test_other_credentials_make_botocore_send_once_more() -> None:
    with wire_server(lambda received: ok()) as wire, counted(wire.connection) as by_botocore:
        client = raw_client(wire.connection)
        for key in ("k", "k", "other", "other", "other"):
            client._request_signer._credentials = Credentials(key, "s", "token")
            scan(wire.connection)
        assert [received.access_key for received in wire.requests] == ["k", "k", "other", "other", "other"]
        assert len(by_botocore) == 2


LARGE = b'{"Items":["' + b"x" * 3_000_000 + b'"]}'
ANSWERS = {
    "plain": ok(),
    "empty": ok(b""),
    "large": ok(LARGE),
    "kept": ok(BODY, "Connection: keep-alive", "Date: Thu, 01 Jan 1970 00:00:00 GMT"),
    "closed": ok(BODY, "Connection: close"),
    "chunked": ok(BODY, "Transfer-Encoding: chunked", length=False).removesuffix(BODY)
    + b"5\r\n"
    + BODY[:5]
    + b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY) - 5, BODY[5:]),
    "old": ok().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "without length": ok(BODY, "Connection: close", length=False),
    "continued": b"HTTP/1.1 100 Continue\r\n\r\n" + ok(),
    "half a head": b"HTTP/1.1 200 OK\r\nConnection: close",  # for Python an answer without a body
    "many headers": ok(BODY, *(f"x-{number}: {'y' * 1000}" for number in range(30))),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_form_of_an_answer_is_read(name: str) -> None:
    answers = iter([ok(), ANSWERS[name], ok(b'{"a":1}'), ok(b'{"a":2}')])
    with wire_server(lambda received: next(answers)) as wire:
        found = [scan(wire.connection) for _ in range(4)]
    expected = {"empty": b"", "half a head": b"", "large": LARGE}.get(name, BODY)
    assert found == [BODY, expected, b'{"a":1}', b'{"a":2}']
    is_kept = name not in ("closed", "old", "without length", "half a head")
    assert [received.connection for received in wire.requests] == [0, 0, *([0, 0] if is_kept else [1, 1])]


FAILURES: dict[str, tuple[bytes | None, type[Exception]]] = {
    "no answer": (None, ConnectionClosedError),
    "no HTTP": (b"what?\r\n\r\nConnection: close", ConnectionClosedError),
    "half a body": (ok(BODY * 2, "Connection: close")[: -len(BODY)], IncompleteReadError),
    "half a body, kept": (ok(BODY * 2)[: -len(BODY)], ReadTimeoutError),
    "nothing in time": (b"", ReadTimeoutError),
}


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_has_botocores_name_and_costs_no_more_than_its_connection(name: str) -> None:
    reply, error = FAILURES[name]
    answers = iter([ok(), reply, ok(b'{"a":1}'), ok(b'{"a":2}')])
    with wire_server(lambda received: next(answers)) as wire:
        connection = replace(wire.connection, read_timeout=30.0)
        scan(connection)
        settings = raw_client(connection).meta.config
        with counted(connection) as by_botocore:
            with pytest.MonkeyPatch.context() as patch, pytest.raises(error):
                if error is ReadTimeoutError:
                    patch.setattr(settings, "read_timeout", 0.2)
                scan(connection)
            assert by_botocore == []
        assert [scan(connection) for _ in range(2)] == [b'{"a":1}', b'{"a":2}']
    assert [received.connection for received in wire.requests] == [0, 0, 1, 1]


def test_a_connection_that_the_server_closed_meanwhile_is_opened_again() -> None:
    """The answer does not say that the connection ends with it."""

    def answer(received: Received) -> bytes | None:
        return None if received.body == b"" else ok()

    with wire_server(answer) as wire:
        scan(wire.connection)
        pool = raw_client(wire.connection)._endpoint.http_session._manager.connection_from_url(wire.endpoint)
        idle = pool.pool.queue[-1].sock
        idle.sendall(b"POST / HTTP/1.1\r\n\r\n")  # at which this server hangs up
        idle.recv(1)
        assert [scan(wire.connection) for _ in range(3)] == [BODY] * 3
    assert [received.connection for received in wire.requests if received.body] == [0, 1, 1, 1]


def test_threads_share_it() -> None:
    with wire_server(lambda received: ok(received.body)) as wire, ThreadPoolExecutor(8) as threads:
        scan(wire.connection)
        bodies = [b'{"n":%d}' % number for number in range(400)]
        assert list(threads.map(lambda body: scan(wire.connection, body), bodies)) == bodies
    assert len({received.connection for received in wire.requests}) <= 8


def test_botocore_sends_all_where_somebody_else_wants_to_see_the_requests() -> None:
    seen = []
    with wire_server(lambda received: ok()) as wire:
        client = raw_client(wire.connection)
        client.meta.events.register("before-send.dynamodb.Scan", lambda request, **_: seen.append(request.url))
        with counted(wire.connection) as by_botocore:
            for _ in range(3):
                assert scan(wire.connection) == BODY
        assert len(seen) == len(by_botocore) == 3


def test_botocore_sends_all_where_it_does_not_sign() -> None:
    with wire_server(lambda received: ok()) as wire, counted(wire.connection) as by_botocore:
        client = raw_client(wire.connection)
        client.meta.events.register("choose-signer.dynamodb", lambda **_: botocore.UNSIGNED)
        for _ in range(3):
            scan(wire.connection)
        assert len(by_botocore) == 3
    assert all("Authorization" not in received.headers for received in wire.requests)


def test_botocore_sends_all_where_the_server_has_a_path() -> None:
    with wire_server(lambda received: ok()) as wire:
        connection = replace(wire.connection, endpoint_url=f"{wire.endpoint}/dynamo")
        with counted(connection) as by_botocore:
            for _ in range(3):
                scan(connection)
        assert len(by_botocore) == 3
    assert {received.line for received in wire.requests} == {"POST /dynamo HTTP/1.1"}


def test_botocore_sends_all_through_a_proxy_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    with wire_server(lambda received: ok()) as wire:
        monkeypatch.setenv("HTTP_PROXY", wire.endpoint)
        connection = replace(wire.connection, endpoint_url="http://dynamodb.test")
        with counted(connection) as by_botocore:
            for _ in range(3):
                scan(connection)
        assert len(by_botocore) == 3
    assert {received.line for received in wire.requests} == {"POST http://dynamodb.test/ HTTP/1.1"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for dynamodb.test, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dynamodb.test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("dynamodb.test"), x509.DNSName("localhost")]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, form, serialization.NoEncryption()))
    return path


@pytest.mark.parametrize("is_proxy", [False, True], ids=["direct", "proxy"])
def test_tls_is_botocores_also_through_a_proxy(
    is_proxy: bool, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    with wire_server(lambda received: ok(received.body), context, is_proxy=is_proxy) as wire:
        endpoint = f"https://localhost:{wire.port}"
        if is_proxy:
            monkeypatch.setenv("HTTPS_PROXY", wire.endpoint)
            endpoint = "https://dynamodb.test"
        connection = replace(wire.connection, endpoint_url=endpoint)
        bodies = [SCAN, b"{}", b"x" * 200_000, LARGE]
        with counted(connection) as by_botocore:
            assert [scan(connection, body) for body in bodies] == bodies
        assert by_botocore == [f"{endpoint}/"]
    assert {received.headers["Host"] for received in wire.requests} == {endpoint.removeprefix("https://")}


def test_each_table_has_its_own_model_as_its_address_may_differ() -> None:
    with wire_server(lambda received: ok()) as wire, counted(wire.connection) as by_botocore:
        own = Sender(raw_client(wire.connection))
        for table in ("a", "b", "a", "b"):
            own.send("Scan", {"TableName": table}, table, SCAN)
        assert len(by_botocore) == 2
