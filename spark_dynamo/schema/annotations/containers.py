"""What holds other values: list, set, tuple, dict and their kin, each made by one function."""

from __future__ import annotations

import collections
import collections.abc
import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, get_args, get_origin

from annotated_types import MaxLen, MinLen
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    ByteType,
    DataType,
    DecimalType,
    IntegerType,
    LongType,
    MapType,
    ShortType,
    StringType,
    StructField,
    StructType,
    VariantType,
)

from spark_dynamo.schema.annotations.leaves import UNCHANGED, Convert
from spark_dynamo.schema.annotations.places import Place, name_of
from spark_dynamo.schema.annotations.variants import any_node, is_any
from spark_dynamo.schema.nodes import FieldNode, Node

__all__ = ["CONTAINERS"]

# what a set of these elements is in DynamoDB
_SETS: Mapping[type[DataType], str] = MappingProxyType(
    {
        StringType: "SS",
        BinaryType: "BS",
        **dict.fromkeys((LongType, IntegerType, ShortType, ByteType, DecimalType), "NS"),
    }
)


def _element(place: Place, annotation: Any) -> Node:
    """The node of an element, whose storage form would be lost: only fields carry metadata."""
    node = place.node(annotation)
    if node.stored is not None:
        raise place.refuse(
            f"DynamoDB type '{node.stored}' can stand only on a field, not on an element. "
            "Put the value into a field of a model, or use list in place of set"
        )
    return node


def _array(place: Place, annotation: Any, made: Convert | None, what: str = "a list") -> Node:
    element = _element(place.inside("[]"), annotation)
    place.refuse_form(what)
    return Node(
        place.path,
        ArrayType(element.data_type, containsNull=element.nullable),
        constraints=place.constraints,
        element=element,
        dump=_each_dumped(element),
        load=_each_loaded(element, made),
    )


def _each_dumped(element: Node) -> Convert:
    convert, nullable, path = element.dump, element.nullable, element.path
    unchanged = UNCHANGED.get(convert)

    def dump(values: Any) -> Any:
        if not nullable and any(value is None for value in values):
            raise ValueError(f"{path} holds None, which its type doesn't allow")
        if convert is None:
            return values
        return [value if value is None or type(value) is unchanged else convert(value) for value in values]

    return dump


def _each_loaded(element: Node, made: Convert | None) -> Convert | None:
    convert = element.load
    if convert is None:
        return made

    def load(values: list[Any]) -> Any:
        loaded = [None if value is None else convert(value) for value in values]
        return made(loaded) if made else loaded

    return load


def _list(place: Place, annotation: Any) -> Node:
    return _array(place, get_args(annotation)[0], None)


def _deque(place: Place, annotation: Any) -> Node:
    return _array(place, get_args(annotation)[0], collections.deque)


def _set(place: Place, annotation: Any) -> Node:
    made: Convert = set if issubclass(get_origin(annotation) or object, collections.abc.MutableSet) else frozenset
    node = _array(replace(place, form=None), get_args(annotation)[0], made)
    place.refuse_form("a set")
    element = node.element
    assert element is not None
    stored = _SETS.get(type(element.data_type))
    if stored is None or element.nullable:
        held = f"{element.data_type.simpleString()}{' or None' if element.nullable else ''}"
        raise place.refuse(f"a DynamoDB set can't hold {held}. Use list, or a set of str, int or bytes")
    dumped, path = node.dump, place.path
    assert dumped is not None

    def dump(values: Any) -> list[Any]:
        elements = list(dumped(values))
        if len(set(elements)) < len(values):  # 1 and True can't be, but texts of two URLs can
            raise ValueError(f"{path} holds values that are one and the same in DynamoDB")
        return sorted(elements)

    return replace(node, stored=stored, dump=dump)


def _tuple(place: Place, annotation: Any) -> Node:
    held = get_args(annotation)
    if len(held) == 2 and held[1] is Ellipsis:
        return _array(place, held[0], tuple, "a tuple")
    if not held or any(get_origin(arm) is not None and "Unpack" in repr(arm) for arm in held):
        raise place.refuse(f"{name_of(annotation)} has no Spark type. Use tuple[X, ...], or a model")
    if all(arm == held[0] for arm in held):
        size = len(held)
        return _array(place.annotated([MinLen(size), MaxLen(size)]), held[0], tuple, "a tuple")
    return _record(place, held)


