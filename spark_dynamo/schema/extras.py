"""What else there is to know of models: whether something is one, and in which of its structs further fields are welcome."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, TypeGuard, get_args, get_origin

from pydantic import BaseModel

__all__ = ["is_model", "open_structs"]


def is_model(value: object) -> TypeGuard[type[BaseModel]]:
    """Whether it is a class of Pydantic models."""
    return isinstance(value, type) and issubclass(value, BaseModel)


def open_structs(model: type[BaseModel]) -> frozenset[str]:
    """The paths to the structs whose models say `extra="allow"` or `"ignore"`, as in `orders[]`; the model's own path is empty.

    A model that says nothing about extra fields is not open: what it ignores would be lost without a word.

    >>> class Order(BaseModel, extra="allow"):
    ...     price: float
    >>> open_structs(Order)
    frozenset({''})
    """
    return frozenset(
        path for path, found in _models("", model) if found.model_config.get("extra") in ("allow", "ignore")
    )


def _models(path: str, annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """The models that stand at a place and below it; a schema has been made of the annotation, so that it has an end."""
    if is_model(annotation):
        yield path, annotation
        for name, info in annotation.model_fields.items():
            yield from _models(f"{path}.{name}" if path else name, info.annotation)
        return
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _models(path, arguments[0])
    elif origin is dict:
        yield from _models(f"{path}{{}}", arguments[1])
    elif isinstance(origin, type) and issubclass(origin, list | set | frozenset):
        yield from _models(f"{path}[]", arguments[0])
    else:  # Optional; a Literal holds no models
        for arm in arguments:
            yield from _models(path, arm)
