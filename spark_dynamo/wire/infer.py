"""A sample of items -> a schema that holds them all: what was seen at each place, and the type that follows from it.

What was seen (`sample_counts`) merges in any order to the same; types are chosen at the end only, by this one table.

| seen at one place, NULLs aside | Spark type |
|---|---|
| S | STRING |
| BOOL, B | BOOLEAN, BINARY |
| N, all integral and within 64 bits | BIGINT |
| N, all integral, some wider | DECIMAL(38,0) |
| N, up to k digits after the point and i before it | DECIMAL(38,k) |
| N, k + i > 38 | STRING with metadata `{"dynamodb": "N"}`: the number's own text |
| M | STRUCT of all keys seen |
| M with free keys | MAP<STRING, what all values together are> |
| L | ARRAY of what all elements together are |
| SS, NS, BS | ARRAY<STRING>, ARRAY of what all numbers together are, ARRAY<BINARY>; the metadata names the set |
| more than one of these, as S and N, M and L, SS and NS, SS and L | VARIANT |
| nothing but NULL | STRING |
| nothing but empty L, nothing but empty M | ARRAY<STRING>, MAP<STRING, STRING> |

NULL and missing are both null in Spark. A column or field whose every null was NULL in the sample has the metadata
`{"dynamodb_nulls": "write"}`, so that it is written back as it was. Where some were missing, a null is written as no attribute,
which no index refuses; where both were seen, that is a loss, and a warning says so. A VARIANT tells the two apart.

Metadata belongs to columns and struct fields. An array's elements and a map's values have none, so there sets and numbers
kept as text are VARIANT. `numberType` replaces the rows for N: `decimal` has for all numbers DECIMAL(38,s) with room to grow on
both sides, s = k + min(max(18-k, 0), (38-k-i) // 2); `double` has DOUBLE, `string` STRING with the number's own text.

With `inferTimestamp`, S is TIMESTAMP where all texts seen at the place are ISO 8601 instants, that is with a zone and down to the
microsecond at most; but in keys and sets, where the text itself says which item or element it is.

Keys are free where there are more than 20 and the median one is in less than a quarter of the maps, where there are more than
1,000, or where one is empty, which no field can be; an item's attributes never are.

Key attributes come first and are not nullable; the other attributes, and the fields of each struct, follow by name.
"""

from __future__ import annotations

import binascii
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DecimalType,
    DoubleType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
    VariantType,
)

from spark_dynamo.wire import types
from spark_dynamo.wire.sample_counts import AttributeValue, Fields, Place

_DIGITS = 38  # of Spark's widest decimal
_USUAL_SCALE = 18
_EXACT_IN_DOUBLE = 15  # digits that survive in any double
_LONGEST_EXAMPLE = 40  # characters
_MOST_NAMED = 10  # attributes in one warning
_MOST_SHOWN = 20  # elements of a nested example: more than fit
_SIMPLE_NAME = re.compile(r"[^.`\[\]{}]+")
_PLAIN: Mapping[str, DataType] = {"S": StringType(), "BOOL": BooleanType(), "B": BinaryType()}


@dataclass(frozen=True, slots=True)
class InferredAttribute:
    """What a sample says of one attribute, field or kind of element.

    `path` is like `address.city`, `tags[]` (elements of lists and sets) or `scores{}` (values of maps with free keys), `type`
    Spark's. `present` is 0..1: the share of the items that have the attribute, of the parent's maps that have the field, of
    the parent's lists, sets or maps that aren't empty. `seen` counts DynamoDB's types; `example` is the first value that is
    not NULL, shortened.
    """

    path: str
    type: str
    present: float
    seen: Mapping[str, int]
    example: str | None


@dataclass(frozen=True, slots=True)
class Inference:
    """The schema that follows from a sample, with the facts behind it, parents before children, and sentences of doubt."""

    schema: StructType
    attributes: tuple[InferredAttribute, ...]
    warnings: tuple[str, ...]


