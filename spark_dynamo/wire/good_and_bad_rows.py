"""Rows that DynamoDB can take, and those that it can't, apart from each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from spark_dynamo.errors import InvalidItemError

Rows: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that DynamoDB can't take: its place in the batch, and why.

    `item` is the item in DynamoDB JSON as far as it can be said, None where it can't; `unfit` has the other attributes as text.
    """

    row: int
    error: InvalidItemError
    item: str | None
    unfit: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Apart:
    """The good rows of a batch, in order, as texts of items, with their keys and their places in the batch; and the bad ones."""

    texts: pa.StringArray
    keys: pa.RecordBatch
    rows: Rows
    bad: Sequence[BadRow] = ()

    def without(self, bad: Sequence[BadRow]) -> Apart:
        """These rows where some of the good ones have turned out to be bad."""
        if not bad:
            return self
        good = ~np.isin(self.rows, [found.row for found in bad])
        kept = pa.array(good)
        ordered = sorted([*self.bad, *bad], key=lambda found: found.row)
        return Apart(self.texts.filter(kept), self.keys.filter(kept), self.rows[good], ordered)


def others(count: int, places: Collection[int]) -> Rows:
    """The rows of that many that are not among the places, in order."""
    mask = np.ones(count, np.bool_)
    mask[list(places)] = False
    return np.flatnonzero(mask)
