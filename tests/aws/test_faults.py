"""Whatever goes wrong on the way, each item arrives exactly once, or the task ends in time with one named error."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
import pytest

from spark_dynamo.aws import requests as requests_module
from spark_dynamo.aws.pages import Chain, fetch_pages
from spark_dynamo.aws.requests import Requests
from spark_dynamo.errors import (
    AccessDeniedError,
    ConnectionError,
    InvalidResponseError,
    RequestFailedError,
    TableNotFoundError,
)
from tests.conftest import Server
from tests.servers.faulty import FAULTS, READ_TIMEOUT, REFUSALS, FaultyServer, every, faulty_server, honest, sometimes

PARTITIONS, ITEMS = 6, 250
KEYS = [{"p": {"S": f"p{key % PARTITIONS}"}, "s": {"N": f"{key // PARTITIONS}"}} for key in range(PARTITIONS * ITEMS)]
WHOLE = Counter((key["p"]["S"], int(key["s"]["N"])) for key in KEYS)
FILLING = "x" * 300
BATCH_FAULTS = {"partial batch", "unprocessed batch"}


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "_FIRST_DELAY", 0.001)
    monkeypatch.setattr(requests_module, "_LONGEST_DELAY", 0.02)


@pytest.fixture(scope="module")
def table(dynoxide_server: Server) -> str:
    """A table in dynoxide with 1,500 items in six partitions; every tenth is rare."""
    name = dynoxide_server.create("p:S", "s:N")
    puts = [
        {"PutRequest": {"Item": {**key, "text": {"S": FILLING}, "rare": {"BOOL": index % 10 == 0}}}}
        for index, key in enumerate(KEYS)
    ]
    for start in range(0, len(puts), 25):
        answer = dynoxide_server.client.batch_write_item(RequestItems={name: puts[start : start + 25]})
        assert not answer["UnprocessedItems"]
    return name


@pytest.fixture(scope="module")
def shared_proxy(dynoxide_server: Server) -> Iterator[FaultyServer]:
    with faulty_server(dynoxide_server.endpoint) as proxy:
        yield proxy


@pytest.fixture
def proxy(shared_proxy: FaultyServer) -> Iterator[FaultyServer]:
    """An honest one at first, with an empty log; nobody uses it any more when the test ends."""
    shared_proxy.choose = honest
    shared_proxy.log.clear()
    yield shared_proxy
    await_threads()


def await_threads() -> None:
    """Threads that wait for an answer end with it, or with the read timeout."""
    for thread in threading.enumerate():
        if thread.name.startswith("dynamodb-read"):
            thread.join(timeout=10)
            assert not thread.is_alive()


def scans(segments: int = 5, limit: int = 60, **parameters: Any) -> list[Chain]:
    return [
        Chain("Scan", {"Segment": index, "TotalSegments": segments, "Limit": limit, **parameters}, f"segment {index}")
        for index in range(segments)
    ]


def queries(limit: int = 60) -> list[Chain]:
    return [
        Chain(
            "Query",
            {
                "KeyConditionExpression": "#p = :p",
                "ExpressionAttributeNames": {"#p": "p"},
                "ExpressionAttributeValues": {":p": {"S": f"p{number}"}},
                "Limit": limit,
            },
            f"query {number}",
        )
        for number in range(PARTITIONS)
    ]


def batches(size: int = 30) -> list[Chain]:
    return [
        Chain("BatchGetItem", {"Keys": KEYS[start : start + size], "ConsistentRead": True}, f"keys {start}")
        for start in range(0, len(KEYS), size)
    ]


def gets() -> list[Chain]:
    return [Chain("GetItem", {"Key": key}, f"item {index}") for index, key in enumerate(KEYS[:40])]


def items_of(page: bytes) -> list[dict[str, Any]]:
    answer = orjson.loads(page)
    if "Items" in answer:
        return list(answer["Items"])
    if "Responses" in answer:
        return [item for items in answer["Responses"].values() for item in items]
    return [answer["Item"]] if "Item" in answer else []


def found(pages: Iterator[bytes]) -> Counter[tuple[str, int]]:
    return Counter((item["p"]["S"], int(item["s"]["N"])) for page in pages for item in items_of(page))


def read(proxy: FaultyServer, table: str, chains: Sequence[Chain], *, hasty: bool = False) -> Requests:
    """Fetch all, assert that each item is there once, and hand back the requests for a look at their counts."""
    requests = Requests(proxy.hasty_connection if hasty else proxy.connection, table, patience=60)
    assert found(fetch_pages(requests, chains, concurrency=8)) == WHOLE
    return requests


def test_without_faults_all_ways_lead_to_the_same_items(proxy: FaultyServer, table: str) -> None:
    for chains in (scans(), queries(), batches(), batches(size=260)):
        requests = read(proxy, table, chains)
        assert requests.counts.items == len(KEYS)
        assert requests.counts.units > 0
        assert (requests.counts.retries, requests.counts.waited) == (0, 0.0)
        assert sum(chain.items for chain in requests.chains) == len(KEYS)
        assert sum(chain.pages for chain in requests.chains) == requests.counts.requests
    requests = Requests(proxy.connection, table)
    assert found(fetch_pages(requests, gets(), concurrency=4)).total() == len(gets())
    for operation, request, _ in proxy.log:
        assert request["ReturnConsumedCapacity"] == "TOTAL"
        if operation == "BatchGetItem":
            assert len(request["RequestItems"][table]["Keys"]) <= 100


def test_both_servers_answer_in_every_way(server: Server) -> None:
    name = server.create("p:S", "s:N")
    server.put(name, *KEYS[:15])
    for chains in (scans(3, 2), queries(2), [Chain("BatchGetItem", {"Keys": KEYS[:30]}, "keys")], gets()[:20]):
        requests = Requests(server.connection, name)
        pages = fetch_pages(requests, chains, concurrency=2)
        assert found(pages) == Counter((key["p"]["S"], int(key["s"]["N"])) for key in KEYS[:15])


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - BATCH_FAULTS))
def test_a_scan_gets_each_item_once_under_a_fault(proxy: FaultyServer, table: str, fault: str) -> None:
    is_timeout = fault == "read timeout"
    proxy.choose = every(fault, 6 if is_timeout else 3)
    counts = read(proxy, table, scans(), hasty=is_timeout).counts
    happened = proxy.faults[fault]
    assert happened >= 5
    assert counts.throttles + counts.server_errors + counts.connection_errors == counts.retries
    if is_timeout:  # an honest answer may be late, too
        assert counts.connection_errors >= happened
    else:
        assert counts.retries == (0 if fault in ("slow first byte", "empty page", "short page") else happened)


@pytest.mark.parametrize(
    ("chains", "fault"),
    [
        *((queries, fault) for fault in ("ThrottlingException", "answer cut", "empty page", "short page")),
        *((batches, fault) for fault in ("ThrottlingException", "answer cut", "partial batch", "unprocessed batch")),
    ],
)
def test_queries_and_keys_get_each_item_once_under_a_fault(
    proxy: FaultyServer, table: str, fault: str, chains: Callable[[], list[Chain]]
) -> None:
    proxy.choose = every(fault, 3)
    counts = read(proxy, table, chains()).counts
    assert proxy.faults[fault] >= 5
    assert bool(counts.unprocessed) == (fault in BATCH_FAULTS)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("chains", [scans, queries, batches], ids=["Scan", "Query", "BatchGetItem"])
def test_each_item_arrives_once_in_any_mixture_of_faults(
    proxy: FaultyServer, table: str, chains: Callable[[], list[Chain]], seed: int
) -> None:
    proxy.choose = sometimes(sorted(FAULTS), seed=seed)
    read(proxy, table, chains(), hasty=True)
    assert len(proxy.faults) >= 5


def test_pages_that_a_filter_leaves_empty_are_gone_past(proxy: FaultyServer, table: str) -> None:
    """DynamoDB's own empty pages: few items pass, and a page ends after six of them."""
    rare = {"FilterExpression": "#r = :r", "ExpressionAttributeNames": {"#r": "rare"}}
    chains = scans(4, 6, **rare, ExpressionAttributeValues={":r": {"BOOL": True}})
    proxy.choose = sometimes(["ThrottlingException", "answer cut"], seed=1, probability=0.2)
    requests = Requests(proxy.connection, table, patience=60)
    pages = list(fetch_pages(requests, chains, concurrency=4))
    assert sum(not items_of(page) for page in pages) > len(pages) / 3
    assert found(iter(pages)) == Counter((key["p"]["S"], int(key["s"]["N"])) for key in KEYS[::10])
    assert requests.counts.items == len(KEYS)  # those that DynamoDB read


