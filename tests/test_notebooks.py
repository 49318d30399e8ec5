"""The notebooks run from top to bottom, each in a kernel of its own, on the embedded server."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ALL = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
# each takes up to a minute: `make test` runs the first steps and the two that go through all layers, `make notebooks` every one
NOTEBOOKS = (
    ALL if os.environ.get("NOTEBOOKS") == "all" else [path for path in ALL if path.stem[:2] in ("01", "05", "06")]
)


def test_there_are_notebooks() -> None:
    assert [path.stem[:2] for path in ALL] == ["01", "02", "03", "04", "05", "06"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_notebook_runs(notebook: Path, tmp_path: Path) -> None:
    """Any cell that raises is a CellExecutionError with the cell and its traceback."""
    content = nbformat.read(notebook, as_version=4)
    client = NotebookClient(
        content, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    asyncio.run(client.async_execute())
    assert all(cell.execution_count for cell in content.cells if cell.cell_type == "code"), sys.executable
