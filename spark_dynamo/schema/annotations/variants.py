"""Python values <-> VARIANT, by way of DynamoDB's attribute values, for annotations that don't say what they hold: Any, JsonValue.

What comes back is what DynamoDB knows: int, Decimal, str, bool, bytes, None, list, dict, and sets of numbers, texts or bytes.
A float comes back as a Decimal or an int, a tuple as a list, and what is stored as text (a time, a UUID, a path) as text.
"""

from __future__ import annotations

import base64
import dataclasses
import operator
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any, get_args

from pydantic import BaseModel, JsonValue
from pyspark.sql.types import VariantType

from spark_dynamo.errors import shorten
from spark_dynamo.schema.annotations.leaves import LEAVES, whole_microseconds, whole_microseconds_of_span
from spark_dynamo.schema.annotations.places import Place
from spark_dynamo.schema.nodes import Node
from spark_dynamo.wire.kernels import EMPTY_NAME, EMPTY_SET, number_problem
from spark_dynamo.wire.python_values import to_python
from spark_dynamo.wire.variant import decode_variant, encode_variant

__all__ = ["any_node", "attribute_of", "dump_variant", "is_any", "load_variant", "value_of"]

Attribute = Mapping[str, Any]

_ANYTHING = (Any, object, JsonValue)


def is_any(annotation: Any) -> bool:
    """Whether the annotation says nothing of the value: Any, object, JsonValue, or one of them or None; or None alone."""
    arms = get_args(annotation) or (annotation,)
    return all(arm in (*_ANYTHING, None, type(None)) for arm in arms)


def any_node(place: Place, annotation: Any) -> Node:
    """The node of a value of any kind: VARIANT, which may be null."""
    place.refuse_form("a dict" if annotation is Mapping else "a value of any type")
    return Node(
        place.path, VariantType(), True, constraints=place.constraints, dump=_dump_any(place.path), load=load_variant
    )


def _dump_any(path: str) -> Callable[[Any], dict[str, bytes]]:
    def dump(value: Any) -> dict[str, bytes]:
        try:
            return dump_variant(attribute_of(value))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    return dump


def dump_variant(attribute: Attribute) -> dict[str, bytes]:
    """The pair of binaries of an attribute value in DynamoDB JSON, as Arrow takes it."""
    value, metadata = encode_variant(attribute)
    return {"value": value, "metadata": metadata}


def load_variant(pair: Mapping[str, bytes]) -> Any:
    """The Python value behind a pair of binaries."""
    return value_of(decode_variant(pair["value"], pair["metadata"]))


def attribute_of(value: Any) -> Attribute:
    """The attribute value, in DynamoDB JSON, of a Python value; ValueError for one that DynamoDB can't hold.

    >>> attribute_of({"price": Decimal("1.50"), "tags": {"b", "a"}})
    {'M': {'price': {'N': '1.50'}, 'tags': {'SS': ['a', 'b']}}}
    """
    write = next((_WRITERS[kind] for kind in type(value).__mro__ if kind in _WRITERS), None)
    if write is not None:
        return write(value)
    leaf = next((LEAVES[kind] for kind in type(value).__mro__ if kind in LEAVES), None)
    if leaf is not None and leaf.dump is not None:
        return attribute_of(leaf.dump(value))
    if isinstance(value, Mapping):
        return _map(value)
    if isinstance(value, Set):
        return _set(value)
    if isinstance(value, Sequence):
        return {"L": [attribute_of(element) for element in value]}
    if dataclasses.is_dataclass(value):
        return _map({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    raise ValueError(f"{shorten(repr(value))} is of type {type(value).__name__}, which a VARIANT can't hold")


def _number(value: Any) -> Attribute:
    text = str(value)
    problem = "" if len(text) <= 18 and text.isdecimal() else number_problem(text)
    if problem:
        raise ValueError(f"{shorten(text)} can't be stored: {problem}")
    return {"N": text}


def _map(value: Mapping[Any, Any]) -> Attribute:
    for name in value:
        if not isinstance(name, str):
            raise ValueError(f"the key {name!r} is no text, and DynamoDB's names are")
        if not name:
            raise ValueError(EMPTY_NAME)
    return {"M": {str(name): attribute_of(held) for name, held in value.items()}}


def _set(value: Set[Any]) -> Attribute:
    elements = [attribute_of(element) for element in value]
    tags = {tag for element in elements for tag in element}
    if not elements:
        raise ValueError(EMPTY_SET)
    if len(tags) > 1 or not tags <= {"S", "N", "B"}:
        raise ValueError(
            f"{shorten(repr(value))} is no set of texts, numbers or bytes alone, and DynamoDB has no other"
        )
    (tag,) = tags
    return {f"{tag}S": sorted(element[tag] for element in elements)}


def _moment(value: datetime) -> Attribute:
    moment = whole_microseconds(value).astimezone(UTC) if value.tzinfo else whole_microseconds(value)
    return {"S": moment.isoformat(timespec="microseconds")}


def _span(value: timedelta) -> Attribute:
    microseconds = whole_microseconds_of_span(value) // timedelta(microseconds=1)
    return _number(f"{Decimal(microseconds).scaleb(-6):f}")


_WRITERS: Mapping[type, Callable[[Any], Attribute]] = MappingProxyType(
    {
        type(None): lambda _: {"NULL": True},
        bool: lambda value: {"BOOL": value},
        Enum: lambda value: attribute_of(value.value),
        int: lambda value: _number(operator.index(value)),
        float: lambda value: _number(repr(float(value))),
        Decimal: _number,
        str: lambda value: {"S": str.__str__(value)},  # str() of an Enum would be its name
        **dict.fromkeys((bytes, bytearray), lambda value: {"B": base64.b64encode(value).decode()}),
        dict: _map,
        BaseModel: lambda value: _map(value.model_dump()),
        datetime: _moment,
        date: lambda value: {"S": value.isoformat()},
        time: lambda value: {"S": value.isoformat()},
        timedelta: _span,
    }
)


def value_of(attribute: Attribute) -> Any:
    """The Python value of an attribute value in DynamoDB JSON.

    >>> value_of({"M": {"price": {"N": "1.50"}, "count": {"N": "3"}}})
    {'price': Decimal('1.50'), 'count': 3}
    """
    return to_python(attribute, _read_number)


def _read_number(text: str) -> int | Decimal:
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    return int(number) if isinstance(exponent, int) and exponent == 0 else number
