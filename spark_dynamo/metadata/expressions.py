"""DynamoDB's requests about single items and pages, as data: expressions with a placeholder for every name and value.

Nothing here does IO. A request is what its operation takes as JSON; an item or key may be a ready text (`orjson.Fragment`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from spark_dynamo.schema.attributes import Attribute
from spark_dynamo.wire.actions import Condition

__all__ = [
    "Change",
    "Conditions",
    "Request",
    "Selection",
    "Sort",
    "delete_action",
    "projected",
    "put_action",
    "update_action",
]

Request: TypeAlias = dict[str, Any]
Comparison: TypeAlias = Literal["=", "<", "<=", ">", ">="]

_TOLD: Request = {"ReturnConsumedCapacity": "TOTAL"}
_REFUSAL: Request = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


class Placeholders:
    """The names and values of one request; equal ones share a placeholder.

    >>> placeholders = Placeholders()
    >>> placeholders.name("size"), placeholders.value({"N": "1"}), placeholders.name("size")
    ('#n0', ':v0', '#n0')
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # by attribute
        self._values: list[Attribute] = []
        self._conditions: list[Condition] = []

    def name(self, attribute: str) -> str:
        """The placeholder of an attribute's name."""
        return self._names.setdefault(attribute, f"#n{len(self._names)}")

    def value(self, attribute: Attribute) -> str:
        """The placeholder of a value in DynamoDB JSON."""
        if attribute not in self._values:
            self._values.append(attribute)
        return f":v{self._values.index(attribute)}"

    def adopt(self, condition: Condition) -> str:
        """The text of a condition that has its own placeholders."""
        self._conditions.append(condition)
        return f"({condition.expression})"

    def parameters(self) -> Request:
        """What the request says of them."""
        names = {placeholder: attribute for attribute, placeholder in self._names.items()}
        values: dict[str, Any] = {f":v{place}": value for place, value in enumerate(self._values)}
        for condition in self._conditions:
            names |= condition.names
            values |= condition.values
        said = {"ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
        return {parameter: content for parameter, content in said.items() if content}


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must hold of the stored item, all of it.

    `exists` tells whether there is an item with that key (None: it doesn't matter), `equal` what attributes hold, `lacks`
    elements that lists don't hold yet, `at_most` numbers that attributes don't exceed where they are there, `if_there` what
    attributes hold where they are there, `where` values that stand at paths (None: nothing does); `also` is the
    user's own.
    """

    exists: bool | None = None
    equal: Mapping[str, Attribute] = field(default_factory=dict)
    lacks: Mapping[str, Sequence[Attribute]] = field(default_factory=dict)
    at_most: Mapping[str, int] = field(default_factory=dict)
    if_there: Mapping[str, Attribute] = field(default_factory=dict)
    where: Mapping[tuple[str | int, ...], Attribute | None] = field(default_factory=dict)
    also: Condition | None = None

    def render(self, key: str, use: Placeholders) -> str:
        """The text, empty where nothing is asked; `key` is the partition key's name."""
        parts = []
        if self.exists is not None:
            parts.append(f"attribute_{'' if self.exists else 'not_'}exists({use.name(key)})")
        parts += [f"{use.name(name)} = {use.value(value)}" for name, value in self.equal.items()]
        parts += [
            f"NOT contains({use.name(name)}, {use.value(element)})"
            for name, elements in self.lacks.items()
            for element in elements
        ]
        parts += [
            f"(attribute_not_exists({use.name(name)}) OR {use.name(name)} <= {use.value({'N': str(most)})})"
            for name, most in self.at_most.items()
        ]
        parts += [
            f"(attribute_not_exists({use.name(name)}) OR {use.name(name)} = {use.value(value)})"
            for name, value in self.if_there.items()
        ]
        parts += [
            f"attribute_not_exists({_path(path, use)})" if value is None else f"{_path(path, use)} = {use.value(value)}"
            for path, value in self.where.items()
        ]
        if self.also is not None:
            parts.append(use.adopt(self.also))
        return " AND ".join(parts)


@dataclass(frozen=True, slots=True)
class Change:
    """What an update does to the attributes that it names, and to no others.

    `set` and `remove` are plain, `count` adds 1 to what is there (to the number given where there is nothing), `append` puts
    elements to the end of a list. `paths` sets what lies within lists, like `{("stages", 2, "status"): {"S": "failed"}}`.
    """

    set: Mapping[str, Attribute] = field(default_factory=dict)
    remove: Sequence[str] = ()
    count: Mapping[str, int] = field(default_factory=dict)
    append: Mapping[str, Sequence[Attribute]] = field(default_factory=dict)
    paths: Mapping[tuple[str | int, ...], Attribute | None] = field(default_factory=dict)

    def render(self, use: Placeholders) -> str:
        """The UpdateExpression; empty where nothing is changed."""
        sets = [f"{use.name(name)} = {use.value(value)}" for name, value in self.set.items()]
        sets += [
            f"{use.name(name)} = if_not_exists({use.name(name)}, {use.value({'N': str(start)})}) + {use.value({'N': '1'})}"
            for name, start in self.count.items()
        ]
        for name, elements in self.append.items():
            empty, added = use.value({"L": []}), use.value({"L": list(elements)})
            sets.append(f"{use.name(name)} = list_append(if_not_exists({use.name(name)}, {empty}), {added})")
        removes = [use.name(name) for name in self.remove]
        for path, value in self.paths.items():
            place = _path(path, use)
            if value is None:
                removes.append(place)
            else:
                sets.append(f"{place} = {use.value(value)}")
        clauses = [f"SET {', '.join(sets)}" if sets else "", f"REMOVE {', '.join(removes)}" if removes else ""]
        return " ".join(clause for clause in clauses if clause)


def _path(path: Sequence[str | int], use: Placeholders) -> str:
    """A path into an item, as in `#n0[2].#n1`."""
    first, *rest = path
    text = use.name(str(first))
    for step in rest:
        text += f"[{step}]" if isinstance(step, int) else f".{use.name(step)}"
    return text


@dataclass(frozen=True, slots=True)
class Sort:
    """What the sort key must be: a comparison, a prefix (`begins_with`) or bounds (`BETWEEN`, both included)."""

    name: str
    comparison: Comparison | Literal["begins_with", "BETWEEN"]
    values: tuple[Attribute, ...]

    def render(self, use: Placeholders) -> str:
        """The text of the condition."""
        name, values = use.name(self.name), [use.value(value) for value in self.values]
        if self.comparison == "begins_with":
            return f"begins_with({name}, {values[0]})"
        if self.comparison == "BETWEEN":
            return f"{name} BETWEEN {values[0]} AND {values[1]}"
        return f"{name} {self.comparison} {values[0]}"


@dataclass(frozen=True, slots=True)
class Selection:
    """The items that a Query or a Scan is to find; it is a Query where there is a `partition`.

    `equal`, `any_of` (lists of values) and `sorts` filter what was read, `also` is the user's own filter. `columns` are the
    attributes that are wanted, all where there are none.
    """

    table: str
    partition: tuple[str, Attribute] | None = None
    sort: Sort | None = None
    index: str | None = None
    newest_first: bool = False
    equal: Mapping[str, Attribute] = field(default_factory=dict)
    any_of: Mapping[str, Sequence[Attribute]] = field(default_factory=dict)
    sorts: Sequence[Sort] = ()
    also: Condition | None = None
    consistent_read: bool = False
    columns: Sequence[str] = ()

    @property
    def operation(self) -> Literal["Query", "Scan"]:
        """Query or Scan."""
        return "Scan" if self.partition is None else "Query"

    @property
    def is_filtered(self) -> bool:
        """Whether fewer items may be found than are read."""
        return bool(self.equal or self.any_of or self.sorts or self.also)

    @property
    def pipeline(self) -> str | None:
        """The id of the pipeline whose items are to be found, None where it is not about one."""
        held = dict([self.partition] if self.partition else [], **self.equal).get("pipeline_id")
        return held.get("S") if held else None

    def request(self, page_size: int | None = None, start: Mapping[str, Any] | None = None) -> Request:
        """The request for one page, which begins behind the key `start`."""
        use = Placeholders()
        request: Request = {"TableName": self.table}
        if self.partition is not None:
            name, value = self.partition
            conditions = [f"{use.name(name)} = {use.value(value)}", *([self.sort.render(use)] if self.sort else [])]
            request["KeyConditionExpression"] = " AND ".join(conditions)
            request["ScanIndexForward"] = not self.newest_first
        filters = [f"{use.name(name)} = {use.value(value)}" for name, value in self.equal.items()]
        filters += [
            f"{use.name(name)} IN ({', '.join(use.value(value) for value in values)})"
            for name, values in self.any_of.items()
        ]
        filters += [sort.render(use) for sort in self.sorts]
        if self.also is not None:
            filters.append(use.adopt(self.also))
        if filters:
            request["FilterExpression"] = " AND ".join(filters)
        if self.columns:
            request["ProjectionExpression"] = ", ".join(map(use.name, self.columns))
        optional = {"IndexName": self.index, "Limit": page_size, "ExclusiveStartKey": start}
        request |= {parameter: value for parameter, value in optional.items() if value is not None}
        if self.consistent_read:
            request["ConsistentRead"] = True
        return request | use.parameters() | _TOLD


def projected(columns: Sequence[str]) -> Request:
    """What a GetItem request says of the attributes that it wants, nothing where it wants all."""
    use = Placeholders()
    return {"ProjectionExpression": ", ".join(map(use.name, columns)), **use.parameters()} if columns else {}


def put_action(table: str, item: Any, key: str, conditions: Conditions) -> Request:
    """What stands in Put of TransactWriteItems, and is a PutItem request by itself."""
    use = Placeholders()
    return {"TableName": table, "Item": item} | _conditional(conditions, key, use) | use.parameters()


def delete_action(table: str, item_key: Any, key: str, conditions: Conditions) -> Request:
    """The request of Delete and DeleteItem, and with conditions of ConditionCheck."""
    use = Placeholders()
    return {"TableName": table, "Key": item_key} | _conditional(conditions, key, use) | use.parameters()


def update_action(table: str, item_key: Any, key: str, change: Change, conditions: Conditions) -> Request:
    """The request of Update and UpdateItem."""
    use = Placeholders()
    request: Request = {"TableName": table, "Key": item_key, "UpdateExpression": change.render(use)}
    return request | _conditional(conditions, key, use) | use.parameters()


def _conditional(conditions: Conditions, key: str, use: Placeholders) -> Request:
    text = conditions.render(key, use)
    return {"ConditionExpression": text, **_REFUSAL} if text else {}
