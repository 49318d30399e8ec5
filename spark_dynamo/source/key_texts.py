"""Keys as texts that are equal exactly where DynamoDB's keys are, whether they come from a frame or from the table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.types import BinaryType, StringType, StructField, StructType

from spark_dynamo.aws.tables import KeyAttribute
from spark_dynamo.wire import types
from spark_dynamo.wire.kernels import Unfit, canonical_numbers, join

# what DynamoDB itself makes of a number, but that servers, and frames even more, know other forms
_PLAIN_NUMBER = r"^(?:0|-?[1-9][0-9]*|-?(?:0|[1-9][0-9]*)\.[0-9]*[1-9])$"


def key_schema(attributes: Iterable[KeyAttribute]) -> StructType:
    """The schema of keys as a table has them: numbers as their own texts, of which none is too large for a type."""
    return StructType(
        [
            StructField(
                key.name, BinaryType() if key.type == "B" else StringType(), False, {types.METADATA_KEY: key.type}
            )
            for key in attributes
        ]
    )


def key_texts(keys: pa.RecordBatch, attributes: Sequence[KeyAttribute], schema: StructType) -> pa.StringArray:
    """One text per row of columns of that schema, null where a key attribute is; `Unfit` for a value that can be no key.

    >>> key = KeyAttribute("day", "N")
    >>> key_texts(pa.record_batch({"day": [1.5, 200.0]}), [key], StructType().add("day", "double")).to_pylist()
    ['1.5', '200']
    >>> key_texts(pa.record_batch({"day": ["1.50", "2E+2"]}), [key], key_schema([key])).to_pylist()
    ['1.5', '200']
    """
    texts = [_texts(keys.column(key.name), schema[key.name]) for key in attributes]
    return texts[0] if len(texts) == 1 else join(texts[0], "\0", texts[1])  # a text in JSON's form has no NUL


def possible_key_texts(
    keys: pa.RecordBatch, attributes: Sequence[KeyAttribute], schema: StructType
) -> Iterable[pa.StringArray]:
    """The texts of those rows whose values can be keys, in one or several arrays: of rows that were refused, say.

    >>> key = KeyAttribute("day", "N")
    >>> keys = pa.record_batch({"day": [1.5, float("nan"), None, 2.0]})
    >>> [texts.to_pylist() for texts in possible_key_texts(keys, [key], StructType().add("day", "double"))]
    [['1.5'], ['2']]
    """
    if not keys.num_rows:
        return
    try:
        texts = key_texts(keys, attributes, schema).drop_null()
    except Unfit:
        middle = keys.num_rows // 2
        for half in (keys.slice(0, middle), keys.slice(middle)) if middle else ():
            yield from possible_key_texts(half, attributes, schema)
    else:
        if len(texts):
            yield texts


def _texts(column: pa.Array, field: StructField) -> pa.StringArray:
    leaf = types.leaf_of(field.dataType, types.storage_tag(field), field.name)
    texts = leaf.encode(column)
    return texts if leaf.tag != "N" or pa.types.is_integer(column.type) else plain_numbers(texts)


def plain_numbers(texts: pa.StringArray) -> pa.StringArray:
    """Number texts as digits alone, without an exponent or zeros that say nothing; nulls stay null.

    >>> plain_numbers(pa.array(["7", "7.0", "-0", "1e-3", "1.5E+3"])).to_pylist()
    ['7', '7', '0', '0.001', '1500']
    """
    other = pc.invert(pc.fill_null(pc.match_substring_regex(texts, _PLAIN_NUMBER), True))
    if not pc.any(other).as_py():
        return texts
    return pc.replace_with_mask(texts, other, canonical_numbers(texts.filter(other)))
