"""Classes and type aliases that hold themselves: an error, some levels, or VARIANT, as the policy says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from pyspark.sql.types import VariantType

from spark_dynamo.schema.annotations.attributes import AttributeForm
from spark_dynamo.schema.annotations.places import Arguments, LeftOut, Place
from spark_dynamo.schema.annotations.variants import dump_variant
from spark_dynamo.schema.nodes import Node
from spark_dynamo.schema.policy import ADVICE
from spark_dynamo.wire.variant import decode_variant

__all__ = ["becomes_variant", "enter", "is_known_arm", "note_done", "recursive_node"]


def enter(place: Place, what: Any, arguments: Arguments | None = None) -> Place:
    """The place within a class or alias; SchemaError, or `LeftOut`, where it holds itself more often than the policy allows."""
    depth = sum(around is what for around in place.around)
    recursion = place.walk.policy.recursion
    if depth and not isinstance(recursion, int):
        raise place.refuse(
            f"holds {what.__name__} within itself, and a Spark schema has an end. "
            f"Use Any, or {ADVICE} with recursion='variant' or a number of levels"
        )
    if depth and depth > int(recursion):
        raise LeftOut
    return replace(place, around=(*place.around, what), arguments=place.arguments if arguments is None else arguments)


def becomes_variant(place: Place, what: Any) -> bool:
    """Whether a class or alias holds itself here, and is a VARIANT for that."""
    recursion = place.walk.policy.recursion
    allowed = recursion == "variant" or (place.in_variant and recursion == "error")
    return allowed and any(around is what for around in place.around)


def note_done(place: Place, annotation: Any) -> None:
    """Keep in mind that the class has become a struct, so that its annotations are known to have types."""
    key = _key(place, annotation)
    if key is not None:
        place.walk.done.add(key)


def is_known_arm(place: Place, annotation: Any) -> bool:
    """Whether the class is one of a VARIANT's, and has become a struct before: models whose unions name one another need no more.

    Each of them would else be walked anew on every way that leads to it, and the ways grow as the factorial of the models.
    """
    return place.is_arm and _key(place, annotation) in place.walk.done


def _key(place: Place, annotation: Any) -> Any:
    """What a class is known by, with what stands for type variables; None where it has no hash."""
    key = (annotation, _frozen(place.arguments))
    try:
        hash(key)
    except TypeError:  # its arguments hold notes of any kind
        return None
    return key


def _frozen(arguments: Arguments) -> tuple[Any, ...]:
    return tuple((variable, argument, _frozen(outer)) for variable, (argument, outer) in arguments.items())


def recursive_node(place: Place, what: Any, annotation: Any, *, nullable: bool = False) -> Node:
    """A VARIANT that holds what a write of the class's own struct would store; the struct is made when a value needs it."""
    place.refuse_form("a model")
    has_levels = isinstance(place.walk.policy.recursion, int)
    start = Place(place.walk, place.path, place.around if has_levels else (), place.arguments, place.in_variant)

    @cache
    def later() -> Node:
        return start.node(annotation)

    @cache
    def form() -> AttributeForm:
        return AttributeForm(later())

    def dump(value: Any) -> dict[str, bytes]:
        return dump_variant(form().write(value))

    def load(pair: Mapping[str, bytes]) -> Any:
        return form().read(decode_variant(pair["value"], pair["metadata"]))

    return Node(place.path, VariantType(), nullable, constraints=place.constraints, later=later, dump=dump, load=load)
