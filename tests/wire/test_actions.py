"""Actions on real servers do to an item what boto3's values and plain Python say that they do."""

from __future__ import annotations

import pickle
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql.types import ArrayType, DoubleType, LongType, StringType, StructField, StructType, TimestampType

from spark_dynamo.errors import InvalidItemError, OptionError, SchemaError
from spark_dynamo.wire.actions import ActionEncoder, Condition
from spark_dynamo.wire.encode import ItemEncoder
from spark_dynamo.wire.types import arrow_schema
from tests.conftest import Server
from tests.predicates.test_condition import write
from tests.wire.strategies import any_attributes, batch_of, canonical, names, rows, serialized, structs, tag_of, to_boto

PLAIN = StructType().add("id", "string").add("n", "long").add("s", "string")
NULLS = ["omit", "write", "remove"]


def frame(content: list[dict[str, Any]], schema: StructType = PLAIN) -> pa.RecordBatch:
    return batch_of(schema, [{**dict.fromkeys(schema.names), **row} for row in content])


def encoded(
    operation: str, content: list[dict[str, Any]], schema: StructType = PLAIN, **options: Any
) -> list[dict[str, Any]]:
    encoder = ActionEncoder(operation, table="orders", schema=schema, key_names=["id"], **options)
    texts = encoder.encode(frame(content, schema))
    texts.validate(full=True)
    return [orjson.loads(text) for text in texts.to_pylist()]


# ---------------------------------------------------------------------------------------------------- updates


def keyed(schema: StructType) -> StructType:
    return StructType([StructField("id", StringType()), *(field for field in schema if field.name != "id")])


frames = structs(2).map(keyed)
others = st.dictionaries(names.filter(lambda name: name != "id"), any_attributes, max_size=3)


def updated(schema: StructType, row: dict[str, Any], stored: dict[str, Any], nulls: str) -> dict[str, Any]:
    """What an update makes of an item, attribute by attribute."""
    item = {name: canonical(value) for name, value in stored.items()} | {"id": ("S", row["id"])}
    for field in schema.fields[1:]:
        value = row[field.name]
        if value is not None:
            item[field.name] = serialized(field.dataType, tag_of(field), value, nulls == "write")
        elif nulls == "write":
            item[field.name] = ("NULL", True)
        elif nulls == "remove":
            item.pop(field.name, None)
    return item


