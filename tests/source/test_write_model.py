"""What a write leaves behind, for random rows, items and options: the same as the model of `write_model` does."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from spark_dynamo.errors import ConditionFailedError, DuplicateKeyError, InvalidItemError
from spark_dynamo.source.write.written import Written
from tests.conftest import Server
from tests.source import write_model as model
from tests.source.write_model import BY_COLUMN, CONDITIONS, SCHEMA, Options, Outcome, Row, Table

_partitions = itertools.count()
_tables: dict[str, str] = {}


@pytest.fixture(scope="session")
def table(server: Server) -> str:
    """One table for all examples, each of which has a partition of its own."""
    return _tables.setdefault(server.name, server.create("id:S", "day:N"))


# ---------------------------------------------------------------------------------------------------- random writes

texts = st.sampled_from(["a", "b", "c", ""])
numbers = st.integers(0, 3)
structs = st.fixed_dictionaries({"x": st.none() | numbers, "y": st.none() | texts})


def attributes(bad: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return {
        "v": st.none() | numbers,
        "s": st.none() | texts,
        "d": st.none() | st.just(1.5) | bad,
        "m": st.none() | structs,
    }


@st.composite
def writes(draw: st.DrawFn) -> tuple[Options, Table, list[list[Row]]]:
    """Options, the items before, and the batches of a task; the partition is to be filled in."""
    by_column = draw(st.booleans())
    operation = "put" if by_column else draw(st.sampled_from(["put", "insert", "update", "delete"]))
    updates = by_column or operation == "update"
    nulls = draw(st.sampled_from(["omit", "write", "remove"] if updates else ["omit", "write"]))
    condition = None if operation == "insert" else draw(st.sampled_from([None, *CONDITIONS]))
    keep = ["error", "first"]
    if condition is None and operation != "insert" and not (operation == "update" and nulls == "omit"):
        keep.append("last")
    options = Options(operation, by_column, nulls, draw(st.sampled_from(keep)), condition, draw(st.booleans()))
    before = {
        day: model.written(model.row(day, **values), None, "put", draw(st.sampled_from(["omit", "write"])))
        for day, values in draw(
            st.dictionaries(st.integers(0, 5), st.fixed_dictionaries(attributes(st.nothing())), max_size=5)
        ).items()
    }
    bad = draw(st.sampled_from([st.nothing(), st.sampled_from([float("nan"), 1e200])]))
    operations = st.sampled_from(["put", "insert", "update", "delete"])
    rows = st.fixed_dictionaries(
        {"day": st.integers(0, 7), **attributes(bad), **({"op": operations} if by_column else {})}
    )
    unique = (lambda row: row["day"]) if draw(st.booleans()) else None
    batches = draw(st.lists(st.lists(rows, max_size=6, unique_by=unique), min_size=1, max_size=2))
    return options, before, [[model.row(**row) for row in batch] for batch in batches]


def lines(folder: Path) -> list[dict[str, Any]]:
    """What was published in a folder of rejected rows."""
    return [json.loads(line) for file in folder.rglob("part-*.jsonl") for line in file.read_text().splitlines()]


def items_of(server: Server, table: str, partition: str) -> Table:
    found = server.client.query(
        TableName=table,
        KeyConditionExpression="id = :p",
        ExpressionAttributeValues={":p": {"S": partition}},
        ConsistentRead=True,
    )["Items"]
    return {int(item["day"]["N"]): item for item in found}


def run(
    server: Server, table: str, options: Options, before: Table, batches: Sequence[Sequence[Row]], **more: str
) -> tuple[str, Written | Exception]:
    """The partition that was written, and what the task told or raised."""
    partition = f"p{next(_partitions)}"
    server.put(table, *({**item, "id": {"S": partition}} for item in before.values()))
    schema = BY_COLUMN if options.by_column else SCHEMA
    frames = [model.batch_of([{**row, "id": row["id"] and partition} for row in batch], schema) for batch in batches]
    writer = server.writer(table, schema, **options.given, **more)
    try:
        return partition, writer.write(iter(frames))
    except Exception as error:
        return partition, error


def placed(items: Table, partition: str) -> dict[int, Any]:
    return model.same({day: {**item, "id": {"S": partition}} for day, item in items.items()})


def count_of(written: Written) -> tuple[int, int, int, int]:
    return written.items, written.duplicates, written.failed, written.bad


def counts_of(outcome: Outcome) -> tuple[int, int, int, int]:
    return outcome.items, outcome.duplicates, len(outcome.failed), len(outcome.bad)


@settings(suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate, Phase.shrink])
@given(write=writes(), skip=st.booleans())
def test_rows_that_may_fail_leave_what_the_model_leaves(
    server: Server, table: str, tmp_path: Path, write: tuple[Options, Table, list[list[Row]]], skip: bool
) -> None:
    """Rows that can't be written are counted or kept, and all others are written."""
    options, before, batches = write
    number = next(_partitions)
    bad, failed = tmp_path / f"bad-{number}", tmp_path / f"failed-{number}"
    more = {"badItems": str(bad)}
    if options.conditional:
        more["conditionFailed"] = "skip" if skip else str(failed)
    partition, written = run(server, table, options, before, batches, **more)
    outcome = model.write(before, batches, options)
    if outcome.duplicate:
        assert isinstance(written, DuplicateKeyError)
        assert is_between(items_of(server, table, partition), partition, before, outcome.table)
        return
    assert isinstance(written, Written), written
    assert model.same(items_of(server, table, partition)) == placed(outcome.table, partition)
    assert count_of(written) == counts_of(outcome)
    assert sum(count_of(written)) == sum(map(len, batches))
    assert kept(lines(bad)) == rejected(outcome.bad, options)
    assert kept(lines(failed)) == ({} if skip else rejected(outcome.failed, options))


def kept(found: Sequence[dict[str, Any]]) -> dict[Any, int]:
    return Counter((line["operation"], int(line["item"]["day"]["N"])) for line in found)


def rejected(rows: Sequence[Row], options: Options) -> dict[Any, int]:
    return Counter((options.operation_of(row), row["day"]) for row in rows)


@settings(suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate, Phase.shrink])
@given(write=writes())
def test_rows_that_must_not_fail_end_the_write(
    server: Server, table: str, write: tuple[Options, Table, list[list[Row]]]
) -> None:
    """By default a bad row of a batch is an error before any of its rows is sent; so is a condition that fails."""
    options, before, batches = write
    partition, written = run(server, table, options, before, batches)
    after = items_of(server, table, partition)
    good = list(itertools.takewhile(lambda batch: not any(model.is_bad(row, options) for row in batch), batches))
    outcome = model.write(before, good, options)
    if outcome.failed or outcome.duplicate or len(good) < len(batches):
        kinds = {ConditionFailedError: outcome.failed, DuplicateKeyError: outcome.duplicate}
        possible = [kind for kind, happens in kinds.items() if happens]
        assert isinstance(written, (*possible, *([InvalidItemError] if len(good) < len(batches) else [])))
        # what is under way or waits when a later batch or row fails may still be written
        assert is_between(after, partition, before, model.write(before, good[:1], options).table, outcome.table)
    else:
        assert isinstance(written, Written), written
        assert model.same(after) == placed(outcome.table, partition)
        assert count_of(written) == counts_of(outcome)


def is_between(items: Table, partition: str, *states: Table) -> bool:
    """Whether each item is as it is in one of those states of the table."""
    after, known = model.same(items), [placed(state, partition) for state in states]
    return all(after.get(day) in [state.get(day) for state in known] for day in range(8))
