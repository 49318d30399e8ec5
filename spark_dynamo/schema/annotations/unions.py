"""Optional and other unions: one type where all arms share it, else what the policy says."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pyarrow as pa
from pydantic import Discriminator, Tag, TypeAdapter
from pyspark.sql.types import DataType, StringType, StructField, StructType, VariantType

from spark_dynamo.errors import SchemaError, shorten
from spark_dynamo.schema.annotations.attributes import AttributeForm
from spark_dynamo.schema.annotations.classes import is_class_with_fields
from spark_dynamo.schema.annotations.places import Place, below, name_of
from spark_dynamo.schema.annotations.variants import dump_variant, value_of
from spark_dynamo.schema.ddl import parse_ddl
from spark_dynamo.schema.nodes import FieldNode, Node
from spark_dynamo.schema.policy import ADVICE
from spark_dynamo.wire.same import is_same
from spark_dynamo.wire.types import is_leaf
from spark_dynamo.wire.variant import decode_variant

__all__ = ["union_node"]

_NONE = (None, NoneType)
_UNFIT = (ValueError, TypeError, OverflowError, pa.ArrowException)


def union_node(place: Place, annotation: Any) -> Node:
    """The node of a union, nullable where None is one of its arms."""
    arms = get_args(annotation)
    present = [arm for arm in arms if arm not in _NONE]
    if not present:
        raise place.refuse(f"{name_of(annotation)} has no Spark type")
    if len(present) == 1:
        node = place.node(present[0])
    else:
        flat = list(_arms_of(present))
        present = [arm for arm in flat if arm not in _NONE]
        arms = (*arms, *flat)
        node = _several(place, present)
    return replace(node, nullable=node.nullable or any(arm in _NONE for arm in arms))


def _arms_of(arms: Sequence[Any]) -> Iterator[Any]:
    """The arms, with those of the unions among them in their place, unless more is said of such a union than a discriminator."""
    for arm in arms:
        inner, *metadata = get_args(arm) if get_origin(arm) is Annotated else (arm,)
        is_plain = all(
            isinstance(entry, Discriminator | Tag) or getattr(entry, "discriminator", None) for entry in metadata
        )
        if get_origin(inner) in (Union, UnionType) and is_plain:
            yield from _arms_of(get_args(inner))
        else:
            yield arm


def _several(place: Place, arms: list[Any]) -> Node:
    are_models = all(is_class_with_fields(_bare(arm)) for arm in arms)
    policy: str = place.walk.policy.model_unions if are_models else place.walk.policy.scalar_unions
    asked = place.spark_type
    if asked is not None:
        kind = parse_ddl(asked.kind, place.path) if isinstance(asked.kind, str) else asked.kind
        policy = _POLICIES.get(type(kind), "error")
    if are_models and policy == "error":
        raise _undecided(place, arms, "model_unions='merge' or 'variant'")
    bare = replace(place, form=None, spark_type=None, discriminator=None)
    if policy == "variant":
        bare = replace(bare, in_variant=True)
    nodes = [bare.node(arm) for arm in arms]
    shared = _shared(place, nodes) if asked is None else None
    if shared is not None:
        return shared
    if policy == "error":
        raise _undecided(place, arms, "scalar_unions='variant' or 'string'")
    place.refuse_form("a union")
    union = [_Arm(arm, node) for arm, node in zip(arms, nodes, strict=True)]
    node = _UNIONS[policy](place, union)
    return replace(node, nullable=any(arm.nullable for arm in nodes))


def _undecided(place: Place, arms: list[Any], choice: str) -> SchemaError:
    named = ", ".join(map(name_of, arms))
    return place.refuse(
        f"is one of {named}, and a Spark column has one type. Use Any, or a model, or {ADVICE} with {choice}"
    )


_POLICIES: Mapping[type[DataType], str] = MappingProxyType({StringType: "string", VariantType: "variant"})


def _bare(arm: Any) -> Any:
    return get_args(arm)[0] if get_origin(arm) is Annotated else arm


def _shared(place: Place, nodes: list[Node]) -> Node | None:
    """The one node of arms that have the same column, and values that nothing need tell apart; None where they don't.

    That is so for `Literal["a"] | Literal["b"]`, and for `Literal["a"] | str`, but not for `UUID | str`: text that is one of the
    two would be the other, too.
    """
    first = nodes[0]
    free = [node for node in nodes if node.members is None]
    meanings = _meanings([node for node in nodes if node.members is not None])
    if meanings is None or not is_leaf(first.data_type):
        return None
    if any((node.data_type, node.stored) != (first.data_type, first.stored) for node in nodes):
        return None
    changes = any(type(meant) is not type(stored) for stored, meant in meanings.items())
    if any((node.dump, node.load) != (free[0].dump, None) for node in free) or (free and changes):
        return None

    def dump(value: Any) -> Any:
        for node in nodes:
            try:
                return node.dump(value) if node.dump else value
            except ValueError:
                continue
        raise ValueError(f"{place.path} is {value!r}, which none of its arms allows")

    same = all(node.constraints == first.constraints for node in nodes)
    return replace(
        first,
        nullable=any(node.nullable for node in nodes),
        constraints=first.constraints if same else (),
        arms=() if same else tuple(nodes),
        members=None if free else tuple(meanings),
        dump=free[0].dump if free else dump,
        load=(lambda value: meanings.get(value, value)) if changes else None,
    )


def _meanings(limited: list[Node]) -> dict[Any, Any] | None:
    """What each member that is stored stands for; None where it could be two different things."""
    meanings: dict[Any, Any] = {}
    for node in limited:
        for stored in node.members or ():
            meant = node.load(stored) if node.load else stored
            known = meanings.setdefault(stored, meant)
            if type(known) is not type(meant) or known != meant:
                return None
    return meanings


@dataclass(frozen=True)
class _Arm:
    """One arm: its annotation and node, and, made when they are first needed, its validation and its DynamoDB form."""

    annotation: Any
    node: Node

    @functools.cached_property
    def adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation)

    @functools.cached_property
    def form(self) -> AttributeForm:
        return AttributeForm(self.node)

    def takes(self, value: Any, *, strict: bool = True) -> bool:
        """Whether the value is one of this arm's."""
        try:
            self.adapter.validate_python(value, strict=strict)
        except _UNFIT:
            return False
        return True


