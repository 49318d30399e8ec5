"""Spark's lexical rules: names, literals, comments and operators of a predicate, read exactly as Spark reads them.

Literals and names are where SQL dialects differ most (escapes, double quotes, suffixes of numbers). They are read here,
and only the skeleton of operators and placeholders, which `sentence` gives, goes to the parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from spark_dynamo.predicates.literal_syntax import TYPED, Literal, read_number, read_string, read_typed
from spark_dynamo.predicates.refusals import near, refused


@dataclass(frozen=True, slots=True)
class Reference:
    """A column and what lies below it, as written: names, and keys in brackets."""

    steps: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Function:
    """The name of a function, in lower case."""

    name: str


@dataclass(frozen=True, slots=True)
class Word:
    """One piece of the skeleton: `sql` for the parser, what it stands for, and where it stands in the text.

    `strings` are the texts in quotes that it was read from, as they are spelled.
    """

    sql: str
    meaning: Literal | Reference | Function | None
    start: int
    end: int
    strings: tuple[str, ...] = ()

    @property
    def is_operand(self) -> bool:
        """Whether an operand ends here."""
        return self.sql in _OPERAND_ENDS or isinstance(self.meaning, Literal | Reference)


_SKIPPED = {" ", "\r", "\n", "\t", "-", "/"}  # what space and comments begin with
_STRING_BEGINS = {"'", '"', "r", "R"}
_SPACE = re.compile(r"(?:[ \r\n\t]+|--(?:\\\n|[^\r\n])*)+")
_COMMENT_MARK = re.compile(r"/\*|\*/")
_STRING = re.compile(r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*\"""", re.DOTALL)
_RAW_STRING = re.compile(r"""[rR](?:'[^']*'|"[^"]*")""")
_QUOTED_NAME = re.compile(r"`((?:[^`]|``)*)`")
_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_NUMBER = re.compile(
    r"(?P<digits>(?:\d+\.?\d*|\.\d+)(?P<exponent>[eE][+-]?\d+)?)(?P<suffix>BD|[LSYFD])?", re.I | re.ASCII
)
_OPERATOR = re.compile(r"<=>|==|!=|<>|<=|>=|[=<>!(),]")
_SAME = {"==": "=", "!=": "<>", "!": "NOT"}
_KEYWORDS = {"AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", "NULL", "TRUE", "FALSE"}
_OPERAND_ENDS = {")", "NULL", "TRUE", "FALSE"}
_DEEPEST = 20  # at some 30, sqlglot comes to the end of Python's stack
_OTHER_INFIX = {"rlike", "regexp", "ilike", "div", "collate", "similar"}
_OTHER_WORDS = {"case", "select"}


def words(text: str) -> list[Word]:
    """The words of a predicate; `OptionError` where one is none of those that are supported."""
    if not text.strip():
        raise refused("is empty; give a predicate such as \"amount > 5 AND status = 'open'\", or leave the option out")
    if "${" in text:
        raise refused("has '${', which Spark replaces by a setting's value; put the value itself into the text")
    found: list[Word] = []
    for word in _Reader(text).read():
        _check_neighbours(found[-1] if found else None, word, text)
        found.append(word)
    if not found:
        raise refused("is nothing but a comment; give a predicate, or leave the option out")
    _check_depth(found)
    _check_tests(text, found)
    return found


