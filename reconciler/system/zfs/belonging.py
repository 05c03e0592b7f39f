"""Which devices to import a pool from, and whether all of them are disks of the orders. Pure: labels in, words out.

A pool with a device that the orders do not name is refused: that one is not fenced, and perhaps only one controller has
it. So is one whose readable disks may be an older half: ZFS takes the newest that it finds for the newest there is.
Decides the first, turns labels into what `core/failover/coverage` decides the second by, and reads nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from reconciler.core.failover.coverage import Copy, outdated, pools_of, uncovered
from reconciler.core.failover.orders import Orders
from reconciler.core.failover.progress import NOTHING, speaks_of_another
from reconciler.system.zfs.labels import Label


@dataclass(frozen=True, slots=True)
class Belonging:
    """One pool on the disks of the orders: its GUID and `disks`, the numbers of those that carry it; or why not."""

    pool: str
    guid: int = 0
    disks: tuple[int, ...] = ()
    refusal: str = ""


def belonging(pool: str, labels: Mapping[int, Label | None], disks: int, word: int = NOTHING) -> Belonging:
    """What the labels of the disks that answered say of a pool; `disks`: how many the orders name.

    Several pools of one name (an old one was not wiped) are told apart by the last owner's `word` (`progress`), and
    where it knows none of them, by who was written last.
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
    guid = _guid_of(pool, labels, word)
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
    orders: Orders,
    labels: Mapping[int, Label | None],
    out: frozenset[int] = frozenset(),
    bare: Collection[int] = (),
    words: tuple[int, ...] = (),
) -> tuple[str, ...]:
    """Why an import must not begin with the disks that answered: a line for each pool or vdev that may be an older one.

    `core/failover/coverage` decides. A disk counts as read only where what it says is whole: a label, or nothing at all
    (`bare`). One that gives no answer, cannot be read, or has anything else in the place of its labels may hold newer
    writes than the others. `out`: disks that the last owner had given up. `words`: how far it had come with each pool
    (`progress`), in the order of the pools.
    """
    lines: list[str] = []
    for at, pool in enumerate(pools_of(orders)):
        word = words[at] if at < len(words) else NOTHING
        guid = _guid_of(pool, labels, word)
        if guid:
            copies = _copies(guid, labels, bare)
            lines += uncovered(orders, pool, copies, out)
            lines += [line] if (line := outdated(orders, pool, guid, copies, out, word)) else []
    return tuple(lines)


def of_another(orders: Orders, labels: Mapping[int, Label | None], words: tuple[int, ...]) -> tuple[str, ...]:
    """The pools of which the last owner's word is not about what the disks carry: it had another pool of that name."""
    return tuple(
        pool
        for pool, word in zip(pools_of(orders), words, strict=False)
        if (guid := _guid_of(pool, labels, word)) and speaks_of_another(word, guid)
    )


def _copies(guid: int, labels: Mapping[int, Label | None], bare: Collection[int]) -> dict[int, Copy | None]:
    return {
        at: _copy(label) if label is not None and label.in_pool and label.pool_guid == guid else None
        for at, label in labels.items()
        if label is not None or at in bare
    }


def _copy(label: Label) -> Copy:
    places = label.places or tuple((leaf,) for leaf in label.leaves)
    return Copy(label.guid, label.top, label.written, label.txg, places, label.given_up, label.behind)


def _guid_of(pool: str, labels: Mapping[int, Label | None], word: int = NOTHING) -> int:
    """The pool of that name that the word speaks of, else the one written last; 0: none of the disks carries one."""
    found = [label for label in labels.values() if label is not None and label.in_pool and label.pool == pool]
    found = [label for label in found if word and not speaks_of_another(word, label.pool_guid)] or found
    return max(found, key=lambda label: (label.written or label.txg, label.txg)).pool_guid if found else 0


def _newest_of(found: Mapping[int, Label], top: int) -> int:
    return max(label.txg for label in found.values() if label.top == top)
