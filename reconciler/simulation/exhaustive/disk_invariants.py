"""Invariants of the exhaustive world, read from the disks and not from what the controllers believe.

Computes which controller can write which disk, and which invariant a state breaks. Does not know the moves (`world`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.core.failover.reservations.claim import Claim
from reconciler.simulation.exhaustive.canonical import Disks
from reconciler.simulation.exhaustive.state_numbers import NONE, SIDES, Numbering, SideState


class DiskInvariants(Numbering):
    """Computes which controller can write which disk, and which invariant a state breaks."""

    def _memo(self, key: Any, make: Callable[[], int]) -> int:
        known = self._steps.get(key)
        if known is None:
            known = self._steps[key] = make()
        return known

    def _writable(self, side: int, shelf: int) -> int:
        """Return the disks that execute this controller's writes, a bit each."""
        disks: Disks = self.shelves.values[shelf]
        return self._memo(
            ("writable", side, shelf),
            lambda: sum(1 << at for at, disk in enumerate(disks) if disk.lets_write(SIDES[side])),
        )

    def _quorum(self, disks: int) -> bool:
        """Whether these disks are enough for every top-level vdev."""
        return all(self._enough(vdev, disks) for vdev in range(len(self.scene.orders.vdevs)))

    def _enough(self, vdev: int, disks: int) -> bool:
        layout = self.scene.orders.vdevs[vdev]
        return sum(disks >> at & 1 for at in layout.disks) >= layout.needed

    def _writes(self, side: int, shelf: int, gained: int = 0) -> bool:
        return self._quorum(self._writable(side, shelf) & ~gained)

    def _majority(self, disks: int) -> bool:
        return sum(disks >> at & 1 for at in self.scene.orders.arbitration) >= self.scene.orders.majority

    def _proves(self, claim: Claim) -> bool:
        """Whether a claim's last look, read independently, leaves the peer too few disks on every vdev."""
        for vdev in claim.orders.vdevs:
            views = [claim.result[at] for at in vdev.disks]
            ours = sum(view.answered and view.holder == claim.key and len(view.registered) == 1 for view in views)
            if ours < vdev.needed or len(views) - ours >= vdev.needed:
                return False
        return True

    def _violation(self, a: int, b: int, shelf: int) -> str:
        """Return the name of the invariant that this state breaks, or an empty string."""
        one, two = self.nodes[a], self.nodes[b]
        key = tuple((node[2:5], node.gained, node.replaced, node.servers, node.shelf) for node in (one, two)), shelf
        known = self._broken.get(key)
        if known is None:
            known = self._broken[key] = self._look_for_violation((one, two), shelf)
        return known

    def _look_for_violation(self, nodes: tuple[SideState, SideState], shelf: int) -> str:
        disks: Disks = self.shelves.values[shelf]
        # A completion has registered these disks. No pool of this controller writes there before it reopens the disk.
        masks = [self._writable(side, shelf) & ~nodes[side].gained for side in (0, 1)]
        if nodes[0].pools != NONE and nodes[1].pools != NONE:
            for at, vdev in enumerate(self.scene.orders.vdevs):
                if self._enough(at, masks[0]) and self._enough(at, masks[1]):
                    return f"the writes of both controllers reach vdev {vdev.name}"
        if nodes[0].servers and nodes[1].servers:
            if self._quorum(masks[0]) and self._quorum(masks[1]):
                return "servers of both controllers reach the pools"
            if NONE in (nodes[0].pools, nodes[1].pools):
                return "servers run without pools while those of the other controller serve"
        for side, node in enumerate(nodes):
            if node.pools == NONE:
                continue
            # In scenes where disks come back, an import may have one more disk as long as no other import has begun.
            over = node.replaced if self.scene.faults.sticky else node.stale
            if over and self._quorum(masks[side]):
                return f"an import of {SIDES[side]} that lost its reservation can write again"
            voters = self.scene.faults.moved if node.shelf == 2 else self.scene.orders.arbitration
            if 2 * sum(disks[at].holder is None for at in voters) > len(voters):
                return f"the reservation is free while {SIDES[side]} has pools imported"
        return ""
