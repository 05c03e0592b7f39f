"""What is true of the disks of the exhaustive world, whatever anybody believes, and the invariants read from it.

Does not know how the world moves; `bounded` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.core.failover.reservations.claim import Claim
from reconciler.simulation.exhaustive.canonical import Disks
from reconciler.simulation.exhaustive.state_numbers import NONE, SIDES, Numbering, SideState


class DiskInvariants(Numbering):
    """Who can write what, and which invariant a state breaks."""

    def _memo(self, key: Any, make: Callable[[], int]) -> int:
        known = self._steps.get(key)
        if known is None:
            known = self._steps[key] = make()
        return known

    def _writable(self, side: int, shelf: int) -> int:
        """The disks that execute this controller's writes, a bit each."""
        disks: Disks = self.shelves.values[shelf]
        return self._memo(
            ("writable", side, shelf),
            lambda: sum(1 << at for at, disk in enumerate(disks) if disk.lets_write(SIDES[side])),
        )

    def _quorum(self, disks: int) -> bool:
        """These disks are enough for every top-level vdev."""
        return all(self._enough(vdev, disks) for vdev in range(len(self.scene.orders.vdevs)))

    def _enough(self, vdev: int, disks: int) -> bool:
        layout = self.scene.orders.vdevs[vdev]
        return sum(disks >> at & 1 for at in layout.disks) >= layout.needed

    def _writes(self, side: int, shelf: int, gained: int = 0) -> bool:
        return self._quorum(self._writable(side, shelf) & ~gained)

    def _majority(self, disks: int) -> bool:
        return sum(disks >> at & 1 for at in self.scene.orders.arbitration) >= self.scene.orders.majority

    def _proves(self, claim: Claim) -> bool:
        """An independent reading of a claim's last look: on every vdev the peer is left with too few disks."""
        for vdev in claim.orders.vdevs:
            views = [claim.result[at] for at in vdev.disks]
            ours = sum(view.answered and view.holder == claim.key and len(view.registered) == 1 for view in views)
            if ours < vdev.needed or len(views) - ours >= vdev.needed:
                return False
        return True

    def _violation(self, a: int, b: int, shelf: int) -> str:
        """The invariant that this state breaks, or nothing."""
        one, two = self.nodes[a], self.nodes[b]
        key = (one[2:5], one.gained, one.replaced, two[2:5], two.gained, two.replaced, shelf)
        known = self._broken.get(key)
        if known is None:
            known = self._broken[key] = self._look_for_violation((one, two), shelf)
        return known

    def _look_for_violation(self, nodes: tuple[SideState, SideState], shelf: int) -> str:
        disks: Disks = self.shelves.values[shelf]
        # Where a completion has registered it, no pool of a controller can write before it opens the disk again.
        masks = [self._writable(side, shelf) & ~nodes[side].gained for side in (0, 1)]
        if nodes[0].pools != NONE and nodes[1].pools != NONE:
            for at, vdev in enumerate(self.scene.orders.vdevs):
                if self._enough(at, masks[0]) and self._enough(at, masks[1]):
                    return f"the writes of both controllers reach vdev {vdev.name}"
        for side, node in enumerate(nodes):
            if node.pools == NONE:
                continue
            # Where disks come back, an import may have one more of them as long as no other has begun.
            over = node.replaced if self.scene.faults.sticky else node.stale
            if over and self._quorum(masks[side]):
                return f"an import of {SIDES[side]} that lost its reservation can write again"
            free = sum(disks[at].holder is None for at in self.scene.orders.arbitration)
            if free >= self.scene.orders.majority:
                return f"the reservation is free while {SIDES[side]} has pools imported"
        return ""
