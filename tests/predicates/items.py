"""Random items in DynamoDB JSON for the schema of `generate`, in the many forms that one value may have."""

from __future__ import annotations

import base64
import math
import random
from datetime import datetime, time, timedelta
from decimal import Context, Decimal
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from pyspark.sql.types import StructType

from spark_dynamo.wire.decode import PageDecoder
from spark_dynamo.wire.scalars import read_date, read_local_timestamp, read_timestamp
from tests.predicates.generate import DECIMALS, DOUBLES, FLOATS, INTEGERS, MOMENTS, NUMBER_TEXTS, SCHEMA, STRINGS

Item = dict[str, Any]
_38_DIGITS = Context(prec=38)


def item(chance: random.Random, key: str) -> Item:
    """An item with the key `id` and the attributes of SCHEMA, some missing, some NULL."""
    make = {name: make for name, make in _MAKERS.items() if chance.random() < 0.85}
    return {"id": {"S": key}} | {
        name: {"NULL": True} if chance.random() < 0.15 else one(chance) for name, one in make.items()
    }


def decode(items: list[Item], schema: StructType = SCHEMA) -> pa.RecordBatch:
    """The items as the package reads them."""
    body = orjson.dumps({"Items": items}, default=lambda data: base64.b64encode(data).decode())
    return PageDecoder(schema, table="items", key_names=["id"]).decode(body)


def misfit(chance: random.Random, attribute: Any) -> Any:
    """A value that does not fit where the attribute does."""
    other: list[Item] = [
        {"S": "no such thing"}, {"N": "0.125"}, {"L": [{"M": {}}]}, {"B": b"x"}, {"NS": ["7"]}, {"M": {"i": {"S": "x"}}},
        {"S": "2026-13-01"}, {"N": "1E+100"},
    ]  # fmt: skip
    return chance.choice(other)


def fits(name: str, attribute: Item) -> bool:
    """Whether the package reads the attribute at all."""
    try:
        decode([{name: attribute}], StructType([SCHEMA[name]]))
    except ValueError:
        return False
    return True


# ---------------------------------------------------------------------------------------------------- values


def _number(chance: random.Random, number: Decimal | int) -> Item:
    text = str(number)
    spelled = Decimal(text)
    forms = [text, f"{spelled:f}", f"{_38_DIGITS.normalize(spelled):E}"]
    if len(spelled.as_tuple().digits) < 30 and "E" not in text:
        forms.append(f"{text}00" if "." in text else f"{text}.0")
    return {"N": chance.choice(forms)}


def _near(chance: random.Random, value: float, following: float) -> Decimal:
    """The number itself, or one about halfway to the next, of 38 digits."""
    if chance.random() < 0.4 or math.isinf(following):
        return Decimal(repr(value))
    halfway = (Decimal(value) + Decimal(following)) / 2
    step = Decimal(1).scaleb(halfway.adjusted() - 37)
    moved = halfway + chance.choice([-1, 0, 1]) * step
    number = _38_DIGITS.plus(moved)
    return number if Decimal("1E-130") <= abs(number) <= Decimal("1E+125") else Decimal(0)


def _double(chance: random.Random) -> Item:
    value = chance.choice(
        [number for number in DOUBLES if abs(number) < 1e125 and (not number or abs(number) > 1e-130)]
    )
    return {"N": str(_near(chance, value, math.nextafter(value, chance.choice([-math.inf, math.inf]))))}


def _float(chance: random.Random) -> Item:
    value = chance.choice(FLOATS[:-2])
    return {
        "N": str(_near(chance, value, float(np.nextafter(np.float32(value), np.float32(chance.choice([-9e9, 9e9]))))))
    }


def _date_text(chance: random.Random, moment: datetime) -> str:
    year, week, day = moment.isocalendar()
    forms = [
        f"{moment.date()}",
        f"{moment:%Y%m%d}".rjust(8, "0"),
        f"{year:04}-W{week:02}-{day}",
        f"{year:04}W{week:02}{day}",
    ]
    if day == 1:
        forms += [f"{year:04}-W{week:02}", f"{year:04}W{week:02}"]
    return chance.choice(forms)


