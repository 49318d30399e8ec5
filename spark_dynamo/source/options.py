"""The options of the data source: one table, from which the parser, the error messages and the README's reference come."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spark_dynamo.errors import OptionError


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table: `parse` turns the text into a value or raises ValueError with what is expected."""

    name: str
    parse: Callable[[str], Any]
    default: Any
    shown_default: str
    meaning: str
    secret: bool = False


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


def _flag(value: str) -> bool:
    flags = {"true": True, "false": False}
    if value.strip().lower() not in flags:
        raise ValueError("must be true or false")
    return flags[value.strip().lower()]


def _count(most: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.strip().isdecimal() or not 1 <= int(value) <= most:
            raise ValueError(f"must be a whole number from 1 to {most:,}")
        return int(value)

    return parse


def _amount(least: float = 0.0, most: float = float("inf")) -> Callable[[str], float]:
    """Numbers above `least` and up to `most`."""
    expected = f"must be a number above {least:g}" + (f" and up to {most:g}" if math.isfinite(most) else "")

    def parse(value: str) -> float:
        try:
            amount = float(value)
        except ValueError:
            raise ValueError(expected) from None
        if not least < amount <= most or not math.isfinite(amount):
            raise ValueError(expected)
        return amount

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    by_lower = {choice.lower(): choice for choice in choices}

    def parse(value: str) -> str:
        if value.strip().lower() not in by_lower:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return by_lower[value.strip().lower()]

    return parse


_NAME_IN_LIST = re.compile(r"\s*(?:`((?:[^`]|``)+)`|([^`,]*[^`,\s]))\s*(?:,|$)")


def _names(value: str) -> tuple[str, ...]:
    """Column names between commas; backticks enclose a name that holds a comma."""
    names: list[str] = []
    position = 0
    while position < len(value):
        found = _NAME_IN_LIST.match(value, position)
        if found is None:
            break
        names.append(found[1].replace("``", "`") if found[1] else found[2])
        position = found.end()
    if position < len(value) or not names or value.rstrip().endswith(","):
        raise ValueError("must be names between commas, as in `id, amount`; a name with a comma stands in backticks")
    if len(set(names)) < len(names):
        raise ValueError("must name each column once")
    return tuple(names)


OPTIONS: tuple[Option, ...] = (
    Option(
        "table",
        _text,
        None,
        "the load or save path",
        "name or ARN of the table, or one of the metadata tables' logical names (`pipeline_config`, `table_config`, "
        "`pipeline_run_logs`)",
    ),
    Option("region", _text, None, "the AWS chain", "AWS region, as in `eu-central-1`"),
    Option("endpointUrl", _text, None, "the AWS chain", "address of the server, as in `http://localhost:8000`"),
    Option("profile", _text, None, "the AWS chain", "a profile of `~/.aws/config`"),
    Option("roleArn", _text, None, "-", "a role to assume, in another account, too; its credentials renew themselves"),
    Option("externalId", _text, None, "-", "the external id that the role's trust policy asks for", secret=True),
    Option("roleSessionName", _text, "spark-dynamo", "spark-dynamo", "the session's name in CloudTrail"),
    Option("accessKeyId", _text, None, "the AWS chain", "for local servers and special cases", secret=True),
    Option("secretAccessKey", _text, None, "the AWS chain", "goes with `accessKeyId`; never shown", secret=True),
    Option("sessionToken", _text, None, "the AWS chain", "goes with temporary keys; never shown", secret=True),
    Option(
        "environment",
        _one_of("dev", "staging", "prod"),
        None,
        "`DynamoDBConfig`",
        "how the metadata tables' logical names become physical",
    ),
    Option("tablePrefix", str, None, "`DynamoDBConfig`", "the same; may be empty"),
    Option(
        "index",
        _text,
        None,
        "the table, or the best index where `filter` allows one",
        "secondary index to read; it must project all columns of the schema",
    ),
    Option(
        "filter",
        _text,
        None,
        "-",
        "a predicate in Spark's SQL; exactly the rows that `where` gives, by GetItem, Query or Scan as it allows",
    ),
    Option("columns", _names, None, "all", "columns to read, between commas; a schema of one's own does the same"),
    Option("allowFullScan", _flag, True, "true", "`false`: an error where the read would be a Scan"),
    Option(
        "mode",
        _one_of("FAILFAST", "PERMISSIVE", "DROPMALFORMED"),
        "FAILFAST",
        "FAILFAST",
        "what an item that doesn't fit the schema becomes: an error, a row with nulls and the item in the corrupt-record "
        "column, or nothing but a count in the log",
    ),
    Option(
        "columnNameOfCorruptRecord",
        _text,
        "_corrupt_record",
        "_corrupt_record",
        "STRING column that holds the whole item as DynamoDB JSON where it doesn't fit, in mode PERMISSIVE",
    ),
    Option(
        "itemFormat",
        _one_of("columns", "json", "variant"),
        "columns",
        "columns",
        "`json`, `variant`: a single column `item` with the whole item, as DynamoDB JSON text or as VARIANT, lossless, on "
        "reads and writes",
    ),
    Option(
        "samplingSize",
        _count(1_000_000),
        1000,
        "1000",
        "items sampled over all segments where the schema must be inferred",
    ),
    Option(
        "numberType",
        _one_of("auto", "decimal", "double", "string"),
        "auto",
        "auto",
        "what inferred numbers become: `auto` BIGINT where integral, else DECIMAL",
    ),
    Option(
        "maxReadUnits",
        _amount(),
        None,
        "no limit",
        "read units per second for the whole job, shared equally among its tasks, which are then as few as the budget needs",
    ),
    Option(
        "readRatio",
        _amount(most=1.0),
        None,
        "no limit",
        "the same as a share of the table's or index's provisioned or warm read throughput, as in `0.25`",
    ),
    Option(
        "retryTimeout",
        _amount(),
        300.0,
        "300",
        "seconds without any success, among throttles and failures, until a task gives up",
    ),
    Option(
        "numPartitions",
        _count(10_000),
        None,
        "from the table's size",
        "Spark tasks of a read; one per 128 MB, at least 2 but for tables below 4 MB, at most 200, where not given",
    ),
    Option(
        "segments",
        _count(1_000_000),
        None,
        "from the table's size",
        "scan segments, at least as many as partitions; 16 per partition where not given, fewer on small tables",
    ),
    Option("consistentRead", _flag, False, "false", "strongly consistent reads, at twice the read units"),
    Option(
        "operation",
        _one_of("put", "delete"),
        "put",
        "put",
        "what a write does with each row: `put` replaces the item with the same key, `delete` deletes it and looks at the key "
        "attributes alone",
    ),
    Option(
        "createTable",
        _flag,
        False,
        "false",
        "create the table before a write where there is none, on demand, and wait for it; one with other keys is an error",
    ),
    Option("partitionKey", _text, None, "-", "column that becomes the partition key of a table to create"),
    Option("sortKey", _text, None, "none", "column that becomes its sort key"),
    Option(
        "nulls",
        _one_of("omit", "write"),
        "omit",
        "omit",
        "what a null column becomes on write: `omit` no attribute, `write` a NULL attribute",
    ),
    Option(
        "duplicates",
        _one_of("error", "last", "first"),
        "error",
        "error",
        "equal keys in one write: `error` before the second is sent, or keep the `last` or `first`; across tasks, where "
        "order means nothing, DynamoDB keeps whichever comes last",
    ),
)

_BY_NAME = {option.name.lower(): option for option in OPTIONS}
_NAMES = [option.name for option in OPTIONS]


class SourceOptions:
    """The parsed options of one read or write, by attribute in snake case; what was not given has its default.

    Names are case-insensitive. Raises `OptionError` for an unknown name, with the nearest known one, and for a value that
    can't be used, with what is expected. Secrets are shown in no repr and no error.

    >>> options = SourceOptions({"path": "orders", "NUMPARTITIONS": "4"})
    >>> options.table, options.num_partitions, options.duplicates
    ('orders', 4, 'error')
    """

    table: str
    region: str | None
    endpoint_url: str | None
    profile: str | None
    role_arn: str | None
    external_id: str | None
    role_session_name: str
    access_key_id: str | None
    secret_access_key: str | None
    session_token: str | None
    environment: str | None
    table_prefix: str | None
    index: str | None
    filter: str | None
    columns: tuple[str, ...] | None
    allow_full_scan: bool
    mode: str
    column_name_of_corrupt_record: str
    item_format: str
    sampling_size: int
    number_type: str
    max_read_units: float | None
    read_ratio: float | None
    retry_timeout: float
    num_partitions: int | None
    segments: int | None
    consistent_read: bool
    operation: str
    create_table: bool
    partition_key: str | None
    sort_key: str | None
    nulls: str
    duplicates: str

    def __init__(self, given: Mapping[str, str]) -> None:
        for option in OPTIONS:
            setattr(self, _snake_case(option.name), option.default)
        for name, value in given.items():
            if name.lower() == "path":
                continue
            named = _BY_NAME.get(name.lower())
            if named is None:
                raise OptionError(name, "is not known", _NAMES)
            setattr(self, _snake_case(named.name), _parsed(named, value))
        self.table = self.table or _path(given)
        self._check()

    def __repr__(self) -> str:
        secret = {_snake_case(option.name) for option in OPTIONS if option.secret}
        shown = {name: "***" if name in secret and value else value for name, value in vars(self).items()}
        return f"SourceOptions({', '.join(f'{name}={value!r}' for name, value in shown.items() if value is not None)})"

    def _check(self) -> None:
        if not self.table:
            raise OptionError(
                "table", "is missing; name the table, as in .load('orders') or .option('table', 'orders')"
            )
        if bool(self.access_key_id) != bool(self.secret_access_key):
            missing = "secretAccessKey" if self.access_key_id else "accessKeyId"
            raise OptionError(missing, "is missing; accessKeyId and secretAccessKey only work together")
        if self.session_token and not self.access_key_id:
            raise OptionError("sessionToken", "needs accessKeyId and secretAccessKey beside it")
        if self.create_table and not self.partition_key:
            raise OptionError("partitionKey", "is missing; createTable needs the name of the column that becomes it")
        for name, key in (("partitionKey", self.partition_key), ("sortKey", self.sort_key)):
            if key and not self.create_table:
                raise OptionError(name, "needs createTable=true beside it; the keys of a table that exists are known")
        if self.external_id and not self.role_arn:
            raise OptionError("externalId", "needs roleArn beside it")
        if self.item_format != "columns":
            for name, given in (("filter", self.filter), ("columns", self.columns)):
                if given:
                    raise OptionError(
                        name, f"needs columns, and itemFormat '{self.item_format}' has none; leave out one of the two"
                    )
        if self.segments and self.num_partitions and self.segments < self.num_partitions:
            raise OptionError(
                "segments",
                f"is {self.segments}, fewer than the {self.num_partitions} of numPartitions; each partition needs one",
            )


def option_texts(options: Mapping[str, object]) -> dict[str, str]:
    """Options given as Python values in the texts that Spark would make of them; None is left out.

    >>> option_texts({"consistentRead": True, "samplingSize": 500, "index": None})
    {'consistentRead': 'true', 'samplingSize': '500'}
    """
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in options.items()
        if value is not None
    }


def _parsed(option: Option, value: str) -> Any:
    try:
        return option.parse(value)
    except ValueError as problem:
        shown = "" if option.secret else f", not '{value}'"
        raise OptionError(option.name, f"{problem}{shown}") from None


def _path(given: Mapping[str, str]) -> str:
    return next((value.strip() for name, value in given.items() if name.lower() == "path"), "")


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
