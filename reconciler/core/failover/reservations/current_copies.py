"""Which copies of a pool are current: whether the readable disks are enough to import it, and not an older half.

ZFS imports the newest state that it finds, and cannot know of newer writes on disks that it does not read. *An import
begins only when enough disks of every top-level vdev are proven current; a disk that cannot be read proves nothing, and
a disk that the last owner had given up never counts.* Each device carries the whole tree of its top-level vdev, written
anew with every change of it, so the newest readable one names every disk that may have gone on without it. Pure; does
not know how a label is read (`system/zfs`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.core.failover.orders.orders import Orders, Vdev
from reconciler.core.failover.reservations.reservation_state import given_up, spares
from reconciler.core.failover.reservations.transaction_groups import txg_of


@dataclass(frozen=True, slots=True)
class Copy:
    """What one disk says of its pool and of its top-level vdev.

    `guid`: its own; `top`: the place of its vdev in the pool. `written`: the newest transaction group that was
    committed to it, `changed`: the one in which its tree was written, `given_up` and `behind` are of that tree: devices
    that were written no more, and devices that were being resilvered. `places`: the devices of the vdev, together where
    one stands in for another (a spare in use, a replacement).
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
        """Rises with every commit that reached this disk."""
        return self.written or self.changed, self.changed


def pool_name(vdev: Vdev) -> str:
    """The pool of a vdev: what stands before the slash in its name."""
    return vdev.name.partition("/")[0]


def pools_of(orders: Orders) -> tuple[str, ...]:
    """The pools of the orders, in the order in which the vdevs first name them."""
    return tuple(dict.fromkeys(pool_name(vdev) for vdev in orders.vdevs))


def uncovered(
    orders: Orders, pool: str, copies: Mapping[int, Copy | None], out: frozenset[int] = frozenset()
) -> tuple[str, ...]:
    """Why an import of the pool must not begin: a line for each vdev of it that is not proven current.

    `copies`: by disk (index into the orders); None: the disk was read and carries nothing of this pool; a disk without
    an entry did not answer, or cannot be read. `out`: disks that the last owner had given up.
    """
    vdevs = [vdev for vdev in orders.vdevs if pool_name(vdev) == pool]
    tops = _tops(orders, vdevs, copies)
    return tuple(
        line
        for vdev in vdevs
        # Without any copy of a vdev ZFS refuses by itself, or the vdev is not, or no more, in the pool.
        if vdev.name in tops and (line := _uncovered(orders, vdev, tops[vdev.name], copies, out))
    )


def outdated(
    orders: Orders, pool: str, guid: int, copies: Mapping[int, Copy | None], out: frozenset[int], word: int
) -> str:
    """Why a pool must not be imported because its last owner had come further; nothing when it had not.

    `word`: its mark for this pool (`progress`). Every commit reaches all disks of at least one top-level vdev, so the
    newest disk that can be read tells how far the pool has come.
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
    """The places of the vdevs in the pool. One whose own disks cannot be read may be known by a spare in use."""
    tops: dict[str, int] = {}
    lost = []
    for vdev in vdevs:
        found = [copy for at in vdev.disks if (copy := copies.get(at)) is not None]
        if found:
            tops[vdev.name] = max(found, key=lambda copy: copy.age).top
        else:
            lost.append(vdev.name)
    others = {copy.top for at in spares(orders) if (copy := copies.get(at)) is not None} - set(tops.values())
    # Which of several it is does not matter where they need the same; where one is lost, it is that one.
    return tops | dict(zip(lost, sorted(others), strict=False))


def _uncovered(orders: Orders, vdev: Vdev, top: int, copies: Mapping[int, Copy | None], out: frozenset[int]) -> str:
    """Why this vdev is not proven current; nothing when it is."""
    found = {at: copy for at, copy in copies.items() if copy is not None and copy.top == top}
    where = {copy.guid: at for at, copy in found.items()}
    newest = max(found.values(), key=lambda copy: copy.age)
    extra = out.intersection(spares(orders))
    doubled = sum(len(place) > 1 for place in newest.places) - len(extra.intersection(found))
    dropped = given_up(vdev, out, max(0, doubled)) | extra
    current = frozenset(at for at, copy in found.items() if at not in dropped and _is_current(copy, newest))
    seated = sum(any(where.get(guid) in current for guid in place) for place in newest.places)
    # What may have been written after the newest copy that can be read: by the devices that it does not know as lost.
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
    """Whether the disk has what the newest one has. A crash may come between the last writes of one commit."""
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
    """Names every disk that is missing, and why it does not count."""
    disks = [*vdev.disks, *(at for at in spares(orders) if at in found or at not in copies)]
    groups = (
        ("cannot be read", [at for at in disks if at not in copies]),
        ("carries nothing of the pool", [at for at in vdev.disks if at in copies and at not in found]),
        ("given up by the last owner", [at for at in disks if at in found and at in dropped]),
        ("behind the others", [at for at in disks if at in found and at not in dropped and at not in current]),
    )
    said = "; ".join(f"{', '.join(orders.disks[at] for at in group)} {what}" for what, group in groups if group)
    return f"vdev {vdev.name}: the newest writes may be missing: {said or 'too few disks'}"
