"""No request takes longer than it may, and no task longer than its patience, whatever the server does with the time."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import replace
from typing import Any

import orjson
import pyarrow as pa
import pytest
from pyspark.sql.types import StructType

from spark_dynamo.aws import requests as requests_module
from spark_dynamo.aws.batch_write import BatchWriter
from spark_dynamo.aws.in_flight import Flight
from spark_dynamo.aws.pages import Chain, fetch_pages
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.time_limit import _watch
from spark_dynamo.aws.transactions import TransactionWriter
from spark_dynamo.errors import ConnectionError, RequestFailedError, TableNotFoundError, UnwrittenItemsError
from spark_dynamo.source.location import find
from spark_dynamo.source.options.source_options import SourceOptions
from spark_dynamo.source.write.table_creation import ensure_target
from tests.servers.scripted import Reply, ScriptedServer, refusal, scripted_server

pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def _short_first_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "_FIRST_DELAY", 0.001)


PATIENCE = 1.0
TOO_LONG = (
    20.0  # seconds: far above what a busy machine makes of the patience, far below what the servers' answers take
)
LONG = b'{"Items":[],"Count":0,"pad":"%s"}' % (b"x" * 2_000)
DESCRIBED = {
    "TableName": "orders",
    "TableArn": "arn:aws:dynamodb:us-east-1:123456789012:table/orders",
    "TableStatus": "ACTIVE",
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
}

HANGS = Reply(delay=120.0)
SLOW = {
    "it hangs": HANGS,
    "its body drips": Reply(LONG, drip=0.05),
    "its body drips to an unknown end": Reply(LONG, drip=0.05, closes=True),
    "its error drips": Reply(b'{"__type":"x#InternalServerError","message":"%s"}' % (b"x" * 2_000), 500, drip=0.05),
}


def patient(server: ScriptedServer, patience: float = PATIENCE, seconds: float = 60.0) -> Requests:
    return Requests(replace(server.connection, read_timeout=seconds), "t", patience=patience)


def options_of(server: ScriptedServer, **options: str) -> SourceOptions:
    return SourceOptions(given(server, **options))


def given(server: ScriptedServer, **options: str) -> dict[str, str]:
    keys = {"region": "us-east-1", "accessKeyId": "k", "secretAccessKey": "s"}
    return {**keys, "endpointUrl": server.endpoint, "table": "orders", **options}


@pytest.mark.parametrize("trouble", SLOW.values(), ids=SLOW.keys())
@pytest.mark.parametrize("is_first", [True, False], ids=["first request", "later request"])
def test_a_server_that_takes_its_time_takes_no_longer_than_the_patience(trouble: Reply, is_first: bool) -> None:
    answers = itertools.chain([] if is_first else [Reply({"Items": []})], itertools.repeat(trouble))
    with scripted_server(lambda operation, request: next(answers)) as server:
        requests = patient(server)
        if not is_first:
            patient(server, patience=60.0).send("Scan", b'{"TableName":"t"}')  # making a client takes its time
        started = time.monotonic()
        with pytest.raises(
            ConnectionError, match=r"no whole answer within 1\.0 s.* requestTimeout for how long each time"
        ):
            requests.send("Scan", b'{"TableName":"t"}')
        assert PATIENCE * 0.9 < time.monotonic() - started < TOO_LONG


@pytest.mark.parametrize("trouble", SLOW.values(), ids=SLOW.keys())
def test_one_slow_answer_is_given_up_and_asked_for_again(trouble: Reply) -> None:
    answers = iter([Reply({"Items": []}), trouble, Reply({"Items": [], "Count": 7})])
    with scripted_server(lambda operation, request: next(answers)) as server:
        requests = patient(server, patience=60.0, seconds=0.5)
        requests.send("Scan", b'{"TableName":"t"}')
        assert orjson.loads(requests.send("Scan", b'{"TableName":"t"}'))["Count"] == 7
    assert (requests.counts.requests, requests.counts.connection_errors) == (3, 1)


def test_an_answer_in_time_is_left_alone() -> None:
    with scripted_server(lambda operation, request: Reply(b'{"Items":[]}', drip=0.01)) as server:
        requests = patient(server)
        for _ in range(3):
            assert requests.send("Scan", b'{"TableName":"t"}') == b'{"Items":[]}'
    assert requests.counts.retries == 0
    assert not {limit for limit in _watch._limits if limit.thread is threading.current_thread()}


def test_keys_that_stay_unprocessed_take_no_longer_than_the_patience() -> None:
    def answer(operation: str, request: dict[str, Any]) -> Reply:
        return Reply({"Responses": {"t": []}, "UnprocessedKeys": request["RequestItems"]})

    keys = [{"id": {"S": f"{number}"}} for number in range(3)]
    with scripted_server(answer) as server:
        requests = patient(server)
        started = time.monotonic()
        with pytest.raises(RequestFailedError, match=r"leaving keys of table 't' unprocessed.* within \d+\.\d s"):
            list(fetch_pages(requests, [Chain("BatchGetItem", {"Keys": keys}, "keys")], concurrency=1))
        assert time.monotonic() - started < TOO_LONG


def test_transactions_that_stay_cancelled_take_no_longer_than_the_patience() -> None:
    cancelled = {"__type": "x#TransactionCanceledException", "message": "Transaction cancelled"}
    reply = Reply({**cancelled, "CancellationReasons": [{"Code": "TransactionConflict", "Message": "conflict"}]}, 400)
    with scripted_server(lambda operation, request: reply) as server:
        requests = patient(server)
        started = time.monotonic()
        with pytest.raises(UnwrittenItemsError, match=r"within \d+\.\d s"), Flight(requests) as flight:
            writer = TransactionWriter(flight, ["id"], refused=lambda refused: None)
            writer.send(pa.array(['{"TableName":"t","Item":{"id":{"S":"a"}}}']), "put")
        assert time.monotonic() - started < TOO_LONG


def test_items_that_stay_unprocessed_take_no_longer_than_the_patience() -> None:
    def answer(operation: str, request: dict[str, Any]) -> Reply:
        return Reply({"UnprocessedItems": request["RequestItems"]})

    with scripted_server(answer) as server:
        started = time.monotonic()
        with pytest.raises(UnwrittenItemsError, match=r"within \d+\.\d s"), Flight(patient(server)) as flight:
            BatchWriter(flight, ["id"]).send(pa.array(['{"id":{"S":"a"}}']))
        assert time.monotonic() - started < TOO_LONG


@pytest.mark.parametrize("create", ["true", "false"])
@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (HANGS, ConnectionError),
        (Reply(LONG, drip=0.05), ConnectionError),
        (refusal("ThrottlingException"), RequestFailedError),
    ],
    ids=["hangs", "drips", "throttled"],
)
def test_the_option_bounds_how_long_a_table_is_looked_for(trouble: Reply, error: type[Exception], create: str) -> None:
    with scripted_server(lambda operation, request: trouble) as server:
        started = time.monotonic()
        with pytest.raises(error, match=r"requests failed within \d+\.\d s .*retryTimeout says"):
            if create == "true":
                options = options_of(server, retryTimeout="1", createTable=create, partitionKey="id")
                ensure_target(options, StructType().add("id", "string"))
            else:
                find(options_of(server, retryTimeout="1"))
        assert time.monotonic() - started < TOO_LONG


def test_a_description_is_repeated_until_it_comes() -> None:
    troubles = [refusal("ThrottlingException")] * 5 + [refusal("ResourceInUseException"), Reply(reset=True), HANGS]
    answers = iter([*troubles, Reply({"Table": DESCRIBED})])
    with scripted_server(lambda operation, request: next(answers)) as server:
        assert find(options_of(server, requestTimeout="0.5")).table.name == "orders"
        assert len(server.requests) == len(troubles) + 1


def test_a_table_that_is_not_there_is_looked_for_once() -> None:
    with scripted_server(lambda operation, request: refusal("ResourceNotFoundException")) as server:
        with pytest.raises(TableNotFoundError):
            find(options_of(server))
        assert len(server.requests) == 1


def test_a_table_in_use_is_written_to_once_it_is_not() -> None:
    answers = iter([refusal("ResourceInUseException"), refusal("ResourceInUseException"), Reply({})])
    with scripted_server(lambda operation, request: next(answers)) as server:
        lost: list[bool] = []
        requests = patient(server, patience=60.0)
        assert requests.send("PutItem", b'{"TableName":"t"}', lost=lambda: lost.append(True)) == b"{}"
    assert not lost  # it was refused, so that it had no effect
    with (
        scripted_server(lambda operation, request: refusal("ResourceInUseException", "in use")) as server,
        pytest.raises(RequestFailedError, match=r"refused the request on table 't': in use\. \d+ requests failed"),
    ):
        patient(server, patience=0.3).send("PutItem", b'{"TableName":"t"}')


def test_the_patience_begins_when_the_first_failing_request_was_sent() -> None:
    requests = Requests(patient_connection(), "t", patience=5.0)
    assert not requests.backoff.failed("connection_errors", sent_at=time.monotonic() - 5.0)
    requests.backoff.succeeded()  # another thread's, while the next was under way
    assert requests.backoff.failed("connection_errors", sent_at=time.monotonic() - 60.0)


def patient_connection() -> Any:
    with scripted_server(lambda operation, request: Reply()) as server:
        return server.connection


FAILED = b"""<!doctype html>
<html lang=en>
<title>500 Internal Server Error</title>
<h1>Internal Server Error</h1>
"""


def test_what_a_server_of_this_machine_fails_at_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "PATIENCE_LOCAL", 0.3)
    with scripted_server(lambda operation, request: Reply(FAILED, 500)) as server:
        started = time.monotonic()
        with pytest.raises(RequestFailedError) as caught:
            patient(server, patience=300.0).send("Scan", b'{"TableName":"t"}')
        assert time.monotonic() - started < TOO_LONG
    assert "DynamoDB keeps failing on table 't': status 500 (Internal Server Error) from http://" in str(caught.value)
    assert "<" not in str(caught.value)


@pytest.mark.parametrize("trouble", [refusal("ThrottlingException"), refusal("ResourceInUseException")])
def test_what_passes_at_a_server_of_this_machine_has_all_the_patience(
    trouble: Reply, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests_module, "PATIENCE_LOCAL", 0.1)
    answers = itertools.chain([Reply({"Items": []})], itertools.repeat(trouble))
    with scripted_server(lambda operation, request: next(answers)) as server:
        patient(server, patience=60.0).send("Scan", b'{"TableName":"t"}')  # making a client takes its time
        started = time.monotonic()
        # on a busy machine the last request, which has little time left, may be one without an answer
        with pytest.raises((RequestFailedError, ConnectionError)):
            patient(server).send("Scan", b'{"TableName":"t"}')
        assert time.monotonic() - started > PATIENCE * 0.9


def test_the_error_says_what_requests_fail_at_though_the_last_one_had_no_time_left() -> None:
    """Of an answer that takes longer than the time that is left, only that can be said."""
    answers = itertools.chain([Reply({"Items": []})], [refusal("ThrottlingException")], itertools.repeat(HANGS))
    with scripted_server(lambda operation, request: next(answers)) as server:
        patient(server, patience=60.0).send("Scan", b'{"TableName":"t"}')
        with pytest.raises(RequestFailedError, match=r"keeps throttling.*1 throttled, \d connection errors"):
            patient(server).send("Scan", b'{"TableName":"t"}')
