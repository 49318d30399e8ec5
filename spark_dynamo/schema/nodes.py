"""A model as the tree that everything else reads: one node for each column, element, key and value below it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic.fields import FieldInfo
from pyspark.sql.types import DataType

__all__ = ["FieldNode", "Node"]


@dataclass(frozen=True, slots=True)
class Node:
    """What one annotation becomes.

    `path` is like `orders[].price`, `labels{}`, and empty for the model itself. `stored` is the DynamoDB type where it isn't
    the usual one of `data_type`. `constraints` are the entries of `Annotated` and `Field` that speak of the value at this
    place, as Pydantic and annotated_types write them, validators among them. `members` are the values that an Enum or Literal
    allows, as they are stored, without None. A struct has `fields`, and in `model` the class it was made of; a list or set has
    an `element`; a map has a `key` and a `value`. What a union has become, VARIANT or the merged struct of its models, has the
    nodes of the union's members in `arms`, and in `discriminator` the name of the field that tells them apart, if one is named.
    `later` makes the node of the class's own struct where a VARIANT stands in place of it, as of a class that holds itself.

    `dump` makes of the model's value (never None) what `pyarrow.array(..., type)` takes for the column; `load` makes of what
    `to_pylist()` gives (never None) the value that the annotation names. Both are None where nothing is to be done.
    """

    path: str
    data_type: DataType
    nullable: bool = False
    stored: str | None = None
    constraints: tuple[Any, ...] = ()
    members: tuple[Any, ...] | None = None
    fields: tuple[FieldNode, ...] = ()
    element: Node | None = None
    key: Node | None = None
    value: Node | None = None
    model: type[Any] | None = None
    arms: tuple[Node, ...] = ()
    discriminator: str | None = None
    later: Callable[[], Node] | None = field(default=None, repr=False)
    dump: Callable[[Any], Any] | None = field(default=None, repr=False)
    load: Callable[[Any], Any] | None = field(default=None, repr=False)

    def below(self) -> Iterator[Node]:
        """This node and all below it, in the order of the columns."""
        yield self
        inner = [child.node for child in self.fields] + [self.element, self.key, self.value]
        for node in inner:
            if node is not None:
                yield from node.below()


@dataclass(frozen=True, slots=True)
class FieldNode:
    """A field of a struct: the column's name, the attribute's name in Python, and what it holds.

    `info` is Pydantic's own, with the default; None where there is none, as for a computed field. `read` takes the field's value
    from an instance, None where it has none; in serialization mode after the field's serializers.
    """

    name: str
    attribute: str
    node: Node
    comment: str | None = None
    info: FieldInfo | None = None
    read: Callable[[Any], Any] = field(default=lambda instance: None, repr=False)
