"""Credentials that no header can hold end in one sentence, at once, which does not show them; real ones by http are told of."""

from __future__ import annotations

import logging
import pickle
import traceback
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import HTTPClientError

from spark_dynamo.aws import headers, s3
from spark_dynamo.aws.client import Connection, dynamodb_client, raw_client
from spark_dynamo.aws.failures import explain, is_transient
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.tables import describe_table
from spark_dynamo.errors import ConfigurationError
from tests.servers.scripted import Reply, scripted_server

pytestmark = pytest.mark.server

SAID = "no HTTP header can hold"
BROKEN = ["hidden-token\n", "hidden\r\ntoken", "hidden-\u20ac-token", "hidden\x00token", "hidden\x7ftoken"]


def shown(error: BaseException) -> str:
    """All that a traceback, a repr and another process can show of it."""
    crossed = pickle.loads(pickle.dumps(error))
    return "".join(traceback.format_exception(error)) + repr(vars(error)) + repr(vars(crossed)) + str(crossed)


@pytest.mark.parametrize("token", BROKEN, ids=ascii)
@pytest.mark.parametrize(
    "send",
    [
        lambda place: Requests(place, "t", patience=60).send("Scan", b'{"TableName":"t"}'),
        lambda place: describe_table(dynamodb_client(place), "t"),
        lambda place: s3.check_bucket(place, "bucket"),
    ],
    ids=["raw", "boto3", "s3"],
)
def test_a_token_that_no_header_can_hold_is_never_shown_nor_sent(
    token: str, send: Callable[[Connection], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted_server(lambda operation, request: Reply({})) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        with pytest.raises(ConfigurationError, match=SAID) as caught:
            send(replace(server.connection, session_token=token))
        assert server.requests == []
    assert "hidden" not in shown(caught.value)


def test_keys_of_the_environment_are_looked_at_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_SESSION_TOKEN", BROKEN[1])
    with scripted_server(lambda operation, request: Reply({})) as server:
        with pytest.raises(ConfigurationError, match=SAID) as caught:
            Requests(Connection("us-east-1", server.endpoint), "t").send("Scan", b"{}")
        assert server.requests == []
    assert "hidden" not in shown(caught.value)


def test_a_key_id_that_no_header_can_hold_is_not_shown() -> None:
    with scripted_server(lambda operation, request: Reply({})) as server:
        with pytest.raises(ConfigurationError, match=SAID) as caught:
            Requests(replace(server.connection, access_key_id=BROKEN[0]), "t").send("Scan", b"{}")
        assert server.requests == []
    assert "hidden" not in shown(caught.value)


@pytest.mark.parametrize(
    "inner",
    [
        ValueError("Invalid header value b'hidden\\n'"),
        ValueError("Invalid header name b'hidden\\n'"),
        UnicodeEncodeError("latin-1", "hidden", 0, 1, "no"),
        TypeError("hidden"),
    ],
    ids=repr,
)
def test_what_pythons_http_client_cannot_write_is_never_quoted_nor_repeated(inner: Exception) -> None:
    error = HTTPClientError(error=inner)
    assert not is_transient(error)
    explained = explain(error, "http://h", "us-east-1", "t")
    assert isinstance(explained, ConfigurationError)
    assert "hidden" not in shown(explained)
    assert is_transient(HTTPClientError(error=OSError("a network's")))


@pytest.mark.parametrize("make", [dynamodb_client, raw_client])
def test_a_header_of_somebody_elses_that_cannot_be_sent_is_in_no_traceback(make: Callable[[Connection], Any]) -> None:
    value = BROKEN[0]

    def add(request: Any, **_: Any) -> None:
        request.headers["X-Other"] = value

    with scripted_server(lambda operation, request: Reply({})) as server:
        place = replace(server.connection, max_attempts=1)
        client = make(place)
        client.meta.events.register_last("before-send", add)
        with pytest.raises(ConfigurationError, match=SAID) as caught:
            if make is raw_client:
                Requests(place, "t", patience=60).send("Scan", b"{}")
            else:
                describe_table(client, "t")
        assert server.requests == []
    assert "hidden-" not in shown(caught.value)


@pytest.mark.parametrize(
    ("key_id", "is_told"),
    [("AKIAIOSFODNN7EXAMPLE", True), ("ASIAIOSFODNN7EXAMPLE", True), ("local", False), ("AKIA", False)],
)
@pytest.mark.parametrize(
    "send",
    [
        lambda place: Requests(place, "t").send("Scan", b"{}"),
        lambda place: dynamodb_client(place).list_tables(),
    ],
    ids=["raw", "boto3"],
)
def test_real_keys_that_go_to_another_machine_by_plain_http_are_told_of_once(
    key_id: str,
    is_told: bool,
    send: Callable[[Connection], object],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(headers, "_warned", set())
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with scripted_server(lambda operation, request: Reply({"Items": [], "TableNames": []})) as server:
        monkeypatch.setenv("http_proxy", server.endpoint)  # it stands for the other machine
        place = replace(server.connection, endpoint_url=f"http://{uuid.uuid4().hex}.example:8000", access_key_id=key_id)
        with caplog.at_level(logging.WARNING, headers.__name__):
            send(place)
            send(place)
        assert len(server.requests) == 2
    told = [record.getMessage() for record in caplog.records if record.name == headers.__name__]
    assert len(told) == int(is_told)
    assert all(".example by plain http" in line and key_id not in line for line in told)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nothing_is_told_of_real_keys_that_stay_on_this_machine(
    host: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headers, "_warned", set())
    with scripted_server(lambda operation, request: Reply({"Items": []})) as server:
        url = server.endpoint.replace("127.0.0.1", host)
        Requests(replace(server.connection, endpoint_url=url, access_key_id="AKIAIOSFODNN7EXAMPLE"), "t").send(
            "Scan", b"{}"
        )
    assert [record for record in caplog.records if record.name == headers.__name__] == []
