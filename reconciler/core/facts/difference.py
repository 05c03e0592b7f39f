"""Differences: where what is desired and what is observed give two answers to one question.

Decides what is managed at all: the desired keys, what carries hagit's stamp, and, only to be shown, what others have
put on a link that a resource manages. Virtual addresses and what the kernel made never appear. Does not know what
will be done about a difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from reconciler.core.facts.fact import Address, Fact, Key, Link, LinkKind, Mark, Mtu, Port, Power, Route
from reconciler.core.facts.fact_kinds import kind_of
from reconciler.core.facts.ownership import Owner, mark_owner
from reconciler.core.facts.state import Desired, Facts, Observed, Origin
from reconciler.core.facts.storage import FIXED, STAMP, Dataset, Property, StorageFact, property_key

#: Reasons, as sentences without subject; `render` and alerts print them as they are.
MISSING: Final = "missing"
NOT_DESIRED: Final = "made by hagit, no longer desired"
NOT_OURS: Final = "not made by hagit"
NOT_ASKED: Final = "nothing asks for it any more"


class DifferenceKind(StrEnum):
    """ADD: desired, absent. CHANGE: two values. REMOVE: ours, not desired. FOREIGN: not ours. UNKNOWN: cannot tell.

    LEFT: a dataset of ours that nothing asks for any more; it holds data, so that is no reason to remove it.
    """

    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `why` is a sentence; `resource` is `Interface/storage0`, empty when nothing claims the fact."""

    key: Key
    kind: DifferenceKind
    desired: Fact | None
    observed: Fact | None
    why: str
    origin: Origin | None = None
    resource: str = ""


def differences(desired: Desired, observed: Observed, spared: frozenset[Key] = frozenset()) -> tuple[Difference, ...]:
    """All differences, desired ones first, in a stable order.

    `desired` names links as the kernel does. `spared` are observed keys of which nothing may be said, because what
    is desired of them cannot be told (their NIC was not found).
    """
    return (*_from_desired(desired, observed), *_from_observed(desired, observed, spared))


def _from_desired(desired: Desired, observed: Observed) -> Iterator[Difference]:
    virtual = virtual_hosts(desired)
    for key, fact in desired.facts.items():
        if isinstance(fact, Address) and host(fact.address) in virtual:
            continue
        origin = desired.origins.get(key)
        resource = origin.resource if origin is not None else ""
        seen = observed.facts.get(key)
        if observed.unknown and (why := observed.why_unknown(key)) is not None:
            yield Difference(key, DifferenceKind.UNKNOWN, fact, seen, why, origin, resource)
            continue
        why = need(fact, observed.facts, desired.facts)
        if why is not None:
            kind = DifferenceKind.ADD if seen is None else DifferenceKind.CHANGE
            yield Difference(key, kind, fact, seen, why, origin, resource)


def need(fact: Fact, live: Facts | Mapping[Key, Fact], desired: Facts) -> str | None:
    """Why a desired fact is not satisfied by the live ones, or None when it is."""
    if isinstance(fact, Mark):
        return _need_of_mark(fact, live, desired)
    seen = live.get(fact.key)
    if seen is None:
        return MISSING
    if seen == fact:
        return None
    if isinstance(fact, Route) and isinstance(seen, Route) and fact.link is None and replace(seen, link=None) == fact:
        return None  # the kernel names the link that we left to it
    if isinstance(fact, Property) and isinstance(seen, Property):
        if not seen.local and (fact.name == STAMP or not fact.local):
            return None  # what was there before hagit stays unstamped; a value that is not set is that of what is above
        if seen.value == fact.value:
            why = "inherited, not set here" if fact.local else "set here, inherited before"
            return None if fact.name in FIXED else why
    return f"differs: {contrast(seen, fact)}"


def _need_of_mark(mark: Mark, live: Facts | Mapping[Key, Fact], desired: Facts) -> str | None:
    """Marks of plain links are for what hagit makes or enslaves; a link that was there first may stay unmarked."""
    seen = live.get(mark.key)
    text = seen.text if isinstance(seen, Mark) else ""
    if text == mark.text:
        return None
    plain = mark.text == " ".join(mark.text.split(" ")[:2])
    if not plain or (text and mark_owner(text) is Owner.AGENT):
        return f"differs: alias {text!r}, {mark.text!r} desired" if text else MISSING
    port = ("port", mark.link)
    return MISSING if not text and port in desired and live.get(port) != desired[port] else None


