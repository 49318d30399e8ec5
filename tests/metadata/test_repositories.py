"""What every repository can do, on both servers: models of one's own, keys, conditions, versions, pages, batches."""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, field_validator

from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.errors import (
    ConditionFailedError,
    ConfigurationError,
    ConnectionError,
    DuplicateKeyError,
    InvalidItemError,
    ItemAlreadyExistsError,
    ItemNotFoundError,
    MalformedItemError,
    MigrationError,
    NewerVersionError,
    OptionError,
    RequestFailedError,
    TableNotFoundError,
    ValidationError,
    VersionConflictError,
)
from spark_dynamo.metadata.repositories import BaseDynamoRepository
from spark_dynamo.schema.evolve import migration
from tests.conftest import Server
from tests.metadata.stores import Order, OrderRepository, Store, VersionedOrders, configured, make_store, pipeline
from tests.servers.scripted import Reply, refusal, scripted_server


@pytest.fixture(scope="module")
def store(server: Server) -> Store:
    return make_store(server)


@pytest.fixture(scope="module")
def one_store(local_server: Server) -> Store:
    return make_store(local_server)


def order(customer: str, number: int = 1, **fields: Any) -> Order:
    return Order(customer_id=customer, order_id=number, **fields)


# ------------------------------------------------------------------------------------------------------- single items


def test_a_model_of_ones_own_goes_in_and_out(store: Store) -> None:
    stored = order("ann", 1, total="9.90", note="as ordered")
    assert store.orders.create(stored) == stored
    assert store.orders.get(("ann", 1)) == stored
    assert store.orders.get({"order_id": 1, "customer_id": "ann"}) == stored
    assert store.orders.get(stored) == stored
    assert store.item("orders", customer_id={"S": "ann"}, order_id={"N": "1"}) == {
        "customer_id": {"S": "ann"},
        "order_id": {"N": "1"},
        "total": {"N": "9.9"},
        "note": {"S": "as ordered"},
    }
    assert store.orders.delete(("ann", 1)) is True
    assert store.orders.delete(("ann", 1)) is False
    assert store.orders.get(("ann", 1)) is None


def test_a_second_item_of_a_key_is_refused_unless_it_overwrites(store: Store) -> None:
    store.orders.create(order("bob", note="first"))
    with pytest.raises(
        ItemAlreadyExistsError, match=r"has an item with the key \{customer_id='bob', order_id=1\} already"
    ):
        store.orders.create(order("bob", note="second"))
    assert store.orders.get_or_raise(("bob", 1)).note == "first"
    store.orders.create(order("bob", total=1), overwrite=True)
    assert store.orders.get_or_raise(("bob", 1)) == order("bob", total=1)


def test_what_is_missing_is_none_or_an_error(store: Store) -> None:
    with pytest.raises(ItemNotFoundError, match=r"no item with the key \{customer_id='nobody', order_id=1\}"):
        store.orders.get_or_raise(("nobody", 1))
    with pytest.raises(ItemNotFoundError, match="nobody"):
        store.orders.update(("nobody", 1), {"note": "x"})
    with pytest.raises(ItemNotFoundError, match="nobody"):
        store.orders.update(order("nobody"))
    assert store.orders.get(("nobody", 1)) is None


def test_an_update_touches_only_what_it_names(store: Store) -> None:
    store.orders.create(order("cid", total=1, note="a"))
    store.server.client.update_item(
        TableName=store.name("orders"),
        Key={"customer_id": {"S": "cid"}, "order_id": {"N": "1"}},
        UpdateExpression="SET #x = :x",
        ExpressionAttributeNames={"#x": "an attribute of others"},
        ExpressionAttributeValues={":x": {"S": "stays"}},
    )
    assert store.orders.update(("cid", 1), {"total": "2.5"}) == order("cid", total="2.5", note="a")
    assert store.orders.update(("cid", 1), {"note": None}) == order("cid", total="2.5")
    stored = store.item("orders", customer_id={"S": "cid"}, order_id={"N": "1"})
    assert stored["an attribute of others"] == {"S": "stays"}
    assert "note" not in stored
    assert store.orders.update(order("cid", note="whole")) == order("cid", note="whole")
    stored = store.item("orders", customer_id={"S": "cid"}, order_id={"N": "1"})
    assert set(stored) == {"customer_id", "order_id", "note", "an attribute of others"}


