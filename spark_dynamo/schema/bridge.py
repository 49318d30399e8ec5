"""From Pydantic models to Spark schemas: `struct_type`, and `node_of`, the tree that everything else reads.

Annotations that hold one value are one table, `LEAVES`. What holds other types or values has one function each, found
here by the annotation's origin (`_BY_ORIGIN`), its own kind (`_BY_KIND`) or its class. A type that none of them knows is a
SchemaError with the path to it.
"""

from __future__ import annotations

import typing
from collections import abc
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from functools import lru_cache
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Final, ForwardRef, Literal, NewType, TypeVar, Union, get_args, get_origin

import pydantic
import typing_extensions
from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType

from spark_dynamo.errors import SchemaError
from spark_dynamo.schema.annotations.classes import class_node, is_class_with_fields
from spark_dynamo.schema.annotations.containers import CONTAINERS
from spark_dynamo.schema.annotations.leaves import leaf_node, leaf_of
from spark_dynamo.schema.annotations.members import enum_node, literal_node
from spark_dynamo.schema.annotations.overrides import encoded_node, overridden_node
from spark_dynamo.schema.annotations.own_types import own_node, plain_node
from spark_dynamo.schema.annotations.places import Mode, Place, Walk, name_of
from spark_dynamo.schema.annotations.recursion import becomes_variant, enter, recursive_node
from spark_dynamo.schema.annotations.serialization import serialized_node
from spark_dynamo.schema.annotations.unions import union_node
from spark_dynamo.schema.annotations.variants import any_node, is_any
from spark_dynamo.schema.nodes import Node
from spark_dynamo.schema.policy import SchemaPolicy, declared_policy

__all__ = ["node_at", "node_of", "struct_type"]


def struct_type(
    model: type[Any], mode: Mode = "validation", by_alias: bool | None = None, policy: SchemaPolicy | None = None
) -> StructType:
    """The Spark schema of a Pydantic model, dataclass, TypedDict or NamedTuple, field by field in the class's order.

    A column, element or map value is nullable exactly where its annotation admits None; a default changes nothing.
    `Decimal` is what `Field(max_digits=, decimal_places=)` says, or the policy, DECIMAL(38,18); `Any` is VARIANT,
    `dict[str, Any]` too. A type of one's own, with a core schema of Pydantic's, is what it is serialized as. Sets and storage
    forms leave `{"dynamodb": "SS"}` in a field's metadata, descriptions `{"comment": ...}`, and
    `Field(json_schema_extra={"spark_metadata": {...}})` adds its own.

    `mode="serialization"` has computed fields, what serializers return, and no excluded fields. Columns have the fields' names,
    or with `by_alias` their aliases; None follows `serialize_by_alias` of the model's configuration. `policy` decides where
    annotations leave a choice; None is the model's own, see `SchemaPolicy`. Needs no Spark session. Raises SchemaError, with
    the path to the field, for an annotation that has no Spark type.

    >>> class Order(pydantic.BaseModel):
    ...     order_id: str
    ...     price: pydantic.condecimal(max_digits=10, decimal_places=2)
    ...     tags: set[str] | None = None
    >>> struct_type(Order).simpleString()
    'struct<order_id:string,price:decimal(10,2),tags:array<string>>'
    """
    kind = _copied(node_of(model, mode, by_alias, policy).data_type)
    assert isinstance(kind, StructType)
    return kind


def node_of(
    model: type[Any], mode: Mode = "validation", by_alias: bool | None = None, policy: SchemaPolicy | None = None
) -> Node:
    """A model's schema as a tree of nodes, whose `data_type` is the schema; made once for the same arguments."""
    if mode not in ("validation", "serialization"):
        raise ValueError(f"mode is 'validation' or 'serialization', not {mode!r}")
    if not is_class_with_fields(model):
        raise SchemaError(
            name_of(model),
            "is no Pydantic model. Give a class that derives from pydantic.BaseModel, a dataclass, TypedDict or NamedTuple",
        )
    hashable: Any = model
    return _made_once(hashable, mode, by_alias, policy or declared_policy(model))


def node_at(path: str, annotation: Any, policy: SchemaPolicy | None = None) -> Node:
    """The node of any annotation, as if it stood at that path in a model."""
    walk = Walk(_node, "validation", None, policy or SchemaPolicy())
    return walk.start.field(path).node(annotation)


@lru_cache(maxsize=512)
def _made_once(model: type[Any], mode: Mode, by_alias: bool | None, policy: SchemaPolicy) -> Node:
    node = Walk(_node, mode, by_alias, policy).start.node(model)
    if not isinstance(node.data_type, StructType) or node.nullable:
        raise SchemaError(
            name_of(model),
            f"is a {node.data_type.simpleString()}, which has no fields. Give a model whose content is a struct",
        )
    return node


def _copied(kind: DataType) -> DataType:
    """A copy of a type, which its owner may change: pyspark's structs grow with `add`."""
    if isinstance(kind, StructType):
        return StructType([StructField(f.name, _copied(f.dataType), f.nullable, dict(f.metadata)) for f in kind.fields])
    if isinstance(kind, ArrayType):
        return ArrayType(_copied(kind.elementType), kind.containsNull)
    if isinstance(kind, MapType):
        return MapType(_copied(kind.keyType), _copied(kind.valueType), kind.valueContainsNull)
    return kind


# ---------------------------------------------------------------------------------------------------- the walk


def _node(place: Place, annotation: Any) -> Node:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        return place.annotated(metadata).node(inner)
    if place.serializers and place.walk.mode == "serialization":
        return serialized_node(place, annotation)
    construct = _BY_ORIGIN.get(origin) or _BY_KIND.get(type(annotation)) or _BY_KIND.get(type(origin))
    if construct is not None:
        return construct(place, annotation)
    if place.spark_type is not None:
        return overridden_node(place, annotation)
    if place.constraints:
        encoded = encoded_node(place, annotation)
        if encoded is not None:
            return encoded
    return _plain(place, annotation, origin)


