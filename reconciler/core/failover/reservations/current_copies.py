"""Current copies: whether the readable disks suffice to import a pool with its newest writes, not an older half of it.

ZFS imports the newest state that it finds. It cannot know of newer writes on disks that it does not read. *An import
begins only when enough disks of every top-level vdev are proven current; a disk that cannot be read proves nothing, and
a disk that the last owner had given up never counts.* The label of each device describes its whole top-level vdev
(vdev_tree), and ZFS writes the labels anew with every change. So the newest readable label names every disk without
which the pool may have gone on. Pure; does not know how a label is read (`system/zfs`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.core.failover.orders.orders import Orders, Vdev
from reconciler.core.failover.reservations.reservation_state import given_up, spares
from reconciler.core.failover.reservations.transaction_groups import txg_of


@dataclass(frozen=True, slots=True)
class Copy:
    """The contents of one disk's label about its pool and its top-level vdev.

    `guid`: GUID of the device. `top`: index of its vdev in the pool. `written`: newest transaction group committed to
    the disk. `changed`: transaction group in which ZFS wrote its tree. From that tree come the GUIDs in the other
    fields. `places`: devices of the vdev; a device and the one that stands in for it (a spare in use, a replacement)
    share a place. `given_up`: devices that ZFS no longer wrote to. `behind`: devices that were being resilvered.
    """

    guid: int
    top: int
    written: int
    changed: int
    places: tuple[tuple[int, ...], ...]
    given_up: tuple[int, ...] = ()
    behind: tuple[int, ...] = ()

    @property
    def age(self) -> tuple[int, int]:
        """Sort key that rises with every commit that reached this disk."""
        return self.written or self.changed, self.changed


def pool_name(vdev: Vdev) -> str:
    """Return the pool of a vdev: the part of its name before the slash."""
    return vdev.name.partition("/")[0]


def pools_of(orders: Orders) -> tuple[str, ...]:
    """Return the pools of the orders, in the order in which the vdevs first name them."""
    return tuple(dict.fromkeys(pool_name(vdev) for vdev in orders.vdevs))


def uncovered(
    orders: Orders, pool: str, copies: Mapping[int, Copy | None], out: frozenset[int] = frozenset()
) -> tuple[str, ...]:
    """Return why an import of the pool must not begin: one line for each vdev that is not proven current.

    `copies`: by disk (index into the orders). None: the disk is readable and carries nothing of this pool. A disk
    without an entry did not answer, or cannot be read. `out`: disks that the last owner had given up.
    """
    vdevs = [vdev for vdev in orders.vdevs if pool_name(vdev) == pool]
    tops = _tops(orders, vdevs, copies)
    return tuple(
        line
        for vdev in vdevs
        # Without any copy of a vdev ZFS itself refuses the import, or the vdev is not in the pool.
        if vdev.name in tops and (line := _uncovered(orders, vdev, tops[vdev.name], copies, out))
    )


def outdated(
    orders: Orders, pool: str, guid: int, copies: Mapping[int, Copy | None], out: frozenset[int], word: int
) -> str:
    """Return why a pool must not be imported because its last owner had committed more; empty if it had not.

    `word`: the owner's mark for this pool (`transaction_groups`). Every commit reaches all disks of at least one
    top-level vdev, so the newest readable disk tells the newest transaction group on the readable disks.
    """
    reached = max((copy.written for at, copy in copies.items() if copy is not None and at not in out), default=0)
    said = txg_of(word, guid)
    if said <= reached:
        return ""
    disks = [at for vdev in orders.vdevs if pool_name(vdev) == pool for at in vdev.disks]
    missing = [orders.disks[at] for at in (*disks, *spares(orders)) if copies.get(at) is None]
    return (
        f"pool {pool}: its last owner had committed transaction group {said}, the disks that can be read end at"
        f" {reached}: the newest writes are on {', '.join(missing) or 'disks that are not in the configuration'}"
    )


def _tops(orders: Orders, vdevs: Iterable[Vdev], copies: Mapping[int, Copy | None]) -> dict[str, int]:
    """Return the index of each vdev in the pool. A spare in use may tell it if the vdev's own disks are unreadable."""
    tops: dict[str, int] = {}
    lost = []
    for vdev in vdevs:
        found = [copy for at in vdev.disks if (copy := copies.get(at)) is not None]
        if found:
            tops[vdev.name] = max(found, key=lambda copy: copy.age).top
        else:
            lost.append(vdev.name)
    others = {copy.top for at in spares(orders) if (copy := copies.get(at)) is not None} - set(tops.values())
    # If only one vdev is lost, the other index belongs to it. If several are lost, the order does not matter as long as
    # they need the same number of disks.
    return tops | dict(zip(lost, sorted(others), strict=False))


def _uncovered(orders: Orders, vdev: Vdev, top: int, copies: Mapping[int, Copy | None], out: frozenset[int]) -> str:
    """Return why this vdev is not proven current; empty if it is."""
    found = {at: copy for at, copy in copies.items() if copy is not None and copy.top == top}
    where = {copy.guid: at for at, copy in found.items()}
    newest = max(found.values(), key=lambda copy: copy.age)
    extra = out.intersection(spares(orders))
    doubled = sum(len(place) > 1 for place in newest.places) - len(extra.intersection(found))
    dropped = given_up(vdev, out, max(0, doubled)) | extra
    current = frozenset(at for at, copy in found.items() if at not in dropped and _is_current(copy, newest))
    seated = sum(any(where.get(guid) in current for guid in place) for place in newest.places)
    # Devices that the newest readable copy does not know as lost may have newer writes.
    missing = frozenset(guid for place in newest.places for guid in place) - where.keys()
    lost = missing & frozenset(newest.given_up)
    going_on = sum(any(guid in missing - lost for guid in place) for place in newest.places)
    without = [at for at in (*vdev.disks, *spares(orders)) if at not in found and at not in dropped]
    unread = [at for at in vdev.disks if at not in copies and at not in dropped]
    suspected = max(min(going_on, len(without)), len(unread) - len(lost))
    assert not current & dropped, "a disk that the last owner had given up never counts"
    if seated >= vdev.needed and suspected < vdev.needed:
        return ""
    return _line(orders, vdev, copies, found, current, dropped)


def _is_current(copy: Copy, newest: Copy) -> bool:
    """Whether the disk has the writes of the newest one. A crash may fall between the last writes of one commit."""
    if copy.guid in newest.behind:
        return False
    return copy.age[0] >= newest.age[0] or (copy.age[0] == newest.age[0] - 1 and copy.guid not in newest.given_up)


def _line(
    orders: Orders,
    vdev: Vdev,
    copies: Mapping[int, Copy | None],
    found: Mapping[int, Copy],
    current: frozenset[int],
    dropped: frozenset[int],
) -> str:
    """Return a line that names every missing disk and why it does not count."""
    disks = [*vdev.disks, *(at for at in spares(orders) if at in found or at not in copies)]
    groups = (
        ("cannot be read", [at for at in disks if at not in copies]),
        ("carries nothing of the pool", [at for at in vdev.disks if at in copies and at not in found]),
        ("given up by the last owner", [at for at in disks if at in found and at in dropped]),
        ("behind the others", [at for at in disks if at in found and at not in dropped and at not in current]),
    )
    said = "; ".join(f"{', '.join(orders.disks[at] for at in group)} {what}" for what, group in groups if group)
    return f"vdev {vdev.name}: the newest writes may be missing: {said or 'too few disks'}"
