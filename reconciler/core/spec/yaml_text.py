"""Plain values to the YAML that a person would write: block style, one value a line, quotes where they are needed.

Decides on layout and quoting only. `tree` reads back exactly what is written here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

# Nothing that any YAML program takes for something else than text: no number, time, MAC or word with a meaning.
_PLAIN = re.compile(
    r"[A-Za-z/][A-Za-z0-9_./-]*|[0-9]+(\.[0-9]+){3}(/[0-9]+)?|[0-9a-f]*[a-f][0-9a-f]*:[0-9a-f:]*(/[0-9]+)?"
)
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"})


def yaml_text(value: dict[str, Any], indent: int = 0) -> str:
    """A mapping as YAML, each line ended. Values are mappings, lists, text, whole numbers and booleans."""
    return "".join(" " * indent + line + "\n" for line in _lines(value))


def _lines(value: dict[str, Any]) -> Iterator[str]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield f"{scalar(key)}:"
            yield from ("  " + line for line in _lines(inner))
        elif isinstance(inner, list) and inner:
            yield f"{scalar(key)}:"
            for item in inner:
                yield from _item(item)
        else:
            yield f"{scalar(key)}: {scalar(inner)}"


def _item(item: Any) -> Iterator[str]:
    if isinstance(item, dict) and item:
        for number, line in enumerate(_lines(item)):
            yield ("    " if number else "  - ") + line
    else:
        yield f"  - {scalar(item)}"


def scalar(value: Any) -> str:
    """One value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict | list):
        assert not value
        return "{}" if isinstance(value, dict) else "[]"
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS and not text.endswith(":"):
        return text
    return '"' + "".join(_escaped(sign) for sign in text) + '"'


def _escaped(sign: str) -> str:
    if sign in '"\\':
        return "\\" + sign
    if sign.isprintable():
        return sign
    code = ord(sign)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
