"""Every error that this package raises on purpose.

.. code-block:: text

    DynamoDBWrapperError
    ├── ConfigurationError           a configuration value that can't be used (also a ValueError)
    │   └── OptionError              an option of the data source: unknown, malformed or contradictory
    ├── ConnectionError              the server can't be reached or doesn't answer
    │   └── RequestFailedError       DynamoDB refused a request, or retries came to their end
    │       ├── AccessDeniedError    credentials are missing, expired or lack a permission
    │       ├── ConditionFailedError rows that were not written because their condition was not met
    │       ├── InvalidResponseError an answer that is no valid DynamoDB JSON
    │       ├── TableNotFoundError   there is no such table or index
    │       └── UnwrittenItemsError  items that DynamoDB did not take within the retry budget
    ├── ItemNotFoundError            there is no item with that key (also a LookupError)
    ├── ValidationError              values that a model refuses, listed per field (also a ValueError)
    ├── MigrationError               an item that can't be brought to its model's version
    │   └── NewerVersionError        it is of a version that this code doesn't know yet
    ├── SchemaError                  a schema or type that has no DynamoDB form (also a TypeError)
    │   └── SchemaMismatchError      a frame whose schema is not the one that its model asks for
    └── ItemError                    one item that doesn't fit (also a ValueError)
        ├── MalformedItemError       an item read that doesn't fit the schema
        ├── InvalidItemError         a row that DynamoDB can't take
        └── DuplicateKeyError        two rows of one write with the same key

Constructors take facts and write the sentence. All of them survive pickling, so that they cross Spark's process
borders whole.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

__all__ = [
    "AccessDeniedError",
    "ConditionFailedError",
    "ConfigurationError",
    "ConnectionError",
    "DuplicateKeyError",
    "DynamoDBWrapperError",
    "InvalidItemError",
    "InvalidResponseError",
    "ItemError",
    "ItemNotFoundError",
    "MalformedItemError",
    "MigrationError",
    "NewerVersionError",
    "OptionError",
    "RequestFailedError",
    "SchemaError",
    "SchemaMismatchError",
    "TableNotFoundError",
    "UnwrittenItemsError",
    "ValidationError",
]

_LONGEST_SHOWN_VALUE = 120
_MOST_LISTED = 10


def shorten(value: object) -> str:
    """The `repr` of a value, cut in the middle to at most 120 characters."""
    text = value if isinstance(value, str) else repr(value)
    if len(text) <= _LONGEST_SHOWN_VALUE:
        return text
    half = _LONGEST_SHOWN_VALUE // 2
    return f"{text[:half]}…[{len(text) - 2 * half} characters left out]…{text[-half:]}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `name` (letter case aside), or None where none is close."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None


def show_key(key: Mapping[str, object]) -> str:
    """A primary key as people write it, `{id='42', day=7}`, each value shortened."""
    return "{" + ", ".join(f"{name}={shorten(repr(value))}" for name, value in key.items()) + "}"


class DynamoDBWrapperError(Exception):
    """The root of the tree: `except DynamoDBWrapperError` catches all that this package raises on purpose.

    `message` is the sentence, `original_error` what caused it (None where nothing did), `context` the facts behind it.
    """

    def __init__(
        self, message: str, original_error: BaseException | None = None, context: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.original_error = original_error
        self.context: dict[str, Any] = dict(context or {})

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={shorten(value)}" for name, value in self.context.items() if value is not None)
        return f"{self.message} [{shown}]" if shown else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        state = {**self.__dict__, "original_error": _picklable(self.original_error)}
        return _restore, (type(self), self.args, state)


def _restore(cls: type[DynamoDBWrapperError], args: tuple[Any, ...], state: dict[str, Any]) -> DynamoDBWrapperError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def _picklable(error: BaseException | None) -> BaseException | None:
    """The error itself where it survives pickling, else a RuntimeError with its class and text."""
    if error is None:
        return None
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # anything at all may go wrong in a foreign __reduce__
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class ConfigurationError(DynamoDBWrapperError, ValueError):
    """A configuration value that can't be used."""


class OptionError(ConfigurationError):
    """An option of the data source that is unknown, malformed or contradicts another."""

    def __init__(self, option: str, problem: str, known: Iterable[str] = ()) -> None:
        close = nearest(option, known)
        hint = f" Did you mean '{close}'?" if close else ""
        super().__init__(f"Option '{option}' {problem}.{hint}")
        self.option = option


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
    """An answer that is no valid DynamoDB JSON: cut off, corrupted, or with text that is no Unicode."""

    def __init__(self, table: str, problem: str, original_error: BaseException | None = None) -> None:
        super().__init__(f"The answer for table '{table}' is no valid DynamoDB JSON: {problem}", original_error)
        self.table = table