def _arm_of(place: Place, arms: list[_Arm], value: Any) -> _Arm:
    """The arm of a value, as Pydantic's smart mode finds it: of its class, else strictly valid, else valid at all."""
    for arm in arms:
        if arm.node.model is not None and type(value) is arm.node.model:
            return arm
    for strict in (True, False):
        for arm in arms:
            if arm.takes(value, strict=strict):
                return arm
    raise ValueError(f"{place.path} is {shorten(repr(value))}, which none of its types takes")


def _refuse_change(place: Place, arm: _Arm, value: Any, found: tuple[_Arm, Any] | None) -> None:
    """Raise ValueError where a value of one arm would be read as another value, of another arm."""
    if found is None or (found[0] is not arm and found[1] != value):
        as_what = "nothing" if found is None else f"{name_of(found[0].annotation)} {shorten(repr(found[1]))}"
        raise ValueError(f"{place.path} is {shorten(repr(value))}, which would come back as {as_what}")


# ---------------------------------------------------------------------------------------------------- VARIANT


def _variant(place: Place, arms: list[_Arm]) -> Node:
    def dump(value: Any) -> dict[str, bytes]:
        arm = _arm_of(place, arms, value)
        attribute = arm.form.write(value)
        found = _read(arms, attribute)
        _refuse_change(place, arm, value, found)
        return dump_variant(attribute)

    def load(pair: Mapping[str, bytes]) -> Any:
        attribute = decode_variant(pair["value"], pair["metadata"])
        found = _read(arms, attribute)
        return value_of(attribute) if found is None else found[1]

    return Node(
        place.path,
        VariantType(),
        constraints=place.constraints,
        arms=tuple(arm.node for arm in arms),
        discriminator=place.discriminator if isinstance(place.discriminator, str) else None,
        dump=dump,
        load=load,
    )


def _read(arms: list[_Arm], attribute: Mapping[str, Any]) -> tuple[_Arm, Any] | None:
    """The first arm, and its value, that an attribute value can be: best one that would be written as the same."""
    second: tuple[_Arm, Any] | None = None
    for arm in arms:
        try:
            value = arm.adapter.validate_python(arm.form.read(attribute))
            if is_same(arm.form.write(value), attribute):
                return arm, value
        except _UNFIT:
            continue
        second = second or (arm, value)
    return second


# ---------------------------------------------------------------------------------------------------- text


def _text(place: Place, arms: list[_Arm]) -> Node:
    """All values as text; where str is one of the arms, what comes back is text, too."""
    for arm in arms:
        if not is_leaf(arm.node.data_type) or arm.form.tag == "B":
            raise place.refuse(f"{name_of(arm.annotation)} is no text. Use a policy with scalar_unions='variant'")
    has_text = any(
        arm.node.data_type == StringType() and not arm.node.load and arm.node.members is None for arm in arms
    )

    def write(arm: _Arm, value: Any) -> str:
        ((_, payload),) = arm.form.write(value).items()
        return payload if isinstance(payload, str) else str(payload).lower()

    def read(text: str) -> tuple[_Arm, Any] | None:
        for arm in arms:
            payload = text == "true" if arm.form.tag == "BOOL" and text in ("true", "false") else text
            try:
                value = arm.adapter.validate_python(arm.form.read({arm.form.tag: payload}))
                if write(_arm_of(place, arms, value), value) == text:
                    return arm, value
            except _UNFIT:
                continue
        return None

    def dump(value: Any) -> str:
        arm = _arm_of(place, arms, value)
        text = write(arm, value)
        if not has_text:
            _refuse_change(place, arm, value, read(text))
        return text

    def load(text: str) -> Any:
        found = None if has_text else read(text)
        return text if found is None else found[1]

    return Node(
        place.path,
        StringType(),
        constraints=place.constraints,
        arms=tuple(arm.node for arm in arms),
        dump=dump,
        load=load,
    )


