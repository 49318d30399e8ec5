"""The options of one read or write, parsed and checked against each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from spark_dynamo.errors import OptionError, nearest, shorten
from spark_dynamo.errors.masking import masked
from spark_dynamo.source.options.other_names import instead_of
from spark_dynamo.source.options.table import OPTIONS, Option

_BY_NAME = {option.name.lower(): option for option in OPTIONS}
_SPARKS_OWN = frozenset({"path", "checkpointlocation", "queryname"})  # it hands these over with all others
_TABLE = re.compile(r"[\w.-]+|arn:.*")
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
    infer_timestamp: bool
    max_read_units: float | None
    read_ratio: float | None
    retry_timeout: float
    request_timeout: float
    num_partitions: int | None
    segments: int | None
    consistent_read: bool
    operation: str
    operation_column: str | None
    condition: str | None
    condition_failed: str
    atomic: bool
    bad_items: str
    model: str | None
    max_write_units: float | None
    write_ratio: float | None
    overwrite_confirm: str | None
    create_table: bool
    partition_key: str | None
    sort_key: str | None
    billing_mode: str
    read_capacity_units: int | None
    write_capacity_units: int | None
    indexes: str | None
    nulls: str
    duplicates: str

    def __init__(self, given: Mapping[str, str]) -> None:
        for option in OPTIONS:
            setattr(self, _snake_case(option.name), option.default)
        for name, value in given.items():
            if name.lower() in _SPARKS_OWN:
                continue
            if name.lower() == "paths":  # of .load([...]), as JSON
                raise OptionError(
                    "path", f"must be one table, not {shorten(value)}; load each by itself and unite them"
                )
            named = _BY_NAME.get(name.lower())
            if named is None:
                instead = instead_of(name)
                if instead:
                    raise OptionError(name, f"is not known here; {instead}")
                raise OptionError(name, "is not known", _NAMES)
            setattr(self, _snake_case(named.name), _parsed(named, value))
        self.table = self.table or _path(given)
        if _names_another(_path(given), self.table):
            raise OptionError(
                "table",
                f"is '{self.table}', and the path that is loaded or saved '{_path(given)}'; leave out one of the two",
            )
        self._check()

    def __repr__(self) -> str:
        secret = {_snake_case(option.name) for option in OPTIONS if option.secret}
        shown = {name: "***" if name in secret and value else masked(value) for name, value in vars(self).items()}
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
        self._check_creation()
        self._check_operation()
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

    def _check_creation(self) -> None:
        if self.create_table and not self.partition_key:
            raise OptionError("partitionKey", "is missing; createTable needs the name of the column that becomes it")
        units = {"readCapacityUnits": self.read_capacity_units, "writeCapacityUnits": self.write_capacity_units}
        only_for_new = {
            "partitionKey": self.partition_key,
            "sortKey": self.sort_key,
            "indexes": self.indexes,
            "billingMode": self.billing_mode == "PROVISIONED",
            **units,
        }
        for name, given in only_for_new.items():
            if given and not self.create_table:
                raise OptionError(name, "needs createTable=true beside it; a table that exists has its own")
        for name, given in units.items():
            if given and self.billing_mode != "PROVISIONED":
                raise OptionError(name, "needs billingMode=PROVISIONED beside it")
            if not given and self.billing_mode == "PROVISIONED":
                raise OptionError(
                    name, "is missing; billingMode=PROVISIONED needs readCapacityUnits and writeCapacityUnits"
                )

    def _check_operation(self) -> None:
        by_column = self.operation_column is not None
        if self.nulls == "remove" and self.operation != "update" and not by_column:
            raise OptionError("nulls", f"'remove' is for operation update, and the operation is {self.operation}")
        if self.condition and self.operation == "insert" and not by_column:
            raise OptionError(
                "condition", "is not for operation insert, whose own condition is that there is no such item"
            )
        if by_column and self.operation != "put":
            raise OptionError(
                "operation",
                f"is '{self.operation}', and operationColumn names an operation for each row; leave out one",
            )
        for name, key in (("partitionKey", self.partition_key), ("sortKey", self.sort_key)):
            if by_column and key == self.operation_column:
                raise OptionError(name, f"is '{key}', which operationColumn names, too; that column is not written")
        self._check_duplicates(by_column)
        _check_place("conditionFailed", self.condition_failed, ("error", "skip"))
        _check_place("badItems", self.bad_items, ("error",))
        if self.item_format != "columns":
            if self.nulls not in ("auto", "omit"):
                raise OptionError(
                    "nulls",
                    f"needs columns, and itemFormat '{self.item_format}' has none; an item's NULL attributes are written as "
                    "they are",
                )
            if by_column:
                raise OptionError(
                    "operationColumn",
                    f"needs columns, and itemFormat '{self.item_format}' has none; leave out one of the two",
                )
            if self.operation == "update":
                raise OptionError(
                    "operation",
                    f"'update' needs columns, and itemFormat '{self.item_format}' has none; put whole items",
                )

    def _check_duplicates(self, by_column: bool) -> None:
        """With `last`, an equal key is written twice where its rows come in different batches, and once where in one."""
        if self.duplicates != "last":
            return
        what = None
        if self.condition:
            what = "a condition"
        elif not by_column and self.operation == "insert":
            what = "operation insert"
        elif not by_column and self.operation == "update" and self.nulls in ("auto", "omit"):
            what = "operation update without nulls=remove or nulls=write"
        if what:
            raise OptionError(
                "duplicates",
                f"'last' can't be used with {what}, where a row's outcome depends on the rows before it; use 'first' or 'error', "
                "or drop duplicates before the write",
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


def _check_place(name: str, text: str, words: tuple[str, ...]) -> None:
    """Raise where a text is neither one of the words nor a path: a folder's bare name may as well be a mistake."""
    if text in words or text.startswith((".", "~")) or any(mark in text for mark in "/\\:"):
        return
    close = nearest(text, [*words, "skip"])
    if close in words:
        raise OptionError(name, f"is '{text}'; did you mean '{close}'? Write './{text}' for a folder of that name")
    choices = " or ".join(f"'{word}'" for word in words)
    traceless = ", as no row is dropped without a trace" if "skip" not in words else ""
    raise OptionError(
        name, f"can't be '{text}'{traceless}; it is {choices}, or a path. Write './{text}' for a folder of that name"
    )


def _parsed(option: Option, value: str) -> Any:
    if not isinstance(value, str):  # as where a session stands in a table's place
        raise OptionError(option.name, f"is text, not a {type(value).__qualname__}")
    try:
        return option.parse(value)
    except ValueError as problem:
        shown = "" if option.secret else f", not '{value}'"
        raise OptionError(option.name, f"{problem}{shown}") from None


def _path(given: Mapping[str, str]) -> str:
    return next((value.strip() for name, value in given.items() if name.lower() == "path"), "")


def _names_another(path: str, table: str) -> bool:
    """Whether a path names a table, and another one: CREATE TABLE ... USING hands over a folder of the warehouse as path."""
    return path != table and _TABLE.fullmatch(path) is not None


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
