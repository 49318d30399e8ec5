"""Numbers on their way to a local server as DynamoDB would store them: without the zeros that say nothing.

DynamoDB counts 38 significant digits. moto counts zeros, too: it takes such a number, and fails at each read with a projection.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

MOST_DIGITS = 38
_LONG = re.compile(rb"[0-9.]{39,}")


class TooManyDigitsError(ValueError):
    """A number has more significant digits than DynamoDB takes; the message is DynamoDB's."""


def shorten_numbers(body: bytes) -> bytes:
    """A request in which each number of more than 38 digits is written with an exponent in place of its last zeros.

    >>> shorten_numbers(b'{"Key":{"id":{"N":"%s"}}}' % (b"12" + b"0" * 40))
    b'{"Key":{"id":{"N":"1.2E+41"}}}'
    """
    if not _LONG.search(body):
        return body
    try:
        request = json.loads(body)
    except ValueError:  # the server says what is wrong with it
        return body
    return json.dumps(_shortened(request), separators=(",", ":")).encode()


def _shortened(value: Any) -> Any:
    if isinstance(value, list):
        return [_shortened(element) for element in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"N": str(text), **others} if not others:
            return {"N": _number(text)}
        case {"NS": list(texts), **others} if not others and all(isinstance(text, str) for text in texts):
            return {"NS": [_number(text) for text in texts]}
    return {name: _shortened(element) for name, element in value.items()}


def _number(text: str) -> str:
    try:
        sign, digits, exponent = Decimal(text).as_tuple()
    except InvalidOperation:  # no number: the server says so
        return text
    if len(digits) <= MOST_DIGITS or not isinstance(exponent, int):
        return text
    written = "".join(map(str, digits))
    significant = written.rstrip("0")
    if len(significant) > MOST_DIGITS:
        raise TooManyDigitsError("Attempting to store more than 38 significant digits in a Number")
    # with a point, as moto takes what has none for an integer
    return f"{'-' * sign}{significant[0]}.{significant[1:] or '0'}E{exponent + len(written) - 1:+d}"
