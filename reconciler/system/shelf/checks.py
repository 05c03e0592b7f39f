"""What makes fencing with these disks weak or impossible, in words. Pure: what the disks said in, findings out.

Decides what is worth telling of a survey of all disks. Nothing here decides who may hold a disk or write to a pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.key import Key, of_another_pair
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView, judge
from reconciler.system.findings import Finding, listed
from reconciler.system.shelf.shared_disk import KNOWS_NONE, DiskSurvey


def findings(orders: Orders, surveys: Sequence[DiskSurvey]) -> tuple[Finding, ...]:
    """Everything that is wrong, the worst first; `surveys` in the order of the disks."""
    return (*_silent(surveys), *_held(orders, surveys), *_weak(surveys))


def _silent(surveys: Sequence[DiskSurvey]) -> Iterator[Finding]:
    unfit = [one.name for one in surveys if one.trouble == KNOWS_NONE]
    if unfit:
        yield Finding(
            "FENCING_IMPOSSIBLE",
            "a disk knows no persistent reservations: no controller can be fenced from it",
            listed(unfit),
            "use disks, HBAs and expanders that pass SCSI-3 or NVMe reservations on to the disks",
        )
    lost = [f"{one.name}: {one.trouble}" for one in surveys if one.trouble and one.trouble != KNOWS_NONE]
    if lost:
        yield Finding(
            "DISK_UNREACHED",
            "this controller does not reach a disk",
            listed(lost),
            "check its cables, HBA and slot, and its name in the configuration; replace it if it is dead",
        )
    homeless = [f"{one.name}: {one.records}" for one in surveys if one.records]
    if homeless:
        yield Finding(
            "NO_RECORDS",
            "an arbitration disk has no place for heartbeat records",
            listed(homeless),
            "give ZFS the whole disk, so that it makes partition 9, or name a partition in `shelf` of the node file",
        )


def _held(orders: Orders, surveys: Sequence[DiskSurvey]) -> Iterator[Finding]:
    """Disks that are not the peer's, once it owns the pair. Of those that are not ours the watchdog knows by itself."""
    views = tuple(one.standing.view() if one.standing is not None else UNANSWERED for one in surveys)
    owner = judge(orders, 0, views).owner
    if owner is None or owner.side is not orders.side.other:
        return
    odd = [
        f"{one.name}: {_holder(orders, view)}"
        for one, view in zip(surveys, views, strict=True)
        if view.answered and view.holder != owner
    ]
    if odd:
        yield Finding(
            "DISKS_DIFFER",
            "a disk is not held by the active controller: it did without it, or has another disk by this name",
            listed(odd),
            "compare the serial numbers of the disks by this name; then `hagit reservations repair` on the active one",
        )


def _holder(orders: Orders, view: DiskView) -> str:
    key: Key | None = view.holder
    if key is None:
        return "held by no controller"
    if of_another_pair(key, orders.pair):
        return f"held by {key.side} of another hagit pair, claim {key.claim}"
    return f"held by {'a foreign key' if key.side is None else f'{orders.controller(key.side)}, claim {key.claim}'}"


def _weak(surveys: Sequence[DiskSurvey]) -> Iterator[Finding]:
    """What a disk lacks, as far as it says so."""

    def those(lack: Callable[[DiskSurvey], bool]) -> str:
        return listed([one.name for one in surveys if lack(one)])

    if names := those(lambda one: one.features.aborts is False):
        yield Finding(
            "NO_ABORT",
            "a disk knows no PREEMPT AND ABORT: what it has begun to write for the peer is finished after a fence",
            names,
            "newer firmware of the disk may know it; plain PREEMPT is used as long",
        )
    down = [f"{one.name}: {', '.join(one.down)}" for one in surveys if one.down]
    if down:
        yield Finding(
            "PATH_DOWN",
            "a path to a disk is down: if the last one goes, so does the disk",
            listed(down),
            "check the cable, the HBA and the expander of this path; a path that comes back is registered by itself",
        )
    if names := those(lambda one: one.features.persists is False):
        yield Finding(
            "NO_APTPL",
            "a disk forgets its reservation when it loses power",
            names,
            "have both controllers lose power together with the shelf; newer firmware may know APTPL",
        )