def test_a_condition_in_sql_decides(store: Store) -> None:
    store.orders.create(order("dot", total=5))
    assert store.orders.update(("dot", 1), {"note": "cheap"}, condition="total < 10 AND note IS NULL").note == "cheap"
    with pytest.raises(ConditionFailedError, match="as its condition 'total > 10' is not true: found was") as refused:
        store.orders.update(("dot", 1), {"note": "dear"}, condition="total > 10")
    assert refused.value.found is not None
    assert refused.value.found["total"] == {"N": "5"}
    assert "option" not in str(refused.value)
    with pytest.raises(ConditionFailedError, match="total > 10"):
        store.orders.delete(("dot", 1), condition="total > 10")
    assert store.orders.delete(("nobody", 1), condition="total > 10") is False
    assert store.orders.delete(("dot", 1), condition="total = 5") is True
    with pytest.raises(OptionError, match="did you mean 'total'"):
        store.orders.delete(("dot", 1), condition="totl = 5")


def test_a_version_lets_nobody_overwrite_what_he_has_not_seen(store: Store) -> None:
    orders = VersionedOrders(store.config())
    first = orders.create(order("eve"))
    assert first.version == 1
    mine, theirs = orders.get_or_raise(first), orders.get_or_raise(first)
    assert orders.update(mine.model_copy(update={"note": "mine"})).version == 2
    with pytest.raises(VersionConflictError, match="version 1 was read and 2 is stored") as conflict:
        orders.update(theirs.model_copy(update={"note": "theirs"}))
    assert (conflict.value.expected, conflict.value.found) == (1, 2)
    by_key = ("eve", 1)
    assert orders.update(by_key, {"total": 1}).version == 3, "a change of some fields counts too"
    assert orders.update(first, {"total": 2}, expected_version=3) == order("eve", note="mine", total=2, version=4)
    with pytest.raises(VersionConflictError, match="version 3 was read and 4 is stored"):
        orders.update(first, {"total": 3}, expected_version=3)
    with pytest.raises(VersionConflictError, match="version 3 was read"):
        orders.delete(first, expected_version=3)
    with pytest.raises(ValidationError, match="counts the versions of the item by itself"):
        orders.update(first, {"version": 9})
    with pytest.raises(VersionConflictError, match="version 4 is stored"):
        orders.update(order("eve"))
    with pytest.raises(ValidationError, match="has no version_attribute"):
        store.orders.update(first, {"total": 3}, expected_version=3)
    assert orders.delete(first, expected_version=4) is True


def test_a_change_of_some_fields_of_a_model_is_of_the_version_that_was_read(store: Store) -> None:
    orders = VersionedOrders(store.config())
    orders.create(order("gus", total=1))
    mine, theirs = orders.get_or_raise(("gus", 1)), orders.get_or_raise(("gus", 1))
    assert orders.update(mine, {"total": 2}).version == 2
    for act in (lambda: orders.update(theirs, {"total": 2}), lambda: orders.delete(theirs)):
        with pytest.raises(VersionConflictError, match="version 1 was read and 2 is stored"):
            act()
    assert orders.update(theirs, {"total": 3}, expected_version=2).version == 3, "what is stated goes before"
    assert orders.delete(orders.get_or_raise(("gus", 1))) is True


@pytest.mark.parametrize("given", [{}, {"version": {"NULL": True}}])
def test_an_item_from_before_versions_were_counted_is_changed_once(store: Store, given: dict[str, Any]) -> None:
    plain, orders = store.orders, VersionedOrders(store.config())
    key = {"customer_id": {"S": "hal"}, "order_id": {"N": "1"}}
    store.server.put(plain.physical_table_name, {**key, **given})
    for change in (lambda read: orders.update(read.model_copy(update={"note": "x"})), orders.delete):
        mine, theirs = orders.get_or_raise(("hal", 1)), orders.get_or_raise(("hal", 1))
        assert mine.version is None
        assert orders.update(mine, {"total": 1}).version == 1
        with pytest.raises(VersionConflictError, match="version 1 is stored"):
            change(theirs)
        store.server.put(plain.physical_table_name, {**key, **given})
    assert orders.update(orders.get_or_raise(("hal", 1)).model_copy(update={"note": "x"})).version == 1
    store.server.put(plain.physical_table_name, {**key, **given})
    assert orders.delete(orders.get_or_raise(("hal", 1))) is True


class Counted(Order):
    version: int = 1


class CountedOrders(VersionedOrders):
    model_class = Counted


