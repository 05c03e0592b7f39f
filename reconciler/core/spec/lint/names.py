"""Defects of the virtual host name in DNS and mDNS: a name, a zone or an address that is missing.

Decides from the resources alone. Whether the server takes the updates, and whether a key is here, is seen on each
controller.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.facts.virtual_name import MULTICAST_DOMAIN
from reconciler.core.spec.configuration import Resource
from reconciler.core.spec.defect import Finding, defect
from reconciler.core.spec.nearest import suggestion
from reconciler.core.spec.pair import PairSpec
from reconciler.core.spec.topology import SpecDraft
from reconciler.core.spec.tree import Path
from reconciler.core.spec.virtual_name import full_name, zone_of


def _published(draft: SpecDraft) -> Iterator[tuple[Resource[PairSpec], Path]]:
    """The Pair, once for each way in which its name is to be published."""
    if draft.pair is not None:
        if draft.pair.spec.dns_update is not None:
            yield draft.pair, ("dnsUpdate",)
        if draft.pair.spec.mdns:
            yield draft.pair, ("mdns",)


@defect("name-missing")
def name_missing(draft: SpecDraft) -> Iterator[Finding]:
    """The virtual host name is to be published, and there is none, or no domain for DNS."""
    for pair, path in _published(draft):
        if pair.spec.virtual_hostname is None:
            yield pair, path, "there is no virtual host name to publish", "Add virtualHostname: to the Pair."
        elif path == ("dnsUpdate",) and full_name(pair.spec) is None:
            what = f"`{pair.spec.virtual_hostname}` has no domain, so it is no name in DNS"
            yield pair, path, what, "Add domain: to the Pair, or write virtualHostname: with its domain."


@defect("name-zone")
def name_zone(draft: SpecDraft) -> Iterator[Finding]:
    """The zone of the update does not contain the virtual host name, or is one that no server has."""
    update = draft.pair.spec.dns_update if draft.pair is not None else None
    if draft.pair is None or update is None:
        return
    name, zone = full_name(draft.pair.spec), zone_of(draft.pair.spec, update)
    if name is None:
        return
    path: Path = ("dnsUpdate", "zone") if update.zone is not None else ("dnsUpdate",)
    if zone is None:
        parent = name.partition(".")[2]
        yield draft.pair, path, "neither `zone` nor `domain` says which zone is updated", f"Add zone: {parent}."
    elif not f".{name}".endswith(f".{zone}"):
        what = f"the name is {name}, which is not in the zone {zone}"
        yield draft.pair, path, what, "Write the zone that the server has, or another domain."
    elif f".{name}".endswith(f".{MULTICAST_DOMAIN}"):
        what = f"{name} is a name of mDNS (RFC 6762, 3), which clients do not ask a DNS server for"
        yield draft.pair, path, what, "Write mdns: true instead, or another domain."


@defect("name-interface")
def name_interface(draft: SpecDraft) -> Iterator[Finding]:
    """The name is to have the addresses of an interface that is not there, or that has no virtual address."""
    update = draft.pair.spec.dns_update if draft.pair is not None else None
    moving = {name for name, interface in draft.interfaces.items() if interface.spec.virtual is not None}
    for index, name in enumerate(update.interfaces if update is not None else ()):
        path = ("dnsUpdate", "interfaces", index)
        if name in draft.interfaces and name not in moving:
            what = f"`{name}` has no virtual address for the name"
            yield draft.pair, path, what, "Give it virtual: {address: …, vhid: …}, or name another one."
        elif name not in moving and not draft.incomplete:
            yield draft.pair, path, f"there is no Interface `{name}`", suggestion(name, moving)


@defect("name-address")
def name_address(draft: SpecDraft) -> Iterator[Finding]:
    """The virtual host name is to be published, and no interface has a virtual address."""
    if draft.incomplete or any(interface.spec.virtual is not None for interface in draft.interfaces.values()):
        return
    for pair, path in _published(draft):
        what = "the virtual host name would have no address: no interface has a virtual one"
        yield pair, path, what, "Give an Interface virtual: {address: …, vhid: …}."
