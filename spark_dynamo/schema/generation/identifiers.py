"""Python's names for what a schema names freely: attributes of a model's columns, and classes of its structs."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence

from pydantic import BaseModel

from spark_dynamo.errors import SchemaError

__all__ = ["attribute_names", "check_class_name", "class_name", "free_name"]

# a class whose attribute has a default hides these types from the annotations below it
_BUILTIN_TYPES = frozenset({"bool", "bytes", "dict", "float", "int", "list", "object", "set", "str", "tuple"})
# Pydantic takes an attribute of this name for settings, and warns of those that begin like its methods
_SETTINGS = "Config"
_PROTECTED = ("model_dump", "model_validate")


def attribute_names(columns: Sequence[str]) -> dict[str, str]:
    """For each column the attribute that holds it: the same name where a model can have it, else one like it.

    What no identifier has becomes `_`; keywords, the names of `BaseModel` and of builtin types get a `_` at the end, and
    equal names a number. A column that keeps its name keeps it whatever the others are called.

    >>> attribute_names(["id", "order id", "class", "_id"])
    {'id': 'id', 'order id': 'order_id', 'class': 'class_', '_id': 'id_2'}
    """
    names = {column: column for column in columns if _is_free(column)}
    taken = set(names)
    for column in columns:
        if column not in names:
            names[column] = free_name(_cleaned(column), taken)
            taken.add(names[column])
    return {column: names[column] for column in columns}


def class_name(outer: str, attribute: str, taken: Collection[str]) -> str:
    """The name of the class of a struct that lies in an attribute of the class `outer`.

    >>> class_name("Order", "unit_price", ())
    'OrderUnitPrice'
    """
    words = "".join(word[:1].upper() + word[1:] for word in attribute.split("_"))
    return free_name(unicodedata.normalize("NFKC", outer + words), taken)


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, with the first number from 2 on behind it that makes it a new one."""
    stem = f"{name.rstrip('_')}_" if name.islower() else name
    number, free = 2, name
    while free in taken:
        free, number = f"{stem}{number}", number + 1
    return free


def check_class_name(name: str, taken: Iterable[str]) -> None:
    """Raise SchemaError unless a class can have that name."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise SchemaError(name, "is no name for a Python class. Give one such as 'Order'")
    if name in taken:
        raise SchemaError(name, "is the name of a type that models are made of. Give another, such as 'Order'")


def _is_free(name: str) -> bool:
    return (
        name.isidentifier()
        # Python reads an identifier in this form
        and unicodedata.normalize("NFKC", name) == name
        and not name.startswith("_")
        and not keyword.iskeyword(name)
        and not hasattr(BaseModel, name)
        and name not in _BUILTIN_TYPES
        and name != _SETTINGS
        and not name.startswith(_PROTECTED)
    )


def _cleaned(column: str) -> str:
    name = re.sub(r"\W", "_", unicodedata.normalize("NFKC", column)).strip("_")
    # \w knows more than identifiers do
    name = "".join(character for character in name if f"a{character}".isidentifier())
    if not name.isidentifier() or name.startswith(_PROTECTED):
        name = f"field_{name}".rstrip("_")
    return name if _is_free(name) else f"{name}_"
