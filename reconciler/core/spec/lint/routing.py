"""Defects of routes and gateways."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.spec.defect import Finding, defect
from reconciler.core.spec.nearest import suggestion
from reconciler.core.spec.topology import SpecDraft, on_link


@defect("two-gateways")
def two_gateways(draft: SpecDraft) -> Iterator[Finding]:
    """Two routes lead to one destination with the same metric."""
    for controller, side in draft.sides.items():
        seen: dict[tuple[str, int], str] = {}
        for way in side.ways:
            place = f"{way.resource.id} {way.path}"
            first = seen.setdefault((way.destination, way.metric), place)
            other = first.split()[0]
            if first != place:
                kind = "default gateways" if way.destination.endswith("/0") else f"ways to {way.destination}"
                what = f"two {kind} with metric {way.metric} on controller {controller}; the other: {other}"
                yield way.resource, way.path, what, "Keep one, or give the spare one a higher metric."


@defect("route-nowhere")
def route_nowhere(draft: SpecDraft) -> Iterator[Finding]:
    """A route has neither gateway nor interface."""
    for controller, side in draft.sides.items():
        for way in side.ways:
            if way.gateway is None and way.interface is None:
                what = f"the route leads nowhere on controller {controller}"
                yield way.resource, way.path, what, "Add gateway: or interface:."


@defect("route-family")
def route_family(draft: SpecDraft) -> Iterator[Finding]:
    """The gateway of a route is of the other family."""
    for side in draft.sides.values():
        for way in side.ways:
            if way.gateway is not None and way.gateway.version != way.version:
                what = f"{way.gateway} is no IPv{way.version} address, but {way.destination} is IPv{way.version}"
                yield way.resource, way.gateway_path, what, "Destination and gateway are of one family."


@defect("metric-zero")
def metric_zero(draft: SpecDraft) -> Iterator[Finding]:
    """An IPv6 route has metric 0, which the kernel turns into 1024."""
    for side in draft.sides.values():
        for way in side.ways:
            if way.version == 6 and way.metric == 0:
                what = "IPv6 has no metric 0: the kernel makes it 1024"
                yield way.resource, ("metric",), what, "Write the metric you mean."


@defect("route-interface-missing")
def route_interface_missing(draft: SpecDraft) -> Iterator[Finding]:
    """A route leaves by an interface that is not there."""
    for controller, side in draft.sides.items():
        for way in side.ways:
            if way.interface is None or way.interface in side.faces or draft.incomplete:
                continue
            what, remedy = f"there is no interface `{way.interface}`", suggestion(way.interface, draft.interfaces)
            if way.interface in draft.interfaces:
                what = f"`{way.interface}` is not on controller {controller}"
                remedy = "Give the route only the half of the controller that has it."
            yield way.resource, way.interface_path, what, remedy


@defect("gateway-unreachable")
def gateway_unreachable(draft: SpecDraft) -> Iterator[Finding]:
    """A gateway lies in no network of the controller."""
    for controller, side in draft.sides.items():
        for way in side.ways:
            if way.gateway is None or draft.incomplete or (way.interface and way.interface not in side.faces):
                continue
            if way.gateway.version == 6 and way.gateway.is_link_local:
                if way.interface is None:
                    what = f"{way.gateway} is link-local, which says nothing about the interface"
                    yield way.resource, way.gateway_path, what, "Use a Route with interface: for it."
                continue
            faces = [side.faces[way.interface]] if way.interface else side.faces.values()
            if way.interface is None and side.subnets.of(way.gateway):
                continue
            networks = [address.network for face in faces for _, address in face.addresses]
            networks += [network for name, network in on_link(side.ways) if name == way.interface]
            if way.interface and any(way.gateway in network for network in networks):
                continue
            place = f"`{way.interface}`" if way.interface else "any interface"
            what = f"the gateway {way.gateway} is in no network of {place} on controller {controller}"
            remedy = "Correct it, or add an address in its network, or a Route to it with interface: and no gateway."
            yield way.resource, way.gateway_path, what, remedy


@defect("gateway-no-host")
def gateway_no_host(draft: SpecDraft) -> Iterator[Finding]:
    """A gateway is the first or last address of its network, which belongs to no host."""
    for side in draft.sides.values():
        for way in side.ways:
            if way.gateway is None or way.gateway.version != 4:
                continue
            for face in side.faces.values():
                for _, address in face.addresses:
                    network = address.network
                    ends = (network.network_address, network.broadcast_address)
                    if network.version == 4 and network.prefixlen < 31 and way.gateway in ends:
                        what = f"the gateway {way.gateway} is no host of {network}, but the network or its broadcast"
                        yield way.resource, way.gateway_path, what, "Write the address of the router."


@defect("gateway-ambiguous")
def gateway_ambiguous(draft: SpecDraft) -> Iterator[Finding]:
    """A gateway can be reached by two interfaces."""
    for controller, side in draft.sides.items():
        for way in side.ways:
            names = side.subnets.of(way.gateway) if way.gateway is not None and way.interface is None else []
            if len(names) > 1:
                listed = " and ".join(f"`{name}`" for name in names[:2])
                what = f"the gateway {way.gateway} is in a network of {listed} on controller {controller}"
                remedy = "Say which with interface:; for the default route use a Route instead of the Pair's gateway."
                yield way.resource, way.gateway_path, what, remedy


@defect("gateway-own")
def gateway_own(draft: SpecDraft) -> Iterator[Finding]:
    """A gateway is an address of the pair itself."""
    own = {
        address.ip
        for side in draft.sides.values()
        for face in side.faces.values()
        for _, address in face.addresses + face.virtual
    }
    for side in draft.sides.values():
        for way in side.ways:
            if way.gateway is not None and way.gateway in own:
                what = f"the gateway {way.gateway} is an address of the pair itself"
                yield way.resource, way.gateway_path, what, "Write the address of the router."
