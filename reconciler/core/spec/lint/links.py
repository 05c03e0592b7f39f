"""Defects of single links and their makes: names, matches, VLANs, bonds, MTUs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.core.facts.fact import BondMode, LinkKind
from reconciler.core.spec.defect import Finding, defect
from reconciler.core.spec.nearest import suggestion
from reconciler.core.spec.topology import SpecDraft, is_virtual_kind
from reconciler.core.spec.values import KERNEL_NAME, RESOURCE_NAME

#: linux/if.h: IFNAMSIZ less the zero at the end.
NAME_LENGTH_MAX = 15

#: MTU of an Ethernet link by default.
_MTU_ETHERNET = 1500
#: RFC 8200, section 5.
_MTU_IPV6_MIN = 1280


@defect("kernel-name")
def kernel_name(draft: SpecDraft) -> Iterator[Finding]:
    """A bond, VLAN or bridge has a name that the kernel refuses."""
    for interface in draft.interfaces.values():
        if interface.spec.kind is not LinkKind.PHYSICAL and not re.fullmatch(KERNEL_NAME, interface.name):
            what = f"the kernel does not take `{interface.name}` as the name of a {interface.spec.kind}"
            remedy = "Use at most 15 letters, digits, dots, dashes and underscores."
            if re.fullmatch(RESOURCE_NAME, interface.name) and len(interface.name) <= NAME_LENGTH_MAX:
                remedy = "It has that name for something of its own: choose another."
            yield interface, (), what, remedy


@defect("match-missing")
def match_missing(draft: SpecDraft) -> Iterator[Finding]:
    """A physical interface does not say how a controller finds its NIC."""
    for interface in draft.interfaces.values():
        if interface.spec.kind is not LinkKind.PHYSICAL:
            continue
        remedy = 'Add match: {mac: "…"}, or bond:, vlan: or bridge: when hagit is to make the link.'
        if interface.spec.a is None and interface.spec.b is None:
            yield interface, (), f"`{interface.name}` is on no controller", f"Add a: and b:. {remedy}"
        for controller in ("a", "b"):
            half = interface.spec.half(controller)
            if half is not None and half.match is None:
                what = f"`{interface.name}` does not say how controller {controller} finds its NIC"
                yield interface, (controller,), what, remedy


@defect("match-on-virtual")
def match_on_virtual(draft: SpecDraft) -> Iterator[Finding]:
    """A bond, VLAN or bridge says how its NIC is found, but has none."""
    for interface in draft.interfaces.values():
        for controller in ("a", "b"):
            half = interface.spec.half(controller)
            if interface.spec.kind is not LinkKind.PHYSICAL and half is not None and half.match is not None:
                what = f"a {interface.spec.kind} has no NIC to match"
                remedy = "Take `match` out: hagit finds the link by the name of the resource."
                yield interface, (controller, "match"), what, remedy


@defect("nic-twice")
def nic_twice(draft: SpecDraft) -> Iterator[Finding]:
    """Two interfaces claim the same NIC."""
    seen: dict[tuple[str, str, str], str] = {}
    for interface in draft.interfaces.values():
        for controller in ("a", "b"):
            half = interface.spec.half(controller)
            if half is None or half.match is None:
                continue
            for word, value in (("mac", half.match.mac), ("path", half.match.path), ("name", half.match.name)):
                # A MAC is unique in the world; paths and names are usually the same on both controllers.
                scope = "" if word == "mac" else controller
                mine = f"{interface.name}.{controller}"
                first = seen.setdefault((scope, word, value), mine) if value is not None else mine
                if first != mine:
                    what = f"`{interface.name}` and `{first[:-2]}` claim the same NIC, {word} {value}"
                    if first[:-2] == interface.name:
                        what = f"both controllers claim the same NIC, {word} {value}"
                    yield interface, (controller, "match", word), what, "Each NIC belongs to one interface."


@defect("name-taken")
def name_taken(draft: SpecDraft) -> Iterator[Finding]:
    """A NIC is matched by a name that a bond, VLAN or bridge has."""
    for controller, side in draft.sides.items():
        made = {name for name, face in side.faces.items() if is_virtual_kind(face)}
        for face in side.faces.values():
            half = face.spec.half(controller) if not is_virtual_kind(face) else None
            if half is not None and half.match is not None and half.match.name in made:
                what = f"`{half.match.name}` is no NIC but a link that hagit makes"
                yield face.resource, (controller, "match", "name"), what, "Match the NIC by its MAC, or rename one."


@defect("parent-missing")
def parent_missing(draft: SpecDraft) -> Iterator[Finding]:
    """A VLAN is on an interface that is not there."""
    for controller, side in draft.sides.items():
        for face in side.faces.values():
            if face.spec.vlan is None or draft.incomplete or face.spec.vlan.parent in side.faces:
                continue
            parent = face.spec.vlan.parent
            if parent in draft.interfaces:
                what = f"the parent `{parent}` is not on controller {controller}"
                remedy = f"Add {controller}: to `{parent}`, or give `{face.name}` only the other half."
            else:
                what = f"there is no interface `{parent}`"
                remedy = suggestion(parent, draft.interfaces)
            yield face.resource, ("vlan", "parent"), what, remedy


@defect("vlan-twice")
def vlan_twice(draft: SpecDraft) -> Iterator[Finding]:
    """Two VLANs have the same id on the same parent."""
    for side in draft.sides.values():
        seen: dict[tuple[str, int], str] = {}
        for face in side.faces.values():
            vlan = face.spec.vlan
            if vlan is not None and (first := seen.setdefault((vlan.parent, vlan.id), face.name)) != face.name:
                what = f"`{first}` is VLAN {vlan.id} on `{vlan.parent}` already"
                yield face.resource, ("vlan", "id"), what, "Use another id, or merge the two."


@defect("lacp-rate")
def lacp_rate(draft: SpecDraft) -> Iterator[Finding]:
    """A bond that does not speak LACP has a rate for it."""
    for interface in draft.interfaces.values():
        bond = interface.spec.bond
        if bond is not None and bond.lacp_rate is not None and bond.mode is not BondMode.LACP:
            what = f"`lacpRate` means nothing to a bond in mode {bond.mode}"
            yield interface, ("bond", "lacpRate"), what, "Take it out, or use mode: 802.3ad."


@defect("miimon-zero", warning=True)
def miimon_zero(draft: SpecDraft) -> Iterator[Finding]:
    """A bond never looks at the carrier of its members."""
    for interface in draft.interfaces.values():
        if interface.spec.bond is not None and interface.spec.bond.miimon == 0:
            what = "with `miimon: 0` the bond never notices that a member has lost its link"
            yield interface, ("bond", "miimon"), what, "100 is usual."


@defect("mtu-above-parent")
def mtu_above_parent(draft: SpecDraft) -> Iterator[Finding]:
    """A VLAN has a larger MTU than the interface it is on."""
    for side in draft.sides.values():
        for face in side.faces.values():
            parent = side.faces.get(face.spec.vlan.parent) if face.spec.vlan else None
            if parent is None or face.spec.mtu is None:
                continue
            limit = parent.spec.mtu or _MTU_ETHERNET
            if face.spec.mtu > limit:
                said = "has" if parent.spec.mtu else "states no MTU, which means"
                what = f"the MTU {face.spec.mtu} is larger than the parent's: `{parent.name}` {said} {limit}"
                yield face.resource, ("mtu",), what, f"Raise it on `{parent.name}` too, or lower this one."


@defect("mtu-members")
def mtu_members(draft: SpecDraft) -> Iterator[Finding]:
    """A member of a bond has another MTU than the bond, or a member of a bridge a smaller one than the bridge."""
    for side in draft.sides.values():
        for face in side.faces.values():
            mtu = face.spec.mtu
            for name in face.spec.members:
                member = side.faces.get(name)
                if mtu is None or member is None or member.spec.mtu is None:
                    continue
                if member.spec.mtu < mtu or (face.spec.bond is not None and member.spec.mtu != mtu):
                    what = f"the MTU {member.spec.mtu} does not fit `{face.name}`, which has {mtu}"
                    remedy = "Take it out: a bond sets the MTU of its members." if face.spec.bond else "Raise it."
                    yield member.resource, ("mtu",), what, remedy


@defect("mtu-ipv6")
def mtu_ipv6(draft: SpecDraft) -> Iterator[Finding]:
    """An interface with IPv6 addresses has an MTU below 1280."""
    for side in draft.sides.values():
        for face in side.faces.values():
            small = face.spec.mtu is not None and face.spec.mtu < _MTU_IPV6_MIN
            if small and any(address.version == 6 for _, address in face.addresses + face.virtual):
                what = f"IPv6 needs an MTU of at least {_MTU_IPV6_MIN}"
                yield face.resource, ("mtu",), what, "Raise it, or take the IPv6 addresses out."
