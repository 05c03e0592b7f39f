"""Strict JSON: decode a document into a frozen dataclass, each field of its type and within its limits.

Tells values of a type from defects. Refuses a key that occurs twice, a fraction, an infinity, an integer beyond 63
bits, and text that does not print. A field with a default may be missing, because an older release did not know it. An
unknown key is reported by name, because a newer release may have written it. Knows no particular type.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum, StrEnum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")

INTEGER_MAX: Final = (1 << 63) - 1
TEXT_MAX: Final = 255
ITEMS_MAX: Final = 4_096
QUOTE_MAX: Final = 60
#: Report at most this many unknown keys.
UNKNOWN_MAX: Final = 20


class Defect(ValueError):
    """A defect and its place in the document. The decoder that uses this module turns it into a refusal."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}"[:200])


def quoted(text: str) -> str:
    """Return a piece of foreign text for a message: short, printable ASCII."""
    return ascii(text[:QUOTE_MAX])


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of a value: sorted keys, no spaces, ASCII only."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def plain(value: Any) -> Any:
    """Return a dataclass as dictionaries, lists, text, integers and booleans."""
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def parse(text: bytes) -> Any:
    """Return plain values from JSON. Raises Defect for anything that is not strict JSON, at any depth."""
    try:
        return json.loads(
            text.decode("ascii"),
            object_pairs_hook=_once,
            parse_int=_integer,
            parse_float=_no_fraction,
            parse_constant=_no_fraction,
        )
    except RecursionError:
        raise Defect("document", "nested too deep") from None
    except UnicodeDecodeError as error:
        raise Defect(f"byte {error.start}", "not ASCII") from None
    except json.JSONDecodeError as error:
        raise Defect(f"byte {error.pos}", error.msg) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        double = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise Defect("document", f"{quoted(double)} stands there twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > len(str(INTEGER_MAX)):
        raise Defect("document", f"an integer of {len(digits)} digits")
    return int(digits)


def _no_fraction(text: str) -> Any:
    raise Defect("document", f"{quoted(text)} is no integer")


def build(kind: type[T], value: Any, where: str, unknown: list[str] | None = None) -> T:
    """Return a value of type `kind`: a dataclass of dataclasses, tuples, enums of text, text, integers and booleans.

    A field of one of these types or None (`X | None`) is null without a value.

    Adds the places of unknown keys to `unknown`, at most UNKNOWN_MAX. If `unknown` is None, unknown keys are defects.
    Raises Defect.
    """
    if is_dataclass(kind):
        return cast(T, _build_dataclass(kind, value, where, unknown))
    if get_origin(kind) is UnionType:
        (inner,) = (option for option in get_args(kind) if option is not NoneType)
        return cast(T, None if value is None else build(inner, value, where, unknown))
    if get_origin(kind) is tuple:
        return cast(T, _build_tuple(get_args(kind), value, where, unknown))
    if issubclass(kind, StrEnum):
        if not isinstance(value, str) or value not in [member.value for member in kind]:
            raise Defect(where, f"one of {', '.join(member.value for member in kind)}")
        return kind(value)
    # Not isinstance: Python takes true for an int, which is a defect here.
    if type(value) is not kind:
        raise Defect(where, f"{type(value).__name__} in place of {kind.__name__}")
    _within(value, where)
    return value


def _within(value: object, where: str) -> None:
    if isinstance(value, str) and not (0 < len(value) <= TEXT_MAX and value.isprintable()):
        raise Defect(where, f"text of 1 to {TEXT_MAX} characters that print")
    if isinstance(value, int) and not 0 <= value <= INTEGER_MAX:
        raise Defect(where, f"an integer from 0 to {INTEGER_MAX}")


@lru_cache(maxsize=64)
def _hints(kind: type) -> dict[str, tuple[Any, bool]]:
    """Return the type of each field, and whether it has a default."""
    hints = get_type_hints(kind)
    return {
        part.name: (hints[part.name], part.default is not MISSING or part.default_factory is not MISSING)
        for part in fields(kind)
    }


def _build_dataclass(kind: type, value: Any, where: str, unknown: list[str] | None) -> Any:
    hints = _hints(kind)
    if not isinstance(value, dict):
        raise Defect(where, f"{type(value).__name__} in place of an object")
    missing = sorted(name for name, (_, optional) in hints.items() if not optional and name not in value)
    if missing:
        raise Defect(where, f"{missing[0]} is missing")
    strange = sorted(value.keys() - hints.keys())
    if strange and unknown is None:
        raise Defect(where, f"{quoted(strange[0])} is unknown")
    for name in strange[: UNKNOWN_MAX - len(unknown or ())]:
        assert unknown is not None
        unknown.append(f"{where}.{name if name.isascii() and name.isidentifier() else '?'}"[:QUOTE_MAX])
    return kind(
        **{
            name: build(hint, value[name], f"{where}.{name}", unknown)
            for name, (hint, _) in hints.items()
            if name in value
        }
    )


def _build_tuple(arguments: tuple[Any, ...], value: Any, where: str, unknown: list[str] | None) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise Defect(where, f"{type(value).__name__} in place of a list")
    if arguments[-1] is Ellipsis:
        if len(value) > ITEMS_MAX:
            raise Defect(where, f"{len(value)} items, at most {ITEMS_MAX}")
        arguments = (arguments[0],) * len(value)
    if len(value) != len(arguments):
        raise Defect(where, f"{len(value)} items in place of {len(arguments)}")
    return tuple(
        build(kind, item, f"{where}[{at}]", unknown)
        for at, (kind, item) in enumerate(zip(arguments, value, strict=True))
    )
