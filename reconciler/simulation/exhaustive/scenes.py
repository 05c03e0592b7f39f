"""Bounded worlds to explore: small orders, and the faults that each scene allows.

Does not know how a world moves; `world` does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from reconciler.core.failover.machine.events import Request
from reconciler.core.failover.orders.orders import Channel, Group, Limits, Orders, Timers, Vdev
from reconciler.core.failover.reservations.key import Side

#: A pause longer than every bound. Ages of moments stop here.
LATE_MS: Final = 5

#: A value in `SceneFaults.reach`: both controllers lose the disks at once, and get them back at once.
BOTH: Final = 2

#: One tick for everything: any timer may fire at any moment.
TICKS: Final = Timers(
    beat_ms=1, silence_ms=2, record_ms=1, stale_ms=2, look_ms=0, proof_ms=2, pause_ms=LATE_MS - 2, settle_ms=1,
    claim_ms=1, import_ms=1, release_ms=1, handover_ms=1, boot_ms=1, yield_ms=1, retry_ms=1, again_ms=1, deadman_ms=1,
    patience_ms=9, network_ms=0, maintenance_ms=1,
)  # fmt: skip


class SceneFaults(NamedTuple):
    """The faults of a scene, at most `most` in all (-1: without limit).

    `cuts`: a controller hears nothing on any network. `slow`: a claim, import or release outlives its bound; that an
    import or export makes progress, or finds a file in use, does not count. `reach`: (controller, disks) that are lost
    together; the controller is 0, 1 or BOTH. `links`: the controllers whose failover group may go down.

    These are no faults and do not count: `sticky` (pools do without dropped disks until they open them again; the
    daemons complete claims), `stays` (disks are lost before the start only), `secrets` (the two daemons have different
    secrets until they agree for good), `delay` (beats under way are late, doubled, lost), `fine` (one move for each
    reservation command, not for each disk), `wide` (disks answer commands sent to several of them in any order) and
    `unarmed` (no hardware watchdog resets a controller, and both say so). `servers`: servers of shares on each
    controller; they die where daemons do. `moved`: the arbitration disks of newer orders, which reach each controller
    at any moment. Everything can heal at any moment, uncounted.
    """

    crash: bool = False
    power: bool = False
    late: bool = False
    cuts: bool = False
    secrets: bool = False
    slow: bool = False
    delay: bool = False
    fine: bool = False
    wide: bool = False
    most: int = -1
    reach: tuple[tuple[int, int], ...] = ()
    links: tuple[int, ...] = ()
    hang: bool = False
    refuse: bool = False
    proof: bool = False
    sticky: bool = False
    stays: bool = False
    unarmed: bool = False
    servers: int = 0
    moved: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """A bounded world: its orders and its faults. `begins`: the beginnings of the moves that lead to its start."""

    name: str
    about: str
    orders: Orders
    faults: SceneFaults
    asked: tuple[Request, ...] = ()
    begins: tuple[str, ...] = ()


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
#: One disk arbitrates, and a claim sweeps the other two.
SWEPT: Final = replace(SHELF, arbitration=(0,))
#: One mirror: a single disk is enough to write to it, and enough to lose what a pool wrote to the other one.
MIRROR: Final = replace(SHELF, disks=("disk0", "disk1"), vdevs=(Vdev("mirror", (0, 1), 1),), arbitration=(0,))
GROUPED: Final = replace(SHELF, groups=(Group(1, ("net",)),))
#: Half a mirror fails, the pools drop it, and the other controller takes over; the first one is up again.
WITHOUT_HALF: Final = (
    "a: boots", "a: looks", "b: boots", "b: looks",
    "a: look disk0", "a: look disk1", "a: look disk0", "a: look disk1", "a: the claim ends",
    "a: import begins", "a: import ends", "a: looks",
    "disks 0b010 out of reach for both", "a: a client's write is acknowledged", "a: looks", "b: looks",
    "b: a person asks: force-activate", "b: look disk0", "b: look disk1", "b: look disk0", "b: look disk1",
    "b: the claim ends", "a: looks", "a: resets", "a: boots", "a: looks",
    "b: time passes", "b: time passes", "b: time passes", "b: import begins", "b: import ends", "b: looks",
)  # fmt: skip

#: One controller of a mirror is active, the other one standby.
ONE_ACTIVE: Final = WITHOUT_HALF[: WITHOUT_HALF.index("disks 0b010 out of reach for both")]

#: Each controller has lost a different half of a mirror, the pools dropped theirs, and no controller takes over yet.
HALF_APART: Final = (
    *ONE_ACTIVE, "disks 0b010 out of reach for a", "disks 0b010 out of reach for b",
    "a: a client's write is acknowledged", "a: looks", "b: looks",
)  # fmt: skip

#: A person asked for a switchover, and the export is about to begin.
SWITCHED: Final = (
    "a: boots", "a: looks", "b: boots", "b: looks",
    "a: look disk0", "a: look disk1", "a: look disk2", "a: look disk0", "a: look disk1", "a: look disk2",
    "a: the claim ends", "a: import begins", "a: import ends", "a: looks", "b: looks", "a: a person asks: switchover",
)  # fmt: skip

#: A mirror whose pools are served by servers of shares, for which addresses wait one tick.
SERVED: Final = replace(MIRROR, timers=replace(TICKS, patience_ms=1))
#: Two servers of shares serve on one controller.
SERVING: Final = (
    *ONE_ACTIVE, "a: server0 starts", "a: server1 starts", "a: looks", "a: answers clients", "a: looks", "b: looks",
)  # fmt: skip

SCENES: Final = (
    Scene("hanging", "imports are refused and pools hang, any number of times",
          SHELF, SceneFaults(hang=True, refuse=True)),
    Scene("requests", "people ask for switchovers and force either controller, twice",
          SHELF, SceneFaults(most=2), (Request.SWITCHOVER, Request.FORCE)),
    Scene("sweep", "a person forces either controller, once, and disks answer in any order",
          SWEPT, SceneFaults(wide=True, most=1), (Request.FORCE,)),
    Scene("comes-back", "half a mirror comes back after a takeover; a person forces either controller, twice",
          MIRROR, SceneFaults(reach=((BOTH, 0b10),), sticky=True, stays=True, most=2), (Request.FORCE,), WITHOUT_HALF),
    Scene("comes-and-goes", "half a mirror comes back after a takeover; then it is lost, or a person forces one, once",
          MIRROR, SceneFaults(reach=((BOTH, 0b10),), sticky=True, most=1), (Request.FORCE,), WITHOUT_HALF),
    Scene("unarmed", "half a mirror is given up and no hardware watchdog resets anybody; people ask for a move, once",
          MIRROR, SceneFaults(reach=((0, 0b10), (1, 0b10)), sticky=True, unarmed=True, most=1),
          (Request.FORCE, Request.SWITCHOVER), HALF_APART),
    Scene("disabled", "failover is disabled; a person may force either controller at any moment",
          replace(SHELF, enabled=False), SceneFaults(most=0), (Request.FORCE,)),
    Scene("disks", "all disks are lost to one controller, or half a mirror to the other, once",
          SHELF, SceneFaults(reach=((0, 0b111), (1, 0b100)), most=1)),
    Scene("lone-disk", "the disk that is alone in its vdev is lost to either controller, once",
          SHELF, SceneFaults(reach=((0, 0b001), (1, 0b001)), most=1)),
    Scene("power", "controllers lose power, any number of times",
          SHELF, SceneFaults(power=True)),
    Scene("proof", "controllers lose power and the peer is told, any number of times",
          SHELF, SceneFaults(power=True, proof=True)),
    Scene("groups", "a failover group goes down on either side, once",
          GROUPED, SceneFaults(links=(0, 1), most=1)),
    Scene("slow", "the export of a switchover goes on, stands still or is in use; one limit runs out, then or later",
          SWEPT, SceneFaults(slow=True, most=1), (Request.SWITCHOVER,), SWITCHED),
    Scene("shares", "two servers of shares each; one or its daemon dies, a move is asked for, a limit runs out: twice",
          SERVED, SceneFaults(crash=True, slow=True, servers=2, most=2), (Request.SWITCHOVER,), SERVING),
    Scene("moved-arbitration", "newer orders move the arbitration disk; a daemon dies or sleeps, a person asks, once",
          MIRROR, SceneFaults(crash=True, late=True, moved=(1,), most=1),
          (Request.FORCE, Request.SWITCHOVER), ONE_ACTIVE),
    Scene("restarts", "daemons die and start again, any number of times",
          SHELF, SceneFaults(crash=True)),
    Scene("secrets", "the secrets differ until a person corrects them; a person forces either controller, once",
          SHELF, SceneFaults(secrets=True, most=1), (Request.FORCE,)),
    Scene("interrupted", "switchovers are asked for and daemons die in the middle, twice in all",
          SHELF, SceneFaults(crash=True, most=2), (Request.SWITCHOVER,)),
    Scene("any-fault", "one fault of any kind: a crash, a power loss, a late wake, a cut cable, a bound that runs out",
          SHELF, SceneFaults(crash=True, power=True, late=True, cuts=True, slow=True, most=1)),
)  # fmt: skip

#: Worlds too large for every run; a search stops at the number of states that its caller gives.
DEEP: Final = (
    Scene("late-beats", "beats and disk records arrive late, doubled or never",
          SHELF, SceneFaults(delay=True, most=0)),
    Scene("swept-power", "controllers lose power, once, and disks answer in any order",
          SWEPT, SceneFaults(power=True, wide=True, most=1)),
    Scene("fine-claims", "every single reservation command may be the last before a crash or power loss",
          SHELF, SceneFaults(crash=True, power=True, fine=True, most=1)),
    Scene("two-faults", "two faults of any kind",
          SHELF, SceneFaults(crash=True, power=True, late=True, cuts=True, slow=True, most=2)),
)  # fmt: skip
