"""What a class adds to the constraints of its fields: validators in Python, and settings that hold for all that stands in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, Protocol

from pydantic import BaseModel

from spark_dynamo.schema.checks.declared import Config, function_name
from spark_dynamo.schema.nodes import Node

__all__ = ["config_within", "refuses_extra", "replaced_fields", "validators_of"]

_EMPTY: Mapping[str, Any] = MappingProxyType({})


def config_within(node: Node, around: Config) -> Config:
    """The settings for what stands in a struct: the class's own, and where a class has none, those around it."""
    if node.model is None:
        return around
    if issubclass(node.model, BaseModel):
        return node.model.model_config
    own: Config | None = getattr(node.model, "__pydantic_config__", None)
    return around if own is None else own


def refuses_extra(node: Node, around: Config) -> bool:
    """Whether the struct's class takes no further fields."""
    return config_within(node, around).get("extra") == "forbid"


def replaced_fields(node: Node) -> frozenset[str]:
    """The attributes that a plain validator looks at in place of Pydantic: nothing else is checked of them."""
    return frozenset(
        attribute
        for decorator in _decorators(node, "field_validators")
        if decorator.info.mode == "plain"
        for attribute in _attributes(decorator, node)
    )


def validators_of(node: Node) -> Iterator[tuple[str, str]]:
    """The validators that a struct's class has in Python: the path to what each looks at, and what it is."""
    paths = {child.attribute: child.node.path for child in node.fields}
    for decorator in [*_decorators(node, "field_validators"), *_decorators(node, "validators")]:
        mode = getattr(decorator.info, "mode", "after")
        for attribute in _attributes(decorator, node):
            yield paths.get(attribute, node.path), f"{mode} validator {decorator.cls_var_name}"
    for decorator in [*_decorators(node, "model_validators"), *_decorators(node, "root_validators")]:
        yield node.path, f"{decorator.info.mode} model validator {decorator.cls_var_name}"
    for kind in getattr(node.model, "__mro__", ()):
        for name in _HOOKS:
            hook = vars(kind).get(name)
            if hook is not None and kind not in _LIBRARY and _is_users(hook):
                yield node.path, f"{kind.__name__}.{name}"


_HOOKS = ("__get_pydantic_core_schema__", "__post_init__", "model_post_init")
_LIBRARY = (BaseModel, Generic, Protocol, NamedTuple, object, dict, tuple)


def _is_users(hook: Any) -> bool:
    """Not what Pydantic makes for private attributes alone."""
    function = getattr(hook, "__func__", hook)
    is_pydantics = getattr(function, "__module__", "").startswith("pydantic.")
    return not is_pydantics or "wrapped" in function_name(function)


def _decorators(node: Node, kind: str) -> list[Any]:
    known = getattr(node.model, "__pydantic_decorators__", None)
    return list(getattr(known, kind).values()) if known is not None else []


def _attributes(decorator: Any, node: Node) -> tuple[str, ...]:
    named: tuple[str, ...] = tuple(decorator.info.fields)
    return tuple(child.attribute for child in node.fields) if "*" in named else named
