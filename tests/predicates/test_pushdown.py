"""No row is lost: neither by the domains of attributes nor by filter expressions, on real servers."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from spark_dynamo.errors import OptionError
from spark_dynamo.predicates.evaluate import mask
from spark_dynamo.predicates.express import Placeholders, filter_expression
from spark_dynamo.predicates.intervals import ALL, Domains
from spark_dynamo.predicates.parse import parse_predicate
from spark_dynamo.predicates.tree import Node, references
from spark_dynamo.wire.types import leaf_of, storage_tag
from tests.conftest import Server
from tests.predicates.generate import SCHEMA, predicate
from tests.predicates.items import Item, decode, fits, item, misfit

WIRE: dict[str, Any] = {"S": str, "N": Decimal, "B": bytes, "BOOL": bool}
ZONES = ["UTC", "Pacific/Kiritimati", "-11:30"]


def predicates(chance: random.Random, count: int) -> list[tuple[str, Node]]:
    found = []
    while len(found) < count:
        text = predicate(chance, chance.choice([0, 0, 1, 2]))
        try:
            found.append((text, parse_predicate(text, SCHEMA)))
        except OptionError:
            continue
    return found


@pytest.mark.parametrize("seed", range(2))
def test_every_row_that_fits_lies_within_the_domain_of_each_attribute(seed: int) -> None:
    chance = random.Random(seed)
    items = [item(chance, str(number)) for number in range(150)]
    batch = decode(items)
    restricted = 0
    for text, node in predicates(chance, 300):
        chosen = mask(node, batch, chance.choice(ZONES), size_of_null=chance.choice([None, -1])).to_pylist()
        for field in SCHEMA:
            domain = Domains.of(node)[field.name]
            restricted += domain is not ALL
            if domain.is_all:
                continue
            for one, fitting in zip(items, chosen, strict=True):
                if fitting:
                    attribute = one.get(field.name, {"NULL": True})
                    assert "NULL" not in attribute, f"{text}: {field.name} must not be null"
                    assert _value(field, attribute) in domain, f"{text}: {attribute} is not in {domain}"
    assert restricted > 300


def _value(field: Any, attribute: Item) -> Any:
    tag, value = next(iter(attribute.items()))
    if tag in WIRE:
        assert leaf_of(field.dataType, storage_tag(field), field.name).tag == tag
        return WIRE[tag](value)
    return ""  # of no leaf it is only said that it exists


def scan(client: Any, table: str, expression: str, placeholders: Placeholders) -> set[str]:
    request: dict[str, Any] = {"FilterExpression": expression, "ExpressionAttributeNames": placeholders.names}
    if placeholders.values:
        request["ExpressionAttributeValues"] = placeholders.values
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True, **request)
    return {one["id"]["S"] for page in pages for one in page["Items"]}


def test_a_filter_expression_lets_every_row_through_that_fits(server: Server) -> None:
    chance = random.Random(7)
    client, table = server.client, server.create()
    server.put(table, *(item(chance, str(number)) for number in range(40)))
    items = server.items(table)
    batch = decode(items)
    said = spared = 0
    for text, node in predicates(chance, 70):
        placeholders = Placeholders()
        exclude = (
            frozenset(chance.sample(sorted(references(node)), 1))
            if chance.random() < 0.1 and references(node)
            else frozenset()
        )
        expression = filter_expression(node, placeholders, exclude=exclude, reject_nulls=chance.random() < 0.2)
        assert exclude.isdisjoint(placeholders.names.values())
        if expression is None:
            assert not placeholders.names
            assert not placeholders.values
            continue
        returned = scan(client, table, expression, placeholders)
        chosen = mask(node, batch, chance.choice(ZONES), size_of_null=chance.choice([None, -1])).to_pylist()
        lost = {one["id"]["S"] for one, fitting in zip(items, chosen, strict=True) if fitting} - returned
        assert not lost, (
            f"{text}\n{expression}\n{placeholders}\nloses {[one for one in items if one['id']['S'] in lost][:1]}"
        )
        said += 1
        spared += len(items) - len(returned)
    assert said > 45
    assert spared > said * len(items) / 4  # it is no use if it lets all through


def test_what_is_read_as_null_because_it_does_not_fit_is_let_through_where_null_fits(server: Server) -> None:
    chance = random.Random(11)
    client, table = server.client, server.create()
    whole = [item(chance, str(number)) for number in range(40)]
    for one in whole:
        for name in list(one):
            if name != "id" and chance.random() < 0.2:
                one[name] = misfit(chance, one[name])
    server.put(table, *whole)
    stored = server.items(table)
    fitting = [{name: value for name, value in one.items() if name == "id" or fits(name, value)} for one in stored]
    batch = decode(fitting)
    for text, node in predicates(chance, 45):
        placeholders = Placeholders()
        expression = filter_expression(node, placeholders, reject_nulls=True)
        if expression is None:
            continue
        chosen = mask(node, batch).to_pylist()
        lost = {one["id"]["S"] for one, keep in zip(stored, chosen, strict=True) if keep} - scan(
            client, table, expression, placeholders
        )
        assert not lost, f"{text}\n{expression}\nloses {[one for one in stored if one['id']['S'] in lost][:1]}"
