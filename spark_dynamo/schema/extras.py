"""What else there is to know of models: whether something is one, and in which of its structs further fields are welcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from pydantic import BaseModel

from spark_dynamo.schema.bridge import node_of

if TYPE_CHECKING:
    from spark_dynamo.schema.annotations.places import Mode
    from spark_dynamo.schema.nodes import Node
    from spark_dynamo.schema.policy import SchemaPolicy

__all__ = ["extra_by_struct", "is_model", "open_structs"]


def is_model(value: object) -> TypeGuard[type[BaseModel]]:
    """Whether it is a class of Pydantic models."""
    return isinstance(value, type) and issubclass(value, BaseModel)


def open_structs(
    model: type[Any],
    mode: Mode = "validation",
    by_alias: bool | None = None,
    policy: SchemaPolicy | None = None,
) -> frozenset[str]:
    """The paths to the structs whose models say `extra="allow"` or `"ignore"`, as in `orders[]`; the model's own path is empty.

    A model that says nothing about extra fields is not open: what it ignores would be lost without a word. Of the models of a
    merged union one that is open is enough. The other arguments are those of `struct_type`, which a schema has been made with.

    >>> class Order(BaseModel, extra="allow"):
    ...     price: float
    >>> open_structs(Order)
    frozenset({''})
    """
    return frozenset(extra_by_struct(node_of(model, mode, by_alias, policy)))


def extra_by_struct(node: Node) -> Mapping[str, str]:
    """What they say, by the same paths; of a merged union `allow` where one of its models says so."""
    said: dict[str, str] = {}
    for path, extra in _said(node):
        if said.get(path) != "allow":
            said[path] = extra
    return said


def _said(node: Node) -> Iterator[tuple[str, str]]:
    for inner in node.below():
        for one in (inner, *inner.arms):
            config = getattr(one.model, "model_config", None) or getattr(one.model, "__pydantic_config__", None) or {}
            if config.get("extra") in ("allow", "ignore"):
                yield inner.path, config["extra"]
