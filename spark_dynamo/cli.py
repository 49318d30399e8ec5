"""The command `spark-dynamo`."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer
from rich.console import Console

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


def main() -> None:
    """Run the command; a failure that this package foresees is one sentence, not a traceback."""
    try:
        app()
    except DynamoDBWrapperError as error:
        Console(stderr=True, highlight=False).print(str(error), style="red", markup=False, soft_wrap=True)
        raise SystemExit(1) from None
