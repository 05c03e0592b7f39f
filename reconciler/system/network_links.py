"""The links of this controller by which the other one is found: link-local addresses, and which are interlinks.

The kernel lists IPv6 link-local addresses (/proc/net/if_inet6). They are there without any configuration, so two
controllers reach each other by them before the first revision. The alias of a link says whether it is an interlink.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from reconciler.core.facts.ownership import MARK_WORD

#: Of the network namespace of the thread that asks: /proc/net would be that of the process.
IF_INET6: Final = Path("/proc/thread-self/net/if_inet6")
LINKS: Final = Path("/sys/class/net")


def link_local_addresses(links: Collection[str] | None = None) -> tuple[str, ...]:
    """Each link-local address with its link, `fe80::1%enp2s0`, of these links or of all but the loopback.

    Empty where the kernel has no IPv6.
    """
    try:
        text = IF_INET6.read_text()
    except OSError:
        return ()
    found = []
    # fe80000000000000020000fffe000a00 02 40 20 80  e0: address, index, prefix, scope, flags, name, all but it in hex
    for line in text.splitlines():
        words = line.split()
        if len(words) == 6 and words[3] == "20" and (links is None or words[5] in links):
            found.append(f"{IPv6Address(int(words[0], 16))}%{words[5]}")
    return tuple(found)


def interlinks() -> tuple[str, ...]:
    """The links that an applied revision has marked as interlinks; none before the first one."""
    found = []
    for alias in sorted(LINKS.glob("*/ifalias")):
        # A link may go away between the list and the look.
        with contextlib.suppress(OSError):
            words = alias.read_text().split()
            if words[:1] == [MARK_WORD] and "Interlink" in words[2:]:
                found.append(alias.parent.name)
    return tuple(found)
