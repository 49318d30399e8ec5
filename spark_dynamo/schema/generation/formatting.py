"""Python source laid out by the formatter that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["formatted"]

# by their own defaults, whatever the folder says in which this runs
_FORMATTERS = {"ruff": ("format", "--isolated", "-"), "black": ("--quiet", "--config", os.devnull, "-")}
_SECONDS = 30.0


def formatted(source: str) -> str:
    """Source as ruff, or else black, lays it out by default, in lines of 88 characters; unchanged where neither is installed.

    >>> formatted("x = 1\\n")
    'x = 1\\n'
    """
    for name, arguments in _FORMATTERS.items():
        program = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
        if program is None:
            continue
        try:
            done = subprocess.run(  # noqa: S603 - of the environment that this runs in
                [program, *arguments],
                input=source.encode(),
                capture_output=True,
                check=True,
                timeout=_SECONDS,
            )
        except (OSError, subprocess.SubprocessError):  # one that does not work is as good as none
            continue
        return done.stdout.decode()
    return source
