"""From a predicate to keys: what it says of a target's key attributes, as GetItem and Query can take it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from pyspark.sql.types import StructType

from spark_dynamo.aws.tables import KeyAttribute
from spark_dynamo.predicates.intervals import Domains, Interval
from spark_dynamo.predicates.ranges import Wire
from spark_dynamo.source.read.targets import Target
from spark_dynamo.wire import types

_MOST_REQUESTS = 1_000  # Queries of one read; beyond, a Scan is the lesser evil
_MOST_KEYS = 100_000  # keys of one read
_MOST_INTERVALS = 8  # Queries for one partition key; beyond, one from the lowest to the highest
_MOST_BYTES = {"partition": 2048, "sort": 1024}  # of a key's value; no item has more

AttributeValue = dict[str, str]


@dataclass(frozen=True, slots=True)
class KeyAccess:
    """Keys or key conditions that together reach every item for which the predicate can be true, each once.

    `keys` are full primary keys for GetItem, `conditions` one request's KeyConditionExpression each, with its aliases.
    """

    target: Target
    operation: Literal["Get", "Query"]
    keys: tuple[Mapping[str, AttributeValue], ...] = ()
    conditions: tuple[Mapping[str, Any], ...] = ()
    restricts_sort_key: bool = False

    @property
    def rank(self) -> int:
        """The higher, the fewer items are read."""
        return 3 if self.operation == "Get" else 1 + self.restricts_sort_key


def best_key_access(targets: Sequence[Target], predicate: Domains, schema: StructType) -> KeyAccess | None:
    """The best way by keys, None where none of the targets has one; of equal ones the first."""
    ways = [way for target in targets if (way := key_access(target, predicate, schema))]
    return max(ways, key=lambda way: way.rank, default=None)


def key_access(target: Target, predicate: Domains, schema: StructType) -> KeyAccess | None:
    """What the predicate says of that target's keys; None where it does not give the partition key's values."""
    partition = _key_domain(target.partition_key, "partition", predicate, schema)
    if partition is None or not all(interval.is_point for interval in partition):
        return None
    sort_key = target.sort_key
    sort = None if sort_key is None else _key_domain(sort_key, "sort", predicate, schema)
    full_key = sort_key is None or (sort is not None and all(interval.is_point for interval in sort))
    if target.index is None and full_key and len(partition) * len(sort or "1") <= _MOST_KEYS:
        return KeyAccess(target, "Get", keys=tuple(_primary_keys(target, partition, sort)))
    ranges: Sequence[Interval | None] = [None] if sort is None else sort
    if len(ranges) > _MOST_INTERVALS and len(partition) * len(ranges) > _MOST_REQUESTS:
        ranges = [_hull(sort[0], sort[-1])] if sort else []
    if len(partition) * len(ranges) > _MOST_REQUESTS:
        return None
    conditions = tuple(_condition(target, point, interval) for point, interval in product(partition, ranges))
    return KeyAccess(target, "Query", conditions=conditions, restricts_sort_key=sort is not None)


def implied_attributes(predicate: Domains, schema: StructType) -> set[str]:
    """The columns that every item has for which the predicate is true."""
    return {field.name for field in schema if not field.nullable or not predicate[field.name].is_all}


def _key_domain(
    key: KeyAttribute, role: Literal["partition", "sort"], predicate: Domains, schema: StructType
) -> tuple[Interval, ...] | None:
    """The intervals of the key's values, None where nothing is known of them; those that no item can have are left out."""
    if key.name not in schema.names:
        return None
    field = schema[key.name]
    if not types.is_leaf(field.dataType) or types.leaf_of(field.dataType, types.storage_tag(field), "").tag != key.type:
        return None
    domain = predicate[key.name]
    if domain.intervals is None:
        return None
    fitted = (_fit(interval, _MOST_BYTES[role]) for interval in domain.intervals)
    return _apart(interval for interval in fitted if interval is not None)


