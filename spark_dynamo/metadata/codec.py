"""Models of one table and their items, keys and attributes: what a repository needs of both, by the encoder of DataFrames."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Generic, TypeVar

import orjson
from pydantic import BaseModel

from spark_dynamo.errors import InvalidItemError, ItemError, ValidationError, shorten
from spark_dynamo.predicates.condition import parse_condition
from spark_dynamo.schema.attributes import Attribute, ModelAttributes
from spark_dynamo.schema.bridge import node_of
from spark_dynamo.schema.evolve import VERSION, declared_version
from spark_dynamo.schema.items import ModelItems
from spark_dynamo.schema.nodes import Node
from spark_dynamo.schema.parts import ModelPart
from spark_dynamo.wire.actions import Condition

__all__ = ["Codec", "codec_of"]

ModelT = TypeVar("ModelT", bound=BaseModel)
R = TypeVar("R")


class Codec(Generic[ModelT]):
    """The forms of one model's items in one table; threads share it.

    A key is the value of the partition key, a tuple of it and the sort key's, or a mapping of both by their names; `key_of`
    gives the plain tuple, of values as the model holds them.
    """

    def __init__(self, model: type[ModelT], table: str, key_names: tuple[str, ...]) -> None:
        self.model, self.table = model, table
        node = node_of(model)
        # the fields with times, which alone depend on a zone
        self.timed = replace(node, fields=tuple(field for field in node.fields if _has_times(field.node)))
        self.attributes = ModelAttributes(model, table=table)
        self.key_fields = tuple(self.attributes.field(name).attribute for name in key_names)
        self.key_names = tuple(self.attributes.field(name).name for name in key_names)
        self.schema_version = declared_version(model)
        fields = [self.attributes.field(name).node for name in self.key_fields]
        self._has_plain_keys = all(f.data_type.typeName() == "string" and not f.dump and not f.stored for f in fields)
        self._items: ModelItems[ModelT] = ModelItems(model, table=table, key_names=self.key_names)
        self._waiting = _Waiting(self._decode_items)

    # -------------------------------------------------------------------------------------------------------- keys

    def key_of(self, key: Any) -> tuple[Any, ...]:
        """The key's values as the model would hold them; ValidationError for what is no key of this table."""
        names = self.key_fields
        if isinstance(key, self.model):
            return self.attributes.values(key, names)
        if isinstance(key, Mapping):
            given = {self.attributes.field(name).attribute: value for name, value in key.items()}
            if set(given) != set(names):
                raise self._no_key(key, f"name {_listed(names)}, and nothing else")
            values = [given[name] for name in names]
        else:
            values = list(key) if isinstance(key, tuple) else [key]
            if len(values) != len(names):
                example = f"({', '.join(names)})" if len(names) > 1 else f"the value of '{names[0]}' alone"
                raise self._no_key(key, f"give {example}")
        taken = self.attributes.validate(dict(zip(names, values, strict=True)))
        return tuple(taken[name] for name in names)

    def key_column(self, keys: Sequence[tuple[Any, ...]]) -> Any:
        """The keys in DynamoDB JSON, an Arrow column of texts; ValidationError for one that is empty."""
        for key in keys:
            for name, value in zip(self.key_fields, key, strict=True):
                if value is None or value == "" or value == b"":
                    raise self._no_key(key, f"DynamoDB takes no empty '{name}'")
        return self.attributes.texts(self.key_fields, keys)

    def key_texts(self, keys: Sequence[tuple[Any, ...]]) -> list[bytes]:
        """The JSON texts of keys, as a list."""
        if len(keys) == 1 and self._has_plain_keys and all(type(value) is str and value for value in keys[0]):
            try:
                return [orjson.dumps({n: {"S": value} for n, value in zip(self.key_names, keys[0], strict=True)})]
            except TypeError:  # half of a surrogate pair, which the encoder names
                pass
        return [text.as_buffer().to_pybytes() for text in self.key_column(keys)]

    def shown_key(self, key: tuple[Any, ...]) -> dict[str, object]:
        """The key as errors name it."""
        return dict(zip(self.key_names, key, strict=True))

    def pipeline_of(self, key: tuple[Any, ...], given: Any = None) -> str | None:
        """The id of the pipeline that a key, or the model that was given for it, is about; None where neither says it."""
        named = given if isinstance(given, self.model) else None
        found = getattr(named, "pipeline_id", None) or dict(zip(self.key_fields, key, strict=True)).get("pipeline_id")
        return found if isinstance(found, str) else None

    def _no_key(self, key: Any, advice: str) -> ValidationError:
        return ValidationError(f"{shorten(repr(key))} is no key of table '{self.table}': {advice}")

    # ------------------------------------------------------------------------------------------------------- items

    def encode(self, models: Sequence[ModelT]) -> Any:
        """The items' texts, an Arrow column; ValidationError or ItemError for a model that can't be stored."""
        for value in models:
            if not isinstance(value, self.model):
                raise ValidationError(
                    f"{shorten(repr(value))} is of type {type(value).__name__}, and table '{self.table}' holds "
                    f"{self.model.__name__}: give one of those"
                )
        return self._items.encode(models)

    def item(self, model: ModelT) -> Any:
        """The item of one model, as a ready text in a request."""
        return orjson.Fragment(self.encode([model])[0].as_buffer().to_pybytes())

    def item_attributes(self, model: ModelT) -> dict[str, Attribute]:
        """The attributes of one model's item, without its key."""
        item: dict[str, Attribute] = orjson.loads(self.encode([model])[0].as_buffer().to_pybytes())
        return {name: value for name, value in item.items() if name not in self.key_names}

    def encode_values(self, key: tuple[Any, ...], values: Mapping[str, Any]) -> dict[str, Attribute | None]:
        """Attributes of the item with that key, of validated values; None for one that is to be absent."""
        try:
            return self.attributes.encode(values)
        except ItemError as error:
            raise InvalidItemError(
                table=self.table,
                key=self.shown_key(key),
                attribute=error.attribute,
                value=getattr(error, "value", None),
                problem=getattr(error, "problem", str(error)),
            ) from error

    def model_of(self, item: Mapping[str, Any]) -> ModelT:
        """The model of one item in DynamoDB JSON."""
        return self._waiting.decode(orjson.dumps(item))

    def models_of(self, items: Iterable[Mapping[str, Any]]) -> list[ModelT]:
        """The models of items in DynamoDB JSON."""
        return self._items.decode(orjson.dumps({"Items": list(items)}))

    def page(self, body: bytes) -> list[ModelT]:
        """The models of an answer to Query or Scan."""
        return self._items.decode(body)

    def part(self, projection: Sequence[str]) -> ModelPart[ModelT]:
        """Some fields of the items, and their keys; ValidationError for what names none."""
        if isinstance(projection, str) or not isinstance(projection, Sequence) or not projection:
            raise ValidationError(
                f"projection is {shorten(repr(projection))}: give names of fields, as in {list(self.key_fields)}, or leave it out"
            )
        names = {self.attributes.field(name).name for name in projection}
        return _part_of(self.model, self.table, self.key_names, tuple(sorted(names.union(self.key_names))))

    def _decode_items(self, items: Sequence[bytes]) -> list[ModelT]:
        return self._items.decode(b'{"Items":[%s]}' % b",".join(items))

    # --------------------------------------------------------------------------------------------------- conditions

    def condition(self, text: str, zone: str, name: str = "condition") -> Condition:
        """A predicate in Spark's SQL, given as `name`, as DynamoDB's condition; OptionError where it can't be one."""
        schema = self.attributes.schema
        if self.schema_version is not None and VERSION not in schema.names:
            schema = type(schema)([*schema.fields]).add(VERSION, "long")
        return parse_condition(text, schema, schema, zone, name)


