"""One type of a union: what it takes, and what it is in DynamoDB. And which one of several a value is, or an attribute value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel, Discriminator, Tag, TypeAdapter

from spark_dynamo.errors import shorten
from spark_dynamo.schema.annotations.attributes import AttributeForm
from spark_dynamo.schema.annotations.places import Place, name_of
from spark_dynamo.schema.nodes import Node
from spark_dynamo.wire.equality import is_same

__all__ = ["UNFIT", "Arm", "arm_of", "arm_read", "attribute_of_arm", "refuse_change", "told_by"]

UNFIT = (ValueError, TypeError, OverflowError, pa.ArrowException)

# set while a value that was read is written only to be compared: what was read need not be read once more, at each level anew
_IS_COMPARING: ContextVar[bool] = ContextVar("_IS_COMPARING", default=False)


@dataclass(frozen=True)
class Arm:
    """One arm: its annotation and node, and, made when they are first needed, its validation and its DynamoDB form.

    `told` is the union's own function that tells the tag of a value's arm, where it has one.
    """

    annotation: Any
    node: Node
    told: Callable[[Any], Any] | None = None

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Its validation, by Pydantic."""
        return TypeAdapter(self.annotation)

    @cached_property
    def kind(self) -> Any:
        """The class of its values, if it is one."""
        bare = get_args(self.annotation)[0] if get_origin(self.annotation) is Annotated else self.annotation
        return get_origin(bare) or bare

    @cached_property
    def own(self) -> Node:
        """The node, also of a class whose struct isn't made before a value needs it."""
        return self.node.later() if self.node.later else self.node

    @cached_property
    def form(self) -> AttributeForm:
        """Its way to attribute values and back."""
        return AttributeForm(self.own)

    def is_told(self, value: Any) -> bool:
        """Whether the union's function says that the value is of this arm; true where there is none."""
        tags = [entry.tag for entry in get_args(self.annotation)[1:] if isinstance(entry, Tag)] if self.told else []
        try:
            return self.told is None or not tags or self.told(value) in tags
        except (*UNFIT, AttributeError, LookupError):  # it knows its own values alone
            return False

    def takes(self, value: Any, *, strict: bool = True) -> bool:
        """Whether the value is one of this arm's."""
        if not self.is_told(value):
            return False
        try:
            self.adapter.validate_python(value, strict=strict)
        except UNFIT:
            return False
        return True

    def may_write(self, attribute: Mapping[str, Any]) -> bool:
        """Whether its columns' names, and the texts that they allow, let it write such a map, whatever stands deeper."""
        held = attribute.get("M")
        if held is None or not self.own.fields:
            return True
        columns = {child.name: child.node for child in self.own.fields}
        return held.keys() <= columns.keys() and all(_allows(columns[name], inner) for name, inner in held.items())


def _allows(node: Node, attribute: Mapping[str, Any]) -> bool:
    text, members = attribute.get("S"), node.members
    return text is None or members is None or text in members or not isinstance(members[0], str)


def told_by(discriminator: str | Discriminator | None) -> Callable[[Any], Any] | None:
    """The function by which a union tells its arms apart, where it does so by one."""
    found = discriminator.discriminator if isinstance(discriminator, Discriminator) else None
    return found if callable(found) else None


def arm_of(place: Place, arms: Sequence[Arm], value: Any) -> Arm:
    """The arm of a value, as Pydantic's smart mode finds it: of its class, else strictly valid, else valid at all.

    By its class first: in strict mode a float may be an int, and what stands at 2**53 + 1 is then another number.
    """
    for arm in arms:
        if type(value) is arm.kind and (arm.is_told(value) if isinstance(value, BaseModel) else arm.takes(value)):
            return arm
    for strict in (True, False):
        for arm in arms:
            if arm.takes(value, strict=strict):
                return arm
    raise ValueError(f"{place.path} is {shorten(repr(value))}, which none of its types takes")


def attribute_of_arm(place: Place, arms: Sequence[Arm], value: Any) -> Mapping[str, Any]:
    """The attribute value of a value; ValueError for one that would be read as another value, of another arm."""
    arm = arm_of(place, arms, value)
    attribute = arm.form.write(value)
    if not _IS_COMPARING.get():
        refuse_change(place, arm, value, arm_read(arms, attribute))
    return attribute


def arm_read(arms: Sequence[Arm], attribute: Mapping[str, Any]) -> tuple[Arm, Any] | None:
    """The first arm, and its value, that an attribute value can be: best one that would be written as the same."""
    read: dict[int, Any] = {}
    for place in sorted(range(len(arms)), key=lambda place: not arms[place].may_write(attribute)):
        arm = arms[place]
        try:
            loaded = arm.form.read(attribute)
            if not arm.is_told(loaded):
                continue
            read[place] = arm.adapter.validate_python(loaded)
            if _is_written_as(arm, read[place], attribute):
                return arm, read[place]
        except UNFIT:
            continue
    return next(((arms[place], read[place]) for place in sorted(read)), None)


def _is_written_as(arm: Arm, value: Any, attribute: Mapping[str, Any]) -> bool:
    token = _IS_COMPARING.set(True)
    try:
        return is_same(arm.form.write(value), attribute)
    finally:
        _IS_COMPARING.reset(token)


def refuse_change(place: Place, arm: Arm, value: Any, found: tuple[Arm, Any] | None) -> None:
    """Raise ValueError where a value of one arm would be read as another value, of another arm."""
    if found is None or (found[0] is not arm and found[1] != value):
        as_what = "nothing" if found is None else f"{name_of(found[0].annotation)} {shorten(repr(found[1]))}"
        raise ValueError(f"{place.path} is {shorten(repr(value))}, which would come back as {as_what}")
