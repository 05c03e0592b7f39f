"""Heartbeat: the report of a controller about itself, the same on every network channel and in its disk record.

Makes no decisions; `failure_detector` decides which beats count. Does not know how a beat travels; `wire` encodes it.
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

    `incarnation` rises with every start of the daemon, `counter` with every beat. `echo`: the receiver's incarnation
    that the sender heard last; it proves that the beat answers this life of the receiver. `epoch`: the highest that the
    sender has seen. `groups_down`: failover groups that are down at the sender. `out`: disks (indices) that the pools
    there have given up. `able`: the sender could take the pools now. `handed`: the sender has released and exported the
    pools for the receiver. `dying`: a last beat, sent by a panic or before a reset.

    `machine`: 64-bit number of the sending machine, different on any two machines and after each boot; 0: not said.
    `txgs`: newest transaction group of each pool, in the order in which the vdevs of the orders first name pools; 0 for
    a pool that is not imported there; empty: not said. `armed`: a hardware watchdog resets that machine if its daemon
    stops. `accepts`: fingerprint of a secret that the sender accepts besides the one that seals the beat; 0 for none.
    `policy`: digest of the part of the sender's configuration that means the same in every release; 0: not said.
    `lives_ms`: longest time for which the sender may go on after it lost its disks; 0: not said. A beat in layout
    version 1 does not carry these six; they have their defaults.

    `first_digest` has no field of its own on the wire: it replaces `digest` in a beat in version 1, which only readers
    of the first release receive. 0: `digest` stays.
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
        """Whether the sender reports that a hardware watchdog resets its machine. The first release never does."""
        return self.armed and self.policy != 0
