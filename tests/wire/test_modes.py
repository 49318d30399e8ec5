"""Modes of reading as Spark's own JSON reader has them, envelopes, answers that are none, and threads."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import Row, SparkSession
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    VariantType,
)

from spark_dynamo.errors import InvalidResponseError, MalformedItemError, SchemaError
from spark_dynamo.wire.decode import PageDecoder
from tests.wire.strategies import items, schemas, structs

CORRUPT = "_corrupt"
POINT = StructType().add("x", LongType()).add("q", StringType())


def page(*content: dict[str, Any]) -> bytes:
    return orjson.dumps({"Items": content, "Count": len(content)})


def decoder_of(schema: StructType, mode: str, **options: Any) -> PageDecoder:
    return PageDecoder(schema, **{"table": "orders", "key_names": ["id"], "mode": mode, **options})


def schema_of(kind: DataType, nullable: bool = True) -> StructType:
    return StructType([StructField("id", StringType()), StructField("v", kind, nullable), StructField("z", LongType())])


def n(number: object) -> dict[str, Any]:
    return {"N": str(number)}


def s(text: str) -> dict[str, Any]:
    return {"S": text}


def point(x: dict[str, Any]) -> dict[str, Any]:
    return {"M": {"x": x, "q": s("q")}}


# ---------------------------------------------------------------------------------------------------- as Spark does

# a type, an attribute value that doesn't fit, the same as plain JSON, and what is left of it
MISFITS: list[tuple[DataType, dict[str, Any], Any, Any]] = [
    (LongType(), s("a"), "a", None),
    (POINT, point(s("a")), {"x": "a", "q": "q"}, {"x": None, "q": "q"}),
    (POINT, n(5), 5, None),
    (ArrayType(LongType()), {"L": [n(1), s("a"), n(3)]}, [1, "a", 3], None),
    (ArrayType(LongType()), n(5), 5, None),
    (MapType(StringType(), LongType()), {"M": {"k": n(1), "l": s("a")}}, {"k": 1, "l": "a"}, None),
    (
        ArrayType(POINT),
        {"L": [point(n(1)), point(s("a"))]},
        [{"x": 1, "q": "q"}, {"x": "a", "q": "q"}],
        [{"x": 1, "q": "q"}, {"x": None, "q": "q"}],
    ),
    (ArrayType(POINT), {"L": [point(n(1)), n(5)]}, [{"x": 1, "q": "q"}, 5], None),
    (
        MapType(StringType(), POINT),
        {"M": {"k": point(s("a"))}},
        {"k": {"x": "a", "q": "q"}},
        {"k": {"x": None, "q": "q"}},
    ),
    (
        StructType().add("l", ArrayType(LongType())).add("q", StringType()),
        {"M": {"l": {"L": [n(1), s("a")]}, "q": s("q")}},
        {"l": [1, "a"], "q": "q"},
        {"l": None, "q": "q"},
    ),
    (ArrayType(ArrayType(LongType())), {"L": [{"L": [n(1)]}, {"L": [s("a")]}]}, [[1], ["a"]], None),
    (
        MapType(StringType(), ArrayType(LongType())),
        {"M": {"k": {"L": [n(1)]}, "l": {"L": [s("a")]}}},
        {"k": [1], "l": ["a"]},
        None,
    ),
]


def plain(value: Any) -> Any:
    """A value of Spark's row in the form of `to_pylist`, maps as dicts."""
    if isinstance(value, Row):
        return {name: plain(element) for name, element in value.asDict().items()}
    if isinstance(value, list):
        return [plain(element) for element in value]
    return {name: plain(element) for name, element in value.items()} if isinstance(value, dict) else value


def shown(kind: DataType, value: Any) -> Any:
    return dict(value) if isinstance(kind, MapType) and value is not None else value


