"""Whether a stored item already is what a write wanted: plain comparisons of attribute values in DynamoDB JSON.

DynamoDB keeps a number's value and not its text, and a set's elements in no order; a binary is base64 text here.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
import pyarrow as pa

from spark_dynamo.wire.kernels import canonical_number

_NAME = r"#?\w+"
_ASSIGNMENT = rf"{_NAME}\s*=\s*:\w+"
_UPDATE = re.compile(
    rf"\s*(?:SET\s+({_ASSIGNMENT}(?:\s*,\s*{_ASSIGNMENT})*))?\s*(?:REMOVE\s+({_NAME}(?:\s*,\s*{_NAME})*))?\s*",
    re.IGNORECASE,
)
# in JSON without spaces, of which these are structure wherever they stand: quotes inside of a string are escaped
_UNORDERED = re.compile(rb'"[SNB]S":\[|"B":"[^"]*(?:[^AQgw]==|[^AEIMQUYcgkosw048=]=)"')  # sets, unusual base64
_OTHER_NUMBER = re.compile(rb'"N":"(?!(?:0|-?[1-9]\d*|-?(?:0|[1-9]\d*)\.\d*[1-9])")([^"]*)"')


def is_done(operation: str, action: Mapping[str, Any], stored: Mapping[str, Any] | None) -> bool:
    """Whether the item that was found (None: there is none) already is what the action would make of it.

    `action` is what stands in Put, Update or Delete of a TransactWriteItems request. Of an update's expression only plain
    `SET name = :value` and `REMOVE name` are understood; any other is never taken as done.

    >>> is_done("put", {"Item": {"id": {"S": "a"}, "n": {"N": "1.0"}}}, {"n": {"N": "1"}, "id": {"S": "a"}})
    True
    >>> is_done("delete", {"Key": {"id": {"S": "a"}}}, None)
    True
    >>> update = {"UpdateExpression": "SET #u0=:u0 REMOVE b", "ExpressionAttributeNames": {"#u0": "a"}}
    >>> is_done("update", {**update, "ExpressionAttributeValues": {":u0": {"S": "x"}}}, {"a": {"S": "x"}})
    True
    """
    if operation == "delete":
        return stored is None
    if stored is None:
        return False
    if operation == "update":
        return _is_updated(action, stored)
    return is_same_item(action["Item"], stored)


def is_same_item(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Whether two items have the same attributes with the same values.

    >>> is_same_item({"s": {"NS": ["1", "2.0"]}}, {"s": {"NS": ["2", "1"]}})
    True
    """
    return left.keys() == right.keys() and all(is_same(left[name], right[name]) for name in left)


def is_same(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Whether two attribute values are of one type and equal in DynamoDB's sense; numbers are compared by all their digits.

    >>> is_same({"N": "1.0"}, {"N": "1"}), is_same({"N": "1"}, {"S": "1"})
    (True, False)
    """
    return comparable(left) == comparable(right)


def comparable(value: Mapping[str, Any]) -> Hashable:
    """An attribute value as what is equal for values that are the same.

    >>> comparable({"L": [{"N": "1.0"}]}) == comparable({"L": [{"N": "1"}]})
    True
    """
    ((tag, held),) = value.items()
    if tag == "M":
        return tag, frozenset((name, comparable(field)) for name, field in held.items())
    if tag == "L":
        return tag, tuple(map(comparable, held))
    return tag, (_COMPARABLE[tag](held) if tag in _COMPARABLE else held)


def canonical_texts(items: Iterable[Mapping[str, Any]]) -> pa.StringArray:
    """One text for each item in DynamoDB JSON; two texts are equal exactly where `is_same_item` holds.

    >>> canonical_texts([{"n": {"N": "1.50"}, "id": {"S": "a"}}, {"id": {"S": "a"}, "n": {"N": "1.5"}}]).to_pylist()
    ['{"id":{"S":"a"},"n":{"N":"1.5"}}', '{"id":{"S":"a"},"n":{"N":"1.5"}}']
    """
    return pa.array(map(_canonical_text, items), pa.string())


def _canonical_text(item: Mapping[str, Any]) -> bytes:
    text = orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
    if _UNORDERED.search(text):
        ordered = {name: _ordered(value) for name, value in item.items()}
        text = orjson.dumps(ordered, option=orjson.OPT_SORT_KEYS)
    return _OTHER_NUMBER.sub(lambda found: b'"N":"%s"' % canonical_number(found[1].decode()).encode(), text)


def _ordered(value: Mapping[str, Any]) -> dict[str, Any]:
    """An attribute value with the elements of its sets in order, and base64 as it is usually written."""
    ((tag, held),) = value.items()
    match tag:
        case "M":
            return {tag: {name: _ordered(field) for name, field in held.items()}}
        case "L":
            return {tag: [_ordered(element) for element in held]}
        case "NS":
            return {tag: sorted(map(canonical_number, held))}
        case "B":
            return {tag: _usual(held)}
        case "SS" | "BS":
            return {tag: sorted(map(_usual, held) if tag == "BS" else held)}
    return {tag: held}


def _usual(base64: str) -> str:
    found = _binary(base64)
    return base64 if isinstance(found, str) else binascii.b2a_base64(found, newline=False).decode()


def _is_updated(action: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    found = _UPDATE.fullmatch(action.get("UpdateExpression", ""))
    if found is None:
        return False
    names, values = action.get("ExpressionAttributeNames", {}), action.get("ExpressionAttributeValues", {})
    for assignment in _listed(found[1]):
        name, value = (part.strip() for part in assignment.split("="))
        attribute = names.get(name, name)
        if attribute not in stored or not is_same(values[value], stored[attribute]):
            return False
    return all(names.get(name, name) not in stored for name in _listed(found[2]))


def _listed(clause: str | None) -> list[str]:
    return [part.strip() for part in clause.split(",")] if clause else []


def _number(text: str) -> Hashable:
    try:
        return Decimal(text)
    except InvalidOperation:  # no DynamoDB number, so equal to its own text alone
        return text


def _binary(text: str) -> bytes | str:
    try:
        return binascii.a2b_base64(text)
    except ValueError:
        return text


_COMPARABLE: Mapping[str, Callable[[Any], Hashable]] = {
    "N": _number,
    "B": _binary,
    "SS": frozenset,
    "NS": lambda texts: frozenset(map(_number, texts)),
    "BS": lambda texts: frozenset(map(_binary, texts)),
}
