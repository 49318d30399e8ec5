"""Single items that are missing or don't fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spark_dynamo.errors.base import DynamoDBWrapperError
from spark_dynamo.errors.texts import shorten, show_key


class ItemNotFoundError(DynamoDBWrapperError, LookupError):
    """There is no item with that key; `table` (also `table_name`) and `key` say which, and `context` has both."""

    _told = frozenset({"table", "table_name", "key"})

    def __init__(self, table_name: str, key: Mapping[str, object], original_error: BaseException | None = None) -> None:
        self.table = self.table_name = table_name
        self.key = dict(key)
        context: dict[str, Any] = {"table": table_name, "table_name": table_name, "key": self.key}
        super().__init__(f"Table '{table_name}' has no item with the key {show_key(key)}", original_error, context)


class ItemError(DynamoDBWrapperError, ValueError):
    """One item that doesn't fit: its table, its key and the attribute's path."""

    def __init__(self, message: str, *, table: str, key: Mapping[str, object], attribute: str | None) -> None:
        super().__init__(message)
        self.table = table
        self.key = dict(key)
        self.attribute = attribute


class MalformedItemError(ItemError):
    """An item read from DynamoDB that doesn't fit the schema; `found` is None where the attribute is missing."""

    def __init__(
        self,
        *,
        table: str,
        key: Mapping[str, object],
        attribute: str,
        value: object,
        found: str | None,
        expected: str,
        problem: str = "",
    ) -> None:
        where = f"Table '{table}', item {show_key(key)}: attribute '{attribute}'"
        if found is None:
            sentence = f"{where} is missing, but the schema's {expected} is not nullable. Make the column nullable"
        elif found == "NULL":
            sentence = f"{where} is NULL, but the schema's {expected} is not nullable. Make the column nullable"
        else:
            reason = f": {problem}" if problem else ""
            sentence = (
                f"{where} is {shorten(value)}, of DynamoDB type {found}, and does not fit the schema's "
                f"{expected}{reason}. Give the column a type that holds it"
            )
        super().__init__(f"{sentence}, or correct the item", table=table, key=key, attribute=attribute)
        self.value = shorten(value)
        self.found = found
        self.expected = expected


class InvalidItemError(ItemError):
    """A row that DynamoDB can't take; `attribute` is None where the item as a whole is the problem."""

    def __init__(
        self, *, table: str, key: Mapping[str, object], attribute: str | None, value: object, problem: str
    ) -> None:
        what = f"attribute '{attribute}' is {shorten(value)}: " if attribute else ""
        super().__init__(
            f"Row {show_key(key)} can't be written to table '{table}': {what}{problem}",
            table=table,
            key=key,
            attribute=attribute,
        )
        self.value = shorten(value)
        self.problem = problem


class DuplicateKeyError(ItemError):
    """Two rows of one write with the same key; `message` is the sentence where it is not about the rows of a DataFrame."""

    def __init__(self, *, table: str, key: Mapping[str, object], message: str | None = None) -> None:
        super().__init__(
            message
            or f"Two rows for table '{table}' have the key {show_key(key)}, and DynamoDB keeps only one item per key. "
            "Drop duplicates before the write, or set option 'duplicates' to 'last' or 'first'",
            table=table,
            key=key,
            attribute=None,
        )