def test_permissive_and_dropmalformed_are_what_sparks_json_reader_does(spark: SparkSession, tmp_path: Path) -> None:
    """One frame for all kinds of misfits: each record has one of them, and there is a good one."""
    fields = [StructField(f"c{index}", kind) for index, (kind, *_) in enumerate(MISFITS)]
    schema = StructType([StructField("id", StringType()), *fields, StructField(CORRUPT, StringType())])
    records = [{"id": "good"}, *({"id": f"{i}", f"c{i}": text} for i, (_, _, text, _) in enumerate(MISFITS))]
    content = [{"id": s("good")}, *({"id": s(f"{i}"), f"c{i}": value} for i, (_, value, _, _) in enumerate(MISFITS))]
    file = tmp_path / "records.json"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    for mode in ("PERMISSIVE", "DROPMALFORMED"):
        reader = spark.read.schema(schema).options(mode=mode, columnNameOfCorruptRecord=CORRUPT)
        expected = [plain(row) for row in reader.json(str(file)).collect()]
        found = decoder_of(schema, mode, corrupt_column=CORRUPT).decode(page(*content)).to_pylist()
        assert len(found) == len(expected) == (len(records) if mode == "PERMISSIVE" else 1)
        for ours, sparks in zip(found, expected, strict=True):
            assert (ours.pop(CORRUPT) is None) == (sparks.pop(CORRUPT) is None) == (ours["id"] == "good")
            assert {
                field.name: shown(field.dataType, ours[field.name]) for field in schema if field.name in ours
            } == sparks


@pytest.mark.parametrize(("kind", "value", "record", "left"), MISFITS)
def test_what_is_left_of_an_item_that_does_not_fit(kind: DataType, value: Any, record: Any, left: Any) -> None:
    schema = schema_of(kind).add(CORRUPT, StringType())
    bad = {"id": s("bad"), "v": value, "z": n(7), "unknown": {"NS": ["1.0"]}}
    content = [{"id": s("a"), "z": n(1)}, bad, {"id": s("b"), "z": {"NULL": True}}]
    decoder = decoder_of(schema, "PERMISSIVE", corrupt_column=CORRUPT)
    batch = decoder.decode(page(*content))
    batch.validate(full=True)
    assert batch.schema.equals(decoder.arrow_schema)
    rows = batch.to_pylist()
    assert [row["id"] for row in rows] == ["a", "bad", "b"]
    assert [row["z"] for row in rows] == [1, 7, None]
    assert [shown(kind, row["v"]) for row in rows] == [None, left, None]
    assert [row[CORRUPT] for row in rows] == [None, orjson.dumps(bad).decode(), None]
    assert (decoder.corrupt, decoder.dropped) == (1, 0)
    assert decoder.misfits.startswith(
        "items that don't fit the schema were given nulls (1), the first: Table 'orders', item {id='bad'}: attribute 'v"
    )


def test_dropped_items_are_counted_and_the_first_is_told() -> None:
    schema = schema_of(POINT)
    decoder = decoder_of(schema, "DROPMALFORMED")
    assert decoder.misfits == ""
    content = [{"id": s("a")}, {"id": s("b"), "v": point(s("x"))}, {"id": n(5)}, {"id": s("c"), "v": point(n(1))}]
    batch = decoder.decode(page(*content))
    assert batch.schema.equals(decoder.arrow_schema)
    assert batch.column("id").to_pylist() == ["a", "c"]
    decoder.decode(page(*content))
    assert (decoder.corrupt, decoder.dropped) == (0, 4)
    assert decoder.misfits.startswith(
        "items that don't fit the schema were dropped (4), the first: Table 'orders', item {id="
    )
    decoder = decoder_of(StructType().add("id", "string").add("v", POINT), "DROPMALFORMED")
    decoder.decode(page(content[1]))
    assert (
        "item {id='b'}: attribute 'v.x' is x, of DynamoDB type S, and does not fit the schema's BIGINT"
        in decoder.misfits
    )


def test_an_item_with_two_misfits_counts_once() -> None:
    decoder = decoder_of(schema_of(LongType()), "PERMISSIVE")
    assert decoder.decode(page({"v": s("a"), "z": s("b")})).to_pylist() == [{"id": None, "v": None, "z": None}]
    assert decoder.corrupt == 1


@pytest.mark.parametrize("mode", ["FAILFAST", "PERMISSIVE", "DROPMALFORMED"])
def test_the_corrupt_column_is_no_attribute(mode: str) -> None:
    schema = StructType([StructField(CORRUPT, StringType(), metadata={"dynamodb": "N"}), *schema_of(LongType())])
    good = {"id": s("a"), CORRUPT: n(5)}
    batch = decoder_of(schema, mode, corrupt_column=CORRUPT).decode(page(good, good))
    assert batch.to_pylist() == [{CORRUPT: None, "id": "a", "v": None, "z": None}] * 2
    assert decoder_of(schema, mode, corrupt_column="other").decode(page(good)).column(CORRUPT).to_pylist() == ["5"]


