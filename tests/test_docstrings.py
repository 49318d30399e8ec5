"""Examples in docstrings run, and each public name has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import spark_dynamo as sd

ROOT = Path(sd.__file__).parent
OWN_PROCESS = {"spark_dynamo.aws.tables", "spark_dynamo.metadata.tables"}  # see tests/metadata/test_tables.py
MODULES = [
    module.name
    for module in pkgutil.walk_packages([str(ROOT)], "spark_dynamo.")
    if module.name not in OWN_PROCESS and ">>> " in inspect.getsource(importlib.import_module(module.name))
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", [name for name in sd.__all__ if name != "__version__"])
def test_each_public_name_has_an_example(name: str) -> None:
    named = getattr(sd, name)
    if not (isinstance(named, type) and issubclass(named, Exception)):
        assert ">>> " in (inspect.getdoc(named) or "")