def test_a_throttled_page_is_asked_for_again_and_no_page_before_it(proxy: FaultyServer, table: str) -> None:
    proxy.choose = sometimes(["ThrottlingException"], seed=7, probability=0.5)
    read(proxy, table, scans())
    pages = []
    for segment in range(5):
        mine = [
            (request.get("ExclusiveStartKey"), fault)
            for _, request, fault in proxy.log
            if request["Segment"] == segment
        ]
        starts = [key for key, fault in mine if fault is None]
        assert starts[0] is None
        assert len({orjson.dumps(key, option=orjson.OPT_SORT_KEYS) for key in starts}) == len(starts)
        pages.append(len(starts))
        for (key, fault), (next_key, _) in itertools.pairwise(mine):
            assert (key == next_key) == (fault is not None)  # the same again after a refusal, and only then
    assert max(pages) > 3  # six partitions need not fill five segments


@pytest.mark.parametrize(
    ("code", "error"),
    list(zip(REFUSALS, [AccessDeniedError, AccessDeniedError, RequestFailedError, TableNotFoundError], strict=True)),
)
@pytest.mark.parametrize("chains", [scans, batches, gets], ids=["Scan", "BatchGetItem", "GetItem"])
def test_what_cannot_pass_ends_the_task_at_once(
    proxy: FaultyServer, table: str, chains: Callable[[], list[Chain]], code: str, error: type[Exception]
) -> None:
    proxy.choose = every(code, 1)
    requests = Requests(proxy.connection, table)
    with pytest.raises(error) as caught:
        list(fetch_pages(requests, chains(), concurrency=3))
    assert caught.value.context["code"] == code  # type: ignore[attr-defined]
    await_threads()
    assert len(proxy.log) <= 6  # what was under way
    assert requests.counts.retries == 0


