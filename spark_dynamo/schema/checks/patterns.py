"""Pydantic's patterns, which are Rust's regular expressions, as the ones of Java that Spark evaluates: `java_pattern`.

Only what is common and can't mean two things is taken: characters, `.`, classes of characters, `\\d`, `\\w` and `\\s`, groups,
alternatives, quantifiers, `^` and `$`. Those mean what they mean to Rust: `$` is the very end, `.` is all but a line feed,
`\\d`, `\\w` and `\\s` are Unicode's. Whatever else there is (flags, word boundaries, properties of Unicode, classes within
classes) is a PatternError. Which letters and digits there are is a matter of the Unicode version, of which Java and Rust may have
different ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

__all__ = ["WHITE_SPACE", "PatternError", "java_pattern", "repeats_group"]

# what Unicode calls White_Space: Rust's `\s`, and what its `trim` takes away
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"

_TOKEN = re.compile(
    r"""(?P<set>\\[dws])
    | (?P<other_set>\\[DWS])
    | (?P<character>\\[!-/:;=?@\[-`{-~] | \\[nrtfv] | [^\\\[\](){}*+?|^$.])
    | (?P<any>\.)
    | (?P<start>\^)
    | (?P<end>\$)
    | (?P<either>\|)
    | (?P<open>\((?:\?:|\?P?<\w+>|(?!\?)))
    | (?P<close>\))
    | (?P<times>(?:[*+?]|\{\d+(?P<upper>,(?P<most>\d*))?\})\??)
    | (?P<class>\[\^?(?:\\.|[^\[\]\\^])(?:\\.|[^\[\]\\])*\])""",
    re.VERBOSE | re.DOTALL,
)
_MEMBER = re.compile(r"(\\[dws])|(\\[!-/:-@\[-`{-~]|\\[nrtfv]|[^\\])(?:-(\\[!-/:-@\[-`{-~]|[^\\]))?", re.DOTALL)
_DIGIT, _WORD = r"\p{Nd}", r"\p{IsAlphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}"
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v"}
_REPEATABLE = frozenset({"set", "other_set", "character", "any", "class", "close"})
_FEW_TIMES = 20


class PatternError(ValueError):
    """A pattern with something that is not translated for Java; the text says what."""


def java_pattern(pattern: str) -> str:
    r"""The Java pattern that is found in exactly those texts in which Rust finds `pattern`.

    Raises PatternError for a pattern with anything but characters, classes of them, groups, alternatives, quantifiers, `^` and `$`.

    >>> java_pattern(r"^\d{3}-[a-z.]+$")
    '\\A[\\p{Nd}]{3}\\-[a-z\\.]+\\z'
    """
    return _translated(pattern)[0]


def repeats_group(pattern: str) -> bool:
    """Whether Java needs room on its stack for each time that a group of the pattern is repeated: a long text ends the JVM.

    >>> repeats_group("^[a-z]+(-[a-z]+)*$"), repeats_group("^[a-z-]+(, )?$")
    (True, False)
    """
    return _translated(pattern)[1]


@lru_cache(maxsize=1000)
def _translated(pattern: str) -> tuple[str, bool]:
    written, position, depth, before, is_repeated = "", 0, 0, None, False
    while position < len(pattern):
        found = _TOKEN.match(pattern, position)
        kind = found.lastgroup if found else None
        depth += (kind == "open") - (kind == "close")
        if found is None or kind is None or depth < 0 or (kind == "times" and before not in _REPEATABLE):
            raise PatternError(f"has {pattern[position : position + 8]!r} at position {position}")
        if kind == "times":
            most = (
                found["most"] if found["upper"] else re.sub(r"\D", "", found[0]) or ("1" if found[0][0] == "?" else "")
            )
            is_repeated |= before == "close" and (not most or int(most) > _FEW_TIMES)
        written += _WRITERS[kind](found[0]) if kind in _WRITERS else _FIXED.get(kind, found[0])
        position, before = found.end(), kind
    if depth:
        raise PatternError("has a group without an end")
    return written, is_repeated


def _character(text: str) -> str:
    character = _CONTROLS.get(text[1:], text[1:]) if text[0] == "\\" and len(text) > 1 else text
    if character.isascii() and character.isalnum():
        return character
    return (
        f"\\{character}" if character.isascii() and character.isprintable() and character != " " else _code(character)
    )


def _code(character: str) -> str:
    return f"\\x{{{ord(character):X}}}"


def _class(text: str) -> str:
    body, written = text[1:-1], ""
    if body.startswith("^"):
        body, written = body[1:], "^"
    if any(operation in body for operation in ("&&", "--", "~~")):
        raise PatternError(f"has a set operation in the class {text}")
    position = 0
    while position < len(body):
        found = _MEMBER.match(body, position)
        if found is None:
            raise PatternError(f"has {body[position : position + 2]!r} in the class {text}")
        named, first, last = found.groups()
        written += _SETS[named] if named else _character(first) + (f"-{_character(last)}" if last else "")
        position = found.end()
    return f"[{written}]"


_SETS: Mapping[str, str] = MappingProxyType({r"\d": _DIGIT, r"\w": _WORD, r"\s": "".join(map(_code, WHITE_SPACE))})
_FIXED: Mapping[str, str] = MappingProxyType({"any": r"[^\n]", "start": r"\A", "end": r"\z", "open": "(?:"})
_WRITERS = MappingProxyType(
    {
        "set": lambda text: f"[{_SETS[text]}]",
        "other_set": lambda text: f"[^{_SETS[text.lower()]}]",
        "character": _character,
        "class": _class,
    }
)