# ---------------------------------------------------------------------------------------------------- merged struct


def _merged(place: Place, arms: list[_Arm]) -> Node:
    """One struct with the fields of all models, nullable where a model lacks them."""
    columns: dict[str, list[tuple[_Arm, FieldNode]]] = {}
    for arm in arms:
        if not isinstance(arm.node.data_type, StructType):
            raise place.refuse(f"{name_of(arm.annotation)} has no fields to merge. Use model_unions='variant'")
        for child in arm.node.fields:
            columns.setdefault(child.name, []).append((arm, child))
    fields = tuple(_merged_field(place, found, len(found) < len(arms)) for found in columns.values())
    struct = StructType(
        [
            StructField(child.name, child.node.data_type, child.node.nullable, _metadata(columns[child.name][0]))
            for child in fields
        ]
    )
    names = dict.fromkeys(columns)

    def dump(value: Any) -> dict[str, Any]:
        arm = _arm_of(place, arms, value)
        assert arm.node.dump is not None
        row = {**names, **arm.node.dump(value)}
        found = choose(row)
        if found is None or (found[0] is not arm and found[1] != value):
            as_what = "nothing" if found is None else name_of(found[0].annotation)
            raise ValueError(
                f"{place.path} is {shorten(repr(value))}, which would come back as {as_what}: no field tells them apart"
            )
        return row

    def choose(row: Mapping[str, Any]) -> tuple[_Arm, Any] | None:
        for arm in arms:
            if _fits(arm.node, row):
                assert arm.node.load is not None
                loaded = arm.node.load({child.name: row.get(child.name) for child in arm.node.fields})
                try:
                    return arm, arm.adapter.validate_python(loaded)
                except _UNFIT:
                    continue
        return None

    def load(row: Mapping[str, Any]) -> Any:
        found = choose(row)
        return {name: held for name, held in row.items() if held is not None} if found is None else found[1]

    return Node(
        place.path,
        struct,
        constraints=place.constraints,
        fields=fields,
        arms=tuple(arm.node for arm in arms),
        discriminator=_discriminator(place, fields),
        dump=dump,
        load=load,
    )


def _discriminator(place: Place, fields: Sequence[FieldNode]) -> str | None:
    return next((child.name for child in fields if child.attribute == place.discriminator), None)


def _metadata(found: tuple[_Arm, FieldNode]) -> dict[str, Any]:
    arm, child = found
    assert isinstance(arm.node.data_type, StructType)
    return dict(arm.node.data_type[child.name].metadata)


def _merged_field(place: Place, found: list[tuple[_Arm, FieldNode]], is_lacking: bool) -> FieldNode:
    (first, kept), *others = found
    for arm, child in others:
        kinds = [(one.node.data_type, one.node.stored) for one in (kept, child)]
        if kinds[0] != kinds[1]:
            shown = [f"{kind.simpleString()}{f' stored as {form}' if form else ''}" for kind, form in kinds]
            raise SchemaError(
                below(place.path, kept.name),
                f"is {shown[0]} in {name_of(first.annotation)} and {shown[1]} in {name_of(arm.annotation)}, "
                "and a merged struct has one type. Use one type, or a policy with model_unions='variant'",
            )
    nodes = [child.node for _, child in found]
    limited = all(node.members is not None for node in nodes)
    node = replace(
        kept.node,
        nullable=is_lacking or any(node.nullable for node in nodes),
        constraints=kept.node.constraints if all(n.constraints == kept.node.constraints for n in nodes) else (),
        members=tuple(dict.fromkeys(member for n in nodes for member in n.members or ())) if limited else None,
    )
    return replace(kept, node=node)


def _fits(node: Node, row: Mapping[str, Any]) -> bool:
    """Whether a row of the merged struct can be one of this model: nothing lacks, nothing is too much, its members alone."""
    own = {child.name: child.node for child in node.fields}
    if any(held is not None and name not in own for name, held in row.items()):
        return False
    for name, child in own.items():
        held = row.get(name)
        if held is None and not child.nullable:
            return False
        if held is not None and child.members is not None and held not in child.members:
            return False
    return True


_UNIONS: Mapping[str, Callable[[Place, list[_Arm]], Node]] = MappingProxyType(
    {"variant": _variant, "string": _text, "merge": _merged}
)
