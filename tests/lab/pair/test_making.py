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
BARE: Final = ("disk4", "disk5")
WITH_MORE: Final = {
    "disks": (*ORDERS.disks, *BARE),
    "vdevs": (*ORDERS.vdevs, Vdev("more/mirror-0", (4, 5), 1)),
}
#: In the machine: a pool as the agent makes it from a fact.
MAKING: Final = """
from pathlib import Path
from reconciler.core.facts.storage import Pool
from reconciler.system.zfs.live import LivePools
pool = Pool({name!r}, create=True, layout=(("", "mirror", *{disks!r}),), root=(("mountpoint", "/" + {name!r}),))
LivePools(Path("/dev/disk/by-id")).perform(None, pool)
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
    """Six disks, some of them with nothing on them at all."""

    def made(count: int) -> Target:
        target = Target(6)
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


def reserved(pair: EmulatedPair, head: Head) -> bool:
    """Whether every disk of the orders is under this controller's key alone."""
    return not complaints(parse(head.machine.check(asking(pair.orders.disks))), pair.orders.disks, head.side)


def test_a_second_pool_is_made_and_taken_over(
    storage_image: Image, progress: Callable[[str], None], tmp_path: Path
) -> None:
    with EmulatedPair(storage_image, tmp_path, progress, shelf=shelf(BARE), kind=Undivided) as pair:
        old, new, mark = pair.roles()
        pair.write(old)
        with pair.nobody_moves():
            pair.publish(**WITH_MORE)
            pair.until_followed()
            pair.until(lambda: reserved(pair, old), "the disks of the pool that is to be made are reserved")
            make(old, "more", BARE)
            pair.pass_time(5)
        assert sorted(old.pools()) == ["more", "tank"]
        assert pair.well() is old
        old.pull_the_plug()
        pair.taken_over(new, mark)
        assert pair.verify() is new
        assert new.machine.check("cat /more/word").strip() == "there"


def test_the_first_pool_of_a_pair_is_made_and_taken_over(
    storage_image: Image, progress: Callable[[str], None], tmp_path: Path
) -> None:
    four = replace(ORDERS, vdevs=(Vdev("first/mirror-0", (0, 1, 2, 3), 1),))
    every = shelf((*ORDERS.disks, *BARE))
    pair = EmulatedPair(storage_image, tmp_path, progress, four, shelf=every, kind=AllUndivided)
    try:
        pair.boot()
        old = pair.well()
        new, mark = pair.other(old), pair.other(old).mark()
        assert reserved(pair, old)
        with pair.nobody_moves():
            make(old, "first", four.disks)
            pair.pass_time(5)
        pair.well()
        old.pull_the_plug()
        pair.taken_over(new, mark)
        assert reserved(pair, new)
        assert new.machine.check("cat /first/word").strip() == "there"
    finally:
        pair.close()
