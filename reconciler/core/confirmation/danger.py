"""Danger: which actions of a plan could cut which paths.

Decides it from what each action does to its links, its impact, what it drags along, and which packets a new address or
route would draw to itself. An action that only adds to a link endangers nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from reconciler.core.confirmation.paths import PathKind, ProbedPath
from reconciler.core.facts.change import ActionVerb, Impact
from reconciler.core.facts.fact import Address, Fact, Link, Mark, Mtu, Port, Power, Route
from reconciler.core.facts.host_setting import Resolver
from reconciler.core.planning.nic_match import links_of
from reconciler.core.planning.plan import Action, Plan

NetworkFact = Link | Port | Power | Mtu | Mark | Address | Route


def risky_actions(plan: Plan) -> tuple[Action, ...]:
    """The actions that could cut any path at all. Empty for most plans, which then need no probe."""
    return tuple(action for action in plan.actions if _may_disturb(action) or _draws(action) or _is_resolver(action))


def endangered_paths(plan: Plan, paths: Iterable[ProbedPath]) -> tuple[ProbedPath, ...]:
    """The paths that a plan could cut, in their order."""
    risky = risky_actions(plan)
    return tuple(path for path in paths if any(_endangers(action, path) for action in risky))


def _endangers(action: Action, path: ProbedPath) -> bool:
    if _is_resolver(action):
        return path.kind is PathKind.REMOTE and any(not _is_address(_host(target)) for target in path.targets)
    # Where the way of a path is not known, every change may cut it.
    if _may_disturb(action) and (not path.links or path.links & _links(action)):
        return True
    return _draws(action) and any(_covers(action.after, _host(target)) for target in path.targets)


def _may_disturb(action: Action) -> bool:
    """Whether an action takes something away, changes it in place, or drags something along."""
    facts = [fact for fact in (action.before, action.after) if fact is not None]
    if not all(isinstance(fact, NetworkFact) and not isinstance(fact, Mark) for fact in facts):
        return False
    if any(isinstance(fact, Address | Route | Link | Port) for fact in action.consequences):
        return True
    return action.impact >= Impact.BLIP


def _draws(action: Action) -> bool:
    """Whether an action takes packets to a place that went another way before."""
    return action.verb is not ActionVerb.REMOVE and isinstance(action.after, Address | Route)


def _is_resolver(action: Action) -> bool:
    return isinstance(action.after, Resolver)


def _links(action: Action) -> frozenset[str]:
    facts: tuple[Fact | None, ...] = (action.before, action.after, *action.consequences)
    return frozenset(link for fact in facts if fact is not None for link in links_of(fact))


def _covers(fact: Fact | None, host: str) -> bool:
    """Whether packets to a host would follow this address or route. A host name may be anywhere."""
    if isinstance(fact, Route):
        network = ipaddress.ip_network(fact.destination)
    elif isinstance(fact, Address):
        network = ipaddress.ip_interface(fact.address).network
    else:
        return False
    if not _is_address(host):
        return bool(host) and network.prefixlen == 0
    ip = ipaddress.ip_address(host)
    return ip.version == network.version and ip in network


def _host(target: str) -> str:
    """The host of a target: without its link, its port and brackets."""
    if target.startswith("["):
        return target[1:].partition("]")[0]
    return target.partition("%")[0] if target.count(":") != 1 else target.partition(":")[0]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
