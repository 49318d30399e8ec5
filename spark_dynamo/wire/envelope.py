"""What stands around the items in DynamoDB's answers, and the items' own texts.

Scan and Query answer `{"Items":[...]}`, BatchGetItem `{"Responses":{"table":[...]}}`, GetItem `{"Item":{...}}`, or
without `Item` where there is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from spark_dynamo.errors import InvalidResponseError
from spark_dynamo.wire.json_tokens import OPENING, Structure, read_objects, structure

EnvelopeName: TypeAlias = Literal["Items", "Responses", "Item"]
Item: TypeAlias = dict[str, Any]
_STRING = rb'"(?:[^"\\]|\\.)*"'


class Decoder(Protocol):
    """Turns the bodies of answers into record batches of one schema, one row an item; two threads may do so at once."""

    @property
    def arrow_schema(self) -> pa.Schema:
        """The schema of every batch."""
        ...

    def decode(self, *bodies: bytes) -> pa.RecordBatch:
        """The items of one answer or of several, in order."""
        ...

    @property
    def misfits(self) -> str:
        """A sentence for the task's log about items that didn't fit; empty where all did."""
        ...


@dataclass(frozen=True, slots=True)
class Envelope:
    """One of the three forms; `name` is the attribute of the answer that holds the items.

    `wire_type` is the form as an Arrow type around the type of one item, for answers about that table; `unpack` gets the
    items out of such a column, which has one row an answer. `listed` gets them out of the parsed answer and raises ValueError where
    it holds others. An item is an object at `depth`; `rest` is what the value looks like without the items.
    """

    name: EnvelopeName
    wire_type: Callable[[pa.DataType, str], pa.DataType]
    unpack: Callable[[pa.Array], pa.Array]
    listed: Callable[[Any], list[Any]]
    depth: int
    rest: re.Pattern[bytes]
    optional: bool = False

    def items(self, body: bytes, table: str) -> list[Item]:
        """The items of an answer, as parsed JSON; `InvalidResponseError` where it is none."""
        try:
            answer = orjson.loads(body)
            if not isinstance(answer, dict):
                raise ValueError("it is no object")
            found = answer.get(self.name)
            if found is None and not self.optional:
                raise ValueError(f"it has no {self.name}")
            items = [] if found is None else self.listed(found)
            if not all(type(item) is dict for item in items):
                raise ValueError(f"not all of its {self.name} are objects")
        except ValueError as error:
            raise InvalidResponseError(table, f"{error} in {len(body)} bytes", error) from error
        return items

    def texts(self, body: bytes, table: str) -> pa.StringArray:
        """The items' own texts, byte for byte; `InvalidResponseError` where the body is no such answer."""
        buffer = pa.py_buffer(body)
        try:
            answers = read_objects(buffer, pa.schema([(self.name, self.wire_type(pa.struct([]), table))]))
            if answers.num_rows != 1:
                raise ValueError("it is no single object")
            bounds = pa.py_buffer(np.array([0, len(body)], np.int32))
            pa.StringArray.from_buffers(1, bounds, buffer).validate(full=True)  # Arrow's JSON reader takes any bytes
            texts = self._texts(buffer)
        except ValueError as error:  # as pa.ArrowInvalid is, too
            raise InvalidResponseError(table, f"{error} in {len(body)} bytes", error) from error
        return texts

    def _texts(self, buffer: pa.Buffer) -> pa.StringArray:
        data = np.frombuffer(buffer, np.uint8)
        marks = structure(data)
        begin, end = self._span(buffer, marks)
        opened, closed = marks.places[marks.opened(self.depth)], marks.places[marks.closed(self.depth)]
        ours = (opened >= begin) & (opened < end)
        if not (data[opened[ours]] == OPENING).all():
            raise ValueError(f"not all of its {self.name} are objects")
        # the pieces in turn: what is no item, an item, what is no item, ...
        bounds = np.empty(2 * int(ours.sum()) + 2, np.int32)
        bounds[0], bounds[1:-1:2], bounds[2:-1:2], bounds[-1] = begin, opened[ours], closed[ours] + 1, end
        pieces = pa.StringArray.from_buffers(len(bounds) - 1, pa.py_buffer(bounds), buffer)
        others = pieces.take(pa.array(np.arange(0, len(pieces), 2))).cast(pa.binary())
        rest = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(others)], pa.int32()), others), b"")
        if not self.rest.fullmatch(rest[0].as_py()):
            raise ValueError(f"not all of its {self.name} are objects")
        return pieces.take(pa.array(np.arange(1, len(pieces), 2)))

    def _span(self, buffer: pa.Buffer, marks: Structure) -> tuple[int, int]:
        """Where the value of that name begins and ends; nowhere where it may be missing and is."""
        for first, last in zip(marks.opened(2).tolist(), marks.closed(2).tolist(), strict=True):
            begin, end = marks.places[first - 2], marks.places[first - 1]  # the quotes of its name
            if orjson.loads(buffer[begin : end + 1].to_pybytes()) == self.name:
                return int(marks.places[first]), int(marks.places[last]) + 1
        if self.optional:
            return 0, 0
        raise ValueError(f"it has no {self.name}")


def _all_there(column: pa.Array) -> pa.Array:
    if column.null_count:
        raise pa.ArrowInvalid("an answer has no items")
    return column


def _elements(lists: pa.Array) -> pa.Array:
    items = lists.flatten()
    if items.null_count:
        raise pa.ArrowInvalid("an item is null")
    return items


def _expect(kind: type, value: Any, name: str) -> Any:
    if type(value) is not kind:
        raise ValueError(f"its {name} are no {kind.__name__}")
    return value


def _listed_responses(found: Any) -> list[Any]:
    tables = _expect(dict, found, "Responses").values()
    return [item for items in tables for item in _expect(list, items, "Responses")]


ENVELOPES: Mapping[str, Envelope] = {
    envelope.name: envelope
    for envelope in (
        Envelope(
            "Items",
            wire_type=lambda item, table: pa.list_(item),
            unpack=lambda column: _elements(_all_there(column)),
            listed=lambda found: list(_expect(list, found, "Items")),
            depth=3,
            rest=re.compile(rb"\[[\s,]*\]"),
        ),
        Envelope(
            "Responses",
            wire_type=lambda item, table: pa.struct([(table, pa.list_(item))]),
            unpack=lambda column: _elements(_all_there(_all_there(column).field(0))),
            listed=_listed_responses,
            depth=4,
            rest=re.compile(rb"\{(?:[\s,]*" + _STRING + rb"\s*:\s*\[[\s,]*\])*\s*\}"),
        ),
        Envelope(
            "Item",
            wire_type=lambda item, table: item,
            unpack=lambda column: column.drop_null(),
            listed=lambda found: [found],
            depth=2,
            rest=re.compile(rb""),
            optional=True,
        ),
    )
}
