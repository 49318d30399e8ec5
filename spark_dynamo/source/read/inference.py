"""The schema of any table from a sample of its items, taken from all over the table, and a report on how it came about.

The table is cut into up to 16 segments. In each round every segment that has not ended is asked for its equal share of what
the sample still lacks, at the same time, until the sample is full or the table ends. Items count in the order of rounds and
segments, so that the same data give the same report, whichever answer comes first; and no more are read than the sample holds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from html import escape
from typing import Any

import orjson
from pyspark.sql.types import StructType

from spark_dynamo.aws.requests import Requests
from spark_dynamo.errors import InvalidResponseError, shorten
from spark_dynamo.source.html_tables import html_table
from spark_dynamo.source.location import Found, find
from spark_dynamo.source.options.source_options import SourceOptions, option_texts
from spark_dynamo.source.read.targets import explicit_target
from spark_dynamo.wire.infer import InferredAttribute, infer_types
from spark_dynamo.wire.sample_counts import Fields

logger = logging.getLogger(__name__)

_SEGMENTS = 16
_MOST_LOGGED = 20  # warnings; the report has all


@dataclass(frozen=True, slots=True, repr=False)
class InferredSchema:
    """A schema and the sample behind it; `print` and notebooks show both as a table, with values of the sample.

    `table` is the table's name in DynamoDB, `attributes` are facts on each attribute and what lies below it, `items` the number
    of items in the sample, `read_units` what they cost (None where the server doesn't say), `warnings` sentences on all that
    the schema only guesses or can't express.

    >>> found = sd.infer_schema("orders")  # doctest: +SKIP
    >>> found.schema.fieldNames(), found.items  # doctest: +SKIP
    (['order_id', 'amount'], 1000)
    """

    table: str
    schema: StructType
    attributes: tuple[InferredAttribute, ...]
    items: int
    read_units: float | None
    warnings: tuple[str, ...]

    def log_warnings(self) -> None:
        """Log the warnings, if any, as one; values of items are not among them."""
        if self.warnings:
            more = len(self.warnings) - _MOST_LOGGED
            logger.warning(
                "the schema of table %s, inferred from %s: %s%s",
                self.table,
                _counted(self.items, "item"),
                "; ".join(self.warnings[:_MOST_LOGGED]),
                f"; and {_counted(more, 'warning')} more, see sd.infer_schema" if more > 0 else "",
            )

    def __repr__(self) -> str:
        columns, warnings = _counted(len(self.schema.fields), "column"), _counted(len(self.warnings), "warning")
        return f"InferredSchema({self._title()}, {columns}, {warnings})"

    def __str__(self) -> str:
        from tabulate import tabulate

        table = tabulate(self._rows(), _HEADERS, tablefmt="simple", disable_numparse=True, colalign=_ALIGNMENT)
        return "\n".join([self._title(), "", table, *([""] if self.warnings else []), *self.warnings])

    def _repr_html_(self) -> str:
        table = html_table(self._rows(), _HEADERS, _ALIGNMENT)
        warnings = "".join(f"<li>{escape(warning)}</li>" for warning in self.warnings)
        return f"<p>{escape(self._title())}</p>\n{table}\n" + (f"<ul>{warnings}</ul>" if warnings else "")

    def _title(self) -> str:
        cost = "" if self.read_units is None else f", {self.read_units:,g} read units"
        return f"Table '{self.table}': {_counted(self.items, 'item')} sampled{cost}"

    def _rows(self) -> list[tuple[str, str, str, str, str]]:
        return [
            (
                attribute.path,
                shorten(attribute.type),
                f"{attribute.present:.1%}",
                ", ".join(f"{tag} {count:,}" for tag, count in attribute.seen.items()),
                "" if attribute.example is None else attribute.example,
            )
            for attribute in self.attributes
        ]


_HEADERS = ("attribute", "type", "present", "seen", "example")
_ALIGNMENT = ("left", "left", "right", "left", "left")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def infer_schema(table: str, **options: Any) -> InferredSchema:
    """Sample a table and report the schema that a read of it would have, and why.

    `table` and `options` are those of the data source, in its spelling: `samplingSize=500`, `numberType="double"`,
    `index=...`, `region=...`. One that is None is left out; those that have no part in a sample, as `filter`, change nothing.
    Of a metadata table's logical name, the items tell the schema, too, not its model. Raises OptionError, and the errors of
    a read.

    >>> import spark_dynamo as sd
    >>> with sd.local_dynamodb():  # doctest: +SKIP
    ...     print(sd.infer_schema("orders", samplingSize=500))
    """
    parsed = SourceOptions({**option_texts(options), "table": table})
    return infer(parsed, find(parsed))


def infer(options: SourceOptions, found: Found) -> InferredSchema:
    """The schema of the table that was found, or of the index that the options name; the key attributes come first.

    In an index, those of the table are followed by its own, which every item in it has. Raises OptionError where there is no
    such index, and as `Requests.send` does.
    """
    target = explicit_target(found.table, options.index, (), options.consistent_read)
    keys = {key.name: key.type for key in (*found.table.keys, *target.keys)}
    parameters: dict[str, Any] = {"TableName": found.name}
    if options.index is not None:
        parameters["IndexName"] = options.index
    if options.consistent_read:
        parameters["ConsistentRead"] = True
    requests = Requests(found.connection, found.name, patience=options.retry_timeout)
    items, units = _sample(requests, parameters, options.sampling_size)
    inference = infer_types(items, keys, options.number_type, options.infer_timestamp)
    told = requests.counts.facts("Scan", found.name)
    logger.info("inferred the schema of table %s: %s", found.name, requests.counts, extra=told)
    return InferredSchema(found.name, inference.schema, inference.attributes, items.count, units, inference.warnings)


def _sample(requests: Requests, parameters: Mapping[str, Any], size: int) -> tuple[Fields, float | None]:
    """What was seen in up to `size` items, and the read units, None where no answer tells them."""
    total = min(_SEGMENTS, size)
    common = {**parameters, "TotalSegments": total, "ReturnConsumedCapacity": "TOTAL"}
    unfinished: dict[int, dict[str, Any]] = {segment: {} for segment in range(total)}  # and where they go on
    items, units = Fields(), []
    pool = ThreadPoolExecutor(max_workers=total, thread_name_prefix="dynamodb-sample")
    try:
        while unfinished and items.count < size:
            shares = _shares(list(unfinished), size - items.count)
            futures = [
                pool.submit(
                    requests.send,
                    "Scan",
                    orjson.dumps({**common, **unfinished[segment], "Segment": segment, "Limit": share}),
                )
                for segment, share in shares.items()
            ]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()  # raises what went wrong, without waiting for the others
            for (segment, share), future in zip(shares.items(), futures, strict=True):
                body = future.result()
                answer = _see(requests, items, body, share)
                units.append(answer.get("ConsumedCapacity", {}).get("CapacityUnits"))
                requests.counts.add(bytes=len(body), items=answer.get("ScannedCount", 0), units=units[-1] or 0.0)
                if "LastEvaluatedKey" in answer:
                    unfinished[segment] = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
                else:
                    del unfinished[segment]
    finally:
        requests.stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
    told = [unit for unit in units if unit is not None]
    return items, sum(told) if told else None


def _shares(segments: list[int], missing: int) -> dict[int, int]:
    """How many items each segment is asked for: equal shares, the first ones one more; segments without a share are left out.

    >>> _shares([0, 3, 5], 8)
    {0: 3, 3: 3, 5: 2}
    """
    share, rest = divmod(missing, len(segments))
    shares = {segment: share + (place < rest) for place, segment in enumerate(segments)}
    return {segment: count for segment, count in shares.items() if count}


def _see(requests: Requests, items: Fields, body: bytes, most: int) -> dict[str, Any]:
    """Take in up to `most` items of an answer, as some servers ignore Limit; the answer."""
    try:
        answer: dict[str, Any] = orjson.loads(body)
        for item in answer["Items"][:most]:
            items.see(item)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidResponseError(requests.table, f"{error} in {len(body)} bytes", error) from error
    return answer
