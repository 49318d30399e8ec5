"""Clients are made once per process, also where many threads ask for one at the same time."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from spark_dynamo.aws.client import Connection, dynamodb_client
from spark_dynamo.aws.per_process import once_per_process


def test_many_threads_make_one() -> None:
    made: list[str] = []
    begin = threading.Barrier(20)

    @once_per_process(most=4)
    def make(name: str) -> object:
        made.append(name)
        return object()

    def ask(number: int) -> object:
        begin.wait()
        return make("even" if number % 2 == 0 else "odd")

    with ThreadPoolExecutor(20) as pool:
        given = list(pool.map(ask, range(20)))
    assert sorted(made) == ["even", "odd"]
    assert {id(one) for one in given[::2]} == {id(make("even"))} != {id(make("odd"))}


def test_threads_share_the_client_of_a_connection() -> None:
    connection = Connection(
        region="eu-west-1", endpoint_url="http://localhost:1", access_key_id="once", secret_access_key="s"
    )
    with ThreadPoolExecutor(16) as pool:
        clients = list(pool.map(dynamodb_client, [connection] * 16))
    assert len(set(map(id, clients))) == 1


def test_those_used_last_are_kept() -> None:
    made: list[int] = []

    @once_per_process(most=2)
    def make(number: int) -> int:
        made.append(number)
        return number

    for number in (1, 2, 1, 3, 1, 2):
        assert make(number) == number
    assert made == [1, 2, 3, 2]


def test_what_is_raised_is_not_kept() -> None:
    attempts: list[int] = []

    @once_per_process(most=2)
    def make() -> int:
        attempts.append(1)
        if len(attempts) < 2:
            raise ValueError("not yet")
        return len(attempts)

    with pytest.raises(ValueError, match="not yet"):
        make()
    assert (make(), make()) == (2, 2)


def test_a_forked_child_makes_its_own() -> None:
    @once_per_process(most=2)
    def process() -> int:
        return os.getpid()

    assert process() == os.getpid()
    child = os.fork()
    if not child:
        os._exit(0 if process() == os.getpid() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
