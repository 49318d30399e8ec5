"""The one table of constraints: which entry of `Annotated`, `Field` or `model_config` becomes which predicate on a column.

A check reads the value as it stands in the column. What Pydantic does in Python, or what Spark can't say exactly, is told in words
instead: it stays unchecked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DecimalType,
    DoubleType,
    FloatType,
    MapType,
    StringType,
)

from spark_dynamo.errors import shorten
from spark_dynamo.schema.checks.declared import Check, Config, Declared, is_endless
from spark_dynamo.schema.checks.limits import Predicate, beyond, no_multiple, too_many_digits
from spark_dynamo.schema.checks.patterns import PatternError, java_pattern, repeats_group
from spark_dynamo.schema.checks.sql import LiteralError, is_binary, literal, text
from spark_dynamo.schema.nodes import Node

__all__ = ["Checks", "checks_of"]


@dataclass(frozen=True, slots=True)
class Checks:
    """What there is to check of one value.

    `unchecked` are the constraints that no column expression can check, in words. `is_replaced` says that Pydantic doesn't look
    at the value by its type at all, nor at what it holds. `is_secret`: the value is not to be shown.
    """

    checks: tuple[Check, ...] = ()
    unchecked: tuple[str, ...] = ()
    is_replaced: bool = False
    is_secret: bool = False


def checks_of(node: Node, config: Config) -> Checks:
    """The checks of the value at a node itself, not of what it holds; `config` is the `model_config` around it.

    Null is not looked at here. Needs no Spark session: the predicates make their columns when they are called.
    """
    declared = _declared(node, config)
    if declared.is_replaced:
        return Checks((), tuple(declared.unchecked), is_replaced=True, is_secret=declared.is_secret)
    checks = [*declared.checks, *_members(declared)]
    for name, value in declared.all_rules().items():
        wording = f"{name}={value.pattern if isinstance(value, re.Pattern) else value}"
        try:
            fails = _RULES[name](declared, value)
        except (LiteralError, PatternError) as error:
            declared.unchecked.append(f"{wording}: {error}")
        else:
            checks.extend([Check(wording, fails)] if fails else [])
    return Checks(tuple(checks), tuple(declared.unchecked), is_secret=declared.is_secret)


def _members(declared: Declared) -> list[Check]:
    if declared.node.members is None or declared.is_open:
        return []
    wording = f"one of {shorten(', '.join(map(repr, declared.node.members)))}"
    try:
        allowed = [literal(member, declared.node.data_type) for member in declared.node.members]
    except LiteralError as error:
        declared.unchecked.append(f"{wording}: {error}")
        return []
    return [Check(wording, lambda value: f"{value} NOT IN ({', '.join(allowed)})")]


# ---------------------------------------------------------------------------------------------------- the table


def _bound(name: str) -> _Rule:
    return lambda declared, bound: beyond(name, bound, declared.node.data_type)


def _multiple(declared: Declared, divisor: Any) -> Predicate | None:
    node = declared.node
    # an int beyond 64 bits is a DECIMAL too, and is loaded as an int
    return no_multiple(
        divisor, node.data_type, is_decimal=isinstance(node.data_type, DecimalType) and node.load is None
    )


def _least(declared: Declared, length: int) -> Predicate | None:
    size = _size(declared)
    return (lambda value: f"{size(value)} < {length}") if length > 0 else None


def _most(declared: Declared, length: int) -> Predicate:
    size = _size(declared)
    return lambda value: f"{size(value)} > {length}"


def _size(declared: Declared) -> Predicate:
    """What counts the characters, bytes, elements or entries; equal elements of a set are one."""
    node = declared.node
    if isinstance(node.data_type, StringType):
        if not declared.is_text:
            raise LiteralError("only Python knows how long the text of this type is")
        return lambda value: f"length({declared.seen(value)})"
    if isinstance(node.data_type, BinaryType):
        return lambda value: f"length({value})"
    if isinstance(node.data_type, ArrayType):
        if node.stored not in ("SS", "NS", "BS"):
            return lambda value: f"array_size({value})"
        element = _declared(node.element, declared.config) if node.element else None
        if element is None or element.may_become_equal:
            raise LiteralError("elements may become equal, and one, when they are validated")
        return lambda value: f"array_size(array_distinct(transform({value}, held -> {element.seen('held')})))"
    if isinstance(node.data_type, MapType):
        key = _declared(node.key, declared.config) if node.key else None
        if key is None or key.may_become_equal:
            raise LiteralError("keys may become equal, and one, when they are validated")
        return lambda value: f"array_size(array_distinct(transform(map_keys({value}), held -> {key.seen('held')})))"
    raise LiteralError(f"{node.data_type.simpleString()} has no length")


# what surely has room on the stack where Java repeats a group; twice as many times have, four times have not
_MOST_CHARACTERS = 500


def _pattern(declared: Declared, pattern: str | re.Pattern[str]) -> Predicate:
    if isinstance(pattern, re.Pattern) or declared.config.get("regex_engine") == "python-re":
        raise PatternError("is a pattern of Python's re")
    if not declared.is_text:
        raise PatternError("is looked for in another text than the column's")
    kind = declared.node.data_type
    if isinstance(kind, StringType) and not is_binary(kind):
        raise PatternError(f"{kind.simpleString()} compares in another way than Python")
    java = java_pattern(pattern)
    if not repeats_group(pattern):
        return lambda value: f"NOT rlike({declared.seen(value)}, {text(java)})"
    if declared.all_rules().get("max_length", math.inf) > _MOST_CHARACTERS:
        declared.unchecked.append(f"pattern={pattern}: in texts of more than {_MOST_CHARACTERS} characters")

    def fails(value: str) -> str:
        seen = declared.seen(value)
        return f"CASE WHEN length({seen}) <= {_MOST_CHARACTERS} THEN NOT rlike({seen}, {text(java)}) END"

    return fails


def _finite(declared: Declared, allowed: bool) -> Predicate | None:
    if allowed or not isinstance(declared.node.data_type, FloatType | DoubleType):
        return None  # other numbers are always finite
    return is_endless


def _digits(declared: Declared, digits: int) -> Predicate | None:
    return too_many_digits(digits, declared.rules.get("decimal_places"), declared.node.data_type)


def _places(declared: Declared, places: int) -> Predicate | None:
    return too_many_digits(None, places, declared.node.data_type)


def _ascii(declared: Declared, wanted: bool) -> Predicate | None:
    return (lambda value: f"rlike({declared.seen(value)}, {text(_BEYOND_ASCII)})") if wanted else None


_AROUND_DIGITS = r"\Aurn:uuid:|[-{}]"
_BEYOND_ASCII = r"[^\x00-\x7F]"


def _uuid_version(declared: Declared, version: int) -> Predicate:
    """Only UUIDs of the variant that RFC 9562 describes have a version."""

    pattern = text(rf"\A.{{12}}{version:x}.{{3}}[89ab]")
    return lambda value: f"NOT rlike(regexp_replace(lower({value}), {text(_AROUND_DIGITS)}, ''), {pattern})"


def _no_check(declared: Declared, value: Any) -> None:
    """Nothing to check: the column's type does it, or it changes the value."""


_Rule: TypeAlias = Callable[[Declared, Any], Predicate | None]

_RULES: Mapping[str, _Rule] = MappingProxyType(
    {
        **{name: _bound(name) for name in ("ge", "gt", "le", "lt")},
        "multiple_of": _multiple,
        "min_length": _least,
        "max_length": _most,
        "pattern": _pattern,
        "ascii_only": _ascii,
        "max_digits": _digits,
        "decimal_places": _places,
        "allow_inf_nan": _finite,
        "uuid_version": _uuid_version,
        **dict.fromkeys(
            ("strict", "strip_whitespace", "to_lower", "to_upper", "coerce_numbers_to_str", "fail_fast"), _no_check
        ),
    }
)


def _declared(node: Node, config: Config) -> Declared:
    return Declared(node, config, _RULES)