class TableNotFoundError(RequestFailedError):
    """There is no such table or index in that region."""

    def __init__(self, table: str, original_error: BaseException | None = None, **context: Any) -> None:
        super().__init__(
            f"DynamoDB has no table '{table}'. Check the name, the region and the endpoint; to create the table, call "
            "boto3's create_table with its partition key, or sd.create_tables(config) for the metadata tables",
            original_error,
            **context,
        )
        self.table = table


_UNDONE = {"update": "updated in", "delete": "deleted from"}  # what did not happen to an item, else "written to"


class ConditionFailedError(RequestFailedError):
    """Rows that were not written because their condition was not met; `keys` names the first of them.

    `found` is the first one's stored item in DynamoDB JSON, None where there is none with that key.
    """

    def __init__(
        self,
        table: str,
        count: int,
        keys: Sequence[Mapping[str, object]],
        reason: str,
        found: Mapping[str, Any] | None = None,
    ) -> None:
        shown = ", ".join(show_key(key) for key in keys)
        super().__init__(
            f"{count} {'row was' if count == 1 else 'rows were'} not written to table '{table}', the first with the "
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


class ItemNotFoundError(DynamoDBWrapperError, LookupError):
    """There is no item with that key."""

    def __init__(self, table_name: str, key: Mapping[str, object]) -> None:
        super().__init__(f"Table '{table_name}' has no item with the key {show_key(key)}")
        self.table_name = table_name
        self.key = dict(key)


class ValidationError(DynamoDBWrapperError, ValueError):
    """Values that a model refuses; `errors` maps each field's path to what is wrong with it."""

    def __init__(
        self, message: str, errors: Mapping[str, str] | None = None, original_error: BaseException | None = None
    ) -> None:
        self.errors = dict(errors or {})
        listed = "".join(f"\n  {field}: {problem}" for field, problem in self.errors.items())
        super().__init__(message + listed, original_error)


class SchemaError(DynamoDBWrapperError, TypeError):
    """A schema or type that has no DynamoDB form; `path` leads to the field, as in `orders[].price`."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"Field '{path}': {problem}")
        self.path = path


class SchemaMismatchError(SchemaError):
    """A frame whose schema is not the one that its model asks for; `differences` has all of them, as `sd.compare` does.

    `problems` says for each path what stands in the way. `path` leads to the first.
    """

    def __init__(
        self,
        *,
        model: str,
        differences: Sequence[Any],
        problems: Mapping[str, str],
        advice: str,
        table: str | None = None,
    ) -> None:
        places = [f"{path or 'the columns'}: {problem}" for path, problem in problems.items()]
        listed = "; ".join(places[:_MOST_LISTED])
        more = f"; and {len(places) - _MOST_LISTED} more" if len(places) > _MOST_LISTED else ""
        frame = f"The frame for table '{table}'" if table else "The frame"
        wanted = f"model {model}" if model else "the schema"
        DynamoDBWrapperError.__init__(
            self, f"{frame} is not what {wanted} asks for. {listed}{more}. {advice}.\n{differences}"
        )
        self.path = next(iter(problems), "")
        self.table, self.model = table, model
        self.differences = differences
        self.problems = dict(problems)


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
    """Two rows of one write with the same key."""

    def __init__(self, *, table: str, key: Mapping[str, object]) -> None:
        super().__init__(
            f"Two rows for table '{table}' have the key {show_key(key)}, and DynamoDB keeps only one item per key. "
            "Drop duplicates before the write, or set option 'duplicates' to 'last' or 'first'",
            table=table,
            key=key,
            attribute=None,
        )


class MigrationError(DynamoDBWrapperError):
    """An item that can't be brought to its model's version, or a model whose migrations can't do it.

    `model` is the model's name. `item` tells which one it is: its `version`, and its `table` and `key` where they are known.
    """

    def __init__(self, model: str, problem: str, error: BaseException | None = None, **item: Any) -> None:
        self.model, self.problem, self.version, self.table = model, problem, item.get("version"), item.get("table")
        self.key: dict[str, object] = dict(item.get("key") or {})
        of_table = f"Table '{self.table}', item" if self.table else "Item"
        shown = f"{of_table} {show_key(self.key)} of version {self.version or '?'}, model" if item else "Model"
        super().__init__(f"{shown} {model}: {problem}", error)


class NewerVersionError(MigrationError):
    """An item of a version above that of this code's model; `known` is the model's."""

    def __init__(self, model: str, known: int, **item: Any) -> None:
        problem = f"this code knows the model up to version {known}, and newer code wrote the item. Update the code"
        super().__init__(model, problem, **item)
        self.known = known
