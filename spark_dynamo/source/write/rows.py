"""The rows of one operation -> what is sent for them: items, keys or actions, with the keys that they are about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.types import StructType

from spark_dynamo.errors import InvalidItemError
from spark_dynamo.source.write.plan import WritePlan
from spark_dynamo.source.write.row_checks import Checks, Required
from spark_dynamo.wire import types
from spark_dynamo.wire.actions import ActionEncoder, Condition
from spark_dynamo.wire.encode import Encoder, ItemEncoder
from spark_dynamo.wire.good_and_bad_rows import Apart, BadRow
from spark_dynamo.wire.items import RawItemEncoder

_NULL_IN_INDEX = (
    "a key of a secondary index can't be NULL, and the column's metadata asks for it; set option nulls=omit"
)
_COMPARED = "the condition compares the stored item with it, and it is NULL; fill it in or drop the row"


class OperationRows:
    """Prepares the rows of one operation: put, insert, update or delete.

    `goes_in_batches` says whether the texts are items or keys for BatchWriteItem; else they are actions. `builds_on_item` says
    whether what a row comes to depends on the item before it.
    """

    def __init__(self, plan: WritePlan, operation: str) -> None:
        self.operation = operation
        is_conditional = operation == "insert" or plan.condition is not None
        self.goes_in_batches = operation in ("put", "delete") and not is_conditional and not plan.atomic
        # of a frame of updates alone each sets the same attributes, unless nulls are left out
        sets_all = operation == "update" and plan.operation_column is None and plan.nulls not in ("auto", "omit")
        self.builds_on_item = is_conditional or (operation == "update" and not sets_all)
        self._plan = plan
        self._keys = {key.name: key.type for key in plan.table.keys}
        self._is_raw = plan.item_format != "columns"
        self._compared = tuple(plan.condition.columns.values()) if plan.condition and operation != "insert" else ()
        self._checked_schema = self._schema_to_check()
        self._encoder = self._item_encoder()
        self.key_schema = self._encoder.key_schema
        self._checks = Checks(
            self._encoder,
            plan.table,
            plan.table_name,
            required=self._required(),
            nulls=self._nulls,
            version=None if plan.adds_version else plan.version,
        )
        self._actions = None if self.goes_in_batches else self._action_encoder(plan.condition_of(operation))
        patches = operation == "update" and plan.patch_condition is not None
        self._patches = self._action_encoder(plan.patch_condition) if patches else None

    def prepare(self, batch: pa.RecordBatch) -> Apart:
        """What is sent for each row that DynamoDB can take; the others are errors unless the plan says where they go."""
        checked = batch.select(self._checked_schema.names)
        apart = self._checks.apart(checked) if self._plan.bad else self._checks.all_good(checked)
        if self.operation == "delete" and self._is_raw:
            encoder = ItemEncoder(self.key_schema, table=self._plan.table_name, key_names=self.key_schema.names)
            apart = replace(apart, texts=encoder.encode(apart.keys))
        if self._actions is None:
            return apart
        if self._is_raw:
            return replace(apart, texts=self._actions.encode(apart.keys, apart.texts))
        rows = batch if len(apart.rows) == batch.num_rows else batch.take(pa.array(apart.rows))
        has_items = self.operation in ("put", "insert")
        return replace(apart, texts=self._patched(rows, self._actions.encode(rows, apart.texts if has_items else None)))

    def _patched(self, rows: pa.RecordBatch, texts: pa.StringArray) -> pa.StringArray:
        """The actions; those of rows with a null that is left out, and that the model forbids, need an item that is there."""
        if self._patches is None:
            return texts
        missing = np.zeros(rows.num_rows, np.bool_)
        for name in self._plan.patched:
            missing |= rows.column(name).is_null().to_numpy(zero_copy_only=False)
        if not missing.any():
            return texts
        mask = pa.array(missing)
        return pc.replace_with_mask(texts, mask, self._patches.encode(rows.filter(mask)))

    def all_bad(self, batch: pa.RecordBatch, errors: Sequence[InvalidItemError]) -> Iterator[BadRow]:
        """The rows as bad ones, each for its reason, whatever else DynamoDB would say of them."""
        apart = self._encoder.encode_apart(batch)
        items = dict(zip(apart.rows.tolist(), apart.texts.to_pylist(), strict=True))
        bad = {found.row: found for found in apart.bad}
        for row, error in enumerate(errors):
            yield replace(bad[row], error=error) if row in bad else BadRow(row, error, items[row])

    def keys_of_bad(self, batch: pa.RecordBatch, apart: Apart) -> pa.RecordBatch:
        """The key columns of the rows that were refused; of whole items, those in which a key can be read."""
        if not self._is_raw:
            return batch.select(self.key_schema.names).take(pa.array([bad.row for bad in apart.bad], pa.int64()))
        items = [orjson.loads(bad.item) for bad in apart.bad if bad.item]
        texts = [orjson.dumps({name: item[name] for name in self._keys if name in item}).decode() for item in items]
        encoder = RawItemEncoder("json", table=self._plan.table_name, keys=self._keys)
        return encoder.encode_apart(pa.record_batch({"item": pa.array(texts, pa.string())})).keys

    @property
    def _nulls(self) -> str:
        return "omit" if self._plan.nulls == "remove" and self.operation != "update" else self._plan.nulls

    def _schema_to_check(self) -> StructType:
        """The columns that are sent; of a delete only the key, and what its condition compares with."""
        if self.operation != "delete" or self._is_raw:
            return self._plan.item_schema
        return StructType([field for field in self._plan.item_schema if field.name in {*self._keys, *self._compared}])

    def _required(self) -> list[Required]:
        compared = [Required(name, (name,), _COMPARED) for name in self._compared]
        return [*self._plan.required.get(self.operation, ()), *compared, *self._index_keys()]

    def _index_keys(self) -> Iterator[Required]:
        """The keys of secondary indexes whose nulls would be written as NULL because their metadata says so."""
        if self._is_raw or self._nulls != "auto" or self.operation not in ("put", "insert"):
            return
        indexes = self._plan.table.indexes
        names = {key.name for index in indexes for key in (index.partition_key, index.sort_key) if key}
        for field in self._checked_schema:
            if field.name in names and types.null_is_written(field, field.name):
                yield Required(field.name, (field.name,), _NULL_IN_INDEX)

    def _item_encoder(self) -> Encoder:
        if self._is_raw:
            return RawItemEncoder(self._plan.item_format, table=self._plan.table_name, keys=self._keys)
        written = "omit" if self._nulls == "remove" else self._nulls
        return ItemEncoder(self._checked_schema, table=self._plan.table_name, key_names=list(self._keys), nulls=written)

    def _action_encoder(self, condition: Condition | None) -> ActionEncoder:
        return ActionEncoder(
            self.operation,
            table=self._plan.table_name,
            schema=self.key_schema if self._is_raw else self._plan.item_schema,
            key_names=list(self._keys),
            nulls=self._nulls,
            condition=condition,
        )
