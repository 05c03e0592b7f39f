"""A configuration to the facts that one controller should have, each with the line that asks for it.

Decides which facts a resource stands for:

- every interface of the controller is up; MTU, addresses and membership are facts only where they are written;
- every interface is a `Link`; one of kind PHYSICAL says that the NIC is there, because nobody can make one;
- every interface has an alias (`Mark`) with its name, and with CriticalGroupN or Interlink where it is one. On a link
  that was there before hagit, a plain one counts as satisfied without being written (`facts/difference`);
- a route always names the interface it leaves by, found from the gateway's network when it is not written.

Pools and datasets are `storage`'s. Virtual addresses are no facts here: the watchdog places them. Does not know which
NIC a match finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from reconciler.core.facts.fact import (
    Address,
    BondMode,
    BondOptions,
    Fact,
    Hostname,
    Key,
    LacpRate,
    Link,
    LinkKind,
    Mark,
    Mtu,
    Port,
    Power,
    Resolver,
    Route,
)
from reconciler.core.facts.ownership import mark_text
from reconciler.core.facts.state import Desired, NicMatch, Origin, facts_by_key
from reconciler.core.spec.configuration import Configuration, Resource
from reconciler.core.spec.interface import Bond, InterfaceSpec, Role
from reconciler.core.spec.kinds import PairSpec
from reconciler.core.spec.policies import drift_policy
from reconciler.core.spec.storage import destructions, storage_facts
from reconciler.core.spec.topology import ControllerTopology, ResolvedInterface, side
from reconciler.core.spec.tree import Path
from reconciler.errors import ConfigurationError

Asked: TypeAlias = tuple[Fact, Resource[Any], Path]


def compile_desired(configuration: Configuration, controller: str) -> Desired:
    """What controller "a" or "b" should be. Raises ConfigurationError when the Pair does not describe it."""
    pair = configuration.pair
    if controller not in configuration.controllers:
        what = f"controller {controller} is not described"
        remedy = f"Add {controller}: {{hostname: …}} to the Pair."
        raise ConfigurationError([pair.complaint((), what, remedy, "half-missing")])
    here = side(controller, pair, configuration.interfaces.values(), configuration.routes.values())
    facts: list[Fact] = []
    origins: dict[Key, Origin] = {}
    matches: dict[str, NicMatch] = {}
    match_origins: dict[str, Origin] = {}
    asked = (*_pair_facts(pair, controller), *_interfaces(here), *_routes(here), *storage_facts(configuration))
    for fact, resource, path in asked:
        facts.append(fact)
        origins[fact.key] = resource.origin(*path)
    destroy: dict[Key, bool] = {}
    for key, protected, dataset in destructions(configuration):
        destroy[key] = protected
        origins[key] = dataset.origin("destroy")
    for face in here.faces.values():
        half = face.spec.half(controller)
        if half is not None and half.match is not None:
            matches[face.name] = NicMatch(half.match.mac, half.match.path, half.match.name)
            match_origins[face.name] = face.resource.origin(controller, "match")
    return Desired(
        controller=controller,
        facts=facts_by_key(facts),
        matches=matches,
        match_origins=match_origins,
        origins=origins,
        virtual=frozenset(str(address) for face in here.faces.values() for _, address in face.virtual),
        drift=drift_policy(configuration.alerting),
        destroy=destroy,
        alone=len(configuration.controllers) == 1,
    )


def _pair_facts(pair: Resource[PairSpec], controller: str) -> Iterator[Asked]:
    spec = pair.spec
    half = spec.half(controller)
    assert half is not None
    yield Hostname(half.hostname), pair, (controller, "hostname")
    if spec.dns:
        search = tuple(spec.search) or ((spec.domain,) if spec.domain else ())
        yield Resolver(tuple(spec.dns), search), pair, ("dns",)


def _interfaces(here: ControllerTopology) -> Iterator[Asked]:
    for face in here.faces.values():
        yield from _interface(face)


def _interface(face: ResolvedInterface) -> Iterator[Asked]:
    resource, spec, name = face.resource, face.spec, face.name
    yield _link(name, spec), resource, (str(spec.kind),) if spec.kind is not LinkKind.PHYSICAL else ()
    for index, member in enumerate(spec.members):
        yield Port(member, name), resource, (str(spec.kind), "members", index)
    yield Power(name, up=True), resource, ()
    if spec.mtu is not None:
        yield Mtu(name, spec.mtu), resource, ("mtu",)
    interlink = spec.role is Role.INTERLINK
    group = spec.failover_group if spec.critical else None
    reason: Path = ("failoverGroup",) if group is not None else ("role",) if interlink else ()
    yield Mark(name, mark_text(name, group, interlink)), resource, reason
    for path, address in face.addresses:
        yield Address(name, str(address)), resource, path


def _link(name: str, spec: InterfaceSpec) -> Link:
    if spec.vlan is not None:
        return Link(name, LinkKind.VLAN, parent=spec.vlan.parent, vlan_id=spec.vlan.id)
    if spec.bond is not None:
        return Link(name, LinkKind.BOND, bond=_bond_options(spec.bond))
    if spec.bridge is not None:
        return Link(name, LinkKind.BRIDGE, stp=spec.bridge.stp)
    return Link(name, LinkKind.PHYSICAL)


def _bond_options(bond: Bond) -> BondOptions:
    rate = (bond.lacp_rate or LacpRate.SLOW) if bond.mode is BondMode.LACP else None
    return BondOptions(bond.mode, bond.miimon, bond.hash_policy, rate)


def _routes(here: ControllerTopology) -> Iterator[Asked]:
    for way in here.ways:
        gateway = str(way.gateway) if way.gateway is not None else None
        yield Route(way.destination, gateway, here.leaves_by(way), way.metric), way.resource, way.path
