"""After an overwrite the table has the items whose keys the tasks handed over, and no others."""

from __future__ import annotations

import base64
import datetime
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest
from pyspark.sql.types import StructField, StructType

import spark_dynamo.source.write.overwrite
from spark_dynamo.aws import requests as requests_module
from spark_dynamo.aws.client import Connection
from spark_dynamo.aws.requests import Counts
from spark_dynamo.aws.tables import KeyAttribute, TableDescription, describe_table
from spark_dynamo.errors import AccessDeniedError, DynamoDBWrapperError, OptionError, RequestFailedError
from spark_dynamo.source.key_texts import key_texts
from spark_dynamo.source.write.duplicates import SeenKeys
from spark_dynamo.source.write.kept_rows import Kept
from spark_dynamo.source.write.key_hashes import Fingerprints
from spark_dynamo.source.write.overwrite import UNCONFIRMED_ITEMS, Deleted, check_confirmation, delete_others
from spark_dynamo.wire.equality import canonical_texts
from tests.conftest import Server
from tests.servers.faulty import faulty_server, sometimes
from tests.servers.scripted import Reply, refusal, scripted_server

SEED = bytes(range(32))
Item = Mapping[str, Mapping[str, Any]]


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "_FIRST_DELAY", 0.001)
    monkeypatch.setattr(requests_module, "_LONGEST_DELAY", 0.02)


def field(name: str, kind: str, tag: str | None = None) -> StructField:
    (made,) = StructType().add(name, kind, metadata=None if tag is None else {"dynamodb": tag})
    return made


def handed_over(table: TableDescription, fields: Sequence[StructField], *batches: pa.RecordBatch) -> list[bytes]:
    """What tasks with one batch each give."""
    parts = []
    for batch in batches:
        seen = SeenKeys(Fingerprints(SEED))
        seen.add(key_texts(batch, table.keys, StructType(list(fields))))
        parts.append(seen.to_bytes())
    return parts


def overwrite(
    server: Server,
    name: str,
    fields: Sequence[StructField],
    *batches: pa.RecordBatch,
    connection: Connection | None = None,
    size_known: bool = True,
    **arguments: Any,
) -> Deleted:
    """The items of the frame are in the table as they were put; one whose size is not known is scanned in many segments."""
    table = describe_table(server.client, name)
    table = table if size_known else replace(table, item_count=0, size_bytes=0)
    parts = handed_over(table, fields, *batches)
    kept = Kept(SEED, tuple(parts), (fingerprints(*server.items(name)),))
    return delete_others(connection or server.connection, table, name, kept, **{"confirmed": False, **arguments})


def fingerprints(*items: Item) -> bytes:
    seen = SeenKeys(Fingerprints(SEED))
    texts = (orjson.dumps(item, default=lambda binary: base64.b64encode(binary).decode()) for item in items)
    seen.add(canonical_texts(map(orjson.loads, texts)))
    return seen.to_bytes()


def fill(server: Server, table: str, *items: Item) -> None:
    for start in range(0, len(items), 25):
        requests = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        assert not server.client.batch_write_item(RequestItems={table: requests})["UnprocessedItems"]


def texts_of(server: Server, table: str, *names: str) -> set[tuple[Any, ...]]:
    return {tuple(next(iter(item[name].values())) for name in names) for item in server.items(table)}


def test_items_whose_keys_no_task_wrote_are_deleted(server: Server) -> None:
    table = server.create("id:S", "day:N")
    fill(server, table, *({"id": {"S": name}, "day": {"N": str(day)}} for name in "abc" for day in range(40)))
    frames = [pa.record_batch({"id": [name] * 20, "day": range(20)}) for name in "ab"]
    deleted = overwrite(server, table, [field("id", "string"), field("day", "long")], *frames)
    assert texts_of(server, table, "id", "day") == {(name, str(day)) for name in "ab" for day in range(20)}
    assert (deleted.scanned, deleted.items, deleted.retries) == (120, 80, 0)
    assert deleted.requests >= 4 + 1
    assert deleted.read_units > 0
    assert deleted.write_units > 0
    again = overwrite(server, table, [field("id", "string"), field("day", "long")], *frames, confirmed=True)
    assert (again.scanned, again.items) == (40, 0)


TEXTS = ["a", "é", "\U0001f600", 'with "quotes"', "back\\slash", "\0", "tab\t", "\\u0000", " ", "x" * 2000, "1", "1.0"]
BINARIES = [b"\0", b"\0\0", b"a", b"ab", b"abc", b"\xff" * 2048, "é".encode()]


