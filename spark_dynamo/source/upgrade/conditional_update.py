"""One item replaced by another form of itself, unless somebody else has changed it since it was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spark_dynamo.schema.evolve import VERSION
from spark_dynamo.wire.envelope import Item
from spark_dynamo.wire.equality import is_same

_LONGEST_EXPRESSION = 4096  # bytes
_MOST_COMPARED = 130  # attributes; DynamoDB takes 300 operators, and each has = and AND
_LONGEST_CONDITION = 4000


def rewriting(table: str, stored: Item, wanted: Item, key_names: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The operation, `update` or `put`, and its action that makes of the item as it was read the one that is wanted.

    An action is what stands in Update or Put of TransactWriteItems, in DynamoDB JSON. Its condition is that the item is there
    with the attributes that were read, or the first 130 of them, those that change before the others. An update leaves
    attributes alone that somebody has added meanwhile; only where it would be too long for DynamoDB it is a put.

    >>> operation, action = rewriting("t", {"id": {"S": "a"}, "n": {"N": "1"}}, {"id": {"S": "a"}, "m": {"N": "2"}}, ["id"])
    >>> operation, action["UpdateExpression"], action["ConditionExpression"]
    ('update', 'SET #a1=:b1 REMOVE #a2', 'attribute_exists(#a0) AND attribute_not_exists(#a1) AND #a2=:a2')
    """
    changed = [name for name in wanted if name not in key_names and not _is_equal(stored, wanted, name)]
    changed.sort(key=lambda name: name != VERSION)  # the version is compared in any case
    removed = [name for name in stored if name not in wanted]
    kept = [name for name in stored if name not in (*key_names, *changed, *removed)]
    aliases = _Aliases()
    conditions = [f"attribute_exists({aliases.name(key_names[0])})"]
    length = len(conditions[0])
    for name in (*changed, *removed, *kept):
        if len(conditions) > _MOST_COMPARED or length > _LONGEST_CONDITION:
            break
        conditions.append(
            f"{aliases.name(name)}={aliases.value(name, stored[name], 'a')}"
            if name in stored
            else f"attribute_not_exists({aliases.name(name)})"
        )
        length += len(" AND ") + len(conditions[-1])
    action: dict[str, Any] = {"TableName": table, "ConditionExpression": " AND ".join(conditions)}
    sets = [f"{aliases.name(name)}={aliases.value(name, wanted[name], 'b')}" for name in changed]
    removes = [aliases.name(name) for name in removed]
    update = " ".join(f"{verb} {','.join(parts)}" for verb, parts in (("SET", sets), ("REMOVE", removes)) if parts)
    if len(update) <= _LONGEST_EXPRESSION:
        operation = "update"
        action |= {"Key": {name: stored[name] for name in key_names}, "UpdateExpression": update}
    else:
        operation = "put"
        action["Item"] = wanted
        aliases.keep(action["ConditionExpression"])
    action["ExpressionAttributeNames"] = aliases.names
    if aliases.values:
        action["ExpressionAttributeValues"] = aliases.values
    return operation, {**action, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


class _Aliases:
    """Placeholders: an attribute named `#a0` has the stored value `:a0` and the wanted one `:b0`."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self.names: dict[str, str] = {}
        self.values: dict[str, Mapping[str, Any]] = {}

    def name(self, attribute: str) -> str:
        place = self._places.setdefault(attribute, len(self._places))
        self.names[f"#a{place}"] = attribute
        return f"#a{place}"

    def value(self, attribute: str, value: Mapping[str, Any], kind: str) -> str:
        alias = f":{kind}{self._places[attribute]}"
        self.values[alias] = value
        return alias

    def keep(self, expression: str) -> None:
        """Only those that the expression uses: DynamoDB refuses others."""
        used = set(expression.replace("(", " ").replace(")", " ").replace("=", " ").split())
        self.names = {alias: name for alias, name in self.names.items() if alias in used}
        self.values = {alias: value for alias, value in self.values.items() if alias in used}


def _is_equal(stored: Item, wanted: Item, name: str) -> bool:
    return name in stored and (stored[name] == wanted[name] or is_same(stored[name], wanted[name]))
