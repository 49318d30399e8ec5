"""Versions of models, and the migrations that bring older items to the model's own version.

A model says `schema_version: ClassVar[int] = 3`, and each of its items carries the number in the attribute `schema_version`;
one that lacks it is of version 1. A migration makes of an item of one version an item of the next.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeAlias

from spark_dynamo.errors import MigrationError, NewerVersionError
from spark_dynamo.wire.equality import is_same
from spark_dynamo.wire.python_values import to_attribute, to_attributes, to_values

if TYPE_CHECKING:
    from pydantic import BaseModel

# Spark's workers import this module without pydantic: only the user's own module needs it.

__all__ = [
    "VERSION",
    "UpgradedItems",
    "check_migrations",
    "declared_version",
    "item_version",
    "migration",
    "migrations_of",
    "model_version",
    "upgrade_item",
    "upgrade_items",
    "upgraded",
]

VERSION = "schema_version"  # of the model, and the attribute of its items
_FIRST = {"N": "1"}  # of an item that carries no version
_REGISTERED = "__dynamodb_migrations__"

Item: TypeAlias = dict[str, Any]
Migration: TypeAlias = Callable[[Item], Item]


def migration(model: type[BaseModel], *, from_version: int) -> Callable[[Migration], Migration]:
    """Register a function that makes of an item of `from_version` one of the next version; use it as a decorator.

    The function gets the whole item, also attributes that the model doesn't know, as Python values: str, Decimal, bool, bytes,
    None, list, dict and set. It returns the item, changed or new; `schema_version` is set behind it. It must not change the
    key attributes. It should be defined in the model's module, or in one that this imports, because Spark's workers import
    that one. Subclasses inherit migrations, and one of their own takes the place of the inherited one.

    Raises MigrationError where the model declares no version, where `from_version` is not below it, and where there is another
    migration from that version.

    >>> from typing import ClassVar
    >>> from pydantic import BaseModel
    >>> class Order(BaseModel):
    ...     schema_version: ClassVar[int] = 2
    ...     order_id: str
    ...     cents: int
    >>> @migration(Order, from_version=1)
    ... def count_cents(item: dict) -> dict:
    ...     item["cents"] = int(item.pop("price") * 100)
    ...     return item
    >>> upgrade_item({"order_id": "a", "price": Decimal("1.50")}, Order)
    {'order_id': 'a', 'cents': 150, 'schema_version': Decimal('2')}
    """
    version = declared_version(model)
    if version is None:
        raise MigrationError(
            model.__name__,
            f"it has a migration, but no version; add `{VERSION}: ClassVar[int] = {from_version + 1}` to it",
        )
    if type(from_version) is not int or not 1 <= from_version < version:
        raise MigrationError(
            model.__name__,
            f"it has version {version} and a migration from version {from_version!r}; migrations are from a version between "
            f"1 and {version - 1}, and a new one needs a higher {VERSION} of the model",
        )

    def register(function: Migration) -> Migration:
        own = vars(model).get(_REGISTERED, {})
        other = own.get(from_version)
        if other is not None and _name(other) != _name(function):  # a notebook's cell may run again
            raise MigrationError(
                model.__name__,
                f"it has two migrations from version {from_version}, {_name(other)} and {_name(function)}; make them one",
            )
        setattr(model, _REGISTERED, {**own, from_version: function})
        return function

    return register


def model_version(model: type[BaseModel]) -> int:
    """The version of a model: its `schema_version`, 1 where it declares none. MigrationError for what is no version."""
    return declared_version(model) or 1


def declared_version(model: type[BaseModel]) -> int | None:
    """A model's `schema_version`, None where it declares none: its items then carry no version, and none is looked for."""
    found = getattr(model, VERSION, None)  # of a field of that name, Pydantic leaves no class attribute
    if found is not None and (type(found) is not int or found < 1):
        raise MigrationError(
            model.__name__, f"its {VERSION} is {found!r}, and a version is a whole number of 1 or more; correct it"
        )
    return found


def migrations_of(model: type[BaseModel]) -> Mapping[int, Migration]:
    """The migrations of a model and of those that it derives from, by the version from which they are."""
    found: dict[int, Migration] = {}
    for base in reversed(model.__mro__):
        found |= vars(base).get(_REGISTERED, {})
    return dict(sorted(found.items()))


def check_migrations(model: type[BaseModel]) -> None:
    """Raise MigrationError where a version between the first migration and the model's version has no migration.

    A model may have given up its oldest versions: an item of one of them is an error only when it is met.
    """
    found = migrations_of(model)
    missing = sorted(set(range(min(found), model_version(model))) - set(found)) if found else []
    if missing:
        raise MigrationError(model.__name__, _missing(model, found, missing[0]))


