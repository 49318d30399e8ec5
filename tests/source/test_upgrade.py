"""A whole table upgraded: counts, failures, concurrent changes, stopping and repeating."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from spark_dynamo.aws.tables import Index, KeyAttribute
from spark_dynamo.errors import MigrationError, OptionError, SchemaError
from spark_dynamo.schema.evolve import migration
from spark_dynamo.source.upgrade import table as room
from spark_dynamo.source.upgrade.conditional_update import rewriting
from spark_dynamo.source.upgrade.table import UpgradeReport, upgrade_table
from spark_dynamo.wire.equality import is_done
from tests.conftest import Server
from tests.servers.faulty import faulty_server, sometimes
from tests.source.test_model_reading import BAD, ROWS, VERSIONS, comparable, read
from tests.source.versioned import Current, Item, Order, item_of
from tests.wire.strategies import any_attributes, canonical, names

FOUND = {1: 15, 2: 7, 3: 14}  # of the 36 rows, by version


def filled(server: Server) -> str:
    table = server.create("customer:S", "day:N")
    server.put(table, *(item_of(row, VERSIONS[number % 5]) for number, row in enumerate(ROWS)))
    return table


def stored(server: Server, table: str) -> dict[int, Any]:
    return {int(item["day"]["N"]): canonical({"M": item}) for item in server.items(table)}


def upgrade(server: Server, table: str, model: type[BaseModel] = Order, **more: Any) -> UpgradeReport:
    return upgrade_table(model, table, **server.options, **more)


UPGRADED = {row["day"]: canonical({"M": item_of(row, 3)}) for row in ROWS}


# ---------------------------------------------------------------------------------------------------- runs


def test_a_dry_run_counts_and_writes_nothing(server: Server) -> None:
    table = filled(server)
    before = stored(server, table)
    report = upgrade(server, table)
    assert report.found == FOUND
    assert (report.dry_run, report.upgraded, report.changed, report.failed, report.is_complete) == (
        True,
        22,
        0,
        0,
        False,
    )
    assert stored(server, table) == before


def test_an_upgrade_leaves_each_item_as_it_would_be_read(server: Server) -> None:
    table = filled(server)
    seen: list[UpgradeReport] = []
    report = upgrade(server, table, dry_run=False, progress=seen.append)
    assert report.found == FOUND
    assert (report.upgraded, report.changed, report.failed, report.is_complete) == (22, 0, 0, True)
    assert seen[-1] == report
    assert stored(server, table) == UPGRADED
    assert comparable(read(server, table, model=f"{Current.__module__}:Current")[1]) == comparable(
        [{name: row[name] for name in Current.model_fields} for row in ROWS]
    )
    again = upgrade(server, table, dry_run=False)
    assert (again.found, again.upgraded, again.is_complete) == ({3: 36}, 0, True)


def test_what_cant_be_upgraded_is_told_and_left_as_it_is(server: Server) -> None:
    table = server.create("customer:S", "day:N")
    server.put(table, item_of(ROWS[9], 2), *BAD[:5])
    before = stored(server, table)
    dry, done = upgrade(server, table), upgrade(server, table, dry_run=False)
    assert dry.found == done.found == {1: 1, 2: 2, 4: 1, None: 2}
    assert (dry.upgraded, dry.failed) == (done.upgraded, done.failed) == (1, 5)
    problems = {error.key["day"]: str(error) for error in done.failures}
    assert sorted(problems) == [0, 1, 2, 3, 4]
    assert (
        "of version 2, model Order: migration tests.source.versioned.count_cents raises ValueError: a price of -1"
        in problems[0]
    )
    assert "up to version 3" in problems[2]
    assert stored(server, table) == {**before, 9: UPGRADED[9]}
    assert not done.is_complete


def test_the_report_prints_as_a_table(local_server: Server) -> None:
    table = local_server.create("customer:S", "day:N")
    local_server.put(table, item_of(ROWS[9], 2), item_of(ROWS[10], 3), BAD[0], BAD[2], BAD[3])
    report = upgrade(local_server, table)
    lines = str(report).splitlines()
    assert lines[0] == f"Table '{table}' to version 3 of model Order, a dry run"
    assert [line.split(None, 2) for line in lines[4:8]] == [
        ["2", "2", "older"],
        ["3", "1", "current"],
        ["4", "1", "newer than the model"],
        ["none", "1", "no version"],
    ]
    assert lines[9].startswith("1 would be upgraded, 3 would fail; ")
    assert lines[10].startswith("{customer=")
    assert "<td" in report._repr_html_()
    assert repr(report).startswith(
        f"UpgradeReport(Table '{table}' to version 3 of model Order, a dry run: 1 would be upgraded"
    )


# ---------------------------------------------------------------------------------------------------- others change items, too


def interfering(server: Server, table: str, monkeypatch: pytest.MonkeyPatch, change: dict[int, Any]) -> None:
    """Let somebody else change items between the scan and the update of their page: None deletes."""
    fetch = room.fetch_pages

    def pages(*arguments: Any, **more: Any) -> Iterator[bytes]:
        for page in list(fetch(*arguments, **more)):
            for day, update in list(change.items()):
                key = {"customer": {"S": ROWS[day]["customer"]}, "day": {"N": str(day)}}
                if update is None:
                    server.client.delete_item(TableName=table, Key=key)
                else:
                    server.client.update_item(TableName=table, Key=key, **update)
                del change[day]
            yield page

    monkeypatch.setattr(room, "fetch_pages", pages)


def test_concurrent_changes_are_not_overwritten(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    table = filled(server)
    value = {":v": {"S": "others"}}
    changes: dict[int, Any] = {
        0: None,  # an item without a version, deleted: it must not come back
        1: None,
        5: {
            "UpdateExpression": "SET #s = :v",
            "ExpressionAttributeNames": {"#s": "state"},
            "ExpressionAttributeValues": value,
        },
        # an attribute that no migration knows
        16: {"UpdateExpression": "SET note = :v", "ExpressionAttributeValues": value},
        7: {"UpdateExpression": "SET price = :v", "ExpressionAttributeValues": {":v": {"N": "9"}}},
        # which an update leaves alone
        10: {"UpdateExpression": "SET added = :v", "ExpressionAttributeValues": value},
        # by newer code
        11: {"UpdateExpression": "SET schema_version = :v", "ExpressionAttributeValues": {":v": {"N": "4"}}},
        3: {"UpdateExpression": "SET note = :v", "ExpressionAttributeValues": value},  # it was current
    }
    interfering(server, table, monkeypatch, dict(changes))
    report = upgrade(server, table, dry_run=False)
    assert report.found == FOUND
    assert (report.upgraded, report.changed, report.failed) == (16, 6, 0)
    assert not report.is_complete
    after = {int(item["day"]["N"]): item for item in server.items(table)}
    assert 0 not in after
    assert 1 not in after
    assert after[5]["state"] == {"S": "others"}
    assert "schema_version" not in after[5]
    assert after[16]["note"] == {"S": "others"}
    assert after[16]["schema_version"] == {"N": "1"}
    assert after[7]["price"] == {"N": "9"}
    assert "cents" not in after[7]
    assert after[10]["added"] == {"S": "others"}
    assert after[10]["schema_version"] == {"N": "3"}
    assert after[11]["schema_version"] == {"N": "4"}
    monkeypatch.undo()
    again = upgrade(server, table, dry_run=False)
    assert (again.upgraded, again.changed, again.failed) == (3, 0, 1)
    after = {int(item["day"]["N"]): item for item in server.items(table)}
    assert after[5]["status"] == {"S": "OTHERS"}
    assert after[7]["cents"] == {"N": "900"}


def test_lost_answers_and_throttling_change_nothing(local_server: Server) -> None:
    table = filled(local_server)
    faults = ["ThrottlingException", "answer lost", "reset before the answer"]
    with faulty_server(local_server.endpoint, sometimes(faults, seed=3)) as faulty:
        report = upgrade_table(Order, table, dry_run=False, **{**local_server.options, "endpointUrl": faulty.endpoint})
        assert faulty.faults
    assert (report.found, report.upgraded, report.changed) == (FOUND, 22, 0)
    assert stored(local_server, table) == UPGRADED


def test_a_run_that_is_killed_is_taken_up_again(local_server: Server) -> None:
    table = filled(local_server)
    code = f"""
