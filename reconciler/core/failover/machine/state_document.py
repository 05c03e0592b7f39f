"""State document: the whole state of the core as JSON, for the daemon that replaces the running one.

`state_document` writes every field by its name. `read_state` accepts exactly the fields that this release knows, each
of its type. It refuses a state of another release, and the successor then starts from `Memory` like any new daemon. All
moments are of the monotonic clock, which both processes share, so for the core a hand-over is only a pause of the
process. Does not know how the document travels.
"""

from __future__ import annotations

import json
import types
from dataclasses import fields, is_dataclass
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from reconciler.core.failover.machine.state import State
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.strict_json import Defect, quoted

#: Raise this when a field keeps its name and type but changes its meaning.
STATE_FORMAT: Final = 1
STATE_BYTES_MAX: Final = 4 << 20
TEXT_MAX: Final = 10_000
ITEMS_MAX: Final = 4_096


def state_document(state: State) -> bytes:
    """Return the canonical JSON form of a state, in ASCII."""
    whole = {"format": STATE_FORMAT, "state": _plain(state)}
    return json.dumps(whole, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def read_state(data: bytes) -> State | Refused:
    """Return the state in a document; `Refused` if another release wrote it or it is damaged."""
    if len(data) > STATE_BYTES_MAX:
        return Refused(Refusal.LENGTH, f"{len(data)} bytes, at most {STATE_BYTES_MAX}")
    try:
        whole = json.loads(data.decode("ascii"))
        if not isinstance(whole, dict) or whole.keys() != {"format", "state"} or whole["format"] != STATE_FORMAT:
            raise Defect("document", f"not a state of format {STATE_FORMAT}")
        state: State = _build(State, whole["state"], "state")
        # Every state of the core has one moment for each channel and one for the disk record.
        channels = len(state.orders.channels) + 1
        if {len(state.peer.heard_ms), len(state.peer.last)} != {channels}:
            raise Defect("state.peer", f"not {channels} channels")
    except (ValueError, RecursionError) as error:
        return Refused(Refusal.AUTHENTIC_DEFECT, str(error)[:200])
    return state


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Enum):
        return value.value if isinstance(value, StrEnum) else value.name
    if isinstance(value, frozenset):
        return sorted(map(_plain, value))
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


@lru_cache(maxsize=64)
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {part.name: hints[part.name] for part in fields(kind)}


def _build(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (types.UnionType, Union):
        (other,) = (each for each in arguments if each is not types.NoneType)
        return None if value is None else _build(other, value, where)
    if origin in (tuple, frozenset):
        return _build_items(origin, arguments, value, where)
    if isinstance(kind, type) and is_dataclass(kind):
        return _build_fields(kind, value, where)
    if issubclass(kind, Enum):
        found = {member.value if issubclass(kind, StrEnum) else member.name: member for member in kind}
        if not isinstance(value, str) or value not in found:
            raise Defect(where, f"no {kind.__name__}")
        return found[value]
    # Not isinstance: Python takes true for an int, which is a defect here.
    if type(value) is not kind or (kind is str and len(value) > TEXT_MAX):
        raise Defect(where, f"no {kind.__name__}")
    return value


def _build_fields(kind: type, value: Any, where: str) -> Any:
    hints = _hints(kind)
    if not isinstance(value, dict) or value.keys() != hints.keys():
        given = value.keys() if isinstance(value, dict) else set()
        odd = sorted(given ^ hints.keys())[:1]
        raise Defect(where, f"{quoted(odd[0])} is unknown or missing" if odd else "no object")
    return kind(**{name: _build(hint, value[name], f"{where}.{name}") for name, hint in hints.items()})


def _build_items(origin: type, arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, list) or len(value) > ITEMS_MAX:
        raise Defect(where, f"no list of at most {ITEMS_MAX} items")
    if origin is frozenset or arguments[-1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(arguments) != len(value):
        raise Defect(where, f"{len(value)} items in place of {len(arguments)}")
    return origin(
        _build(kind, item, f"{where}[{at}]") for at, (kind, item) in enumerate(zip(arguments, value, strict=True))
    )
