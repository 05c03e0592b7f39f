"""Paths: the ways to this controller and from it that a change can cut, and what is asked on each.

Decides which paths a controller has, from its facts, its watchdog's status and its neighbours. A path counts only if it
answered before the change. Does not know how one is probed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final

from reconciler.core.facts.fact import Address, Link, Mark, Mtu, Port, Route
from reconciler.core.facts.neighbour import Neighbour
from reconciler.core.facts.ownership import MARK_WORD
from reconciler.core.facts.state import Facts
from reconciler.core.status.watchdog import WatchdogStatus

#: At most this many neighbours of one link stand for its network, and this many of all links together.
NEIGHBOURS_OF_A_LINK_MAX: Final = 4
NEIGHBOURS_MAX: Final = 64
MTU_DEFAULT: Final = 1500
DEFAULT_ROUTES: Final = ("0.0.0.0/0", "::/0")


class PathKind(StrEnum):
    """GATEWAY: the default gateway of one family. NETWORK: hosts on one link. REMOTE: a git remote, by TCP.

    INTERLINK and CHANNEL: heartbeats of the peer on the interlink, and on another network. PEER: its addresses, by TCP.
    VIRTUAL: a virtual address that this controller serves.
    """

    GATEWAY = "gateway"
    NETWORK = "network"
    REMOTE = "remote"
    INTERLINK = "interlink"
    CHANNEL = "channel"
    PEER = "peer"
    VIRTUAL = "virtual"


@dataclass(frozen=True, slots=True)
class ProbedPath:
    """One path. It answers if one of its `targets` does; after the change, one of `later`.

    Targets: IP addresses (`fe80::1%eth0` for a link-local one) for GATEWAY and NETWORK, `host:port` for REMOTE and
    PEER, the name of a channel or an address for the others. `size`, `later_size`: bytes of the IP packets that are
    sent, 0 for the smallest. `links`: the links that carry it before the change, with those that they rest on.
    """

    kind: PathKind
    name: str
    targets: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    size: int = 0
    later_size: int = 0
    links: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.name

    def after(self) -> ProbedPath:
        """The path as it is asked after the change."""
        return replace(self, targets=self.later, size=self.later_size)


def below(facts: Facts, link: str) -> frozenset[str]:
    """A link and every link that it rests on: the parent of a VLAN, the ports of a bond or bridge."""
    found: set[str] = set()
    waiting = [link]
    ports: dict[str, list[str]] = {}
    for fact in facts.values():
        if isinstance(fact, Port):
            ports.setdefault(fact.master, []).append(fact.link)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        made = facts.get(("link", name))
        if isinstance(made, Link) and made.parent is not None:
            waiting.append(made.parent)
        waiting += ports.get(name, ())
    return frozenset(found)


def network_paths(before: Facts, after: Facts, neighbours: Iterable[Neighbour]) -> Iterator[ProbedPath]:
    """The gateways and the networks of clients; `after` holds the facts that the plan predicts.

    Each is a path for the smallest packet, and one more for the largest that its link carries: a wrong MTU lets the
    first pass and drops the second. For networks it is the smaller of both MTUs, because the hosts may follow later.
    """
    for family in DEFAULT_ROUTES:
        then, now = _gateways(before, family), _gateways(after, family)
        if not then:
            continue
        links = frozenset(name for link, _ in then for name in below(before, link))
        targets, later = _targets(then), _targets(now)
        name = f"gateway {' '.join(gateway for _, gateway in then)}"
        yield ProbedPath(PathKind.GATEWAY, name, targets, later, links=links)
        size, later_size = mtu_of(before, then[0][0]), mtu_of(after, now[0][0]) if now else 0
        yield ProbedPath(PathKind.GATEWAY, f"{name} with full packets", targets, later, size, later_size, links)
    gateways = {gateway for family in DEFAULT_ROUTES for _, gateway in _gateways(before, family)}
    for link, hosts in _by_link(neighbours, gateways).items():
        links = below(before, link)
        name = f"the network on {link} ({', '.join(hosts)})"
        yield ProbedPath(PathKind.NETWORK, name, hosts, hosts, links=links)
        size = min(mtu_of(before, link), mtu_of(after, link))
        yield ProbedPath(PathKind.NETWORK, f"{name} with full packets", hosts, hosts, size, size, links)


def pair_paths(before: Facts, status: WatchdogStatus | None, virtual: Collection[str]) -> Iterator[ProbedPath]:
    """The heartbeats of the peer on each network, and the virtual addresses that are served here.

    `virtual`: those of the new revision. One that it drops need not answer after the change.
    """
    if status is None:
        return
    carriers = dict(_resources(before))
    for channel in status.channels:
        interlink = channel.kind == "interlink"
        kind = PathKind.INTERLINK if interlink else PathKind.CHANNEL
        name = f"the peer on {channel.name}{' (interlink)' if interlink else ''}"
        links = below(before, carriers.get(channel.name, channel.name))
        yield ProbedPath(kind, name, (channel.name,), (channel.name,), links=links)
    kept = {address.partition("/")[0] for address in virtual}
    at: dict[str, str] = {
        fact.address.partition("/")[0]: fact.link for fact in before.values() if isinstance(fact, Address)
    }
    for served in status.addresses:
        host = served.address.partition("/")[0]
        if served.wanted and host in kept:
            links = below(before, at.get(host, served.interface))
            yield ProbedPath(PathKind.VIRTUAL, f"virtual address {host}", (host,), (host,), links=links)


def remote_paths(places: Mapping[str, str | None], before: Facts) -> Iterator[ProbedPath]:
    """The git remotes. `places`: `host:port`, and the link that packets to it leave by; None where that is unknown."""
    for place, link in sorted(places.items()):
        links = below(before, link) if link is not None else frozenset()
        yield ProbedPath(PathKind.REMOTE, f"git remote {place}", (place,), (place,), links=links)


def mtu_of(facts: Facts, link: str) -> int:
    """The MTU of a link; that of Ethernet where no fact says it."""
    mtu = facts.get(("mtu", link))
    return mtu.size if isinstance(mtu, Mtu) else MTU_DEFAULT


def path_document(path: ProbedPath) -> dict[str, Any]:
    """The JSON form of a path."""
    return {**asdict(path), "kind": path.kind.value, "links": sorted(path.links)}


def path_from_document(document: Mapping[str, Any]) -> ProbedPath | None:
    """The path in a document; None for a kind that a newer hagit made. Raises KeyError, TypeError or ValueError."""
    if document["kind"] not in set(PathKind):
        return None
    return ProbedPath(
        PathKind(document["kind"]),
        str(document["name"]),
        tuple(map(str, document["targets"])),
        tuple(map(str, document["later"])),
        int(document.get("size", 0)),
        int(document.get("later_size", 0)),
        frozenset(map(str, document.get("links", ()))),
    )


def _resources(facts: Facts) -> Iterator[tuple[str, str]]:
    """The name of each resource that a mark names, and the link that carries it."""
    for fact in facts.values():
        if isinstance(fact, Mark):
            words = fact.text.split(" ")
            if words[0] == MARK_WORD and len(words) > 1:
                yield words[1], fact.link


def _gateways(facts: Facts, destination: str) -> list[tuple[str, str]]:
    """Link and gateway of the best default routes of a family."""
    found = [
        fact
        for fact in facts.values()
        if isinstance(fact, Route) and fact.destination == destination and fact.gateway and fact.link
    ]
    best = min((route.metric for route in found), default=0)
    return [(route.link or "", route.gateway or "") for route in found if route.metric == best]


def _targets(gateways: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(
        f"{gateway}%{link}" if ipaddress.ip_address(gateway).is_link_local else gateway for link, gateway in gateways
    )


def _by_link(neighbours: Iterable[Neighbour], but: set[str]) -> dict[str, tuple[str, ...]]:
    """The neighbours that stand for each network: those first that answered lately. Link-local ones do not count."""
    found: dict[str, list[str]] = {}
    total = 0
    for neighbour in sorted(neighbours, key=lambda one: (not one.sure, one.link, one.address)):
        hosts = found.setdefault(neighbour.link, [])
        if neighbour.address in but or ipaddress.ip_address(neighbour.address).is_link_local:
            continue
        if len(hosts) < NEIGHBOURS_OF_A_LINK_MAX and total < NEIGHBOURS_MAX:
            hosts.append(neighbour.address)
            total += 1
    return {link: tuple(hosts) for link, hosts in found.items() if hosts}
