"""The kind Pair: the two controllers, their names, the resolver and the default gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from reconciler.core.facts.host_setting import Hostname, Resolver
from reconciler.core.facts.scope import Scope
from reconciler.core.facts.settings import Confirmation
from reconciler.core.spec.interface import Loose
from reconciler.core.spec.limits import NAMESERVERS_MAX, SEARCH_DOMAINS_MAX, SHARED_MAX
from reconciler.core.spec.model import Document, Model, example
from reconciler.core.spec.resource_kind import Asked, ResourceKind
from reconciler.core.spec.route import METRIC_DEFAULT
from reconciler.core.spec.values import (
    Duration,
    Folder,
    HostAddress,
    HostName,
    IPAddress,
    Name,
    NameServer,
    Serial,
    refuse,
)
from reconciler.core.spec.virtual_name import DnsUpdateSpec

if TYPE_CHECKING:
    from reconciler.core.spec.configuration import Configuration
    from reconciler.core.spec.topology import ControllerTopology


class PairHalf(Model):
    """One controller."""

    hostname: HostName = Field(description="The name of this controller, in the kernel and in /etc/hostname.")
    serial: Serial | None = Field(
        None,
        description="The serial number of this controller's hardware: failover is switched on on no other machine.",
    )


def _confirm_timeout(seconds: float) -> float:
    if not 2 <= seconds <= 3_600:
        raise refuse("duration", "the time to confirm a change is between 2s and 1h", "60s is a good choice.")
    return seconds


class PairChanges(Model):
    """What happens to a change that could cut a controller off."""

    confirm: Annotated[Confirmation, Loose] = Field(
        Confirmation.AUTO,
        description="What keeps such a change. `auto`: everything that answered before the change answers after it, "
        "or `hagit confirm`; `manual`: `hagit confirm` alone; `never`: no change is taken back by itself.",
    )
    timeout: Annotated[Duration, AfterValidator(_confirm_timeout)] = Field(
        60.0,
        validate_default=False,
        json_schema_extra={"default": "60s", "examples": ["60s"]},
        description="How long a change waits for that, 2s to 1h. Then the controller goes back to what was.",
    )


class PairSpec(Model):
    """The two controllers and what they share. There is exactly one Pair in a repository."""

    a: PairHalf | None = Field(None, description="Controller a.")
    b: PairHalf | None = Field(None, description="Controller b. A lone controller is possible, and warned about.")
    virtual_hostname: HostName | None = Field(
        None,
        description="The name under which clients find whichever controller is active. NFS clients take it for the "
        "server itself: exports need it, and it stays the same while clients mount.",
    )
    domain: HostName | None = Field(
        None, description="The DNS domain of the controllers; the search domain unless `search` says otherwise."
    )
    dns_update: DnsUpdateSpec | None = Field(
        None, description="The virtual host name in DNS: the active controller writes its address records."
    )
    mdns: bool = Field(
        False,
        description="Whether the active controller announces the virtual host name by mDNS (RFC 6762), as "
        "virtualHostname.local. Needs avahi-daemon on both controllers.",
    )
    search: list[HostName] = Field(
        default_factory=list,
        max_length=SEARCH_DOMAINS_MAX,
        description="Search domains of the resolver in their order, when `domain` alone is not enough.",
    )
    dns: list[NameServer] = Field(
        default_factory=list,
        max_length=NAMESERVERS_MAX,
        description="Name servers in their order. Without any, the resolver is left alone. A link-local one names its "
        "link: fe80::1%eth0.",
    )
    gateway: HostAddress | None = Field(
        None, description=f"The default gateway, IPv4 or IPv6. Makes a default route with metric {METRIC_DEFAULT}."
    )
    gateways: list[HostAddress] = Field(
        default_factory=list,
        max_length=2,
        description="The default gateways when there is one for IPv4 and one for IPv6. Instead of `gateway`.",
    )
    changes: PairChanges = Field(
        default_factory=lambda: PairChanges.model_validate({}),
        description="What happens to a change that could cut a controller off. The revision in force decides.",
    )

    shared: list[Folder] = Field(
        default_factory=list,
        max_length=SHARED_MAX,
        description="Folders of the repository whose documents belong to this pair as well, from the root of the "
        "repository. Only in a repository of many pairs, where the node file names the folder of each.",
    )
    site: Name | None = Field(
        None,
        description="Where the pair stands. Pairs of different sites have no network in common, so `hagit validate "
        "--all` lets them use the same addresses. It has no other effect.",
    )

    @model_validator(mode="after")
    def _either(self) -> PairSpec:
        if self.gateway is not None and self.gateways:
            raise refuse("gateway-or-gateways", "`gateway` and `gateways` are both given", "Put both in `gateways`.")
        if self.a is None and self.b is None:
            raise refuse("pair-empty", "the Pair has no controller", "Add a: {hostname: …} and b: {hostname: …}.")
        return self

    def half(self, controller: str) -> PairHalf | None:
        """What is said about one controller."""
        return self.a if controller == "a" else self.b

    def all_gateways(self) -> list[tuple[tuple[str | int, ...], IPAddress]]:
        """Every default gateway with its path inside the spec."""
        if self.gateway is not None:
            return [(("gateway",), self.gateway)]
        return [(("gateways", index), gateway) for index, gateway in enumerate(self.gateways)]


class PairDocument(Document):
    """The two controllers: names, resolver, default gateway."""

    model_config = example(
        "Pair",
        "shelf1",
        virtualHostname="shelf1",
        a={"hostname": "shelf1-a"},
        b={"hostname": "shelf1-b"},
        dns=["10.0.0.2"],
        gateway="10.0.0.1",
    )

    kind: Literal["Pair"] = Field(description="Always `Pair`.")
    spec: PairSpec = Field(description="The two controllers and what they share.")


def pair_facts(configuration: Configuration, here: ControllerTopology) -> Iterator[Asked]:
    """The host name of one controller, and its resolver when the Pair names servers."""
    pair, spec = configuration.pair, configuration.pair.spec
    half = spec.half(here.controller)
    assert half is not None
    yield Hostname(half.hostname), pair, (here.controller, "hostname")
    if spec.dns:
        search = tuple(spec.search) or ((spec.domain,) if spec.domain else ())
        yield Resolver(tuple(spec.dns), search), pair, ("dns",)


PAIR = ResourceKind(
    "Pair",
    PairDocument,
    PairSpec,
    Scope.FAILOVER,
    single=True,
    facts=pair_facts,
    field_scopes=dict.fromkeys(
        ("virtualHostname", "domain", "dnsUpdate", "mdns", "search", "dns", "gateway", "gateways"), Scope.NETWORK
    )
    | dict.fromkeys(("shared", "site"), Scope.SOURCE),
    unwritten={"mdns": False},
)
