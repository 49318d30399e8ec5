"""The root of the tree, and how errors cross process borders."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

from spark_dynamo.errors.texts import shorten


class DynamoDBWrapperError(Exception):
    """The root of the tree: `except DynamoDBWrapperError` catches all that this package raises on purpose.

    `message` is the sentence, `original_error` what caused it (None where nothing did), `context` the facts behind it.
    """

    def __init__(
        self, message: str, original_error: BaseException | None = None, context: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.original_error = original_error
        self.context: dict[str, Any] = dict(context or {})

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={shorten(value)}" for name, value in self.context.items() if value is not None)
        return f"{self.message} [{shown}]" if shown else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: _crossing(value) for name, value in self.__dict__.items()}
        state["context"] = {name: _crossing(value) for name, value in self.context.items()}
        return _restore, (type(self), self.args, state)


def _restore(cls: type[DynamoDBWrapperError], args: tuple[Any, ...], state: dict[str, Any]) -> DynamoDBWrapperError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def _crossing(value: Any) -> Any:
    """The value itself where it survives pickling; else an error as a RuntimeError with its class and text, or the repr."""
    try:
        pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes
    except Exception:  # anything at all may go wrong in a foreign __reduce__
        return RuntimeError(f"{type(value).__name__}: {value}") if isinstance(value, BaseException) else shorten(value)
    return value
