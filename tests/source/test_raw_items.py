"""Whole items from one table to another through Spark, with no change; and frames that hold no items."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import LongType, StringType, StructType, VariantType

from spark_dynamo.aws.client import raw_client
from spark_dynamo.errors import DuplicateKeyError, InvalidItemError, SchemaError
from spark_dynamo.source.write.writer import ItemWriter
from spark_dynamo.wire.items import ItemDecoder, RawItemEncoder, check_item_schema, item_schema
from tests.conftest import Server
from tests.wire.strategies import canonical, to_boto

ITEMS: list[dict[str, Any]] = [
    {"id": {"S": "numbers"}, "n": {"N": "1"}, "l": {"L": [{"N": t} for t in ("1E+100", "9" * 38, "-1E-130", "0.10", "0")]}},
    {"id": {"S": "sets"}, "n": {"N": "2"}, "s": {"SS": ["x", "é"]}, "m": {"NS": ["1.5", "1E+2"]}, "b": {"BS": ["AAE=", "/w=="]}},
    {"id": {"S": "empty"}, "n": {"N": "3"}, "s": {"S": ""}, "l": {"L": []}, "m": {"M": {}}, "b": {"B": ""}, "z": {"NULL": True}},
    {"id": {"S": 'odd "}]{[\\\n\x01é\U0001f600'}, "n": {"N": "-4.5"}, 'o"dd}\\': {"S": '"}]'}, "Items": {"BOOL": False}},
    {"id": {"S": "$"}, "n": {"N": "5"}, "$SS": {"M": {"$SS": {"L": [{"S": "x"}]}}}, "t": {"M": {"a": {"M": {"$N": {"S": "1"}}}}}},
    {"id": {"S": "numbers"}, "n": {"N": "1E+1"}, "deep": {"M": {"l": {"L": [{"M": {"b": {"B": "AAEC"}}}, {"L": [{"N": "7"}]}]}}}},
]  # fmt: skip


def the_same(items: list[dict[str, Any]]) -> list[Any]:
    """Items in a form and order in which equal ones are equal."""
    return sorted((canonical({"M": item}) for item in items), key=lambda item: repr((item[1]["id"], item[1].get("n"))))


def put_writer(server: Server, table: str, item_format: str, **options: str) -> ItemWriter:
    return server.writer(table, item_schema(item_format), itemFormat=item_format, **options)


def texts_of(*items: Any) -> pa.RecordBatch:
    return pa.record_batch({"item": [item if isinstance(item, str) else json.dumps(item) for item in items]})


def raw_pages(server: Server, table: str) -> bytes:
    """The body of a Scan, as the server sent it."""
    request = orjson.dumps({"TableName": table, "ConsistentRead": True})
    answer = raw_client(server.connection)._make_api_call("Scan", {"TableName": table, "RawBody": request})
    body: bytes = answer["Body"]
    return body


@pytest.mark.parametrize("item_format", ["json", "variant"])
def test_items_go_from_table_to_table_as_they_are(spark: SparkSession, server: Server, item_format: str) -> None:
    source, target = server.create("id:S", "n:N"), server.create("id:S", "n:N")
    server.put(source, *(to_boto({"M": item})["M"] for item in ITEMS))
    pages = raw_pages(server, source)  # once: dynoxide names an item's attributes in another order each time
    decoded = ItemDecoder(item_format, table=source).decode(pages)
    frame = spark.createDataFrame(pa.Table.from_batches([decoded]), item_schema(item_format)).repartition(2)
    assert frame.schema.fields[0].dataType == item_schema(item_format)["item"].dataType
    through_spark = frame.toArrow().to_batches()
    message = put_writer(server, target, item_format).write(iter(through_spark))
    assert message.items == len(ITEMS)
    written, kept = server.items(target), server.items(source)
    assert the_same(written) == the_same(kept)
    assert the_same(kept) == the_same(ITEMS)
    if item_format == "json":
        assert all(text.encode() in pages for text in decoded.column("item").to_pylist())


def test_json_is_what_spark_reads_as_json(spark: SparkSession, local_server: Server) -> None:
    table = local_server.create()
    # AWS trims a number's trailing zeros, says its guide, and so does dynoxide; moto keeps the text that was put
    local_server.put(table, {"id": {"S": "a"}, "price": {"N": "1.50"}})
    batch = ItemDecoder("json", table=table).decode(raw_pages(local_server, table))
    frame = spark.createDataFrame(pa.Table.from_batches([batch]), item_schema("json"))
    found = frame.selectExpr("get_json_object(item, '$.id.S') id", "get_json_object(item, '$.price.N') price")
    assert found.collect() == [("a", "1.5" if local_server.name == "dynoxide" else "1.50")]


def test_binary_and_number_keys(server: Server) -> None:
    table = server.create("b:B", "n:N")
    items = [{"b": {"B": "AP8="}, "n": {"N": number}, "v": {"S": "x"}} for number in ("1", "1E+2", "-0.5")]
    put_writer(server, table, "json").write(iter([texts_of(*items[:2]), texts_of(items[2])]))
    assert sorted(Decimal(item["n"]["N"]) for item in server.items(table)) == [Decimal("-0.5"), 1, 100]
    assert {item["b"]["B"] for item in server.items(table)} == {b"\x00\xff"}
    twice = texts_of(items[1], {**items[1], "n": {"N": "100.0"}})
    with pytest.raises(DuplicateKeyError, match="n='100.0'"):
        put_writer(server, table, "json").write(iter([twice]))
    message = put_writer(server, table, "json", duplicates="last").write(iter([twice]))
    assert (message.items, message.duplicates) == (1, 1)


def test_many_large_texts_are_cut_into_slices_and_requests(local_server: Server) -> None:
    table = local_server.create()
    items = [{"id": {"S": f"{number}"}, "v": {"S": "é" * 100_000}} for number in range(60)]
    texts = [json.dumps(item, ensure_ascii=False) for item in items]
    put_writer(local_server, table, "json").write(iter([texts_of(*texts), texts_of()]))
    assert the_same(local_server.items(table)) == the_same(items)


GOOD = {"id": {"S": "good"}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '{"id":{"S":""}}',
            "Row {id=''} can't be written to .*: attribute 'id' is : a key attribute must not be empty",
        ),
        ('{"id":{"NULL":true}}', "Row {id=None} can't .*: attribute 'id' is None: a key attribute must not be NULL"),
        ('{"id":{"S":"' + "k" * 2049 + '"}}', "Row {id='kkk.*: a partition key holds 2,048 bytes"),
        (
            '{"id":{"S":"a"},"v":{"L":[5]}}',
            "Row {id='a'} can't .*: attribute 'v' is .* is not a DynamoDB attribute value",
        ),
        ("{}", "attribute 'item' is {}: it lacks the key attribute 'id'"),
        ('{"id":{"N":"5"}}', "attribute 'id' is .*: the table has it as a key of type S"),
        ('{"id":{"S":"a"}', "it is no item in DynamoDB JSON"),
        (
            '{"id":{"S":"a"},"v":{"M":{"w":{"S":"a"},"w":{"N":"1"}}}}',
            """attribute 'v.w' is {"S":"a"} and {"N":"1"}: it stands there twice, and DynamoDB would keep one""",
        ),
        ('{"Item":{"id":{"S":"a"}}}', "it is no item itself, but holds one in Item, as the lines of an export do"),
        ('{"id":{"S":"a"},"v":{"S":"' + "x" * 409_600 + '"}}', "the item is 409,604 bytes, and DynamoDB takes at most"),
    ],
)
def test_nothing_is_sent_where_one_text_is_no_item(local_server: Server, text: str, sentence: str) -> None:
    table = local_server.create()
    with pytest.raises(InvalidItemError, match=sentence):
        put_writer(local_server, table, "json").write(iter([texts_of(*[GOOD] * 3, text)]))
    with pytest.raises(DuplicateKeyError):
        put_writer(local_server, table, "json").write(iter([texts_of(*[GOOD] * 3)]))
    assert local_server.items(table) == []


@pytest.mark.parametrize("attribute", ['{"N":"abc"}', '{"SS":[]}', '{"M":{"v":{"N":"' + "9" * 39 + '"}}}'])
def test_contents_that_dynamodb_refuses_are_found_before_anything_is_sent(local_server: Server, attribute: str) -> None:
    table = local_server.create()
    with pytest.raises(InvalidItemError, match="Row {id='bad'} can't be written to table .*: attribute 'v' is "):
        put_writer(local_server, table, "json").write(
            iter([texts_of(GOOD, '{"id":{"S":"bad"},"v":' + attribute + "}")])
        )
    assert local_server.items(table) == []


def test_large_arrow_types_are_taken_too(local_server: Server) -> None:
    table = local_server.create()
    column = pa.array([json.dumps(GOOD)], pa.large_string())
    put_writer(local_server, table, "json").write(iter([pa.record_batch({"item": column})]))
    assert local_server.items(table) == [GOOD]


@pytest.mark.parametrize(
    ("schema", "item_format", "sentence"),
    [
        (StructType().add("item", LongType()), "json", "single column, of type STRING, and the schema is item:bigint; select"),
        (StructType().add("text", StringType()), "json", "of type STRING, and the schema is text:string; select that column"),
        (StructType().add("item", StringType()), "variant", "of type VARIANT, and the schema is item:string"),
        (StructType().add("item", VariantType()), "json", "of type STRING, and the schema is item:variant"),
        (StructType().add("id", "string").add("item", "string"), "json", "the schema is id:string,item:string"),
    ],
)  # fmt: skip
def test_frames_that_hold_no_items(schema: StructType, item_format: str, sentence: str) -> None:
    with pytest.raises(SchemaError) as caught:
        check_item_schema(schema, item_format)
    assert str(caught.value).startswith(f"Field 'item': with itemFormat '{item_format}' it is the single column")
    assert sentence in str(caught.value)


def test_frames_that_hold_items() -> None:
    for item_format in ("json", "variant"):
        check_item_schema(item_schema(item_format), item_format)
        check_item_schema(item_schema(item_format, nullable=True), item_format)
        RawItemEncoder(item_format, table="orders", keys={"id": "S"})
