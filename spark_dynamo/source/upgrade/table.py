"""Bulk upgrade: all items of a table brought to their model's version and stored so.

One process scans the table in parallel segments, upgrades what is older and writes that back, one conditional UpdateItem per
item. It may be stopped at any time and run again: an item is either as it was, or upgraded.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, cast

import orjson
import pyarrow as pa

from spark_dynamo.aws.budget import Budget
from spark_dynamo.aws.in_flight import Flight
from spark_dynamo.aws.pages import Chain, fetch_pages
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.single_write import Refused, SingleWriter
from spark_dynamo.errors import MigrationError, OptionError, show_key
from spark_dynamo.schema.bridge import struct_type
from spark_dynamo.schema.evolve import VERSION, check_migrations, declared_version, item_version, upgrade_items
from spark_dynamo.source.html_tables import html_table
from spark_dynamo.source.location import Found, find
from spark_dynamo.source.options.source_options import SourceOptions, option_texts
from spark_dynamo.source.read.targets import Target
from spark_dynamo.source.upgrade.conditional_update import rewriting
from spark_dynamo.source.upgrade.fit_check import Fitting
from spark_dynamo.source.write.planner import units_per_second
from spark_dynamo.wire.envelope import ENVELOPES, Item
from spark_dynamo.wire.python_values import to_python
from spark_dynamo.wire.value_reader import bare

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["UpgradeReport", "upgrade_table"]

logger = logging.getLogger(__name__)

_CONCURRENT_SEGMENTS = 32
_BYTES_PER_SEGMENT = 16_000_000
_MOST_SEGMENTS = 4096
_MOST_TOLD = 20  # failures that a report has
_PROGRESS_INTERVAL = 1.0  # seconds
_OPTIONS = (
    *("region", "endpointUrl", "profile", "roleArn", "externalId", "roleSessionName"),
    *("accessKeyId", "secretAccessKey", "sessionToken", "environment", "tablePrefix"),
    *("maxReadUnits", "readRatio", "maxWriteUnits", "writeRatio", "retryTimeout", "segments", "consistentRead"),
    "requestTimeout",
)


@dataclass(frozen=True, slots=True, repr=False)
class UpgradeReport:
    """What was found in a table and what became of it; `print` and notebooks show it as a table.

    `found` counts items by version as they were read, None for what is no version. `upgraded` are those that were written, or in
    a dry run would be. `changed` are those that somebody else changed or deleted after they were read; they were left alone,
    and a second run sees them again. `failed` could not be upgraded; `failures` says why of the first of them, with version
    and key. `read_units` and `write_units` are 0 where the server doesn't tell them.

    >>> sd.upgrade_table(Customer, "customers").found  # doctest: +SKIP
    {1: 12, 2: 88}
    """

    table: str
    model: str
    version: int
    dry_run: bool
    found: Mapping[int | None, int]
    upgraded: int
    changed: int
    failed: int
    failures: tuple[MigrationError, ...]
    read_units: float
    write_units: float
    seconds: float

    @property
    def is_complete(self) -> bool:
        """Whether all items that were found are of the model's version now."""
        older = sum(count for version, count in self.found.items() if version != self.version)
        return older == (0 if self.dry_run else self.upgraded)

    def __repr__(self) -> str:
        return f"UpgradeReport({self._title()}: {self._sum()})"

    def __str__(self) -> str:
        from tabulate import tabulate

        table = tabulate(self._rows(), _HEADERS, tablefmt="simple", disable_numparse=True, colalign=_ALIGNMENT)
        return "\n".join([self._title(), "", table, "", self._sum(), *self._failures()])

    def _repr_html_(self) -> str:
        table = html_table(self._rows(), _HEADERS, _ALIGNMENT)
        failures = "".join(f"<li>{escape(failure)}</li>" for failure in self._failures())
        return f"<p>{escape(self._title())}</p>\n{table}\n<p>{escape(self._sum())}</p>" + (
            f"<ul>{failures}</ul>" if failures else ""
        )

    def _title(self) -> str:
        return f"Table '{self.table}' to version {self.version} of model {self.model}" + (
            ", a dry run" if self.dry_run else ""
        )

    def _rows(self) -> list[tuple[str, str, str]]:
        versions = sorted(self.found, key=lambda version: math.inf if version is None else version)
        return [
            ("none" if version is None else str(version), f"{self.found[version]:,}", self._word(version))
            for version in versions
        ]

    def _word(self, version: int | None) -> str:
        if version is None:
            return "no version"
        return "current" if version == self.version else "older" if version < self.version else "newer than the model"

    def _sum(self) -> str:
        parts = [f"{self.upgraded:,} {'would be upgraded' if self.dry_run else 'upgraded'}"]
        if self.changed:
            parts.append(f"{self.changed:,} changed meanwhile and left alone, so run it again")
        if self.failed:
            parts.append(f"{self.failed:,} {'would fail' if self.dry_run else 'failed'}")
        units = f"{self.read_units:,g} read units, {self.write_units:,g} write units"
        return f"{', '.join(parts)}; {units}, {self.seconds:,.1f} s"

    def _failures(self) -> list[str]:
        more = self.failed - len(self.failures)
        told = [f"{show_key(error.key)} of version {error.version or '?'}: {error.problem}" for error in self.failures]
        return [*told, *([f"and {more:,} more"] if more else [])]


