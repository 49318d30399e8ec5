"""DynamoDB attribute values <-> the Python values that people who know boto3 expect.

| DynamoDB | Python |
|---|---|
| S, BOOL, NULL | str, bool, None |
| N | Decimal, with all its digits; int and float are taken on the way back, a float in its shortest decimal form |
| B | bytes |
| L, M | list, dict |
| SS, NS, BS | set of str, Decimal or bytes |
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from spark_dynamo.errors import shorten

__all__ = ["to_attribute", "to_attributes", "to_python", "to_values"]


def to_values(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """An item's attributes as Python values.

    >>> to_values({"id": {"S": "a"}, "n": {"N": "1.50"}})
    {'id': 'a', 'n': Decimal('1.50')}
    """
    return {name: to_python(attribute) for name, attribute in item.items()}


def to_attributes(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The item in DynamoDB JSON, binaries as base64 text; ValueError, with the path, for a value that has no form in it.

    What DynamoDB refuses inside of a well-formed value, such as a number of 39 digits, is not looked for.

    >>> to_attributes({"id": "a", "n": 7, "tags": {"x"}})
    {'id': {'S': 'a'}, 'n': {'N': '7'}, 'tags': {'SS': ['x']}}
    """
    for name in values:
        if type(name) is not str:
            raise ValueError(f"it has an attribute named {name!r}, and names are text")
    return {name: to_attribute(value, name) for name, value in values.items()}


def to_python(attribute: Mapping[str, Any], number: Callable[[str], Any] = Decimal) -> Any:
    """The Python value of one attribute value; `number` makes that of a number's text.

    >>> to_python({"L": [{"NULL": True}, {"NS": ["1"]}]})
    [None, {Decimal('1')}]
    """
    ((tag, payload),) = attribute.items()
    return _READ[tag](payload, number)


def to_attribute(value: Any, path: str = "") -> dict[str, Any]:
    """One value in DynamoDB JSON; `path` leads to it in the ValueError for a value that has no form there."""
    write = _WRITE.get(type(value))
    if write is None:
        write = next((found for kind, found in _WRITE.items() if isinstance(value, kind)), None)
    if write is None and type(value).__name__ == "Binary":  # boto3's own wrapper, which this room can't name
        return _binary(bytes(value), path)
    if write is None:
        raise ValueError(
            f"'{path}' is {shorten(value)}, of type {type(value).__name__}, which DynamoDB has no type for; give str, int, "
            "Decimal, bool, bytes, None, a list, dict or set"
        )
    return write(value, path)


_READ: Mapping[str, Callable[[Any, Callable[[str], Any]], Any]] = {
    "S": lambda text, number: text,
    "N": lambda text, number: number(text),
    "BOOL": lambda flag, number: flag,
    "NULL": lambda _, number: None,
    "B": lambda text, number: b64decode(text),
    "L": lambda values, number: [to_python(value, number) for value in values],
    "M": lambda values, number: {name: to_python(value, number) for name, value in values.items()},
    "SS": lambda texts, number: set(texts),
    "NS": lambda texts, number: set(map(number, texts)),
    "BS": lambda texts, number: set(map(b64decode, texts)),
}


def _number(value: Decimal | int | float, path: str) -> dict[str, Any]:
    if isinstance(value, float):
        value = Decimal(repr(value))
    if not isinstance(value, int) and not value.is_finite():
        raise ValueError(f"'{path}' is {value}, and DynamoDB's numbers are finite")
    return {"N": str(value)}


def _text(value: str, path: str) -> dict[str, Any]:
    text = str.__str__(value)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"'{path}' holds half of a surrogate pair, which is no Unicode text") from error
    return {"S": text}


def _binary(value: bytes | bytearray, path: str) -> dict[str, Any]:
    return {"B": b64encode(value).decode()}


def _list(values: list[Any] | tuple[Any, ...], path: str) -> dict[str, Any]:
    return {"L": [to_attribute(value, f"{path}[{place}]") for place, value in enumerate(values)]}


def _map(values: Mapping[str, Any], path: str) -> dict[str, Any]:
    for name in values:
        if type(name) is not str:
            raise ValueError(f"'{path}' has a key {name!r}, and the keys of maps are text")
    return {"M": {name: to_attribute(value, f"{path}.{name}") for name, value in values.items()}}


def _set(values: set[Any] | frozenset[Any], path: str) -> dict[str, Any]:
    elements = [to_attribute(value, f"{path}[]") for value in values]
    tags = {tag for element in elements for tag in element}
    if len(tags) != 1 or not tags <= {"S", "N", "B"}:
        held = "nothing" if not tags else "values of the types " + ", ".join(sorted(tags))
        raise ValueError(f"'{path}' is a set of {held}; DynamoDB's hold str, numbers or bytes, all of one kind")
    tag = tags.pop()
    return {f"{tag}S": sorted(element[tag] for element in elements)}


_WRITE: Mapping[type, Callable[[Any, str], dict[str, Any]]] = {
    str: _text,
    bool: lambda flag, path: {"BOOL": flag},
    Decimal: _number,
    int: _number,
    float: _number,
    bytes: _binary,
    bytearray: _binary,
    type(None): lambda _, path: {"NULL": True},
    list: _list,
    tuple: _list,
    dict: _map,
    set: _set,
    frozenset: _set,
}
