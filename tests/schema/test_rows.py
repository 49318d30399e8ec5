"""Models as record batches and as items, and back, without Spark."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

import orjson
import pyarrow as pa
import pytest
from pydantic import AliasPath, AwareDatetime, BaseModel, Field, SecretStr

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


class Customer(BaseModel):
    customer_id: str
    city: str = Field("", validation_alias=AliasPath("address", "city"))
    secret: SecretStr = SecretStr("")
    seen: AwareDatetime | None = None
    money: Money | None = None


def test_what_is_found_inside_another_value_comes_back() -> None:
    ada = Customer.model_validate({"customer_id": "a", "address": {"city": "Rome"}})
    assert ada.city == "Rome"
    rows = ModelRows(Customer, node_of(Customer))
    assert list(rows.models([rows.batch([ada])])) == [ada]
    items = ModelItems(Customer, table="customers")
    (text,) = items.encode([ada]).to_pylist()
    assert items.decode(b'{"Items":[%s]}' % text.encode()) == [ada]


@pytest.mark.parametrize(
    ("bad", "problems"),
    [
        (
            Customer.model_construct(),
            {"customer_id": "it can't be read: 'Customer' object has no attribute 'customer_id'"},
        ),
        (
            Customer(customer_id="a").model_copy(update={"secret": "not told"}),
            {"secret": "a str is no string: 'str' object has no attribute 'get_secret_value'"},
        ),
        (
            Customer(customer_id="a").model_copy(update={"money": {"amount": 2}}),
            {
                "money": "{'amount': 2} is no struct<amount:decimal(12,2),currency:string>: money (Money) is a dict, and no Money"
            },
        ),
    ],
)
def test_what_was_never_validated_is_named_with_row_and_field(bad: Customer, problems: dict[str, str]) -> None:
    rows = ModelRows(Customer, node_of(Customer))
    with pytest.raises(ValidationError, match="^Row 1 is a Customer that doesn't fit its columns") as caught:
        rows.batch([Customer(customer_id="b"), bad])
    assert caught.value.errors == problems


def test_a_time_that_python_cannot_hold_is_named_with_row_and_field() -> None:
    rows = ModelRows(Customer, node_of(Customer))
    good = rows.batch([Customer(customer_id="a"), Customer(customer_id="b")])
    late = pa.array([None, 253402300800000000]).cast(rows.arrow_schema.field("seen").type)
    with pytest.raises(ValidationError, match="^1 of the values can't become fields of Customer") as caught:
        list(rows.models([good, good.set_column(3, "seen", late)]))
    assert list(caught.value.errors) == ["row 3: seen"]
    assert "that Python can't hold: " in caught.value.errors["row 3: seen"]


def test_an_extra_column_does_not_take_the_place_of_a_field() -> None:
    class Kept(BaseModel, extra="allow"):
        price: int = Field(alias="Price")

    rows = ModelRows(Kept, node_of(Kept))
    batch = rows.batch([Kept(Price=1)])
    (kept,) = rows.models([batch.append_column("color", pa.array(["red"]))])
    assert kept == Kept(Price=1, color="red")  # type: ignore[call-arg]
    with pytest.raises(SchemaError, match="^Field 'Price': an extra column has the name by which"):
        list(rows.models([batch.append_column("Price", pa.array([2]))]))


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


class Member(BaseModel):
    schema_version: ClassVar[int] = 2

    customer_id: str
    name: str


@migration(Member, from_version=1)
def one_name(item: dict[str, Any]) -> dict[str, Any]:
    return {"customer_id": item["customer_id"], "name": f"{item['first']} {item['last']}"}


def test_items_carry_the_version_and_older_ones_are_upgraded() -> None:
    items = ModelItems(Member, table="customers", key_names=["customer_id"])
    new = Member(customer_id="b", name="Grace Hopper")
    (text,) = items.encode([new]).to_pylist()
    assert orjson.loads(text) == {
        "customer_id": {"S": "b"},
        "name": {"S": "Grace Hopper"},
        "schema_version": {"N": "2"},
    }
    old = '{"customer_id":{"S":"a"},"first":{"S":"Ada"},"last":{"S":"Lovelace"}}'
    assert items.decode(f'{{"Items":[{old},{text}]}}'.encode()) == [Member(customer_id="a", name="Ada Lovelace"), new]
    newer = '{"customer_id":{"S":"a"},"schema_version":{"N":"3"}}'
    with pytest.raises(NewerVersionError, match="up to version 2"):
        items.decode(f'{{"Items":[{newer}]}}'.encode())


def test_one_item_of_an_older_version_is_upgraded_as_well() -> None:
    items = ModelItems(Member, table="customers", key_names=["customer_id"], envelope="Item")
    old = b'{"Item":{"customer_id":{"S":"a"},"first":{"S":"Ada"},"last":{"S":"Lovelace"}}}'
    assert items.decode(old) == [Member(customer_id="a", name="Ada Lovelace")]
    assert items.decode(b"{}") == []