@pytest.mark.parametrize("confirmed", [False, True])
def test_text_keys_of_all_kinds_are_known_again(server: Server, confirmed: bool) -> None:
    table = server.create("id:S", "k:S")
    keys = [(text, other[:1024]) for text in TEXTS for other in (text, "é\0", "same")]
    fill(server, table, *({"id": {"S": key}, "k": {"S": k}} for key, k in keys))
    kept = sorted(set(keys))[::2]
    frame = pa.record_batch({"id": [key for key, _ in kept], "k": [k for _, k in kept]})
    deleted = overwrite(server, table, [field("id", "string"), field("k", "string")], frame, confirmed=confirmed)
    assert texts_of(server, table, "id", "k") == set(kept)
    assert deleted.items == len(set(keys)) - len(kept)


def test_binary_keys_of_all_lengths_are_known_again(server: Server) -> None:
    table = server.create("id:B", "k:B")
    keys = [(key, k[:1024]) for key in BINARIES for k in (b"k", key)]
    fill(server, table, *({"id": {"B": key}, "k": {"B": k}} for key, k in keys))
    kept = sorted(set(keys))[::2]
    frame = pa.record_batch({"id": [key for key, _ in kept], "k": [k for _, k in kept]})
    overwrite(server, table, [field("id", "binary"), field("k", "binary")], frame)
    assert texts_of(server, table, "id", "k") == set(kept)


NUMBERS = [
    "0",
    "1",
    "-1",
    "100",
    "1.5",
    "-0.001",
    "1E+20",
    "12345678901234567890123456789012345678",
    "1E-130",
    "1E+125",
]
FRAMES: Mapping[str, tuple[StructField, pa.Array, set[str]]] = {
    "long": (field("n", "long"), pa.array([0, 100, -1]), {"0", "100", "-1"}),
    "decimal": (
        field("n", "decimal(25,4)"),
        pa.array([Decimal("1.5"), Decimal(100), Decimal("-0.001"), Decimal("1E20")], pa.decimal128(25, 4)),
        {"1.5", "100", "-0.001", "1E+20"},
    ),
    "whole decimal": (
        field("n", "decimal(38,0)"),
        pa.array([Decimal(NUMBERS[7]), Decimal(100)], pa.decimal128(38, 0)),
        {NUMBERS[7], "100"},
    ),
    "double": (
        field("n", "double"),
        pa.array([-0.0, 1e20, 1.5, 1e-130, 1e125, 100.0]),
        {"0", "1E+20", "1.5", "1E-130", "1E+125", "100"},
    ),
    "float": (field("n", "float"), pa.array([1.5, 100.0], pa.float32()), {"1.5", "100"}),
    "text": (
        field("n", "string", "N"),
        pa.array(["1.0", "-0", "+1.5", "0.1E+3", "0.1E-129", NUMBERS[7] + ".0"]),
        {"1", "0", "1.5", "100", "1E-130", NUMBERS[7]},
    ),
    "epoch seconds": (
        field("n", "timestamp", "N"),
        pa.array(
            [datetime.datetime(1970, 1, 1, 0, 1, 40), datetime.datetime(1970, 1, 1, 0, 0, 1, 500_000)],
            pa.timestamp("us", "UTC"),
        ),
        {"100", "1.5"},
    ),
}


@pytest.mark.parametrize("frame", FRAMES)
def test_number_keys_are_known_again_in_whatever_form(server: Server, frame: str) -> None:
    table = server.create("n:N")
    fill(server, table, *({"n": {"N": number}} for number in NUMBERS))
    column, values, kept = FRAMES[frame]
    overwrite(server, table, [column], pa.record_batch({"n": values}))
    assert {Decimal(text) for (text,) in texts_of(server, table, "n")} == set(map(Decimal, kept))


def test_moments_as_keys_are_known_again(local_server: Server) -> None:
    table = local_server.create("day:S", "at:S")
    fill(
        local_server,
        table,
        *({"day": {"S": f"2026-01-0{day}"}, "at": {"S": f"2026-01-0{day}T00:00:00.000000+00:00"}} for day in (1, 2, 3)),
    )
    moment = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    frame = pa.record_batch({"day": [moment.date()], "at": pa.array([moment], pa.timestamp("us", "UTC"))})
    overwrite(local_server, table, [field("day", "date"), field("at", "timestamp")], frame)
    assert texts_of(local_server, table, "day") == {("2026-01-02",)}


