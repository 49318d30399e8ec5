"""Pydantic's patterns, which are Rust's regular expressions, as the ones of Java that Spark evaluates: `java_pattern`.

The text is parsed by Rust's rules and written anew, so that nothing means two things: `$` is the very end, `.` is all but a line
feed, `\\d`, `\\w`, `\\s` and `\\b` are Unicode's. Only whether there is a match counts, so greediness and the names of groups
are dropped. What has no exact counterpart is a PatternError. Which letters and digits there are is a matter of the Unicode
version, of which Java and Rust may have different ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

__all__ = ["WHITE_SPACE", "PatternError", "java_pattern", "repeats_group"]

# what Unicode calls White_Space: Rust's `\s`, and what its `trim` takes away
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"

_LAST = 0x10FFFF


class PatternError(ValueError):
    """A pattern with something that Java can't say in the same sense; the text says what."""


def java_pattern(pattern: str) -> str:
    r"""The Java pattern that is found in exactly those texts in which Rust finds `pattern`.

    Raises PatternError where there is none: set operations in classes, the flags x, U, R and u, properties of Unicode other than
    general categories and the best-known scripts, and letters beyond ASCII under the flag i.

    >>> java_pattern(r"^\d{3}-[a-z.]+$")
    '\\A[\\p{Nd}]{3}\\-[a-z\\.]+\\z'
    """
    return _parsed(pattern)[0]


def repeats_group(pattern: str) -> bool:
    """Whether Java needs room on its stack for each time that a group of the pattern is repeated: a long text ends the JVM.

    >>> repeats_group("^[a-z]+(-[a-z]+)*$"), repeats_group("^[a-z-]+(, )?$")
    (True, False)
    """
    return _parsed(pattern)[1]


@lru_cache(maxsize=1000)
def _parsed(pattern: str) -> tuple[str, bool]:
    parser = _Parser(pattern)
    translated = parser.alternatives(_Flags())
    if parser.rest:
        raise PatternError(f"has '{parser.rest[0]}' at position {parser.position}, which belongs to no group")
    return translated, parser.repeats_group


@dataclass(frozen=True, slots=True)
class _Flags:
    ignore_case: bool = False
    multi_line: bool = False
    dot_all: bool = False


@dataclass(frozen=True, slots=True)
class _Class:
    """A set of characters: ranges of code points, and parts that Java writes within brackets."""

    ranges: tuple[tuple[int, int], ...] = ()
    parts: tuple[str, ...] = ()
    is_case_closed: bool = True  # no letter is in `parts` without its counterpart in the other case

    def __or__(self, other: _Class) -> _Class:
        closed = self.is_case_closed and other.is_case_closed
        return _Class(self.ranges + other.ranges, self.parts + other.parts, closed)

    def inverted(self) -> _Class:
        """All other characters."""
        return _Class((), (f"[^{self._inside()}]",), self.is_case_closed)

    def folded(self) -> _Class:
        """With each letter in both cases, as the flag i has it."""
        if not self.is_case_closed or any(last > 0x7F for _, last in self.ranges):
            raise PatternError("ignores the case of characters beyond ASCII")
        folded: set[int] = set()
        for first, last in self.ranges:
            for character in map(chr, range(first, last + 1)):
                folded |= set(map(ord, {character, character.lower(), character.upper()}))
                folded |= {ord(other) for other in _OTHER_CASES.get(character.lower(), "")}
        return replace(self, ranges=tuple((code, code) for code in sorted(folded)))

    def java(self, *, negated: bool = False) -> str:
        """As one atom of a Java pattern."""
        if not negated:
            return f"[{self._inside()}]"
        nested = [part for part in self.parts if part.startswith("[^")]
        plain = replace(self, parts=tuple(part for part in self.parts if part not in nested))
        # what a nested class means in a negated one has changed between Java versions
        meeting = [f"[{part[2:]}" for part in nested] + (
            [f"[^{plain._inside()}]"] if plain.ranges or plain.parts else []
        )
        return f"[{'&&'.join(meeting)}]" if len(meeting) > 1 else meeting[0]

    def _inside(self) -> str:
        ranges = (_char(a) if a == b else f"{_char(a)}-{_char(b)}" for a, b in self.ranges)
        return "".join([*ranges, *self.parts])


# characters beyond ASCII that are a letter of ASCII once the case is ignored: the long s and the Kelvin sign
_OTHER_CASES: Mapping[str, str] = MappingProxyType({"s": "\u017f", "k": "\u212a"})


def _char(code: int) -> str:
    character = chr(code)
    if character.isascii() and character.isalnum():
        return character
    return f"\\{character}" if character.isascii() and character.isprintable() and code > 32 else f"\\x{{{code:X}}}"


def _of(characters: Iterable[str]) -> _Class:
    return _Class(tuple((ord(character), ord(character)) for character in characters))


