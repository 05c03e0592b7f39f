"""Which devices to import a pool from, and whether all of them are disks of the orders. Pure: labels in, words out.

A pool with a device that the orders do not name is refused: that one is not fenced, and perhaps only one controller has
it. So is one with a disk that gives no answer and may hold the only newest writes: ZFS takes the newest that it finds
for the newest there is. Decides that; reads nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from reconciler.core.failover.orders import Orders, Vdev
from reconciler.system.zfs.labels import Label


@dataclass(frozen=True, slots=True)
class Belonging:
    """One pool on the disks of the orders: its GUID and `disks`, the numbers of those that carry it; or why not."""

    pool: str
    guid: int = 0
    disks: tuple[int, ...] = ()
    refusal: str = ""


def belonging(pool: str, labels: Mapping[int, Label | None], disks: int) -> Belonging:
    """What the labels of the disks that answered say of a pool; `disks`: how many the orders name.

    Several pools of one name (an old one was not wiped) are told apart by who was written last.
    """
    of: dict[int, dict[int, Label]] = defaultdict(dict)
    for at, label in labels.items():
        if label is not None and label.in_pool and label.pool == pool:
            of[label.pool_guid][at] = label
    if not of:
        # A pool that is still to be made is told by bare disks alone (`is_unmade`).
        what = f"none of the {len(labels)} disks that answered carries pool {pool}"
        remedy = "only if it was never made to the end, clear its disks: wipefs --all"
        return Belonging(pool, refusal=f"{what}; {remedy}")
    guid = max(of, key=lambda one: max(label.txg for label in of[one].values()))
    found = of[guid]
    refusal = _strangers(pool, found, disks)
    return Belonging(pool, guid, tuple(sorted(found)), refusal)


def _strangers(pool: str, found: Mapping[int, Label], disks: int) -> str:
    """More devices missing than there are disks of the orders without a label of this pool: some are no such disks."""
    present = {label.guid for label in found.values()}
    newest = max(found.values(), key=lambda label: label.txg)
    leaves = {guid for label in found.values() if label.txg == _newest_of(found, label.top) for guid in label.leaves}
    tops = {label.top for label in found.values()}
    lost_tops = max(0, newest.tops - len(tops | set(newest.holes)))
    missing = len(leaves - present) + lost_tops
    if missing > disks - len(found):
        return (
            f"pool {pool} has {len(leaves) + lost_tops} devices or more, and only {len(found)} of them are on the"
            f" {disks} disks of the orders: write down every disk of the pool"
        )
    return ""


def is_unmade(pool: str, orders: Orders, bare: Collection[int]) -> bool:
    """Whether a pool of the orders has not been made yet: nothing is on any disk of its vdevs.

    `bare`: disks (indices into the orders) that were read and have nothing on them (`reading.Seen`). One that gives no
    answer, or has anything in its partitions, may hold the pool.
    """
    return all(at in bare for vdev in orders.vdevs if vdev.name.partition("/")[0] == pool for at in vdev.disks)


def incomplete(
    orders: Orders, labels: Mapping[int, Label | None], excused: frozenset[int] = frozenset()
) -> tuple[str, ...]:
    """Why an import must not begin with the disks that answered: a line for each vdev that may lack its newest writes.

    ZFS itself takes whatever is newest on the disks that it sees: without the one half of a mirror that was written
    last, it imports what the other half had before, and what was acknowledged since is lost. So as with a fence
    (`core/failover/hold`) there must not be silent as many devices of a vdev as it can be written with, not counting
    those which the pool had given up, as the newest label of that vdev says. A disk that answers without a label of the
    pool (None), or says at once that it cannot be read, is gone: whoever claimed the disks knew that, and that the last
    owner had done without it, which no label need tell. So it is with `excused` disks: the last owner itself said that
    its pools did without them.
    """
    return tuple(line for vdev in orders.vdevs if (line := _incomplete(orders, vdev, labels, excused)))


def _incomplete(orders: Orders, vdev: Vdev, labels: Mapping[int, Label | None], excused: frozenset[int]) -> str:
    known = {at: label for at in vdev.disks if (label := labels.get(at)) is not None and label.in_pool}
    if not known:
        # Nothing of it is seen: ZFS refuses that by itself, or it has been removed from the pool.
        return ""
    newest = max(known.values(), key=lambda label: label.txg)
    missing = set(newest.leaves) - {label.guid for label in labels.values() if label is not None}
    silent = [at for at in vdev.disks if at not in labels and at not in excused]
    if min(len(missing - set(newest.given_up)), len(silent)) < vdev.needed:
        return ""
    names = ", ".join(orders.disks[at] for at in silent)
    return f"vdev {vdev.name}: {names} gives no answer and may hold the only newest writes"


def _newest_of(found: Mapping[int, Label], top: int) -> int:
    return max(label.txg for label in found.values() if label.top == top)