def _apart(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The intervals, in order, with those made one that would meet at an end: BETWEEN takes both of its ends."""
    apart: list[Interval] = []
    for interval in intervals:
        last = apart[-1] if apart else None
        bounded = last is not None and (last.low is not None or interval.high is not None)
        # an end too long for a key has become no bound at all
        if last is not None and bounded and (last.high is None or not last.high < interval.low):  # type: ignore[operator]
            apart[-1] = _hull(last, interval)
        else:
            apart.append(interval)
    return tuple(apart)


def _hull(first: Interval, last: Interval) -> Interval:
    return Interval(first.low, last.high, first.low_inclusive, last.high_inclusive)


def _fit(interval: Interval, most_bytes: int) -> Interval | None:
    """The interval within what a key's value can be: not empty, not longer than DynamoDB allows; None where nothing is."""
    low, high = interval.low, interval.high
    if interval.is_point:
        return None if _is_empty(low) or _length(low) > most_bytes else interval
    if _is_empty(high):
        return None
    low = None if _is_empty(low) else _shortened(low, most_bytes)
    high = None if _length(high) > most_bytes else high
    return Interval(low, high, interval.low_inclusive or low != interval.low, interval.high_inclusive)


def _is_empty(value: Wire | None) -> bool:
    return isinstance(value, str | bytes) and not value


def _length(value: Wire | None) -> int:
    return len(value.encode()) if isinstance(value, str) else len(value) if isinstance(value, bytes) else 0


def _shortened(value: Wire | None, most_bytes: int) -> Wire | None:
    """A lower bound that is no longer than allowed: what it begins with is lower still."""
    if isinstance(value, str):
        return value.encode()[:most_bytes].decode(errors="ignore") if _length(value) > most_bytes else value
    return value[:most_bytes] if isinstance(value, bytes) else value


def _primary_keys(
    target: Target, partition: Sequence[Interval], sort: Sequence[Interval] | None
) -> Iterator[dict[str, AttributeValue]]:
    for point in partition:
        key = {target.partition_key.name: attribute_value(target.partition_key, point.low)}
        if target.sort_key is None:
            yield key
        else:
            for sort_point in sort or ():
                yield {**key, target.sort_key.name: attribute_value(target.sort_key, sort_point.low)}


def _condition(target: Target, point: Interval, interval: Interval | None) -> dict[str, Any]:
    """The parameters of one Query: the partition key's value and, where there is one, the interval of the sort key."""
    names = {"#partition": target.partition_key.name}
    values = {":partition": attribute_value(target.partition_key, point.low)}
    text = "#partition = :partition"
    if interval is not None and (interval.low is not None or interval.high is not None):
        assert target.sort_key is not None
        names["#sort"] = target.sort_key.name
        condition, bounds = _sort_condition(interval)
        text = f"{text} AND #sort {condition}"
        values |= {alias: attribute_value(target.sort_key, bound) for alias, bound in bounds.items()}
    return {
        "KeyConditionExpression": text,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }


def _sort_condition(interval: Interval) -> tuple[str, dict[str, Wire]]:
    low, high = interval.low, interval.high
    if low is not None and high is not None:
        if interval.is_point:
            return "= :low", {":low": low}
        # both ends belong to it: no matter, it is a superset
        return "BETWEEN :low AND :high", {":low": low, ":high": high}
    if low is not None:
        return f"{'>=' if interval.low_inclusive else '>'} :low", {":low": low}
    assert high is not None
    return f"{'<=' if interval.high_inclusive else '<'} :high", {":high": high}


def attribute_value(key: KeyAttribute, value: Wire | None) -> AttributeValue:
    """A key's value in DynamoDB JSON.

    >>> attribute_value(KeyAttribute("day", "S"), "2026-11-01")
    {'S': '2026-11-01'}
    """
    assert value is not None
    if isinstance(value, bytes):
        return {"B": b64encode(value).decode()}
    return {key.type: str(value)}
