"""Whole items in a single column `item`, lossless: as their own DynamoDB JSON text, or as VARIANT.

On the way from page to text and from text to request no Python object is made per item.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.types import BinaryType, DataType, StringType, StructField, StructType, VariantType

from spark_dynamo.errors import InvalidItemError, MalformedItemError, SchemaError, shorten
from spark_dynamo.wire import types
from spark_dynamo.wire.envelope import ENVELOPES, EnvelopeName
from spark_dynamo.wire.good_and_bad_rows import Apart, BadRow, Rows, others
from spark_dynamo.wire.item_limits import TOO_DEEP, check_contents, doubtful_contents
from spark_dynamo.wire.json_shape_check import doubtful_places
from spark_dynamo.wire.json_tokens import read_objects, structure
from spark_dynamo.wire.kernels import EMPTY_NAME, Unfit, check_utf8
from spark_dynamo.wire.repeated_names import NAME_TWICE, doubtful_names, find_twice
from spark_dynamo.wire.sizes import LARGEST_ITEM, refuse_large
from spark_dynamo.wire.value_reader import bare
from spark_dynamo.wire.variant import encode_variant
from spark_dynamo.wire.variant.shape import shape_problem
from spark_dynamo.wire.variant.text import variant_text

ITEM_COLUMN = "item"
# where an item stands in the lines of exports, and in the answers and requests of DynamoDB
_AROUND_ITEMS = ("Item", "NewImage", "PutRequest.Item")
_AROUND = (
    "it is no item itself, but holds one in {0}, as the lines of an export do; take it out before the write, as "
    "get_json_object(item, '$.{0}') does"
)
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

    `keys` are the table's key attributes and their types. Text that is no item with these, or one that DynamoDB refuses, raises
    `InvalidItemError`; only the keys of secondary indexes are left to DynamoDB to judge.

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
        found: dict[int, BadRow] = {}
        texts = self._texts(batch.column(0), found)
        if not found:
            try:
                keys, doubtful = self._read(texts)
                if not any(self._judge(row, texts[row].as_py()) for row in doubtful):
                    refuse_large(texts)
                    return texts, keys
            except (Unfit, ValueError):  # as pa.ArrowInvalid is, too
                pass
        raise self.encode_apart(batch).bad[0].error

    def encode_apart(self, batch: pa.RecordBatch) -> Apart:
        """The rows that are items of the table, and the others."""
        found: dict[int, BadRow] = {}
        texts = self._texts(batch.column(0), found)
        keys = None
        while True:
            rows = others(len(texts), found)
            good = texts.take(pa.array(rows))
            try:
                keys, doubtful = self._read(good)
            except ValueError as error:
                keys, problem = None, f"it can't be put into the table: {error}"
                doubtful = [place for place, text in enumerate(good.to_pylist()) if not _is_object(text)]
                doubtful = doubtful or list(range(len(good)))
            judged = [self._judge(int(rows[place]), good[place].as_py()) for place in doubtful]
            bad = [row for row in judged if row]
            if not bad and keys is None:  # nothing known comes here; whatever it is, it must not be sent
                bad = [self._bad_row(int(row), text, problem) for row, text in zip(rows, good.to_pylist(), strict=True)]
            if not bad:
                break
            found |= {row.row: row for row in bad}
        apart = Apart(good, keys, rows, [found[row] for row in sorted(found)])
        try:
            refuse_large(good)
        except Unfit as unfit:
            large = {int(rows[place]): problem for place, (_, problem) in unfit.places.items()}
            return apart.without([self._bad_row(row, texts[row].as_py(), large[row], attribute=None) for row in large])
        return apart

    def _texts_of_strings(self, column: pa.StringArray, found: dict[int, BadRow]) -> pa.StringArray:
        self._refuse_nulls(column, found)
        try:
            check_utf8(column)
        except Unfit as unfit:
            for row, (value, problem) in unfit.places.items():
                found[row] = self._unreadable(row, value, problem)
            rows = np.arange(len(column))
            return column.take(pa.array(rows, mask=np.isin(rows, list(unfit.places))))
        return column

    def _texts_of_variants(self, column: pa.StructArray, found: dict[int, BadRow]) -> pa.StringArray:
        self._refuse_nulls(column, found)
        texts: list[str | None] = []
        for row, variant in enumerate(column.to_pylist()):
            text = None
            try:
                text = None if variant is None else variant_text(variant, containers=-1)
            except ValueError as problem:
                found[row] = self._unreadable(row, "the VARIANT", str(problem))
            if text and not text.startswith('{"M":'):
                found[row] = self._unreadable(row, text, "the VARIANT is no object, and an item is one")
            texts.append(text[len('{"M":') : -1] if text and row not in found else None)
        return pa.array(texts, pa.string())

    def _refuse_nulls(self, column: pa.Array, found: dict[int, BadRow]) -> None:
        for row in np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)).tolist():
            found[row] = self._unreadable(row, None, "an item must not be NULL; filter such rows out")

    def _read(self, texts: pa.StringArray) -> tuple[pa.RecordBatch, list[int]]:
        """The key attributes, and the rows to judge one by one; ValueError where a text is no object."""
        if not len(texts):
            return pa.RecordBatch.from_pylist([], types.arrow_schema(self.key_schema)), []
        _, offset_buffer, buffer = texts.buffers()
        bounds = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        # the texts, one after the other
        buffer = (buffer or pa.py_buffer(b"")).slice(bounds[0], bounds[-1] - bounds[0])
        parsed = read_objects(buffer, self._parse_schema)
        if parsed.num_rows != len(texts):
            raise ValueError("the texts hold another number of objects")
        doubtful = [self._doubtful_rows(buffer, bounds - bounds[0])]
        columns = []
        for name in self.key_schema.names:
            found, nulls = parsed.column(name).combine_chunks().flatten()
            lacks = pc.and_not(found.is_null(), pc.fill_null(nulls, False))
            doubtful.append(np.flatnonzero(lacks.to_numpy(zero_copy_only=False)))
            columns.append(self._key(name, found))
        keys = pa.RecordBatch.from_arrays(columns, names=self.key_schema.names)
        return keys, np.unique(np.concatenate(doubtful)).tolist()

    def _doubtful_rows(self, buffer: pa.Buffer, bounds: Rows) -> Rows:
        """The rows that may hold no item, or one that DynamoDB refuses; ValueError unless each text is one object."""
        data = np.frombuffer(buffer, np.uint8)
        marks = structure(data)
        starts, stops = marks.places[marks.opened(1)], marks.places[marks.closed(1)]
        if len(starts) != len(bounds) - 1 or (starts < bounds[:-1]).any() or (stops >= bounds[1:]).any():
            raise ValueError("a text is no object")
        doubtful = np.concatenate([look(data, marks) for look in (doubtful_places, doubtful_contents, doubtful_names)])
        large = np.flatnonzero(np.diff(bounds) > LARGEST_ITEM)  # their size will be counted
        return np.concatenate([np.searchsorted(bounds, doubtful, side="right") - 1, large])

    def _key(self, name: str, texts: pa.StringArray) -> pa.Array:
        leaf, kind = self._leaves[name], self.key_schema[name].dataType
        values = leaf.decode(texts, leaf.arrow(kind))
        try:
            leaf.encode(values)
        except Unfit as unfit:
            raise ValueError(unfit.problem) from None
        return values

    def _judge(self, row: int, text: str) -> BadRow | None:
        """What is wrong with a text; None where it is an item of the table that DynamoDB takes."""
        try:
            item = _parsed(text)
        except ValueError as error:
            return self._unreadable(row, text, f"it is no item in DynamoDB JSON: {error}")
        problems = {name: _problem(attribute, self._keys.get(name)) for name, attribute in item.items()}
        problems = {name: problem for name, problem in problems.items() if problem}
        around = next((path for path in _AROUND_ITEMS if self._keys.keys() <= _within(item, path)), None)
        if around and not self._keys.keys() <= item.keys():
            return self._bad_row(row, text, _AROUND.format(around))
        if problems:
            name, problem = next(iter(problems.items()))
            return self._bad_row(row, text, problem, name, orjson.dumps(item[name]).decode())
        if "" in item:
            return self._bad_row(row, text, EMPTY_NAME)
        missing = [name for name in self._keys if name not in item]
        if missing:
            return self._bad_row(row, text, f"it lacks the key attribute '{missing[0]}'")
        try:
            twice = find_twice(text)
        except ValueError as error:
            return self._unreadable(row, text, str(error))
        return self._bad_row(row, text, NAME_TWICE, twice.path, twice.values) if twice else None

    def _unreadable(self, row: int, value: object, problem: str) -> BadRow:
        unfit = {} if value is None else {ITEM_COLUMN: str(value)}
        return BadRow(row, self._error({}, ITEM_COLUMN, value, problem), None, unfit)

    def _bad_row(
        self, row: int, text: str, problem: str, attribute: str | None = ITEM_COLUMN, value: object = None
    ) -> BadRow:
        """A bad row that is an object at least; what is no attribute value in it has no DynamoDB JSON."""
        item = orjson.loads(text)
        unfit = {name: orjson.dumps(found).decode() for name, found in item.items() if _shape_problem(found)}
        try:
            twice = find_twice(text)
        except ValueError:
            return self._unreadable(row, text, problem)
        kept = {name: found for name, found in item.items() if name not in unfit}
        if twice:  # both values are in the whole text only
            kept.pop(twice.attribute, None)
            unfit = {ITEM_COLUMN: text}
        key = {name: bare(item[name]) for name in self._keys if name in item}
        error = self._error(key, attribute, text if value is None else value, problem)
        return BadRow(row, error, orjson.dumps(kept).decode() if unfit else text, unfit)

    def _error(self, key: Mapping[str, object], attribute: str | None, value: object, problem: str) -> InvalidItemError:
        return InvalidItemError(table=self._table, key=key, attribute=attribute, value=value, problem=problem)


def _is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except ValueError:
        return False


def _parsed(text: str) -> dict[str, Any]:
    item = orjson.loads(text)
    if not isinstance(item, dict):
        raise ValueError("it is no object")
    try:
        orjson.dumps(item)  # messages show parts of it
    except TypeError:
        raise ValueError(TOO_DEEP) from None
    return item


def _within(item: Any, path: str) -> Set[str]:
    """The names in the object at that path; none where there is no object."""
    for step in path.split("."):
        item = item.get(step) if isinstance(item, dict) else None
    return item.keys() if isinstance(item, dict) else set()


def _problem(attribute: Any, key_tag: str | None) -> str:
    """What is wrong with an attribute value, which in a key has that tag; empty where nothing is."""
    problem = _shape_problem(attribute)
    if problem:
        return problem
    if key_tag and key_tag not in attribute and "NULL" not in attribute:
        return f"the table has it as a key of type {key_tag}"
    try:
        check_contents(attribute)
    except ValueError as error:
        return str(error)
    return ""


def _shape_problem(attribute: Any) -> str:
    try:
        encode_variant(attribute)
    except ValueError as error:
        return shape_problem(attribute) or str(error)
    return ""
