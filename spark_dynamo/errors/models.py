"""Models and schemas that values, frames or items don't fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spark_dynamo.errors.base import DynamoDBWrapperError
from spark_dynamo.errors.texts import show_key

_MOST_LISTED = 10


class ValidationError(DynamoDBWrapperError, ValueError):
    """Values that a model refuses; `errors`, also `context["validation_errors"]`, says by each field's path what is wrong."""

    _told = frozenset({"validation_errors"})

    def __init__(
        self, message: str, errors: Mapping[str, str] | None = None, original_error: BaseException | None = None
    ) -> None:
        self.errors = dict(errors or {})
        listed = "".join(f"\n  {field}: {problem}" for field, problem in self.errors.items())
        super().__init__(message + listed, original_error, {"validation_errors": self.errors})


class SchemaError(DynamoDBWrapperError, TypeError):
    """A schema or type that has no DynamoDB form; `path` leads to the field, as in `orders[].price`; empty for the whole."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"Field '{path}': {problem}" if path else f"{problem[:1].upper()}{problem[1:]}")
        self.path = path


class SchemaMismatchError(SchemaError):
    """A frame whose schema is not the one that its model asks for; `differences` has all of them, as `sd.compare` does.

    `problems` says for each path what stands in the way. `path` leads to the first.
    """

    def __init__(
        self,
        *,
        model: str,
        differences: Sequence[Any],
        problems: Mapping[str, str],
        advice: str,
        table: str | None = None,
    ) -> None:
        places = [f"{path or 'the columns'}: {problem}" for path, problem in problems.items()]
        listed = "; ".join(places[:_MOST_LISTED])
        more = f"; and {len(places) - _MOST_LISTED} more" if len(places) > _MOST_LISTED else ""
        frame = f"The frame for table '{table}'" if table else "The frame"
        wanted = f"model {model}" if model else "the schema"
        DynamoDBWrapperError.__init__(
            self, f"{frame} is not what {wanted} asks for. {listed}{more}. {advice}.\n{differences}"
        )
        self.path = next(iter(problems), "")
        self.table, self.model = table, model
        self.differences = differences
        self.problems = dict(problems)


class MigrationError(DynamoDBWrapperError):
    """An item that can't be brought to its model's version, or a model whose migrations can't do it.

    `model` is the model's name. `item` tells which one it is: its `version`, and its `table` and `key` where they are known.
    """

    def __init__(self, model: str, problem: str, error: BaseException | None = None, **item: Any) -> None:
        self.model, self.problem, self.version, self.table = model, problem, item.get("version"), item.get("table")
        self.key: dict[str, object] = dict(item.get("key") or {})
        of_table = f"Table '{self.table}', item" if self.table else "Item"
        shown = f"{of_table} {show_key(self.key)} of version {self.version or '?'}, model" if item else "Model"
        super().__init__(f"{shown} {model}: {problem}", error)


class NewerVersionError(MigrationError):
    """An item of a version above that of this code's model; `known` is the model's."""

    def __init__(self, model: str, known: int, **item: Any) -> None:
        problem = f"this code knows the model up to version {known}, and newer code wrote the item. Update the code"
        super().__init__(model, problem, **item)
        self.known = known
