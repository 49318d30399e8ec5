"""From Spark schemas to the source of Pydantic models: `model_source`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pyspark.sql.types import StructType

from spark_dynamo.schema.generation import layout
from spark_dynamo.schema.generation.identifiers import free_name
from spark_dynamo.schema.generation.layout import Document
from spark_dynamo.schema.generation.parts import (
    BUILTINS,
    Annotation,
    Call,
    ClassPlan,
    FieldPlan,
    Optional,
    Subscript,
    Symbol,
)
from spark_dynamo.schema.generation.plan import BASE_MODEL, plan_model

__all__ = ["model_source"]

# what does not come with Python stands in a block of its own
_INSTALLED = frozenset({"pydantic", "spark_dynamo"})


def model_source(struct: StructType, name: str = "Model") -> str:
    """The source of a module with a Pydantic model of a Spark schema, the same one that `model_type` makes.

    It is formatted as `ruff format` has it by default, in lines of 88 characters, and imports what it uses. Raises
    SchemaError as `model_type` does.

    >>> struct = StructType().add("order_id", "string", nullable=False).add("price", "decimal(10,2)")
    >>> print(model_source(struct, "Order"))
    from decimal import Decimal
    <BLANKLINE>
    from pydantic import BaseModel, Field
    <BLANKLINE>
    <BLANKLINE>
    class Order(BaseModel):
        order_id: str
        price: Decimal | None = Field(default=None, max_digits=10, decimal_places=2)
    <BLANKLINE>
    """
    return _Writer(plan_model(struct, name)).source()


class _Writer:
    """One module; `_names` says by which name it knows what it uses."""

    def __init__(self, plan: ClassPlan) -> None:
        self._classes = list(plan.classes())
        attributes = {field.attribute for found in self._classes for field in found.fields}
        taken = attributes | {found.name for found in self._classes}
        # a class's attribute hides what the module has by the same name
        self._names: dict[Symbol, str] = {}
        for symbol in sorted({symbol for found in self._classes for symbol in _symbols(found)}, key=_order):
            is_hidden = symbol.module != BUILTINS and symbol.name in attributes
            self._names[symbol] = free_name(f"{symbol.name}_", taken) if is_hidden else symbol.name
            taken.add(self._names[symbol])

    def source(self) -> str:
        classes = [self._class(found) for found in self._classes]
        return "\n\n\n".join([self._imports(), *classes]) + "\n"

    def _imports(self) -> str:
        by_module: dict[str, list[Symbol]] = defaultdict(list)
        for symbol in self._names:
            by_module[symbol.module].append(symbol)
        by_module.pop(BUILTINS, None)
        blocks = [
            [line for module in sorted(modules) for line in self._imported(module, by_module[module])]
            for modules in (by_module.keys() - _INSTALLED, by_module.keys() & _INSTALLED)
        ]
        return "\n\n".join("\n".join(block) for block in blocks if block)

    def _imported(self, module: str, symbols: list[Symbol]) -> Iterator[str]:
        """One statement for those that keep their names and one for each other, in the order of the first names."""
        plain = [symbol.name for symbol in symbols if self._names[symbol] == symbol.name]
        renamed = [[f"{symbol.name} as {self._names[symbol]}"] for symbol in symbols if symbol.name not in plain]
        for names in sorted([plain, *renamed] if plain else renamed):
            yield layout.from_import(module, names)

    def _class(self, plan: ClassPlan) -> str:
        settings = []
        if plan.settings:
            settings = [layout.statement(("model_config = ", self._document(plan.settings))), ""]
        fields = [self._field(field) for field in plan.fields]
        return "\n".join([layout.class_header(plan.name, self._names[BASE_MODEL]), *settings, *fields])

    def _field(self, field: FieldPlan) -> str:
        default: Document | None = "None" if field.has_default else None
        value = self._document(field.call) if field.call else default
        return layout.assignment(field.attribute, self._document(field.annotation), value)

    def _document(self, part: Annotation | Call) -> Document:
        match part:
            case Symbol():
                return self._names[part]
            case ClassPlan():
                return part.name
            case Optional():
                return layout.union(self._document(part.inner), "None")
            case Subscript():
                return layout.subscript(self._names[part.base], [self._document(inner) for inner in part.arguments])
            case Call():
                named = [(f"{name}=", layout.literal(value)) for name, value in part.named.items()]
                return layout.call(self._names[part.function], [*map(layout.literal, part.arguments), *named])


def _order(symbol: Symbol) -> tuple[str, str]:
    return symbol.module, symbol.name


def _symbols(part: Annotation | Call) -> Iterator[Symbol]:
    """What a class, an annotation or a call uses."""
    match part:
        case Symbol():
            yield part
        case ClassPlan():
            yield BASE_MODEL
            for call in (part.settings, *(field.call for field in part.fields)):
                if call:
                    yield call.function
            for field in part.fields:
                if not isinstance(field.annotation, ClassPlan):
                    yield from _symbols(field.annotation)
        case Optional():
            yield from _symbols(part.inner)
        case Subscript():
            yield part.base
            for argument in part.arguments:
                yield from _symbols(argument)
        case Call():
            yield part.function
