"""Calls in either order of their arguments do the same, and those that could mean two things get a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spark_dynamo.errors import ConfigurationError, ItemNotFoundError, ValidationError
from spark_dynamo.metadata.models import RunStatus, TableType
from spark_dynamo.metadata.repositories import AsyncPipelineRunLogsRepository, AsyncTableConfigRepository
from tests.conftest import Server
from tests.metadata.stores import TABLE, Order, Store, make_store, pipeline

TOKYO = "Asia/Tokyo"
NOW = datetime.now(UTC)
NINE = timedelta(hours=9)


@pytest.fixture(scope="module")
def store(local_server: Server) -> Store:
    """Two pipelines' tables and runs, one pipeline with the name of a type of table; an order."""
    store = make_store(local_server)
    for place, (owner, kind) in enumerate([("sales", "source"), ("sales", "lookup"), ("lookup", "source")]):
        store.tables.create_table_config(f"t{place}", **{**TABLE, "pipeline_id": owner, "table_type": kind})
    for hours, owner, status in [
        (1, "sales", "failed"),
        (5, "sales", "success"),
        (2, "hr", "failed"),
        (30, "sales", "failed"),
    ]:
        started = NOW - timedelta(hours=hours)
        store.runs.create_run_log(f"{owner}-{hours}", owner, "manual", start_time=started, status=status)
    store.pipelines.create(pipeline("sales"))
    store.orders.create(Order(customer_id="a", order_id=7, note="mine"))
    return store


def ids(found: list[Any]) -> list[str]:
    return [getattr(one, "run_id", None) or one.table_id for one in found]


def test_tables_are_found_by_type_and_pipeline_in_either_order(store: Store) -> None:
    find: Callable[..., Any] = store.tables.get_tables_by_type
    for args, named in [
        (("lookup", "sales"), {}),
        (("sales", "lookup"), {}),
        ((TableType.LOOKUP, "sales"), {}),
        (("sales", TableType.LOOKUP), {}),
        (("lookup",), {"pipeline_id": "sales"}),
        (("sales",), {"table_type": "lookup"}),
        ((), {"table_type": "lookup", "pipeline_id": "sales"}),
    ]:
        assert ids(find(*args, **named)) == ["t1"], (args, named)
        assert find(*args, **named, user_timezone=TOKYO)[0].created_at.utcoffset() == NINE
    assert find("sales", "lookup", TOKYO)[0].created_at.utcoffset() == NINE
    for args, named in [(("source",), {}), ((TableType.SOURCE, None), {}), ((None, "source"), {})]:
        assert sorted(ids(find(*args, **named))) == ["t0", "t2"], (args, named)
    found = asyncio.run(AsyncTableConfigRepository(store.config()).get_tables_by_type("lookup", "sales"))
    assert ids(found) == ["t1"]


def test_a_pipeline_with_the_name_of_a_type_is_told_from_it(store: Store) -> None:
    find: Callable[..., Any] = store.tables.get_tables_by_type
    assert ids(find(table_type="source", pipeline_id="lookup")) == ids(find(TableType.SOURCE, "lookup")) == ["t2"]
    with pytest.raises(
        ValidationError, match="Both 'source' and 'lookup' are types.*table_type='source', pipeline_id='lookup'"
    ):
        find("source", "lookup")
    with pytest.raises(
        ValidationError, match="Neither 'sales' nor 'sauce' is a type of table\n  table_type: Input should"
    ):
        find("sales", "sauce")
    with pytest.raises(ValidationError, match="table_type: Input should be 'source'.*not 'sauce'"):
        find("sauce")
    with pytest.raises(TypeError, match="multiple values for .*user_timezone"):
        find("sales", "lookup", TOKYO, user_timezone=TOKYO)
    with pytest.raises(TypeError, match="positional arguments"):
        find("sales", "lookup", TOKYO, 1)


