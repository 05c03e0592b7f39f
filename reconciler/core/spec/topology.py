"""What the resources come to on one controller: which interfaces exist there, in which networks, with which routes.

Decides how halves and defaults are taken together and which interface a gateway is reached by. `lint` judges this
picture and `compiler` turns it into facts, so that both see the same one. Works on drafts with defects too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_network
from typing import Any, TypeAlias

from reconciler.core.facts.fact import LinkKind
from reconciler.core.spec.configuration import CONTROLLERS, Resource, Resources, by_kind
from reconciler.core.spec.interface import InterfaceSpec
from reconciler.core.spec.pair import PairSpec
from reconciler.core.spec.route import METRIC_DEFAULT, RouteSpec
from reconciler.core.spec.tree import Path
from reconciler.core.spec.values import IPAddress, IPInterface, IPNetwork

Placed: TypeAlias = tuple[Path, IPInterface]


@dataclass(frozen=True, slots=True)
class ResolvedInterface:
    """An interface as one controller has it. Paths of addresses begin at the spec."""

    resource: Resource[InterfaceSpec]
    addresses: tuple[Placed, ...]
    virtual: tuple[Placed, ...]

    @property
    def name(self) -> str:
        """The name of the resource."""
        return self.resource.name

    @property
    def spec(self) -> InterfaceSpec:
        """What is written."""
        return self.resource.spec


@dataclass(frozen=True, slots=True)
class ResolvedRoute:
    """A route as one controller has it. `interface` is what is written; `path` is where the route is asked for."""

    resource: Resource[Any]
    path: Path
    destination: str
    version: int
    gateway: IPAddress | None
    gateway_path: Path
    interface: str | None
    interface_path: Path
    metric: int


class Subnets:
    """Finds the interfaces in whose networks an address lies, in time that does not grow with their number."""

    def __init__(self, faces: Iterable[ResolvedInterface], ways: Iterable[ResolvedRoute] = ()) -> None:
        self._by_prefix: dict[tuple[int, int], dict[int, list[str]]] = {}
        for face in faces:
            for _, address in face.addresses:
                self._add(address.network, face.name)
        for name, network in on_link(ways):
            self._add(network, name)
        self._longest_first = sorted(self._by_prefix.items(), key=lambda item: -item[0][1])

    def _add(self, network: IPNetwork, interface: str) -> None:
        networks = self._by_prefix.setdefault((network.version, network.prefixlen), {})
        names = networks.setdefault(int(network.network_address), [])
        if interface not in names[-2:]:
            names.append(interface)

    def of(self, ip: IPAddress) -> list[str]:
        """The interfaces with the longest matching prefix: none, one, or several that share a network."""
        for (version, length), networks in self._longest_first:
            if version == ip.version:
                host_bits = ip.max_prefixlen - length
                names = networks.get(int(ip) >> host_bits << host_bits)
                if names:
                    return names
        return []


def on_link(ways: Iterable[ResolvedRoute]) -> Iterator[tuple[str, IPNetwork]]:
    """Networks whose hosts are neighbours by a route without a gateway, each with its interface (ip-route(8)).

    A gateway behind a /32 is reached so: a route to the gateway itself by the interface, then the route by the gateway.
    """
    for way in ways:
        network = ip_network(way.destination)
        if way.gateway is None and way.interface is not None and network.prefixlen:
            yield way.interface, network


@dataclass(frozen=True)
class ControllerTopology:
    """One controller."""

    controller: str
    faces: Mapping[str, ResolvedInterface]
    ways: Sequence[ResolvedRoute]

    @cached_property
    def subnets(self) -> Subnets:
        """The networks of the static addresses and of routes without a gateway."""
        return Subnets(self.faces.values(), self.ways)

    def leaves_by(self, way: ResolvedRoute) -> str | None:
        """The interface that packets on this way leave by, or None when that is not certain."""
        if way.interface is not None:
            return way.interface
        names = self.subnets.of(way.gateway) if way.gateway is not None else []
        return names[0] if len(names) == 1 else None


@dataclass(frozen=True)
class SpecDraft(Resources):
    """Everything that could be read, defects included.

    `resources`: all of them, also the second of two with one name. `incomplete`: something could not be read, so a
    resource that is not here may exist.
    """

    resources: Sequence[Resource[Any]] = ()
    incomplete: bool = False

    @staticmethod
    def made_of(resources: Sequence[Resource[Any]], *, incomplete: bool = False) -> SpecDraft:
        """The draft of these resources."""
        return SpecDraft(by_kind(resources), resources, incomplete)

    @property
    def pair(self) -> Resource[PairSpec] | None:
        """The first Pair."""
        return self._first("Pair")

    @cached_property
    def sides(self) -> Mapping[str, ControllerTopology]:
        """The controllers that the Pair describes; both when there is no Pair."""
        pair = self.pair
        described = [name for name in CONTROLLERS if pair is None or pair.spec.half(name) is not None]
        return {name: side(name, pair, self.interfaces.values(), self.routes.values()) for name in described}


def side(
    controller: str,
    pair: Resource[PairSpec] | None,
    interfaces: Iterable[Resource[InterfaceSpec]],
    routes: Iterable[Resource[RouteSpec]],
) -> ControllerTopology:
    """What the resources come to on one controller."""
    faces = {resource.name: _face(resource, controller) for resource in interfaces if resource.spec.on(controller)}
    ways = _default_ways(pair) if pair is not None else []
    ways += [_way(resource, controller) for resource in routes if resource.spec.on(controller)]
    return ControllerTopology(controller, faces, ways)


def _face(resource: Resource[InterfaceSpec], controller: str) -> ResolvedInterface:
    half = resource.spec.half(controller)
    virtual = resource.spec.virtual
    return ResolvedInterface(
        resource,
        tuple(((controller, *path), address) for path, address in half.all()) if half else (),
        tuple((("virtual", *path), address) for path, address in virtual.all()) if virtual else (),
    )


def _default_ways(pair: Resource[PairSpec]) -> list[ResolvedRoute]:
    return [
        ResolvedRoute(
            resource=pair,
            path=path,
            destination="0.0.0.0/0" if gateway.version == 4 else "::/0",
            version=gateway.version,
            gateway=gateway,
            gateway_path=path,
            interface=None,
            interface_path=path,
            metric=METRIC_DEFAULT,
        )
        for path, gateway in pair.spec.all_gateways()
    ]


def _way(resource: Resource[RouteSpec], controller: str) -> ResolvedRoute:
    spec = resource.spec
    half = spec.half(controller)

    def choose(key: str) -> tuple[Path, Any]:
        inner = getattr(half, key) if half is not None else None
        return ((controller, key), inner) if inner is not None else ((key,), getattr(spec, key))

    gateway_path, gateway = choose("gateway")
    interface_path, interface = choose("interface")
    metric = choose("metric")[1]
    return ResolvedRoute(
        resource=resource,
        path=("destination",),
        destination=str(spec.destination),
        version=spec.destination.version,
        gateway=gateway,
        gateway_path=gateway_path,
        interface=interface,
        interface_path=interface_path,
        metric=METRIC_DEFAULT if metric is None else metric,
    )


def is_virtual_kind(face: ResolvedInterface) -> bool:
    """True for the links that hagit makes: bond, VLAN, bridge."""
    return face.spec.kind is not LinkKind.PHYSICAL
