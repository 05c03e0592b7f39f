"""What the Linux kernel never lets a link be called, and where it has been told to do without IPv6.

Decides words only: the names that are taken, and the command that changes a setting.
"""

from __future__ import annotations

from typing import Final

#: Names that no new link can have: the loopback, the two entries of net.ipv4.conf that are no links (`all`, `default`),
#: and the file that bonding keeps beside the links (/sys/class/net/bonding_masters).
RESERVED_NAMES: Final = frozenset({"lo", "all", "default", "bonding_masters"})


def switch_on_ipv6(link: str) -> str:
    """The command that allows IPv6 on a link. A link name may hold dots, so sysctl(8) gets slashes."""
    return f"sysctl -w net/ipv6/conf/{link}/disable_ipv6=0, and where it is set at boot: /etc/sysctl.d"
