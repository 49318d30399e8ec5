"""Every error crosses a process border whole, stands where the tree says, and says its sentence."""

from __future__ import annotations

import copy
import pickle
import re
import threading
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

import spark_dynamo.errors
from spark_dynamo.errors import (
    AccessDeniedError,
    ConditionFailedError,
    ConfigurationError,
    ConnectionError,
    DuplicateKeyError,
    DynamoDBWrapperError,
    InvalidItemError,
    InvalidResponseError,
    ItemAlreadyExistsError,
    ItemError,
    ItemNotFoundError,
    LocalTimeError,
    MalformedItemError,
    MigrationError,
    NewerVersionError,
    OptionError,
    OverwriteConflictError,
    RequestFailedError,
    SchemaError,
    SchemaMismatchError,
    TableNotFoundError,
    UnwrittenItemsError,
    ValidationError,
    VersionConflictError,
    nearest,
    shorten,
    show_key,
)
from spark_dynamo.schema.drift.comparison import Row, SchemaComparison, SchemaDifference

CAUSE = ValueError("cause")
DIFFERENCE = SchemaDifference("a.b", "missing", "STRING NOT NULL", None, "breaking", True)
COMPARISON = SchemaComparison([Row("a.b", "STRING NOT NULL", None, (DIFFERENCE,))], expected="Order")
KEY = {"id": "42", "day": 7}
MALFORMED = {"table": "orders", "key": KEY, "attribute": "x.y", "expected": "BIGINT"}

