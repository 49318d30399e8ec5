"""The errors of the options that hold a predicate: `filter`, and a write's `condition`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from spark_dynamo.errors import OptionError

_INSTEAD = "use .where(...) after load"  # what errors advise where the text can't be put right
_about: ContextVar[tuple[str, str]] = ContextVar("_about", default=("filter", _INSTEAD))


def refused(problem: str) -> OptionError:
    """The error of the option at hand."""
    option, instead = _about.get()
    return OptionError(option, problem.replace(_INSTEAD, instead))


@contextmanager
def refusing(option: str, instead: str) -> Iterator[None]:
    """Within it, errors are about another option than `filter`, and advise something else."""
    token = _about.set((option, instead))
    try:
        yield
    finally:
        _about.reset(token)


def near(text: str, start: int) -> str:
    """A place in the text, as errors name it."""
    rest = " ".join(text[start : start + 30].split())
    return f"near '{rest}' (character {start + 1})" if rest else "at its end"