import json, os, sys
from spark_dynamo.source.upgrade.table import upgrade_table
from tests.source import versioned
from spark_dynamo.schema.evolve import migrations_of
count = 0
def once(function):
    def migrate(item):
        global count
        count += 1
        if count == 20:
            os.kill(os.getpid(), 9)
        return function(item)
    return migrate
versioned.Order.__dynamodb_migrations__ = {{step: once(function) for step, function in migrations_of(versioned.Order).items()}}
upgrade_table(versioned.Order, {table!r}, dry_run=False, segments=8, **json.loads(sys.argv[1]))
"""
    killed = subprocess.run(
        [sys.executable, "-c", code, json.dumps(local_server.options)], cwd=Path.cwd(), capture_output=True, check=False
    )
    assert killed.returncode == -9, killed.stderr
    assert all(
        item in (UPGRADED[day], canonical({"M": item_of(ROWS[day], VERSIONS[day % 5])}))
        for day, item in stored(local_server, table).items()
    )
    report = upgrade(local_server, table, dry_run=False)
    assert report.is_complete
    assert stored(local_server, table) == UPGRADED


# ---------------------------------------------------------------------------------------------------- one item


@given(
    st.dictionaries(names.filter(lambda name: name != "id"), any_attributes, max_size=4),
    st.dictionaries(names.filter(lambda name: name != "id"), any_attributes, max_size=4),
    st.booleans(),
)
def test_any_item_becomes_any_other(dynoxide_server: Server, before: Item, after: Item, mixed: bool) -> None:
    table = _tables.setdefault(dynoxide_server.name, "") or _tables.setdefault("made", dynoxide_server.create())
    key = {"id": {"S": "a"}}
    stored, wanted = {**key, **before}, {**key, **(before if mixed else {}), **after, "schema_version": {"N": "2"}}
    send = sender(dynoxide_server)
    send("PutItem", {"TableName": table, "Item": stored})
    operation, action = rewriting(table, stored, wanted, ["id"])
    assert operation == "update"
    assert not is_done("update", action, stored) or canonical({"M": stored}) == canonical({"M": wanted})
    send("UpdateItem", action)
    found = send("GetItem", {"TableName": table, "Key": key})["Item"]
    assert canonical({"M": found}) == canonical({"M": wanted})
    assert is_done("update", action, found)


_tables: dict[str, str] = {}


def sender(server: Server) -> Any:
    """Requests in DynamoDB JSON as text, binaries in base64."""
    from spark_dynamo.aws.requests import Requests

    requests = Requests(server.connection, "any")

    def send(operation: str, body: Item) -> Any:
        return json.loads(requests.send(operation, json.dumps(body).encode()) or b"{}")

    return send


@pytest.mark.parametrize(("count", "renamed", "operation"), [(100, 2, "update"), (300, 2, "update"), (600, 600, "put")])
def test_wide_items_stay_within_dynamodbs_limits(server: Server, count: int, renamed: int, operation: str) -> None:
    table = server.create()
    before = {f"attribute {number}": {"N": str(number)} for number in range(count)}
    after = {
        (f"new {name}" if number < renamed else name): value for number, (name, value) in enumerate(before.items())
    }
    stored, wanted = {"id": {"S": "a"}, **before}, {"id": {"S": "a"}, **after, "schema_version": {"N": "2"}}
    server.put(table, stored)
    kind, action = rewriting(table, stored, wanted, ["id"])
    assert kind == operation
    getattr(server.client, f"{kind}_item")(**action)
    assert server.items(table) == [wanted]
    with pytest.raises(server.client.exceptions.ConditionalCheckFailedException):
        getattr(server.client, f"{kind}_item")(**action)


# ---------------------------------------------------------------------------------------------------- models and options


class Odd(BaseModel):
    schema_version: ClassVar[int] = 2
    customer: str
    day: int
    n: int


@migration(Odd, from_version=1)
def make(item: Item) -> Item:
    made: dict[int, Any] = {0: 1, 1: "x", 3: 1.5, 4: object(), 5: 10**40, 6: 1, 7: 1, 8: 1}
    item |= {"n": made.get(int(item["day"]))} if item["day"] != 2 else {}
    item |= (
        {"key": ""}
        if item["day"] == 6
        else {"key": 7}
        if item["day"] == 7
        else {"big": "x" * 410_000}
        if item["day"] == 8
        else {}
    )
    return item


def test_what_the_model_or_dynamodb_would_refuse_is_not_sent(server: Server) -> None:
    table = server.create("customer:S", "day:N", [Index("by-key", KeyAttribute("key", "S"))])
    server.put(table, *({"customer": {"S": "a"}, "day": {"N": str(day)}} for day in range(9)))
    report = upgrade(server, table, Odd, dry_run=False)
    assert (report.upgraded, report.failed) == (1, 8)
    problems = {int(str(error.key["day"])): error.problem for error in report.failures}
    for day, problem in {
        1: "attribute 'n' is x, of DynamoDB type S, and does not fit the model's BIGINT",
        2: "attribute 'n' is missing, and the model's BIGINT is not nullable",
        3: "attribute 'n' is 1.5, of DynamoDB type N, and does not fit the model's BIGINT",
        4: "its migrations give what DynamoDB can't store: 'n' is <object",
        5: "attribute 'n' is 1",
        6: "index 'by-key' has it as a key of type S",
        7: "index 'by-key' has it as a key of type S",
        8: "and DynamoDB takes at most 409,600",
    }.items():
        assert problem in problems[day]


def test_models_and_options_that_cant_be_used(local_server: Server) -> None:
    class Plain(BaseModel):
        id: str

    class Nothing(BaseModel):
        schema_version: ClassVar[int] = 2
        id: set[object]

    with pytest.raises(MigrationError, match="Model Plain: it has no version to upgrade to; add `schema_version"):
        upgrade(local_server, "any", Plain)
    table = local_server.create()
    with pytest.raises(SchemaError, match="id"):
        upgrade(local_server, table, Nothing)
    with pytest.raises(OptionError, match="Option 'filter' has no part in an upgrade of all items; it takes region"):
        upgrade(local_server, table, filter="id = 'a'")
    with pytest.raises(OptionError, match="Option 'maxWriteUnit' is not known. Did you mean 'maxWriteUnits'"):
        upgrade(local_server, table, maxWriteUnit=5)


def test_budgets_are_kept(dynoxide_server: Server) -> None:
    table = filled(dynoxide_server)
    report = upgrade(
        dynoxide_server, table, dry_run=False, maxWriteUnits=20, maxReadUnits=100, segments=2, consistentRead=True
    )
    assert report.upgraded == 22
    assert report.write_units == 22
    assert report.seconds > 0.7  # the first request learns what an item costs
