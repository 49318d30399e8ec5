"""Private parts of botocore that are another's tomorrow: all requests are botocore's own then, and the log says so once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3.session
import pytest

from spark_dynamo.aws import internals
from spark_dynamo.aws.client import Connection, dynamodb_client
from spark_dynamo.aws.requests import Requests
from spark_dynamo.errors import AccessDeniedError, ConfigurationError
from tests.aws.test_sending import SCAN, Wire, counted, ok, scan, wire_server

pytestmark = pytest.mark.server

SENDS = "botocore itself sends each request, which takes more CPU time"
BREAKS_OFF = "requests under way are not broken off, but end by their own time limits"
TAKES = "answers to requests about single items and tables are taken as botocore takes them"
RENEWS = "expired credentials are not asked for once more"
SESSION = "_endpoint.http_session"
PARTS = {
    "_request_signer": {SENDS, RENEWS},
    "_request_signer._credentials": {SENDS},
    "_endpoint": {SENDS, BREAKS_OFF, TAKES},
    "_endpoint._send": {TAKES},
    f"{SESSION}": {SENDS, BREAKS_OFF},
    f"{SESSION}._pool_classes_by_scheme": {BREAKS_OFF},
    f"{SESSION}._proxy_config": {SENDS},
    f"{SESSION}._proxy_config.proxy_url_for": {SENDS},
    f"{SESSION}._get_request_target": {SENDS},
    f"{SESSION}._get_connection_manager": {SENDS},
    f"{SESSION}._get_connection_manager().connection_from_url().pool": {SENDS},
    f"{SESSION}._get_connection_manager().connection_from_url()._get_conn": {SENDS},
    f"{SESSION}._get_connection_manager().connection_from_url()._get_conn().sock": {SENDS},
    f"{SESSION}._get_connection_manager().connection_from_url()._put_conn": {SENDS},
    "meta.events._emitter": {SENDS},
    "meta.events._emitter._handlers": {SENDS},
    "meta.events._emitter._handlers.prefix_search": {SENDS},
}


class Changed:
    """An object whose part at that path raises; what leads there is this package's view of it, not botocore's own."""

    def __init__(self, whole: Any, path: str, problem: Exception) -> None:
        self.__dict__.update(whole=whole, path=path, problem=problem)

    def __getattr__(self, name: str) -> Any:
        head, _, rest = self.path.partition(".")
        if name != head.removesuffix("()"):
            return getattr(self.whole, name)
        if not rest:
            raise self.problem
        found = getattr(self.whole, name)
        if not head.endswith("()"):
            return Changed(found, rest, self.problem)
        return lambda *arguments: Changed(found(*arguments), rest, self.problem)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.whole, name, value)


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """A function for what was logged of a botocore that has changed."""
    monkeypatch.setattr(internals, "_told", set())
    with caplog.at_level(logging.WARNING, internals.logger.name):
        yield lambda: [record.getMessage() for record in caplog.records if record.name == internals.logger.name]


def change(monkeypatch: pytest.MonkeyPatch, path: str, problem: Exception) -> None:
    """Let all clients that are made from now on seem changed."""
    stock = boto3.session.Session.client

    def client(*arguments: Any, **named: Any) -> Any:
        return Changed(stock(*arguments, **named), path, problem)

    monkeypatch.setattr(boto3.session.Session, "client", client)


@pytest.mark.parametrize("problem", [AttributeError("renamed"), TypeError("takes 2 arguments")], ids=["gone", "other"])
@pytest.mark.parametrize("path", PARTS)
def test_each_private_part_can_be_done_without(
    path: str, problem: Exception, monkeypatch: pytest.MonkeyPatch, told: Callable[[], list[str]]
) -> None:
    change(monkeypatch, path, problem)
    with wire_server(lambda received: ok(b'{"Items":[],"TableNames":["t"]}')) as wire:
        requests = Requests(wire.connection, "t")
        answers = [requests.send("Scan", SCAN) for _ in range(4)]
        names = dynamodb_client(wire.connection).list_tables()["TableNames"]
    assert answers == [b'{"Items":[],"TableNames":["t"]}'] * 4
    assert names == ["t"]
    assert len(wire.requests) == 5
    assert {message.rpartition("): ")[2] for message in told()} == PARTS[path]
    assert all(message.startswith("botocore ") and str(problem) in message for message in told())
    assert len(told()) == len(PARTS[path])


def test_credentials_that_cannot_be_had_are_no_sign_of_a_change(
    monkeypatch: pytest.MonkeyPatch, told: Callable[[], list[str]]
) -> None:
    refusal = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not yours</Message></Error></ErrorResponse>"
    with wire_server(lambda received: ok(refusal).replace(b"200 OK", b"403 Forbidden")) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", wire.endpoint)
        connection = replace(wire.connection, role_arn="arn:aws:iam::123456789012:role/r")
        with pytest.raises(AccessDeniedError, match="not yours"):
            Requests(connection, "t").send("Scan", SCAN)
    assert told() == []


@pytest.mark.parametrize(("wanted", "own"), [("", 3), ("own", 3), ("botocore", 0)])
def test_a_switch_lets_botocore_send_all(wanted: str, own: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_DYNAMO_REQUESTS", wanted)
    with wire_server(lambda received: ok()) as wire:
        sent = by_botocore(wire, 4)
    assert len(wire.requests) == 4
    assert sent == 4 - own


def by_botocore(wire: Wire, count: int) -> int:
    """How many of so many requests botocore sends."""
    with counted(wire.connection) as sent:
        for _ in range(count):
            scan(wire.connection)
    return len(sent)


def test_a_switch_in_no_known_position_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_DYNAMO_REQUESTS", "off")
    with pytest.raises(ConfigurationError, match=r"SPARK_DYNAMO_REQUESTS is 'off'; it takes own .* and botocore"):
        Requests(Connection("us-east-1", "http://127.0.0.1:9"), "t")