def _record(place: Place, held: tuple[Any, ...]) -> Node:
    """A tuple of several types is a struct whose fields have the names that Spark gives to Scala's tuples: `_1`, `_2`."""
    place.refuse_form("a tuple")
    names = [f"_{number}" for number in range(1, len(held) + 1)]
    fields = tuple(
        FieldNode(name, name, place.field(name).node(arm), read=operator.itemgetter(index))
        for index, (name, arm) in enumerate(zip(names, held, strict=True))
    )

    def dump(values: tuple[Any, ...]) -> dict[str, Any]:
        if len(values) != len(names):
            raise ValueError(f"{place.path} holds {len(values)} values, not {len(names)}")
        return {child.name: dump_one(child.node, value) for child, value in zip(fields, values, strict=True)}

    def load(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(load_one(child.node, row.get(child.name)) for child in fields)

    struct = StructType([field_of(child) for child in fields])
    return Node(place.path, struct, constraints=place.constraints, fields=fields, model=tuple, dump=dump, load=load)


def field_of(child: FieldNode, metadata: Mapping[str, Any] | None = None) -> StructField:
    """The Spark field of a node's field."""
    said = {"comment": child.comment, "dynamodb": child.node.stored}
    told = {name: value for name, value in said.items() if value is not None}
    return StructField(child.name, child.node.data_type, child.node.nullable, {**told, **(metadata or {})})


def dump_one(node: Node, value: Any) -> Any:
    """What a value becomes at a node; ValueError for a None where none may be."""
    if value is None:
        if not node.nullable:
            raise ValueError(f"{node.path} is None, which its type doesn't allow")
        return None
    return node.dump(value) if node.dump else value


def load_one(node: Node, value: Any) -> Any:
    """What a column's value becomes at a node."""
    return value if value is None or node.load is None else node.load(value)


def _mapping(place: Place, annotation: Any, made: Convert = dict) -> Node:
    key_annotation, value_annotation = get_args(annotation)
    if is_any(key_annotation) and is_any(value_annotation):
        key_annotation = str  # what a VARIANT's names are
    key = _element(place.inside("{}"), key_annotation)
    place.refuse_form("a dict")
    if key.nullable or isinstance(key.data_type, StructType | ArrayType | MapType | VariantType):
        raise place.refuse(
            f"has keys of {name_of(key_annotation)}, and a map's key is one value, never None. Use dict[str, ...]"
        )
    if isinstance(key.data_type, StringType) and is_any(value_annotation):
        return replace(any_node(place, Mapping), nullable=False)
    value = _element(place.inside("{}"), value_annotation)
    return Node(
        place.path,
        MapType(key.data_type, value.data_type, valueContainsNull=value.nullable),
        constraints=place.constraints,
        key=key,
        value=value,
        dump=_entries_dumped(key, value),
        load=_entries_loaded(key, value, made),
    )


def _entries_dumped(key: Node, value: Node) -> Convert:
    def dump(entries: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
        dumped = [(dump_one(key, name), dump_one(value, held)) for name, held in entries.items()]
        if key.dump and len({name for name, _ in dumped}) < len(dumped):
            raise ValueError(f"{key.path} has keys that are one and the same in the column")
        return dumped

    return dump


def _entries_loaded(key: Node, value: Node, made: Convert) -> Convert:
    if key.load is None and value.load is None:
        return made
    return lambda entries: made([(load_one(key, name), load_one(value, held)) for name, held in entries])


def _ordered(place: Place, annotation: Any) -> Node:
    return _mapping(place, annotation, collections.OrderedDict)


def _defaulting(place: Place, annotation: Any) -> Node:
    return _mapping(place, annotation, lambda entries: collections.defaultdict(None, entries))


CONTAINERS: Mapping[Any, Callable[[Place, Any], Node]] = MappingProxyType(
    {
        **dict.fromkeys((list, collections.abc.Sequence, collections.abc.MutableSequence), _list),
        collections.deque: _deque,
        **dict.fromkeys((set, frozenset, collections.abc.Set, collections.abc.MutableSet), _set),
        tuple: _tuple,
        **dict.fromkeys((dict, collections.abc.Mapping, collections.abc.MutableMapping), _mapping),
        collections.OrderedDict: _ordered,
        collections.defaultdict: _defaulting,
    }
)
