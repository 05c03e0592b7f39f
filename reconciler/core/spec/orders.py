"""The orders that a configuration gives the watchdog, as far as the language can say them yet.

Names, channels, failover groups and virtual addresses come from Interface resources; timers and limits are the
defaults of `core/failover/orders`. No kind describes disks, so `disks`, `vdevs` and `arbitration` stay empty: whoever
needs a shelf has to bring one.
"""

from __future__ import annotations

from reconciler.core.failover.key import Side
from reconciler.core.failover.orders import Channel, ChannelKind, Group, Orders, VirtualAddress
from reconciler.core.spec.configuration import Configuration
from reconciler.core.spec.interface import Role

#: What the orders say that the language can say already, by the names that `unsafe` gives its reasons.
TOLD = frozenset({"channels", "groups", "addresses"})


def orders_of(configuration: Configuration, controller: str = "a", generation: int = 1) -> Orders:
    """The orders for one controller of a configuration that is free of defects."""
    channels, addresses = [], []
    groups: dict[int, list[str]] = {}
    for name, resource in configuration.interfaces.items():
        spec = resource.spec
        if spec.role is Role.INTERLINK:
            channels.append(Channel(name))
        elif spec.critical:
            channels.append(Channel(name, ChannelKind.CARP))
            groups.setdefault(spec.failover_group or 0, []).append(name)
        if spec.virtual is not None:
            told = [address for _, address in spec.virtual.all()]
            addresses += [VirtualAddress(name, str(address), spec.virtual.vhid) for address in told]
    return Orders(
        pair=configuration.pair.name,
        side=Side(controller),
        generation=generation,
        controllers=("a", "b"),
        disks=(),
        vdevs=(),
        arbitration=(),
        channels=tuple(channels),
        groups=tuple(Group(number, tuple(names)) for number, names in sorted(groups.items())),
        addresses=tuple(addresses),
    )


def fails_over(configuration: Configuration) -> bool:
    """Whether anything in the configuration moves: two controllers and a virtual address."""
    virtual = any(resource.spec.virtual is not None for resource in configuration.interfaces.values())
    return virtual and len(configuration.controllers) == 2
