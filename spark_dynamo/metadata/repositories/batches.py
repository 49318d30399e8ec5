"""Many items by their keys, as steps: hundreds of requests, several of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel

from spark_dynamo.aws.batch_write import DELETE, PUT
from spark_dynamo.metadata.codec import Codec
from spark_dynamo.metadata.repositories.actions import twice
from spark_dynamo.metadata.steps import ReadKeys, Steps, WriteAll
from spark_dynamo.metadata.zones import taken_model

__all__ = ["delete_all", "get_all", "put_all"]

T = TypeVar("T", bound=BaseModel)

_MODELS_AT_ONCE = 5_000


def get_all(codec: Codec[T], keys: Iterable[Any], consistent_read: bool) -> Steps[list[T | None]]:
    """The items with those keys, in their order, None where there is none; a key may be there twice."""
    wanted = codec.key_texts([codec.key_of(key) for key in keys])
    if not wanted:
        return []
    found: dict[bytes, T] = {}
    bodies: list[bytes] = yield ReadKeys(codec.table, list(dict.fromkeys(wanted)), consistent_read)
    for body in bodies:
        answers = orjson.loads(body)["Responses"].values()
        models = codec.models_of(item for items in answers for item in items)
        texts = codec.key_texts([codec.key_of(model) for model in models])
        found.update(zip(texts, models, strict=True))
    return [found.get(key) for key in wanted]


def put_all(codec: Codec[T], items: Iterable[T], zone: str) -> Steps[int]:
    """Store items whose times without a zone are taken in that one; DuplicateKeyError before those of a part are sent."""
    rest, seen = iter(items), set[bytes]()  # the keys
    while some := list(islice(rest, _MODELS_AT_ONCE)):
        models = [taken_model(model, codec.timed, zone) if isinstance(model, codec.model) else model for model in some]
        texts = codec.encode(models)
        for model, key in zip(models, codec.key_texts([codec.key_of(model) for model in models]), strict=True):
            if key in seen:
                raise twice(codec.table, codec.shown_key(codec.key_of(model)))
            seen.add(key)
        yield WriteAll(codec.table, codec.key_names, texts, PUT)
    return len(seen)


def delete_all(codec: Codec[Any], keys: Iterable[Any]) -> Steps[int]:
    """Delete the items with those keys; a key may be there twice."""
    given = [codec.key_of(key) for key in keys]
    distinct = list(dict(zip(codec.key_texts(given), given, strict=True)).values())
    if distinct:
        yield WriteAll(codec.table, codec.key_names, codec.key_column(distinct), DELETE)
    return len(distinct)
