"""Defects of failover as a whole: its policy, the disks it fences, and orders that cannot be safe.

Decides which written value is responsible for a reason that `core/failover/orders/safety_checks` gives. Does no
arithmetic itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.orders.safety_checks import GROUPS_MAX, Unsafe, unsafe
from reconciler.core.spec.configuration import Resource
from reconciler.core.spec.defect import Finding, defect
from reconciler.core.spec.nearest import suggestion
from reconciler.core.spec.orders import draft_orders
from reconciler.core.spec.topology import SpecDraft
from reconciler.core.spec.tree import Path

_INTERVAL, _SILENCE, _PAUSE = ("heartbeat", "interval"), ("heartbeat", "silence"), ("heartbeat", "pause")
_PROOF = ("limits", "proof")
_DISK_INTERVAL, _DISK_STALE = ("heartbeat", "diskInterval"), ("heartbeat", "diskStale")
#: For each reason the values of a Failover that make it, the one that people would look at first; the first that is
#: written is complained about.
RESPONSIBLE: Final[Mapping[str, tuple[Path, ...]]] = {
    "timers.beat_ms": (_INTERVAL,),
    "timers.silence_ms": (_SILENCE, _PAUSE, _INTERVAL),
    "timers.record_ms": (_DISK_INTERVAL,),
    "timers.look_ms": (_DISK_INTERVAL,),
    "timers.stale_ms": (_DISK_STALE, _PAUSE, _DISK_INTERVAL),
    "timers.proof_ms": (_PROOF, _PAUSE, _DISK_INTERVAL),
    "timers.import_ms": (("limits", "import"),),
    "timers.release_ms": (("limits", "export"),),
    "timers.pause_ms": (_PAUSE,),
    "timers.yield_ms": (_DISK_STALE,),
    "timers.deadman_ms": (("deadman",), _PROOF, _PAUSE, _DISK_INTERVAL, _INTERVAL),
    "timers.patience_ms": (_DISK_STALE, _SILENCE),
    "timers.network_ms": (("timeout",),),
    "timers.maintenance_ms": (("maintenance",),),
    "arbitration": (("arbitration",),),
    "limits": (("budget", "per"), ("resets", "per")),
    "carp": (("carp", "advskew"), ("carp", "advbase")),
}


@defect("failover-missing", warning=True)
def failover_missing(draft: SpecDraft) -> Iterator[Finding]:
    """There are virtual addresses on two controllers and no Failover, so they are on neither."""
    moving = next((interface for interface in draft.interfaces.values() if interface.spec.virtual is not None), None)
    if moving is not None and draft.failover is None and len(draft.sides) == 2 and not draft.incomplete:
        what = "there are virtual addresses and no Failover: they are on neither controller, and nothing fails over"
        yield moving, ("virtual",), what, "Add a resource of kind Failover, and a Pool: see `hagit explain failover`."


@defect("failover-alone")
def failover_alone(draft: SpecDraft) -> Iterator[Finding]:
    """There is a Failover and only one controller."""
    if draft.failover is not None and draft.pair is not None and len(draft.sides) < 2:
        what = "failover needs two controllers, and the Pair describes one"
        yield draft.failover, (), what, "Describe the other in the Pair, or remove the Failover."


@defect("disk-twice")
def disk_twice(draft: SpecDraft) -> Iterator[Finding]:
    """A disk stands twice in the pools."""
    seen: dict[str, str] = {}
    for pool in draft.pools.values():
        for path, disk in pool.spec.disks():
            origin = pool.origin(*path)
            here = f"{origin.file}:{origin.line}:{origin.column}"
            first = seen.setdefault(disk, here)
            if first != here:
                yield pool, path, f"`{disk}` stands twice; first at {first}", "Each disk belongs to one vdev."


@defect("arbitration-unknown")
def arbitration_unknown(draft: SpecDraft) -> Iterator[Finding]:
    """An arbitration disk is none of the pools' disks, or is named twice."""
    if draft.failover is None or draft.incomplete:
        return
    known = {disk for pool in draft.pools.values() for _, disk in pool.spec.disks()}
    named: set[str] = set()
    for index, disk in enumerate(draft.failover.spec.arbitration):
        path = ("arbitration", index)
        if disk not in known:
            what = f"`{disk}` is none of the pools' disks: its reservation would guard nothing"
            yield draft.failover, path, what, suggestion(disk, known) if known else "Describe the disks with kind Pool."
        elif disk in named:
            yield draft.failover, path, f"`{disk}` stands here twice", "Choose an odd number of different disks."
        named.add(disk)


@defect("orders-unsafe")
def orders_unsafe(draft: SpecDraft) -> Iterator[Finding]:
    """The orders that the watchdog would get cannot be safe; the arithmetic says why."""
    failover, pair = draft.failover, draft.pair
    if failover is None or pair is None or draft.incomplete or len(draft.sides) < 2:
        return
    if any(True for check in (disk_twice, arbitration_unknown) for _ in check.check(draft)):
        return
    orders = draft_orders(draft, pair, "a")
    for reason in unsafe(orders):
        resource, path = _responsible(draft, failover, orders, reason)
        yield resource, path, f"failover cannot be safe: {reason.what}", _sentence(reason.remedy)


def _responsible(
    draft: SpecDraft, failover: Resource[Any], orders: Orders, reason: Unsafe
) -> tuple[Resource[Any], Path]:
    """The resource, and the value in it, that a reason is about."""
    if reason.where == "channels" and orders.channels:
        return draft.interfaces[orders.channels[0].name], ()
    if reason.where == "vdevs" and draft.pools:
        return next(iter(draft.pools.values())), ("vdevs",)
    if reason.where == "groups":
        wrong = [group for group in orders.groups if group.number >= GROUPS_MAX] or orders.groups
        return draft.interfaces[wrong[0].interfaces[0]], ("failoverGroup",)
    if reason.where == "addresses" and orders.addresses:
        return draft.interfaces[orders.addresses[-1].interface], ("virtual", "vhid")
    paths = RESPONSIBLE.get(reason.where, ())
    written = next((path for path in paths if ("spec", *path) in failover.document.values), ())
    return failover, written or (paths[0] if paths else ())


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
