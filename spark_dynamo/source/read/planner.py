"""The plan of a read: from options, table and schema to the reader whose tasks fetch exactly the items that are needed.

DynamoDB is asked for a superset by what it can say (keys, key conditions, a FilterExpression); the predicate itself is
evaluated on the decoded batch, so that the rows are Spark's whatever the access.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql.types import StructType

from spark_dynamo.aws.pages import KEYS_PER_REQUEST
from spark_dynamo.errors import OptionError
from spark_dynamo.predicates.conditions import Placeholders
from spark_dynamo.predicates.express import filter_expression
from spark_dynamo.predicates.intervals import Domains
from spark_dynamo.predicates.settings import Predicate
from spark_dynamo.predicates.tree import Node, references
from spark_dynamo.schema.bridge import struct_type
from spark_dynamo.schema.evolve import VERSION
from spark_dynamo.source.contract import contract
from spark_dynamo.source.location import Found
from spark_dynamo.source.options.source_options import SourceOptions
from spark_dynamo.source.read.access import Access
from spark_dynamo.source.read.key_access import KeyAccess, best_key_access, implied_attributes
from spark_dynamo.source.read.reader import CONCURRENT_CHAINS, TableReader
from spark_dynamo.source.read.schemas import check_read_schema, corrupt_column
from spark_dynamo.source.read.targets import Target, explicit_target, usable_indexes
from spark_dynamo.source.upgrade.decoder import Versions, changeable_keys, check_index
from spark_dynamo.wire.types import arrow_schema

_BYTES_PER_PARTITION = 128_000_000
_BYTES_PER_SEGMENT = 4_000_000
_MOST_PARTITIONS = 200
_LONGEST_PROJECTION = 4_000  # bytes; DynamoDB refuses expressions over 4 KB
_TASK_UNITS = 2_500.0  # read units per second for which one task is enough: 20 pages of 1 MB


def plan_read(options: SourceOptions, found: Found, schema: StructType, full: StructType | None = None) -> TableReader:
    """The reader for those options; `full` has all columns where the schema is not the user's own.

    Where a model's migrations may change items, DynamoDB is asked by key attributes of the table alone, and for whole items.
    Raises OptionError for a filter, an index or a budget that can't be had and, under `allowFullScan=false`, for a Scan;
    SchemaError for columns without a DynamoDB form.
    """
    check_read_schema(schema, options)
    arrow_schema(schema)  # a column without a DynamoDB form is an error here, not in every task
    model = contract(options)
    if full is None:
        full = struct_type(model.model) if model else schema
    return _Planner(options, found, schema, full, Versions.of(model.model) if model else None).reader()


@dataclass(frozen=True)
class _Planner:
    options: SourceOptions
    found: Found
    schema: StructType
    full: StructType
    versions: Versions | None

    def reader(self) -> TableReader:
        planned = self._predicate()
        predicate = None if planned is None else planned.node
        decoded = self._decoded(predicate)
        attributes = self._attributes(decoded)
        domains = None if predicate is None else Domains.of(predicate)
        target, keys = self._target(domains, attributes)
        units = self._units_per_second(target)
        sent = None if self._migrates else predicate
        if domains is not None and domains.are_empty:
            access = Access("Query", 1, {})
        elif keys is not None:
            access = self._by_keys(keys, sent, attributes)
        elif self.options.allow_full_scan:
            access = self._scan(target, sent, attributes, units)
        else:
            raise OptionError("allowFullScan", self._refused_scan())
        size, count = target.size_bytes, target.item_count
        return TableReader(
            connection=self.found.connection,
            table=self.found.name,
            key_names=tuple(key.name for key in self.found.table.keys),
            schema=self.schema,
            access=access,
            decoded=decoded,
            predicate=planned,
            mode=self.options.mode,
            corrupt_column=self._corrupt_column,
            item_format=self.options.item_format,
            patience=self.options.retry_timeout,
            units_per_second=None if units is None else units / access.partitions,
            consistent_read=self.options.consistent_read,
            average_item_bytes=size / count if size and count else None,
            versions=self.versions,
        )

    @property
    def _migrates(self) -> bool:
        return self.versions is not None and self.versions.migrates

    @property
    def _corrupt_column(self) -> str | None:
        return corrupt_column(self.schema, self.options)

    def _predicate(self) -> Predicate | None:
        if self.options.filter is None:
            return None
        from spark_dynamo.predicates.parse import planned_predicate  # the parser takes a while to import

        hidden = [field for field in self.full if field.name not in self.schema.names]
        return planned_predicate(self.options.filter, StructType([*self.schema, *hidden]))

    def _decoded(self, predicate: Node | None) -> StructType:
        """The schema and the columns that only the predicate needs."""
        needed = set() if predicate is None else references(predicate) - set(self.schema.names)
        return StructType([*self.schema, *(field for field in self.full if field.name in needed)])

    def _attributes(self, decoded: StructType) -> tuple[str, ...] | None:
        """What is needed of each item, the keys for error messages among it; None where that is all of it."""
        if self._corrupt_column is not None or self.options.item_format != "columns" or self._migrates:
            return None
        version = () if self.versions is None else (VERSION,)
        return tuple(dict.fromkeys([*(key.name for key in self.found.table.keys), *decoded.names, *version]))

    def _target(self, predicate: Domains | None, attributes: Sequence[str] | None) -> tuple[Target, KeyAccess | None]:
        """The table or index to read, and the keys by which it can be read, None where that takes a Scan."""
        options, table = self.options, self.found.table
        given = explicit_target(table, options.index, attributes, options.consistent_read)
        if self.versions is not None and self._migrates:
            check_index(self.versions, given)
        if predicate is None:
            return given, None
        targets = [given]
        if options.index is None:
            present = implied_attributes(predicate, self.full)
            indexes = usable_indexes(table, attributes, present, options.consistent_read)
            targets += [target for target in indexes if not self._migrates or not changeable_keys(target)]
        keys = best_key_access(targets, predicate, self.full)
        return (given, None) if keys is None else (keys.target, keys)

    def _by_keys(self, keys: KeyAccess, predicate: Node | None, attributes: Sequence[str] | None) -> Access:
        if keys.operation == "Query":
            parameters = self._parameters(keys.target, predicate, attributes, queried=True)
            return Access(
                "Query", self._tasks(len(keys.conditions)), parameters, keys.conditions, index=keys.target.name
            )
        parameters = self._parameters(keys.target, None, attributes)
        if len(keys.keys) == 1:
            return Access("GetItem", 1, parameters, ({"Key": keys.keys[0]},))
        batches = tuple({"Keys": batch} for batch in _batches(keys.keys, KEYS_PER_REQUEST))
        return Access("BatchGetItem", self._tasks(len(batches)), parameters, batches)

    def _tasks(self, requests: int) -> int:
        """As many tasks as chains of requests, few at first: a task that has little to do costs more than it brings."""
        return max(
            1, min(requests, self.options.num_partitions or max(4, requests // CONCURRENT_CHAINS), _MOST_PARTITIONS)
        )

    def _scan(
        self, target: Target, predicate: Node | None, attributes: Sequence[str] | None, units: float | None
    ) -> Access:
        """Partitions and segments by size; a table whose size is not known is taken for a middling one."""
        options = self.options
        size = target.size_bytes or 2 * _BYTES_PER_PARTITION
        least = 1 if size <= _BYTES_PER_SEGMENT else 2
        enough = _MOST_PARTITIONS if units is None else math.ceil(units / _TASK_UNITS)
        partitions = options.num_partitions or min(
            max(least, math.ceil(size / _BYTES_PER_PARTITION)),
            _MOST_PARTITIONS,
            options.segments or _MOST_PARTITIONS,
            max(least, enough),
        )
        per_partition = min(CONCURRENT_CHAINS, max(1, math.ceil(size / partitions / _BYTES_PER_SEGMENT)))
        return Access(
            "Scan",
            partitions,
            self._parameters(target, predicate, attributes),
            segments=options.segments or partitions * per_partition,
            index=target.name,
        )

    def _parameters(
        self, target: Target, predicate: Node | None, attributes: Sequence[str] | None, *, queried: bool = False
    ) -> dict[str, Any]:
        """What all requests have in common: index, consistency, filter and projection."""
        placeholders = Placeholders()
        parameters: dict[str, Any] = {}
        if target.name is not None:
            parameters["IndexName"] = target.name
        if self.options.consistent_read:
            parameters["ConsistentRead"] = True
        if predicate is not None:
            excluded = {key.name for key in target.keys} if queried else set()
            corrupt = self._corrupt_column
            expression = filter_expression(
                predicate,
                placeholders,
                exclude=frozenset(excluded | ({corrupt} if corrupt else set())),
                reject_nulls=self.options.mode == "PERMISSIVE",
            )
            if expression is not None:
                parameters["FilterExpression"] = expression
        aliases = [] if attributes is None else [f"#p{number}" for number in range(len(attributes))]
        if attributes is not None and len(",".join(aliases)) <= _LONGEST_PROJECTION:
            parameters["ProjectionExpression"] = ",".join(aliases)
        else:
            aliases = []
        names = placeholders.names | dict(zip(aliases, attributes or (), strict=False))
        if names:
            parameters["ExpressionAttributeNames"] = names
        if placeholders.values:
            parameters["ExpressionAttributeValues"] = {
                alias: {tag: b64encode(value).decode() if isinstance(value, bytes) else value}
                for alias, attribute in placeholders.values.items()
                for tag, value in attribute.items()
            }
        return parameters

    def _units_per_second(self, target: Target) -> float | None:
        """The whole job's budget."""
        limits = [] if self.options.max_read_units is None else [self.options.max_read_units]
        if self.options.read_ratio is not None:
            if target.throughput is None:
                raise OptionError(
                    "readRatio",
                    f"needs the throughput of {target.title}, which the server doesn't tell; give maxReadUnits instead",
                )
            limits.append(self.options.read_ratio * target.throughput)
        return min(limits, default=None)

    def _refused_scan(self) -> str:
        table = self.found.table
        given = (
            "no filter is given" if self.options.filter is None else "the filter gives the values of none of its keys"
        )
        targets = [Target(table), *(Target(table, index) for index in table.indexes)]
        keys = [target.partition_key.name for target in targets if not self._migrates or not changeable_keys(target)]
        return (
            f"is false, and this would scan table '{table.name}': {given}. Compare a partition key with = or IN, which are "
            f"{', '.join(dict.fromkeys(keys))}, or allow the Scan"
        )


def _batches(keys: Sequence[Mapping[str, Any]], size: int) -> Iterator[Sequence[Mapping[str, Any]]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
