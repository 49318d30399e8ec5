"""What tests want of the machine beside Python: where it can't be had they are skipped by name, and fail in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Skip the test for that reason, or fail it where `CI` is `true`: there all that is wanted must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (a failure, not a skip, because CI is true)", pytrace=False)
    pytest.skip(reason)
