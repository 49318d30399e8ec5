"""Keys as fingerprints of 128 bits: equal keys have equal ones, and different keys practically never do.

A fingerprint is two multilinear hashes modulo 2^64: the sum of each byte, plus 1, times a multiplier of its place. The codes
of two different keys differ at some place by at most 2^8, so of the 2^64 values that the multiplier of this place can have, at
most 2^8 make their sums equal, whatever the others are: two given keys meet with a chance of at most 2^-56 in each hash and
2^-112 in both. That holds for keys that were chosen without a look at the multipliers. They come out of SHAKE256 of a seed of
32 random bytes, drawn for each write, so who could choose keys that meet more often would have to know the seed or to tell
SHAKE256 from chance. The seed travels in the plan of the write and is logged nowhere.
Lemire and Kaser, "Strongly universal string hashing is fast", https://arxiv.org/abs/1202.4961
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from spark_dynamo.errors import DynamoDBWrapperError

Words: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint64]]
Flags: TypeAlias = np.ndarray[tuple[int], np.dtype[np.bool_]]
_Integers: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]
_Bytes: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint8]]

SEED_BYTES = 32
ROW_BYTES = 16  # a fingerprint, and the tag at the beginning of those that a task hands over
_BYTES_AT_ONCE = 1 << 17  # of keys: what is made of them stays in the processor's cache, however long the keys are
_PLACES_AT_FIRST = 4096
_FORM = b"fingerprints of keys, 1"  # to be another where the texts or hashes of keys become others


class Fingerprints:
    """The hash functions of one seed of 32 bytes; pickled, it carries only the seed.

    >>> fingerprints = Fingerprints(bytes(32))
    >>> high, low = fingerprints.of(pa.array(["a", "b", "a"]))
    >>> (high[0], low[0]) == (high[2], low[2]), (high[0], low[0]) == (high[1], low[1])
    (True, False)
    """

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a seed of {len(seed)} bytes, not of {SEED_BYTES}")
        self._seed = seed
        self.tag = hashlib.sha256(_FORM + seed).digest()[:ROW_BYTES]
        self._multipliers = self._drawn(_PLACES_AT_FIRST)

    @classmethod
    def drawn(cls) -> Fingerprints:
        """Those of a seed that nobody knows."""
        return cls(os.urandom(SEED_BYTES))

    def __reduce__(self) -> tuple[Any, ...]:
        return Fingerprints, (self._seed,)

    def of(self, keys: pa.StringArray) -> tuple[Words, Words]:
        """Two 64-bit hashes of each key, none of which may be null."""
        _, offset_buffer, data = keys.buffers()
        offsets = np.frombuffer(offset_buffer, np.int32)[keys.offset : keys.offset + len(keys) + 1].astype(np.int64)
        raw = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
        longest = int(np.diff(offsets).max(initial=0))
        if longest > self._multipliers.shape[1]:
            self._multipliers = self._drawn(2 * longest)
        high, low = np.empty(len(keys), np.uint64), np.empty(len(keys), np.uint64)
        start = 0
        while start < len(keys):
            end = int(np.searchsorted(offsets, offsets[start] + _BYTES_AT_ONCE, side="right")) - 1
            rows = slice(start, max(start + 1, end))
            begin = int(offsets[rows.start])
            high[rows], low[rows] = self._hashes(
                raw[begin : int(offsets[rows.stop])], offsets[rows.start : rows.stop + 1] - begin
            )
            start = rows.stop
        return high, low

    def _hashes(self, raw: _Bytes, offsets: _Integers) -> tuple[Words, Words]:
        codes = raw.astype(np.uint64) + np.uint64(1)  # so that a longer key of zero bytes differs from a shorter one
        places = np.arange(len(codes)) - np.repeat(offsets[:-1], np.diff(offsets))
        first, second = self._multipliers
        return _sums(codes * first[places], offsets), _sums(codes * second[places], offsets)

    def _drawn(self, places: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
        """The multipliers of both hashes for so many places; those of more places begin with the same."""
        stream = hashlib.shake_256(self._seed).digest(2 * 8 * places)
        return np.frombuffer(stream, "<u8").astype(np.uint64).reshape(places, 2).T.copy()


def _sums(terms: Words, offsets: _Integers) -> Words:
    running = np.zeros(len(terms) + 1, np.uint64)
    np.cumsum(terms, out=running[1:])
    return running[offsets[1:]] - running[offsets[:-1]]


def found_in(run: tuple[Words, Words], high: Words, low: Words) -> Flags:
    """Which of the fingerprints are in a run whose first halves are sorted."""
    run_high, run_low = run
    found = np.zeros(len(high), np.bool_)
    if not len(run_high):
        return found
    left = np.searchsorted(run_high, high)
    place = np.minimum(left, len(run_high) - 1)
    same = run_high[place] == high
    found[same] = run_low[place[same]] == low[same]
    for row in np.flatnonzero(same & ~found):  # two keys share the first half: with a chance of 2^-56
        right = np.searchsorted(run_high, high[row], side="right")
        found[row] = bool((run_low[left[row] : right] == low[row]).any())
    return found


class KeptKeys:
    """The fingerprints of all keys that the tasks of a write hand over, in 16 bytes of memory per key.

    `parts` are what `SeenKeys.to_bytes` gave. `DynamoDBWrapperError` is raised where one of them is not of these
    fingerprints' seed: with it, no key would be found, and every item would pass for one to be deleted.

    >>> fingerprints = Fingerprints.drawn()
    >>> kept = KeptKeys([fingerprints.tag + np.stack(fingerprints.of(pa.array(["a", "b"])), 1).tobytes()], fingerprints)
    >>> kept.has(pa.array(["b", "c"])).tolist()
    [True, False]
    """

    def __init__(self, parts: Sequence[bytes], fingerprints: Fingerprints) -> None:
        self._fingerprints = fingerprints
        for part in parts:
            if len(part) % ROW_BYTES or part[:ROW_BYTES] != fingerprints.tag:
                raise DynamoDBWrapperError(
                    "A task handed over keys that are not of this write, so it can't be told which items should stay. Run "
                    "the same version of spark_dynamo on the driver and on the executors"
                )
        rows = [np.frombuffer(part, "<u8", offset=ROW_BYTES).reshape(-1, 2) for part in parts]
        high = np.concatenate([part[:, 0] for part in rows], dtype=np.uint64) if rows else np.empty(0, np.uint64)
        order = np.argsort(high)
        low = np.concatenate([part[:, 1] for part in rows], dtype=np.uint64) if rows else high
        self._run = (high[order], low[order])

    def __len__(self) -> int:
        """Keys, those that several tasks handed over counted several times."""
        return len(self._run[0])

    def distinct_without(self, others: KeptKeys) -> int:
        """How many keys these are, each counted once, without those that are among the others."""
        high, low = self._run
        order = np.lexsort((low, high))
        high, low = high[order], low[order]
        new = np.ones(len(high), np.bool_)
        new[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        return int((new & ~found_in(others._run, high, low)).sum())

    def has(self, keys: pa.StringArray) -> Flags:
        """Which of the keys, none of which may be null, are among them."""
        high, low = self._fingerprints.of(keys)
        order = np.argsort(high)  # neighbours are searched for in the same places of memory
        flags = np.empty(len(order), np.bool_)
        flags[order] = found_in(self._run, high[order], low[order])
        return flags