_HEADERS = ("version", "items", "")
_ALIGNMENT = ("right", "right", "left")


def upgrade_table(
    model: type[BaseModel],
    table: str,
    *,
    dry_run: bool = True,
    progress: Callable[[UpgradeReport], None] | None = None,
    **options: Any,
) -> UpgradeReport:
    """Upgrade all items of a table to the model's version, or tell what that would do.

    A dry run reads the whole table, too, and runs all migrations, so that it tells all failures; it writes nothing. Otherwise
    each item is updated on the condition that it still is as it was read, in all its attributes as far as a
    ConditionExpression can say that (130 of them, those that change first): what somebody else changes meanwhile is not
    overwritten, and attributes that they add stay. An item whose migration fails, gives what DynamoDB can't store or what
    doesn't fit the model is left as it is and counted. Everything may be stopped and run again; items that are current are
    only read. Memory does not grow with the table.

    `table` and `options` are those of the data source, in its spelling: where it is, `maxReadUnits`, `readRatio`,
    `maxWriteUnits`, `writeRatio`, `segments`, `consistentRead`, `retryTimeout` and `requestTimeout`. `progress` is called with
    the report so far, about once a second, in the calling thread.

    Raises MigrationError for a model without a version or with a gap in its migrations, OptionError, SchemaError for a model
    that has no schema, and the errors of reads and writes.

    >>> print(upgrade_table(Order, "orders"))  # doctest: +SKIP
    Table 'orders' to version 2 of model Order, a dry run
    <BLANKLINE>
      version    items
    ---------  -------  -------
            1      120  older
            2    1,000  current
    <BLANKLINE>
    120 would be upgraded; 12.5 read units, 0 write units, 0.1 s
    >>> upgrade_table(Order, "orders", dry_run=False, maxWriteUnits=500)  # doctest: +SKIP
    """
    version = declared_version(model)
    if version is None:
        raise MigrationError(
            model.__name__, f"it has no version to upgrade to; add `{VERSION}: ClassVar[int] = 1` to it"
        )
    check_migrations(model)
    parsed = _parsed(table, options)
    return _Upgrade(model, version, find(parsed), parsed, dry_run, progress).run()


def _parsed(table: str, options: Mapping[str, Any]) -> SourceOptions:
    known = {name.lower() for name in _OPTIONS}
    parsed = SourceOptions({**option_texts(options), "table": table})
    for name in options:
        if name.lower() not in known:
            raise OptionError(name, f"has no part in an upgrade of all items; it takes {', '.join(_OPTIONS)}")
    return parsed


