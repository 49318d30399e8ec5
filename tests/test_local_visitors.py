"""No web page that a browser of this machine shows reads or wipes an embedded server."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from spark_dynamo.aws.client import Connection, dynamodb_client
from spark_dynamo.aws.tables import KeyAttribute, create_table
from spark_dynamo.local import LocalDynamoDB
from tests.servers.dynoxide import required_dynoxide

pytestmark = pytest.mark.server
SIGNED = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=00"
CALL = {
    "X-Amz-Target": "DynamoDB_20120810.ListTables",
    "X-Amz-Date": "20260101T000000Z",
    "Content-Type": "application/x-amz-json-1.0",
    "Authorization": SIGNED,
}


@pytest.fixture(scope="module", params=["moto", "dynoxide"])
def embedded(request: pytest.FixtureRequest) -> Iterator[LocalDynamoDB]:
    if request.param == "dynoxide":
        required_dynoxide()
    with LocalDynamoDB(share=False, engine=request.param) as embedded:
        create_table(embedded.client(), "orders", partition_key=KeyAttribute("id", "S"))
        yield embedded


def ask(embedded: LocalDynamoDB, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection(urlsplit(embedded.endpoint_url).netloc, timeout=20)
    try:
        port = str(urlsplit(embedded.endpoint_url).port)
        sent = {name: value.replace("PORT", port) for name, value in headers.items()}
        connection.request(method, path, b"{}" if method == "POST" else None, sent)
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:PORT"},
        {"Host": "localhost.evil.example:PORT"},
        {"Host": "127.0.0.1@evil.example"},
        {"Host": "[::1"},
        {"Host": ""},
        {"Host": "0.0.0.0:PORT"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "https://127.0.0.1:PORT"},
        {"Host": "evil.example:PORT", "Origin": "http://evil.example:PORT"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=repr,
)
@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("POST", "/moto-api/reset", {}),
        ("POST", "/", CALL),
        ("OPTIONS", "/", {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-amz-target"}),
        ("GET", "/moto-api/data.json", {}),
    ],
)
def test_a_web_page_gets_nothing_and_wipes_nothing(
    embedded: LocalDynamoDB, method: str, path: str, more: dict[str, str], headers: dict[str, str]
) -> None:
    status, body, answered = ask(embedded, method, path, {**more, **headers})
    assert status == 403
    assert "The embedded server answers" in json.loads(body)["message"]
    assert "access-control-allow-origin" not in answered
    assert embedded.client().list_tables()["TableNames"] == ["orders"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost:PORT"},
        {"Host": "LocalHost"},
        {"Host": "[::1]:PORT"},
        {"Host": "127.0.0.1:9"},  # as through a tunnel
        {"Origin": "http://127.0.0.1:PORT", "Sec-Fetch-Site": "same-origin"},  # moto's own pages
        {"Sec-Fetch-Site": "none"},  # an address that somebody typed
    ],
    ids=repr,
)
def test_programs_of_this_machine_and_its_own_pages_are_answered(
    embedded: LocalDynamoDB, headers: dict[str, str]
) -> None:
    status, body, _ = ask(embedded, "POST", "/", {**CALL, **headers})
    assert (status, json.loads(body)) == (200, {"TableNames": ["orders"]})


def test_clients_reach_it_by_either_name_of_loopback(embedded: LocalDynamoDB) -> None:
    by_name = embedded.endpoint_url.replace("127.0.0.1", "localhost")
    place = Connection("us-east-1", by_name, access_key_id="local", secret_access_key="local")
    assert dynamodb_client(place).list_tables()["TableNames"] == ["orders"]
