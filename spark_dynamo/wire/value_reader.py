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
        """This finding seen from one level further up."""
        separator = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{step}{separator}{self.path}"
        return self


def attribute_reader(
    kind: DataType, tag: str | None, nullable: bool, *, lenient: bool = False
) -> Callable[[AttributeValue | None], object]:
    """A function from an attribute value, or None where the attribute is missing, to a value that Arrow takes.

    The function raises `Misfit` where the value doesn't fit, and where it is null but `nullable` is false. A lenient one
    makes null of each struct's nullable field that doesn't fit, as Spark's JSON reader does in mode PERMISSIVE: a list or a
    map with a misfit is null as a whole, up to the nearest field, and only what is then left raises.
    """
    read = _value_reader(kind, tag, nullable, lenient)
    expected = types.ddl(kind)

    def read_attribute(attribute: AttributeValue | None) -> object:
        if attribute is not None:
            return read(attribute)
        if not nullable:
            raise Misfit(None, None, expected)
        return None

    return read_attribute


def bare(attribute: object) -> object:
    """What stands behind the tag of an attribute value, for messages; anything else as it is."""
    return next(iter(attribute.values())) if isinstance(attribute, dict) and attribute else attribute


def _value_reader(kind: DataType, tag: str | None, nullable: bool, lenient: bool) -> Reader:
    """A reader of a value that must not be missing."""
    if isinstance(kind, VariantType):
        return _read_variant
    wire_tag, read = _reader(kind, tag, lenient)
    expected = types.ddl(kind)

    def read_value(attribute: AttributeValue) -> object:
        if type(attribute) is not dict or len(attribute) != 1:
            raise Misfit(_json(attribute), _found(attribute), expected, "it is no attribute value, which has one type")
        ((found, value),) = attribute.items()
        if found == wire_tag:
            return read(value)
        if found != "NULL" or value is not True:
            raise Misfit(_text(value), found, expected)
        if not nullable:
            raise Misfit(None, found, expected)
        return None

    return read_value


def _read_variant(attribute: AttributeValue) -> object:
    try:
        value, metadata = encode_variant(attribute)
    except ValueError as problem:
        raise Misfit(_json(attribute), _found(attribute), "VARIANT", str(problem)) from None
    return {"value": value, "metadata": metadata}


def _reader(kind: DataType, tag: str | None, lenient: bool) -> tuple[str, Callable[[Any], object]]:
    """The tag that is expected, and a function from what stands behind it."""
    expected = types.ddl(kind)
    if isinstance(kind, StructType):
        return "M", _struct_reader(kind, lenient)
    if isinstance(kind, MapType):
        return "M", _map_reader(_value_reader(kind.valueType, None, kind.valueContainsNull, lenient), expected)
    if isinstance(kind, ArrayType):
        leaf_tag = types.element_tag(kind, tag, "")
        if leaf_tag is not None:
            assert tag is not None
            element = types.leaf_of(kind.elementType, leaf_tag, "")
            return tag, _elements_reader(_leaf_reader(element, kind.elementType), tag, expected)
        read = _value_reader(kind.elementType, None, kind.containsNull, lenient)
        return "L", _elements_reader(read, "L", expected)
    leaf = types.leaf_of(kind, tag, "")
    return leaf.tag, _leaf_reader(leaf, kind)


def _leaf_reader(leaf: types.Leaf, kind: DataType) -> Callable[[Any], object]:
    expected = types.ddl(kind)
    form = str if leaf.quoted else bool

    def read_leaf(value: Any) -> object:
        _expect(form, value, leaf.tag, expected)
        try:
            return leaf.read(value, kind)
        except ValueError as problem:
            raise Misfit(value, leaf.tag, expected, str(problem)) from None

    return read_leaf


def _struct_reader(kind: StructType, lenient: bool) -> Callable[[Any], object]:
    expected = types.ddl(kind)
    readers = {
        field.name: attribute_reader(field.dataType, types.storage_tag(field), field.nullable, lenient=lenient)
        for field in kind.fields
    }
    may_be_null = {field.name for field in kind.fields if lenient and field.nullable}

    def read_struct(attributes: Mapping[str, AttributeValue]) -> object:
        _expect(dict, attributes, "M", expected)
        struct = {}
        for name, read in readers.items():
            try:
                struct[name] = read(attributes.get(name))
            except Misfit as misfit:
                if name not in may_be_null:
                    raise misfit.below(name) from None
                struct[name] = None
        return struct

    return read_struct


def _map_reader(read: Reader, expected: str) -> Callable[[Any], object]:
    def read_map(attributes: Mapping[str, AttributeValue]) -> object:
        _expect(dict, attributes, "M", expected)
        entries = []
        for name, attribute in attributes.items():
            try:
                entries.append((name, read(attribute)))
            except Misfit as misfit:
                raise misfit.below(name) from None
        return entries

    return read_map


def _elements_reader(read: Callable[[Any], object], tag: str, expected: str) -> Callable[[Any], object]:
    def read_elements(values: list[Any]) -> object:
        _expect(list, values, tag, expected)
        elements = []
        for index, value in enumerate(values):
            try:
                elements.append(read(value))
            except Misfit as misfit:
                raise misfit.below(f"[{index}]") from None
        return elements

    return read_elements


def _expect(form: type, value: object, tag: str, expected: str) -> None:
    if type(value) is not form:
        raise Misfit(_json(value), tag, expected, f"DynamoDB has no such {tag}")


def _found(attribute: object) -> str:
    """The type or types that an attribute value claims to have."""
    return " and ".join(attribute) if isinstance(attribute, dict) and attribute else "nothing"


def _text(value: object) -> str:
    """What stands behind a tag, as JSON; a plain string or number without quotes."""
    return value if isinstance(value, str) else _json(value)


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
