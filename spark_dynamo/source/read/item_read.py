"""Whole items of a table, without Spark: by GetItem, Query or Scan as the filter allows, each as its own DynamoDB JSON text.

The plan is the data source's. Items come page by page, so that memory does not grow with the table.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pyarrow as pa
from pyspark.sql.types import StringType, StructField, StructType, VariantType

from spark_dynamo.aws.budget import Budget
from spark_dynamo.aws.pages import Chain, fetch_in_turn, fetch_pages
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.tables import TableDescription
from spark_dynamo.errors import AccessDeniedError, OptionError, nearest
from spark_dynamo.source.contract import imported_model
from spark_dynamo.source.location import Found, find, model_of_table
from spark_dynamo.source.options.source_options import SourceOptions
from spark_dynamo.source.read.planner import plan_read
from spark_dynamo.source.read.reader import CONCURRENT_CHAINS, TableReader
from spark_dynamo.wire.envelope import ENVELOPES, Item

if TYPE_CHECKING:
    from spark_dynamo.source.read.explain import ReadPlan
    from spark_dynamo.source.read.item_filter import ItemFilter

__all__ = ["ItemRead", "plan_items"]

_SAMPLE = 1_000  # items that tell which attributes there are


@dataclass(frozen=True, slots=True)
class ItemRead:
    """A planned read of items: `found` is the table, `requests` count what it costs.

    `limit` is how many items are wanted at most, None for all.
    """

    found: Found
    requests: Requests
    limit: int | None
    _reader: TableReader
    _filter: ItemFilter | None
    _fields: tuple[str, ...] = ()  # of the table's model

    @property
    def plan(self) -> ReadPlan:
        """How it gets at the items."""
        from spark_dynamo.source.read.explain import plan_of

        return plan_of(self._reader, self.found)

    def texts(self) -> Generator[pa.StringArray]:
        """The items' texts, as the server sent them, a page at a time; in no order, but for a Query or a limited Scan.

        With a limit, nothing is asked for ahead, and no request is made once there are enough. Raises what `Requests.send`
        raises.
        """
        envelope, table = ENVELOPES[self._reader.access.envelope], self.found.name
        left = self.limit
        with closing(self._pages(lambda: left)) as pages:
            for page in pages:
                texts = envelope.texts(page, table)
                if self._filter is not None and len(texts):
                    texts = texts.filter(self._filter.mask(envelope.items(page, table)))
                if left is not None:
                    texts = texts.slice(0, left)
                    left -= len(texts)
                if len(texts):
                    yield texts
                if left == 0:
                    return

    def check_filter(self) -> None:
        """Raise `OptionError` where the filter names an attribute that is `missing`; for a read that gave nothing."""
        named = [] if self._filter is None else self._filter.schema.names
        for name, found in self.missing(named).items():
            raise OptionError("filter", f"names '{name}', and {found}")

    def missing(self, names: Iterable[str]) -> dict[str, str]:
        """Of these attributes those that no item seems to have, with the sentence's end that says so.

        Keys and fields of a model are there; of others, one page of up to 1,000 items tells. Nothing is missing in an empty
        table, and where no Scan is allowed.
        """
        keys = [key.name for key in self.found.table.keys]
        keys += [key.name for index in self.found.table.indexes for key in (index.partition_key, index.sort_key) if key]
        doubtful = [name for name in names if name not in (*keys, *self._fields)]
        items = self._sample() if doubtful else []
        there = dict.fromkeys([*keys, *self._fields, *(name for item in items for name in item)])
        return {name: _not_there(name, there, len(items)) for name in doubtful if items and name not in there}

    def _sample(self) -> list[Item]:
        requests = Requests(self.found.connection, self.found.name, patience=self.requests.backoff.patience)
        try:
            page = next(fetch_in_turn(requests, [Chain("Scan", {}, "a sample")], lambda: _SAMPLE))
            return ENVELOPES["Items"].items(page, self.found.name)
        except AccessDeniedError:
            return []

    def _pages(self, left: Callable[[], int | None]) -> Generator[bytes]:
        chains = [chain for share in self._reader.access.deal() for chain in share]
        if not chains:  # no item can match
            return
        if self._reader.access.segments == 1:  # moto, which the embedded server is, has none of binary partition keys
            chains = [Chain("Scan", self._reader.access.parameters, "the table")]
        if self.limit is None:
            pages = fetch_pages(self.requests, chains, concurrency=min(CONCURRENT_CHAINS, len(chains)))
        else:
            # what the filter leaves out counts for DynamoDB's own limit
            pages = fetch_in_turn(self.requests, chains, (lambda: None) if self._filter else left)
        with closing(cast("Generator[bytes]", pages)) as opened:
            yield from opened


def plan_items(options: SourceOptions, *, columns: Sequence[str] | None = None, limit: int | None = None) -> ItemRead:
    """The read of a table's items that the options ask for: place, `filter`, `index`, `consistentRead`, `maxReadUnits`.

    `columns` are attributes, None for all that the table or index has. One DescribeTable is made. Raises OptionError and
    what `describe_table` raises.

    >>> read = plan_items(SourceOptions({"table": "orders", "filter": "id = 'o-1'"}))  # doctest: +SKIP
    >>> read.plan.access, [text.as_py() for texts in read.texts() for text in texts]  # doctest: +SKIP
    ('GetItem', ['{"id":{"S":"o-1"},"total":{"N":"9.50"}}'])
    """
    named, found = model_of_table(options), find(options)
    model = imported_model(named) if named else None
    chosen = None
    if options.filter is not None:  # the parser takes a while to import
        from spark_dynamo.schema.bridge import struct_type
        from spark_dynamo.source.read.item_filter import ItemFilter

        chosen = ItemFilter.of(options.filter, found.table, None if model is None else struct_type(model))
    filtered = StructType() if chosen is None else chosen.schema
    columns = columns or _projected(found.table, options.index)
    planned = copy(options)
    planned.table = found.name  # not the logical name: its model's versions would rule the plan
    planned.mode = "PERMISSIVE"
    planned.column_name_of_corrupt_record = whole = _unused(filtered.names)
    if limit is not None:
        planned.segments = planned.num_partitions = 1
    schema = StructType([StructField(whole, StringType())])
    if columns is not None:
        schema = StructType(
            [filtered[name] if name in filtered.names else StructField(name, VariantType()) for name in columns]
        )
    full = StructType([*schema, *(field for field in filtered if field.name not in schema.names)])
    reader = plan_read(planned, found, schema, full)
    budget = None
    if reader.units_per_second is not None:
        units = reader.units_per_second * reader.access.partitions
        budget = Budget(units, average_item_bytes=reader.average_item_bytes)
    requests = Requests(found.connection, found.name, patience=options.retry_timeout, budget=budget)
    return ItemRead(found, requests, limit, reader, chosen, () if model is None else tuple(model.model_fields))


def _not_there(name: str, there: Iterable[str], count: int) -> str:
    close = nearest(name, there)
    hint = f"; did you mean '{close}'?" if close else ""
    return f"no item has such an attribute, of {count:,} looked at{hint}"


def _projected(table: TableDescription, index_name: str | None) -> tuple[str, ...] | None:
    """The attributes that an index has, None where it has them all."""
    index = next((index for index in table.indexes if index.name == index_name), None)
    if index is None or index.projection == "ALL":
        return None
    keys = (*table.keys, index.partition_key, *([index.sort_key] if index.sort_key else []))
    return tuple(dict.fromkeys([*(key.name for key in keys), *index.projected]))


def _unused(names: Sequence[str]) -> str:
    """A name for the column that stands for whole items."""
    name = "_item"
    while name in names:
        name += "_"
    return name
