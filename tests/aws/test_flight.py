"""As many requests at once as are worth it, one named failure, and an end without threads."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from spark_dynamo.aws import in_flight as flight_module
from spark_dynamo.aws import requests as requests_module
from spark_dynamo.aws.batch_write import BatchWriter
from spark_dynamo.aws.in_flight import FEWEST, MOST, Flight, Limit, consumed_write_units, write_units
from spark_dynamo.aws.requests import Requests, Stopped
from spark_dynamo.errors import UnwrittenItemsError
from tests.servers.scripted import Reply, ScriptedServer, refusal, scripted_server


@pytest.fixture(autouse=True)
def _no_threads_are_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dynamodb-write")]


def items(count: int, start: int = 0) -> pa.StringArray:
    return pa.array([f'{{"id":{{"N":"{number}"}}}}' for number in range(start, start + count)], pa.string())


def written(operation: str, request: dict[str, Any]) -> Reply:
    return Reply({"UnprocessedItems": {}})


# ------------------------------------------------------------------------------------------------------ the limit


class Simulation:
    """A server of a given latency and capacity, and a process of which each request takes some CPU time."""

    def __init__(self, latency: float, *, cpu: float = 0.0005, capacity: float = 1e9, most: int = MOST) -> None:
        self.latency, self.cpu, self.capacity = latency, cpu, capacity
        self.limit = Limit(most=most)
        self.now = self.used = 0.0
        self.troubles = 0
        self.values: list[int] = []

    def run(self, seconds: float, *, gaps: bool = False, throttles: bool = False) -> None:
        until = self.now + seconds
        while self.now < until:
            rate = min(self.limit.value / self.latency, 1 / self.cpu, self.capacity)
            self.now += 1 / rate
            self.used += self.cpu
            self.troubles += throttles
            self.limit.had_gap |= gaps
            if self.limit.finished(self.now):
                self.limit.adapt(self.now, self.used, self.troubles)
                self.values.append(self.limit.value)


def test_the_limit_grows_until_the_latency_is_hidden() -> None:
    simulation = Simulation(0.1)
    simulation.run(3)
    assert simulation.limit.value == MOST == 64


def test_the_limit_stays_small_where_the_cpu_is_what_is_short() -> None:
    simulation = Simulation(0.001)
    simulation.run(10)
    assert max(simulation.values) == FEWEST == 4


def test_the_limit_shrinks_again_when_the_latency_does() -> None:
    simulation = Simulation(0.1)
    simulation.run(3)
    simulation.latency = 0.001
    simulation.run(3)
    assert simulation.limit.value == FEWEST


def test_the_limit_stays_where_growth_brings_nothing() -> None:
    """The server takes 300 requests per second, whoever sends them: six at once of 20 ms each."""
    simulation = Simulation(0.02, capacity=300)
    simulation.run(30)
    assert simulation.limit.value <= 16
    assert max(simulation.values) <= 20


def test_the_limit_grows_no_further_where_the_queue_was_empty() -> None:
    simulation = Simulation(0.02)
    simulation.run(5, gaps=True)
    assert simulation.limit.value == FEWEST


def test_throttling_halves_the_limit_and_it_grows_slowly_again() -> None:
    simulation = Simulation(0.1)
    simulation.run(3)
    simulation.values.clear()
    simulation.run(0.5, throttles=True)
    assert simulation.values[0] == MOST // 2
    simulation.run(10, throttles=True)
    assert simulation.limit.value == FEWEST
    simulation.values.clear()
    simulation.run(20)
    assert simulation.limit.value == MOST
    assert all(
        later <= earlier * 1.25 + 1 for earlier, later in zip(simulation.values, simulation.values[1:], strict=False)
    )


# ----------------------------------------------------------------------------------------------------- the flight


@pytest.mark.server
def test_requests_in_flight_adapt_to_the_latency() -> None:
    with scripted_server(lambda operation, request: replace(written(operation, request), delay=0.03)) as server:
        requests = Requests(server.connection, "t")
        with Flight(requests) as flight:
            writer = BatchWriter(flight, ["id"])
            limits = []
            for start in range(0, 25 * 1_500, 2_500):
                writer.send(items(2_500, start))
                limits.append(flight.limit)
                if limits[-1] > 2 * FEWEST:
                    break
            assert max(limits) > 2 * FEWEST
            assert 2 * FEWEST < len(flight._threads) <= MOST
    sent = [
        entry["PutRequest"]["Item"]["id"]["N"] for _, body in server.requests for entry in body["RequestItems"]["t"]
    ]
    assert len(set(sent)) == requests.counts.items == 2_500 * (start // 2_500 + 1)
    # a busy machine may reset a connection
    assert len(sent) - len(set(sent)) <= 25 * requests.counts.retries


@pytest.mark.server
def test_threads_are_made_as_they_are_needed() -> None:
    with scripted_server(written) as server, Flight(Requests(server.connection, "t")) as flight:
        writer = BatchWriter(flight, ["id"])
        assert not flight._threads
        for number in range(5):
            writer.send(items(1, number))
            flight.wait()
        assert len(flight._threads) == 1


@pytest.mark.server
def test_a_caller_is_held_back_where_the_requests_are_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """In number and in bytes, so that memory stays flat."""
    monkeypatch.setattr(flight_module, "_MOST_BYTES", 10_000)
    # 8 in the queue and up to 4 under way, as threads begin late on a busy machine; 3 of 3,000 bytes
    for size, least, most in ((1, 8, 12), (3_000, 1, 3)):
        answering = threading.Event()

        def answer(operation: str, request: dict[str, Any], answering: threading.Event = answering) -> Reply:
            answering.wait(60)
            return written(operation, request)

        with scripted_server(answer) as server, Flight(patient(server), fewest=4, most=4) as flight:
            text = pa.array([f'{{"id":{{"S":"{"x" * size}"}}}}'])
            writer = BatchWriter(flight, ["id"])
            sent: list[int] = []

            def send_all(writer: BatchWriter = writer, text: pa.StringArray = text, sent: list[int] = sent) -> None:
                for number in range(40):
                    writer.send(text)
                    sent.append(number)

            sender = threading.Thread(target=send_all)
            sender.start()
            until = time.monotonic() + 30
            while len(sent) < least and time.monotonic() < until:
                sender.join(0.05)
            sender.join(0.1)
            assert sender.is_alive()
            assert least <= len(sent) <= most
            answering.set()
            sender.join(60)
            flight.wait()
            assert flight.requests.counts.items == 40


@pytest.mark.server
def test_the_first_failure_ends_all_the_others() -> None:
    def answer(operation: str, request: dict[str, Any]) -> Reply:
        (entries,) = request["RequestItems"].values()
        if entries[0]["PutRequest"]["Item"]["id"]["N"] == "50":
            return refusal("ValidationException", "bad item")
        return written(operation, request)

    with scripted_server(answer) as server:
        requests = Requests(server.connection, "t")
        sentence = (
            r"not written to table 't', the first with the keys {id='50'}, {id='51'}, {id='52'}, because: .*bad item"
        )
        with pytest.raises(UnwrittenItemsError, match=sentence) as caught, Flight(requests, fewest=1, most=1) as flight:
            BatchWriter(flight, ["id"]).send(items(10_000))
        assert len(server.requests) == 3
        assert requests.counts.items == 50
        assert caught.value.count >= 50


@pytest.mark.server
def test_a_failure_shows_at_the_next_submit() -> None:
    with scripted_server(lambda operation, request: refusal("ValidationException")) as server:
        with pytest.raises(UnwrittenItemsError), Flight(Requests(server.connection, "t")) as flight:
            writer = BatchWriter(flight, ["id"])
            for number in range(10_000):
                writer.send(items(1, number))
        assert len(server.requests) <= FEWEST


@pytest.mark.server
def test_a_task_that_is_told_to_end_does_not_look_done() -> None:
    with scripted_server(lambda operation, request: refusal("ThrottlingException")) as server:
        requests = Requests(server.connection, "t")
        with pytest.raises(Stopped), Flight(requests) as flight:
            BatchWriter(flight, ["id"]).send(items(30))
            requests.stop.set()


@contextmanager
def silent_server() -> Iterator[tuple[ScriptedServer, threading.Event]]:
    """A server that takes requests and never answers, and an event that tells of three requests."""
    taken = threading.Semaphore(0)
    three = threading.Event()

    def answer(operation: str, request: dict[str, Any]) -> Reply:
        taken.release()
        if len(server.requests) >= 3:
            three.set()
        return Reply(delay=60)

    with scripted_server(answer) as server:
        yield server, three


def patient(server: ScriptedServer) -> Requests:
    return Requests(replace(server.connection, read_timeout=60.0), "t")


def interrupt_main() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@pytest.mark.server
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, Stopped])
def test_an_error_of_the_caller_ends_requests_that_nobody_answers(error: type[BaseException]) -> None:
    with silent_server() as (server, three):
        started = 0.0
        with pytest.raises(error), Flight(patient(server)) as flight:
            BatchWriter(flight, ["id"]).send(items(100))
            assert three.wait(10)
            started = time.monotonic()
            raise error
        assert time.monotonic() - started < 20
        assert not any(thread.is_alive() for thread in flight._threads)


@pytest.mark.server
@pytest.mark.parametrize("wait", [Flight.wait, lambda flight: BatchWriter(flight, ["id"]).send(items(10_000))])
def test_ctrl_c_reaches_a_caller_that_waits(wait: Callable[[Flight], None]) -> None:
    with silent_server() as (server, three):
        timer = threading.Thread(target=lambda: three.wait(10) and interrupt_main())
        timer.start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt), Flight(patient(server)) as flight:
            BatchWriter(flight, ["id"]).send(items(100))
            wait(flight)
        timer.join()
        assert time.monotonic() - started < 10
        assert not any(thread.is_alive() for thread in flight._threads)


@pytest.mark.server
def test_ctrl_c_between_taking_the_lock_and_holding_it_hangs_nobody() -> None:
    with silent_server() as (server, three):
        with pytest.raises(KeyboardInterrupt), Flight(patient(server)) as flight:
            BatchWriter(flight, ["id"]).send(items(100))
            assert three.wait(10)
            flight._room.__enter__()
            raise KeyboardInterrupt
        assert not any(thread.is_alive() for thread in flight._threads)


@pytest.mark.server
def test_an_abandoned_generator_ends_its_requests() -> None:
    def task(requests: Requests) -> Iterator[None]:
        with Flight(requests) as flight:
            BatchWriter(flight, ["id"]).send(items(100))
            yield

    with silent_server() as (server, three):
        running = task(patient(server))
        next(running)
        assert three.wait(10)
        started = time.monotonic()
        running.close()  # type: ignore[attr-defined]
        assert time.monotonic() - started < 20


@pytest.mark.server
def test_backoff_ends_at_once_with_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "_FIRST_DELAY", 1_000.0)
    monkeypatch.setattr(requests_module, "_LONGEST_DELAY", 1_000.0)
    with scripted_server(lambda operation, request: refusal("ThrottlingException")) as server:
        started = 0.0
        with pytest.raises(RuntimeError), Flight(Requests(server.connection, "t")) as flight:
            BatchWriter(flight, ["id"]).send(items(100))
            while len(server.requests) < FEWEST:
                flight.requests.stop.wait(0.01)
            started = time.monotonic()
            raise RuntimeError
        assert time.monotonic() - started < 20


@pytest.mark.server
def test_a_failure_does_not_wait_for_requests_that_nobody_answers() -> None:
    def answer(operation: str, request: dict[str, Any]) -> Reply:
        if len(server.requests) <= 2:
            return Reply(delay=60)
        return refusal("ValidationException", "bad item")

    with scripted_server(answer) as server:
        started = time.monotonic()
        with pytest.raises(UnwrittenItemsError, match="^100 items were not written"), Flight(patient(server)) as flight:
            BatchWriter(flight, ["id"]).send(items(100))
        assert time.monotonic() - started < 10


@pytest.mark.server
def test_no_more_requests_than_connections() -> None:
    with scripted_server(written) as server:
        connection = replace(server.connection, max_pool_connections=2)
        with Flight(Requests(connection, "t")) as flight:
            BatchWriter(flight, ["id"]).send(items(1_000))
            assert flight.limit == 2
        assert len(flight._threads) <= 2


@pytest.mark.parametrize(
    ("answer", "units"),
    [
        ({}, None),
        ({"ConsumedCapacity": []}, None),
        ({"ConsumedCapacity": {"TableName": "t", "CapacityUnits": 3.0}}, 3.0),
        ({"ConsumedCapacity": [{"CapacityUnits": 3.0}, {"CapacityUnits": 1.0}]}, 4.0),
        ({"ConsumedCapacity": [{"CapacityUnits": 3.0, "ReadCapacityUnits": 2.0, "WriteCapacityUnits": 1.0}]}, 1.0),
        ({"ConsumedCapacity": [{"CapacityUnits": 2.0, "ReadCapacityUnits": 2.0}]}, 0.0),
    ],
)
def test_write_units_of_an_answer(answer: dict[str, Any], units: float | None) -> None:
    assert consumed_write_units(answer) == units


def test_write_units_of_a_size() -> None:
    assert [write_units(size) for size in (1, 1_024, 1_025, 400_000)] == [1, 1, 2, 391]
    assert write_units(25 * 1_025, 25) == 50
