"""YAML text to plain values, each with its place: the smallest YAML that people need, read the same way everywhere.

Decides the dialect: mappings with text keys, lists, and plain scalars that are text, `true`/`false` or decimal whole
numbers. Anchors, aliases, tags, duplicate keys, empty values and deep nesting are refused: they either hide what is
asked for or are read differently by different programs. Does not know what any key means.

The parser's events carry positions for free, which is why the values are built here and not by its constructor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from reconciler.core.spec.limits import NESTING_MAX
from reconciler.errors import Complaint

Path: TypeAlias = tuple[str | int, ...]
#: Line and column, from 1.
Place: TypeAlias = tuple[int, int]

_SPLIT = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(slots=True)
class YamlDocument:
    """One document: its value and the places of every value and key in it, by path."""

    file: str
    value: Any = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)
    #: False when the parser gave up, so that `value` is not all that was written.
    readable: bool = True
    #: Paths that are complained about already; nothing more needs to be said about them.
    refused: set[Path] = field(default_factory=set)

    def place(self, path: Path) -> Place:
        """Where the value at `path` stands, or the nearest thing around it that is written down."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))

    def key_place(self, path: Path) -> Place:
        """Where the key of the value at `path` stands."""
        return self.keys.get(path) or self.place(path)


def documents(file: str, text: str) -> Iterator[YamlDocument]:
    """The documents of one file, parsed one by one so that a slip in one does not hide what is wrong in the next."""
    starts = [0, *(match.start() for match in _SPLIT.finditer(text) if match.start())]
    line = 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        part = text[start:end]
        yield from _Reader(file, part, line).documents()
        line += part.count("\n")


class _Refused(Exception):
    """The rest of this document cannot be read."""


class _Reader:
    """Builds the documents of one part of a file from the parser's events."""

    def __init__(self, file: str, text: str, line: int) -> None:
        self._file = file
        self._line = line
        self._parser = CParser(text)
        self._document = YamlDocument(file)
        self._aliases: set[str] = set()

    def documents(self) -> Iterator[YamlDocument]:
        try:
            while not isinstance(event := self._parser.get_event(), StreamEndEvent):
                if isinstance(event, DocumentStartEvent):
                    self._document = YamlDocument(self._file)
                    first = self._parser.get_event()
                    if not isinstance(first, DocumentEndEvent):
                        self._document.value = self._build(first, (), 0)
                        # Nothing between two lines of dashes is no document.
                        if self._document.value is not None or self._document.complaints:
                            yield self._document
        except _Refused:
            self._document.readable = False
            yield self._document
        except YAMLError as error:
            self._document.readable = False
            self._document.complaints.append(self._syntax(error))
            yield self._document

    def _build(self, event: Any, path: Path, depth: int) -> Any:
        mark = event.start_mark
        self._document.values[path] = (self._line + mark.line + 1, mark.column + 1)
        kind = type(event)
        if kind is AliasEvent:
            # One complaint for each name: a file with aliases has many.
            if event.anchor not in self._aliases:
                self._complain(mark, path, f"`*{event.anchor}` is an alias", "Write the value out.", "alias")
            self._aliases.add(event.anchor)
            self._document.refused.add(path)
            return None
        if event.anchor is not None:
            self._complain(
                mark, path, f"`&{event.anchor}` is an anchor", "Write the value out where it is needed.", "anchor"
            )
        if event.tag is not None:
            self._complain(mark, path, f"`{event.tag}` is a tag", "Leave the tag out; quote what is text.", "tag")
        if kind is ScalarEvent:
            return self._scalar(event, path)
        if depth >= NESTING_MAX:
            what = f"nested more than {NESTING_MAX} levels deep"
            self._complain(mark, path, what, "No part of the language needs that; is a bracket not closed?", "nesting")
            raise _Refused
        if kind is SequenceStartEvent:
            return self._sequence(path, depth)
        assert kind is MappingStartEvent, kind
        return self._mapping(path, depth)

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self._parser.get_event(), SequenceEndEvent):
            items.append(self._build(event, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        get_event = self._parser.get_event
        while not isinstance(event := get_event(), MappingEndEvent):
            mark = event.start_mark
            key = event.value if isinstance(event, ScalarEvent) else None
            if key is None or event.anchor is not None or event.tag is not None:
                self._complain(mark, path, "a key must be a plain word", "Write `key: value`.", "key")
                raise _Refused
            inner = (*path, key)
            if key in result:
                first = self._document.keys[inner][0]
                what = f"`{key}` is given twice; first in line {first}"
                self._complain(mark, inner, what, "Keep one of the two.", "duplicate-key")
                self._build(get_event(), (*path, f"{key} (again)"), depth + 1)
                continue
            self._document.keys[inner] = (self._line + mark.line + 1, mark.column + 1)
            result[key] = self._build(get_event(), inner, depth + 1)
        return result

    def _scalar(self, event: Any, path: Path) -> str | int | bool | None:
        text: str = event.value
        if not event.implicit[0]:
            return text
        if text in _WORDS:
            value = _WORDS[text]
            if value is None and path:
                name = next((f"`{part}`" for part in reversed(path) if isinstance(part, str)), "this")
                line, column = self._document.key_place(path)
                what = f"{name} has no value"
                remedy = "Give it one, indent what belongs to it, or leave the key out."
                self._document.complaints.append(Complaint(self._file, line, column, what, remedy, "empty"))
                self._document.refused.add(path)
            return value
        return int(text) if _WHOLE.fullmatch(text) else text

    def _complain(self, mark: Any, path: Path, what: str, remedy: str, code: str) -> None:
        place = (self._line + mark.line + 1, mark.column + 1)
        self._document.complaints.append(Complaint(self._file, *place, what, remedy, code))
        self._document.refused.add(path)

    def _syntax(self, error: YAMLError) -> Complaint:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line, column = (mark.line, mark.column) if mark is not None else (0, 0)
        what = "not YAML"
        if isinstance(error, MarkedYAMLError):
            what = f"not YAML: {error.problem}" + (f" {error.context}" if error.context else "")
        remedy = "Look at the indentation, brackets and quotes here and in the line above."
        if "unexpected ':'" in what:
            remedy = 'Inside [ ] and { } a value with a colon needs quotes: ["http://…", "fd00::1"].'
        return Complaint(self._file, self._line + line + 1, column + 1, what, remedy, "syntax")
