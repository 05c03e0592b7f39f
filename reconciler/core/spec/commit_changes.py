"""What one commit changes: resources whose parsed content differs between two trees, each with the scope it needs.

Compares YAML values by kind and name, so comments, layout and a move to another file change nothing. Files that are
equal in both trees are not parsed. *What cannot be parsed touches every scope*, because its change is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.core.facts.scope import Scope
from reconciler.core.spec.kinds import KINDS
from reconciler.core.spec.text import decode, is_yaml
from reconciler.core.spec.tree import YamlDocument, documents


@dataclass(frozen=True, slots=True, order=True)
class Touch:
    """A change that needs `scope`: the resource in words, and where it is written (or was, when it is gone)."""

    scope: Scope
    what: str
    file: str
    line: int


class _Unreadable(Exception):
    """A file that cannot be compared; `args`: file, line and why."""


def touched(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[Touch, ...]:
    """Every change between two trees (path -> content), sorted. The trees keep the limits of `system/git/tree`."""
    differing = sorted(path for path in {*before, *after} if is_yaml(path) and before.get(path) != after.get(path))
    try:
        old = _resources(before, differing)
        new = _resources(after, differing)
    except _Unreadable as unreadable:
        file, line, why = unreadable.args
        return everything(why, file, line)
    found = {touch for key in {*old, *new} for touch in _differences(key, old.get(key, []), new.get(key, []))}
    return tuple(sorted(found))


def everything(what: str, file: str = "", line: int = 0) -> tuple[Touch, ...]:
    """An unknown change: it needs every scope."""
    return tuple(Touch(scope, what, file, line) for scope in Scope)


def _resources(tree: Mapping[str, bytes], paths: list[str]) -> dict[tuple[str, str], list[YamlDocument]]:
    """The documents of these files, by kind and name. Raises _Unreadable."""
    found: dict[tuple[str, str], list[YamlDocument]] = {}
    for path in paths:
        text, wrong = decode(path, tree.get(path, b""))
        if wrong:
            raise _Unreadable(path, wrong[0].line, wrong[0].what)
        for document in documents(path, text):
            if document.complaints:
                raise _Unreadable(path, document.complaints[0].line, document.complaints[0].what)
            found.setdefault(_key(document), []).append(document)
    return found


def _key(document: YamlDocument) -> tuple[str, str]:
    """Kind and name of a resource. Raises _Unreadable for what is none."""
    match document.value:
        case {"kind": str(kind), "metadata": {"name": str(name)}, **rest} if (
            kind in KINDS and document.readable and isinstance(rest.get("spec", {}), dict)
        ):
            return kind, name
    raise _Unreadable(document.file, document.place(())[0], "no resource with a kind and a name")


def _differences(key: tuple[str, str], old: list[YamlDocument], new: list[YamlDocument]) -> Iterator[Touch]:
    kind, name = key
    if _text([document.value for document in old]) == _text([document.value for document in new]):
        return
    shown = (new or old)[0]
    what = f"{kind}/{name}" + ("" if new else " (removed)")
    if len(old) > 1 or len(new) > 1:
        yield from everything(f"{what} (written twice)", shown.file, shown.place(())[0])
        return
    before, after = ((found[0].value if found else {}) for found in (old, new))
    if _text(_frame(before)) != _text(_frame(after)):
        yield Touch(KINDS[kind].scope, what, shown.file, shown.place(("metadata", "name"))[0])
    earlier, later = before.get("spec", {}), after.get("spec", {})
    defaults = KINDS[kind].unwritten
    for field in sorted({*earlier, *later}):
        default = defaults.get(field)
        if _text(earlier.get(field, default)) != _text(later.get(field, default)):
            scope = KINDS[kind].field_scopes.get(field, KINDS[kind].scope)
            yield Touch(scope, f"{what}, {field}", shown.file, shown.key_place(("spec", field))[0])
    if KINDS[kind].destroys is not None and later.get("destroy", False) is not False:
        yield Touch(Scope.DESTROY, f"{what}, destroy", shown.file, shown.key_place(("spec", "destroy"))[0])


def _frame(value: dict[str, Any]) -> dict[str, Any]:
    """All of a resource but its spec; empty for a resource that is not there."""
    return {key: inner for key, inner in value.items() if key != "spec"}


def _text(value: Any) -> str:
    """Equal for equal YAML only: in Python, True equals 1."""
    return json.dumps(value, sort_keys=True)
