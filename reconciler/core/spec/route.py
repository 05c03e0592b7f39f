"""The kind Route: a static route of both controllers or of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from reconciler.core.facts.fact import Route
from reconciler.core.facts.scope import Scope
from reconciler.core.spec.model import Document, Model, example
from reconciler.core.spec.resource_kind import Asked, ResourceKind
from reconciler.core.spec.values import HostAddress, Name, Network

if TYPE_CHECKING:
    from reconciler.core.spec.configuration import Configuration
    from reconciler.core.spec.topology import ControllerTopology

#: Metric of a route that gives none. Below what DHCP clients use (NetworkManager from 100, systemd-networkd 1024), so
#: that the written route wins, and not 0, which IPv6 does not have (the kernel makes it 1024).
METRIC_DEFAULT: Final = 20


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


class RouteDocument(Document):
    """A static route."""

    model_config = example("Route", "backup-site", destination="10.90.0.0/16", gateway="10.0.0.9")

    kind: Literal["Route"] = Field(description="Always `Route`.")
    spec: RouteSpec = Field(description="Where the route leads.")


def route_facts(configuration: Configuration, here: ControllerTopology) -> Iterator[Asked]:
    """Each route with the interface that it leaves by, and the default routes that the Pair asks for."""
    for way in here.ways:
        gateway = str(way.gateway) if way.gateway is not None else None
        yield Route(way.destination, gateway, here.leaves_by(way), way.metric), way.resource, way.path


ROUTE = ResourceKind("Route", RouteDocument, RouteSpec, Scope.NETWORK, facts=route_facts)
