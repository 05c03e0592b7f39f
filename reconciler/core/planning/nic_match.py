"""Binding: which NIC of this controller each desired interface means, and the desired facts in the kernel's names.

Decides nothing about a resource whose NIC cannot be told: that resource, and what rests on it, becomes a hold, and
everything else goes on, so that one missing NIC never locks out the commit that mends it. Binding therefore never
fails as a whole. On a controller that is not the active one it leaves out pools and datasets: a pool that is on the
other controller is never missing here. Does not know what differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from reconciler.core.facts.fact import Address, Fact, Key, Link, LinkKind, Mark, Port, Route
from reconciler.core.facts.host_setting import HostSetting
from reconciler.core.facts.ownership import MARK_WORD
from reconciler.core.facts.state import Desired, Nic, NicMatch, Observed, Origin, Placement, facts_by_key
from reconciler.core.facts.storage import STORAGE_WORDS, StorageFact
from reconciler.core.planning.plan import LOOKS_AGAIN, Gate, HeldChange


@dataclass(frozen=True, slots=True)
class BoundState:
    """What is desired, in kernel names, without what is held.

    `names` leads from resource to kernel name. `spared` are observed keys that may belong to a held resource: they are
    neither pruned nor shown as foreign. `notes` say which pools are left to the other controller, and why.
    """

    desired: Desired
    names: Mapping[str, str] = field(default_factory=dict)
    holds: tuple[HeldChange, ...] = ()
    spared: frozenset[Key] = frozenset()
    notes: tuple[str, ...] = ()


def bind(desired: Desired, observed: Observed) -> BoundState:
    """Bind the desired facts to the links of this controller. Every problem becomes a hold; nothing is raised."""
    elsewhere, notes = _left_to_others(desired, observed)
    names, problems = _match(desired, observed)
    held = _resting_on(desired, set(problems))
    facts: list[Fact] = []
    origins: dict[Key, Origin] = {}
    left_out: list[Fact] = []
    for key, fact in desired.facts.items():
        if elsewhere and len(key) > 1 and key[1] in elsewhere and key[0] in STORAGE_WORDS:
            continue
        if held and any(link in held for link in links_of(fact)):
            left_out.append(fact)
            continue
        bound = rename(fact, names)
        facts.append(bound)
        if key in desired.origins:
            origins[bound.key] = desired.origins[key]
    for fact in desired.facts.values():
        if isinstance(fact, Link) and fact.name not in held:
            names.setdefault(fact.name, fact.name)
    origins.update((key, desired.origins[key]) for key in desired.destroy if key in desired.origins)
    bound_desired = replace(desired, facts=facts_by_key(facts), origins=MappingProxyType(origins))
    if elsewhere:
        destroy = {key: protected for key, protected in desired.destroy.items() if key[1] not in elsewhere}
        bound_desired = replace(bound_desired, destroy=destroy)
    holds = (*problems.values(), *_waiting(desired, left_out, set(problems)))
    return BoundState(bound_desired, MappingProxyType(names), holds, _spared(observed, held, left_out), notes)


def _left_to_others(desired: Desired, observed: Observed) -> tuple[frozenset[str], tuple[str, ...]]:
    """The pools of which nothing is desired here now, and sentences that say why."""
    keys = [key for key in (*desired.facts, *desired.destroy) if key[0] in STORAGE_WORDS]
    pools = sorted({key[1] for key in keys})
    if not pools or observed.placement is Placement.ACTIVE:
        return frozenset(), ()
    if observed.placement is Placement.STANDBY:
        why = observed.placement_why or "this controller is not the active one"
        return frozenset(pools), (f"left to the active controller: {', '.join(pools)} ({why})",)
    if desired.alone:
        return frozenset(), ()
    gone = [pool for pool in pools if _is_absent(("pool", pool), observed)]
    notes = (f"left to the controller that has imported it: {pool} (it is not imported here)" for pool in gone)
    return frozenset(gone), tuple(notes)


def _is_absent(key: Key, observed: Observed) -> bool:
    return key not in observed.facts and observed.why_unknown(key) is None


def links_of(fact: Fact) -> tuple[str, ...]:
    """The links a fact rests on, itself included when it is a link."""
    if isinstance(fact, Link):
        return (fact.name,) if fact.parent is None else (fact.name, fact.parent)
    if isinstance(fact, Port):
        return (fact.link, fact.master)
    link = getattr(fact, "link", None)
    return (link,) if link else ()


def rename(fact: Fact, names: Mapping[str, str]) -> Fact:
    """A fact in the kernel's names."""
    if isinstance(fact, Link):
        parent = names.get(fact.parent, fact.parent) if fact.parent is not None else None
        name = names.get(fact.name, fact.name)
        return fact if (name, parent) == (fact.name, fact.parent) else replace(fact, name=name, parent=parent)
    if isinstance(fact, Port):
        return Port(names.get(fact.link, fact.link), names.get(fact.master, fact.master))
    if isinstance(fact, HostSetting | StorageFact):
        return fact
    if fact.link is None or names.get(fact.link, fact.link) == fact.link:
        return fact
    return replace(fact, link=names[fact.link])


