"""LIKE patterns: what stands for itself, and the wildcards."""

from __future__ import annotations

from spark_dynamo.errors import shorten
from spark_dynamo.predicates.refusals import refused
from spark_dynamo.predicates.tree import Wildcard

_WILDCARDS = {"_": Wildcard.ONE, "%": Wildcard.MANY}


def like_pattern(pattern: str, escape: str) -> tuple[str | Wildcard, ...]:
    """The parts of a pattern; `OptionError` where the escape character stands before an ordinary one or at the end.

    >>> like_pattern("a%", "\\\\")
    ('a', <Wildcard.MANY: '%'>)
    """
    parts: list[str | Wildcard] = []
    characters = iter(pattern)
    for character in characters:
        if character == escape:
            escaped = next(characters, None)
            if escaped is None or escaped not in ("_", "%", escape):
                raise refused(
                    f"has the LIKE pattern {shorten(repr(pattern))}, in which the escape character '{escape}' stands "
                    f"before neither _, % nor itself; double it"
                )
            _append(parts, escaped)
        elif character in _WILDCARDS:
            wildcard = _WILDCARDS[character]
            if not (wildcard is Wildcard.MANY and parts[-1:] == [wildcard]):
                parts.append(wildcard)
        else:
            _append(parts, character)
    return tuple(parts)


def _append(parts: list[str | Wildcard], character: str) -> None:
    if parts and isinstance(parts[-1], str):
        parts[-1] += character
    else:
        parts.append(character)
