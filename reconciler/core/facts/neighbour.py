"""A neighbour: a host that the kernel knows on a link, by ARP or neighbour discovery."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Neighbour:
    """`address` as `ipaddress` prints it. `sure`: it answered within the last seconds (NUD_REACHABLE)."""

    link: str
    address: str
    sure: bool = False
