"""Each row of a conditional or partial write is done once or refused once, whatever goes wrong on the way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from spark_dynamo.aws import requests as requests_module
from spark_dynamo.aws.batch_write import DELETE, PUT, BatchWriter
from spark_dynamo.aws.in_flight import Flight
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.single_write import Refused, SingleWriter
from spark_dynamo.errors import ConditionFailedError, UnwrittenItemsError
from tests.conftest import Server
from tests.servers.faulty import FaultyServer, every, faulty_server, sometimes
from tests.servers.scripted import Reply, refusal, scripted_server
from tests.tiers import quick

ITEMS, ROWS = 24, 12  # in the table before; in a write
Item = dict[str, dict[str, Any]]


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "_FIRST_DELAY", 0.001)
    monkeypatch.setattr(requests_module, "_LONGEST_DELAY", 0.02)


@pytest.fixture(scope="module")
def proxy(dynoxide_server: Server) -> Iterator[FaultyServer]:
    with faulty_server(dynoxide_server.endpoint) as proxy:
        yield proxy


def old(number: int) -> Item:
    return {"id": {"N": f"{number}"}, "v": {"N": "0"}, "note": {"S": "x"}}


def strange(number: int) -> Item:
    """An item that somebody else has written."""
    return {"id": {"N": f"{number}"}, "v": {"N": "9"}}


def new(number: int) -> Item:
    return {"id": {"N": f"{number}"}, "v": {"N": "1"}, "b": {"B": "AAE="}, "s": {"NS": ["1", "2"]}}


def updated(number: int) -> Item:
    return {"id": {"N": f"{number}"}, "v": {"N": "1"}}


BEFORE: list[Item | None] = [[old(number), strange(number), None][number % 3] for number in range(ITEMS)]
IS_OLD = {
    "ConditionExpression": "#c0 = :c0",
    "ExpressionAttributeNames": {"#c0": "v"},
    "ExpressionAttributeValues": {":c0": {"N": "0"}},
    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
}
IS_NOT_STRANGE = IS_OLD | {
    "ConditionExpression": "#c0 <> :c0 OR attribute_not_exists(#c0)",
    "ExpressionAttributeValues": {":c0": {"N": "9.0"}},
}
IS_ABSENT = {
    "ConditionExpression": "attribute_not_exists(#c0)",
    "ExpressionAttributeNames": {"#c0": "id"},
    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
}


def put(number: int, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"Item": new(number), **(condition or {})}


def delete(number: int, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"Key": {"id": {"N": f"{number}"}}, **(condition or {})}


def update(number: int, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    condition = condition or {}
    return {
        **delete(number, condition),
        "UpdateExpression": "SET #u0=:u0 REMOVE #u1",
        "ExpressionAttributeNames": {"#u0": "v", "#u1": "note"} | condition.get("ExpressionAttributeNames", {}),
        "ExpressionAttributeValues": {":u0": {"N": "1.0"}} | condition.get("ExpressionAttributeValues", {}),
    }


@dataclass(frozen=True)
class Scenario:
    """One operation on rows: its actions, the item that each leaves, and whether a row is refused, by its number."""

    operation: str
    action: Callable[[int], dict[str, Any]]
    result: Callable[[int], Item | None]
    refused: frozenset[int] = frozenset()  # by number modulo 3
    rows: tuple[int, ...] = tuple(range(ROWS))

    def expected(self) -> list[Item]:
        after = dict(enumerate(BEFORE))
        after |= {number: self.result(number) for number in self.rows if number % 3 not in self.refused}
        return [item for item in after.values() if item]

    @property
    def refusals(self) -> list[int]:
        return [number for number in self.rows if number % 3 in self.refused]


SINGLE = {
    "inserts": Scenario("insert", lambda number: put(number, IS_ABSENT), new, frozenset({0, 1})),
    "conditional puts": Scenario("put", lambda number: put(number, IS_NOT_STRANGE), new, frozenset({1})),
    "updates": Scenario("update", update, updated),
    "conditional updates": Scenario("update", lambda number: update(number, IS_OLD), updated, frozenset({1, 2})),
    "conditional deletes": Scenario(
        "delete",
        lambda number: delete(number, IS_OLD),
        lambda number: None,
        frozenset({1}),
        tuple(number for number in range(ROWS) if number % 3 < 2),
    ),
}
BATCHES = {"puts": Scenario("put", put, new), "deletes": Scenario("delete", delete, lambda number: None)}


@dataclass
class Outcome:
    """What a write came to."""

    requests: Requests
    refused: list[Refused] = field(default_factory=list)

    @property
    def numbers(self) -> list[int]:
        return sorted(number_of(row.action) for row in self.refused)


def number_of(action: bytes) -> int:
    parsed = json.loads(action)
    return int((parsed.get("Item") or parsed["Key"])["id"]["N"])


def texts(table: str, actions: Sequence[dict[str, Any]]) -> pa.StringArray:
    return pa.array([json.dumps({"TableName": table, **action}) for action in actions], pa.string())


def prepare(server: Server) -> str:
    table = server.create("id:N")
    entries = [{"PutRequest": {"Item": item}} for item in BEFORE if item]
    for start in range(0, len(entries), 25):
        server.client.batch_write_item(RequestItems={table: entries[start : start + 25]})
    return table


def normal(item: Item) -> dict[str, Any]:
    """In one form for both servers and this test: sets without an order, binaries as bytes, numbers as numbers."""

    def plain(value: dict[str, Any]) -> Any:
        ((tag, content),) = value.items()
        if tag == "N":
            return float(content)
        if tag == "NS":
            return frozenset(map(float, content))
        return b"\x00\x01" if content in ("AAE=", b"\x00\x01") else content

    return {name: plain(value) for name, value in item.items()}


def assert_same_items(found: Sequence[Item], expected: Sequence[Item]) -> None:
    assert len(found) == len(expected)
    by_key = {item["id"]["N"]: normal(item) for item in found}
    assert by_key == {item["id"]["N"]: normal(item) for item in expected}


def write_singly(connection: Any, table: str, scenario: Scenario, *, repeated: bool = False) -> Outcome:
    outcome = Outcome(Requests(connection, table, patience=30))
    with Flight(outcome.requests, fewest=8, most=8) as flight:
        writer = SingleWriter(flight, ["id"], refused=outcome.refused.append, repeated=repeated)
        writer.send(texts(table, [scenario.action(number) for number in scenario.rows]), scenario.operation)
    return outcome


def write_in_batches(connection: Any, table: str, scenario: Scenario) -> Outcome:
    outcome = Outcome(Requests(connection, table, patience=30))
    contents = [scenario.action(number) for number in scenario.rows]
    contents = [content.get("Item") or content["Key"] for content in contents]
    with Flight(outcome.requests, fewest=8, most=8) as flight:
        for start in range(0, len(contents), 2):
            part = pa.array([json.dumps(content) for content in contents[start : start + 2]])
            BatchWriter(flight, ["id"]).send(part, PUT if scenario.operation == "put" else DELETE)
    return outcome


def check(server: Server, table: str, scenario: Scenario, outcome: Outcome) -> None:
    """The table is as it should be, and each row is counted once."""
    assert_same_items(server.items(table), scenario.expected())
    assert outcome.numbers == scenario.refusals
    assert outcome.requests.counts.refused == len(scenario.refusals)
    assert outcome.requests.counts.items == len(scenario.rows) - len(scenario.refusals)


@pytest.mark.parametrize("name", SINGLE)
def test_without_faults_each_row_is_one_request(server: Server, name: str) -> None:
    table = prepare(server)
    outcome = write_singly(server.connection, table, SINGLE[name])
    check(server, table, SINGLE[name], outcome)
    counts = outcome.requests.counts
    assert (counts.requests, counts.retries) == (len(SINGLE[name].rows), 0)
    assert counts.units >= counts.items / 2
    for refused in outcome.refused:
        before = BEFORE[number_of(refused.action)]
        assert refused.operation == SINGLE[name].operation
        assert (refused.stored is None) == (before is None)
        if refused.stored is not None and before is not None:
            assert normal(refused.stored) == normal(before)


def test_reasons_say_what_was_found(server: Server) -> None:
    table = prepare(server)
    inserts = write_singly(server.connection, table, SINGLE["inserts"])
    assert {row.reason for row in inserts.refused} == {"there is an item with that key already"}
    updates = write_singly(server.connection, prepare(server), SINGLE["conditional updates"])
    reasons = Counter(row.reason for row in updates.refused)
    assert reasons == {
        "its condition is not met: there is no item with that key": ROWS // 3,
        "its condition is not met: the item with that key is another": ROWS // 3,
    }


def test_a_stored_binary_is_base64_text(server: Server) -> None:
    table = server.create("id:N")
    server.put(table, {"id": {"N": "2"}, "b": {"B": b"\x00\xff"}, "m": {"M": {"l": {"L": [{"BS": [b"\x01"]}]}}}})
    outcome = write_singly(server.connection, table, SINGLE["inserts"])
    (refused,) = outcome.refused
    assert refused.stored == {"id": {"N": "2"}, "b": {"B": "AP8="}, "m": {"M": {"l": {"L": [{"BS": ["AQ=="]}]}}}}


EFFECTLESS = ["ThrottlingException", "InternalServerError", "ServiceUnavailable", "reset before the answer"]
LOSSES = ["error after the effect", "answer lost", "answer cut", "wrong CRC32", "reset amid the answer"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *(("inserts", fault) for fault in [*EFFECTLESS, *LOSSES, "TransactionConflictException"]),
        *((name, fault) for name in SINGLE for fault in ["error after the effect", "answer lost"] if name != "inserts"),
    ],
)
def test_each_row_is_done_or_refused_once_under_a_fault(
    dynoxide_server: Server, proxy: FaultyServer, name: str, fault: str
) -> None:
    table = prepare(dynoxide_server)
    proxy.choose = every(fault, 2)
    proxy.log.clear()
    outcome = write_singly(proxy.connection, table, SINGLE[name])
    check(dynoxide_server, table, SINGLE[name], outcome)
    assert outcome.requests.counts.retries == proxy.faults[fault] >= ROWS // 3


@pytest.mark.parametrize("fault", quick(1, ["read timeout", "answer too late"]))
def test_each_row_is_done_or_refused_once_where_answers_do_not_come(
    dynoxide_server: Server, proxy: FaultyServer, fault: str
) -> None:
    for scenario in (SINGLE["inserts"], SINGLE["conditional deletes"], BATCHES["puts"]):
        table = prepare(dynoxide_server)
        proxy.choose = every(fault, 4)
        proxy.log.clear()
        write = write_in_batches if scenario in BATCHES.values() else write_singly
        outcome = write(proxy.hasty_connection, table, scenario)
        check(dynoxide_server, table, scenario, outcome)
        assert outcome.requests.counts.connection_errors >= proxy.faults[fault] > 1


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *(("puts", fault) for fault in ["ThrottlingException", *LOSSES, "partial write", "unprocessed write"]),
        *(("deletes", fault) for fault in ["error after the effect", "partial write"]),
    ],
)
def test_each_item_of_a_batch_is_counted_once_under_a_fault(
    dynoxide_server: Server, proxy: FaultyServer, name: str, fault: str
) -> None:
    table = prepare(dynoxide_server)
    proxy.choose = every(fault, 2)
    proxy.log.clear()
    outcome = write_in_batches(proxy.connection, table, BATCHES[name])
    check(dynoxide_server, table, BATCHES[name], outcome)
    assert proxy.faults[fault] >= 3


MIXED = [*EFFECTLESS, *LOSSES, "answer and its length cut", "partial write", "unprocessed write"]


def write_in_a_mixture(server: Server, proxy: FaultyServer, name: str) -> None:
    scenario = (SINGLE | BATCHES)[name]
    table = prepare(server)
    proxy.choose = sometimes(MIXED, seed=3, probability=0.6)
    proxy.log.clear()
    write = write_in_batches if name in BATCHES else write_singly
    check(server, table, scenario, write(proxy.connection, table, scenario))
    assert len(proxy.faults) >= 3


@pytest.mark.parametrize("name", [*SINGLE, *BATCHES])
def test_each_row_is_done_or_refused_once_in_any_mixture_of_faults(
    dynoxide_server: Server, proxy: FaultyServer, name: str
) -> None:
    write_in_a_mixture(dynoxide_server, proxy, name)


def test_a_mixture_of_faults_on_the_other_server(local_server: Server) -> None:
    with faulty_server(local_server.endpoint) as proxy:
        for name in ("inserts", "conditional updates", "puts"):
            write_in_a_mixture(local_server, proxy, name)


@pytest.mark.parametrize("name", SINGLE)
def test_a_repeated_task_finds_its_own_effect(server: Server, name: str) -> None:
    table = prepare(server)
    write_singly(server.connection, table, SINGLE[name])
    check(server, table, SINGLE[name], write_singly(server.connection, table, SINGLE[name], repeated=True))
    if SINGLE[name].refused and name != "conditional puts":  # those put the same again
        again = write_singly(server.connection, table, SINGLE[name])
        assert again.requests.counts.items == 0


@pytest.mark.server
def test_a_failed_update_names_its_key_and_what_did_not_happen() -> None:
    with scripted_server(lambda operation, request: refusal("ValidationException", "bad")) as server:
        requests = Requests(server.connection, "t")
        with (
            pytest.raises(UnwrittenItemsError, match=r"^1 item was not updated in table 't'.* key {id='7'}.*: bad"),
            Flight(requests) as flight,
        ):
            SingleWriter(flight, ["id"], refused=pytest.fail).send(texts("t", [update(7)]), "update")
            flight.wait()


def test_an_error_of_the_callback_reaches_the_caller_as_it_is(local_server: Server) -> None:
    table = prepare(local_server)
    error = ConditionFailedError(table, 1, [{"id": "0"}], "it exists")

    def refuse(row: Refused) -> None:
        raise error

    with pytest.raises(ConditionFailedError) as caught, Flight(Requests(local_server.connection, table)) as flight:
        SingleWriter(flight, ["id"], refused=refuse).send(texts(table, [put(0, IS_ABSENT)]), "insert")
    assert caught.value is error


def test_a_throttled_budget_is_kept(local_server: Server) -> None:
    """A reservation of one item for each request, and batches cut to what the budget allows for."""
    from spark_dynamo.aws.budget import Budget

    table = local_server.create("id:N")
    budget = Budget(400.0)
    requests = Requests(local_server.connection, table, budget=budget)
    with Flight(requests) as flight:
        SingleWriter(flight, ["id"], refused=pytest.fail).send(texts(table, [put(n) for n in range(30)]), "put")
        BatchWriter(flight, ["id"]).send(pa.array([json.dumps(new(number)) for number in range(30, 90)]))
    assert len(local_server.items(table)) == requests.counts.items == 90


@pytest.mark.server
def test_a_batch_is_cut_to_what_the_budget_allows_for() -> None:
    from spark_dynamo.aws.budget import Budget

    sizes: list[int] = []

    def answer(operation: str, request: dict[str, Any]) -> Reply:
        (entries,) = request["RequestItems"].values()
        sizes.append(len(entries))
        return Reply({"UnprocessedItems": {}, "ConsumedCapacity": [{"TableName": "t", "CapacityUnits": len(entries)}]})

    with scripted_server(answer) as server:
        requests = Requests(server.connection, "t", budget=Budget(20.0))
        with Flight(requests) as flight:
            BatchWriter(flight, ["id"]).send(pa.array([json.dumps(new(number)) for number in range(30)]))
    assert sum(sizes) == requests.counts.items == requests.counts.units == 30
    assert max(sizes) <= 5
