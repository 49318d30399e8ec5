"""The size of items as DynamoDB counts it.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from spark_dynamo.wire.kernels import Unfit

LARGEST_ITEM = 409_600  # bytes


def refuse_large(texts: pa.StringArray) -> None:
    """Raise `Unfit`, without a path, with the items that are larger than DynamoDB's largest; null texts are none.

    The JSON text is never shorter than the item as DynamoDB counts it, so only long texts need counting.
    """
    long = pc.fill_null(pc.greater(pc.binary_length(texts), LARGEST_ITEM), False)
    found: dict[int, tuple[object, str]] = {}
    for row in np.flatnonzero(long.to_numpy(zero_copy_only=False)).tolist():
        size = item_size(orjson.loads(texts[row].as_py()))
        if size > LARGEST_ITEM:
            problem = (
                f"the item is {size:,} bytes, and DynamoDB takes at most {LARGEST_ITEM:,} with names and values; "
                "keep large values in S3 and their address here, or split the item"
            )
            found[row] = None, problem
    if found:
        raise Unfit(found)


def item_size(attributes: Mapping[str, Mapping[str, object]]) -> int:
    """The size of an item in bytes as DynamoDB counts it: names and values in UTF-8, 3 + 1 per entry for lists and maps.

    >>> item_size({"id": {"S": "a"}, "n": {"N": "7"}})
    6
    """
    return sum(len(name.encode()) + _value_size(attribute) for name, attribute in attributes.items())


def _value_size(attribute: Mapping[str, object]) -> int:
    ((tag, value),) = attribute.items()
    return _SIZES[tag](value)


def _binary_size(text: str) -> int:
    return len(text) // 4 * 3 - text.count("=", -2)


def _number_size(text: str) -> int:
    """One byte for two significant digits, and one more, two for a negative number."""
    digits = text.upper().split("E")[0].lstrip("-").replace(".", "").strip("0")
    return (len(digits) + 1) // 2 + 1 + text.startswith("-")


_SIZES: Mapping[str, Callable[[Any], int]] = {
    "S": lambda text: len(text.encode()),
    "N": _number_size,
    "B": _binary_size,
    "BOOL": lambda _: 1,
    "NULL": lambda _: 1,
    "SS": lambda texts: sum(len(text.encode()) for text in texts),
    "NS": lambda texts: sum(map(_number_size, texts)),
    "BS": lambda texts: sum(map(_binary_size, texts)),
    "L": lambda elements: 3 + sum(1 + _value_size(element) for element in elements),
    "M": lambda attributes: 3 + len(attributes) + item_size(attributes),
}
