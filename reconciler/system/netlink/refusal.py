"""The kernel's no, as a sentence with a way out.

Decides only words: what was tried, the kernel's reason (its extended text where it gives one), and what a person can
do. Does not know whether the change was sensible.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from reconciler.core.facts.fact import Address, Fact, Link, Mark, Mtu, Port, Power, Route
from reconciler.core.facts.host_setting import HostSetting
from reconciler.core.facts.kernel import switch_on_ipv6
from reconciler.core.facts.state import Nic
from reconciler.core.facts.storage import Dataset, Pool, PoolProperty, Property
from reconciler.errors import NotPermitted, PerformError
from reconciler.system.netlink.channel import KernelRefused

STATUS: Final = Path("/proc/thread-self/status")
CAP_NET_ADMIN: Final = 12  # linux/capability.h
NOT_PERMITTED: Final = "run as root, or give the process CAP_NET_ADMIN in this network namespace"

_REMEDIES: Final = {
    errno.EPERM: NOT_PERMITTED,
    errno.ENODEV: "the link vanished or was renamed since the plan was made; make a new plan",
    errno.ENETUNREACH: "no address on a link that is up covers the gateway; check both",
    errno.EHOSTUNREACH: "no address on a link that is up covers the gateway; check both",
    errno.ENETDOWN: "bring the link up first",
    errno.EBUSY: "another program holds this link; see `ip -d link`",
    errno.ENOBUFS: "the kernel is out of memory for this; try again",
    errno.ENOMEM: "the kernel is out of memory for this; try again",
}


def refusal(problem: KernelRefused, before: Fact | None, after: Fact | None, nic: Nic | None = None) -> PerformError:
    """The PerformError for a change that the kernel refused. `nic` adds the limits of an MTU."""
    fact = after if after is not None else before
    assert fact is not None
    reason = problem.note or os.strerror(problem.code)
    if problem.code == errno.EPERM and not may_administer():
        return NotPermitted(
            f"the kernel refused to {deed(before, after)}: {reason}", where=place(fact), remedy=NOT_PERMITTED
        )
    remedy = _REMEDIES.get(problem.code, "")
    if isinstance(after, Mtu) and problem.code in (errno.EINVAL, errno.ERANGE) and nic is not None:
        limits = f"{nic.mtu_min} to {nic.mtu_max or 'any size'}"
        remedy = f"{nic.driver or 'the driver'} takes {limits} bytes; a VLAN takes no more than its parent"
    elif isinstance(after, Link) and problem.code == errno.EOPNOTSUPP:
        module = "8021q" if after.kind.value == "vlan" else f"{after.kind.value}ing".replace("bridgeing", "bridge")
        remedy = f"this kernel has no {after.kind.value} support; try `modprobe {module}`"
    elif isinstance(after, Address | Route) and problem.code == errno.EACCES and after.link is not None:
        remedy = switch_on_ipv6(after.link)
    elif isinstance(after, Route) and problem.code == errno.EEXIST:
        remedy = f"another route is in its place: ip route show table all to exact {after.destination}"
    elif isinstance(after, Link) and before is None and problem.code == errno.EEXIST:
        remedy = f"another link has this name, or has it as an alternative name: ip link show {after.name}"
    elif isinstance(after, Link) and before is not None:
        remedy = "bring the bond down and take its members out first, or make it anew"
    return PerformError(f"the kernel refused to {deed(before, after)}: {reason}", where=place(fact), remedy=remedy)


def may_administer() -> bool:
    """Whether this process has CAP_NET_ADMIN (capabilities(7)); True where /proc does not tell."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return True
    held = next((line.partition(":")[2] for line in lines if line.startswith("CapEff:")), "")
    return not held.strip() or bool(int(held, 16) >> CAP_NET_ADMIN & 1)


def place(fact: Fact) -> str:
    """The link, or what else a fact is about."""
    match fact:
        case Link(name=name):
            return name
        case Route(destination=destination):
            return f"route {destination}"
        case Port() | Power() | Mtu() | Mark() | Address():
            return fact.link
        case _:
            return fact.key[0]


def deed(before: Fact | None, after: Fact | None) -> str:
    """What was tried, as a verb with its object."""
    fact = after if after is not None else before
    removing = after is None
    match fact:
        case Link(name=name, kind=kind):
            verb = "remove" if removing else "make" if before is None else "change"
            return f"{verb} the {kind.value} {name}"
        case Port(link=link, master=master):
            return f"take {link} out of {master}" if removing else f"make {link} a member of {master}"
        case Power(link=link, up=up):
            return f"bring {link} {'up' if up else 'down'}"
        case Mtu(link=link, size=size):
            return f"set the MTU of {link} to {size}"
        case Mark(link=link):
            return f"remove the alias of {link}" if removing else f"set the alias of {link}"
        case Address(link=link, address=address):
            return f"remove {address} from {link}" if removing else f"add {address} to {link}"
        case Route(destination=destination, metric=metric):
            verb = "remove" if removing else "add" if before is None else "change"
            return f"{verb} the route to {destination} (metric {metric})"
        case HostSetting():
            return f"{'remove' if removing else 'set'} the {fact.key[0]}"
        case Pool() | PoolProperty() | Dataset() | Property():
            return " ".join(fact.key)
        case None:
            raise AssertionError("a change of nothing")
