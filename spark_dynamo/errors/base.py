"""The root of the tree, and how errors cross process borders."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, ClassVar

from spark_dynamo.errors.texts import shorten


class DynamoDBWrapperError(Exception):
    """The root of the tree: `except DynamoDBWrapperError` catches all that this package raises on purpose.

    `message` is the sentence, `original_error` what caused it (None where nothing did), `context` the facts behind it. `str`
    adds those facts to the sentence that it does not tell itself, `repr` shows all of them without their secrets.

    >>> DynamoDBWrapperError("It failed", context={"region": "eu-west-1", "token": "hidden text"})
    DynamoDBWrapperError('It failed', context={'region': 'eu-west-1', 'token': '**********'})
    """

    _told: ClassVar[frozenset[str]] = frozenset()  # what the sentence tells of the context

    def __init__(
        self, message: str, original_error: BaseException | None = None, context: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.original_error = original_error
        self.context: dict[str, Any] = dict(context or {})

    def __str__(self) -> str:
        untold = {name: value for name, value in self.context.items() if value is not None and name not in self._told}
        shown = ", ".join(f"{name}={shorten(value)}" for name, value in untold.items())
        return f"{self.message} [{shown}]" if shown else self.message

    def __repr__(self) -> str:
        from spark_dynamo.errors.masking import masked, masked_text  # which imports this

        parts = [repr(masked_text(self.message))]
        if self.original_error is not None:
            parts.append(f"original_error={shorten(masked_text(repr(self.original_error)))}")
        if self.context:
            shown = ", ".join(f"{name!r}: {shorten(repr(value))}" for name, value in masked(self.context).items())
            parts.append(f"context={{{shown}}}")
        return f"{type(self).__name__}({', '.join(parts)})"

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
