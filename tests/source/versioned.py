"""A model at version 3, items of all its versions, and what a row of each must be."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from pydantic import BaseModel

from spark_dynamo.schema.evolve import migration

MODEL = f"{__name__}:Order"
Item = dict[str, Any]


class Order(BaseModel):
    schema_version: ClassVar[int] = 3
    customer: str
    day: int
    status: str
    cents: int
    tags: set[str] | None = None
    note: str | None = None


@migration(Order, from_version=1)
def name_the_status(item: Item) -> Item:
    item["status"] = item.pop("state").upper()
    return item


@migration(Order, from_version=2)
def count_cents(item: Item) -> Item:
    price = item.pop("price")
    if price < 0:
        raise ValueError(f"a price of {price}")
    return {**item, "cents": int(price * 100)}


class Current(BaseModel):
    """The same as it is once there are no older items: a version, and no migrations."""

    schema_version: ClassVar[int] = 3
    customer: str
    day: int
    status: str
    cents: int
    note: str | None = None


class First(BaseModel):
    """A model that has only just got a version."""

    schema_version: ClassVar[int] = 1
    customer: str
    day: int
    state: str | None = None
    price: Decimal | None = None


def item_of(row: Mapping[str, Any], version: int | None) -> Item:
    """The item, in DynamoDB JSON, that a row was in that version; None is the first, without saying so."""
    item: Item = {"customer": {"S": row["customer"]}, "day": {"N": str(row["day"])}}
    number = version or 1
    if number == 1:
        item["state"] = {"S": row["status"].lower()}
    else:
        item["status"] = {"S": row["status"]}
    if number < 3:
        item["price"] = {"N": str(Decimal(row["cents"]) / 100)}
    else:
        item["cents"] = {"N": str(row["cents"])}
    if row.get("tags") is not None:
        item["tags"] = {"SS": sorted(row["tags"])}
    if row.get("note") is not None:
        item["note"] = {"S": row["note"]}
    item["unknown"] = {"M": {"schema_version": {"N": "3"}}}  # not the version: that is no attribute of the item's own
    return item if version is None else {**item, "schema_version": {"N": str(version)}}
