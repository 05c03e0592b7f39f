"""Safety checks: find orders that cannot be safe, and show the arithmetic that proves it.

`hagit validate` and the watchdog both refuse such orders. Does not know the file of the orders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from reconciler.core.failover.heartbeats.heartbeat import TXGS_MAX
from reconciler.core.failover.orders.orders import Orders, Timers
from reconciler.core.failover.reservations.current_copies import pools_of

DISKS_MAX = 2_048
GROUPS_MAX = 64
#: CARP carries the virtual host id in one byte, and 0 is no id (ip_carp.c).
VHID_MAX = 255
#: CARP also carries advbase and advskew in a byte each; FreeBSD reserves 255 for an interface that must not become
#: master (ip_carp.c).
ADVBASE_MAX = 255
ADVSKEW_MAX = 254
#: A timer of more than a week is a mistake of units.
TIMER_MS_MAX = 7 * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Unsafe:
    """A reason to refuse orders. `where`: the part of the orders."""

    where: str
    what: str
    remedy: str


def unsafe(orders: Orders) -> tuple[Unsafe, ...]:
    """Return every defect that makes these orders unsafe; empty if a watchdog may follow them."""
    return (
        *_ranges(orders.timers),
        *_silence(orders.timers),
        *_deadman(orders.timers),
        *_order_of_start(orders.timers),
        *_channels(orders),
        *_disks(orders),
        *_groups(orders),
        *_limits(orders),
        *_carp(orders),
    )


def _ranges(timers: Timers) -> Iterator[Unsafe]:
    zero_allowed = {"pause_ms", "settle_ms", "network_ms", "retry_ms", "yield_ms"}
    for field in fields(timers):
        value = getattr(timers, field.name)
        least = 0 if field.name in zero_allowed else 1
        if not least <= value <= TIMER_MS_MAX:
            yield Unsafe(f"timers.{field.name}", f"{value} ms is outside {least}..{TIMER_MS_MAX}", "check the unit")


def _silence(t: Timers) -> Iterator[Unsafe]:
    least = 2 * t.beat_ms + t.pause_ms
    if t.silence_ms < least:
        yield Unsafe(
            "timers.silence_ms",
            f"a healthy peer may be quiet for 2 × {t.beat_ms} ms (one lost beat) + {t.pause_ms} ms (worst pause) = "
            f"{least} ms, but is called silent after {t.silence_ms} ms",
            f"raise the silence to {least} ms or more, or beat more often",
        )
    least = 2 * t.record_ms + t.look_ms + t.pause_ms
    if t.stale_ms < least:
        yield Unsafe(
            "timers.stale_ms",
            f"a healthy disk record may look old for 2 × {t.record_ms} ms + {t.look_ms} ms (between looks) + "
            f"{t.pause_ms} ms (worst pause) = {least} ms, but is called stale after {t.stale_ms} ms",
            f"raise the limit to {least} ms or more, or write the record more often",
        )
    least = 2 * t.look_ms + t.pause_ms
    if t.proof_ms < least:
        yield Unsafe(
            "timers.proof_ms",
            f"between two proofs may lie 2 × {t.look_ms} ms + {t.pause_ms} ms (worst pause) = {least} ms, but a "
            f"controller halts without proof for {t.proof_ms} ms",
            f"raise the limit to {least} ms or more, or look more often",
        )


def _deadman(t: Timers) -> Iterator[Unsafe]:
    worst = t.proof_ms + t.deadman_ms
    if worst > t.patience_ms:
        yield Unsafe(
            "timers.deadman_ms",
            f"a controller that lost its disks may live {t.proof_ms} ms (without proof) + {t.deadman_ms} ms (deadman) "
            f"= {worst} ms, but a takeover may wait only {t.patience_ms} ms for it",
            f"set the deadman to {max(1, t.patience_ms - t.proof_ms)} ms or less",
        )
    if t.deadman_ms <= t.pause_ms + t.beat_ms:
        yield Unsafe(
            "timers.deadman_ms",
            f"the deadman resets a healthy controller: it is fed every {t.beat_ms} ms, late by up to {t.pause_ms} ms, "
            f"and waits {t.deadman_ms} ms",
            f"set it above {t.pause_ms + t.beat_ms} ms",
        )
    takeover = max(t.silence_ms + t.network_ms, t.stale_ms)
    if takeover > t.patience_ms and t.network_ms == 0:
        yield Unsafe(
            "timers.patience_ms",
            f"a takeover begins after max({t.silence_ms}, {t.stale_ms}) = {takeover} ms, later than clients wait "
            f"({t.patience_ms} ms)",
            "lower the silence and staleness limits",
        )


def _order_of_start(t: Timers) -> Iterator[Unsafe]:
    least = t.claim_ms + t.stale_ms
    if t.yield_ms < least:
        yield Unsafe(
            "timers.yield_ms",
            f"the controller that is not the default starts alone {t.yield_ms} ms after the default, but must leave it "
            f"{t.claim_ms} ms (claim) + {t.stale_ms} ms (until its disk record is seen) = {least} ms",
            f"raise it to {least} ms or more",
        )


def _channels(orders: Orders) -> Iterator[Unsafe]:
    names = [channel.name for channel in orders.channels]
    if len(set(names)) != len(names):
        yield Unsafe("channels", "two heartbeat channels have one name", "name each channel once")
    if len(names) < 2:
        yield Unsafe(
            "channels",
            f"{len(names)} heartbeat channel(s) on the network: one pulled cable is silence",
            "declare an interlink and at least one critical interface",
        )


def _disks(orders: Orders) -> Iterator[Unsafe]:
    count = len(orders.disks)
    if count == 0:
        yield Unsafe(
            "disks", "no disks: there is nothing to fence a controller with", "describe the disks of every pool"
        )
    elif count > DISKS_MAX or len(set(orders.disks)) != count:
        yield Unsafe(
            "disks", f"{count} disks, of which {len(set(orders.disks))} differ", f"1 to {DISKS_MAX}, each once"
        )
    votes = len(orders.arbitration)
    if votes == 0:
        yield Unsafe("arbitration", "no arbitration disks: a race of two claims cannot be decided", "choose 3 disks")
    elif votes % 2 == 0:
        half = votes // 2
        yield Unsafe(
            "arbitration",
            f"{votes} arbitration disks: a race may end {half} to {half}",
            f"choose {votes - 1} or {votes + 1}",
        )
    if len(set(orders.arbitration)) != votes or any(not 0 <= index < count for index in orders.arbitration):
        yield Unsafe("arbitration", "an arbitration disk is named twice, or is none of the disks", "name each once")
    pools = pools_of(orders)
    if len(pools) > TXGS_MAX:
        yield Unsafe(
            "vdevs",
            f"{len(pools)} pools, and a heartbeat says of {TXGS_MAX} at most how far they have come: an older copy of "
            "the others would not be known as such",
            f"make {TXGS_MAX} pools or fewer of these disks",
        )
    used: dict[int, str] = {}
    for vdev in orders.vdevs:
        if not 1 <= vdev.needed <= len(vdev.disks):
            yield Unsafe("vdevs", f"{vdev.name} needs {vdev.needed} of {len(vdev.disks)} disks", "correct the layout")
        for index in vdev.disks:
            if index in used or not 0 <= index < count:
                other = used.get(index, "no list of disks")
                yield Unsafe("vdevs", f"disk {index} of {vdev.name} stands in {other}, too", "each disk in one vdev")
            used[index] = vdev.name


def _groups(orders: Orders) -> Iterator[Unsafe]:
    if len(orders.groups) > GROUPS_MAX:
        yield Unsafe("groups", f"{len(orders.groups)} failover groups", f"at most {GROUPS_MAX}")
    for group in orders.groups:
        if not 0 <= group.number < GROUPS_MAX:
            what = f"failover group {group.number} is outside 0..{GROUPS_MAX - 1}"
            yield Unsafe("groups", what, "number the groups from 1 on")
        elif not group.interfaces:
            yield Unsafe("groups", f"failover group {group.number} has no interface", "add one, or remove the group")
    numbers = [group.number for group in orders.groups]
    if len(set(numbers)) != len(numbers):
        yield Unsafe("groups", "two failover groups have one number", "number each group once")
    seen: dict[int, str] = {}
    for address in orders.addresses:
        if not 1 <= address.vhid <= VHID_MAX:
            yield Unsafe("addresses", f"{address.address} has VHID {address.vhid}", f"1 to {VHID_MAX}")
        elif seen.setdefault(address.vhid, address.interface) != address.interface:
            # In CARP the addresses of one interface share its VHID.
            yield Unsafe(
                "addresses",
                f"VHID {address.vhid} stands on {seen[address.vhid]} and on {address.interface}: they would answer for "
                "one another on one segment",
                "give each interface its own VHID",
            )


def _limits(orders: Orders) -> Iterator[Unsafe]:
    limits = orders.limits
    if min(limits.moves, limits.moves_window_ms, limits.resets, limits.resets_window_ms) < 1:
        yield Unsafe("limits", "a budget of zero is no budget", "1 or more moves, resets and milliseconds")


def _carp(orders: Orders) -> Iterator[Unsafe]:
    carp = orders.carp
    if not (0 <= carp.advbase <= ADVBASE_MAX and 0 <= carp.advskew <= ADVSKEW_MAX):
        yield Unsafe(
            "carp",
            f"advbase {carp.advbase} and advskew {carp.advskew} do not fit an advertisement",
            f"advbase 0 to {ADVBASE_MAX}, advskew 0 to {ADVSKEW_MAX}",
        )
    elif carp.interval_ms == 0:
        yield Unsafe(
            "carp",
            "advbase 0 + advskew 0 / 256 = 0 s between two advertisements",
            "set advskew to 1 or more",
        )
    names = [device.name for device in orders.devices]
    if len(set(names)) != len(names):
        yield Unsafe("devices", "two NICs are to be found under one name", "name each interface once")
