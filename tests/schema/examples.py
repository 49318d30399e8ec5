"""A model with a field of nearly each kind, and two of it: what all ways of values must bring home."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AnyUrl, BaseModel, Field, NaiveDatetime, RootModel, SecretStr
from typing_extensions import TypedDict

from spark_dynamo.schema.storage import StorageForm


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Money(BaseModel):
    amount: Decimal = Field(max_digits=12, decimal_places=2)
    currency: Literal["EUR", "USD"] = "EUR"


class Notes(RootModel[list[str]]):
    pass


class Point(NamedTuple):
    x: int
    y: float


class Size(TypedDict, total=False):
    width: int
    unit: str


class Parcel(BaseModel):
    parcel_id: uuid.UUID
    placed: dt.datetime
    expires: Annotated[dt.datetime, StorageForm("N")]
    local: NaiveDatetime
    day: dt.date
    at: dt.time
    took: dt.timedelta
    color: Color
    price: Money
    lines: list[Money | None]
    labels: dict[str, int | None]
    tags: set[str]
    notes: Notes
    point: Point
    size: Size
    anything: Any
    settings: dict[str, Any]
    secret: SecretStr
    url: AnyUrl
    address: IPv4Address
    path: Path
    raw: bytes
    is_gift: bool | None = None
    weight: Decimal = Decimal("1.5")


FIRST = Parcel(
    parcel_id=uuid.UUID("6b8f1d0e-7f9d-4a55-9a8e-1d2c3b4a5f60"),
    # in Berlin this hour comes twice, and the local time below never
    placed=dt.datetime(2026, 10, 25, 2, 30, tzinfo=dt.timezone(dt.timedelta(hours=2))),
    expires=dt.datetime(2027, 1, 1, tzinfo=dt.UTC),
    local=dt.datetime(2026, 3, 29, 2, 30),
    day=dt.date(1, 1, 1),
    at=dt.time(12, 3, 4, 5),
    took=dt.timedelta(days=-3, microseconds=7),
    color=Color.RED,
    price=Money(amount=Decimal("9.90")),
    lines=[None, Money(amount=Decimal("1.00"), currency="USD")],
    labels={"a": 1, "b": None},
    tags={"x", "y"},
    notes=Notes(["n"]),
    point=Point(1, 2.5),
    size={"width": 5},
    anything=[1, "x", None, {"k": Decimal("1.5")}],
    settings={"z": b"1", "deep": {"list": [True]}},
    secret=SecretStr("hidden"),
    url=AnyUrl("https://example.org/z?a=1"),
    address=IPv4Address("10.0.0.1"),
    path=Path("/tmp/a"),
    raw=b"\0\xff",
)
SECOND = FIRST.model_copy(update={"parcel_id": uuid.UUID(int=2), "is_gift": True, "lines": [], "anything": None})
PARCELS = [FIRST, SECOND]