class _Waiting(Generic[R]):
    """Items of several threads that are decoded together: whoever comes first decodes for all who wait meanwhile.

    Decoding one item takes some milliseconds, of a hundred not ten times as long: columns cost more than rows.
    """

    def __init__(self, decode: Callable[[Sequence[bytes]], list[R]]) -> None:
        self._decode = decode
        self._working = threading.Lock()
        self._items: deque[_Item[R]] = deque()  # everybody appends, and whoever holds the lock takes

    def decode(self, text: bytes) -> R:
        """What that item is; raises what its own decoding raises."""
        own: _Item[R] = _Item(text)
        self._items.append(own)
        with self._working:
            if not own.is_done:
                self._work([self._items.popleft() for _ in range(len(self._items))])
        if own.error is not None:
            raise own.error
        assert own.result is not None
        return own.result

    def _work(self, items: list[_Item[R]]) -> None:
        try:
            results = self._decode([item.text for item in items])
        except Exception as error:
            if len(items) == 1:
                items[0].error, items[0].is_done = error, True
                return
            for item in items:  # each is to have its own error
                self._work([item])
            return
        except BaseException:  # this thread is interrupted, and the others go on without it
            self._items.extendleft(item for item in items if not item.is_done)
            raise
        for item, result in zip(items, results, strict=True):
            item.result, item.is_done = result, True


class _Item(Generic[R]):
    """An item that waits, then what it is."""

    __slots__ = ("error", "is_done", "result", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.result: R | None = None
        self.error: Exception | None = None
        self.is_done = False


@lru_cache(maxsize=256)
def codec_of(model: type[ModelT], table: str, key_names: tuple[str, ...]) -> Codec[ModelT]:
    """The codec of that model and table; made once, as it takes some milliseconds."""
    return Codec(model, table, key_names)


@lru_cache(maxsize=256)
def _part_of(model: type[ModelT], table: str, key_names: tuple[str, ...], names: tuple[str, ...]) -> ModelPart[ModelT]:
    return ModelPart(model, names, table=table, key_names=key_names)


def _has_times(node: Node) -> bool:
    return any(inner.data_type.typeName() == "timestamp" for inner in node.below())


def _listed(names: Sequence[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)
