"""One controller's disk heartbeats in the timed world: which secret seals them, and what it reads of the peer's.

Does not know when the daemon writes or reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.heartbeats.record_slots import compare, held
from reconciler.core.failover.machine.events import Heard, RecordChanged
from reconciler.core.failover.reservations.key import Side
from reconciler.simulation.timed.shelf import Sealed

if TYPE_CHECKING:
    from reconciler.simulation.timed.controller import Controller
    from reconciler.simulation.timed.world import World

#: The seal of a record that the peer cannot decode.
GARBLED: Final = -1
#: Time until a disk refuses a record.
REFUSAL_MS: Final = 5


class Records:
    """`secret`: the number of the secret in the controller's file. `seal`: the secret that its daemon has read.

    The seal is used for datagrams, too. `garbled`: the peer can decode none of its records. `slots`: the last content
    of the peer's slots.
    """

    def __init__(self, world: World, side: Side) -> None:
        self.world, self.side = world, side
        self.secret = self.seal = 0
        self.garbled = False
        self.slots: tuple[Sealed | None, ...] = ()

    def start(self) -> None:
        """A daemon starts: it reads its secret and knows nothing of the disks."""
        self.seal, self.slots = self.secret, ()

    def heal(self) -> None:
        """Restore the pair's secret and readable records."""
        self.secret = self.seal = 0
        self.garbled = False

    def write(self, beat: Beat, owner: Controller) -> None:
        """Write a disk heartbeat. Reports a conflict to `owner` if the disks refuse it because of their reservation."""
        if not self.world.shelf.write_record(self.side, beat, GARBLED if self.garbled else self.seal):
            self.world.later(REFUSAL_MS, owner.conflict, None, owner)

    def events(
        self, records: tuple[Sealed | None, ...], incarnation: int, channel: int
    ) -> tuple[Heard | RecordChanged, ...]:
        """Return what the peer's slots mean to the core, and remember them.

        `incarnation`: the highest known incarnation of the peer.
        """
        before = self.slots if len(self.slots) == len(records) else (None,) * len(records)
        beats = [one[1] if one is not None and one[0] == self.seal else None for one in records]
        self.slots = held(before, records)
        return compare(before, records, beats, incarnation).events(channel)
