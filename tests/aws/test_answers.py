"""Whatever answers in DynamoDB's place, or damages an answer: nothing is told as done that was not, and errors have a name."""

from __future__ import annotations

import gzip
import json
import pickle
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from spark_dynamo.aws import requests as requests_module
from spark_dynamo.aws.answers import CorruptAnswerError
from spark_dynamo.aws.batch_write import BatchWriter
from spark_dynamo.aws.client import dynamodb_client
from spark_dynamo.aws.in_flight import Flight
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.single_write import SingleWriter
from spark_dynamo.aws.table_names import list_tables
from spark_dynamo.aws.tables import describe_table
from spark_dynamo.aws.transactions import TransactionWriter
from spark_dynamo.errors import (
    AccessDeniedError,
    InvalidResponseError,
    RequestFailedError,
    UnwrittenItemsError,
)
from tests.servers.scripted import Reply, ScriptedServer, refusal, scripted_server
from tests.tiers import quick

pytestmark = pytest.mark.server

PAGE = b"<!DOCTYPE html><html><head><title>It works!</title></head><body>" + b"<p>Welcome</p>" * 500 + b"</body></html>"
ITEMS = b'{"Items":[{"id":{"S":"x"}}],"Count":1}'
TABLE = {
    "TableName": "t",
    "TableArn": "arn:aws:dynamodb:us-east-1:1:table/t",
    "TableStatus": "ACTIVE",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
}
UNITS = '"ReturnConsumedCapacity":"TOTAL"'


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "_FIRST_DELAY", 0.001)
    monkeypatch.setattr(requests_module, "_LONGEST_DELAY", 0.02)


def put_in_batches(flight: Flight) -> None:
    BatchWriter(flight, ["id"]).send(pa.array([json.dumps({"id": {"N": f"{number}"}}) for number in range(60)]))


def actions(count: int) -> pa.StringArray:
    return pa.array([json.dumps({"TableName": "t", "Item": {"id": {"N": f"{number}"}}}) for number in range(count)])


def put_singly(flight: Flight) -> None:
    SingleWriter(flight, ["id"], refused=pytest.fail).send(actions(20), "put")


def put_together(flight: Flight) -> None:
    TransactionWriter(flight, ["id"], refused=pytest.fail).send(actions(250), "put")


