"""Models as DataFrames and DataFrames as models, in classic Spark and through Connect, and as items of real tables."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, Field
from pyspark.sql import SparkSession

from spark_dynamo.errors import SchemaError, SchemaMismatchError, ValidationError
from spark_dynamo.schema.bridge import struct_type
from spark_dynamo.schema.items import ModelItems
from spark_dynamo.schema.values import iter_models, to_dataframe, to_models
from tests.conftest import Server
from tests.schema.examples import FIRST, PARCELS, Money, Parcel


class Order(BaseModel):
    order_id: str
    count: int = Field(1, ge=0)
    lines: list[Money] = []


class Kept(Order, extra="allow"):
    pass


class Dropped(Order, extra="ignore"):
    pass


class OpenLine(Money, extra="allow"):
    pass


class OpenLines(BaseModel):
    order_id: str
    lines: list[OpenLine]
    named: dict[str, Dropped] = {}


@pytest.fixture
def berlin(spark: SparkSession) -> Iterator[SparkSession]:
    """A session zone with hours that come twice and hours that never come."""
    spark.conf.set("spark.sql.session.timeZone", "Europe/Berlin")
    yield spark
    spark.conf.set("spark.sql.session.timeZone", "UTC")


def test_models_come_back_from_a_dataframe(berlin: SparkSession) -> None:
    frame = to_dataframe(berlin, PARCELS)
    assert frame.schema == struct_type(Parcel)
    assert to_models(frame, Parcel) == PARCELS


def test_models_come_back_one_by_one(spark: SparkSession) -> None:
    orders = [Order(order_id=str(number), count=number) for number in range(25_000)]
    found = iter_models(to_dataframe(spark, iter(orders)), Order)
    assert isinstance(found, Iterator)
    assert list(found) == orders


def test_no_models_are_an_empty_dataframe(spark: SparkSession) -> None:
    frame = to_dataframe(spark, [], Order)
    assert frame.schema == struct_type(Order)
    assert to_models(frame, Order) == []
    with pytest.raises(SchemaError, match="give its class as `model`"):
        to_dataframe(spark, [])


def test_columns_are_cast_where_nothing_is_lost_and_missing_ones_are_left_to_the_default(spark: SparkSession) -> None:
    narrow = spark.sql("SELECT 'a' AS order_id, array(named_struct('currency', 'USD', 'amount', 3Y)) AS lines")
    assert to_models(narrow, Order) == [Order(order_id="a", lines=[Money(amount=Decimal(3), currency="USD")])]
    with pytest.raises(Exception, match=re.escape("Column 'count': 1.5 is no BIGINT")):
        to_models(spark.sql("SELECT 'a' AS order_id, 1.5BD AS count"), Order)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT 1L AS count", "order_id: missing, and its field has no default"),
        ("SELECT 'a' AS order_id, 1 AS color", "color: not in the model"),
        ("SELECT 'a' AS order_id, array(1) AS count", "count: .* has no cast to BIGINT"),
    ],
)
def test_a_frame_that_is_no_such_model_is_refused(spark: SparkSession, query: str, said: str) -> None:
    for convert in (to_models, iter_models):
        with pytest.raises(SchemaMismatchError, match=said):
            convert(spark.sql(query), Order)


def test_extra_columns_are_what_the_model_says(spark: SparkSession) -> None:
    frame = spark.sql("SELECT 'a' AS order_id, 7 AS color")
    (kept,) = to_models(frame, Kept)
    assert kept.__pydantic_extra__ == {"color": 7}
    assert to_models(frame, Dropped) == [Dropped(order_id="a")]


def test_extra_fields_of_models_within_are_what_these_models_say(spark: SparkSession) -> None:
    line = "named_struct('amount', 3Y, 'currency', 'USD', 'note', 'x')"
    frame = spark.sql(f"SELECT 'a' AS order_id, array({line}) AS lines")
    for model in (Order, Kept, Dropped):
        with pytest.raises(
            SchemaMismatchError, match=rf"model {model.__name__} asks for. lines\[\].note: not in the model"
        ):
            to_models(frame, model)
    named = f"map('k', named_struct('order_id', 'b', 'count', 2, 'lines', array({line})))"
    open_line = OpenLine(amount=Decimal(3), currency="USD", note="x")  # type: ignore[call-arg]
    assert to_models(frame, OpenLines) == [OpenLines(order_id="a", lines=[open_line])]
    with pytest.raises(SchemaMismatchError) as caught:
        to_models(spark.sql(f"SELECT 'a' AS order_id, array({line}) AS lines, {named} AS named, 1 AS color"), OpenLines)
    assert caught.value.problems == {"color": "not in the model"}
    with pytest.raises(SchemaMismatchError) as caught:
        to_models(spark.sql(f"SELECT 'a' AS order_id, array({line}) AS lines, {named} AS named"), OpenLines)
    assert caught.value.problems == {"named{}.lines[].note": "not in the model"}
    named = "map('k', named_struct('order_id', 'b', 'count', 2, 'lines', array(), 'note', 'x'))"
    (found,) = to_models(spark.sql(f"SELECT 'a' AS order_id, array({line}) AS lines, {named} AS named"), OpenLines)
    assert found == OpenLines(order_id="a", lines=[open_line], named={"k": Dropped(order_id="b", count=2)})


def test_rows_that_the_model_refuses_are_named(spark: SparkSession) -> None:
    frame = spark.sql("SELECT 'a' AS order_id, id - 1 AS count FROM range(0, 3, 1, 1)")
    with pytest.raises(ValidationError) as caught:
        to_models(frame, Order)
    assert caught.value.errors == {"row 0: count": "Input should be greater than or equal to 0, not -1"}


@pytest.mark.slow
def test_a_model_written_as_a_row_is_the_item_of_the_model(spark: SparkSession, server: Server) -> None:
    table = server.create("parcel_id:S")
    to_dataframe(spark, PARCELS).write.format("dynamo-meta").options(**server.options).mode("append").save(table)
    texts = ModelItems(Parcel, table=table).encode(PARCELS).to_pylist()
    found = [canonical(item) for item in server.items(table)]
    expected = [canonical(orjson.loads(text)) for text in texts]
    assert sorted(found, key=by_id) == sorted(expected, key=by_id)
    read = spark.read.format("dynamo-meta").options(**server.options).schema(struct_type(Parcel)).load(table)
    assert sorted(to_models(read, Parcel), key=lambda parcel: parcel.parcel_id) == sorted(
        PARCELS, key=lambda parcel: parcel.parcel_id
    )


def by_id(item: dict[str, Any]) -> str:
    return str(item["parcel_id"]["S"])


def canonical(value: Any) -> Any:
    """DynamoDB JSON without what means nothing: the order of sets, and the form of binaries."""
    import base64

    if isinstance(value, dict):
        return {
            name: sorted(held) if name in ("SS", "NS") and isinstance(held, list) else canonical(held)
            for name, held in value.items()
        }
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return [canonical(element) for element in value] if isinstance(value, list) else value


def test_a_time_is_the_same_instant_in_every_session_zone(berlin: SparkSession) -> None:
    (found,) = to_models(to_dataframe(berlin, [FIRST]), Parcel)
    assert found.placed.utcoffset() == dt.timedelta(0)
    assert found.placed == dt.datetime(2026, 10, 25, 0, 30, tzinfo=dt.UTC)
