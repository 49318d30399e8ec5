"""Optional and other unions: one type where all arms share it, else what the policy says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import MaxLen, MinLen
from pydantic import Discriminator, Tag
from pyspark.sql.types import DataType, StringType, VariantType

from spark_dynamo.errors import SchemaError
from spark_dynamo.schema.annotations.arms import UNFIT, Arm, arm_of, arm_read, attribute_of_arm, refuse_change, told_by
from spark_dynamo.schema.annotations.classes import is_class_with_fields
from spark_dynamo.schema.annotations.merges import merged_node
from spark_dynamo.schema.annotations.places import MISSING, Place, name_of
from spark_dynamo.schema.annotations.variants import any_node, dump_variant, value_of
from spark_dynamo.schema.ddl import parse_ddl
from spark_dynamo.schema.nodes import Node
from spark_dynamo.schema.policy import ADVICE
from spark_dynamo.wire.types import is_leaf
from spark_dynamo.wire.variant import decode_variant

__all__ = ["union_node"]

_NONE = (None, NoneType, MISSING)


def union_node(place: Place, annotation: Any) -> Node:
    """The node of a union, nullable where None is one of its arms."""
    arms = get_args(annotation)
    present = [arm for arm in arms if not _is_none(arm)]
    if not present:
        return any_node(place, annotation)
    if len(present) == 1:
        node = place.node(present[0])
    else:
        flat = list(_arms_of(present))
        if len(flat) > len(present) and isinstance(place.discriminator, Discriminator):
            place = replace(place, discriminator=None)  # it tells unions from one another, not the arms within them
        present = [arm for arm in flat if not _is_none(arm)]
        arms = (*arms, *flat)
        node = _several(place, present)
    return replace(node, nullable=node.nullable or any(map(_is_none, arms)))


def _is_none(arm: Any) -> bool:
    """Whether the arm is None, or `Literal[None]`, with a tag or without, or says that a field isn't given."""
    bare = _bare(arm)
    return bare in _NONE or (get_origin(bare) is Literal and get_args(bare) == (None,))


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
    is_variant = policy == "variant"
    bare = replace(place, form=None, spark_type=None, discriminator=None, is_arm=is_variant)
    bare = replace(bare, in_variant=place.in_variant or is_variant)
    nodes = [bare.node(arm) for arm in arms]
    shared = (_shared(place, nodes) or _tuples(place, arms, nodes)) if asked is None else None
    if shared is not None:
        return shared
    if policy == "error":
        raise _undecided(place, arms, "scalar_unions='variant' or 'string'")
    place.refuse_form("a union")
    union = [
        Arm(place.resolved(arm), node, told_by(place.discriminator)) for arm, node in zip(arms, nodes, strict=True)
    ]
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

    That is so for `Literal["a"] | Literal["b"]`, for `Literal["a"] | str`, and for `FilePath | DirectoryPath`, but not for
    `UUID | str`: text that is one of the two would be the other, too.
    """
    first = nodes[0]
    free = [node for node in nodes if node.members is None]
    meanings = _meanings([node for node in nodes if node.members is not None])
    if meanings is None or not is_leaf(first.data_type):
        return None
    if any((node.data_type, node.stored) != (first.data_type, first.stored) for node in nodes):
        return None
    changes = any(type(meant) is not type(stored) for stored, meant in meanings.items())
    if any((node.dump, node.load) != (free[0].dump, free[0].load) for node in free):
        return None
    if free and (changes or (free[0].load and len(free) < len(nodes))):
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


def _tuples(place: Place, arms: list[Any], nodes: list[Node]) -> Node | None:
    """The one list of tuples that differ in nothing but their lengths, as `tuple[X, X] | tuple[X, X, X]`; None for others."""
    held = [get_args(arm) if get_origin(arm) is tuple else () for arm in arms]
    if not all(held) or any(inner is Ellipsis or inner != held[0][0] for inners in held for inner in inners):
        return None
    lengths = [len(inners) for inners in held]
    place = place.annotated([MinLen(min(lengths)), MaxLen(max(lengths))])
    return replace(place.node(tuple.__class_getitem__((held[0][0], ...))), arms=tuple(nodes))


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


# ---------------------------------------------------------------------------------------------------- VARIANT


def _variant(place: Place, arms: Sequence[Arm]) -> Node:
    def dump(value: Any) -> dict[str, bytes]:
        return dump_variant(attribute_of_arm(place, arms, value))

    def load(pair: Mapping[str, bytes]) -> Any:
        attribute = decode_variant(pair["value"], pair["metadata"])
        found = arm_read(arms, attribute)
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


# ---------------------------------------------------------------------------------------------------- text


def _text(place: Place, arms: Sequence[Arm]) -> Node:
    """All values as text; where str is one of the arms, what comes back is text, too."""
    for arm in arms:
        if not is_leaf(arm.node.data_type) or arm.form.tag == "B":
            raise place.refuse(f"{name_of(arm.annotation)} is no text. Use a policy with scalar_unions='variant'")
    has_text = any(map(_is_text, arms))

    def write(arm: Arm, value: Any) -> str:
        ((_, payload),) = arm.form.write(value).items()
        return payload if isinstance(payload, str) else str(payload).lower()

    def read(text: str) -> tuple[Arm, Any] | None:
        for arm in arms:
            payload = text == "true" if arm.form.tag == "BOOL" and text in ("true", "false") else text
            try:
                value = arm.adapter.validate_python(arm.form.read({arm.form.tag: payload}))
                if write(arm_of(place, arms, value), value) == text:
                    return arm, value
            except UNFIT:
                continue
        return None

    def dump(value: Any) -> str:
        arm = arm_of(place, arms, value)
        text = write(arm, value)
        if not has_text:
            refuse_change(place, arm, value, read(text))
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


def _is_text(arm: Arm) -> bool:
    """Whether any text is a value of the arm, as of `str`, and not of a class of texts."""
    is_class = isinstance(arm.kind, type) and arm.kind is not str
    return arm.node.data_type == StringType() and not arm.node.load and arm.node.members is None and not is_class


_UNIONS: Mapping[str, Callable[[Place, Sequence[Arm]], Node]] = MappingProxyType(
    {"variant": _variant, "string": _text, "merge": merged_node}
)
