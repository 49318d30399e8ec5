"""What others add to the lists of a run's row while its driver keeps that row: found, and kept at its place.

A driver writes its lists whole, and others may append to them meanwhile, as `PipelineRunLogsRepository.add_log_message` does.
An element of the row that the driver has not written is another's. It stays behind those that stood before it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from spark_dynamo.metadata.models import RunStatus
from spark_dynamo.run_logs.state import LEFT_OPEN, OPEN_STATUSES
from spark_dynamo.wire.equality import comparable

__all__ = ["Others"]

_LISTS = ("stages", "log_messages", "data_quality_results")
_MOST_WATCHED = 80  # stages of others that may end; an expression has at most 4 KB

Element: TypeAlias = Mapping[str, Any]  # an attribute value in DynamoDB JSON
Item: TypeAlias = dict[str, dict[str, Any]]


@dataclass(slots=True)
class Others:
    """The elements of others in one row, and how the lists of that row stand.

    >>> others = Others()
    >>> message = {"M": {"message": {"S": "theirs"}}}
    >>> others.attempted({"log_messages": {"L": [{"S": "a"}]}})
    >>> others.found({"log_messages": {"L": [{"S": "a"}, message]}})
    >>> others.joined({"log_messages": {"L": [{"S": "a"}, {"S": "b"}]}})["log_messages"]
    {'L': [{'S': 'a'}, {'M': {'message': {'S': 'theirs'}}}, {'S': 'b'}]}
    >>> others.sizes, others.statuses
    ({'stages': 0, 'log_messages': 2, 'data_quality_results': 0}, {})
    """

    sizes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_LISTS, 0))  # how long each list of the row is
    statuses: dict[int, str] = field(default_factory=dict)  # of stages of others that may end yet, by their place
    # by list, each with the number of the driver's that stand before
    _elements: dict[str, list[tuple[int, Element]]] = field(default_factory=dict)
    _own: dict[str, set[Hashable]] = field(default_factory=dict)  # by what the driver's are known, in each list
    _newest: dict[str, set[Hashable]] = field(default_factory=dict)  # the same of its last attempt

    def attempted(self, own: Mapping[str, Any]) -> None:
        """Note what the driver is about to write of its own: it may come to be in the row though no answer says so."""
        for name in _LISTS:
            if name in own:
                self._newest[name] = {_identity(name, element) for element in _elements(own, name)}
                self._own[name] = self._own.get(name, set()) | self._newest[name]

    def found(self, row: Mapping[str, Any]) -> None:
        """Take in a row as it is stored, where it is not as the driver left it."""
        self._elements = {}
        for name in _LISTS:
            written = self._own.get(name, set())
            before = 0
            theirs = []
            for element in _elements(row, name):
                if _identity(name, element) in written:
                    before += 1
                else:
                    theirs.append((before, element))
            if theirs:
                self._elements[name] = theirs
        self.sizes = dict.fromkeys(_LISTS, 0)
        self._stands(row)

    def joined(self, item: Item) -> Item:
        """The driver's attributes with the elements of others in the lists that have some; the end of a run ends its stages."""
        joined = dict(item)
        is_ended = item.get("status", {}).get("S") not in OPEN_STATUSES
        for name, theirs in self._elements.items():
            if name == "stages" and is_ended:
                theirs = [(before, _cancelled(stage, item)) for before, stage in theirs]
            joined[name] = {"L": list(_merged(_elements(item, name), theirs))}
        checks = self._elements.get("data_quality_results", ())
        if any(_field(check, "passed") == {"BOOL": False} for _, check in checks):
            joined["data_quality_passed"] = {"BOOL": False}
        return joined

    def written(self, attributes: Mapping[str, Any]) -> None:
        """Take in that the driver's last attempt has left the row with these attributes."""
        for name in self._newest.keys() & attributes.keys():
            self._own[name] = self._newest[name]
        self._stands(attributes)

    def _stands(self, attributes: Mapping[str, Any]) -> None:
        for name in _LISTS:
            if "L" in attributes.get(name, ()):
                self.sizes[name] = len(_elements(attributes, name))
            elif name in attributes:  # no list: nothing of it can stay
                self.sizes.pop(name, None)
        if "stages" in attributes:
            theirs = {_identity("stages", stage) for _, stage in self._elements.get("stages", ())}
            watched = [
                (place, status)
                for place, stage in enumerate(_elements(attributes, "stages"))
                if _identity("stages", stage) in theirs
                and (status := _field(stage, "status").get("S")) in OPEN_STATUSES
            ]
            self.statuses = dict(watched[-_MOST_WATCHED:])


def _elements(item: Mapping[str, Any], name: str) -> Sequence[Element]:
    held: Sequence[Element] = item.get(name, {}).get("L", ())
    return held


def _identity(name: str, element: Element) -> Hashable:
    if name == "stages":  # which change while they run
        return comparable(_field(element, "stage_name")), comparable(_field(element, "start_time"))
    return comparable(element)


def _field(element: Element, name: str) -> Mapping[str, Any]:
    held: Mapping[str, Any] = element.get("M", {}).get(name, {"NULL": True})
    return held


def _cancelled(stage: Element, item: Item) -> Element:
    """A stage as it is after the end of its run."""
    if _field(stage, "status").get("S") not in OPEN_STATUSES:
        return stage
    end = {"end_time": item["end_time"]} if "end_time" in item else {}
    return {"M": {**stage["M"], **end, "status": {"S": RunStatus.CANCELLED.value}, "error_message": {"S": LEFT_OPEN}}}


def _merged(own: Sequence[Element], theirs: Sequence[tuple[int, Element]]) -> Iterator[Element]:
    place = 0
    for before, element in theirs:
        yield from own[place:before]
        place = max(place, before)
        yield element
    yield from own[place:]
