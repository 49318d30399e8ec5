"""VARIANT binaries -> the JSON text of DynamoDB attribute values, of which DynamoDB takes every one."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from spark_dynamo.wire.item_limits import DEEPEST_NESTING, check_contents
from spark_dynamo.wire.variant.decode import decode_variant


def variant_text(variant: Mapping[str, bytes], containers: int = 0) -> str:
    """A variant `{"value": ..., "metadata": ...}` as the JSON text of its attribute value.

    `containers` is how many lists and maps are around it. A variant that is malformed, or holds what DynamoDB refuses (a number
    beyond its range, an empty set, a set with a value twice, an empty name, too many levels), is a ValueError.

    >>> from spark_dynamo.wire.variant import encode_variant
    >>> value, metadata = encode_variant({"L": [{"N": "1.50"}]})
    >>> variant_text({"value": value, "metadata": metadata})
    '{"L":[{"N":"1.5"}]}'
    """
    attribute = decode_variant(variant["value"], variant["metadata"])
    try:
        text = orjson.dumps(attribute).decode()
    except TypeError as problem:  # deeper than orjson goes
        raise ValueError(str(problem)) from None
    # numbers are known to be good; all else shows in the text, where a quote within a string has a backslash before it
    is_deep = containers + text.count('{"L":[') + text.count('{"M":{') >= DEEPEST_NESTING
    if is_deep or 'S":[' in text or '{"":' in text or ',"":' in text:
        check_contents(attribute, containers)
    return text
