"""The tables of a node file: each key is taken out with a check of its value; what is left over at the end is unknown.

`system/node` says which keys there are, and what they mean.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from reconciler.errors import NodeFileError


class NodeTables:
    """Takes the keys out of the document one by one."""

    def __init__(self, path: Path, document: dict[str, Any]) -> None:
        self._path = path
        self._document = document

    def _table(self, name: str) -> dict[str, Any]:
        table = self._document.pop(name, {})
        if not isinstance(table, dict):
            raise self._error(name, f"must be a table: write [{name}]")
        return table

    def _file(self, table: dict[str, Any], key: str) -> Path | None:
        value = self._take(table, key, str, None)
        # Relative to the node file, so that a folder with everything in it can be moved.
        return None if value is None else (self._path.parent / value).absolute()

    def _take(
        self, table: dict[str, Any], key: str, kind: type, default: Any, check: Callable[[Any], object] | None = None
    ) -> Any:
        if key not in table:
            return default
        value = table.pop(key)
        if not isinstance(value, kind) or (check and not check(value)):
            raise self._error(key, f"has a value that does not fit: {value!r}")
        return value

    def _error(self, key: str, what: str) -> NodeFileError:
        return NodeFileError(f"`{key}` {what}", where=str(self._path))