def _from_observed(desired: Desired, observed: Observed, spared: frozenset[Key]) -> Iterator[Difference]:
    virtual = virtual_hosts(desired)
    resources = resources_by_link(desired)
    blind = bool(observed.unknown)
    for key in sorted(observed.facts):
        if key in desired.facts or key in spared or (blind and observed.why_unknown(key) is not None):
            continue
        fact = observed.facts[key]
        if isinstance(fact, StorageFact):
            if isinstance(fact, Dataset) and key not in desired.destroy and (stamp := stamp_of(fact, observed)):
                yield Difference(key, DifferenceKind.LEFT, None, fact, NOT_ASKED, None, f"Dataset/{stamp}")
            continue
        if isinstance(fact, Power | Mtu) or (isinstance(fact, Address) and host(fact.address) in virtual):
            continue
        owner = owner_of(fact, observed, desired)
        link = _link_of(fact)
        if owner is Owner.AGENT and _prunable(fact, desired, observed):
            own = fact.name if isinstance(fact, Link) else link
            resource = resources.get(own, "") or _resource_in_mark(own, observed)
            yield Difference(key, DifferenceKind.REMOVE, None, fact, NOT_DESIRED, None, resource)
        elif owner is Owner.FOREIGN:
            resource = resources.get(link, "")
            if not resource and isinstance(fact, Port):
                resource = resources.get(fact.master, "")
            if resource and not isinstance(fact, Mark):
                yield Difference(key, DifferenceKind.FOREIGN, None, fact, NOT_OURS, None, resource)


def owner_of(fact: Fact, observed: Observed, desired: Desired) -> Owner:
    """Who made an observed fact.

    A link is ours when its alias says so. A port carries no stamp of its own: it is ours when its link carries our
    mark and its master is ours or desired, so that a tap that another program plugs into our bridge stays its own.
    """
    if isinstance(fact, Mark):
        return mark_owner(fact.text)
    if isinstance(fact, Link):
        return Owner.AGENT if is_marked(fact.name, observed) else Owner.FOREIGN
    if isinstance(fact, Port):
        known_master = ("link", fact.master) in desired.facts or is_marked(fact.master, observed)
        return Owner.AGENT if known_master and is_marked(fact.link, observed) else Owner.FOREIGN
    return observed.owner(fact.key)


def stamp_of(dataset: Dataset, observed: Observed) -> str:
    """The name of the resource that a dataset says it belongs to, empty when it says none."""
    stamp = observed.facts.get(property_key(dataset.name, STAMP))
    return stamp.value if isinstance(stamp, Property) and stamp.local else ""


def is_marked(link: str, observed: Observed) -> bool:
    """Whether a link carries hagit's mark."""
    mark = observed.facts.get(("mark", link))
    return isinstance(mark, Mark) and mark_owner(mark.text) is Owner.AGENT


def _prunable(fact: Fact, desired: Desired, observed: Observed) -> bool:
    """Whether a fact of ours that is no longer desired can be removed by itself."""
    if isinstance(fact, Link):
        return fact.kind is not LinkKind.PHYSICAL
    if isinstance(fact, Mark):
        link = observed.facts.get(("link", fact.link))
        made = isinstance(link, Link) and link.kind is not LinkKind.PHYSICAL
        return not made  # the mark of a link we made says that we made it, and goes with the link
    return kind_of(fact).pruned


def _link_of(fact: Fact) -> str:
    if isinstance(fact, Link):
        return fact.parent or fact.name
    return getattr(fact, "link", None) or ""


def _resource_in_mark(link: str, observed: Observed) -> str:
    mark = observed.facts.get(("mark", link))
    if not isinstance(mark, Mark) or mark_owner(mark.text) is not Owner.AGENT:
        return ""
    return "Interface/" + mark.text.partition(" ")[2].partition(" ")[0]


def resources_by_link(desired: Desired) -> dict[str, str]:
    """Which resource manages a link, by the kernel's name of the link."""
    return {
        fact.name: desired.origins[key].resource if key in desired.origins else f"Interface/{fact.name}"
        for key, fact in desired.facts.items()
        if isinstance(fact, Link)
    }


def host(address: str) -> str:
    """An address without its prefix."""
    return address.partition("/")[0]


def virtual_hosts(desired: Desired) -> frozenset[str]:
    """The addresses that the watchdog places, without prefix: whatever carries one is none of the agent's business."""
    return frozenset(host(address) for address in desired.virtual)


def contrast(seen: Fact, fact: Fact) -> str:
    """The fields in which two facts differ: `mtu 1500, 9000 desired`."""
    if isinstance(seen, Mtu) and isinstance(fact, Mtu):
        return f"mtu {seen.size}, {fact.size} desired"
    if isinstance(seen, Power) and isinstance(fact, Power):
        return f"{'up' if seen.up else 'down'}, {'up' if fact.up else 'down'} desired"
    if isinstance(seen, Dataset) and isinstance(fact, Dataset):
        return f"kind {seen.kind}, {fact.kind} desired"  # how it is made is no part of what it is
    parts = []
    for name in seen.__slots__:
        old, new = getattr(seen, name), getattr(fact, name, None)
        if old == new:
            continue
        if name == "traits":
            parts.append(f"{' and '.join(old) or 'plain'}, {' and '.join(new or ()) or 'plain'} desired")
        elif name == "bond" and old is not None and new is not None:
            parts += [
                f"{_word(part)} {_value(getattr(old, part))}, {_value(getattr(new, part))} desired"
                for part in old.__slots__
                if getattr(old, part) != getattr(new, part)
            ]
        else:
            parts.append(f"{_word(name)} {_value(old)}, {_value(new)} desired")
    return "; ".join(parts)


def _word(name: str) -> str:
    return name.removesuffix("_ms").replace("_", " ")


def _value(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(value) if isinstance(value, tuple) else str(value)
