"""The adapter never imports an older half of a pool: on real ZFS, again and again.

One controller drops a disk, continues to write, and loses its power. Then the disk with the newest writes becomes
unreadable, though it answers reservations: its labels are damaged, or every read fails. The other controller may refuse
the import or find everything; it must never serve the older data. `HALVES=20` plays each layout 20 times.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from reconciler.core.failover.orders.orders import Vdev
from tests.lab.pair.test_zfs import CREATE, Heads, heads, machines
from tests.lab.pair.unreadable_labels import damage, restore
from tests.lab.pair.zfs_pair import BY_ID, parts

__all__ = ["heads", "machines"]

pytestmark = pytest.mark.timeout(7_200)
#: How often each layout is played.
ROUNDS: Final = int(os.environ.get("HALVES", "2"))


@dataclass(frozen=True)
class Layout:
    """A pool, the disks that it drops one after the other, how, and the disk that then becomes unreadable."""

    vdev: Vdev
    create: str
    given_up: tuple[int, ...]
    commands: tuple[str, ...]
    unreadable: int


def offline(number: int) -> str:
    """Return the command that takes a disk offline as after too many errors: its own label does not say so."""
    return f"zpool offline -f tank {parts(number)}"


LAYOUTS: Final = {
    "mirror": Layout(
        Vdev("tank/mirror-0", (2, 1), 1), f"mirror {parts(2, 1)}", given_up=(2,), commands=(offline(2),), unreadable=1
    ),
    "raidz1": Layout(
        Vdev("tank/raidz1-0", (0, 1, 2), 2), f"raidz1 {parts(0, 1, 2)}", (0,), (offline(0),), unreadable=1
    ),
    "spare": Layout(
        Vdev("tank/mirror-0", (2, 3), 1),
        f"mirror {parts(2, 3)} spare {parts(1)}",
        given_up=(2, 3),
        commands=(
            offline(2), f"zpool replace tank {parts(2)} {parts(1)}", "zpool wait -t resilver tank", offline(3),
        ),
        unreadable=1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_older_half_is_never_imported(heads: Heads, layout: Layout, progress: Callable[[str], None]) -> None:
    disks = ["disk0", "disk1", "disk2", "disk3"]
    refused = 0
    for number in range(ROUNDS):
        heads.a.sh(f"{CREATE} tank {layout.create}; echo old{number} >/tank/f; zpool sync tank")
        for command in layout.commands:
            heads.a.sh(command)
        heads.a.sh(f"echo new{number} >/tank/f; sync /tank/f")
        heads.a.cut()
        servant = heads.b.servant((layout.vdev,), disks)
        state = f"/sys/block/$(basename $(readlink {BY_ID}/disk{layout.unreadable}))/device/state"
        file, kept = heads.target.file(f"disk{layout.unreadable}"), b""
        if number % 2:
            heads.b.sh(f"echo offline >{state}")
        else:
            kept = damage(file)
        # The importing controller knows the last owner's dropped disks in half of the rounds.
        out = list(layout.given_up) if number % 4 < 2 else []
        answer = servant.ask("import", out=out)
        if answer["good"]:
            assert heads.b.sh("cat /tank/f") == f"new{number}\n"
        else:
            refused += 1
            assert servant.look() == "none"
            assert f"disk{layout.unreadable}" in " ".join(answer["said"]), answer
        if number % 2:
            heads.b.sh(f"echo running >{state}")
        else:
            restore(file, kept)
        answer = servant.ask("import", out=out)
        assert answer["good"], answer
        assert heads.b.sh("cat /tank/f") == f"new{number}\n"
        heads.b.sh("zpool destroy -f tank")
        servant.kill()
        heads.wipe()
    progress(f"{ROUNDS} times: {refused} refused, {ROUNDS - refused} current, 0 old")


def test_uberblocks_say_how_far_a_disk_has_come(heads: Heads) -> None:
    """The newest uberblock has the transaction group that the kernel committed last."""
    heads.a.sh(f"{CREATE} tank mirror {parts(2, 1)}; echo here >/tank/f; zpool sync tank")
    servant = heads.a.servant((Vdev("tank/mirror-0", (2, 1), 1),), ["disk0", "disk1", "disk2"])
    heads.a.sh("zpool export tank")
    answer = servant.ask("labels")
    written = {at: word.partition("written=")[2].rstrip(")") for at, word in answer["labels"].items()}
    assert written["1"] == written["2"] and int(written["1"]) > 4, answer
