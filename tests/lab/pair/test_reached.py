"""The transaction group that a pool has reached, as its owner reports it: never more than on the disks, and soon equal.

The kernel's count of transaction groups rises in an idle pool and is on no disk. The tests compare each look of the
adapter with the uberblocks that they read from the disks after it. `TAKEOVERS=20` plays 20 power cuts in a row.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Final

import pytest

from reconciler.core.failover.orders.orders import Vdev
from tests.lab.pair.test_zfs import CREATE, Heads, heads, imported, machines, until
from tests.lab.pair.unreadable_labels import damage, restore
from tests.lab.pair.zfs_pair import Head, Servant, parts

__all__ = ["heads", "machines"]

pytestmark = pytest.mark.timeout(3_600)
MIRROR: Final = (Vdev("tank/mirror-0", (2, 3), 1),)
POOLS: Final = (
    Vdev("east/mirror-0", (2, 3), 1),
    Vdev("north/disk-0", (0,), 1),
    Vdev("south/disk-0", (4,), 1),
    Vdev("west/disk-0", (5,), 1),
)
TAKEOVERS: Final = int(os.environ.get("TAKEOVERS", "3"))
#: An idle pool closes a transaction group after this many seconds (zfs_txg_timeout).
IDLE_S: Final = 5.0
LOOKS: Final = 8
#: Writes and syncs until the file is gone.
BUSY: Final = (
    "touch /run/busy; (while [ -e /run/busy ]; do dd if=/dev/urandom of=/{pool}/f bs=64k count=8 conv=fsync; "
    "rm -f /{pool}/g; cp /{pool}/f /{pool}/g; done >/dev/null 2>&1 &)"
)
QUIET: Final = "rm -f /run/busy; sleep 0.5"


class Watch:
    """Asks one adapter again and again, and compares every answer with the disks."""

    def __init__(self, servant: Servant, disks: dict[str, tuple[int, ...]], say: Callable[[str], None]) -> None:
        self._servant, self._disks, self._say = servant, disks, say
        #: By how much the kernel's count, and by how much the disks, were ahead of the adapter's report.
        self.idle, self.late = 0, 0

    def look(self) -> dict[str, Any]:
        """Return one answer. Every disk that takes writes must have reached at least the reported group."""
        answer = self._servant.ask("reached")
        for pool, disks in self._disks.items():
            word, written = answer["words"].get(pool, 0), [answer["written"].get(str(at), 0) for at in disks]
            assert word <= min(written), f"{pool}: the word is {word}, the disks end at {written}"
            if word:
                self.idle = max(self.idle, answer["counted"][pool] - word)
                self.late = max(self.late, max(written) - word)
        return answer

    def looks(self, what: str, count: int = LOOKS, pause_s: float = 0.3) -> None:
        """Look many times."""
        self.idle = self.late = 0
        for _ in range(count):
            self.look()
            threading.Event().wait(pause_s)
        self._say(f"{what}: the kernel's count was ahead of the word by up to {self.idle}, the disks by {self.late}")


def committed(head: Head, pool: str, watch: Watch) -> None:
    """A committed write is in the report at once, when the adapter knows which pool this is."""
    head.sh(f"date >/{pool}/now; zpool sync {pool}")
    until(lambda: watch.look()["words"][pool] > 0, "the adapter says how far the pool has come")
    before = watch.look()["words"][pool]
    head.sh(f"date >>/{pool}/now; zpool sync {pool}")
    after = watch.look()["words"][pool]
    assert after > before, (before, after)


def test_the_word_is_never_ahead_of_the_disks(heads: Heads, progress: Callable[[str], None]) -> None:
    heads.a.sh(f"{CREATE} tank mirror {parts(2, 3)}; zpool export tank")
    servant = heads.a.servant(MIRROR)
    imported(servant)
    watch = Watch(servant, {"tank": (2, 3)}, progress)
    committed(heads.a, "tank", watch)
    watch.looks("idle", count=4, pause_s=IDLE_S)
    assert watch.idle > 0, "the kernel did not count on: this test shows nothing"
    heads.a.sh(BUSY.format(pool="tank"))
    watch.looks("busy", 2 * LOOKS)
    heads.a.sh("zpool scrub tank")
    watch.looks("scrub and busy")
    heads.a.sh(QUIET)
    for number in range(LOOKS):
        heads.a.sh(f"zfs set org.example:n={number} tank; zfs snapshot tank@{number}; zpool sync tank")
        watch.look()
    progress(f"properties and snapshots: the disks were ahead of the word by up to {watch.late}")
    committed(heads.a, "tank", watch)
    # The pool no longer writes to a dropped disk; the report continues with the other disk.
    heads.a.sh("zpool offline tank disk3-part1")
    degraded = Watch(servant, {"tank": (2,)}, progress)
    committed(heads.a, "tank", degraded)
    heads.a.sh("dd if=/dev/urandom of=/tank/f bs=1M count=24 2>/dev/null; zpool sync tank")
    heads.a.sh("zpool online tank disk3-part1")
    degraded.looks("resilver", pause_s=0.1)
    heads.a.sh("zpool wait -t resilver tank; zpool sync tank")
    committed(heads.a, "tank", watch)
    assert servant.ask("export")["good"]
    imported(servant)
    committed(heads.a, "tank", watch)
    watch.looks("imported again")
    assert servant.ask("export")["good"]


def test_each_of_many_pools_has_its_own_word(heads: Heads, progress: Callable[[str], None]) -> None:
    heads.a.sh("; ".join(f"{CREATE} {vdev.name.split('/')[0]} {_layout(vdev)}" for vdev in POOLS))
    heads.a.sh("zpool export -a")
    servant = heads.a.servant(POOLS)
    imported(servant)
    watch = Watch(servant, {vdev.name.split("/")[0]: vdev.disks for vdev in POOLS}, progress)
    committed(heads.a, "east", watch)
    committed(heads.a, "west", watch)
    heads.a.sh(BUSY.format(pool="north"))
    watch.looks("one of four pools busy")
    before = watch.look()["words"]
    committed(heads.a, "south", watch)
    after = watch.look()["words"]
    assert after["north"] > before["north"] and after["west"] == before["west"], (before, after)
    heads.a.sh(QUIET)
    # A pool that gets another GUID begins with a report of its own.
    heads.a.sh("zpool reguid south; zpool sync south")
    assert servant.ask("export")["good"]
    imported(servant)
    committed(heads.a, "south", watch)
    assert servant.ask("export")["good"]


def _layout(vdev: Vdev) -> str:
    return f"{'mirror ' if len(vdev.disks) > 1 else ''}{parts(*vdev.disks)}"


def test_no_healthy_takeover_is_refused(heads: Heads, progress: Callable[[str], None]) -> None:
    """Cut the owner's power while it writes; the other one imports by the owner's last report."""
    heads.a.sh(f"{CREATE} tank mirror {parts(2, 3)}; zpool export tank")
    owner, other = heads.a, heads.b
    servant = owner.servant(MIRROR)
    txgs: list[int] = []
    for number in range(TAKEOVERS):
        answer = servant.ask("import", txgs=txgs)
        assert answer["good"] and not answer["said"], (number, txgs, answer)
        owner.sh("zpool sync tank" if number % 3 else BUSY.format(pool="tank"))
        owner.sh(f"date >>/tank/now; zpool sync tank; date >>/tank/now; sleep {number % 4}")
        committed(owner, "tank", Watch(servant, {"tank": (2, 3)}, progress))
        txgs = servant.ask("look")["txgs"]
        owner.cut()
        progress(f"{number + 1}: power cut at the word {txgs[0] & (1 << 40) - 1}")
        owner, other = other, owner
        servant = owner.servant(MIRROR)
        other.start()
    assert servant.ask("import", txgs=txgs)["good"]


def test_the_word_alone_refuses_an_older_half(heads: Heads) -> None:
    """Labels are no help here, because neither disk names a dropped one: the number decides."""
    heads.a.sh(f"{CREATE} tank mirror {parts(2, 3)}; zpool export tank")
    servant = heads.a.servant(MIRROR)
    imported(servant)
    heads.a.sh("echo old >/tank/f; zpool sync tank")
    older = damage(heads.target.file("disk2"))
    restore(heads.target.file("disk2"), older)
    heads.a.sh("echo new >/tank/f; zpool sync tank")
    until(lambda: servant.ask("look")["txgs"][0] > 0, "the adapter says how far the pool has come")
    txgs = servant.ask("look")["txgs"]
    heads.a.cut()
    # Disk 2 lost its last writes and does not report it; disk 3 is gone, and the orders no longer name it.
    newest = damage(heads.target.file("disk2"))
    restore(heads.target.file("disk2"), older)
    kept = damage(heads.target.file("disk3"))
    blind = heads.b.servant((Vdev("tank/mirror-0", (0,), 1),), ["disk2"])
    answer = blind.ask("import", txgs=txgs)
    assert not answer["good"] and len(answer["said"]) == 1, answer
    assert "its last owner had committed transaction group" in answer["said"][0], answer
    assert blind.look() == "none"
    restore(heads.target.file("disk2"), newest)
    restore(heads.target.file("disk3"), kept)
    both = heads.b.servant(MIRROR)
    assert both.ask("import", txgs=txgs)["good"]
    assert heads.b.sh("cat /tank/f") == "new\n"
