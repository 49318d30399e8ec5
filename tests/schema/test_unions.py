"""Unions of models that name one another: the walk and the values take a time that grows as the models and the values do."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated, Any, ForwardRef, Generic, Literal, TypeVar

import pytest
from pydantic import AfterValidator, BaseModel, RootModel, create_model

from spark_dynamo.errors import SchemaError
from spark_dynamo.schema.annotations.places import Place, Walk
from spark_dynamo.schema.bridge import _node, node_of
from spark_dynamo.schema.nodes import Node
from spark_dynamo.schema.policy import SchemaPolicy
from tests.schema.models import through_arrow

POLICIES = [SchemaPolicy(model_unions="variant", recursion=levels) for levels in ("error", "variant", 1)]
VARIANT = POLICIES[0]
T = TypeVar("T")


def walks(model: type[BaseModel], policy: SchemaPolicy = VARIANT) -> int:
    """How many annotations are looked at for a model's schema."""
    count = itertools.count()

    def node(place: Place, annotation: Any) -> Node:
        next(count)
        return _node(place, annotation)

    Walk(node, "validation", None, policy).start.node(model)
    return next(count)


def mutual(size: int) -> type[BaseModel]:
    """The first of so many models, each of which holds each other in two fields."""
    names = [f"Model{number}" for number in range(size)]
    union: Any = ForwardRef(" | ".join(names))
    models = {
        name: create_model(name, value=(int, 0), one=(union | None, None), some=(list[union], []), **{name: (int, 0)})
        for name in names
    }
    for model in models.values():
        model.model_rebuild(_types_namespace=models)
    return models[names[0]]


def chain(levels: int) -> type[BaseModel]:
    below: Any = int
    for level in range(levels):
        first = create_model(f"A{level}", below=(below, ...), a=(int, 0))
        second = create_model(f"B{level}", below=(below, ...), others=(list[below], []), b=(int, 0))
        below = first | second
    return create_model("Top", below=(below, ...))


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: str(policy.recursion))
def test_models_that_hold_one_another_are_walked_once(policy: SchemaPolicy) -> None:
    assert walks(mutual(12), policy) < 5 * walks(
        mutual(6), policy
    )  # each union has twice the arms, and stands twice as often


def test_a_chain_of_unions_is_walked_level_by_level() -> None:
    assert walks(chain(30)) <= 2.2 * walks(chain(15))


_validated = itertools.count()


class Number(BaseModel):
    value: Annotated[int, AfterValidator(lambda value: (next(_validated), value)[1])]


class Sum(BaseModel):
    left: Sum | Product | Number
    right: Sum | Product | Number
    kind: Literal["sum"] = "sum"


class Product(BaseModel):
    left: Sum | Product | Number
    right: Sum | Product | Number
    kind: Literal["product"] = "product"


def deep(levels: int) -> Product:
    value: Any = Number(value=0)
    for number in range(levels):
        value = Product(left=value, right=Number(value=number))
    return value


def test_values_of_models_that_hold_one_another_come_back_in_a_time_that_grows_as_they_do() -> None:
    node = node_of(Product, policy=VARIANT)

    def validations(levels: int) -> int:
        value = deep(levels)
        before = next(_validated)
        assert Product.model_validate(through_arrow(node, value)) == value
        return next(_validated) - before

    few = validations(4)
    assert validations(8) <= 8 * few  # twice as deep, and read back at each level for proof


def test_what_is_wrong_with_a_value_is_told_with_its_own_path() -> None:
    node = node_of(Product, policy=VARIANT)
    wrong = Number.model_construct(value=None)
    for value, path in [
        (Product(left=Number(value=1), right=wrong), "right.value"),
        (Product(left=Product(left=wrong, right=Number(value=1)), right=Number(value=2)), "left.left.value"),
        (Product(left=Sum(left=Number(value=1), right=wrong), right=Number(value=2)), "left.right.value"),
    ]:
        with pytest.raises(ValueError, match=f"^{path} is None, which its type doesn't allow"):
            through_arrow(node, value)


class Wrong(BaseModel, arbitrary_types_allowed=True):
    value: complex | Iterator


class Iterator:
    pass


Wrong.model_rebuild()


def test_what_has_no_type_is_refused_where_it_is_first_met() -> None:
    model = create_model(
        "Model", first=(Number | Sum, ...), second=(list[Number | Wrong], ...), third=(Wrong | Sum, ...)
    )
    with pytest.raises(SchemaError) as caught:
        node_of(model, policy=VARIANT)
    assert caught.value.path == "second[].value"


class Base(BaseModel):
    number: int


class Derived(Base):
    more: int


class Holder(BaseModel):
    first: Base | Derived
    second: Derived | Base
    third: list[Base | Derived]


class Wrapped(RootModel[Base]):
    pass


@dataclass
class Box(Generic[T]):
    content: T
    other: Box[T] | Base | None = None


def test_arms_that_were_walked_before_take_what_those_take_that_were_not() -> None:
    values = [Base(number=1), Derived(number=1, more=2)]
    node = node_of(Holder, policy=VARIANT)
    for one, other in itertools.product(values, values):
        value = Holder(first=one, second=other, third=[other, one])
        assert Holder.model_validate(through_arrow(node, value)) == value
    model = create_model("Model", x=(Base | Number, ...), y=(Wrapped | Base, ...), z=(Box[Base] | Number, ...))
    for y, z in [
        (Wrapped(Base(number=2)), Number(value=1)),
        (Wrapped(Base(number=2)), Box(Base(number=1), Box(Base(number=2)))),
    ]:
        held = model(x=Base(number=1), y=y, z=z)
        assert model.model_validate(through_arrow(node_of(model, policy=VARIANT), held)) == held


def test_levels_of_recursion_hold_within_unions() -> None:
    node = node_of(Product, policy=SchemaPolicy(model_unions="variant", recursion=2))
    assert Product.model_validate(through_arrow(node, deep(1))) == deep(1)
