"""Two paths from each machine to each disk: a session each to its target, two SCSI disks with one world-wide name.

A test can drop the packets of one path while the other works, and the kernel can lose a path and find it again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import DiskView, Fence, fence
from tests.lab.image import image
from tests.lab.pair.portal import Portal
from tests.lab.pair.shelf_pair import BY_ID, FarShelf, Head, ShelfPair
from tests.system.shelf.rig import DISKS, orders
from tests.wait import until

A, B = Key(Side.A, 1), Key(Side.B, 2)
#: A look in which a hanging path would make the disk silent.
LOOK_S = 5.0


class PathsPair(ShelfPair):
    """See `ShelfPair`."""

    def devices(self, side: Side) -> tuple[str, ...]:
        """See `ShelfPair.devices`."""
        found: list[str] = []
        for portal in self.portals:
            assert isinstance(portal, Portal)
            found += (*portal.device(f"side-{side}"), *portal.second_device(f"side-{side}-second"))
        return tuple(found)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PathsPair]:
    made = PathsPair(image(storage=True), tmp_path_factory.mktemp("paths"), DISKS)
    yield made
    made.close()


def twins(head: Head, disk: str) -> list[str]:
    """Return the kernel's names of both paths to a disk, first the one to which its link leads."""
    first = head.device(disk)
    wwid = head.machine.check(f"cat /sys/block/{first}/device/wwid").strip()
    assert wwid.startswith(("naa.", "eui.")), wwid
    names = head.machine.check(f"cd /sys/block && grep -l '{wwid}' sd*/device/wwid").split()
    return sorted((name.split("/")[0] for name in names), key=lambda name: name != first)


def seen(shelf: FarShelf) -> DiskView:
    return shelf.look(LOOK_S)[0]


def test_paths_that_hang_and_paths_that_come_back(pair: PathsPair) -> None:
    ours, theirs = (pair.heads[side].shelf(orders(side)) for side in Side)
    head, portal = pair.heads[Side.A], pair.portals[0]
    assert isinstance(portal, Portal)
    first, second = twins(head, DISKS[0])
    assert fence(orders(Side.A), 1, ours.claim(A)[0], frozenset()) == (Fence.HOLDS, ())
    assert seen(ours) == DiskView(True, A, frozenset({A}))
    keys = f"sg_persist --no-inquiry --in --read-keys {BY_ID}/{DISKS[0]} | grep -c '^ *0x'"
    assert head.machine.check(keys).strip() == "2", "one registration for each path"

    # Either path hangs: the other one answers in time.
    for name in ("side-a", "side-a-second"):
        portal.reach(name, reaches=False)
        for _ in range(5):
            begun_s = time.monotonic()
            assert seen(ours) == DiskView(True, A, frozenset({A}))
            print(f"a look with {name} hanging: {time.monotonic() - begun_s:.2f} s with the way to the machine")
        portal.reach(name, reaches=True)

    # The kernel loses a path, a claim runs without it, and it comes back: seen and registered; the disk stays ours.
    head.machine.check(f"echo 1 >/sys/block/{second}/device/delete")
    later = Key(Side.A, 3)
    assert fence(orders(Side.A), 3, ours.claim(later)[0], frozenset()) == (Fence.HOLDS, ())
    head.machine.check("for host in /sys/class/scsi_host/*; do echo '- - -' >$host/scan; done")
    until(lambda: len(twins(head, DISKS[0])) == 2)
    until(lambda: seen(ours).unregistered == 1, timeout_s=60)
    # The disk's name may lead to the path that came last.
    (returned,) = set(twins(head, DISKS[0])) - {first}
    write = "dd if=/dev/zero of=/dev/{} bs=4k count=1 seek=2000 oflag=direct conv=notrunc"
    refused = head.machine.run(write.format(returned))
    assert "Invalid exchange" in refused.err, "EBADE"
    assert ours.complete((0,), later) == [[0, True]]
    assert seen(ours) == DiskView(True, later, frozenset({later}))
    assert head.machine.run(write.format(returned)).status == 0
    assert head.machine.run(write.format(first)).status == 0

    # The other controller takes over while one of its own paths hangs.
    portal.reach("side-b", reaches=False)
    views, told = theirs.claim(Key(Side.B, 4))
    print(f"a claim with one path hanging: {told['seconds']:.2f} s, {told['commands']} commands")
    assert fence(orders(Side.B), 4, views, frozenset()) == (Fence.HOLDS, ())
    portal.reach("side-b", reaches=True)
    for name in (first, returned):
        assert "Invalid exchange" in head.machine.run(write.format(name)).err
