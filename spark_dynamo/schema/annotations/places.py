"""Where an annotation stands while a model is walked: `Place`, and the settings of the whole walk: `Walk`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, TypeVar, get_origin

import pydantic_core
from pydantic import Discriminator, PlainSerializer, Tag, WrapSerializer
from pydantic.fields import FieldInfo
from typing_extensions import Doc

from spark_dynamo.errors import SchemaError
from spark_dynamo.schema.nodes import Node
from spark_dynamo.schema.policy import SchemaPolicy, SparkType
from spark_dynamo.schema.storage import StorageForm

__all__ = ["MISSING", "Arguments", "LeftOut", "Mode", "Place", "Serializer", "Walk", "below", "name_of"]

Mode = Literal["validation", "serialization"]
Serializer: TypeAlias = PlainSerializer | WrapSerializer
Arguments: TypeAlias = Mapping[Any, tuple[Any, Any]]


# what a field is that isn't given; before Pydantic 2.12 there was no such thing
MISSING: Any = getattr(pydantic_core, "MISSING", object())

_GROUPED = "__is_annotated_types_grouped_metadata__"  # annotated_types' own mark; its protocol is slow to ask


class LeftOut(Exception):  # noqa: N818 - a signal, not an error
    """A model that holds itself has come to the depth at which the policy leaves it out."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What is asked for, the same at every place; `node` makes a node of the annotation at a place.

    `done` are the classes, with what stands for type variables around them, of which the walk has made a struct somewhere.
    """

    node: Callable[[Place, Any], Node]
    mode: Mode
    by_alias: bool | None
    policy: SchemaPolicy
    done: set[Any] = field(default_factory=set, init=False, compare=False, repr=False)

    @property
    def start(self) -> Place:
        """The place of the model itself."""
        return Place(self, "")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an annotation stands, and what `Annotated` and `Field` say about it.

    `around` are the classes and type aliases that are being walked, outermost first. `arguments` has what stands for the type
    variables of the class around: an annotation, and the arguments that hold where it was written. `in_variant` says that all
    of it will be a VARIANT, which need not end where a schema must, and `is_arm` that it is one of the types of such a VARIANT.
    """

    walk: Walk
    path: str
    around: tuple[Any, ...] = ()
    arguments: Arguments = field(default_factory=dict)
    in_variant: bool = False
    is_arm: bool = False
    constraints: tuple[Any, ...] = ()
    form: StorageForm | None = None
    spark_type: SparkType | None = None
    serializers: tuple[Serializer, ...] = ()
    discriminator: str | Discriminator | None = None

    def node(self, annotation: Any) -> Node:
        """The node of an annotation that stands here."""
        return self.walk.node(self, annotation)

    def inside(self, suffix: str) -> Place:
        """The place of an element, to which nothing applies that is said of the container."""
        return Place(self.walk, self.path + suffix, self.around, self.arguments, self.in_variant)

    def field(self, name: str) -> Place:
        """The place of a field of the struct that stands here."""
        return Place(self.walk, below(self.path, name), self.around, self.arguments, self.in_variant)

    def annotated(self, metadata: Iterable[Any]) -> Place:
        """This place with what `Annotated[..., *metadata]` adds to it; the last of several wins where only one can be."""
        said: dict[str, Any] = {}
        constraints, serializers = [], []
        for entry in _flat(metadata):
            if isinstance(entry, StorageForm):
                said["form"] = entry
            elif isinstance(entry, SparkType):
                said["spark_type"] = entry
            elif isinstance(entry, Serializer):
                serializers.append(entry)
            elif isinstance(entry, FieldInfo):  # the end of one: what its metadata doesn't hold
                said["discriminator"] = entry.discriminator
            elif isinstance(entry, Discriminator):
                said["discriminator"] = entry
            elif not isinstance(entry, str | Doc | Tag):  # notes, and names of a union's arms
                constraints.append(entry)
        if not (said or constraints or serializers):
            return self
        said["constraints"] = (*self.constraints, *constraints)
        said["serializers"] = (*self.serializers, *serializers)
        return replace(self, **said)

    def resolved(self, annotation: Any) -> Any:
        """The annotation with what stands for its type variables, as Pydantic must have it that knows of no class around."""
        if isinstance(annotation, TypeVar) and annotation in self.arguments:
            written, arguments = self.arguments[annotation]
            return replace(self, arguments=arguments).resolved(written)
        variables = () if isinstance(annotation, type) else getattr(annotation, "__parameters__", ())
        return annotation[tuple(map(self.resolved, variables))] if variables else annotation

    def refuse(self, problem: str) -> SchemaError:
        """The error of this place, to be raised."""
        return SchemaError(self.path, problem)

    def refuse_form(self, what: str) -> None:
        """Raise SchemaError where a storage form is asked for: `what` can't have any."""
        if self.form is not None:
            raise self.refuse(f"{what} can't be stored as DynamoDB type '{self.form.dynamodb}'")


def _flat(metadata: Iterable[Any]) -> Iterator[Any]:
    for entry in metadata:
        if isinstance(entry, FieldInfo):
            yield from _flat(entry.metadata)
            if entry.discriminator is not None:
                yield entry
        elif getattr(entry, _GROUPED, False):
            yield from entry
        else:
            yield entry


def below(path: str, name: str) -> str:
    """The path to a field of the struct at `path`."""
    return f"{path}.{name}" if path else name


def name_of(annotation: Any) -> str:
    """The annotation as people write it."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__name__
    return repr(annotation).replace("typing.", "")
