"""What the entries of `Annotated`, `Field` and `model_config` say of one value: `Declared`.

Read as Pydantic reads them: one after the other, a later rule in the place of an earlier one of its name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, Flag
from functools import partial
from ipaddress import IPv4Address
from pathlib import PurePath
from types import MappingProxyType
from typing import Any
from uuid import UUID

import annotated_types
import pydantic
from annotated_types import GroupedMetadata
from pydantic import AfterValidator, BeforeValidator, PlainValidator, SkipValidation, WrapValidator
from pydantic.fields import FieldInfo
from pyspark.sql.types import DoubleType, FloatType, StringType

from spark_dynamo.schema.checks.limits import Predicate
from spark_dynamo.schema.checks.patterns import WHITE_SPACE
from spark_dynamo.schema.checks.sql import text
from spark_dynamo.schema.nodes import Node

__all__ = ["Check", "Config", "Declared", "function_name", "is_endless"]

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """A constraint: its words, as in `ge=0`, and the predicate that is true where a value, which isn't null, breaks it."""

    wording: str
    fails: Predicate


@dataclass(slots=True)
class Declared:
    """What is said of the value at a node; `names` are those of the rules there are.

    `kind` is the class that narrows the column's type, such as UUID. `is_open`: there may be more than the known members.
    """

    node: Node
    config: Config
    names: Iterable[str]
    rules: dict[str, Any] = field(default_factory=dict)
    kind: type[Any] | None = None
    checks: list[Check] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    changed_by: str | None = None
    is_replaced: bool = False
    is_open: bool = False

    def __post_init__(self) -> None:
        for entry in _flat(self.node.constraints):
            self._read(entry)

    def _read(self, entry: Any) -> None:
        """Take one entry into account; what Pydantic itself ignores is ignored."""
        validator = next((name for kind, name in _VALIDATORS.items() if isinstance(entry, kind)), None)
        if entry is _SKIP or isinstance(entry, _SKIP):
            self.is_replaced = True
        elif validator is not None:
            self._validator(validator, function_name(entry.func))
        elif isinstance(entry, annotated_types.Predicate | annotated_types.Not):
            self._predicate(entry)
        elif isinstance(entry, type) or type(entry) is _JSON:
            self._kind(entry if isinstance(entry, type) else type(entry))
        elif not isinstance(entry, pydantic.UrlConstraints):  # told with the URL
            self._rules(entry)

    @property
    def is_text(self) -> bool:
        """Whether it is Pydantic's own `str`, to which the texts' settings of a model apply."""
        return (
            isinstance(self.node.data_type, StringType) and self.node.members is None and self.kind in (None, *_SECRETS)
        )

    @property
    def is_secret(self) -> bool:
        """Whether the value is not to be shown."""
        return self.kind is not None and issubclass(self.kind, _SECRETS)

    def all_rules(self) -> dict[str, Any]:
        """The rules with those of the model's settings that nothing here overrides."""
        settings = _TEXT_SETTINGS if self.is_text and not self.node.arms else {}
        if isinstance(self.node.data_type, FloatType | DoubleType) and self.node.members is None:
            settings = {"allow_inf_nan": "allow_inf_nan"}
        given = {rule: self.config.get(setting) for rule, setting in settings.items()}
        return {**{rule: value for rule, value in given.items() if value is not None}, **self.rules}

    def seen(self, value: str) -> str:
        """The text as its length and pattern are checked: without white space around it where that is taken away."""
        return f"btrim({value}, {text(WHITE_SPACE)})" if self.all_rules().get("strip_whitespace") else value

    @property
    def may_become_equal(self) -> bool:
        """Whether two values that differ may be one once they are validated, in a way that `seen` doesn't know."""
        is_transformed = any(self.all_rules().get(name) for name in ("to_lower", "to_upper"))
        return is_transformed or bool(self.unchecked) or self.kind is UUID

    def _validator(self, mode: str, function: str) -> None:
        self.unchecked.append(f"{mode} validator {function}")
        if mode == "plain":
            self.is_replaced = True
        elif mode != "before":
            self.changed_by = function

    def _predicate(self, entry: Any) -> None:
        function, is_negated = entry.func, isinstance(entry, annotated_types.Not)
        if isinstance(function, annotated_types.Not):  # annotated_types itself has Predicate(Not(...))
            function, is_negated = function.func, not is_negated
        holds = next((column for known, column in _PREDICATES if known is function), None)
        wording = f"{'not' if is_negated else 'predicate'} {function_name(function)}"
        if holds is None or self.changed_by or not isinstance(self.node.data_type, FloatType | DoubleType):
            self.unchecked.append(wording)
        else:
            self.checks.append(Check(wording, holds if is_negated else partial(_holds_not, holds)))

    def _kind(self, kind: type[Any]) -> None:
        self.kind = kind
        if issubclass(kind, Enum):
            self._enum(kind)
        elif kind in _FORMATS:
            self.checks.append(_FORMATS[kind])
        elif not issubclass(kind, PurePath) and kind not in _SECRETS:
            self.unchecked.append(f"{kind.__name__}: only Python knows its format")

    def _enum(self, kind: type[Enum]) -> None:
        missing: Any = kind._missing_
        if issubclass(kind, Flag):
            self.unchecked.append(f"{kind.__name__}: which flags there are")
        elif missing.__func__ is not Enum.__dict__["_missing_"].__func__:
            self.is_open = True
            self.unchecked.append(f"{kind.__name__}: its _missing_ may know more values")

    def _rules(self, entry: Any) -> None:
        found = {name: getattr(entry, name) for name in self.names if getattr(entry, name, None) is not None}
        if self.changed_by:
            self.unchecked += [
                f"{name}={value}: it is checked after {self.changed_by}" for name, value in found.items()
            ]
        else:
            self.rules.update(found)
        if not found and hasattr(entry, "__get_pydantic_core_schema__"):
            self.changed_by = type(entry).__name__
            self.unchecked.append(f"{self.changed_by}: only Python knows what it does")


