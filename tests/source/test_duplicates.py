"""SeenKeys finds what a dictionary would find, in memory and in its file; KeptKeys what a set of all tasks' keys would."""

from __future__ import annotations

import pickle
import subprocess
import sys
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spark_dynamo.source.key_texts
import spark_dynamo.source.write.duplicates
import spark_dynamo.source.write.key_hashes
from spark_dynamo.errors import DynamoDBWrapperError
from spark_dynamo.source.key_texts import plain_numbers
from spark_dynamo.source.write.duplicates import SeenKeys
from spark_dynamo.source.write.key_hashes import Fingerprints, KeptKeys, found_in

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


@given(batches, st.sampled_from([1, 4, 20, 1000]))
def test_random_batches(content: list[list[str]], keys_in_memory: int) -> None:
    seen, model = SeenKeys(keys_in_memory=keys_in_memory), Model()
    for batch in content:
        check(seen, model, pa.array(batch, pa.string()))


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


def test_a_file_holds_what_memory_does_not() -> None:
    """Keys of the file are found again in any batch; none is taken for another; 4 bytes of each stay in memory."""
    texts = pa.array(np.arange(60_000)).cast(pa.string())
    seen = SeenKeys(keys_in_memory=5_000)
    for start in range(0, len(texts), 1_000):
        assert not seen.add(texts.slice(start, 1_000)).earlier.any()
    assert seen._file is not None
    assert sum(len(tops) for _, tops in seen._file._runs) >= 55_000
    assert {tops.itemsize for _, tops in seen._file._runs} == {4}
    assert sum(len(high) for high, _ in seen._runs) < 10_000
    again = np.random.default_rng(3).permutation(60_000)
    assert seen.add(texts.take(pa.array(again[:20_000]))).earlier.all()
    assert not seen.add(pa.array(np.arange(60_000, 70_000)).cast(pa.string())).earlier.any()


def test_keys_that_share_their_first_bits_are_told_apart() -> None:
    """Such keys are rarer than any test could wait for, so their fingerprints are made by hand."""
    same = np.uint64(7 << 32)
    run = (np.array([1, same, same, same, same + 1], np.uint64), np.array([1, 5, 3, 9, 2], np.uint64))
    high, low = np.array([same, same, same, same + 1], np.uint64), np.array([3, 9, 4, 2], np.uint64)
    assert found_in(run, high, low).tolist() == [True, True, False, True]
    file = spark_dynamo.source.write.duplicates._RunFile(bytes(16))
    file.append(run)
    file.append((np.array([0], np.uint64), np.array([0], np.uint64)))
    assert file.found(high, low).tolist() == [True, True, False, True]
    order = spark_dynamo.source.write.duplicates._order(
        np.array([7, 7, 7, 1], np.uint64), np.array([2, 1, 2, 9], np.uint64)
    )
    assert order.tolist() == [3, 1, 0, 2]


def test_the_file_is_on_sparks_disk_and_nothing_is_left_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{tmp_path},/nowhere")
    descriptors = Path("/proc/self/fd")
    seen = SeenKeys(keys_in_memory=1)
    seen.add(pa.array(["a", "b"]))
    opened = [link for fd in descriptors.iterdir() if (link := _target(fd)).startswith(str(tmp_path))]
    assert len(opened) == 1
    assert not list(tmp_path.iterdir())  # it has no name any more
    del seen
    assert not any(_target(fd).startswith(str(tmp_path)) for fd in descriptors.iterdir())
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(tmp_path / "gone"))
    assert SeenKeys(keys_in_memory=1).add(pa.array(["a", "a"])).first.tolist() == [True, False]


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # that by which the folder itself is listed
        return ""


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


def test_fingerprints_differ_between_writes() -> None:
    """Nobody can choose keys that meet: each seed has multipliers of its own."""
    drawn = [Fingerprints.drawn() for _ in range(2)]
    (high1,), (low1,) = drawn[0].of(pa.array(["key"]))
    (high2,), (low2,) = drawn[1].of(pa.array(["key"]))
    assert len({high1, low1, high2, low2}) == 4
    assert drawn[0].tag != drawn[1].tag
    with pytest.raises(ValueError, match="a seed of 3 bytes"):
        Fingerprints(b"abc")