def test_an_empty_frame_empties_the_table(local_server: Server) -> None:
    table = local_server.create("id:S")
    fill(local_server, table, *({"id": {"S": f"item-{number}"}} for number in range(60)))
    assert overwrite(local_server, table, [field("id", "string")]).items == 60
    assert overwrite(local_server, table, [field("id", "string")], confirmed=True).scanned == 0
    assert not local_server.items(table)


def test_names_that_expressions_do_not_take_are_keys_as_well(server: Server) -> None:
    table = server.create("order id:S", "date:N")
    fill(server, table, *({"order id": {"S": "a"}, "date": {"N": str(day)}} for day in range(3)))
    frame = pa.record_batch({"order id": ["a"], "date": [1]})
    overwrite(server, table, [field("order id", "string"), field("date", "long")], frame)
    assert texts_of(server, table, "date") == {("1",)}


# ------------------------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("confirmed", [False, True])
def test_an_overwrite_survives_faults(local_server: Server, seed: int, confirmed: bool) -> None:
    table = local_server.create("id:S")
    fill(local_server, table, *({"id": {"S": f"item-{number}"}} for number in range(200)))
    faults = [
        "ThrottlingException",
        "InternalServerError",
        "answer lost",
        "reset before the answer",
        "wrong CRC32",
        "short page",
        "empty page",
    ]
    frame = pa.record_batch({"id": [f"item-{number}" for number in range(0, 200, 2)]})
    with faulty_server(local_server.endpoint, sometimes(faults, seed=seed, probability=0.4)) as proxy:
        deleted = overwrite(
            local_server,
            table,
            [field("id", "string")],
            frame,
            connection=proxy.connection,
            size_known=False,
            confirmed=confirmed,
        )
        assert proxy.faults
        assert deleted.items == 100
        assert deleted.retries
    assert texts_of(local_server, table, "id") == {(f"item-{number}",) for number in range(0, 200, 2)}


@pytest.mark.parametrize("confirmed", [False, True])
@pytest.mark.parametrize("refused", ["Scan", "BatchWriteItem"])
def test_a_failure_midway_keeps_every_item_that_should_stay(
    local_server: Server, confirmed: bool, refused: str
) -> None:
    table = local_server.create("id:S")
    fill(local_server, table, *({"id": {"S": f"item-{number}"}} for number in range(200)))
    frame = pa.record_batch({"id": [f"item-{number}" for number in range(50)]})
    counter = iter(range(1000))

    def choose(operation: str, request: Any) -> str | None:
        return "AccessDeniedException" if operation == refused and next(counter) == 2 else None

    with faulty_server(local_server.endpoint, choose) as proxy, pytest.raises(RequestFailedError) as caught:
        overwrite(
            local_server,
            table,
            [field("id", "string")],
            frame,
            connection=proxy.connection,
            size_known=False,
            confirmed=confirmed,
        )
    assert isinstance(caught.value, AccessDeniedError) or isinstance(caught.value.original_error, AccessDeniedError)
    left = texts_of(local_server, table, "id")
    assert {(f"item-{number}",) for number in range(50)} <= left
    if refused == "Scan" and not confirmed:
        assert len(left) == 200  # nothing is deleted before all is looked at
    assert overwrite(local_server, table, [field("id", "string")], frame).items == len(left) - 50


@pytest.mark.server
def test_it_gives_up_after_its_patience() -> None:
    with scripted_server(lambda operation, request: refusal("ThrottlingException")) as server:
        started = time.monotonic()
        with pytest.raises(RequestFailedError, match="none succeeded"):
            delete_others(server.connection, TABLE, "orders", Kept(SEED), confirmed=True, patience=0.3)
        assert time.monotonic() - started < 30  # it ends, on a busy machine too


def test_keys_of_another_write_delete_nothing(local_server: Server) -> None:
    table = local_server.create("id:S")
    fill(local_server, table, {"id": {"S": "a"}})
    described = describe_table(local_server.client, table)
    parts = handed_over(described, [field("id", "string")], pa.record_batch({"id": ["a"]}))
    for seed, handed in ((bytes(32), parts), (SEED, [*parts, b""])):
        with pytest.raises(DynamoDBWrapperError, match="not of this write"):
            delete_others(local_server.connection, described, table, Kept(seed, tuple(handed)), confirmed=True)
    assert len(local_server.items(table)) == 1