def outlined(skeleton: list[Word]) -> tuple[list[Word], dict[str, list[Literal]]]:
    """The words that the parser must see, and the lists of literals after IN, by the name of the first one's placeholder.

    Of such a list only the first and the last are among the words: there may be very many, and all are alike to the parser.

    >>> outline, lists = outlined(words("n IN (5, 6, 7, 8)"))
    >>> [word.sql for word in outline], [literal.text for literal in lists["l3"]]
    (['p0', 'IN', '(', "'l3'", ',', "'l9'", ')'], ['5', '6', '7', '8'])
    """
    outline: list[Word] = []
    lists: dict[str, list[Literal]] = {}
    sqls = [*(word.sql for word in skeleton), ")"]
    at = 0
    while at < len(skeleton):
        outline.append(skeleton[at])
        at += 1
        if sqls[at - 2 : at] == ["IN", "("]:
            end = sqls.index(")", at)
            members, commas = skeleton[at:end:2], sqls[at + 1 : end : 2]
            listed = [word.meaning for word in members if isinstance(word.meaning, Literal)]
            if len(listed) == len(members) == len(commas) + 1 > 2 and set(commas) == {","}:
                lists[sqls[at].strip("'")] = listed
                outline += skeleton[at : at + 2]
                at = end - 1
    return outline, lists


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._words: list[Word] = []
        self._quoted: list[str] = []

    def read(self) -> Iterator[Word]:
        self._skip()
        while self._at < len(self._text):
            start = self._at
            sql, meaning = self._word()
            word = Word(sql, meaning, start, self._at, tuple(self._quoted))
            self._quoted.clear()
            self._words.append(word)
            yield word
            self._skip()

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        match = pattern.match(self._text, self._at)
        if match is None:
            return None
        self._at = match.end()
        return match[0]

    @property
    def _next(self) -> str:
        """The character to be read, empty at the end."""
        return self._text[self._at : self._at + 1]

    def _skip(self) -> None:
        while self._next in _SKIPPED:
            if self._take(_SPACE) is not None:
                continue
            if not self._text.startswith("/*", self._at):
                return
            if self._text.startswith("/*+", self._at):
                raise refused(f"has a hint {near(self._text, self._at)}; leave it out")
            self._at = _end_of_comment(self._text, self._at)

    def _word(self) -> tuple[str, Literal | Reference | Function | None]:
        number = len(self._words)
        start = self._at
        after_operand = bool(self._words) and self._words[-1].is_operand
        if (string := self._strings()) is not None:
            return f"'l{number}'", Literal("string", string, self._text[start : self._at])
        signed = self._next == "-"
        if not (signed and after_operand) and (literal := self._number()) is not None:
            return f"'l{number}'", literal
        if (name := self._take(_NAME)) is not None:
            return self._named(name, number, start, after_operand)
        if (quoted := self._take(_QUOTED_NAME)) is not None:
            return f"p{number}", self._reference(_unquoted(quoted, self._text, start), start)
        if (operator := self._take(_OPERATOR)) is not None:
            if operator == "!" and after_operand:
                raise refused(f"has '!' after an operand {near(self._text, start)}; write NOT")
            return _SAME.get(operator, operator), None
        return self._unknown(start)

    def _unknown(self, start: int) -> NoReturn:
        character = self._text[start]
        where = near(self._text, start)
        if character in "'\"`":
            raise refused(f"has a quote that is not closed {where}")
        if character in "+-*/%&|^~":
            raise refused(
                f"has the operator '{character}' {where}, and arithmetic is not supported; use .where(...) after load"
            )
        if character == "[":
            raise refused(
                f"has an index {where} that is not the key of a map or a struct's field; use .where(...) after load"
            )
        if character == ".":
            raise refused(f"has a '.' {where} that follows no column name")
        if character == ";":
            raise refused(f"has a ';' {where}; it must be one predicate alone")
        if character in "?:":
            raise refused(
                f"has '{character}' {where}; parameters and '::' are not supported, put the value into the text"
            )
        if character.isalnum():
            raise refused(f"has a name or number that can't be read {where}; put a name into backticks")
        raise refused(f"has {character!r} {where}, which is not supported")

    def _strings(self) -> str | None:
        """One string literal, or several in a row, which SQL joins."""
        pieces = []
        while self._next in _STRING_BEGINS and (piece := self._string()) is not None:
            pieces.append(piece)
            end = self._at
            self._skip()
        if not pieces:
            return None
        self._at = end
        return "".join(pieces)

    def _string(self) -> str | None:
        start = self._at
        if (raw := self._take(_RAW_STRING)) is not None:
            self._quoted.append(raw)
            return raw[2:-1]
        if (plain := self._take(_STRING)) is not None:
            self._quoted.append(plain)
            return read_string(plain, near(self._text, start))
        return None

    def _number(self) -> Literal | None:
        start = self._at
        sign = ""
        if self._next == "-":
            self._at += 1
            self._skip()
            sign = "-"
        match = _NUMBER.match(self._text, self._at)
        if match is None or _NAME.match(self._text, match.end()) or self._text[match.end() : match.end() + 1].isdigit():
            self._at = start
            return None
        self._at = match.end()
        return read_number(sign, match, self._text[start : self._at], near(self._text, start))

    def _named(
        self, name: str, number: int, start: int, after_operand: bool
    ) -> tuple[str, Literal | Reference | Function | None]:
        upper, lower, end = name.upper(), name.lower(), self._at
        before = [word.sql for word in self._words[-3:]]
        if upper in _KEYWORDS:
            return upper, None
        if upper == "DISTINCT" and (before[-1:] == ["IS"] or before[-2:] == ["IS", "NOT"]):
            return upper, None
        if upper == "FROM" and before[-1:] == ["DISTINCT"]:
            return upper, None
        if upper == "ESCAPE" and before[-2:-1] == ["LIKE"]:
            return upper, None
        self._skip()
        following = self._text[self._at : self._at + 1]
        if lower in _OTHER_INFIX and (after_operand or before[-1:] == ["NOT"]) and following not in ("", ")"):
            raise refused(f"uses {upper} {near(self._text, start)}, which is not supported; use .where(...) after load")
        if following == "(":
            self._at = end
            if lower in ("cast", "try_cast", "exists"):
                raise refused(
                    f"uses {upper} {near(self._text, start)}, which is not supported; use .where(...) after load"
                )
            return f"f{number}", Function(lower)
        if following in ("'", '"') and (lower in TYPED or lower == "x"):
            value = self._string()
            if value is None:
                self._unknown(self._at)
            return f"'l{number}'", read_typed(lower, value, self._text[start : self._at])
        self._at = end
        if lower in _OTHER_WORDS:
            raise refused(
                f"has the word {upper} {near(self._text, start)}, which is not supported; use .where(...) after load, "
                "or put it into backticks if it is a column"
            )
        return f"p{number}", self._reference(name, start)

    def _reference(self, name: str, start: int) -> Reference:
        """A column's name has been read; what follows it with `.name` or `['key']` belongs to it."""
        steps = [name]
        while True:
            end = self._at
            self._skip()
            following = self._text[self._at : self._at + 1]
            place = self._at
            if following == ".":
                self._at += 1
                self._skip()
                plain = self._take(_NAME)
                quoted = None if plain else self._take(_QUOTED_NAME)
                if plain is None and quoted is None:
                    raise refused(f"has a '.' {near(self._text, place)} that no field's name follows")
                steps.append(plain or _unquoted(str(quoted), self._text, place))
            elif following == "[":
                self._at += 1
                self._skip()
                key = self._strings()
                self._skip()
                if key is None or not self._text.startswith("]", self._at):
                    self._unknown(place)
                self._at += 1
                steps.append(key)
            else:
                self._at = end
                return Reference(tuple(steps), self._text[start:end])


