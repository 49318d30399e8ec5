"""Environments of other versions, made by uv, which keeps what it has fetched and built once."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# what leans on botocore's private parts
SENDING = ("-m", "not slow", "tests/aws/test_sending.py", "tests/aws/test_renewal.py", "tests/aws/test_internals.py")


@dataclass(frozen=True)
class Environment:
    """A virtual environment with this package, in editable mode."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run its Python; Spark's processes take it, too."""
        path = os.pathsep.join([str(self.python.parent), os.environ["PATH"]])
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=ROOT,
            env={**inherited, "PATH": path, "PYSPARK_PYTHON": str(self.python), **variables},
            capture_output=True,
            text=True,
            check=False,
        )


def make_environment(folder: Path, extras: str, *requirements: str) -> Environment:
    """A new one with the package, those of its extras, and what else uv is told to install."""
    made = Environment(folder)
    uv = str(Path(sys.executable).parent / "uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", str(made.python), *requirements]
    subprocess.run([*install, "--editable", f"{ROOT}[{extras}]"], check=True)
    return made