def test_a_budget_is_kept(dynoxide_server: Server) -> None:
    table = dynoxide_server.create("id:S")
    fill(dynoxide_server, table, *({"id": {"S": f"item-{number}"}} for number in range(100)))
    started = time.monotonic()
    deleted = overwrite(dynoxide_server, table, [field("id", "string")], write_units=60.0, confirmed=True)
    assert deleted.items == 100
    assert time.monotonic() - started > 1.0
    large = {"text": {"S": "x" * 3_000}}  # an item that costs 1 unit to read
    fill(dynoxide_server, table, *({"id": {"S": f"item-{number}"}, **large} for number in range(40)))
    started = time.monotonic()
    deleted = overwrite(dynoxide_server, table, [field("id", "string")], read_units=30.0)
    assert (deleted.scanned, deleted.items) == (40, 40)
    assert time.monotonic() - started > 0.6


# ------------------------------------------------------------------------------------------------- confirmation

TABLE = TableDescription(
    "orders", "arn:aws:dynamodb:eu-west-1:1:table/orders", KeyAttribute("id", "S"), None, UNCONFIRMED_ITEMS, 0, "ACTIVE"
)


def test_a_small_table_needs_no_confirmation() -> None:
    assert check_confirmation(None, TABLE, "orders") is False
    assert check_confirmation("orders", TABLE, "orders") is True


def test_a_large_table_is_overwritten_by_its_name_only() -> None:
    large = replace(TABLE, item_count=UNCONFIRMED_ITEMS + 1)
    with pytest.raises(OptionError) as caught:
        check_confirmation(None, large, "orders")
    assert str(caught.value) == (
        "Option 'overwriteConfirm' is missing; table 'orders' has about 100,001 items, and mode 'overwrite' deletes all whose "
        "keys are not in the frame. Set it to 'orders' where that is meant."
    )
    assert check_confirmation("orders", large, "orders") is True
    assert check_confirmation(large.arn, large, large.arn) is True
    for table in (TABLE, large):
        with pytest.raises(OptionError, match="'overwriteConfirm' is 'order', and the table to overwrite is 'orders'"):
            check_confirmation("order", table, "orders")


@pytest.mark.parametrize("size_known", [False, True])
def test_as_many_items_are_deleted_as_are_allowed(local_server: Server, size_known: bool) -> None:
    table = local_server.create("id:S")
    fill(local_server, table, *({"id": {"S": f"item-{number}"}} for number in range(50)))
    frame = pa.record_batch({"id": ["item-7"]})
    arguments: dict[str, Any] = {"unconfirmed_items": 48, "size_known": size_known}
    with pytest.raises(
        OptionError, match=f"table '{table}' has all items of the frame now, but also more than 48 others"
    ):
        overwrite(local_server, table, [field("id", "string")], frame, **arguments)
    assert len(local_server.items(table)) == 50
    assert (
        overwrite(local_server, table, [field("id", "string")], frame, **arguments | {"unconfirmed_items": 49}).items
        == 49
    )
    assert texts_of(local_server, table, "id") == {("item-7",)}


@pytest.mark.server
def test_more_items_than_dynamodb_told_of_are_not_deleted_unconfirmed() -> None:
    """What DescribeTable tells may be hours old."""
    with scripted_server(Counted(UNCONFIRMED_ITEMS + 1)) as server:
        with pytest.raises(
            OptionError, match="more than 100,000 others, of which none was deleted. Set it to 'orders'"
        ):
            delete_others(server.connection, TABLE, "orders", Kept(SEED), confirmed=False)
        assert {operation for operation, _ in server.requests} == {"Scan"}  # no BatchWriteItem


class Counted:
    """A table of so many items, whose first segment has them all."""

    def __init__(self, items: int) -> None:
        self._items = items

    def __call__(self, operation: str, request: dict[str, Any]) -> Reply:
        if request["Segment"]:
            return Reply({"Items": [], "ScannedCount": 0})
        start = int(request.get("ExclusiveStartKey", {"id": {"S": "0"}})["id"]["S"])
        stop = min(start + 20_001, self._items)
        last = {} if stop == self._items else {"LastEvaluatedKey": {"id": {"S": str(stop)}}}
        items = [{"id": {"S": str(number)}} for number in range(start, stop)]
        return Reply({"Items": items, "ScannedCount": stop - start, **last})


def test_the_log_tells_how_far_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.set()

    logger = logging.getLogger("spark_dynamo.source.write.overwrite")
    listener = Listener()
    logger.addHandler(listener)
    try:
        with _reported():
            assert told.wait(10)
    finally:
        logger.removeHandler(listener)
    assert caplog.messages[0] == "overwrite of table orders: 7,000 of about 100,000 items looked at, 12 deleted"
    assert not [thread for thread in threading.enumerate() if thread.name == "dynamodb-overwrite"]


def _reported() -> Any:
    return spark_dynamo.source.write.overwrite._reported(Counts(items=7_000), Counts(items=12), TABLE, every=0.01)
