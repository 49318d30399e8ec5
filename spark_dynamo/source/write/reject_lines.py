"""One line of JSON for each rejected row, and the item that a line becomes in a table of rejected rows."""

from __future__ import annotations

import gzip
import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from spark_dynamo.errors import InvalidItemError
from spark_dynamo.wire.good_and_bad_rows import BadRow
from spark_dynamo.wire.item_limits import check_contents
from spark_dynamo.wire.sizes import LARGEST_ITEM, item_size

if TYPE_CHECKING:
    from spark_dynamo.aws.single_write import Refused

ATTRIBUTES = ("table", "operation", "reason", "attribute", "item", "unfit", "stored")
_ASSIGNMENT = re.compile(r"([#\w]+)\s*=\s*(:\w+)")
_NO_ATTRIBUTE = "spark-dynamo: "  # begins the name in an update that is to change nothing


def line_of_bad_row(table: str, operation: str, bad: BadRow) -> bytes:
    """The line for a row that DynamoDB can't take.

    >>> error = InvalidItemError(table="t", key={"id": "a"}, attribute="price", value="nan", problem="it is no number")
    >>> print(line_of_bad_row("t", "put", BadRow(0, error, '{"id":{"S":"a"}}', {"price": "nan"})).decode())
    {"table":"t","operation":"put","reason":"it is no number","attribute":"price","item":{"id":{"S":"a"}},"unfit":{"price":"nan"}}
    """
    line: dict[str, Any] = {
        "table": table,
        "operation": operation,
        "reason": bad.error.problem,
        "attribute": bad.error.attribute,
        "item": None if bad.item is None else orjson.Fragment(_one_line(bad.item)),
    }
    if bad.unfit:
        line["unfit"] = bad.unfit
    return orjson.dumps(line)


def line_of_refusal(table: str, refused: Refused) -> bytes:
    """The line for a row that was not written because a condition failed; `item` is what the row would have made of its item."""
    return orjson.dumps(
        {
            "table": table,
            "operation": refused.operation,
            "reason": refused.reason,
            "attribute": None,
            "item": _item_of_action(orjson.loads(refused.action)),
            "stored": refused.stored,
        }
    )


def item_of_line(line: bytes, key_names: Sequence[str], origin: str) -> bytes:
    """The item for a table of rejected rows whose key attributes are strings.

    The partition key is a hash of the line and its `origin`, which says which write and task it comes from; a sort key is the
    origin itself. What an item can't hold, as it is too large or is what was wrong, becomes a binary `item_gzip`, its JSON
    compressed. Raises InvalidItemError where even that is too large.
    """
    parsed = orjson.loads(line)
    texts = {name: {"S": parsed[name]} for name in ("table", "operation", "reason", "attribute") if parsed[name]}
    digest = hashlib.sha256(origin.encode() + b"\n" + line).hexdigest()
    keys = {name: {"S": text} for name, text in zip(key_names, (digest, origin), strict=False)}
    kept: dict[str, Any] = {**texts, **keys}
    if parsed.get("unfit"):
        kept["unfit"] = {"M": {name: {"S": text} for name, text in parsed["unfit"].items()}}
    held = {name: parsed[name] for name in ("item", "stored") if parsed.get(name)}
    plain = {name: {"M": attributes} for name, attributes in held.items()}
    packed = {f"{name}_gzip": {"B": _packed(attributes)} for name, attributes in held.items()}
    forms = ({**kept, **plain}, {**kept, **packed})
    for item in forms:
        if _fits(item):
            return orjson.dumps(item)
    raise InvalidItemError(
        table=parsed["table"],
        key={},
        attribute=None,
        value=None,
        problem=f"{parsed['reason']}. Even compressed it is too large for a table of rejected rows; send them to a folder or to "
        "s3://bucket/prefix",
    )


def _item_of_action(action: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that an action writes; those that it would remove are NULL."""
    item: dict[str, Any] = dict(action.get("Item") or action["Key"])
    names, values = action.get("ExpressionAttributeNames", {}), action.get("ExpressionAttributeValues", {})
    assigned, _, removed = action.get("UpdateExpression", "").partition("REMOVE")
    for alias, value in _ASSIGNMENT.findall(assigned):
        item[names.get(alias, alias)] = values[value]
    for alias in filter(None, (part.strip() for part in removed.split(","))):
        name = names.get(alias, alias)
        if not name.startswith(_NO_ATTRIBUTE):
            item[name] = {"NULL": True}
    return item


def _one_line(item: str) -> bytes:
    """JSON without line breaks; in strings there are none."""
    if "\n" in item or "\r" in item:
        return orjson.dumps(orjson.loads(item))
    return item.encode()


def _packed(attributes: Mapping[str, Any]) -> str:
    return b64encode(gzip.compress(orjson.dumps(attributes), mtime=0)).decode()


def _fits(item: Mapping[str, Any]) -> bool:
    """Whether DynamoDB takes the item."""
    try:
        check_contents({"M": item}, containers=-1)
        return item_size(item) <= LARGEST_ITEM
    except (ValueError, TypeError, AttributeError, KeyError):  # what was no item in the first place
        return False
