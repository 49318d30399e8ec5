"""Requests that failed, and servers that can't be reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spark_dynamo.errors.base import DynamoDBWrapperError
from spark_dynamo.errors.texts import shorten, show_key

_UNDONE = {"update": "updated in", "delete": "deleted from"}  # what did not happen to an item, else "written to"


class ConnectionError(DynamoDBWrapperError):  # noqa: A001 - the public name, a sibling of the builtin
    """The server can't be reached or doesn't answer."""

    def __init__(
        self,
        message: str,
        original_error: BaseException | None = None,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        **context: Any,
    ) -> None:
        super().__init__(message, original_error, {"endpoint": endpoint, "region": region, **context})


class RequestFailedError(ConnectionError):
    """DynamoDB refused a request, or retries came to their end; `code` is DynamoDB's own error code."""

    def __init__(
        self, message: str, original_error: BaseException | None = None, *, code: str | None = None, **context: Any
    ) -> None:
        super().__init__(message, original_error, code=code, **context)
        self.code = code


class AccessDeniedError(RequestFailedError):
    """Credentials are missing, expired or lack a permission."""


class InvalidResponseError(RequestFailedError):
    """An answer that is no valid DynamoDB JSON: cut off, corrupted, another's, without what was asked for, or no Unicode."""

    def __init__(self, table: str, problem: str, original_error: BaseException | None = None, **context: Any) -> None:
        super().__init__(
            f"The answer for table '{table}' is no valid DynamoDB JSON: {problem}", original_error, **context
        )
        self.table = table


class TableNotFoundError(RequestFailedError):
    """There is no such table or index in that region; `near` are names there that are like it, as far as they are known."""

    def __init__(
        self, table: str, original_error: BaseException | None = None, *, near: Sequence[str] = (), **context: Any
    ) -> None:
        meant = f": did you mean {', '.join(map(repr, near))}?" if near else "."
        super().__init__(
            f"DynamoDB has no table '{table}'{meant} Check the name, the region and the endpoint; to create the table, set "
            "option createTable on a write or run 'spark-dynamo tables create'; sd.create_tables(config) makes the metadata tables",
            original_error,
            **context,
        )
        self.table = table
        self.near = list(near)


class ConditionFailedError(RequestFailedError):
    """Rows that were not written because their condition was not met; `keys` names the first of them.

    `found` is the first one's stored item in DynamoDB JSON, None where there is none with that key. `message` is the sentence where
    it is not about the rows of a DataFrame.
    """

    def __init__(
        self,
        table: str,
        count: int,
        keys: Sequence[Mapping[str, object]],
        reason: str,
        found: Mapping[str, Any] | None = None,
        *,
        message: str | None = None,
    ) -> None:
        shown = ", ".join(show_key(key) for key in keys)
        super().__init__(
            message
            or f"{count} {'row was' if count == 1 else 'rows were'} not written to table '{table}', the first with the "
            f"{'key' if len(keys) == 1 else 'keys'} {shown}, because: {reason}. Found: "
            f"{'no item' if found is None else shorten(dict(found))}. Set option 'conditionFailed' to 'skip' to write the "
            "others, or to a path that gets such rows",
            code="ConditionalCheckFailedException",
        )
        self.table = table
        self.count = count
        self.keys = [dict(key) for key in keys]
        self.reason = reason
        self.found = None if found is None else dict(found)


class UnwrittenItemsError(RequestFailedError):
    """Items that DynamoDB did not take within the retry budget; `keys` names the first of them.

    `operation` is what was to be done to them: put, insert, update or delete.
    """

    def __init__(
        self,
        table: str,
        count: int,
        keys: Sequence[Mapping[str, object]],
        original_error: BaseException | None = None,
        *,
        operation: str = "put",
        **context: Any,
    ) -> None:
        shown = ", ".join(show_key(key) for key in keys)
        cause = f", because: {original_error}" if original_error else ""
        undone = f"{'item was' if count == 1 else 'items were'} not {_UNDONE.get(operation, 'written to')}"
        super().__init__(
            f"{count} {undone} table '{table}', the first with the "
            f"{'key' if len(keys) == 1 else 'keys'} {shown}{cause}. The write is safe to repeat once the cause is gone",
            original_error,
            **context,
        )
        self.table = table
        self.count = count
        self.keys = [dict(key) for key in keys]


class ItemAlreadyExistsError(RequestFailedError):
    """An item was to be created, and there is one with its key already."""

    def __init__(
        self, table_name: str, key: Mapping[str, object], original_error: BaseException | None = None, **context: Any
    ) -> None:
        super().__init__(
            f"Table '{table_name}' has an item with the key {show_key(key)} already. To replace it, create it with "
            "overwrite=True, or update it",
            original_error,
            **{"code": "ConditionalCheckFailedException", **context},
        )
        self.table_name = table_name
        self.key = dict(key)


class OverwriteConflictError(DynamoDBWrapperError):
    """Somebody else wrote to a table while it was overwritten: it does not hold the frame.

    Of the frame's `count` items, `missing` are not there and `changed` are others than were put, the first of these with the key
    `key`. `deleted` is how many items the overwrite had deleted.
    """

    def __init__(
        self,
        table: str,
        count: int,
        *,
        missing: int,
        changed: int,
        deleted: int,
        key: Mapping[str, object] | None = None,
    ) -> None:
        was = "is" if missing == 1 else "are"
        found = [f"{missing:,} {was} missing"] if missing else []
        if changed:
            was = "is not as it was" if changed == 1 else "are not as they were"
            found.append(f"{changed:,} {was} put, as the one with the key {show_key(key or {})}")
        super().__init__(
            f"Table '{table}' does not hold the frame: somebody else wrote to it at the same time, as another overwrite does. Of "
            f"the frame's {count:,} items {' and '.join(found)}; {deleted:,} other items were deleted. The table may hold the "
            "other's rows, or a mixture of both. See that nothing else writes to it, then write the frame again that it is to hold"
        )
        self.table = table
        self.count = count
        self.missing = missing
        self.changed = changed
        self.deleted = deleted
        self.key = None if key is None else dict(key)


class VersionConflictError(RequestFailedError):
    """Somebody else has changed or deleted the item since it was read; nothing was written.

    `expected` is the version that was read, `found` the one that is stored, None where it isn't known or has none.
    """

    def __init__(
        self,
        table_name: str,
        key: Mapping[str, object],
        expected: object = None,
        found: object = None,
        original_error: BaseException | None = None,
        **context: Any,
    ) -> None:
        versions = "" if expected is None else f": version {expected} was read"
        if found is not None:
            versions += f"{' and' if versions else ': version'} {found} is stored"
        super().__init__(
            f"Item {show_key(key)} of table '{table_name}' has changed since it was read{versions}. "
            "Read it again and repeat the change",
            original_error,
            **{"code": "ConditionalCheckFailedException", **context},
        )
        self.table_name = table_name
        self.key = dict(key)
        self.expected = expected
        self.found = found
