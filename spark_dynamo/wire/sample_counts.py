"""What was seen in a sample of items, place by place: counts, maxima and unions, which merge in any order to the same.

A place is an attribute, a field of a map, or the elements of lists or values of maps taken together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spark_dynamo.wire import types
from spark_dynamo.wire.scalars import is_instant
from spark_dynamo.wire.variant.layout import parse_number
from spark_dynamo.wire.variant.shape import shape_problem

AttributeValue = Mapping[str, Any]

# Keys are data, not names, where there are more of them than people give one thing, and most maps lack the typical one.
FREE_KEYS_FROM = 21
FREE_KEY_SHARE = 0.25  # of the maps that have the median key; records of one kind share most of their fields
MOST_FIELDS = 1_000  # a nested map with more has free keys: no record is that wide, and a sample stays small in memory
_SURELY_LONG = 18  # digits that always fit into 64 bits
_TAGS = frozenset({"S", "N", "B", "BOOL", "NULL", "M", "L", *types.SET_TAGS})


class Place:
    """What was seen at one place of the items: how often each type, the range of the numbers, and what lies below."""

    __slots__ = ("are_instants", "counts", "elements", "example", "fields", "filled", "fraction", "is_long", "whole")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.example: AttributeValue | None = None
        self.fraction = self.whole = 0  # most digits after and before the point
        self.is_long = True
        self.are_instants = True  # all texts; never said of those in sets
        self.fields: Fields | None = None
        self.elements: Place | None = None  # of lists, or of sets; where there are both, the place is VARIANT anyway
        self.filled = 0  # lists and sets that are not empty

    def see(self, attribute: AttributeValue) -> None:
        """Take in an attribute value in DynamoDB JSON; ValueError where it is none."""
        try:
            ((tag, value),) = attribute.items()
            if tag not in _TAGS:
                raise ValueError(tag)
            self.counts[tag] = self.counts.get(tag, 0) + 1
            if tag == "NULL":
                return
            if self.example is None:
                self.example = attribute
            if tag == "S":
                self.are_instants = self.are_instants and is_instant(value)
            elif tag == "N":
                self._see_number(value)
            elif tag == "M":
                self.fields = self.fields or Fields()
                self.fields.see(value)
                self.fields.limit()
            elif tag == "L":
                self._see_elements(value)
            elif tag in types.SET_TAGS:
                self._see_elements([{tag[0]: element} for element in value]).are_instants = False
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(shape_problem(attribute) or str(error)) from error

    def merge(self, other: Place) -> None:
        """Take in what another place saw; `other` stays as it is."""
        for tag, count in other.counts.items():
            self.counts[tag] = self.counts.get(tag, 0) + count
        self.example = self.example or other.example
        self.fraction, self.whole = max(self.fraction, other.fraction), max(self.whole, other.whole)
        self.is_long = self.is_long and other.is_long
        self.are_instants = self.are_instants and other.are_instants
        self.filled += other.filled
        if other.elements:
            self.elements = self.elements or Place()
            self.elements.merge(other.elements)
        if other.fields:
            self.fields = self.fields or Fields()
            self.fields.merge(other.fields)
            self.fields.limit()

    def _see_number(self, text: str) -> None:
        if len(text) <= _SURELY_LONG and text.isdecimal() and text[0] != "0":  # the usual case, made fast
            self.whole = max(self.whole, len(text))
            return
        sign, digits, scale = parse_number(text)
        whole = max(len(digits) - scale, 0)
        self.fraction, self.whole = max(self.fraction, scale), max(self.whole, whole)
        if self.is_long:
            self.is_long = (
                scale <= 0 and whole <= 19 and -(1 << 63) <= int(f"{sign}{digits or 0}{'0' * -scale}") < 1 << 63
            )

    def _see_elements(self, attributes: Sequence[AttributeValue]) -> Place:
        self.elements = place = self.elements or Place()
        self.filled += bool(attributes)
        for attribute in attributes:
            place.see(attribute)
        return place


class Fields:
    """What was seen in maps, or in items: each key's place; or one place for all values, where `limit` found too many."""

    __slots__ = ("by_name", "count", "filled", "values")

    def __init__(self) -> None:
        self.count = 0
        self.filled = 0  # maps that are not empty
        self.by_name: dict[str, Place] = {}
        self.values: Place | None = None

    def see(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Take in the attributes of one item or map; ValueError where they are none."""
        self.count += 1
        self.filled += bool(attributes)
        for name, attribute in attributes.items():
            self._place(name).see(attribute)

    def merge(self, other: Fields) -> None:
        """Take in what was seen in other maps; `other` stays as it is."""
        self.count += other.count
        self.filled += other.filled
        if other.values:
            self._unite()
            self._place("").merge(other.values)
        for name, place in other.by_name.items():
            self._place(name).merge(place)

    def limit(self) -> None:
        """Forget the keys if they are too many for a struct. Doing so now or later comes to the same."""
        if len(self.by_name) > MOST_FIELDS:
            self._unite()

    def free_values(self) -> Place | None:
        """What all values together are, where the keys are free; None where the keys are names."""
        if self.values:
            return self.values
        if "" in self.by_name:  # no field of a struct can be called so
            return _united(self.by_name.values())
        seen = sorted(sum(place.counts.values()) for place in self.by_name.values())
        if len(seen) < FREE_KEYS_FROM or seen[len(seen) // 2] >= FREE_KEY_SHARE * self.count:
            return None
        return _united(self.by_name.values())

    def _place(self, name: str) -> Place:
        place = self.values or self.by_name.get(name)
        if place is None:
            place = self.by_name[name] = Place()
        return place

    def _unite(self) -> None:
        if self.values is None:
            self.values = _united(self.by_name.values())
            self.by_name = {}


def _united(places: Iterable[Place]) -> Place:
    united = Place()
    for place in places:
        united.merge(place)
    return united
