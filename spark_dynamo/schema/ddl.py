"""Spark's types as SQL writes them: `parse_ddl` reads them by Spark's grammar, without a session or JVM.

The grammar is small and read here rather than by sqlglot, which leaves out without a word what it doesn't know (collations,
a field of a struct, whatever follows the type).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from pyspark.errors import IllegalArgumentException
from pyspark.sql import types
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    CalendarIntervalType,
    CharType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VarcharType,
    VariantType,
    YearMonthIntervalType,
)

from spark_dynamo.errors import SchemaError, nearest, shorten

__all__ = ["leaf_ddl", "parse_ddl"]


def parse_ddl(text: str, path: str = "type") -> DataType:
    """The type that `text` names in Spark's SQL, or the struct of the columns that it lists, as `DataType.fromDDL` has it.

    `path` is where the text stands, for the error: SchemaError with the text where it is no Spark type, where this version
    of Spark lacks it, or where it holds comments or settings (`${...}`). Letter case counts in names only.

    >>> parse_ddl("map<string, decimal(10,2)>")
    MapType(StringType(), DecimalType(10,2), True)
    >>> parse_ddl("id STRING NOT NULL COMMENT 'the key', `unit price` DOUBLE").names
    ['id', 'unit price']
    """
    return _Reader(text, path).read()


def leaf_ddl(kind: DataType) -> str:
    """A type without others in it, as SQL writes it: `parse_ddl` reads the same type from it.

    >>> leaf_ddl(DecimalType(10, 2)), leaf_ddl(StringType("UNICODE_CI"))
    ('DECIMAL(10,2)', 'STRING COLLATE UNICODE_CI')
    """
    if isinstance(kind, StringType) and kind != StringType():
        return f"STRING COLLATE {kind.collation}"
    return kind.simpleString().upper()


_PLAIN: Mapping[str, DataType] = MappingProxyType(
    {
        "BOOLEAN": BooleanType(),
        "TINYINT": ByteType(),
        "BYTE": ByteType(),
        "SMALLINT": ShortType(),
        "SHORT": ShortType(),
        "INT": IntegerType(),
        "INTEGER": IntegerType(),
        "BIGINT": LongType(),
        "LONG": LongType(),
        "FLOAT": FloatType(),
        "REAL": FloatType(),
        "DOUBLE": DoubleType(),
        "DATE": DateType(),
        "TIMESTAMP_LTZ": TimestampType(),
        "TIMESTAMP_NTZ": TimestampNTZType(),
        "BINARY": BinaryType(),
        "VARIANT": VariantType(),
        "VOID": NullType(),
    }
)

_UNITS: Mapping[Callable[[int, int], DataType], tuple[str, ...]] = MappingProxyType(
    {YearMonthIntervalType: ("YEAR", "MONTH"), DayTimeIntervalType: ("DAY", "HOUR", "MINUTE", "SECOND")}
)

_SPACE = " \r\n\t"
_WORD = r"[A-Za-z_0-9]+"
_TOKEN = re.compile(
    rf"""[{_SPACE}]*(?P<token>{_WORD}|`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|[<>(),:.])""", re.DOTALL
)
_DIGITS = re.compile(r"[0-9]+")
# Spark reads these words as numbers, such as 1L and 2E5
_NUMBER = re.compile(r"[0-9]+(?:E[0-9]+)?(?:BD|[LSYFD])?", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([01][0-7]{2})|(.))", re.DOTALL)
_ESCAPED = MappingProxyType(
    {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": r"\%", "_": r"\_"}
)
_END = ""


class _Reader:
    """One text, read from left to right; each method takes what it is named after."""

    def __init__(self, text: str, path: str) -> None:
        self._text = text
        self._path = path
        self._tokens = self._split()
        self._at = 0

    def read(self) -> DataType:
        """The type, or else the columns, whichever the text is nearer to where it is neither."""
        if self._next == _END:
            self._refuse("it is empty")
        failures: list[tuple[int, SchemaError]] = []
        for read in (self._type, self._columns) if len(self._tokens) > 2 else (self._type,):
            self._at = 0
            try:
                found = read()
                self._end()
            except SchemaError as error:
                failures.append((self._at, error))
            except RecursionError:
                raise SchemaError(self._path, f"{shorten(self._text)} is nested too deep") from None
            else:
                return found
        raise max(failures, key=lambda failure: failure[0])[1] from None

    def _split(self) -> list[tuple[str, int]]:
        tokens, end = [], 0
        for found in _TOKEN.finditer(self._text):
            if found.start() != end:
                break
            tokens.append((found["token"], found.start("token")))
            end = found.end()
        if rest := self._text[end:].lstrip(_SPACE):
            self._refuse(f"'{rest[0]}' at character {len(self._text) - len(rest) + 1} has no part in a type")
        return [*tokens, (_END, len(self._text))]

    # ------------------------------------------------------------------------------------------------ tokens

    @property
    def _next(self) -> str:
        return self._tokens[self._at][0]

    def _take(self, *words: str) -> bool:
        """Take these words or signs, all or none, in any letter case."""
        ahead = [token.upper() for token, _ in self._tokens[self._at : self._at + len(words)]]
        if ahead != list(words):
            return False
        self._at += len(words)
        return True

    def _need(self, word: str) -> None:
        if not self._take(word):
            self._refuse(f"'{word}' is missing{self._here()}")

    def _end(self) -> None:
        if self._next != _END:
            self._refuse(f"nothing can follow{self._here()}")

    def _here(self) -> str:
        token, at = self._tokens[self._at]
        return " at its end" if token == _END else f" before '{shorten(token)}' at character {at + 1}"

    def _refuse(self, problem: str) -> NoReturn:
        raise SchemaError(self._path, f"{shorten(self._text)!r} is no type of Spark's SQL: {problem}")

    # ------------------------------------------------------------------------------------------------ types

    def _type(self) -> DataType:
        word = self._next.upper()
        if word in _PLAIN:
            self._at += 1
            return _PLAIN[word]
        read = _READERS.get(word)
        if read is None:
            close = nearest(word, [*_PLAIN, *_READERS]) if re.fullmatch(_WORD, word) else None
            self._refuse(f"a type is missing{self._here()}" + (f". Did you mean {close}?" if close else ""))
        self._at += 1
        return read(self)

    def _array(self) -> DataType:
        self._need("<")
        element = self._type()
        self._need(">")
        return ArrayType(element)

    def _map(self) -> DataType:
        self._need("<")
        key = self._type()
        self._need(",")
        value = self._type()
        self._need(">")
        return MapType(key, value)

    def _struct(self) -> DataType:
        self._need("<")
        if self._take(">"):
            return StructType()
        struct = self._columns()
        self._need(">")
        return struct

    def _columns(self) -> StructType:
        fields = [self._column()]
        while self._take(","):
            fields.append(self._column())
        return StructType(fields)

    def _column(self) -> StructField:
        name = self._name()
        self._take(":")
        kind = self._type()
        nullable = not self._take("NOT", "NULL")
        metadata = {"comment": self._string()} if self._take("COMMENT") else None
        return StructField(name, kind, nullable, metadata)

    def _name(self) -> str:
        token = self._next
        if token.startswith("`"):
            self._at += 1
            return token[1:-1].replace("``", "`")
        if not re.fullmatch(_WORD, token) or _NUMBER.fullmatch(token):
            self._refuse(f"the name of a column is missing{self._here()}. Put other names into backquotes")
        self._at += 1
        return token

    def _string(self) -> str:
        parts = []
        while self._next[:1] in ("'", '"') and self._next:
            quote, body = self._next[0], self._next[1:-1]
            parts.append(_ESCAPE.sub(_unescaped, body.replace(quote * 2, quote)))
            self._at += 1
        if not parts:
            self._refuse(f"a text in quotes is missing{self._here()}")
        return "".join(parts)

    def _decimal(self) -> DataType:
        precision, *rest = self._numbers(most=2) or [10]
        scale = rest[0] if rest else 0
        if not scale <= precision <= 38:
            self._refuse(f"DECIMAL({precision},{scale}) must have scale <= precision <= 38")
        return DecimalType(precision, scale)

    def _string_type(self) -> DataType:
        return StringType(self._collation())

    def _sized(self, kind: Callable[[int], DataType]) -> DataType:
        numbers = self._numbers()
        if not numbers:
            self._refuse(f"a length such as (10) is missing{self._here()}")
        if self._collation() != StringType().collation:
            self._refuse("only STRING can have a collation")
        return kind(numbers[0])

    def _char(self) -> DataType:
        return self._sized(CharType)

    def _varchar(self) -> DataType:
        return self._sized(VarcharType)

    def _collation(self) -> str:
        if not self._take("COLLATE"):
            return StringType().collation
        self._take("SYSTEM", ".", "BUILTIN", ".")
        name = self._name()
        # Spark's own collations are written so; those of locales as they are
        return name.upper() if name.upper().startswith(("UTF8_", "UNICODE")) else name

    def _timestamp(self) -> DataType:
        return TimestampNTZType() if self._take("WITHOUT", "TIME", "ZONE") else TimestampType()

    def _time(self) -> DataType:
        (precision,) = self._numbers() or [6]
        if precision > 9:
            self._refuse(f"TIME({precision}) must have at most 9 digits")
        self._take("WITHOUT", "TIME", "ZONE")
        return self._since_4_1("TimeType")(precision)

    def _interval(self) -> DataType:
        for kind, units in _UNITS.items():
            if self._next.upper() in units:
                start = end = units.index(self._unit(units))
                if self._take("TO"):
                    end = units.index(self._unit(units[start + 1 :]))
                return kind(start, end)
        return CalendarIntervalType()

    def _unit(self, allowed: tuple[str, ...]) -> str:
        unit = self._next.upper()
        if unit not in allowed:
            wanted = f"{' or '.join(allowed)} is missing" if allowed else "no unit is shorter"
            self._refuse(wanted + self._here())
        self._at += 1
        return unit

    def _geography(self) -> DataType:
        return self._spatial("GeographyType")

    def _geometry(self) -> DataType:
        return self._spatial("GeometryType")

    def _spatial(self, name: str) -> DataType:
        kind = self._since_4_1(name)
        if self._take("(", "ANY", ")"):
            return kind("ANY")
        numbers = self._numbers()
        if not numbers:
            self._refuse(f"an SRID such as (4326), or (ANY), is missing{self._here()}")
        try:
            return kind(numbers[0])
        except IllegalArgumentException:
            self._refuse(f"Spark knows no SRID {numbers[0]}")

    def _since_4_1(self, name: str) -> Callable[[int | str], DataType]:
        kind: Any = getattr(types, name, None)
        if kind is None:
            self._refuse(f"Spark has {name} since version 4.1")
        made: Callable[[int | str], DataType] = kind
        return made

    def _numbers(self, most: int = 1) -> list[int]:
        """Up to `most` numbers in parentheses; none where no parenthesis stands."""
        numbers: list[int] = []
        if not self._take("("):
            return numbers
        while True:
            if not _DIGITS.fullmatch(self._next):
                self._refuse(f"a number is missing{self._here()}")
            numbers.append(int(self._next))
            self._at += 1
            if len(numbers) == most or not self._take(","):
                break
        self._need(")")
        return numbers


def _unescaped(found: re.Match[str]) -> str:
    four, eight, octal, character = found.groups()
    if four or eight:
        return chr(int(four or eight, 16))
    return chr(int(octal, 8)) if octal else _ESCAPED.get(character, character)


_READERS: Mapping[str, Callable[[_Reader], DataType]] = MappingProxyType(
    {
        "ARRAY": _Reader._array,
        "MAP": _Reader._map,
        "STRUCT": _Reader._struct,
        "STRING": _Reader._string_type,
        "CHAR": _Reader._char,
        "CHARACTER": _Reader._char,
        "VARCHAR": _Reader._varchar,
        "DECIMAL": _Reader._decimal,
        "DEC": _Reader._decimal,
        "NUMERIC": _Reader._decimal,
        "TIMESTAMP": _Reader._timestamp,
        "TIME": _Reader._time,
        "INTERVAL": _Reader._interval,
        "GEOGRAPHY": _Reader._geography,
        "GEOMETRY": _Reader._geometry,
    }
)
