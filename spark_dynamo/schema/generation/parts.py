"""What a model is made of, before it is made or written: names, annotations, fields and classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

__all__ = ["BUILTINS", "FIELD", "Annotation", "Call", "ClassPlan", "FieldPlan", "Optional", "Subscript", "Symbol"]


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name that models use: what it stands for, and the module to import it from."""

    module: str
    name: str
    value: Any = field(compare=False)


BUILTINS = "builtins"
FIELD = Symbol("pydantic", "Field", Field)


@dataclass(frozen=True, slots=True)
class Subscript:
    """`base[arguments]`."""

    base: Symbol
    arguments: tuple[Annotation, ...]


@dataclass(frozen=True, slots=True)
class Optional:
    """`inner | None`."""

    inner: Annotation


@dataclass(frozen=True, slots=True)
class Call:
    """`function(*arguments, **named)`, whose arguments are values of JSON."""

    function: Symbol
    arguments: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """A field; `options` are what its `Field` says, `default` among them where it has one."""

    attribute: str
    annotation: Annotation
    options: Mapping[str, Any]

    @property
    def call(self) -> Call | None:
        """The call of `Field`, or None where nothing but a default is said."""
        return Call(FIELD, named=self.options) if self.options.keys() - {"default"} else None

    @property
    def has_default(self) -> bool:
        """Whether the field may be left out; it is None then."""
        return "default" in self.options


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """A class of models; the classes that its fields need are in their annotations."""

    name: str
    fields: tuple[FieldPlan, ...]
    settings: Call | None  # what `model_config` is

    def classes(self) -> Iterator[ClassPlan]:
        """The classes in the order in which Python needs them, this one last."""
        for planned in self.fields:
            yield from _classes(planned.annotation)
        yield self


Annotation = Symbol | Subscript | Optional | Call | ClassPlan


def _classes(annotation: Annotation) -> Iterator[ClassPlan]:
    match annotation:
        case ClassPlan():
            yield from annotation.classes()
        case Subscript():
            for argument in annotation.arguments:
                yield from _classes(argument)
        case Optional():
            yield from _classes(annotation.inner)
