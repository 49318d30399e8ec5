"""What is wrong with JSON that should be an attribute value, in DynamoDB's words: for messages, where something is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from spark_dynamo.errors import shorten
from spark_dynamo.wire.item_limits import TOO_DEEP
from spark_dynamo.wire.scalars import read_binary
from spark_dynamo.wire.variant.layout import parse_number

NO_VALUE = 'it is no attribute value, which has one type, as in {"S":"text"}'
_TYPES = "DynamoDB's are S, N, B, BOOL, NULL, M, L, SS, NS and BS"


def shape_problem(attribute: Any) -> str:
    """The first thing that is wrong with what should be an attribute value in parsed DynamoDB JSON; empty where nothing is.

    >>> shape_problem({"N": 5})
    'a number stands in quotes, as in {"N":"5"}'
    >>> shape_problem({"L": [{"S": "x"}, None]})
    'at [1] it is null, which is not a DynamoDB attribute value; null is {"NULL":true}'
    """
    try:
        return next(_problems(attribute, ""), "")
    except RecursionError:
        return TOO_DEEP


def _problems(attribute: Any, path: str) -> Iterator[str]:
    where = f"at {path} it is {show_json(attribute)}, " if path else ""
    if not isinstance(attribute, dict) or len(attribute) != 1:
        form = 'null is {"NULL":true}' if attribute is None else 'one has one type, as in {"S":"text"}'
        yield f"{where}which is not a DynamoDB attribute value; {form}" if path else NO_VALUE
        return
    ((tag, payload),) = attribute.items()
    problem = _CHECKS[tag](payload) if tag in _CHECKS else f"the type '{shorten(tag)}' is unknown; {_TYPES}"
    if problem:
        yield where + ("and " if where else "") + problem
    elif tag == "L":
        for index, element in enumerate(payload):
            yield from _problems(element, f"{path}[{index}]")
    elif tag == "M":
        for name, value in payload.items():
            yield from filter(None, [_of_text(name)])
            yield from _problems(value, f"{path}.{name}" if path else name)


def _string(text: Any) -> str:
    return (
        _of_text(text)
        if isinstance(text, str)
        else f'a string stands in quotes, as in {{"S":"{_inside(text, "text")}"}}'
    )


def _of_text(text: str) -> str:
    return "" if _is_utf8(text) else "it is not valid UTF-8 (a lone surrogate, say)"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(text: Any) -> str:
    if not isinstance(text, str):
        return f'a number stands in quotes, as in {{"N":"{_inside(text, "5")}"}}'
    return _refusal(parse_number, text)


def _binary(text: Any) -> str:
    return _refusal(read_binary, text) if isinstance(text, str) else 'a binary is base64 text, as in {"B":"AAE="}'


def _refusal(read: Callable[[str], object], text: str) -> str:
    try:
        read(text)
    except ValueError as error:
        return str(error)
    return ""


def _set_of(check: Callable[[Any], str], example: str) -> Callable[[Any], str]:
    def check_set(elements: Any) -> str:
        if not isinstance(elements, list):
            return f"a set is an array, as in {example}"
        return next(filter(None, map(check, elements)), "")

    return check_set


_CHECKS: Mapping[str, Callable[[Any], str]] = {
    "S": _string,
    "N": _number,
    "B": _binary,
    "BOOL": lambda flag: "" if isinstance(flag, bool) else 'a BOOL is {"BOOL":true} or {"BOOL":false}',
    "NULL": lambda flag: "" if flag is True else f"NULL is always true, not {show_json(flag)}",
    "M": lambda fields: "" if isinstance(fields, dict) else 'a map is an object, as in {"M":{"name":{"S":"text"}}}',
    "L": lambda elements: "" if isinstance(elements, list) else 'a list is an array, as in {"L":[{"S":"text"}]}',
    "SS": _set_of(_string, '{"SS":["text"]}'),
    "NS": _set_of(_number, '{"NS":["5"]}'),
    "BS": _set_of(_binary, '{"BS":["AAE="]}'),
}


def _inside(value: Any, example: str) -> str:
    """A number as it is; in place of anything else the example."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else example


def show_json(value: Any) -> str:
    """A value for messages, as JSON where it is such, cut in the middle where it is long."""
    try:
        return shorten(orjson.dumps(value).decode())
    except TypeError:  # what is no JSON, in a value from Python
        return shorten(value)
