"""A table copied through a frame is the same table: item by item, attribute type by attribute type, or the loss was announced.

Numbers are compared by value and sets without order; all else must be the very same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import orjson
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, NaiveDatetime
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as all of Spark's users write it
from pyspark.sql.types import ArrayType, DataType, LongType, MapType, StringType, StructField, StructType

import spark_dynamo as sd
from spark_dynamo.aws.client import raw_client
from spark_dynamo.aws.tables import Index, KeyAttribute
from spark_dynamo.errors import InvalidItemError, SchemaError
from spark_dynamo.schema.storage import StorageForm
from spark_dynamo.wire.actions import ActionEncoder
from spark_dynamo.wire.decode import PageDecoder
from spark_dynamo.wire.encode import ItemEncoder
from spark_dynamo.wire.infer import Inference, infer_types
from spark_dynamo.wire.sample_counts import Fields
from tests.conftest import Server
from tests.wire.strategies import (
    ODD_NAMES,
    any_attributes,
    batch_of,
    binary_texts,
    canonical,
    number_texts,
    texts,
    to_boto,
)

Item = dict[str, Any]
NULL = {"NULL": True}
WRITTEN = {"dynamodb_nulls": "write"}


# ---------------------------------------------------------------------------------------------------- tables that teams have


def tagged(tag: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Item]:
    return values.map(lambda value: {tag: value})


def small(values: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=least, max_size=3)


def distinct(values: st.SearchStrategy[Any], by: Callable[[Any], Any] | None = None) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=1, max_size=3, unique_by=by or (lambda value: value))


def number_key(text: str) -> Any:
    return canonical({"N": text})


long_numbers = st.integers(-(10**38) + 1, 10**38 - 1).map(str)  # of up to 38 digits
prices = st.decimals(-1000, 1000, places=2).map(str)
NUMBERS: list[st.SearchStrategy[str]] = [
    st.integers(-(2**63), 2**63 - 1).map(str),
    prices,
    long_numbers,
    st.sampled_from(["1.0", "1E+2", "-0", "0.10", "100", "1e1"]),
    st.one_of(st.integers(-9, 9).map(str), prices, long_numbers),
    number_texts(),
]
SETS = [
    tagged("SS", distinct(texts.filter(bool))),
    tagged("BS", distinct(binary_texts.filter(bool))),
    *(tagged("NS", distinct(numbers, number_key)) for numbers in NUMBERS),
]
LEAVES = [
    tagged("S", texts),
    tagged("B", binary_texts),
    tagged("BOOL", st.booleans()),
    *(tagged("N", numbers) for numbers in NUMBERS),
]
FREE_KEYS = [f"{['usd', 'eur', 'chf', 'gbp'][place % 4]}-{place}" for place in range(40)]


@st.composite
def kinds(draw: st.DrawFn, depth: int = 2) -> st.SearchStrategy[Item]:
    """What the values of one attribute are like throughout a table."""
    shape = draw(st.integers(0, 11)) if depth else draw(st.integers(0, 3))
    if shape == 0:
        return draw(st.sampled_from(SETS))
    if shape <= 3:
        return draw(st.sampled_from(LEAVES))
    if shape == 4:
        return st.just({draw(st.sampled_from("LM")): draw(st.sampled_from([[], {}]))}).map(
            lambda empty: {tag: [] if tag == "L" else {} for tag in empty}
        )
    if shape == 5:
        return st.one_of(draw(kinds(depth - 1)), draw(kinds(depth - 1)))  # mixed types
    if shape == 6:
        return any_attributes.filter(storable)
    if shape == 7:
        return st.just(NULL)
    values = draw(kinds(depth - 1))
    if draw(st.integers(0, 3)) == 0:
        values = st.one_of(values, values, st.just(NULL))
    if shape == 8:
        return tagged("L", small(values))
    if shape == 9:
        return tagged("M", st.dictionaries(st.sampled_from(FREE_KEYS), values, max_size=8))
    return tagged("M", draw(records(depth - 1)))


@st.composite
def records(draw: st.DrawFn, depth: int, most: int = 4) -> st.SearchStrategy[Item]:
    """What maps or items with the same few attributes are like: some of them may be missing, NULL, or both."""
    simple = st.sampled_from(["name", "size", "status", "owner", "note", "tags"])
    fields = draw(st.dictionaries(st.one_of(simple, st.sampled_from(ODD_NAMES)), kinds(depth), max_size=most))
    always: dict[str, st.SearchStrategy[Item]] = {}
    sometimes: dict[str, st.SearchStrategy[Item]] = {}
    for name, values in fields.items():
        habit = draw(st.sampled_from(["always", "sparse", "null", "both"]))
        with_nulls = st.one_of(values, st.just(NULL)) if habit in ("null", "both") else values
        (sometimes if habit in ("sparse", "both") else always)[name] = with_nulls
    return st.fixed_dictionaries(always, optional=sometimes)


def storable(attribute: Item) -> bool:
    """Whether a server takes the value: no empty member in a set."""
    ((tag, value),) = attribute.items()
    if tag in ("SS", "BS"):
        return all(value)
    if tag in ("L", "M"):
        return all(map(storable, value.values() if tag == "M" else value))
    return True


tables = records(2, most=6).flatmap(lambda items: st.lists(items, min_size=1, max_size=12))


def numbered(items: Iterable[Item]) -> list[Item]:
    """The items with a key of their own."""
    return [{"id": {"S": f"{place:03}"}, **item} for place, item in enumerate(items)]


# ---------------------------------------------------------------------------------------------------- what is compared


def inferred_from(items: Sequence[Item], number_type: str = "auto") -> Inference:
    fields = Fields()
    for item in items:
        fields.see(item)
    return infer_types(fields, {"id": "S"}, number_type)


def copied(body: bytes, schema: StructType) -> list[Item]:
    """The items of a page after a read and a write."""
    batch = PageDecoder(schema, table="source").decode(body)
    return [orjson.loads(text) for text in ItemEncoder(schema, table="target").encode(batch).to_pylist()]


def page_of(items: Sequence[Item]) -> bytes:
    return orjson.dumps({"Items": items, "Count": len(items)})


def same(items: Iterable[Item]) -> list[Any]:
    """Items in a form and order in which equal ones are equal."""
    return sorted((canonical({"M": item}) for item in items), key=lambda item: str(item[1]["id"]))


def both_null_and_missing(items: Sequence[Item], schema: StructType) -> set[tuple[str, ...]]:
    """The steps to all fields of the schema that are NULL in some of the maps they belong to, and missing in others."""
    found: set[tuple[str, ...]] = set()
    _find_both([{"M": item} for item in items], schema, (), found)
    return found


def _find_both(values: list[Item], kind: DataType, steps: tuple[str, ...], found: set[tuple[str, ...]]) -> None:
    if isinstance(kind, StructType):
        maps = [value["M"] for value in values if "M" in value]
        for field in kind.fields:
            here, below = (*steps, field.name), [content[field.name] for content in maps if field.name in content]
            if NULL in below and len(below) < len(maps) and field.dataType.typeName() != "variant":
                found.add(here)
            _find_both(below, field.dataType, here, found)
    elif isinstance(kind, MapType):
        inner = [element for value in values for element in value.get("M", {}).values()]
        _find_both(inner, kind.valueType, (*steps, "{}"), found)
    elif isinstance(kind, ArrayType):
        inner = [element for value in values for element in value.get("L", [])]
        _find_both(inner, kind.elementType, (*steps, "[]"), found)


def expected(items: Sequence[Item], inferred: Inference) -> list[Item]:
    """What a copy must hold: the same items, but for NULLs whose loss is announced."""
    lost = both_null_and_missing(items, inferred.schema)
    told = [warning for warning in inferred.warnings if "NULL in some items and missing in others" in warning]
    assert len(told) == bool(lost)
    return [_without({"M": item}, inferred.schema, (), lost)["M"] for item in items]


def _without(value: Item, kind: DataType, steps: tuple[str, ...], lost: set[tuple[str, ...]]) -> Item:
    ((tag, content),) = value.items()
    if tag == "M" and isinstance(kind, StructType):
        kept = {name: element for name, element in content.items() if element != NULL or (*steps, name) not in lost}
        return {tag: {name: _without(kept[name], kind[name].dataType, (*steps, name), lost) for name in kept}}
    if tag == "M" and isinstance(kind, MapType):
        inner = {name: _without(element, kind.valueType, (*steps, "{}"), lost) for name, element in content.items()}
        return {tag: inner}
    if tag == "L" and isinstance(kind, ArrayType):
        return {tag: [_without(element, kind.elementType, (*steps, "[]"), lost) for element in content]}
    return value


# ---------------------------------------------------------------------------------------------------- copies by inference


@given(tables.map(numbered), st.sampled_from(["auto", "decimal", "string"]))
def test_a_random_table_is_copied_by_inference(items: list[Item], number_type: str) -> None:
    inferred = inferred_from(items, number_type)
    assert same(copied(page_of(items), inferred.schema)) == same(expected(items, inferred))


@settings(max_examples=settings().max_examples // 8)
@given(tables.map(numbered))
def test_a_random_table_is_copied_on_a_server(server: Server, items: list[Item]) -> None:
    source, target = server.create(), server.create()
    put(server, source, items)
    request = {"TableName": source, "ConsistentRead": True}
    body = raw_client(server.connection)._make_api_call("Scan", {**request, "RawBody": orjson.dumps(request)})["Body"]
    inferred = inferred_from(orjson.loads(body)["Items"])
    put(server, target, copied(body, inferred.schema))
    assert same(server.items(source)) == same(items)
    assert same(server.items(target)) == same(expected(items, inferred))
    for table in (source, target):
        server.client.delete_table(TableName=table)


def put(server: Server, table: str, items: Sequence[Item]) -> None:
    for start in range(0, len(items), 25):
        requests = [{"PutRequest": {"Item": to_boto({"M": item})["M"]}} for item in items[start : start + 25]]
        assert not server.client.batch_write_item(RequestItems={table: requests})["UnprocessedItems"]


def copy(spark: SparkSession, server: Server, source: str, **options: str) -> str:
    """The name of a new table with what Spark reads from that one."""
    target = server.create()
    frame = spark.read.format("dynamo-meta").options(**server.options, **options).load(source)
    frame.write.format("dynamo-meta").options(**server.options, **options).mode("append").save(target)
    return target


@pytest.fixture
def case_sensitive(spark: SparkSession) -> Iterator[None]:
    spark.conf.set("spark.sql.caseSensitive", "true")
    yield
    spark.conf.unset("spark.sql.caseSensitive")


@pytest.mark.slow
@settings(max_examples=2, phases=[Phase.generate])
@given(st.lists(tables, min_size=5, max_size=5))
@pytest.mark.usefixtures("case_sensitive")
def test_random_tables_are_copied_through_spark(
    spark: SparkSession, local_server: Server, parts: list[list[Item]]
) -> None:
    """Several tables in one, each in an attribute of its own, as a copy through Spark takes a second."""
    rows: list[Item] = [
        {f"part{place}": _without_nul({"M": part[row]}) for place, part in enumerate(parts) if row < len(part)}
        for row in range(12)
    ]
    items = numbered(rows)
    source = local_server.create()
    put(local_server, source, items)
    target = copy(spark, local_server, source)
    assert same(local_server.items(target)) == same(expected(items, inferred_from(items)))
    for table in (source, target):
        local_server.client.delete_table(TableName=table)


def _without_nul(value: Item) -> Item:
    """The value with other names in place of those with a character 0, at which Spark's own Arrow conversion fails."""
    ((tag, content),) = value.items()
    if tag == "M":
        return {tag: {name.replace("\x00", "0"): _without_nul(element) for name, element in content.items()}}
    return {tag: [_without_nul(element) for element in content]} if tag == "L" else value


