"""Whatever goes wrong on the way, a write leaves the table that it would leave without, and its counts tell what it did."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from spark_dynamo.aws import requests as requests_module
from spark_dynamo.aws import transactions
from spark_dynamo.errors import RequestFailedError
from spark_dynamo.source.write.plan import WritePlan
from spark_dynamo.source.write.task import WriteTask
from spark_dynamo.source.write.written import Written
from tests.conftest import Server
from tests.servers.faulty import FaultyServer, Request, every, faulty_server, honest, sometimes
from tests.source import write_model as model
from tests.source.write_model import BY_COLUMN, CONDITIONS, SCHEMA, Condition, Item, Options, Outcome, Row, Table
from tests.tiers import quick

ROWS = 30
ROWS_AT_ONCE = 5  # in a batch, and in a transaction
MIXTURE = (
    "ThrottlingException",
    "InternalServerError",
    "ServiceUnavailable",
    "reset before the answer",
    "answer lost",
    "reset amid the answer",
    "answer cut",
    "wrong CRC32",
    "error after the effect",
    "partial write",
    "unprocessed write",
    "TransactionConflict",
    "ThrottlingError",
    "TransactionInProgressException",
)


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "_FIRST_DELAY", 0.001)
    monkeypatch.setattr(requests_module, "_LONGEST_DELAY", 0.02)
    monkeypatch.setattr(transactions, "ACTIONS_PER_TRANSACTION", ROWS_AT_ONCE)


@pytest.fixture(scope="module")
def table(dynoxide_server: Server) -> str:
    """One table for all tests, each of which has a partition of its own."""
    return dynoxide_server.create("id:S", "day:N")


@pytest.fixture(scope="module")
def proxy(dynoxide_server: Server) -> Iterator[FaultyServer]:
    with faulty_server(dynoxide_server.endpoint) as proxy:
        yield proxy


def stored(day: int) -> Item:
    """What is in the table before, of another kind for every third day."""
    return model.written(model.row(day, v=[0, 99][day % 2], s="before", d=2.5), None, "put", "omit")


@dataclass(frozen=True)
class Scenario:
    """One write of 30 rows. Refused rows find items that are not what they want, as else they would count as done."""

    options: Options
    rows: tuple[Row, ...]
    before: tuple[int, ...] = tuple(range(0, 2 * ROWS, 3))

    @property
    def items(self) -> Table:
        return {day: stored(day) for day in self.before}

    def batches(self, partition: str) -> list[pa.RecordBatch]:
        schema = BY_COLUMN if self.options.by_column else SCHEMA
        rows = [{**row, "id": partition} for row in self.rows]
        return [model.batch_of(batch, schema) for batch in _batches(rows)]

    def outcome(self) -> Outcome:
        return model.write(self.items, _batches(self.rows), self.options)


def _batches(rows: Sequence[Row]) -> list[Sequence[Row]]:
    """Small ones, so that there are several requests."""
    return [rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE)]


NEWER = CONDITIONS[3]
IS_THERE = Condition("v < new.v", CONDITIONS[0].holds, ("v",))
ROW_OF: dict[str, Callable[[int], dict[str, Any]]] = {
    "put": lambda day: {"v": 5, "s": "after", "m": {"x": day, "y": None}},
    "update": lambda day: {"v": 5, "s": None, "m": {"x": day, "y": "z"}},
}


def rows(kind: str = "put", days: Sequence[int] = range(ROWS)) -> tuple[Row, ...]:
    return tuple(model.row(day, **ROW_OF[kind](day)) for day in days)


def mixed(
    days: Sequence[int] = range(ROWS), operations: Sequence[str] = ("put", "insert", "update", "delete")
) -> tuple[Row, ...]:
    chosen = zip(days, itertools.cycle(operations), strict=False)
    return tuple({**model.row(day, **ROW_OF["put"](day)), "op": operation} for day, operation in chosen)


FREE = [day for day in range(2 * ROWS) if day % 3]  # where there is no item
SCENARIOS = {
    "puts": Scenario(Options(), rows()),
    "deletes": Scenario(Options("delete"), rows()),
    "inserts": Scenario(Options("insert"), rows()),
    "updates": Scenario(Options("update", nulls="remove"), rows("update")),
    "updates that leave nulls out": Scenario(Options("update"), rows("update")),
    "conditional puts": Scenario(Options(condition=NEWER), rows()),
    "conditional updates": Scenario(Options("update", condition=NEWER), rows("update")),
    "conditional deletes": Scenario(Options("delete", condition=IS_THERE), rows(days=range(0, 2 * ROWS, 3))),
    "an operation in each row": Scenario(Options(by_column=True), mixed()),
    "atomic puts": Scenario(Options(atomic=True), rows()),
    "atomic deletes": Scenario(Options("delete", atomic=True), rows()),
    "atomic inserts": Scenario(Options("insert", atomic=True), rows(days=FREE[:ROWS])),
    "atomic inserts of which some are refused": Scenario(
        Options("insert", atomic=True), rows(days=[*FREE[:19], 30, *FREE[20:30]])
    ),
    "atomic updates": Scenario(Options("update", nulls="remove", atomic=True), rows("update")),
    "atomic operations in each row": Scenario(
        Options(by_column=True, atomic=True), mixed(FREE[:ROWS], ("put", "insert", "update", "delete"))
    ),
}


@dataclass
class Case:
    """A scenario in a partition of its own, which it has filled, with the plan of the write to a server."""

    scenario: Scenario
    server: Server
    table: str
    partition: str
    plan: WritePlan

    def run(self, batches: Iterator[pa.RecordBatch] | None = None, *, repeated: bool = False) -> Written:
        task = WriteTask(self.plan, repeated=repeated)
        return task.run(iter(self.scenario.batches(self.partition)) if batches is None else batches)

    def check(self, written: Written) -> None:
        outcome = self.scenario.outcome()
        assert self.found() == self.expected(outcome.table)
        counts = (written.items, written.duplicates, written.failed, written.bad)
        assert counts == (outcome.items, outcome.duplicates, len(outcome.failed), len(outcome.bad))
        assert sum(counts) == len(self.scenario.rows)

    def found(self) -> dict[int, Any]:
        items = self.server.client.query(
            TableName=self.table,
            KeyConditionExpression="id = :p",
            ExpressionAttributeValues={":p": {"S": self.partition}},
            ConsistentRead=True,
        )["Items"]
        return model.same({int(item["day"]["N"]): item for item in items})

    def expected(self, items: Table) -> dict[int, Any]:
        return model.same({day: {**item, "id": {"S": self.partition}} for day, item in items.items()})


@pytest.fixture
def case_of(
    request: pytest.FixtureRequest, dynoxide_server: Server, proxy: FaultyServer, table: str
) -> Callable[..., Case]:
    """Make a case of a scenario; the proxy starts without faults."""

    def make(scenario: Scenario, **options: str) -> Case:
        proxy.choose = honest
        partition = request.node.name  # the same in each run, and so are the faults
        entries = [{"PutRequest": {"Item": {**item, "id": {"S": partition}}}} for item in scenario.items.values()]
        assert not dynoxide_server.client.batch_write_item(RequestItems={table: entries})["UnprocessedItems"]
        schema = BY_COLUMN if scenario.options.by_column else SCHEMA
        skip = {"conditionFailed": "skip"} if scenario.options.conditional else {}
        given = {**skip, **scenario.options.given, **options}
        plan = Server("faulty", proxy.endpoint).writer(table, schema, **given).plan
        proxy.log.clear()
        return Case(scenario, dynoxide_server, table, partition, plan)

    return make


def test_the_scenarios_are_worth_it() -> None:
    """Rows are written and refused in many ways."""
    outcomes = {name: scenario.outcome() for name, scenario in SCENARIOS.items()}
    assert all(outcome.items for outcome in outcomes.values())
    assert {name for name, outcome in outcomes.items() if outcome.failed} == {
        "inserts",
        "conditional puts",
        "conditional updates",
        "conditional deletes",
        "an operation in each row",
        "atomic inserts of which some are refused",
    }


@pytest.mark.parametrize("seed", quick(1, range(2)))
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_table_and_the_counts_are_right_in_any_mixture_of_faults(
    proxy: FaultyServer, case_of: Callable[..., Case], name: str, seed: int
) -> None:
    case = case_of(SCENARIOS[name])
    proxy.choose = sometimes(MIXTURE, seed=seed, probability=0.6)
    case.check(case.run())
    assert proxy.faults


@pytest.mark.parametrize("fault", ["answer too late", "read timeout"])
@pytest.mark.parametrize("name", quick(2, ["puts", "conditional updates", "inserts", "atomic inserts"]))
def test_answers_that_come_too_late_are_lost_answers(
    proxy: FaultyServer, case_of: Callable[..., Case], name: str, fault: str
) -> None:
    case = case_of(SCENARIOS[name])
    case.plan = replace(case.plan, connection=proxy.hasty_connection)
    proxy.choose = every(fault, 2 if name in ("puts", "atomic inserts") else 20)
    written = case.run()
    case.check(written)
    assert written.retries >= proxy.faults[fault] >= 1


def test_a_throttled_table_is_not_hammered(proxy: FaultyServer, case_of: Callable[..., Case]) -> None:
    """All of the first requests are throttled: the task then waits, rather than send all others to the same end."""
    case = case_of(SCENARIOS["inserts"])
    numbers = itertools.count()
    proxy.choose = lambda operation, request: "ThrottlingException" if next(numbers) < 30 else None
    written = case.run()
    case.check(written)
    assert written.retries == 30
    assert written.requests == 30 + ROWS


# ---------------------------------------------------------------------------------------------------- tasks that run again


def refuse_from(number: int, fault: str = "AccessDeniedException") -> Callable[[str, Request], str | None]:
    """From that request on, nothing is answered but by that error; the answer before it is lost."""
    numbers = itertools.count(1)

    def choose(operation: str, request: Request) -> str | None:
        count = next(numbers)
        return fault if count > number else "answer lost" if count == number else None

    return choose


def failed_midway(proxy: FaultyServer, case_of: Callable[..., Case], name: str) -> Case:
    """A case whose write was refused when some of it was done."""
    case = case_of(SCENARIOS[name])
    in_bulk = name in ("puts", "deletes") or SCENARIOS[name].options.atomic
    proxy.choose = refuse_from(1 if in_bulk else 20)
    with pytest.raises(RequestFailedError):
        case.run()
    return case


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_task_that_runs_again_after_an_error_comes_to_the_same(
    proxy: FaultyServer, case_of: Callable[..., Case], name: str
) -> None:
    case = failed_midway(proxy, case_of, name)
    changed = case.found() != case.expected(SCENARIOS[name].items)
    assert changed  # the first attempt did something
    proxy.choose = honest
    case.check(case.run(repeated=True))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_write_that_its_user_runs_again_comes_to_the_same(
    proxy: FaultyServer, case_of: Callable[..., Case], name: str
) -> None:
    """Nobody tells the second write of the first one, and its rows come in other batches."""
    case = failed_midway(proxy, case_of, name)
    proxy.choose = honest
    whole = pa.Table.from_batches(case.scenario.batches(case.partition)).combine_chunks().to_batches()
    case.check(case.run(iter(whole)))
    case.check(case.run())  # and after it has succeeded


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_task_that_runs_again_after_its_rows_ended_comes_to_the_same(
    proxy: FaultyServer, case_of: Callable[..., Case], name: str
) -> None:
    case = case_of(SCENARIOS[name])
    first = threading.Event()

    def choose(operation: str, request: Request) -> None:
        first.set()

    def ends() -> Iterator[pa.RecordBatch]:
        yield case.scenario.batches(case.partition)[0]
        assert first.wait(10)
        raise RuntimeError("no more rows")

    proxy.choose = choose
    with pytest.raises(RuntimeError, match="no more rows"):
        case.run(ends())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dynamodb-write")]
    proxy.choose = sometimes(MIXTURE, seed=7, probability=0.3)
    case.check(case.run(repeated=True))
    case.check(case.run(repeated=True))  # and once more, as a stream may


@pytest.mark.parametrize("atomic", ["false", "true"])
@pytest.mark.parametrize("repeated", [True, False])
def test_inserts_that_may_not_fail_are_done_once_by_a_write_that_runs_again(
    proxy: FaultyServer, case_of: Callable[..., Case], atomic: str, repeated: bool
) -> None:
    scenario = replace(SCENARIOS["atomic inserts"], options=Options("insert", atomic=atomic == "true"))
    case = case_of(scenario, conditionFailed="error")
    proxy.choose = refuse_from(1 if atomic == "true" else 20)
    with pytest.raises(RequestFailedError):
        case.run()
    proxy.choose = honest
    written = case.run(repeated=repeated)
    case.check(written)
    assert written.failed == 0
    assert 0 < written.found < written.items or atomic == "true"
    assert f"({written.found} of them found written already)" in str(written) or not written.found


@pytest.mark.parametrize("name", ["inserts", "conditional deletes", "atomic inserts of which some are refused"])
def test_rejected_rows_are_kept_once_by_a_task_that_runs_again(
    proxy: FaultyServer, case_of: Callable[..., Case], name: str, tmp_path: Path
) -> None:
    case = case_of(SCENARIOS[name], conditionFailed=str(tmp_path))
    expected = Counter(row["day"] for row in case.scenario.outcome().failed)
    proxy.choose = refuse_from(2 if "atomic" in name else 20, "ValidationException")
    with pytest.raises(RequestFailedError):
        case.run()
    assert not list(tmp_path.rglob("*.jsonl"))  # what a task that failed has found is nobody's
    for seed in (1, 2):
        proxy.choose = sometimes(MIXTURE, seed=seed, probability=0.4)
        case.check(case.run(repeated=True))
        lines = [json.loads(line) for file in tmp_path.rglob("part-*") for line in file.read_text().splitlines()]
        assert Counter(int(line["item"]["day"]["N"]) for line in lines) == expected
        assert all(line["reason"] for line in lines)
