"""Option `indexes`: the secondary indexes of a table to create, as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spark_dynamo.errors import OptionError

_EXAMPLE = "`by_status(status, started_at); local by_amount(id, amount)`"
_NAME = r"(?:`(?:[^`]|``)+`|[^`,;()\s](?:[^`,;()]*[^`,;()\s])?)"
_INDEX = re.compile(
    r"\s*(?P<local>local\s+)?(?P<name>[^`,;()\s]+)\s*\((?P<keys>[^`()]*(?:`[^`]*`[^`()]*)*)\)\s*(?:;\s*|$)", re.I
)
_KEYS = re.compile(rf"\s*({_NAME})\s*(?:,\s*({_NAME})\s*)?")
_INDEX_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """One index: its name, the columns that become its keys, and whether it is a local one."""

    name: str
    partition_key: str
    sort_key: str | None = None
    is_local: bool = False


def parse_indexes(text: str) -> tuple[IndexSpec, ...]:
    """The indexes that the option names, global ones where `local` does not stand before them; OptionError for other text.

    Backticks enclose the name of a column that has a comma, a semicolon or a parenthesis in it.

    >>> for spec in parse_indexes("by_day(day); local by_amount(id, `amount, net`)"):
    ...     print(spec)
    IndexSpec(name='by_day', partition_key='day', sort_key=None, is_local=False)
    IndexSpec(name='by_amount', partition_key='id', sort_key='amount, net', is_local=True)
    """
    specs: list[IndexSpec] = []
    text, position = text.strip(), 0
    while position < len(text):
        found = _INDEX.match(text, position)
        if found is None:
            raise OptionError(
                "indexes", f"is not understood from '{text[position:]}' on; write indexes as in {_EXAMPLE}"
            )
        specs.append(_spec(found["name"], found["keys"], bool(found["local"])))
        position = found.end()
    if not specs:
        raise OptionError("indexes", f"names no index; write indexes as in {_EXAMPLE}")
    twice = {spec.name for spec in specs if sum(other.name == spec.name for other in specs) > 1}
    if twice:
        raise OptionError("indexes", f"has '{min(twice)}' twice; give each index a name of its own")
    return tuple(specs)


def _spec(name: str, keys: str, is_local: bool) -> IndexSpec:
    if not _INDEX_NAME.fullmatch(name):
        raise OptionError(
            "indexes", f"has an index '{name}'; DynamoDB's index names are 3 to 255 letters, digits, '_', '-' and '.'"
        )
    found = _KEYS.fullmatch(keys)
    if found is None:
        raise OptionError(
            "indexes",
            f"gives index '{name}' the keys ({keys.strip()}); an index has a partition key and, at most, a sort key",
        )
    partition_key, sort_key = (None if column is None else _bare(column) for column in found.groups())
    assert partition_key is not None
    if partition_key == sort_key:
        raise OptionError(
            "indexes", f"gives index '{name}' the column '{sort_key}' twice; its sort key must be another"
        )
    if is_local and sort_key is None:
        raise OptionError("indexes", f"gives the local index '{name}' no sort key, by which alone it is of use")
    return IndexSpec(name, partition_key, sort_key, is_local)


def _bare(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name