ORDERS: list[Item] = [
    {
        "id": {"S": "all"},
        "text": {"S": 'ü"\\\x00😀'}, "whole": {"N": "42"}, "long": {"N": "12345678901234567890"}, "price": {"N": "12.50"},
        "digits": {"N": "1.2345678901234567890123456789012345679"}, "huge": {"N": "1E+100"}, "mixed_numbers": {"N": "1.0"},
        "flag": {"BOOL": False}, "data": {"B": "AAH/"}, "nothing": NULL, "sometimes": {"S": "x"}, "maybe": {"N": "7"},
        "words": {"SS": ["b", "a"]}, "numbers": {"NS": ["1", "2.5", "1E+2"]}, "blobs": {"BS": ["AA==", "AQ=="]},
        "list": {"L": [{"N": "1"}, {"N": "2.5"}, NULL]}, "mixed_list": {"L": [{"S": "a"}, {"N": "1"}, NULL, {"L": []}]},
        "sets_in_list": {"L": [{"SS": ["x"]}, {"SS": ["y"]}]}, "no_list": {"L": []}, "no_map": {"M": {}},
        "address": {"M": {"city": {"S": "Ulm"}, "tags": {"SS": ["home"]}, "codes": {"NS": ["1", "2"]}, "zip": NULL,
                          "geo": {"M": {"lat": {"N": "48.4"}, "past": {"L": [{"M": {"at": {"S": "x"}, "why": NULL}}]}}}}},
        "any": {"S": "text"},
    },
    {
        "id": {"S": "other"},
        "text": {"S": ""}, "whole": {"N": "-0"}, "long": {"N": "-1"}, "price": {"N": "0.1"}, "digits": {"N": "0"},
        "huge": {"N": "0.5"},
        "mixed_numbers": {"N": "99999999999999999999"}, "flag": {"BOOL": True}, "data": {"B": ""}, "nothing": NULL, "maybe": NULL,
        "words": {"SS": ["c"]}, "numbers": {"NS": ["-1"]}, "blobs": {"BS": ["/w=="]}, "list": {"L": []}, "mixed_list": {"L": []},
        "sets_in_list": {"L": []}, "no_list": {"L": []}, "no_map": {"M": {}},
        "address": {"M": {"city": NULL, "tags": {"SS": ["work"]}, "zip": {"S": "89073"}, "geo": {"M": {"lat": {"N": "0"}}}}},
        "any": {"M": {"$SS": {"SS": ["1"]}, "n": {"NS": ["1E+2"]}}},
    },
    *({"id": {"S": f"scores {user}"},
       "words": {"SS": [f"{user}"]}, "maybe": {"N": "1"}, "nothing": NULL,
       "scores": {"M": {f"game-{user}-{game}": {"N": f"{game}"} for game in range(user % 3)}},
       "rooms": {"M": {f"room-{user}": {"M": {"seats": {"NS": [f"{user}"]}, "open": NULL}}}},
       "any": NULL if user % 2 else {"N": f"{user}"}}
      for user in range(30)),
]  # fmt: skip
LOSSY: list[Item] = [
    *ORDERS,
    {
        **ORDERS[1],
        "id": {"S": "lossy"},
        "sometimes": NULL,
        "address": {"M": {**ORDERS[1]["address"]["M"], "codes": NULL}},
    },
]


