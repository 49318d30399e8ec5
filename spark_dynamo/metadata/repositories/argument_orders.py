"""Second spellings of calls: positional arguments in another order, told from the first one by what the values are.

People have code that uses either. Where the values could mean both, a sentence says how to be clear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from spark_dynamo.errors import ValidationError, shorten
from spark_dynamo.metadata.models import TableType

__all__ = ["key_in_two", "pipeline_first", "pipeline_second", "spelled_also", "type_second"]

P = ParamSpec("P")
R = TypeVar("R")
Named: TypeAlias = dict[str, Any]
# of a repository, the positional and the named arguments of a call: the positional ones by name, None where they are in the
# method's own order
Order: TypeAlias = Callable[[Any, Sequence[Any], Mapping[str, Any]], Named | None]


def spelled_also(order: Order) -> Callable[[Callable[Concatenate[Any, P], R]], Callable[Concatenate[Any, P], R]]:
    """Let a method take its positional arguments in a second order, too; use it as a decorator.

    >>> class Runs:
    ...     @spelled_also(pipeline_first)
    ...     def recent(self, hours: float = 24, *, pipeline_id: str | None = None) -> str:
    ...         return f"{pipeline_id} {hours}"
    >>> Runs().recent(6), Runs().recent("sales", 6), Runs().recent("sales", hours=6)
    ('None 6', 'sales 6', 'sales 6')
    """

    def decorate(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
        def call(repository: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
            named = order(repository, args, kwargs)
            if named is None:
                return method(repository, *args, **kwargs)
            twice = named.keys() & kwargs.keys()
            if twice:
                raise TypeError(f"{method.__name__}() got multiple values for {', '.join(sorted(twice))}")
            again: Callable[..., R] = method
            return again(repository, **named, **kwargs)

        update_wrapper(call, method)  # name, docstring and signature, as help() shows them
        return call

    return decorate


def _named(args: Sequence[Any], *names: str) -> Named:
    if len(args) > len(names):
        raise TypeError(f"{len(args)} positional arguments are given where at most {', '.join(names)} are taken")
    return dict(zip(names, args, strict=False))


def pipeline_first(repository: Any, args: Sequence[Any], named: Mapping[str, Any]) -> Named | None:
    """A text in the place of hours is a pipeline's id."""
    return _named(args, "pipeline_id", "hours", "user_timezone") if args and isinstance(args[0], str) else None


def pipeline_second(repository: Any, args: Sequence[Any], named: Mapping[str, Any]) -> Named | None:
    """A text in the place of a limit is a pipeline's id."""
    is_second = len(args) > 1 and isinstance(args[1], str)
    return _named(args, "status", "pipeline_id", "user_timezone") if is_second else None


def type_second(repository: Any, args: Sequence[Any], named: Mapping[str, Any]) -> Named | None:
    """Before the type of table stands a pipeline's id, or None for all of them."""
    if len(args) == 1 and "table_type" in named:
        return {"pipeline_id": args[0]}
    if len(args) < 2:
        return None
    first, second = args[:2]
    pipeline_before = _named(args, "pipeline_id", "table_type", "user_timezone")
    if isinstance(first, TableType) or isinstance(second, TableType):
        return None if isinstance(first, TableType) else pipeline_before
    types = [str(kind) for kind in TableType]
    if first in types and second in types:
        raise ValidationError(
            f"Both {first!r} and {second!r} are types of tables, and one is to be a pipeline's id: give them by name, as in "
            f"table_type={first!r}, pipeline_id={second!r}"
        )
    if first not in types and second not in types and None not in (first, second):
        sentence = f"Neither {shorten(repr(first))} nor {shorten(repr(second))} is a type of table"
        raise ValidationError(sentence, {"table_type": f"Input should be {', '.join(map(repr, types))}"})
    return pipeline_before if second in types or first is None else None


def key_in_two(repository: Any, args: Sequence[Any], named: Mapping[str, Any]) -> Named | None:
    """The values of both keys one after the other, None for the sort key where the table has none."""
    if len(args) < 2 or isinstance(args[0], tuple | Mapping | repository.model_class):
        return None
    key, sort, *others = args
    if sort is None:
        return {"key": key, **_named(others, "user_timezone")}
    if repository.sort_key is None:
        return None
    return {"key": (key, sort), **_named(others, "user_timezone")}
