"""Whole items in a single column `item`, lossless: as their own DynamoDB JSON text, or as VARIANT.

On the way from page to text and from text to request no Python object is made per item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.types import BinaryType, DataType, StringType, StructField, StructType, VariantType

from spark_dynamo.errors import InvalidItemError, MalformedItemError, SchemaError, shorten
from spark_dynamo.wire import types
from spark_dynamo.wire.attributes import doubtful_places
from spark_dynamo.wire.encode import LARGEST_ITEM, check_sizes, variant_text
from spark_dynamo.wire.envelope import ENVELOPES, EnvelopeName
from spark_dynamo.wire.kernels import Unfit
from spark_dynamo.wire.reference import bare
from spark_dynamo.wire.structure import read_objects, structure
from spark_dynamo.wire.variant import encode_variant

ITEM_COLUMN = "item"
ITEM_TYPES: Mapping[str, DataType] = {"json": StringType(), "variant": VariantType()}


def item_schema(item_format: str, nullable: bool = False) -> StructType:
    """The schema of a frame of whole items; `item_format` is `json` or `variant`.

    >>> item_schema("json").simpleString()
    'struct<item:string>'
    """
    return StructType([StructField(ITEM_COLUMN, ITEM_TYPES[item_format], nullable)])


def check_item_schema(schema: StructType, item_format: str) -> None:
    """Raise `SchemaError` unless the schema is the single column that holds items in that format."""
    if [(field.name, field.dataType) for field in schema] != [(ITEM_COLUMN, ITEM_TYPES[item_format])]:
        kind = ITEM_TYPES[item_format].simpleString().upper()
        raise SchemaError(
            ITEM_COLUMN,
            f"with itemFormat '{item_format}' it is the single column, of type {kind}, and the schema is "
            f"{shorten(schema.simpleString()[7:-1])}; select that column alone, or leave the option out",
        )


class ItemDecoder:
    """Turns the bodies of answers into record batches with the column `item`; two threads may do so at once.

    In format `json` an item is its text, byte for byte as the server sent it; in format `variant` an object, as
    `spark_dynamo.wire.variant` makes it. An answer that is none raises `InvalidResponseError`.

    >>> decoder = ItemDecoder("json", table="orders")
    >>> decoder.decode(b'{"Items": [{"id": {"S": "a"}}, {"id":{"N":"1.0"}}], "Count": 2}').to_pylist()
    [{'item': '{"id": {"S": "a"}}'}, {'item': '{"id":{"N":"1.0"}}'}]
    """

    misfits = ""  # every item fits

    def __init__(
        self, item_format: str, *, table: str, envelope: EnvelopeName = "Items", nullable: bool = False
    ) -> None:
        self.arrow_schema = types.arrow_schema(item_schema(item_format, nullable))
        self._table = table
        self._envelope = ENVELOPES[envelope]
        self._column = {"json": self._texts, "variant": self._variants}[item_format]

    def decode(self, *bodies: bytes) -> pa.RecordBatch:
        """The items of one answer or of several, in order."""
        column = pa.concat_arrays([self._column(body) for body in bodies])
        return pa.RecordBatch.from_arrays([column], schema=self.arrow_schema)

    def _texts(self, body: bytes) -> pa.Array:
        return self._envelope.texts(body, self._table)

    def _variants(self, body: bytes) -> pa.Array:
        items = self._envelope.items(body, self._table)
        return pa.array([self._variant(item) for item in items], types.VARIANT)

    def _variant(self, item: Mapping[str, Any]) -> dict[str, bytes]:
        try:
            value, metadata = encode_variant({"M": item})
        except ValueError as problem:
            raise MalformedItemError(
                table=self._table,
                key={},
                attribute=ITEM_COLUMN,
                value=orjson.dumps(item).decode(),
                found="M",
                expected="VARIANT",
                problem=str(problem),
            ) from None
        return {"value": value, "metadata": metadata}


class RawItemEncoder:
    """Takes the column `item` of record batches as the text of items, with no change; the counterpart of `ItemDecoder`.

    `keys` are the table's key attributes and their types. Text that is no item with these raises `InvalidItemError`; the
    content of strings, as in numbers and base64, is left to DynamoDB to judge.

    >>> encoder = RawItemEncoder("json", table="orders", keys={"id": "S"})
    >>> texts, keys = encoder.encode_with_keys(pa.record_batch({"item": ['{"id":{"S":"a"},"n":{"N":"1.0"}}']}))
    >>> texts.to_pylist(), keys.to_pylist()
    (['{"id":{"S":"a"},"n":{"N":"1.0"}}'], [{'id': 'a'}])
    """

    def __init__(self, item_format: str, *, table: str, keys: Mapping[str, str]) -> None:
        self.key_schema = StructType(
            [
                StructField(name, BinaryType() if tag == "B" else StringType(), False, {types.METADATA_KEY: tag})
                for name, tag in keys.items()
            ]
        )
        self._table = table
        self._keys = keys
        self._leaves = {name: types.leaf_of(self.key_schema[name].dataType, tag, name) for name, tag in keys.items()}
        self._parse_schema = pa.schema(
            [(name, pa.struct([(tag, pa.string()), ("NULL", pa.bool_())])) for name, tag in keys.items()]
        )
        self._texts = {"json": self._texts_of_strings, "variant": self._texts_of_variants}[item_format]

    def encode_with_keys(self, batch: pa.RecordBatch) -> tuple[pa.StringArray, pa.RecordBatch]:
        """The items' texts and keys."""
        column = batch.column(0)
        if column.null_count:
            raise self._error(None, "an item must not be NULL; filter such rows out")
        texts = self._texts(column)
        try:
            keys = self._keys_of(texts)
        except ValueError:  # as pa.ArrowInvalid is, too
            raise self._explain(texts) from None
        check_sizes(self._table, texts, keys)
        return texts, keys

    def _texts_of_strings(self, column: pa.StringArray) -> pa.StringArray:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise self._error(None, f"it is not valid UTF-8: {error}") from None
        return column

    def _texts_of_variants(self, column: pa.StructArray) -> pa.StringArray:
        texts = []
        for variant in column.to_pylist():
            try:
                text = variant_text(variant, ITEM_COLUMN)
            except Unfit as unfit:
                raise self._error(unfit.value, unfit.problem) from None
            if not text.startswith('{"M":'):
                raise self._error(text, "the VARIANT is no object, and an item is one")
            texts.append(text[len('{"M":') : -1])
        return pa.array(texts, pa.string())

    def _keys_of(self, texts: pa.StringArray) -> pa.RecordBatch:
        """The key attributes; ValueError where a text is no item, or an item has no such key."""
        if not len(texts):
            return pa.RecordBatch.from_pylist([], types.arrow_schema(self.key_schema))
        _, offset_buffer, buffer = texts.buffers()
        bounds = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        # the texts, one after the other
        buffer = (buffer or pa.py_buffer(b"")).slice(bounds[0], bounds[-1] - bounds[0])
        parsed = read_objects(buffer, self._parse_schema)
        if parsed.num_rows != len(texts):
            raise ValueError("the texts hold another number of objects")
        self._check_items(buffer, bounds - bounds[0], texts)
        return pa.RecordBatch.from_arrays(
            [self._key(parsed, name) for name in self.key_schema.names], names=self.key_schema.names
        )

    def _check_items(self, buffer: pa.Buffer, bounds: Any, texts: pa.StringArray) -> None:
        """Raise ValueError unless each text is one object, and all of its attributes are attribute values."""
        data = np.frombuffer(buffer, np.uint8)
        marks = structure(data)
        starts, stops = marks.places[marks.opened(1)], marks.places[marks.closed(1)]
        if len(starts) != len(texts) or (starts < bounds[:-1]).any() or (stops >= bounds[1:]).any():
            raise ValueError("a text is no object")
        rows = np.searchsorted(bounds, doubtful_places(data, marks), side="right") - 1
        large = np.flatnonzero(np.diff(bounds) > LARGEST_ITEM)  # their size will be counted
        for row in np.union1d(rows, large).tolist():
            encode_variant({"M": orjson.loads(texts[row].as_py())})

    def _key(self, parsed: pa.Table, name: str) -> pa.Array:
        leaf, kind = self._leaves[name], self.key_schema[name].dataType
        texts, nulls = parsed.column(name).combine_chunks().flatten()
        if texts.null_count > (pc.sum(nulls, min_count=0).as_py() or 0):
            raise ValueError("a key is missing or has another type")
        values = leaf.decode(texts, leaf.arrow(kind))
        try:
            leaf.encode(values)
        except Unfit as unfit:
            raise ValueError(unfit.problem) from None
        return values

    def _explain(self, texts: pa.StringArray) -> InvalidItemError:
        """The error for the first text that is no item of the table, found by halving."""
        start, stop, reason = 0, len(texts), ""
        while stop - start > 1:
            middle = (start + stop) // 2
            try:
                self._keys_of(texts.slice(start, middle - start))
            except ValueError:
                stop = middle
            else:
                start = middle
        try:
            self._keys_of(texts.slice(start, 1))
        except ValueError as error:
            reason = str(error)
        return self._diagnose(texts[start].as_py(), reason)

    def _diagnose(self, text: str, reason: str) -> InvalidItemError:
        try:
            item = orjson.loads(text)
            if not isinstance(item, dict):
                raise ValueError("it is no object")
        except ValueError as error:
            return self._error(text, f"it is no item in DynamoDB JSON: {error}")
        key = {name: bare(item[name]) for name in self._keys if name in item}
        for name, attribute in item.items():
            problem = _problem(attribute, self._keys.get(name))
            if problem:
                value = orjson.dumps(attribute).decode()
                return InvalidItemError(table=self._table, key=key, attribute=name, value=value, problem=problem)
        missing = [f"it lacks the key attribute '{name}'" for name in self._keys if name not in item]
        return self._error(text, missing[0] if missing else f"it can't be put into the table: {reason}")

    def _error(self, value: object, problem: str) -> InvalidItemError:
        return InvalidItemError(table=self._table, key={}, attribute=ITEM_COLUMN, value=value, problem=problem)


def _problem(attribute: Any, key_tag: str | None) -> str:
    """What is wrong with an attribute value, which in a key has that tag; empty where nothing is."""
    if not isinstance(attribute, dict) or len(attribute) != 1:
        return 'it is no attribute value, which has one type, as in {"S":"text"}'
    try:
        encode_variant(attribute)
    except ValueError as error:
        return str(error)
    return f"the table has it as a key of type {key_tag}" if key_tag and key_tag not in attribute else ""
