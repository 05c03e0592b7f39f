"""The gates of addresses and routes: what the kernel would refuse, and what another program has put in their place.

Decides which live address or route can become the desired one. Does not know order.
"""

from __future__ import annotations

from ipaddress import IPv4Interface, ip_interface

from reconciler.core.facts.difference import host
from reconciler.core.facts.fact import DUPLICATE, NO_PREFIX_ROUTE, Address, Route
from reconciler.core.facts.kernel import switch_on_ipv6
from reconciler.core.facts.ownership import Owner
from reconciler.core.facts.prediction import IPV6_MTU_MIN, is_ipv6
from reconciler.core.planning.draft import PlanDraft
from reconciler.core.planning.plan import LOOKS_AGAIN, Gate, GateRefusal
from reconciler.core.planning.removal_commands import removal_command


def address_refusal(draft: PlanDraft, fact: Address) -> GateRefusal | None:
    """Why a link cannot have an address now."""
    if fact.address.endswith("/0"):
        why = f"with a prefix length of 0, {host(fact.address)} would make {fact.link} the way to every other machine"
        return GateRefusal(Gate.REFUSED, why, "write the prefix length of its network")
    seen = draft.live.facts.get(fact.key)
    if isinstance(seen, Address) and (found := _unlike(seen)) is not None:
        return found
    if not is_ipv6(fact.address):
        return None
    size = draft.live.mtu(fact.link)
    if size is not None and size < IPV6_MTU_MIN:
        why = f"IPv6 needs an MTU of {IPV6_MTU_MIN}, and {fact.link} has {size}"
        return GateRefusal(Gate.MTU_LIMIT, why, f"give the interface an MTU of {IPV6_MTU_MIN} or more")
    return _ipv6_off(draft, fact.link)


def _unlike(seen: Address) -> GateRefusal | None:
    """Why an address that is there cannot become the desired one in place. A lifetime, the kernel changes in place."""
    way = f"if no other program needs it: {removal_command(seen)}; then hagit adds it"
    if DUPLICATE in seen.traits:
        why = f"duplicate address detection found {host(seen.address)} on another machine in the network of {seen.link}"
        remedy = f"let only one machine have it, then: {removal_command(seen)}; hagit adds it again"
        return GateRefusal(Gate.REFUSED, why, remedy)
    if seen.peer:
        why = f"{seen.address} on {seen.link} has the peer {seen.peer}, which hagit did not set"
        return GateRefusal(Gate.FOREIGN, why, way)
    if NO_PREFIX_ROUTE in seen.traits and not is_ipv6(seen.address):
        why = f"{seen.address} on {seen.link} was added without the route to its network (noprefixroute), not by hagit"
        return GateRefusal(Gate.FOREIGN, why, way)
    return None


def _ipv6_off(draft: PlanDraft, link: str | None) -> GateRefusal | None:
    nic = draft.live.nics.get(link) if link is not None else None
    if nic is None or nic.ipv6:
        return None
    assert link is not None
    return GateRefusal(Gate.REFUSED, f"IPv6 is switched off on {link} (disable_ipv6)", switch_on_ipv6(link))


def route_refusal(draft: PlanDraft, route: Route) -> GateRefusal | None:
    """Why a route cannot be made or changed now."""
    live = draft.live
    owner = live.owners.get(route.key)
    if owner is Owner.WATCHDOG:
        return GateRefusal(Gate.VIRTUAL, "the watchdog placed this route", "take the route out of the configuration")
    if owner is Owner.KERNEL:
        return GateRefusal(Gate.FOREIGN, "the kernel has this route itself", "take the route out of the configuration")
    seen = live.facts.get(route.key)
    if isinstance(seen, Route) and seen.traits:
        metric = f" with metric {route.metric}" if route.metric else ""
        why = f"a route to {route.destination}{metric} is there that hagit did not make ({', '.join(seen.traits)})"
        return GateRefusal(
            Gate.FOREIGN, why, f"if no other program needs it: {removal_command(seen)}; then hagit adds its own"
        )
    if route.link is not None and not live.is_up(route.link):
        return GateRefusal(Gate.UNREACHABLE, f"{route.link} is down", f"see {route.link}")
    if is_ipv6(route.destination) and (off := _ipv6_off(draft, route.link)) is not None:
        return off
    return _gateway_refusal(draft, route) if route.gateway is not None else None


def _gateway_refusal(draft: PlanDraft, route: Route) -> GateRefusal | None:
    gateway = route.gateway
    assert gateway is not None
    over = draft.live.link_towards(gateway, route.link)
    if over is not None:
        return _no_neighbour(draft, gateway, over)
    for part in draft.observed.unknown:
        if part.scope[:1] in ((), ("address",), ("power",)):
            why = f"whether {gateway} is reachable is not known: {part.why}"
            return GateRefusal(Gate.UNKNOWN, why, LOOKS_AGAIN)
    by = f" over {route.link}" if route.link is not None else ""
    why = f"no address here makes the gateway {gateway} a neighbour{by}"
    return GateRefusal(Gate.UNREACHABLE, why, "give an interface an address in the subnet of the gateway")


def _no_neighbour(draft: PlanDraft, gateway: str, link: str) -> GateRefusal | None:
    """A gateway that no other machine can be: the broadcast address of a network, or an IPv6 address of this link."""
    for fact in draft.live.on(link):
        if not isinstance(fact, Address) or is_ipv6(fact.address) != is_ipv6(gateway):
            continue
        if is_ipv6(gateway):
            if host(fact.address) == gateway:
                why = f"the gateway {gateway} is this controller's own address on {link}"
                return GateRefusal(Gate.UNREACHABLE, why, "write the address of the router")
            continue
        address = ip_interface(fact.address)
        assert isinstance(address, IPv4Interface)
        if address.network.prefixlen < 31 and str(address.network.broadcast_address) == gateway:
            why = f"the gateway {gateway} is the broadcast address of {address.network} on {link}"
            return GateRefusal(Gate.UNREACHABLE, why, "write the address of the router")
    return None
