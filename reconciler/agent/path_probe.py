"""Asks the paths of this controller: gateways and hosts by ARP, neighbour discovery and echo, the git
remotes and the peer by TCP, and the peer by its heartbeats.

All paths are asked at once, within one deadline. Heartbeats and virtual addresses are read from the watchdog's status:
what it said before the change does not count after it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from reconciler.core.confirmation.paths import (
    PathKind,
    ProbedPath,
    below,
    network_paths,
    pair_paths,
    remote_paths,
)
from reconciler.core.facts.neighbour import Neighbour
from reconciler.core.facts.state import Facts
from reconciler.core.status.watchdog import WatchdogStatus
from reconciler.errors import HagitError
from reconciler.system.clock import monotonic_s
from reconciler.system.netlink.neighbours import Neighbours
from reconciler.system.node import Node
from reconciler.system.reachability import addresses_of, connections, echoes
from reconciler.system.watchdog_client import read_status

if TYPE_CHECKING:
    from reconciler.system.peer.channel import PeerClient

#: A host on the link, and a git remote, have to answer within these times.
ANSWER_S: Final = 1.0
CONNECT_S: Final = 1.5
#: Between two rounds of questions after a change.
PAUSE_S: Final = 0.2
BY_CONNECTION: Final = frozenset({PathKind.REMOTE, PathKind.PEER})
BY_NEIGHBOUR: Final = frozenset({PathKind.GATEWAY, PathKind.NETWORK})


def paths_of(
    node: Node,
    before: Facts,
    after: Facts,
    virtual: Collection[str],
    remotes: Iterable[str],
    peer_addresses: Collection[str],
    peer: PeerClient | None,
) -> tuple[ProbedPath, ...]:
    """Every path of this controller. `after`: the facts that a plan predicts.

    `virtual`: the virtual addresses of that revision. `remotes`: the git remotes as `host:port`. `peer_addresses`:
    those that the other controller has before and after. `peer`: its agent, on an enrolled pair.
    """
    try:
        with Neighbours() as neighbours:
            beside = ((neighbours.link_to(address), address) for address in peer_addresses)
            peers = {Neighbour(link, address, True) for link, address in beside if link}
            known = (*peers, *(one for one in neighbours.known() if (one.link, one.address) not in _seats(peers)))
            places = {place: _link_to(neighbours, place) for place in remotes}
            carriers = [neighbours.link_to(_bare(address)) for address in peer.addresses] if peer is not None else []
    except OSError:
        known, places, carriers = (), dict.fromkeys(remotes), []
    links = frozenset(name for link in carriers if link is not None for name in below(before, link))
    agent = tuple(f"[{address}]:{peer.port}" for address in peer.addresses) if peer is not None else ()
    reading = read_status(node)
    status = reading.status if reading is not None and reading.fresh else None
    return (
        *network_paths(before, after, known),
        *pair_paths(before, status, virtual),
        *([ProbedPath(PathKind.PEER, "the peer", agent, agent, links=links)] if agent else []),
        *remote_paths(places, before),
    )


def answered(node: Node, paths: Iterable[ProbedPath], since_s: float = 0.0) -> frozenset[str]:
    """The names of the paths that answer now. `since_s`: monotonic; what the watchdog saw before it does not count."""
    paths = tuple(paths)
    found: list[frozenset[str]] = []

    def run(ask: Callable[[tuple[ProbedPath, ...]], Iterable[str]]) -> None:
        found.append(frozenset(ask(paths)))

    threads = [threading.Thread(target=run, args=(ask,), daemon=True) for ask in (_neighbours, _echoes, _places)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return frozenset().union(*found, _pair(node, paths, since_s))


def _neighbours(paths: tuple[ProbedPath, ...]) -> Iterator[str]:
    asked = [path for path in paths if path.kind in BY_NEIGHBOUR and not path.size]
    targets = {target for path in asked for target in path.targets}
    if not targets:
        return
    try:
        with Neighbours() as neighbours:
            answers = neighbours.answers(targets, ANSWER_S)
    except OSError:
        return
    yield from (path.name for path in asked if answers & set(path.targets))


def _echoes(paths: tuple[ProbedPath, ...]) -> Iterator[str]:
    asked = [path for path in paths if path.kind in BY_NEIGHBOUR and path.size]
    answers = echoes([(target, path.size) for path in asked for target in path.targets], ANSWER_S) if asked else ()
    yield from (path.name for path in asked if any((target, path.size) in answers for target in path.targets))


def _places(paths: tuple[ProbedPath, ...]) -> Iterator[str]:
    asked = [path for path in paths if path.kind in BY_CONNECTION]
    answers = connections([target for path in asked for target in path.targets], CONNECT_S) if asked else ()
    yield from (path.name for path in asked if any(target in answers for target in path.targets))


def _seats(neighbours: Iterable[Neighbour]) -> set[tuple[str, str]]:
    return {(neighbour.link, neighbour.address) for neighbour in neighbours}


def _bare(address: str) -> str:
    return address.partition("%")[0]


def _pair(node: Node, paths: tuple[ProbedPath, ...], since_s: float) -> Iterator[str]:
    """The paths that the watchdog sees: channels that were heard, virtual addresses that are where they should be."""
    reading = read_status(node)
    if reading is None or reading.status is None or not reading.fresh or reading.status.at_ms < since_s * 1_000:
        return
    for path in paths:
        if _is_seen(path, reading.status, since_s):
            yield path.name


def _is_seen(path: ProbedPath, status: WatchdogStatus, since_s: float) -> bool:
    heard = [channel for channel in status.channels if not channel.silent]
    if since_s:
        heard = [channel for channel in heard if status.at_ms - channel.age_ms > since_s * 1_000]
    match path.kind:
        case PathKind.INTERLINK:
            return any(channel.kind == "interlink" for channel in heard)
        case PathKind.CHANNEL:
            return any(channel.name in path.targets for channel in heard)
        case PathKind.VIRTUAL:
            # After a failover the other controller serves it.
            found = [one for one in status.addresses if one.address.partition("/")[0] in path.targets]
            return any(one.present or (since_s > 0 and not one.wanted) for one in found)
        case _:
            return False


def _link_to(neighbours: Neighbours, place: str) -> str | None:
    host = place.rpartition(":")[0].strip("[]")
    addresses = addresses_of(host, ANSWER_S)
    return neighbours.link_to(addresses[0]) if addresses else None


class PathWatch:
    """Asks the paths of a pending change again and again, in a thread of its own, until it is closed.

    `report` is called in that thread when the answer changes. `read` returns the names of the silent paths, None before
    the first answer, and for how many seconds all have answered.
    """

    def __init__(self, node: Node, paths: Iterable[ProbedPath], since_s: float, report: Callable[[], None]) -> None:
        self._node, self._since_s, self._report = node, since_s, report
        self._paths = tuple(path.after() for path in paths)
        self._silent: frozenset[str] | None = None
        self._answered_s: float | None = None
        self._round_s = 0.0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="paths", daemon=True)
        self._thread.start()

    def read(self) -> tuple[frozenset[str] | None, float]:
        """The silent paths, and the seconds from the first to the last round in which all answered."""
        silent, since_s = self._silent, self._answered_s
        return silent, self._round_s - since_s if since_s is not None and not silent else 0.0

    def close(self) -> None:
        """Stop asking. The thread ends with its present round."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            began_s = monotonic_s()
            try:
                silent = frozenset(path.name for path in self._paths) - answered(self._node, self._paths, self._since_s)
            except HagitError:
                silent = frozenset(path.name for path in self._paths)
            if silent:
                self._answered_s = None
            elif self._answered_s is None:
                self._answered_s = began_s
            self._round_s = began_s
            self._silent = silent
            self._report()
            self._closed.wait(PAUSE_S)