@pytest.mark.parametrize("item_format", ["columns", "json", "variant"])
def test_a_table_of_all_types_is_copied_through_spark(spark: SparkSession, server: Server, item_format: str) -> None:
    source = server.create()
    items = ORDERS if item_format == "columns" else LOSSY
    put(server, source, items)
    target = copy(spark, server, source, itemFormat=item_format)
    assert same(server.items(source)) == same(items)
    assert same(server.items(target)) == same(items)


def test_a_loss_is_announced_with_the_way_out() -> None:
    inferred = inferred_from(LOSSY)
    assert inferred.warnings[0] == (
        "'address.codes' and 'sometimes' are NULL in some items and missing in others: both are read as null and "
        "written back as missing; to copy items as they are, read and write them with itemFormat 'json'"
    )
    assert not [warning for warning in inferred_from(ORDERS).warnings if "missing" in warning]
    assert [field.name for field in inferred_from(ORDERS).schema if field.metadata == WRITTEN] == ["maybe", "nothing"]


def test_a_warning_of_loss_names_ten_attributes() -> None:
    items = numbered([{f"a{number:02}": NULL for number in range(25)}, {}])
    (told, *_) = inferred_from(items).warnings
    assert told.startswith("'a00', 'a01', ")
    assert "'a09' and 15 more are NULL in some items" in told


