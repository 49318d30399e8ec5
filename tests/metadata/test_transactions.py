"""Transactions across repositories: all or nothing, on both servers, over connections that lose answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from spark_dynamo.errors import (
    ConditionFailedError,
    ConfigurationError,
    InvalidItemError,
    ItemAlreadyExistsError,
    ItemNotFoundError,
    RequestFailedError,
    ValidationError,
    VersionConflictError,
)
from spark_dynamo.metadata.caching import MemoryCache
from spark_dynamo.metadata.repositories import (
    AsyncPipelineConfigRepository,
    AsyncTransaction,
    PipelineConfigRepository,
    TableConfigRepository,
    Transaction,
)
from tests.conftest import Server
from tests.metadata.stores import (
    TABLE,
    Order,
    OrderRepository,
    Store,
    VersionedOrders,
    configured,
    make_store,
    pipeline,
)


@pytest.fixture(scope="module")
def store(server: Server) -> Store:
    store = make_store(server)
    store.tables.create_table_config("orders", **TABLE)
    return store


def test_writes_in_several_tables_happen_together(store: Store) -> None:
    store.pipelines.create(pipeline("gone"))
    with Transaction() as together:
        made = together.create(store.pipelines, pipeline("together"))
        together.update(store.tables, "orders", {"record_count": 7, "description": "moved"})
        together.delete(store.pipelines, "gone")
        together.check(store.tables, "nothing", exists=False)
        assert len(together) == 4
        assert store.pipelines.get("together") is None, "nothing is sent before the end"
    assert store.pipelines.get("together") == made
    assert store.pipelines.get("gone") is None
    assert store.tables.get_or_raise("orders").record_count == 7


@pytest.mark.parametrize(
    ("add", "error", "sentence"),
    [
        (lambda t, s: t.create(s.pipelines, pipeline("there")), ItemAlreadyExistsError, "'there'} already"),
        (lambda t, s: t.update(s.pipelines, "nothing", {"cpu_cores": 1}), ItemNotFoundError, "'nothing'"),
        (lambda t, s: t.delete(s.tables, "nothing"), ItemNotFoundError, "'nothing'"),
        (lambda t, s: t.check(s.tables, "nothing"), ItemNotFoundError, "'nothing'"),
        (lambda t, s: t.check(s.tables, "orders", exists=False), ItemAlreadyExistsError, "'orders'} already"),
        (lambda t, s: t.check(s.tables, "orders", "is_active = false"), ConditionFailedError, "is_active = false"),
        (
            lambda t, s: t.update(VersionedOrders(s.config()), ("v", 1), {}, expected_version=5),
            VersionConflictError,
            "5",
        ),
    ],
)
def test_one_refusal_keeps_everything_as_it_was(store: Store, add: Any, error: type[Exception], sentence: str) -> None:
    store.pipelines.create(pipeline("there"), overwrite=True)
    VersionedOrders(store.config()).create(Order(customer_id="v", order_id=1), overwrite=True)
    with pytest.raises(error, match=sentence), Transaction() as together:
        together.create(store.pipelines, pipeline("never"))
        add(together, store)
    assert store.pipelines.get("never") is None


def test_a_model_in_a_transaction_is_of_the_version_that_was_read(store: Store) -> None:
    orders = VersionedOrders(store.config())
    orders.create(Order(customer_id="w", order_id=1), overwrite=True)
    mine, theirs = orders.get_or_raise(("w", 1)), orders.get_or_raise(("w", 1))
    with Transaction() as together:
        together.update(orders, mine, {"total": 1})
    with pytest.raises(VersionConflictError, match="version 1 was read and 2 is stored"), Transaction() as together:
        together.update(orders, theirs, {"total": 1})
    with pytest.raises(VersionConflictError, match="version 1 was read and 2 is stored"), Transaction() as together:
        together.delete(orders, theirs)
    assert orders.get_or_raise(("w", 1)).version == 2


def test_an_exception_in_the_block_sends_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), Transaction() as together:
        together.create(store.pipelines, pipeline("never"))
        1 / 0  # noqa: B018
    assert store.pipelines.get("never") is None
    with Transaction():
        pass


def test_each_repositorys_cache_learns_of_what_was_written(store: Store) -> None:
    store.pipelines.create(pipeline("cached", description="old"), overwrite=True)
    store.tables.create_table_config("cached", **TABLE, description="old")
    pipelines = PipelineConfigRepository(store.config(), cache=MemoryCache())
    tables = TableConfigRepository(store.config(), cache=MemoryCache())
    again = TableConfigRepository(store.config(), cache=MemoryCache())
    for repository in (pipelines, tables, again):
        assert repository.get_or_raise("cached").description == "old"
    with Transaction() as together:
        together.check(store.runs, "nothing", exists=False)
        together.update(pipelines, "cached", {"description": "new"})
        together.update(tables, "cached", {"description": "new"})
        together.check(again, "orders")
    assert [r.get_or_raise("cached").description for r in (pipelines, tables, again)] == ["new"] * 3


def test_what_a_transaction_can_not_hold_is_refused_at_once(store: Store) -> None:
    together = Transaction()
    together.create(store.pipelines, pipeline("a"))
    with pytest.raises(ValidationError, match=r"two actions for item \{pipeline_id='a'\}.*make them one update"):
        together.delete(store.pipelines, "a")
    with pytest.raises(ConfigurationError, match="has another connection"):
        together.create(PipelineConfigRepository(configured("http://127.0.0.1:9", "x")), pipeline("b"))
    for number in range(99):
        together.delete(store.pipelines, f"p{number}")
    with pytest.raises(ValidationError, match="at most 100 actions"):
        together.delete(store.pipelines, "p99")


def test_an_item_that_would_be_too_large_is_named(store: Store) -> None:
    store.runs.create_run_log("big", "sales", error_message="x" * 300_000)
    with pytest.raises(InvalidItemError, match=r"\{run_id='big'\}.*larger than the 400 KB"), Transaction() as together:
        together.update(store.runs, "big", {"error_stack_trace": "y" * 200_000})
    # which of several it is, AWS tells, and moto doesn't
    with pytest.raises((InvalidItemError, RequestFailedError), match="size|'big'"), Transaction() as together:
        together.create(store.pipelines, pipeline("never"))
        together.update(store.runs, "big", {"error_stack_trace": "y" * 200_000})
    assert store.pipelines.get("never") is None


@pytest.mark.parametrize("fault", ["answer lost", "error after the effect"])
def test_a_commit_whose_answer_is_lost_is_done_once(store: Store, fault: str) -> None:
    with store.watched() as proxy:
        pipelines = PipelineConfigRepository(store.config(proxy.endpoint))
        orders = OrderRepository(store.config(proxy.endpoint))
        first = iter([fault])
        proxy.choose = lambda operation, _: next(first, None)
        name = fault.replace(" ", "-")
        with Transaction() as together:
            together.create(pipelines, pipeline(name))
            together.create(orders, Order(customer_id=name, order_id=1))
        assert proxy.faults == {fault: 1}
    assert store.pipelines.get(name) is not None
    assert store.orders.get((name, 1)) is not None


def test_a_commit_that_meets_another_one_is_repeated(store: Store) -> None:
    with store.watched() as proxy:
        conflicts = iter(["TransactionConflict", "ThrottlingError"])
        proxy.choose = lambda operation, _: next(conflicts, None)
        with Transaction() as together:
            together.create(PipelineConfigRepository(store.config(proxy.endpoint)), pipeline("patient"), overwrite=True)
        assert store.pipelines.get("patient") is not None
        proxy.choose = lambda operation, _: "TransactionConflict"
        proxy.log.clear()
        with pytest.raises(RequestFailedError, match=r"pipeline_id='hopeless'"), Transaction() as together:
            together.create(PipelineConfigRepository(store.config(proxy.endpoint, retries=1)), pipeline("hopeless"))
        assert len(proxy.log) == 2


def test_transactions_are_awaited_too(store: Store) -> None:
    pipelines = AsyncPipelineConfigRepository(store.config())

    async def commit() -> None:
        async with AsyncTransaction() as together:
            together.create(pipelines, pipeline("awaited"), overwrite=True)
            together.update(TableConfigRepository(store.config()), "orders", {"record_count": 8})
        assert await pipelines.get("awaited") is not None

    asyncio.run(commit())
    assert store.tables.get_or_raise("orders").record_count == 8
