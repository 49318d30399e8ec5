"""Python source as `ruff format` lays it out: expressions with places to break at, and the statements of a model.

A document is a text, one of the four classes here, or a tuple of documents. A group that fits on its line stays there; one
that does not breaks at all of its own lines, and the groups in it decide anew.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, Union

__all__ = [
    "Document",
    "assignment",
    "call",
    "class_header",
    "from_import",
    "literal",
    "statement",
    "subscript",
    "union",
]


@dataclass(frozen=True, slots=True)
class Line:
    """A place to break at, where else `flat` stands."""

    flat: str = ""


@dataclass(frozen=True, slots=True)
class IfBroken:
    """A text that stands only where its group breaks."""

    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """What breaks together where it doesn't fit."""

    content: Document


@dataclass(frozen=True, slots=True)
class Indent:
    """What is indented by one step where it breaks."""

    content: Document


# a Union, as it names itself
Document: TypeAlias = Union[str, Line, IfBroken, Group, Indent, "tuple[Document, ...]"]


# ---------------------------------------------------------------------------------------------------- expressions


def subscript(name: str, items: Sequence[Document]) -> Document:
    """`name[items]`."""
    return (f"{name}[", _arguments(items, IfBroken(",") if len(items) > 1 else ""), "]")


def call(name: str, arguments: Sequence[Document]) -> Document:
    """`name(arguments)`."""
    return (f"{name}(", _arguments(arguments, IfBroken(",")), ")")


def union(left: Document, right: str) -> Document:
    """`left | right`, broken before the operator."""
    return Group((left, Line(" "), f"| {right}"))


def literal(value: Any) -> Document:
    """A value of JSON as Python writes it."""
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, dict):
        return _display("{", [(_string(key), ": ", literal(inner)) for key, inner in value.items()], "}")
    if isinstance(value, list):
        return _display("[", [literal(inner) for inner in value], "]")
    return repr(value).replace("e+", "e")


def _arguments(items: Sequence[Document], end: Document) -> Document:
    """What stands in brackets: all on one line of its own, or else each on its own."""
    return Group((Indent((Line(), Group((*_separated(items), end)))), Line()))


def _parenthesized(content: Document) -> Document:
    """In parentheses on lines of its own where the group around it breaks."""
    return (IfBroken("("), Indent((Line(), content)), Line(), IfBroken(")"))


def _display(opening: str, items: Sequence[Document], closing: str) -> Document:
    """A list or dict, whose items never share a line of their own."""
    if not items:
        return opening + closing
    return (opening, Group((Indent((Line(), *_separated(items), IfBroken(","))), Line())), closing)


def _separated(items: Sequence[Document]) -> list[Document]:
    parts: list[Document] = []
    for item in items:
        parts += [",", Line(" "), item]
    return parts[2:]


def _string(text: str) -> str:
    """In double quotes, unless single ones need fewer escapes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    escaped = {"'": "'", '"': '"', quote: f"\\{quote}"}
    return quote + "".join(escaped.get(character) or repr(character)[1:-1] for character in text) + quote


# ---------------------------------------------------------------------------------------------------- statements


WIDTH = 88  # ruff's own


def from_import(module: str, names: Sequence[str]) -> str:
    """`from module import names`, each on its own line where they don't fit on one."""
    return _print((f"from {module} import ", Group(_parenthesized((*_separated(names), IfBroken(","))))))


def class_header(name: str, base: str) -> str:
    """`class name(base):`."""
    return _print((f"class {name}(", _arguments([base], ""), "):"))


def statement(document: Document) -> str:
    """A statement in a class."""
    return _print(("    ", document), depth=1)


def assignment(name: str, annotation: Document, value: Document | None) -> str:
    """`name: annotation = value` in a class; without a value where that is None.

    ruff leaves the annotation on one line where at least the beginning of the value fits behind it.
    """
    head = f"    {name}: "
    is_union = isinstance(annotation, Group)
    held = Group(_parenthesized(annotation)) if is_union else annotation
    if value is None and isinstance(annotation, str):  # in parentheses only where that helps
        is_helpful = max(_width(f"{head}("), _width(f"        {annotation}")) <= WIDTH
        return _print((head, Group(_parenthesized(annotation)) if is_helpful else annotation), depth=1)
    if value is None:
        return _print((head, held), depth=1)
    left, right = head + _flat(annotation) + " = ", _flat(value)
    if _width(left + right) <= WIDTH:
        return left + right
    opening, bracket, _ = right.partition("(")
    if bracket and _width(left + opening + bracket) <= WIDTH:
        return _print((left, value), depth=1)
    if _width(f"{left}(") <= WIDTH:
        return _print((left, _parenthesized(value)), depth=1)
    return _print((head, held, " = ", value), depth=1)


# ---------------------------------------------------------------------------------------------------- printing

_Task: TypeAlias = tuple[int, bool, Document]  # depth of indentation, whether its group is broken, what to print


def _print(document: Document, depth: int = 0) -> str:
    """The document's text, indented below its first line."""
    out: list[str] = []
    column = 0
    tasks: list[_Task] = [(depth, True, document)]
    while tasks:
        indent, broken, part = tasks.pop()
        match part:
            case str():
                out.append(part)
                column += _width(part)
            case tuple():
                tasks += [(indent, broken, inner) for inner in reversed(part)]
            case Indent():
                tasks.append((indent + 1, broken, part.content))
            case Group():
                tasks.append((indent, broken and not _fits(part.content, tasks, WIDTH - column), part.content))
            case IfBroken():
                tasks.append((indent, broken, part.text if broken else ""))
            case Line() if broken:
                out.append("\n" + "    " * indent)
                column = 4 * indent
            case Line():
                tasks.append((indent, broken, part.flat))
    return "".join(out)


def _fits(content: Document, rest: Sequence[_Task], room: int) -> bool:
    """Whether the content fits on the line, with what follows it up to the next place where that may break."""
    tasks = [*((broken, part) for _, broken, part in rest), (False, content)]
    while tasks and room >= 0:
        broken, part = tasks.pop()
        match part:
            case str():
                room -= _width(part)
            case tuple():
                tasks += [(broken, inner) for inner in reversed(part)]
            case Group() | Indent():
                tasks.append((broken, part.content))
            case IfBroken():
                tasks.append((broken, part.text if broken else ""))
            case Line() if broken:
                return True
            case Line():
                room -= len(part.flat)
    return room >= 0


def _flat(document: Document) -> str:
    match document:
        case str():
            return document
        case tuple():
            return "".join(map(_flat, document))
        case Line():
            return document.flat
        case IfBroken():
            return ""
    return _flat(document.content)


def _width(text: str) -> int:
    """Columns on a screen, by which ruff counts, too."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
