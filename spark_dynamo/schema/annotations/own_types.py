"""Types of one's own, which tell Pydantic by `__get_pydantic_core_schema__` what they are: each is what it is serialized as."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache, reduce
from operator import or_
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias, get_origin
from uuid import UUID

import pyarrow as pa
import pydantic
from pydantic import (
    PlainValidator,
    PydanticSchemaGenerationError,
    PydanticUndefinedAnnotation,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)

from spark_dynamo.errors import shorten
from spark_dynamo.schema.annotations.containers import dump_one, load_one
from spark_dynamo.schema.annotations.places import Place
from spark_dynamo.schema.nodes import Node

__all__ = ["is_own", "own_node", "plain_node", "serialized_as"]

Schema: TypeAlias = Mapping[str, Any]

_HOOK = "__get_pydantic_core_schema__"
_NO_ADAPTER = (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError, TypeError, AttributeError)


def own_node(place: Place, annotation: Any) -> Node | None:
    """The node of a type of one's own, that of what it is serialized as; None where the annotation is none."""
    adapter = _adapter(place, annotation) if is_own(place, annotation) else None
    if adapter is None:
        return None
    schema: Any = adapter.core_schema
    serialization = _serialization(schema)
    base = _base_of(annotation)
    form = _form(schema, {}) if base is None or serialization is not None else base
    form = base if form is None else form
    return None if form is None else serialized_as(place, annotation, form, _mode(serialization))


def plain_node(place: Place, cls: type[Any]) -> Node | None:
    """The node of a class with fields that says itself that it is serialized as one plain value, as text; None for all others."""
    hook = next((vars(kind)[_HOOK] for kind in cls.__mro__ if _HOOK in vars(kind)), None)
    if hook is None or getattr(hook, "__module__", "").partition(".")[0] == "pydantic":
        return None
    adapter = _adapter(place, cls)
    schema: Any = adapter.core_schema if adapter is not None else {"type": "any"}
    serialization = _serialization(schema)
    form = _form(schema, {}) if serialization is not None else None
    return serialized_as(place, cls, form, _mode(serialization)) if form in _PLAIN else None


def serialized_as(
    place: Place, annotation: Any, form: Any, mode: Mode = "json", column: pa.DataType | None = None
) -> Node | None:
    """The node of a value that is stored as Pydantic serializes it, which is of the type `form`; None where Pydantic knows no way.

    A class that it doesn't know, but that derives from one of plain values, is made of such a value. What would come back as
    another value is a ValueError; where the form says nothing of that, it is tried in the `column`.
    """
    adapter = _adapter(place, annotation)
    if adapter is None and _base_of(annotation) is None:
        return None
    node = replace(place, constraints=(), serializers=(), is_arm=False).node(form)
    nullable = node.nullable and form is not Any
    parts = cache(lambda: TypeAdapter(form))

    def dump(value: Any) -> Any:
        held = value
        try:
            if adapter is not None:
                held = adapter.dump_python(value, mode=mode, by_alias=True, warnings=False)
            dumped = dump_one(node, parts().validate_python(held))
            if column is not None:
                dumped = pa.array([dumped], column).to_pylist()[0]
            loaded = load_one(node, dumped)
            again = annotation(loaded) if adapter is None else adapter.validate_python(loaded)
        except (ValueError, TypeError, pa.ArrowException) as error:
            raise _changed(place, value, held, f"but not back: {_reason(error)}") from error
        if (dumped is None and not nullable) or not _is_equal(again, value):
            raise _changed(place, value, held, f"and back as {shorten(repr(again))}")
        return dumped

    def made(held: Any) -> Any:
        try:
            return annotation(load_one(node, held))
        except ValueError:
            return held  # which the model's own validation names

    load = made if adapter is None else node.load
    return replace(
        node,
        nullable=nullable,
        constraints=(get_origin(annotation) or annotation, *place.constraints),
        dump=dump,
        load=load,
    )


def _changed(place: Place, value: Any, held: Any, how: str) -> ValueError:
    return ValueError(
        f"{place.path} is {shorten(repr(value))}, which Pydantic takes for {shorten(repr(held))} where it serializes it, {how}. "
        "Let the type's serializer return what its validation takes"
    )


def _reason(error: Exception) -> str:
    told = error.errors(include_url=False) if isinstance(error, ValidationError) else []
    return "; ".join(one["msg"] for one in told) or str(error)


Mode: TypeAlias = Literal["json", "python"]


def is_own(place: Place, annotation: Any) -> bool:
    """Whether the annotation, or what is said of it, is a type of one's own: with a core schema, or a validator in its place."""
    said = (*place.constraints, *place.serializers)
    replaces = any(isinstance(entry, PlainValidator) for entry in said) or bool(place.serializers)
    return replaces or any(map(_is_own, (get_origin(annotation) or annotation, *said)))


def _is_own(kind: Any) -> bool:
    """Whether it has a core schema, and not as one of Pydantic's own types."""
    module = getattr(kind if isinstance(kind, type) else type(kind), "__module__", "")
    return hasattr(kind, _HOOK) and module.partition(".")[0] != "pydantic"


def _adapter(place: Place, annotation: Any) -> TypeAdapter[Any] | None:
    """Pydantic's own way with the annotation, and all that is said of it; None where it knows none."""
    said = (*place.constraints, *place.serializers)
    whole: Any = Annotated[place.resolved(annotation), *said] if said else place.resolved(annotation)
    try:
        return TypeAdapter(whole)
    except _NO_ADAPTER:
        return None


