"""Plain values as documents and back: one strict reader for everything that a daemon publishes.

A plain value is a frozen dataclass of texts, numbers, truth values, tuples and other plain values. Reading never
raises: what does not fit, in kind or in size, comes back as `Damage` that says where. A key that is not known is passed
over, so that an older program reads what a newer one wrote; a field that is missing takes its default. Does not know
files, nor what the values mean.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar

#: No text in such a document is longer; what a daemon writes is cut to it.
TEXT_LENGTH_MAX: Final = 1_000
#: No list in such a document is longer; what a daemon writes is cut to it.
ITEMS_MAX: Final = 512
#: Numbers are 64 bits wide with their sign.
NUMBER_MAX: Final = (1 << 63) - 1

Plain = TypeVar("Plain")


@dataclass(frozen=True, slots=True)
class Damage:
    """A document that is not followed: the field (dotted) and what is wrong with it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class _Unfit(Exception):
    """Carries a Damage out of the depth of a document; never leaves this module."""


def document_of(value: Any) -> Any:
    """The JSON form of a plain value; texts and lists that are too long are cut."""
    if dataclasses.is_dataclass(value):
        kind: Any = type(value)
        return {name: document_of(getattr(value, name)) for name in _fields(kind)}
    if isinstance(value, tuple):
        return [document_of(item) for item in value[:ITEMS_MAX]]
    if type(value) is str and len(value) > TEXT_LENGTH_MAX:
        return value[: TEXT_LENGTH_MAX - 1] + "…"
    return value


def read_document(kind: type[Plain], document: object, where: str = "document") -> Plain | Damage:
    """The plain value of type `kind` in a document, or why there is none. Never raises."""
    try:
        read: Plain = _read(kind, document, where)
    except _Unfit as error:
        damage = error.args[0]
        assert isinstance(damage, Damage)
        return damage
    return read


@lru_cache(maxsize=64)
def _fields(kind: Any) -> Mapping[str, tuple[Any, bool]]:
    """The fields of a plain type: their types, and whether each has a default."""
    hints = typing.get_type_hints(kind)
    return {
        field.name: (
            hints[field.name],
            field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
    }


def _read(kind: Any, value: object, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _read_fields(kind, value, where)
    origin = typing.get_origin(kind)
    if origin is tuple:
        if not isinstance(value, list):
            raise _Unfit(Damage(where, "is not a list"))
        if len(value) > ITEMS_MAX:
            raise _Unfit(Damage(where, f"has {len(value)} items, at most {ITEMS_MAX}"))
        inner = typing.get_args(kind)[0]
        return tuple(_read(inner, item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is types.UnionType:
        if value is None:
            return None
        inner = next(part for part in typing.get_args(kind) if part is not type(None))
        return _read(inner, value, where)
    return _read_scalar(kind, value, where)


def _read_fields(kind: Any, value: object, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise _Unfit(Damage(where, "is not an object"))
    found: dict[str, Any] = {}
    for name, (hint, optional) in _fields(kind).items():
        if name in value:
            found[name] = _read(hint, value[name], f"{where}.{name}")
        elif not optional:
            raise _Unfit(Damage(f"{where}.{name}", "is missing"))
    return kind(**found)


def _read_scalar(kind: Any, value: object, where: str) -> Any:
    """A text, a whole number or a truth value; Python's True is no number here."""
    if type(value) is not kind:
        raise _Unfit(Damage(where, f"is not {_NAMES[kind]}"))
    if isinstance(value, str) and len(value) > TEXT_LENGTH_MAX:
        raise _Unfit(Damage(where, f"is longer than {TEXT_LENGTH_MAX} characters"))
    if isinstance(value, int) and not -NUMBER_MAX <= value <= NUMBER_MAX:
        raise _Unfit(Damage(where, "does not fit 64 bits"))
    return value


_NAMES: Final = {str: "a text", int: "a whole number", bool: "true or false"}
