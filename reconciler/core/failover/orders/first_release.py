"""Which fields of orders and power plans every release knows, and how a value is said so that all say it alike.

The first release wrote each of these fields and refuses orders with any other; its digests cover just these. So a field
that came later has a default, and while it is at its default it is neither written nor part of a digest: two releases
agree as long as nothing is asked for that only one of them knows. Knows dataclasses by their names; decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

#: By class, in the order in which the digests of the first release take them. Frozen: never add to these.
FIRST_RELEASE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Orders": (
            "pair", "side", "generation", "controllers", "disks", "vdevs", "arbitration", "channels", "groups",
            "addresses", "default", "enabled", "strict", "timers", "limits", "carp", "devices",
        ),
        "Channel": ("name", "kind"),
        "Vdev": ("name", "disks", "needed"),
        "Group": ("number", "interfaces"),
        "VirtualAddress": ("interface", "address", "vhid"),
        "Device": ("name", "by", "value"),
        "Carp": ("advbase", "advskew", "virtual_mac"),
        "Timers": (
            "beat_ms", "silence_ms", "record_ms", "stale_ms", "look_ms", "proof_ms", "pause_ms", "settle_ms",
            "claim_ms", "import_ms", "release_ms", "handover_ms", "boot_ms", "yield_ms", "retry_ms", "again_ms",
            "deadman_ms", "patience_ms", "network_ms", "maintenance_ms",
        ),
        "Limits": ("moves", "moves_window_ms", "resets", "resets_window_ms"),
        "PowerPlan": ("pair", "switches", "check_ms", "restart"),
        "PowerSwitch": ("side", "agent", "options", "timeout_ms"),
        "Option": ("name", "value"),
    }
)  # fmt: skip


def said(value: Any) -> list[tuple[str, Any]]:
    """The fields of a dataclass that are said: those of the first release, then later ones that have no default."""
    first, later = _fields(value.__class__)
    found = [(name, getattr(value, name)) for name in first]
    return found + [(name, now) for name, default in later if (now := getattr(value, name)) != default()]


def text_of(value: Any, *, first_only: bool = False) -> str:
    """A value as the first release has it in its digests: Python's repr of these fields.

    `first_only`: without later fields, whatever they say.
    """
    if is_dataclass(value):
        first, _ = _fields(value.__class__)
        told = [(name, getattr(value, name)) for name in first] if first_only else said(value)
        parts = ", ".join(f"{name}={text_of(part, first_only=first_only)}" for name, part in told)
        return f"{value.__class__.__qualname__}({parts})"
    if isinstance(value, tuple):
        parts = ", ".join(text_of(item, first_only=first_only) for item in value)
        return f"({parts},)" if len(value) == 1 else f"({parts})"
    return repr(value)


def plain_of(value: Any) -> Any:
    """A value as dictionaries, lists, text, integers and booleans, without later fields that are at their default."""
    if is_dataclass(value):
        return {name: plain_of(part) for name, part in said(value)}
    if isinstance(value, Enum):
        return value.value
    return [plain_of(item) for item in value] if isinstance(value, tuple) else value


@lru_cache(maxsize=64)
def _fields(kind: Any) -> tuple[tuple[str, ...], tuple[tuple[str, Any], ...]]:
    """The fields of the first release, and the later ones with what makes their default."""
    # A type that came later is only there where a later field is said: all of it is.
    every = tuple(field.name for field in fields(kind))
    first = FIRST_RELEASE.get(kind.__qualname__, every)
    return first, tuple((field.name, _default(kind, field)) for field in fields(kind) if field.name not in first)


def _default(kind: Any, field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory
    assert field.default is not MISSING, f"{kind.__qualname__}.{field.name} came later and has no default"
    default = field.default
    return lambda: default
