"""The rows of a transaction are written together or refused together, each counted once, whatever goes wrong on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from spark_dynamo.aws import requests as requests_module
from spark_dynamo.aws import transactions
from spark_dynamo.aws.in_flight import Flight
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.transactions import TransactionWriter
from spark_dynamo.errors import OptionError, RequestFailedError, UnwrittenItemsError
from tests.aws.test_single_write import (
    BEFORE,
    IS_ABSENT,
    IS_OLD,
    ITEMS,
    Item,
    Outcome,
    assert_same_items,
    delete,
    new,
    number_of,
    prepare,
    put,
    strange,
    texts,
    update,
    updated,
)
from tests.conftest import Server
from tests.servers.faulty import FaultyServer, every, faulty_server, sometimes
from tests.servers.scripted import Reply, refusal, scripted_server

GROUP = 6


@pytest.fixture(autouse=True)
def _small_and_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "_FIRST_DELAY", 0.001)
    monkeypatch.setattr(requests_module, "_LONGEST_DELAY", 0.02)
    monkeypatch.setattr(transactions, "ACTIONS_PER_TRANSACTION", GROUP)


@pytest.fixture(scope="module")
def proxy(dynoxide_server: Server) -> Iterator[FaultyServer]:
    with faulty_server(dynoxide_server.endpoint) as proxy:
        yield proxy


def row(number: int, *, bad: bool) -> tuple[str, dict[str, Any], Item | None]:
    """Operation, action and result of a row that suits what is there before; a bad one inserts where an item is."""
    match number % 6:
        case 0:
            return "update", update(number, IS_OLD), updated(number)
        case 1 if bad:
            return "insert", put(number, IS_ABSENT), new(number)
        case 1:
            return "put", put(number), new(number)
        case 2 | 5:
            return "insert", put(number, IS_ABSENT), new(number)
        case 3:
            return "delete", delete(number, IS_OLD), None
    return "delete", delete(number), None


GROUPS = [list(range(start, start + GROUP)) for start in range(0, ITEMS, GROUP)]
BAD = {1, 3}  # the groups in which one row is refused
PLAN = [row(number, bad=number // GROUP in BAD) for number in range(ITEMS)]
REFUSED = [number for group in sorted(BAD) for number in GROUPS[group]]
EXPECTED = [
    item
    for number, (_, _, result) in enumerate(PLAN)
    for item in [BEFORE[number] if number in REFUSED else result]
    if item
]


def at_once(server: Server) -> int:
    """How many requests: moto undoes a cancelled transaction together with all that others wrote meanwhile."""
    return 1 if server.name == "moto" else 3


def write(
    connection: Any, table: str, *, repeated: bool = False, patience: float = 30.0, concurrency: int = 3
) -> Outcome:
    outcome = Outcome(Requests(connection, table, patience=patience))
    with Flight(outcome.requests, fewest=concurrency, most=concurrency) as flight:
        writer = TransactionWriter(flight, ["id"], refused=outcome.refused.append, repeated=repeated)
        writer.send(texts(table, [action for _, action, _ in PLAN]), [operation for operation, _, _ in PLAN])
    return outcome


def check(server: Server, table: str, outcome: Outcome) -> None:
    assert_same_items(server.items(table), EXPECTED)
    assert outcome.numbers == REFUSED
    assert outcome.requests.counts.refused == len(REFUSED)
    assert outcome.requests.counts.items == ITEMS - len(REFUSED)


def test_groups_are_written_together_or_refused_together(server: Server) -> None:
    table = prepare(server)
    outcome = write(server.connection, table, concurrency=at_once(server))
    check(server, table, outcome)
    assert outcome.requests.counts.requests == len(GROUPS)
    for refused in outcome.refused:
        number = number_of(refused.action)
        assert refused.operation == PLAN[number][0]
        if number % 6 == 1:
            assert refused.reason == "there is an item with that key already"
            assert refused.stored == strange(number)
        else:
            first = 1 + number // GROUP * GROUP
            assert refused.reason == f"its transaction was cancelled: row {{id='{first}'}} was refused"
            assert refused.stored is None


def test_one_operation_for_all(dynoxide_server: Server) -> None:
    table = dynoxide_server.create("id:N")
    requests = Requests(dynoxide_server.connection, table)
    with Flight(requests) as flight:
        writer = TransactionWriter(flight, ["id"], refused=pytest.fail)
        writer.send(texts(table, [put(number, IS_ABSENT) for number in range(20)]), "insert")
        flight.wait()
        assert_same_items(dynoxide_server.items(table), [new(number) for number in range(20)])
        writer.send(texts(table, [delete(number) for number in range(20)]), "delete")
    assert dynoxide_server.items(table) == []
    assert (requests.counts.items, requests.counts.requests) == (40, 8)
    assert requests.counts.units >= 16


PASSING = ["ThrottlingException", "TransactionConflict", "ThrottlingError", "TransactionInProgressException"]
LOSSES = ["error after the effect", "answer lost", "answer cut", "wrong CRC32", "reset before the answer"]


@pytest.mark.parametrize("fault", [*PASSING, *LOSSES])
def test_each_row_is_done_or_refused_once_under_a_fault(
    dynoxide_server: Server, proxy: FaultyServer, fault: str
) -> None:
    table = prepare(dynoxide_server)
    proxy.choose = every(fault, 2)
    proxy.log.clear()
    outcome = write(proxy.connection, table)
    check(dynoxide_server, table, outcome)
    assert outcome.requests.counts.retries == proxy.faults[fault] >= len(GROUPS) - 1
    tokens: dict[str, set[str]] = {}
    for _, request, _ in proxy.log:
        tokens.setdefault(request["ClientRequestToken"], set()).add(json.dumps(request["TransactItems"]))
    assert len(tokens) == len(GROUPS)  # a request that is sent again is the same
    assert all(len(bodies) == 1 for bodies in tokens.values())


@pytest.mark.parametrize("fault", ["read timeout", "answer too late"])
def test_each_row_is_done_or_refused_once_where_answers_do_not_come(
    dynoxide_server: Server, proxy: FaultyServer, fault: str
) -> None:
    table = prepare(dynoxide_server)
    proxy.choose = every(fault, 3)
    proxy.log.clear()
    check(dynoxide_server, table, write(proxy.hasty_connection, table))
    assert proxy.faults[fault] > 1


@pytest.mark.parametrize("seed", [1, 2])
def test_each_row_is_done_or_refused_once_in_any_mixture_of_faults(server: Server, seed: int) -> None:
    """One of the servers knows no tokens: there the stored items tell what is done."""
    table = prepare(server)
    with faulty_server(server.endpoint, sometimes([*PASSING, *LOSSES], seed=seed, probability=0.7)) as proxy:
        check(server, table, write(proxy.connection, table, concurrency=at_once(server)))
        assert proxy.faults.total() >= 3


def test_a_token_that_was_used_for_something_else_is_replaced_once(
    dynoxide_server: Server, proxy: FaultyServer
) -> None:
    fault = "IdempotentParameterMismatchException"
    table = prepare(dynoxide_server)
    seen: set[str] = set()

    def once(operation: str, request: dict[str, Any]) -> str | None:
        text = json.dumps(request["TransactItems"])
        is_first = text not in seen
        seen.add(text)
        return fault if is_first else None

    proxy.log.clear()
    proxy.choose = once
    check(dynoxide_server, table, write(proxy.connection, table))
    assert proxy.faults[fault] == len(GROUPS)
    proxy.choose = every(fault, 1)
    with pytest.raises(UnwrittenItemsError, match="refused the request"):
        write(proxy.connection, prepare(dynoxide_server))


def test_a_repeated_task_finds_its_own_effect(server: Server) -> None:
    table = prepare(server)
    concurrency = at_once(server)
    write(server.connection, table, concurrency=concurrency)
    check(server, table, write(server.connection, table, repeated=True, concurrency=concurrency))
    again = write(server.connection, table, concurrency=concurrency)
    assert again.requests.counts.items == 0


def test_what_is_left_of_a_repeated_transaction_is_written(server: Server) -> None:
    """Of the rows of a group that an earlier attempt formed in another way."""
    table = server.create("id:N")
    server.put(table, *[{**new(number), "b": {"B": b"\x00\x01"}} for number in (0, 3, 4)])
    requests = Requests(server.connection, table)
    with Flight(requests, fewest=1, most=at_once(server)) as flight:
        writer = TransactionWriter(flight, ["id"], refused=pytest.fail, repeated=True)
        writer.send(texts(table, [put(number, IS_ABSENT) for number in range(12)]), "insert")
    assert_same_items(server.items(table), [new(number) for number in range(12)])
    assert (requests.counts.items, requests.counts.refused, requests.counts.requests) == (12, 0, 3)


def test_a_row_that_dynamodb_cannot_take_is_named(dynoxide_server: Server) -> None:
    table = dynoxide_server.create("id:N")
    actions = [put(number) for number in range(5)]
    actions[3] = {"Item": {**new(3), "id": {"S": "three"}}}
    requests = Requests(dynoxide_server.connection, table)
    with (
        pytest.raises(
            UnwrittenItemsError, match=r"^5 items were not written .* keys {id='three'}, .*Type mismatch"
        ) as caught,
        Flight(requests) as flight,
    ):
        TransactionWriter(flight, ["id"], refused=pytest.fail).send(texts(table, actions), "put")
    assert isinstance(caught.value.original_error, RequestFailedError)
    assert caught.value.original_error.code == "ValidationError"
    assert dynoxide_server.items(table) == []


def test_conflicts_that_never_end_are_told(dynoxide_server: Server, proxy: FaultyServer) -> None:
    proxy.choose = every("TransactionConflict", 1)
    sentence = (
        r"DynamoDB keeps cancelling transactions .*: no\. .* requests failed within .* \(\d+ left something unproc"
    )
    with pytest.raises(UnwrittenItemsError, match=sentence):
        write(proxy.connection, prepare(dynoxide_server), patience=0.3)


@pytest.mark.server
def test_a_cancellation_without_reasons_is_an_error() -> None:
    with (
        scripted_server(lambda operation, request: refusal("TransactionCanceledException", "why")) as server,
        pytest.raises(UnwrittenItemsError, match="refused the request on table 't': why"),
    ):
        write(server.connection, "t")


@pytest.mark.server
def test_a_transaction_has_100_rows_at_most_and_more_than_4_mb_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    sizes: list[list[int]] = []

    def answer(operation: str, request: dict[str, Any]) -> Reply:
        assert operation == "TransactWriteItems"
        sizes.append([int(action["Put"]["Item"]["id"]["N"]) for action in request["TransactItems"]])
        return Reply({"ConsumedCapacity": []})

    def action(number: int, size: int) -> str:
        return json.dumps({"TableName": "t", "Item": {"id": {"N": f"{number}"}, "s": {"S": "x" * size}}})

    with scripted_server(answer) as server, Flight(Requests(server.connection, "t"), fewest=1, most=1) as flight:
        writer = TransactionWriter(flight, ["id"], refused=pytest.fail)
        writer.send(pa.array([action(number, 10) for number in range(250)]), "put")
        writer.send(pa.array([action(number, 399_000) for number in range(250, 260)]), "put")
        with pytest.raises(
            OptionError, match=r"the 11 rows from {id='260'} to {id='270'} for table 't'.* 4,389,\d+ bytes"
        ):
            writer.send(pa.array([action(number, 399_000) for number in range(260, 271)]), "put")
        binary = json.dumps({"TableName": "t", "Item": {"id": {"N": "260"}, "b": {"B": "AAAA" * 100_000}}})
        writer.send(pa.array([binary] * 11), "put")  # 4.4 MB of text for 3.3 MB
        flight.wait()
    assert [len(numbers) for numbers in sizes] == [100, 100, 50, 10, 11]
    assert [number for numbers in sizes[:4] for number in numbers] == list(range(260))
