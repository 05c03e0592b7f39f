"""What must hold when a pool is made on a running pair: neither controller moves, and the other can take the pool over.

The disks of the new pool are bare, and the controller that did not make it has read them before they had partitions.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from reconciler.core.failover.orders.orders import Vdev
from tests.lab.image import Image
from tests.lab.pair.emulated_pair import ORDERS, EmulatedPair
from tests.lab.pair.head import ROOT, WAIT_S, Head
from tests.lab.pair.sg_persist import asking, complaints, parse
from tests.lab.target import Target, layout

pytestmark = pytest.mark.timeout(1_800)
MORE: Final = ("disk4", "disk5")
LATER: Final = ("disk6", "disk7")
BARE: Final = (*MORE, *LATER)
WITH_MORE: Final = replace(
    ORDERS, disks=(*ORDERS.disks, *MORE), vdevs=(*ORDERS.vdevs, Vdev("more/mirror-0", (4, 5), 1))
)
WITH_LATER: Final = replace(
    WITH_MORE, disks=(*WITH_MORE.disks, *LATER), vdevs=(*WITH_MORE.vdevs, Vdev("later/mirror-0", (6, 7), 1))
)
#: In the machine: the agent's steps before it runs zpool, and what it reports to observers meanwhile. Without udev
#: `zpool create` waits in vain for links of partitions; so the disks are divided and named one by one.
MAKING: Final = """
import sys
from pathlib import Path
from reconciler.agent.host import pool_placement
from reconciler.agent.pool_fencing import fence_pool_disks
from reconciler.core.facts.state import Placement
from reconciler.system.node import load_node
from reconciler.system.zfs.pool_lock import PoolLock
node, (name, *disks) = load_node(Path("/root/node.toml")), sys.argv[1:]
assert pool_placement(node) == (Placement.ACTIVE, ""), pool_placement(node)
fence_pool_disks(node, node.watchdog, name, disks)
PoolLock().set_ready(name, ready=True)
"""
MIB: Final = 1 << 20
SIZE_MIB: Final = 256


class Undivided(Head):
    """A controller that waits for partitions only on disks that have some."""

    def __init__(self, *words: Any, **named: Any) -> None:
        super().__init__(*words, **named)
        self._disks = tuple(name for name in self._disks if name not in BARE)


def shelf(bare: tuple[str, ...]) -> Callable[[int], Target]:
    """Return a function that makes a shelf in which the disks `bare` are empty."""

    def made(count: int) -> Target:
        target = Target(count + len(BARE), SIZE_MIB)
        for name in bare:
            with target.file(name).open("r+b") as content:
                content.write(bytes(MIB))
                content.seek(-MIB, 2)
                content.write(bytes(MIB))
        return target

    return made


def make(head: Head, name: str, disks: tuple[str, ...]) -> None:
    """Make a pool of bare disks on this controller."""
    divide = " && ".join(
        f"printf %s {shlex.quote(layout(SIZE_MIB))} | sfdisk -q /dev/disk/by-id/{disk}" for disk in disks
    )
    parts = " ".join(f"/dev/disk/by-id/{disk}-part1" for disk in disks)
    there = " && ".join(f"until [ -e /dev/disk/by-id/{disk}-part1 ]; do sleep 0.1; done" for disk in disks)
    head.machine.check(
        f"(cd {ROOT} && {sys.executable} -c {shlex.quote(MAKING)} {name} {' '.join(disks)}) && {divide} && {there} && "
        f"zpool create -f -o cachefile=none -o failmode=panic -m /{name} {name} mirror {parts} && "
        f"echo there > /{name}/word && zpool sync",
        WAIT_S,
    )


def reserved(head: Head, disks: tuple[str, ...]) -> bool:
    """Whether each of these disks is under this controller's key alone."""
    return not complaints(parse(head.machine.check(asking(disks))), disks, head.side)


def test_pools_are_made_beside_another_and_taken_over(
    storage_image: Image, progress: Callable[[str], None], tmp_path: Path
) -> None:
    with EmulatedPair(storage_image, tmp_path, progress, shelf=shelf(BARE), kind=Undivided) as pair:
        old, new, mark = pair.roles()
        pair.write(old)
        with pair.no_failover():
            make(old, "more", MORE)
            assert reserved(old, MORE), "before any orders name them"
            pair.publish(disks=WITH_MORE.disks, vdevs=WITH_MORE.vdevs)
            pair.until_followed()
            pair.say("a pool was made, and orders name it")
            pair.publish(disks=WITH_LATER.disks, vdevs=WITH_LATER.vdevs)
            pair.until_followed()
            pair.until(lambda: reserved(old, LATER), "the disks of the pool that is to be made are reserved")
            make(old, "later", LATER)
            pair.say("orders named a pool, and it was made")
            pair.pass_time(5)
        assert sorted(old.pools()) == ["later", "more", "tank"]
        assert pair.well() is old
        old.pull_the_plug()
        pair.taken_over(new, mark)
        assert pair.verify() is new
        assert new.machine.check("cat /more/word /later/word").split() == ["there", "there"]