def _plain(place: Place, annotation: Any, origin: Any) -> Node:
    if origin is Literal:
        return literal_node(place, annotation)
    said = _with_contents(annotation, origin)
    container = CONTAINERS.get(get_origin(said))
    if container is not None and (origin is tuple or get_args(said)):
        return container(place, said)
    leaf = leaf_of(place, annotation)
    if leaf is not None:
        return leaf_node(place, annotation, leaf)
    if is_any(annotation):
        return any_node(place, annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return enum_node(place, annotation)
    if is_class_with_fields(annotation):
        return plain_node(place, origin or annotation) or class_node(place, annotation)
    own = own_node(place, annotation)
    if own is not None:
        return own
    bare = origin or annotation
    hint = _HINTS.get(bare, _HINT) if isinstance(bare, type) else _HINT
    raise place.refuse(f"{name_of(annotation)} has no Spark type. {hint}")


_HINT = (
    "Use one of str, int, bool, bytes, float, Decimal, datetime, date, UUID, an Enum, list, set, dict, a model or Any, "
    "or say what it is, as in Annotated[..., SparkType('STRING')]"
)
_HINTS: Mapping[Any, str] = MappingProxyType(
    {
        kind: f"Say what it holds, as in {kind.__name__}[str]: a DynamoDB set holds text, numbers or binaries"
        for kind in CONTAINERS
        if issubclass(kind, abc.Set)
    }
)


def _with_contents(annotation: Any, origin: Any) -> Any:
    """A container of which nothing more is said holds anything, as Pydantic has it; a set doesn't, as no set of DynamoDB can."""
    bare = origin or annotation
    if get_args(annotation) or annotation == tuple[()] or bare not in CONTAINERS or issubclass(bare, abc.Set):
        return annotation
    if bare is tuple:
        return tuple[Any, ...]
    return bare[str, Any] if issubclass(bare, abc.Mapping) else bare[Any]


def _inner(place: Place, annotation: Any) -> Node:
    return place.node(get_args(annotation)[0])


def _alias(place: Place, annotation: Any) -> Node:
    """`type X = ...`, perhaps with arguments: what it stands for."""
    if is_any(annotation):
        return any_node(place, annotation)
    alias = get_origin(annotation) or annotation
    given = zip(alias.__type_params__, get_args(annotation), strict=False)
    arguments = {variable: (argument, place.arguments) for variable, argument in given}
    try:
        value = _evaluated(alias)
    except NameError as error:
        raise place.refuse(f"{alias.__name__} refers to what is not defined: {error}") from error
    if becomes_variant(place, alias):
        return recursive_node(place, alias, annotation, nullable=type(None) in get_args(value))
    return enter(place, alias, arguments).node(value)


def _evaluated(alias: Any) -> Any:
    """What an alias stands for, with the names in it resolved where they are text, as in `TypeAliasType("Json", "list[Json]")`."""
    holder = type(alias.__name__, (), {"__annotations__": {"value": alias.__value__}, "__module__": alias.__module__})
    return typing_extensions.get_type_hints(holder, include_extras=True)["value"]


def _type_variable(place: Place, variable: TypeVar) -> Node:
    """What stands for a type variable: the class's argument, else its default, its bound or its constraints."""
    if variable in place.arguments:
        annotation, arguments = place.arguments[variable]
        return replace(place, arguments=arguments).node(annotation)
    default = getattr(variable, "__default__", None)
    if default not in (None, getattr(typing_extensions, "NoDefault", None)):
        return place.node(default)
    if variable.__bound__ is not None:
        return place.node(variable.__bound__)
    if variable.__constraints__:
        return place.node(Union[variable.__constraints__])  # noqa: UP007 - made of a tuple
    raise place.refuse(f"{variable} stands for no type yet. Give the class its type arguments, as in Page[Order]")


def _new_type(place: Place, annotation: Any) -> Node:
    return place.node(annotation.__supertype__)


def _forward(place: Place, annotation: ForwardRef | str) -> Node:
    name = annotation if isinstance(annotation, str) else annotation.__forward_arg__
    raise place.refuse(
        f"the forward reference '{name}' isn't resolved. Define what it names, and call the model's model_rebuild()"
    )


def _secret(place: Place, annotation: Any) -> Node:
    (held,) = get_args(annotation)
    node = replace(place, is_arm=False).node(held)
    return replace(
        node,
        dump=lambda secret: _through(node.dump, secret.get_secret_value()),
        load=lambda value: annotation(_through(node.load, value)),
    )


def _through(convert: Callable[[Any], Any] | None, value: Any) -> Any:
    return convert(value) if convert else value


_BY_ORIGIN: Mapping[Any, Callable[[Place, Any], Node]] = MappingProxyType(
    {
        Union: union_node,
        UnionType: union_node,
        pydantic.Secret: _secret,
        **dict.fromkeys((typing.Required, typing.NotRequired, typing_extensions.ReadOnly, Final), _inner),
    }
)
_ALIASES = (typing_extensions.TypeAliasType, getattr(typing, "TypeAliasType", typing_extensions.TypeAliasType))
_BY_KIND: Mapping[Any, Callable[[Place, Any], Node]] = MappingProxyType(
    {
        **dict.fromkeys(_ALIASES, _alias),
        **dict.fromkeys((TypeVar, typing_extensions.TypeVar), _type_variable),
        NewType: _new_type,
        **dict.fromkeys((ForwardRef, str), _forward),
    }
)
