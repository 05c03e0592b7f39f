"""The messages that make a bond, a VLAN or a bridge and change their options, packed by pyroute2.

Decides which options are stated. Imported only when a link has to be made: pyroute2 costs a tenth of a second to
import. See ip-link(8), linux/if_link.h.
"""

from __future__ import annotations

from typing import Any

from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from reconciler.core.facts.fact import BondOptions, Link, LinkKind
from reconciler.system.netlink.links import BOND_MODES, HASH_POLICIES, LACP_RATES
from reconciler.system.netlink.wire import HEADER


def link_message(link: Link, parent: int, *, only: BondOptions | None = None) -> bytes:
    """The body of a request that makes `link`, or changes it. `parent` is the index of a VLAN's parent, else 0.

    With `only`, options of a bond that are equal there are left out, because the kernel refuses some of them on a
    bond in use even where nothing would change.
    """
    attributes: list[tuple[str, Any]] = [("IFLA_IFNAME", link.name)]
    data: list[tuple[str, Any]] = []
    match link.kind:
        case LinkKind.BOND:
            assert link.bond is not None, "a bond without options"
            data = _bond(link.bond, only)
        case LinkKind.VLAN:
            data = [("IFLA_VLAN_ID", link.vlan_id)]
            attributes.append(("IFLA_LINK", parent))
        case LinkKind.BRIDGE:
            data = [("IFLA_BR_STP_STATE", int(bool(link.stp)))]
        case LinkKind.PHYSICAL:
            raise AssertionError("a NIC is never made")
    info = [("IFLA_INFO_KIND", link.kind.value), ("IFLA_INFO_DATA", {"attrs": data})]
    attributes.append(("IFLA_LINKINFO", {"attrs": info}))
    message = ifinfmsg()
    message["attrs"] = attributes
    message.encode()
    return bytes(message.data[HEADER.size :])


def _bond(options: BondOptions, only: BondOptions | None) -> list[tuple[str, int]]:
    stated: list[tuple[str, int]] = []
    if only is None or only.mode is not options.mode:
        stated.append(("IFLA_BOND_MODE", BOND_MODES.index(options.mode)))
    if only is None or only.miimon_ms != options.miimon_ms:
        stated.append(("IFLA_BOND_MIIMON", options.miimon_ms))
    if only is None or only.hash_policy is not options.hash_policy:
        stated.append(("IFLA_BOND_XMIT_HASH_POLICY", HASH_POLICIES.index(options.hash_policy)))
    if options.lacp_rate is not None and (only is None or only.lacp_rate is not options.lacp_rate):
        stated.append(("IFLA_BOND_AD_LACP_RATE", LACP_RATES.index(options.lacp_rate)))
    return stated
