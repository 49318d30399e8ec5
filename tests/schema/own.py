"""Types of one's own, with a core schema of Pydantic's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema


class Country(str):
    """Text that only some texts are."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(cls._checked, core_schema.str_schema(max_length=2))

    @classmethod
    def _checked(cls, text: str) -> Country:
        if not text.isupper():
            raise ValueError("a country is written in capitals")
        return cls(text)


class Moment(datetime):
    """A datetime of one's own class."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_wrap_validator_function(cls._made, handler(datetime))

    @classmethod
    def _made(cls, value: Any, handler: core_schema.ValidatorFunctionWrapHandler) -> Moment:
        return cls.of(handler(value))

    @classmethod
    def of(cls, found: datetime) -> Moment:
        return cls(*found.timetuple()[:6], found.microsecond, tzinfo=found.tzinfo)


class Colour:
    """No text, but serialized as text; equal where it is the same colour."""

    def __init__(self, code: str) -> None:
        self.code = code.lower()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Colour) and self.code == other.code

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.code

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda given: given if isinstance(given, cls) else cls(given),
            serialization=core_schema.to_string_ser_schema(),
        )


@dataclass(frozen=True)
class Version:
    """Has fields, and is one text where it is serialized."""

    major: int
    minor: int

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda given: given if isinstance(given, cls) else cls(*map(int, given.split("."))),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: f"{value.major}.{value.minor}", return_schema=core_schema.str_schema(), when_used="json"
            ),
        )