@pytest.mark.parametrize(
    ("fault", "error", "sentence", "kind"),
    [
        ("ThrottlingException", RequestFailedError, "keeps throttling on table '.*': The level", "throttled"),
        ("ServiceUnavailable", RequestFailedError, "keeps failing on table", "server errors"),
        ("answer cut", InvalidResponseError, "no valid DynamoDB JSON: .* does not match", "connection errors"),
        ("read timeout", ConnectionError, "DynamoDB keeps failing: Read timeout", "connection errors"),
        (
            "unprocessed batch",
            RequestFailedError,
            "leaving keys of table '.*' unprocessed",
            "left something unprocessed",
        ),
    ],
    ids=["throttling", "unavailable", "cut", "timeout", "unprocessed"],
)
def test_a_fault_that_never_passes_ends_the_task_when_its_patience_is_over(
    proxy: FaultyServer, table: str, fault: str, error: type[Exception], sentence: str, kind: str
) -> None:
    connection = proxy.hasty_connection if fault == "read timeout" else proxy.connection
    list(fetch_pages(Requests(connection, table), batches(), concurrency=4))  # making a client takes its time
    started = time.monotonic()
    # that a client who waits forever fails the test in place of hanging it
    proxy.choose = lambda operation, request: fault if time.monotonic() < started + 30 else "ValidationException"
    requests = Requests(connection, table, patience=1.5)
    with pytest.raises(error) as caught:
        list(fetch_pages(requests, batches(), concurrency=4))
    assert 1.4 < time.monotonic() - started < 20  # no request is begun when hardly any time is left
    # on a busy machine the last one may have been without an answer
    tried = rf"\d+ requests failed within \d+\.\d s \(\d+ {kind}(, 1 connection errors)?\), and none succeeded; option retryTimeout"
    assert re.search(f"{sentence}.*{tried}", str(caught.value))
    assert requests.counts.retries >= 4


@pytest.mark.parametrize("fault", ["read timeout", "ThrottlingException"])
def test_closing_amid_a_stall_ends_the_threads_soon(
    proxy: FaultyServer, table: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for backoff ends at once, whoever waits for an answer when the read timeout is over."""
    monkeypatch.setattr(requests_module, "_FIRST_DELAY", 1_000.0)
    monkeypatch.setattr(requests_module, "_LONGEST_DELAY", 1_000.0)
    stalled = threading.Event()

    def choose(operation: str, request: dict[str, Any]) -> str | None:
        if request["Segment"] == 0:
            return None
        stalled.set()
        return fault

    proxy.choose = choose
    pages = fetch_pages(Requests(proxy.hasty_connection, table), scans(), concurrency=5)
    next(pages)
    assert stalled.wait(10)
    started = time.monotonic()
    pages.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < READ_TIMEOUT  # nobody waits for the threads
    await_threads()
    assert len(proxy.log) < 20


def test_a_caller_who_takes_nothing_holds_the_requests_back(proxy: FaultyServer, table: str) -> None:
    pages = fetch_pages(Requests(proxy.connection, table), scans(), concurrency=2)
    for taken in range(1, 6):
        next(pages)
        assert len(proxy.log) <= taken + 2
    pages.close()  # type: ignore[attr-defined]