def _is_equal(one: Any, other: Any) -> bool:
    """Whether they are equal; where a class doesn't say, or says it of each element, by what they hold."""
    try:
        if any("__eq__" in vars(kind) for kind in type(other).__mro__[:-1]):
            return bool(one == other) or bool(one != one and other != other)  # NaN
    except ValueError:  # arrays
        pass
    try:
        return type(one) is type(other) and bool(one.__reduce_ex__(2) == other.__reduce_ex__(2))
    except TypeError:
        return False


# ---------------------------------------------------------------------------------------------------- forms


def _base_of(annotation: Any) -> Any:
    """The class of plain values that a type derives from."""
    return next((base for base in getattr(get_origin(annotation) or annotation, "__mro__", ()) if base in _PLAIN), None)


def _serialization(schema: Schema) -> Schema | None:
    """What is said of how values are serialized, outermost; None where they are as Pydantic does with what it validates."""
    while "serialization" not in schema:
        inner = _inner(schema)
        if inner is None:
            return None
        schema = inner
    found: Schema = schema["serialization"]
    return found


def _mode(serialization: Schema | None) -> Mode:
    """In which of Pydantic's modes a value becomes its form: as JSON where its serializer is for JSON alone."""
    if serialization is None:
        return "python"
    usual = "always" if serialization["type"].startswith("function") else "json-unless-none"
    return "json" if serialization.get("when_used", usual).startswith("json") else "python"


def _inner(schema: Schema) -> Schema | None:
    """The schema within one that adds nothing to what a value is serialized as."""
    kind = schema["type"]
    if kind == "chain":
        last: Schema = schema["steps"][-1]
        return last
    found: Schema | None = schema.get(_WITHIN[kind]) if kind in _WITHIN else None
    return found


def _form(schema: Schema, known: Mapping[str, Schema]) -> Any:
    """The annotation of what values of a core schema are serialized as; Any where it doesn't say, None where they are no values."""
    serialization = schema.get("serialization")
    if serialization is not None:
        if serialization["type"] in ("to-string", "format"):
            return str
        if serialization["type"].startswith("function"):
            if "return_schema" in serialization:
                return _form(serialization["return_schema"], known)
            bare = {name: said for name, said in schema.items() if name != "serialization"}
            return str if _form(bare, known) is str else Any
    kind = schema["type"]
    if kind == "definitions":
        return _form(schema["schema"], {one["ref"]: one for one in schema["definitions"]})
    if kind == "definition-ref":  # what holds itself ends in what may be anything
        rest = {ref: one for ref, one in known.items() if ref != schema["schema_ref"]}
        return _form(known[schema["schema_ref"]], rest) if schema["schema_ref"] in known else Any
    inner = _inner(schema)
    if inner is not None:
        return _form(inner, known)
    made = _MADE.get(kind)
    return _FORMS.get(kind) if made is None else made(schema, lambda inner: _form(inner, known))


# where those hold the schema of what they look at
_WITHIN: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("function-before", "function-after", "function-wrap", "default", "custom-error"), "schema"),
        "json-or-python": "json_schema",
        "lax-or-strict": "lax_schema",
    }
)
_FORMS: Mapping[str, Any] = MappingProxyType(
    {
        **{kind.__name__: kind for kind in (str, int, float, bool, bytes, date, time, datetime, timedelta)},
        "decimal": Decimal,
        "uuid": UUID,
        "url": pydantic.AnyUrl,
        "multi-host-url": pydantic.AnyUrl,
        "any": Any,
        "none": type(None),
    }
)
_PLAIN = frozenset({str, int, float, bool, bytes, date, time, datetime, timedelta, Decimal, UUID})

Form: TypeAlias = Callable[[Schema], Any]


def _union(schema: Schema, form: Form) -> Any:
    choices = [choice[0] if isinstance(choice, tuple) else choice for choice in schema["choices"]]
    found = [kind for kind in map(form, choices) if kind is not None]
    return (Any if Any in found else reduce(or_, dict.fromkeys(found))) if found else None


def _nullable(schema: Schema, form: Form) -> Any:
    inner = form(schema["schema"])
    return inner if inner in (Any, None) else inner | None


def _holding(container: Any) -> Callable[[Schema, Form], Any]:
    def made(schema: Schema, form: Form) -> Any:
        items = schema.get("items_schema")
        held = Any if items is None else form(items)
        return None if held is None else container.__class_getitem__(held)

    return made


def _tuple(schema: Schema, form: Form) -> Any:
    inner = list(map(form, schema["items_schema"]))
    if None in inner:
        return None
    at = schema.get("variadic_item_index")
    if at is not None and len(inner) > 1:
        return tuple[Any, ...]
    return tuple.__class_getitem__(tuple(inner) if at is None else (inner[0], ...))


def _dict(schema: Schema, form: Form) -> Any:
    held = tuple(form(schema[name]) if name in schema else Any for name in ("keys_schema", "values_schema"))
    return None if None in held else dict.__class_getitem__(held)


def _class(schema: Schema, form: Form) -> Any:
    return schema["cls"]


_MADE: Mapping[str, Callable[[Schema, Form], Any]] = MappingProxyType(
    {
        "union": _union,
        "nullable": _nullable,
        "list": _holding(list),
        "set": _holding(set),
        "frozenset": _holding(frozenset),
        "tuple": _tuple,
        "dict": _dict,
        "literal": lambda schema, form: Literal[tuple(schema["expected"])],
        **dict.fromkeys(("enum", "model", "dataclass"), _class),
    }
)
