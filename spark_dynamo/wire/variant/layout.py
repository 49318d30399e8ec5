"""What both directions of the VARIANT codec share: type ids, tags, and the parts of a number."""

from __future__ import annotations

import re

from spark_dynamo.errors import shorten

TAGS = frozenset({"$SS", "$NS", "$BS", "$N", "$M"})
SIZE_LIMIT = 16 * 1024 * 1024  # Spark refuses larger binaries

# the two low bits of a header byte; in a primitive's (0), the six bits above them are one of the ids below
SHORT_STRING, OBJECT, ARRAY = 1, 2, 3
NULL, TRUE, FALSE, DOUBLE, DATE, TIMESTAMP, TIMESTAMP_NTZ, FLOAT = 0, 1, 2, 7, 11, 12, 13, 14
BINARY, STRING, UUID = 15, 16, 20
INTEGERS = ((3, 1), (4, 2), (5, 4), (6, 8))  # id, bytes
DECIMALS = ((8, 4), (9, 8), (10, 16))  # id, bytes; for 9, 18 and 38 digits

NUMBER = re.compile(r"([+-]?)(?=\.?\d)(\d*)\.?(\d*)(?:[eE]([+-]?\d{1,9}))?", re.ASCII)


def parse_number(text: str) -> tuple[str, str, int]:
    """A number as sign, digits without zeros at either end, and scale: "-1.50" is ("-", "15", 1), zero ("", "", 0)."""
    match = NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"{shorten(text) or 'an empty text'} is not a finite number")
    sign, whole, fraction, exponent = match.groups()
    written = whole + fraction
    digits = written.rstrip("0")
    if not digits:
        return "", "", 0
    scale = len(fraction) - len(written) + len(digits)
    if exponent:
        scale -= int(exponent)
    return ("-" if sign == "-" else ""), digits.lstrip("0"), scale
