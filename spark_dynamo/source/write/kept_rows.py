"""What the tasks of an overwrite hand over of their rows, as fingerprints: 32 bytes per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.types import StructType

from spark_dynamo.aws.tables import TableDescription
from spark_dynamo.source.key_texts import key_schema, key_texts, possible_key_texts
from spark_dynamo.source.write.duplicates import SeenKeys
from spark_dynamo.source.write.key_hashes import Fingerprints
from spark_dynamo.wire.decode import PageDecoder
from spark_dynamo.wire.equality import canonical_texts


@dataclass(frozen=True, slots=True)
class Kept:
    """What one task hands over, or all of them together; each part is what `SeenKeys.to_bytes` gives.

    `keys` are those of all rows, `items` the items that were put, as `canonical_texts`, and `unwritten` the keys of rows that could
    not be written, whose items stay as they are. `seed` is that of the tasks' `Fingerprints`.
    """

    seed: bytes = field(repr=False)
    keys: tuple[bytes, ...] = field(default=(), repr=False)
    items: tuple[bytes, ...] = field(default=(), repr=False)
    unwritten: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def together(cls, tasks: Sequence[Kept]) -> Kept:
        """What all tasks hand over, of which there is one at least."""
        return cls(
            tasks[0].seed,
            tuple(part for task in tasks for part in task.keys),
            tuple(part for task in tasks for part in task.items),
            tuple(part for task in tasks for part in task.unwritten),
        )


class KeptRows:
    """The rows of one task of an overwrite: which items it put, and whose rows could not be written.

    >>> from spark_dynamo.aws.tables import KeyAttribute
    >>> table = TableDescription("orders", "arn", KeyAttribute("id", "S"), None, 0, 0, "ACTIVE")
    >>> rows = KeptRows(table, bytes(32))
    >>> rows.add_items(pa.array(['{"id":{"S":"a"}}', '{"id":{"S":"b"}}']))
    >>> rows.add_unfit(b'{"Item":{"id":{"S":"b"}}}')
    >>> kept = rows.with_keys(SeenKeys(Fingerprints(bytes(32))))
    >>> [len(part) // 16 - 1 for part in (*kept.keys, *kept.items, *kept.unwritten)]
    [0, 2, 1]
    """

    def __init__(self, table: TableDescription, seed: bytes) -> None:
        self._table = table
        self._seed = seed
        self._items = SeenKeys(Fingerprints(seed))
        self._unwritten = SeenKeys(Fingerprints(seed))
        self._unfit: list[bytes] = []

    def add_items(self, texts: pa.StringArray) -> None:
        """Remember items that are to be put, given as JSON texts."""
        if len(texts):
            everything = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
            items = orjson.loads(b"[%s]" % pc.binary_join(everything, ",")[0].as_buffer().to_pybytes())
            self._items.add(canonical_texts(items))

    def add_bad(self, keys: pa.RecordBatch, schema: StructType) -> None:
        """Remember the keys of rows that DynamoDB can't take, as far as they are keys."""
        for texts in possible_key_texts(keys, self._table.keys, schema):
            self._unwritten.add(texts)

    def add_unfit(self, action: bytes) -> None:
        """Remember a Put that DynamoDB did not take; threads may call it."""
        self._unfit.append(action)

    def with_keys(self, keys: SeenKeys) -> Kept:
        """What the task hands over, together with the keys of all its rows."""
        if self._unfit:
            schema = key_schema(self._table.keys)
            decoder = PageDecoder(schema, table=self._table.name, key_names=schema.names)
            page = orjson.dumps({"Items": [orjson.loads(action)["Item"] for action in self._unfit]})
            self._unwritten.add(key_texts(decoder.decode(page), self._table.keys, schema))
            self._unfit.clear()
        return Kept(self._seed, (keys.to_bytes(),), (self._items.to_bytes(),), (self._unwritten.to_bytes(),))