def infer_types(
    items: Fields, keys: Mapping[str, str], number_type: str = "auto", infer_timestamp: bool = False
) -> Inference:
    """The schema for the items that were seen, whose key attributes are `keys`: name -> S, N or B.

    >>> items = Fields()
    >>> items.see({"id": {"S": "a"}, "price": {"N": "12.5"}, "tags": {"SS": ["x"]}})
    >>> items.see({"id": {"S": "b"}, "price": {"NULL": True}})
    >>> inferred = infer_types(items, {"id": "S"})
    >>> inferred.schema.simpleString()
    'struct<id:string,price:decimal(38,1),tags:array<string>>'
    >>> inferred.attributes[1].seen, inferred.attributes[2].present
    ({'N': 1, 'NULL': 1}, 0.5)
    """
    choice = _Choice(number_type, infer_timestamp, keys)
    if not items.count:
        choice.warnings.append("The sample has no items, so the schema has the key attributes only")
    schema = choice.struct(items, "", keys)
    return Inference(schema, tuple(choice.attributes), (*choice.losses(), *choice.warnings))


class _Choice:
    """One walk over what was seen: types are returned, facts and warnings noted."""

    def __init__(self, number_type: str, infer_timestamp: bool, keys: Iterable[str]) -> None:
        self.attributes: list[InferredAttribute] = []
        self.warnings: list[str] = []
        self._null_or_missing: list[str] = []
        self._number_type = number_type
        self._infer_timestamp = infer_timestamp
        self._keys = frozenset(map(_quoted, keys))

    def losses(self) -> Iterator[str]:
        """What a write of the frame would change, as one warning: it does no harm to those who only read."""
        names, more = self._null_or_missing[:_MOST_NAMED], len(self._null_or_missing) - _MOST_NAMED
        if names:
            *first, last = names if more <= 0 else [*names, f"{more:,} more"]
            yield (
                f"{', '.join(first)}{' and ' if first else ''}{last} {'are' if first else 'is'} NULL in some items and missing "
                "in others: both are read as null and written back as missing; to copy items as they are, read and write them "
                "with itemFormat 'json'"
            )

    def struct(self, fields: Fields, prefix: str, keys: Mapping[str, str]) -> StructType:
        """The type of maps with these fields, or of items, whose key attributes come first."""
        self._warn_of_letter_case(fields.by_name, prefix)
        struct = StructType()
        for name in (*keys, *sorted(fields.by_name.keys() - keys.keys())):
            place = fields.by_name.get(name) or Place()
            if name in keys:
                place.counts.setdefault(keys[name], 0)  # a table knows its keys' types without any item
            present = sum(place.counts.values()) / max(fields.count, 1)
            kind, tag = self._place(place, prefix + _quoted(name), present)
            metadata = {types.METADATA_KEY: tag} if tag else {}
            if place.counts.get("NULL") and not isinstance(kind, VariantType):
                if present == 1:
                    metadata[types.NULLS_KEY] = "write"
                else:
                    self._null_or_missing.append(f"'{prefix}{_quoted(name)}'")
            struct.add(StructField(name, kind, name not in keys, metadata))
        return struct

    def _place(self, place: Place, path: str, present: float) -> tuple[DataType, str | None]:
        """The type of what was seen there, and the storage form where that is not the type's own."""
        row = len(self.attributes)
        kind, tag = self._type(place, path)
        seen = {tag: count for tag, count in sorted(place.counts.items()) if count}
        example = None if place.example is None else show_attribute(place.example)
        self.attributes.insert(row, InferredAttribute(path, types.ddl(kind), present, seen, example))
        return kind, tag

    def _unmarked(self, place: Place, path: str, present: float) -> DataType:
        """The type of elements or values, which have no metadata that could name a storage form."""
        row, doubts = len(self.attributes), len(self.warnings)
        kind, tag = self._place(place, path, present)
        if tag is None:
            return kind
        what = "sets" if isinstance(kind, ArrayType) else "numbers to be kept as text"
        del self.attributes[row + 1 :], self.warnings[doubts:]
        self.attributes[row] = replace(self.attributes[row], type=types.ddl(VariantType()))
        self._warn(path, f"holds {what}, and only attributes and fields can be marked as such: read as VARIANT")
        return VariantType()

    def _type(self, place: Place, path: str) -> tuple[DataType, str | None]:
        tags = sorted(place.counts.keys() - {"NULL"})
        if len(tags) > 1:
            counted = " and ".join(f"{tag} ({place.counts[tag]:,})" for tag in tags)
            self._warn(path, f"holds {counted}: read as VARIANT")
            return VariantType(), None
        if not tags:
            self._warn(path, "was seen only as NULL: that it is a STRING is a guess")
            return StringType(), None
        match tags[0]:
            case "S" if self._infer_timestamp and place.are_instants and path not in self._keys:
                return TimestampType(), None
            case "S" | "BOOL" | "B" as tag:
                return _PLAIN[tag], None
            case "N":
                return self._number(place, path)
            case "M":
                return self._map(place.fields or Fields(), path), None
            case "L":
                return ArrayType(self._elements(place, path)), None
            case tag:
                element, _ = self._place(place.elements or Place(), f"{path}[]", 1.0)
                return ArrayType(element, containsNull=False), tag  # a DynamoDB set holds no null

    def _number(self, place: Place, path: str) -> tuple[DataType, str | None]:
        digits = place.fraction + place.whole
        if self._number_type == "string":
            return StringType(), "N"
        if self._number_type == "double":
            if digits > _EXACT_IN_DOUBLE:
                self._warn(path, f"has numbers that span {digits} digits: DOUBLE may round them")
            return DoubleType(), None
        if digits > _DIGITS:
            self._warn(
                path,
                f"has numbers of up to {place.whole} digits before the point and {place.fraction} after it, more than the "
                f"{_DIGITS} of a DECIMAL: read as STRING with their own text",
            )
            return StringType(), "N"
        if self._number_type == "auto":
            is_long = place.is_long and not place.fraction
            return (LongType() if is_long else DecimalType(_DIGITS, place.fraction)), None
        room = min(max(_USUAL_SCALE - place.fraction, 0), (_DIGITS - digits) // 2)
        return DecimalType(_DIGITS, place.fraction + room), None

    def _map(self, fields: Fields, path: str) -> DataType:
        if not fields.filled:
            self._warn(path, "was seen only as an empty map: that its values are STRING is a guess")
            return MapType(StringType(), StringType())
        values = fields.free_values()
        if values is None:
            return self.struct(fields, f"{path}.", {})
        return MapType(StringType(), self._unmarked(values, f"{path}{{}}", fields.filled / fields.count))

    def _elements(self, place: Place, path: str) -> DataType:
        if not place.filled or place.elements is None:
            self._warn(path, "was seen only as an empty list: that its elements are STRING is a guess")
            return StringType()
        return self._unmarked(place.elements, f"{path}[]", place.filled / place.counts["L"])

    def _warn_of_letter_case(self, names: Iterable[str], prefix: str) -> None:
        alike: dict[str, list[str]] = defaultdict(list)
        for name in sorted(names):
            alike[name.lower()].append(f"'{prefix}{_quoted(name)}'")
        for group in alike.values():
            if len(group) > 1:
                self.warnings.append(
                    f"{' and '.join(group)} differ by letter case only: set spark.sql.caseSensitive to true to read them"
                )

    def _warn(self, path: str, finding: str) -> None:
        self.warnings.append(f"'{path}' {finding}")


def show_attribute(attribute: AttributeValue) -> str:
    """An attribute value for people to read, in at most 40 printable characters.

    >>> show_attribute({"M": {"city": {"S": "Berlin"}, "tags": {"SS": ["a", "b"]}, "key": {"B": "AP8="}}})
    '{"city": "Berlin", "tags": ["a", "b"], …'
    """
    ((tag, value),) = attribute.items()
    text = _printable(value[: _LONGEST_EXAMPLE + 1]) if tag == "S" else _text(tag, value)
    return text if len(text) <= _LONGEST_EXAMPLE else f"{text[: _LONGEST_EXAMPLE - 1]}…"


def _text(tag: str, value: Any) -> str:
    match tag:
        case "S":
            return f'"{_printable(value[: _LONGEST_EXAMPLE + 1])}"'
        case "B":
            return f"0x{binascii.a2b_base64(value[:_LONGEST_EXAMPLE]).hex()}"  # whole groups of 4 characters
        case "BOOL" | "NULL":
            return "null" if tag == "NULL" else str(value).lower()
        case "L":
            return f"[{', '.join(_text(*pair) for element in value[:_MOST_SHOWN] for pair in element.items())}]"
        case "M":
            shown = (
                f'"{_printable(name)}": {_text(*pair)}'
                for name, element in islice(value.items(), _MOST_SHOWN)
                for pair in element.items()
            )
            return f"{{{', '.join(shown)}}}"
        case "SS" | "NS" | "BS":
            return f"[{', '.join(_text(tag[0], element) for element in value[:_MOST_SHOWN])}]"
    return str(value)


def _printable(text: str) -> str:
    """The text on one line, with escapes for what can't be seen."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _quoted(name: str) -> str:
    """An attribute name as a step of a path, in backticks where it could be taken for more than one step."""
    shown = _printable(name)
    return shown if _SIMPLE_NAME.fullmatch(name) else f"`{shown.replace('`', '``')}`"
