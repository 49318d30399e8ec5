"""`spark-dynamo local` and `spark-dynamo demo`: a DynamoDB on this machine, and what the package does with one."""

from __future__ import annotations

import signal
import threading
from typing import Annotated, Literal

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: spark-dynamo local --port 8000")(local)
    app.command(epilog="Example: spark-dynamo demo")(demo)


_LOOK_SECONDS = 0.5


def local(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 8000,
    engine: Annotated[
        Literal["auto", "moto", "dynoxide"],
        typer.Option(help="The program that serves; auto takes dynoxide where it is installed, else moto."),
    ] = "auto",
) -> None:
    """Run a local DynamoDB in the foreground until Ctrl-C; its tables are gone then."""
    from spark_dynamo.commands.output import console
    from spark_dynamo.local import LocalDynamoDB

    screen = console(markup=True)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with LocalDynamoDB(port, share=False, engine=engine) as server:
        screen.print(
            f"Local DynamoDB ({server.engine}) at [bold]{server.endpoint_url}[/bold]. To use it, in another terminal:"
        )
        screen.print(f"  export DYNAMODB_ENDPOINT_URL={server.endpoint_url} AWS_REGION={server.region}")
        screen.print("  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local")
        screen.print("Ctrl-C ends it.")
        while not ended.wait(_LOOK_SECONDS):  # a signal just before the wait would not end one without a limit
            pass


def demo() -> None:
    """Write real tables to a local DynamoDB, read them back, and answer a question with them in Spark."""
    from spark_dynamo.commands.output import console
    from spark_dynamo.demo import run

    run(console(markup=True))
