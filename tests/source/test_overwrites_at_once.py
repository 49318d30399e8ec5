"""Of several overwrites of one table at once, either one says that it has lost, or the table is exactly one of their frames."""

from __future__ import annotations

import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql.types import StructType

from spark_dynamo.aws.tables import Index, KeyAttribute
from spark_dynamo.errors import OverwriteConflictError
from spark_dynamo.source.datasource import DynamoDataSource
from spark_dynamo.source.write.writer import ItemWriter
from tests.conftest import Server
from tests.servers.faulty import Fault, Request, faulty_server
from tests.servers.turns import Chooser, operation_of, take_turns
from tests.tiers import quick

SCHEMA = StructType().add("id", "string").add("v", "string")
Frame = Mapping[str, str]


def rows(start: int, stop: int, value: str) -> Frame:
    return {f"item-{number}": value for number in range(start, stop)}


def overwrite(server: Server, table: str, frame: Frame, confirmed: bool, endpoint: str) -> None:
    """What Spark does, in two tasks."""
    confirm = {"overwriteConfirm": table} if confirmed else {}
    options = {**server.options, "endpointUrl": endpoint, "table": table, **confirm}
    writer = DynamoDataSource(options).writer(SCHEMA, True)
    assert isinstance(writer, ItemWriter)
    batch = pa.record_batch({"id": list(frame), "v": list(frame.values())})
    middle = batch.num_rows // 2
    writer.commit([writer.write(iter([part])) for part in (batch.slice(0, middle), batch.slice(middle))])


def content(server: Server, table: str) -> Frame:
    return {item["id"]["S"]: item["v"]["S"] for item in server.items(table)}


def filled(server: Server) -> str:
    table = server.create()
    for start in (0, 25):
        items = [
            {"PutRequest": {"Item": {"id": {"S": f"old-{number}"}, "v": {"S": "old"}}}}
            for number in range(start, start + 25)
        ]
        server.client.batch_write_item(RequestItems={table: items})
    return table


def at_once(
    server: Server, table: str, frames: Mapping[str, Frame], choose: Chooser, confirmed: bool = False
) -> dict[str, BaseException | None]:
    """What became of overwrites of that table, each of its frame; all failures are conflicts."""
    programs = {name: partial(overwrite, server, table, frame, confirmed) for name, frame in frames.items()}
    ends = take_turns(server.endpoint, programs, choose)
    for error in filter(None, ends.values()):
        assert isinstance(error, OverwriteConflictError), error
    return ends


def by_chance(seed: int) -> Chooser:
    """Now and then another goes on: by each request, or after some of them."""
    chance = random.Random(seed)
    stays = chance.choice((0.0, 0.5, 0.8, 0.9))
    last = ""

    def choose(waiting: Mapping[str, str]) -> str:
        nonlocal last
        if last not in waiting or chance.random() >= stays:
            last = chance.choice(sorted(waiting))
        return last

    return choose


FRAMES: Mapping[str, Mapping[str, Frame]] = {
    "different rows": {"x": rows(0, 60, "x"), "y": rows(60, 120, "y")},
    "the same rows": {"x": rows(0, 60, "same"), "y": rows(0, 60, "same")},
    "the same keys": {"x": rows(0, 60, "x"), "y": rows(0, 60, "y")},
    "some of the same keys": {"x": rows(0, 60, "x"), "y": rows(40, 100, "y")},
    "a part of the same rows": {"x": rows(0, 100, "same"), "y": rows(0, 40, "same")},
    "nothing": {"x": rows(0, 60, "x"), "y": {}},
    "three": {"x": rows(0, 30, "x"), "y": rows(20, 50, "y"), "z": rows(40, 70, "z")},
}


@pytest.mark.parametrize(("seed", "kind"), quick(7, [(seed, kind) for seed in range(20) for kind in FRAMES]))
def test_either_one_fails_or_the_table_is_one_of_the_frames(local_server: Server, seed: int, kind: str) -> None:
    table = filled(local_server)
    frames = FRAMES[kind]
    ends = at_once(local_server, table, frames, by_chance(seed), confirmed=bool(seed % 2))
    found = content(local_server, table)
    assert any(ends.values()) or found in frames.values(), ends
    overwrite(local_server, table, frames["x"], False, local_server.endpoint)  # whoever is alone makes it right
    assert content(local_server, table) == frames["x"]


def stepwise(*steps: tuple[str, Callable[[str], bool]]) -> Chooser:
    """The programs one after the other, each until it is about to do what ends its step."""
    left = list(steps)

    def choose(waiting: Mapping[str, str]) -> str:
        while left and (left[0][0] not in waiting or left[0][1](waiting[left[0][0]])):
            left.pop(0)
        return left[0][0] if left else min(waiting)

    return choose


def about_to(operation: str) -> Callable[[str], bool]:
    return lambda upcoming: upcoming == operation


def never(operation: str) -> bool:
    return False


@pytest.mark.parametrize("confirmed", [False, True])
def test_one_that_starts_while_another_deletes_wins(local_server: Server, confirmed: bool) -> None:
    table = filled(local_server)
    frames = {"x": rows(0, 60, "x"), "y": rows(60, 120, "y")}
    ends = at_once(
        local_server, table, frames, stepwise(("x", about_to("delete")), ("y", never), ("x", never)), confirmed
    )
    error = ends["x"]
    assert ends["y"] is None
    assert isinstance(error, OverwriteConflictError)
    assert (error.table, error.count, error.missing, error.changed) == (table, 60, 60, 0)
    assert error.deleted > 0
    assert "Of the frame's 60 items 60 are missing" in str(error)
    assert content(local_server, table) == frames["y"]