# ---------------------------------------------------------------------------------------------------- copies by a model


class Status(StrEnum):
    OPEN = "open"


class Line(BaseModel):
    sku: str
    price: Decimal = Field(max_digits=10, decimal_places=2)
    tags: set[str]
    sizes: set[int] | None = None
    expires: Annotated[dt.datetime, StorageForm("N")] | None = None


class Order(BaseModel):
    id: str
    status: Status
    reference: UUID
    count: int
    amount: Decimal
    huge: Decimal = Field(max_digits=38, decimal_places=0)
    ratio: float
    paid: bool
    data: bytes
    placed_at: dt.datetime
    expires_at: Annotated[dt.datetime, StorageForm("N")]
    wall_clock: NaiveDatetime
    day: dt.date
    words: set[str]
    numbers: set[Decimal]
    blobs: set[bytes]
    lines: list[Line]
    notes: list[str | None]
    by_day: dict[str, int | None]
    by_shop: dict[str, Line]
    extra: Any
    settings: dict[str, Any]
    comment: str | None = None
    best: Line | None = None
    shipped_at: dt.datetime | None = None


LINE: Item = {"sku": {"S": "a"}, "price": {"N": "9.99"}, "tags": {"SS": ["x", "y"]}}
ONE: Item = {
    "id": {"S": "o-1"}, "status": {"S": "open"}, "reference": {"S": "12345678-1234-5678-1234-567812345678"}, "count": {"N": "3"},
    "amount": {"N": "0.000000000000000001"}, "huge": {"N": "9" * 38}, "ratio": {"N": "0.1"}, "paid": {"BOOL": True},
    "data": {"B": "AAH/"},
    "placed_at": {"S": "2026-11-01T08:00:00.000001+00:00"}, "expires_at": {"N": "1790000000"},
    "wall_clock": {"S": "2026-11-01T08:00:00.000000"}, "day": {"S": "2026-11-01"},
    "words": {"SS": ["b", "a"]}, "numbers": {"NS": ["1", "2.5"]}, "blobs": {"BS": ["AA==", "AQ=="]},
    "lines": {"L": [{"M": LINE}, {"M": {**LINE, "sizes": {"NS": ["1", "2"]}, "expires": {"N": "-1.5"}}}]},
    "notes": {"L": [{"S": ""}, NULL]}, "by_day": {"M": {"mo": {"N": "1"}, "tu": NULL}}, "by_shop": {"M": {"x.y": {"M": LINE}}},
    "extra": {"L": [{"NS": ["1E+100"]}, NULL]}, "settings": {"M": {"any": {"M": {"deep": {"B": "AA=="}}}, "none": NULL}},
}  # fmt: skip
TWO: Item = {
    **ONE, "id": {"S": "o-2"}, "count": {"N": "-9223372036854775808"}, "lines": {"L": []}, "notes": {"L": []}, "by_day": {"M": {}},
    "by_shop": {"M": {}}, "extra": NULL, "settings": {"M": {}}, "comment": {"S": "c"}, "best": {"M": LINE}, "data": {"B": ""},
    "shipped_at": {"S": "1969-12-31T23:59:59.999999+00:00"}, "expires_at": {"N": "1790000000.5"},
}  # fmt: skip
THREE = {name: attribute for name, attribute in {**ONE, "id": {"S": "o-3"}}.items() if name != "extra"}


