"""Models as record batches and as items, and back, without Spark."""

from __future__ import annotations

import doctest
from decimal import Decimal
from typing import Any, ClassVar

import orjson
import pyarrow as pa
import pytest
from pydantic import BaseModel, Field

import spark_dynamo.schema.items
import spark_dynamo.schema.rows
from spark_dynamo.errors import MalformedItemError, NewerVersionError, SchemaError, ValidationError
from spark_dynamo.metadata.tables import METADATA_TABLES
from spark_dynamo.schema.bridge import node_of
from spark_dynamo.schema.evolve import migration
from spark_dynamo.schema.items import ModelItems
from spark_dynamo.schema.rows import ModelRows
from tests.schema.examples import FIRST, PARCELS, Money, Parcel


class Order(BaseModel):
    order_id: str
    count: int = Field(1, ge=0)
    lines: list[Money] = []


def answer(items: ModelItems[Parcel], models: list[Parcel]) -> bytes:
    return b'{"Items":[' + ",".join(items.encode(models).to_pylist()).encode() + b"]}"


def test_the_examples_in_the_docstrings() -> None:
    assert doctest.testmod(spark_dynamo.schema.rows).failed == 0
    assert doctest.testmod(spark_dynamo.schema.items).failed == 0


def test_models_come_back_from_batches() -> None:
    rows = ModelRows(Parcel, node_of(Parcel))
    assert list(rows.models([rows.batch(PARCELS), rows.batch([FIRST])])) == [*PARCELS, FIRST]


def test_models_come_back_from_items() -> None:
    items = ModelItems(Parcel, table="parcels", key_names=["parcel_id"])
    assert items.decode(answer(items, PARCELS)) == PARCELS


def test_an_item_is_what_dynamodb_keeps_of_a_model() -> None:
    (text,) = ModelItems(Parcel, table="parcels").encode([FIRST]).to_pylist()
    item = orjson.loads(text)
    assert item["placed"] == {"S": "2026-10-25T00:30:00.000000+00:00"}
    assert item["expires"] == {"N": "1798761600"}
    assert item["took"] == {"N": "-259199.999993"}
    assert sorted(item["tags"]["SS"]) == ["x", "y"]
    assert item["lines"] == {"L": [{"NULL": True}, {"M": {"amount": {"N": "1"}, "currency": {"S": "USD"}}}]}
    assert item["anything"]["L"][3] == {"M": {"k": {"N": "1.5"}}}
    assert item["settings"]["M"]["z"] == {"B": "MQ=="}
    assert item["secret"] == {"S": "hidden"}
    assert "is_gift" not in item


def test_the_metadata_models_come_back() -> None:
    for table in METADATA_TABLES.values():
        examples = {
            "pipeline_config": {"pipeline_name": "n", "source_type": "s3", "destination_type": "delta"},
            "table_config": {
                "pipeline_id": "p",
                "table_name": "t",
                "table_type": "source",
                "data_format": "csv",
                "location": "/",
            },
            "pipeline_run_logs": {
                "pipeline_id": "p",
                "status": "failed",
                "trigger_type": "manual",
                "duration_seconds": "1.25",
                "stages": [{"stage_name": "load", "status": "success"}],
                "data_quality_results": [{"check_name": "c", "passed": True, "expected_value": {"a": [1]}}],
                "log_messages": [{"at": "x", "n": 1}],
                "expires_at": "2027-01-01T00:00:00Z",
            },
        }
        model = table.model(**{table.partition_key.name: "k"}, **examples[table.logical_name])
        items = ModelItems(table.model, table=table.logical_name, key_names=[table.partition_key.name])
        (text,) = items.encode([model]).to_pylist()
        assert items.decode(b'{"Items":[%s]}' % text.encode()) == [model]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (5, "Row 7 is no Order, but the int 5"),
        (Order(order_id="a").model_copy(update={"count": 2**63}), "Row 7 is a Order that doesn't fit its columns"),
        (Order(order_id="a").model_copy(update={"count": None}), "count"),
        (
            Order(order_id="a", lines=[Money(amount=Decimal(1)).model_copy(update={"amount": Decimal("0.001")})]),
            "lines: .*0.001.* is no array<struct<amount:decimal",
        ),
    ],
)
def test_a_value_that_its_column_cannot_hold_is_named(bad: object, said: str) -> None:
    rows = ModelRows(Order, node_of(Order))
    with pytest.raises(ValidationError, match=said):
        rows.batch([Order(order_id="b"), bad], start=6)  # type: ignore[list-item]