_VALIDATORS: Mapping[type, str] = MappingProxyType(
    {AfterValidator: "after", BeforeValidator: "before", WrapValidator: "wrap", PlainValidator: "plain"}
)
_SKIP: Any = SkipValidation  # to type checkers, an alias
_JSON: Any = pydantic.Json
_SECRETS = (pydantic.SecretStr, pydantic.SecretBytes)
_TEXT_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "strip_whitespace": "str_strip_whitespace",
        "to_lower": "str_to_lower",
        "to_upper": "str_to_upper",
        "min_length": "str_min_length",
        "max_length": "str_max_length",
    }
)


def is_endless(value: str) -> str:
    """Whether a floating-point number is NaN or one of the two infinities."""
    return f"isnan({value}) OR {_is_infinite(value)}"


def _is_infinite(value: str) -> str:
    return f"abs({value}) = CAST('Infinity' AS DOUBLE)"


def _holds_not(holds: Predicate, value: str) -> str:
    return f"NOT ({holds(value)})"


_PREDICATES: tuple[tuple[Any, Predicate], ...] = (
    (math.isfinite, partial(_holds_not, is_endless)),
    (math.isnan, lambda value: f"isnan({value})"),
    (math.isinf, _is_infinite),
)

# the ways to write a UUID that Pydantic takes
_HEX = "[0-9A-Fa-f]"
_HYPHENS = f"{_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}"
_UUID = rf"\A(?:(?:urn:uuid:)?{_HYPHENS}|\{{{_HYPHENS}\}}|{_HEX}{{32}})\z"
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"


def _unlike(pattern: str) -> Predicate:
    return lambda value: f"NOT rlike({value}, {text(pattern)})"


_FORMATS: Mapping[type, Check] = MappingProxyType(
    {
        UUID: Check("uuid", _unlike(_UUID)),
        IPv4Address: Check("ipv4", _unlike(rf"\A{_BYTE}(?:\.{_BYTE}){{3}}\z")),
        pydantic.ByteSize: Check("ge=0", lambda value: f"{value} < 0"),
        pydantic.PastDate: Check("past", lambda value: f"{value} >= current_date()"),
        pydantic.FutureDate: Check("future", lambda value: f"{value} <= current_date()"),
        pydantic.PastDatetime: Check("past", lambda value: f"{value} >= current_timestamp()"),
        dict: Check("an object", lambda value: f"NOT startswith(schema_of_variant({value}), 'OBJECT')"),
        pydantic.FutureDatetime: Check("future", lambda value: f"{value} <= current_timestamp()"),
    }
)


def function_name(function: Any) -> str:
    """The name of a function as people know it."""
    inner = function.func if isinstance(function, partial) else function
    return getattr(inner, "__qualname__", None) or type(inner).__name__


def _flat(entries: Iterable[Any]) -> Iterator[Any]:
    for entry in entries:
        if isinstance(entry, FieldInfo):
            yield from _flat(entry.metadata)
        elif isinstance(entry, GroupedMetadata):
            yield from _flat(entry)
        else:
            yield entry
