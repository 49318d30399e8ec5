"""The parts of repositories without a server: attributes, keys, expressions, zones, and operations that are sent answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from spark_dynamo.errors import ItemAlreadyExistsError, ValidationError
from spark_dynamo.metadata.codec import Codec, codec_of
from spark_dynamo.metadata.expressions import Change, Conditions, Selection, Sort, update_action
from spark_dynamo.metadata.models import PipelineConfig, PipelineRunLog, StageInfo, TableConfig
from spark_dynamo.metadata.steps import Answer, Ask, Describe
from spark_dynamo.metadata.zones import shown, taken
from spark_dynamo.schema.attributes import ModelAttributes
from spark_dynamo.schema.bridge import node_of
from spark_dynamo.schema.items import ModelItems
from tests.metadata.stores import Order, OrderRepository, configured, pipeline

MODELS: list[BaseModel] = [
    pipeline(config={"a": [1, Decimal("1.5"), {"b": None}]}, memory_gb="1.50", tags={"x": "y"}, cpu_cores=2),
    TableConfig(
        table_id="t",
        pipeline_id="p",
        table_name="T",
        table_type="lookup",
        data_format="dynamo-meta",
        location="x",
        partition_columns=["a", "b"],
        data_quality_checks=[{"min": Decimal("0.1")}, {}],
        last_updated_data=datetime(2026, 7, 1, tzinfo=UTC),
    ),
    PipelineRunLog(
        run_id="r",
        pipeline_id="p",
        status="lost",
        trigger_type="x",
        stages=[StageInfo(stage_name="s", status="failed", duration_seconds="1.5")],
        expires_at=datetime(2026, 7, 1, tzinfo=UTC),
        log_messages=[{"level": "info"}],
    ),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_each_attribute_by_itself_is_as_in_the_whole_item(model: BaseModel) -> None:
    whole = orjson.loads(ModelItems(type(model), table="t").encode([model])[0].as_py())
    attributes = ModelAttributes(type(model), table="t")
    for name in type(model).model_fields:
        (encoded,) = attributes.encode(attributes.validate({name: getattr(model, name)})).values()
        assert encoded == whole.get(name), name


@given(partition=st.text(min_size=1), sort=st.integers(-(2**63), 2**63 - 1), note=st.none() | st.text())
def test_keys_are_those_of_the_items(partition: str, sort: int, note: str | None) -> None:
    codec: Codec[Order] = codec_of(Order, "t", ("customer_id", "order_id"))
    model = Order(customer_id=partition, order_id=sort, note=note)
    item = json.loads(codec.encode([model])[0].as_py())
    (text,) = codec.key_texts([codec.key_of((partition, sort))])
    assert json.loads(text) == {name: item[name] for name in ("customer_id", "order_id")}
    assert codec.key_of(model) == (partition, sort)
    assert codec.model_of(item) == model


class Day(StrEnum):
    MONDAY = "monday"


class Keyed(BaseModel):
    day: Day
    at: datetime
    code: bytes = b""


def test_keys_of_any_type_are_encoded_as_the_item_is() -> None:
    codec = codec_of(Keyed, "t", ("day", "at"))
    (text,) = codec.key_texts([codec.key_of(("monday", "2026-07-01T12:00:00+02:00"))])
    assert json.loads(text) == {"day": {"S": "monday"}, "at": {"S": "2026-07-01T10:00:00.000000+00:00"}}
    with pytest.raises(ValidationError, match="takes no empty 'code'"):
        bytes_keys = codec_of(Keyed, "t", ("code",))
        bytes_keys.key_texts([bytes_keys.key_of(b"")])
    with pytest.raises(ValidationError, match="surrogates|Unicode|utf-8"):
        orders = codec_of(Order, "t", ("customer_id",))
        orders.key_texts([orders.key_of("\ud800")])


def test_an_update_names_everything_by_placeholders() -> None:
    request = update_action(
        "t",
        {"id": {"S": "a"}},
        "id",
        Change(set={"size": {"N": "1"}}, remove=["a.b"], count={"v": 0}, append={"l": [{"S": "x"}]}),
        Conditions(True, equal={"size": {"N": "1"}}, lacks={"l": [{"S": "x"}]}, at_most={"w": 2}),
    )
    assert request["UpdateExpression"] == (
        "SET #n0 = :v0, #n1 = if_not_exists(#n1, :v1) + :v0, #n2 = list_append(if_not_exists(#n2, :v2), :v3) REMOVE #n3"
    )
    assert request["ConditionExpression"] == (
        "attribute_exists(#n4) AND #n0 = :v0 AND NOT contains(#n2, :v4) AND (attribute_not_exists(#n5) OR #n5 <= :v5)"
    )
    assert request["ExpressionAttributeNames"]["#n3"] == "a.b"
    assert request["ExpressionAttributeValues"][":v4"] == {"S": "x"}


def test_a_selection_is_a_query_or_a_scan() -> None:
    sort = Sort("day", "BETWEEN", ({"N": "1"}, {"N": "2"}))
    query = Selection("t", ("id", {"S": "a"}), sort=sort, newest_first=True, consistent_read=True)
    assert query.operation == "Query"
    assert query.request(5, {"id": {"S": "b"}}) == {
        "TableName": "t",
        "KeyConditionExpression": "#n0 = :v0 AND #n1 BETWEEN :v1 AND :v2",
        "ScanIndexForward": False,
        "Limit": 5,
        "ExclusiveStartKey": {"id": {"S": "b"}},
        "ConsistentRead": True,
        "ExpressionAttributeNames": {"#n0": "id", "#n1": "day"},
        "ExpressionAttributeValues": {":v0": {"S": "a"}, ":v1": {"N": "1"}, ":v2": {"N": "2"}},
        "ReturnConsumedCapacity": "TOTAL",
    }
    assert Selection("t").operation == "Scan"
    assert Selection("t").request() == {"TableName": "t", "ReturnConsumedCapacity": "TOTAL"}


def test_an_operation_is_stepped_through_without_a_server() -> None:
    orders = OrderRepository(configured("http://127.0.0.1:9", "x"))
    steps = orders.create.steps(Order(customer_id="ann", order_id=1))
    asked = next(steps)
    assert isinstance(asked, Ask)
    assert (asked.operation, asked.table) == ("PutItem", "x_dev_orders")
    assert asked.request["ConditionExpression"] == "attribute_not_exists(#n0)"
    with pytest.raises(StopIteration) as ended:
        steps.send(Answer(b"{}"))
    assert ended.value.value == Order(customer_id="ann", order_id=1)

    from spark_dynamo.aws.failures import Cancellation

    other = {"customer_id": {"S": "ann"}, "order_id": {"N": "1"}, "note": {"S": "other"}}
    own = {"customer_id": {"S": "ann"}, "order_id": {"N": "1.0"}}
    for stored, is_lost, is_done in ((other, True, False), (own, False, False), (own, True, True)):
        steps = orders.create.steps(Order(customer_id="ann", order_id=1))
        next(steps)
        with pytest.raises(StopIteration if is_done else ItemAlreadyExistsError):
            steps.send(Answer(b"", Cancellation("ConditionalCheckFailedException", "", stored), is_lost))


def test_who_may_not_describe_the_table_queries_the_index_that_belongs_there() -> None:
    from spark_dynamo.metadata.repositories import PipelineRunLogsRepository

    runs = PipelineRunLogsRepository(configured("http://127.0.0.1:9", "x"))
    steps = runs.get_runs_by_pipeline.steps("sales", 3)
    assert next(steps) == Describe("x_dev_pipeline_run_logs")
    asked = steps.send(None)
    assert isinstance(asked, Ask)
    assert asked.request["IndexName"] == "pipeline_id-start_time-index"
    assert asked.request["Limit"] == 3


# ------------------------------------------------------------------------------------------------------------ zones


class Inner(BaseModel):
    at: datetime | None = None


class Outer(BaseModel):
    at: datetime | None = None
    inner: Inner = Field(default_factory=Inner)
    many: list[Inner] = []
    by_name: dict[str, datetime] = {}


def test_times_at_any_depth_are_shown_in_a_zone_and_the_rest_is_the_same() -> None:
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    outer = Outer(at=noon, inner=Inner(at=noon), many=[Inner(at=noon), Inner()], by_name={"a": noon})
    tokyo = shown(outer, "Asia/Tokyo")
    assert tokyo == outer
    hours = [tokyo.at, tokyo.inner.at, tokyo.many[0].at, tokyo.by_name["a"]]
    assert [time.hour for time in hours if time] == [21] * 4
    assert outer.at == noon
    assert outer.at is not None
    assert outer.at.hour == 12, "the model that was shown stays as it is"
    untouched = Outer(at=datetime(2026, 7, 1, 12))
    assert shown(untouched, "Asia/Tokyo") is untouched


@pytest.mark.parametrize(
    ("value", "instants"),
    [
        ({"at": "2026-07-01T12:00:00"}, ["2026-07-01T03:00:00+00:00"]),
        ({"at": "2026-07-01T12:00:00Z"}, ["2026-07-01T12:00:00+00:00"]),
        ({"many": [{"at": datetime(2026, 7, 1, 12)}]}, ["2026-07-01T03:00:00+00:00"]),
        ({"by_name": {"a": datetime(2026, 7, 1, 12)}}, ["2026-07-01T03:00:00+00:00"]),
        ({"inner": Inner(at=datetime(2026, 7, 1, 12))}, ["2026-07-01T03:00:00+00:00"]),
    ],
)
def test_times_without_a_zone_are_taken_in_one_at_any_depth(value: Mapping[str, Any], instants: list[str]) -> None:
    outer = Outer.model_validate(taken(dict(value), node_of(Outer), "Asia/Tokyo"))
    found = [outer.at, outer.inner.at, *(inner.at for inner in outer.many), *outer.by_name.values()]
    assert [time.astimezone(UTC).isoformat() for time in found if time] == instants


def test_what_is_no_time_is_left_to_the_model() -> None:
    given = {"at": "soon", "many": [{"at": 7}]}
    assert taken(given, node_of(Outer), "Asia/Tokyo") == given


def test_readers_of_one_codec_share_their_decoding() -> None:
    codec = codec_of(PipelineConfig, "shared", ("pipeline_id",))
    items = [orjson.loads(codec.encode([pipeline(f"p{number}")])[0].as_py()) for number in range(40)]
    found: dict[int, PipelineConfig] = {}
    start = threading.Barrier(8)

    def read(first: int) -> None:
        start.wait()
        for number in range(first, 40, 8):
            found[number] = codec.model_of(items[number])

    threads = [threading.Thread(target=read, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number].pipeline_id for number in range(40)] == [f"p{number}" for number in range(40)]
