"""One task of a write: record batches in, requests out, and a count of what came of each row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from spark_dynamo.aws import transactions
from spark_dynamo.aws.batch_write import DELETE, PUT, BatchWriter
from spark_dynamo.aws.budget import write_budget
from spark_dynamo.aws.in_flight import Flight
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.single_write import Refused, SingleWriter, key_of_action, reason_of
from spark_dynamo.errors import ConditionFailedError, DuplicateKeyError, InvalidItemError, show_key
from spark_dynamo.schema.evolve import VERSION
from spark_dynamo.source.key_texts import key_texts
from spark_dynamo.source.write.duplicates import SeenKeys
from spark_dynamo.source.write.kept_rows import KeptRows
from spark_dynamo.source.write.key_hashes import Fingerprints, Flags
from spark_dynamo.source.write.plan import OPERATIONS, WritePlan
from spark_dynamo.source.write.reject_lines import line_of_bad_row, line_of_refusal
from spark_dynamo.source.write.rejects import Destination
from spark_dynamo.source.write.rows import OperationRows
from spark_dynamo.source.write.written import Written
from spark_dynamo.wire import types
from spark_dynamo.wire.encode import key_of
from spark_dynamo.wire.good_and_bad_rows import Apart, Rows
from spark_dynamo.wire.value_reader import bare

_BYTES_PER_SLICE = 8_000_000


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows of one operation, prepared together; `rows` are their places in the batch that was received."""

    operation: OperationRows
    prepared: Apart
    rows: Rows

    def chosen(self, keep: Flags) -> pa.StringArray:
        """The texts of the rows to send."""
        texts = self.prepared.texts
        return texts if keep.all() else texts.filter(pa.array(keep))


