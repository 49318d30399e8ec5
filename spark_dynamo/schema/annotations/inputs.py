"""The way back into a class: by which names, and where in its input, validation finds the values of a struct's columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, TypeAlias

import typing_extensions
from pydantic import AliasChoices, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from spark_dynamo.errors import SchemaError
from spark_dynamo.schema.annotations.containers import load_one
from spark_dynamo.schema.nodes import FieldNode, Node

__all__ = ["Input", "finished", "first_text", "loader", "ways_to"]

Load: TypeAlias = Callable[[Mapping[str, Any]], Any]
Way: TypeAlias = tuple[str | int, ...]  # a name, or one and the steps from there into its value

_MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class Input:
    """A field on the way back: its column, and the ways by which validation looks for it, in its order.

    Without a `node` it is a field that the policy leaves out, and `empty()` what it is then.
    """

    name: str
    ways: tuple[Way, ...]
    node: Node | None = None
    info: FieldInfo | None = None
    may_lack: bool = False
    empty: Callable[[], Any] | None = None


def ways_to(attribute: str, info: FieldInfo | None, config: Mapping[str, Any]) -> tuple[Way, ...]:
    """Where validation looks for a field's value: its aliases, in their order, then its name where the class takes names."""
    alias = (info.validation_alias or info.alias) if info else None
    if alias is None or config.get("validate_by_alias") is False:
        return ((attribute,),)
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    ways = tuple((choice,) if isinstance(choice, str) else tuple(choice.path) for choice in choices)
    by_name = config.get("validate_by_name") or config.get("populate_by_name")
    return (*ways, (attribute,)) if by_name else ways


def first_text(alias: Any) -> str | None:
    """The first name among an alias's choices, None where all are paths."""
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return next((choice for choice in choices if isinstance(choice, str)), None)


def loader(inputs: Sequence[Input], extra: str | None, known: Set[str]) -> Load:
    """What makes of a row the dict that validation takes.

    Where the class has a say in `extra` fields, those that are not `known` as columns are handed over as they are.
    """
    ways = _chosen(inputs)
    roots = Counter(way[0] for way in ways)
    plain, nested, empties = [], [], []
    for one, way in zip(inputs, ways, strict=True):
        if one.node is None:
            empties.append((way, one.empty))
        elif _is_alone(one, way, roots):
            plain.append((one.name, way[0], one.node.load, one.may_lack))
        else:
            nested.append((one, way))
    is_asked = extra in ("allow", "forbid")

    def load(row: Mapping[str, Any]) -> dict[Any, Any]:
        loaded: dict[Any, Any] = {}
        for name, key, convert, may_lack in plain:
            held = row.get(name, _MISSING)
            if held is _MISSING or (may_lack and held is None):
                continue
            loaded[key] = held if convert is None or held is None else convert(held)
        for way, empty in empties:
            if empty is not None:
                _put(loaded, way, empty())
        if nested:
            _load_nested(row, loaded, nested)
        if is_asked and not row.keys() <= known:
            _load_further(row, loaded, known)
        return loaded

    return load


def _chosen(inputs: Sequence[Input]) -> list[Way]:
    """The way by which each value is handed over: by a name, if there is one, that no other field is looked for by."""
    asked = Counter(root for one in inputs for root in {way[0] for way in one.ways})
    found = []
    for one in inputs:
        names = [way for way in one.ways if len(way) == 1]
        own = [way for way in names if asked[way[0]] == 1]
        found.append((own or names or one.ways)[0])
    return found


def _is_alone(one: Input, way: Way, roots: Counter[str | int]) -> bool:
    """Whether a name leads to the value, and nothing that another field hands over stands in its way."""
    looked_at = {earlier[0] for earlier in one.ways[: one.ways.index(way) + 1]}
    return len(way) == 1 and not any(roots[root] > (root == way[0]) for root in looked_at)


class _Made(dict[Any, Any]):
    """A dict that only leads to values; no column's value is one."""


def _load_nested(row: Mapping[str, Any], loaded: dict[Any, Any], nested: Sequence[tuple[Input, Way]]) -> None:
    """Put the values where validation looks for them; SchemaError for one in whose place it would find another one."""
    put: list[tuple[Input, Any]] = []
    for one, way in nested:
        held = row.get(one.name, _MISSING)
        if held is _MISSING or (one.may_lack and held is None):
            continue
        assert one.node is not None
        put.append((one, load_one(one.node, held)))
        _put(loaded, way, put[-1][1])
    for one, value in put:
        found = next((found for way in one.ways if (found := _at(loaded, way)) is not _MISSING), _MISSING)
        if found is _MISSING and one.info is not None and not one.info.default_factory_takes_validated_data:
            found = one.info.get_default(call_default_factory=True)
        if found is not value and found != value:
            assert one.node is not None
            places = " or ".join(".".join(map(str, way)) for way in one.ways)
            raise SchemaError(
                one.node.path,
                f"its value can't be handed back, as validation takes it from {places}, where another field's value is. Give it "
                "an alias of its own",
            )


def _put(loaded: dict[Any, Any], way: Way, value: Any) -> None:
    """Put a value where a way leads, unless something stands there."""
    *steps, last = way
    for step in steps:
        loaded = loaded.setdefault(step, _Made())
        if not isinstance(loaded, _Made):
            return
    loaded.setdefault(last, value)


def _at(value: Any, way: Way) -> Any:
    """What validation finds where a way leads."""
    for step in way:
        if isinstance(value, str):
            return _MISSING
        try:
            value = value[step]
        except (LookupError, TypeError):
            return _MISSING
    return value


def _load_further(row: Mapping[str, Any], loaded: dict[Any, Any], known: Set[str]) -> None:
    for name in row:
        if name in known:
            continue
        if name in loaded:
            raise SchemaError(name, "an extra column has the name by which a field's value is validated; rename it")
        loaded[name] = row[name]


def finished(node: Node, annotation: Any, later: Sequence[FieldNode]) -> Load:
    """What makes an instance of a row of a dataclass, in which the fields stand that its `__init__` doesn't take.

    Where the class refuses the row, it is what the class's own validation takes, so that this says what is wrong.
    """
    load = node.load
    assert load is not None
    whole = cache(lambda: TypeAdapter(annotation))
    parts = cache(lambda: TypeAdapter(_typed_dict_of(later)))

    def made(row: Mapping[str, Any]) -> Any:
        given = load(row)
        held = {child.attribute: load_one(child.node, row[child.name]) for child in later if child.name in row}
        try:
            instance = whole().validate_python(given)
        except ValidationError:
            return given
        for attribute, value in parts().validate_python(held).items():
            object.__setattr__(instance, attribute, value)
        return instance

    return made


def _typed_dict_of(fields: Sequence[FieldNode]) -> Any:
    hints = {}
    for child in fields:
        assert child.info is not None
        hints[child.attribute] = Annotated[child.info.annotation, *child.info.metadata, None]
    return typing_extensions.TypedDict("Later", hints, total=False)  # type: ignore[operator]