SENTENCES: list[tuple[DynamoDBWrapperError, str]] = [
    (DynamoDBWrapperError("What."), "What."),
    (DynamoDBWrapperError("What.", CAUSE, {"a": 1, "b": None, "c": "x"}), "What. [a=1, c=x]"),
    (ConfigurationError("What.", CAUSE, {"a": 1}), "What. [a=1]"),
    (OptionError("tabel", "is not known", ["path", "table"]), "Option 'tabel' is not known. Did you mean 'table'?"),
    (OptionError("zzz", "is not known", ["path", "table"]), "Option 'zzz' is not known."),
    (ConnectionError("What.", CAUSE, endpoint="http://x", region="r", tries=3), "What. [endpoint=http://x, region=r, tries=3]"),
    (RequestFailedError("What.", CAUSE, code="Throttling", region="r"), "What. [region=r, code=Throttling]"),
    (AccessDeniedError("What.", code="AccessDenied"), "What. [code=AccessDenied]"),
    (InvalidResponseError("orders", "cut off", CAUSE), "The answer for table 'orders' is no valid DynamoDB JSON: cut off"),
    (
        TableNotFoundError("orders", CAUSE, region="r", code="ResourceNotFoundException"),
        "DynamoDB has no table 'orders'. Check the name, the region and the endpoint; to create the table, set "
        "option createTable on a write or run 'spark-dynamo tables create'; sd.create_tables(config) makes the metadata tables "
        "[region=r, code=ResourceNotFoundException]",
    ),
    (
        UnwrittenItemsError("orders", 5, [KEY, {"id": "43"}], CAUSE, region="r"),
        "5 items were not written to table 'orders', the first with the keys {id='42', day=7}, {id='43'}, because: cause. "
        "The write is safe to repeat once the cause is gone [region=r]",
    ),
    (
        UnwrittenItemsError("orders", 1, [KEY]),
        "1 item was not written to table 'orders', the first with the key {id='42', day=7}. "
        "The write is safe to repeat once the cause is gone",
    ),
    (
        UnwrittenItemsError("orders", 2, [KEY], operation="delete"),
        "2 items were not deleted from table 'orders', the first with the key {id='42', day=7}. "
        "The write is safe to repeat once the cause is gone",
    ),
    (
        ConditionFailedError("orders", 2, [KEY], "it exists", {"id": {"S": "42"}}),
        "2 rows were not written to table 'orders', the first with the key {id='42', day=7}, because: it exists. Found: "
        "{'id': {'S': '42'}}. Set option 'conditionFailed' to 'skip' to write the others, or to a path that gets such rows "
        "[code=ConditionalCheckFailedException]",
    ),
    (
        ItemAlreadyExistsError("orders", KEY, CAUSE, region="r"),
        "Table 'orders' has an item with the key {id='42', day=7} already. To replace it, create it with overwrite=True, or "
        "update it [region=r, code=ConditionalCheckFailedException]",
    ),
    (
        OverwriteConflictError("orders", 1_200, missing=1_000, changed=2, deleted=7, key=KEY),
        "Table 'orders' does not hold the frame: somebody else wrote to it at the same time, as another overwrite does. Of the "
        "frame's 1,200 items 1,000 are missing and 2 are not as they were put, as the one with the key {id='42', day=7}; 7 other "
        "items were deleted. The table may hold the other's rows, or a mixture of both. See that nothing else writes to it, then "
        "write the frame again that it is to hold",
    ),
    (
        VersionConflictError("orders", KEY),
        "Item {id='42', day=7} of table 'orders' has changed since it was read. Read it again and repeat the change "
        "[code=ConditionalCheckFailedException]",
    ),
    (
        VersionConflictError("orders", KEY, 3, 5, CAUSE, code="TransactionCanceledException"),
        "Item {id='42', day=7} of table 'orders' has changed since it was read: version 3 was read and 5 is stored. Read it "
        "again and repeat the change [code=TransactionCanceledException]",
    ),
    (
        LocalTimeError(
            datetime(2026, 3, 29, 2, 30),
            "Europe/Paris",
            datetime(2026, 3, 29, 0, 30, tzinfo=UTC),
            datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
            skipped=True,
        ),
        "2026-03-29 02:30:00 is skipped in Europe/Paris, where the clocks change: it could be 2026-03-29 00:30:00 or "
        "2026-03-29 01:30:00 UTC. Give the time with its offset, or pass transition='fold' to take the one that the time's "
        "fold says",
    ),
    (ItemNotFoundError("orders", KEY), "Table 'orders' has no item with the key {id='42', day=7}"),
    (
        ValidationError("Wrong:", {"a.b": "too long", "c": "missing"}, CAUSE),
        "Wrong:\n  a.b: too long\n  c: missing",
    ),
    (ValidationError("Wrong"), "Wrong"),
    (MigrationError("Order", "it has a gap"), "Model Order: it has a gap"),
    (
        MigrationError("Order", "it fails", CAUSE, version=1, table="orders", key=KEY),
        "Table 'orders', item {id='42', day=7} of version 1, model Order: it fails",
    ),
    (
        NewerVersionError("Order", 2, version=3, key=KEY),
        "Item {id='42', day=7} of version 3, model Order: this code knows the model up to version 2, and newer code wrote the "
        "item. Update the code",
    ),
    (SchemaError("a[].b", "is bad"), "Field 'a[].b': is bad"),
    (SchemaError("", "the schema is bad"), "The schema is bad"),
    (
        SchemaMismatchError(
            table="orders", model="Order", differences=COMPARISON, problems={"a.b": "missing"}, advice="Add it"
        ),
        "The frame for table 'orders' is not what model Order asks for. a.b: missing. Add it.\n"
        "   field  Order            actual  difference\n"
        "   -----  ---------------  ------  -----------------\n"
        "!  a.b    STRING NOT NULL  -       breaking: missing",
    ),
    (
        SchemaMismatchError(
            model="", differences=[], problems={f"c{n}": "bad" for n in range(12)} | {"": "late"}, advice="Cast them"
        ),
        "The frame is not what the schema asks for. "
        + "; ".join(f"c{n}: bad" for n in range(10))
        + "; and 3 more. Cast them.\n[]",
    ),
    (ItemError("What.", table="orders", key=KEY, attribute=None), "What."),
    (
        MalformedItemError(**MALFORMED, value="1.5", found="N", problem="it has a fraction"),
        "Table 'orders', item {id='42', day=7}: attribute 'x.y' is 1.5, of DynamoDB type N, and does not fit the schema's "
        "BIGINT: it has a fraction. Give the column a type that holds it, or correct the item",
    ),
    (
        MalformedItemError(**MALFORMED, value=None, found=None),
        "Table 'orders', item {id='42', day=7}: attribute 'x.y' is missing, but the schema's BIGINT is not nullable. "
        "Make the column nullable, or correct the item",
    ),
    (
        MalformedItemError(**MALFORMED, value=None, found="NULL"),
        "Table 'orders', item {id='42', day=7}: attribute 'x.y' is NULL, but the schema's BIGINT is not nullable. "
        "Make the column nullable, or correct the item",
    ),
    (
        InvalidItemError(table="orders", key=KEY, attribute="x[]", value=float("nan"), problem="no NaN"),
        "Row {id='42', day=7} can't be written to table 'orders': attribute 'x[]' is nan: no NaN",
    ),
    (
        InvalidItemError(table="orders", key=KEY, attribute=None, value=None, problem="too large"),
        "Row {id='42', day=7} can't be written to table 'orders': too large",
    ),
    (
        DuplicateKeyError(table="orders", key=KEY),
        "Two rows for table 'orders' have the key {id='42', day=7}, and DynamoDB keeps only one item per key. "
        "Drop duplicates before the write, or set option 'duplicates' to 'last' or 'first'",
    ),
]  # fmt: skip


