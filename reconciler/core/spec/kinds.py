"""The kinds Pair, Route, Source and Alerting, and the register of all kinds.

Decides the shape of one resource by itself. What resources mean to one another is `lint`'s.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from reconciler.core.facts.settings import Applying, Signing
from reconciler.core.facts.state import DriftMode
from reconciler.core.spec.dataset import Dataset
from reconciler.core.spec.failover import Failover
from reconciler.core.spec.interface import Interface, Loose
from reconciler.core.spec.limits import LIST_MAX, NAMESERVERS_MAX, SEARCH_DOMAINS_MAX
from reconciler.core.spec.model import Document, Model, example
from reconciler.core.spec.pool import Pool
from reconciler.core.spec.values import (
    Branch,
    Duration,
    HostAddress,
    HostName,
    IPAddress,
    Name,
    NameServer,
    Network,
    Principal,
    Remote,
    ResourceName,
    SecretFile,
    Serial,
    Url,
    refuse,
)

#: Metric of a route that gives none. Below what DHCP clients use (NetworkManager from 100, systemd-networkd 1024), so
#: that the written route wins, and not 0, which IPv6 does not have (the kernel makes it 1024).
METRIC_DEFAULT: Final = 20


class PairHalf(Model):
    """One controller."""

    hostname: HostName = Field(description="The name of this controller, in the kernel and in /etc/hostname.")
    serial: Serial | None = Field(
        None,
        description="The serial number of this controller's hardware: failover is switched on on no other machine.",
    )


class PairSpec(Model):
    """The two controllers and what they share. There is exactly one Pair in a repository."""

    a: PairHalf | None = Field(None, description="Controller a.")
    b: PairHalf | None = Field(None, description="Controller b. A lone controller is possible, and warned about.")
    virtual_hostname: HostName | None = Field(
        None, description="The name under which clients find whichever controller is active."
    )
    domain: HostName | None = Field(
        None, description="The DNS domain of the controllers; the search domain unless `search` says otherwise."
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


class Hop(Model):
    """Where packets of a route go next."""

    gateway: HostAddress | None = Field(None, description="The router that packets are handed to.")
    interface: Name | None = Field(
        None,
        description="The interface the packets leave by, by name. Found from the gateway when not given; needed when "
        "there is no gateway, or when it is a link-local address.",
    )
    metric: int | None = Field(
        None,
        ge=0,
        le=0xFFFFFFFF,
        description="Of two routes to one destination the one with the lower metric is used. "
        f"A route that gives none has {METRIC_DEFAULT}.",
        examples=[100],
    )


class RouteHalf(Hop):
    """What differs for one controller; the rest is taken from the route itself."""


class RouteSpec(Hop):
    """A way to a network. With only one of `a` and `b`, the route is on that controller only."""

    destination: Network = Field(description="The network that is reached, with its prefix; 0.0.0.0/0 is everything.")
    a: RouteHalf | None = Field(None, description="What differs for controller a.")
    b: RouteHalf | None = Field(None, description="What differs for controller b.")

    def half(self, controller: str) -> RouteHalf | None:
        """What is said for one controller only."""
        return self.a if controller == "a" else self.b

    def on(self, controller: str) -> bool:
        """True when this route exists on this controller."""
        return self.half(controller) is not None or (self.a is None and self.b is None)


def _interval(seconds: float) -> float:
    if not 1 <= seconds <= 86_400:
        raise refuse("duration", "the interval is between 1s and 24h", "60s is a good choice.")
    return seconds


class SourceSpec(Model):
    """Where the desired state comes from and which commits count. There is at most one Source."""

    remotes: list[Remote] = Field(
        min_length=1,
        max_length=16,
        description="The repositories in the order in which they are tried: ssh, https or an absolute path on the "
        "controller. Credentials are never part of them.",
    )
    branch: Branch = Field("main", description="The branch to follow, fast-forward only.")
    interval: Annotated[Duration, AfterValidator(_interval)] = Field(
        60.0,
        validate_default=False,
        description="How often to look for new commits, 1s to 24h; some jitter is added. A push or a change of a local "
        "repository is seen at once.",
        json_schema_extra={"default": "60s"},
    )
    trusted_signers: list[Principal] = Field(
        default_factory=list,
        max_length=LIST_MAX,
        description="Whose signatures count: SSH signers by their principals in the controller's own file of allowed "
        "signers, OpenPGP signers by the whole fingerprint of their primary key (gpg --fingerprint; without spaces), "
        "because anyone can write a user id into a key. The keys stand in files outside the repository, so that a "
        "commit cannot vouch for itself.",
    )
    unsigned: Annotated[Signing, Loose] = Field(
        Signing.REFUSE, description="What to do with a commit that nobody trusted has signed."
    )
    apply: Annotated[Applying, Loose] = Field(
        Applying.AUTOMATIC, description="Whether new commits are applied by themselves or wait for `hagit apply`."
    )


class Webhook(Model):
    """A receiver of signed CloudEvents."""

    url: Url | None = Field(None, description="Where alerts are posted to.")
    url_file: SecretFile | None = Field(
        None,
        description="Instead of `url`, when that holds a token: a file on the controller, outside git, that holds it.",
    )
    secret_file: SecretFile | None = Field(
        None, description="A file on the controller, outside git, with the secret that signs each event (HMAC-SHA-256)."
    )

    @model_validator(mode="after")
    def _either(self) -> Webhook:
        if (self.url is None) == (self.url_file is None):
            raise refuse("url-or-url-file", "a webhook has either `url` or `urlFile`", "Keep one of the two.")
        return self


class Notify(Model):
    """Mail or chat."""

    url_file: SecretFile = Field(
        description="A file on the controller, outside git, with one Apprise URL a line; such URLs hold secrets."
    )


class Drift(Model):
    """What happens when reality leaves the desired state by itself."""

    default: Annotated[DriftMode, Loose] = Field(DriftMode.WARN, description="For whatever is not listed.")
    kinds: dict[str, Annotated[DriftMode, Loose]] = Field(
        default_factory=dict,
        description="By kind: `Interface: heal`.",
        examples=[{"Interface": "heal"}],
        json_schema_extra={
            "propertyNames": {
                "enum": ["Pair", "Interface", "Route", "Source", "Alerting", "Failover", "Pool", "Dataset"]
            }
        },
    )
    resources: dict[ResourceName, Annotated[DriftMode, Loose]] = Field(
        default_factory=dict,
        description="By resource, which goes before the kind: `Interface/storage0: ignore`.",
        examples=[{"Interface/storage0": "ignore"}],
    )


class AlertingSpec(Model):
    """Who is told, and when drift is only reported, healed or ignored. There is at most one Alerting."""

    alertmanager: list[Url] = Field(
        default_factory=list, max_length=16, description="Alertmanagers of Prometheus; each is told everything."
    )
    webhooks: list[Webhook] = Field(
        default_factory=list, max_length=16, description="Receivers of signed CloudEvents over HTTP."
    )
    notify: list[Notify] = Field(default_factory=list, max_length=16, description="Mail and chat, by Apprise.")
    drift: Drift = Field(
        default_factory=lambda: Drift.model_validate({}),
        description="ignore, warn or heal: when reality leaves the desired state by itself.",
    )


class Pair(Document):
    """The two controllers: names, resolver, default gateway."""

    model_config = example(
        "Pair",
        "shelf1",
        a={"hostname": "shelf1-a"},
        b={"hostname": "shelf1-b"},
        dns=["10.0.0.2"],
        gateway="10.0.0.1",
    )

    kind: Literal["Pair"] = Field(description="Always `Pair`.")
    spec: PairSpec = Field(description="The two controllers and what they share.")


class Route(Document):
    """A static route."""

    model_config = example("Route", "backup-site", destination="10.90.0.0/16", gateway="10.0.0.9")

    kind: Literal["Route"] = Field(description="Always `Route`.")
    spec: RouteSpec = Field(description="Where the route leads.")


class Source(Document):
    """Where the desired state comes from and which commits count."""

    model_config = example(
        "Source",
        "source",
        remotes=["ssh://git@git.example.org/storage/shelf1.git"],
        branch="main",
        trustedSigners=["storage-admins@example.org"],
    )

    kind: Literal["Source"] = Field(description="Always `Source`.")
    spec: SourceSpec = Field(description="Repositories, branch and signatures.")


class Alerting(Document):
    """Who is told about drift and trouble, and what is done about drift."""

    model_config = example(
        "Alerting",
        "alerts",
        alertmanager=["http://alerts.example.org:9093"],
        drift={"default": "warn", "kinds": {"Interface": "heal"}},
    )

    kind: Literal["Alerting"] = Field(description="Always `Alerting`.")
    spec: AlertingSpec = Field(description="Receivers and the drift policy.")


Spec: TypeAlias = PairSpec | RouteSpec | SourceSpec | AlertingSpec
KINDS: Final[dict[str, type[Document]]] = {
    "Pair": Pair,
    "Interface": Interface,
    "Route": Route,
    "Source": Source,
    "Alerting": Alerting,
    "Failover": Failover,
    "Pool": Pool,
    "Dataset": Dataset,
}
