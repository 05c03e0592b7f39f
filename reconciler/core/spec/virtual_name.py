"""The virtual host name in DNS and mDNS: how a Pair asks for it, and what that comes to.

Decides the shape of `dnsUpdate`, and how the names are made of host name and domain. What they mean together with
interfaces is `lint/names`'. The secret of a key has no place here: only its name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, PlainValidator

from reconciler.core.facts.virtual_name import KEY_NAME, MULTICAST_DOMAIN, DnsUpdate, MulticastName, VirtualName
from reconciler.core.spec.limits import LIST_MAX
from reconciler.core.spec.model import Model
from reconciler.core.spec.nfs import seconds_field, whole_seconds
from reconciler.core.spec.values import Duration, HostAddress, HostName, Name, pattern_schema, refuse

if TYPE_CHECKING:
    from reconciler.core.spec.configuration import Configuration
    from reconciler.core.spec.pair import PairSpec

#: Below, each client asks the server all the time; above, a changed address is found a day late (RFC 1912, 2.2).
TTL_S: Final = (5, 86_400)
TTL_DEFAULT_S: Final = 300


def _key_name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(KEY_NAME, value):
        remedy = (
            'Write the name that the DNS server knows the key by, and NAME = "FILE" in [tsig] of both node files. A '
            "secret that stood here is known now: make a new key."
        )
        # The value itself stays out of the message: it may be a secret.
        raise refuse("tsig-key", "this is no name of a TSIG key: letters, digits, _, - and dots", remedy)
    return value


TsigKeyName = Annotated[str, PlainValidator(_key_name), pattern_schema(KEY_NAME, "shelf1-update")]


class DnsUpdateSpec(Model):
    """Address records of the virtual host name in DNS. The active controller writes them (RFC 2136)."""

    server: HostAddress = Field(description="The primary name server of the zone, by its address.")
    port: int = Field(53, ge=1, le=65_535, description="Its port, for UDP and TCP.")
    zone: HostName | None = Field(
        None,
        description="The zone as the server has it. Without it, the `domain` of the Pair.",
        examples=["example.org"],
    )
    ttl: Annotated[Duration, whole_seconds(*TTL_S, "dns-ttl")] = seconds_field(
        TTL_DEFAULT_S, "How long other servers may remember a record. A failover does not change the records."
    )
    key: TsigKeyName = Field(
        description="The name of the TSIG key (RFC 8945) that signs queries and updates. [tsig] of each node file says "
        "which file holds it and which servers it is for; the key itself never stands in git."
    )
    interfaces: list[Name] = Field(
        default_factory=list,
        max_length=LIST_MAX,
        description="The interfaces whose virtual addresses the name has, by name. Without it, every interface with a "
        "virtual address.",
    )


def full_name(spec: PairSpec) -> str | None:
    """The virtual host name with its domain, in lower case; None if one of the two is missing."""
    host, domain = spec.virtual_hostname, spec.domain
    if host is None or (domain is None and "." not in host):
        return None
    whole = host if domain is None or f".{host}".lower().endswith(f".{domain}".lower()) else f"{host}.{domain}"
    return whole.lower()


def zone_of(spec: PairSpec, update: DnsUpdateSpec) -> str | None:
    """The zone of the update in lower case; None if neither zone nor domain is written."""
    zone = update.zone or spec.domain
    return zone.lower() if zone is not None else None


def virtual_addresses(names: list[str], configuration: Configuration) -> tuple[str, ...]:
    """The virtual addresses of these interfaces, or of all when no name is given, without prefixes."""
    return tuple(
        str(address.ip)
        for interface in configuration.interfaces.values()
        if interface.spec.virtual is not None and (not names or interface.name in names)
        for _, address in interface.spec.virtual.all()
    )


def virtual_name_of(configuration: Configuration) -> VirtualName:
    """How the virtual host name of a configuration without defects is published."""
    spec = configuration.pair.spec
    name, update, dns, mdns = full_name(spec), spec.dns_update, None, None
    if update is not None:
        zone = zone_of(spec, update)
        assert name is not None and zone is not None
        addresses = virtual_addresses(update.interfaces, configuration)
        dns = DnsUpdate(str(update.server), zone, name, update.key, addresses, int(update.ttl), update.port)
    if spec.mdns and spec.virtual_hostname is not None:
        label = spec.virtual_hostname.partition(".")[0].lower()
        mdns = MulticastName(f"{label}.{MULTICAST_DOMAIN}", virtual_addresses([], configuration))
    return VirtualName(dns, mdns)
