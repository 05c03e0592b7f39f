"""Which kernel interface each resource name of the orders means, by what one look shows.

Decides that an answer that is not the only one is none, and that bonds, VLANs and bridges, which share the MAC of a
NIC, are found by name alone. Does not remember: names and indices change, so each action resolves them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from reconciler.core.failover.orders.orders import Device, DeviceKey
from reconciler.system.addresses.snapshot import LinkSeen, NetworkSnapshot
from reconciler.system.netlink.device import device_of

#: Links that are made over others and take their MAC.
_MADE_OVER_OTHERS = frozenset({"bond", "vlan", "bridge", "macvlan", "macvtap", "ipvlan", "team", "vrf"})


def resolve(devices: Iterable[Device], snapshot: NetworkSnapshot) -> dict[str, int | None]:
    """Resource name -> index; None when no interface answers to it, or several do."""
    paths: dict[int, str] = {}
    return {device.name: _only(_candidates(device, snapshot, paths)) for device in devices}


def _only(found: Iterator[int]) -> int | None:
    first = next(found, None)
    return first if next(found, None) is None else None


def _candidates(device: Device, snapshot: NetworkSnapshot, paths: dict[int, str]) -> Iterator[int]:
    for link in snapshot.links.values():
        match device.by:
            case DeviceKey.NAME:
                matches = link.name == device.value
            case DeviceKey.MAC:
                matches = link.kind not in _MADE_OVER_OTHERS and link.permanent == device.value.lower()
            case DeviceKey.PATH:
                matches = _path_matches(_path(link, paths), device.value)
            case _:
                assert_never(device.by)
        if matches:
            yield link.index


def _path_matches(path: str, wanted: str) -> bool:
    return bool(path) and (path.startswith(wanted[:-1]) if wanted.endswith("*") else path == wanted)


def _path(link: LinkSeen, paths: dict[int, str]) -> str:
    """Read from sysfs once in a resolution, and only for links that have a device."""
    if link.index not in paths:
        paths[link.index] = device_of(link.bus, link.device)[0] if link.device else ""
    return paths[link.index]
