"""The command `spark-dynamo`: its entry, its exit codes, and how errors are told."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from spark_dynamo.commands import copy, local, pipelines, runs, scan, schema, tables
from spark_dynamo.errors import DynamoDBWrapperError

_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 it is done; 1 an error, told in a sentence on standard error; 2 a command line that is not understood; "
        "141 nobody reads the pipe any more; run has more. "
        "Example: spark-dynamo scan orders --filter \"id = 'o-1'\" --output json"
    ),
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"spark-dynamo {version('spark-dynamo')}")
        raise typer.Exit


@app.callback()
def _commands(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """DynamoDB tables in Apache Spark: tables, their items and the runs of pipelines, from the shell."""


app.add_typer(tables.app, name="tables")
app.add_typer(pipelines.app, name="pipelines")
for _commands_of in (schema, scan, copy, runs, local):
    _commands_of.register(app)


def main() -> None:
    """Run the command; a failure that this package foresees is one sentence, not a traceback."""
    if sys.stderr is None:  # as `2>&-` leaves it
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - to the end of the process
    try:
        app()
    except DynamoDBWrapperError as error:
        _tell(str(error))
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno not in _UNWRITABLE or error.filename is not None:
            raise
        from spark_dynamo.commands.output import end_output

        end_output()
        _tell(f"Standard output can't be written: {error.strerror}")
        raise SystemExit(1) from None


def _tell(problem: str) -> None:
    from rich.console import Console

    from spark_dynamo.commands.output import escape

    told = "\n".join(map(escape, problem.splitlines()))
    with suppress(OSError):  # standard error may be full, too
        Console(stderr=True, highlight=False).print(told, style="red", markup=False, soft_wrap=True)
