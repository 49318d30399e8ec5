"""How a read gets at its items: one GetItem, batches of keys, Queries or a Scan, dealt out to Spark's tasks."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spark_dynamo.aws.pages import Chain

Operation = Literal["GetItem", "BatchGetItem", "Query", "Scan"]


@dataclass(frozen=True, slots=True)
class Access:
    """One way to a table's items: `parameters` are common to all requests, `own` has those of each Query or batch of keys.

    A Scan has `segments` in place of `own`; all is dealt out to `partitions` tasks. Nothing in `own` means that no item can
    match, and no request is made.
    """

    operation: Operation
    partitions: int
    parameters: Mapping[str, Any]
    own: tuple[Mapping[str, Any], ...] = ()
    segments: int = 0
    index: str | None = None

    @property
    def envelope(self) -> Literal["Items", "Responses", "Item"]:
        """Where an answer has its items."""
        return {"BatchGetItem": "Responses", "GetItem": "Item"}.get(self.operation, "Items")  # type: ignore[return-value]

    def deal(self) -> list[tuple[Chain, ...]]:
        """Each task's chains of requests, segments in random order, so that neighbours in a hot key range part."""
        chains = self._scan() if self.operation == "Scan" else self._requests()
        return [tuple(chains[index :: self.partitions]) for index in range(self.partitions)]

    def _scan(self) -> list[Chain]:
        order = list(range(self.segments))
        random.Random(self.segments).shuffle(order)  # noqa: S311 - the same for every planning of the same scan
        return [
            Chain(
                "Scan",
                {**self.parameters, "Segment": segment, "TotalSegments": self.segments},
                f"segment {segment}",
            )
            for segment in order
        ]

    def _requests(self) -> list[Chain]:
        return [
            Chain(self.operation, _merged(self.parameters, own), f"{self.operation} {number}")
            for number, own in enumerate(self.own)
        ]


def _merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Both together; mappings of aliases unite."""
    merged = {**common, **own}
    for name in merged:
        if isinstance(common.get(name), Mapping) and isinstance(own.get(name), Mapping):
            merged[name] = {**common[name], **own[name]}
    return merged
