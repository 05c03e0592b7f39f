"""What changes from one set of orders to the next, in the words of people.

Decides on words. A generation is no content and no change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from reconciler.core.failover.orders import Channel, Device, Group, Orders, Timers, Vdev, VirtualAddress

#: Names that are told; of longer lists the rest is counted.
NAMED_MAX: Final = 6

#: The timers that have a word of their own; the others are told by their names.
TIMERS: Final = {
    "beat_ms": "heartbeat interval",
    "silence_ms": "network silence",
    "record_ms": "disk heartbeat interval",
    "stale_ms": "disk heartbeat stale",
    "look_ms": "look at the disks",
    "proof_ms": "longest without proof",
    "pause_ms": "worst pause",
    "network_ms": "network timeout",
    "deadman_ms": "deadman",
    "maintenance_ms": "longest maintenance",
}


class Change(NamedTuple):
    """One part of the orders; `before` is empty when there was none of it, `after` when there is none any more."""

    what: str
    before: str
    after: str


def changes(before: Orders | None, after: Orders) -> tuple[Change, ...]:
    """Every part that differs, in a fixed order; with nothing before, every part that is not empty."""
    old = dict(_parts(before)) if before is not None else {}
    return tuple(_change(what, old.get(what, ()), new) for what, new in _parts(after) if old.get(what, ()) != new)


def _change(what: str, old: tuple[str, ...], new: tuple[str, ...]) -> Change:
    """Short lists are told whole; of long ones what comes and what goes."""
    if len(old) <= NAMED_MAX and len(new) <= NAMED_MAX:
        return Change(what, ", ".join(old), ", ".join(new))
    come, go = [item for item in new if item not in set(old)], [item for item in old if item not in set(new)]
    told = [f"{word} {_named(items)}" for word, items in (("with", come), ("without", go)) if items and old]
    words = ", ".join(told) if told else _named(new) if not old else "in another order"
    return Change(what, str(len(old)) if old else "", f"{len(new)} {words}" if told else words)


def _named(items: Sequence[str]) -> str:
    more = f" and {len(items) - NAMED_MAX} more" if len(items) > NAMED_MAX else ""
    return ", ".join(items[:NAMED_MAX]) + more


def _parts(orders: Orders) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "failover", ("enabled" if orders.enabled else "disabled",)
    yield "pair", (orders.pair,)
    yield "default controller", (orders.default.value,)
    yield "strict", ("yes" if orders.strict else "no",)
    yield "disks", orders.disks
    yield "vdevs", tuple(map(_vdev, orders.vdevs))
    yield "arbitration", tuple(orders.disks[index] for index in orders.arbitration if index < len(orders.disks))
    yield "channels", tuple(map(_channel, orders.channels))
    yield "failover groups", tuple(map(_group, orders.groups))
    yield "virtual addresses", tuple(map(_address, orders.addresses))
    yield "NICs", tuple(map(_device, orders.devices))
    for name in Timers.__slots__:
        yield TIMERS.get(name, name.removesuffix("_ms").strip("_")), (duration(getattr(orders.timers, name)),)
    limits, carp = orders.limits, orders.carp
    yield "budget", (f"{limits.moves} moves in {duration(limits.moves_window_ms)}",)
    yield "resets", (f"{limits.resets} in {duration(limits.resets_window_ms)}",)
    mac = ", virtual MAC" if carp.virtual_mac else ""
    yield "CARP", (f"advbase {carp.advbase}, advskew {carp.advskew}{mac}",)


def duration(value_ms: int) -> str:
    """`8h`, `90s`, `1500ms`: the largest unit that says it whole."""
    for unit, factor in (("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if value_ms and value_ms % factor == 0:
            return f"{value_ms // factor}{unit}"
    return f"{value_ms}ms"


def _vdev(vdev: Vdev) -> str:
    return f"{vdev.name} ({vdev.needed} of {len(vdev.disks)})"


def _channel(channel: Channel) -> str:
    return f"{channel.name} ({channel.kind.value})"


def _group(group: Group) -> str:
    return f"{group.number}: {'+'.join(group.interfaces)}"


def _address(address: VirtualAddress) -> str:
    return f"{address.address} on {address.interface} (VHID {address.vhid})"


def _device(device: Device) -> str:
    return f"{device.name} by {device.by.value} {device.value}"