def test_runs_by_status_are_those_of_a_pipeline_or_of_all(store: Store) -> None:
    find: Callable[..., Any] = store.runs.get_runs_by_status
    assert ids(find("failed")) == ["sales-1", "hr-2", "sales-30"]
    assert ids(find(RunStatus.FAILED, 2)) == ids(find("failed", limit=2)) == ["sales-1", "hr-2"]
    assert ids(find("failed", "sales")) == ids(find("failed", pipeline_id="sales")) == ["sales-1", "sales-30"]
    assert ids(find("failed", "sales", limit=1)) == ["sales-1"]
    assert find("failed", "sales", TOKYO)[0].start_time.utcoffset() == NINE
    assert find("failed", None, TOKYO)[0].start_time.utcoffset() == NINE
    with pytest.raises(ValidationError, match="status: Input should be 'pending'.*not 'sad'"):
        find("sad", "sales")
    with pytest.raises(TypeError, match="multiple values for .*pipeline_id"):
        find("failed", "sales", pipeline_id="hr")
    with pytest.raises(ValidationError, match="limit is 2.5"):
        find("failed", 2.5)


def test_recent_runs_are_those_of_a_pipeline_or_of_all(store: Store) -> None:
    find: Callable[..., Any] = store.runs.get_recent_runs
    assert ids(find()) == ["sales-1", "hr-2", "sales-5"]
    assert ids(find("sales")) == ids(find(pipeline_id="sales")) == ["sales-1", "sales-5"]
    assert ids(find("sales", 3)) == ids(find("sales", hours=3)) == ids(find(3, pipeline_id="sales")) == ["sales-1"]
    assert ids(find("sales", None)) == ["sales-1", "sales-5", "sales-30"]
    assert ids(find("sales", None, limit=2)) == ["sales-1", "sales-5"]
    assert find("sales", 3, TOKYO)[0].start_time.utcoffset() == NINE
    assert ids(find(3)) == ids(find(3, 10)) == ["sales-1", "hr-2"]
    assert ids(find(None, 2)) == ["sales-1", "hr-2"]
    assert len(find(None)) == 4
    assert ids(asyncio.run(AsyncPipelineRunLogsRepository(store.config()).get_recent_runs(3))) == ["sales-1", "hr-2"]
    with pytest.raises(ValidationError, match="hours is 'six'"):
        find("sales", "six")


def test_both_values_of_a_key_may_follow_each_other(store: Store) -> None:
    orders: Any = store.orders
    for read in (orders.get, orders.get_or_raise, orders.get_with_timezone):
        assert read("a", 7) == read(("a", 7)) == read({"customer_id": "a", "order_id": 7})
        assert read("a", 7, TOKYO).note == read("a", 7, user_timezone=TOKYO).note == "mine"
        assert read(("a", 7), TOKYO).note == read(Order(customer_id="a", order_id=7), TOKYO).note == "mine"
        with pytest.raises(ConfigurationError, match="Invalid timezone 'Mars'"):
            read("a", 7, "Mars")
        with pytest.raises(ValidationError, match=r"'a' is no key of table .*: give \(customer_id, order_id\)"):
            read("a", None)
        with pytest.raises(ValidationError, match=r"order_id: .*valid integer"):
            read("a", TOKYO)
    with pytest.raises(ItemNotFoundError, match=r"\{customer_id='a', order_id=8\}"):
        orders.get_or_raise("a", 8)
    orders.create(Order(customer_id="a", order_id=9))
    assert (orders.delete("a", 9), orders.delete("a", 9)) == (True, False)
    pipelines: Any = store.pipelines
    for read in (pipelines.get, pipelines.get_or_raise, pipelines.get_with_timezone):
        for found in (read("sales", TOKYO), read("sales", None, TOKYO), read("sales", user_timezone=TOKYO)):
            assert found.created_at.utcoffset() == NINE
        assert read("sales", None).created_at.tzinfo is UTC
        with pytest.raises(ConfigurationError, match="Invalid timezone 'sort'"):
            read("sales", "sort")


def test_what_is_shown_of_a_method_is_its_own_signature(store: Store) -> None:
    import inspect

    assert list(inspect.signature(store.runs.get_recent_runs).parameters) == [
        "hours",
        "limit",
        "user_timezone",
        "pipeline_id",
    ]
    assert (store.runs.get_recent_runs.__doc__ or "").startswith("The runs that began in the last so many hours")
