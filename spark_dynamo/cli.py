"""The command `spark-dynamo`."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spark_dynamo.errors import DynamoDBWrapperError
from spark_dynamo.local import LocalDynamoDB

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False, help="DynamoDB tables in Apache Spark.")
_console = Console(highlight=False)


@app.callback()
def _commands() -> None:
    """DynamoDB tables in Apache Spark."""


@app.command(epilog="Example: spark-dynamo local --port 8000")
def local(port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 8000) -> None:
    """Run a local DynamoDB in the foreground until Ctrl-C; its tables are gone then."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with LocalDynamoDB(port, share=False) as server:
        _console.print(f"Local DynamoDB at [bold]{server.endpoint_url}[/bold]. To use it, in another terminal:")
        _console.print(f"  export DYNAMODB_ENDPOINT_URL={server.endpoint_url} AWS_REGION={server.region}")
        _console.print("  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local")
        _console.print("Ctrl-C ends it.")
        ended.wait()


@app.command(epilog="Example: spark-dynamo demo")
def demo() -> None:
    """Write real tables to a local DynamoDB, read them back, and answer a question with them in Spark."""
    from spark_dynamo.demo import run

    run(_console)


@app.command(epilog="Example: spark-dynamo schema orders --model --name Order > order.py")
def schema(
    table: Annotated[str, typer.Argument(help="A table's name in DynamoDB, or a metadata table's logical name.")],
    model: Annotated[bool, typer.Option("--model", help="Print the source of a Pydantic model instead.")] = False,
    name: Annotated[str | None, typer.Option(help="The model's name; made of the table's where left out.")] = None,
    endpoint_url: Annotated[
        str | None, typer.Option(help="Where DynamoDB listens, such as http://127.0.0.1:8000.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="The AWS region, such as eu-central-1.")] = None,
    profile: Annotated[str | None, typer.Option(help="The AWS profile whose credentials are taken.")] = None,
    sample: Annotated[
        int | None, typer.Option(help="How many items are read to infer a schema; 1000 by default.")
    ] = None,
) -> None:
    """Print the schema of a table that exists: that of its model, or inferred from a sample of its items."""
    from spark_dynamo.schema.generation.model_source import model_source
    from spark_dynamo.schema.generation.plan import model_name
    from spark_dynamo.schema.outline import outline
    from spark_dynamo.source.location import find
    from spark_dynamo.source.options import SourceOptions, option_texts
    from spark_dynamo.source.schemas import full_schema

    given = {"endpointUrl": endpoint_url, "region": region, "profile": profile, "samplingSize": sample, "table": table}
    options = SourceOptions(option_texts(given))
    found = full_schema(options, lambda: find(options))
    if model:
        typer.echo(model_source(found, name or model_name(table)), nl=False)
        return
    shown = Table("column", "type", "DynamoDB", "comment", title=f"Table {table}", title_justify="left", box=box.SIMPLE)
    for row in outline(found):
        shown.add_row(*(Text(cell, overflow="fold") for cell in (row.path, row.type, row.stored, row.comment)))
    _console.print(shown)


def main() -> None:
    """Run the command; a failure that this package foresees is one sentence, not a traceback."""
    try:
        app()
    except DynamoDBWrapperError as error:
        Console(stderr=True, highlight=False).print(str(error), style="red", markup=False, soft_wrap=True)
        raise SystemExit(1) from None
