"""Writes of single items as steps: what is sent, and what an answer means, also where a request was sent twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel

from spark_dynamo.errors import InvalidItemError, ItemNotFoundError, RequestFailedError
from spark_dynamo.metadata.expressions import Request
from spark_dynamo.metadata.repositories.actions import Action, More, Written, creation, deletion, updating
from spark_dynamo.metadata.steps import Answer, Ask, Steps

__all__ = ["create", "delete", "explained", "send", "update"]

T = TypeVar("T", bound=BaseModel)

_TOLD: Request = {"ReturnConsumedCapacity": "TOTAL"}
_OPERATIONS = {"put": "PutItem", "update": "UpdateItem", "delete": "DeleteItem"}


def send(action: Action[T], returned: str | None = None) -> Steps[Answer]:
    """Send an action alone; a refusal by what the lost first attempt has done is none. Raises the refusal otherwise."""
    request = action.request | _TOLD | ({"ReturnValues": returned} if returned else {})
    try:
        answer: Answer = yield Ask(
            _OPERATIONS[action.kind],
            action.written.table,
            request,
            changes=(action.key_text.decode(),),
            pipeline=action.pipeline,
        )
    except RequestFailedError as error:
        raise explained(action, error) from error
    if answer.refused is None or (answer.is_lost and action.is_done(answer.refused.stored)):
        return answer
    raise action.refusal(answer.refused.stored)


def explained(action: Action[Any], error: Exception) -> Exception:
    """The error itself, or InvalidItemError where the item became too large."""
    if "maximum allowed size" not in str(error):
        return error
    codec = action.written.codec
    return InvalidItemError(
        table=action.written.table,
        key=codec.shown_key(action.key),
        attribute=None,
        value=None,
        problem="with this change it would be larger than the 400 KB that DynamoDB takes. Keep what grows (messages, stages, "
        "results) shorter, or elsewhere with its address in the item",
    )


def create(written: Written[T], item: T, overwrite: bool) -> Steps[T]:
    """Store a new item."""
    action = creation(written, item, overwrite)
    yield from send(action)
    assert action.model is not None
    return written.result(action.model)


def update(
    written: Written[T], item: Any, changes: Mapping[str, Any] | None, *, more: More | None = None, **conditions: Any
) -> Steps[T]:
    """Change an item, and give it as it is then."""
    answer = yield from send(updating(written, item, changes, more=more, **conditions), "ALL_NEW")
    stored = orjson.loads(answer.body)["Attributes"] if answer.refused is None else answer.refused.stored or {}
    return written.result(written.codec.model_of(stored))


def delete(written: Written[T], key: Any, **conditions: Any) -> Steps[bool]:
    """Delete an item; False where there was none."""
    try:
        yield from send(deletion(written, key, **conditions))
    except ItemNotFoundError:
        return False
    return True
