"""Which devices to import a pool from, and whether all of them are disks of the orders. Pure: labels in, words out.

A pool with a device that the orders do not name is refused: that one is not fenced, and perhaps only one controller has
it. So is one with a disk that answers nothing and may hold the only newest writes: ZFS takes the newest that it finds
for the newest there is. Decides that; reads nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
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
        return Belonging(pool, refusal=f"none of the {len(labels)} disks that answered carries pool {pool}")
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


def silence(orders: Orders, labels: Mapping[int, Label | None]) -> tuple[str, ...]:
    """Why an import cannot begin while disks without an entry in `labels` are silent: one line for each vdev.

    As with a fence (`core/failover/hold`): what was written last was written to so many disks that those which answer
    include one of them, unless as many are silent. Disks that the pool had given up, as the newest label of their vdev
    says, are not waited for.
    """
    return tuple(line for vdev in orders.vdevs if (line := _silence(orders, vdev, labels)))


def _silence(orders: Orders, vdev: Vdev, labels: Mapping[int, Label | None]) -> str:
    silent = [at for at in vdev.disks if at not in labels]
    known = [label for at in vdev.disks if (label := labels.get(at)) is not None and label.in_pool]
    excused: set[int] = set()
    if known:
        newest = max(known, key=lambda label: label.txg)
        excused = set(newest.given_up) - {label.guid for label in known}
    if len(silent) - len(excused) < vdev.needed:
        return ""
    names = ", ".join(orders.disks[at] for at in silent)
    return f"vdev {vdev.name}: {names} gives no answer and may hold the only newest writes"


def _newest_of(found: Mapping[int, Label], top: int) -> int:
    return max(label.txg for label in found.values() if label.top == top)
