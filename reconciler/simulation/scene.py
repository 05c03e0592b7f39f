"""Bounded worlds to be explored: small orders, and which faults each scene allows.

Does not know how a world moves; `bounded` does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from reconciler.core.failover.events import Request
from reconciler.core.failover.key import Side
from reconciler.core.failover.orders import Channel, Group, Limits, Orders, Timers, Vdev

#: A pause longer than every bound; the ages of moments stop there.
LATE_MS: Final = 5

#: One tick for everything: any timer may fire at any moment.
TICKS: Final = Timers(
    beat_ms=1, silence_ms=1, record_ms=1, stale_ms=1, look_ms=0, proof_ms=1, pause_ms=LATE_MS - 2, settle_ms=1,
    claim_ms=1, import_ms=1, release_ms=1, handover_ms=1, boot_ms=1, yield_ms=1, retry_ms=1, again_ms=1, deadman_ms=1,
    patience_ms=9, network_ms=0, maintenance_ms=1,
)  # fmt: skip


class Fault(NamedTuple):
    """What may go wrong in a scene."""

    crash: bool = True
    power: bool = True
    late: bool = True
    delay: bool = False
    fine: bool = False
    irregular: bool = False
    cuts: bool = True
    most: int = -1
    reach: tuple[tuple[int, int], ...] = ()
    links: tuple[int, ...] = ()
    hang: bool = False
    refuse: bool = False
    proof: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """A bounded world: its orders and what may happen in it."""

    name: str
    about: str
    orders: Orders
    faults: Fault
    asked: tuple[Request, ...] = ()


#: Two top-level vdevs: one disk alone, and a mirror; all three arbitrate.
SHELF: Final = Orders(
    pair="explored",
    side=Side.A,
    generation=1,
    controllers=("a", "b"),
    disks=("disk0", "disk1", "disk2"),
    vdevs=(Vdev("single", (0,), 1), Vdev("mirror", (1, 2), 1)),
    arbitration=(0, 1, 2),
    channels=(Channel("network"),),
    timers=TICKS,
    limits=Limits(moves=0),
)
GROUPED: Final = replace(SHELF, groups=(Group(1, ("net",)),))

SCENES: Final = (
    Scene("crashes", "daemons crash and restart, controllers lose power and wake late; beats are lost, one way or both",
          SHELF, Fault()),
    Scene("requests", "as before, and people ask for switchovers and force either controller at any moment",
          SHELF, Fault(late=False), (Request.SWITCHOVER, Request.FORCE)),
    Scene("disks", "disks come and go: all of them for the first controller, half a mirror for the second",
          SHELF, Fault(late=False, reach=((0, 0b111), (1, 0b100)))),
    Scene("one-disk", "a disk alone in its vdev is out of reach of either controller",
          SHELF, Fault(late=False, reach=((0, 0b001), (1, 0b001)))),
    Scene("groups", "failover groups go down and come back on either side",
          GROUPED, Fault(late=False, links=(0, 1))),
    Scene("hanging", "imports are refused, pools hang, exports never end",
          SHELF, Fault(late=False, hang=True, refuse=True)),
    Scene("proof", "a power controller reports deaths",
          SHELF, Fault(late=False, proof=True)),
    Scene("disabled", "failover is disabled; a person may force either controller",
          replace(SHELF, enabled=False), Fault(late=False), (Request.FORCE,)),
)  # fmt: skip
