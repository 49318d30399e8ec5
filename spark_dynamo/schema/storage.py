"""In which DynamoDB type a model's field is stored, where it isn't the usual one."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StorageForm"]


@dataclass(frozen=True, slots=True)
class StorageForm:
    """The DynamoDB type that stores a field, written in the field's `Annotated`.

    `dynamodb` is the type's letter: `N` stores a datetime as epoch seconds, which TTL asks for.
    A form that the field's type can't take is a SchemaError when the schema is built.

    >>> from datetime import datetime
    >>> from typing import Annotated
    >>> ExpiryTime = Annotated[datetime, StorageForm("N")]
    """

    dynamodb: str
