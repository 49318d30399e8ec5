"""The budget of a job: what its tasks consume together, by the server's own record."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from spark_dynamo.aws.budget import PAGE_UNITS, Budget
from spark_dynamo.aws.client import Connection
from spark_dynamo.aws.pages import Chain, fetch_pages
from spark_dynamo.aws.requests import Requests
from tests.servers.faulty import faulty_server
from tests.servers.replay import ITEM_SIZE, TABLE, ReplayServer, Served, replay_server

SECONDS = 30.0
UNITS_PER_SECOND = 240.0
CALM = threading.Event()  # nobody ends these tasks


def connection_to(server: ReplayServer) -> Connection:
    return Connection("us-east-1", server.endpoint, access_key_id="k", secret_access_key="s")


def scan(is_consistent: bool) -> list[Chain]:
    return [
        Chain(
            "Scan",
            {"Segment": segment, "TotalSegments": 16, "ConsistentRead": is_consistent},
            f"segment {segment}",
        )
        for segment in range(16)
    ]


def query(is_consistent: bool) -> list[Chain]:
    condition = {"KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": {"S": "x"}}}
    return [Chain("Query", {**condition, "ConsistentRead": is_consistent}, f"query {number}") for number in range(3)]


def batches(is_consistent: bool) -> list[Chain]:
    numbers = iter(range(200_000))
    return [
        Chain(
            "BatchGetItem",
            {
                "Keys": [{"id": {"S": f"item-{number:012d}"}} for number in itertools.islice(numbers, 100)],
                "ConsistentRead": is_consistent,
            },
            f"keys {batch}",
        )
        for batch in range(300)
    ]


def run(server: ReplayServer, chains: list[Chain], units_per_second: float, until: float) -> None:
    """One task, ended at that time."""
    budget = Budget(units_per_second, average_item_bytes=ITEM_SIZE)
    requests = Requests(connection_to(server), TABLE, budget=budget)
    pages = fetch_pages(requests, chains, concurrency=4)
    for _ in pages:
        if time.monotonic() > until:
            pages.close()  # type: ignore[attr-defined]
            return
    raise AssertionError("the task came to its end")


def largest_second(log: list[Served]) -> float:
    """The most units that were served in any window of one second."""
    served = sorted((entry.answered, entry.units) for entry in log)
    return max(sum(units for at, units in served[first:] if at < start + 1) for first, (start, _) in enumerate(served))


@pytest.mark.slow
def test_tasks_together_consume_their_budget_and_no_second_much_more() -> None:
    """Six tasks of two jobs with a third of a budget each: one job's server tells what it consumed, the other's does not."""
    with ExitStack() as stack:
        telling = stack.enter_context(replay_server(3_000, capacity=True))
        silent = stack.enter_context(replay_server(3_000, capacity=False))
        tasks = stack.enter_context(ThreadPoolExecutor(6))
        started = time.monotonic()
        until = started + SECONDS
        futures = [
            tasks.submit(run, server, chains(is_consistent), UNITS_PER_SECOND / 3, until)
            for server, is_consistent in ((telling, False), (silent, True))
            for chains in (scan, query, batches)
        ]
        for future in futures:
            future.result()
        for server in (telling, silent):
            log = [entry for entry in server.log() if entry.answered < until]
            units = sum(entry.units for entry in log)
            assert units / SECONDS == pytest.approx(UNITS_PER_SECOND, rel=0.1)
            assert largest_second(log) <= 1.5 * UNITS_PER_SECOND
            assert {entry.operation for entry in log} == {"Scan", "Query", "BatchGetItem"}


def spend(budget: Budget, count: int, each: float, *, most: int | None = None) -> tuple[list[float], list[int | None]]:
    """So many requests of items that cost `each`; the times at which they started, and their limits."""
    starts, limits = [], []
    for _ in range(count):
        with budget.reserve(CALM, most=most) as reservation:
            starts.append(time.monotonic())
            limits.append(reservation.limit)
            items = 500 if reservation.limit is None else reservation.limit
            reservation.settle(items * each, items=items)
    return starts, limits


def test_requests_grow_to_a_quarter_of_a_second_and_wait_for_each_other() -> None:
    starts, limits = spend(Budget(400.0), 5, each=0.5)
    assert limits == [1, 200, 200, 200, 200]
    # the first cost nothing worth mentioning, and each of the others a quarter of a second, less the credit
    gaps = [after - before for before, after in itertools.pairwise(starts)]
    assert gaps[0] < 0.1
    assert sum(gaps[1:]) >= 0.75 - 0.11
    assert all(0.1 <= gap < 0.6 for gap in gaps[1:])


def test_large_items_make_requests_small_but_never_empty() -> None:
    _, limits = spend(Budget(1e5), 3, each=50.0)
    assert limits == [None] * 3  # 25,000 units pay for whole pages
    _, limits = spend(Budget(100_000.0), 3, each=50.0, most=25)
    assert limits == [1, 25, 25]
    _, limits = spend(Budget(200.0), 3, each=30.0)
    assert limits == [1, 1, 1]


def test_a_change_of_the_items_size_is_learned() -> None:
    budget, hurry = Budget(400.0), threading.Event()
    hurry.set()  # what is learned needs no waiting
    for each in (0.5, 2.0, 0.1):
        for _ in range(30):
            with budget.reserve(hurry, most=10_000) as reservation:
                assert reservation.limit is not None
                reservation.settle(reservation.limit * each, items=reservation.limit)
        assert reservation.limit == pytest.approx(100 / each, rel=0.02)


def test_the_first_request_goes_alone() -> None:
    budget = Budget(400.0)
    order = []
    started = threading.Event()

    def second() -> None:
        started.set()
        with budget.reserve(CALM) as reservation:
            order.append(reservation.limit)

    with budget.reserve(CALM) as first:
        thread = threading.Thread(target=second)
        thread.start()
        started.wait()
        thread.join(timeout=0.05)
        assert thread.is_alive()
        order.append(first.limit)
        first.settle(0.5, items=1)
    thread.join(timeout=10)
    assert order == [1, 200]


def test_a_first_request_that_fails_makes_room_for_another() -> None:
    budget, stop = Budget(1.0), threading.Event()
    guard = threading.Timer(5.0, stop.set)  # that a failure of this test ends, too
    guard.start()
    for _ in range(3):
        with pytest.raises(LookupError), budget.reserve(stop) as reservation:
            assert reservation.limit == 1
            raise LookupError
    started = time.monotonic()
    with budget.reserve(stop, each=0.01):
        assert time.monotonic() - started < 2  # what failed, 3 seconds' worth, cost nothing
    assert not stop.is_set()
    guard.cancel()
    guard.join()


def test_who_waits_ends_with_the_task() -> None:
    budget, stop = Budget(0.01), threading.Event()
    spend(budget, 1, each=0.5)  # fifty seconds' worth
    thread = threading.Thread(target=lambda: budget.reserve(stop))
    thread.start()
    stop.set()
    thread.join(timeout=5)
    assert not thread.is_alive()


def test_a_repeated_request_is_paid_again_and_what_it_did_not_cost_is_given_back() -> None:
    budget = Budget(100.0)
    spend(budget, 1, each=0.5)
    paid_at = budget._clock.paid_at
    with budget.reserve(CALM) as reservation:  # 50 items for 25 units
        reservation.renew()
        reservation.settle(5.0, items=50)
    assert budget._clock.paid_at - paid_at == pytest.approx(
        0.30, abs=0.15
    )  # 30 units, and the time that was waited for


def test_who_is_told_to_stop_pays_nothing() -> None:
    budget, stop = Budget(100.0), threading.Event()
    spend(budget, 1, each=0.5)
    paid_at = budget._clock.paid_at
    stop.set()
    with budget.reserve(stop, most=25, each=1.0) as reservation:
        assert reservation.charged == 0.0
    assert budget._clock.paid_at - paid_at == pytest.approx(0.0, abs=0.11)  # what may be caught up on


def test_what_is_given_back_is_at_the_disposal_of_who_waits_already() -> None:
    budget, started = Budget(10.0), threading.Event()
    spend(budget, 1, each=1.0)

    def second() -> None:
        started.set()
        budget.reserve(CALM, each=1.0)

    with budget.reserve(CALM, each=100.0) as first:  # ten seconds' worth
        thread = threading.Thread(target=second)
        thread.start()
        started.wait()
        thread.join(timeout=0.1)
        assert thread.is_alive()
        first.settle(1.0, items=1)
    thread.join(timeout=3)
    assert not thread.is_alive()


def test_an_estimate_of_writes_is_corrected_by_what_they_cost() -> None:
    """Items of 1 and of 10 KB; two indexes make each write cost three times as much, which no estimate knows."""
    budget, hurry = Budget(400.0), threading.Event()
    hurry.set()  # what is learned needs no waiting
    for each in (1.0, 10.0, 1.0, 10.0):
        with budget.reserve(hurry, most=25, each=each) as reservation:
            assert reservation.limit is not None
            reservation.settle(reservation.limit * each * 3, items=reservation.limit)
    assert budget.reserve(hurry, most=25, each=1.0).limit == 25
    assert budget.reserve(hurry, most=25, each=10.0).limit == 3  # 90 of the 100 units of a quarter of a second
    assert budget.reserve(hurry, most=25, each=400.0).limit == 1


def test_an_answer_that_names_no_units_ends_nothing() -> None:
    budget = Budget(1000.0)
    for _ in range(3):
        with budget.reserve(CALM, most=25, each=1.0) as reservation:
            assert reservation.limit is not None
            reservation.settle(0.0, items=reservation.limit)
    assert reservation.limit == 25


def test_without_a_budget_nothing_waits() -> None:
    started = time.monotonic()
    _, limits = spend(Budget(), 1_000, each=1e9, most=100)
    assert set(limits) == {100}
    assert spend(Budget(), 10, each=1e9)[1] == [None] * 10
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("items", "known", "seen", "separately", "consistent", "units"),
    [
        (0, None, None, False, False, 0.5),
        (0, 100.0, None, True, True, 1.0),
        (1, 100.0, None, False, False, 0.5),
        (100, 100.0, 9e9, False, False, 1.5),  # 10,000 bytes are three blocks of 4 KB
        (100, 100.0, None, False, True, 3.0),
        (100, 100.0, None, True, False, 50.0),
        (10, 4097.0, None, True, True, 20.0),
        (10, None, 400.0, False, False, 0.5),
        (10, None, None, False, False, 5.0),
    ],
)
def test_units_that_no_answer_tells(
    items: int, known: float | None, seen: float | None, separately: bool, consistent: bool, units: float
) -> None:
    budget = Budget(10.0, average_item_bytes=known)
    assert budget.estimate(items, item_bytes=seen, separately=separately, consistent=consistent) == units


@pytest.mark.parametrize("units", [0.0, -1.0, float("nan")])
def test_a_budget_of_nothing_is_refused(units: float) -> None:
    with pytest.raises(ValueError, match="lets nothing happen"):
        Budget(units)


@pytest.mark.parametrize("tells", [True, False])
def test_a_page_of_1_mb_is_known_by_its_end(tells: bool) -> None:
    """A server that is silent cost 128.5 units per page that another page follows; whole pages need no limit."""
    with replay_server(4, capacity=tells) as server:
        budget = Budget(1e9, average_item_bytes=1.0)
        requests = Requests(connection_to(server), TABLE, budget=budget)
        pages = list(fetch_pages(requests, [Chain("Scan", {}, "all")], concurrency=1))
        assert len(pages) == 4
        assert requests.counts.units == (4 * PAGE_UNITS if tells else 0.0)
        assert budget._request_units == pytest.approx(PAGE_UNITS if tells else 96.5, rel=0.01)


@pytest.mark.server
def test_answers_that_are_lost_are_paid_for() -> None:
    """The server's record shows what the client never saw."""
    with replay_server(400) as server, faulty_server(server.endpoint) as proxy:
        proxy.choose = lambda operation, request: "answer cut" if len(proxy.log) % 2 else None
        requests = Requests(proxy.connection, TABLE, budget=Budget(200.0))
        started = time.monotonic()
        pages: Iterator[bytes] = fetch_pages(requests, scan(False), concurrency=4)
        for _ in pages:
            if time.monotonic() - started > 2.0:
                break
        pages.close()  # type: ignore[attr-defined]
        log = server.log()
        elapsed = time.monotonic() - started
    assert proxy.faults["answer cut"] > 3
    assert sum(entry.units for entry in log) <= (elapsed + 0.5) * 200.0
