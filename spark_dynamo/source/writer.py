"""Writing: what a task does with its record batches, and what the commit tells."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.datasource import DataSourceArrowWriter, WriterCommitMessage
from pyspark.sql.types import StructType

from spark_dynamo.aws.batch_write import DELETE, PUT, BatchWriter
from spark_dynamo.aws.client import Connection
from spark_dynamo.aws.requests import PATIENCE, Requests
from spark_dynamo.aws.tables import KeyAttribute, TableDescription
from spark_dynamo.errors import DuplicateKeyError, InvalidItemError, SchemaError, nearest
from spark_dynamo.source.duplicates import SeenKeys
from spark_dynamo.wire import types
from spark_dynamo.wire.encode import Encoder, ItemEncoder, key_of
from spark_dynamo.wire.items import RawItemEncoder, check_item_schema
from spark_dynamo.wire.kernels import join

logger = logging.getLogger(__name__)

CONCURRENT_REQUESTS = 16
_BYTES_PER_SLICE = 8_000_000
_LONGEST_PARTITION_KEY, _LONGEST_SORT_KEY = 2_048, 1_024  # bytes


@dataclass
class Written(WriterCommitMessage):
    """What one task wrote: items, bytes of request bodies, consumed write units, requests, retries, rows dropped as duplicates."""

    items: int = 0
    bytes: int = 0
    units: float = 0.0
    requests: int = 0
    retries: int = 0
    duplicates: int = 0

    @classmethod
    def total(cls, messages: Iterable[Written]) -> Written:
        """The sums over all tasks."""
        messages = list(messages)
        return cls(**{field.name: sum(getattr(message, field.name) for message in messages) for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class ItemWriter(DataSourceArrowWriter):
    """Puts each row as an item by BatchWriteItem, or deletes the item with its key; a repeated task does no harm.

    A put replaces the item with the same key. With `item_format` json or variant, the single column holds the items
    themselves. A delete looks at the key attributes alone, and a key that no item has is none the worse; equal keys are one.
    """

    connection: Connection
    table: TableDescription
    table_name: str  # as it is asked for: an ARN reaches another account, the description's name does not
    schema: StructType
    nulls: str = "omit"
    duplicates: str = "error"
    item_format: str = "columns"
    operation: str = "put"
    patience: float = PATIENCE

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Written:
        """Write one task's rows; nothing of a batch is sent before all its rows are known to be good."""
        key_names = [key.name for key in self.table.keys]
        requests = Requests(self.connection, self.table_name, patience=self.patience)
        encoder = self._encoder()
        seen = SeenKeys()
        dropped = 0
        entry = DELETE if self.operation == "delete" else PUT
        with BatchWriter(requests, key_names, concurrency=CONCURRENT_REQUESTS, entry=entry) as writer:
            for received in iterator:
                if not received.num_rows:
                    continue
                batch = types.without_large_types(received, self.schema)
                if self._takes_keys_only:
                    batch = batch.select(encoder.key_schema.names)
                encoded = [encoder.encode_with_keys(part) for part in slices(batch)]
                keys = pa.concat_batches([key for _, key in encoded])
                self._check_key_values(keys)
                texts = pa.chunked_array([text for text, _ in encoded])
                if self.operation == "delete" and not self._takes_keys_only:
                    texts = pa.chunked_array([self._key_encoder(encoder.key_schema).encode(keys)])
                keep, overtakes = self._distinct(keys, encoder.key_schema, seen)
                if overtakes:
                    writer.wait()  # an earlier row with the same key may still be on its way
                dropped += batch.num_rows - int(keep.sum())
                for chunk in texts.filter(pa.array(keep)).chunks if not keep.all() else texts.chunks:
                    writer.send(chunk)
        counts = requests.counts
        return Written(counts.items, counts.bytes, counts.units, counts.requests, counts.retries, dropped)

    def commit(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        """Log what all tasks wrote together."""
        total = Written.total(message for message in messages if isinstance(message, Written))
        logger.info("%s to table %s: %s", self.operation, self.table_name, total)

    def abort(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        """Log what tasks that ended well have written: DynamoDB has no rollback."""
        total = Written.total(message for message in messages if isinstance(message, Written))
        logger.warning(
            "the write to table %s failed; items of finished tasks stay (%s), those of failed tasks may be written in "
            "part. The write is safe to repeat",
            self.table_name,
            total,
        )

    def _encoder(self) -> Encoder:
        keys = {key.name: key.type for key in self.table.keys}
        if self._takes_keys_only:
            return self._key_encoder(StructType([self.schema[name] for name in keys]))
        if self.item_format == "columns":
            return ItemEncoder(self.schema, table=self.table_name, key_names=list(keys), nulls=self.nulls)
        return RawItemEncoder(self.item_format, table=self.table_name, keys=keys)

    @property
    def _takes_keys_only(self) -> bool:
        return self.operation == "delete" and self.item_format == "columns"

    def _key_encoder(self, key_schema: StructType) -> ItemEncoder:
        return ItemEncoder(key_schema, table=self.table_name, key_names=key_schema.names)

    def _check_key_values(self, keys: pa.RecordBatch) -> None:
        for key in self.table.keys:
            column = keys.column(key.name)
            self._refuse(keys, key, column.is_null(), "a key attribute must not be NULL")
            if key.type == "N":
                continue
            longest = _LONGEST_PARTITION_KEY if key == self.table.partition_key else _LONGEST_SORT_KEY
            if not (pa.types.is_string(column.type) or pa.types.is_binary(column.type)):
                continue  # dates and timestamps have a text of fixed length
            length = pc.binary_length(column)
            self._refuse(keys, key, pc.equal(length, 0), "a key attribute must not be empty")
            problem = f"a {'partition' if longest == _LONGEST_PARTITION_KEY else 'sort'} key holds {longest:,} bytes"
            self._refuse(keys, key, pc.greater(length, longest), problem)

    def _refuse(self, keys: pa.RecordBatch, key: KeyAttribute, bad: pa.BooleanArray, problem: str) -> None:
        if not pc.any(bad).as_py():
            return
        shown = key_of(keys, pc.index(bad, True).as_py())
        raise InvalidItemError(
            table=self.table_name, key=shown, attribute=key.name, value=shown[key.name], problem=problem
        )

    def _distinct(
        self, keys: pa.RecordBatch, schema: StructType, seen: SeenKeys
    ) -> tuple[np.ndarray[tuple[int], np.dtype[np.bool_]], bool]:
        """Which rows to send, and whether one of them replaces a row that was sent before."""
        found = seen.add(self._key_texts(keys, schema))
        if self.duplicates == "last":
            return found.last, bool(found.earlier.any())
        keep = found.first & ~found.earlier
        if self.duplicates == "error" and self.operation == "put" and not keep.all():
            row = int(np.flatnonzero(~keep)[0])
            raise DuplicateKeyError(table=self.table_name, key=key_of(keys, row))
        return keep, False

    def _key_texts(self, keys: pa.RecordBatch, schema: StructType) -> pa.StringArray:
        """One text per row that is equal exactly where DynamoDB's keys are."""
        texts = []
        for key in self.table.keys:
            field = schema[key.name]
            leaf = types.leaf_of(field.dataType, types.storage_tag(field), field.name)
            texts.append(leaf.canonical(leaf.encode(keys.column(key.name))))
        return texts[0] if len(texts) == 1 else join(texts[0], pa.array(["\0"] * len(keys)), texts[1])


def slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in pieces of about 8 MB, so that their JSON stays far below what one Arrow string column holds."""
    pieces = max(1, math.ceil(batch.nbytes / _BYTES_PER_SLICE))
    rows = max(1, math.ceil(batch.num_rows / pieces))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def check_frame(schema: StructType, table: TableDescription, item_format: str) -> None:
    """Raise `SchemaError` unless frames of that schema can be written to the table in that format."""
    if item_format == "columns":
        check_keys(schema, table)
    else:
        check_item_schema(schema, item_format)


def check_keys(schema: StructType, table: TableDescription) -> None:
    """Raise `SchemaError` unless the frame has the table's key attributes with the types that the table wants."""
    types.arrow_schema(schema)
    for key in table.keys:
        if key.name not in schema.names:
            close = nearest(key.name, schema.names)
            raise SchemaError(
                key.name,
                f"table '{table.name}' has it as a key attribute, but the frame has no such column"
                + (f"; did you mean '{close}'?" if close else f"; its columns are {', '.join(schema.names)}"),
            )
        field = schema[key.name]
        if not types.is_leaf(field.dataType):
            raise SchemaError(key.name, f"a key attribute can't be {field.dataType.simpleString()}")
        leaf = types.leaf_of(field.dataType, types.storage_tag(field), key.name)
        if leaf.tag != key.type:
            raise SchemaError(
                key.name,
                f"table '{table.name}' has it as a key of type {key.type}, but {field.dataType.simpleString()} is stored "
                f"as {leaf.tag}; cast the column",
            )