WRITES: dict[str, tuple[Callable[[Flight], None], int]] = {
    "batches": (put_in_batches, 60),
    "singly": (put_singly, 20),
    "together": (put_together, 250),
}
LIES = {
    "nothing": {},
    "a throttling": {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slow"},
    "another's": {"status": "ok"},
    "null": {"UnprocessedItems": None, "ConsumedCapacity": None},
    "no fields of that kind": {"UnprocessedItems": [], "ConsumedCapacity": "1"},
}


class Store:
    """A server that counts what it has written, and lies about every third request, which it does not do."""

    def __init__(self, lie: Reply) -> None:
        self.lie, self.asked, self.written = lie, 0, 0

    def answer(self, operation: str, request: dict[str, Any]) -> Reply:
        self.asked += 1
        if self.asked % 3 == 1:
            return self.lie
        if operation == "BatchWriteItem":
            self.written += sum(map(len, request["RequestItems"].values()))
            return Reply({"UnprocessedItems": {}})
        self.written += len(request.get("TransactItems", [0]))
        return Reply({"ConsumedCapacity": {"TableName": "t", "CapacityUnits": 1.0}})


@pytest.mark.parametrize("lie", quick(2, [*LIES]))
@pytest.mark.parametrize("way", WRITES)
def test_what_is_told_as_written_is_written(way: str, lie: str) -> None:
    write, count = WRITES[way]
    store = Store(Reply(LIES[lie]))
    with scripted_server(store.answer) as server:
        requests = Requests(server.connection, "t")
        with Flight(requests, fewest=1, most=1) as flight:
            write(flight)
    assert store.written == requests.counts.items == count
    assert requests.counts.retries > 0


@pytest.mark.parametrize("way", WRITES)
def test_a_server_that_only_lies_is_an_error_and_nothing_counts_as_written(way: str) -> None:
    write, _ = WRITES[way]
    with scripted_server(lambda operation, request: Reply({})) as server:
        requests = Requests(server.connection, "t", patience=0.2)
        with (
            pytest.raises(UnwrittenItemsError, match="nothing shows that the request was done") as caught,
            Flight(requests, fewest=1, most=1) as flight,
        ):
            write(flight)
    assert caught.value.count > 0
    assert isinstance(caught.value.original_error, InvalidResponseError)
    assert requests.counts.items == 0


@pytest.mark.parametrize("way", WRITES)
def test_an_error_under_a_status_of_success_is_that_error(way: str) -> None:
    write, _ = WRITES[way]
    lie = replace(refusal("AccessDeniedException", "not yours"), status=200)
    with scripted_server(lambda operation, request: lie) as server:
        requests = Requests(server.connection, "t")
        with (
            pytest.raises(UnwrittenItemsError, match="not yours") as caught,
            Flight(requests, fewest=1, most=1) as flight,
        ):
            write(flight)
    assert requests.counts.items == 0
    assert isinstance(caught.value.original_error, AccessDeniedError)


@pytest.mark.parametrize(
    ("call", "request_of", "honest", "lie"),
    [
        ("scan", {"Select": "COUNT"}, {"Count": 5, "ScannedCount": 5}, {}),
        (
            "query",
            {"Select": "COUNT", "KeyConditionExpression": "id = id"},
            {"Count": 0, "ScannedCount": 0},
            {"Items": []},
        ),
        ("scan", {"Select": "COUNT"}, {"Count": 5, "ScannedCount": 5}, {"Count": []}),
        ("scan", {}, {"Items": [], "Count": 0}, {"Count": 0}),
        ("put_item", {"Item": {}, "ReturnConsumedCapacity": "TOTAL"}, {"ConsumedCapacity": {}}, {}),
        ("update_item", {"Key": {}, "ReturnValues": "ALL_NEW"}, {"Attributes": {}}, {}),
    ],
)
def test_boto3s_own_calls_are_repeated_until_they_get_what_they_asked_for(
    call: str, request_of: dict[str, Any], honest: dict[str, Any], lie: dict[str, Any]
) -> None:
    answers = iter([Reply(lie), Reply(honest)])
    with scripted_server(lambda *_: next(answers)) as server:
        answer = getattr(dynamodb_client(server.connection), call)(TableName="t", **request_of)
    assert {name: answer[name] for name in honest} == honest


@pytest.mark.parametrize(
    ("operation", "body", "lie"),
    [
        ("Scan", "{}", b"{}"),
        ("Query", "{}", b'{"Count":0}'),
        ("BatchGetItem", "{}", b"{}"),
        ("GetItem", f"{{{UNITS}}}", b"{}"),
        ("UpdateItem", f'{{"ReturnValues":"ALL_NEW",{UNITS}}}', b'{"ConsumedCapacity":{}}'),
    ],
)
def test_an_answer_without_what_was_asked_for_is_repeated(operation: str, body: str, lie: bytes) -> None:
    honest = b'{"Items":[],"Responses":{},"ConsumedCapacity":{},"Attributes":{}}'
    answers = iter([Reply(lie), Reply(lie), Reply(honest)])
    with scripted_server(lambda *_: next(answers)) as server:
        requests = Requests(server.connection, "t")
        assert requests.send(operation, body.encode()) == honest
    assert requests.counts.connection_errors == 2


# damaged on its way, without a CRC32 that tells it
DAMAGED = {
    "packed unsaid": Reply(gzip.compress(ITEMS), headers={}),
    "packed and cut": Reply(gzip.compress(ITEMS)[:-9], headers={"Content-Encoding": "gzip"}),
    "said to be packed": Reply(ITEMS, headers={"Content-Encoding": "gzip"}),
    "packed otherwise": Reply(ITEMS, headers={"Content-Encoding": "br"}),
    "cut": Reply(ITEMS[:20], headers={}),
    "cut at a brace": Reply(ITEMS[:25], headers={}),
    "a page": Reply(PAGE, headers={}),
    "a page with its CRC32": Reply(PAGE),
    "a list": Reply(b"[]", headers={}),
    "null": Reply(b"null"),
    "text": Reply(b"OK", headers={}),
    "no bytes": Reply(b"", headers={}),
    "half a surrogate pair": Reply(rb'{"Items":[{"id":{"S":"\ud800"}}]}', headers={}),
    "no Unicode": Reply(b'{"Items":[{"id":{"S":"\xff"}}]}', headers={}),
    "no number for a CRC32": Reply(ITEMS, headers={"x-amz-crc32": "not-a-number"}),
    "an error that is cut": Reply(b'{"__type":"x#Throttl', 400, headers={}),
    "an error with half a surrogate pair": Reply(rb'{"__type":"x#Y","message":"\ud800"}', 400, headers={}),
    "an error with no item": Reply({"__type": "x#ConditionalCheckFailedException", "Item": 7}, 400),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_answer_is_repeated_by_botocore_and_by_its_copy(name: str) -> None:
    answers = iter([DAMAGED[name], Reply(ITEMS), DAMAGED[name], Reply(ITEMS)])  # later requests are not botocore's
    with scripted_server(lambda *_: next(answers)) as server:
        requests = Requests(server.connection, "t")
        assert [requests.send("Scan", b"{}") for _ in range(2)] == [ITEMS, ITEMS]
    assert (requests.counts.requests, requests.counts.connection_errors) == (4, 2)


@pytest.mark.parametrize("name", quick(4, [*DAMAGED]))
def test_answers_that_are_always_damaged_are_one_named_error(name: str) -> None:
    with scripted_server(lambda *_: DAMAGED[name]) as server:
        with pytest.raises(InvalidResponseError, match="table 't' is no valid .* and none succeeded") as caught:
            Requests(server.connection, "t", patience=0.1).send("Scan", b"{}")
        with pytest.raises(InvalidResponseError, match="table 't' is no valid DynamoDB JSON"):
            describe_table(client(server), "t")
    assert len(caught.value.message) < 700
    assert caught.value.context["endpoint"] == server.endpoint


def client(server: ScriptedServer, attempts: int = 1) -> Any:
    return dynamodb_client(replace(server.connection, max_attempts=attempts))


@pytest.mark.parametrize("name", quick(4, [*DAMAGED]))
def test_a_damaged_description_is_asked_for_again(name: str) -> None:
    damaged = DAMAGED[name]
    answers = iter([damaged, Reply({"Table": TABLE})])
    with scripted_server(lambda *_: next(answers)) as server:
        assert describe_table(client(server, attempts=2), "t").status == "ACTIVE"
    assert len(server.requests) == 2


@pytest.mark.parametrize("crc32_of", ["what was packed", "what is packed", "nothing"])
@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_packed_answer_is_unpacked(crc32_of: str, pack: Callable[[bytes], bytes]) -> None:
    encoding = "gzip" if pack is gzip.compress else "deflate"

    def packed(body: bytes, status: int = 200) -> Reply:
        content = pack(body)
        crc32 = {"what was packed": zlib.crc32(body), "what is packed": zlib.crc32(content)}.get(crc32_of)
        headers = {"Content-Encoding": encoding} | ({} if crc32 is None else {"x-amz-crc32": str(crc32)})
        return Reply(content, status, headers=headers)

    replies = {
        "Scan": packed(ITEMS),
        "DescribeTable": packed(json.dumps({"Table": TABLE}).encode()),
        "ListTables": packed(b'{"__type":"x#AccessDeniedException","message":"not yours"}', 400),
    }
    with scripted_server(lambda operation, _: replies[operation]) as server:
        requests = Requests(server.connection, "t")
        assert [requests.send("Scan", b"{}") for _ in range(2)] == [ITEMS, ITEMS]
        assert describe_table(client(server), "t").status == "ACTIVE"
        with pytest.raises(AccessDeniedError, match="not yours"):
            list(list_tables(client(server)))
    assert requests.counts.retries == 0


def test_a_web_server_is_one_sentence() -> None:
    with scripted_server(lambda *_: Reply(PAGE, headers={})) as server, pytest.raises(InvalidResponseError) as caught:
        describe_table(client(server), "t")
    assert caught.value.message == (
        f"The answer for table 't' is no valid DynamoDB JSON: {server.endpoint} answers with a page of HTML, 'It works!': that is "
        "a web server or a proxy, and no DynamoDB. Check the endpoint, and HTTPS_PROXY"
    )


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            Reply(b"", 307, headers={"Location": "https://login.example/in?ticket=7"}),
            "307 (Temporary Redirect) from {}",
        ),
        (Reply(PAGE, 403), "403 (Forbidden) from {}, with a page of HTML, 'It works!'. A proxy or another server"),
        (
            Reply(PAGE, 413, headers={}),
            "413 (Request Entity Too Large) from {}, with a page of HTML, 'It works!'. A proxy on",
        ),
        (Reply(b"no" * 9_000, 404), "404 (Not Found) from {}, with 'nonono"),
        (Reply(b"[]", 400), "400 (Bad Request) from {}, with '[]'. A proxy or another"),
        (Reply({"message": "Forbidden by us"}, 403), "403 (Forbidden) from {}, which says 'Forbidden by us'. A proxy"),
        (Reply({"__type": 5, "message": 7}, 499), "499 from {}"),
    ],
)
def test_a_page_of_a_proxy_is_a_sentence_with_its_status_and_its_place(reply: Reply, said: str) -> None:
    with scripted_server(lambda *_: reply) as server:
        requests, errors = Requests(server.connection, "t"), []
        for ask in (lambda: requests.send("Scan", b"{}"), lambda: describe_table(client(server), "t")):
            with pytest.raises(RequestFailedError) as caught:
                ask()
            errors.append(caught.value)
    for error in errors:
        assert error.message.startswith("The request on table 't' got no answer of DynamoDB's, but status 4") or (
            "to https://login.example/in. Something on the way redirects" in error.message
        )
        assert said.format(server.endpoint) in error.message
        assert len(error.message) < 500
        assert "ticket" not in error.message


def test_a_corrupt_answer_crosses_a_process_border() -> None:
    error = pickle.loads(pickle.dumps(CorruptAnswerError("it is cut")))
    assert (type(error), str(error)) == (CorruptAnswerError, "it is cut")
