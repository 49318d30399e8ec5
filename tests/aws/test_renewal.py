"""Credentials that their provider believes to be fresh and AWS does not: the provider is asked once more."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spark_dynamo.aws.client import Connection, dynamodb_client
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.table_names import list_tables
from spark_dynamo.errors import AccessDeniedError
from tests.aws.test_sending import STS, Received, Wire, ok, wire_server

pytestmark = pytest.mark.server

EXPIRED = json.dumps(
    {"__type": "x#ExpiredTokenException", "message": "The security token included is expired"}
).encode()
PAGES = b'{"Items":[],"TableNames":[]}'


def judging(valid: set[str]) -> Callable[[Received], bytes]:
    """An answering function for which only those access keys have not expired."""

    def answer(received: Received) -> bytes:
        if received.access_key in valid:
            return ok(PAGES)
        return ok(EXPIRED).replace(b"200 OK", b"400 Bad Request")

    return answer


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that writes a credentials file whose profile `p` has that access key."""
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))

    def write(key: str) -> None:
        file.write_text(f"[p]\naws_access_key_id={key}\naws_secret_access_key=s\naws_session_token=t\n")

    return write


def of_profile(wire: Wire) -> Connection:
    return replace(wire.connection, access_key_id=None, secret_access_key=None, profile="p")


def used(wire: Wire) -> list[str]:
    return [received.access_key for received in wire.requests]


@pytest.mark.parametrize("earlier", [0, 1, 3])
def test_a_credentials_file_that_was_written_anew_is_read_anew(profile: Any, earlier: int) -> None:
    """Whether botocore sends the request that is refused, or its copy."""
    profile("old")
    valid = {"old"}
    with wire_server(judging(valid)) as wire:
        requests = Requests(of_profile(wire), "t")
        for _ in range(earlier):
            requests.send("Scan", b"{}")
        valid.symmetric_difference_update({"old", "new"})
        profile("new")
        for _ in range(3):
            requests.send("Scan", b"{}")
    assert used(wire) == ["old"] * (earlier + 1) + ["new"] * 3
    assert requests.counts.retries == 0


def test_a_client_for_tables_does_so_too(profile: Any) -> None:
    profile("old")
    with wire_server(judging({"new"})) as wire:
        client = dynamodb_client(of_profile(wire))
        profile("new")
        assert [*list_tables(client), *list_tables(client)] == []
    assert used(wire) == ["old", "new", "new"]


def test_a_role_is_assumed_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = iter(["A", "B"])
    judge = judging({"B"})

    def answer(received: Received) -> bytes:
        if b"Action=AssumeRole" not in received.body:
            return judge(received)
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=2)  # or so it believes
        return ok(STS.format(key=next(keys), until=until.isoformat()).encode())

    with wire_server(answer) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", wire.endpoint)
        requests = Requests(replace(wire.connection, role_arn="arn:aws:iam::123456789012:role/r"), "t")
        for _ in range(2):
            requests.send("Scan", b"{}")
    assert [received.access_key for received in wire.requests if received.body == b"{}"] == ["A", "B", "B"]


def test_where_there_are_no_others_the_request_fails_at_once(profile: Any) -> None:
    profile("old")
    with wire_server(judging(set())) as wire:
        for connection in (wire.connection, of_profile(wire)):
            with pytest.raises(AccessDeniedError, match="The session token has expired"):
                Requests(connection, "t").send("Scan", b"{}")
    assert used(wire) == ["k", "old"]


def test_others_that_have_expired_too_are_tried_once(profile: Any) -> None:
    profile("old")
    with wire_server(judging(set())) as wire:
        requests = Requests(of_profile(wire), "t")
        profile("new")
        with pytest.raises(AccessDeniedError, match="The session token has expired"):
            requests.send("Scan", b"{}")
    assert used(wire) == ["old", "new"]
