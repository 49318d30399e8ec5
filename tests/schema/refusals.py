"""Random rows for a model, and what Pydantic refuses of them: the measure for `violations`."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pydantic
from pyspark.sql.types import ArrayType, DataType, DecimalType, MapType, StructField, StructType

from spark_dynamo.schema.nodes import Node

Row = dict[str, Any]

_TODAY = date.today()
_TEXTS = [
    *(
        "",
        "a",
        "b",
        "ab",
        "abc",
        "abcd",
        "A",
        "Ab1",
        "ab12",
        "ab12\n",
        "a\nb",
        " a ",
        "\u00a0ab\u3000",
        "\x1ca",
        "é",
        "ß",
        "ſ",
    ),
    *(
        "\u0660\u0661",
        "12",
        "1",
        "\U0001f600",
        "\U0001d400b",
        "e\u0301",
        "x.y",
        "red",
        "blue",
        "green",
        "a-b",
        "a_b",
        "a b",
        "K",
    ),
    *(
        "550e8400-e29b-41d4-a716-446655440000",
        "550E8400E29B41D4A716446655440000",
        "{550e8400-e29b-41d4-a716-446655440000}",
    ),
    *(
        "urn:uuid:550e8400-e29b-11d4-a716-446655440000",
        "550e8400-e29b-41d4-0716-446655440000",
        "550e8400",
        "\0",
        "\u2028",
    ),
    *("1.2.3.4", "01.2.3.4", "255.255.255.255", "256.1.1.1", "1.2.3.4\n", "aa", "aaa", "aaaaa", "l", "m", "s", "t"),
]
_NUMBERS = [0, 1, -1, 2, 3, 4, 5, 6, 9, 10, 11, 99, 100, 101, 12, 255, 1000]
_FLOATS = [
    *(float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 1e300, 5e-324),
    *(0.1, 0.3, 0.35, -0.05, 0.7, 1.0, 1.5, 2.0, 9.5, 100.0),
]
_DATES = [
    *(date(1, 1, 1), date(2019, 12, 31), date(2020, 1, 1), date(2020, 1, 2), date(9999, 12, 31)),
    *(_TODAY - timedelta(days=2), _TODAY + timedelta(days=2)),
]
_MOMENTS = [datetime(day.year, day.month, day.day) for day in _DATES[1:]] + [
    datetime(2020, 1, 1, 0, 0, 0, 1),
    datetime(2019, 12, 31, 22),
    datetime(2019, 12, 31, 23, 59, 59, 999_999),
]
_SPANS = [
    timedelta(),
    timedelta(microseconds=-1),
    timedelta(days=1),
    timedelta(days=1, microseconds=1),
    timedelta(days=400),
]


def _integer(bits: int) -> Callable[[random.Random], int]:
    edges = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]
    numbers = [number for number in _NUMBERS if number <= edges[1]]
    return lambda source: source.choice([*edges, *numbers]) if source.random() < 0.3 else source.choice(numbers)


def _decimal(kind: DecimalType, source: random.Random) -> Decimal:
    most = 10**kind.precision - 1
    unit = 10**kind.scale
    choice = source.choice(
        [
            source.choice(_NUMBERS) * unit,
            source.randint(-20, 20),
            source.choice([-1, 1]) * 10 ** source.randint(0, kind.precision - 1),
            source.choice([most, -most, most // 10 + 1]),
            source.randint(-40, 400) * max(unit // 20, 1),
            source.randint(0, 9) * 10 ** source.randint(0, kind.precision - 1) + source.randint(0, 1),
        ]
    )
    clipped = max(-most, min(most, choice))
    return Decimal((int(clipped < 0), tuple(map(int, str(abs(clipped)))), -kind.scale))


_LEAVES: Mapping[str, Callable[[random.Random], Any]] = {
    "string": lambda source: source.choice(_TEXTS),
    "tinyint": _integer(8),
    "smallint": _integer(16),
    "int": _integer(32),
    "bigint": _integer(64),
    "double": lambda source: source.choice(_FLOATS),
    "boolean": lambda source: source.random() < 0.5,
    "binary": lambda source: source.choice(_TEXTS).encode(),
    "date": lambda source: source.choice(_DATES),
    "timestamp": lambda source: source.choice(_MOMENTS).replace(tzinfo=UTC),
    "timestamp_ntz": lambda source: source.choice(_MOMENTS),
    "interval day to second": lambda source: source.choice(_SPANS),
}


def random_value(node: Node, source: random.Random) -> Any:
    """A value of the node's Spark type, now and then None, which may break any of its constraints."""
    if source.random() < (0.2 if node.nullable else 0.04):
        return None
    if node.members is not None and source.random() < 0.8:
        return source.choice(node.members)
    if node.fields:
        arm = source.choice(node.arms) if node.arms and source.random() < 0.9 else node
        own = {child.name: child.node for child in arm.fields}
        return {
            child.name: random_value(own[child.name], source) if child.name in own else None for child in node.fields
        }
    if node.element is not None:
        return [random_value(node.element, source) for _ in range(source.choice([0, 1, 1, 2, 2, 3]))]
    if node.key is not None and node.value is not None:
        keys = [
            key
            for key in (random_value(node.key, source) for _ in range(source.choice([0, 1, 2, 3])))
            if key is not None
        ]
        return {key: random_value(node.value, source) for key in keys}
    if isinstance(node.data_type, DecimalType):
        return _decimal(node.data_type, source)
    return _LEAVES[node.data_type.simpleString()](source)


