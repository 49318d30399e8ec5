"""Queries and scans as steps: which index serves, page by page, and no more of them than are needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel

from spark_dynamo.aws.pages import next_key
from spark_dynamo.aws.tables import Index, TableDescription
from spark_dynamo.errors import RequestFailedError, TableNotFoundError, ValidationError, nearest, shorten
from spark_dynamo.metadata.codec import Codec
from spark_dynamo.metadata.expressions import Selection, Sort
from spark_dynamo.metadata.steps import Ask, Describe, Found, Paged, Steps
from spark_dynamo.metadata.zones import taken
from spark_dynamo.schema.attributes import Attribute
from spark_dynamo.schema.parts import ModelPart
from spark_dynamo.wire.actions import Condition

__all__ = ["Bounds", "Wanted", "checked_limit", "find", "key_condition", "read", "walk"]

T = TypeVar("T", bound=BaseModel)

logger = logging.getLogger(__name__)
_told: set[tuple[str, str]] = set()  # tables and indexes that the log has named as missing
_told_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a sort key is bounded by, as a caller gives it; times without a zone are taken in `zone`."""

    first: Any
    last: Any
    prefix: str | None
    zone: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a repository's own method looks for: items by the values of fields, validated ones.

    `partition` is the field and value by which an index finds them, `index` that index's name where the table is as
    `create_tables` makes it, `sort` the field of its sort key. `since` is the least value of `sort`, `equal` what else must hold.
    `others` are further values of the partition: items of any of them are wanted.
    """

    partition: tuple[str, Any]
    index: str
    sort: str | None = None
    since: Any = None
    equal: Mapping[str, Any] | None = None
    others: Sequence[Any] = ()


def checked_limit(limit: int | None, name: str = "limit") -> int | None:
    """A limit as it was given; ValidationError where it is no number of items."""
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValidationError(f"{name} is {shorten(repr(limit))}: give a whole number from 1 on, or None for no limit")
    return limit


def read(codec: Codec[T] | ModelPart[T], selection: Selection, limit: int | None) -> Steps[list[T]]:
    """The items of a selection, the first `limit` of them."""
    checked_limit(limit)
    found: list[T] = []
    start: dict[str, Any] | None = None
    while True:
        size = None if limit is None or selection.is_filtered else limit - len(found)
        request = selection.request(size, start)
        answer = yield Ask(
            selection.operation, selection.table, request, keep=_keep(selection), pipeline=selection.pipeline
        )
        found += codec.page(answer.body)
        start = next_key(answer.body)
        if start is None or (limit is not None and len(found) >= limit):
            return found[:limit]


def _keep(selection: Selection) -> str | None:
    """Whether a cache may answer: a consistent read was asked for to see what is stored now, and caches hold whole items."""
    return None if selection.consistent_read or selection.columns else ""


def walk(
    codec: Codec[T] | ModelPart[T], selection: Selection, page_size: int | None, show: Callable[[list[T]], list[T]]
) -> Paged[list[T]]:
    """The items of a selection page by page, without the empty ones."""
    start: dict[str, Any] | None = None
    while True:
        request = selection.request(page_size, start)
        answer = yield Ask(selection.operation, selection.table, request, pipeline=selection.pipeline)
        models = codec.page(answer.body)
        if models:
            yield Found(show(models))
        start = next_key(answer.body)
        if start is None:
            return


def key_condition(
    codec: Codec[Any],
    keys: tuple[str, str | None],
    value: Any,
    bounds: Bounds,
    index: str | None,
    also: Condition | None = None,
) -> Steps[tuple[tuple[str, Attribute], Sort | None]]:
    """The key condition of a Query on the table, or on a secondary index of any definition; `also` filters what it reads."""
    if index is not None:
        keys = yield from _index_keys(codec, index)
    partition_name, sort_name = keys
    for name in sorted({partition_name, sort_name or partition_name} & (also.attributes if also else set())):
        raise ValidationError(
            f"filter speaks of '{name}', a key of what is queried, by which DynamoDB does not filter: "
            + ("give its value alone" if name == partition_name else "bound it by sort_key_from and sort_key_to")
        )
    value = taken(value, codec.attributes.field(partition_name).node, bounds.zone)
    partition = _one(codec, partition_name, value)
    given = (bounds.first, bounds.last, bounds.prefix)
    if all(bound is None for bound in given):
        return (partition_name, partition), None
    if sort_name is None:
        where = f"index '{index}'" if index else f"table '{codec.table}'"
        raise ValidationError(f"The {where} has no sort key, so none can be bounded: use a filter")
    if bounds.prefix is not None:
        if bounds.first is not None or bounds.last is not None:
            raise ValidationError(
                "sort_key_prefix can't be joined with sort_key_from or sort_key_to: DynamoDB takes one of both"
            )
        if not isinstance(bounds.prefix, str) or not bounds.prefix:
            raise ValidationError(
                f"sort_key_prefix is {shorten(repr(bounds.prefix))}: give the text that the key begins with"
            )
        return (partition_name, partition), Sort(sort_name, "begins_with", ({"S": bounds.prefix},))
    node = codec.attributes.field(sort_name).node
    first, last = (
        None if bound is None else _one(codec, sort_name, taken(bound, node, bounds.zone))
        for bound in (bounds.first, bounds.last)
    )
    if first is not None and last is not None:
        return (partition_name, partition), Sort(sort_name, "BETWEEN", (first, last))
    if first is not None:
        return (partition_name, partition), Sort(sort_name, ">=", (first,))
    assert last is not None
    return (partition_name, partition), Sort(sort_name, "<=", (last,))


def _one(codec: Codec[Any], name: str, value: Any) -> Attribute:
    """One value of a field, which there must be."""
    encoded = codec.attributes.encode(codec.attributes.validate({name: value}))
    (attribute,) = encoded.values()
    if attribute is None or attribute in ({"S": ""}, {"B": ""}):
        raise ValidationError(
            f"{shorten(repr(value))} is no value of the key '{name}' of table '{codec.table}': DynamoDB takes no empty one"
        )
    return attribute


def _index_keys(codec: Codec[Any], index: str) -> Steps[tuple[str, str | None]]:
    description: TableDescription | None = yield Describe(codec.table)
    if description is None:
        raise ValidationError(
            f"The keys of index '{index}' are not known: that needs the permission dynamodb:DescribeTable on table '{codec.table}'"
        )
    found = next((known for known in description.indexes if known.name == index), None)
    if found is None:
        names = [known.name for known in description.indexes]
        close = nearest(index, names)
        hint = f"did you mean '{close}'?" if close else f"it has {', '.join(names) or 'none'}"
        raise ValidationError(f"Table '{codec.table}' has no index {shorten(repr(index))}: {hint}")
    if found.projection != "ALL":
        raise ValidationError(
            f"Index '{index}' of table '{codec.table}' projects {found.projection}, and whole models need ALL: read its keys as a "
            "DataFrame, or query the table"
        )
    return found.partition_key.name, found.sort_key.name if found.sort_key else None


def find(codec: Codec[T], wanted: Wanted, *, newest_first: bool = False, limit: int | None = None) -> Steps[list[T]]:
    """The items that a method of a repository looks for: by Query on an index, else by Scan, which the log tells once.

    With `newest_first`, or where there is a `since`, they are in the order of `sort`, whichever way they were found.
    """
    checked_limit(limit)
    name, first = wanted.partition
    partitions = [_one(codec, name, value) for value in (first, *wanted.others)]
    equal = {field: _one(codec, field, value) for field, value in (wanted.equal or {}).items()}
    since = None
    if wanted.sort and wanted.since is not None:
        since = Sort(wanted.sort, ">=", (_one(codec, wanted.sort, wanted.since),))
    index = yield from _index_for(codec.table, wanted)
    if index is not None:
        query = Selection(codec.table, sort=since, index=index, newest_first=newest_first, equal=equal)
        found: list[T] = []
        try:
            for value in partitions:
                found += yield from read(codec, replace(query, partition=(name, value)), limit)
        except RequestFailedError as error:
            if not _is_without_index(error):
                raise
        else:
            return _ordered(codec, found, wanted.sort, newest_first, limit) if wanted.others else found
    selection = Selection(codec.table, sorts=[since] if since else [], equal=equal)
    if wanted.others:
        selection = replace(selection, any_of={name: partitions})
    else:
        selection = replace(selection, equal={name: partitions[0], **equal})
    scanned = yield from _scan(codec, selection, wanted.sort, newest_first=newest_first, limit=limit)
    if index is not None:  # told only now, as there might have been no such table
        _tell_of_scan(codec.table, codec.table, wanted)
    return scanned


def _scan(
    codec: Codec[T], selection: Selection, sort: str | None, *, newest_first: bool, limit: int | None
) -> Steps[list[T]]:
    """What a Scan finds, in the order that the index would have; of those that a limit leaves out none is kept for long."""
    if sort is None:
        return (yield from read(codec, selection, limit))
    attribute = codec.attributes.field(sort).attribute
    found: list[T] = []
    start: dict[str, Any] | None = None
    while True:
        request = selection.request(None, start)
        answer = yield Ask("Scan", selection.table, request, keep=_keep(selection), pipeline=selection.pipeline)
        found += (model for model in codec.page(answer.body) if getattr(model, attribute) is not None)
        found = _ordered(codec, found, sort, newest_first, limit)
        start = next_key(answer.body)
        if start is None:
            return found


def _ordered(codec: Codec[T], found: list[T], sort: str | None, newest_first: bool, limit: int | None) -> list[T]:
    """What was found in the order of a field, the first `limit` of them."""
    if sort is not None:
        attribute = codec.attributes.field(sort).attribute
        found.sort(key=lambda model: getattr(model, attribute), reverse=newest_first)
    return found[:limit]


def _is_without_index(error: RequestFailedError) -> bool:
    """Whether a Query failed because the index is not there, or not yet; a missing table is one for whoever may not look."""
    said = str(error.original_error)
    return isinstance(error, TableNotFoundError) or (
        error.code == "ValidationException" and ("specified index" in said or "backfilling" in said)
    )


def _index_for(table: str, wanted: Wanted) -> Steps[str | None]:
    """The name of an index that serves, None where there is none."""
    description: TableDescription | None = yield Describe(table)
    if description is None:  # who may not look takes the table to be as `create_tables` makes it
        return wanted.index
    serving = [index for index in description.indexes if _serves(index, wanted)]
    if serving:
        names = [index.name for index in serving]
        return wanted.index if wanted.index in names else names[0]
    _tell_of_scan(description.arn, table, wanted)
    return None


def _tell_of_scan(identity: str, table: str, wanted: Wanted) -> None:
    with _told_lock:
        is_new = (identity, wanted.index) not in _told
        _told.add((identity, wanted.index))
    if is_new:
        logger.warning(
            "Table '%s' has no index '%s' with all attributes, by %s: it is scanned whole. Add the index, or create the "
            "table by create_tables",
            table,
            wanted.index,
            " and ".join(filter(None, (wanted.partition[0], wanted.sort))),
        )


def _serves(index: Index, wanted: Wanted) -> bool:
    sort = index.sort_key.name if index.sort_key else None
    return (
        index.partition_key.name == wanted.partition[0]
        and (wanted.sort is None or sort == wanted.sort)
        and index.projection == "ALL"
        and index.status in (None, "ACTIVE", "UPDATING")
    )


def scan(codec: Codec[T], equal: Mapping[str, Any]) -> Steps[list[T]]:
    """The items with those values in a table that has no index for them."""
    encoded = {name: _one(codec, name, value) for name, value in equal.items()}
    return (yield from read(codec, replace(Selection(codec.table), equal=encoded), None))
