"""Writes whose worker processes are killed twice in the middle, and what the table and the rejected rows must be then."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import Server
from tests.servers.faulty import FaultyServer
from tests.servers.spark_driver import Driver, clients_of, kill

Item = dict[str, dict[str, Any]]
Items = dict[str, Item]

ROWS = 120
_FRAME = f"SELECT concat('k', id) id, id n, 1 version, repeat('x', 40) text FROM range(0, {ROWS}, 1, 2)"
_WRITE = """
frame = spark.sql(sql)
if shuffled:
    frame = frame.repartition(2)
frame.write.format("dynamo-meta").options(**options).mode(mode).save(table)
"""


def row(n: int, **more: Any) -> Item:
    """The item that the frame's n-th row is."""
    return {"id": {"S": f"k{n}"}, "n": {"N": str(n)}, "version": {"N": "1"}, "text": {"S": "x" * 40}, **more}


def other(key: str, **more: Any) -> Item:
    """An item that no row of the frame is equal to."""
    return {"id": {"S": key}, "version": {"N": "0"}, "kept": {"BOOL": True}, **more}


def by_key(*items: Item) -> Items:
    return {item["id"]["S"]: item for item in items}


FRAME_ITEMS = by_key(*map(row, range(ROWS)))
OTHERS = by_key(*(other(f"other-{n}") for n in range(5)))
EXISTING = by_key(*(other(f"k{n}") for n in range(0, ROWS, 17)))  # eight keys of the frame
STALE = by_key(*(other(f"k{n}", version={"N": "9"}) for n in range(0, ROWS, 17)))


@dataclass(frozen=True)
class Write:
    """A write: what is in the table before and after, and which keys are rejected.

    `deaths` are the numbers of those of its requests at which the workers die: after its effect the first time, and before it
    the second.
    """

    request: str
    deaths: Sequence[int]
    before: Items
    after: Items
    options: Mapping[str, str] = field(default_factory=dict)
    sql: str = _FRAME
    mode: str = "append"
    rejected: Collection[str] = ()


_MIXED = f"""SELECT *, element_at(array('put', 'insert', 'update', 'delete'), int(n % 4) + 1) what FROM ({_FRAME})"""
_UPDATED = by_key(*(row(n, kept={"BOOL": True}) for n in range(ROWS)))

WRITES: dict[str, Write] = {
    "puts": Write("BatchWriteItem", (3, 8), OTHERS | EXISTING, OTHERS | FRAME_ITEMS),
    "overwrite": Write("BatchWriteItem", (3,), OTHERS | EXISTING, FRAME_ITEMS, mode="overwrite"),
    "inserts": Write("PutItem", (40, 100), OTHERS, OTHERS | FRAME_ITEMS, {"operation": "insert"}),
    "inserts of which some exist": Write(
        "PutItem", (60,), EXISTING, FRAME_ITEMS | EXISTING, {"operation": "insert"}, rejected=EXISTING
    ),
    "inserts in transactions": Write(
        "TransactWriteItems", (1,), OTHERS, OTHERS | FRAME_ITEMS, {"operation": "insert", "atomic": "true"}
    ),
    "updates with a condition": Write(
        "UpdateItem",
        (40, 100),
        by_key(*(other(key) for key in FRAME_ITEMS)) | STALE,
        _UPDATED | STALE,
        {"operation": "update", "condition": "version < new.version"},
        rejected=STALE,
    ),
    "deletes with a condition": Write(
        "DeleteItem",
        (40,),
        FRAME_ITEMS | STALE,
        STALE,
        {"operation": "delete", "condition": "version = 1"},
        rejected=STALE,
    ),
    "an operation for each row": Write(
        "PutItem",
        (20,),
        by_key(*(other(f"k{n}") for n in range(ROWS) if n % 4 > 1)),
        by_key(*(row(n, **({"kept": {"BOOL": True}} if n % 4 == 2 else {})) for n in range(ROWS) if n % 4 < 3)),
        {"operationColumn": "what"},
        sql=_MIXED,
    ),
}


def survives(
    driver: Driver,
    server: Server,
    proxy: FaultyServer,
    write: Write,
    folder: Path,
    *,
    end: Callable[[set[int]], None] = kill,
    shuffled: bool = False,
) -> None:
    """Run the write and end the processes that write, as it says."""
    table = server.create()
    put(server, table, write.before)
    deaths: list[set[int]] = []
    count = 0

    def choose(operation: str, request: dict[str, Any]) -> str | None:
        nonlocal count
        count += operation == write.request
        if operation != write.request or len(deaths) == len(write.deaths) or count < write.deaths[len(deaths)]:
            return None
        deaths.append(set(clients_of(proxy.endpoint)))
        end(deaths[-1])
        return None if len(deaths) == 1 else "reset before the answer"

    proxy.choose = choose
    options = {**Server("proxy", proxy.endpoint).options, **write.options}
    if write.rejected:
        options["conditionFailed"] = str(folder)
    driver.run(_WRITE, sql=write.sql, options=options, mode=write.mode, table=table, shuffled=shuffled)
    assert len(deaths) == len(write.deaths)
    assert all(deaths)
    assert by_key(*server.items(table)) == write.after
    lines = [json.loads(line) for file in folder.glob("*/*") for line in file.read_text().splitlines()]
    assert sorted(line["item"]["id"]["S"] for line in lines) == sorted(write.rejected)
    if write.rejected:
        done = f"{ROWS - len(write.rejected):,} items"
        assert any(
            table in line and done in line and f"{len(write.rejected)} whose condition failed" in line
            for line in driver.log.splitlines()
        ), driver.log


def put(server: Server, table: str, items: Items) -> None:
    """Many items at once."""
    entries = [{"PutRequest": {"Item": item}} for item in items.values()]
    for start in range(0, len(entries), 25):
        server.client.batch_write_item(RequestItems={table: entries[start : start + 25]})
