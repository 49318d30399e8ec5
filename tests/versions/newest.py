"""Unit tests, and those of our own sending beside botocore's, with the newest of everything that pip finds: says what breaks
there, and never fails.

`python -m tests.versions.newest`. What is pinned for the tests is raised by `make lock`.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.versions.environments import SENDING, make_environment

TIERS = {"unit tests": ("-m", "unit"), "tests of sending": SENDING}


def main() -> None:
    """Print a line for what passed, and one for each test that did not."""
    with TemporaryDirectory() as folder:
        try:
            made = make_environment(Path(folder, "env"), "test", "--upgrade")
        except (subprocess.SubprocessError, OSError) as error:
            print(f"With the newest of everything: not tried, since it can't be installed: {error}")
            return
        for what, chosen in TIERS.items():
            done = made.run("-m", "pytest", "-q", *chosen, "-p", "no:cacheprovider", "-n", "2", "-ra")
            counts = {name: int(count) for count, name in re.findall(r"(\d+) (passed|failed|error)", done.stdout)}
            wrong = re.findall(r"^(?:FAILED|ERROR) .*", done.stdout, re.MULTILINE)
            print(f"With the newest of everything: {counts.get('passed', 0)} {what} hold, {len(wrong)} break")
            for line in wrong:
                print(f"  breaks: {line}")
            if not counts:
                print(done.stdout[-3000:] + done.stderr[-1000:])


if __name__ == "__main__":
    main()