def upgrade_item(
    item: Mapping[str, Any], model: type[BaseModel], *, table: str | None = None, key_names: Collection[str] = ()
) -> Item:
    """A copy of an item, given as Python values, at the model's version; as it is where it has that, or the model has none.

    `key_names` are the table's key attributes, which migrations must not change, and by which errors name the item. Raises
    NewerVersionError for an item of a version above the model's, MigrationError for one whose version is none, for which a
    migration is missing or whose migration fails.
    """
    copied = copy.deepcopy(dict(item))
    if declared_version(model) is None:
        return copied
    return upgraded(copied, model, table=table, key_names=key_names)


def upgraded(item: Item, model: type[BaseModel], *, table: str | None = None, key_names: Collection[str] = ()) -> Item:
    """What `upgrade_item` gives, made of the item itself, of a model that declares a version."""
    key = {name: item[name] for name in key_names if name in item}

    def failed(problem: str, error: Exception | None = None) -> MigrationError:
        return MigrationError(model.__name__, problem, error, version=version, table=table, key=key)

    version, wanted = item_version(item), model_version(model)
    if version is None:
        raise failed(f"its {VERSION} is {item[VERSION]!r}, and a version is a whole number of 1 or more")
    if version > wanted:
        raise NewerVersionError(model.__name__, wanted, version=version, table=table, key=key)
    migrations = migrations_of(model)
    kept = {name: to_attribute(value) for name, value in key.items()}  # a copy that no migration can reach
    for step in range(version, wanted):
        function = migrations.get(step)
        if function is None:
            raise failed(_missing(model, migrations, step))
        try:
            item = function(item)
        except Exception as error:  # whatever a function of the user's own does
            raise failed(f"migration {_name(function)} raises {type(error).__name__}: {error}", error) from error
        if not isinstance(item, dict):
            raise failed(f"migration {_name(function)} gives {type(item).__name__} and not a dict; return the item")
        item[VERSION] = Decimal(step + 1)
        for name, value in kept.items():
            if name not in item or not _is_kept(value, item[name]):
                now = repr(item[name]) if name in item else "gone"
                raise failed(
                    f"migration {_name(function)} changes the key attribute '{name}', which is {now} after it, and an "
                    "item's key can't change; write a new item and delete the old one instead"
                )
    return item


@dataclass(frozen=True, slots=True)
class UpgradedItems:
    """Items at their model's version, and those that can't be brought there: each as it is stored, with the reason."""

    items: list[Item]
    failed: list[tuple[Item, MigrationError]]


def upgrade_items(
    items: Iterable[Item], model: type[BaseModel], *, table: str, key_names: Collection[str]
) -> UpgradedItems:
    """Items in DynamoDB JSON, upgraded; current ones and all keys stay as they are."""
    current = {"N": str(model_version(model))}
    done = UpgradedItems([], [])
    for item in items:
        if item.get(VERSION, _FIRST) == current:
            done.items.append(item)
            continue
        try:
            done.items.append({**_upgraded(item, model, table, key_names), VERSION: current})
        except MigrationError as error:
            done.failed.append((item, error))
    return done


def _upgraded(item: Item, model: type[BaseModel], table: str, key_names: Collection[str]) -> Item:
    values = to_values(item)
    version, key = item_version(values), {name: values[name] for name in key_names if name in values}
    values = upgraded(values, model, table=table, key_names=key_names)
    try:
        attributes = to_attributes(values)
    except ValueError as error:
        problem = f"its migrations give what DynamoDB can't store: {error}"
        raise MigrationError(model.__name__, problem, error, version=version, table=table, key=key) from error
    return {**attributes, **{name: item[name] for name in key}}


def item_version(item: Mapping[str, Any]) -> int | None:
    """The version of an item given as Python values, 1 where it carries none; None where what it carries is none."""
    found = item.get(VERSION, 1) if VERSION in item else 1
    if isinstance(found, bool) or not isinstance(found, int | Decimal):
        return None
    try:
        version = int(found)
    except (InvalidOperation, OverflowError, ValueError):
        return None
    return version if version == found and version >= 1 else None


def _is_kept(before: Mapping[str, Any], after: Any) -> bool:
    try:
        return is_same(before, to_attribute(after))
    except ValueError:
        return False


def _missing(model: type[BaseModel], found: Mapping[int, Migration], version: int) -> str:
    others = f"; it has those from {', '.join(map(str, found))}" if found else "; it has none at all"
    return (
        f"there is no migration from version {version} on the way to version {model_version(model)}{others}. Write one with "
        f"@migration({model.__name__}, from_version={version}), in a module that the model's own imports, if not in that itself"
    )


def _name(function: Migration) -> str:
    name = getattr(function, "__qualname__", repr(function))
    return f"{getattr(function, '__module__', '')}.{name}"
