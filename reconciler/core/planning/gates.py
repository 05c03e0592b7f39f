"""The gates: why a difference is not acted on although it is known, ours and wanted.

Decides whether the kernel could do a change at all and whether it would hurt what is not ours. Does not know order.
"""

from __future__ import annotations

from reconciler.core.facts.difference import host, is_marked
from reconciler.core.facts.fact import Address, Fact, Link, LinkKind, Mark, Mtu, Power, Route
from reconciler.core.facts.kernel import RESERVED_NAMES
from reconciler.core.facts.ownership import Owner, mark_owner
from reconciler.core.facts.storage import StorageFact
from reconciler.core.planning.address_gates import address_refusal, route_refusal
from reconciler.core.planning.draft import PlanDraft
from reconciler.core.planning.nic_match import links_of
from reconciler.core.planning.plan import LOOKS_AGAIN, Gate, GateRefusal
from reconciler.core.planning.removal_commands import removal_command
from reconciler.core.planning.storage_gates import obstacle


def refusal(draft: PlanDraft, fact: Fact) -> GateRefusal | None:
    """Why a desired fact cannot be made true now, or None when nothing stands against it."""
    if isinstance(fact, StorageFact):
        return obstacle(draft, fact)
    waits = _rests_on_held(draft, fact)
    if waits is not None:
        return waits
    if isinstance(fact, Link) and fact.key not in draft.live.facts:
        if fact.kind is LinkKind.PHYSICAL:
            return GateRefusal(Gate.NIC, f"{fact.name} is gone", "plug the NIC in")
        return _name_taken(draft, fact)
    if isinstance(fact, Mark):
        return _foreign_alias(draft, fact)
    if isinstance(fact, Mtu):
        return _mtu_limit(draft, fact)
    if isinstance(fact, Power):
        return _parent_down(draft, fact)
    if isinstance(fact, Address):
        return address_refusal(draft, fact)
    if isinstance(fact, Route):
        return route_refusal(draft, fact)
    return None


def _name_taken(draft: PlanDraft, link: Link) -> GateRefusal | None:
    """A new link cannot have a name that the kernel keeps for itself, or knows another link by."""
    if link.name in RESERVED_NAMES:
        why = f"the kernel keeps the name {link.name} for itself"
        return GateRefusal(Gate.REFUSED, why, f"give the {link.kind} another name")
    for name in sorted(draft.live.nics):
        if link.name in draft.live.nics[name].altnames:
            why = f"{link.name} is an alternative name of {name}, so no new link can have it"
            return GateRefusal(Gate.FOREIGN, why, f"ip link property delete dev {name} altname {link.name}")
    return None


def _rests_on_held(draft: PlanDraft, fact: Fact) -> GateRefusal | None:
    for link in links_of(fact):
        if isinstance(fact, Link) and link == fact.name:
            continue
        if link in draft.held_links:
            return GateRefusal(Gate.WAITS, f"rests on {link}, which is held", f"see {link}")
        if ("link", link) not in draft.live.facts:
            if (why := draft.observed.why_unknown(("link", link))) is not None:
                return GateRefusal(
                    Gate.UNKNOWN,
                    f"{link} is not known: {why}",
                    LOOKS_AGAIN,
                )
            return GateRefusal(Gate.WAITS, f"there is no link {link}", f"see {link}")
    return None


def _foreign_alias(draft: PlanDraft, mark: Mark) -> GateRefusal | None:
    seen = draft.live.facts.get(mark.key)
    if isinstance(seen, Mark) and seen.text and mark_owner(seen.text) is Owner.FOREIGN:
        why = f"{mark.link} has the alias {seen.text!r}, which is not ours to overwrite"
        return GateRefusal(Gate.FOREIGN, why, f"ip link set dev {mark.link} alias ''")
    return None


def _mtu_limit(draft: PlanDraft, mtu: Mtu) -> GateRefusal | None:
    members = draft.live.ports(mtu.link) if draft.live.link_kind(mtu.link) is LinkKind.BOND else ()
    for name in (mtu.link, *members):
        nic = draft.live.nics.get(name)
        if nic is None:
            continue
        who = f"the driver{' ' + nic.driver if nic.driver else ''} of {name}"
        if nic.mtu_max and mtu.size > nic.mtu_max:
            return GateRefusal(Gate.MTU_LIMIT, f"{who} takes at most {nic.mtu_max}, not {mtu.size}", "lower the mtu")
        if nic.mtu_min and mtu.size < nic.mtu_min:
            return GateRefusal(
                Gate.MTU_LIMIT, f"{who} takes no less than {nic.mtu_min}, not {mtu.size}", "raise the mtu"
            )
    link = draft.live.facts.get(("link", mtu.link))
    if isinstance(link, Link) and link.kind is LinkKind.VLAN and link.parent is not None:
        size = draft.live.mtu(link.parent)
        if size is not None and mtu.size > size:
            why = f"a VLAN cannot exceed its parent, and {link.parent} has mtu {size}"
            return GateRefusal(Gate.MTU_LIMIT, why, f"raise the mtu of {link.parent}")
    return None


def _parent_down(draft: PlanDraft, power: Power) -> GateRefusal | None:
    link = draft.live.facts.get(("link", power.link))
    if not power.up or not isinstance(link, Link) or link.parent is None or draft.live.is_up(link.parent):
        return None
    return GateRefusal(Gate.WAITS, f"its parent {link.parent} is down", f"see {link.parent}")


def removal_refusal(draft: PlanDraft, link: str) -> GateRefusal | None:
    """Why a link may not be removed: another program's settings, or a virtual address, would go with it."""
    pending = [link]
    while pending:
        name = pending.pop()
        for key in (("address", name), ("route",)):
            if draft.observed.unknown and (why := draft.observed.why_unknown(key)) is not None:
                what = f"what {name} carries is not known: {why}"
                return GateRefusal(Gate.UNKNOWN, what, LOOKS_AGAIN)
        for fact in draft.live.on(name):
            found = _not_ours(draft, fact)
            if found is not None:
                return found
        for child in draft.live.vlans(name):
            if child in draft.held_links:
                return GateRefusal(Gate.WAITS, f"carries {child}, which is held", f"see {child}")
            if not is_marked(child, draft.observed) and ("link", child) not in draft.desired.facts:
                why = f"carries {child}, which hagit did not make"
                return GateRefusal(Gate.FOREIGN, why, f"ip link delete dev {child}")
            pending.append(child)
    return None


def _not_ours(draft: PlanDraft, fact: Address | Route) -> GateRefusal | None:
    owner = draft.live.owners.get(fact.key, Owner.FOREIGN)
    is_virtual = isinstance(fact, Address) and host(fact.address) in draft.virtual
    if owner is Owner.WATCHDOG or is_virtual:
        remedy = "switch over to the peer first, or take the virtual address out of the configuration"
        return GateRefusal(Gate.VIRTUAL, f"carries {_name(fact)}, which clients use now", remedy)
    if owner is Owner.FOREIGN and fact.key not in draft.desired.facts:
        return GateRefusal(Gate.FOREIGN, f"carries {_name(fact)}, which hagit did not make", removal_command(fact))
    return None


def _name(fact: Address | Route) -> str:
    return fact.address if isinstance(fact, Address) else f"the route to {fact.destination}"