def _moment_text(chance: random.Random, zones: bool) -> str:
    while True:
        moment = chance.choice(MOMENTS) + timedelta(minutes=chance.choice([0, 0, -1, 1, 300, -1440, 1440]))
        date, clock = _date_text(chance, moment), f"{moment:%H:%M:%S}"
        clocks = [clock, clock.replace(":", ""), f"{clock}.{moment.microsecond:06}", f"{clock},5"]
        if moment.time() == time.min and moment > datetime.min and chance.random() < 0.3:
            date, clocks = _date_text(chance, moment - timedelta(days=1)), ["24:00:00", "2400", "24", "24:00:00.000"]
        zone = chance.choice(["", "Z", "+02:00", "-0530", "+23:59", "-23:59:59.999999", "+00:00"]) if zones else ""
        text = f"{date}{chance.choice('TT é~-')}{chance.choice(clocks)}{zone}" if chance.random() < 0.9 else date
        try:
            (read_timestamp if zones else read_local_timestamp)(text)
        except ValueError:
            continue
        return text


def _day_text(chance: random.Random) -> str:
    while True:
        text = _date_text(chance, chance.choice(MOMENTS) + timedelta(days=chance.choice([0, 0, 1, -1])))
        try:
            read_date(text)
        except ValueError:
            continue
        return text


def _struct(chance: random.Random) -> Item:
    inner = {
        "price": lambda: _number(chance, chance.choice([Decimal("1.5"), Decimal("9999.9"), Decimal(0)])),
        "at": lambda: {"S": _moment_text(chance, zones=True)},
        "Text": lambda: {"S": chance.choice(STRINGS)},
    }
    outer = {
        "i": lambda: _number(chance, chance.choice(INTEGERS[:8])),
        "inner": lambda: {"M": _some(chance, inner)},
        "flag": lambda: {"BOOL": chance.random() < 0.5},
    }
    return {"M": _some(chance, outer)}


def _some(chance: random.Random, makers: dict[str, Any]) -> Item:
    chosen = {name: make for name, make in makers.items() if chance.random() < 0.8}
    return {name: {"NULL": True} if chance.random() < 0.15 else make() for name, make in chosen.items()}


def _list(chance: random.Random, make: Any) -> Item:
    count = chance.choice([0, 1, 2, 4])
    return {"L": [{"NULL": True} if chance.random() < 0.15 else make(chance) for _ in range(count)]}


def _within(bits: int) -> list[int]:
    return [number for number in INTEGERS if -(1 << (bits - 1)) <= number < 1 << (bits - 1)]


def _text(chance: random.Random) -> Item:
    return {"S": chance.choice(STRINGS)}


def _integer(chance: random.Random) -> Item:
    return _number(chance, chance.choice(INTEGERS))


_MAKERS: dict[str, Any] = {
    "s": _text,
    "s2": _text,
    "odd name.x": _text,
    "t": lambda chance: _number(chance, chance.choice(_within(8))),
    "h": lambda chance: _number(chance, chance.choice(_within(16))),
    "i": lambda chance: _number(chance, chance.choice(_within(32))),
    "n": _integer,
    "n2": _integer,
    "p": lambda chance: _number(chance, Decimal(chance.choice(DECIMALS))),
    "q": lambda chance: _number(chance, Decimal(chance.choice([*DECIMALS, "1.2300000001"]))),
    "w": lambda chance: _number(chance, chance.choice([2**53, 2**53 + 1, 12345678901234567890, 0, 5])),
    "d": _double,
    "d2": _double,
    "f": _float,
    "b": lambda chance: {"BOOL": chance.random() < 0.5},
    "b2": lambda chance: {"BOOL": chance.random() < 0.5},
    "dt": lambda chance: {"S": _day_text(chance)},
    "ts": lambda chance: {"S": _moment_text(chance, zones=True)},
    "te": lambda chance: _number(chance, Decimal(int((chance.choice(MOMENTS) - datetime(1970, 1, 1)).total_seconds()))),
    "sn": lambda chance: {"N": chance.choice(NUMBER_TEXTS)},
    "nt": lambda chance: {"S": _moment_text(chance, zones=False)},
    "x": lambda chance: {"B": chance.choice([b"", b"\x00", b"\x00\xff", b"\xff", b"abc", b"\x7f"])},
    "st": _struct,
    "m": lambda chance: {"M": _some(chance, dict.fromkeys(["k", "K", "a b"], lambda: _integer(chance)))},
    "ms": lambda chance: {"M": _some(chance, dict.fromkeys(["k", "z"], lambda: _text(chance)))},
    "a": lambda chance: _list(chance, _integer),
    "sa": lambda chance: {"SS": sorted({chance.choice(STRINGS) for _ in range(3)})},
    "la": lambda chance: _list(chance, _text),
    "da": lambda chance: _list(chance, _double),
    "pa": lambda chance: {"NS": sorted({chance.choice(["1.5", "1.23", "5", "0.1", "0"]) for _ in range(3)})},
    "ta": lambda chance: _list(chance, lambda chance: {"S": _moment_text(chance, zones=True)}),
}
