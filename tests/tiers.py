"""What each test needs, and so which command runs it; README and CONTRIBUTING name the commands.

A test is marked by what it uses: `spark` for the shared Spark session, `server` for anything that listens at a port, `jvm`
for a Java of its own, and `unit` for none of them; what no fixture tells is marked in the tests. `jvm` and `slow` are left to
`make test-all`. All tests of the shared session run in one process, so that there is one JVM.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterable
from pathlib import PurePath
from tempfile import gettempdir
from typing import Any

import pytest

# by these fixtures
_NEEDS = {
    "spark": {"spark"},
    "server": {"local_server", "moto_server", "dynoxide_server", "server"},
    "jvm": {"driver", "cluster", "address"},
}
_JAVA = {"java", "spark-submit", "spark-class"}

# what takes a minute or more begins first, so that no test process waits for another at the end
_LONGEST = ("test_notebooks.py", "test_stopping.py", "test_versions.py", "test_task_retries.py", "test_cluster.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for name in _needs(item):
            item.add_marker(name)
        if item.get_closest_marker("spark"):
            item.add_marker(pytest.mark.xdist_group("spark"))
        elif _NEEDS["jvm"] & set(getattr(item, "fixturenames", ())):  # one JVM for the tests of a file
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=_rank)


def pytest_collection_finish(session: pytest.Session) -> None:
    """End where pytest-xdist does not group tests: then each process would have a Spark session of its own."""
    if getattr(session.config.option, "loadgroup", False):
        apart = [
            item.nodeid for item in session.items if item.get_closest_marker("xdist_group") and "@" not in item.nodeid
        ]
        assert not apart, f"pytest-xdist groups no tests with pytest {pytest.__version__}: {apart[0]} is in no group"


def _needs(item: pytest.Item) -> list[str]:
    used = set(getattr(item, "fixturenames", ()))
    own = {mark.name for mark in item.iter_markers()}
    needs = [name for name, fixtures in _NEEDS.items() if used & fixtures]
    if "jvm" in own or "jvm" in needs:
        needs.append("slow")
    return needs if needs or own & {"server", "slow"} else ["unit"]


def _rank(item: pytest.Item) -> int:
    if item.path.name in _LONGEST:
        return _LONGEST.index(item.path.name)
    return len(_LONGEST) + (item.get_closest_marker("spark") is None)


def quick(count: int, cases: Iterable[Any]) -> list[Any]:
    """Cases for `parametrize`, of which all but the first are left to `make test-all`."""
    cases = list(cases)
    later = [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow) for case in cases[count:]
    ]
    return cases[:count] + later


class Guard:
    """Says of a unit test that it starts a server or Java: both are told by Python's audit events."""

    def __init__(self) -> None:
        self.item: pytest.Item | None = None
        self.seen = ""

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.item is None:
            return
        if event == "socket.bind" and isinstance(arguments[1], tuple):  # neither a path nor a kernel's own family
            self._refuse(f"listens at {arguments[1]}")
        if event == "subprocess.Popen" and any(map(_is_java, (arguments[0], *arguments[1]))):
            self._refuse(f"starts {' '.join(map(str, arguments[1]))[:200]}")

    def _refuse(self, what: str) -> None:
        self.seen = what
        raise AssertionError(f"a test of the unit tier {what}")


def _is_java(word: Any) -> bool:
    """Whether that is a name of Java's or Spark's programs, and not a stand-in that a test has made."""
    return PurePath(str(word)).name in _JAVA and not str(word).startswith(gettempdir())


guard = Guard()
sys.addaudithook(guard)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    if not item.get_closest_marker("unit"):
        return (yield)
    guard.item, guard.seen = item, ""
    home = os.environ.get("JAVA_HOME")
    os.environ["JAVA_HOME"] = "/the/unit/tier/has/no/Java"  # nor have processes that the test starts
    try:
        return (yield)
    finally:
        guard.item = None
        os.environ.pop("JAVA_HOME")
        if home is not None:
            os.environ["JAVA_HOME"] = home


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    result = yield
    assert not guard.seen, f"a test of the unit tier {guard.seen}: mark it `server` or `jvm`"  # somebody swallowed it
    return result