def _match(desired: Desired, observed: Observed) -> tuple[dict[str, str], dict[str, HeldChange]]:
    """Kernel names of the resources that matched one NIC each, and a hold for every other."""
    index = _Index(observed)
    found: dict[str, str] = {}
    problems: dict[str, HeldChange] = {}
    for resource, match in desired.matches.items():
        candidates = index.find(match)
        if len(candidates) == 1 and index.is_nic(candidates[0]):
            found[resource] = candidates[0]
        else:
            problems[resource] = _problem(desired, resource, *index.complaint(match, candidates))
    claims: dict[str, list[str]] = {}
    for resource, nic in found.items():
        claims.setdefault(nic, []).append(resource)
    for fact in desired.facts.values():
        if isinstance(fact, Link) and fact.kind is not LinkKind.PHYSICAL and fact.name in claims:
            owner = claims[fact.name][0]
            why = f"{fact.name} is the name of the NIC that {owner} matches, so no {fact.kind} can have it"
            problems[fact.name] = _problem(desired, fact.name, why, f"rename this {fact.kind}", Gate.NIC)
    for nic, resources in claims.items():
        if len(resources) < 2:
            continue
        places = ", ".join(f"{_place(desired, resource)} ({resource})" for resource in resources)
        for resource in resources:
            del found[resource]
            why = f"{' and '.join(resources)} claim the same NIC {nic}: {places}"
            problems[resource] = _problem(desired, resource, why, "let each interface match a NIC of its own", Gate.NIC)
    return found, problems


def _place(desired: Desired, resource: str) -> str:
    origin = desired.match_origins.get(resource)
    return f"{origin.file}:{origin.line}:{origin.column}" if origin is not None else resource


def _problem(desired: Desired, resource: str, why: str, remedy: str, gate: Gate) -> HeldChange:
    origin = desired.match_origins.get(resource) or desired.origins.get(("link", resource))
    name = origin.resource if origin is not None else f"Interface/{resource}"
    return HeldChange(("link", resource), gate, why, remedy, origin, name)


