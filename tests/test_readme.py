"""The README tells the truth: its examples run, and its tables are made from the code.

`python -m tests.test_readme` writes the tables anew.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import spark_dynamo as sd
from spark_dynamo.config import ENVIRONMENT_VARIABLES, DynamoDBConfig
from spark_dynamo.schema.annotations.reference import annotation_types
from spark_dynamo.schema.drift.casts import cast_rows
from spark_dynamo.source.options.table import OPTIONS
from spark_dynamo.wire.types import LEAVES
from tests.runs.report.questions import in_markdown

README = Path(__file__).parents[1] / "README.md"

NESTED = [
    ("`STRUCT`", "M", "where the keys are known"),
    ("`MAP<STRING, ...>`", "M", "where the keys are free"),
    ("`ARRAY`", "L", "elements of one type"),
    ("`ARRAY` with metadata `SS`, `NS`, `BS`", "SS, NS, BS", "sets; elements of type S, N, B"),
    ("`VARIANT`", "any", "any value, types mixed as they like"),
]


def environment_table() -> Iterator[str]:
    yield "| variable | meaning |"
    yield "|---|---|"
    for field, variable in ENVIRONMENT_VARIABLES.items():
        yield f"| `{variable}` | {DynamoDBConfig.model_fields[field].description} |"


def options_table() -> Iterator[str]:
    yield "| option | default | meaning |"
    yield "|---|---|---|"
    for option in OPTIONS:
        yield f"| `{option.name}` | {option.shown_default} | {option.meaning} |"


def types_table() -> Iterator[str]:
    yield "| Spark | DynamoDB | notes |"
    yield "|---|---|---|"
    seen = set()
    for leaf in LEAVES:
        name = leaf.spark.typeName().upper()
        name = {"LONG": "BIGINT", "INTEGER": "INT", "SHORT": "SMALLINT", "BYTE": "TINYINT"}.get(name, name)
        name = name.replace("DAYTIMEINTERVAL", "INTERVAL DAY TO SECOND")
        metadata = f" with metadata `{leaf.tag}`" if name in seen else ""
        seen.add(name)
        yield f"| `{name}`{metadata} | {leaf.tag} | {leaf.note} |"
    for row in NESTED:
        yield f"| {' | '.join(row)} |"


def annotations_table() -> Iterator[str]:
    yield "| annotation | Spark | DynamoDB | notes |"
    yield "|---|---|---|---|"
    for row in annotation_types():
        kind = "STRUCT" if row.spark.startswith("STRUCT<PRICE") else row.spark
        yield f"| {_as_code(row.annotation)} | `{kind}` | {row.dynamodb} | {row.note} |"


def _as_code(annotation: str) -> str:
    """As code, but for what is said in words."""
    return annotation if annotation.startswith(("a ", "an ")) else f"`{annotation}`"


def casts_table() -> Iterator[str]:
    yield "| from | each value fits | each value is checked |"
    yield "|---|---|---|"
    rows: dict[str, dict[str, list[str]]] = {}
    for found, wanted, how in cast_rows():
        rows.setdefault(found, {"all": [], "each is checked": []})[how].append(wanted)
    for found, fits in rows.items():
        yield f"| `{found}` | {', '.join(fits['all'])} | {', '.join(fits['each is checked'])} |"


def names_table() -> Iterator[str]:
    yield "| `sd.` | what it is |"
    yield "|---|---|"
    for name in sorted(sd.__all__, key=lambda name: (name[0].islower(), name)):
        named = getattr(sd, name)
        if name != "__version__" and not (isinstance(named, type) and issubclass(named, Exception)):
            yield f"| `{name}` | {_first_sentence(named)} |"


def errors_table() -> Iterator[str]:
    yield "| error | what went wrong |"
    yield "|---|---|"

    def rows(error: type[Exception], depth: int) -> Iterator[str]:
        yield f"| {'· ' * depth}`{error.__name__}` | {_first_sentence(error)} |"
        for below in sorted(error.__subclasses__(), key=lambda below: below.__name__):
            if below.__name__ in sd.__all__:
                yield from rows(below, depth + 1)

    yield from rows(sd.DynamoDBWrapperError, 0)


def _first_sentence(named: object) -> str:
    """Of its docstring, in one line."""
    paragraph = (inspect.getdoc(named) or "").partition("\n\n")[0]
    return " ".join(paragraph.split()).replace("|", "\\|")


TABLES = {
    "environment": environment_table,
    "options": options_table,
    "types": types_table,
    "annotations": annotations_table,
    "casts": casts_table,
    "questions": in_markdown,
    "names": names_table,
    "errors": errors_table,
}


def with_tables(text: str) -> str:
    for name, make in TABLES.items():
        lines = "\n".join(make())
        pattern = rf"<!-- {name} -->.*?<!-- /{name} -->"
        assert re.search(pattern, text, re.DOTALL), name
        text = re.sub(pattern, lambda _, n=name, t=lines: f"<!-- {n} -->\n{t}\n<!-- /{n} -->", text, flags=re.DOTALL)
    return text


def test_tables_are_those_of_the_code() -> None:
    text = README.read_text()
    assert with_tables(text) == text, "run: python -m tests.test_readme"


@pytest.mark.slow
def test_examples_run(python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    """In a process of their own, as a reader would run them: what Spark's JVM prints is seen, too."""
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) > 5
    # the first one shows the idea before anything is set up
    code = "\n".join(blocks[1:]).replace("/tmp/orders", str(tmp_path / "orders"))
    done = python(code + "\nserver.stop()\nspark.stop()\n", timeout=560)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert "\tat " not in done.stderr, done.stderr  # a stack trace of Java's
    shown = done.stdout
    assert re.search(r"\| +o-1\| 19\.90\|", shown)
    assert re.search(r"sum\(amount\)\|\n\+-+\+\n\| +24\.90\|", shown)
    assert "root\n |-- run_id: string (nullable = false)" in shown


def test_the_readme_tells_of_each_public_name() -> None:
    text = README.read_text()
    for name in sd.__all__:
        assert f"`{name}`" in text or name == "__version__"
    for door in ("spark-dynamo local", "make bench", "make test-all"):
        assert door in text
    for extra in tomllib.loads((README.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]:
        assert f"`{extra}`" in text or extra == "test"


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