def test_values_that_the_model_refuses_are_named_with_row_and_field() -> None:
    lenient = node_of(Order)
    rows = ModelRows(Order, lenient)
    good = rows.batch([Order(order_id="a"), Order(order_id="b")])
    bad = good.set_column(1, "count", pa.array([3, -4]))
    with pytest.raises(ValidationError) as caught:
        list(rows.models([good, bad]))
    assert str(caught.value).startswith("1 of 2 rows is no Order")
    assert caught.value.errors == {"row 3: count": "Input should be greater than or equal to 0, not -4"}


def test_an_item_that_is_no_such_model_is_named() -> None:
    items = ModelItems(Order, table="orders", key_names=["order_id"])
    with pytest.raises(MalformedItemError, match="item {order_id='a'}: attribute 'count' is x"):
        items.decode(b'{"Items":[{"order_id":{"S":"a"},"count":{"S":"x"},"lines":{"L":[]}}]}')


def test_an_attribute_that_is_missing_leaves_its_field_the_default() -> None:
    items = ModelItems(Order, table="orders", key_names=["order_id"])
    assert items.decode(b'{"Items":[{"order_id":{"S":"a"}}]}') == [Order(order_id="a")]
    with pytest.raises(MalformedItemError, match="'order_id' is missing"):
        items.decode(b'{"Items":[{"count":{"N":"1"}}]}')


def test_a_model_without_a_dynamodb_form_has_no_items() -> None:
    class Scores(BaseModel):
        by_year: dict[int, float]

    with pytest.raises(SchemaError, match="by_year"):
        ModelItems(Scores, table="scores")


class Customer(BaseModel):
    schema_version: ClassVar[int] = 2

    customer_id: str
    name: str


@migration(Customer, from_version=1)
def one_name(item: dict[str, Any]) -> dict[str, Any]:
    return {"customer_id": item["customer_id"], "name": f"{item['first']} {item['last']}"}


def test_items_carry_the_version_and_older_ones_are_upgraded() -> None:
    items = ModelItems(Customer, table="customers", key_names=["customer_id"])
    new = Customer(customer_id="b", name="Grace Hopper")
    (text,) = items.encode([new]).to_pylist()
    assert orjson.loads(text) == {
        "customer_id": {"S": "b"},
        "name": {"S": "Grace Hopper"},
        "schema_version": {"N": "2"},
    }
    old = '{"customer_id":{"S":"a"},"first":{"S":"Ada"},"last":{"S":"Lovelace"}}'
    assert items.decode(f'{{"Items":[{old},{text}]}}'.encode()) == [Customer(customer_id="a", name="Ada Lovelace"), new]
    newer = '{"customer_id":{"S":"a"},"schema_version":{"N":"3"}}'
    with pytest.raises(NewerVersionError, match="up to version 2"):
        items.decode(f'{{"Items":[{newer}]}}'.encode())


def test_one_item_of_an_older_version_is_upgraded_as_well() -> None:
    items = ModelItems(Customer, table="customers", key_names=["customer_id"], envelope="Item")
    old = b'{"Item":{"customer_id":{"S":"a"},"first":{"S":"Ada"},"last":{"S":"Lovelace"}}}'
    assert items.decode(old) == [Customer(customer_id="a", name="Ada Lovelace")]
    assert items.decode(b"{}") == []
