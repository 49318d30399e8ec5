"""Equal keys within one task's rows, found before anything is sent, in 4 bytes of memory per row.

Keys are remembered as fingerprints in sorted runs. A run of half a million keys goes to a temporary file, and only the first 32 of
the 128 bits of each stay in memory: they rule out all but one of thousands of keys, for which the file is asked. The file has
no name in the file system where the system allows that, so nothing is left of it, whatever ends the process.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from dataclasses import dataclass
from typing import IO, TypeAlias

import numpy as np
import pyarrow as pa

from spark_dynamo.source.write.key_hashes import ROW_BYTES, Fingerprints, Flags, Words, found_in

_Tops: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint32]]

_KEYS_IN_MEMORY = 1 << 19
_ROWS_PER_WRITE = 1 << 16
_ROWS_APART = 1 << 10  # between rows that are read at once: one read of 16 KB is no slower than two of 16 bytes


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Per row of a batch: whether it is its key's first in the batch, its last, and whether the key came in earlier batches."""

    first: Flags
    last: Flags
    earlier: Flags


class SeenKeys:
    """The keys that a task has met so far; with `fingerprints` of a seed of its own where none are given.

    Runs of at least `keys_in_memory` keys go to a temporary file, on one of Spark's local disks where Spark names them.

    >>> seen = SeenKeys()
    >>> seen.add(pa.array(["a", "b", "a"])).last.tolist()
    [False, True, True]
    >>> seen.add(pa.array(["c", "b"])).earlier.tolist()
    [False, True]
    """

    def __init__(self, fingerprints: Fingerprints | None = None, *, keys_in_memory: int = _KEYS_IN_MEMORY) -> None:
        self._keys_in_memory = keys_in_memory
        self._fingerprints = fingerprints or Fingerprints.drawn()
        self._runs: list[tuple[Words, Words]] = []  # each sorted; every one less than half as long as the one before
        self._file: _RunFile | None = None

    def add(self, keys: pa.StringArray) -> Occurrences:
        """Remember the keys of one batch, none of which may be null, and tell which of them repeat."""
        high, low = self._fingerprints.of(keys)
        order = _order(high, low)
        high, low = high[order], low[order]
        new = np.ones(len(order), np.bool_)
        new[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        end = np.ones(len(order), np.bool_)
        end[:-1] = new[1:]
        earlier = np.zeros(len(order), np.bool_) if self._file is None else self._file.found(high, low)
        for run in self._runs:
            earlier |= found_in(run, high, low)
        self._remember(high[new & ~earlier], low[new & ~earlier])
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return Occurrences(new[back], end[back], earlier[back])

    def to_bytes(self) -> bytes:
        """The fingerprints of all keys, 16 bytes each, behind the 16 bytes of the seed's tag; for `KeptKeys`."""
        if self._file is None:
            return b"".join([self._fingerprints.tag, *map(_rows, self._runs)])
        for run in self._runs:
            self._file.append(run)
        self._runs.clear()
        return self._file.content()

    def _remember(self, high: Words, low: Words) -> None:
        if not len(high):
            return
        self._runs.append((high, low))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            (high1, low1), (high2, low2) = self._runs.pop(), self._runs.pop()
            high, low = np.concatenate([high1, high2]), np.concatenate([low1, low2])
            order = np.argsort(high, kind="stable")  # of two sorted runs: one pass
            self._runs.append((high[order], low[order]))
        if len(self._runs[0][0]) >= self._keys_in_memory:
            self._file = self._file or _RunFile(self._fingerprints.tag)
            self._file.append(self._runs.pop(0))


class _RunFile:
    """Sorted runs one after the other in a temporary file, behind a tag of as many bytes as a fingerprint has."""

    def __init__(self, tag: bytes) -> None:
        # Spark tells its workers which disks are for what memory can't hold
        folder = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0]
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder if os.path.isdir(folder) else None)  # noqa: PTH112, SIM115
        weakref.finalize(self, self._file.close)
        self._file.write(tag)
        self._runs: list[tuple[int, _Tops]] = []  # each with the place of its first row
        self._end = len(tag) // ROW_BYTES

    def append(self, run: tuple[Words, Words]) -> None:
        """Write one run."""
        self._file.seek(0, os.SEEK_END)
        for start in range(0, len(run[0]), _ROWS_PER_WRITE):
            self._file.write(_rows(run, start, start + _ROWS_PER_WRITE))
        self._file.flush()
        self._runs.append((self._end, _tops(run[0])))
        self._end += len(run[0])

    def found(self, high: Words, low: Words) -> Flags:
        """Which of the fingerprints, sorted by their first halves, are in the file."""
        found = np.zeros(len(high), np.bool_)
        wanted = _tops(high)
        for begin, tops in self._runs:
            first = np.searchsorted(tops, wanted)
            rows = np.flatnonzero(tops[np.minimum(first, len(tops) - 1)] == wanted)
            first, end = first[rows], np.searchsorted(tops, wanted[rows], side="right")
            apart = np.flatnonzero(np.diff(first) > _ROWS_APART) + 1
            for near in np.split(np.arange(len(rows)), apart) if len(rows) else ():
                run = self._read(begin + int(first[near[0]]), begin + int(end[near[-1]]))
                found[rows[near]] |= found_in(run, high[rows[near]], low[rows[near]])
        return found

    def _read(self, start: int, stop: int) -> tuple[Words, Words]:
        self._file.seek(start * ROW_BYTES)
        content = np.frombuffer(self._file.read((stop - start) * ROW_BYTES), "<u8").astype(np.uint64, copy=False)
        return content[::2], content[1::2]

    def content(self) -> bytes:
        """All of it."""
        self._file.seek(0)
        return self._file.read()


def _tops(high: Words) -> _Tops:
    return (high >> np.uint64(32)).astype(np.uint32)


def _rows(run: tuple[Words, Words], start: int = 0, stop: int | None = None) -> bytes:
    return np.stack([half[start:stop] for half in run], axis=1).astype("<u8", copy=False).tobytes()


def _order(high: Words, low: Words) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The rows by their fingerprints; rows with equal ones stay in order."""
    order = np.argsort(high)
    if (np.diff(high[order]) == 0).any():
        order = np.lexsort((low, high))  # stable, and several times as slow
    return order