class UnpicklableError(Exception):
    """As botocore's own errors: it pickles, and then can't be made again."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class HostileError(Exception):
    def __reduce__(self) -> Any:
        raise RuntimeError("no pickle")


def test_sentences() -> None:
    for error, sentence in SENTENCES:
        assert str(error) == sentence


def test_every_error_is_tested() -> None:
    assert {type(error).__name__ for error, _ in SENTENCES} == set(spark_dynamo.errors.__all__)
    assert spark_dynamo.errors.__all__ == sorted(spark_dynamo.errors.__all__)


def test_the_facts_behind_an_error_are_in_its_context_and_told_once() -> None:
    missing = ItemNotFoundError("orders", KEY, CAUSE)
    assert missing.context == {"table": "orders", "table_name": "orders", "key": KEY}
    assert (missing.table, missing.table_name, missing.key, missing.original_error) == ("orders", "orders", KEY, CAUSE)
    refused = ValidationError("Wrong:", {"a.b": "too long"})
    assert refused.context == {"validation_errors": {"a.b": "too long"}} == {"validation_errors": refused.errors}
    assert str(refused).count("too long") == 1
    assert ValidationError("Wrong").context == {"validation_errors": {}}
    missing.context["attempt"] = 3  # what a caller adds is told
    assert str(missing) == "Table 'orders' has no item with the key {id='42', day=7} [attempt=3]"


def test_repr_shows_message_cause_and_context_without_secrets() -> None:
    assert repr(ItemNotFoundError("orders", KEY)) == (
        "ItemNotFoundError(\"Table 'orders' has no item with the key {id='42', day=7}\", context={'table': 'orders', "
        "'table_name': 'orders', 'key': {'id': '42', 'day': 7}})"
    )
    assert repr(DynamoDBWrapperError("What.")) == "DynamoDBWrapperError('What.')"
    shown = repr(
        ConnectionError(
            "http://me:hunter2@host refused",
            ValueError("password=hunter2"),
            secretAccessKey="hunter2",
            nested={"token": "hunter2"},
            body="x" * 1000,
        )
    )
    assert "hunter2" not in shown
    assert "original_error=ValueError('password=**********')" in shown
    assert len(shown) < 500


def same(left: Any, right: Any) -> bool:
    if isinstance(left, BaseException):
        return type(left) is type(right) and left.args == right.args
    return bool(left == right)


def test_errors_survive_pickling_whole() -> None:
    for (error, _), protocol in product(SENTENCES, range(2, pickle.HIGHEST_PROTOCOL + 1)):
        check_pickling(error, protocol)


def check_pickling(error: DynamoDBWrapperError, protocol: int) -> None:
    read = pickle.loads(pickle.dumps(error, protocol))
    assert type(read) is type(error)
    assert read.args == error.args
    assert str(read) == str(error)
    assert repr(read) == repr(error)
    assert vars(read).keys() == vars(error).keys()
    assert all(same(vars(error)[name], vars(read)[name]) for name in vars(error))
    assert same(copy.copy(error).context, error.context)


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (UnpicklableError("a", "b"), "UnpicklableError: a and b"),
        (HostileError("x"), "HostileError: x"),
        (ValueError(lambda: None), "ValueError: <function"),
    ],
)
def test_a_cause_that_cannot_be_pickled_becomes_its_text(cause: Exception, text: str) -> None:
    for error in (copy.copy(error) for error, _ in SENTENCES):
        error.original_error = cause
        read = pickle.loads(pickle.dumps(error))
        assert type(read.original_error) is RuntimeError
        assert str(read.original_error).startswith(text)
        assert str(read) == str(error)
        assert error.original_error is cause


def test_facts_that_cannot_be_pickled_cross_as_their_text() -> None:
    error = ConnectionError("What.", context=None, lock=threading.Lock(), tries=3)
    error.whom = lambda: None  # type: ignore[attr-defined]
    read = pickle.loads(pickle.dumps(error))
    assert str(read) == str(error)
    assert read.context["lock"].startswith("<unlocked _thread.lock object")
    assert (read.context["tries"], read.whom[:9]) == (3, "<function")


def test_a_chain_of_causes_survives() -> None:
    inner = RequestFailedError("inner", HostileError("x"), code="c")
    read = pickle.loads(pickle.dumps(UnwrittenItemsError("t", 1, [{"id": b"\x00"}], inner)))
    assert type(read.original_error) is RequestFailedError
    assert read.original_error.code == "c"
    assert str(read.original_error.original_error) == "HostileError: x"
    assert (read.table, read.count, read.keys) == ("t", 1, [{"id": b"\x00"}])


def test_notes_survive() -> None:
    error = SchemaError("x", "bad")
    error.add_note("in the orders pipeline")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["in the orders pipeline"]


def test_the_tree_is_the_one_that_the_docstring_draws() -> None:
    documentation = spark_dynamo.errors.__doc__ or ""
    parents: list[str] = []
    drawn = {}
    for line in documentation.splitlines():
        found = re.match(r"^    ([│├└─ ]*)(\w+Error)\b", line)
        if found:
            depth = len(found[1]) // 4
            drawn[found[2]] = parents[depth - 1] if depth else None
            parents[depth:] = [found[2]]
    assert drawn == {
        name: next(
            (base.__name__ for base in getattr(spark_dynamo.errors, name).__bases__ if base.__name__ in drawn), None
        )
        for name in spark_dynamo.errors.__all__
    }


@pytest.mark.parametrize(
    ("error", "also"),
    [
        (ConfigurationError, ValueError), (OptionError, ValueError), (ValidationError, ValueError), (SchemaError, TypeError),
        (SchemaMismatchError, SchemaError),
        (LocalTimeError, ValueError), (ItemError, ValueError), (MalformedItemError, ValueError), (ItemNotFoundError, LookupError),
        (DynamoDBWrapperError, Exception),
    ],
)  # fmt: skip
def test_errors_are_also_builtin_ones(error: type[Exception], also: type[Exception]) -> None:
    assert issubclass(error, also)


def test_errors_bear_the_name_by_which_they_are_imported() -> None:
    for name in spark_dynamo.errors.__all__:
        error = getattr(spark_dynamo.errors, name)
        assert (error.__module__, error.__qualname__) == ("spark_dynamo.errors", name)
        assert pickle.loads(f"cspark_dynamo.errors\n{name}\n.".encode()) is error


def test_shorten() -> None:
    assert shorten("x" * 120) == "x" * 120
    assert shorten("a" * 100 + "b" * 100) == "a" * 60 + "…[80 characters left out]…" + "b" * 60
    assert shorten({"a": 1}) == "{'a': 1}"
    assert shorten(b"\x00" * 1000).startswith("b'\\x00")
    assert len(shorten(list(range(10_000)))) < 160


def test_long_values_are_shortened_everywhere() -> None:
    long = "x" * 100_000
    for error in (
        MalformedItemError(table="t", key={"id": long}, attribute="a", value=long, found="S", expected="BIGINT"),
        InvalidItemError(table="t", key={"id": long}, attribute="a", value=long, problem="p"),
        DuplicateKeyError(table="t", key={"id": long}),
        ConnectionError("What.", body=long),
    ):
        assert len(str(error)) < 700
        assert "characters left out" in str(error)


def test_show_key() -> None:
    assert show_key({}) == "{}"
    assert show_key({"id": "a'b", "n": None, "raw": b"\x00"}) == "{id=\"a'b\", n=None, raw=b'\\x00'}"


@pytest.mark.parametrize(
    ("name", "found"), [("Orders", "orders"), ("ORDER", "orders"), ("prise", "Price"), ("zzz", None), ("", None)]
)
def test_nearest(name: str, found: str | None) -> None:
    assert nearest(name, ["orders", "Price"]) == found
