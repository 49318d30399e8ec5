"""Option `model` on reads: the model's schema, and items of older versions upgraded before they are decoded."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from pyspark.sql import SparkSession
from pyspark.sql.types import LongType, StringType, StructField, StructType

from spark_dynamo.aws.tables import Index, KeyAttribute
from spark_dynamo.errors import MigrationError, NewerVersionError, OptionError, SchemaError
from spark_dynamo.schema.bridge import struct_type
from spark_dynamo.source.datasource import DynamoDataSource
from spark_dynamo.source.read.explain import explain_read
from spark_dynamo.source.read.reader import TableReader
from spark_dynamo.source.upgrade.decoder import UpgradingDecoder, Versions
from spark_dynamo.wire.decode import PageDecoder
from spark_dynamo.wire.envelope import EnvelopeName
from tests.conftest import Server
from tests.source.versioned import MODEL, Current, First, Item, Order, item_of

KEYS = ("customer", "day")
INDEXES = (
    Index("by-status", KeyAttribute("status", "S"), KeyAttribute("day", "N")),
    Index("by-day", KeyAttribute("day", "N"), KeyAttribute("customer", "S")),
    Index("keys-by-day", KeyAttribute("day", "N"), KeyAttribute("customer", "S"), projection="KEYS_ONLY"),
)
ROWS = [
    {
        "customer": f"c{number % 4}",
        "day": number,
        "status": ["OPEN", "SENT", "PAID"][number % 3],
        "cents": number * 25,
        "tags": {"x", f"t{number}"} if number % 2 else None,
        "note": f"n{number % 5}" if number % 3 else None,
    }
    for number in range(36)
]
VERSIONS = (None, 1, 2, 3, 3)


def read(
    server: Server, table: str, schema: StructType | None = None, **options: str
) -> tuple[TableReader, list[Item]]:
    """The planned reader and the rows of a read, in this process but by what is pickled into tasks."""
    source = DynamoDataSource({**server.options, "model": MODEL, **options, "table": table})
    planned = source.reader(source.schema() if schema is None else schema)
    reader: TableReader = pickle.loads(pickle.dumps(planned))
    batches = [batch for part in reader.partitions() for batch in reader.read(part)]
    return reader, [row for batch in batches for row in batch.to_pylist()]


def comparable(rows: Sequence[Mapping[str, Any]]) -> list[Item]:
    """Rows in order, with sets that have none."""
    found = [{**row, **({"tags": row["tags"] and set(row["tags"])} if "tags" in row else {})} for row in rows]
    return sorted(found, key=lambda row: (row["customer"], row["day"]))


@pytest.fixture(scope="module")
def orders(server: Server) -> tuple[Server, str]:
    """A table with items of all versions."""
    table = server.create("customer:S", "day:N", INDEXES)
    server.put(table, *(item_of(row, VERSIONS[number % 5]) for number, row in enumerate(ROWS)))
    return server, table


# ---------------------------------------------------------------------------------------------------- rows

row_values = st.fixed_dictionaries(
    {
        "customer": st.sampled_from(["a", "ü", '"schema_version":{"N":"3"}']),
        "day": st.integers(-9, 9),
        "status": st.sampled_from(["OPEN", "ÄÖ", ""]),
        "cents": st.integers(0, 10**6),
        "tags": st.none() | st.sets(st.sampled_from(["x", "y", "ß"]), min_size=1),
        "note": st.none() | st.text(max_size=3),
    }
)
pages = st.lists(st.tuples(row_values, st.sampled_from(VERSIONS)), max_size=6)


def answer(envelope: EnvelopeName, items: Sequence[Item], *, spaces: bool = False) -> list[bytes]:
    option = orjson.OPT_INDENT_2 if spaces else 0
    match envelope:
        case "Items":
            return [orjson.dumps({"Items": items, "Count": len(items)}, option=option)]
        case "Responses":
            return [orjson.dumps({"Responses": {"orders": items}}, option=option)]
    return [orjson.dumps({"Item": item}, option=option) for item in items] or [b"{}"]


def decoder(
    model: type[BaseModel], *, mode: str = "FAILFAST", envelope: EnvelopeName = "Items", **more: Any
) -> UpgradingDecoder:
    versions = Versions.of(model)
    assert versions is not None
    schema = more.pop("schema", struct_type(model))
    corrupt = more.pop("corrupt_column", None)
    if corrupt:
        schema = StructType([*schema, StructField(corrupt, StringType())])

    def make(version: int | None) -> PageDecoder:
        return PageDecoder(
            schema,
            table="orders",
            key_names=KEYS,
            mode=mode,
            corrupt_column=corrupt,
            envelope=envelope,
            version=version,
        )

    return UpgradingDecoder(
        versions, make, schema, table="orders", key_names=KEYS, mode=mode, corrupt_column=corrupt, envelope=envelope
    )


@given(st.lists(pages, min_size=1, max_size=2), st.sampled_from(["Items", "Responses", "Item"]), st.booleans())
def test_rows_are_the_same_whatever_version_each_item_has(
    answers: list[list[tuple[Item, int | None]]], envelope: EnvelopeName, spaces: bool
) -> None:
    bodies = [
        body
        for page in answers
        for body in answer(envelope, [item_of(row, version) for row, version in page], spaces=spaces)
    ]
    found = decoder(Order, envelope=envelope).decode(*bodies)
    expected = [row for page in answers for row, _ in page]
    assert [{**row, "tags": row["tags"] and set(row["tags"])} for row in found.to_pylist()] == expected


def test_current_pages_are_decoded_as_they_are() -> None:
    class Untouched(UpgradingDecoder):
        def _decode_upgraded(self, bodies: Sequence[bytes]) -> Any:
            raise AssertionError("the page is current")

    ready = decoder(Order)
    ready.__class__ = Untouched
    body = answer("Items", [item_of(row, 3) for row in ROWS])
    assert ready.decode(*body).num_rows == len(ROWS)
    first = decoder(First)
    first.__class__ = Untouched
    rows = [
        {"customer": {"S": "a"}, "day": {"N": "1"}},
        {"customer": {"S": "a"}, "day": {"N": "2"}, "schema_version": {"N": "1"}},
    ]
    assert first.decode(*answer("Items", rows)).num_rows == 2
    assert first.decode(b'{"Items":[]}').num_rows == 0
    with pytest.raises(AssertionError, match="the page is current"):
        ready.decode(*answer("Items", [item_of(ROWS[0], 2)]))


def test_a_read_by_model_has_its_schema_and_upgraded_rows(orders: tuple[Server, str]) -> None:
    reader, rows = read(*orders)
    assert reader.schema == struct_type(Order)
    assert reader.access.operation == "Scan"
    assert comparable(rows) == comparable(ROWS)


@pytest.mark.parametrize(
    ("predicate", "access", "holds"),
    [
        ("status = 'OPEN'", "Scan", lambda row: row["status"] == "OPEN"),
        ("status IN ('OPEN', 'open')", "Scan", lambda row: row["status"] == "OPEN"),
        ("cents >= 300 AND cents < 500", "Scan", lambda row: 300 <= row["cents"] < 500),
        ("status <> 'OPEN' OR cents IS NULL", "Scan", lambda row: row["status"] != "OPEN"),
        ("note IS NULL", "Scan", lambda row: row["note"] is None),
        ("customer = 'c1'", "Query", lambda row: row["customer"] == "c1"),
        (
            "customer = 'c1' AND status = 'OPEN'",
            "Query",
            lambda row: row["customer"] == "c1" and row["status"] == "OPEN",
        ),
        (
            "customer = 'c1' AND day > 9 AND cents > 400",
            "Query",
            lambda row: row["customer"] == "c1" and row["cents"] > 400,
        ),
        ("customer = 'c1' AND day = 9 AND cents = 225", "GetItem", lambda row: row["day"] == 9),
        ("customer = 'c1' AND day = 9 AND cents = 0", "GetItem", lambda row: False),
        (
            "customer IN ('c1', 'c2') AND day IN (5, 6, 7, 9) AND status = 'PAID'",
            "BatchGetItem",
            lambda row: row["day"] == 5,
        ),
        ("day = 7", "Query by-day", lambda row: row["day"] == 7),
        ("day IN (6, 7) AND status = 'OPEN'", "Query by-day", lambda row: row["day"] == 6),
        ("status = 'OPEN' AND day = 6", "Query by-day", lambda row: row["day"] == 6),
        ("cents = 1 AND cents = 2", "Query", lambda row: False),
    ],
)
def test_a_filter_is_about_upgraded_rows(
    orders: tuple[Server, str], predicate: str, access: str, holds: Callable[[Item], bool]
) -> None:
    reader, rows = read(*orders, filter=predicate)
    assert f"{reader.access.operation} {reader.access.index or ''}".strip() == access
    assert not {"FilterExpression", "ProjectionExpression"} & reader.access.parameters.keys()
    assert comparable(rows) == comparable([row for row in ROWS if holds(row)])


def test_columns_are_taken_after_the_upgrade(orders: tuple[Server, str]) -> None:
    _, rows = read(*orders, columns="customer,day,cents")
    assert comparable(rows) == comparable([{name: row[name] for name in (*KEYS, "cents")} for row in ROWS])
    _, rows = read(*orders, columns="cents", filter="status = 'PAID'")
    assert sorted(row["cents"] for row in rows) == [row["cents"] for row in ROWS if row["status"] == "PAID"]


def test_a_schema_of_ones_own_is_a_projection_and_may_have_the_version(orders: tuple[Server, str]) -> None:
    schema = StructType([StructField("day", LongType()), StructField("schema_version", LongType())])
    _, rows = read(*orders, schema, filter="cents < 100")  # which is the model's column, not the schema's
    assert sorted(row["day"] for row in rows) == [0, 1, 2, 3]
    assert {row["schema_version"] for row in rows} == {3}
    with pytest.raises(SchemaError, match="'schema_version': it is the version of a model's items, a number"):
        read(*orders, StructType().add("schema_version", "string"))


def test_without_a_full_scan_only_keys_that_stay_will_do(orders: tuple[Server, str]) -> None:
    with pytest.raises(
        OptionError, match="Compare a partition key with = or IN, which are customer, day, or allow the Scan"
    ):
        read(*orders, filter="status = 'OPEN'", allowFullScan="false")
    assert len(read(*orders, filter="customer = 'c1'", allowFullScan="false")[1]) == 9


def test_the_index_of_an_attribute_that_migrations_may_change_is_refused(orders: tuple[Server, str]) -> None:
    with pytest.raises(
        OptionError,
        match="is 'by-status', which has items by 'status' as it is stored, and the migrations of model Order",
    ):
        read(*orders, index="by-status")
    with pytest.raises(
        OptionError, match="is 'keys-by-day', whose projection is KEYS_ONLY, and whole items are asked for"
    ):
        read(*orders, index="keys-by-day", columns="customer,day")
    reader, rows = read(*orders, index="by-day")
    assert reader.access.index == "by-day"
    assert comparable(rows) == comparable(ROWS)


def test_explain_tells_what_happens_to_items(orders: tuple[Server, str]) -> None:
    server, table = orders
    plan = explain_read(table, model=MODEL, filter="customer = 'c1' AND status = 'OPEN'", **server.options)
    assert plan.versions == "version 3 of model Order; older ones are upgraded in the task"
    assert (plan.filter_expression, plan.projection) == (None, None)
    assert "versions         version 3 of model Order; older ones" in str(plan)
    plan = explain_read(table, model=f"{Current.__module__}:Current", **server.options)
    assert plan.versions == "version 3 of model Current; any other version is an error"


def test_without_migrations_all_is_asked_of_dynamodb(dynoxide_server: Server) -> None:
    table = dynoxide_server.create("customer:S", "day:N", INDEXES)
    dynoxide_server.put(table, *(item_of(row, 3) for row in ROWS))
    model = f"{Current.__module__}:Current"
    reader, rows = read(
        dynoxide_server, table, filter="status = 'OPEN' AND cents > 100", columns="customer,day", model=model
    )
    assert reader.access.index == "by-status"
    assert "FilterExpression" in reader.access.parameters
    assert comparable(rows) == comparable(
        [{name: row[name] for name in KEYS} for row in ROWS if row["status"] == "OPEN" and row["cents"] > 100]
    )
    dynoxide_server.put(table, item_of({**ROWS[0], "day": 99}, 2))
    with pytest.raises(
        MigrationError,
        match=r"item {customer='c0', day=Decimal\('99'\)} of version 2, model Current: there is no migration",
    ):
        read(dynoxide_server, table, columns="customer,day", model=model)


# ---------------------------------------------------------------------------------------------------- what can't be upgraded

BAD = [
    {**item_of(ROWS[0], 2), "price": {"N": "-1"}},
    {name: value for name, value in item_of(ROWS[1], None).items() if name != "state"},
    {**item_of(ROWS[2], 3), "schema_version": {"N": "4"}},
    {**item_of(ROWS[3], 3), "schema_version": {"S": "3"}},
    {**item_of(ROWS[4], 3), "schema_version": {"NULL": True}},
    {**item_of(ROWS[5], 3), "cents": {"S": "3"}},  # current, but no item of the model
]
PROBLEMS = [
    r"item {customer='c0', day=Decimal\('0'\)} of version 2, model Order: migration .*count_cents raises ValueError: a price of -1",
    r"of version 1, model Order: migration .*name_the_status raises KeyError: 'state'",
    r"item {customer='c2', day=Decimal\('2'\)} of version 4, model Order: this code knows the model up to version 3",
    r"its schema_version is '3', and a version is a whole number",
    r"its schema_version is None, and a version is a whole number",
    r"attribute 'cents' is 3, of DynamoDB type S",
]


@pytest.mark.parametrize(("item", "problem"), list(zip(BAD, PROBLEMS, strict=True)))
def test_failfast_names_the_item_its_version_and_why(item: Item, problem: str) -> None:
    with pytest.raises(Exception, match=problem) as error:
        decoder(Order).decode(*answer("Items", [item_of(ROWS[9], 1), item]))
    assert isinstance(error.value, NewerVersionError) == (problem == PROBLEMS[2])


@pytest.mark.parametrize("envelope", ["Items", "Responses", "Item"])
def test_dropmalformed_leaves_them_out(envelope: EnvelopeName) -> None:
    ready = decoder(Order, mode="DROPMALFORMED", envelope=envelope)
    found = ready.decode(*answer(envelope, [item_of(ROWS[9], 1), *BAD, item_of(ROWS[10], 3)]))
    assert comparable(found.to_pylist()) == comparable(ROWS[9:11])
    assert ready.misfits.startswith(
        "items that can't be upgraded were dropped (5), the first: Table 'orders', item {customer='c0'"
    )
    assert "items that don't fit the schema were dropped (1)" in ready.misfits


@pytest.mark.parametrize("envelope", ["Items", "Responses", "Item"])
def test_permissive_gives_their_keys_and_the_stored_item(envelope: EnvelopeName) -> None:
    lenient = StructType(
        [
            StructField(field.name, field.dataType, field.name not in KEYS, field.metadata)
            for field in struct_type(Order)
        ]
    )
    lenient = lenient.add("schema_version", "long")
    ready = decoder(Order, mode="PERMISSIVE", envelope=envelope, schema=lenient, corrupt_column="_corrupt_record")
    found = ready.decode(*answer(envelope, [item_of(ROWS[9], 1), *BAD, item_of(ROWS[10], 3)]))
    rows = {row["day"]: row for row in found.to_pylist()}
    assert sorted(rows) == [0, 1, 2, 3, 4, 5, 9, 10]
    for place, item in enumerate(BAD[:5]):
        stored = rows[place].pop("_corrupt_record")
        assert orjson.loads(stored) == item
        assert rows[place] == dict.fromkeys(lenient.names) | {"customer": f"c{place % 4}", "day": place}
    assert orjson.loads(rows[5]["_corrupt_record"]) == BAD[5]
    assert rows[9]["_corrupt_record"] is rows[10]["_corrupt_record"] is None
    assert rows[9]["cents"] == 225


def test_permissive_needs_columns_that_may_be_null() -> None:
    ready = decoder(Order, mode="PERMISSIVE", corrupt_column="_corrupt_record")
    with pytest.raises(
        MigrationError, match="a price of -1; mode PERMISSIVE can't make it NULL, for column 'status' is not nullable"
    ):
        ready.decode(*answer("Items", BAD[:1]))


def test_modes_of_a_whole_read(server: Server) -> None:
    table = server.create("customer:S", "day:N")
    server.put(table, item_of(ROWS[9], 2), *BAD)
    with pytest.raises(Exception, match="model Order|attribute 'cents'"):
        read(server, table)
    assert comparable(read(server, table, mode="DROPMALFORMED")[1]) == [ROWS[9]]
    reader, rows = read(server, table, mode="PERMISSIVE")
    assert [field.name for field in reader.schema if not field.nullable] == list(KEYS)
    assert {row["day"]: row["_corrupt_record"] is None for row in rows} == {**dict.fromkeys(range(6), False), 9: True}
    _, rows = read(server, table, mode="PERMISSIVE", filter="customer = 'c1' AND cents > 0")
    assert [row["day"] for row in rows] == [9]


# ---------------------------------------------------------------------------------------------------- models that are none


def test_models_that_cant_be_read_by_are_refused_at_once(local_server: Server) -> None:
    table = local_server.create("customer:S", "day:N")
    with pytest.raises(OptionError, match="'model' names 'Ordre' in module .*; did you mean 'Order'"):
        read(local_server, table, model=MODEL.replace("Order", "Ordre"))
    with pytest.raises(OptionError, match="'model' needs columns, and itemFormat 'json' has none"):
        read(local_server, table, itemFormat="json")


def test_a_gap_in_the_migrations_is_known_before_anything_is_read(
    local_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "orders_with_a_gap.py").write_text(
        "from typing import ClassVar\n"
        "from pydantic import BaseModel\n"
        "from spark_dynamo.schema.evolve import migration\n"
        "class Order(BaseModel):\n"
        "    schema_version: ClassVar[int] = 3\n"
        "    id: str\n"
        "@migration(Order, from_version=1)\n"
        "def first(item): return item\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    table = local_server.create()
    with pytest.raises(MigrationError, match="there is no migration from version 2 on the way to version 3"):
        read(local_server, table, model="orders_with_a_gap:Order")


# ---------------------------------------------------------------------------------------------------- workers


@pytest.mark.slow
def test_a_worker_imports_the_model_only_for_older_items(python: Callable[..., Any], local_server: Server) -> None:
    table = local_server.create("customer:S", "day:N")
    local_server.put(table, item_of(ROWS[0], 3))
    source = DynamoDataSource({**local_server.options, "model": MODEL, "table": table, "filter": "cents >= 0"})
    reader = source.reader(source.schema())
    code = f"""
import pickle, sys
reader = pickle.loads({pickle.dumps(reader)!r})
print(sorted(row["day"] for part in reader.partitions() for batch in reader.read(part) for row in batch.to_pylist()))
print([name for name in ["pydantic", "tests.source.versioned"] if name in sys.modules])
"""
    root = str(Path.cwd())
    assert python(code, PYTHONPATH=root).stdout.split("\n")[:2] == ["[0]", "[]"]
    local_server.put(table, item_of(ROWS[4], None))
    assert python(code, PYTHONPATH=root).stdout.split("\n")[:2] == ["[0, 4]", "['pydantic', 'tests.source.versioned']"]
    broken = python(code.replace("tests.source.versioned", "tests.source.versionad"), PYTHONPATH=root)
    assert "Spark's worker met an item of an older version and can't import the model from module" in broken.stderr


def test_a_frame_of_upgraded_items(spark: SparkSession, orders: tuple[Server, str]) -> None:
    server, table = orders
    frame = spark.read.format("dynamo-meta").options(**server.options, model=MODEL, filter="day < 20").load(table)
    assert frame.schema == struct_type(Order)
    assert comparable([row.asDict() for row in frame.where("cents > 100").collect()]) == comparable(ROWS[5:20])
