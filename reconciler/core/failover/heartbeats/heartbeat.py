"""Beats: what a controller says about itself, the same on every network channel and in its disk record.

Decides nothing; `detector` says which beats count. Does not know how a beat travels; `wire` writes it as bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.reservations.key import Side

#: A beat carries the newest transaction group of at most this many pools.
TXGS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Beat:
    """One heartbeat.

    `incarnation` rises with every start of the daemon, `counter` with every beat; `echo` is the incarnation of the
    receiver that the sender heard last, which proves that the beat answers this life of the receiver. `epoch` is the
    highest seen by the sender. `groups_down` are the failover groups that are down there; `out` are disks (indices)
    that the pools there have given up. `able`: could take the pools now. `handed`: released and exported, take them.
    `dying`: a last word, sent by a panic or before a reset.

    `machine` is a 64-bit number of the sending machine, different on any two machines and after each boot; 0: not said.
    `txgs`: the newest transaction group of each pool, in the order in which the vdevs of the orders first name pools;
    0 for a pool that is not imported there; empty: not said. `armed`: a hardware watchdog resets that machine if its
    daemon stops. `accepts`: fingerprint of a secret that the sender accepts besides the one that seals the beat; 0 for
    none. `policy`: digest of what the sender's configuration means in every release, 0: not said. `lives_ms`: the
    longest time for which the sender may go on after it lost its disks, 0: not said. A beat in layout version 1 says
    nothing of these six: they have their defaults.

    `first_digest` does not travel by itself: it stands in the place of `digest` in a beat in version 1, which only
    readers of the first release are sent; 0: `digest` does.
    """

    side: Side
    incarnation: int
    counter: int
    echo: int
    phase: Phase
    epoch: int = 0
    groups_down: frozenset[int] = frozenset()
    out: frozenset[int] = frozenset()
    sees: bool = False
    able: bool = False
    handed: bool = False
    dying: bool = False
    enabled: bool = True
    generation: int = 0
    digest: int = 0
    shelf: int = 0
    machine: int = 0
    txgs: tuple[int, ...] = ()
    armed: bool = True
    accepts: int = 0
    policy: int = 0
    lives_ms: int = 0
    first_digest: int = 0

    @property
    def guarded(self) -> bool:
        """Whether the sender says that a hardware watchdog resets its machine. The first release says nothing."""
        return self.armed and self.policy != 0
