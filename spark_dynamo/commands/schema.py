"""`spark-dynamo schema`: the columns that a table has in Spark."""

from __future__ import annotations

from typing import Annotated

import typer

from spark_dynamo.commands.options import (
    EndpointUrl,
    Environment,
    Output,
    Place,
    Profile,
    Raw,
    Region,
    RoleArn,
    TableName,
    TablePrefix,
)
from spark_dynamo.commands.output import show, write


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: spark-dynamo schema orders --model --name Order > order.py")(schema)


def schema(
    table: TableName,
    model: Annotated[bool, typer.Option("--model", help="Print the source of a Pydantic model instead.")] = False,
    name: Annotated[str | None, typer.Option(help="The model's name; made of the table's where left out.")] = None,
    sample: Annotated[
        int | None, typer.Option(help="How many items are read to infer a schema; 1000 by default.")
    ] = None,
    output: Output = "table",
    raw: Raw = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    environment: Environment = None,
    table_prefix: TablePrefix = None,
    role_arn: RoleArn = None,
) -> None:
    """Print the schema of a table that exists: that of its model, or inferred from a sample of its items."""
    from spark_dynamo.schema.generation.model_source import model_source
    from spark_dynamo.schema.generation.plan import model_name
    from spark_dynamo.schema.outline import outline
    from spark_dynamo.source.location import find
    from spark_dynamo.source.read.schemas import full_schema

    place = Place(endpoint_url, region, profile, environment, table_prefix, role_arn)
    options = place.options(table, samplingSize=sample)
    with place.near_names():
        found = full_schema(options, lambda: find(options))
    if model:
        write(model_source(found, name or model_name(table)))
        return
    rows = [
        {"column": row.path, "type": row.type, "DynamoDB": row.stored, "comment": row.comment} for row in outline(found)
    ]
    show(rows, ["column", "type", "DynamoDB", "comment"], output, f"Table {table}")