def test_a_table_of_a_model_is_copied_through_spark(spark: SparkSession, server: Server) -> None:
    source, target = server.create(), server.create()
    items = [ONE, TWO, THREE]
    put(server, source, items)
    frame = spark.read.format("dynamo-meta").options(**server.options).schema(sd.struct_type(Order)).load(source)
    frame.write.format("dynamo-meta").options(**server.options).mode("append").save(target)
    assert same(server.items(source)) == same(items)
    assert same(server.items(target)) == same(items)


@pytest.mark.parametrize(
    ("name", "attribute", "copy_of_it"),
    [
        ("placed_at", {"S": "2026-11-01T10:00:00+02:00"}, {"S": "2026-11-01T08:00:00.000000+00:00"}),
        ("placed_at", {"S": "2026-11-01"}, {"S": "2026-11-01T00:00:00.000000+00:00"}),
        ("wall_clock", {"S": "2026-11-01 08:00"}, {"S": "2026-11-01T08:00:00.000000"}),
        ("ratio", {"N": "0.1000000000000000055511151231257827"}, {"N": "0.1"}),
        ("comment", NULL, None),
        ("best", {"M": {**LINE, "sizes": NULL, "colour": {"S": "red"}}}, {"M": LINE}),
    ],
)
def test_what_a_models_types_do_not_tell_apart(name: str, attribute: Item, copy_of_it: Item | None) -> None:
    """By its own choice of types: a moment has one text, a float 17 digits, NULL is None, and what is no field is not read."""
    (item,) = copied(page_of([{**ONE, name: attribute, "unknown": {"S": "x"}}]), sd.struct_type(Order))
    assert same([item]) == same([{**ONE, name: copy_of_it} if copy_of_it else ONE])


