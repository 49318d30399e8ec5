"""From Spark schemas to the source of Pydantic models: `model_source`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from pyspark.sql.types import StructType

from spark_dynamo.schema.generation.formatting import formatted
from spark_dynamo.schema.generation.identifiers import free_name
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

    It imports what it uses, and is laid out by ruff, or else black, where one of them is installed; otherwise each field has one
    line. Raises SchemaError as `model_type` does.

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
    return formatted(_Writer(plan_model(struct, name)).source())


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
            yield f"from {module} import {', '.join(names)}"

    def _class(self, plan: ClassPlan) -> str:
        settings = [f"    model_config = {self._text(plan.settings)}", ""] if plan.settings else []
        fields = [self._field(field) for field in plan.fields]
        return "\n".join([f"class {plan.name}({self._names[BASE_MODEL]}):", *settings, *fields])

    def _field(self, field: FieldPlan) -> str:
        value = self._text(field.call) if field.call else "None" if field.has_default else None
        return f"    {field.attribute}: {self._text(field.annotation)}" + (f" = {value}" if value else "")

    def _text(self, part: Annotation | Call) -> str:
        match part:
            case Symbol():
                return self._names[part]
            case ClassPlan():
                return part.name
            case Optional():
                return f"{self._text(part.inner)} | None"
            case Subscript():
                return f"{self._names[part.base]}[{', '.join(map(self._text, part.arguments))}]"
            case Call():
                named = [f"{name}={_literal(value)}" for name, value in part.named.items()]
                return f"{self._names[part.function]}({', '.join([*map(_literal, part.arguments), *named])})"


def _literal(value: Any) -> str:
    """A value of JSON as Python writes it; texts in double quotes, unless single ones need fewer escapes."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_literal(key)}: {_literal(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if not isinstance(value, str):
        return repr(value)
    quote = "'" if value.count('"') > value.count("'") else '"'
    escaped = {"'": "'", '"': '"', quote: f"\\{quote}"}
    return quote + "".join(escaped.get(character) or repr(character)[1:-1] for character in value) + quote


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
