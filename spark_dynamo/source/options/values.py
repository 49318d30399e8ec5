"""What the texts of options mean: each function takes the text, or makes one that does; ValueError says what is expected."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping


def text(value: str) -> str:
    """Any text but white space, without the white space around it."""
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


def flag(value: str) -> bool:
    """`true` or `false`, in any case."""
    flags = {"true": True, "false": False}
    if value.strip().lower() not in flags:
        raise ValueError("must be true or false")
    return flags[value.strip().lower()]


def count(most: int) -> Callable[[str], int]:
    """Whole numbers from 1 to `most`."""

    def parse(value: str) -> int:
        if not value.strip().isdecimal() or not 1 <= int(value) <= most:
            raise ValueError(f"must be a whole number from 1 to {most:,}")
        return int(value)

    return parse


def amount(least: float = 0.0, most: float = float("inf")) -> Callable[[str], float]:
    """Numbers above `least` and up to `most`."""
    expected = f"must be a number above {least:g}" + (f" and up to {most:g}" if math.isfinite(most) else "")

    def parse(value: str) -> float:
        try:
            amount = float(value)
        except ValueError:
            raise ValueError(expected) from None
        if math.isinf(amount) and amount > 0:
            raise ValueError(f"{expected}, and finite")
        if not least < amount <= most:
            raise ValueError(expected)
        return amount

    return parse


_ROLE = re.compile(r"arn:[\w-]+:iam::\d+:role/\S+", re.ASCII)
_REGION = re.compile(r"(?!-)(?!\d+$)[a-z0-9-]{1,63}(?<!-)", re.ASCII | re.IGNORECASE)


def role(value: str) -> str:
    """The ARN of a role of IAM."""
    return _fitting(_ROLE, value, "must be the ARN of a role, as in arn:aws:iam::123456789012:role/reader")


def region(value: str) -> str:
    """The name of a region."""
    return _fitting(_REGION, value, "must be the name of an AWS region, as in eu-central-1")


def _fitting(pattern: re.Pattern[str], value: str, expected: str) -> str:
    if not pattern.fullmatch(text(value)):
        raise ValueError(expected)
    return text(value)


def one_of(*choices: str, elsewhere: Mapping[str, str] | None = None) -> Callable[[str], str]:
    """One of the choices, in any case; `elsewhere` says what to do with words that another option or method takes."""
    by_lower = {choice.lower(): choice for choice in choices}

    def parse(value: str) -> str:
        if value.strip().lower() not in by_lower:
            hint = (elsewhere or {}).get(value.strip().lower())
            raise ValueError(f"must be one of {', '.join(choices)}{f' ({hint})' if hint else ''}")
        return by_lower[value.strip().lower()]

    return parse


def one_of_or_text(*choices: str) -> Callable[[str], str]:
    """One of the choices, in any case, or any other text, as a path."""
    by_lower = {choice.lower(): choice for choice in choices}

    def parse(value: str) -> str:
        return by_lower.get(value.strip().lower()) or text(value)

    return parse


_NAME_IN_LIST = re.compile(r"\s*(?:`((?:[^`]|``)+)`|([^`,]*[^`,\s]))\s*(?:,|$)")


def names(value: str) -> tuple[str, ...]:
    """Column names between commas; backticks enclose a name that holds a comma."""
    names: list[str] = []
    position = 0
    while position < len(value):
        found = _NAME_IN_LIST.match(value, position)
        if found is None:
            break
        names.append(found[1].replace("``", "`") if found[1] else found[2])
        position = found.end()
    if position < len(value) or not names or value.rstrip().endswith(","):
        raise ValueError("must be names between commas, as in `id, amount`; a name with a comma stands in backticks")
    if len(set(names)) < len(names):
        raise ValueError("must name each column once")
    return tuple(names)
