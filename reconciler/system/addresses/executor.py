"""PlanExecutor: performs what `plan` says, one request after the other; every refusal is a value.

Decides what the kernel's answers mean: what is there or gone already is done, an interface that vanished meanwhile is
a problem to tell and not an error. Does not know when to act.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from reconciler.system.addresses import messages
from reconciler.system.addresses.links import Links
from reconciler.system.addresses.plan import (
    ALIAS,
    LAST_RESORT,
    Action,
    AddAddress,
    AddressPlace,
    AddRoute,
    MakeLink,
    Problem,
    RaiseLink,
    RemoveAddress,
    RemoveLink,
    RemoveRoute,
    link_name,
    plan,
    virtual_mac,
)
from reconciler.system.addresses.snapshot import (
    ARP_ANNOUNCE,
    ARP_IGNORE,
    PROMOTE_SECONDARIES,
    RP_FILTER,
    Blind,
    NetworkSnapshot,
)
from reconciler.system.netlink import wire
from reconciler.system.netlink.addresses import old_address
from reconciler.system.netlink.channel import KernelRefused, Unreadable

#: Answer only for addresses of the very interface, ask with an address of the asked subnet, keep what is left.
MACVLAN_SETTINGS: Final = {ARP_IGNORE: 1, ARP_ANNOUNCE: 2, PROMOTE_SECONDARIES: 1, RP_FILTER: 2}
#: A macvlan has to be there before its addresses can be planned, and the last pass only looks.
PASSES: Final = 3
#: Taking a link away makes the caller wait some 20 ms for every processor; its addresses are gone by then.
LINKS_AT_ONCE: Final = 1
_GONE: Final = (errno.ENODEV, errno.EADDRNOTAVAIL, errno.ESRCH, errno.ENXIO)


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """What was done. `present`: the places filled when it ended. `snapshot`: the look it ended with.

    `later`: links without addresses are left that another reconcile takes away.
    """

    present: tuple[AddressPlace, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    problems: tuple[Problem, ...]
    snapshot: NetworkSnapshot | None
    later: bool = False


class PlanExecutor:
    """Places addresses through the channel of `links`."""

    def __init__(self, links: Links) -> None:
        self._links = links

    def reconcile(
        self, places: Sequence[AddressPlace], *, on_virtual_mac: bool = False, look: NetworkSnapshot | None = None
    ) -> ExecutionResult:
        """Brings it about that exactly `places` are filled. Waits for nothing but the kernel's answers.

        `look`: a look just taken, to spare the first one here.
        """
        added: list[str] = []
        removed: list[str] = []
        refused: list[Problem] = []
        unlinked = 0
        for _ in range(PASSES):
            snapshot: NetworkSnapshot | Blind = look if look is not None else self._links.snapshot()
            look = None
            if isinstance(snapshot, Blind):
                return ExecutionResult(
                    (), tuple(added), tuple(removed), (*refused, Problem("netlink", snapshot.why)), None
                )
            planned = plan(snapshot, places, on_virtual_mac=on_virtual_mac)
            if not planned.actions or refused:
                break
            for action in planned.actions:
                if isinstance(action, RemoveLink):
                    unlinked += 1
                    if unlinked > LINKS_AT_ONCE:
                        continue
                problem = self.perform(action)
                if problem is not None:
                    refused.append(problem)
                elif isinstance(action, AddAddress):
                    added.append(action.address)
                elif isinstance(action, RemoveAddress):
                    removed.append(action.seen.address)
        assert isinstance(snapshot, NetworkSnapshot)
        later = any(isinstance(action, RemoveLink) for action in planned.actions)
        return ExecutionResult(
            planned.present, tuple(added), tuple(removed), (*planned.problems, *refused), snapshot, later
        )

    def perform(self, action: Action) -> Problem | None:
        """One action; None when it is done, or was done already."""
        try:
            self._perform(action)
        except KernelRefused as problem:
            if isinstance(action, RemoveAddress | RemoveRoute | RemoveLink) and problem.code in _GONE:
                return None
            if isinstance(action, AddAddress | AddRoute) and problem.code == errno.EEXIST:
                return None
            return Problem(_where(action), f"the kernel refuses it: {problem}")
        except (Unreadable, wire.MalformedMessage, ValueError, OSError) as problem:
            return Problem(_where(action), str(problem))
        return None

    def _perform(self, action: Action) -> None:
        request = self._links.channel.request
        match action:
            case AddAddress(index, address):
                request(wire.NEW_ADDRESS, wire.CREATE | wire.EXCLUSIVE, messages.new_address(index, address))
            case RemoveAddress(seen):
                body = old_address(seen.index, f"{seen.address}/{seen.prefix}", seen.raw_peer)
                request(wire.DEL_ADDRESS, 0, body)
            case AddRoute(index, network):
                request(wire.NEW_ROUTE, wire.CREATE | wire.EXCLUSIVE, messages.route(index, network, LAST_RESORT))
            case RemoveRoute(index, network, metric):
                request(wire.DEL_ROUTE, 0, messages.route(index, network, metric, remove=True))
            case MakeLink(parent, vhid):
                name = link_name(AddressPlace(parent, "", vhid))
                body = messages.new_macvlan(parent, name, virtual_mac(vhid))
                request(wire.NEW_LINK, wire.CREATE | wire.EXCLUSIVE, body)
                self._raise(self._links.channel.index_of(name))
            case RaiseLink(index):
                self._raise(index)
            case RemoveLink(index):
                request(wire.DEL_LINK, 0, messages.no_link(index))
            case _:
                assert_never(action)

    def _raise(self, index: int) -> None:
        """Settings before the link is up, so that it never answers for another interface's addresses."""
        request = self._links.channel.request
        request(wire.SET_LINK, 0, messages.ipv4_settings(index, MACVLAN_SETTINGS))
        try:
            request(wire.SET_LINK, 0, messages.no_own_ipv6_address(index))
        except KernelRefused as problem:
            # Without IPv6 there is nothing to switch off.
            if problem.code not in (errno.EAFNOSUPPORT, errno.EOPNOTSUPP, errno.EINVAL):
                raise
        request(wire.SET_LINK, 0, messages.link_alias(index, ALIAS))
        request(wire.NEW_LINK, 0, messages.link_up(index))


def _where(action: Action) -> str:
    match action:
        case AddAddress(index, address):
            return f"{address} on {_name(index)}"
        case RemoveAddress(seen):
            return f"{seen.address} on {_name(seen.index)}"
        case AddRoute(index, network) | RemoveRoute(index, network):
            return f"route to {network} on {_name(index)}"
        case MakeLink(parent, vhid):
            return f"virtual MAC {virtual_mac(vhid)} on {_name(parent)}"
        case RaiseLink(index) | RemoveLink(index):
            return _name(index)
        case _:
            assert_never(action)


def _name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return f"interface {index}"
