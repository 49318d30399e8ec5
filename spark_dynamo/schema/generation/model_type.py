"""From Spark schemas to Pydantic models: `model_type`."""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel, create_model
from pyspark.sql.types import StructType

from spark_dynamo.schema.generation.parts import Annotation, Call, ClassPlan, Optional, Subscript, Symbol
from spark_dynamo.schema.generation.plan import plan_model

__all__ = ["model_type"]


def model_type(struct: StructType, name: str = "Model") -> type[BaseModel]:
    """A Pydantic model of a Spark schema: `struct_type` of it is the same schema, nullability and metadata included.

    A nullable column is `X | None` and None by default. Structs are models of their own, named after their path; comments
    are descriptions; DynamoDB's sets are sets, epoch numbers `Annotated[..., StorageForm("N")]`. A type that no annotation
    stands for is written `Annotated[int, SparkType("INT")]`, a column that can't be an attribute has an alias.
    `model_source` writes the same model. Raises SchemaError, with the path to the field, where no model has that schema: a
    struct without fields or with two of one name, keys of maps that are no single values, a type of a user's own.

    >>> struct = StructType().add("order_id", "string", nullable=False).add("price", "decimal(10,2)")
    >>> model_type(struct, "Order")(order_id="1", price="9.50")
    Order(order_id='1', price=Decimal('9.50'))
    """
    return _made(plan_model(struct, name))


def _made(plan: ClassPlan) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for field in plan.fields:
        default = None if field.has_default else ...
        fields[field.attribute] = (_value(field.annotation), _value(field.call) if field.call else default)
    settings = _value(plan.settings) if plan.settings else None
    return cast("type[BaseModel]", create_model(plan.name, __config__=settings, __module__=__name__, **fields))


def _value(part: Annotation | Call) -> Any:
    match part:
        case Symbol():
            return part.value
        case ClassPlan():
            return _made(part)
        case Optional():
            return _value(part.inner) | None
        case Subscript():
            return part.base.value[tuple(map(_value, part.arguments))]
        case Call():
            return part.function.value(*part.arguments, **part.named)
