"""Whether the policy `interfaceEdits: locked` keeps a revision away: it changes interfaces, and failover is enabled.

The revision in force decides. Only an operator's word, or a commit, that disables failover opens the lock: a fault that
makes failover impossible does not.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from reconciler.agent.source.content import Content
from reconciler.core.facts.fact import Address, Link, Mark, Mtu, Port, Power
from reconciler.core.facts.settings import InterfaceEdits
from reconciler.core.facts.state import Desired
from reconciler.system.node import Node
from reconciler.system.watchdog_client import read_status

REMEDY: Final = (
    "disable failover on both controllers (`hagit failover disable --for 1h`), let the change happen, then "
    "`hagit failover enable`; or set `interfaceEdits: rolling`"
)


class EditLock(NamedTuple):
    """Why a revision is held, and the way out."""

    why: str
    remedy: str


def edit_lock(node: Node, in_force: Content | None, content: Content) -> EditLock | None:
    """Why `content` may not be applied now; None when it may."""
    if in_force is None or in_force.settings.changes.edits is not InterfaceEdits.LOCKED:
        return None
    if in_force.orders is None or not in_force.orders.enabled:
        return None
    if content.orders is None or not content.orders.enabled:
        return None  # this commit disables failover
    edited = edited_interfaces(in_force.desired, content.desired)
    if not edited or _is_disabled_here(node):
        return None
    names = ", ".join(edited[:3]) + (f" and {len(edited) - 3} more" if len(edited) > 3 else "")
    return EditLock(f"it changes {names}, and `interfaceEdits: locked` holds that while failover is enabled", REMEDY)


def edited_interfaces(before: Desired, after: Desired) -> list[str]:
    """The names of the interfaces that are not the same in both, in alphabetical order."""
    found = set()
    for key in before.facts.keys() | after.facts.keys():
        facts = [fact for fact in (before.facts.get(key), after.facts.get(key)) if fact is not None]
        if len(facts) == 2 and facts[0] == facts[1]:
            continue
        found |= {
            fact.name if isinstance(fact, Link) else fact.link
            for fact in facts
            if isinstance(fact, Link | Port | Mtu | Power | Mark | Address)
        }
    found |= {
        name
        for name in before.matches.keys() | after.matches.keys()
        if before.matches.get(name) != after.matches.get(name)
    }
    if before.virtual != after.virtual:
        found.add("virtual addresses")
    return sorted(found)


def _is_disabled_here(node: Node) -> bool:
    """Whether an operator has disabled failover for a time."""
    reading = read_status(node)
    status = reading.status if reading is not None and reading.fresh else None
    return status is not None and status.override is not None and not status.override.enabled
