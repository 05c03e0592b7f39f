"""The text of a node file: TOML with a comment at its head, for `hagit init`.

`system/node` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping


def render_node(values: Mapping[str, object]) -> str:
    """A node file for `hagit init`: top-level values first, then tables, commented."""
    lines = ["# Which controller this is, where its state lives and whom it trusts. See `hagit explain node`."]
    lines += [f"{key} = {_toml(value)}" for key, value in values.items() if not isinstance(value, Mapping)]
    for name, table in values.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{name}]"]
            lines += [f"{key} = {_toml(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
