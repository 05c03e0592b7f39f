"""Defects of what failover depends on: critical interfaces, groups, the interlink."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.spec.defect import Finding, defect
from reconciler.core.spec.interface import Role
from reconciler.core.spec.topology import SpecDraft


@defect("critical-without-group")
def critical_without_group(draft: SpecDraft) -> Iterator[Finding]:
    """A critical interface belongs to no failover group."""
    for interface in draft.interfaces.values():
        if interface.spec.critical and interface.spec.failover_group is None:
            what = f"`{interface.name}` is critical and in no failover group"
            yield interface, ("critical",), what, "Add failoverGroup: 1; interfaces with one number count together."


@defect("group-without-members")
def group_without_members(draft: SpecDraft) -> Iterator[Finding]:
    """A failover group has no critical member on a controller, so it could never be down there."""
    for controller, side in draft.sides.items():
        alive = {face.spec.failover_group for face in side.faces.values() if face.spec.critical}
        for interface in draft.interfaces.values():
            group = interface.spec.failover_group
            if group is None or group in alive or draft.incomplete:
                continue
            alive.add(group)  # one complaint for each group, at its first member
            what = f"failover group {group} has no critical member on controller {controller}"
            yield interface, ("failoverGroup",), what, "Add critical: true to an interface of the group."


@defect("critical-without-virtual", warning=True)
def critical_without_virtual(draft: SpecDraft) -> Iterator[Finding]:
    """A critical interface has no virtual address, so nothing moves when it fails."""
    for interface in draft.interfaces.values():
        if interface.spec.critical and interface.spec.virtual is None:
            what = f"`{interface.name}` is critical and has no virtual address: clients would not follow a failover"
            yield interface, ("critical",), what, "Add virtual: {address: …, vhid: …}."


@defect("interlink-alone")
def interlink_alone(draft: SpecDraft) -> Iterator[Finding]:
    """The interlink is critical or has a virtual address, but it is for the two controllers alone."""
    for interface in draft.interfaces.values():
        if interface.spec.role is not Role.INTERLINK:
            continue
        remedy = "The interlink is private to the controllers: use another interface for clients."
        if interface.spec.virtual is not None:
            yield interface, ("virtual",), "the interlink has a virtual address", remedy
        if interface.spec.critical or interface.spec.failover_group is not None:
            path = "critical" if interface.spec.critical else "failoverGroup"
            yield interface, (path,), "the interlink takes part in a failover group", remedy


@defect("interlink-twice")
def interlink_twice(draft: SpecDraft) -> Iterator[Finding]:
    """There are two interlinks."""
    interlinks = [interface for interface in draft.interfaces.values() if interface.spec.role is Role.INTERLINK]
    for interface in interlinks[1:]:
        what = f"`{interlinks[0].name}` is the interlink already"
        yield interface, ("role",), what, "There is one; make a bond of two NICs to have a spare."


@defect("interlink-network")
def interlink_network(draft: SpecDraft) -> Iterator[Finding]:
    """The two ends of the interlink have no common network."""
    for interface in draft.interfaces.values():
        ends = [side.faces[interface.name] for side in draft.sides.values() if interface.name in side.faces]
        if interface.spec.role is not Role.INTERLINK or len(ends) < 2:
            continue
        first, second = ({address.network for _, address in end.addresses} for end in ends)
        if not first & second:
            what = "the two ends of the interlink are in no common network"
            yield interface, ("role",), what, "Give both an address of one network: 169.254.10.1/24, 169.254.10.2/24."


@defect("interlink-missing", warning=True)
def interlink_missing(draft: SpecDraft) -> Iterator[Finding]:
    """There are virtual addresses and no interlink."""
    moving = [interface for interface in draft.interfaces.values() if interface.spec.virtual is not None]
    known = any(interface.spec.role is Role.INTERLINK for interface in draft.interfaces.values())
    if moving and not known and len(draft.sides) == 2 and not draft.incomplete:
        what = "there are virtual addresses and no interlink: the controllers hear each other on client networks only"
        yield draft.pair, (), what, "Add an Interface with role: interlink."
