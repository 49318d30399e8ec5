"""SeenKeys finds what a dictionary would find."""

from __future__ import annotations

import doctest
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spark_dynamo.source.duplicates
from spark_dynamo.source.duplicates import SeenKeys

# few keys, so that they meet often; they differ in what a careless hash would miss: order, length, zero bytes
keys = st.one_of(
    st.sampled_from(
        ["", "\0", "\0\0", "\0\0\0", "a", "a\0", "\0a", "ab", "ba", "aab", "aba", "\x01", "é", "\U0001f600"]
    ),
    st.text("ab\0", max_size=3),
    st.integers(0, 30).map("key-{}".format),
)
batches = st.lists(st.lists(keys, max_size=30), max_size=12)


class Model:
    """The same by dictionary."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def add(self, batch: list[str]) -> tuple[list[bool], list[bool], list[bool]]:
        first = [key not in batch[:row] for row, key in enumerate(batch)]
        last = [key not in batch[row + 1 :] for row, key in enumerate(batch)]
        earlier = [key in self.seen for key in batch]
        self.seen.update(batch)
        return first, last, earlier


def check(seen: SeenKeys, model: Model, column: pa.StringArray) -> None:
    found = seen.add(column)
    result = (found.first.tolist(), found.last.tolist(), found.earlier.tolist())
    assert result == model.add(column.to_pylist())


def test_the_examples_in_the_docstrings() -> None:
    assert doctest.testmod(spark_dynamo.source.duplicates).failed == 0


@settings(deadline=None, max_examples=120)
@given(batches)
def test_random_batches(content: list[list[str]]) -> None:
    seen, model = SeenKeys(), Model()
    for batch in content:
        check(seen, model, pa.array(batch, pa.string()))


@settings(deadline=None, max_examples=80)
@given(batches, st.data())
def test_slices(content: list[list[str]], data: st.DataObject) -> None:
    seen, model = SeenKeys(), Model()
    for batch in content:
        start = data.draw(st.integers(0, len(batch)))
        check(
            seen,
            model,
            pa.array(["before", *batch, "after"]).slice(start, data.draw(st.integers(0, len(batch) + 2 - start))),
        )


def test_many_batches_of_many_sizes() -> None:
    """Runs merge again and again, in any order of sizes; what they take stays at 16 bytes for each key."""
    random = np.random.default_rng(7)
    seen, model = SeenKeys(), Model()
    for size in [*random.integers(0, 400, 60).tolist(), *range(40), 1, 1, 1, 500, 1]:
        check(seen, model, pa.array([f"key-{number}" for number in random.integers(0, 8_000, size)], pa.string()))
    sizes = [len(high) for high, _ in seen._runs]
    assert sum(sizes) == len(model.seen)
    assert all(2 * later <= earlier for earlier, later in pairwise(sizes))
    assert sum(high.nbytes + low.nbytes for high, low in seen._runs) == 16 * len(model.seen)


def test_no_two_of_many_keys_are_taken_for_one() -> None:
    numbers = np.arange(300_000)
    texts = pa.array(numbers).cast(pa.string())
    seen = SeenKeys()
    for start in range(0, len(texts), 50_000):
        found = seen.add(texts.slice(start, 50_000))
        assert found.first.all()
        assert found.last.all()
        assert not found.earlier.any()
    assert seen.add(texts.take(pa.array(numbers[::-1]))).earlier.all()
    zeros = pa.array(["\0" * length for length in range(3_000)])
    assert SeenKeys().add(zeros).first.all()


@pytest.mark.parametrize("length", [4_095, 4_096, 4_097, 10_000, 70_000])
def test_keys_longer_than_any_before(length: int) -> None:
    """The multipliers grow; keys of earlier batches keep their fingerprints."""
    seen, model = SeenKeys(), Model()
    long = "x" * length
    for batch in (["a", "b"], [long, "a"], [long + "y", "b", long], [long[:-1] + "z", long, long + "y"]):
        check(seen, model, pa.array(batch))


def test_empty_batches() -> None:
    seen, model = SeenKeys(), Model()
    for batch in ([], ["a"], [], ["a", ""], [""]):
        check(seen, model, pa.array(batch, pa.string()))
    check(seen, model, pa.array(["a"]).slice(1))


def test_fingerprints_differ_between_processes() -> None:
    """Nobody can choose keys that meet: the multipliers are drawn anew in each process."""
    code = (
        "import pyarrow as pa; from spark_dynamo.source.duplicates import _fingerprints;"
        "print([int(half[0]) for half in _fingerprints(pa.array(['key']))])"
    )
    printed = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(printed) == 2
