"""What each controller of a pair tells the other one about the revision that it applies: the rollout state.

Decides the form on the wire, `"format": "hagit.rollout/1"`: within one number it only grows, unknown fields are
ignored and missing ones have a default. Every text that comes from the peer is cut and freed of control characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Final

from reconciler.errors import UsageError

FORMAT: Final = "hagit.rollout/1"
#: Longest text that is taken from the peer.
TEXT_LENGTH_MAX: Final = 500
#: Both sides of a pair, as node files name them.
SIDES: Final = ("a", "b")


class ServingRole(StrEnum):
    """What the watchdog of a controller says of it. MOVING: a claim, import or export is under way.

    IDLE: it serves no client and could not take over (it boots, it halted, or it has no watchdog). UNKNOWN: its
    watchdog publishes nothing.
    """

    ACTIVE = "active"
    STANDBY = "standby"
    MOVING = "moving"
    IDLE = "idle"
    UNKNOWN = "unknown"


_ROLES: Final = {
    "active": ServingRole.ACTIVE,
    "standby": ServingRole.STANDBY,
    "claiming": ServingRole.MOVING,
    "importing": ServingRole.MOVING,
    "releasing": ServingRole.MOVING,
}


def role_of(phase: str) -> ServingRole:
    """The role that a phase of the failover machine means."""
    return _ROLES.get(phase, ServingRole.IDLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """One controller, as far as the other one must know it to take a revision together with it.

    `wanted`: the commit that should be in force; `applied`: the one that is, empty before the first and after a boot.
    `begun`: the commit that is being applied, will be after one more look at the peer, or waits for its confirmation.
    `failed`: the commit whose apply failed here. `refused`: a commit that cannot be used here, or that was rolled back.
    `switched`: the commit for which this controller asked its watchdog for a switchover.

    `able`: the watchdog could take the pools now; `was_able`: it could before `applied` was applied. `ready`: it would
    follow a request for a switchover. `hears`: it hears the peer. `interrupts`: applying `wanted` here would interrupt
    the clients that this controller serves.
    """

    controller: str
    wanted: str = ""
    applied: str = ""
    begun: str = ""
    failed: str = ""
    failed_why: str = ""
    refused: str = ""
    refused_why: str = ""
    switched: str = ""
    role: ServingRole = ServingRole.UNKNOWN
    able: bool = False
    was_able: bool = False
    ready: bool = False
    hears: bool = False
    interrupts: bool = False
    held: int = 0

    @property
    def other(self) -> str:
        """The name of the other side."""
        return "b" if self.controller == "a" else "a"


def rollout_document(state: RolloutState) -> dict[str, Any]:
    """The state as JSON-able data."""
    return {"format": FORMAT, **asdict(state), "role": state.role.value}


def rollout_from_document(document: Mapping[str, Any]) -> RolloutState:
    """The state in a document of the peer. Raises UsageError for anything that is not one."""
    if document.get("format") != FORMAT:
        raise UsageError(f"this is no rollout state: format {clean(document.get('format'))!r}, {FORMAT!r} expected")
    values: dict[str, Any] = {}
    for item in fields(RolloutState):
        value = document.get(item.name)
        if value is None:
            continue
        kind = {"held": int, "role": str}.get(item.name, bool if item.type == "bool" else str)
        if type(value) is not kind:
            raise UsageError(f"the rollout state of the peer is damaged: {item.name} is {clean(value)!r}")
        values[item.name] = clean(value) if kind is str else value
    if values.get("controller") not in SIDES:
        raise UsageError("the rollout state of the peer names no controller")
    role = values.pop("role", "")
    return RolloutState(**values, role=ServingRole(role) if role in list(ServingRole) else ServingRole.UNKNOWN)


def clean(value: object) -> str:
    """A text of the peer without control characters, cut to `TEXT_LENGTH_MAX`."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(value)[: TEXT_LENGTH_MAX + 1])
    return text if len(text) <= TEXT_LENGTH_MAX else text[: TEXT_LENGTH_MAX - 1] + "…"
