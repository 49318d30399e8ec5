"""Times of models in people's zones: shown in one after a read, taken in one before a write. All pure, no shared state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from spark_dynamo.schema.nodes import Node
from spark_dynamo.timezones import ensure_timezone_aware, read_iso, to_user_timezone, to_utc
from spark_dynamo.timezones.assumed_utc import ASSUMED_UTC

__all__ = ["shown", "taken", "taken_model"]

ModelT = TypeVar("ModelT", bound=BaseModel)


def shown(model: ModelT, zone: str) -> ModelT:
    """A copy of a model with its instants as clocks of that zone show them; a time without a zone is none, and stays.

    >>> from spark_dynamo.metadata.models import StageInfo
    >>> stage = StageInfo(stage_name="load", status="running", start_time="2026-07-01T12:00:00Z")
    >>> shown(stage, "Asia/Tokyo").start_time.isoformat()
    '2026-07-01T21:00:00+09:00'
    """

    def convert(value: datetime) -> datetime:
        return value if value.tzinfo is None else to_user_timezone(value, zone)

    return _converted_model(model, convert)


def taken_model(model: ModelT, node: Node, zone: str) -> ModelT:
    """A copy of a model with the times that have no zone taken in that one, where their column holds instants."""
    changes = {}
    for field in node.fields:
        before = getattr(model, field.attribute, None)
        after = taken(before, field.node, zone)
        if after is not before:
            changes[field.attribute] = after
    return model.model_copy(update=changes) if changes else model


def taken(value: Any, node: Node, zone: str) -> Any:
    """A field's value with the times that have no zone, as datetime or ISO text, taken in that one.

    So are those that a model took to be UTC as they had none. What is no time stays the same object. A column of times without a
    zone (TIMESTAMP_NTZ) keeps them.
    """
    if node.data_type.typeName() == "timestamp":
        return _taken_time(value, zone)
    if isinstance(value, BaseModel):
        return taken_model(value, node, zone)
    if node.element is not None and isinstance(value, list | tuple):
        return _kept(value, [taken(element, node.element, zone) for element in value])
    if isinstance(value, Mapping):
        if node.fields:
            nodes = {name: field.node for field in node.fields for name in (field.name, field.attribute)}
            changed = {k: taken(held, nodes[k], zone) if k in nodes else held for k, held in value.items()}
            return _kept(value, changed)
        if node.value is not None:
            return _kept(value, {key: taken(held, node.value, zone) for key, held in value.items()})
    return value


def _kept(before: Any, after: Any) -> Any:
    """What was there before where nothing in it has changed."""
    pairs = (
        zip(before.values(), after.values(), strict=True)
        if isinstance(before, Mapping)
        else zip(before, after, strict=True)
    )
    return before if all(one is other for one, other in pairs) else after


def _taken_time(value: Any, zone: str) -> Any:
    if isinstance(value, str):
        try:
            time = read_iso(value)
        except ValueError:  # the model says what is wrong with it
            return value
        return value if time.tzinfo is not None else ensure_timezone_aware(time, zone)
    if isinstance(value, datetime) and value.tzinfo is None:
        return ensure_timezone_aware(value, zone)
    if isinstance(value, datetime) and value.tzinfo is ASSUMED_UTC:
        return to_utc(value.replace(tzinfo=None), zone)
    return value


def _converted_model(model: ModelT, convert: Callable[[datetime], datetime]) -> ModelT:
    changes = {}
    for name in type(model).model_fields:
        before = getattr(model, name, None)  # of a part of a model, some are not there
        after = _converted(before, convert)
        if after is not before:
            changes[name] = after
    return (
        model.model_copy(update=changes) if changes else model
    )  # model_copy checks nothing: a validator would go back to UTC


def _converted(value: Any, convert: Callable[[datetime], datetime]) -> Any:
    if isinstance(value, datetime):
        return convert(value)
    if isinstance(value, BaseModel):
        return _converted_model(value, convert)
    if isinstance(value, list):
        return _kept(value, [_converted(element, convert) for element in value])
    if isinstance(value, dict):
        return _kept(value, {key: _converted(held, convert) for key, held in value.items()})
    return value
