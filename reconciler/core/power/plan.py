"""How the power of each controller is switched: which fence agent, with which plain options, within which time.

Decides nothing and holds no secret: the credentials of agents stay in files of the controllers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from reconciler.core.failover.reservations.key import Side

#: A name of an option of a fence agent.
OPTION: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")


class PowerAction(StrEnum):
    """What an agent is asked for (FenceAgentAPI.md of ClusterLabs, "Agent Operations"). A cut is verified."""

    OFF = "off"
    ON = "on"
    STATUS = "status"


class PowerState(StrEnum):
    """What is known of a controller's power."""

    OFF = "off"
    ON = "on"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Option:
    """One option of an agent, as it is given on its standard input."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class PowerSwitch:
    """How the power of the controller `side` is switched. `timeout_ms`: for a cut with its proof, together."""

    side: Side
    agent: str
    options: tuple[Option, ...]
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class PowerPlan:
    """Power fencing of one pair. Without switches there is none.

    `check_ms`: between two checks of the peer's switch. `restart`: a peer that was cut by itself is switched on again
    when the pools are served here.
    """

    pair: str
    switches: tuple[PowerSwitch, ...]
    check_ms: int = 60_000
    restart: bool = True

    def of(self, side: Side) -> PowerSwitch | None:
        """How the power of one controller is switched."""
        return next((switch for switch in self.switches if switch.side is side), None)