def test_a_schema_of_the_corrupt_column_alone() -> None:
    decoder = decoder_of(StructType().add(CORRUPT, StringType()), "PERMISSIVE", corrupt_column=CORRUPT)
    assert decoder.decode(page({"id": s("a")}, {})).to_pylist() == [{CORRUPT: None}] * 2
    assert decoder.decode(page()).num_rows == 0


@pytest.mark.parametrize("field", [StructField(CORRUPT, LongType()), StructField(CORRUPT, StringType(), False)])
def test_the_corrupt_column_must_hold_text_or_null(field: StructField) -> None:
    with pytest.raises(
        SchemaError, match="Field '_corrupt': the column of corrupt records must be STRING and nullable"
    ):
        decoder_of(StructType([field]), "PERMISSIVE", corrupt_column=CORRUPT)


def test_the_corrupt_text_is_the_items_own_to_the_last_byte() -> None:
    schema = schema_of(LongType()).add(CORRUPT, StringType())
    text = '{ "id":\n{"S":"\\u0041\\"}]"}, "v": {"N": 123456789012345678901234567890.0}, "w":{"N":"1.50E+2"} }'
    body = f'{{"Count":1, "Items" : [ {text} ] }}'.encode()
    (row,) = decoder_of(schema, "PERMISSIVE", corrupt_column=CORRUPT).decode(body).to_pylist()
    assert row == {"id": 'A"}]', "v": None, "z": None, CORRUPT: text}


# ---------------------------------------------------------------------------------------------------- what can't be null

STRICT = StructType().add("x", LongType(), nullable=False).add("q", StringType())


def test_a_misfit_below_a_field_that_is_not_nullable_makes_null_of_the_next_one_around_it() -> None:
    for attribute in ({"M": {"x": s("a"), "q": s("q")}}, {"M": {"q": s("q")}}, {"M": {"x": {"NULL": True}}}):
        decoder = decoder_of(schema_of(STRICT), "PERMISSIVE")
        assert decoder.decode(page({"id": s("a"), "v": attribute})).to_pylist() == [{"id": "a", "v": None, "z": None}]
        assert decoder.corrupt == 1


@pytest.mark.parametrize(
    ("kind", "attribute", "sentence"),
    [
        (LongType(), None, "attribute 'v' is missing, but the schema's BIGINT is not nullable. Make the column nullable"),
        (LongType(), {"NULL": True}, "attribute 'v' is NULL, but the schema's BIGINT is not nullable. Make the column"),
        (LongType(), s("x"), "does not fit the schema's BIGINT: mode PERMISSIVE can't make it NULL, for column 'v' is not nu"),
        (LongType(), n(0.5), "BIGINT: it has a fraction; mode PERMISSIVE can't make it NULL, for column 'v' is not nullable"),
        (STRICT, {"M": {}}, "attribute 'v.x' is missing, but the schema's BIGINT is not nullable"),
    ],
)  # fmt: skip
def test_a_column_that_must_not_be_null_is_still_an_error(kind: DataType, attribute: Any, sentence: str) -> None:
    item = {"id": s("k")} | ({"v": attribute} if attribute else {})
    with pytest.raises(MalformedItemError) as caught:
        decoder_of(schema_of(kind, nullable=False), "PERMISSIVE").decode(page(item))
    assert sentence in str(caught.value)
    decoder = decoder_of(schema_of(kind, nullable=False), "DROPMALFORMED")
    assert decoder.decode(page(item)).num_rows == 0
    assert decoder.dropped == 1


# ---------------------------------------------------------------------------------------------------- modes agree


