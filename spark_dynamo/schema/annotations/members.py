"""What allows certain values only: Enum and Literal, which are stored by value."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from enum import Enum, Flag
from typing import Any, get_args
from uuid import UUID

from spark_dynamo.schema.annotations.leaves import LEAVES, Convert, Leaf, integers_of, leaf_node, leaf_of
from spark_dynamo.schema.annotations.places import Place, name_of
from spark_dynamo.schema.annotations.variants import any_node
from spark_dynamo.schema.nodes import Node

__all__ = ["enum_node", "literal_node"]

_KINDS = frozenset({str, int, bool, bytes, float, Decimal, date, UUID})


def enum_node(place: Place, enum: type[Enum]) -> Node:
    """An Enum is the column of its values; a Flag, whose values combine, an integer."""
    if issubclass(enum, Flag):
        every = sum(member.value for member in enum)
        leaf = integers_of(place, 0, every)
        return leaf_node(place, enum, Leaf(leaf.data_type, _value_of, _flags_of(enum, leaf.load), narrower=True))
    node = _of_values(place, {member.value: member for member in enum}, enum)
    if enum._missing_.__func__ is Enum._missing_.__func__:  # type: ignore[attr-defined]
        return node
    return replace(node, constraints=(*node.constraints, enum))  # it may know more values than its members


def literal_node(place: Place, annotation: Any) -> Node:
    """A Literal is the column of its values, nullable where None is one of them."""
    arms = get_args(annotation)
    if arms == (None,):
        return any_node(place, annotation)
    values = {(type(_value_of(arm)), _value_of(arm)): arm for arm in arms if arm is not None}
    if len({kind for kind, _ in values}) > 1:  # True and 1 are one key of a dict
        raise _mixed(place, {kind for kind, _ in values})
    node = _of_values(place, {value: arm for (_, value), arm in values.items()}, annotation)
    return replace(node, nullable=None in arms)


def _of_values(place: Place, members: dict[Any, Any], annotation: Any) -> Node:
    kinds = {type(value) for value in members}
    if len(kinds) != 1 or not kinds <= _KINDS:
        raise _mixed(place, kinds)
    (kind,) = kinds
    leaf = integers_of(place, min(members), max(members)) if kind is int else _leaf(place, kind)
    stored = {value: leaf.dump(value) if leaf.dump else value for value in members}
    by_stored = {stored[value]: member for value, member in members.items()}

    def dump(member: Any) -> Any:
        value = _value_of(member)  # with use_enum_values a model holds the value itself
        if value not in stored:
            raise ValueError(f"{member!r} is none of {', '.join(map(repr, stored))}")
        return stored[value]

    def load(value: Any) -> Any:
        return by_stored.get(value, value)  # what is no member is the model's to refuse

    node = leaf_node(place, annotation, Leaf(leaf.data_type, dump, load))
    return replace(node, members=tuple(stored.values()))


def _leaf(place: Place, kind: type) -> Leaf:
    return leaf_of(place, kind) or LEAVES[kind]


def _mixed(place: Place, kinds: set[type]) -> Exception:
    named = ", ".join(sorted(map(name_of, kinds))) or "none"
    return place.refuse(f"has values of the types {named}. Use values that are all str or all int")


def _value_of(member: Any) -> Any:
    return member.value if isinstance(member, Enum) else member


def _flags_of(enum: type[Flag], load: Convert | None) -> Convert:
    def flags(value: Any) -> Any:
        try:
            return enum(load(value) if load else value)
        except ValueError:
            return value

    return flags
