"""How long a task waits between its requests: long where DynamoDB takes little, hardly where it takes much."""

from __future__ import annotations

import itertools
import random
import threading

import pytest

from spark_dynamo.aws.requests import Backoff


class Waits(threading.Event):
    """An event for which nobody waits: it notes how long somebody would have."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.seconds.append(timeout)
        return False


def write(backoff: Backoff, chance: random.Random, part: float, batches: int = 20) -> None:
    """Batches of 25 items, four at a time, of whose items that part is left unprocessed each time."""
    left = [25] * 4
    for turn in itertools.count():
        if batches <= 0 and not any(left):
            return
        place = turn % 4
        asked = left[place]
        if not asked:
            continue
        done = sum(chance.random() >= part for _ in range(asked))
        backoff.answered(done, asked)
        left[place] -= done
        if left[place]:
            assert backoff.failed()
        elif batches > 0:
            batches, left[place] = batches - 1, 25


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5])
def test_a_server_that_takes_much_is_hardly_waited_for(part: float) -> None:
    for seed in range(100):
        waits = Waits()
        random.seed(seed)  # the jitter
        write(Backoff(waits), random.Random(seed), part)
        assert sum(waits.seconds) / 4 < 6  # four threads wait at once
        assert max(waits.seconds) < 2


@pytest.mark.parametrize("done", [0, 1, 5])
def test_a_server_that_takes_little_is_waited_for_longer_and_longer(done: int) -> None:
    waits = Waits()
    random.seed(0)
    backoff = Backoff(waits)
    for _ in range(60):
        backoff.answered(done, 25)
        assert backoff.failed()
    assert max(waits.seconds) > 5
    before = len(waits.seconds)
    for _ in range(12):  # and soon no more once it takes what it is sent
        backoff.answered(25, 25)
        backoff.answered(12, 25)
        assert backoff.failed()
    assert max(waits.seconds[before + 6 :]) < 1


def test_one_item_that_is_never_taken_is_waited_for_longer_and_longer() -> None:
    waits = Waits()
    random.seed(0)
    backoff = Backoff(waits)
    backoff.answered(24, 25)
    for _ in range(60):
        assert backoff.failed()
        backoff.answered(0, 1)
    assert max(waits.seconds) > 5
