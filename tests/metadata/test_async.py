"""Repositories in event loops: many requests under way at once, the loop never blocked, tasks that are cancelled."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from spark_dynamo.errors import ItemAlreadyExistsError, ItemNotFoundError, MalformedItemError, ValidationError
from spark_dynamo.metadata.repositories import (
    AsyncDynamoRepository,
    AsyncPipelineConfigRepository,
    AsyncPipelineRunLogsRepository,
    AsyncTableConfigRepository,
)
from tests.benchmarks import gets
from tests.conftest import Server
from tests.metadata.stores import TABLE, Order, OrderRepository, Store, configured, make_store, pipeline
from tests.runs.tables import until
from tests.servers.replay import replay_server
from tests.servers.scripted import Reply, scripted_server


class AsyncOrders(AsyncDynamoRepository[Order]):
    table_name = "orders"
    model_class = Order
    primary_key = "customer_id"
    sort_key = "order_id"


@pytest.fixture(scope="module")
def store(local_server: Server) -> Store:
    return make_store(local_server)


def stored(request: dict[str, Any]) -> Reply:
    return Reply({"Item": {**request["Key"], "note": {"S": "x"}}})


def test_the_same_methods_are_awaited(store: Store) -> None:
    async def work() -> None:
        orders = AsyncOrders(store.config())
        made = await orders.create(Order(customer_id="ann", order_id=1, total=5))
        assert await orders.get(("ann", 1)) == made
        with pytest.raises(ItemAlreadyExistsError):
            await orders.create(made)
        with pytest.raises(ItemNotFoundError):
            await orders.get_or_raise(("ann", 2))
        with pytest.raises(ValidationError, match="is no key"):
            await orders.get("ann")
        assert (await orders.update(made, {"note": "x"})).note == "x"
        assert await orders.batch_put(Order(customer_id="bob", order_id=number) for number in range(60)) == 60
        assert [o.order_id for o in await orders.query_by_pk("bob", 3)] == [0, 1, 2]
        assert [len(page) async for page in orders.pages("bob", page_size=25)] == [25, 25, 10]
        async for page in orders.pages("bob", page_size=5):
            assert len(page) == 5
            break
        assert await orders.batch_get([("bob", 59), ("bob", 60)]) == [Order(customer_id="bob", order_id=59), None]
        assert await orders.delete(made) is True
        assert len(await orders.list_all()) == 60

    asyncio.run(work())
    assert len(OrderRepository(store.config()).list_all()) == 60


def test_the_three_repositories_are_awaited(store: Store) -> None:
    async def work() -> None:
        pipelines = AsyncPipelineConfigRepository(store.config())
        tables = AsyncTableConfigRepository(store.config())
        runs = AsyncPipelineRunLogsRepository(store.config())
        await asyncio.gather(
            pipelines.create(pipeline("sales")),
            tables.create_table_config("orders", **TABLE),
            runs.create_run_log("r1", "sales"),
        )
        assert [p.pipeline_id for p in await pipelines.get_active_pipelines()] == ["sales"]
        assert [t.table_id for t in await tables.get_source_tables("sales")] == ["orders"]
        await asyncio.gather(*(runs.add_log_message("r1", f"message {number}") for number in range(10)))
        (run,) = await runs.get_runs_by_pipeline("sales", user_timezone="Asia/Tokyo")
        assert len(run.log_messages) == 10
        assert run.start_time.utcoffset() is not None

    asyncio.run(work())


@pytest.mark.server
def test_as_many_requests_are_under_way_as_there_are_connections() -> None:
    together = threading.Barrier(40)

    def answer(operation: str, request: dict[str, Any]) -> Reply:
        together.wait(30)  # no request is answered before 40 are there
        return stored(request)

    with scripted_server(answer) as server:
        orders = AsyncOrders(configured(server.endpoint, "x", max_pool_connections=40))

        async def work() -> list[Order | None]:
            return await asyncio.gather(*(orders.get(("ann", number)) for number in range(120)))

        found = asyncio.run(work())
    assert [order and order.order_id for order in found] == list(range(120))


@pytest.mark.slow
def test_a_thousand_gets_take_a_tenth_of_the_time() -> None:
    """By a wide margin on an idle machine: see tests/benchmarks/repositories.py."""
    seconds = []
    with replay_server(1, 1000, 0.02) as server:
        for contender, items in ((gets.in_turn, 25), (gets.at_once, 1000)):
            with contender(server.endpoint, items) as work:
                work()
                began = time.perf_counter()
                work()
                seconds.append((time.perf_counter() - began) / items)
    assert seconds[0] / seconds[1] > 4, "a machine that does other things at the same time"


@pytest.mark.server
def test_the_loop_goes_on_while_requests_wait() -> None:
    ticked = threading.Event()

    def answer(operation: str, request: dict[str, Any]) -> Reply:
        assert ticked.wait(30)
        return stored(request)

    with scripted_server(answer) as server:
        orders = AsyncOrders(configured(server.endpoint, "x"))

        async def work() -> Order | None:
            request = asyncio.create_task(orders.get(("ann", 1)))
            await asyncio.sleep(0)
            ticked.set()
            return await request

        assert asyncio.run(work()) is not None


@pytest.mark.server
def test_a_task_that_is_cancelled_sends_nothing_more() -> None:
    asked = threading.Event()

    def answer(operation: str, request: dict[str, Any]) -> Reply:
        asked.set()
        return Reply(status=500, body={"__type": "InternalServerError"})

    with scripted_server(answer) as server:
        orders = AsyncOrders(configured(server.endpoint, "x", retries=1000))

        async def work() -> None:
            task = asyncio.create_task(orders.get(("ann", 1)))
            while not asked.is_set():
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(work())
        until(lambda: not [t for t in threading.enumerate() if t.name.startswith("dynamodb-await") and _busy(t)])
        count = len(server.requests)
        assert count < 100
        assert len(server.requests) == count


def _busy(thread: threading.Thread) -> bool:
    import sys

    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_code.co_name == "_once":
            return True
        frame = frame.f_back
    return False


@pytest.mark.server
def test_each_of_many_waiting_readers_gets_its_own_item_or_its_own_error() -> None:
    def answer(operation: str, request: dict[str, Any]) -> Reply:
        number = int(request["Key"]["order_id"]["N"])
        note = {"N": "7"} if number % 20 == 0 else {"S": f"note {number}"}
        return Reply(
            {"Item": {**request["Key"], "note": note}} if number % 7 else {"ConsumedCapacity": {"CapacityUnits": 0.5}}
        )

    with scripted_server(answer) as server:
        orders = AsyncOrders(configured(server.endpoint, "x"))

        async def work() -> list[Any]:
            gets = (orders.get(("ann", number)) for number in range(1, 60))
            return await asyncio.gather(*gets, return_exceptions=True)

        found = asyncio.run(work())
    for number, result in enumerate(found, 1):
        if number % 7 == 0:
            assert result is None
        elif number % 20 == 0:
            assert isinstance(result, MalformedItemError)
            assert result.key == {"customer_id": "ann", "order_id": str(number)}
        else:
            assert result.note == f"note {number}"