def test_a_version_by_default_is_that_of_an_item_without_one(store: Store) -> None:
    orders = CountedOrders(store.config())
    store.orders.create(order("ivo"))
    mine, theirs = orders.get_or_raise(("ivo", 1)), orders.get_or_raise(("ivo", 1))
    assert orders.update(("ivo", 1), {"total": 1}).version == 2, "one more than the default"
    for read in (mine, theirs):
        with pytest.raises(VersionConflictError, match="version 1 was read and 2 is stored"):
            orders.update(read, {"total": 2})
    store.orders.create(order("ivo"), overwrite=True)
    assert orders.update(mine.model_copy(update={"note": "mine"})).version == 2
    with pytest.raises(VersionConflictError, match="version 1 was read and 2 is stored"):
        orders.update(theirs, {"note": "theirs"})


def test_of_many_writers_of_one_version_one_wins(store: Store) -> None:
    orders = VersionedOrders(store.config())
    read = orders.create(order("flo"))
    results: list[str] = []

    def write(number: int) -> None:
        try:
            orders.update(read.model_copy(update={"note": f"writer {number}"}))
        except VersionConflictError:
            results.append("lost")
        else:
            results.append("won")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["lost"] * 5 + ["won"]


# -------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda orders: orders.get("ann"), r"'ann' is no key of table .*: give \(customer_id, order_id\)"),
        (lambda orders: orders.get(("ann",)), r"give \(customer_id, order_id\)"),
        (lambda orders: orders.get(("ann", "x")), "order_id: Input should be a valid integer.*not 'x'"),
        (lambda orders: orders.get(("", 1)), "DynamoDB takes no empty 'customer_id'"),
        (lambda orders: orders.get({"customer": "ann"}), "has no field 'customer': did you mean 'customer_id'"),
        (lambda orders: orders.get({"customer_id": "ann"}), "name 'customer_id' and 'order_id', and nothing else"),
        (lambda orders: orders.create({"customer_id": "a"}), "of type dict, and table .* holds Order"),
        (lambda orders: orders.update("ann"), "is no key"),
        (lambda orders: orders.update(("ann", 1)), "of type tuple: give a Order, or a key and the changes"),
        (lambda orders: orders.update(("ann", 1), ["note"]), "give a dict of values by the names of fields"),
        (lambda orders: orders.update(("ann", 1), {"nte": "x"}), "no field 'nte': did you mean 'note'"),
        (lambda orders: orders.update(("ann", 1), {"total": "x"}), "total: Input should be a valid decimal"),
        (lambda orders: orders.update(("ann", 1), {"customer_id": "bob"}), "an item's key can't change"),
        (lambda orders: orders.list_all(limit=0), "limit is 0: give a whole number from 1 on"),
        (lambda orders: orders.list_all(limit=True), "limit is True"),
        (lambda orders: list(orders.pages(page_size=-1)), "page_size is -1"),
        (lambda orders: orders.query_by_pk(7), "customer_id: Input should be a valid string"),
        (lambda orders: orders.query_by_pk(""), "no empty one"),
        (lambda orders: orders.query_by_pk("a", sort_key_prefix=1), "give the text that the key begins with"),
        (lambda orders: orders.query_by_pk("a", sort_key_prefix="1", sort_key_to=2), "can't be joined"),
        (lambda orders: orders.query_by_pk("a", index="by_day"), "has no index 'by_day': it has none"),
        (lambda orders: orders.batch_put([order("a"), "b"]), "of type str, and table"),
    ],
)
def test_bad_input_gets_a_sentence(one_store: Store, act: Any, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        act(one_store.orders)


def test_a_call_with_other_arguments_says_how_it_is_called(one_store: Store) -> None:
    orders: Any = one_store.orders
    sentence = r"\w+\.get can't be called so: missing a required argument: 'key'. Call it as \w+.get\("
    with pytest.raises(TypeError, match=sentence):
        orders.get()
    with pytest.raises(TypeError, match="can't be called so: got an unexpected keyword argument 'pagesize'"):
        list(orders.pages(pagesize=1))


def test_bad_zones_filters_and_classes_get_a_sentence(one_store: Store) -> None:
    with pytest.raises(ConfigurationError, match="Invalid timezone 'Mars/Olympus'"):
        one_store.orders.get(("a", 1), user_timezone="Mars/Olympus")
    with pytest.raises(ConfigurationError, match="Invalid timezone"):
        one_store.orders.create(order("a"), current_timezone="Mars/Olympus")
    with pytest.raises(OptionError, match="Option 'filter' names 'nte'.* did you mean 'note'"):
        one_store.orders.list_all(filter="nte = 'x'")

    class NoModel(OrderRepository):
        model_class = dict  # type: ignore[assignment]

    with pytest.raises(
        ConfigurationError, match="model_class of NoModel is no class that derives from pydantic.BaseModel"
    ):
        NoModel(one_store.config()).get(("a", 1))
    with pytest.raises(TypeError, match="abstract"):
        BaseDynamoRepository()  # type: ignore[abstract]


def test_a_missing_table_and_a_server_that_is_gone_are_named(one_store: Store) -> None:
    class Lost(OrderRepository):
        table_name = "lost"

    with pytest.raises(TableNotFoundError, match="no table '.*_dev_lost'"):
        Lost(one_store.config()).get(("a", 1))
    gone = OrderRepository(configured("http://127.0.0.1:9", "x", retries=1))
    with pytest.raises(ConnectionError, match="attempts=2"):
        gone.get(("a", 1))


def test_an_item_that_is_no_such_model_is_named(one_store: Store) -> None:
    item = {"customer_id": {"S": "odd"}, "order_id": {"N": "1"}, "total": {"S": "much"}}
    one_store.server.put(one_store.name("orders"), item)
    with pytest.raises(MalformedItemError, match=r"item \{customer_id='odd', order_id=.*attribute 'total'"):
        one_store.orders.get(("odd", 1))


def test_an_item_that_grows_too_large_is_named(store: Store) -> None:
    with pytest.raises(InvalidItemError, match="409,600 with names and values"):
        store.orders.create(order("gus", note="x" * 420_000))
    store.orders.create(order("gus", note="x" * 300_000))

    class Wide(Order):
        more: str | None = None

    class WideOrders(BaseDynamoRepository[Wide]):
        table_name, model_class, primary_key, sort_key = "orders", Wide, "customer_id", "order_id"

    with pytest.raises(InvalidItemError, match=r"\{customer_id='gus', order_id=1\}.*larger than the 400 KB"):
        WideOrders(store.config()).update(("gus", 1), {"more": "y" * 200_000})


def test_field_validators_see_partial_updates(one_store: Store) -> None:
    class Strict(Order):
        @field_validator("note")
        @classmethod
        def is_calm(cls, note: str | None) -> str | None:
            if note and note.isupper():
                raise ValueError("don't shout")
            return note and note.strip()

    class StrictOrders(BaseDynamoRepository[Strict]):
        table_name, model_class, primary_key, sort_key = "orders", Strict, "customer_id", "order_id"

    orders = StrictOrders(one_store.config())
    orders.create(Strict(customer_id="hal", order_id=1))
    assert orders.update(("hal", 1), {"note": " calm "}).note == "calm"
    with pytest.raises(ValidationError, match="note: Value error, don't shout, not 'LOUD'"):
        orders.update(("hal", 1), {"note": "LOUD"})


# ------------------------------------------------------------------------------------------------------ many items


@pytest.fixture(scope="module")
def filled(store: Store) -> Store:
    items = [order("many", number, total=number, note="odd" if number % 2 else None) for number in range(30)]
    assert store.orders.batch_put(items) == 30
    return store


def test_a_query_is_bounded_ordered_and_limited(filled: Store) -> None:
    orders = filled.orders
    assert [o.order_id for o in orders.query_by_pk("many")] == list(range(30))
    assert [o.order_id for o in orders.query_by_pk("many", 3, newest_first=True)] == [29, 28, 27]
    assert [o.order_id for o in orders.query_by_pk("many", sort_key_from=5, sort_key_to=7)] == [5, 6, 7]
    assert [o.order_id for o in orders.query_by_pk("many", sort_key_from=28)] == [28, 29]
    assert [o.order_id for o in orders.query_by_pk("many", sort_key_to=1)] == [0, 1]
    assert [o.order_id for o in orders.query_by_pk("many", 2, filter="note = 'odd' AND total > 4")] == [5, 7]
    assert orders.query_by_pk("none") == []


def test_pages_come_one_request_at_a_time(filled: Store) -> None:
    with filled.watched() as proxy:
        orders = OrderRepository(filled.config(proxy.endpoint))
        pages = orders.pages("many", page_size=10)
        assert [len(next(pages)), len(proxy.log)] == [10, 1]
        assert [len(page) for page in pages] == [10, 10]
        stopped = orders.pages(page_size=1)
        next(stopped)
        before = len(proxy.log)
        stopped.close()
        assert len(proxy.log) == before


def test_a_limit_bounds_what_is_read(filled: Store) -> None:
    with filled.watched() as proxy:
        orders = OrderRepository(filled.config(proxy.endpoint))
        assert len(orders.query_by_pk("many", limit=4)) == 4
        assert [request["Limit"] for _, request, _ in proxy.log] == [4]
        assert filled.scanned(proxy) == 4
        proxy.log.clear()
        assert len(orders.list_all(7)) == 7
        assert filled.scanned(proxy) == 7


def test_a_filter_that_speaks_of_the_queried_keys_is_refused(one_store: Store) -> None:
    """AWS does so, too, but not every local server."""
    runs, index = one_store.runs, "pipeline_id-start_time-index"
    for predicate, advice in {
        "status = 'failed' AND start_time > TIMESTAMP '2026-07-01 12:00:00Z'": "bound it by sort_key_from and sort_key_to",
        "pipeline_id <> 'b'": "give its value alone",
    }.items():
        for ask in (runs.query_by_pk, lambda *a, **k: list(runs.pages(*a, **k))):
            with pytest.raises(ValidationError, match=f"filter speaks of '.*_(id|time)', a key .*: {advice}"):
                ask("a", index=index, filter=predicate)
    assert runs.query_by_pk("no such", index=index, filter="status = 'failed'") == []


@pytest.mark.slow
def test_ten_thousand_models_go_in_batches(dynoxide_server: Server) -> None:
    store = make_store(dynoxide_server)
    items = [order(f"c{number % 100}", number, total=Decimal(number) / 4) for number in range(10_000)]
    keys: list[Any] = [(item.customer_id, item.order_id) for item in items]
    assert store.orders.batch_put(iter(items)) == 10_000
    assert store.orders.batch_get([*keys, ("nobody", 1), keys[0]]) == [*items, None, items[0]]
    assert store.orders.batch_delete([*keys, keys[0]]) == 10_000
    assert store.orders.list_all() == []


def test_a_batch_with_one_key_twice_is_refused_before_anything_is_sent(one_store: Store) -> None:
    with pytest.raises(
        DuplicateKeyError, match=r"Two items .* the key \{customer_id='twin', order_id=1\}.*give it once"
    ):
        one_store.orders.batch_put([order("twin"), order("other"), order("twin", note="b")])
    assert one_store.orders.query_by_pk("other") == []
    assert one_store.orders.batch_put([]) == 0
    assert one_store.orders.batch_get([]) == []


# ------------------------------------------------------------------------------------------- answers that get lost


@pytest.mark.parametrize("fault", ["answer lost", "error after the effect", "wrong CRC32"])
def test_a_write_whose_answer_is_lost_is_done_once_and_no_refusal(store: Store, fault: str) -> None:
    with store.watched() as proxy:
        orders = VersionedOrders(store.config(proxy.endpoint))
        name = fault.replace(" ", "-")
        orders.delete((name, 1))
        for act in (
            lambda: orders.create(order(name, note="a")),
            lambda: orders.update(orders.get_or_raise((name, 1)).model_copy(update={"note": "b"})),
            lambda: orders.delete((name, 1), expected_version=2),
        ):
            first = iter([fault])
            proxy.choose = lambda operation, _: next(first, None) if operation != "GetItem" else None  # noqa: B023
            result: Any = act()
            proxy.choose = lambda operation, _: None
            assert result is True or result.version in (1, 2)
        assert orders.get((name, 1)) is None
        assert proxy.faults == {fault: 3}


def test_retries_are_as_many_as_configured(one_store: Store) -> None:
    with one_store.watched() as proxy:
        proxy.choose = lambda operation, _: "ThrottlingException"
        orders = OrderRepository(one_store.config(proxy.endpoint, retries=2))
        with pytest.raises(RequestFailedError, match="throttl.*attempts=3"):
            orders.get(("a", 1))
        assert len(proxy.log) == 3


# ------------------------------------------------------------------------------------------------- schema versions


class Old(BaseModel):
    id: str
    price: Decimal


class Current(BaseModel):
    schema_version: ClassVar[int] = 2
    id: str
    cents: int


@migration(Current, from_version=1)
def count_cents(item: dict[str, Any]) -> dict[str, Any]:
    item["cents"] = int(item.pop("price") * 100)
    return item


class Prices(BaseDynamoRepository[Current]):
    table_name, model_class, primary_key = "prices", Current, "id"


class OldPrices(BaseDynamoRepository[Old]):
    table_name, model_class, primary_key = "prices", Old, "id"


def test_items_of_older_versions_are_read_upgraded_and_changed_only_whole(local_server: Server) -> None:
    table = local_server.create("id:S")
    config = configured(local_server.endpoint, "", environment="prod")

    class Named(Prices):
        table_name = table

    class OldNamed(OldPrices):
        table_name = table

    OldNamed(config).create(Old(id="a", price="1.50"))
    prices = Named(config)
    assert prices.get("a") == Current(id="a", cents=150)
    with pytest.raises(MigrationError, match="a part of an older item can't be changed without the rest"):
        prices.update("a", {"cents": 3})
    assert prices.update(Current(id="a", cents=3)) == Current(id="a", cents=3)
    assert local_server.items(table)[0]["schema_version"] == {"N": "2"}
    assert prices.update("a", {"cents": 4}).cents == 4
    local_server.put(table, {"id": {"S": "new"}, "cents": {"N": "1"}, "schema_version": {"N": "3"}})
    for act in (lambda: prices.update("new", {"cents": 4}), lambda: prices.update(Current(id="new", cents=4))):
        with pytest.raises(NewerVersionError, match="Update the code"):
            act()


# ------------------------------------------------------------------------------------------------------- the object


def test_a_repository_asks_nothing_before_its_first_call_and_survives_pickling(one_store: Store) -> None:
    orders = OrderRepository(configured("http://127.0.0.1:9", "x"))
    assert orders.physical_table_name == "x_dev_orders"
    copied = pickle.loads(pickle.dumps(one_store.orders))
    copied.create(order("ivy"))
    assert copied.get(("ivy", 1)) == order("ivy")
    assert repr(copied) == "OrderRepository('orders')"


def test_methods_show_their_signature_and_docstring() -> None:
    import inspect

    orders = OrderRepository(DynamoDBConfig())
    assert list(inspect.signature(orders.get).parameters) == ["key", "user_timezone", "consistent_read", "projection"]
    assert (inspect.getdoc(orders.get) or "").startswith("The item with that key, None where there is none.")
    assert (inspect.getdoc(OrderRepository.get) or "").startswith("The item with that key")
    assert repr(orders.get) == "<get of OrderRepository('orders')>"


def test_each_request_is_told_to_telemetry(one_store: Store, caplog: pytest.LogCaptureFixture) -> None:
    one_store.orders.create(order("joy"), overwrite=True)
    with caplog.at_level(logging.DEBUG, "spark_dynamo.telemetry"):
        one_store.orders.get(("joy", 1))
        one_store.orders.query_by_pk("joy")
    facts = [(r.operation, r.table, r.items) for r in caplog.records if r.name == "spark_dynamo.telemetry"]  # type: ignore[attr-defined]
    table = one_store.name("orders")
    assert facts == [("GetItem", table, 1), ("Query", table, 1)]


def test_the_three_names_with_timezones_are_the_same_calls(one_store: Store) -> None:
    pipelines = one_store.pipelines
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    made = pipelines.create_with_timezone_context(pipeline("zones", created_at=noon), "Asia/Tokyo")
    assert made.created_at.isoformat() == "2026-07-01T21:00:00+09:00"
    found = pipelines.get_with_timezone("zones", "America/New_York")
    assert found is not None
    assert found.created_at.isoformat() == "2026-07-01T08:00:00-04:00"
    (listed,) = [p for p in pipelines.list_all_with_timezone("Europe/Berlin") if p.pipeline_id == "zones"]
    assert listed.created_at.isoformat() == "2026-07-01T14:00:00+02:00"
    assert made == found == listed


@pytest.mark.server
@pytest.mark.parametrize(
    "lie",
    [
        Reply({}),
        replace(refusal("InternalServerError"), status=200),
        Reply(b"<html>Welcome</html>", headers={}),
        Reply(b"[]", headers={}),
    ],
    ids=["nothing", "an error under a status of success", "a page", "a list"],
)
def test_what_was_not_done_is_not_told_as_done(lie: Reply) -> None:
    with scripted_server(lambda operation, request: lie) as server:
        orders = OrderRepository(configured(server.endpoint, "x", retries=1))
        calls: list[Callable[[], object]] = [
            lambda: orders.create(Order(customer_id="a", order_id=1)),
            lambda: orders.get(("a", 1)),
            lambda: orders.update(("a", 1), {"note": "x"}),
            lambda: orders.delete(("a", 1)),
            lambda: orders.list_all(),
        ]
        for number, call in enumerate(calls, 1):
            with pytest.raises(RequestFailedError):
                call()
            assert len(server.requests) == 2 * number