# ---------------------------------------------------------------------------------------------------- what a null becomes

INNER = StructType([StructField("noted", LongType(), True, WRITTEN), StructField("plain", LongType())])
NULLABLE = StructType(
    [
        StructField("id", StringType(), False),
        StructField("noted", StringType(), True, WRITTEN),
        StructField("plain", StringType(), True, {"dynamodb_nulls": "omit"}),
        StructField("inner", INNER),
    ]
)
KEY: Item = {"id": {"S": "a"}}


def nullable_batch() -> pa.RecordBatch:
    return batch_of(NULLABLE, [{"id": "a", "noted": None, "plain": None, "inner": {"noted": None, "plain": None}}])


@pytest.mark.parametrize(
    ("nulls", "inner", "outer"),
    [
        ("auto", {"noted": NULL}, {"noted": NULL}),
        ("omit", {}, {}),
        ("write", {"noted": NULL, "plain": NULL}, {"noted": NULL, "plain": NULL}),
    ],
)
def test_a_null_is_what_the_option_says_or_the_field(nulls: str, inner: Item, outer: Item) -> None:
    (text,) = ItemEncoder(NULLABLE, table="t", nulls=nulls).encode(nullable_batch()).to_pylist()
    assert orjson.loads(text) == {**KEY, **outer, "inner": {"M": inner}}


def test_an_update_does_not_overwrite_by_a_null_of_which_only_the_field_speaks() -> None:
    """Such a null may come from a join; within a struct, which is set as a whole, nothing stored is at stake."""
    encoder = ActionEncoder("update", table="t", schema=NULLABLE, key_names=["id"], nulls="auto")
    action = orjson.loads(encoder.encode(nullable_batch())[0].as_py())
    assert list(action["ExpressionAttributeNames"].values()) == ["inner"]
    assert list(action["ExpressionAttributeValues"].values()) == [{"M": {"noted": NULL}}]


def test_an_unknown_word_about_nulls_is_named() -> None:
    schema = StructType(
        [StructField("m", StructType([StructField("x", LongType(), True, {"dynamodb_nulls": "keep"})]))]
    )
    with pytest.raises(SchemaError, match="'m.x'.*'dynamodb_nulls': 'keep', which must be 'write' or 'omit'"):
        ItemEncoder(schema, table="t")


