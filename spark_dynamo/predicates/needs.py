"""What a predicate needs of the session's settings, so that Spark would read it as it was planned."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from pyspark.sql.types import (
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegralType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from spark_dynamo.errors import shorten
from spark_dynamo.predicates.lexer import Reference, Word
from spark_dynamo.predicates.literal_syntax import Literal
from spark_dynamo.predicates.literals import kind_of, show
from spark_dynamo.predicates.settings import Need, Setting
from spark_dynamo.predicates.tree import Operand, Path, RowValue
from spark_dynamo.wire import types


def needs_of_words(words: Iterable[Word]) -> Iterator[Need]:
    """What the spelling of literals and names needs."""
    for word in words:
        for piece in word.strings:
            yield from _needs_of_string(piece)
        literal = word.meaning
        if isinstance(literal, Literal) and literal.kind == "double" and literal.text[-1:].upper() != "D":
            yield Need(
                Setting.EXPONENTS,
                f"has the number {literal.text}",
                f"write {literal.text}D, or use .where(...) after load",
            )


def _needs_of_string(piece: str) -> Iterator[Need]:
    shown = shorten(piece)
    raw = piece[0] in "rR"
    quote, inner = piece[-1], piece[1 + raw : -1]
    if quote == '"':
        yield Need(Setting.QUOTES, f"has {shown} in double quotes", "write strings in single quotes")
    if not raw and quote * 2 in inner:
        for setting in (Setting.ESCAPES, Setting.JOINED):
            yield Need(setting, f"has {shown} with a doubled quote", "quote it with the other kind of quotes")
    if raw or "\\" in inner:
        what = "in raw form" if raw else "with a backslash"
        yield Need(Setting.ESCAPES, f"has {shown} {what}", "use .where(...) after load")


def needs_of_name(reference: Reference, path: Path) -> Iterator[Need]:
    """What the spelling of a column's name needs."""
    names = tuple(step.name for step in path.steps)
    if not isinstance(path, RowValue):
        names = (path.column, *names)
    if reference.steps[-len(names) :] != names:
        yield Need(Setting.CASES, f"names '{reference.text}' for '{'.'.join(names)}'", "write it as in the schema")


_WHOLE = ("int", "bigint", "smallint", "tinyint")
_NUMBERS = (IntegralType, DecimalType, DoubleType, FloatType)
_TYPED: dict[type[Any], str] = {
    DateType: "write a date such as DATE'2026-11-01'",
    TimestampType: "write a timestamp such as TIMESTAMP'2026-11-01 10:30:00'",
    TimestampNTZType: "write a timestamp such as TIMESTAMP_NTZ'2026-11-01 10:30:00'",
}


def needs_of_comparison(operand: Operand, literals: Iterable[Literal], *, listed: bool) -> Iterator[Need]:
    """What a comparison needs; `listed` is that with the literals of IN."""
    kind = kind_of(operand)
    if isinstance(kind, StringType):
        return
    compares = f"compares {show(operand)}, which is {types.ddl(kind)}, with"
    for literal in literals:
        compared = f"{compares} {shorten(literal.text)}"
        if isinstance(kind, FloatType) and literal.kind in _WHOLE and not _is_float(literal):
            yield Need(Setting.ANSI, compared, "use .where(...) after load")
        if literal.kind != "string":
            continue
        if isinstance(kind, _NUMBERS):
            yield Need(Setting.ANSI, compared, "write the number without quotes")
        elif listed:
            yield Need(Setting.ANSI, f"{compared} in a list", _TYPED.get(type(kind), "use .where(...) after load"))
        elif type(kind) in _TYPED:
            yield Need(Setting.DATES, compared, _TYPED[type(kind)])


def _is_float(literal: Literal) -> bool:
    """Whether 32 bits hold that number."""
    number = Decimal(literal.value)  # type: ignore[arg-type]
    return Decimal(struct.unpack("f", struct.pack("f", number))[0]) == number
