"""Which devices to import a pool from, and whether all of them are disks of the orders. Pure: labels in, words out.

A pool with a device that the orders do not name is refused: that one is not fenced, and perhaps only one controller has
it. So is one whose readable disks may be an older half: ZFS takes the newest that it finds for the newest there is.
Decides the first, turns labels into what `core/failover/reservations/current_copies` decides the second by, and reads
nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.current_copies import Copy, outdated, pool_name, pools_of, uncovered
from reconciler.core.failover.reservations.reservation_state import spares
from reconciler.core.failover.reservations.transaction_groups import NOTHING, speaks_of_another
from reconciler.system.zfs.labels import Label


@dataclass(frozen=True, slots=True)
class ImportDevices:
    """One pool on the disks of the orders: its GUID and `disks`, the numbers of those that carry it; or why not."""

    pool: str
    guid: int = 0
    disks: tuple[int, ...] = ()
    refusal: str = ""


def find_import_devices(
    pool: str,
    orders: Orders,
    labels: Mapping[int, Label | None],
    bare: Collection[int] = (),
    words: tuple[int, ...] = (),
) -> ImportDevices:
    """What the labels of the disks that answered say of a pool of the orders; `bare`: disks with nothing on them.

    Several pools of one name (an old one was not wiped) are told apart by the last owner's word (`words`: `progress`,
    in the order of the pools), and where it knows none of them, by which was written last.
    """
    guids = _guids(orders, labels, words)
    guid = guids.get(pool, 0)
    if not guid:
        # A pool that is still to be made is told by bare disks alone (`is_unmade`).
        what = f"none of the {len(labels)} disks that answered carries pool {pool}"
        remedy = "only if it was never made to the end, clear its disks: wipefs --all"
        return ImportDevices(pool, refusal=f"{what}; {remedy}")
    found = {at: label for at, label in labels.items() if label is not None and _is_of(label, guid)}
    leaves = {guid for label in found.values() if label.txg == _newest_of(found, label.top) for guid in label.leaves}
    others = frozenset(guids.values()) - {0, guid}
    possible = frozenset(
        at
        for at in _candidates(pool, orders) - found.keys()
        if not _is_elsewhere(orders, at, labels.get(at), leaves, bare, others)
    )
    return ImportDevices(pool, guid, tuple(sorted(found)), _strangers(pool, orders, found, leaves, possible))


def _strangers(
    pool: str, orders: Orders, found: Mapping[int, Label], leaves: Collection[int], possible: frozenset[int]
) -> str:
    """Why a device of the pool is no disk of the orders; nothing when each may be one.

    *A pool is imported only while there are as many disks of the orders that may be its devices (`possible`) as devices
    that were not found.*
    """
    newest = max(found.values(), key=lambda label: label.txg)
    tops = {label.top for label in found.values()}
    lost_tops = max(0, newest.tops - len(tops | set(newest.holes)))
    missing = len(set(leaves) - {label.guid for label in found.values()}) + lost_tops
    if missing <= len(possible):
        return ""
    return (
        f"pool {pool} has {len(leaves) + lost_tops} devices or more, and only {len(found)} of them are on the"
        f" {len(orders.disks)} disks of the orders: write down every disk of the pool"
    )


def _candidates(pool: str, orders: Orders) -> frozenset[int]:
    """The disks of the orders that may be devices of the pool: those of its vdevs, and those of no vdev."""
    own = (at for vdev in orders.vdevs if pool_name(vdev) == pool for at in vdev.disks)
    return frozenset(own).union(spares(orders))


def _is_elsewhere(
    orders: Orders,
    at: int,
    label: Label | None,
    leaves: Collection[int],
    bare: Collection[int],
    others: frozenset[int],
) -> bool:
    """Whether a disk shows that it is no device of the pool that has the `leaves`; `others`: the other pools' GUIDs.

    A spare or cache device says what it is. Old or no labels on a disk of a vdev show nothing: it may have come in the
    place of a dead one that the pool still has.
    """
    if label is not None and label.pool_guid in others:
        return True
    shows = at in bare if label is None else label.guid not in leaves
    return shows and at in spares(orders)


def is_unmade(pool: str, orders: Orders, bare: Collection[int]) -> bool:
    """Whether a pool of the orders has not been made yet: nothing is on any disk of its vdevs.

    `bare`: disks (indices into the orders) that were read and have nothing on them (`label_reader.Seen`). One that
    gives no answer, or has anything in its partitions, may hold the pool.
    """
    return all(at in bare for vdev in orders.vdevs if pool_name(vdev) == pool for at in vdev.disks)


def incomplete(
    orders: Orders,
    labels: Mapping[int, Label | None],
    out: frozenset[int] = frozenset(),
    bare: Collection[int] = (),
    words: tuple[int, ...] = (),
) -> tuple[str, ...]:
    """Why an import must not begin with the disks that answered: a line for each pool or vdev that may be an older one.

    `core/failover/reservations/current_copies` decides. A disk counts as read only where what it says is whole: a
    label, or nothing at all (`bare`). One that gives no answer, cannot be read, or has anything else in the place of
    its labels may hold newer writes than the others. `out`: disks that the last owner had given up. `words`: how far it
    had come with each pool (`progress`), in the order of the pools.
    """
    lines: list[str] = []
    guids = _guids(orders, labels, words)
    for pool, word in _with_words(orders, words):
        if guid := guids[pool]:
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
        at: _copy(label) if label is not None and _is_of(label, guid) else None
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


def _guids(orders: Orders, labels: Mapping[int, Label | None], words: tuple[int, ...]) -> dict[str, int]:
    return {pool: _guid_of(pool, labels, word) for pool, word in _with_words(orders, words)}


def _with_words(orders: Orders, words: tuple[int, ...]) -> tuple[tuple[str, int], ...]:
    """Each pool of the orders and the last owner's word of it; NOTHING where there is none."""
    return tuple((pool, words[at] if at < len(words) else NOTHING) for at, pool in enumerate(pools_of(orders)))


def _is_of(label: Label, guid: int) -> bool:
    return label.in_pool and label.pool_guid == guid


def _newest_of(found: Mapping[int, Label], top: int) -> int:
    return max(label.txg for label in found.values() if label.top == top)
