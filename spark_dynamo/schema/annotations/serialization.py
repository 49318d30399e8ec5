"""What serialization mode adds: computed fields, and serializers with return types. Those that are for JSON only don't count."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partialmethod
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import ComputedFieldInfo, FieldInfo
from pydantic_core import PydanticUndefined
from typing_extensions import get_type_hints

from spark_dynamo.schema.annotations.containers import dump_one
from spark_dynamo.schema.annotations.places import Place, Serializer
from spark_dynamo.schema.nodes import FieldNode, Node

__all__ = ["computed_fields", "field_node", "model_serialized", "reader_of", "serialized_node"]

Read = Callable[[Any], Any]


def field_node(place: Place, cls: type[Any], attribute: str, annotation: Any, info: FieldInfo | None = None) -> Node:
    """The node of a field: of what its serializer returns where there is one and the mode is serialization."""
    serializer = _field_serializer(place, cls, attribute, info.metadata if info else [])
    if serializer is None:
        has_said = info is not None and (info.metadata or info.discriminator)
        return (place.annotated([info]) if has_said else place).node(annotation)
    node = place.node(_return_type(place, serializer))
    skips_none = serializer.when_used == "unless-none" and _admits_none(annotation)
    return replace(node, nullable=True) if skips_none else node


def reader_of(place: Place, cls: type[Any], attribute: str, info: FieldInfo) -> Read:
    """How the field's value is taken from an instance: in serialization mode as its serializer gives it."""
    read: Read = operator.attrgetter(attribute)
    if place.walk.mode == "validation":
        return read
    serializer = _field_serializer(place, cls, attribute, info.metadata)
    if serializer is not None:
        return _serialized(attribute, _restored(_return_type(place.field(attribute), serializer)))
    exclude_if = getattr(info, "exclude_if", None)
    if exclude_if is None:
        return read
    return lambda instance: None if exclude_if(read(instance)) else read(instance)


def _serialized(attribute: str, restore: Read) -> Read:
    def read(instance: Any) -> Any:
        dumped = instance.__pydantic_serializer__.to_python(instance, include={attribute}, by_alias=False)
        return restore(dumped.get(attribute))

    return read


def serialized_node(place: Place, annotation: Any) -> Node:
    """The node of what the serializers of an element's `Annotated` return; with none that counts, of the annotation."""
    used = [serializer for serializer in place.serializers if not serializer.when_used.startswith("json")]
    bare = replace(place, serializers=())
    if not used:
        return bare.node(annotation)
    kind = _return_type(place, used[-1])
    node = replace(bare, constraints=()).node(kind)
    adapter, restore = _lazily(Annotated[annotation, *used]), _restored(kind)
    nullable = node.nullable or (used[-1].when_used == "unless-none" and _admits_none(annotation))
    return replace(node, nullable=nullable, dump=lambda value: dump_one(node, restore(adapter().dump_python(value))))


def model_serialized(place: Place, cls: type[BaseModel]) -> Node | None:
    """The node of what the model's own serializer returns, or None where there is none that counts."""
    found = list(cls.__pydantic_decorators__.model_serializers.values())
    if place.walk.mode == "validation" or not found or found[-1].info.when_used.startswith("json"):
        return None
    kind: Any = found[-1].info.return_type
    if kind is PydanticUndefined:
        kind = _returned(place, found[-1].func)
    inner, restore = place.node(kind), _restored(kind)
    return replace(
        inner,
        dump=lambda value: dump_one(inner, restore(value.__pydantic_serializer__.to_python(value, by_alias=False))),
    )


def computed_fields(place: Place, cls: type[Any], by_alias: bool) -> list[FieldNode]:
    """The computed fields of a class; none in validation mode."""
    if place.walk.mode == "validation" or not hasattr(cls, "__pydantic_decorators__"):
        return []
    found = {name: decorator.info for name, decorator in cls.__pydantic_decorators__.computed_fields.items()}
    found.update(getattr(cls, "__pydantic_computed_fields__", {}))
    return [_computed(place, cls, name, info, by_alias) for name, info in found.items()]


def _computed(place: Place, cls: type[Any], attribute: str, info: ComputedFieldInfo, by_alias: bool) -> FieldNode:
    name = (info.alias if by_alias else None) or attribute
    inside = place.field(name)
    kind = info.return_type
    if kind is PydanticUndefined:
        kind = _returned(inside, info.wrapped_property)
    node = field_node(inside, cls, attribute, kind)
    is_serialized = _field_serializer(place, cls, attribute, []) is not None
    read = reader_of(place, cls, attribute, FieldInfo()) if is_serialized else operator.attrgetter(attribute)
    return FieldNode(name, attribute, node, info.description, read=read)


class _Decorated:
    """A `field_serializer`, in the shape of those that stand in `Annotated`."""

    def __init__(self, decorator: Any) -> None:
        self.func = decorator.func
        self.return_type = decorator.info.return_type
        self.when_used: str = decorator.info.when_used


def _field_serializer(
    place: Place, cls: type[Any], attribute: str, metadata: list[Any]
) -> Serializer | _Decorated | None:
    """The serializer that has the last word on a field: the class's own, else that of its `Annotated`."""
    if place.walk.mode == "validation":
        return None
    decorators = getattr(cls, "__pydantic_decorators__", None)
    found: list[Any] = [entry for entry in metadata if isinstance(entry, Serializer)]
    if decorators is not None:
        found += [
            _Decorated(decorator)
            for decorator in decorators.field_serializers.values()
            if attribute in decorator.info.fields or "*" in decorator.info.fields
        ]
    return next((one for one in reversed(found) if not one.when_used.startswith("json")), None)


def _return_type(place: Place, serializer: Serializer | _Decorated) -> Any:
    kind = serializer.return_type
    return _returned(place, serializer.func) if kind is PydanticUndefined else kind


def _returned(place: Place, function: Any) -> Any:
    """What a function says that it returns."""
    if isinstance(function, property):
        function = function.fget
    elif isinstance(function, partialmethod):
        function = function.func
    function = getattr(function, "func", getattr(function, "__func__", function))  # a cached property, a static method
    try:
        return get_type_hints(function, include_extras=True)["return"]
    except (KeyError, NameError, TypeError):
        raise place.refuse(
            "its serializer doesn't say what it returns. Give it a return type, or use mode='validation'"
        ) from None


def _restored(kind: Any) -> Read:
    """What makes models again of the dicts that a serializer's own models have become; all else stays."""
    if not _has_class(kind):
        return lambda value: value
    adapter = _lazily(kind)
    return lambda value: None if value is None else adapter().validate_python(value)


def _has_class(kind: Any) -> bool:
    if any(_has_class(argument) for argument in get_args(kind)):
        return True
    cls = get_origin(kind) or kind
    return isinstance(cls, type) and hasattr(cls, "__pydantic_core_schema__")


def _lazily(annotation: Any) -> Callable[[], TypeAdapter[Any]]:
    return cache(lambda: TypeAdapter(annotation))


def _admits_none(annotation: Any) -> bool:
    arms = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _admits_none(arms[0])
    return type(None) in arms or None in arms