def random_rows(node: Node, count: int, validate: Callable[[Any], Any], source: random.Random) -> list[Row]:
    """Rows of which about half are mended, column by column, until Pydantic takes them or patience ends."""
    rows = []
    for _ in range(count):
        row = {child.name: random_value(child.node, source) for child in node.fields}
        left = source.choice([0, 0, 0, 1, 1, len(row)])
        for _ in range(200):
            wrong = {path.split(".")[0].split("[")[0].split("{")[0] for path in refused_paths(node, row, validate)}
            if len(wrong) <= left:
                break
            for child in node.fields:
                if child.name in wrong:
                    row[child.name] = random_value(child.node, source)
        rows.append(row)
    return rows


def refused_paths(node: Node, row: Row, validate: Callable[[Any], Any]) -> set[str]:
    """The paths of all that Pydantic refuses in a row, as `violations` writes them."""
    assert node.load is not None
    is_merged = any(inner.arms for inner in node.below())
    try:
        validate(_given(node, row) if is_merged else node.load(entries(node, row)))
    except pydantic.ValidationError as error:
        # an element that a tuple lacks is told at its own place
        return {
            _path(node, found["loc"]).removesuffix(f"[{found['loc'][-1]}]" if found["type"] == "missing" else " ")
            for found in error.errors(include_url=False, include_context=False)
        }
    return set()


def _given(node: Node, value: Any) -> Any:
    """The value with only those nulls of a merged struct that its model's field may take; another field isn't given."""
    if isinstance(value, list) and node.element is not None:
        return [_given(node.element, item) for item in value]
    if not isinstance(value, dict) or not node.fields:
        return value
    inner = {child.name: _given(child.node, value[child.name]) for child in node.fields}
    if not node.arms:
        return inner
    tagged = [arm for arm in node.arms for child in arm.fields if inner[child.name] in (child.node.members or ())]
    nullable = {child.name for arm in tagged or [node] for child in arm.fields if child.node.nullable}
    return {name: held for name, held in inner.items() if held is not None or name in nullable}


def entries(node: Node, value: Any) -> Any:
    """The value as Arrow's `to_pylist` gives it: a map as the list of its entries."""
    if value is None:
        return None
    if node.fields:
        return {child.name: entries(child.node, value[child.name]) for child in node.fields}
    if node.element is not None:
        return [entries(node.element, item) for item in value]
    if node.value is not None:
        return [(key, entries(node.value, held)) for key, held in value.items()]
    return value


def _path(node: Node | None, place: tuple[int | str, ...]) -> str:
    """Pydantic's location as a path; the whole of a union of models is one place unless a discriminator tells them apart."""
    if not place or node is None or place[0] == "[key]":
        return ""
    first, rest = place[0], place[1:]
    if node.arms:
        if node.discriminator is None:
            return ""
        arm = next(arm for arm in node.arms for child in arm.fields if first in (child.node.members or ()))
        return _path(arm, rest)
    if node.element is not None:
        return f"[{first}]{_path(node.element, rest)}"
    if node.key is not None:
        return f"{{{first}}}{_path(node.value, rest)}"
    for index, child in enumerate(node.fields):
        alias = child.info.validation_alias if child.info else None
        if first in (index, child.name, child.attribute, alias):
            return f"{'.' if node.path else ''}{child.name}{_path(child.node, rest)}"
    raise AssertionError(f"no field at {place} of {node.path}")


def all_nullable(kind: DataType) -> DataType:
    """The type with null allowed everywhere, so that any row may stand in a frame."""
    if isinstance(kind, StructType):
        return StructType([StructField(field.name, all_nullable(field.dataType), True) for field in kind.fields])
    if isinstance(kind, ArrayType):
        return ArrayType(all_nullable(kind.elementType), True)
    if isinstance(kind, MapType):
        return MapType(all_nullable(kind.keyType), all_nullable(kind.valueType), True)
    return kind


def without_order(node: Node, paths: set[str]) -> set[str]:
    """The paths without the index in a set, whose elements have no order in Python."""
    names = [re.escape(child.name) for child in node.fields if child.node.stored in ("SS", "NS", "BS")]
    return {re.sub(rf"^({'|'.join(names)})\[\d+\]$", r"\1[]", path) for path in paths}


def without_what_one_hides(ours: set[str], theirs: set[str], lengths: set[str]) -> set[str]:
    """Our paths without those that Pydantic keeps back: it tells of a container's length, or of what the container holds.

    `lengths` are the paths of containers that are too long or too short.
    """

    def within(path: str, container: str) -> bool:
        return path.startswith((f"{container}[", f"{container}{{"))

    seen = {path for path in ours if path in theirs or not any(within(path, length) for length in lengths & theirs)}
    return seen - {length for length in lengths - theirs if any(within(path, length) for path in theirs)}