def test_fingerprints_are_the_same_in_every_process() -> None:
    """Whatever keys a process has met before: multipliers of more places begin with those of fewer."""
    fingerprints = Fingerprints(bytes(range(32)))
    fingerprints.of(pa.array(["x" * 9_000]))
    texts = ["key", "", "\0", "é" * 3_000]
    code = (
        "import pickle, sys, pyarrow as pa; fingerprints = pickle.loads(bytes.fromhex(sys.argv[1]));"
        f"print([half.tolist() for half in fingerprints.of(pa.array({texts!r}))])"
    )
    pickled = pickle.dumps(fingerprints)
    assert len(pickled) < 200
    done = subprocess.run([sys.executable, "-c", code, pickled.hex()], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == str([half.tolist() for half in fingerprints.of(pa.array(texts))])


def test_fingerprints_are_sums_of_codes_times_multipliers() -> None:
    """As the module's docstring has it, however many keys are hashed at a time."""
    fingerprints = Fingerprints.drawn()
    random = np.random.default_rng(5)
    texts = ["".join(map(chr, random.integers(0, 128, random.integers(0, 9_000)))) for _ in range(80)]
    high, low = fingerprints.of(pa.array(texts))
    first, second = fingerprints._multipliers
    for row, text in enumerate(texts):
        codes = [code + 1 for code in text.encode()]
        for halves, multipliers in ((high, first), (low, second)):
            expected = sum(code * int(factor) for code, factor in zip(codes, multipliers, strict=False)) % 2**64
            assert int(halves[row]) == expected


@given(st.lists(st.tuples(st.lists(keys, max_size=20), st.sampled_from([1, 1000])), max_size=4), st.lists(keys))
def test_all_tasks_keys_are_kept(tasks: list[tuple[list[str], int]], asked: list[str]) -> None:
    fingerprints = Fingerprints.drawn()
    parts = []
    for content, keys_in_memory in tasks:
        seen = SeenKeys(fingerprints, keys_in_memory=keys_in_memory)
        for start in range(0, len(content), 5):
            seen.add(pa.array(content[start : start + 5], pa.string()))
        parts.append(seen.to_bytes())
        assert len(parts[-1]) == 16 * (1 + len(set(content)))
        assert seen.to_bytes() == parts[-1] or keys_in_memory > 1
        if content:
            assert seen.add(pa.array(content)).earlier.all()  # it goes on after that
    kept = KeptKeys(parts, fingerprints)
    everything = {key for content, _ in tasks for key in content}
    assert kept.has(pa.array(asked, pa.string())).tolist() == [key in everything for key in asked]
    assert len(kept) == sum(len(set(content)) for content, _ in tasks)


def test_keys_of_another_write_are_refused() -> None:
    """They would all look like keys that no task wrote."""
    other = SeenKeys()
    other.add(pa.array(["a"]))
    for part in (other.to_bytes(), b"", b"x" * 16, SeenKeys(Fingerprints(bytes(32))).to_bytes() + b"x"):
        with pytest.raises(DynamoDBWrapperError, match="A task handed over keys that are not of this write"):
            KeptKeys([part], Fingerprints(bytes(32)))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=None), st.integers(0, 3))
def test_equal_numbers_are_equal_texts(number: Decimal, zeros: int) -> None:
    forms = [str(number), f"{number:f}", f"{number:E}", str(number).lower()]
    forms += [f"{form}{'0' * zeros}" for form in forms if "." in form and "E" not in form.upper()]
    forms = [form for form in forms if len(form) < 300]
    (plain,) = set(plain_numbers(pa.array(forms, pa.string())).to_pylist()) or {"0"}
    assert not set(plain) - set("-0123456789.")
    assert not forms or Decimal(plain) == number
