"""Random tables and random predicates over them, in all the spellings that Spark's SQL has for the same thing."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    ShortType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from spark_dynamo.wire.types import arrow_schema

INNER = StructType().add("price", DecimalType(5, 1)).add("at", TimestampType()).add("Text", StringType())
SCHEMA = (
    StructType()
    .add("s", StringType())
    .add("s2", StringType())
    .add("odd name.x", StringType())
    .add("t", ByteType())
    .add("h", ShortType())
    .add("i", IntegerType())
    .add("n", LongType())
    .add("n2", LongType())
    .add("p", DecimalType(10, 2))
    .add("q", DecimalType(38, 10))
    .add("w", DecimalType(20, 0))
    .add("d", DoubleType())
    .add("d2", DoubleType())
    .add("f", FloatType())
    .add("b", BooleanType())
    .add("b2", BooleanType())
    .add("dt", DateType())
    .add("ts", TimestampType())
    .add("te", TimestampType(), metadata={"dynamodb": "N"})
    .add("sn", StringType(), metadata={"dynamodb": "N"})
    .add("nt", TimestampNTZType())
    .add("x", BinaryType())
    .add("st", StructType().add("i", IntegerType()).add("inner", INNER).add("flag", BooleanType()))
    .add("m", MapType(StringType(), LongType()))
    .add("ms", MapType(StringType(), StringType()))
    .add("a", ArrayType(LongType()))
    .add("sa", ArrayType(StringType()), metadata={"dynamodb": "SS"})
    .add("la", ArrayType(StringType()))
    .add("da", ArrayType(DoubleType()))
    .add("pa", ArrayType(DecimalType(10, 2)), metadata={"dynamodb": "NS"})
    .add("ta", ArrayType(TimestampType()))
)

STRINGS = [
    "", "a", "A", "ab", "abc", "abcabc", "a%b", "a_b", "é", "日本", "😀", "a\nb", "it's", 'q"q', "\\", "a\\b", "100%",
    "\t", "z\U0010ffff", "\uffff", "aXb", " a ", "true", "5",
]  # fmt: skip
NUMBER_TEXTS = ["1.5", "1.50", "0", "-0.0", "100", "1E+2", "5", "12345678901234567890123456789012345678"]
INTEGERS = [0, 1, -1, 5, 6, 100, 127, -128, 32767, -32768, 2**31 - 1, -(2**31), 2**53, 2**53 + 1, 2**53 + 2, -(2**53) - 1,
            2**63 - 1, -(2**63)]  # fmt: skip
DECIMALS = ["0.00", "1.23", "1.24", "-1.23", "1.50", "5.00", "99999999.99", "-99999999.99", "0.01", "0.10", "1.10"]
DOUBLES = [0.0, 1.5, -1.5, 0.1, 1.1, 1e300, -1e300, 5.0, 2.0**53, 1e-300, 3.4e38, 1.23, 16777217.0]
FLOATS = [0.0, 1.5, -1.5, 0.10000000149011612, 1.100000023841858, 5.0, 16777216.0, 3.4028234663852886e38, 1e-45]
EPOCH = datetime(1970, 1, 1)
# about New York's changes of clocks in 2026, in local time and in UTC
MOMENTS = [
    datetime(2026, 3, 8, 1, 59, 59, 999999), datetime(2026, 3, 8, 2, 0), datetime(2026, 3, 8, 2, 30),
    datetime(2026, 3, 8, 3, 0), datetime(2026, 3, 8, 6, 30), datetime(2026, 3, 8, 7, 0), datetime(2026, 3, 8, 7, 30),
    datetime(2026, 11, 1, 0, 30), datetime(2026, 11, 1, 1, 30), datetime(2026, 11, 1, 5, 30),
    datetime(2026, 11, 1, 6, 30),
    datetime(2026, 11, 1), datetime(2026, 11, 1, 4), datetime(2026, 11, 1, 10, 0, 0, 500000),
    datetime(1969, 12, 31, 23, 59),
    datetime(1900, 1, 1), datetime(1583, 1, 1), datetime(2, 1, 1), datetime(9999, 12, 30), datetime(2026, 1, 1),
    datetime(2027, 1, 1),
    datetime(2024, 12, 30, 12), datetime(2027, 1, 2, 23, 59, 59), datetime(2025, 12, 29, 0, 0, 0, 1),
]  # fmt: skip


def table(chance: random.Random, rows: int) -> pa.RecordBatch:
    """A batch with all columns of SCHEMA and nulls everywhere."""

    def maybe(value: Any) -> Any:
        return None if chance.random() < 0.2 else value

    def many(values: list[Any]) -> list[Any]:
        return [maybe(chance.choice(values)) for _ in range(chance.choice([0, 1, 2, 3, 5]))]

    def within(bits: int) -> list[int]:
        return [n for n in INTEGERS if -(1 << (bits - 1)) <= n < 1 << (bits - 1)]

    decimals = [Decimal(text) for text in DECIMALS]
    wide = [Decimal(2**53), Decimal(2**53 + 1), Decimal("12345678901234567890"), Decimal(0), Decimal(5)]
    utc = [moment.replace(tzinfo=UTC) for moment in MOMENTS]
    make: dict[str, Any] = {
        "s": lambda: chance.choice(STRINGS),
        "s2": lambda: chance.choice(STRINGS[:8]),
        "odd name.x": lambda: chance.choice(STRINGS),
        "t": lambda: chance.choice(within(8)),
        "h": lambda: chance.choice(within(16)),
        "i": lambda: chance.choice(within(32)),
        "n": lambda: chance.choice(INTEGERS),
        "n2": lambda: chance.choice(INTEGERS[:8]),
        "p": lambda: chance.choice(decimals),
        "q": lambda: chance.choice(
            [*decimals, Decimal("1234567890123456789012345678.0123456789"), Decimal("1.2300000001")]
        ),
        "w": lambda: chance.choice(wide),
        "d": lambda: chance.choice(DOUBLES),
        "d2": lambda: chance.choice([*DOUBLES[:5], -0.0]),
        "f": lambda: chance.choice(FLOATS),
        "b": lambda: chance.random() < 0.5,
        "b2": lambda: chance.random() < 0.5,
        "dt": lambda: chance.choice([*(moment.date() for moment in MOMENTS), date(1, 1, 1), date(9999, 12, 31)]),
        "ts": lambda: chance.choice(utc),
        "te": lambda: chance.choice(utc),
        "sn": lambda: chance.choice(NUMBER_TEXTS),
        "nt": lambda: chance.choice(MOMENTS),
        "x": lambda: chance.choice([b"", b"\x00", b"\x00\xff", b"\xff", b"abc", b"\x7f"]),
        "st": lambda: {
            "i": maybe(chance.choice(within(32))),
            "inner": maybe(
                {
                    "price": maybe(chance.choice([Decimal("1.5"), Decimal("9999.9"), Decimal("0.0")])),
                    "at": maybe(chance.choice(utc)),
                    "Text": maybe(chance.choice(STRINGS)),
                }
            ),
            "flag": maybe(chance.random() < 0.5),
        },
        "m": lambda: [(key, maybe(chance.choice(INTEGERS))) for key in ("k", "K", "a b") if chance.random() < 0.6],
        "ms": lambda: [(key, maybe(chance.choice(STRINGS))) for key in ("k", "z") if chance.random() < 0.6],
        "a": lambda: many(INTEGERS),
        "sa": lambda: many(STRINGS),
        "la": lambda: many(STRINGS),
        "da": lambda: many(DOUBLES),
        "pa": lambda: many(decimals),
        "ta": lambda: many(utc),
    }
    columns = {name: [maybe(one()) for _ in range(rows)] for name, one in make.items()}
    schema = arrow_schema(SCHEMA)
    return pa.RecordBatch.from_arrays([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


# ------------------------------------------------------------------------------------------------- predicates

NUMBERS = ["t", "h", "i", "n", "n2", "p", "q", "w", "d", "d2", "f", "st.i", "ST.inner.PRICE", "m['k']", "m.`a b`",
"size(a)",
           "size(m)", "cardinality(sa)", "size(ms)", "size(pa)", "size(la)"]  # fmt: skip
TEXTS = ["s", "sn", "S2", "`odd name.x`", "st.inner.text", "ms.k", "ms['z']"]
FLAGS = ["b", "b2", "st.flag"]
MOMENT_COLUMNS = ["ts", "st.inner.at", "te"]
ORDERS = ["=", "==", "<>", "!=", "<", "<=", ">", ">=", "<=>"]


def predicate(chance: random.Random, depth: int = 3) -> str:
    """The text of a predicate; now and then one that is refused, since parentheses are left out at random."""
    kind = chance.random()
    if depth == 0 or kind < 0.3:
        return atom(chance)
    inner = predicate(chance, depth - 1)
    if kind < 0.45:
        return f"{chance.choice(['NOT ', 'not ', '! ', '!'])}{_wrapped(chance, inner)}"
    if kind < 0.55:
        suffix = chance.choice(["IS NULL", "IS NOT NULL", "is true", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE"])
        return f"{_wrapped(chance, inner, 0.95)} {suffix}"
    other = predicate(chance, depth - 1)
    word = chance.choice(["AND", "OR", "and", "Or", "AND", "OR"])
    space = chance.choice([" ", " ", " ", "\n", "\t ", " /* or */ ", " -- and\n"])
    return f"{_wrapped(chance, inner, 0.5)}{space}{word}{space}{_wrapped(chance, other, 0.5)}"


def _wrapped(chance: random.Random, text: str, likelihood: float = 0.6) -> str:
    return f"({text})" if chance.random() < likelihood else text


def atom(chance: random.Random) -> str:
    """A comparison, a function or a constant."""
    make = chance.choice(
        [_numbers, _numbers, _numbers, _texts, _texts, _likes, _likes, _dates, _moments, _moments, _local, _flags,
        _binaries, _arrays,
         _columns, _nulls, _functions, _constants]
    )  # fmt: skip
    return make(chance)


def _compared(chance: random.Random, column: str, literal: Any) -> str:
    """A column against literals that `literal()` makes."""
    kind = chance.random()
    if kind < 0.55:
        order = chance.choice(ORDERS)
        sides = [column, _wrapped(chance, literal(), 0.1)]
        return f"{sides[0]} {order} {sides[1]}" if chance.random() < 0.8 else f"{sides[1]} {order} {sides[0]}"
    negated = chance.choice(["", "NOT "])
    if kind < 0.75:
        return f"{column} {negated}BETWEEN {literal()} AND {literal()}"
    if kind < 0.95:
        items = [literal() for _ in range(chance.choice([1, 2, 3, 12]))] + (["NULL"] if chance.random() < 0.3 else [])
        return f"{column} {negated}IN ({', '.join(items)})"
    return f"{column} IS {negated}DISTINCT FROM {literal()}"


def _numbers(chance: random.Random) -> str:
    return _compared(chance, chance.choice(NUMBERS), lambda: number(chance))


def number(chance: random.Random) -> str:
    """A number literal."""
    kind = chance.random()
    if kind < 0.4:
        value = chance.choice(INTEGERS)
        return str(value) + (
            chance.choice(["", "", "L", "l"]) if abs(value) > 200 else chance.choice(["", "", "S", "L"])
        )
    if kind < 0.65:
        return chance.choice([*DECIMALS, "1.234", "1.5", "1.5BD", ".5", "5.", "-1.235", "12345678901234567890",
        "9007199254740992.5",
                              "100000000", "3000000000.5", "1.2300000001", "0.00000000001", "-5.0"])  # fmt: skip
    if kind < 0.9:
        return chance.choice(["1e0", "1.5D", "9007199254740992e0", "9007199254740993e0", "1.1F", "1.1D", "1.23D",
        "0.1e0", "-1.5e0", "1e39",
                              "16777217e0", "3.4028234663852886e38", "1e-46D", "5e-1", "12345678901234567890e0",
                              "-0e0", "- 5D",
                              "9.223372036854775807e18", "1e300", "99999999.99D", "99999999.995D"])  # fmt: skip
    return chance.choice(["'5'", "'-1'", "'1.5'", "'127'", "'1e2'", "NULL"])


def _texts(chance: random.Random) -> str:
    return _compared(chance, chance.choice(TEXTS), lambda: string(chance, chance.choice(STRINGS + NUMBER_TEXTS)))


def string(chance: random.Random, value: str) -> str:
    """A string literal of that value, spelled in one of many ways."""
    if "'" not in value and "\\" not in value and chance.random() < 0.2:
        return f"{chance.choice('rR')}'{value}'"
    if len(value) > 1 and chance.random() < 0.1:
        return f"{string(chance, value[:1])} {string(chance, value[1:])}"
    quote = chance.choice("''\"")
    spelled = ""
    for character in value:
        code = ord(character)
        kind = chance.random()
        if character == "\\":
            spelled += "\\\\"
        elif character == quote:
            spelled += chance.choice([f"\\{quote}", quote * 2])
        elif character in "%_":
            spelled += character
        elif kind < 0.05:
            spelled += f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04X}"
        elif kind < 0.1 and code < 128:
            spelled += f"\\{code:03o}"
        elif character in "\n\t" and kind < 0.5:
            spelled += {"\n": "\\n", "\t": "\\t"}[character]
        elif kind < 0.12 and character in "aAXz":
            spelled += f"\\{character}" if character not in "bnrtZuU0" else character
        else:
            spelled += character
    return f"{quote}{spelled}{quote}"


def _likes(chance: random.Random) -> str:
    pieces = [chance.choice(["%", "_", "%", "a", "b", "é", "😀", "\n", "bc", "\\\\", "\\%", "\\_", "it's", "100",
    "X", "."])
              for _ in range(chance.choice([0, 1, 2, 3, 4]))]  # fmt: skip
    negated = chance.choice(["", "NOT "])
    if chance.random() < 0.2:
        pattern = "".join(pieces).replace("\\", "|")
        return f"{chance.choice(TEXTS)} {negated}LIKE {string(chance, pattern)} ESCAPE '|'"
    return f"{chance.choice(TEXTS)} {negated}LIKE {string(chance, ''.join(pieces))}"


def _dates(chance: random.Random) -> str:
    def literal() -> str:
        day = chance.choice(MOMENTS).date()
        forms = [
            f"DATE'{day}'",
            f"date '{day}'",
            f"'{day}'",
            f"'{day.year:04}-{day.month}'",
            f"'{day.year:04}-{day.month}-{day.day}'",
        ]
        return chance.choice([*forms, f"'{day.year:04}'", "NULL"] if chance.random() < 0.3 else forms)

    return _compared(chance, "dt", literal)


def moment(chance: random.Random, zones: bool = True) -> str:
    """The text within a timestamp literal."""
    at = chance.choice(MOMENTS)
    if chance.random() < 0.3:
        at += timedelta(minutes=chance.choice([-60, -30, 30, 60, 240, 300]))
    day = f"{at.year:04}-{at.month:02}-{at.day:02}"
    clock = f"{at.hour:02}:{at.minute:02}:{at.second:02}"
    fraction = chance.choice(["", f".{at.microsecond:06}", ".5", ".123"])
    zone = chance.choice(["", "", "Z", "+02:00", "-05:00", "+18:00", "-00:30"]) if zones else ""
    return chance.choice(
        [day, day[:7], f"{day} {at.hour:02}", f"{day}T{clock[:5]}", f"{day} {clock}{fraction}{zone}",
        f"{day}T{clock}{fraction}{zone}",
         f"{day} {at.hour}:{at.minute}:{at.second}{zone}"]
    )  # fmt: skip


def _moments(chance: random.Random) -> str:
    def literal() -> str:
        kind = chance.choice(["", "", "TIMESTAMP", "timestamp ", "TIMESTAMP_LTZ", "TIMESTAMP_NTZ"])
        return f"{kind}'{moment(chance, zones=kind != 'TIMESTAMP_NTZ')}'"

    return _compared(chance, chance.choice(MOMENT_COLUMNS), literal)


def _local(chance: random.Random) -> str:
    def literal() -> str:
        return f"{chance.choice(['', 'TIMESTAMP_NTZ', 'timestamp_ntz'])}'{moment(chance, zones=False)}'"

    return _compared(chance, "nt", literal)


def _flags(chance: random.Random) -> str:
    column = chance.choice(FLAGS)
    if chance.random() < 0.5:
        return chance.choice(
            [column, f"NOT {column}", f"{column} IS TRUE", f"{column} IS NOT FALSE", f"{column} IS NULL"]
        )
    return _compared(chance, column, lambda: chance.choice(["TRUE", "false", "TRUE", "FALSE", "NULL"]))


def _binaries(chance: random.Random) -> str:
    return _compared(chance, "x", lambda: chance.choice(["X'00'", "x'00ff'", "X'FF'", "X ''", "X'616263'"]))


def _arrays(chance: random.Random) -> str:
    return chance.choice(
        [
            f"array_contains(a, {chance.choice(INTEGERS)})",
            f"ARRAY_CONTAINS(a, {chance.choice(['1e0', '5.0', '100L', '9007199254740992e0'])})",
            f"array_contains(sa, {string(chance, chance.choice(STRINGS))})",
            f"array_contains(la, {string(chance, chance.choice(STRINGS))})",
            f"array_contains(da, {chance.choice(['1.5', '1.1D', '5', '0e0', '1.23'])})",
            f"array_contains(pa, {chance.choice(['1.5', '1.230', '5', '1.1D', '0.1e0'])})",
            f"array_contains(ta, TIMESTAMP'{moment(chance)}')",
        ]
    )


def _columns(chance: random.Random) -> str:
    groups = [TEXTS, ["t", "h", "i", "n", "n2", "st.i", "size(a)", "size(m)", "m['k']"], ["p", "i", "n", "w",
    "st.inner.price"],
              ["d", "d2", "f"], FLAGS, MOMENT_COLUMNS, ["p", "q"], ["dt"], ["nt"], ["x"]]  # fmt: skip
    group = chance.choice(groups)
    return f"{chance.choice(group)} {chance.choice(ORDERS)} {chance.choice(group)}"


def _nulls(chance: random.Random) -> str:
    column = chance.choice([*NUMBERS, *TEXTS, *FLAGS, "st", "st.inner", "m", "a", "ts", "x", "dt", "nt"])
    return chance.choice([f"{column} IS NULL", f"{column} IS NOT NULL", f"isnull({column})", f"isnotnull( {column} )"])


def _functions(chance: random.Random) -> str:
    name = chance.choice(["startswith", "endswith", "contains", "StartsWith"])
    return f"{name}({chance.choice(TEXTS)}, {string(chance, chance.choice(STRINGS))})"


def _constants(chance: random.Random) -> str:
    return chance.choice(
        ["TRUE", "false", "NULL", "s = NULL", "n > NULL", "b <=> NULL", "s IN (NULL)", "s LIKE NULL", "ts < NULL"]
    )
