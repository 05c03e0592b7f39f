"""The name by which clients find the active controller: its records in DNS, and its announcement by mDNS.

Plain values of the agent's settings. Both controllers have the same ones, so a failover changes no record. Does not
know how names are written in YAML, nor how they are published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

#: The domain name of a TSIG key (RFC 8945, 4.2): labels of letters, digits, `_` and `-`.
KEY_NAME: Final = r"(?=.{1,255}$)[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*"
#: RFC 6762, 3: the domain of names that are announced by mDNS.
MULTICAST_DOMAIN: Final = "local"


@dataclass(frozen=True, slots=True)
class DnsUpdate:
    """The records of the virtual host name, and the server that is told (RFC 2136).

    `name`, `zone`: absolute domain names in lower case, without the last dot. `server`: an IP address. `key`: the name
    of a TSIG key. `ttl_s`: time to live in seconds. `addresses`: without prefixes; IPv4 ones become A records, IPv6
    ones AAAA records.
    """

    server: str
    zone: str
    name: str
    key: str
    addresses: tuple[str, ...]
    ttl_s: int = 300
    port: int = 53

    def records(self) -> Mapping[str, tuple[str, ...]]:
        """The addresses by type, `A` and `AAAA`; a type without addresses has no record."""
        by_version: dict[int, list[str]] = {4: [], 6: []}
        for address in self.addresses:
            by_version[ip_address(address).version].append(address)
        return {"A": tuple(by_version[4]), "AAAA": tuple(by_version[6])}


@dataclass(frozen=True, slots=True)
class MulticastName:
    """A name in the domain `local`, and the addresses that it has, each on its own link (RFC 6762)."""

    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VirtualName:
    """How the virtual host name is published; None for a way that is not wanted."""

    dns: DnsUpdate | None = None
    mdns: MulticastName | None = None


def virtual_name_from_document(document: Mapping[str, Any] | None) -> VirtualName:
    """The value whose `dataclasses.asdict` went through JSON. None: an older release wrote the settings."""
    found = document or {}
    dns, mdns = found.get("dns"), found.get("mdns")
    return VirtualName(
        None if dns is None else DnsUpdate(**{**dns, "addresses": tuple(dns["addresses"])}),
        None if mdns is None else MulticastName(mdns["name"], tuple(mdns["addresses"])),
    )


def name_changes(before: VirtualName, after: VirtualName) -> Iterator[str]:
    """What becomes of the published names, one sentence for each change."""
    if before.dns != after.dns:
        if before.dns is not None and (after.dns is None or _place(before.dns) != _place(after.dns)):
            yield (
                f"{before.dns.name}: hagit writes this name at {before.dns.server} no more; its records stay there "
                "until you remove them with nsupdate(1)"
            )
        if after.dns is not None:
            records = ", ".join(f"{kind} {one}" for kind, ones in after.dns.records().items() for one in ones)
            yield (
                f"{after.dns.name}: the active controller writes {records} with a TTL of {after.dns.ttl_s} s to "
                f"{after.dns.server}, zone {after.dns.zone}, signed with the key {after.dns.key}; it replaces any "
                "other A and AAAA record of this name"
            )
    if before.mdns != after.mdns:
        if before.mdns is not None and (after.mdns is None or before.mdns.name != after.mdns.name):
            yield f"{before.mdns.name}: no controller announces this name by mDNS any more"
        if after.mdns is not None:
            addresses = ", ".join(after.mdns.addresses)
            yield f"{after.mdns.name}: the active controller announces {addresses} by mDNS, each on its own link"


def _place(update: DnsUpdate) -> tuple[str, str, str]:
    return update.server, update.zone, update.name
