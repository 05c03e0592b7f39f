"""First release: the fields of orders and power plans that every release knows, and their common text form.

The first release writes each of these fields and refuses orders with any other. Its digests cover just these fields. So
every later field has a default, and while it has its default it is neither written nor part of a digest. Two releases
agree as long as the configuration uses nothing that only one of them knows. Identifies dataclasses by their names;
makes no decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

#: By class, in the order of the digests of the first release. Frozen: never add to these.
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


def written_fields(value: Any) -> list[tuple[str, Any]]:
    """Return the written fields of a dataclass: those of the first release, then later ones not at their default."""
    first, later = _fields(value.__class__)
    found = [(name, getattr(value, name)) for name in first]
    return found + [(name, now) for name, default in later if (now := getattr(value, name)) != default()]


def text_of(value: Any, *, first_only: bool = False) -> str:
    """Return a value in the form of the first release's digests: Python's repr of the written fields.

    `first_only`: leave out later fields, whatever their values.
    """
    if is_dataclass(value):
        first, _ = _fields(value.__class__)
        written = [(name, getattr(value, name)) for name in first] if first_only else written_fields(value)
        parts = ", ".join(f"{name}={text_of(part, first_only=first_only)}" for name, part in written)
        return f"{value.__class__.__qualname__}({parts})"
    if isinstance(value, tuple):
        parts = ", ".join(text_of(item, first_only=first_only) for item in value)
        return f"({parts},)" if len(value) == 1 else f"({parts})"
    return repr(value)


def plain_of(value: Any) -> Any:
    """Return a value as dictionaries, lists, text, integers and booleans, without later fields at their default."""
    if is_dataclass(value):
        return {name: plain_of(part) for name, part in written_fields(value)}
    if isinstance(value, Enum):
        return value.value
    return [plain_of(item) for item in value] if isinstance(value, tuple) else value


@lru_cache(maxsize=64)
def _fields(kind: Any) -> tuple[tuple[str, ...], tuple[tuple[str, Any], ...]]:
    """Return the fields of the first release, and the later ones, each with a function that returns its default."""
    # A later type occurs only in a later field that is not at its default, so all of its fields are written.
    every = tuple(field.name for field in fields(kind))
    first = FIRST_RELEASE.get(kind.__qualname__, every)
    return first, tuple((field.name, _default(kind, field)) for field in fields(kind) if field.name not in first)


def _default(kind: Any, field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory
    assert field.default is not MISSING, f"{kind.__qualname__}.{field.name} came later and has no default"
    default = field.default
    return lambda: default