@given(st.data(), structs(2, columnar=True) | schemas)
def test_modes_agree_on_which_items_fit(data: st.DataObject, schema: StructType) -> None:
    """FAILFAST tells of each item alone whether it fits; the fitting ones are the same rows in every mode."""
    content = data.draw(st.lists(items(schema, wild=True), min_size=1, max_size=4))
    schema = StructType([StructField(f.name, f.dataType, True, f.metadata) for f in schema]).add(
        "c0rrupt", StringType()
    )
    good: list[pa.RecordBatch] = []
    for item in content:
        try:
            good.append(decoder_of(schema, "FAILFAST", corrupt_column="c0rrupt").decode(page(item)))
        except MalformedItemError:
            good.append(None)
    dropping = decoder_of(schema, "DROPMALFORMED", corrupt_column="c0rrupt")
    kept = dropping.decode(page(*content))
    fitting = [batch for batch in good if batch is not None]
    assert dropping.dropped == len(content) - len(fitting)
    assert kept.equals(pa.concat_batches(fitting)) if fitting else kept.num_rows == 0
    permissive = decoder_of(schema, "PERMISSIVE", corrupt_column="c0rrupt")
    rows = permissive.decode(page(*content))
    rows.validate(full=True)
    assert permissive.corrupt == dropping.dropped
    texts = rows.column("c0rrupt").to_pylist()
    for index, (batch, item) in enumerate(zip(good, content, strict=True)):
        if batch is None:
            assert orjson.loads(texts[index]) == item
        else:
            assert rows.slice(index, 1).equals(batch)


# ---------------------------------------------------------------------------------------------------- envelopes

ITEM = {"id": s("a"), "v": n(7), "Items": s("x"), "Responses": {"M": {}}, "Item": {"L": []}}
ROW = {"id": "a", "v": 7, "z": None}
ANSWERS: list[tuple[str, dict[str, Any], int]] = [
    ("Items", {"Count": 2, "Items": [ITEM, ITEM], "LastEvaluatedKey": {"id": s("Items")}}, 2),
    ("Items", {"Items": []}, 0),
    (
        "Responses",
        {"Responses": {"orders": [ITEM, ITEM]}, "UnprocessedKeys": {"orders": {"Keys": [{"id": s("b")}]}}},
        2,
    ),
    ("Responses", {"Responses": {"orders": []}, "UnprocessedKeys": {}}, 0),
    ("Responses", {"Responses": {}, "UnprocessedKeys": {}}, 0),
    ("Responses", {"Responses": {"arn:aws:dynamodb:eu-west-1:1:table/orders": [ITEM]}}, 1),
    ("Item", {"Item": ITEM}, 1),
    ("Item", {}, 0),
    ("Item", {"ConsumedCapacity": {"TableName": "orders", "CapacityUnits": 0.5, "Item": 1}}, 0),
    ("Item", {"Item": {}}, 1),
]


@pytest.mark.parametrize(("envelope", "answer", "rows"), ANSWERS)
@pytest.mark.parametrize("indent", [None, 2])
def test_answers_of_every_operation(envelope: Any, answer: Any, rows: int, indent: int | None) -> None:
    body = json.dumps(answer, indent=indent).encode()
    expected = [ROW if answer != {"Item": {}} else dict.fromkeys(ROW)] * rows
    schema = schema_of(LongType())
    assert decoder_of(schema, "FAILFAST", envelope=envelope).decode(body).to_pylist() == expected
    by_value = StructType().add("any", VariantType()).add("id", "string")
    assert decoder_of(by_value, "FAILFAST", envelope=envelope).decode(body).num_rows == rows


@pytest.mark.parametrize("envelope", ["Items", "Responses", "Item"])
def test_every_envelope_is_columnar(envelope: Any) -> None:
    body = orjson.dumps({"Items": [ITEM], "Responses": {"orders": [ITEM]}, "Item": ITEM})
    decoder = decoder_of(schema_of(LongType()), "FAILFAST", envelope=envelope)
    assert set(decoder._decode_columns([body], nulls=False)) == {"id", "v", "z"}


