"""Phases, the guarantees of each, and the legal transitions between them as data.

`step` asserts the legal transitions, and `diagram` draws them. Does not know when a transition happens: `boot`,
`standby`, `finished_claim` and `owner` decide that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Phase(StrEnum):
    """Phase of the core."""

    BOOTING = "booting"
    STANDBY = "standby"
    CLAIMING = "claiming"
    IMPORTING = "importing"
    ACTIVE = "active"
    RELEASING = "releasing"
    HALTED = "halted"


class ControllerRole(StrEnum):
    """The usual words for a phase, as `hagit status` shows them."""

    MASTER = "MASTER"
    BACKUP = "BACKUP"
    ELECTING = "ELECTING"
    IMPORTING = "IMPORTING"
    ERROR = "ERROR"


class Thing(StrEnum):
    """Something that a phase wants to be up.

    SHARES: the servers of shares (see `SharesSeen`). They come after the pools and before the addresses, and end after
    the addresses and before the pools.
    """

    POOLS = "pools"
    ADDRESSES = "virtual addresses"
    SHARES = "shares"


@dataclass(frozen=True, slots=True)
class Guarantee:
    """The guarantee of a phase and its consequences.

    `wanted`: things to bring up. `kept`: things to leave as they are. The daemon takes down all others. `required`:
    losing the reservation ends the phase. `act`: a claim may run in this phase, and in no other.
    """

    text: str
    role: ControllerRole
    wanted: frozenset[Thing] = frozenset()
    kept: frozenset[Thing] = frozenset()
    required: bool = False
    act: bool = False


EVERYTHING: Final[frozenset[Thing]] = frozenset(Thing)

GUARANTEES: Final[Mapping[Phase, Guarantee]] = MappingProxyType(
    {
        Phase.BOOTING: Guarantee(
            "nothing has been taken since this daemon started; neither side has been judged",
            ControllerRole.ELECTING,
            kept=EVERYTHING,
        ),
        Phase.STANDBY: Guarantee("no pool is imported here, and none will be without a claim", ControllerRole.BACKUP),
        Phase.CLAIMING: Guarantee(
            "no pool is imported here; one claim is running, bounded in time", ControllerRole.ELECTING, act=True
        ),
        Phase.IMPORTING: Guarantee(
            "the last look saw our reservation; import may be in progress",
            ControllerRole.IMPORTING,
            frozenset({Thing.POOLS}),
            required=True,
        ),
        Phase.ACTIVE: Guarantee(
            "pools are imported here under our reservation; clients are served here",
            ControllerRole.MASTER,
            EVERYTHING,
            required=True,
        ),
        Phase.RELEASING: Guarantee(
            "no new client is served; pools are being exported; the reservation is ours until the peer takes it",
            ControllerRole.BACKUP,
            required=True,
        ),
        Phase.HALTED: Guarantee(
            "this controller may touch nothing until it has been reset; the deadman is not fed",
            ControllerRole.ERROR,
            kept=EVERYTHING,
        ),
    }
)

#: Every legal transition, and why it exists.
LEGAL: Final[Mapping[tuple[Phase, Phase], str]] = MappingProxyType(
    {
        (Phase.BOOTING, Phase.STANDBY): "no pool is imported here",
        (Phase.BOOTING, Phase.IMPORTING): "the daemon restarted during an import, still under our reservation",
        (Phase.BOOTING, Phase.ACTIVE): "the daemon restarted, pools still here under our reservation",
        (Phase.BOOTING, Phase.RELEASING): "the daemon restarted during a release",
        (Phase.BOOTING, Phase.HALTED): "pools are imported here without our reservation",
        (Phase.STANDBY, Phase.CLAIMING): "a row of the decision table, or a person",
        (Phase.STANDBY, Phase.HALTED): "a pool appeared here without a claim",
        (Phase.CLAIMING, Phase.STANDBY): "the claim was lost or could not fence every vdev",
        (Phase.CLAIMING, Phase.IMPORTING): "the fence is verified on every top-level vdev",
        (Phase.CLAIMING, Phase.HALTED): "the claim outlived its deadline",
        (Phase.IMPORTING, Phase.ACTIVE): "all pools are imported",
        (Phase.IMPORTING, Phase.RELEASING): "the import was refused; the peer may do better",
        (Phase.IMPORTING, Phase.HALTED): "the reservation is lost, or the import stands still",
        (Phase.ACTIVE, Phase.IMPORTING): "a pool vanished from under us",
        (Phase.ACTIVE, Phase.RELEASING): "switchover, or the peer can do better",
        (Phase.ACTIVE, Phase.HALTED): "the reservation is lost or can no longer be proven",
        (Phase.RELEASING, Phase.STANDBY): "pools are exported and the peer has taken the reservation",
        (Phase.RELEASING, Phase.IMPORTING): "the peer did not take the pools, or a pool in use could not be exported",
        (Phase.RELEASING, Phase.HALTED): "the export stands still, or the reservation went before the pools",
    }
)

#: Phases in which a controller owns the pools, or is about to.
OWNING: Final[frozenset[Phase]] = frozenset({Phase.CLAIMING, Phase.IMPORTING, Phase.ACTIVE, Phase.RELEASING})


def diagram() -> str:
    """Return the phases and their legal transitions as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> BOOTING"]
    lines += [f"    {old.name} --> {new.name}: {reason}" for (old, new), reason in LEGAL.items()]
    lines.append("    HALTED --> [*]: reset")
    return "\n".join(lines) + "\n"


def phase_table() -> str:
    """Return the guarantees as a Markdown table."""
    lines = ["| phase | shown as | guarantee | wanted | required |", "|---|---|---|---|---|"]
    for phase, guarantee in GUARANTEES.items():
        wanted = ", ".join(thing.value for thing in Thing if thing in guarantee.wanted)
        wanted = "all is left as it is" if guarantee.kept else wanted
        wanted = "act: claim" if guarantee.act else wanted
        required = "reservation" if guarantee.required else ""
        lines.append(f"| {phase.name} | {guarantee.role.value} | {guarantee.text} | {wanted} | {required} |")
    return "\n".join(lines) + "\n"
