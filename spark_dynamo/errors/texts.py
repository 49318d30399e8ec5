"""How errors show names and values: short, and never all of a long one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

_LONGEST_SHOWN_VALUE = 120


def shorten(value: object) -> str:
    """The `repr` of a value, cut in the middle to at most 120 characters."""
    text = value if isinstance(value, str) else repr(value)
    if len(text) <= _LONGEST_SHOWN_VALUE:
        return text
    half = _LONGEST_SHOWN_VALUE // 2
    return f"{text[:half]}…[{len(text) - 2 * half} characters left out]…{text[-half:]}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `name` (letter case aside), or None where none is close."""
    return next(iter(near(name, known, 1)), None)


def near(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names that are like `name` (letter case aside), `most` of them at most, the nearest first."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    return [by_lower[match] for match in get_close_matches(name.lower(), by_lower, n=most, cutoff=0.6)]


def show_key(key: Mapping[str, object]) -> str:
    """A primary key as people write it, `{id='42', day=7}`, each value shortened."""
    return "{" + ", ".join(f"{name}={shorten(repr(value))}" for name, value in key.items()) + "}"