@pytest.mark.parametrize("mode", ["FAILFAST", "PERMISSIVE", "DROPMALFORMED"])
@pytest.mark.parametrize("envelope", ["Items", "Responses", "Item"])
def test_answers_together_are_as_one_by_one(mode: str, envelope: Any) -> None:
    odd = {**ITEM, "v": {"S": "odd"}} if mode != "FAILFAST" else {**ITEM, "v": {"NULL": True}}
    bodies = [
        json.dumps({"Items": [item], "Responses": {"orders": [item]}, "Item": item}, indent=indent).encode()
        for item, indent in ((ITEM, None), (odd, 2), ({"id": {"S": "last"}}, None))
    ]
    bodies.append(b'{"Items":[],"Responses":{"orders":[]}}')
    together, apart = (decoder_of(schema_of(LongType()), mode, envelope=envelope) for _ in range(2))
    expected = [row for body in bodies for row in apart.decode(body).to_pylist()]
    assert together.decode(*bodies).to_pylist() == expected
    assert (together.dropped, together.corrupt) == (apart.dropped, apart.corrupt)
    assert len(expected) == 3 - together.dropped


def test_an_answer_that_is_none_among_others_is_named() -> None:
    decoder = decoder_of(schema_of(LongType()), "FAILFAST")
    good = orjson.dumps({"Items": [ITEM]})
    for bad in (b'{"Items":[', b"{}", b"null", b'{"Items":[]}{"Items":[]}'):
        with pytest.raises(InvalidResponseError):
            decoder.decode(good, bad, good)


def test_responses_may_stand_under_another_name() -> None:
    body = orjson.dumps({"Responses": {"orders-eu": [ITEM]}})
    named = decoder_of(schema_of(LongType()), "FAILFAST", envelope="Responses", responses_table="orders-eu")
    assert set(named._decode_columns([body], nulls=False)) == {"id", "v", "z"}
    assert named.decode(body).to_pylist() == [ROW]


# ---------------------------------------------------------------------------------------------------- answers that are none

NO_ANSWERS: list[tuple[str, bytes]] = [
    ("Items", b"[]"), ("Items", b"null"), ("Items", b"5"), ("Items", b""), ("Items", b"{}"),
    ("Items", b'{"Items":{"id":{"S":"a"}}}'),
    ("Items", b'{"Items":"abc"}'), ("Items", b'{"Items":[5]}'), ("Items", b'{"Items":["a"]}'), ("Items", b'{"Items":[null]}'),
    ("Items", b'{"Items":[[]]}'), ("Items", b'{"Items":[{"id":{"S":"a"}},7]}'),
    ("Responses", b"[]"), ("Responses", b"{}"), ("Responses", b'{"Responses":[]}'), ("Responses", b'{"Responses":{"orders":{}}}'),
    ("Responses", b'{"Responses":{"orders":[5]}}'), ("Responses", b'{"Responses":{"orders":null}}'),
    ("Responses", b'{"Responses":5}'),
    ("Responses", b'{"Responses":{"others":5}}'), ("Responses", b'{"Responses":{"others":[{},5]}}'),
    ("Item", b"[]"), ("Item", b"null"), ("Item", b""), ("Item", b'{"Item":5}'), ("Item", b'{"Item":[]}'), ("Item", b'{"Item":"a"}'),
]  # fmt: skip
BODIES = {"Items": b'{"Items":[%s]}', "Responses": b'{"Responses":{"orders":[%s]}}', "Item": b'{"Item":%s}'}
COLUMNS: list[tuple[DataType, str | None]] = [
    (StringType(), None), (LongType(), None), (BooleanType(), None), (BinaryType(), None), (POINT, None), (VariantType(), None),
    (ArrayType(LongType()), None), (MapType(StringType(), LongType()), None), (ArrayType(StringType()), "SS"),
    (ArrayType(IntegerType()), "NS"), (ArrayType(BinaryType()), "BS"), (ArrayType(POINT), None), (StringType(), "N"),
]  # fmt: skip
NO_ATTRIBUTE_VALUES = [
    b'{"v":5}', b'{"v":"a"}', b'{"v":[]}', b'{"v":{}}', b'{"v":true}', b'{"v":[{"S":"a"}]}', b'{"v":{"X":"a"}}', b'{"v":{"S":5}}',
    b'{"v":{"N":5}}', b'{"v":{"B":5}}', b'{"v":{"BOOL":"true"}}', b'{"v":{"BOOL":1}}', b'{"v":{"M":[]}}', b'{"v":{"M":5}}',
    b'{"v":{"L":{}}}', b'{"v":{"L":5}}', b'{"v":{"L":[5]}}', b'{"v":{"L":[null]}}', b'{"v":{"L":[{}]}}', b'{"v":{"SS":"abc"}}',
    b'{"v":{"SS":[5]}}', b'{"v":{"NS":[5]}}', b'{"v":{"BS":[true]}}', b'{"v":{"SS":{}}}', b'{"v":{"M":{"x":5}}}',
    b'{"v":{"M":{"x":{}}}}', b'{"v":{"M":{"x":[]}}}', b'{"v":{"NULL":false}}', b'{"v":{"NULL":"x"}}', b'{"v":{"N":"abc"}}',
    b'{"v":{"B":"?"}}', b'{"v":{"L":[{"M":5}]}}', b'{"v":{"S":null}}', b'{"v":{"M":null}}', b'{"v":{"SS":[null]}}',
]  # fmt: skip


