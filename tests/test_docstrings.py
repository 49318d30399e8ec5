"""Examples in docstrings run, and each public name has one."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import spark_dynamo as sd

ROOT = Path(sd.__file__).parent
OWN_PROCESS = {"spark_dynamo.aws.tables", "spark_dynamo.metadata.tables"}  # see tests/metadata/test_tables.py


def source_of(name: str) -> Path:
    """The module's file; not by its import, since one is only for pyspark from 4.1 on."""
    path = Path(*name.split("."))
    return path / "__init__.py" if (ROOT.parent / path).is_dir() else path.with_suffix(".py")


MODULES = [
    module.name
    for module in pkgutil.walk_packages([str(ROOT)], "spark_dynamo.")
    if module.name not in OWN_PROCESS and ">>> " in (ROOT.parent / source_of(module.name)).read_text()
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_each_public_name_has_an_example() -> None:
    named = {name: getattr(sd, name) for name in sd.__all__ if name != "__version__"}
    bare = [name for name, what in named.items() if ">>> " not in (inspect.getdoc(what) or "")]
    assert [name for name in bare if not (isinstance(named[name], type) and issubclass(named[name], Exception))] == []


def test_each_docstring_stands_alone() -> None:
    """`help()` shows one without those before it."""
    leaning = [
        f"{path.relative_to(ROOT)}: {docstring.splitlines()[0]}"
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and (docstring := ast.get_docstring(node) or "").startswith("The same")
    ]
    assert leaning == []