@pytest.mark.parametrize("nulls", NULLS)
@settings(max_examples=settings().max_examples // 8, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_update_leaves_the_item_that_plain_python_makes(server: Server, nulls: str, data: st.DataObject) -> None:
    schema = data.draw(frames)
    content = [{**row, "id": f"{number}"} for number, row in enumerate(data.draw(rows(schema)))]
    table = server.create()
    client = server.client
    stored: list[dict[str, Any]] = []
    for row in content:
        # some attributes that are columns, too, and some that are not; or no item at all
        before = data.draw(st.one_of(st.just({}), others))
        shared = data.draw(st.lists(st.sampled_from(schema.names[1:] or ["x"]), max_size=2))
        before = {**before, **{name: data.draw(any_attributes) for name in shared}}
        stored.append(before)
        if before:
            client.put_item(
                TableName=table, Item={"id": {"S": row["id"]}, **{k: to_boto(v) for k, v in before.items()}}
            )
    encoder = ActionEncoder("update", table=table, schema=schema, key_names=["id"], nulls=nulls)
    for action in encoder.encode(batch_of(schema, content)).to_pylist():
        assert write(server, "update", action)
    found = {item["id"]["S"]: {name: canonical(value) for name, value in item.items()} for item in server.items(table)}
    assert found == {
        row["id"]: updated(schema, row, before, nulls) for row, before in zip(content, stored, strict=True)
    }
    client.delete_table(TableName=table)


def test_what_an_update_says_of_nulls() -> None:
    content: list[dict[str, Any]] = [{"id": "a", "n": 7, "s": "x"}, {"id": "b", "s": ""}, {"id": "c"}]
    said = {nulls: [shown(action) for action in encoded("update", content, nulls=nulls)] for nulls in NULLS}
    assert said == {
        "omit": ["SET n=7,s=x", "SET s=", "REMOVE spark-dynamo: an attribute that no item has"],
        "write": ["SET n=7,s=x", "SET n=True,s=", "SET n=True,s=True"],
        "remove": ["SET n=7,s=x", "SET s= REMOVE n", "REMOVE n,s"],
    }


def shown(action: dict[str, Any]) -> str:
    """The UpdateExpression with names and values; each placeholder that is defined must stand there."""
    expression = str(action["UpdateExpression"])
    values = {alias: str(*value.values()) for alias, value in action.get("ExpressionAttributeValues", {}).items()}
    for alias, meaning in [*action["ExpressionAttributeNames"].items(), *values.items()]:
        assert alias in expression
        expression = expression.replace(alias, meaning)
    return expression


def test_an_update_with_nothing_to_set_makes_the_item_or_leaves_it(server: Server) -> None:
    table = server.create()
    server.put(table, {"id": {"S": "there"}, "n": {"N": "1"}})
    encoder = ActionEncoder("update", table=table, schema=PLAIN, key_names=["id"])
    actions = encoder.encode(frame([{"id": "there"}, {"id": "new"}])).to_pylist()
    only_key = ActionEncoder("update", table=table, schema=StructType(PLAIN.fields[:1]), key_names=["id"])
    actions += only_key.encode(pa.record_batch({"id": ["there", "other"]})).to_pylist()
    for action in actions:
        assert write(server, "update", action)
    items = sorted(server.items(table), key=str)
    assert items == [{"id": {"S": "new"}}, {"id": {"S": "other"}}, {"id": {"S": "there"}, "n": {"N": "1"}}]


def test_structs_are_set_as_a_whole() -> None:
    schema = StructType().add("id", "string").add("st", StructType().add("a", "long").add("b", "long"))
    content = [{"id": "x", "st": {"a": 1, "b": None}}]
    values = {nulls: encoded("update", content, schema, nulls=nulls)[0]["ExpressionAttributeValues"] for nulls in NULLS}
    left_out = {":u0": {"M": {"a": {"N": "1"}}}}
    assert values == {
        "omit": left_out,
        "remove": left_out,
        "write": {":u0": {"M": {"a": {"N": "1"}, "b": {"NULL": True}}}},
    }


def wide(columns: int) -> StructType:
    return StructType([StructField("id", StringType()), *(StructField(f"c{n}", LongType()) for n in range(columns))])


@pytest.mark.parametrize("nulls", NULLS)
def test_as_many_columns_as_an_update_expression_holds(dynoxide_server: Server, nulls: str) -> None:
    columns = next(count for count in range(500, 1, -1) if fits(count, nulls))
    assert columns > 400
    table, schema = dynoxide_server.create(), wide(columns)
    encoder = ActionEncoder("update", table=table, schema=schema, key_names=["id"], nulls=nulls)
    row: dict[str, Any] = dict.fromkeys(schema.names, 1)
    content = [{**row, "id": "a"}, {**row, "id": "b", "c5": None}, {"id": "c"}]
    for action in encoder.encode(frame(content, schema)).to_pylist():
        assert len(orjson.loads(action)["UpdateExpression"]) <= 4096
        assert write(dynoxide_server, "update", action)
    kept = {"omit": columns - 1, "write": columns, "remove": columns - 1}[nulls]
    assert sorted(len(item) - 1 for item in dynoxide_server.items(table)) == sorted(
        [columns, kept, columns * (nulls == "write")]
    )
    with pytest.raises(
        SchemaError, match=r"an update of \d+ attributes needs .* DynamoDB takes 4,096; select fewer columns"
    ):
        ActionEncoder("update", table="t", schema=wide(columns + 1), key_names=["id"], nulls=nulls)


def fits(columns: int, nulls: str) -> bool:
    try:
        ActionEncoder("update", table="t", schema=wide(columns), key_names=["id"], nulls=nulls)
    except SchemaError:
        return False
    return True


# ---------------------------------------------------------------------------------------------------- puts and deletes

CONDITION = Condition("#c0 = :c0 OR #c0 < :r0", {"#c0": "n"}, {":c0": {"N": "5"}}, {":r0": "n"})


@given(st.data(), frames, st.sampled_from(NULLS))
def test_a_put_has_the_items_text(data: st.DataObject, schema: StructType, nulls: str) -> None:
    content = [{**row, "id": "x"} for row in data.draw(rows(schema))]
    batch = batch_of(schema, content)
    batch = batch.slice(data.draw(st.integers(0, batch.num_rows)))
    texts = ItemEncoder(schema, table="orders", nulls="write" if nulls == "write" else "omit").encode(batch)
    encoder = ActionEncoder("put", table="orders", schema=schema, key_names=["id"], nulls=nulls)
    expected = [f'{{"TableName":"orders","Item":{text}}}' for text in texts.to_pylist()]
    assert encoder.encode(batch).to_pylist() == expected
    assert encoder.encode(batch, texts).to_pylist() == expected


def test_actions_are_what_a_transaction_takes() -> None:
    row = {"id": "a", "n": 7, "s": None}
    condition = {
        "ConditionExpression": "#c0 = :c0 OR #c0 < :r0",
        "ExpressionAttributeNames": {"#c0": "n"},
        "ExpressionAttributeValues": {":c0": {"N": "5"}, ":r0": {"N": "7"}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    key, item = {"id": {"S": "a"}}, {"id": {"S": "a"}, "n": {"N": "7"}}
    assert encoded("delete", [row]) == [{"TableName": "orders", "Key": key}]
    assert encoded("delete", [row], condition=CONDITION) == [{"TableName": "orders", "Key": key, **condition}]
    assert encoded("put", [row], condition=CONDITION) == [{"TableName": "orders", "Item": item, **condition}]
    assert encoded("insert", [row]) == [
        {
            "TableName": "orders",
            "Item": item,
            "ConditionExpression": "attribute_not_exists(#c0)",
            "ExpressionAttributeNames": {"#c0": "id"},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    ]
    assert encoded("update", [row], condition=CONDITION) == [
        {
            "TableName": "orders",
            "Key": key,
            "UpdateExpression": "SET #u0=:u0",
            **condition,
            "ExpressionAttributeNames": {"#u0": "n", "#c0": "n"},
            "ExpressionAttributeValues": {":u0": {"N": "7"}, ":c0": {"N": "5"}, ":r0": {"N": "7"}},
        }
    ]


def test_conditional_writes_do_nothing_where_the_condition_fails(server: Server) -> None:
    table = server.create()
    before = [{"id": {"S": key}, "n": {"N": number}} for key, number in [("old", "1"), ("five", "5"), ("new", "9")]]
    batch = frame([{"id": key, "n": 5, "s": "x"} for key in ("old", "five", "new", "none")])
    done = {}
    for operation, condition in [("put", CONDITION), ("update", CONDITION), ("delete", CONDITION), ("insert", None)]:
        server.put(table, *before)
        encoder = ActionEncoder(operation, table=table, schema=PLAIN, key_names=["id"], condition=condition)
        written = [write(server, operation, action) for action in encoder.encode(batch).to_pylist()]
        items = {item["id"]["S"]: item for item in server.items(table)}
        assert all(items.get(one["id"]["S"]) == one for one, sent in zip(before, written, strict=False) if not sent)
        done[operation] = (written, len(items))
    assert done == {
        "put": ([True, True, False, False], 3),
        "update": ([True, True, False, False], 3),
        "delete": ([True, True, False, False], 1),
        "insert": ([False, False, False, True], 4),
    }


def test_keys_may_be_handed_in_for_deletes_of_whole_items() -> None:
    schema = StructType().add("item", "string")
    keys = pa.array(['{"id":{"S":"a"}}'])
    encoder = ActionEncoder("delete", table="orders", schema=schema, key_names=["id"])
    assert encoder.encode(pa.record_batch({"item": ["..."]}), keys).to_pylist() == [
        '{"TableName":"orders","Key":{"id":{"S":"a"}}}'
    ]


def test_a_condition_of_an_insert_is_refused() -> None:
    with pytest.raises(OptionError, match="can't stand beside operation 'insert'.* use put"):
        ActionEncoder("insert", table="orders", schema=PLAIN, key_names=["id"], condition=CONDITION)


@pytest.mark.parametrize("operation", ["put", "insert", "update", "delete"])
def test_no_rows_make_no_actions(operation: str) -> None:
    assert encoded(operation, []) == []


def test_a_condition_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(CONDITION)) == CONDITION


# ---------------------------------------------------------------------------------------------------- what can't be sent


@pytest.mark.parametrize("operation", ["put", "update", "delete"])
def test_a_row_without_the_value_that_the_condition_wants_is_an_error(operation: str) -> None:
    with pytest.raises(InvalidItemError, match="'b'.*'n'.* compares the stored item with it, and it is NULL") as caught:
        encoded(operation, [{"id": "a", "n": 1}, {"id": "b"}, {"id": "c"}], condition=CONDITION)
    assert (caught.value.key, caught.value.attribute) == ({"id": "b"}, "n")


@pytest.mark.parametrize("operation", ["put", "insert", "update"])
def test_a_value_that_dynamodb_can_not_take_is_an_error_with_its_row(operation: str) -> None:
    schema = StructType([*PLAIN.fields, StructField("d", DoubleType())])
    content = [{"id": "a", "d": 1.0}, {"id": "b", "d": float("nan")}]
    with pytest.raises(InvalidItemError, match="NaN") as caught:
        encoded(operation, content, schema)
    assert (caught.value.key, caught.value.attribute) == ({"id": "b"}, "d")
    assert len(encoded("delete", content, schema)) == 2  # it is not looked at


def test_a_value_in_the_condition_that_dynamodb_can_not_take_is_an_error_with_its_row() -> None:
    schema = StructType([*PLAIN.fields[:1], StructField("at", TimestampType())])
    condition = Condition("#c0 = :r0", {"#c0": "at"}, {}, {":r0": "at"})
    encoder = ActionEncoder("delete", table="orders", schema=schema, key_names=["id"], condition=condition)
    batch = pa.RecordBatch.from_arrays(
        [pa.array(["a", "b"]), pa.array([0, 10**18], pa.timestamp("us", "UTC"))], schema=arrow_schema(schema)
    )
    with pytest.raises(InvalidItemError, match="years 0001 to 9999") as caught:
        encoder.encode(batch)
    assert (caught.value.key, caught.value.attribute) == ({"id": "b"}, "at")


def test_an_update_of_more_than_an_item_holds_is_an_error() -> None:
    schema = StructType([*PLAIN.fields, StructField("l", ArrayType(StringType()))])
    most = 409_600 - len("id" + "a" + "s")
    content: list[dict[str, Any]] = [{"id": "a", "s": "x" * most}, {"id": "b", "s": "x" * (most + 1)}]
    assert len(encoded("update", content[:1], schema)) == 1
    with pytest.raises(InvalidItemError, match="409,601 bytes") as caught:
        encoded("update", content, schema)
    assert caught.value.key == {"id": "b"}
    # the expression's own text does not count, nor what the condition brings
    many = [{"id": "a", "s": "x" * 200_000, "l": ["y"] * 50_000}]
    large = Condition("#c0 = :c0", {"#c0": "s"}, {":c0": {"S": "z" * 300_000}})
    assert len(encoded("update", many, schema, condition=large)) == 1


def test_a_key_that_is_null_is_left_to_the_caller() -> None:
    assert encoded("delete", [{"id": None}])[0]["Key"] == {}
