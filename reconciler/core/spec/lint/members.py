"""Defects of bonds and bridges with their members."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.facts.fact import LinkKind
from reconciler.core.spec.defect import Finding, defect
from reconciler.core.spec.nearest import suggestion
from reconciler.core.spec.topology import ControllerTopology, SpecDraft
from reconciler.core.spec.tree import Path

#: What the kernel takes as a member: no bond in a bond, no bridge in a bridge; hagit makes bonds of NICs only.
_FITTING = {
    LinkKind.BOND: {LinkKind.PHYSICAL},
    LinkKind.BRIDGE: {LinkKind.PHYSICAL, LinkKind.BOND, LinkKind.VLAN},
}

#: Names of a circle that are shown at most.
_SHOWN_MAX = 8


def _path(kind: LinkKind, index: int) -> Path:
    return (str(kind), "members", index)


@defect("member-missing")
def member_missing(draft: SpecDraft) -> Iterator[Finding]:
    """A bond or bridge has a member that is not there."""
    for controller, side in draft.sides.items():
        for face in side.faces.values():
            for index, name in enumerate(face.spec.members):
                if name in side.faces or draft.incomplete:
                    continue
                what, remedy = f"there is no interface `{name}`", suggestion(name, draft.interfaces)
                if name in draft.interfaces:
                    what = f"the member `{name}` is not on controller {controller}"
                    remedy = f"Add {controller}: to `{name}`, or give `{face.name}` only the other half."
                yield face.resource, _path(face.spec.kind, index), what, remedy


@defect("member-twice")
def member_twice(draft: SpecDraft) -> Iterator[Finding]:
    """An interface is a member of two bonds or bridges, or twice of one."""
    for side in draft.sides.values():
        seen: dict[str, str] = {}
        for face in side.faces.values():
            for index, name in enumerate(face.spec.members):
                place = f"{face.name} {index}"
                first = seen.setdefault(name, place)
                if first != place:
                    what = f"`{name}` is a member of `{first.split(' ')[0]}` already"
                    yield face.resource, _path(face.spec.kind, index), what, "An interface has one master: keep one."


@defect("member-kind")
def member_kind(draft: SpecDraft) -> Iterator[Finding]:
    """A bond or bridge has a member that cannot be one."""
    for side in draft.sides.values():
        for face in side.faces.values():
            for index, name in enumerate(face.spec.members):
                member = side.faces.get(name)
                if member is not None and member.spec.kind not in _FITTING[face.spec.kind] and name != face.name:
                    what = f"a {member.spec.kind} cannot be a member of a {face.spec.kind}"
                    fitting = " or ".join(sorted(_FITTING[face.spec.kind]))
                    yield face.resource, _path(face.spec.kind, index), what, f"Members are of kind {fitting}."


@defect("member-addressed")
def member_addressed(draft: SpecDraft) -> Iterator[Finding]:
    """A member of a bond or bridge has addresses of its own."""
    for side in draft.sides.values():
        for face in side.faces.values():
            for name in face.spec.members:
                member = side.faces.get(name)
                for path, address in (member.addresses + member.virtual) if member else ():
                    what = f"`{name}` is a member of `{face.name}`, so its address {address} would not be reachable"
                    assert member is not None
                    yield member.resource, path, what, f"Move the address to `{face.name}`."


@defect("bond-empty", warning=True)
def bond_empty(draft: SpecDraft) -> Iterator[Finding]:
    """A bond has no members."""
    for interface in draft.interfaces.values():
        if interface.spec.bond is not None and not interface.spec.bond.members:
            yield interface, ("bond", "members"), "a bond without members carries nothing", "List its NICs."


@defect("link-cycle")
def link_cycle(draft: SpecDraft) -> Iterator[Finding]:
    """Interfaces that are, by their members and parents, on top of themselves."""
    for side in draft.sides.values():
        done: set[str] = set()
        for name in side.faces:
            if name in done:
                continue
            cycle = _cycle(side, name, done)
            if cycle:
                face = side.faces[cycle[0]]
                shown = cycle if len(cycle) <= _SHOWN_MAX else [*cycle[:_SHOWN_MAX], "…"]
                what = "these interfaces are on top of one another in a circle: " + " → ".join([*shown, cycle[0]])
                yield face.resource, (str(face.spec.kind),), what, "Take one of them out of the circle."


def _below(side: ControllerTopology, name: str) -> list[str]:
    spec = side.faces[name].spec
    below = [spec.vlan.parent] if spec.vlan is not None else spec.members
    return [other for other in below if other in side.faces]


def _cycle(side: ControllerTopology, start: str, done: set[str]) -> list[str]:
    """The first circle met on the way down from `start`; iterative, because a chain can be as long as the tree.

    `trail` is a dictionary for its order and its quick look-up; the values mean nothing.
    """
    trail = {start: None}
    todo = [iter(_below(side, start))]
    while todo:
        name = next(todo[-1], None)
        if name is None:
            todo.pop()
            done.add(trail.popitem()[0])
        elif name in trail:
            done.update(trail)
            names = list(trail)
            return names[names.index(name) :]
        elif name not in done:
            trail[name] = None
            todo.append(iter(_below(side, name)))
    return []