def _check_neighbours(before: Word | None, word: Word, text: str) -> None:
    """What the parser would take for an alias, or let pass, though Spark does not."""
    begins_operand = isinstance(word.meaning, Literal | Reference | Function) or word.sql == "("
    after_operand = before is not None and before.is_operand
    if begins_operand and after_operand:
        raise refused(f"can't be read {near(text, word.start)}: an operator is missing before it")
    if before is not None and before.sql == "," and word.sql == ")":
        raise refused(f"can't be read {near(text, before.start)}: a value is missing after the comma")


def _check_depth(skeleton: list[Word]) -> None:
    depth = 0
    for before, word in zip([None, *skeleton], skeleton, strict=False):
        depth += {"(": 1, ")": -1}.get(word.sql, 0) + (word.sql == "NOT" and before is not None and before.sql == "NOT")
        if depth > _DEEPEST:
            raise refused(f"is nested more than {_DEEPEST} levels deep; write it flatter, with IN or AND")


_NEGATED = {"IN", "BETWEEN", "LIKE"}
_TESTS = {"IN", "BETWEEN", "LIKE", "IS", "=", "<>", "<", "<=", ">", ">=", "<=>"}


def _check_tests(text: str, skeleton: list[Word]) -> None:
    """After a comparison, IN, BETWEEN, LIKE or IS no other may follow: there Spark and sqlglot read differently."""
    tested, between, outer = False, False, []
    for before, word, after in zip([None, *skeleton], skeleton, [*skeleton[1:], None], strict=False):
        if word.sql == "NOT" and before and before.is_operand and (after is None or after.sql not in _NEGATED):
            raise refused(f"can't be read {near(text, word.start)}: IN, BETWEEN or LIKE is missing after NOT")
        if word.sql == "(":
            outer.append((tested, between))
            tested = between = False
        elif word.sql == ")" and outer:
            tested, between = outer.pop()
        elif word.sql == "AND" and between:
            between = False
        elif word.sql in ("AND", "OR", ","):
            tested = between = False
        elif word.sql in _TESTS:
            if tested:
                raise refused(
                    f"can't be read {near(text, word.start)}: write parentheses around the condition before it"
                )
            tested, between = True, word.sql == "BETWEEN"


def _end_of_comment(text: str, start: int) -> int:
    depth = 0
    for mark in _COMMENT_MARK.finditer(text, start):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    raise refused(f"has a comment that is not closed {near(text, start)}")


def _unquoted(name: str, text: str, start: int) -> str:
    if name == "``":
        raise refused(f"has an empty name {near(text, start)}")
    return name[1:-1].replace("``", "`")
