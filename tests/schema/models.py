"""Random models, and values of them: `models()`, `values(model)`, and the way of a value through a column and back."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pyarrow as pa
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, HttpUrl, NaiveDatetime, create_model

from spark_dynamo.schema.nodes import Node
from spark_dynamo.schema.storage import StorageForm
from spark_dynamo.wire.types import arrow_type
from tests.schema.own import Country, Moment, Version


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Plain(enum.Enum):
    A = "a"
    B = "b"


class Weekday(enum.Flag):
    MONDAY = 1
    TUESDAY = 2
    SUNDAY = 64


@dataclass(frozen=True)
class Kind:
    """An annotation, and values of it."""

    annotation: Any
    values: st.SearchStrategy[Any]


texts = st.text(st.characters(codec="utf-8"), max_size=6)
longs = st.integers(-(1 << 63), (1 << 63) - 1)
doubles = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x == 0 or 1e-130 <= abs(x) < 1e126)
instants = st.datetimes(timezones=st.just(UTC))


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    return st.integers(-most, most).map(lambda number: Decimal(f"{number}E-{scale}"))


intervals = st.timedeltas(timedelta(days=-100_000_000), timedelta(days=100_000_000))
SCALARS = [
    Kind(str, texts),
    Kind(int, longs),
    Kind(bool, st.booleans()),
    Kind(bytes, st.binary(max_size=6)),
    Kind(float, doubles),
    Kind(Decimal, decimals(38, 18)),
    Kind(Annotated[Decimal, Field(max_digits=10, decimal_places=2)], decimals(10, 2)),
    Kind(Annotated[int, Field(le=10**30)], st.integers(-(10**37), 10**30)),
    Kind(Annotated[int, Field(ge=0, le=100)], st.integers(0, 100)),
    Kind(UUID, st.uuids()),
    Kind(HttpUrl, st.integers(0, 9).map(lambda number: HttpUrl(f"https://example.org/{number}?q=ä"))),
    Kind(ipaddress.IPv4Address, st.ip_addresses(v=4)),
    Kind(ipaddress.IPv6Address, st.ip_addresses(v=6)),
    Kind(Path, st.sampled_from([Path("a/b"), Path(), Path()])),
    Kind(AwareDatetime, instants),
    Kind(NaiveDatetime, st.datetimes()),
    Kind(date, st.dates()),
    Kind(time, st.times()),
    Kind(timedelta, intervals),
    Kind(Colour, st.sampled_from(Colour)),
    Kind(Size, st.sampled_from(Size)),
    Kind(Plain, st.sampled_from(Plain)),
    Kind(Weekday, st.sampled_from([Weekday.MONDAY, Weekday.MONDAY | Weekday.SUNDAY, Weekday(0)])),
    Kind(Country, st.sampled_from([Country("DE"), Country("FR")])),
    Kind(Moment, instants.map(Moment.of)),
    Kind(Version, st.builds(Version, st.integers(0, 99), st.integers(0, 99))),
    Kind(tuple[int, int] | tuple[int, int, int], st.lists(longs, min_size=2, max_size=3).map(tuple)),
    Kind(Literal["a", "b"], st.sampled_from(["a", "b"])),
    Kind(Literal[Plain.A, "c"], st.sampled_from([Plain.A, "c"])),
]
SET_ELEMENTS = [kind for kind in SCALARS if kind.annotation in (str, int, bytes, Decimal, UUID, Colour, Size, HttpUrl)]
TEXT_KEYS = [kind for kind in SCALARS if kind.annotation in (str, UUID, Colour, Plain, Path)]
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), longs, texts, st.binary(max_size=4), decimals(20, 5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts.filter(bool), inner, max_size=3)),
    max_leaves=4,
)

_VALUES: dict[type[BaseModel], st.SearchStrategy[Any]] = {}


@st.composite
def kinds(draw: st.DrawFn, depth: int = 2) -> Kind:
    """An annotation that may stand in a list or dict, with its values."""
    shape = draw(st.integers(0, 11)) if depth else 0
    if shape < 6:
        return draw(st.sampled_from(SCALARS))
    if shape == 6:
        inner = draw(optional(kinds(depth - 1)))
        return Kind(list[inner.annotation], st.lists(inner.values, max_size=3))  # type: ignore[name-defined]
    if shape == 7:
        inner = draw(optional(kinds(depth - 1)))
        return Kind(tuple[inner.annotation, ...], st.lists(inner.values, max_size=3).map(tuple))  # type: ignore[name-defined]
    if shape == 8:
        key, inner = draw(st.sampled_from(TEXT_KEYS)), draw(optional(kinds(depth - 1)))
        return Kind(dict[key.annotation, inner.annotation], st.dictionaries(key.values, inner.values, max_size=3))  # type: ignore[name-defined]
    if shape == 9:
        first, second = draw(optional(kinds(depth - 1))), draw(optional(kinds(depth - 1)))
        return Kind(tuple[first.annotation, second.annotation], st.tuples(first.values, second.values))  # type: ignore[name-defined]
    model = draw(models(depth - 1))
    return Kind(model, values(model))


@st.composite
def optional(draw: st.DrawFn, kind: st.SearchStrategy[Kind]) -> Kind:
    """The same, perhaps with None."""
    found = draw(kind)
    if draw(st.integers(0, 2)):
        return found
    return Kind(found.annotation | None, st.one_of(st.none(), found.values))


@st.composite
def field_kinds(draw: st.DrawFn, depth: int) -> Kind:
    """What only a field can be, too: sets, VARIANT, another storage form."""
    shape = draw(st.integers(0, 11))
    if shape == 0:
        element = draw(st.sampled_from(SET_ELEMENTS))
        held = draw(st.sampled_from([set, frozenset]))
        return Kind(held[element.annotation], st.sets(element.values, min_size=1, max_size=3).map(held))
    if shape == 1:
        return Kind(Any, anything)
    if shape == 2:
        return Kind(dict[str, Any], st.dictionaries(texts.filter(bool), anything, max_size=3))
    if shape == 3:
        return Kind(Annotated[AwareDatetime, StorageForm("N")], instants)
    return draw(optional(kinds(depth)))


@st.composite
def models(draw: st.DrawFn, depth: int = 2) -> type[BaseModel]:
    """A model of some fields, nested up to that depth; `values` knows its values. Some are strict, some have aliases."""
    chosen = draw(st.lists(field_kinds(depth), min_size=1, max_size=5))
    config = draw(
        st.sampled_from(
            [
                ConfigDict(),
                ConfigDict(strict=True, extra="forbid"),
                ConfigDict(alias_generator=str.upper, serialize_by_alias=True),
                ConfigDict(alias_generator=str.upper, validate_by_name=True, validate_by_alias=True),
            ]
        )
    )
    fields = {f"{draw(st.sampled_from(['price', 'order_id', 'x']))}{place}": kind for place, kind in enumerate(chosen)}
    definitions: dict[str, Any] = {
        name: (kind.annotation, Field(description="what it is") if draw(st.booleans()) else ...)
        for name, kind in fields.items()
    }
    model: type[BaseModel] = create_model("Model", __config__=config, **definitions)
    names = {name: model.model_fields[name].alias or name for name in fields}
    content = st.fixed_dictionaries({names[name]: kind.values for name, kind in fields.items()})
    _VALUES[model] = content.map(model.model_validate)
    return model


def values(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Instances of a model that `models()` has made."""
    return _VALUES[model]


def through_arrow(node: Node, value: Any, kind: pa.DataType | None = None) -> Any:
    """What comes back of a value that goes into a column of the node and is read from there."""
    dump: Callable[[Any], Any] = node.dump or (lambda held: held)
    load: Callable[[Any], Any] = node.load or (lambda held: held)
    column = pa.array([dump(value)], kind or arrow_type(node.data_type, node.stored))
    column.validate(full=True)
    (held,) = column.to_pylist()
    return None if held is None else load(held)
