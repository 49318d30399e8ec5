"""One budget for tasks that know nothing of each other: what they consume together, and what is left of it on disk."""

from __future__ import annotations

import itertools
import os
import pickle
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from spark_dynamo.aws.batch_write import BatchWriter
from spark_dynamo.aws.budget import write_budget
from spark_dynamo.aws.client import Connection
from spark_dynamo.aws.in_flight import Flight
from spark_dynamo.aws.requests import Requests, Stopped
from spark_dynamo.aws.shared_budget import Clock, Ledger
from spark_dynamo.errors import OptionError
from tests.servers.replay import TABLE, replay_server

UNITS_PER_SECOND = 400.0
SECONDS = 3.0

# A task of three threads, whose requests take 5 ms and cost twice what is estimated. It writes how many units it consumed.
TASK = """
import pickle, sys, threading, time
from spark_dynamo.aws.budget import write_budget

budget = write_budget(float(sys.argv[1]), pickle.loads(bytes.fromhex(sys.argv[2])))
stop, until, consumed = threading.Event(), 0.0, []

def write():
    while True:
        with budget.reserve(stop, most=25, each=1.0) as reservation:
            if time.monotonic() > until:
                return
            stop.wait(0.005)
            consumed.append(2.0 * reservation.limit)
            reservation.settle(consumed[-1], items=reservation.limit)

print("ready", flush=True)
until = float(input())
threads = [threading.Thread(target=write) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(consumed), max(consumed))
"""


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    made = Ledger.create()
    yield made
    made.remove()


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [2, 8])
def test_processes_that_share_a_ledger_use_the_budget_and_no_more(tasks: int, ledger: Ledger) -> None:
    command = [sys.executable, "-c", TASK, str(UNITS_PER_SECOND), pickle.dumps(ledger).hex()]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(tasks)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    clock = ledger.open()
    assert clock is not None
    began = time.monotonic()
    until = began + SECONDS
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{until}\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * tasks
    units = [float(answer[0]) for answer in answers]
    # a tenth of a second may be caught up on, each first request is an estimate, and the last one overlaps the end
    assert sum(units) <= UNITS_PER_SECOND * (SECONDS + 0.1) + 2 * tasks + 50
    assert sum(units) >= UNITS_PER_SECOND * SECONDS * 0.9
    assert max(float(answer[1]) for answer in answers) <= UNITS_PER_SECOND * 0.25
    assert min(units) > 0.2 * sum(units) / tasks  # nobody starves


@pytest.mark.slow
def test_what_a_server_gets_from_two_tasks_is_their_common_budget(ledger: Ledger) -> None:
    """The server's own record; each of its items costs a unit."""
    over = threading.Event()
    with replay_server(1, 1) as server, ThreadPoolExecutor(2) as tasks:
        connection = Connection("us-east-1", server.endpoint, access_key_id="k", secret_access_key="s")

        def write(task: int) -> None:
            requests = Requests(connection, TABLE, budget=write_budget(UNITS_PER_SECOND, ledger))
            with Flight(requests) as flight:
                writer = BatchWriter(flight, ["id"])
                for number in itertools.count(step=25):
                    writer.send(pa.array([f'{{"id":{{"S":"{task}-{number + row}"}}}}' for row in range(25)]))
                    if over.is_set():
                        requests.stop.set()
                        return

        def written() -> int:
            return int(server.stats()["items_written"])

        done = [tasks.submit(write, task) for task in range(2)]
        while written() < 50:  # a first client takes its time
            assert not any(task.done() for task in done)
        first, began = written(), time.monotonic()
        over.wait(SECONDS)
        units, elapsed = written() - first, time.monotonic() - began
        over.set()
        for task in done:
            assert isinstance(task.exception(timeout=60), Stopped)
    assert UNITS_PER_SECOND * elapsed * 0.9 <= units <= UNITS_PER_SECOND * (elapsed + 0.1) + 25


def test_a_task_that_is_killed_takes_nothing_with_it(ledger: Ledger) -> None:
    command = [sys.executable, "-c", TASK, str(UNITS_PER_SECOND), pickle.dumps(ledger).hex()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        process.stdin.write(f"{time.monotonic() + 60}\n")
        process.stdin.flush()
        clock = ledger.open()
        assert clock is not None
        while clock.charge(0.0) < 0.05:  # until it has charged something
            pass
        process.kill()
        process.wait()
    assert clock.charge(0.0) <= 0.5  # two requests at most: one under way, and one that waits
    with write_budget(UNITS_PER_SECOND, ledger).reserve(threading.Event(), most=25, each=1.0) as reservation:
        reservation.settle(1.0, items=1)


def test_a_known_number_of_tasks_divides_the_budget(ledger: Ledger) -> None:
    assert write_budget(90.0, ledger, tasks=3).units_per_second == 30.0
    assert write_budget(90.0, ledger).units_per_second == 90.0


def test_a_task_on_another_machine_says_what_it_needs(ledger: Ledger) -> None:
    gone = Ledger.create()
    gone.remove()
    for unreachable in (replace(ledger, machine="another"), gone, None):
        with pytest.raises(
            OptionError, match=r"maxWriteUnits.* needs numPartitions beside it where tasks run on several"
        ):
            write_budget(10.0, unreachable)


def test_a_ledger_goes_with_its_job_and_a_forgotten_one_after_a_week(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old, young = Ledger.create(), Ledger.create()
    week = time.time() - 8 * 86_400
    os.utime(old.path, (week, week))
    new = Ledger.create()
    assert sorted(map(str, tmp_path.iterdir())) == sorted([young.path, new.path])
    assert stat.S_IMODE(Path(new.path).stat().st_mode) == 0o600
    clock = new.open()
    new.remove()
    new.remove()
    assert clock is not None
    assert clock.charge(5.0) == 0.0  # who has it open goes on with it
    assert clock.charge(1.0) == pytest.approx(5.0, abs=0.3)


def test_a_link_in_its_place_is_not_followed(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "link"
    path.symlink_to(ledger.path)
    assert replace(ledger, path=str(path)).open() is None


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_clock_catches_up_on_a_tenth_of_a_second_and_takes_corrections(is_shared: bool, ledger: Ledger) -> None:
    clock = ledger.open() if is_shared else Clock()
    assert clock is not None
    clock.correct(-100.0)  # nothing was charged for long
    assert clock.charge(1.0) == 0.0
    assert clock.charge(1.0) == pytest.approx(0.9, abs=0.1)
    clock.correct(2.0)
    assert clock.charge(1.0) == pytest.approx(3.9, abs=0.2)
    clock.correct(-4.9)
    assert clock.charge(0.0) < 0.1
