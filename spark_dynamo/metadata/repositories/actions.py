"""Writes of single items as they are sent, alone or in a transaction, and what a refusal of each means; no IO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import orjson
import pydantic
from pydantic import BaseModel

from spark_dynamo.errors import (
    ConditionFailedError,
    DuplicateKeyError,
    ItemAlreadyExistsError,
    ItemNotFoundError,
    MigrationError,
    NewerVersionError,
    ValidationError,
    VersionConflictError,
    shorten,
    show_key,
)
from spark_dynamo.metadata.codec import Codec
from spark_dynamo.metadata.expressions import Change, Conditions, Request, delete_action, put_action, update_action
from spark_dynamo.metadata.zones import shown, taken, taken_model
from spark_dynamo.schema.attributes import Attribute
from spark_dynamo.schema.evolve import VERSION
from spark_dynamo.timezones import utcnow
from spark_dynamo.wire.equality import is_done, is_same
from spark_dynamo.wire.python_values import to_python

__all__ = ["Action", "More", "Written", "check", "creation", "deletion", "twice", "updating"]

T = TypeVar("T", bound=BaseModel)

_NOTHING = "spark-dynamo: an attribute that no item has"  # DynamoDB takes no empty expression in a transaction


@dataclass(frozen=True, slots=True)
class Known:
    """The version of an item that a change is of: `number` is stored, or nothing where it may be absent.

    An item from before its versions were counted has none (`number` is None), or the default of the model's field.
    """

    number: int | None
    or_absent: bool

    @property
    def attribute(self) -> Attribute:
        """What the counter holds where it is there."""
        return {"NULL": True} if self.number is None else {"N": str(self.number)}

    @property
    def next(self) -> Attribute:
        """What the change makes of it."""
        return {"N": str((self.number or 0) + 1)}

    def is_stored(self, stored: Mapping[str, Any], counter: str) -> bool:
        """Whether an item is of that version."""
        return is_same(stored[counter], self.attribute) if counter in stored else self.or_absent


@dataclass(frozen=True, slots=True)
class Written(Generic[T]):
    """What the writes of one call have in common.

    `zone` is where times without one are taken, `shown_in` the zone of the result's times, None for UTC. `version` and
    `updated` are the fields that count writes and hold the time of the last one, None where there are none.
    """

    codec: Codec[T]
    table: str
    zone: str
    version: str | None
    updated: str | None
    shown_in: str | None

    @property
    def counter(self) -> str:
        """The attribute that holds the version."""
        assert self.version is not None
        return self.codec.attributes.field(self.version).name

    @property
    def first(self) -> int | None:
        """The version that the model gives an item which has none: the field's default."""
        assert self.version is not None
        default = self.codec.model.model_fields[self.version].default
        return default if type(default) is int else None

    def known(self, item: Any, expected: int | None) -> Known | None:
        """The version that must be stored: the one that is stated, else that of a model; None for a key alone."""
        if expected is not None and self.version is None:
            raise ValidationError(
                f"expected_version is {expected!r}, and the repository of table '{self.table}' has no version_attribute: "
                "name the field that counts versions, or give a condition"
            )
        if self.version is None or (expected is None and not isinstance(item, self.codec.model)):
            return None
        version = getattr(item, self.version) if expected is None else expected
        return Known(version, or_absent=version in (None, self.first))

    def result(self, model: T) -> T:
        """The model as the caller gets it."""
        return model if self.shown_in in (None, "UTC") else shown(model, str(self.shown_in))

    def made(self, values: Mapping[str, Any]) -> T:
        """A new model of raw values by the names of fields; ValidationError, field by field, where the model refuses them."""
        fields = self.codec.attributes.field
        given = {fields(n).attribute: taken(value, fields(n).node, self.zone) for n, value in values.items()}
        try:
            return self.codec.model.model_validate(given)
        except pydantic.ValidationError as error:
            problems = {
                ".".join(map(str, problem["loc"])) or self.codec.model.__name__: problem["msg"]
                for problem in error.errors(include_url=False, include_context=False)
            }
            message = f"{self.codec.model.__name__} refuses values for table '{self.table}'"
            raise ValidationError(message, problems, error) from error

    def take(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Validated changes by the names of fields; times without a zone are taken in the call's."""
        fields = self.codec.attributes.field
        return self.codec.attributes.validate(
            {n: taken(value, fields(n).node, self.zone) for n, value in changes.items()}
        )


@dataclass(frozen=True, slots=True)
class Action(Generic[T]):
    """One write, ready to be sent alone or in a transaction.

    `request` is what stands in Put, Update, Delete or ConditionCheck of a transaction. `model` is what a put stores; `expected` is
    the version that must be stored, `condition` the user's own; `pipeline` is the id of the pipeline that it is about, where the
    model or the key says so.
    """

    kind: str
    written: Written[T]
    key: tuple[Any, ...]
    key_text: bytes
    request: Request
    exists: bool | None
    model: T | None = None
    expected: Known | None = None
    condition: str | None = None
    pipeline: str | None = None

    def plain(self) -> dict[str, Any]:
        """The request as parsed JSON, without ready texts."""
        parsed: dict[str, Any] = orjson.loads(orjson.dumps(self.request))
        return parsed

    def is_done(self, stored: Mapping[str, Any] | None) -> bool:
        """Whether the stored item already is what the action wanted."""
        return self.kind != "check" and is_done(self.kind, self.plain(), stored)

    def refusal(self, stored: Mapping[str, Any] | None) -> Exception:
        """The error where the action's condition was not met by the stored item, None where there is none."""
        codec, table = self.written.codec, self.written.table
        key = codec.shown_key(self.key)
        if self.exists is False and stored is not None:
            return ItemAlreadyExistsError(table, key)
        if self.exists and stored is None:
            return ItemNotFoundError(table, key)
        if stored is not None and codec.schema_version is not None:
            found = to_python(stored.get(VERSION, {"N": "1"}), int)
            facts = {"version": found, "table": table, "key": key}
            if type(found) is int and found > codec.schema_version:
                return NewerVersionError(codec.model.__name__, codec.schema_version, **facts)
            if found != codec.schema_version and self.kind == "update":
                problem = (
                    "a part of an older item can't be changed without the rest. Write it whole, or upgrade the table"
                )
                return MigrationError(codec.model.__name__, problem, **facts)
        if self.expected is not None and stored is not None:
            counter = self.written.counter
            if not self.expected.is_stored(stored, counter):
                number = to_python(stored[counter], int) if counter in stored else None
                return VersionConflictError(table, key, self.expected.number, number)
        return _not_met(table, key, self.condition, stored)


def _not_met(
    table: str, key: Mapping[str, object], condition: str | None, stored: Mapping[str, Any] | None
) -> ConditionFailedError:
    found = "there is no item with that key" if stored is None else f"found was {shorten(dict(stored))}"
    asked = f"its condition {shorten(repr(condition))}" if condition else "what was asked of it"
    message = f"Item {show_key(key)} of table '{table}' was not written, as {asked} is not true: {found}"
    return ConditionFailedError(table, 1, [key], f"{asked} is not true", stored, message=message)


def twice(table: str, key: Mapping[str, object]) -> DuplicateKeyError:
    """The error where two items of one batch have the same key."""
    message = f"Two items for table '{table}' have the key {show_key(key)}, and DynamoDB keeps one: give it once"
    return DuplicateKeyError(table=table, key=key, message=message)


def creation(written: Written[T], item: T, overwrite: bool) -> Action[T]:
    """The put of a new item, or of one that replaces what is there."""
    codec = written.codec
    model = taken_model(item, codec.timed, written.zone) if isinstance(item, codec.model) else item
    if written.version is not None and isinstance(model, codec.model) and not getattr(model, written.version):
        model = model.model_copy(update={written.version: 1})
    text = codec.item(model)  # refuses what is no such model
    key = codec.key_of(model)
    exists = None if overwrite else False
    request = put_action(written.table, text, codec.key_names[0], Conditions(exists=exists))
    text_of_key = codec.key_texts([key])[0]
    return Action("put", written, key, text_of_key, request, exists, model, pipeline=codec.pipeline_of(key, model))


@dataclass(frozen=True, slots=True)
class More:
    """What a repository's own method adds to an update: elements for lists, values within them, and conditions on both.

    Elements are appended where none of `lacks` is in its list yet. `where` are values that must stand at their paths, None where
    nothing may.
    """

    append: Mapping[str, Sequence[Attribute]] = field(default_factory=dict)
    lacks: Mapping[str, Sequence[Attribute]] = field(default_factory=dict)
    paths: Mapping[tuple[str | int, ...], Attribute | None] = field(default_factory=dict)
    where: Mapping[tuple[str | int, ...], Attribute | None] = field(default_factory=dict)


def updating(
    written: Written[T],
    item: Any,
    changes: Mapping[str, Any] | None,
    *,
    condition: str | None = None,
    expected_version: int | None = None,
    more: More | None = None,
) -> Action[T]:
    """The update of the fields in `changes`, or of all fields of a model where that is None."""
    codec, more = written.codec, more or More()
    key = codec.key_of(item)
    text = codec.key_texts([key])[0]
    expected = written.known(item, expected_version)
    encoded = _whole(written, item) if changes is None else _partial(written, key, changes)
    equal: dict[str, Attribute] = {}
    if_there: dict[str, Attribute] = {}
    at_most: dict[str, int] = {}
    count: dict[str, int] = {}
    if expected is not None:
        (if_there if expected.or_absent else equal)[written.counter] = expected.attribute
        encoded[written.counter] = expected.next
    elif written.version is not None:
        count[written.counter] = written.first or 0
    if codec.schema_version is not None:
        if changes is None or codec.schema_version == 1:  # an item of version 1 need not say so
            at_most[VERSION] = codec.schema_version
        else:
            equal[VERSION] = {"N": str(codec.schema_version)}
    removed = [name for name, value in encoded.items() if value is None]
    change = Change(
        set={name: value for name, value in encoded.items() if value is not None},
        remove=removed or ([] if encoded or count or more.append or more.paths else [_NOTHING]),
        count=count,
        append=more.append,
        paths=more.paths,
    )
    also = None if condition is None else codec.condition(condition, written.zone)
    conditions = Conditions(True, equal, more.lacks, at_most, if_there, more.where, also)
    request = update_action(written.table, orjson.Fragment(text), codec.key_names[0], change, conditions)
    pipeline = codec.pipeline_of(key, item)
    return Action("update", written, key, text, request, True, None, expected, condition, pipeline)


def _whole(written: Written[T], model: Any) -> dict[str, Attribute | None]:
    """All attributes of a model but its key."""
    codec = written.codec
    if not isinstance(model, codec.model):
        raise ValidationError(
            f"{shorten(repr(model))} is of type {type(model).__name__}: give a {codec.model.__name__}, or a key and the changes"
        )
    model = taken_model(model, codec.timed, written.zone)
    if written.updated is not None:
        model = model.model_copy(update={written.updated: utcnow()})
    attributes = codec.item_attributes(model)
    names = [name for name in codec.attributes.schema.names if name not in codec.key_names]
    return {**{name: attributes.get(name) for name in names}, **attributes}


def _partial(written: Written[T], key: tuple[Any, ...], changes: Mapping[str, Any]) -> dict[str, Attribute | None]:
    """The attributes that a partial update touches."""
    codec = written.codec
    if not isinstance(changes, Mapping):
        raise ValidationError(f"The changes are {shorten(repr(changes))}: give a dict of values by the names of fields")
    taken_changes = written.take(changes)
    for name, value in zip(codec.key_fields, key, strict=True):
        if taken_changes.pop(name, value) != value:
            raise ValidationError(
                f"'{name}' is a key of table '{written.table}', and an item's key can't change: create another item, and delete "
                "this one"
            )
    if written.version is not None and written.version in taken_changes:
        raise ValidationError(
            f"'{written.version}' counts the versions of the item by itself: leave it out of the changes"
        )
    if written.updated is not None:
        taken_changes.setdefault(codec.attributes.field(written.updated).attribute, utcnow())
    return codec.encode_values(key, taken_changes) if taken_changes else {}


def deletion(
    written: Written[T], key: Any, *, condition: str | None = None, expected_version: int | None = None
) -> Action[T]:
    """The delete of the item with that key."""
    codec = written.codec
    values = codec.key_of(key)
    text = codec.key_texts([values])[0]
    expected = written.known(key, expected_version)
    held = {} if expected is None else {written.counter: expected.attribute}
    is_plain = expected is None or not expected.or_absent
    also = None if condition is None else codec.condition(condition, written.zone)
    conditions = Conditions(True, held if is_plain else {}, if_there={} if is_plain else held, also=also)
    request = delete_action(written.table, orjson.Fragment(text), codec.key_names[0], conditions)
    pipeline = codec.pipeline_of(values, key)
    return Action("delete", written, values, text, request, True, None, expected, condition, pipeline)


def check(written: Written[T], key: Any, condition: str | None, exists: bool) -> Action[T]:
    """The check, in a transaction, that there is such an item of which the condition is true, or that there is none."""
    codec = written.codec
    values = codec.key_of(key)
    text = codec.key_texts([values])[0]
    also = None if condition is None else codec.condition(condition, written.zone)
    conditions = Conditions(None if condition and not exists else exists, also=also)
    request = delete_action(written.table, orjson.Fragment(text), codec.key_names[0], conditions)
    pipeline = codec.pipeline_of(values, key)
    return Action("check", written, values, text, request, exists, condition=condition, pipeline=pipeline)
