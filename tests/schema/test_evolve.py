"""Versions, migrations and their chains."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from spark_dynamo.errors import MigrationError, NewerVersionError
from spark_dynamo.schema.evolve import (
    check_migrations,
    declared_version,
    migration,
    migrations_of,
    model_version,
    upgrade_item,
)

Item = dict[str, Any]


def model(version: object) -> type[BaseModel]:
    """A new model of that version."""

    class Order(BaseModel):
        schema_version: ClassVar[Any] = version
        id: str

    return Order


def noting(step: int) -> Callable[[Item], Item]:
    """A migration that leaves its trace."""

    def note(item: Item) -> Item:
        return {**item, "trace": [*item.get("trace", []), step]}

    return note


def chain(version: int, *steps: int) -> type[BaseModel]:
    """A model of that version with such migrations."""
    made = model(version)
    for step in steps:
        migration(made, from_version=step)(noting(step))
    return made


# ---------------------------------------------------------------------------------------------------- versions


def test_a_model_has_the_version_that_it_declares() -> None:
    assert declared_version(model(4)) == model_version(model(4)) == 4


def test_a_model_without_a_version_is_of_the_first() -> None:
    class Plain(BaseModel):
        id: str

    class WithField(BaseModel):
        schema_version: int = 7

    for unversioned in (Plain, WithField):
        assert declared_version(unversioned) is None
        assert model_version(unversioned) == 1
        item = {"id": "a", "schema_version": Decimal(9)}
        assert upgrade_item(item, unversioned) == item
        with pytest.raises(
            MigrationError, match=r"it has a migration, but no version; add `schema_version: ClassVar\[int\] = 3`"
        ):
            migration(unversioned, from_version=2)


@pytest.mark.parametrize("version", [0, -1, "2", 1.0, True])
def test_what_is_no_version_is_an_error(version: object) -> None:
    with pytest.raises(MigrationError, match="a version is a whole number of 1 or more; correct it"):
        model_version(model(version))


# ---------------------------------------------------------------------------------------------------- migrations


@given(st.integers(1, 6).flatmap(lambda version: st.tuples(st.just(version), st.none() | st.integers(1, version))))
def test_an_item_takes_each_step_from_its_version_to_the_models(versions: tuple[int, int | None]) -> None:
    wanted, carried = versions
    item = {"id": "a"} if carried is None else {"id": "a", "schema_version": Decimal(carried)}
    before = dict(item)
    upgraded = upgrade_item(item, chain(wanted, *range(1, wanted)))
    steps = list(range(carried or 1, wanted))
    expected: Item = {**item, "trace": steps, "schema_version": Decimal(wanted)} if steps else item
    assert upgraded == expected
    assert item == before


def test_the_callers_item_is_never_changed() -> None:
    made = model(2)

    @migration(made, from_version=1)
    def deep(item: Item) -> Item:
        item["lines"][0]["price"] = 2
        return item

    item = {"id": "a", "lines": [{"price": 1}]}
    assert upgrade_item(item, made)["lines"] == [{"price": 2}]
    assert item == {"id": "a", "lines": [{"price": 1}]}


def test_a_subclass_inherits_migrations_and_may_replace_them() -> None:
    parent = chain(3, 1, 2)

    class Child(parent):  # type: ignore[misc, valid-type]
        schema_version: ClassVar[int] = 4

    migration(Child, from_version=3)(noting(3))
    migration(Child, from_version=1)(noting(10))
    assert upgrade_item({"id": "a"}, Child)["trace"] == [10, 2, 3]
    assert upgrade_item({"id": "a"}, parent)["trace"] == [1, 2]
    assert list(migrations_of(Child)) == [1, 2, 3]


def test_a_cell_of_a_notebook_may_run_again() -> None:
    made = chain(2, 1)
    migration(made, from_version=1)(noting(5))  # a function of the same name
    assert upgrade_item({"id": "a"}, made)["trace"] == [5]


def test_two_migrations_from_one_version_are_an_error() -> None:
    with pytest.raises(MigrationError, match="two migrations from version 1, .*note and .*<lambda>; make them one"):
        migration(chain(2, 1), from_version=1)(lambda item: item)


@pytest.mark.parametrize("step", [0, 2, 3, "1", True])
def test_a_migration_is_from_a_version_below_the_models(step: Any) -> None:
    with pytest.raises(MigrationError, match="it has version 2 and a migration from version"):
        migration(model(2), from_version=step)


def test_a_gap_between_migrations_is_an_error() -> None:
    check_migrations(chain(4, 1, 2, 3))
    check_migrations(chain(4, 2, 3))  # the first version was given up
    check_migrations(chain(4))
    with pytest.raises(
        MigrationError,
        match="Model Order: there is no migration from version 2 on the way to version 4; it has those from 1, 3",
    ):
        check_migrations(chain(4, 1, 3))
    with pytest.raises(MigrationError, match="no migration from version 3"):
        check_migrations(chain(4, 1, 2))


def test_an_item_of_a_version_that_was_given_up_is_an_error() -> None:
    assert upgrade_item({"id": "a", "schema_version": 2}, chain(3, 2))["trace"] == [2]
    with pytest.raises(
        MigrationError, match=r"item {id='a'} of version 1, model Order: there is no migration from version 1"
    ) as error:
        upgrade_item({"id": "a"}, chain(3, 2), table="orders", key_names=["id"])
    assert (error.value.version, error.value.table, error.value.key) == (1, "orders", {"id": "a"})


def test_an_item_of_newer_code_is_an_error() -> None:
    with pytest.raises(
        NewerVersionError, match=r"Table 'orders', item {id='a'} of version 4, model Order: .* up to version 3"
    ) as error:
        upgrade_item({"id": "a", "schema_version": Decimal(4)}, model(3), table="orders", key_names=["id"])
    assert error.value.known == 3
    copied = pickle.loads(pickle.dumps(error.value))
    assert (str(copied), copied.key, copied.known) == (str(error.value), {"id": "a"}, 3)


@pytest.mark.parametrize("found", ["2", Decimal("1.5"), 0, Decimal(-1), None, True, [1], Decimal("NaN")])
def test_a_version_that_is_none_is_an_error(found: object) -> None:
    with pytest.raises(MigrationError, match="its schema_version is .*, and a version is a whole number"):
        upgrade_item({"id": "a", "schema_version": found}, chain(2, 1))


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda item: {**item, "n": item["m"]}, r"<lambda> raises KeyError: 'm'"),
        (lambda item: item.update(n=1), "<lambda> gives NoneType and not a dict; return the item"),
        (lambda item: {**item, "id": "b"}, "changes the key attribute 'id', which is 'b' after it"),
        (lambda item: {"n": 1}, "changes the key attribute 'id', which is gone after it"),
        (lambda item: {**item, "id": object()}, "changes the key attribute 'id'"),
        (lambda item: {**item, "day": "1"}, "changes the key attribute 'day'"),
        (lambda item: {**item, "day": True}, "changes the key attribute 'day'"),
    ],
)
def test_a_migration_that_fails_is_named_with_the_item(function: Callable[[Item], Any], problem: str) -> None:
    made = model(2)
    migration(made, from_version=1)(function)
    with pytest.raises(
        MigrationError, match=rf"Item {{id='a', day=1}} of version 1, model Order: migration .*{problem}"
    ):
        upgrade_item({"id": "a", "day": 1}, made, key_names=["id", "day"])


def test_a_key_may_be_written_as_an_equal_number() -> None:
    made = model(2)
    migration(made, from_version=1)(lambda item: {**item, "day": Decimal("1.0")})
    assert upgrade_item({"id": "a", "day": 1}, made, key_names=["day"])["day"] == 1
