"""The first pass: what goes. Removals and the first halves of replacements, from routes down to links.

Decides which links have to be taken down to be made anew, and keeps whatever is not ours from going with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.core.facts.difference import Difference, DifferenceKind, contrast, is_marked
from reconciler.core.facts.fact import Address, Fact, Link, LinkKind, Mark, Port, Route
from reconciler.core.facts.fact_kinds import kind_of
from reconciler.core.facts.prediction import is_ipv6
from reconciler.core.planning.draft import PlanDraft, depths
from reconciler.core.planning.gates import removal_refusal
from reconciler.core.planning.plan import Gate


def plan_removals(draft: PlanDraft, found: Iterable[Difference]) -> tuple[Difference, ...]:
    """Add all removals to the draft; returns the removals of addresses that have to wait for their successors."""
    removals = [item for item in found if item.kind is DifferenceKind.REMOVE]
    doomed = _doomed_links(draft, removals)
    gaining = _links_gaining_ipv4(draft)
    waiting: list[Difference] = []
    loose = [item for item in removals if not isinstance(item.observed, Link)]
    for item in sorted(loose, key=lambda item: -kind_of(item.observed).stage if item.observed is not None else 0):
        fact = item.observed
        assert fact is not None
        if not _goes_by_itself(fact, doomed):
            continue
        if draft.is_ignored(item.resource):
            draft.hold_ignored(item.key, item.why, item.resource)
        elif isinstance(fact, Mark) and (("port", fact.link), Gate.IGNORED) in draft.holds:
            continue  # the mark is what tells that the port is ours
        elif isinstance(fact, Address) and _has_successor(draft, fact, gaining):
            waiting.append(item)
        elif fact.key in draft.live.facts:
            draft.act(fact, None, item.why, item.resource, None)
    for link, reason, resource in doomed.values():
        if link.key in draft.live.facts:
            origin = draft.desired.origins.get(link.key)
            draft.act(link, None, reason, resource, origin)
    return tuple(waiting)


def needs_replacing(seen: Link, want: Link) -> bool:
    """Whether the kernel cannot turn one link into the other.

    A bond changes its mode only without members and its LACP rate only when down (Linux, bond_options.c).
    """
    if (seen.kind, seen.parent, seen.vlan_id) != (want.kind, want.parent, want.vlan_id):
        return True
    if seen.bond is None or want.bond is None:
        return False
    return (seen.bond.mode, seen.bond.lacp_rate) != (want.bond.mode, want.bond.lacp_rate)


def _doomed_links(draft: PlanDraft, removals: Iterable[Difference]) -> dict[str, tuple[Link, str, str]]:
    """Links that will be removed, the highest first, with reason and resource. The rest becomes holds."""
    wanted = {
        item.observed.name: (item.observed, item.why, item.resource)
        for item in removals
        if isinstance(item.observed, Link)
    }
    wanted.update({link.name: (link, reason, resource) for link, reason, resource in _replacements(draft)})
    if not wanted:
        return {}
    height = depths(draft.observed.facts)
    doomed: dict[str, tuple[Link, str, str]] = {}
    for name in sorted(wanted, key=lambda name: (-height[name], name)):
        link, reason, resource = wanted[name]
        origin = draft.desired.origins.get(link.key)
        if draft.is_ignored(resource):
            draft.hold_ignored(link.key, reason, resource, origin)
            continue
        refused = removal_refusal(draft, name)
        if refused is not None:
            draft.hold(link.key, refused.gate, f"{name} {refused.why}", refused.remedy, resource, origin)
            continue
        doomed[name] = wanted[name]
    return doomed


def _replacements(draft: PlanDraft) -> Iterator[tuple[Link, str, str]]:
    """Links that have to be made anew and are ours to remove."""
    for key, want in draft.desired.facts.items():
        seen = draft.observed.facts.get(key)
        if not isinstance(want, Link) or not isinstance(seen, Link) or not needs_replacing(seen, want):
            continue
        if draft.observed.unknown and draft.observed.why_unknown(key) is not None:
            continue
        origin = draft.desired.origins.get(key)
        resource = origin.resource if origin is not None else ""
        reason = f"differs: {contrast(seen, want)}"
        if not is_marked(seen.name, draft.observed):
            why = (
                f"{seen.name} is a {seen.kind} that hagit did not make, and only a new link can become what is desired"
            )
            hand_over = f"ip link set dev {seen.name} alias 'hagit {want.name}'  (hands it over to hagit)"
            remedy = "rename the interface" if seen.kind is LinkKind.PHYSICAL else hand_over
            draft.hold(key, Gate.FOREIGN, why, remedy, resource, origin)
        else:
            yield seen, reason, resource


def _goes_by_itself(fact: Fact, doomed: dict[str, tuple[Link, str, str]]) -> bool:
    """False for what a removed link takes along anyway."""
    if isinstance(fact, Port):
        return fact.link not in doomed and fact.master not in doomed
    if isinstance(fact, Address | Route):
        return fact.link not in doomed
    return not isinstance(fact, Mark) or fact.link not in doomed


def _has_successor(draft: PlanDraft, address: Address, gaining: set[str]) -> bool:
    """Whether an IPv4 address should go after another came.

    With its last IPv4 address a link would lose every IPv4 route, also those that hagit did not make.
    """
    if is_ipv6(address.address) or address.link not in gaining:
        return False
    stays = any(
        isinstance(fact, Address) and not is_ipv6(fact.address) and fact.key in draft.desired.facts
        for fact in draft.live.on(address.link)
    )
    return not stays


def _links_gaining_ipv4(draft: PlanDraft) -> set[str]:
    """Links that will have an IPv4 address they do not have yet."""
    return {
        fact.link
        for key, fact in draft.desired.facts.items()
        if isinstance(fact, Address) and not is_ipv6(fact.address) and key not in draft.observed.facts
    }
