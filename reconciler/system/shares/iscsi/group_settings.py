"""What the portal group of a target must look like, what it looks like, and the changes between the two. Pure.

Changes come in phases. All groups of one phase may run at once, and a group's own changes run in their order. The
order matters: objects that must go, then the group and its attributes, logical units, initiators, their logical units,
portals, and last the switch that lets initiators in. Portals that must go come after it. Only what differs is changed,
so sessions of other initiators go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from reconciler.system.shares.iscsi.identities import ADAPTER, backstore_of

#: The link in a logical unit. Other programs choose other names, so a link is known by where it leads.
LINK: Final = "hagit"
ENABLE: Final = "enable"
ALIAS: Final = "param/TargetAlias"


class TreeAction(StrEnum):
    """What happens to one object of the kernel's target. The words begin a sentence about what is not as it must be."""

    MAKE = "make"
    WRITE = "write"
    LINK = "link"
    UNLINK = "unlink"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class TreeChange:
    """One change. `value`: the text to write, or where a link leads. `text`: what is not as it must be, "" for parts.

    A `secret` value is never shown, also not by `repr`.
    """

    action: TreeAction
    path: str
    value: str = field(default="", repr=False)
    text: str = ""
    secret: bool = False


#: Changes in their order.
ChangeGroup = tuple[TreeChange, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One file of an object. `value`: as it must be; the kernel shows unset credentials as "" or NULL."""

    path: str
    value: str = field(repr=False)
    secret: bool = False

    def holds(self, found: str) -> bool:
        """Whether the kernel has this value."""
        return found == self.value or (self.value == UNSET and found in ("", UNSET))


#: Written to credentials, this means none (iscsi_target_configfs.c, __DEF_NACL_AUTH_STR).
UNSET: Final = "NULL"


@dataclass(frozen=True, slots=True)
class InitiatorSettings:
    """An initiator that may log in. If its secret is missing, it is not `known`: its object stays, and none is made."""

    iqn: str
    attributes: tuple[Attribute, ...]
    known: bool = True


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """The portal group of one share. `luns`: numbers, each with the serial number of its volume."""

    share: str
    iqn: str
    attributes: tuple[Attribute, ...]
    luns: tuple[tuple[int, str], ...]
    initiators: tuple[InitiatorSettings, ...]
    portals: tuple[str, ...]

    @property
    def place(self) -> str:
        """The portal group in the tree."""
        return place_of(self.iqn)


@dataclass(frozen=True, slots=True)
class InitiatorState:
    """The object of one initiator: its attributes that hagit sets, and the links in each of its logical units."""

    attributes: Mapping[str, str]
    luns: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class GroupState:
    """A portal group as it is. `luns`: the links in each logical unit, by its directory."""

    exists: bool
    enabled: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    luns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    initiators: Mapping[str, InitiatorState] = field(default_factory=dict)
    portals: tuple[str, ...] = ()


def place_of(iqn: str) -> str:
    """Return the portal group of a target in the tree; hagit's targets have one."""
    return f"iscsi/{iqn}/tpgt_1"


def unit_of(serial: str) -> str:
    """Return the backstore of a volume in the tree."""
    return f"core/{ADAPTER}/{backstore_of(serial)}"


def changes(settings: GroupSettings, state: GroupState) -> tuple[tuple[ChangeGroup, ...], ...]:
    """Return the phases that make a group what it must be; each is empty if nothing differs."""
    units = {f"lun_{number}": unit_of(serial) for number, serial in settings.luns}
    stale = {name for name, links in state.luns.items() if set(links.values()) != {units.get(name)} and links}
    stale |= set(state.luns) - set(units)
    kept = {initiator.iqn for initiator in settings.initiators}
    return (
        tuple(_removals(settings, state, stale, kept)),
        tuple(_base(settings, state)),
        tuple(_units(settings, state, stale, units)),
        tuple(_initiators(settings, state)),
        tuple(_mapped(settings, state, stale, units)),
        tuple(_portals(settings, state)),
        () if state.enabled else ((_write(settings.place, Attribute(ENABLE, "1"), "the portal group is disabled"),),),
        tuple(
            (TreeChange(TreeAction.REMOVE, f"{settings.place}/np/{name}", text=f"there is a portal {name}"),)
            for name in state.portals
            if name not in settings.portals
        ),
    )


def _removals(settings: GroupSettings, state: GroupState, stale: set[str], kept: set[str]) -> Iterator[ChangeGroup]:
    """Units in use end before their objects. An initiator that may no longer log in loses its session here."""
    place, wanted = settings.place, {f"lun_{number}" for number, _ in settings.luns}
    unmapped: list[TreeChange] = []
    for iqn, initiator in state.initiators.items():
        gone = iqn not in kept
        for name, links in initiator.luns.items():
            wrong = any(to != f"{place}/lun/{name}" for to in links.values())
            if gone or name in stale or name not in wanted or wrong:
                text = "" if gone else f"{iqn} has another {name.replace('_', ' ')}"
                unmapped += removal(f"{place}/acls/{iqn}/{name}", links, text)
        if gone:
            unmapped.append(TreeChange(TreeAction.REMOVE, f"{place}/acls/{iqn}", text=f"{iqn} may log in"))
    for name in sorted(stale):
        unmapped += removal(f"{place}/lun/{name}", state.luns[name], f"{name.replace('_', ' ')} is another volume")
    if unmapped:
        yield tuple(unmapped)


def removal(place: str, links: Mapping[str, str], text: str = "") -> list[TreeChange]:
    """Return the changes that remove a logical unit, or an initiator's view of one."""
    unlinked = [TreeChange(TreeAction.UNLINK, f"{place}/{link}") for link in links]
    return [*unlinked, TreeChange(TreeAction.REMOVE, place, text=text)]


def _base(settings: GroupSettings, state: GroupState) -> Iterator[ChangeGroup]:
    made: list[TreeChange] = []
    if not state.exists:
        target, _, _ = settings.place.rpartition("/")
        made = [TreeChange(TreeAction.MAKE, target), TreeChange(TreeAction.MAKE, settings.place, text="it is missing")]
    made += _attributes(settings.place, settings.attributes, state.attributes)
    if made:
        yield tuple(made)


def _attributes(
    place: str, wanted: tuple[Attribute, ...], found: Mapping[str, str], of: str = ""
) -> Iterator[TreeChange]:
    for attribute in wanted:
        value = found.get(attribute.path, "")
        if not attribute.holds(value):
            shown = "is not the configured one" if attribute.secret else f"is {value!r}, not {attribute.value!r}"
            yield _write(place, attribute, f"{of}{attribute.path} {shown}")


def _write(place: str, attribute: Attribute, text: str) -> TreeChange:
    return TreeChange(TreeAction.WRITE, f"{place}/{attribute.path}", attribute.value, text, attribute.secret)


def _units(
    settings: GroupSettings, state: GroupState, stale: set[str], units: Mapping[str, str]
) -> Iterator[ChangeGroup]:
    for name, unit in units.items():
        there = name in state.luns and name not in stale
        if not (there and state.luns[name]):
            yield _use(f"{settings.place}/lun/{name}", unit, there, f"{name.replace('_', ' ')} is missing")


def _use(place: str, to: str, there: bool, text: str) -> ChangeGroup:
    made = () if there else (TreeChange(TreeAction.MAKE, place),)
    return (*made, TreeChange(TreeAction.LINK, f"{place}/{LINK}", to, text))


def _initiators(settings: GroupSettings, state: GroupState) -> Iterator[ChangeGroup]:
    for initiator in settings.initiators:
        if not initiator.known:
            continue
        place, found = f"{settings.place}/acls/{initiator.iqn}", state.initiators.get(initiator.iqn)
        made: list[TreeChange] = []
        if found is None:
            made.append(TreeChange(TreeAction.MAKE, place, text=f"{initiator.iqn} may not log in"))
        # The texts name the object only: an attribute that is not there yet is no second fault.
        known = found.attributes if found is not None else {}
        made += _attributes(place, initiator.attributes, known, f"{initiator.iqn}: ")
        if made:
            yield tuple(made)


def _mapped(
    settings: GroupSettings, state: GroupState, stale: set[str], units: Mapping[str, str]
) -> Iterator[ChangeGroup]:
    for initiator in settings.initiators:
        found = state.initiators.get(initiator.iqn)
        if found is None and not initiator.known:
            continue
        for name in units:
            links = found.luns.get(name) if found is not None and name not in stale else None
            to = f"{settings.place}/lun/{name}"
            wrong = links is not None and any(value != to for value in links.values())
            if not links or wrong:
                there = links is not None and not wrong
                text = f"{initiator.iqn} lacks {name.replace('_', ' ')}"
                yield _use(f"{settings.place}/acls/{initiator.iqn}/{name}", to, there, text)


def _portals(settings: GroupSettings, state: GroupState) -> Iterator[ChangeGroup]:
    for name in settings.portals:
        if name not in state.portals:
            yield (TreeChange(TreeAction.MAKE, f"{settings.place}/np/{name}", text=f"portal {name} is missing"),)