class WriteTask:
    """What one attempt of one task does with its record batches.

    Nothing of a batch is sent before all its rows are known to be good, or sorted out. With transactions each hundred rows of
    the task are one, whatever the batches in which they come. `repeated` says that another attempt may have kept rejected rows.

    A row whose condition fails counts as written where the item is just what it wants: who runs a write again tells nobody.
    """

    def __init__(
        self, plan: WritePlan, *, partition: int = 0, repeated: bool = False, write_id: str | None = None
    ) -> None:
        budget = None if plan.units is None else write_budget(plan.units, plan.ledger, plan.tasks)
        self._plan = plan
        self._requests = Requests(plan.connection, plan.table_name, patience=plan.patience, budget=budget)
        self._operations = {name: OperationRows(plan, name) for name in _operations(plan)}
        self._seen = SeenKeys(Fingerprints(plan.seed))
        self._kept = KeptRows(plan.table, plan.seed) if plan.overwrite else None
        self._duplicates = 0
        self._spoiled: dict[int, str] = {}  # the hundreds of a batch with a bad row, and the key of the first
        open_rejects = partial(
            Destination.open,
            connection=plan.connection,
            write_id=write_id or plan.write_id,
            partition=partition,
            repeated=repeated,
        )
        self._bad_rows = open_rejects(plan.bad) if plan.bad else None
        self._failed_rows = open_rejects(plan.failed) if plan.failed else None

    def run(self, batches: Iterable[pa.RecordBatch]) -> Written:
        """Write all rows, and tell what came of them."""
        with self._bad_rows or nullcontext(), self._failed_rows or nullcontext():
            with Flight(self._requests) as flight:
                unfit = self._unfit if self._bad_rows is not None else None
                senders = _Senders(self._plan, flight, self._refused, unfit)
                for batch in self._received(batches):
                    self._write(batch, senders)
            for rejects in filter(None, (self._bad_rows, self._failed_rows)):
                rejects.publish()
        counts = self._requests.counts
        return Written(
            items=counts.items,
            bytes=counts.bytes,
            units=counts.units,
            requests=counts.requests,
            retries=counts.retries,
            duplicates=self._duplicates,
            failed=counts.refused,
            found=counts.found,
            bad=self._bad_rows.count if self._bad_rows else 0,
            kept=self._kept.with_keys(self._seen) if self._kept else None,
            ledger=self._plan.ledger,
        )

    def _received(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        plain = (types.without_large_types(batch, self._plan.schema) for batch in batches if batch.num_rows)
        return map(
            self._plan.with_version,
            in_multiples(plain, transactions.ACTIONS_PER_TRANSACTION) if self._plan.atomic else plain,
        )

    def _write(self, batch: pa.RecordBatch, senders: _Senders) -> None:
        self._spoiled = {}
        together = transactions.ACTIONS_PER_TRANSACTION if self._plan.atomic else 1
        parts = [list(self._prepared(part, start)) for start, part in slices(batch, together)]
        keep, overtakes = self._distinct([group for groups in parts for group in groups])
        if overtakes:
            senders.flight.wait()  # an earlier row with the same key may still be on its way
        begin = 0
        for groups in parts:
            flags = []
            for group in groups:
                flags.append(self._unspoiled(group, keep[begin : begin + len(group.rows)]))
                if self._kept is not None:
                    self._kept.add_items(group.chosen(flags[-1]))
                begin += len(group.rows)
            senders.send(groups, flags)

    def _prepared(self, batch: pa.RecordBatch, start: int) -> Iterator[_Group]:
        """The batch's rows by operation, without those that DynamoDB can't take; `start` is the place of the first."""
        for name, places in self._by_operation(batch, start):
            operation = self._operations[name]
            part = batch.select(self._plan.item_schema.names)
            part = part if len(places) == batch.num_rows else part.take(pa.array(places))
            prepared = operation.prepare(part)
            if prepared.bad:
                self._reject(operation, part, prepared)
                self._spoil(start + places[[bad.row for bad in prepared.bad]], [bad.error for bad in prepared.bad])
            yield _Group(operation, prepared, start + places[prepared.rows])

    def _reject(self, operation: OperationRows, batch: pa.RecordBatch, prepared: Apart) -> None:
        """Keep the rows that DynamoDB can't take; an overwrite keeps the items with their keys, too."""
        assert self._bad_rows is not None
        for bad in prepared.bad:
            self._bad_rows.add(line_of_bad_row(self._plan.table_name, operation.operation, bad))
        if self._kept is not None:
            self._kept.add_bad(operation.keys_of_bad(batch, prepared), operation.key_schema)

    def _spoil(self, places: Rows, errors: Sequence[InvalidItemError]) -> None:
        """Note whose transactions can't be sent, as there are bad rows at these places."""
        if self._plan.atomic:
            for place, error in zip(places.tolist(), errors, strict=True):
                self._spoiled.setdefault(place // transactions.ACTIONS_PER_TRANSACTION, show_key(error.key))

    def _unspoiled(self, group: _Group, keep: Flags) -> Flags:
        """Which of the flagged rows can be sent; those that a bad row takes along are kept where that one is."""
        if not self._spoiled:
            return keep
        hundreds = group.rows // transactions.ACTIONS_PER_TRANSACTION
        along = keep & np.isin(hundreds, list(self._spoiled))
        actions = [action.as_buffer().to_pybytes() for action in group.chosen(along)]
        for action, hundred in zip(actions, hundreds[along].tolist(), strict=True):
            why = f"its transaction was not sent: row {self._spoiled[hundred]} can't be written"
            self._unfit(Refused(group.operation.operation, action, None, why))
        return keep & ~along

    def _by_operation(self, batch: pa.RecordBatch, start: int) -> Iterator[tuple[str, Rows]]:
        column = self._plan.operation_column
        if column is None:
            yield self._plan.operation, np.arange(batch.num_rows)
            return
        names = pc.utf8_lower(pc.utf8_trim_whitespace(batch.column(column)))
        places = pc.fill_null(pc.index_in(names, pa.array(OPERATIONS)), -1).to_numpy()
        unnamed = np.flatnonzero(places < 0)
        if len(unnamed):
            self._reject_unnamed(batch, column, unnamed, start)
        for place, name in enumerate(OPERATIONS):
            rows = np.flatnonzero(places == place)
            if len(rows):
                yield name, rows

    def _reject_unnamed(self, batch: pa.RecordBatch, column: str, rows: Rows, start: int) -> None:
        """Keep the rows whose operation is none; raises for the first of them where none is kept."""
        keys = batch.select([key.name for key in self._plan.table.keys])
        errors = [
            InvalidItemError(
                table=self._plan.table_name,
                key=key_of(keys, row),
                attribute=column,
                value=batch.column(column)[row].as_py(),
                problem=f"it names no operation; each row needs one of {', '.join(OPERATIONS)}",
            )
            for row in (rows if self._bad_rows else rows[:1]).tolist()
        ]
        if self._bad_rows is None:
            raise errors[0]
        self._spoil(start + rows, errors)
        part = batch.select(self._plan.item_schema.names).take(pa.array(rows))
        given = batch.column(column).take(pa.array(rows)).to_pylist()
        for bad in self._operations["put"].all_bad(part, errors):
            unfit = {**bad.unfit, column: given[bad.row]} if given[bad.row] is not None else bad.unfit
            self._bad_rows.add(line_of_bad_row(self._plan.table_name, given[bad.row], replace(bad, unfit=unfit)))

    def _distinct(self, groups: Sequence[_Group]) -> tuple[Flags, bool]:
        """Which rows to send, group after group, and whether one of them replaces a row that was sent before."""
        rows = np.concatenate([group.rows for group in groups])
        if not len(rows):
            return np.ones(0, np.bool_), False
        order = np.argsort(rows)
        texts = pa.concat_arrays(
            [key_texts(group.prepared.keys, self._plan.table.keys, group.operation.key_schema) for group in groups]
        )
        found = self._seen.add(texts.take(pa.array(order)))
        last = self._plan.duplicates == "last"
        in_order = found.last if last else found.first & ~found.earlier
        keep = np.empty(len(order), np.bool_)
        keep[order] = in_order
        if self._plan.duplicates == "error":
            refused = ~in_order & (not self._plan.takes_equal_rows)
        else:  # the rows before it are dropped in one batch, and written in another, so it must come to the same after both
            builds = np.repeat(
                [group.operation.builds_on_item for group in groups], [len(group.rows) for group in groups]
            )
            refused = found.last & (found.earlier | ~found.first) & builds[order] & last
        if refused.any():
            self._refuse_duplicate(groups, int(order[np.flatnonzero(refused)[0]]))
        self._duplicates += int((~in_order).sum())
        return keep, last and bool(found.earlier.any())

    def _refuse_duplicate(self, groups: Sequence[_Group], place: int) -> None:
        for group in groups:
            if place < len(group.rows):
                raise DuplicateKeyError(table=self._plan.table_name, key=key_of(group.prepared.keys, place))
            place -= len(group.rows)

    def _unfit(self, row: Refused) -> None:
        """What becomes of a row that DynamoDB does not take, as only it can tell, or because of another row."""
        assert self._bad_rows is not None
        self._bad_rows.add(line_of_refusal(self._plan.table_name, row))
        if self._kept is not None:
            self._kept.add_unfit(row.action)

    def _refused(self, row: Refused) -> None:
        """What becomes of a row whose condition failed."""
        row = self._explained(row)
        if self._failed_rows is not None:
            self._failed_rows.add(line_of_refusal(self._plan.table_name, row))
        elif not self._plan.skips_failed:
            key = key_of_action(row.action, [key.name for key in self._plan.table.keys])
            raise ConditionFailedError(self._plan.table_name, 1, [key], row.reason, row.stored)

    def _explained(self, row: Refused) -> Refused:
        """A row that was refused, with the reason where an update would leave an item behind that its model can't read."""
        if row.operation == "update" and row.reason == reason_of("update", None) and (lacking := self._lacking(row)):
            reason = f"there is no item with that key, and an update can't make one without {lacking}, which the model requires"
            return replace(row, reason=reason)
        found = row.stored.get(VERSION, {"N": "1"}) if row.stored else None
        if self._plan.version is None or row.operation != "update" or found in (None, {"N": str(self._plan.version)}):
            return row
        reason = (
            f"the item with that key is of version {bare(found)}, and an update makes it one of version {self._plan.version}; "
            "upgrade such items first, see sd.upgrade_table"
        )
        return replace(row, reason=reason)

    def _lacking(self, row: Refused) -> str:
        """What the model requires, and an update does not give."""
        given = orjson.loads(row.action).get("ExpressionAttributeNames", {}).values() if self._plan.patched else ()
        return ", ".join([*self._plan.lacking, *(name for name in self._plan.patched if name not in given)])


class _Senders:
    """The ways by which a task's rows are sent, on one flight."""

    def __init__(
        self,
        plan: WritePlan,
        flight: Flight,
        refused: Callable[[Refused], None],
        unfit: Callable[[Refused], None] | None,
    ) -> None:
        key_names = [key.name for key in plan.table.keys]
        self.flight = flight
        self._batches = BatchWriter(flight, key_names, unfit=unfit)
        self._singles = SingleWriter(flight, key_names, refused=refused, unfit=unfit, repeated=True)
        self._transactions = transactions.TransactionWriter(
            flight, key_names, refused=refused, unfit=unfit, repeated=True
        )
        self._is_atomic = plan.atomic

    def send(self, groups: Sequence[_Group], keep: Sequence[Flags]) -> None:
        """Send the rows that are flagged, those of transactions in the order in which they came."""
        texts = [group.chosen(flags) for group, flags in zip(groups, keep, strict=True)]
        names = [group.operation.operation for group in groups]
        if self._is_atomic:
            rows = np.concatenate([group.rows[flags] for group, flags in zip(groups, keep, strict=True)])
            order = np.argsort(rows)
            operations = np.repeat(names, [len(text) for text in texts])[order].tolist()
            actions = pa.concat_arrays(texts).take(pa.array(order))
            begins = np.flatnonzero(np.diff(rows[order] // transactions.ACTIONS_PER_TRANSACTION)) + 1
            for start, stop in pairwise([0, *begins.tolist(), len(rows)]):
                self._transactions.send(actions[start:stop], operations[start:stop])
            return
        for group, name, text in zip(groups, names, texts, strict=True):
            if group.operation.goes_in_batches:
                self._batches.send(text, PUT if name == "put" else DELETE)
            else:
                self._singles.send(text, name)


def in_multiples(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """All rows in batches of a multiple of so many; the last one has what is left.

    >>> [batch.num_rows for batch in in_multiples([pa.record_batch({"n": [1, 2, 3]})] * 3, 2)]
    [2, 4, 2, 1]
    """
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += batch.num_rows
        if whole := count - count % rows:
            joined = pa.concat_batches(waiting)
            yield joined.slice(0, whole)
            waiting, count = [joined.slice(whole)], count - whole
    if count:
        yield pa.concat_batches(waiting)


def slices(batch: pa.RecordBatch, together: int = 1) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The batch in pieces of about 8 MB, so that their JSON stays far below what one Arrow string column holds.

    Each begins at a multiple of `together` rows.
    """
    pieces = max(1, math.ceil(batch.nbytes / _BYTES_PER_SLICE))
    rows = together * max(1, math.ceil(batch.num_rows / (pieces * together)))
    for start in range(0, batch.num_rows, rows):
        yield start, batch.slice(start, rows)


def _operations(plan: WritePlan) -> Sequence[str]:
    return (plan.operation,) if plan.operation_column is None else OPERATIONS
