"""The IPv6 link-local addresses of this controller, as the kernel lists them (/proc/net/if_inet6).

They are there without any configuration, so two controllers reach each other by them before the first revision.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

#: Of the network namespace of the thread that asks: /proc/net would be that of the process.
IF_INET6: Final = Path("/proc/thread-self/net/if_inet6")


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