def test_options_overrule_what_a_field_says(local_server: Server) -> None:
    written = {"auto": {**KEY, "noted": NULL, "inner": {"M": {"noted": NULL}}}, "omit": {**KEY, "inner": {"M": {}}}}
    for nulls, item in written.items():
        table = local_server.create()
        local_server.writer(table, NULLABLE, nulls=nulls).write(iter([nullable_batch()]))
        assert local_server.items(table) == [item]


def test_a_null_key_of_an_index_is_refused_before_it_is_sent(local_server: Server) -> None:
    table = local_server.create(indexes=[Index("by-note", KeyAttribute("noted", "S"))])
    with pytest.raises(InvalidItemError, match="'noted'.*a key of a secondary index can't be NULL.*nulls=omit"):
        local_server.writer(table, NULLABLE).write(iter([nullable_batch()]))
    local_server.writer(table, NULLABLE, nulls="omit").write(iter([nullable_batch()]))
    assert local_server.items(table) == [{**KEY, "inner": {"M": {}}}]


# ---------------------------------------------------------------------------------------------------- metadata in Spark

MARKED = StructType(
    [
        StructField("id", StringType()),
        StructField("words", ArrayType(StringType()), True, {"dynamodb": "SS"}),
        StructField("number", StringType(), True, {"dynamodb": "N", **WRITTEN}),
        StructField("inner", StructType([StructField("words", ArrayType(StringType()), True, {"dynamodb": "SS"})])),
    ]
)
OTHER = "id string, words array<string>"


def metadata(schema: DataType) -> Item:
    """The metadata of all fields that have some, by their paths."""
    found: Item = {}
    for field in schema.fields if isinstance(schema, StructType) else ():
        below = {f"{field.name}.{path}": marks for path, marks in metadata(field.dataType).items()}
        found |= {**({field.name: dict(field.metadata)} if field.metadata else {}), **below}
    return found


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        (lambda frame: frame.select("inner", "words", "number").where("number > 1").orderBy("number").limit(5), []),
        (lambda frame: frame.withColumn("more", F.lit(1)).drop("id").dropDuplicates().repartition(2), []),
        (lambda frame: frame.join(frame.select("id").withColumn("k", F.lit(1)), "id", "left"), []),
        (lambda frame: frame.unionByName(frame.drop("words"), allowMissingColumns=True), []),
        (lambda frame: frame.withColumn("inner", F.col("inner").withField("x", F.lit(1))), []),
        (lambda frame: frame.selectExpr("words", "number", "named_struct('words', inner.words) AS inner"), []),
        (lambda frame: frame.groupBy("number", "words").agg(F.first("inner").alias("inner")), []),
        (lambda frame: frame.withColumn("words", F.array_sort("words")), ["words"]),
        (lambda frame: frame.withColumn("number", F.col("number").cast("string")), ["number"]),
        (lambda frame: frame.fillna("0"), ["number"]),
        (lambda frame: frame.withColumn("words", F.coalesce("words", F.array(F.lit("none")))), ["words"]),
        (lambda frame: frame.groupBy("inner").agg(F.max("number").alias("number"), F.first("words").alias("words")),
         ["number", "words"]),
        (lambda frame: frame.sparkSession.createDataFrame([], OTHER).union(frame.select("id", "words")),
         ["words", "number", "inner.words"]),
    ],
)  # fmt: skip
def test_which_changes_of_a_frame_keep_the_metadata(spark: SparkSession, change: Any, lost: list[str]) -> None:
    """A column that is passed on keeps it, an expression that makes a new value does not; `to` gives it back."""
    marks = metadata(MARKED)
    changed: DataFrame = change(spark.createDataFrame([], MARKED))
    assert metadata(changed.schema) == {path: marks[path] for path in marks if path not in lost}
    wanted = StructType([field for field in MARKED if field.name in changed.columns])
    assert metadata(changed.to(wanted).schema) == metadata(wanted)