class _Index:
    """The links of a controller by everything a match may say."""

    def __init__(self, observed: Observed) -> None:
        self.observed = observed
        self.by_mac: dict[str, list[str]] = {}
        self.by_path: dict[str, list[str]] = {}
        for name in sorted(observed.nics):
            nic = observed.nics[name]
            # VLANs and bonds carry the MAC of what they rest on; only NICs are found by it.
            if nic.mac and self.is_nic(name):
                self.by_mac.setdefault(nic.mac.lower(), []).append(name)
            if nic.path and self.is_nic(name):
                self.by_path.setdefault(nic.path, []).append(name)

    def is_nic(self, name: str) -> bool:
        """Whether a link is one that hagit is handed, not one that is made."""
        link = self.observed.facts.get(("link", name))
        return not isinstance(link, Link) or link.kind is LinkKind.PHYSICAL

    def find(self, match: NicMatch) -> list[str]:
        """Names of all links that match."""
        if match.mac is not None:
            return self.by_mac.get(match.mac.lower(), [])
        if match.path is not None:
            if not match.path.endswith("*"):
                return self.by_path.get(match.path, [])
            stem = match.path[:-1]
            return [name for path, names in sorted(self.by_path.items()) if path.startswith(stem) for name in names]
        assert match.name is not None
        return [match.name] if match.name in self.observed.nics else []

    def complaint(self, match: NicMatch, candidates: list[str]) -> tuple[str, str, Gate]:
        """What is wrong with a match that does not lead to one NIC, what to do, and the gate."""
        unseen = self.observed.why_unknown(("link", match.name or ""))
        if not candidates and unseen is not None:
            return (
                f"whether a NIC has {match} is not known: {unseen}",
                LOOKS_AGAIN,
                Gate.UNKNOWN,
            )
        if not candidates:
            return f"no NIC has {match}; {self._inventory()}", "correct the match, or plug the NIC in", Gate.NIC
        if len(candidates) > 1:
            return f"{match} matches {', '.join(candidates)}", "match one NIC, by its MAC or its whole path", Gate.NIC
        link = self.observed.facts.get(("link", candidates[0]))
        kind = link.kind.value if isinstance(link, Link) else "link"
        return f"{match} is a {kind}, not a NIC", "match a NIC, or declare the interface as what it is", Gate.NIC

    def _inventory(self) -> str:
        nics = [self._describe(self.observed.nics[name]) for name in sorted(self.observed.nics) if self.is_nic(name)]
        if not nics:
            return "there is no NIC here"
        more = f" and {len(nics) - 8} more" if len(nics) > 8 else ""
        return "here are " + ", ".join(nics[:8]) + more

    def _describe(self, nic: Nic) -> str:
        words = [word for word in (nic.mac, nic.path, *(f"also called {name}" for name in nic.altnames[:2])) if word]
        return f"{nic.name} ({' '.join(words)})" if words else nic.name


def _resting_on(desired: Desired, held: set[str]) -> set[str]:
    """The held resources and every link that cannot exist without one: VLANs upon them, and so on."""
    if not held:
        return held
    parents: dict[str, list[str]] = {}
    for fact in desired.facts.values():
        if isinstance(fact, Link) and fact.parent is not None:
            parents.setdefault(fact.parent, []).append(fact.name)
    waiting = list(held)
    while waiting:
        for child in parents.get(waiting.pop(), ()):
            if child not in held:
                held.add(child)
                waiting.append(child)
    return held


def _waiting(desired: Desired, left_out: list[Fact], problems: set[str]) -> Iterator[HeldChange]:
    """A hold for everything that waits for a held resource, apart from that resource's own facts."""
    for fact in left_out:
        links = links_of(fact)
        if links[0] in problems and not isinstance(fact, Port | Route):
            continue
        cause = next((link for link in reversed(links) if link in problems), links[-1])
        if isinstance(fact, Link | Port | Route):
            origin = desired.origins.get(fact.key)
            resource = origin.resource if origin is not None else ""
            yield HeldChange(
                fact.key, Gate.WAITS, f"rests on {cause}, which is held", f"mend {cause} first", origin, resource
            )


def _spared(observed: Observed, held: set[str], left_out: list[Fact]) -> frozenset[Key]:
    """Observed keys that may be what a held resource desires, under whichever name its link goes now."""
    if not held:
        return frozenset()
    keys = {fact.key for fact in left_out}
    addresses = {fact.address for fact in left_out if isinstance(fact, Address)}
    links = set(held)
    for fact in observed.facts.values():
        if isinstance(fact, Mark):
            words = fact.text.split(" ")
            if words[0] == MARK_WORD and len(words) > 1 and words[1] in held:
                links.add(fact.link)
    for key, fact in observed.facts.items():
        if (isinstance(fact, Address) and fact.address in addresses) or any(link in links for link in links_of(fact)):
            keys.add(key)
    return frozenset(keys)
