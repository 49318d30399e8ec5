"""The value route of decoding: one attribute value at a time, exact about every form and every misfit.

It serves the types that Arrow's JSON reader can't express (maps with free keys, VARIANT), and any column in which a
column kernel met a value that doesn't fit plainly: it then either knows the rarer form or says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from pyspark.sql.types import ArrayType, DataType, MapType, StructType, VariantType

from spark_dynamo.wire import types
from spark_dynamo.wire.variant import encode_variant

AttributeValue = Mapping[str, Any]
Reader = Callable[[AttributeValue], object]


class Misfit(Exception):  # noqa: N818 - a finding that the caller, who knows the item, turns into MalformedItemError
    """A value that doesn't fit its column; `path` leads to it from the top, `found` is its tag, None where missing."""

    def __init__(self, value: object, found: str | None, expected: str, problem: str = "") -> None:
        super().__init__(value, found, expected, problem)
        self.path = ""
        self.value = value
        self.found = found
        self.expected = expected
        self.problem = problem

    def below(self, step: str) -> Misfit:
        """The same finding seen from one level further up."""
        separator = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{step}{separator}{self.path}"
        return self


def attribute_reader(kind: DataType, tag: str | None, nullable: bool) -> Callable[[AttributeValue | None], object]:
    """A function from an attribute value, or None where the attribute is missing, to a value that Arrow takes.

    The function raises `Misfit` where the value doesn't fit, and where it is null but `nullable` is false.
    """
    if isinstance(kind, VariantType):
        return _variant_reader(nullable)
    wire_tag, read = _reader(kind, tag)
    expected = types.ddl(kind)

    def read_attribute(attribute: AttributeValue | None) -> object:
        if attribute is not None and wire_tag in attribute:
            return read(attribute[wire_tag])
        found = None if attribute is None else next(iter(attribute), "nothing")
        if found not in (None, "NULL"):
            raise Misfit(_text(attribute), found, expected)
        if not nullable:
            raise Misfit(None, found, expected)
        return None

    return read_attribute


def _variant_reader(nullable: bool) -> Callable[[AttributeValue | None], object]:
    def read_variant(attribute: AttributeValue | None) -> object:
        if attribute is None:
            if not nullable:
                raise Misfit(None, None, "VARIANT")
            return None
        try:
            value, metadata = encode_variant(attribute)
        except ValueError as problem:
            raise Misfit(_text(attribute), next(iter(attribute), "nothing"), "VARIANT", str(problem)) from None
        return {"value": value, "metadata": metadata}

    return read_variant


def _reader(kind: DataType, tag: str | None) -> tuple[str, Callable[[Any], object]]:
    """The tag that is expected, and a function from what stands behind it."""
    if isinstance(kind, StructType):
        return "M", _struct_reader(kind)
    if isinstance(kind, MapType):
        return "M", _map_reader(kind)
    if isinstance(kind, ArrayType):
        leaf_tag = types.element_tag(kind, tag, "")
        if leaf_tag is not None:
            assert tag is not None
            element = types.leaf_of(kind.elementType, leaf_tag, "")
            return tag, _elements_reader(_leaf_reader(element, kind.elementType))
        return "L", _elements_reader(attribute_reader(kind.elementType, None, kind.containsNull))
    leaf = types.leaf_of(kind, tag, "")
    return leaf.tag, _leaf_reader(leaf, kind)


def _leaf_reader(leaf: types.Leaf, kind: DataType) -> Callable[[Any], object]:
    expected = types.ddl(kind)

    def read_leaf(value: Any) -> object:
        try:
            return leaf.read(value, kind)
        except ValueError as problem:
            raise Misfit(value, leaf.tag, expected, str(problem)) from None

    return read_leaf


def _struct_reader(kind: StructType) -> Callable[[Any], object]:
    readers = {
        field.name: attribute_reader(field.dataType, types.storage_tag(field), field.nullable) for field in kind.fields
    }

    def read_struct(attributes: Mapping[str, AttributeValue]) -> object:
        struct = {}
        for name, read in readers.items():
            try:
                struct[name] = read(attributes.get(name))
            except Misfit as misfit:
                raise misfit.below(name) from None
        return struct

    return read_struct


def _map_reader(kind: MapType) -> Callable[[Any], object]:
    read = attribute_reader(kind.valueType, None, kind.valueContainsNull)

    def read_map(attributes: Mapping[str, AttributeValue]) -> object:
        entries = []
        for name, attribute in attributes.items():
            try:
                entries.append((name, read(attribute)))
            except Misfit as misfit:
                raise misfit.below(name) from None
        return entries

    return read_map


def _elements_reader(read: Callable[[Any], object]) -> Callable[[Any], object]:
    def read_elements(values: list[Any]) -> object:
        elements = []
        for index, value in enumerate(values):
            try:
                elements.append(read(value))
            except Misfit as misfit:
                raise misfit.below(f"[{index}]") from None
        return elements

    return read_elements


def _text(attribute: AttributeValue | None) -> str:
    """What stands behind the tag, as JSON; a plain string or number without quotes."""
    value = next(iter((attribute or {}).values()), None)
    return value if isinstance(value, str) else orjson.dumps(value).decode()
