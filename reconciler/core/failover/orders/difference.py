"""Difference: the changes from one set of orders to the next, in words for people.

A change of the generation alone is no change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import starmap
from typing import Final, NamedTuple

from reconciler.core.failover.orders.orders import Channel, Device, Group, Orders, Timers, VirtualAddress

#: Name at most this many items of a list, and count the rest.
NAMED_MAX: Final = 6

#: Words for timers. Timers without an entry appear under their field names.
TIMERS: Final = {
    "beat_ms": "heartbeat interval",
    "silence_ms": "network silence",
    "record_ms": "disk heartbeat interval",
    "stale_ms": "disk heartbeat stale",
    "look_ms": "look at the disks",
    "proof_ms": "longest without proof",
    "pause_ms": "worst pause",
    "import_ms": "longest standstill of an import",
    "release_ms": "longest standstill of an export",
    "network_ms": "network timeout",
    "deadman_ms": "deadman",
    "maintenance_ms": "longest maintenance",
}


class Change(NamedTuple):
    """A changed part of the orders. `before` is empty if the part is new, `after` if it is gone."""

    what: str
    before: str
    after: str


def changes(before: Orders | None, after: Orders) -> tuple[Change, ...]:
    """Return every part that differs, in a fixed order. `before` None: every part that is not empty."""
    old = {part.what: part for part in _parts(before)} if before is not None else {}
    pairs = ((old.get(part.what, part._replace(value=(), words=())), part) for part in _parts(after))
    return tuple(_change(new.what, was.words, new.words) for was, new in pairs if was.value != new.value)


def _change(what: str, old: tuple[str, ...], new: tuple[str, ...]) -> Change:
    """Return a change: short lists in full; for long ones only the added and removed items."""
    if len(old) <= NAMED_MAX and len(new) <= NAMED_MAX:
        return Change(what, ", ".join(old), ", ".join(new))
    come, go = [item for item in new if item not in set(old)], [item for item in old if item not in set(new)]
    told = [f"{word} {_named(items)}" for word, items in (("with", come), ("without", go)) if items and old]
    words = ", ".join(told) if told else _named(new) if not old else "in another order"
    return Change(what, str(len(old)) if old else "", f"{len(new)} {words}" if told else words)


def _named(items: Sequence[str], joint: str = ", ") -> str:
    more = f" and {len(items) - NAMED_MAX} more" if len(items) > NAMED_MAX else ""
    return joint.join(items[:NAMED_MAX]) + more


class _Part(NamedTuple):
    """A part of the orders. Compare parts by value, because their words may be incomplete."""

    what: str
    value: object
    words: tuple[str, ...]


def _parts(orders: Orders) -> Iterator[_Part]:
    yield _said("failover", "enabled" if orders.enabled else "disabled")
    yield _said("pair", orders.pair)
    yield _said("default controller", orders.default.value)
    yield _said("strict", "yes" if orders.strict else "no")
    disks = orders.disks
    yield _Part("disks", disks, disks)
    vdevs = tuple((vdev.name, _disks(disks, vdev.disks), vdev.needed) for vdev in orders.vdevs)
    yield _Part("vdevs", vdevs, tuple(starmap(_vdev, vdevs)))
    arbitration = _disks(disks, orders.arbitration)
    yield _Part("arbitration", arbitration, arbitration)
    yield _Part("channels", orders.channels, tuple(map(_channel, orders.channels)))
    yield _Part("failover groups", orders.groups, tuple(map(_group, orders.groups)))
    yield _Part("virtual addresses", orders.addresses, tuple(map(_address, orders.addresses)))
    yield _Part("NICs", orders.devices, tuple(map(_device, orders.devices)))
    for name in Timers.__slots__:
        word = TIMERS.get(name, name.removesuffix("_ms").strip("_"))
        yield _said(word, duration(getattr(orders.timers, name)))
    limits, carp = orders.limits, orders.carp
    yield _said("budget", f"{limits.moves} moves in {duration(limits.moves_window_ms)}")
    yield _said("resets", f"{limits.resets} in {duration(limits.resets_window_ms)}")
    mac = ", virtual MAC" if carp.virtual_mac else ""
    yield _said("CARP", f"advbase {carp.advbase}, advskew {carp.advskew}{mac}")


def _said(what: str, words: str) -> _Part:
    """Return a part that its words describe completely."""
    return _Part(what, (words,), (words,))


def _disks(names: tuple[str, ...], indices: tuple[int, ...]) -> tuple[str, ...]:
    """Return disks by name. An index without a disk, which validation refuses, appears as its number."""
    return tuple(names[index] if index < len(names) else f"no disk {index}" for index in indices)


def duration(value_ms: int) -> str:
    """Return a duration in the largest unit that gives a whole number: `8h`, `90s`, `1500ms`."""
    for unit, factor in (("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if value_ms and value_ms % factor == 0:
            return f"{value_ms // factor}{unit}"
    return f"{value_ms}ms"


def _vdev(name: str, disks: tuple[str, ...], needed: int) -> str:
    return f"{name} ({needed} of {_named(disks, '+')})"


def _channel(channel: Channel) -> str:
    return f"{channel.name} ({channel.kind.value})"


def _group(group: Group) -> str:
    return f"{group.number}: {'+'.join(group.interfaces)}"


def _address(address: VirtualAddress) -> str:
    return f"{address.address} on {address.interface} (VHID {address.vhid})"


def _device(device: Device) -> str:
    return f"{device.name} by {device.by.value} {device.value}"
