"""Defects of addresses: doubled, outside their network, or no host's."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.spec.defect import Finding, defect
from reconciler.core.spec.topology import SpecDraft


@defect("address-twice")
def address_twice(draft: SpecDraft) -> Iterator[Finding]:
    """One address is given twice, on one controller or on both."""
    seen: dict[tuple[int, int], tuple[str, str]] = {}
    for controller, side in draft.sides.items():
        for face in side.faces.values():
            static = [
                (path, address, f"{face.name} {path}", f"on controller {controller}")
                for path, address in face.addresses
            ]
            moving = [(path, address, f"{face.name} {path}", "as virtual address") for path, address in face.virtual]
            for path, address, use, where in static + moving:
                first, place = seen.setdefault((address.version, int(address)), (use, f"`{face.name}` {where}"))
                if first != use:
                    what = f"{address.ip} is given twice; {place} has it already"
                    yield face.resource, path, what, "Each address belongs to one interface of one controller."


@defect("virtual-outside")
def virtual_outside(draft: SpecDraft) -> Iterator[Finding]:
    """A virtual address lies outside the networks of its interface."""
    for controller, side in draft.sides.items():
        for face in side.faces.values():
            networks = [address.network for _, address in face.addresses]
            for path, address in face.virtual:
                if any(address.version == network.version and address.ip in network for network in networks):
                    continue
                if any(network.version == address.version for network in networks):
                    listed = ", ".join(str(network) for network in networks if network.version == address.version)
                    what = f"{address} lies outside the network of `{face.name}` on controller {controller}: {listed}"
                    remedy = "Virtual and static addresses of an interface are in one network."
                else:
                    what = f"`{face.name}` has no static IPv{address.version} address on controller {controller}"
                    remedy = f"Give it one in the network of the virtual address: {address.network}."
                yield face.resource, path, what, remedy


@defect("network-address")
def network_address(draft: SpecDraft) -> Iterator[Finding]:
    """An address is the first or last of its network, which is no host's."""
    for side in draft.sides.values():
        for face in side.faces.values():
            for path, address in face.addresses + face.virtual:
                network = address.network
                if network.prefixlen >= network.max_prefixlen - 1:
                    continue
                if address.ip == network.network_address:
                    what = f"{address.ip} is the address of the network {network} itself"
                    yield face.resource, path, what, "Use another address of the network."
                elif address.version == 4 and address.ip == network.broadcast_address:
                    what = f"{address.ip} is the broadcast address of {network}"
                    yield face.resource, path, what, "Use another address of the network."


@defect("vhid-twice")
def vhid_twice(draft: SpecDraft) -> Iterator[Finding]:
    """Two interfaces have the same VHID."""
    seen: dict[int, str] = {}
    for interface in draft.interfaces.values():
        virtual = interface.spec.virtual
        if virtual is None:
            continue
        first = seen.setdefault(virtual.vhid, interface.name)
        if first != interface.name:
            what = f"`{first}` has VHID {virtual.vhid} already"
            remedy = "Give each interface its own: two segments may turn out to be one, and the VHID makes the MAC."
            yield interface, ("virtual", "vhid"), what, remedy


@defect("network-shared", warning=True)
def network_shared(draft: SpecDraft) -> Iterator[Finding]:
    """Two interfaces of one controller are in the same network."""
    for side in draft.sides.values():
        seen: dict[str, str] = {}
        for face in side.faces.values():
            for path, address in face.addresses:
                if address.network.prefixlen == address.max_prefixlen:
                    continue
                first = seen.setdefault(str(address.network), face.name)
                if first != face.name:
                    what = f"`{first}` is in {address.network} too, and the kernel answers for both on either"
                    yield face.resource, path, what, "Put them into one bond, or use two networks."
