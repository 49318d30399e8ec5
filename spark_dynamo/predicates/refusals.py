"""The errors of the option `filter`."""

from __future__ import annotations

from spark_dynamo.errors import OptionError


def refused(problem: str) -> OptionError:
    """The error of this option."""
    return OptionError("filter", problem)


def near(text: str, start: int) -> str:
    """A place in the text, as errors name it."""
    rest = " ".join(text[start : start + 30].split())
    return f"near '{rest}' (character {start + 1})" if rest else "at its end"
