"""A plan in the making: the working copy of the live state, and what has been decided so far.

Decides the impact of an action and what it drags along. Does not know which action comes next.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.core.facts.change import ActionVerb, Impact
from reconciler.core.facts.difference import virtual_hosts
from reconciler.core.facts.fact import Address, Fact, Key, Link, LinkKind, Mark, Mtu, Port, Power, Route
from reconciler.core.facts.fact_kinds import kind_of
from reconciler.core.facts.ownership import Owner
from reconciler.core.facts.prediction import Prediction
from reconciler.core.facts.state import Desired, DriftMode, Observed, Origin
from reconciler.core.planning.nic_match import BoundState
from reconciler.core.planning.plan import LOOKS_AGAIN, Action, Gate, HeldChange


class PlanDraft:
    """What `make_plan` works on. `live` moves along with every action."""

    __slots__ = ("_actions", "bound", "desired", "held_links", "holds", "live", "lost", "observed", "virtual")

    def __init__(self, bound: BoundState, observed: Observed) -> None:
        self.bound = bound
        self.desired: Desired = bound.desired
        self.observed = observed
        self.live = Prediction(observed)
        self.virtual = virtual_hosts(self.desired)
        self._actions: list[Action] = []
        self.holds: dict[tuple[Key, Gate], HeldChange] = {(hold.key, hold.gate): hold for hold in bound.holds}
        #: Links that are not what they should be and will not become it: nothing may be built on them.
        self.held_links: set[str] = set()
        #: Which earlier step took a fact away.
        self.lost: dict[Key, str] = {}

    @property
    def actions(self) -> tuple[Action, ...]:
        """The actions so far."""
        return tuple(self._actions)

    def act(self, before: Fact | None, after: Fact | None, reason: str, resource: str, origin: Origin | None) -> None:
        """Add an action and move the working copy along."""
        fact = after if after is not None else before
        assert fact is not None
        verb = ActionVerb.CREATE if before is None else ActionVerb.REMOVE if after is None else ActionVerb.CHANGE
        lost = self.live.perform(before, after)
        consequences = tuple(item for item in lost if self._worth_telling(item)) if lost else ()
        if consequences:
            cause = _cause(verb, fact)
            for item in consequences:
                self.lost[item.key] = cause
        kind = kind_of(fact)
        impact = kind.impact(verb, fact)
        if impact < Impact.TRAFFIC and any(isinstance(item, Address | Route) for item in consequences):
            impact = Impact.TRAFFIC
        self._actions.append(
            Action(kind.stage, verb, before, after, reason, impact, resource, origin, consequences=consequences)
        )

    def _worth_telling(self, fact: Fact) -> bool:
        """Not what holds again already, what the kernel gave itself, or the state of a link that is no more."""
        if self.live.facts.get(fact.key) == fact or self.observed.owners.get(fact.key) is Owner.KERNEL:
            return False
        return not isinstance(fact, Power | Mtu | Mark) or ("link", fact.link) in self.live.facts

    def hold(self, key: Key, gate: Gate, why: str, remedy: str, resource: str, origin: Origin | None = None) -> None:
        """Note that a difference will not be acted on."""
        self.holds.setdefault((key, gate), HeldChange(key, gate, why, remedy, origin, resource))
        if key[0] == "link":
            self.held_links.add(key[1])

    def is_ignored(self, resource: str) -> bool:
        """Whether the policy leaves a resource alone."""
        return bool(resource) and self.desired.drift.mode(resource) is DriftMode.IGNORE

    def hold_ignored(self, key: Key, why: str, resource: str, origin: Origin | None = None) -> None:
        """The hold of what the policy leaves alone."""
        remedy = f"set the drift mode of {resource} to warn or heal"
        self.hold(key, Gate.IGNORED, f"{why}; drift of {resource} is ignored", remedy, resource, origin)

    def hold_unknown(self, key: Key, why: str, resource: str, origin: Origin | None = None) -> None:
        """The hold of what could not be read."""
        self.hold(
            key,
            Gate.UNKNOWN,
            f"not known: {why}",
            LOOKS_AGAIN,
            resource,
            origin,
        )


def _cause(verb: ActionVerb, fact: Fact) -> str:
    """`lost when …`, for what an action drags along."""
    if isinstance(fact, Link):
        return f"lost when {fact.name} is {'removed' if verb is ActionVerb.REMOVE else 'changed'}"
    if isinstance(fact, Port):
        act = "leaves" if verb is ActionVerb.REMOVE else "joins"
        return f"lost when {fact.link} {act} {fact.master}"
    if isinstance(fact, Power):
        return f"lost when {fact.link} goes {'up' if fact.up else 'down'}"
    if isinstance(fact, Mtu):
        return f"lost when {fact.link} gets mtu {fact.size}"
    if isinstance(fact, Address):
        return f"lost with the last address of {fact.link}"
    return "lost by an earlier step"


def depths(links: Mapping[Key, Fact]) -> dict[str, int]:
    """How high each link stands: 0 for a NIC, one more than what it rests on for a VLAN, bond or bridge."""
    below: dict[str, list[str]] = {}
    for fact in links.values():
        if isinstance(fact, Link):
            below.setdefault(fact.name, [])
            if fact.parent is not None:
                below[fact.name].append(fact.parent)
        elif isinstance(fact, Port):
            below.setdefault(fact.master, []).append(fact.link)
    result: dict[str, int] = {}
    begun: set[str] = set()
    for start in below:
        pending = [(start, False)]
        while pending:
            name, ready = pending.pop()
            if ready:
                # A circle is no order at all; where it closes it counts as lying on the ground.
                link = links.get(("link", name))
                floor = 0 if isinstance(link, Link) and link.kind is LinkKind.PHYSICAL else 1
                result[name] = max([floor, *(result.get(under, 0) + 1 for under in below.get(name, ()))])
            elif name not in begun:
                begun.add(name)
                pending.append((name, True))
                pending.extend((under, False) for under in below.get(name, ()) if under not in begun)
    return result
