"""Reads of some fields: what is asked of DynamoDB, what the result has, and that it is never taken for the whole."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, Field, PrivateAttr, field_validator, model_validator

from spark_dynamo.aws.tables import KeyAttribute, create_table, wait_until_active
from spark_dynamo.errors import ItemNotFoundError, MalformedItemError, ValidationError
from spark_dynamo.metadata.caching import MemoryCache
from spark_dynamo.metadata.models import PipelineConfig, RunStatus
from spark_dynamo.metadata.repositories import (
    AsyncPipelineConfigRepository,
    BaseDynamoRepository,
    PipelineConfigRepository,
)
from spark_dynamo.schema.evolve import migration
from tests.conftest import Server
from tests.metadata.stores import Order, OrderRepository, Store, make_store, pipeline


@pytest.fixture(scope="module")
def store(server: Server) -> Store:
    store = make_store(server)
    store.pipelines.create(pipeline("sales", description="All", cpu_cores=4, tags={"team": "bi"}))
    for number in range(5):
        store.orders.create(Order(customer_id="a", order_id=number, total=Decimal(number), note=f"n{number}"))
    return store


def test_one_item_has_the_fields_that_are_named_and_its_keys(store: Store) -> None:
    with store.watched() as proxy:
        pipelines = PipelineConfigRepository(store.config(proxy.endpoint))
        found = pipelines.get("sales", projection=["description", "tags", "created_at"])
        ((_, request, _),) = proxy.log
    names = request["ExpressionAttributeNames"]
    asked = {names[placeholder] for placeholder in request["ProjectionExpression"].split(", ")}
    assert asked == {"pipeline_id", "description", "tags", "created_at"}
    assert isinstance(found, PipelineConfig)
    whole = store.pipelines.get_or_raise("sales")
    assert vars(found) == {name: getattr(whole, name) for name in asked}
    assert found.model_dump() == vars(found)
    assert repr(found).startswith("PipelineConfig(pipeline_id='sales', description='All'")
    for name in ("cpu_cores", "is_active", "pipeline_name"):  # not even what has a default
        with pytest.raises(AttributeError, match=f"'PipelineConfig' object has no attribute '{name}'"):
            getattr(found, name)


def test_queries_and_pages_take_projections(store: Store) -> None:
    orders = store.orders
    expected = [{"customer_id": "a", "order_id": number, "note": f"n{number}"} for number in range(5)]
    assert [vars(order) for order in orders.query_by_pk("a", projection=["note"])] == expected
    some = orders.query_by_pk("a", 2, newest_first=True, filter="total > 1", projection=("note",))
    assert [vars(order) for order in some] == [expected[4], expected[3]]
    assert sorted((vars(o) for o in orders.list_all(projection=["note"])), key=lambda o: o["order_id"]) == expected
    assert [vars(o) for page in orders.pages("a", 2, projection=["note"]) for o in page] == expected
    assert vars(orders.get_or_raise("a", 3, projection=["order_id"])) == {"customer_id": "a", "order_id": 3}
    assert orders.get("a", 9, projection=["note"]) is None
    with pytest.raises(ItemNotFoundError):
        orders.get_or_raise("a", 9, projection=["note"])
    found = asyncio.run(AsyncPipelineConfigRepository(store.config()).get("sales", projection=["cpu_cores"]))
    assert found is not None
    assert vars(found) == {"pipeline_id": "sales", "cpu_cores": 4}


def test_times_are_shown_in_a_zone(store: Store) -> None:
    found = store.pipelines.get("sales", "Asia/Tokyo", projection=["created_at"])
    assert found is not None
    assert found.created_at.utcoffset() == timedelta(hours=9)


def test_a_part_is_never_stored_as_the_whole(store: Store) -> None:
    orders = store.orders
    part = orders.get_or_raise("a", 1, projection=["note"])
    for write in (
        lambda: orders.update(part),
        lambda: orders.create(part, overwrite=True),
        lambda: orders.batch_put([part]),
    ):
        with pytest.raises(ValidationError, match="total: it can't be read: 'Order' object has no attribute 'total'"):
            write()
    assert orders.get_or_raise("a", 1).total == 1
    assert orders.update(part, {"note": "n1"}).total == 1, "it stands for its key"


def test_what_names_no_field_gets_a_sentence(store: Store) -> None:
    orders: Any = store.orders
    for read in (
        lambda projection: orders.get("a", 1, projection=projection),
        lambda projection: orders.list_all(projection=projection),
        lambda projection: orders.query_by_pk("a", projection=projection),
        lambda projection: list(orders.pages(projection=projection)),
    ):
        for wrong in ("note", [], 7, {"note": 1}):
            with pytest.raises(
                ValidationError, match=r"projection is .*: give names of fields, as in \['customer_id', 'order"
            ):
                read(wrong)
        with pytest.raises(ValidationError, match="Order has no field 'note2': did you mean 'note'"):
            read(["note2"])


def test_a_cache_of_whole_items_is_left_alone(store: Store) -> None:
    cached = OrderRepository(store.config(), cache=MemoryCache(ttl_seconds=60))
    assert vars(cached.get_or_raise(("a", 2), projection=["note"])).keys() == {"customer_id", "order_id", "note"}
    assert cached.get_or_raise(("a", 2)).total == 2
    assert "total" not in vars(cached.get_or_raise(("a", 2), projection=["note"]))
    assert len(cached.query_by_pk("a")) == 5
    assert "total" not in vars(cached.query_by_pk("a", projection=["note"])[0])


class Strict(BaseModel):
    name: str
    code: str = Field(alias="the_code")
    kinds: list[str] = Field(default_factory=lambda: ["none"])
    at: datetime | None = None
    amount: int
    _secret: str = PrivateAttr("x")

    model_config = {"populate_by_name": True, "extra": "forbid"}

    @field_validator("code", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        if value == "bad":
            raise ValueError("it is bad")
        return value.upper()

    @model_validator(mode="after")
    def _is_whole(self) -> Strict:
        assert self.amount >= 0
        return self


class StrictRepository(BaseDynamoRepository[Strict]):
    table_name = "strict"
    model_class = Strict
    primary_key = "name"


class Versioned(BaseModel):
    schema_version: ClassVar[int] = 2
    name: str
    cents: int
    note: str = ""


@migration(Versioned, from_version=1)
def count_cents(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "cents": int(item.pop("price") * 100)}


class VersionedRepository(BaseDynamoRepository[Versioned]):
    table_name = "strict"
    model_class = Versioned
    primary_key = "name"


@pytest.fixture
def strict(server: Server) -> Store:
    store = Store(server, f"t{uuid.uuid4().hex[:12]}")
    create_table(server.client, store.name("strict"), partition_key=KeyAttribute("name", "S"))
    wait_until_active(server.client, store.name("strict"))
    return store


def test_fields_are_checked_by_their_own_validators_and_have_their_defaults(strict: Store) -> None:
    put = strict.server.client.put_item
    name = strict.name("strict")
    put(TableName=name, Item={"name": {"S": "a"}, "code": {"S": "x"}, "amount": {"S": "no number"}})
    put(TableName=name, Item={"name": {"S": "b"}, "code": {"S": "bad"}})
    repository = StrictRepository(strict.config())
    assert vars(repository.get_or_raise("a", projection=["code", "kinds", "at"])) == {
        "name": "a",
        "code": "X",
        "kinds": ["none"],
        "at": None,
    }
    with pytest.raises(ValidationError, match=r"row 0 \{name='b'\}: the_code: Value error, it is bad"):
        repository.get("b", projection=["code"])
    with pytest.raises(MalformedItemError, match="attribute 'amount' is missing"):
        repository.get("b", projection=["amount"])
    assert vars(repository.get_or_raise("b", projection=["name"])) == {"name": "b"}


def test_items_of_older_versions_are_upgraded_whole(strict: Store) -> None:
    put = strict.server.client.put_item
    put(TableName=strict.name("strict"), Item={"name": {"S": "old"}, "price": {"N": "1.5"}, "note": {"S": "x"}})
    repository = VersionedRepository(strict.config())
    repository.create(Versioned(name="new", cents=7))
    assert vars(repository.get_or_raise("old", projection=["cents"])) == {"name": "old", "cents": 150}
    found = repository.list_all(projection=["cents"])
    assert sorted((vars(one) for one in found), key=str) == [{"name": "new", "cents": 7}, {"name": "old", "cents": 150}]


def test_nested_models_and_enums_are_what_they_are(store: Store) -> None:
    store.runs.create_run_log("r1", "sales", start_time=datetime(2026, 7, 1, tzinfo=UTC))
    store.runs.add_stage("r1", "load")
    found = store.runs.get_or_raise("r1", projection=["stages", "status"])
    assert found.status is RunStatus.RUNNING
    assert found.stages == store.runs.get_or_raise("r1").stages
    (only,) = store.runs.query_by_pk("sales", index="pipeline_id-start_time-index", projection=["status"])
    assert vars(only) == {"run_id": "r1", "status": RunStatus.RUNNING}
