"""What must hold when a pool is made on a pair that is up: nobody moves, and the other controller can take it over.

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

from reconciler.core.failover.orders import Vdev
from tests.lab.image import Image
from tests.lab.pair.emulated import ORDERS, EmulatedPair
from tests.lab.pair.head import ROOT, WAIT_S, Head
from tests.lab.pair.reserved import asking, complaints, parse
from tests.lab.target import Target

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
#: In the machine: a pool as the agent makes it from a fact. It has no use for the network.
MAKING: Final = """
from pathlib import Path
from reconciler.agent.live import Live
from reconciler.core.facts.storage import Pool
from reconciler.system.node import load_node
pool = Pool({name!r}, create=True, layout=(("", "mirror", *{disks!r}),), root=(("mountpoint", "/" + {name!r}),))
Live(None, load_node(Path("/root/node.toml"))).perform(None, pool)
"""
MIB: Final = 1 << 20


class Undivided(Head):
    """A controller that waits for the partitions of those disks only that have some."""

    def __init__(self, *words: Any, **named: Any) -> None:
        super().__init__(*words, **named)
        self._disks = tuple(name for name in self._disks if name not in BARE)


class AllUndivided(Head):
    """A controller of a pair that has no pool yet."""

    def __init__(self, *words: Any, **named: Any) -> None:
        super().__init__(*words, **named)
        self._disks = ()


def shelf(bare: tuple[str, ...]) -> Callable[[int], Target]:
    """Disks, some of them with nothing on them at all."""

    def made(count: int) -> Target:
        target = Target(count + len(BARE))
        for name in bare:
            with target.file(name).open("r+b") as content:
                content.write(bytes(MIB))
                content.seek(-MIB, 2)
                content.write(bytes(MIB))
        return target

    return made


def make(head: Head, name: str, disks: tuple[str, ...]) -> None:
    """The agent's part on this controller."""
    text = shlex.quote(MAKING.format(name=name, disks=disks))
    head.machine.check(f"cd {ROOT} && {sys.executable} -c {text} && echo there > /{name}/word && zpool sync", WAIT_S)


def reserved(head: Head, disks: tuple[str, ...]) -> bool:
    """Whether every one of these disks is under this controller's key alone."""
    return not complaints(parse(head.machine.check(asking(disks))), disks, head.side)


def test_pools_are_made_beside_another_and_taken_over(
    storage_image: Image, progress: Callable[[str], None], tmp_path: Path
) -> None:
    with EmulatedPair(storage_image, tmp_path, progress, shelf=shelf(BARE), kind=Undivided) as pair:
        old, new, mark = pair.roles()
        pair.write(old)
        with pair.nobody_moves():
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


def test_the_first_pool_of_a_pair_is_made_and_taken_over(
    storage_image: Image, progress: Callable[[str], None], tmp_path: Path
) -> None:
    first = replace(ORDERS, vdevs=(Vdev("first/mirror-0", (0, 1, 2, 3), 1),))
    every = shelf((*ORDERS.disks, *BARE))
    pair = EmulatedPair(storage_image, tmp_path, progress, first, shelf=every, kind=AllUndivided)
    try:
        pair.boot()
        old = pair.well()
        new = pair.other(old)
        mark = new.mark()
        assert reserved(old, first.disks)
        with pair.nobody_moves():
            make(old, "first", first.disks)
            pair.pass_time(5)
        assert pair.well() is old
        old.pull_the_plug()
        pair.taken_over(new, mark)
        assert reserved(new, first.disks)
        assert new.machine.check("cat /first/word").strip() == "there"
    finally:
        pair.close()
