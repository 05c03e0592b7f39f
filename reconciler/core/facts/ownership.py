"""Who made what: the stamps that hagit leaves in the kernel, so that pruning needs no state file.

Decides which stamp means which owner. Does not know how a stamp is written or read.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

#: Protocol number on the agent's addresses (IFA_PROTO, Linux 5.18) and routes (rtm_protocol, rtnetlink(7)); both
#: spaces leave it to administrators.
AGENT_PROTOCOL: Final = 72

#: The same for what the watchdog places: virtual addresses. The agent never touches them.
WATCHDOG_PROTOCOL: Final = 73

#: Address protocols the kernel gives itself: loopback, router advertisement, link-local (linux/if_addr.h).
KERNEL_ADDRESS_PROTOCOLS: Final = frozenset({1, 2, 3})

#: Route protocols of the kernel itself: redirect, kernel, router advertisement (linux/rtnetlink.h).
KERNEL_ROUTE_PROTOCOLS: Final = frozenset({1, 2, 9})

#: First word of an alias that hagit wrote.
MARK_WORD: Final = "hagit"
#: First letters of the word by which an alias names a failover group.
CRITICAL_WORD: Final = "CriticalGroup"

#: The kernel refuses a longer alias (IFALIASZ less its terminating zero).
MARK_LENGTH_MAX: Final = 255


class Owner(StrEnum):
    """Who made an observed fact."""

    AGENT = "agent"
    WATCHDOG = "watchdog"
    KERNEL = "kernel"
    FOREIGN = "foreign"


def mark_text(resource: str, group: int | None, interlink: bool) -> str:
    """The alias of a link that carries `resource`: `hagit storage0 CriticalGroup1 Interlink`."""
    words = [MARK_WORD, resource]
    if group is not None:
        words.append(f"{CRITICAL_WORD}{group}")
    if interlink:
        words.append("Interlink")
    return " ".join(words)


def mark_owner(text: str) -> Owner:
    """Whose alias this is."""
    return Owner.AGENT if text.split(" ", 1)[0] == MARK_WORD else Owner.FOREIGN


def address_owner(protocol: int, *, link_local: bool) -> Owner:
    """Who made an address. Before Linux 5.18 every protocol reads 0, hence the look at link-local addresses."""
    if protocol == AGENT_PROTOCOL:
        return Owner.AGENT
    if protocol == WATCHDOG_PROTOCOL:
        return Owner.WATCHDOG
    if protocol in KERNEL_ADDRESS_PROTOCOLS or link_local:
        return Owner.KERNEL
    return Owner.FOREIGN


def route_owner(protocol: int) -> Owner:
    """Who made a route."""
    if protocol == AGENT_PROTOCOL:
        return Owner.AGENT
    if protocol == WATCHDOG_PROTOCOL:
        return Owner.WATCHDOG
    return Owner.KERNEL if protocol in KERNEL_ROUTE_PROTOCOLS else Owner.FOREIGN