class _Upgrade:
    """One run."""

    def __init__(
        self,
        model: type[BaseModel],
        version: int,
        found: Found,
        options: SourceOptions,
        dry_run: bool,
        progress: Callable[[UpgradeReport], None] | None,
    ) -> None:
        table = found.table
        read_units = units_per_second(
            "Read", options.max_read_units, options.read_ratio, table, table.read_units or table.warm_read_units
        )
        write_units = units_per_second(
            "Write", options.max_write_units, options.write_ratio, table, table.write_units or table.warm_write_units
        )
        average = table.size_bytes / table.item_count if table.size_bytes and table.item_count else None
        self._scan = Requests(
            found.connection,
            found.name,
            patience=options.retry_timeout,
            budget=None if read_units is None else Budget(read_units, average_item_bytes=average),
        )
        self._updates = Requests(
            found.connection,
            found.name,
            patience=options.retry_timeout,
            budget=None if write_units is None else Budget(write_units),
        )
        self._model = model
        self._version = version
        self._found = found
        self._options = options
        self._dry_run = dry_run
        self._progress = progress
        self._key_names = [key.name for key in table.keys]
        self._fitting = Fitting(struct_type(model), table)
        self._versions: Counter[int | None] = Counter()
        self._upgradable = 0
        self._failed = 0
        self._failures: list[MigrationError] = []
        self._started = self._told = time.monotonic()

    def run(self) -> UpgradeReport:
        """Do it."""
        concurrency = min(_CONCURRENT_SEGMENTS, max(1, self._found.connection.max_pool_connections // 2))
        pages = cast("Generator[bytes]", fetch_pages(self._scan, self._segments(), concurrency=concurrency))
        with ExitStack() as stack:
            stack.enter_context(closing(pages))
            flight = None if self._dry_run else stack.enter_context(Flight(self._updates, most=concurrency))
            writer = SingleWriter(flight, self._key_names, refused=_left_alone) if flight else None
            for page in pages:
                for operation, actions in self._actions(page):
                    if writer is not None:
                        writer.send(pa.array(actions, pa.string()), operation)
                self._tell()
        report = self._report()
        if self._progress is not None:
            self._progress(report)
        level = logging.WARNING if report.failed or report.changed else logging.INFO
        logger.log(level, "%r", report)
        return report

    def _segments(self) -> list[Chain]:
        table = self._found.table
        size = Target(table).size_bytes or _CONCURRENT_SEGMENTS * _BYTES_PER_SEGMENT
        total = self._options.segments or min(_MOST_SEGMENTS, max(1, math.ceil(size / _BYTES_PER_SEGMENT)))
        common = {"ConsistentRead": True} if self._options.consistent_read else {}
        if total == 1:  # moto, which the embedded server is, knows no segments where the partition key is binary
            return [Chain("Scan", common, "the table")]
        return [
            Chain("Scan", {**common, "Segment": number, "TotalSegments": total}, f"segment {number}")
            for number in range(total)
        ]

    def _actions(self, page: bytes) -> Iterator[tuple[str, list[str]]]:
        """What is to be sent for the items of a page, by operation."""
        by_operation: dict[str, list[str]] = {}
        items = ENVELOPES["Items"].items(page, self._scan.table)
        for item in items:
            version = self._version_of(item)
            self._versions[version] += 1
            if version == self._version:
                continue
            upgraded = self._upgraded(item)
            if upgraded is not None:
                self._upgradable += 1
            if upgraded is not None and not self._dry_run:
                operation, action = rewriting(self._scan.table, item, upgraded, self._key_names)
                by_operation.setdefault(operation, []).append(orjson.dumps(action).decode())
        yield from by_operation.items()

    def _version_of(self, item: Item) -> int | None:
        return item_version({VERSION: to_python(item[VERSION])}) if VERSION in item else 1

    def _upgraded(self, item: Item) -> Item | None:
        """The item at the model's version, None where it can't be."""
        done = upgrade_items([item], self._model, table=self._found.table.name, key_names=self._key_names)
        if done.failed:
            self._fail(done.failed[0][1])
            return None
        try:
            self._fitting.check(done.items[0])
        except ValueError as error:
            self._fail(
                MigrationError(
                    self._model.__name__,
                    f"what its migrations make of it can't be stored: {error}",
                    error,
                    version=self._version_of(item),
                    table=self._found.table.name,
                    key={name: bare(item[name]) for name in self._key_names},
                )
            )
            return None
        return done.items[0]

    def _fail(self, error: MigrationError) -> None:
        self._failed += 1
        if len(self._failures) < _MOST_TOLD:
            self._failures.append(error)

    def _tell(self) -> None:
        now = time.monotonic()
        if self._progress is not None and now - self._told >= _PROGRESS_INTERVAL:
            self._told = now
            self._progress(self._report())

    def _report(self) -> UpgradeReport:
        counts = self._updates.counts
        return UpgradeReport(
            table=self._found.table.name,
            model=self._model.__name__,
            version=self._version,
            dry_run=self._dry_run,
            found=dict(self._versions),
            upgraded=self._upgradable if self._dry_run else counts.items,
            changed=counts.refused,
            failed=self._failed,
            failures=tuple(self._failures),
            read_units=self._scan.counts.units,
            write_units=counts.units,
            seconds=time.monotonic() - self._started,
        )


def _left_alone(row: Refused) -> None:
    """Somebody else changed the item; the requests' counts have it."""
