"""What goes wrong on the way to DynamoDB: it is repeated where that helps, and one named error where it does not."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa
import pytest

from spark_dynamo.aws import requests as requests_module
from spark_dynamo.aws.batch_write import BatchWriter
from spark_dynamo.aws.in_flight import Flight
from spark_dynamo.aws.pages import Chain, fetch_pages
from spark_dynamo.aws.requests import Backoff, Counts, Requests, Stopped
from spark_dynamo.errors import (
    AccessDeniedError,
    ConnectionError,
    RequestFailedError,
    TableNotFoundError,
    UnwrittenItemsError,
)
from tests.servers.scripted import Reply, refusal, scripted_server
from tests.tiers import quick

pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "_FIRST_DELAY", 0.001)
    monkeypatch.setattr(requests_module, "_LONGEST_DELAY", 0.02)


PASSING = [
    refusal("ProvisionedThroughputExceededException"),
    refusal("ThrottlingException"),
    refusal("RequestLimitExceeded"),
    refusal("InternalServerError", status=500),
    Reply(b"<html>Service Unavailable</html>", 503),
    Reply(reset=True),
    Reply({"Items": [{"id": {"S": "x"}}]}, cut=True),
    Reply({"Items": [{"id": {"S": "x"}}]}, wrong_crc=True),
    Reply(b""),
]
NAMES = ["throughput", "throttling", "limit", "500", "503", "reset", "cut", "crc", "empty"]


@pytest.mark.parametrize("trouble", PASSING, ids=NAMES)
def test_a_passing_trouble_is_repeated_until_it_passes(trouble: Reply) -> None:
    answers = iter([trouble, trouble, Reply({"Items": [], "Count": 0})])
    with scripted_server(lambda operation, request: next(answers)) as server:
        requests = Requests(server.connection, "t")
        assert orjson.loads(requests.send("Scan", b'{"TableName":"t"}')) == {"Items": [], "Count": 0}
    assert [operation for operation, _ in server.requests] == ["Scan"] * 3
    assert (requests.counts.requests, requests.counts.retries) == (3, 2)


@pytest.mark.parametrize("trouble", quick(4, PASSING), ids=NAMES)
def test_a_lasting_trouble_ends_in_one_named_error(trouble: Reply) -> None:
    answers = itertools.chain([Reply({"Items": []})], itertools.repeat(trouble))
    with scripted_server(lambda operation, request: next(answers)) as server:
        Requests(server.connection, "t").send("Scan", b'{"TableName":"t"}')  # making a client takes its time
        requests = Requests(server.connection, "t", patience=0.5)
        with pytest.raises((RequestFailedError, ConnectionError)) as caught:
            requests.send("Scan", b'{"TableName":"t"}')
    assert caught.value.context["endpoint"] == server.endpoint
    counts = requests.counts
    assert counts.requests == counts.retries + 1 >= 3
    assert counts.throttles + counts.server_errors + counts.connection_errors == counts.requests
    kinds = r"\(\d+ [a-z ]+(, \d+ connection errors)?\)"  # on a busy machine, the last one may be without an answer
    sentence = (
        rf"{counts.requests} requests failed within \d\.\d s {kinds}, and none succeeded; option retryTimeout says"
    )
    assert re.search(sentence, str(caught.value))


LASTING = [
    (refusal("ResourceNotFoundException"), TableNotFoundError, "DynamoDB has no table 't'"),
    (
        refusal("AccessDeniedException", "not authorized to perform: dynamodb:Scan"),
        AccessDeniedError,
        "Add the permission",
    ),
    (refusal("ExpiredTokenException"), AccessDeniedError, "session token has expired. Renew it"),
    (refusal("UnrecognizedClientException"), AccessDeniedError, "doesn't know the access key"),
    (
        refusal("ValidationException", "bad expression"),
        RequestFailedError,
        "refused the request on table 't': bad expr",
    ),
]


@pytest.mark.parametrize(("reply", "error", "sentence"), LASTING, ids=[error.__name__ for _, error, _ in LASTING])
def test_what_cannot_pass_is_not_repeated(reply: Reply, error: type[Exception], sentence: str) -> None:
    with scripted_server(lambda operation, request: reply) as server:
        with pytest.raises(error, match=sentence):
            Requests(server.connection, "t").send("Scan", b'{"TableName":"t"}')
        assert [operation for operation, _ in server.requests].count("Scan") == 1


def test_a_stopped_task_waits_for_nothing() -> None:
    with scripted_server(lambda operation, request: refusal("ThrottlingException")) as server:
        requests = Requests(server.connection, "t")
        requests.stop.set()
        with pytest.raises(Stopped):
            requests.send("Scan", b"{}")


def test_the_counts_name_each_kind_of_failure() -> None:
    answers = iter([*PASSING, Reply({"Items": [], "Count": 0})])
    with scripted_server(lambda operation, request: next(answers)) as server:
        requests = Requests(server.connection, "t")
        requests.send("Scan", b"{}")
    counts = requests.counts
    assert (counts.throttles, counts.server_errors, counts.connection_errors) == (3, 2, 4)
    assert "9 repeated (3 throttled, 2 server errors, 4 connection errors)" in str(counts)


def test_throttling_shows_in_the_log_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    reason = {"reason": "TableReadProvisionedThroughputExceeded", "resource": "arn:aws:dynamodb:::table/t"}
    body = {"__type": "x#ProvisionedThroughputExceededException", "message": "slow", "ThrottlingReasons": [reason]}
    answers = iter([Reply(body, 400), refusal("ThrottlingException"), Reply(body, 400), Reply({"Items": []})])
    with scripted_server(lambda operation, request: next(answers)) as server:
        requests = Requests(server.connection, "t")
        requests.send("Scan", b"{}")
    (line,) = [record.getMessage() for record in caplog.records if record.name == requests_module.__name__]
    assert line.startswith("DynamoDB throttles table t: 1 so far (TableReadProvisionedThroughputExceeded: 1), 0.0 s of")
    caplog.clear()
    requests._logged_at -= requests_module._LOG_INTERVAL  # type: ignore[operator]  # as if ten seconds had passed
    requests.throttled("UnprocessedKeys")
    (line,) = [record.getMessage() for record in caplog.records]
    assert "4 so far (TableReadProvisionedThroughputExceeded: 2, ThrottlingException: 1, UnprocessedKeys: 1)" in line


def test_requests_that_fail_together_count_once_for_the_next_delay() -> None:
    backoff = Backoff(threading.Event(), counts=Counts())
    sent_at = time.monotonic()
    for _ in range(16):
        assert backoff.failed(sent_at=sent_at)
    assert backoff._exponent == 1
    assert backoff.failed(sent_at=time.monotonic())
    assert backoff._exponent == 2


def segments(total: int) -> list[Chain]:
    return [Chain("Scan", {"Segment": index, "TotalSegments": total}, f"segment {index}") for index in range(total)]


def table_of(pages: dict[int, list[list[int]]]) -> Any:
    """An answering function: for each segment its pages, each a list of numbers; a page may be empty."""

    def answer(operation: str, request: dict[str, Any]) -> Reply:
        start = request.get("ExclusiveStartKey")
        index = int(start["page"]["N"]) + 1 if start else 0
        mine = pages[request["Segment"]]
        body: dict[str, Any] = {"Items": [{"id": {"N": f"{number}"}} for number in mine[index]]}
        if index + 1 < len(mine):
            body["LastEvaluatedKey"] = {"page": {"N": f"{index}"}}
        return Reply(body)

    return answer


def numbers(pages: Iterator[bytes]) -> Counter[int]:
    return Counter(int(item["id"]["N"]) for page in pages for item in orjson.loads(page)["Items"])


PAGES = {0: [[1, 2], [], [], [3]], 1: [[]], 2: [[], [4]], 3: [[5], [6], [7], []]}


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_empty_pages_do_not_end_a_segment(concurrency: int) -> None:
    with scripted_server(table_of(PAGES)) as server:
        requests = Requests(server.connection, "t")
        pages = fetch_pages(requests, segments(4), concurrency=concurrency)
        assert numbers(pages) == Counter(range(1, 8))
        assert all(request["TotalSegments"] == 4 for _, request in server.requests)
    assert requests.counts.requests == sum(map(len, PAGES.values()))


def test_a_throttled_page_goes_on_from_its_own_key() -> None:
    scan, counter = table_of(PAGES), itertools.count()

    def answer(operation: str, request: dict[str, Any]) -> Reply:
        return refusal("ThrottlingException") if next(counter) % 2 else scan(operation, request)

    with scripted_server(answer) as server:
        requests = Requests(server.connection, "t")
        found = numbers(fetch_pages(requests, segments(4), concurrency=1))
        assert found == Counter(range(1, 8))
    assert requests.counts.retries > 3


def test_closing_a_scan_early_ends_its_threads() -> None:
    endless = {segment: [[number] for number in range(1_000)] for segment in range(4)}
    with scripted_server(table_of(endless)) as server:
        pages = fetch_pages(Requests(server.connection, "t"), segments(4), concurrency=4)
        next(pages)
        pages.close()  # type: ignore[attr-defined]
        for thread in threading.enumerate():
            if thread.name.startswith("dynamodb-read"):
                thread.join(timeout=10)
                assert not thread.is_alive()
        assert len(server.requests) < 50


def test_an_error_in_one_segment_reaches_the_caller() -> None:
    def answer(operation: str, request: dict[str, Any]) -> Reply:
        return (
            refusal("ValidationException", "boom") if request["Segment"] == 2 else table_of(PAGES)(operation, request)
        )

    with scripted_server(answer) as server, pytest.raises(RequestFailedError, match="boom"):
        list(fetch_pages(Requests(server.connection, "t"), segments(4), concurrency=2))


def items(count: int) -> pa.StringArray:
    return pa.array([f'{{"id":{{"N":"{number}"}}}}' for number in range(count)], pa.string())


def entries(request: dict[str, Any]) -> list[dict[str, Any]]:
    (found,) = request["RequestItems"].values()
    assert len(found) <= 25
    return list(found)


@pytest.mark.parametrize("taken", [0, 1, 24])
def test_unprocessed_items_are_sent_again_until_all_are_written(taken: int) -> None:
    written: Counter[str] = Counter()
    lock, calls = threading.Lock(), itertools.count()

    def answer(operation: str, request: dict[str, Any]) -> Reply:
        with lock:
            sent = entries(request)
            accepted = len(sent) if next(calls) % 3 == 2 else min(taken, len(sent))
            for entry in sent[:accepted]:
                written[entry["PutRequest"]["Item"]["id"]["N"]] += 1
            left = sent[accepted:]
        return Reply({"UnprocessedItems": {"t": left} if left else {}})

    with scripted_server(answer) as server:
        requests = Requests(server.connection, "t")
        with Flight(requests, fewest=4, most=4) as flight:
            BatchWriter(flight, ["id"]).send(items(110))
    assert written == Counter({f"{number}": 1 for number in range(110)})
    assert requests.counts.items == 110
    assert requests.counts.retries > 0


def test_items_that_are_never_processed_are_named() -> None:
    def answer(operation: str, request: dict[str, Any]) -> Reply:
        return Reply({"UnprocessedItems": {"t": entries(request)}})

    with scripted_server(answer) as server:
        requests = Requests(server.connection, "t", patience=0.3)
        with (
            pytest.raises(
                UnwrittenItemsError,
                match=r"60 items were not written to table 't', .* keys \{id='\d+'\}.* requests failed within",
            ),
            Flight(requests, fewest=2, most=2) as flight,
        ):
            BatchWriter(flight, ["id"]).send(items(60))


def test_a_refused_request_names_its_items_and_the_reason() -> None:
    with scripted_server(lambda operation, request: refusal("ValidationException", "bad item")) as server:
        requests = Requests(server.connection, "t")
        with (
            pytest.raises(UnwrittenItemsError, match=r"30 items were not written .* because: .*bad item") as caught,
            Flight(requests, fewest=1, most=1) as flight,
        ):
            BatchWriter(flight, ["id"]).send(items(30))
        assert caught.value.count == 30
        assert isinstance(caught.value.original_error, RequestFailedError)


def test_many_requests_are_under_way_at_once() -> None:
    together = threading.Barrier(6)

    def answer(operation: str, request: dict[str, Any]) -> Reply:
        together.wait(timeout=20)  # answers only when six requests are there
        return Reply({"UnprocessedItems": {}})

    with (
        scripted_server(answer) as server,
        Flight(Requests(server.connection, "t"), fewest=6, most=6) as flight,
    ):
        BatchWriter(flight, ["id"]).send(items(150))


def test_an_error_of_the_caller_ends_the_writing_at_once() -> None:
    def answer(operation: str, request: dict[str, Any]) -> Reply:
        return Reply({"UnprocessedItems": {"t": entries(request)}})

    with scripted_server(answer) as server:
        requests = Requests(server.connection, "t")
        with pytest.raises(RuntimeError, match="mine"), Flight(requests, fewest=2, most=2) as flight:
            BatchWriter(flight, ["id"]).send(items(50))
            raise RuntimeError("mine")
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("dynamodb-write")]