@pytest.mark.parametrize(("envelope", "body"), NO_ANSWERS)
@pytest.mark.parametrize("kind", [StringType(), VariantType()])
@pytest.mark.parametrize("mode", ["FAILFAST", "PERMISSIVE", "DROPMALFORMED"])
def test_what_is_no_answer(envelope: Any, body: bytes, kind: DataType, mode: str) -> None:
    with pytest.raises(InvalidResponseError, match=f"'orders' is no valid DynamoDB JSON: .* in {len(body)} bytes"):
        decoder_of(StructType().add("v", kind), mode, envelope=envelope).decode(body)


@pytest.mark.parametrize(("kind", "tag"), COLUMNS)
@pytest.mark.parametrize("item", NO_ATTRIBUTE_VALUES)
def test_what_is_no_attribute_value(kind: DataType, tag: str | None, item: bytes) -> None:
    """A misfit in every mode and envelope, whatever the type of the column, but where that type is plain text."""
    metadata = {"dynamodb": tag} if tag else None
    schema = StructType([StructField("v", kind, metadata=metadata), StructField(CORRUPT, StringType())])
    reads_any_text = {b'{"v":{"N":"abc"}}': (StringType(), "N")}.get(item) == (kind, tag)
    for envelope, around in BODIES.items():
        body = around % item
        options = {"envelope": envelope, "corrupt_column": CORRUPT, "key_names": ["v"]}
        if reads_any_text:
            assert decoder_of(schema, "FAILFAST", **options).decode(body).num_rows == 1
            continue
        with pytest.raises(MalformedItemError, match="attribute 'v"):
            decoder_of(schema, "FAILFAST", **options).decode(body)
        assert decoder_of(schema, "DROPMALFORMED", **options).decode(body).num_rows == 0
        (row,) = decoder_of(schema, "PERMISSIVE", **options).decode(body).to_pylist()
        assert row[CORRUPT] == item.decode()


@pytest.mark.parametrize("kind", [VariantType(), MapType(StringType(), StringType())])
def test_an_attribute_value_has_one_type(kind: DataType) -> None:
    double = {"S": "a", "N": "5"}
    attribute = double if isinstance(kind, VariantType) else {"M": {"k": double}}
    with pytest.raises(MalformedItemError, match="of DynamoDB type S and N"):
        decoder_of(schema_of(kind), "FAILFAST").decode(page({"v": attribute}))


# ---------------------------------------------------------------------------------------------------- threads


def test_two_threads_share_a_decoder() -> None:
    """Pages that switch the decoder's way of parsing, next to others that don't, and counts that add up."""
    schema = schema_of(LongType()).add(CORRUPT, StringType())
    pages: list[bytes] = []
    for start in range(0, 4000, 20):
        content = [{"id": s(f"{i}"), "v": n(i)} for i in range(start, start + 20)]
        content[3]["v"] = {"NULL": True} if start % 40 else n(start)
        content[5]["z"] = s("misfit") if start % 100 == 0 else n(1)
        pages.append(page(*content))
    alone = decoder_of(schema, "PERMISSIVE", corrupt_column=CORRUPT)
    expected = [alone.decode(body) for body in pages]
    for _ in range(3):
        shared = decoder_of(schema, "PERMISSIVE", corrupt_column=CORRUPT)
        with ThreadPoolExecutor(4) as pool:
            for batch, other in zip(pool.map(shared.decode, pages), expected, strict=True):
                assert batch.equals(other)
        assert shared.corrupt == alone.corrupt == 40