_DIGIT = _Class(parts=(r"\p{Nd}",))
_SPACE = _Class(parts=tuple(_char(ord(character)) for character in WHITE_SPACE))
_WORD = _Class(parts=(r"\p{IsAlphabetic}", r"\p{M}", r"\p{Nd}", r"\p{Pc}", r"\x{200C}", r"\x{200D}"))
_PERL: Mapping[str, _Class] = MappingProxyType(
    {
        "d": _DIGIT,
        "s": _SPACE,
        "w": _WORD,
        "D": _DIGIT.inverted(),
        "S": _SPACE.inverted(),
        "W": _WORD.inverted(),
    }
)
_POSIX: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "alnum": (("0", "9"), ("A", "Z"), ("a", "z")),
        "alpha": (("A", "Z"), ("a", "z")),
        "ascii": (("\0", "\x7f"),),
        "blank": (("\t", "\t"), (" ", " ")),
        "cntrl": (("\0", "\x1f"), ("\x7f", "\x7f")),
        "digit": (("0", "9"),),
        "graph": (("!", "~"),),
        "lower": (("a", "z"),),
        "print": ((" ", "~"),),
        "punct": (("!", "/"), (":", "@"), ("[", "`"), ("{", "~")),
        "space": (("\t", "\r"), (" ", " ")),
        "upper": (("A", "Z"),),
        "word": (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z")),
        "xdigit": (("0", "9"), ("A", "F"), ("a", "f")),
    }
)
_CONTROLS: Mapping[str, str] = MappingProxyType(
    {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a", "0": "\0"}
)
# the general categories: a letter, alone or with one of these
_CATEGORIES: Mapping[str, str] = MappingProxyType(
    {"L": "ultmo", "M": "nce", "N": "dlo", "P": "cdseifo", "S": "mcko", "Z": "slp"}
)
_SCRIPTS = frozenset(
    {"Arabic", "Cyrillic", "Devanagari", "Greek", "Han", "Hangul", "Hebrew", "Hiragana", "Katakana", "Latin", "Thai"}
)

# Java looks behind itself by code points, rather than by code units, only where it reads a character beyond 16 bits there; this
# one, a letter, is in the class anyway
_WORD_TEXT = _WORD.java()
_WORD_BEFORE = f"(?<={_WORD_TEXT[:-1]}\U0001d400])"
_NO_WORD_BEFORE = _WORD_BEFORE.replace("(?<=", "(?<!", 1)
_WORD_AFTER, _NO_WORD_AFTER = f"(?={_WORD_TEXT})", f"(?!{_WORD_TEXT})"

_ASSERTIONS: Mapping[str, str] = MappingProxyType(
    {
        "A": r"\A",
        "z": r"\z",
        "b": f"(?:{_WORD_BEFORE}{_NO_WORD_AFTER}|{_NO_WORD_BEFORE}{_WORD_AFTER})",
        "B": f"(?:{_WORD_BEFORE}{_WORD_AFTER}|{_NO_WORD_BEFORE}{_NO_WORD_AFTER})",
        "<": f"(?:{_NO_WORD_BEFORE}{_WORD_AFTER})",
        ">": f"(?:{_WORD_BEFORE}{_NO_WORD_AFTER})",
    }
)

_FEW_TIMES = 20
_COUNT = re.compile(r"\{(\d+)(,(\d*))?\}")
_FLAG_GROUP = re.compile(r"\(\?([a-zA-Z-]*)([:)])")
_NAMED_GROUP = re.compile(r"\(\?P?<[^=!>]+>")
_HEX = re.compile(r"x\{([0-9A-Fa-f]+)\}|x([0-9A-Fa-f]{2})|u\{([0-9A-Fa-f]+)\}|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})")
_PROPERTY = re.compile(r"[pP](?:\{(\^?)(\w+)\}|(\w))")
_POSIX_CLASS = re.compile(r"\[:(\^?)(\w+):\]")


class _Parser:
    """Rust's grammar, from left to right; each method returns what it has read as Java writes it."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.position = 0
        self.repeats_group = False

    @property
    def rest(self) -> str:
        return self.pattern[self.position :]

    def _take(self, known: re.Pattern[str]) -> re.Match[str] | None:
        match = known.match(self.pattern, self.position)
        if match:
            self.position = match.end()
        return match

    def _next(self) -> str:
        if not self.rest:
            raise PatternError("ends too early")
        self.position += 1
        return self.pattern[self.position - 1]

    def alternatives(self, flags: _Flags) -> str:
        """Up to the end of the group; a flag holds from where it stands, in the alternatives after it too."""
        written = []
        while self.rest and self.rest[0] != ")":
            if self.rest[0] == "|":
                written.append(self._next())
                continue
            group = _FLAG_GROUP.match(self.pattern, self.position)
            if group and group[2] == ")":
                self.position = group.end()
                flags = _flags(flags, group[1])
                continue
            written.append(self._repeated(self._atom(flags)))
        return "".join(written)

    def _repeated(self, atom: str) -> str:
        count = 0
        while self.rest and self.rest[0] in "*+?{":
            match = self._take(_COUNT)
            quantifier = match[0] if match else self._next()
            if quantifier == "{":
                raise PatternError(f"has an unclear {{ at position {self.position - 1}")
            if self.rest.startswith("?"):  # lazy: finds the same
                self.position += 1
            most = (match[3] if match[2] else match[1]) if match else ("1" if quantifier == "?" else "")
            self.repeats_group |= atom.startswith("(?:") and (not most or int(most) > _FEW_TIMES)
            # two quantifiers in a row are one of two in Rust, and a possessive one in Java
            atom = f"(?:{atom}){quantifier}" if count else atom + quantifier
            count += 1
        return atom

    def _atom(self, flags: _Flags) -> str:
        if self.rest[0] == "(":
            return self._group(flags)
        character = self._next()
        if character == "[":
            return self._bracketed(flags)
        if character == ".":
            return r"[\x{0}-\x{10FFFF}]" if flags.dot_all else r"[^\n]"
        if character == "^":
            return r"(?<![^\n])" if flags.multi_line else r"\A"
        if character == "$":
            return r"(?![^\n])" if flags.multi_line else r"\z"
        if character != "\\":
            return _literal(character, flags)
        if self.rest[:1] in _ASSERTIONS:
            if self.rest.startswith(("b{", "B{")):
                raise PatternError(rf"has the word boundary \{self.rest[:6]}…")
            return _ASSERTIONS[self._next()]
        found = self._escape()
        return _literal(found, flags) if isinstance(found, str) else _within(found, flags).java()

    def _group(self, flags: _Flags) -> str:
        group = self._take(_FLAG_GROUP)
        if group:
            flags = _flags(flags, group[1])
        elif not self._take(_NAMED_GROUP):
            self.position += 1
            if self.rest.startswith("?"):
                raise PatternError(f"has a group (?{self.rest[1:2]}…, which Rust doesn't know")
        written = self.alternatives(flags)
        if self._next() != ")":
            raise PatternError("has a group without an end")
        return f"(?:{written})"

    def _escape(self) -> str | _Class:
        """What stands after a backslash: a character, or a class."""
        code = self._take(_HEX)
        if code:
            return chr(int(next(filter(None, code.groups())), 16))
        named = self._take(_PROPERTY)
        if named:
            return _property(named)
        character = self._next()
        if character in _PERL:
            return _PERL[character]
        if character in _CONTROLS and character != "0":
            return _CONTROLS[character]
        if character.isalnum():
            raise PatternError(rf"has the escape \{character}")
        return character

    def _bracketed(self, flags: _Flags) -> str:
        negated = self.rest.startswith("^")
        self.position += negated
        found, start = _Class(), self.position
        while not self.rest.startswith("]") or self.position == start:
            if self.rest[:2] in ("&&", "--", "~~") and self.position > start:
                raise PatternError(f"has the set operation {self.rest[:2]} in a class")
            found |= self._member()
        self.position += 1
        return _within(found, flags).java(negated=negated)

    def _member(self) -> _Class:
        posix = self._take(_POSIX_CLASS)
        if posix:
            if posix[2] not in _POSIX:
                raise PatternError(f"has the class {posix[0]}")
            named = _Class(tuple((ord(a), ord(b)) for a, b in _POSIX[posix[2]]))
            # its opposite has letters beyond ASCII, of which the long s has a counterpart within
            return replace(named.inverted(), is_case_closed=False) if posix[1] else named
        first = self._single()
        if isinstance(first, _Class):
            return first
        if not self.rest.startswith("-") or self.rest.startswith(("-]", "--")):
            return _of(first)
        self.position += 1
        last = self._single()
        if isinstance(last, _Class):
            raise PatternError("has a class as the end of a range")
        return _Class(((ord(first), ord(last)),))

    def _single(self) -> str | _Class:
        character = self._next()
        if character == "[":
            raise PatternError("has a class within a class")
        return self._escape() if character == "\\" else character


def _flags(flags: _Flags, text: str) -> _Flags:
    for switch, name in re.findall(r"(-?)([a-zA-Z])", _spread(text)):
        if name not in _FLAG_NAMES:
            raise PatternError(f"has the flag {switch}{name}")
        flags = replace(flags, **{_FLAG_NAMES[name]: not switch})
    return flags


def _spread(text: str) -> str:
    """`i-ms` as `i-m-s`."""
    on, _, off = text.partition("-")
    return on + "".join(f"-{name}" for name in off)


_FLAG_NAMES: Mapping[str, str] = MappingProxyType({"i": "ignore_case", "m": "multi_line", "s": "dot_all"})


def _property(named: re.Match[str]) -> _Class:
    name = named[2] or named[3]
    if name[1:] in ("", *_CATEGORIES.get(name[0], " ")) and name[0] in _CATEGORIES:
        found = _Class(parts=(rf"\p{{{name}}}",), is_case_closed=name[0] not in "LMNS")
    elif name in _SCRIPTS:
        found = _Class(parts=(rf"\p{{Is{name}}}",), is_case_closed=False)
    else:
        raise PatternError(rf"has the property \{named[0]}")
    return found.inverted() if (named[0][0] == "P") != bool(named[1]) else found


def _within(found: _Class, flags: _Flags) -> _Class:
    return found.folded() if flags.ignore_case else found


def _literal(character: str, flags: _Flags) -> str:
    if not flags.ignore_case or not (character.isalpha() or not character.isascii()):
        return _char(ord(character))
    return _within(_of(character), flags).java()
