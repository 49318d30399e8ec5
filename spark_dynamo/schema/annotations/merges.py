"""A union of models as one struct of all their fields, and which of the models one of its rows is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pyspark.sql.types import StructField, StructType

from spark_dynamo.errors import SchemaError, shorten
from spark_dynamo.schema.annotations.arms import UNFIT, Arm, arm_of
from spark_dynamo.schema.annotations.places import Place, below, name_of
from spark_dynamo.schema.nodes import FieldNode, Node

__all__ = ["merged_node"]


def merged_node(place: Place, arms: Sequence[Arm]) -> Node:
    """One struct with the fields of all models, nullable where a model lacks them."""
    columns: dict[str, list[tuple[Arm, FieldNode]]] = {}
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
        arm = arm_of(place, arms, value)
        assert arm.node.dump is not None
        row = {**names, **arm.node.dump(value)}
        found = choose(row)
        if found is None or (found[0] is not arm and found[1] != value):
            as_what = "nothing" if found is None else name_of(found[0].annotation)
            raise ValueError(
                f"{place.path} is {shorten(repr(value))}, which would come back as {as_what}: no field tells them apart"
            )
        return row

    def choose(row: Mapping[str, Any]) -> tuple[Arm, Any] | None:
        for arm in arms:
            if _fits(arm.node, row):
                assert arm.node.load is not None
                loaded = arm.node.load({child.name: row.get(child.name) for child in arm.node.fields})
                if not arm.is_told(loaded):
                    continue
                try:
                    return arm, arm.adapter.validate_python(loaded)
                except UNFIT:
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


def _metadata(found: tuple[Arm, FieldNode]) -> dict[str, Any]:
    arm, child = found
    assert isinstance(arm.node.data_type, StructType)
    return dict(arm.node.data_type[child.name].metadata)


def _merged_field(place: Place, found: list[tuple[Arm, FieldNode]], is_lacking: bool) -> FieldNode:
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
