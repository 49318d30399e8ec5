"""Equal keys within one task's rows, found before anything is sent, in 16 bytes of memory per row.

Keys are remembered as fingerprints of 128 bits: two independent multilinear hashes modulo 2^64 with multipliers drawn anew in
each process, so that two different keys meet with a chance below 2^-110, whoever chose them.
Lemire and Kaser, "Strongly universal string hashing is fast", https://arxiv.org/abs/1202.4961
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa

Words: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint64]]
Flags: TypeAlias = np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Per row of a batch: whether it is its key's first in the batch, its last, and whether the key came in earlier batches."""

    first: Flags
    last: Flags
    earlier: Flags


class SeenKeys:
    """The keys that a task has met so far.

    >>> seen = SeenKeys()
    >>> seen.add(pa.array(["a", "b", "a"])).last.tolist()
    [False, True, True]
    >>> seen.add(pa.array(["c", "b"])).earlier.tolist()
    [False, True]
    """

    def __init__(self) -> None:
        self._runs: list[tuple[Words, Words]] = []  # each sorted; every one less than half as long as the one before

    def add(self, keys: pa.StringArray) -> Occurrences:
        """Remember the keys of one batch, none of which may be null, and tell which of them repeat."""
        high, low = _fingerprints(keys)
        order = np.lexsort((low, high))  # stable: equal keys stay in row order
        high, low = high[order], low[order]
        new = np.ones(len(order), np.bool_)
        new[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        end = np.ones(len(order), np.bool_)
        end[:-1] = new[1:]
        earlier = np.zeros(len(order), np.bool_)
        for run in self._runs:
            earlier |= _is_in(run, high, low)
        self._remember(high[new & ~earlier], low[new & ~earlier])
        back = np.argsort(order)
        return Occurrences(new[back], end[back], earlier[back])

    def _remember(self, high: Words, low: Words) -> None:
        self._runs.append((high, low))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            (high1, low1), (high2, low2) = self._runs.pop(), self._runs.pop()
            high, low = np.concatenate([high1, high2]), np.concatenate([low1, low2])
            order = np.lexsort((low, high))
            self._runs.append((high[order], low[order]))


def _is_in(run: tuple[Words, Words], high: Words, low: Words) -> Flags:
    """Whether each fingerprint is in a sorted run; at most two of a run are taken to share their first half."""
    run_high, run_low = run
    if not len(run_high):
        return np.zeros(len(high), np.bool_)
    found = np.zeros(len(high), np.bool_)
    for side, step in (("left", 0), ("right", -1)):
        place = np.searchsorted(run_high, high, side=side) + step  # type: ignore[call-overload]
        place = np.clip(place, 0, len(run_high) - 1)
        found |= (run_high[place] == high) & (run_low[place] == low)
    return found


_multipliers: tuple[Words, Words] | None = None


def _fingerprints(keys: pa.StringArray) -> tuple[Words, Words]:
    """Two 64-bit hashes of each key: the sum of each byte, plus 1, times a multiplier of its place."""
    _, offset_buffer, data = keys.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[keys.offset : keys.offset + len(keys) + 1].astype(np.int64)
    begin, end = int(offsets[0]), int(offsets[-1])
    raw = np.frombuffer(data, np.uint8)[begin:end] if data is not None else np.empty(0, np.uint8)
    codes = raw.astype(np.uint64) + np.uint64(1)  # so that a longer key of zero bytes differs from a shorter one
    offsets = offsets - begin
    places = np.arange(len(codes)) - np.repeat(offsets[:-1], np.diff(offsets))
    longest = int(np.diff(offsets).max(initial=0))
    first, second = _multipliers_for(longest)
    return _sums(codes * first[places], offsets), _sums(codes * second[places], offsets)


def _sums(terms: Words, offsets: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Words:
    running = np.zeros(len(terms) + 1, np.uint64)
    np.cumsum(terms, out=running[1:])
    return running[offsets[1:]] - running[offsets[:-1]]


def _multipliers_for(length: int) -> tuple[Words, Words]:
    global _multipliers
    if _multipliers is None or len(_multipliers[0]) < length:
        known = np.empty((2, 0), np.uint64) if _multipliers is None else np.stack(_multipliers)
        more = max(4096, length) - known.shape[1]
        fresh = np.frombuffer(os.urandom(16 * more), np.uint64).reshape(2, more) | np.uint64(1)
        first, second = np.concatenate([known, fresh], axis=1)
        _multipliers = (first, second)
    return _multipliers