def test_who_has_lost_before_the_deletes_deletes_nothing(local_server: Server) -> None:
    table = filled(local_server)
    frames = {"x": rows(0, 60, "x"), "y": rows(30, 90, "y")}
    ends = at_once(local_server, table, frames, stepwise(("x", about_to("Scan")), ("y", never), ("x", never)))
    error = ends["x"]
    assert ends["y"] is None
    assert isinstance(error, OverwriteConflictError)
    assert (error.missing, error.changed, error.deleted) == (30, 30, 0)
    assert error.key is not None
    assert error.key["id"] in frames["y"]
    assert content(local_server, table) == frames["y"]


def test_one_after_the_other_is_no_conflict(local_server: Server) -> None:
    table = filled(local_server)
    frames = {"x": rows(0, 60, "x"), "y": rows(30, 90, "y")}
    ends = at_once(local_server, table, frames, stepwise(("x", never), ("y", never)))
    assert not any(ends.values())
    assert content(local_server, table) == frames["y"]


# ------------------------------------------------------------------------------------------------- beside others' puts


def putting(server: Server, table: str, times: int, log: list[str]) -> Callable[[str, Request], Fault | None]:
    """Before so many of the deletes somebody else puts an item of another key."""

    def choose(operation: str, request: Request) -> Fault | None:
        if operation_of(operation, request) == "delete" and len(log) < times:
            log.append(f"foreign-{len(log)}")
            server.put(table, {"id": {"S": log[-1]}, "v": {"S": "foreign"}})
        return None

    return choose


@pytest.mark.parametrize("times", [1, 3])
def test_items_that_others_put_meanwhile_are_deleted(local_server: Server, times: int) -> None:
    table = filled(local_server)
    put: list[str] = []
    with faulty_server(local_server.endpoint, putting(local_server, table, times, put)) as proxy:
        overwrite(local_server, table, rows(0, 10, "x"), False, proxy.endpoint)
    assert len(put) == times
    assert content(local_server, table) == rows(0, 10, "x")


def test_who_puts_new_items_all_the_time_does_not_fail_it(
    local_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    table = local_server.create()
    local_server.put(table, {"id": {"S": "old"}, "v": {"S": "old"}})
    put: list[str] = []
    caplog.set_level(logging.WARNING, "spark_dynamo.source")
    with faulty_server(local_server.endpoint, putting(local_server, table, 1_000, put)) as proxy:
        overwrite(local_server, table, rows(0, 10, "x"), False, proxy.endpoint)
        looks = [request.get("ExclusiveStartKey") for operation, request, _ in proxy.log if operation == "Scan"]
    assert looks == [None] * 5 * (len(looks) // 5)
    assert content(local_server, table) == {**rows(0, 10, "x"), put[-1]: "foreign"}
    assert f"table {table} has 1 items more than the frame" in caplog.text


# ------------------------------------------------------------------------------------------------- what the last look costs


@pytest.mark.parametrize("others", [0, 50])
def test_a_second_look_is_taken_only_where_something_was_deleted(dynoxide_server: Server, others: int) -> None:
    table = filled(dynoxide_server) if others else dynoxide_server.create()
    with faulty_server(dynoxide_server.endpoint) as proxy:
        overwrite(dynoxide_server, table, rows(0, 100, "x"), False, proxy.endpoint)
        operations = Counter(operation for operation, _, _ in proxy.log)
        looks = [request for operation, request, _ in proxy.log if operation == "Scan" and not request.get("Segment")]
    assert len(looks) == (2 if others else 1)
    assert operations - Counter({"Scan": 64}) == {"DescribeTable": 1, "BatchWriteItem": 4 + others // 25}


ODD: Mapping[str, Any] = {
    "n": {"N": "1.50"},
    "big": {"N": "1E+20"},
    "ns": {"NS": ["2", "1.0", "3E+2"]},
    "ss": {"SS": ["b", "a", '"N":"1.0"']},
    "bs": {"BS": ["/w==", "AA=="]},
    "m": {"M": {"z": {"N": "0.10"}, "a": {"L": [{"NULL": True}, {"BOOL": False}, {"S": '\U0001f600\\"\x00'}]}}},
    "N": {"S": ""},
}


def test_items_are_known_again_whatever_is_in_them(server: Server) -> None:
    table = server.create()
    options = {**server.options, "table": table, "itemFormat": "json"}
    writer = DynamoDataSource(options).writer(StructType().add("item", "string"), True)
    assert isinstance(writer, ItemWriter)
    items = [json.dumps({"id": {"S": f"é{number}"}, **ODD}) for number in range(30)]
    writer.commit([writer.write(iter([pa.record_batch({"item": items})]))])
    assert len(server.items(table)) == 30


def test_rows_that_only_dynamodb_refuses_are_not_missed(dynoxide_server: Server, tmp_path: Path) -> None:
    index = Index("by_v", KeyAttribute("v", "S"))
    table = dynoxide_server.create(indexes=[index])
    dynoxide_server.put(table, {"id": {"S": "b"}, "v": {"S": "stays"}})
    options = {
        **dynoxide_server.options,
        "table": table,
        "itemFormat": "json",
        "badItems": str(tmp_path),
    }
    writer = DynamoDataSource(options).writer(StructType().add("item", "string"), True)
    assert isinstance(writer, ItemWriter)
    items = ['{"id":{"S":"a"},"v":{"S":"new"}}', '{"id":{"S":"b"},"v":{"N":"7"}}']
    written = writer.write(iter([pa.record_batch({"item": items})]))
    writer.commit([written])
    assert written.bad == 1
    left = {item["id"]["S"]: item["v"] for item in dynoxide_server.items(table)}
    assert left == {"a": {"S": "new"}, "b": {"S": "stays"}}
