"""What else there is to know of models: whether something is one, and in which of its structs further fields are welcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from pydantic import BaseModel

from spark_dynamo.schema.bridge import node_of

if TYPE_CHECKING:
    from spark_dynamo.schema.annotations.places import Mode
    from spark_dynamo.schema.policy import SchemaPolicy

__all__ = ["is_model", "open_structs"]


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
    nodes = node_of(model, mode, by_alias, policy).below()
    return frozenset(node.path for node in nodes for one in (node, *node.arms) if _is_open(one.model))


def _is_open(model: type[Any] | None) -> bool:
    config = getattr(model, "model_config", None) or getattr(model, "__pydantic_config__", None) or {}
    return config.get("extra") in ("allow", "ignore")
